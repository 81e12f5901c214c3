/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's memory: the table of windows, accesses through mappings and by message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/fault_guard.h>

#include "base/base.h"
#include "fd_count.h"
#include "server/dma.h"
#include "server/server.h"
#include "sim_client.h"
#include "sim_model.h"

#define PAGE UINT64_C(4096)
#define FILE_BYTES (8 * PAGE)
#define RW 3u

struct fixture {
	struct sim_model model;
	struct sim_client client;
	int fd; /* FILE_BYTES long */
	uint8_t *memory; /* its mapping */
	unsigned int fds_before;
	/* The client's side of DMA by message: memory at any address, taken modulo its size. */
	unsigned int reads, writes;
	uint64_t largest;
	int answer; /* what goes wrong with it, see client_pump() */
};

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

static struct fixture fixture;

static int open_with(const struct sim_server_options *options, const char *json)
{
	memset(&fixture, 0, sizeof(fixture));
	fixture.fds_before = fd_count();
	fixture.fd = memfd_create("dma", MFD_CLOEXEC);
	if (fixture.fd < 0 || ftruncate(fixture.fd, FILE_BYTES))
		return -1;
	fixture.memory = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fixture.fd, 0);
	if (fixture.memory == MAP_FAILED || sim_model_create(&fixture.model, options))
		return -1;
	return sim_client_open(&fixture.client, fixture.model.server) ||
	       sim_client_hello(&fixture.client, json);
}

static int setup(void **state)
{
	(void)state;
	return open_with(NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	sim_client_close(&fixture.client);
	sim_model_destroy(&fixture.model);
	munmap(fixture.memory, FILE_BYTES);
	close(fixture.fd);
	return fd_count() == fixture.fds_before ? 0 : -1;
}

static int map(uint64_t iova, uint64_t bytes, uint64_t offset, uint32_t prot, int fd)
{
	return sim_client_map(&fixture.client, iova, bytes, offset, prot, fd);
}

static void test_bad_maps(void **state)
{
	static const struct {
		uint64_t iova, bytes, offset;
		uint32_t prot;
	} rows[] = {
		{ PAGE, 0, 0, RW },
		{ PAGE + 1, PAGE, 0, RW },
		{ PAGE, PAGE - 1, 0, RW },
		{ PAGE, PAGE, 512, RW },
		{ PAGE, PAGE, 0, 0 },
		{ PAGE, PAGE, 0, 4 },
		{ PAGE, PAGE, 0, UINT32_MAX },
		{ -2 * PAGE, 4 * PAGE, 0, RW }, /* wraps */
		{ PAGE, -PAGE, 0, RW },
		{ PAGE, 2 * PAGE, -PAGE, RW }, /* offset wraps */
		{ PAGE, FILE_BYTES + PAGE, 0, RW }, /* past the file */
		{ PAGE, PAGE, FILE_BYTES, RW },
		{ PAGE, 2 * PAGE, FILE_BYTES - PAGE, RW },
		{ PAGE, PAGE, UINT64_C(1) << 62, RW },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(
			map(rows[i].iova, rows[i].bytes, rows[i].offset, rows[i].prot, fixture.fd),
			-EINVAL);
	assert_int_equal(fixture.model.server->dma.nr_windows, 0);
	/* The last page of the address space is as good as any. */
	assert_int_equal(map(-PAGE, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(map(0, PAGE, 0, RW, fixture.fd), 0);
}

static void test_descriptors_that_cannot_be_mapped(void **state)
{
	char path[] = "/tmp/weir-test-dma-XXXXXX";
	int pipes[2], two[2] = { fixture.fd, fixture.fd };
	int read_only, directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int made = mkstemp(path);
	struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = RW,
		.address = PAGE,
		.bytes = PAGE,
	};

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(ftruncate(made, FILE_BYTES), 0);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	assert_int_equal(map(PAGE, PAGE, 0, RW, pipes[0]), -EINVAL);
	assert_true(map(PAGE, PAGE, 0, RW, directory) < 0);
	assert_int_equal(map(PAGE, PAGE, 0, RW, read_only), -EACCES);
	assert_int_equal(map(PAGE, PAGE, 0, 1, read_only), 0);
	assert_int_equal(sim_client_call_fds(&fixture.client, VFIO_USER_DMA_MAP, &request,
					     sizeof(request), two, 2),
			 -EINVAL);
	close(pipes[0]);
	close(pipes[1]);
	close(made);
	close(read_only);
	close(directory);
}

static void test_overlaps(void **state)
{
	static const struct {
		uint64_t iova, bytes;
		int expected;
	} rows[] = {
		{ 16 * PAGE, 4 * PAGE, -EEXIST }, /* the same */
		{ 17 * PAGE, PAGE, -EEXIST }, /* inside */
		{ 15 * PAGE, 6 * PAGE, -EEXIST }, /* around */
		{ 15 * PAGE, 2 * PAGE, -EEXIST }, { 19 * PAGE, 2 * PAGE, -EEXIST },
		{ 15 * PAGE, PAGE, 0 }, /* beside */
		{ 20 * PAGE, PAGE, 0 },
	};

	(void)state;
	assert_int_equal(map(16 * PAGE, 4 * PAGE, 0, RW, fixture.fd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(map(rows[i].iova, rows[i].bytes, 0, RW, fixture.fd),
				 rows[i].expected);
}

static void test_unmap_must_match(void **state)
{
	(void)state;
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(map(3 * PAGE, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, PAGE, 0), -ENOENT);
	assert_int_equal(sim_client_unmap(&fixture.client, 2 * PAGE, PAGE, 0), -ENOENT);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, 3 * PAGE, 0), -ENOENT);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, 0, 0), -ENOENT);
	assert_int_equal(sim_client_unmap(&fixture.client, 9 * PAGE, PAGE, 0), -ENOENT);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, 2 * PAGE, 1), -EINVAL);
	assert_int_equal(fixture.model.unmaps, 0);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, 2 * PAGE, 0), 0);
	assert_int_equal(fixture.client.reply.bytes, sizeof(struct vfio_user_dma_unmap));
	assert_int_equal(fixture.model.unmaps, 1);
	assert_int_equal(fixture.model.unmapped_iova, PAGE);
	assert_int_equal(fixture.model.unmapped_bytes, 2 * PAGE);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, 2 * PAGE, 0), -ENOENT);
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, fixture.fd), 0);
}

static void test_unmap_all(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(map(2 * i * PAGE, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(sim_client_unmap(&fixture.client, 0, PAGE, 2), -EINVAL);
	assert_int_equal(sim_client_unmap(&fixture.client, PAGE, 0, 2), -EINVAL);
	assert_int_equal(fixture.model.unmaps, 0);
	assert_int_equal(sim_client_unmap(&fixture.client, 0, 0, 2), 0);
	assert_int_equal(fixture.model.unmaps, 50);
	assert_int_equal(fixture.model.server->dma.nr_windows, 0);
	assert_int_equal(sim_client_unmap(&fixture.client, 0, 0, 2), 0);
}

static void test_client_goes_with_its_memory(void **state)
{
	(void)state;
	assert_int_equal(map(PAGE, PAGE, 0, RW, fixture.fd), 0);
	sim_client_close(&fixture.client);
	assert_int_equal(fixture.model.unmaps, 1);
	assert_int_equal(fixture.model.server->dma.nr_windows, 0);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
	assert_int_equal(map(PAGE, PAGE, 0, RW, fixture.fd), 0);
}

static void ignore_unmap(void *ctx, uint64_t iova, uint64_t bytes)
{
	(void)ctx;
	(void)iova;
	(void)bytes;
}

static void test_too_many(void **state)
{
	struct dma_table table = { .unmap = ignore_unmap };
	struct vfio_user_dma_map request = { .argsz = 32, .flags = RW, .bytes = PAGE };
	struct weir_error err;

	(void)state;
	for (unsigned int i = 0; i < DMA_MAX_WINDOWS; i++) {
		request.address = 2 * i * PAGE;
		assert_int_equal(dma_map(&table, &request, -1, NULL), 0);
	}
	request.address = 2 * DMA_MAX_WINDOWS * PAGE;
	assert_int_equal(dma_map(&table, &request, -1, &err), -ENOSPC);
	assert_int_equal(dma_unmap(&table, 0, PAGE), 0);
	assert_int_equal(dma_map(&table, &request, -1, NULL), 0);
	for (unsigned int i = 1; i <= DMA_MAX_WINDOWS; i++) {
		assert_non_null(dma_find(&table, 2 * i * PAGE));
		assert_null(dma_find(&table, 2 * i * PAGE - 1));
	}
	dma_unmap_all(&table);
	assert_int_equal(table.nr_windows, 0);
	assert_null(table.root);
}

static void test_lookup(void **state)
{
	struct sim_server *server = fixture.model.server;
	struct sim_window cache = { 0 };

	(void)state;
	assert_int_equal(map(0, PAGE, PAGE, RW, fixture.fd), 0);
	assert_int_equal(map(PAGE, PAGE, 3 * PAGE, 1, fixture.fd), 0);
	assert_int_equal(map(-PAGE, PAGE, 0, 2, fixture.fd), 0);
	fixture.memory[PAGE + 5] = 0x55;
	assert_int_equal(*(uint8_t *)sim_dma_ptr(server, &cache, 5, 1, 1), 0x55);
	assert_non_null(sim_dma_ptr(server, &cache, 0, PAGE, RW));
	assert_null(sim_dma_ptr(server, &cache, 0, PAGE + 1, RW)); /* crosses into another */
	assert_null(sim_dma_ptr(server, &cache, 1, PAGE, RW));
	assert_null(sim_dma_ptr(server, &cache, PAGE, 1, 2)); /* read only */
	assert_non_null(sim_dma_ptr(server, &cache, PAGE, 1, 1));
	assert_null(sim_dma_ptr(server, &cache, 2 * PAGE, 1, 1));
	assert_null(sim_dma_ptr(server, &cache, 0, UINT64_MAX, 1));
	assert_null(sim_dma_ptr(server, &cache, UINT64_MAX, 2, 2)); /* wraps to the first page */
	assert_non_null(sim_dma_ptr(server, &cache, UINT64_MAX, 1, 2));
	assert_null(sim_dma_ptr(server, &cache, UINT64_MAX, UINT64_MAX, 2));
}

static void test_access_over_windows(void **state)
{
	struct sim_server *server = fixture.model.server;
	uint8_t data[3 * PAGE], back[3 * PAGE];

	(void)state;
	/* In the file in the other order. */
	assert_int_equal(map(PAGE, PAGE, 2 * PAGE, RW, fixture.fd), 0);
	assert_int_equal(map(2 * PAGE, PAGE, PAGE, RW, fixture.fd), 0);
	assert_int_equal(map(3 * PAGE, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(map(5 * PAGE, PAGE, 0, 1, fixture.fd), 0);
	assert_int_equal(map(6 * PAGE, PAGE, 0, 2, fixture.fd), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / PAGE);
	assert_int_equal(sim_dma_write(server, PAGE, data, sizeof(data)), 0);
	assert_memory_equal(fixture.memory + 2 * PAGE, data, PAGE);
	assert_memory_equal(fixture.memory, data + 2 * PAGE, PAGE);
	assert_int_equal(sim_dma_read(server, PAGE, back, sizeof(back)), 0);
	assert_memory_equal(data, back, sizeof(data));
	assert_int_equal(sim_dma_read(server, 2 * PAGE - 3, back, 6), 0);
	assert_memory_equal(data + PAGE - 3, back, 6);
	assert_int_equal(sim_dma_read(server, 3 * PAGE + 1, back, PAGE), -EFAULT); /* a hole */
	assert_int_equal(sim_dma_write(server, 5 * PAGE, data, 1), -EFAULT);
	assert_int_equal(sim_dma_read(server, 6 * PAGE, back, 1), -EFAULT);
	assert_int_equal(sim_dma_read(server, 100 * PAGE, back, 0), 0);
}

static void test_access_does_not_wrap(void **state)
{
	uint8_t byte[2];

	(void)state;
	assert_int_equal(map(0, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(map(-PAGE, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(sim_dma_read(fixture.model.server, UINT64_MAX, byte, 1), 0);
	assert_int_equal(sim_dma_read(fixture.model.server, UINT64_MAX, byte, 2), -EFAULT);
}

/* The client answers one DMA request, as fixture.answer says. */
static void client_pump(void *ctx)
{
	static uint8_t payload[16 + VFIO_USER_DEFAULT_MAX_TRANSFER];
	struct vfio_user_dma_access access;
	struct vfio_user_header header;
	struct wire_message message;
	struct iovec part = { .iov_base = payload };
	bool write;

	(void)ctx;
	if (wire_receive(fixture.client.wire, &message, 0, NULL))
		return;
	header = message.header;
	write = header.command == VFIO_USER_DMA_WRITE;
	assert_true(write || header.command == VFIO_USER_DMA_READ);
	memcpy(&access, message.payload, sizeof(access));
	assert_true(access.count > 0 && access.count <= VFIO_USER_DEFAULT_MAX_TRANSFER);
	assert_int_equal(message.bytes, sizeof(access) + (write ? access.count : 0));
	if (access.count > fixture.largest)
		fixture.largest = access.count;
	for (uint64_t i = 0; i < access.count; i++) {
		uint8_t *byte = &fixture.memory[(access.address + i) % FILE_BYTES];

		if (write)
			*byte = ((const uint8_t *)message.payload)[sizeof(access) + i];
		else
			payload[sizeof(access) + i] = *byte;
	}
	fixture.reads += !write;
	fixture.writes += write;
	header.flags = VFIO_USER_TYPE_REPLY;
	header.error = 0;
	part.iov_len = sizeof(access) + (write ? 0 : access.count);
	switch (fixture.answer) {
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
		wire_close(fixture.client.wire);
		fixture.client.wire = NULL;
		return;
	}
	memcpy(payload, &access, sizeof(access));
	wire_send(fixture.client.wire, &header, &part, 1, NULL, 0, 1000, NULL);
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

	wire_set_pump(wire, client_does, NULL);
	rc = model_does(model);
	wire_set_pump(wire, NULL, NULL);
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
	assert_memory_equal(fixture.memory + PAGE, data, sizeof(data));
	assert_int_equal(in_poll(read_pages), 0);
	assert_memory_equal(buffer, data, sizeof(data));
	assert_int_equal(fixture.reads, 2);
	assert_int_equal(fixture.writes, 2);
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
		fixture.memory[PAGE + i] = (uint8_t)(i * 11 + i / PAGE);
	assert_int_equal(in_poll(read_pages), 0);
	assert_memory_equal(buffer, fixture.memory + PAGE, 2 * PAGE);
	assert_int_equal(fixture.largest, 1000);
	assert_int_equal(fixture.reads, 9);
}

static int setup_no_mmap(void **state)
{
	struct sim_server_options options = { .no_mmap_dma = true };

	(void)state;
	return open_with(&options, NULL);
}

static void test_descriptors_are_ignored(void **state)
{
	struct sim_window cache = { 0 };

	(void)state;
	assert_int_equal(map(PAGE, 2 * PAGE, PAGE, RW, fixture.fd), 0);
	assert_null(sim_dma_ptr(fixture.model.server, &cache, PAGE, 1, 1));
	fixture.memory[PAGE] = 0x77;
	assert_int_equal(in_poll(read_pages), 0);
	assert_int_equal(buffer[0], 0x77);
	assert_int_equal(fixture.reads, 1);
}

static void test_bad_answers(void **state)
{
	(void)state;
	for (int answer = ANSWER_ERROR; answer <= ANSWER_HANG_UP; answer++) {
		for (int write = 0; write < 2; write++) {
			assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, -1), 0);
			fixture.answer = answer;
			assert_int_equal(in_poll(write ? write_pages : read_pages), -EIO);
			/* A refusal is an answer; anything else ends the session. */
			assert_int_equal(fixture.model.server->session.broken != 0,
					 answer != ANSWER_ERROR);
			assert_int_equal(in_poll(read_pages), answer == ANSWER_ERROR ? -EIO : 1);
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

static void test_floods(void **state)
{
	void (*const pumps[])(void *ctx) = { pump_flood, pump_flood_of_small };

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

/* The client cuts its file short under the server: the server lives on, the client is dropped. */
static void test_truncated_file(void **state)
{
	unsigned int fds = fd_count();
	uint8_t byte = 0;

	(void)state;
	/* Here, as cmocka sets a handler of its own before each test. The guard keeps a descriptor.
	 */
	assert_int_equal(weir_fault_guard_enable(NULL), 0);
	fixture.fds_before += fd_count() - fds;
	assert_int_equal(map(PAGE, PAGE, 0, RW, fixture.fd), 0);
	assert_int_equal(ftruncate(fixture.fd, 0), 0);
	assert_int_equal(sim_dma_read(fixture.model.server, PAGE, &byte, 1), 0);
	assert_int_equal(byte, 0xff);
	assert_int_equal(sim_client_receive(&fixture.client), -ECONNRESET);
	sim_client_close(&fixture.client);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bad_maps),
		TEST(test_descriptors_that_cannot_be_mapped),
		TEST(test_overlaps),
		TEST(test_unmap_must_match),
		TEST(test_unmap_all),
		TEST(test_client_goes_with_its_memory),
		cmocka_unit_test(test_too_many),
		TEST(test_lookup),
		TEST(test_access_over_windows),
		TEST(test_access_does_not_wrap),
		TEST(test_by_message),
		cmocka_unit_test_setup_teardown(test_by_message_is_split, setup_small_transfers,
						teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_are_ignored, setup_no_mmap,
						teardown),
		TEST(test_bad_answers),
		TEST(test_commands_between),
		TEST(test_floods),
		TEST(test_truncated_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
