/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A drive that does wrong: commands lost, late, failed, answered twice or with a wrong id;
 * controllers that are stuck, fatal, pulled, or cut off from their registers. Every cookie comes
 * back exactly once, errors say what happened, and nothing is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <weir/fault_guard.h>

#include "drive.h"
#include "load.h"

#define IO_TIMEOUT_MS 100
#define LONG_MS 30000

/* A drive with two loads, and what the events said. */
struct fixture {
	struct drive drive;
	struct load loads[2];
	unsigned int nr_loads;
	unsigned int resets_needed, gone;
};

static struct fixture *begin(const char *arguments, const struct load_options *options,
			     unsigned int nr_loads)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct load_options mine = *options;

	assert_non_null(f);
	drive_resources_before(&f->drive);
	f->drive.options.io_timeout_ms = IO_TIMEOUT_MS;
	drive_up(&f->drive, arguments);
	f->nr_loads = nr_loads;
	for (unsigned int i = 0; i < nr_loads; i++) {
		mine.seed = options->seed + i;
		mine.lba = 10000 * i;
		if (load_begin(&f->loads[i], f->drive.nvme, f->drive.ns, &mine, &f->drive.err))
			fail_msg("%s", f->drive.err.text);
	}
	return f;
}

static void end(struct fixture *f)
{
	for (unsigned int i = 0; i < f->nr_loads; i++) {
		if (f->loads[i].error[0])
			fail_msg("load %u: %s", i, f->loads[i].error);
		assert_int_equal(f->loads[i].inflight, 0);
		assert_int_equal(f->loads[i].submitted, f->loads[i].done);
		load_end(&f->loads[i], true);
	}
	drive_close(&f->drive);
	drive_stop(&f->drive);
	drive_resources_after(&f->drive);
	free(f);
}

static void take_events(struct fixture *f)
{
	struct weir_nvme_event events[4];
	int n = weir_nvme_events(f->drive.nvme, events, 4);

	for (int i = 0; i < n; i++) {
		f->resets_needed += events[i].type == WEIR_NVME_EVENT_RESET_NEEDED;
		f->gone += events[i].type == WEIR_NVME_EVENT_GONE;
	}
}

static void check_failure(struct fixture *f, int code, const char *text)
{
	struct weir_error err;

	weir_nvme_failure(f->drive.nvme, &err);
	if (err.code != code || !strstr(err.text, text))
		fail_msg("%d, \"%s\": not %d, \"%s\"", err.code, err.text, code, text);
}

/* The controller is of no use any more, and says so. */
static void check_dead(struct fixture *f)
{
	struct weir_nvme_io io = { .opcode = WEIR_NVME_FLUSH };
	struct weir_nvme_done done;
	struct weir_nvme_qp *qp;
	uint8_t page[512];

	for (unsigned int i = 0; i < f->nr_loads; i++) {
		assert_true(f->loads[i].dead);
		assert_int_equal(weir_nvme_submit(f->loads[i].qp, f->drive.ns, &io, 1), -ENODEV);
		assert_int_equal(weir_nvme_post(f->loads[i].qp, f->drive.ns, &io), -ENODEV);
		assert_int_equal(weir_nvme_poll(f->loads[i].qp, &done, 1), -ENODEV);
		assert_int_equal(weir_nvme_sweep(f->loads[i].qp, 1), -ENODEV);
	}
	assert_int_equal(weir_nvme_qp_create(f->drive.nvme, NULL, &qp, &f->drive.err), -ENODEV);
	assert_int_equal(weir_nvme_log_page(f->drive.nvme, UINT32_MAX, 2, 0, page, sizeof(page),
					    &f->drive.err),
			 -ENODEV);
	assert_int_equal(weir_nvme_read(f->drive.nvme, 1, 0, page, sizeof(page), &f->drive.err),
			 -ENODEV);
	assert_int_equal(weir_nvme_reset(f->drive.nvme, 100, &f->drive.err), -ENODEV);
	assert_true(strlen(f->drive.err.text) > 0);
}

/* Turns in this thread until the queue is dead. */
static void run_until_dead(struct load *load, bool submit)
{
	uint64_t deadline = drive_now_ms() + LONG_MS;

	while (!load->dead && load_turn(load, submit) && drive_now_ms() < deadline)
		;
	if (load->error[0])
		fail_msg("%s", load->error);
	assert_true(load->dead);
}

static void start_threads(struct fixture *f)
{
	for (unsigned int i = 0; i < f->nr_loads; i++)
		assert_int_equal(load_thread_start(&f->loads[i]), 0);
}

/* Takes events until there is what the test waits for. */
#define WAIT_FOR(f, condition) \
	do { \
		uint64_t deadline_ = drive_now_ms() + LONG_MS; \
		while (!(condition) && drive_now_ms() < deadline_) { \
			take_events(f); \
			drive_sleep_ms(1); \
		} \
		assert_true(condition); \
	} while (0)

static void test_dropped(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 1, .allow_status = true };
	struct fixture *f = begin("--size 64M --fault drop-every=37", &options, 1);
	struct load *load = &f->loads[0];
	struct weir_nvme_qp_stats stats;

	(void)state;
	if (!load_run(load, 300) || !load_drain(load, LONG_MS))
		fail_msg("%s", load->error);
	assert_int_equal(load->failed, load->submitted / 37);
	assert_int_equal(load->last_status & 0x7ff, 0x007);
	weir_nvme_qp_stats(load->qp, &stats);
	assert_true(stats.aborts >= load->failed);
	check_failure(f, 0, "");
	end(f);
}

static void test_delayed(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 2 };
	struct fixture *f = begin("--size 64M --fault delay-every=5,delay-us=2000", &options, 1);

	(void)state;
	/* longer than nothing, shorter than the time-out */
	if (!load_run(&f->loads[0], 400) || !load_verify(&f->loads[0]))
		fail_msg("%s", f->loads[0].error);
	end(f);
}

static void test_wrong_status(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 3, .allow_status = true };
	struct fixture *f = begin("--size 64M --fault status-every=9,status=0x4004", &options, 1);
	struct load *load = &f->loads[0];
	struct weir_nvme_done done = { .status = 0x4004 };
	char text[128];

	(void)state;
	if (!load_run(load, 500) || !load_drain(load, LONG_MS))
		fail_msg("%s", load->error);
	assert_int_equal(load->failed, load->submitted / 9);
	assert_int_equal(load->last_status, 0x4004);
	weir_nvme_status_text(&done, text, sizeof(text));
	assert_non_null(strstr(text, "data transfer error"));
	assert_non_null(strstr(text, "do not retry"));
	end(f);
}

static void test_wrong_cid(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 4 };
	struct fixture *f = begin("--size 64M --fault wrong-cid-every=100", &options, 1);

	(void)state;
	run_until_dead(&f->loads[0], true);
	assert_true(f->loads[0].gone > 0);
	check_failure(f, -EPROTO, "beyond the queue's 16");
	check_failure(f, -EPROTO, "queue 1: the controller completed command id 327");
	check_dead(f);
	end(f);
}

static void test_duplicate_cid(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 5 };
	struct fixture *f = begin("--size 64M --fault duplicate-cid-every=16", &options, 1);

	(void)state;
	/* One burst: an id that is in use again cannot be told from the one before. */
	while (f->loads[0].submitted < 16)
		assert_true(load_turn(&f->loads[0], f->loads[0].done == 0));
	run_until_dead(&f->loads[0], false);
	check_failure(f, -EPROTO, "not in flight");
	check_dead(f);
	end(f);
}

/* One owner, which makes the reset itself, by its halves. */
static void test_fatal(void **state)
{
	const struct load_options options = { .depth = 8, .seed = 6, .no_events = true };
	struct fixture *f = begin("--size 64M --fault fatal-after=200", &options, 1);
	struct load *load = &f->loads[0];
	uint8_t page[512];

	(void)state;
	while (!f->resets_needed && load_turn(load, true))
		take_events(f);
	assert_int_equal(f->resets_needed, 1);
	check_failure(f, -EIO, "fatal");
	assert_true(load->inflight > 0);
	assert_int_equal(weir_nvme_reset_finish(f->drive.nvme, &f->drive.err), -EINVAL);
	assert_int_equal(weir_nvme_reset_begin(f->drive.nvme, &f->drive.err), 0);
	assert_int_equal(weir_nvme_reset_begin(f->drive.nvme, &f->drive.err), -EALREADY);
	assert_int_equal(weir_nvme_reset_finish(f->drive.nvme, &f->drive.err), -EAGAIN);
	assert_non_null(strstr(f->drive.err.text, "queue 1"));
	assert_int_equal(weir_nvme_log_page(f->drive.nvme, UINT32_MAX, 2, 0, page, sizeof(page),
					    &f->drive.err),
			 -EAGAIN);
	if (!load_drain(load, LONG_MS))
		fail_msg("%s", load->error);
	assert_true(load->reset > 0);
	load_turn(load, false); /* parks */
	assert_int_equal(weir_nvme_reset_finish(f->drive.nvme, &f->drive.err), 0);
	check_failure(f, 0, "");
	assert_int_equal(weir_nvme_log_page(f->drive.nvme, UINT32_MAX, 2, 0, page, sizeof(page),
					    &f->drive.err),
			 0);
	end(f);
}

/* Aborts do not help: reset after reset, with two owners in their threads. */
static void test_ignored_abort(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 7, .no_events = true };
	struct fixture *f = begin("--size 64M --fault drop-every=401,ignore-abort", &options, 2);
	uint64_t was[2];
	unsigned int resets = 0;
	bool running = true;

	(void)state;
	start_threads(f);
	while (resets < 2) {
		WAIT_FOR(f, f->resets_needed == resets + 1);
		check_failure(f, -ETIMEDOUT, "of its abort");
		assert_true(atomic_load(&f->loads[0].outstanding) +
				    atomic_load(&f->loads[1].outstanding) >
			    0);
		if (weir_nvme_reset(f->drive.nvme, LONG_MS, &f->drive.err))
			fail_msg("%s", f->drive.err.text);
		resets++;
		for (unsigned int i = 0; i < 2; i++)
			was[i] = atomic_load(&f->loads[i].progress);
		/* I/O goes on, on both. */
		WAIT_FOR(f, f->resets_needed > resets ||
				    (atomic_load(&f->loads[0].progress) > was[0] + 20 &&
				     atomic_load(&f->loads[1].progress) > was[1] + 20));
	}
	/* What is dropped while they drain needs one more. */
	for (unsigned int i = 0; i < 2; i++)
		atomic_store(&f->loads[i].order, LOAD_IDLE);
	while (running) {
		take_events(f);
		if (f->resets_needed > resets) {
			assert_int_equal(weir_nvme_reset(f->drive.nvme, LONG_MS, &f->drive.err), 0);
			resets++;
		}
		running = !atomic_load(&f->loads[0].idle) || !atomic_load(&f->loads[1].idle);
		drive_sleep_ms(1);
	}
	for (unsigned int i = 0; i < 2; i++)
		load_stop(&f->loads[i]);
	assert_true(f->loads[0].reset + f->loads[1].reset > 0);
	end(f);
}

/* An owner that does not poll holds a reset up, and the text says which. */
static void test_reset_without_owner(void **state)
{
	const struct load_options options = { .depth = 4, .seed = 8 };
	struct fixture *f = begin("--size 64M", &options, 1);

	(void)state;
	assert_true(load_run(&f->loads[0], 20));
	assert_int_equal(weir_nvme_reset(f->drive.nvme, 50, &f->drive.err), -ETIMEDOUT);
	assert_non_null(strstr(f->drive.err.text, "queue 1"));
	assert_true(load_drain(&f->loads[0], LONG_MS));
	load_turn(&f->loads[0], false);
	load_turn(&f->loads[0], false);
	assert_int_equal(weir_nvme_reset_finish(f->drive.nvme, &f->drive.err), 0);
	assert_true(load_run(&f->loads[0], 200) && load_verify(&f->loads[0]));
	end(f);
}

/* Whether a turn that began after the given number of them left I/Os out. */
static bool left_out(const struct load *load, uint64_t turns)
{
	return atomic_load_explicit(&load->turns, memory_order_acquire) >= turns + 2 &&
	       atomic_load(&load->outstanding);
}

/* The device is reset, and the driver was not asked. No command has to grow old for it to notice.
 */
static void test_reset_by_others(void **state)
{
	const struct load_options options = { .depth = 16, .seed = 9, .no_events = true };
	struct fixture *f = begin("--size 64M", &options, 1);
	struct load *load = &f->loads[0];
	uint64_t was;

	(void)state;
	start_threads(f);
	WAIT_FOR(f, atomic_load(&load->progress) > 100 && atomic_load(&load->outstanding));
	assert_int_equal(weir_device_reset(f->drive.dev, &f->drive.err), 0);
	/* Nothing takes events yet: what is out now is not answered any more. */
	was = atomic_load(&load->turns);
	for (uint64_t end_ms = drive_now_ms() + LONG_MS;
	     !left_out(load, was) && drive_now_ms() < end_ms;)
		drive_sleep_ms(1);
	assert_true(left_out(load, was));
	WAIT_FOR(f, f->resets_needed == 1);
	check_failure(f, -EIO, "by somebody else");
	assert_int_equal(weir_nvme_reset(f->drive.nvme, LONG_MS, &f->drive.err), 0);
	was = atomic_load(&load->progress);
	WAIT_FOR(f, atomic_load(&load->progress) > was + 100);
	assert_int_equal(f->resets_needed, 1);
	load_stop(load);
	assert_true(load->reset > 0);
	assert_true(load_verify(load));
	end(f);
}

static void test_stuck_ready(void **state)
{
	struct drive *drive = calloc(1, sizeof(*drive));

	(void)state;
	drive_resources_before(drive);
	drive_start(drive, "--size 64M --fault stuck-ready");
	assert_int_equal(drive_open(drive), -ETIMEDOUT);
	assert_non_null(strstr(drive->err.text, "become ready within 1000 ms"));
	drive_stop(drive);
	drive_resources_after(drive);
	free(drive);
}

static void test_stuck_disable(void **state)
{
	const struct load_options options = { .depth = 4, .seed = 9 };
	struct fixture *f = begin("--size 64M --fault stuck-disable", &options, 1);

	(void)state;
	assert_true(load_run(&f->loads[0], 20));
	assert_int_equal(weir_nvme_reset_begin(f->drive.nvme, &f->drive.err), -EIO);
	assert_int_equal(f->drive.err.code, -EIO);
	assert_non_null(strstr(f->drive.err.text, "did not stop within 1000 ms"));
	check_failure(f, -EIO, "did not stop within 1000 ms");
	run_until_dead(&f->loads[0], false);
	check_dead(f);
	load_end(&f->loads[0], true);
	f->nr_loads = 0;
	drive_close(&f->drive);
	/* and it is stuck for the next one as well */
	assert_int_equal(drive_open(&f->drive), -ETIMEDOUT);
	assert_non_null(strstr(f->drive.err.text, "stop"));
	drive_stop(&f->drive);
	drive_resources_after(&f->drive);
	free(f);
}

/* Pulled, or cut off from its registers, under two loads. What was out then is lost, or is still
 * completed in memory. */
static void vanish(const char *arguments, bool lost)
{
	const struct load_options options = { .depth = 32, .seed = 10, .no_events = true };
	struct fixture *f = begin(arguments, &options, 2);

	start_threads(f);
	WAIT_FOR(f, f->gone == 1);
	for (unsigned int i = 0; i < 2; i++) {
		load_stop(&f->loads[i]);
		run_until_dead(&f->loads[i], false); /* if it had nothing in flight to notice by */
	}
	/* The command that it happened at was out. */
	assert_true(!lost || f->loads[0].gone + f->loads[1].gone > 0);
	take_events(f);
	assert_int_equal(f->gone, 1);
	check_failure(f, -ENODEV, "gone");
	check_dead(f);
	end(f);
}

static void test_unplug(void **state)
{
	(void)state;
	vanish("--size 64M --fault unplug-after=500", true);
}

static void test_truncated_registers(void **state)
{
	(void)state;
	/* Here, because cmocka has a handler of its own for the time of a test. */
	assert_int_equal(weir_fault_guard_enable(NULL), 0);
	vanish("--size 64M --fault truncate-after=500", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_delayed),
		cmocka_unit_test(test_wrong_status),
		cmocka_unit_test(test_wrong_cid),
		cmocka_unit_test(test_duplicate_cid),
		cmocka_unit_test(test_fatal),
		cmocka_unit_test(test_ignored_abort),
		cmocka_unit_test(test_reset_without_owner),
		cmocka_unit_test(test_reset_by_others),
		cmocka_unit_test(test_stuck_ready),
		cmocka_unit_test(test_stuck_disable),
		cmocka_unit_test(test_unplug),
		cmocka_unit_test(test_truncated_registers),
	};

	drive_warm_up();
	return cmocka_run_group_tests_name("nvme_faults", tests, NULL, NULL);
}
