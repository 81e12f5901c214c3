/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding and exporting the memory of a device behind vfio-user, served by a thread of this test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/ioas.h>

#include "fd_count.h"
#include "membar.h"
#include "membar/sim_membar.h"
#include "sim_model.h"

#define BYTES UINT64_C(0x10000)

struct fixture {
	char directory[64], address[128];
	struct sim_server *server;
	pthread_t thread;
	struct weir_ioas *ioas;
	struct weir_device *dev;
	unsigned int fds_before;
};

static struct fixture fixture;
static struct sim_membar *membar;
static struct sim_model model;

static void *serve(void *server)
{
	sim_server_run(server, NULL);
	return NULL;
}

static int open_device(struct sim_server *server)
{
	char path[96];

	strcpy(fixture.directory, "/tmp/weir-test-membar-XXXXXX");
	if (!mkdtemp(fixture.directory))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", fixture.directory);
	snprintf(fixture.address, sizeof(fixture.address), "vfio-user:%s", path);
	fixture.server = server;
	return sim_server_listen(server, path, NULL) ||
	       pthread_create(&fixture.thread, NULL, serve, server) ||
	       weir_ioas_create(NULL, &fixture.ioas, NULL) ||
	       weir_device_open(fixture.address, fixture.ioas, NULL, &fixture.dev, NULL);
}

static void close_device(void)
{
	weir_device_close(fixture.dev);
	weir_ioas_destroy(fixture.ioas);
	sim_server_stop(fixture.server);
	pthread_join(fixture.thread, NULL);
}

static int setup(void **state)
{
	struct sim_membar_options options = { .bytes = BYTES };

	(void)state;
	fixture.fds_before = fd_count();
	return sim_membar_create(&options, &membar, NULL) || open_device(sim_membar_server(membar));
}

static int teardown(void **state)
{
	(void)state;
	close_device();
	sim_membar_destroy(membar);
	return rmdir(fixture.directory) || fd_count() != fixture.fds_before;
}

static void test_find(void **state)
{
	unsigned int bar = 0;
	uint64_t bytes = 0;

	(void)state;
	assert_int_equal(weir_membar_find(fixture.dev, &bar, &bytes, NULL), 0);
	assert_int_equal(bar, 2);
	assert_int_equal(bytes, BYTES);
}

static void test_export(void **state)
{
	struct weir_dmabuf dmabuf = { .fd = -1 };
	uint8_t data[16] = "written by us", back[16] = { 0 };
	uint8_t *memory;

	(void)state;
	assert_int_equal(weir_membar_export(fixture.dev, 0x2000, 0x1000, &dmabuf, NULL), 0);
	assert_int_equal(dmabuf.bytes, 0x1000);
	memory = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf.fd,
		      (off_t)dmabuf.offset);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(weir_device_write(fixture.dev, 2, 0x2000, data, sizeof(data), NULL), 0);
	assert_memory_equal(memory, data, sizeof(data));
	memory[0xfff] = 0x99;
	assert_int_equal(weir_device_read(fixture.dev, 2, 0x2ff0, back, sizeof(back), NULL), 0);
	assert_int_equal(back[15], 0x99);
	munmap(memory, 0x1000);
	close(dmabuf.fd);
}

static void test_bad_exports(void **state)
{
	static const struct {
		uint64_t offset, bytes;
	} rows[] = {
		{ 0, 0 },	   { 0, 100 },
		{ 0x800, 0x1000 }, { 0, BYTES + 0x1000 },
		{ BYTES, 0x1000 }, { UINT64_MAX - 0xfff, 0x2000 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct weir_dmabuf dmabuf = { .fd = -1 };
		struct weir_error err;

		assert_int_equal(weir_membar_export(fixture.dev, rows[i].offset, rows[i].bytes,
						    &dmabuf, &err),
				 -EINVAL);
		assert_int_equal(err.code, -EINVAL);
	}
}

static void test_other_devices(void **state)
{
	struct weir_dmabuf dmabuf = { .fd = -1 };
	struct weir_error err;
	unsigned int bar;
	uint64_t bytes;

	(void)state;
	fixture.fds_before = fd_count();
	assert_int_equal(sim_model_create(&model, NULL), 0);
	assert_int_equal(open_device(model.server), 0);
	assert_int_equal(weir_membar_find(fixture.dev, &bar, &bytes, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1234:5678"));
	assert_int_equal(weir_membar_export(fixture.dev, 0, 0x1000, &dmabuf, NULL), -EINVAL);
	close_device();
	sim_model_destroy(&model);
	assert_int_equal(rmdir(fixture.directory), 0);
	assert_int_equal(fd_count(), fixture.fds_before);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_find),
		TEST(test_export),
		TEST(test_bad_exports),
		cmocka_unit_test(test_other_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
