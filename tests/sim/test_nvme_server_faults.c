/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server that stops answering, hangs up, or says what it must not, after so many
 * messages: while the device is opened, and later. The driver comes back with an error in time, and
 * nothing is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "drive.h"

#define DEVICE_TIMEOUT_MS 200
#define IN_TIME_MS 8000
#define TURNS 5000

static const unsigned int moments[] = { 1, 2, 3, 5, 9, 17, 33, 65, 129, 400 };
#define NR_MOMENTS (sizeof(moments) / sizeof(moments[0]))

/* Uses the drive until it fails. */
static int use(struct drive *drive)
{
	uint8_t block[512];
	int rc = 0;

	for (unsigned int i = 0; i < TURNS && !rc; i++) {
		struct weir_nvme_event event;

		rc = weir_nvme_events(drive->nvme, &event, 1);
		if (rc == 1 && event.type == WEIR_NVME_EVENT_GONE)
			return -ENODEV;
		rc = weir_nvme_read(drive->nvme, 1, i, block, sizeof(block), &drive->err);
	}
	return rc;
}

/* One fault at one moment. Returns whether it was after the opening. */
static bool one(const char *fault, unsigned int after)
{
	struct drive *drive = calloc(1, sizeof(*drive));
	char arguments[96];
	uint64_t begin;
	bool opened;
	int rc;

	assert_non_null(drive);
	drive_resources_before(drive);
	drive->device_timeout_ms = DEVICE_TIMEOUT_MS;
	drive->options.admin_timeout_ms = 2000;
	drive->options.io_timeout_ms = 1000;
	snprintf(arguments, sizeof(arguments), "--size 16M --fault server-%s-after=%u", fault,
		 after);
	drive_start(drive, arguments);
	begin = drive_now_ms();
	rc = drive_open(drive);
	opened = !rc;
	if (opened) {
		rc = use(drive);
		drive_close(drive);
	}
	if (rc >= 0)
		fail_msg("%s: it never failed", arguments);
	if (!opened)
		assert_int_equal(drive->err.code, rc);
	assert_true(opened || strlen(drive->err.text) > 10);
	if (drive_now_ms() - begin > IN_TIME_MS)
		fail_msg("%s: it took %llu ms", arguments,
			 (unsigned long long)(drive_now_ms() - begin));
	drive_stop(drive);
	drive_resources_after(drive);
	free(drive);
	return opened;
}

static void every_moment(const char *fault)
{
	unsigned int opened = 0;

	for (unsigned int i = 0; i < NR_MOMENTS; i++)
		opened += one(fault, moments[i]);
	/* Some moments have to lie before the end of the opening, some after. */
	assert_in_range(opened, 1, NR_MOMENTS - 1);
}

static void test_stall(void **state)
{
	(void)state;
	every_moment("stall");
}

static void test_close(void **state)
{
	(void)state;
	every_moment("close");
}

static void test_short(void **state)
{
	(void)state;
	every_moment("short");
}

static void test_oversize(void **state)
{
	(void)state;
	every_moment("oversize");
}

static void test_wrong_id(void **state)
{
	(void)state;
	every_moment("wrong-id");
}

static void test_error(void **state)
{
	(void)state;
	every_moment("error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stall),	 cmocka_unit_test(test_close),
		cmocka_unit_test(test_short),	 cmocka_unit_test(test_oversize),
		cmocka_unit_test(test_wrong_id), cmocka_unit_test(test_error),
	};

	drive_warm_up();
	return cmocka_run_group_tests_name("nvme_server_faults", tests, NULL, NULL);
}
