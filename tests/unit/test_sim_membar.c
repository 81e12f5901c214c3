/* SPDX-License-Identifier: BSD-3-Clause */
/* The device that is plain memory: its shape, sharing its descriptor, what a client leaves behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "fd_count.h"
#include "membar/sim_membar.h"
#include "server/server.h"
#include "sim_client.h"

#define BYTES 0x10000u
#define BAR 2

struct fixture {
	struct sim_membar *membar;
	struct sim_client client;
	unsigned int fds_before;
};

static struct fixture fixture;

static int setup(void **state)
{
	struct sim_membar_options options = { .bytes = BYTES };

	(void)state;
	fixture.fds_before = fd_count();
	return sim_membar_create(&options, &fixture.membar, NULL) ||
	       sim_client_open(&fixture.client, sim_membar_server(fixture.membar)) ||
	       sim_client_hello(&fixture.client, NULL);
}

static int teardown(void **state)
{
	(void)state;
	sim_client_close(&fixture.client);
	sim_membar_destroy(fixture.membar);
	return fd_count() == fixture.fds_before ? 0 : -1;
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		int expected;
	} rows[] = {
		{ 0, 0 },
		{ 4096, 0 },
		{ UINT64_C(64) << 30, 0 },
		{ 2048, -EINVAL },
		{ 12288, -EINVAL },
		{ UINT64_C(128) << 30, -EINVAL },
		{ UINT64_MAX, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sim_membar_options options = { .bytes = rows[i].bytes };
		struct sim_membar *membar = NULL;
		struct weir_error err;

		assert_int_equal(sim_membar_create(&options, &membar, &err), rows[i].expected);
		if (membar)
			sim_membar_destroy(membar);
		else
			assert_int_equal(err.code, rows[i].expected);
	}
	sim_membar_destroy(NULL);
}

static void test_identity(void **state)
{
	uint32_t value = 0;

	(void)state;
	assert_int_equal(sim_client_read(&fixture.client, REGION_CONFIG, 0, &value, 4), 0);
	assert_int_equal(value, 0x57e11b36);
	assert_int_equal(
		sim_client_read(&fixture.client, REGION_CONFIG, PCI_CLASS_REVISION, &value, 4), 0);
	assert_int_equal(value >> 8, 0x050000);
	assert_int_equal(
		sim_client_read(&fixture.client, REGION_CONFIG, PCI_BASE_ADDRESS_2, &value, 4), 0);
	assert_int_equal(value, 0xc); /* 64 bits, prefetchable */
}

/* Maps the BAR as a client does; the descriptor is the server's own file. */
static uint8_t *map_bar(int *fd)
{
	struct vfio_user_region_info info = { .argsz = 256, .index = BAR };
	uint8_t *memory;

	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	memcpy(&info, fixture.client.reply.payload, sizeof(info));
	assert_int_equal(info.bytes, BYTES);
	assert_int_equal(info.flags, VFIO_USER_REGION_READABLE | VFIO_USER_REGION_WRITEABLE |
					     VFIO_USER_REGION_MMAP);
	assert_int_equal(info.offset, 0);
	assert_int_equal(fixture.client.reply.nr_fds, 1);
	*fd = dup(fixture.client.reply.fds[0]);
	memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

static void test_mapping_and_messages_see_the_same(void **state)
{
	uint8_t data[256], back[256];
	uint8_t *memory;
	int fd;

	(void)state;
	memory = map_bar(&fd);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i ^ 0x5a);
	assert_int_equal(sim_client_write(&fixture.client, BAR, BYTES - 256, data, 256), 0);
	assert_memory_equal(memory + BYTES - 256, data, 256);
	memset(memory + 3, 0xee, 5);
	assert_int_equal(sim_client_read(&fixture.client, BAR, 0, back, 9), 0);
	assert_memory_equal(back, "\0\0\0\xee\xee\xee\xee\xee\0", 9);
	assert_int_equal(sim_client_read(&fixture.client, BAR, BYTES - 1, back, 2), -EINVAL);
	munmap(memory, BYTES);
	close(fd);
}

/* Another device's server maps the descriptor; this client must not take the pages away. */
static void test_cannot_be_truncated(void **state)
{
	uint8_t *memory;
	int fd;

	(void)state;
	memory = map_bar(&fd);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 2 * BYTES), -1);
	munmap(memory, BYTES);
	close(fd);
}

/* A client's data is not there for the next one, in a mapping that outlived the first either. */
static void test_next_client_finds_zeroes(void **state)
{
	uint8_t *memory;
	uint8_t byte = 1;
	int fd;

	(void)state;
	memory = map_bar(&fd);
	memory[77] = 0x77;
	sim_client_close(&fixture.client);
	assert_int_equal(memory[77], 0);
	assert_int_equal(sim_client_open(&fixture.client, sim_membar_server(fixture.membar)), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
	assert_int_equal(sim_client_read(&fixture.client, BAR, 77, &byte, 1), 0);
	assert_int_equal(byte, 0);
	munmap(memory, BYTES);
	close(fd);
}

static void test_has_no_vectors(void **state)
{
	struct vfio_user_irq_info info = { .argsz = sizeof(info), .index = 2 };

	(void)state;
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
					 sizeof(info)),
			 0);
	memcpy(&info, fixture.client.reply.payload, sizeof(info));
	assert_int_equal(info.count, 0);
	assert_int_equal(sim_client_set_irqs(&fixture.client, 2, 0x24, 0, 1, NULL, 0, NULL, 0),
			 -EINVAL);
	assert_int_equal(sim_client_set_irqs(&fixture.client, 2, 0x21, 0, 0, NULL, 0, NULL, 0), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		TEST(test_identity),
		TEST(test_mapping_and_messages_see_the_same),
		TEST(test_cannot_be_truncated),
		TEST(test_next_client_finds_zeroes),
		TEST(test_has_no_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
