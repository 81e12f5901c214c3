/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's memory by message: splitting, answers that do not fit, commands in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "server/server.h"
#include "sim_fixture.h"

#define PAGE UINT64_C(4096)
#define MEMORY_BYTES (8 * PAGE)
#define RW 3u

/* What goes wrong with an answer. */
enum {
	ANSWER_WELL,
	ANSWER_ERROR,
	ANSWER_NOT,
	ANSWER_SHORT,
	ANSWER_OTHER_ID,
	ANSWER_OTHER_ADDRESS,
	ANSWER_OTHER_COUNT,
	ANSWER_HANG_UP,
};

static struct sim_fixture fixture;

/* The client's side: memory at any address, taken modulo its size. */
static uint8_t memory[MEMORY_BYTES];
static unsigned int reads, writes;
static uint64_t largest;
static int answer;

static int open_with(const struct sim_server_options *options, const char *json)
{
	memset(memory, 0, sizeof(memory));
	reads = 0;
	writes = 0;
	largest = 0;
	answer = ANSWER_WELL;
	return sim_fixture_open(&fixture, options, json);
}

static int setup(void **state)
{
	(void)state;
	return open_with(NULL, "{}");
}

static int teardown(void **state)
{
	(void)state;
	return sim_fixture_close(&fixture);
}

static int map(uint64_t iova, uint64_t bytes, uint64_t offset, uint32_t prot, int fd)
{
	return sim_client_map(&fixture.client, iova, bytes, offset, prot, fd);
}

/* The client answers one DMA request. */
static void client_pump(void *ctx)
{
	static uint8_t payload[16 + VFIO_USER_DEFAULT_MAX_TRANSFER];
	struct vfio_user_dma_access access;
	struct vfio_user_header header;
	struct wire_message message;
	struct iovec part = { .iov_base = payload };
	bool write;

	(void)ctx;
	if (weir_wire_receive(fixture.client.wire, &message, 0, NULL))
		return;
	header = message.header;
	write = header.command == VFIO_USER_DMA_WRITE;
	assert_true(write || header.command == VFIO_USER_DMA_READ);
	memcpy(&access, message.payload, sizeof(access));
	assert_true(access.count > 0 && access.count <= VFIO_USER_DEFAULT_MAX_TRANSFER);
	assert_int_equal(message.bytes, sizeof(access) + (write ? access.count : 0));
	if (access.count > largest)
		largest = access.count;
	for (uint64_t i = 0; i < access.count; i++) {
		uint8_t *byte = &memory[(access.address + i) % MEMORY_BYTES];

		if (write)
			*byte = ((const uint8_t *)message.payload)[sizeof(access) + i];
		else
			payload[sizeof(access) + i] = *byte;
	}
	reads += !write;
	writes += write;
	header.flags = VFIO_USER_TYPE_REPLY;
	header.error = 0;
	part.iov_len = sizeof(access) + (write ? 0 : access.count);
	switch (answer) {
	case ANSWER_ERROR:
		header.flags |= VFIO_USER_ERROR;
		header.error = EPERM;
		part.iov_len = 0;
		break;
	case ANSWER_NOT:
		return;
	case ANSWER_SHORT:
		part.iov_len = write ? 11 : part.iov_len - 1;
		break;
	case ANSWER_OTHER_ID:
		header.id++;
		break;
	case ANSWER_OTHER_ADDRESS:
		access.address++;
		break;
	case ANSWER_OTHER_COUNT:
		access.count++;
		break;
	case ANSWER_HANG_UP:
		weir_wire_close(fixture.client.wire);
		fixture.client.wire = NULL;
		return;
	}
	memcpy(payload, &access, sizeof(access));
	weir_wire_send(fixture.client.wire, &header, &part, 1, NULL, 0, 1000, NULL);
}

static uint8_t buffer[4 * PAGE];

static int write_pages(struct sim_model *model)
{
	return sim_dma_write(model->server, PAGE, buffer, 2 * PAGE);
}

static int read_pages(struct sim_model *model)
{
	memset(buffer, 0, sizeof(buffer));
	return sim_dma_read(model->server, PAGE, buffer, 2 * PAGE);
}

static int (*model_does)(struct sim_model *model);
static void (*client_does)(void *ctx);

/* The client works only while the model does: otherwise it would take replies from the test. */
static int with_pump(struct sim_model *model)
{
	struct wire *wire = model->server->session.wire;
	int rc;

	weir_wire_set_pump(wire, client_does, NULL);
	rc = model_does(model);
	weir_wire_set_pump(wire, NULL, NULL);
	return rc;
}

/* One poll of the model in which both do something; 1: there was no poll. */
static int in_poll_with(int (*model)(struct sim_model *model), void (*client)(void *ctx))
{
	model_does = model;
	client_does = client;
	fixture.model.poll_result = 1;
	fixture.model.on_poll = with_pump;
	sim_server_turn(fixture.model.server);
	return fixture.model.poll_result;
}

static int in_poll(int (*model)(struct sim_model *model))
{
	return in_poll_with(model, client_pump);
}

static void test_by_message(void **state)
{
	uint8_t data[2 * PAGE];

	(void)state;
	assert_int_equal(map(PAGE, PAGE, 0, RW, -1), 0);
	assert_int_equal(map(2 * PAGE, PAGE, 0, RW, -1), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / PAGE);
	memcpy(buffer, data, sizeof(data));
	assert_int_equal(in_poll(write_pages), 0);
	assert_memory_equal(memory + PAGE, data, sizeof(data));
	assert_int_equal(in_poll(read_pages), 0);
	assert_memory_equal(buffer, data, sizeof(data));
	assert_int_equal(reads, 2);
	assert_int_equal(writes, 2);
	/* Commands work afterwards. */
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, PAGE, 0), 0);
}

static int setup_small_transfers(void **state)
{
	(void)state;
	return open_with(NULL, "{\"capabilities\":{\"max_data_xfer_size\":1000}}");
}

static void test_by_message_is_split(void **state)
{
	(void)state;
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
	for (size_t i = 0; i < 2 * PAGE; i++)
		memory[PAGE + i] = (uint8_t)(i * 11 + i / PAGE);
	assert_int_equal(in_poll(read_pages), 0);
	assert_memory_equal(buffer, memory + PAGE, 2 * PAGE);
	assert_int_equal(largest, 1000);
	assert_int_equal(reads, 9);
}

static int setup_no_mmap(void **state)
{
	struct sim_server_options options = { .no_mmap_dma = true };

	(void)state;
	return open_with(&options, "{}");
}

static void test_descriptors_are_ignored(void **state)
{
	struct sim_window cache = { 0 };
	int file = memfd_create("dma", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(file, MEMORY_BYTES), 0);
	assert_int_equal(map(PAGE, 2 * PAGE, PAGE, RW, file), 0);
	close(file);
	assert_null(sim_dma_ptr(fixture.model.server, &cache, PAGE, 1, 1));
	memory[PAGE] = 0x77;
	assert_int_equal(in_poll(read_pages), 0);
	assert_int_equal(buffer[0], 0x77);
	assert_int_equal(reads, 1);
}

static void test_bad_answers(void **state)
{
	(void)state;
	for (int what = ANSWER_ERROR; what <= ANSWER_HANG_UP; what++) {
		for (int write = 0; write < 2; write++) {
			assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
			answer = what;
			assert_int_equal(in_poll(write ? write_pages : read_pages), -EIO);
			/* A refusal is an answer; anything else ends the session. */
			assert_int_equal(fixture.model.server->session.broken != 0,
					 what != ANSWER_ERROR);
			assert_int_equal(in_poll(read_pages), what == ANSWER_ERROR ? -EIO : 1);
			sim_client_close(&fixture.client);
			assert_null(fixture.model.server->session.wire);
			assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
			assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
		}
	}
}

/* Commands that come while the server waits are kept, and carried out afterwards, in order. */
static void pump_with_commands(void *ctx)
{
	uint8_t payload[sizeof(struct vfio_user_region_access) + 1];
	struct vfio_user_region_access access = { .region = 0, .offset = 8, .count = 1 };

	memcpy(payload, &access, sizeof(access));
	for (uint8_t i = 1; i <= 20; i++) {
		payload[sizeof(access)] = i;
		sim_client_send(&fixture.client, VFIO_USER_REGION_WRITE, 0, payload,
				sizeof(payload), NULL, 0);
	}
	client_pump(ctx);
}

static int read_while_commands_come(struct sim_model *model)
{
	int rc = read_pages(model);

	return model->bar0[8] ? -EBUSY : rc; /* carried out under the model's feet */
}

static void test_commands_between(void **state)
{
	uint16_t first;

	(void)state;
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
	first = (uint16_t)(fixture.client.id + 1);
	assert_int_equal(in_poll_with(read_while_commands_come, pump_with_commands), 0);
	for (uint16_t i = 0; i < 20; i++) {
		assert_int_equal(sim_client_receive(&fixture.client), 0);
		assert_int_equal(fixture.client.reply.header.id, first + i);
	}
	assert_int_equal(fixture.model.bar0[8], 20);
}

/* More than a client may send while it owes an answer. */
static void pump_flood(void *ctx)
{
	static uint8_t payload[1 << 20];

	(void)ctx;
	for (int i = 0; i < 6; i++)
		sim_client_send(&fixture.client, VFIO_USER_REGION_WRITE, 0, payload,
				sizeof(payload), NULL, 0);
}

static void pump_flood_of_small(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < 100000; i++)
		sim_client_send(&fixture.client, 99, 0, NULL, 0, NULL, 0);
}

static void pump_flood_of_descriptors(void *ctx)
{
	int fds[WIRE_MAX_FDS];

	(void)ctx;
	for (int i = 0; i < WIRE_MAX_FDS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	for (int i = 0; i < 5; i++)
		sim_client_send(&fixture.client, 99, 0, NULL, 0, fds, WIRE_MAX_FDS);
	for (int i = 0; i < WIRE_MAX_FDS; i++)
		close(fds[i]);
}

static void test_floods(void **state)
{
	void (*const pumps[])(void *ctx) = { pump_flood, pump_flood_of_small,
					     pump_flood_of_descriptors };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pumps); i++) {
		assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
		assert_int_equal(in_poll_with(read_pages, pumps[i]), -EIO);
		assert_int_equal(fixture.model.server->session.broken, -ENOBUFS);
		sim_client_close(&fixture.client);
		assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
		assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
	}
}

/* A slow client does not keep the server from ending. */
static void test_stopped_server_does_not_ask(void **state)
{
	(void)state;
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
	sim_server_stop(fixture.model.server);
	assert_int_equal(in_poll(read_pages), -EIO);
	assert_int_equal(reads, 0);
}

static struct sim_model other;

static void pump_and_stop_other(void *ctx)
{
	client_pump(ctx);
	sim_server_stop(other.server);
}

static int read_twice(struct sim_model *model)
{
	int rc = read_pages(model);

	return rc ? rc : read_pages(model);
}

/* Nor does one that runs together with another, when that is stopped. */
static void test_stopped_together(void **state)
{
	struct sim_server *servers[2] = { NULL, fixture.model.server };
	struct sim_client client;

	(void)state;
	assert_int_equal(sim_model_create(&other, NULL), 0);
	servers[0] = other.server;
	assert_int_equal(sim_client_open(&client, other.server), 0);
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
	model_does = read_twice;
	client_does = pump_and_stop_other;
	fixture.model.poll_result = 1;
	fixture.model.on_poll = with_pump;
	assert_int_equal(sim_servers_run(servers, 2, NULL), 0);
	assert_int_equal(fixture.model.poll_result, -EIO);
	assert_int_equal(reads, 1);
	sim_client_close(&client);
	sim_model_destroy(&other);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_by_message),
		cmocka_unit_test_setup_teardown(test_by_message_is_split, setup_small_transfers,
						teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_are_ignored, setup_no_mmap,
						teardown),
		TEST(test_bad_answers),
		TEST(test_commands_between),
		TEST(test_floods),
		TEST(test_stopped_server_does_not_ask),
		TEST(test_stopped_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
