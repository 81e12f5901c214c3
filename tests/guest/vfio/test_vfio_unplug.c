/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A drive that is unplugged under load: first with a request, as an administrator does it, then by
 * surprise. It is plugged in again each time. Everything on it is overwritten.
 *
 *   test_vfio_unplug TRANSPORT ADDRESS ASK CUT PLUG
 *
 * ADDRESS is the drive; ASK, CUT and PLUG are shell commands that request its removal, cut it off,
 * and plug it in again, bound to vfio-pci.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weir/fault_guard.h>

#include "../../sim/load.h"
#include "../../sim/nvme_test.h"

#define PATIENCE_S 60
/* Blocks that no other test writes, and each load its own: it knows what it wrote, not what was
 * there before. */
#define REQUESTED_LBA 0x10000
#define SURPRISE_LBA 0x20000

static struct {
	const char *transport, *address, *ask, *cut, *plug;
} args;

static struct load the_load;

static struct weir_nvme *open_drive(void)
{
	struct weir_nvme_options options = WEIR_NVME_OPTIONS_INIT;
	struct weir_nvme *nvme;
	struct weir_error err;

	options.transport = args.transport;
	if (weir_nvme_open(args.address, &options, &nvme, &err))
		fail_msg("%s", err.text);
	return nvme;
}

static void run(const char *command)
{
	assert_int_equal(system(command), 0);
}

static struct weir_nvme *start_load(uint64_t lba)
{
	const struct load_options options = {
		.depth = 64,
		.lba = lba,
		.flush_every = 100,
		.seed = 7,
		.no_events = true,
	};
	struct weir_nvme *nvme = open_drive();
	struct weir_error err;

	if (load_begin(&the_load, nvme, weir_nvme_next_ns(nvme, 0), &options, &err))
		fail_msg("%s", err.text);
	assert_int_equal(load_thread_start(&the_load), 0);
	while (atomic_load(&the_load.progress) < 200)
		usleep(1000);
	return nvme;
}

static void wait_for(struct weir_nvme *nvme, enum weir_nvme_event_type type)
{
	time_t deadline = time(NULL) + PATIENCE_S;
	struct weir_nvme_event event;

	for (;;) {
		if (weir_nvme_events(nvme, &event, 1) == 1 && event.type == (uint32_t)type)
			return;
		if (time(NULL) > deadline)
			fail_msg("no event %d in %d s", type, PATIENCE_S);
		usleep(1000);
	}
}

/* The kernel lets go of the device once we have. */
static void wait_until_gone(void)
{
	time_t deadline = time(NULL) + PATIENCE_S;
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", args.address);
	while (!access(path, F_OK)) {
		if (time(NULL) > deadline)
			fail_msg("%s is still there", path);
		usleep(10000);
	}
}

static void check_refused(void)
{
	struct weir_nvme *nvme;
	struct weir_error err;

	assert_int_equal(weir_nvme_open(args.address, NULL, &nvme, &err), -ENOENT);
	assert_non_null(strstr(err.text, args.address));
}

/* What was acknowledged is there when the drive is back. */
static void verify(void)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct weir_nvme *nvme = open_drive();
	struct weir_nvme_qp *qp;
	struct weir_error err;
	uint8_t *data;

	options.depth = the_load.options.depth;
	if (weir_nvme_qp_create(nvme, &options, &qp, &err))
		fail_msg("%s", err.text);
	data = weir_arena_alloc(weir_nvme_arena(nvme),
				(size_t)the_load.options.depth * the_load.io_bytes, 0);
	assert_non_null(data);
	load_attach(&the_load, nvme, weir_nvme_next_ns(nvme, 0), qp, data);
	if (!load_verify(&the_load))
		fail_msg("%s", the_load.error);
	load_end(&the_load, true);
	weir_nvme_close(nvme);
}

static void test_requested(void **state)
{
	struct weir_nvme *nvme = start_load(REQUESTED_LBA);

	(void)state;
	run(args.ask);
	wait_for(nvme, WEIR_NVME_EVENT_REMOVE_REQUEST);
	assert_true(atomic_load(&the_load.outstanding) > 0);
	load_stop(&the_load);
	assert_string_equal(the_load.error, "");
	assert_false(the_load.dead);
	assert_int_equal(the_load.submitted, the_load.done);
	load_end(&the_load, true);
	weir_nvme_close(nvme);
	wait_until_gone();
	check_refused();

	run(args.plug);
	verify();
}

static void test_surprise(void **state)
{
	struct weir_nvme *nvme = start_load(SURPRISE_LBA);
	struct weir_device *dev = weir_nvme_device(nvme);
	uint64_t before;
	uint32_t value;

	(void)state;
	before = atomic_load(&the_load.progress);
	run(args.cut);
	wait_for(nvme, WEIR_NVME_EVENT_GONE);
	load_stop(&the_load);
	/* Every cookie came back once, then the queue was dead. */
	assert_false(load_turn(&the_load, true));
	assert_string_equal(the_load.error, "");
	assert_true(the_load.dead);
	assert_int_equal(the_load.submitted, the_load.done);
	assert_true(the_load.gone > 0);
	assert_true(the_load.done > before);
	assert_int_equal(weir_device_gone(dev), 1);
	assert_int_equal(weir_device_read32(dev, 0, 0, &value), -ENODEV);
	assert_int_equal(weir_device_read(dev, WEIR_REGION_CONFIG, 0, &value, 4, NULL), -ENODEV);
	assert_int_equal(weir_device_reset(dev, NULL), -ENODEV);
	assert_int_equal(weir_irq_unbind(dev, WEIR_IRQ_MSIX, NULL), -ENODEV);
	load_end(&the_load, true);
	weir_nvme_close(nvme);
	wait_until_gone();
	check_refused();
	run(args.plug);
	verify();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requested),
		cmocka_unit_test(test_surprise),
	};
	static struct resources before, after;
	int failed;

	if (argc != 6) {
		fprintf(stderr, "usage: test_vfio_unplug TRANSPORT ADDRESS ASK CUT PLUG\n");
		return 2;
	}
	args.transport = argv[1];
	args.address = argv[2];
	args.ask = argv[3];
	args.cut = argv[4];
	args.plug = argv[5];
	if (weir_fault_guard_enable(NULL))
		return 1;
	resources_look(&before);
	failed = cmocka_run_group_tests_name("vfio_unplug", tests, NULL, NULL);
	resources_look(&after);
	after.private_kib = before.private_kib;
	return !resources_same(&before, &after) || failed;
}
