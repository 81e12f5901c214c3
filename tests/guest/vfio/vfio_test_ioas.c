/* SPDX-License-Identifier: BSD-3-Clause */
/* Address spaces that devices share, or do not; memory of all kinds; limits. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vfio_test.h"

#define BYTES (64u << 10)

/* What one drive wrote into the arena the other one takes from there. */
static void test_two_devices_in_one(void **state)
{
	struct drive drives[2];
	struct space space;
	uint8_t *buffer;
	uint64_t iova;

	(void)state;
	space_open(&space);
	drive_open(&drives[0], the_vfio_test.nvme[0], &space);
	drive_open(&drives[1], the_vfio_test.nvme[1], &space);
	buffer = nvme_test_buffer(&drives[0].t, BYTES);
	iova = nvme_test_iova(&drives[0].t, buffer);
	nvme_test_fill(buffer, BYTES, 1);
	drive_write(&drives[0], iova, BYTES);
	memset(buffer, 0, BYTES);
	drive_read(&drives[0], iova, BYTES);
	drive_write(&drives[1], iova, BYTES);
	memset(buffer, 0, BYTES);
	drive_read(&drives[1], iova, BYTES);
	nvme_test_check(&drives[1].t, buffer, BYTES, 1);
	nvme_test_canaries(buffer, BYTES);
	nvme_test_free(&drives[0].t, buffer);

	/* The second stays when the first goes. */
	drive_close(&drives[0]);
	drive_check(&drives[1], 2);
	drive_open(&drives[0], the_vfio_test.nvme[0], &space);
	drive_check(&drives[0], 3);
	drive_close(&drives[1]);
	drive_check(&drives[0], 4);
	drive_close(&drives[0]);
	space_close(&space);
}

static void test_two_spaces(void **state)
{
	struct drive drives[2];
	struct space spaces[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		space_open(&spaces[i]);
		drive_open(&drives[i], the_vfio_test.nvme[i], &spaces[i]);
	}
	drive_check(&drives[0], 5);
	drive_check(&drives[1], 6);
	drive_close(&drives[0]);
	space_close(&spaces[0]);
	drive_check(&drives[1], 7);
	drive_close(&drives[1]);
	space_close(&spaces[1]);
}

static void test_user_memory(void **state)
{
	void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
	struct weir_mapping *mapping;
	struct weir_error err;
	struct drive drive;
	struct space space;

	(void)state;
	assert_true(memory != MAP_FAILED);
	space_open(&space);
	drive_open(&drive, the_vfio_test.nvme[0], &space);
	if (weir_ioas_map_user(space.ioas, memory, BYTES, WEIR_PROT_RW, &mapping, &err))
		fail_msg("%s", err.text);
	nvme_test_fill(memory, BYTES, 8);
	drive_write(&drive, weir_mapping_iova(mapping, memory), BYTES);
	memset(memory, 0, BYTES);
	drive_read(&drive, weir_mapping_iova(mapping, memory), BYTES);
	nvme_test_check(&drive.t, memory, BYTES, 8);
	assert_int_equal(weir_ioas_unmap(space.ioas, mapping, &err), 0);
	munmap(memory, BYTES);
	drive_check(&drive, 9);
	drive_close(&drive);
	space_close(&space);
}

/* A file's bytes from an offset on, mapped before there is a device. */
static void test_file_memory(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct weir_mapping *mapping;
	struct weir_error err;
	struct drive drive;
	struct space space;
	uint8_t *memory;

	(void)state;
	assert_int_equal(ftruncate(fd, 4 * BYTES), 0);
	memory = mmap(NULL, 4 * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(memory != MAP_FAILED);
	memset(memory, 0x77, 4 * BYTES);
	space_open(&space);
	if (weir_ioas_map_fd(space.ioas, fd, 2 * BYTES, BYTES, WEIR_PROT_RW, &mapping, &err))
		fail_msg("%s", err.text);
	drive_open(&drive, the_vfio_test.nvme[0], &space);
	nvme_test_fill(memory + 2 * BYTES, BYTES, 10);
	drive_write(&drive, weir_mapping_iova(mapping, NULL), BYTES);
	memset(memory + 2 * BYTES, 0x77, BYTES);
	drive_read(&drive, weir_mapping_iova(mapping, NULL), BYTES);
	nvme_test_check(&drive.t, memory + 2 * BYTES, BYTES, 10);
	for (size_t i = 0; i < 2 * BYTES; i++)
		assert_int_equal(memory[i], 0x77);
	for (size_t i = 3 * BYTES; i < 4 * BYTES; i++)
		assert_int_equal(memory[i], 0x77);
	drive_close(&drive);
	assert_int_equal(weir_ioas_unmap(space.ioas, mapping, &err), 0);
	space_close(&space);
	munmap(memory, 4 * BYTES);
	close(fd);
}

/* Not for root, whom no limit binds. */
static void test_locked_memory(void **state)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_mapping *mapping;
	struct rlimit limit, low;
	struct weir_device *dev;
	struct weir_error err;
	struct space space;
	void *memory;

	(void)state;
	if (!geteuid())
		skip();
	assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	low = limit;
	low.rlim_cur = 1 << 20;
	space_open(&space);
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &low), 0);

	/* The arena is there before the device. */
	options.transport = the_vfio_test.transport;
	assert_int_equal(weir_device_open(the_vfio_test.nvme[0], space.ioas, &options, &dev, &err),
			 -ENOMEM);
	assert_non_null(strstr(err.text, "needs 4.0 MiB"));
	assert_non_null(strstr(err.text, "1.0 MiB are allowed"));
	assert_non_null(strstr(err.text, "--memlock="));

	/* The device is there before the memory. */
	assert_int_equal(weir_ioas_unmap(space.ioas, space.mapping, NULL), 0);
	dev = device_open(the_vfio_test.nvme[0], space.ioas);
	memory = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	assert_int_equal(
		weir_ioas_map_user(space.ioas, memory, 2 << 20, WEIR_PROT_RW, &mapping, &err),
		-ENOMEM);
	assert_non_null(strstr(err.text, "needs 2.0 MiB"));
	/* Nothing of it is left. */
	assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (weir_ioas_map_user(space.ioas, memory, 2 << 20, WEIR_PROT_RW, &mapping, &err) ||
	    weir_ioas_map_arena(space.ioas, space.arena, &space.mapping, &err))
		fail_msg("%s", err.text);
	assert_int_equal(weir_ioas_unmap(space.ioas, mapping, NULL), 0);
	munmap(memory, 2 << 20);
	weir_device_close(dev);
	space_close(&space);
}

const struct CMUnitTest vfio_test_ioas[] = {
	cmocka_unit_test(test_two_devices_in_one), cmocka_unit_test(test_two_spaces),
	cmocka_unit_test(test_user_memory),	   cmocka_unit_test(test_file_memory),
	cmocka_unit_test(test_locked_memory),	   { 0 },
};
