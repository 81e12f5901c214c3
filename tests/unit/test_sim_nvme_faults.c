/* SPDX-License-Identifier: BSD-3-Clause */
/* What an emulated NVMe controller does wrong when it is asked to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "sim_nvme_host.h"

static struct sim_nvme_options with(const char *faults)
{
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	struct weir_error err;

	if (sim_nvme_parse_faults(faults, &options, &err))
		fail_msg("%s", err.text);
	return options;
}

static void start(struct host *host, const char *faults)
{
	struct sim_nvme_options options = with(faults);

	host_start(host, &options);
}

static void test_parse(void **state)
{
	struct sim_nvme_options options;

	(void)state;
	options = with("drop-every=1000,status=0x4081,status-every=7,stuck-ready,"
		       "server-stall-after=50");
	assert_int_equal(options.faults.drop_every, 1000);
	assert_int_equal(options.faults.status, 0x4081);
	assert_int_equal(options.faults.status_every, 7);
	assert_true(options.faults.stuck_ready);
	assert_false(options.faults.stuck_disable);
	assert_int_equal(options.server.fault_stall_after, 50);
	options = with("delay-every=1,delay-us=2,wrong-cid-every=3,duplicate-cid-every=4,"
		       "unplug-after=5,truncate-after=6,fatal-after=7,stuck-disable,ignore-abort");
	assert_int_equal(options.faults.delay_every, 1);
	assert_int_equal(options.faults.delay_us, 2);
	assert_int_equal(options.faults.wrong_cid_every, 3);
	assert_int_equal(options.faults.duplicate_cid_every, 4);
	assert_int_equal(options.faults.unplug_after, 5);
	assert_int_equal(options.faults.truncate_after, 6);
	assert_int_equal(options.faults.fatal_after, 7);
	assert_true(options.faults.stuck_disable);
	assert_true(options.faults.ignore_abort);
	options = with("server-close-after=1,server-short-after=2,server-oversize-after=3,"
		       "server-wrong-id-after=4,server-error-after=5");
	assert_int_equal(options.server.fault_close_after, 1);
	assert_int_equal(options.server.fault_short_after, 2);
	assert_int_equal(options.server.fault_oversize_after, 3);
	assert_int_equal(options.server.fault_wrong_id_after, 4);
	assert_int_equal(options.server.fault_error_after, 5);
}

static void test_parse_refused(void **state)
{
	static const struct {
		const char *spec, *text;
	} cases[] = {
		{ "", "drop-every" },
		{ "droop-every=1", "\"droop-every=1\" is not one of drop-every" },
		{ "drop-every=5,,stuck-ready", "is not one of" },
		{ "drop-every", "not a number" },
		{ "drop-every=", "not a number" },
		{ "drop-every=-1", "not a number" },
		{ "drop-every= 1", "not a number" },
		{ "drop-every=1x", "not a number" },
		{ "drop-every=99999999999999999999", "not a number" },
		{ "delay-us=4294967296", "over 4294967295" },
		{ "status=0x8000", "over 32767" },
		{ "stuck-ready=1", "takes no value" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
		struct weir_error err = { 0 };

		assert_int_equal(sim_nvme_parse_faults(cases[i].spec, &options, &err), -EINVAL);
		if (!strstr(err.text, cases[i].text))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].spec, err.text,
				 cases[i].text);
	}
}

/* The list of what there is comes whole, however long the wrong name is. */
static void test_parse_unknown(void **state)
{
	static const struct {
		const char *spec, *end;
	} cases[] = {
		{ "x", " stuck-ready stuck-disable ignore-abort server-*" },
		{ "serve", " ignore-abort server-*" },
		{ "0123456789012345678901234567890123456789012345678901234567890123456789",
		  " ignore-abort server-*" },
		{ "server-", " server-wrong-id-after server-error-after" },
		{ "server-0123456789012345678901234567890123456789012345678901234567890123456789",
		  " server-error-after" },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
		struct weir_error err = { 0 };
		size_t length, end = strlen(cases[i].end);

		assert_int_equal(sim_nvme_parse_faults(cases[i].spec, &options, &err), -EINVAL);
		length = strlen(err.text);
		assert_true(length > end);
		assert_string_equal(err.text + length - end, cases[i].end);
	}
}

static unsigned int run_read(struct host *host)
{
	return host_run(host, 1, host_rw(NVME_IO_READ, 0, 8));
}

static unsigned int abort_command(struct host *host, uint16_t cid)
{
	return host_run(
		host, 0,
		(struct nvme_sqe){ .opcode = NVME_ADMIN_ABORT, .cdw10 = (uint32_t)cid << 16 | 1 });
}

static void test_drop_and_abort(void **state)
{
	struct sim_nvme_stats stats;
	struct host host;
	uint16_t cid;

	(void)state;
	start(&host, "drop-every=3");
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	cid = host.next_cid;
	assert_int_equal(run_read(&host), HOST_NOTHING);
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	/* Another id is not aborted; this one is, once. */
	assert_int_equal(abort_command(&host, (uint16_t)(cid + 100)), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 1);
	assert_int_equal(abort_command(&host, cid), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 0);
	assert_true(host_take(&host, 1));
	assert_int_equal(host.cqe.cid, cid);
	assert_int_equal(host.cqe.status >> 1, NVME_ABORT_REQUESTED);
	assert_int_equal(abort_command(&host, cid), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 1);
	sim_nvme_stats(host.nvme, &stats);
	assert_int_equal(stats.commands, 4);
	assert_int_equal(stats.completions, 4);
	assert_int_equal(stats.aborted, 1);
	host_close(&host);
}

static void test_ignore_abort(void **state)
{
	struct host host;
	uint16_t cid;

	(void)state;
	start(&host, "drop-every=1,ignore-abort");
	cid = host.next_cid;
	assert_int_equal(run_read(&host), HOST_NOTHING);
	assert_int_equal(abort_command(&host, cid), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 0);
	host_turn(&host);
	assert_false(host_take(&host, 1));
	host_close(&host);
}

/* Dropped commands end with their queue and with the controller. */
static void test_dropped_end(void **state)
{
	struct host host;
	uint16_t cid;

	(void)state;
	start(&host, "drop-every=1");
	cid = host.next_cid;
	assert_int_equal(run_read(&host), HOST_NOTHING);
	assert_int_equal(
		host_run(&host, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_DELETE_SQ, .cdw10 = 1 }),
		NVME_SUCCESS);
	host_queue_clear(&host, 1, HOST_ENTRIES);
	assert_int_equal(host_create_sq(&host, 1, HOST_ENTRIES), NVME_SUCCESS);
	assert_int_equal(abort_command(&host, cid), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 1);
	/* More of them than are remembered. */
	for (unsigned int i = 0; i < 5000; i++) {
		host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
		host_ring(&host, 1);
		sim_server_turn(sim_nvme_server(host.nvme));
	}
	host_disable(&host);
	host_enable(&host);
	host_queue(&host, 1);
	assert_int_equal(abort_command(&host, (uint16_t)(cid + 10)), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 1);
	host_close(&host);
}

static void test_delay(void **state)
{
	uint64_t begin, waited;
	struct host host;
	uint16_t cid;

	(void)state;
	start(&host, "delay-every=2,delay-us=20000");
	memset(host_at(&host, HOST_DATA), 0xff, 4096);
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	memset(host_at(&host, HOST_DATA), 0xff, 4096);
	begin = weir_now_ns();
	cid = host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	do {
		sim_server_turn(sim_nvme_server(host.nvme));
		waited = weir_now_ns() - begin;
	} while (!host_take(&host, 1) && waited < UINT64_C(10000000000));
	assert_int_equal(host.cqe.cid, cid);
	assert_true(waited >= 20000000);
	/* It was executed, too. */
	assert_int_equal(host.memory[HOST_DATA], 0);
	host_close(&host);
}

static void test_status(void **state)
{
	struct nvme_sqe write = host_rw(NVME_IO_WRITE, 0, 8);
	struct host host;

	(void)state;
	start(&host, "status-every=2,status=0x4281");
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	memset(host_at(&host, HOST_DATA), 0xff, 4096);
	assert_int_equal(host_run(&host, 1, write), 0x281);
	assert_int_equal(host.cqe.status >> 1, 0x4281);
	/* Nothing was done. */
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA], 0);
	host_close(&host);
}

static void test_command_ids(void **state)
{
	struct host host;
	uint16_t cid;

	(void)state;
	start(&host, "wrong-cid-every=2,duplicate-cid-every=3");
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	cid = host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host_turn(&host);
	assert_true(host_take(&host, 1));
	assert_int_equal(host.cqe.cid, cid | 0x8000);
	assert_false(host_take(&host, 1));
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	cid = host.cqe.cid;
	assert_true(host_take(&host, 1));
	assert_int_equal(host.cqe.cid, cid);
	assert_false(host_take(&host, 1));
	host_close(&host);
}

/* Twice, in a completion queue that has room for one. */
static void test_duplicate_without_room(void **state)
{
	struct sim_nvme_options options = with("duplicate-cid-every=1");
	struct host host;

	(void)state;
	host_open(&host, &options);
	host_enable(&host);
	host_queue_clear(&host, 1, HOST_ENTRIES);
	assert_int_equal(host_create_cq(&host, 1, 2), NVME_SUCCESS);
	assert_int_equal(host_create_sq(&host, 1, HOST_ENTRIES), NVME_SUCCESS);
	for (unsigned int i = 0; i < 4; i++)
		host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host.queues[1].size = 2; /* for taking */
	for (unsigned int i = 0; i < 4; i++) {
		host_turn(&host);
		assert_true(host_take(&host, 1));
		assert_int_equal(host.cqe.cid, host.next_cid - 4 + i);
		assert_false(host_take(&host, 1));
		host_acknowledge(&host, 1);
	}
	host_close(&host);
}

static void test_unplug(void **state)
{
	struct host host;
	uint32_t value;

	(void)state;
	start(&host, "unplug-after=3");
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	assert_int_equal(run_read(&host), HOST_NOTHING);
	assert_int_not_equal(sim_client_read(&host.client, 0, NVME_CSTS, &value, 4), 0);
	host_close(&host);
}

static void test_truncate(void **state)
{
	struct vfio_user_region_info info = { .argsz = 256, .index = 0 };
	struct stat status;
	struct host host;

	(void)state;
	start(&host, "truncate-after=2");
	assert_int_equal(sim_client_call(&host.client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	assert_int_equal(fstat(host.client.reply.fds[0], &status), 0);
	assert_true(status.st_size > 0);
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host_turn(&host);
	assert_int_equal(fstat(host.client.reply.fds[0], &status), 0);
	assert_int_equal(status.st_size, 0);
	/* The controller lives on. */
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_RDY);
	host_close(&host);
}

static void test_fatal(void **state)
{
	struct host host;

	(void)state;
	start(&host, "fatal-after=3,delay-every=2");
	assert_int_equal(run_read(&host), NVME_SUCCESS);
	/* Also what was held back, or asked for before, does not come. */
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_put(&host, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	sim_nvme_async_event(host.nvme, NVME_EVENT_ERROR, 3, NVME_LOG_ERRORS);
	host_ring(&host, 1);
	host_ring(&host, 0);
	host_turn(&host);
	assert_false(host_take(&host, 1));
	assert_false(host_take(&host, 0));
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_CFS);
	host_close(&host);
}

static void test_stuck(void **state)
{
	struct sim_nvme_options options = with("stuck-ready");
	struct host host;

	(void)state;
	host_open(&host, &options);
	host_write32(&host, NVME_AQA, 31u << 16 | 31);
	host_write64(&host, NVME_ASQ, HOST_IOVA);
	host_write64(&host, NVME_ACQ, HOST_IOVA);
	host_write32(&host, NVME_CC, NVME_CC_EN);
	host_turn(&host);
	assert_int_equal(host_read32(&host, NVME_CSTS), 0);
	host_close(&host);

	start(&host, "stuck-disable");
	host_write32(&host, NVME_CC, 0);
	host_turn(&host);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_RDY);
	/* It does nothing any more. */
	assert_int_equal(run_read(&host), HOST_NOTHING);
	assert_int_equal(abort_command(&host, 0), HOST_NOTHING);
	host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	      cmocka_unit_test(test_parse_refused),
		cmocka_unit_test(test_parse_unknown), cmocka_unit_test(test_drop_and_abort),
		cmocka_unit_test(test_ignore_abort),  cmocka_unit_test(test_dropped_end),
		cmocka_unit_test(test_delay),	      cmocka_unit_test(test_status),
		cmocka_unit_test(test_command_ids),   cmocka_unit_test(test_duplicate_without_room),
		cmocka_unit_test(test_unplug),	      cmocka_unit_test(test_truncate),
		cmocka_unit_test(test_fatal),	      cmocka_unit_test(test_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
