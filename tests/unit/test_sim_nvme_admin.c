/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands of the emulated NVMe controller: Identify, log pages, features, events, Abort. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base.h"
#include "sim_nvme_host.h"

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;

static unsigned int admin(struct host *host, uint8_t opcode, uint32_t cdw10, uint32_t cdw11)
{
	return host_run(host, 0,
			(struct nvme_sqe){ .opcode = opcode,
					   .prp1 = host_iova(HOST_DATA),
					   .cdw10 = cdw10,
					   .cdw11 = cdw11 });
}

static unsigned int get_feature(struct host *host, uint32_t cdw10, uint32_t cdw11)
{
	return admin(host, NVME_ADMIN_GET_FEATURES, cdw10, cdw11);
}

static unsigned int set_feature(struct host *host, uint32_t cdw10, uint32_t cdw11)
{
	return admin(host, NVME_ADMIN_SET_FEATURES, cdw10, cdw11);
}

static void test_identify_controller(void **state)
{
	struct sim_nvme_options options = defaults;
	struct nvme_id_ctrl id;
	struct host host;

	(void)state;
	options.serial = "ABC 123";
	options.namespaces = 3;
	options.mpsmin = 1;
	options.write_cache = true;
	host_open(&host, &options);
	host_write32(&host, NVME_AQA, 31u << 16 | 31);
	host_write64(&host, NVME_ASQ, host_iova(HOST_SQ(0)));
	host_write64(&host, NVME_ACQ, host_iova(HOST_CQ(0)));
	host_write32(&host, NVME_CC, NVME_CC_EN | 1u << 7);
	host_queue_clear(&host, 0, 32);
	assert_int_equal(host_identify(&host, 0, NVME_CNS_CONTROLLER, &id), NVME_SUCCESS);
	assert_memory_equal(id.sn, "ABC 123             ", 20);
	assert_memory_equal(id.mn, "Weir emulated NVMe controller           ", 40);
	assert_int_equal(id.mdts, 8); /* 2 MiB in pages of 8 KiB */
	assert_int_equal(id.ver, NVME_VERSION_2_0);
	assert_int_equal(id.cntrltype, 1);
	assert_int_equal(id.sqes, 0x66);
	assert_int_equal(id.cqes, 0x44);
	assert_int_equal(id.nn, 3);
	assert_int_equal(id.vwc & NVME_VWC_PRESENT, NVME_VWC_PRESENT);
	assert_int_equal(id.sgls, NVME_SGLS_SUPPORTED);
	assert_int_equal(id.aerl, 3);
	assert_true(memchr(id.subnqn, 0, sizeof(id.subnqn)) != NULL);
	assert_memory_equal(id.subnqn, "nqn.", 4);
	host_close(&host);

	options = defaults;
	options.mdts = 0;
	options.no_sgl = true;
	host_start(&host, &options);
	assert_int_equal(host_identify(&host, 0, NVME_CNS_CONTROLLER, &id), NVME_SUCCESS);
	assert_int_equal(id.mdts, 0);
	assert_int_equal(id.sgls, 0);
	assert_int_equal(id.vwc & NVME_VWC_PRESENT, 0);
	host_close(&host);
}

static void test_identify_namespace(void **state)
{
	struct sim_nvme_options options = defaults;
	uint8_t list[NVME_IDENTIFY_BYTES], other[NVME_IDENTIFY_BYTES];
	struct nvme_id_ns id;
	struct host host;

	(void)state;
	options.namespaces = 2;
	options.block_bytes = 4096;
	options.bytes = 3 << 20;
	options.noiob = 32;
	options.read_only = true;
	host_start(&host, &options);
	assert_int_equal(host_identify(&host, 2, NVME_CNS_NAMESPACE, &id), NVME_SUCCESS);
	assert_int_equal(id.nsze, 384);
	assert_int_equal(id.ncap, 384);
	assert_int_equal(id.nlbaf, 0);
	assert_int_equal(id.lbaf[0].lbads, 12);
	assert_int_equal(id.lbaf[0].ms, 0);
	assert_int_equal(id.noiob, 32);
	assert_int_equal(id.nsattr, NVME_NSATTR_WRITE_PROTECTED);

	/* Type 3, 16 bytes; type 4, one; the end. Each namespace has its own. */
	assert_int_equal(host_identify(&host, 1, NVME_CNS_DESCRIPTORS, list), NVME_SUCCESS);
	assert_int_equal(host_identify(&host, 2, NVME_CNS_DESCRIPTORS, other), NVME_SUCCESS);
	assert_int_equal(list[0], NVME_NIDT_UUID);
	assert_int_equal(list[1], 16);
	assert_int_equal(list[20], NVME_NIDT_COMMAND_SET);
	assert_int_equal(list[21], 1);
	assert_int_equal(list[24], 0);
	assert_int_equal(list[25] | list[26], 0);
	assert_memory_not_equal(list + 4, other + 4, 16);
	assert_int_equal(list[4 + 6] >> 4, 8); /* version and variant */
	assert_int_equal(list[4 + 8] >> 6, 2);
	host_close(&host);
}

static void test_identify_lists(void **state)
{
	struct sim_nvme_options options = defaults;
	uint32_t list[1024];
	uint8_t zeroes[NVME_IDENTIFY_BYTES] = { 0 };
	struct host host;

	(void)state;
	options.namespaces = 3;
	host_start(&host, &options);
	assert_int_equal(host_identify(&host, 0, NVME_CNS_ACTIVE, list), NVME_SUCCESS);
	assert_int_equal(list[0], 1);
	assert_int_equal(list[2], 3);
	assert_int_equal(list[3], 0);
	assert_int_equal(host_identify(&host, 2, NVME_CNS_ACTIVE, list), NVME_SUCCESS);
	assert_int_equal(list[0], 3);
	assert_int_equal(list[1], 0);
	assert_int_equal(host_identify(&host, 3, NVME_CNS_ACTIVE, list), NVME_SUCCESS);
	assert_int_equal(list[0], 0);
	memset(host_at(&host, HOST_DATA), 0xff, 4096);
	assert_int_equal(host_identify(&host, 1, NVME_CNS_IO_NAMESPACE, list), NVME_SUCCESS);
	assert_memory_equal(list, zeroes, 4096);
	assert_int_equal(host_identify(&host, 0, NVME_CNS_IO_CONTROLLER, list), NVME_SUCCESS);
	host_close(&host);
}

static void test_identify_refused(void **state)
{
	const uint32_t kinds[] = { NVME_CNS_NAMESPACE, NVME_CNS_DESCRIPTORS,
				   NVME_CNS_IO_NAMESPACE };
	uint8_t page[NVME_IDENTIFY_BYTES];
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(host_identify(&host, 0, kinds[i], page), NVME_INVALID_NAMESPACE);
		assert_int_equal(host_identify(&host, 2, kinds[i], page), NVME_INVALID_NAMESPACE);
		assert_int_equal(host_identify(&host, NVME_NSID_ALL, kinds[i], page),
				 NVME_INVALID_NAMESPACE);
	}
	assert_int_equal(host_identify(&host, NVME_NSID_ALL - 1, NVME_CNS_ACTIVE, page),
			 NVME_INVALID_NAMESPACE);
	assert_int_equal(host_identify(&host, 1, 0x7f, page), NVME_INVALID_FIELD);
	assert_int_equal(admin(&host, NVME_ADMIN_IDENTIFY, NVME_CNS_IO_CONTROLLER, 2u << 24),
			 NVME_INVALID_FIELD);
	host_close(&host);
}

static void test_unknown_and_malformed(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	/* Namespace Management, Format, Firmware, Keep Alive, Security: none of them. */
	assert_int_equal(admin(&host, 0x0d, 0, 0), NVME_INVALID_OPCODE);
	assert_int_equal(admin(&host, 0x80, 0, 0), NVME_INVALID_OPCODE);
	assert_int_equal(admin(&host, 0x10, 0, 0), NVME_INVALID_OPCODE);
	assert_int_equal(admin(&host, 0x18, 0, 0), NVME_INVALID_OPCODE);
	assert_int_equal(admin(&host, 0xff, 0, 0), NVME_INVALID_OPCODE);
	assert_int_equal(host.cqe.status >> 1 & NVME_DNR, NVME_DNR);
	/* Fused, reserved bits, SGLs. */
	for (unsigned int bit = 0; bit < 8; bit++) {
		struct nvme_sqe sqe = {
			.opcode = NVME_ADMIN_IDENTIFY,
			.flags = (uint8_t)(1u << bit),
			.prp1 = host_iova(HOST_DATA),
			.cdw10 = NVME_CNS_CONTROLLER,
		};

		assert_int_equal(host_run(&host, 0, sqe), NVME_INVALID_FIELD);
	}
	host_close(&host);
}

static unsigned int get_log(struct host *host, uint32_t id, uint64_t dwords, uint64_t offset,
			    uint32_t cdw14)
{
	return host_run(host, 0,
			(struct nvme_sqe){ .opcode = NVME_ADMIN_GET_LOG_PAGE,
					   .nsid = NVME_NSID_ALL,
					   .prp1 = host_iova(HOST_DATA),
					   .prp2 = host_iova(HOST_DATA + 4096),
					   .cdw10 = (uint32_t)(dwords - 1) << 16 | id,
					   .cdw11 = (uint32_t)((dwords - 1) >> 16),
					   .cdw12 = (uint32_t)offset,
					   .cdw13 = (uint32_t)(offset >> 32),
					   .cdw14 = cdw14 });
}

static void test_log_pages(void **state)
{
	struct nvme_error_entry errors[2];
	struct nvme_firmware_log firmware;
	struct nvme_smart_log smart;
	uint32_t supported[256];
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 8)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, UINT64_MAX, 1)),
			 NVME_LBA_OUT_OF_RANGE);

	assert_int_equal(host_log(&host, NVME_LOG_SMART, sizeof(smart), &smart), NVME_SUCCESS);
	assert_int_equal(smart.reads[0], 5);
	assert_int_equal(smart.writes[0], 1);
	assert_int_equal(smart.units_read[0], 1); /* 40 sectors, rounded up */
	assert_int_equal(smart.error_entries[0], 1);
	assert_int_equal(smart.temperature[0] | smart.temperature[1] << 8, 313);
	assert_int_equal(smart.critical_warning, 0);

	/* The latest first. */
	assert_int_equal(get_feature(&host, 0x77, 0), NVME_INVALID_FIELD);
	assert_int_equal(host_log(&host, NVME_LOG_ERRORS, sizeof(errors), errors), NVME_SUCCESS);
	assert_int_equal(errors[0].count, 2);
	assert_int_equal(errors[0].sq_id, 0);
	assert_int_equal(errors[0].status >> 1, NVME_INVALID_FIELD | NVME_DNR);
	assert_int_equal(errors[1].count, 1);
	assert_int_equal(errors[1].sq_id, 1);
	assert_true(errors[1].lba == UINT64_MAX);
	assert_int_equal(errors[1].nsid, 1);

	assert_int_equal(host_log(&host, NVME_LOG_FIRMWARE, sizeof(firmware), &firmware),
			 NVME_SUCCESS);
	assert_int_equal(firmware.active, 1);
	assert_int_equal(firmware.slots[0][7], ' ');
	assert_int_equal(host_log(&host, NVME_LOG_SUPPORTED, sizeof(supported), supported),
			 NVME_SUCCESS);
	assert_int_equal(supported[NVME_LOG_SMART], 1);
	assert_int_equal(supported[0x0c], 0);
	host_close(&host);
}

static void test_log_page_limits(void **state)
{
	struct sim_nvme_options options = defaults;
	struct host host;

	(void)state;
	options.mdts = 1;
	host_start(&host, &options);
	assert_int_equal(get_log(&host, 0x0d, 4, 0, 0), NVME_LOG_PAGE_INVALID);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 4, 2, 0), NVME_INVALID_FIELD);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 4, 516, 0), NVME_INVALID_FIELD);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 4, UINT64_C(1) << 40, 0),
			 NVME_INVALID_FIELD);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 4, 0, 1u << 23), NVME_INVALID_FIELD);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, UINT64_C(1) << 31, 0, 0),
			 NVME_INVALID_FIELD);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 2049, 0, 0), NVME_INVALID_FIELD);
	/* Behind the end there are zeroes; at most what was asked for is written. */
	memset(host_at(&host, HOST_DATA), 0xee, 16384);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 2048, 508, 0), NVME_SUCCESS);
	for (unsigned int i = 0; i < 8192; i++)
		assert_int_equal(host.memory[HOST_DATA + i], 0);
	assert_int_equal(host.memory[HOST_DATA + 8192], 0xee);
	memset(host_at(&host, HOST_DATA), 0xee, 64);
	assert_int_equal(get_log(&host, NVME_LOG_SMART, 1, 0, 0), NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA + 3], 100); /* available spare */
	assert_int_equal(host.memory[HOST_DATA + 4], 0xee);
	host_close(&host);
}

static void test_features(void **state)
{
	static const struct {
		uint8_t id;
		uint32_t cdw11, expected;
	} features[] = {
		{ NVME_FEATURE_ARBITRATION, 0x01020304, 0x01020304 },
		{ NVME_FEATURE_POWER, 0x40, 0x40 },
		{ NVME_FEATURE_ERROR_RECOVERY, 0x1234, 0x1234 },
		{ NVME_FEATURE_COALESCING, 0xff0504, 0x0504 },
		{ NVME_FEATURE_ATOMICITY, 1, 1 },
		{ NVME_FEATURE_ASYNC_EVENTS, 0x17f, 0x17f },
	};
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	for (unsigned int i = 0; i < ARRAY_SIZE(features); i++) {
		uint8_t id = features[i].id;

		assert_int_equal(set_feature(&host, id, features[i].cdw11), NVME_SUCCESS);
		assert_int_equal(get_feature(&host, id, 0), NVME_SUCCESS);
		assert_int_equal(host.cqe.dw0, features[i].expected);
		/* The default stays; saving is not possible. */
		assert_int_equal(get_feature(&host, 1u << 8 | id, 0), NVME_SUCCESS);
		assert_int_equal(host.cqe.dw0, 0);
		assert_int_equal(get_feature(&host, 3u << 8 | id, 0), NVME_SUCCESS);
		assert_int_equal(host.cqe.dw0, 4);
		assert_int_equal(get_feature(&host, 4u << 8 | id, 0), NVME_INVALID_FIELD);
		assert_int_equal(set_feature(&host, 0x80000000 | id, 0), NVME_FEATURE_NOT_SAVEABLE);
	}
	assert_int_equal(set_feature(&host, NVME_FEATURE_VECTOR, 0x10003), NVME_SUCCESS);
	assert_int_equal(get_feature(&host, NVME_FEATURE_VECTOR, 3), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 0x10003);
	assert_int_equal(get_feature(&host, NVME_FEATURE_VECTOR, 2), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 2);
	/* All of it goes with a reset. */
	host_disable(&host);
	host_enable(&host);
	assert_int_equal(get_feature(&host, NVME_FEATURE_ARBITRATION, 0), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 0);
	host_close(&host);
}

static void test_features_refused(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(get_feature(&host, 0x03, 0), NVME_INVALID_FIELD);
	assert_int_equal(set_feature(&host, 0x03, 0), NVME_INVALID_FIELD);
	assert_int_equal(get_feature(&host, 3u << 8 | 0x03, 0), NVME_INVALID_FIELD);
	assert_int_equal(set_feature(&host, NVME_FEATURE_POWER, 1), NVME_INVALID_FIELD);
	assert_int_equal(set_feature(&host, NVME_FEATURE_ERROR_RECOVERY, 0x10000),
			 NVME_INVALID_FIELD);
	assert_int_equal(set_feature(&host, NVME_FEATURE_WRITE_CACHE, 1), NVME_INVALID_FIELD);
	assert_int_equal(get_feature(&host, NVME_FEATURE_WRITE_CACHE, 0), NVME_INVALID_FIELD);
	assert_int_equal(set_feature(&host, NVME_FEATURE_VECTOR, SIM_NVME_MAX_QUEUES + 1),
			 NVME_INVALID_FIELD);
	assert_int_equal(get_feature(&host, NVME_FEATURE_VECTOR, 0xffff), NVME_INVALID_FIELD);
	assert_int_equal(get_feature(&host, NVME_FEATURE_TEMPERATURE, 1u << 16),
			 NVME_INVALID_FIELD);
	assert_int_equal(get_feature(&host, NVME_FEATURE_TEMPERATURE, 2u << 20),
			 NVME_INVALID_FIELD);
	host_close(&host);
}

static void test_number_of_queues(void **state)
{
	struct sim_nvme_options options = defaults;
	struct host host;

	(void)state;
	options.queues = 5;
	host_open(&host, &options);
	host_enable(&host);
	assert_int_equal(set_feature(&host, NVME_FEATURE_QUEUES, 63u << 16 | 63), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 4u << 16 | 4);
	assert_int_equal(get_feature(&host, NVME_FEATURE_QUEUES, 0), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 4u << 16 | 4);
	assert_int_equal(set_feature(&host, NVME_FEATURE_QUEUES, 0xffff), NVME_INVALID_FIELD);
	assert_int_equal(set_feature(&host, NVME_FEATURE_QUEUES, 0xffff0000), NVME_INVALID_FIELD);
	host_queue(&host, 1);
	assert_int_equal(set_feature(&host, NVME_FEATURE_QUEUES, 1u << 16 | 1),
			 NVME_COMMAND_SEQUENCE);
	host_close(&host);
}

static void test_features_with_data(void **state)
{
	uint8_t id[16];
	uint64_t timestamp = UINT64_C(0x0123456789ab);
	uint64_t *data;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	data = host_at(&host, HOST_DATA);
	*data = timestamp | UINT64_C(0xffff) << 48;
	assert_int_equal(set_feature(&host, NVME_FEATURE_TIMESTAMP, 0), NVME_SUCCESS);
	*data = 0;
	assert_int_equal(get_feature(&host, NVME_FEATURE_TIMESTAMP, 0), NVME_SUCCESS);
	assert_in_range(*data & 0xffffffffffff, timestamp, timestamp + 60000);
	assert_int_equal(*data >> 48, 1u << 1);

	for (unsigned int i = 0; i < sizeof(id); i++)
		id[i] = (uint8_t)(i + 1);
	memcpy(data, id, sizeof(id));
	assert_int_equal(set_feature(&host, NVME_FEATURE_HOST_ID, 1), NVME_SUCCESS);
	memset(data, 0, sizeof(id));
	assert_int_equal(get_feature(&host, NVME_FEATURE_HOST_ID, 1), NVME_SUCCESS);
	assert_memory_equal(data, id, sizeof(id));
	/* Data that is not there. */
	assert_int_equal(host_run(&host, 0,
				  (struct nvme_sqe){ .opcode = NVME_ADMIN_SET_FEATURES,
						     .prp1 = 0x1000,
						     .cdw10 = NVME_FEATURE_TIMESTAMP }),
			 NVME_DATA_TRANSFER_ERROR);
	host_close(&host);
}

static void request_events(struct host *host, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		host_put(host, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	host_ring(host, 0);
	host_turn(host);
}

static void test_event_requests(void **state)
{
	struct nvme_smart_log smart;
	uint16_t cid;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	request_events(&host, 4);
	assert_false(host_take(&host, 0));
	/* One more than Identify says. */
	cid = host_put(&host, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	host_ring(&host, 0);
	host_turn(&host);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.cid, cid);
	assert_int_equal(host.cqe.status >> 1 & 0x7ff, NVME_EVENT_LIMIT);

	/* A type is masked until its log page is read; meanwhile its events wait. */
	sim_nvme_async_event(host.nvme, NVME_EVENT_SMART, 2, NVME_LOG_SMART);
	sim_nvme_async_event(host.nvme, NVME_EVENT_SMART, 0, NVME_LOG_SMART);
	host_turn(&host);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.dw0, 0x020201);
	assert_false(host_take(&host, 0));
	host_acknowledge(&host, 0);
	/* With Retain Asynchronous Event it stays masked. */
	assert_int_equal(get_log(&host, 0x8000 | NVME_LOG_SMART, 4, 0, 0), NVME_SUCCESS);
	host_turn(&host);
	assert_false(host_take(&host, 0));
	assert_int_equal(host_log(&host, NVME_LOG_SMART, sizeof(smart), &smart), NVME_SUCCESS);
	host_turn(&host);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.dw0, 0x020001);
	host_close(&host);
}

/* Events that nobody asked for wait, the same one once; those that were not wanted do not. */
static void test_events_wait(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	sim_nvme_async_event(host.nvme, NVME_EVENT_NOTICE, NVME_NOTICE_NAMESPACES,
			     NVME_LOG_CHANGED_NAMESPACES);
	for (unsigned int i = 0; i < 100; i++)
		sim_nvme_async_event(host.nvme, NVME_EVENT_ERROR, 3, NVME_LOG_ERRORS);
	host_turn(&host);
	request_events(&host, 2);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.dw0, 0x010300);
	assert_false(host_take(&host, 0));
	/* Requests do not outlive a reset. */
	host_disable(&host);
	host_enable(&host);
	sim_nvme_async_event(host.nvme, NVME_EVENT_ERROR, 3, NVME_LOG_ERRORS);
	host_turn(&host);
	assert_false(host_take(&host, 0));
	host_close(&host);
}

static void test_namespace_changes(void **state)
{
	struct sim_nvme_options options = defaults;
	uint32_t changed[1024];
	struct nvme_id_ns id;
	struct host host;

	(void)state;
	options.namespaces = 3;
	options.bytes = 3 << 20;
	host_start(&host, &options);
	assert_int_equal(set_feature(&host, NVME_FEATURE_ASYNC_EVENTS, NVME_ASYNC_NAMESPACES),
			 NVME_SUCCESS);
	request_events(&host, 1);
	assert_int_equal(sim_nvme_resize(host.nvme, 2, 5000), 0);
	host_turn(&host);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.dw0, 0x040002);
	host_acknowledge(&host, 0);
	assert_int_equal(host_log(&host, NVME_LOG_CHANGED_NAMESPACES, 4096, changed), NVME_SUCCESS);
	assert_int_equal(changed[0], 2);
	assert_int_equal(changed[1], 0);
	/* Read, it is empty. */
	assert_int_equal(host_log(&host, NVME_LOG_CHANGED_NAMESPACES, 4096, changed), NVME_SUCCESS);
	assert_int_equal(changed[0], 0);
	assert_int_equal(host_identify(&host, 2, NVME_CNS_NAMESPACE, &id), NVME_SUCCESS);
	assert_int_equal(id.nsze, 5000);

	assert_int_equal(sim_nvme_resize(host.nvme, 0, 5000), -EINVAL);
	assert_int_equal(sim_nvme_resize(host.nvme, 4, 5000), -EINVAL);
	assert_int_equal(sim_nvme_resize(host.nvme, 1, 0), -EINVAL);
	assert_int_equal(sim_nvme_resize(host.nvme, 1, UINT64_MAX / 512), -EINVAL);
	host_close(&host);
}

static void test_temperature(void **state)
{
	struct nvme_smart_log smart;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(set_feature(&host, NVME_FEATURE_ASYNC_EVENTS, NVME_ASYNC_TEMPERATURE),
			 NVME_SUCCESS);
	request_events(&host, 1);
	assert_int_equal(set_feature(&host, NVME_FEATURE_TEMPERATURE, 320), NVME_SUCCESS);
	host_turn(&host);
	assert_false(host_take(&host, 0));
	assert_int_equal(set_feature(&host, NVME_FEATURE_TEMPERATURE, 300), NVME_SUCCESS);
	host_turn(&host);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.dw0, 0x020101);
	host_acknowledge(&host, 0);
	assert_int_equal(host_log(&host, NVME_LOG_SMART, sizeof(smart), &smart), NVME_SUCCESS);
	assert_int_equal(smart.critical_warning, NVME_WARNING_TEMPERATURE);
	assert_int_equal(get_feature(&host, NVME_FEATURE_TEMPERATURE, 0), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 300);
	host_close(&host);
}

static void test_abort(void **state)
{
	uint16_t cid;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	/* Nothing there to abort. */
	assert_int_equal(admin(&host, NVME_ADMIN_ABORT, 5u << 16 | 1, 0), NVME_SUCCESS);
	assert_int_equal(host.cqe.dw0, 1);
	assert_int_equal(admin(&host, NVME_ADMIN_ABORT, 2, 0), NVME_INVALID_FIELD);
	assert_int_equal(admin(&host, NVME_ADMIN_ABORT, 0xffff, 0), NVME_INVALID_FIELD);
	/* A request for events: its own completion first. */
	cid = host_put(&host, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	host_put(&host, 0,
		 (struct nvme_sqe){ .opcode = NVME_ADMIN_ABORT, .cdw10 = (uint32_t)cid << 16 });
	host_ring(&host, 0);
	host_turn(&host);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.cid, cid);
	assert_int_equal(host.cqe.status >> 1, NVME_ABORT_REQUESTED);
	assert_true(host_take(&host, 0));
	assert_int_equal(host.cqe.dw0, 0);
	host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify_controller),
		cmocka_unit_test(test_identify_namespace),
		cmocka_unit_test(test_identify_lists),
		cmocka_unit_test(test_identify_refused),
		cmocka_unit_test(test_unknown_and_malformed),
		cmocka_unit_test(test_log_pages),
		cmocka_unit_test(test_log_page_limits),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_features_refused),
		cmocka_unit_test(test_number_of_queues),
		cmocka_unit_test(test_features_with_data),
		cmocka_unit_test(test_event_requests),
		cmocka_unit_test(test_events_wait),
		cmocka_unit_test(test_namespace_changes),
		cmocka_unit_test(test_temperature),
		cmocka_unit_test(test_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
