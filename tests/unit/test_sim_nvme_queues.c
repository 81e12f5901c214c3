/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues of the emulated NVMe controller: making and ending them, doorbells, room, interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sim_nvme_host.h"

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;

static unsigned int create(struct host *host, uint8_t opcode, uint32_t qid, uint32_t entries,
			   uint64_t prp1, uint32_t cdw11)
{
	return host_run(host, 0,
			(struct nvme_sqe){ .opcode = opcode,
					   .prp1 = prp1,
					   .cdw10 = (entries - 1) << 16 | qid,
					   .cdw11 = cdw11 });
}

static unsigned int destroy(struct host *host, uint8_t opcode, uint32_t qid)
{
	return host_run(host, 0, (struct nvme_sqe){ .opcode = opcode, .cdw10 = qid });
}

static void test_create_cq_refused(void **state)
{
	struct sim_nvme_options options = defaults;
	const uint64_t at = host_iova(HOST_CQ(2));
	const uint8_t op = NVME_ADMIN_CREATE_CQ;
	struct host host;

	(void)state;
	options.queues = 2;
	options.mqes = 256;
	host_start(&host, &options);
	assert_int_equal(create(&host, op, 0, 16, at, 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 1, 16, at, 1), NVME_QID_INVALID); /* exists */
	assert_int_equal(create(&host, op, 3, 16, at, 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 0xffff, 16, at, 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 2, 1, at, 1), NVME_QUEUE_SIZE_INVALID);
	assert_int_equal(create(&host, op, 2, 257, at, 1), NVME_QUEUE_SIZE_INVALID);
	assert_int_equal(create(&host, op, 2, 0x10000, at, 1), NVME_QUEUE_SIZE_INVALID);
	assert_int_equal(create(&host, op, 2, 16, at, 0), NVME_INVALID_FIELD);
	assert_int_equal(create(&host, op, 2, 16, at + 64, 1), NVME_INVALID_PRP_OFFSET);
	assert_int_equal(create(&host, op, 2, 16, at, 3u << 16 | 3), NVME_VECTOR_INVALID);
	assert_int_equal(create(&host, op, 2, 256, at, 2u << 16 | 3), NVME_SUCCESS);
	host_close(&host);
}

static void test_create_sq_refused(void **state)
{
	struct sim_nvme_options options = defaults;
	const uint64_t at = host_iova(HOST_SQ(2));
	const uint8_t op = NVME_ADMIN_CREATE_SQ;
	struct host host;

	(void)state;
	options.queues = 3;
	host_start(&host, &options);
	assert_int_equal(create(&host, op, 0, 16, at, 1u << 16 | 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 1, 16, at, 1u << 16 | 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 4, 16, at, 1u << 16 | 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 2, 1, at, 1u << 16 | 1), NVME_QUEUE_SIZE_INVALID);
	assert_int_equal(create(&host, op, 2, 16, at, 1u << 16), NVME_INVALID_FIELD);
	assert_int_equal(create(&host, op, 2, 16, at + 8, 1u << 16 | 1), NVME_INVALID_PRP_OFFSET);
	assert_int_equal(create(&host, op, 2, 16, at, 0u << 16 | 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 2, 16, at, 9u << 16 | 1), NVME_QID_INVALID);
	assert_int_equal(create(&host, op, 2, 16, at, 3u << 16 | 1), NVME_CQ_INVALID);
	assert_int_equal(create(&host, op, 2, 16, at, 1u << 16 | 1), NVME_SUCCESS);
	host_close(&host);
}

/* Entry sizes that CC does not say, or says wrongly. */
static void test_entry_sizes(void **state)
{
	struct host host;

	(void)state;
	host_open(&host, &defaults);
	host_enable(&host);
	host_write32(&host, NVME_CC, NVME_CC_EN | 6u << 16 | 5u << 20);
	host_queue_clear(&host, 1, HOST_ENTRIES);
	assert_int_equal(host_create_cq(&host, 1, 16), NVME_QUEUE_SIZE_INVALID);
	host_write32(&host, NVME_CC, NVME_CC_EN | 7u << 16 | 4u << 20);
	assert_int_equal(host_create_cq(&host, 1, 16), NVME_SUCCESS);
	assert_int_equal(host_create_sq(&host, 1, 16), NVME_QUEUE_SIZE_INVALID);
	host_close(&host);
}

static void test_delete(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_CQ, 1), NVME_QUEUE_DELETION_INVALID);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_SQ, 0), NVME_QID_INVALID);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_SQ, 2), NVME_QID_INVALID);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_SQ, 0xffff), NVME_QID_INVALID);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_SQ, 1), NVME_SUCCESS);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_SQ, 1), NVME_QID_INVALID);
	/* A queue that is gone does nothing more. */
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host_turn(&host);
	assert_false(host_take(&host, 1));
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_CQ, 1), NVME_SUCCESS);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_CQ, 1), NVME_QID_INVALID);
	host_queue(&host, 1);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
}

/* Round and round, in bursts of a size that does not divide the queue's. */
static void test_wrap(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	for (unsigned int round = 0; round < 200; round++) {
		uint16_t first = host.next_cid;
		unsigned int burst = 1 + round % (HOST_ENTRIES - 1);

		for (unsigned int i = 0; i < burst; i++)
			host_put(&host, 1, host_rw(NVME_IO_READ, i, 1));
		host_ring(&host, 1);
		host_turn(&host);
		for (unsigned int i = 0; i < burst; i++) {
			assert_true(host_take(&host, 1));
			assert_int_equal(host.cqe.cid, (uint16_t)(first + i));
			assert_int_equal(host.cqe.status >> 1, 0);
			assert_true(host.cqe.sq_head < HOST_ENTRIES);
		}
		assert_int_equal(host.cqe.sq_head, host.queues[1].sq_tail);
		assert_false(host_take(&host, 1));
		host_acknowledge(&host, 1);
	}
	host_close(&host);
}

/* No completion is written over one that was not looked at. */
static void test_completion_queue_full(void **state)
{
	const unsigned int cq_entries = 8;
	struct host host;
	unsigned int taken = 0;

	(void)state;
	host_open(&host, &defaults);
	host_enable(&host);
	host_queue_clear(&host, 1, HOST_ENTRIES);
	assert_int_equal(host_create_cq(&host, 1, cq_entries), NVME_SUCCESS);
	assert_int_equal(host_create_sq(&host, 1, HOST_ENTRIES), NVME_SUCCESS);
	for (unsigned int i = 0; i < 20; i++)
		host_put(&host, 1, host_rw(i % 3 ? NVME_IO_READ : NVME_IO_FLUSH, 0, 1));
	host_ring(&host, 1);
	host.queues[1].size = cq_entries; /* for taking */
	for (unsigned int round = 0; round < 3; round++) {
		unsigned int before = taken;

		host_turn(&host);
		while (host_take(&host, 1))
			assert_int_equal(host.cqe.cid, host.next_cid - 20 + taken++);
		assert_int_equal(taken - before, round < 2 ? cq_entries - 1 : 6);
		host_acknowledge(&host, 1);
	}
	host_close(&host);
}

static void expect_event(struct host *host, uint8_t info)
{
	host_turn(host);
	assert_true(host_take(host, 0));
	assert_int_equal(host->cqe.status >> 1, 0);
	assert_int_equal(host->cqe.dw0,
			 NVME_EVENT_ERROR | (uint32_t)info << 8 | NVME_LOG_ERRORS << 16);
	host_acknowledge(host, 0);
}

static void request_event(struct host *host)
{
	host_put(host, 0, (struct nvme_sqe){ .opcode = NVME_ADMIN_ASYNC_EVENT });
	host_ring(host, 0);
	host_turn(host);
	assert_false(host_take(host, 0));
}

/* Lets errors be reported again. */
static void read_errors(struct host *host)
{
	uint8_t page[64];

	assert_int_equal(host_log(host, NVME_LOG_ERRORS, sizeof(page), page), NVME_SUCCESS);
}

static void test_tail_out_of_range(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	request_event(&host);
	host_ring_value(&host, 1, false, HOST_ENTRIES);
	expect_event(&host, NVME_ERROR_DOORBELL_VALUE);
	/* Once for a value. */
	read_errors(&host);
	request_event(&host);
	host_ring_value(&host, 1, false, 0xffffffff);
	expect_event(&host, NVME_ERROR_DOORBELL_VALUE);
	/* The queue is as it was. */
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
}

static void test_head_out_of_range(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	request_event(&host);
	/* One that was not posted yet is claimed to have been seen. It is looked at when there may
	 * be no room. */
	for (unsigned int i = 0; i < HOST_ENTRIES - 1; i++)
		host_put(&host, 1, host_rw(NVME_IO_READ, 0, 1));
	host_ring(&host, 1);
	host_turn(&host);
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 1));
	host_ring(&host, 1);
	host_ring_value(&host, 1, true, HOST_ENTRIES + 5);
	expect_event(&host, NVME_ERROR_DOORBELL_VALUE);
	for (unsigned int i = 0; i < HOST_ENTRIES - 1; i++)
		assert_true(host_take(&host, 1));
	assert_false(host_take(&host, 1));
	host_acknowledge(&host, 1);
	host_turn(&host);
	assert_true(host_take(&host, 1));
	host_close(&host);
}

static void test_doorbell_of_no_queue(void **state)
{
	struct sim_nvme_options options = defaults;
	struct sim_nvme_stats stats;
	struct host host;

	(void)state;
	options.trap_doorbells = true;
	options.queues = 2;
	host_start(&host, &options);
	assert_null(host.doorbells);
	request_event(&host);
	host_ring_value(&host, 2, false, 1);
	expect_event(&host, NVME_ERROR_DOORBELL_REGISTER);
	read_errors(&host);
	request_event(&host);
	host_write32(&host, NVME_DOORBELLS + 4, 1); /* between two */
	expect_event(&host, NVME_ERROR_DOORBELL_REGISTER);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	sim_nvme_stats(host.nvme, &stats);
	assert_true(stats.doorbell_traps > 4);
	host_close(&host);
}

/* Two submission queues and one completion queue. */
static void test_shared_completion_queue(void **state)
{
	unsigned int seen[3] = { 0, 0, 0 };
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	host_queue_clear(&host, 2, 16);
	assert_int_equal(
		create(&host, NVME_ADMIN_CREATE_SQ, 2, 16, host_iova(HOST_SQ(2)), 1u << 16 | 1),
		NVME_SUCCESS);
	for (unsigned int i = 0; i < 5; i++) {
		host_put(&host, 1, host_rw(NVME_IO_READ, 0, 1));
		host_put(&host, 2, host_rw(NVME_IO_READ, 0, 1));
	}
	host_ring(&host, 1);
	host_ring(&host, 2);
	host_turn(&host);
	while (host_take(&host, 1)) {
		assert_in_range(host.cqe.sq_id, 1, 2);
		assert_int_equal(host.cqe.sq_head, ++seen[host.cqe.sq_id]);
	}
	assert_int_equal(seen[1], 5);
	assert_int_equal(seen[2], 5);
	/* It stays as long as one of them is there. */
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_SQ, 1), NVME_SUCCESS);
	assert_int_equal(destroy(&host, NVME_ADMIN_DELETE_CQ, 1), NVME_QUEUE_DELETION_INVALID);
	host_close(&host);
}

static void test_interrupts(void **state)
{
	int fds[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	struct host host;
	uint64_t count;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(
		sim_client_set_irqs(&host.client, 2,
				    VFIO_USER_IRQ_DATA_EVENTFD | VFIO_USER_IRQ_ACTION_TRIGGER, 0, 2,
				    NULL, 0, fds, 2),
		0);
	/* Queue 1 has none, the admin queue always has. */
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 1)), NVME_SUCCESS);
	assert_int_equal(read(fds[0], &count, sizeof(count)), -1);
	host_queue_clear(&host, 2, 16);
	assert_int_equal(
		create(&host, NVME_ADMIN_CREATE_CQ, 2, 16, host_iova(HOST_CQ(2)), 1u << 16 | 3),
		NVME_SUCCESS);
	assert_int_equal(read(fds[0], &count, sizeof(count)), sizeof(count));
	assert_int_equal(read(fds[1], &count, sizeof(count)), -1);
	assert_int_equal(host_create_sq(&host, 2, 16), NVME_SUCCESS);
	/* One for a burst. */
	for (unsigned int i = 0; i < 5; i++)
		host_put(&host, 2, host_rw(NVME_IO_READ, 0, 1));
	host_ring(&host, 2);
	host_turn(&host);
	assert_int_equal(read(fds[1], &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	host_close(&host);
	close(fds[0]);
	close(fds[1]);
}

/* A queue's memory goes: a fatal status when it is used, and no access to what was there. */
static void test_queue_memory_unmapped(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	assert_int_equal(sim_client_unmap(&host.client, HOST_IOVA, HOST_BYTES, 0), 0);
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host_turn(&host);
	assert_true(host_read32(&host, NVME_CSTS) & NVME_CSTS_CFS);
	assert_false(host_take(&host, 1));
	/* Mapped again, a reset makes it good. */
	assert_int_equal(sim_client_map(&host.client, HOST_IOVA, HOST_BYTES, 0, 3, host.fd), 0);
	host_disable(&host);
	host_enable(&host);
	host_queue(&host, 1);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
}

/* Memory that the server does not map: everything works, by message. */
static void test_by_message(void **state)
{
	struct sim_nvme_options options = defaults;
	struct host host;

	(void)state;
	options.no_mmap_dma = true;
	host_start(&host, &options);
	assert_true(host.dma_messages > 0);
	memset(host_at(&host, HOST_DATA), 0xa5, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 3, 16)), NVME_SUCCESS);
	memset(host_at(&host, HOST_DATA), 0, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 3, 16)), NVME_SUCCESS);
	for (unsigned int i = 0; i < 8192; i++)
		assert_int_equal(host.memory[HOST_DATA + i], 0xa5);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_COMPARE, 3, 16)), NVME_SUCCESS);
	host_close(&host);
}

static unsigned int shadow_config(struct host *host, uint64_t shadow, uint64_t events)
{
	return host_run(host, 0,
			(struct nvme_sqe){ .opcode = NVME_ADMIN_DOORBELL_BUFFER,
					   .prp1 = shadow,
					   .prp2 = events });
}

static void test_shadow_doorbells(void **state)
{
	struct sim_nvme_options options = defaults;
	volatile uint32_t *shadow, *events;
	struct host host;

	(void)state;
	options.dstrd = 0;
	options.trap_doorbells = true;
	host_start(&host, &options);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 1)), NVME_SUCCESS);
	shadow = host_at(&host, HOST_LIST);
	events = host_at(&host, HOST_LIST + 4096);
	assert_int_equal(shadow_config(&host, host_iova(HOST_LIST), host_iova(HOST_LIST + 4096)),
			 NVME_SUCCESS);
	/* Queue 1 goes on from where it was. */
	assert_int_equal(shadow[2], 1);
	assert_int_equal(shadow[3], 1);
	for (unsigned int i = 0; i < 3 * HOST_ENTRIES; i++) {
		uint16_t cid = host_put(&host, 1, host_rw(NVME_IO_READ, 0, 1));

		shadow[2] = host.queues[1].sq_tail;
		sim_server_turn(sim_nvme_server(host.nvme));
		assert_true(host_take(&host, 1));
		assert_int_equal(host.cqe.cid, cid);
		shadow[3] = host.queues[1].cq_head;
		/* Busy: nobody has to ring for the next. */
		assert_int_equal((uint16_t)events[2], (uint16_t)(host.queues[1].sq_tail - 1));
	}
	/* Idle: ring for the next, please. */
	for (unsigned int i = 0; i < 100; i++)
		sim_server_turn(sim_nvme_server(host.nvme));
	assert_int_equal(events[2], host.queues[1].sq_tail);
	/* The admin queue keeps its register. */
	assert_int_equal(events[0], host.queues[0].sq_tail);

	/* Queues that are made later have them too; after a reset nobody has. */
	shadow[4] = 0xdead;
	host_queue(&host, 2);
	assert_int_equal(shadow[4], 0);
	host_put(&host, 2, host_rw(NVME_IO_READ, 0, 1));
	shadow[4] = 1;
	host_turn(&host);
	assert_true(host_take(&host, 2));
	host_disable(&host);
	host_enable(&host);
	host_queue(&host, 1);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 1)), NVME_SUCCESS);
	host_close(&host);
}

static void test_shadow_doorbells_refused(void **state)
{
	struct sim_nvme_options options = defaults;
	uint8_t page[NVME_IDENTIFY_BYTES];
	struct nvme_id_ctrl id;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(shadow_config(&host, host_iova(HOST_LIST + 4), host_iova(HOST_LIST)),
			 NVME_INVALID_PRP_OFFSET);
	assert_int_equal(shadow_config(&host, host_iova(HOST_LIST), 0x1000), NVME_INVALID_FIELD);
	assert_int_equal(shadow_config(&host, 0x1000, host_iova(HOST_LIST)), NVME_INVALID_FIELD);
	/* In a window of their own that goes away: back to the registers. */
	assert_int_equal(sim_client_map(&host.client, 0x10000, 8192, 0, 3, host.fd), 0);
	assert_int_equal(shadow_config(&host, 0x10000, 0x11000), NVME_SUCCESS);
	assert_int_equal(sim_client_unmap(&host.client, 0x10000, 8192, 0), 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 1)), NVME_SUCCESS);
	host_close(&host);

	options.no_shadow_doorbells = true;
	host_start(&host, &options);
	assert_int_equal(shadow_config(&host, host_iova(HOST_LIST), host_iova(HOST_LIST + 4096)),
			 NVME_INVALID_OPCODE);
	assert_int_equal(host_identify(&host, 0, NVME_CNS_CONTROLLER, page), NVME_SUCCESS);
	memcpy(&id, page, sizeof(id));
	assert_int_equal(id.oacs & NVME_OACS_DOORBELL_BUFFER, 0);
	host_close(&host);
}

/* With the default stride one page holds 16 queues' slots: the others keep their registers. */
static void test_shadow_page_is_short(void **state)
{
	struct nvme_sqe read = host_rw(NVME_IO_READ, 0, 1);
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(shadow_config(&host, host_iova(HOST_LIST), host_iova(HOST_LIST + 4096)),
			 NVME_SUCCESS);
	memset(host_at(&host, HOST_LIST + 8192), 0x77, 64);
	assert_int_equal(create(&host, NVME_ADMIN_CREATE_CQ, 16, 16, host_iova(HOST_CQ(2)), 1),
			 NVME_SUCCESS);
	assert_int_equal(
		create(&host, NVME_ADMIN_CREATE_SQ, 16, 16, host_iova(HOST_SQ(2)), 16u << 16 | 1),
		NVME_SUCCESS);
	host_queue_clear(&host, 2, 16);
	host_put(&host, 2, read);
	host_ring_value(&host, 16, false, 1);
	host_turn(&host);
	assert_true(host_take(&host, 2));
	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(host.memory[HOST_LIST + 8192 + i], 0x77);
	host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create_cq_refused),
		cmocka_unit_test(test_create_sq_refused),
		cmocka_unit_test(test_entry_sizes),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_completion_queue_full),
		cmocka_unit_test(test_tail_out_of_range),
		cmocka_unit_test(test_head_out_of_range),
		cmocka_unit_test(test_doorbell_of_no_queue),
		cmocka_unit_test(test_shared_completion_queue),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_queue_memory_unmapped),
		cmocka_unit_test(test_by_message),
		cmocka_unit_test(test_shadow_doorbells),
		cmocka_unit_test(test_shadow_doorbells_refused),
		cmocka_unit_test(test_shadow_page_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
