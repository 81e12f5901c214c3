/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's memory: the table of windows, accesses through mappings. */
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
#include "server/dma.h"
#include "server/server.h"
#include "sim_fixture.h"

#define PAGE UINT64_C(4096)
#define FILE_BYTES (8 * PAGE)
#define RW 3u

static struct sim_fixture fixture;
static int file; /* FILE_BYTES long */
static uint8_t *memory; /* its mapping */

static int setup(void **state)
{
	(void)state;
	file = memfd_create("dma", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, FILE_BYTES))
		return -1;
	memory = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	return memory == MAP_FAILED || sim_fixture_open(&fixture, NULL, "{}");
}

static int teardown(void **state)
{
	int rc = sim_fixture_close(&fixture);

	(void)state;
	munmap(memory, FILE_BYTES);
	close(file);
	return rc;
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
			map(rows[i].iova, rows[i].bytes, rows[i].offset, rows[i].prot, file),
			-EINVAL);
	assert_int_equal(fixture.model.server->dma.nr_windows, 0);
	/* The last page of the address space is as good as any. */
	assert_int_equal(map(-PAGE, PAGE, 0, RW, file), 0);
	assert_int_equal(map(0, PAGE, 0, RW, file), 0);
}

static void test_descriptors_that_cannot_be_mapped(void **state)
{
	char path[] = "/tmp/weir-test-dma-XXXXXX";
	int pipes[2], two[2] = { file, file };
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
	assert_int_equal(map(16 * PAGE, 4 * PAGE, 0, RW, file), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(map(rows[i].iova, rows[i].bytes, 0, RW, file), rows[i].expected);
}

static void test_unmap_must_match(void **state)
{
	(void)state;
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, file), 0);
	assert_int_equal(map(3 * PAGE, PAGE, 0, RW, file), 0);
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
	assert_int_equal(map(PAGE, 2 * PAGE, 0, RW, file), 0);
}

static void test_unmap_all(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(map(2 * i * PAGE, PAGE, 0, RW, file), 0);
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
	assert_int_equal(map(PAGE, PAGE, 0, RW, file), 0);
	sim_client_close(&fixture.client);
	assert_int_equal(fixture.model.unmaps, 1);
	assert_int_equal(fixture.model.server->dma.nr_windows, 0);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
	assert_int_equal(map(PAGE, PAGE, 0, RW, file), 0);
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

/* As many windows as the client is told of are memory here, all of them under the fault guard. */
static void test_all_mapped(void **state)
{
	struct sim_server *server = fixture.model.server;

	(void)state;
	for (uint64_t i = 0; i < DMA_MAX_WINDOWS; i++)
		assert_int_equal(map(2 * i * PAGE, PAGE, 0, RW, file), 0);
	assert_int_equal(map(2 * DMA_MAX_WINDOWS * PAGE, PAGE, 0, RW, file), -ENOSPC);
	for (uint64_t i = 0; i < DMA_MAX_WINDOWS; i++) {
		struct sim_window cache = { 0 };

		assert_true(sim_dma_lookup(server, 2 * i * PAGE, PAGE, RW, &cache));
		assert_non_null(sim_dma_ptr(server, &cache, 2 * i * PAGE, 1, RW));
	}
}

static void test_lookup(void **state)
{
	struct sim_server *server = fixture.model.server;
	struct sim_window cache = { 0 };

	(void)state;
	assert_int_equal(map(0, PAGE, PAGE, RW, file), 0);
	assert_int_equal(map(PAGE, PAGE, 3 * PAGE, 1, file), 0);
	assert_int_equal(map(-PAGE, PAGE, 0, 2, file), 0);
	memory[PAGE + 5] = 0x55;
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
	assert_int_equal(map(PAGE, PAGE, 2 * PAGE, RW, file), 0);
	assert_int_equal(map(2 * PAGE, PAGE, PAGE, RW, file), 0);
	assert_int_equal(map(3 * PAGE, PAGE, 0, RW, file), 0);
	assert_int_equal(map(5 * PAGE, PAGE, 0, 1, file), 0);
	assert_int_equal(map(6 * PAGE, PAGE, 0, 2, file), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / PAGE);
	assert_int_equal(sim_dma_write(server, PAGE, data, sizeof(data)), 0);
	assert_memory_equal(memory + 2 * PAGE, data, PAGE);
	assert_memory_equal(memory, data + 2 * PAGE, PAGE);
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
	assert_int_equal(map(0, PAGE, 0, RW, file), 0);
	assert_int_equal(map(-PAGE, PAGE, 0, RW, file), 0);
	assert_int_equal(sim_dma_read(fixture.model.server, UINT64_MAX, byte, 1), 0);
	assert_int_equal(sim_dma_read(fixture.model.server, UINT64_MAX, byte, 2), -EFAULT);
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
	assert_int_equal(map(PAGE, PAGE, 0, RW, file), 0);
	assert_int_equal(ftruncate(file, 0), 0);
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
		TEST(test_all_mapped),
		TEST(test_lookup),
		TEST(test_access_over_windows),
		TEST(test_access_does_not_wrap),
		TEST(test_truncated_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
