/* SPDX-License-Identifier: BSD-3-Clause */
#include "vfio_test.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (4u << 20)
#define CHECK_BYTES (64u << 10)

void space_open(struct space *space)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_error err;

	options.bytes = ARENA_BYTES;
	options.page_size = WEIR_PAGE_4K;
	if (weir_ioas_create(NULL, &space->ioas, &err) ||
	    weir_arena_create(&options, &space->arena, &err) ||
	    weir_ioas_map_arena(space->ioas, space->arena, &space->mapping, &err))
		fail_msg("%s", err.text);
}

void space_close(struct space *space)
{
	assert_int_equal(weir_ioas_unmap(space->ioas, space->mapping, NULL), 0);
	weir_arena_destroy(space->arena);
	assert_int_equal(weir_ioas_destroy(space->ioas), 0);
}

struct weir_device *device_open(const char *address, struct weir_ioas *ioas)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_device *dev;
	struct weir_error err;

	options.transport = the_vfio_test.transport;
	if (weir_device_open(address, ioas, &options, &dev, &err))
		fail_msg("%s", err.text);
	return dev;
}

void drive_open(struct drive *drive, const char *address, struct space *space)
{
	struct weir_error err;

	memset(drive, 0, sizeof(*drive));
	drive->dev = device_open(address, space->ioas);
	drive->t.address = address;
	drive->t.arena = space->arena;
	if (weir_nvme_create(drive->dev, space->arena, NULL, &drive->t.nvme, &err))
		fail_msg("%s", err.text);
	drive->t.ns = weir_nvme_next_ns(drive->t.nvme, 0);
	assert_non_null(drive->t.ns);
	weir_nvme_ns_info(drive->t.ns, &drive->t.ns_info);
	drive->qp = nvme_test_qp(&drive->t, 0);
}

void drive_close(struct drive *drive)
{
	weir_nvme_close(drive->t.nvme);
	weir_device_close(drive->dev);
}

static void move(struct drive *drive, uint8_t opcode, uint64_t iova, size_t bytes)
{
	struct weir_nvme_io io = {
		.opcode = opcode,
		.blocks = (uint32_t)(bytes / drive->t.ns_info.block_bytes),
		.data = iova,
		.cookie = 1,
	};

	nvme_test_ok(&drive->t, drive->qp, drive->t.ns, &io);
}

void drive_write(struct drive *drive, uint64_t iova, size_t bytes)
{
	move(drive, WEIR_NVME_WRITE, iova, bytes);
}

void drive_read(struct drive *drive, uint64_t iova, size_t bytes)
{
	move(drive, WEIR_NVME_READ, iova, bytes);
}

void drive_check(struct drive *drive, uint64_t seed)
{
	uint8_t *buffer = nvme_test_buffer(&drive->t, CHECK_BYTES);
	uint64_t iova = nvme_test_iova(&drive->t, buffer);

	nvme_test_fill(buffer, CHECK_BYTES, seed);
	drive_write(drive, iova, CHECK_BYTES);
	memset(buffer, 0x5a, CHECK_BYTES);
	drive_read(drive, iova, CHECK_BYTES);
	nvme_test_check(&drive->t, buffer, CHECK_BYTES, seed);
	nvme_test_canaries(buffer, CHECK_BYTES);
	nvme_test_free(&drive->t, buffer);
}
