/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Peer-to-peer, judged by data: QEMU's NVMe reports success also for a transfer that its IOMMU
 * refused.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <weir/p2p.h>

#include "vfio_test.h"

#define MEMORY_BAR 2
#define BYTES (64u << 10)
#define OFFSET (1u << 20) /* of the part that is exported */

static void bar_fill(volatile uint64_t *bar, uint64_t value)
{
	for (size_t i = 0; i < BYTES / sizeof(*bar); i++)
		bar[i] = value;
}

static void bar_copy(volatile uint64_t *bar, uint64_t *to)
{
	for (size_t i = 0; i < BYTES / sizeof(*bar); i++)
		to[i] = bar[i];
}

/* Two drives, the memory of another device in their space, and where that is for the CPU. */
struct peers {
	struct space space, own; /* the memory's own, where the kernel lets it have one */
	struct space *memory_space;
	struct weir_device *memory;
	struct drive drives[2];
	volatile uint64_t *bar;
	struct weir_dmabuf dmabuf;
};

static bool same_group(const char *one, const char *other)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/devices/%s", one, other);
	return !access(path, F_OK);
}

static void peers_open(struct peers *peers)
{
	const struct weir_range range = { OFFSET, BYTES };
	struct weir_error err;

	space_open(&peers->space);
	space_open(&peers->own);
	/* The functions of an IOMMU group are in one address space. */
	peers->memory_space = same_group(the_vfio_test.memory, the_vfio_test.nvme[0])
				      ? &peers->space
				      : &peers->own;
	peers->memory = device_open(the_vfio_test.memory, peers->memory_space->ioas);
	peers->bar = weir_device_bar(peers->memory, MEMORY_BAR, OFFSET, BYTES);
	assert_non_null(peers->bar);
	for (int i = 0; i < 2; i++)
		drive_open(&peers->drives[i], the_vfio_test.nvme[i], &peers->space);
	if (weir_dmabuf_export(peers->memory, MEMORY_BAR, &range, 1, &peers->dmabuf, &err))
		fail_msg("%s", err.text);
	assert_int_equal(peers->dmabuf.bytes, BYTES);
}

static void peers_close(struct peers *peers)
{
	for (int i = 0; i < 2; i++)
		drive_close(&peers->drives[i]);
	weir_device_close(peers->memory);
	space_close(&peers->own);
	space_close(&peers->space);
}

static void test_copy(void **state)
{
	uint8_t *buffer, *neighbour;
	struct weir_mapping *mapping;
	struct peers peers;
	struct weir_error err;
	uint64_t iova, arena_iova;
	struct nvme_test *t;

	(void)state;
	peers_open(&peers);
	t = &peers.drives[0].t;
	if (weir_ioas_map_dmabuf(peers.space.ioas, peers.dmabuf.fd, peers.dmabuf.offset, BYTES,
				 WEIR_PROT_RW, &mapping, &err))
		fail_msg("%s", err.text);
	close(peers.dmabuf.fd);
	iova = weir_mapping_iova(mapping, NULL);
	buffer = nvme_test_buffer(t, BYTES);
	neighbour = nvme_test_buffer(t, BYTES);
	arena_iova = nvme_test_iova(t, buffer);

	/* Drive to BAR. */
	nvme_test_fill(buffer, BYTES, 20);
	drive_write(&peers.drives[0], arena_iova, BYTES);
	bar_fill(peers.bar, UINT64_C(0xdeaddeaddeaddead));
	peers.bar[BYTES / 8] = 0x1234;
	drive_read(&peers.drives[0], iova, BYTES);
	bar_copy(peers.bar, (uint64_t *)(void *)neighbour);
	nvme_test_check(t, neighbour, BYTES, 20);
	assert_int_equal(peers.bar[BYTES / 8], 0x1234);

	/* BAR to the other drive. */
	memset(buffer, 0, BYTES);
	drive_write(&peers.drives[1], arena_iova, BYTES);
	drive_write(&peers.drives[1], iova, BYTES);
	memset(buffer, 0x66, BYTES);
	drive_read(&peers.drives[1], arena_iova, BYTES);
	nvme_test_check(&peers.drives[1].t, buffer, BYTES, 20);
	nvme_test_canaries(buffer, BYTES);
	nvme_test_free(t, buffer);
	nvme_test_free(t, neighbour);
	assert_int_equal(weir_ioas_unmap(peers.space.ioas, mapping, &err), 0);
	peers_close(&peers);
}

/* Only what lies in the BAR can be had, and nothing of one that is not there. */
static void test_limits(void **state)
{
	struct weir_mapping *mapping;
	struct weir_dmabuf dmabuf;
	struct weir_range range;
	struct peers peers;
	uint64_t bytes;

	(void)state;
	peers_open(&peers);
	bytes = weir_device_region_bytes(peers.memory, MEMORY_BAR);
	range = (struct weir_range){ bytes - 4096, 8192 };
	assert_int_equal(weir_dmabuf_export(peers.memory, MEMORY_BAR, &range, 1, &dmabuf, NULL),
			 -EINVAL);
	range = (struct weir_range){ 0, 4096 };
	assert_int_equal(weir_dmabuf_export(peers.memory, 5, &range, 1, &dmabuf, NULL), -ENODEV);
	assert_int_not_equal(weir_ioas_map_dmabuf(peers.space.ioas, peers.dmabuf.fd,
						  peers.dmabuf.offset, 2 * bytes, WEIR_PROT_RW,
						  &mapping, NULL),
			     0);
	close(peers.dmabuf.fd);
	peers_close(&peers);
}

/* The mapping outlives the device's handle. */
static void test_close_first(void **state)
{
	struct weir_mapping *mapping;
	struct weir_error err;
	struct peers peers;

	(void)state;
	peers_open(&peers);
	if (weir_ioas_map_dmabuf(peers.space.ioas, peers.dmabuf.fd, peers.dmabuf.offset, BYTES,
				 WEIR_PROT_RW, &mapping, &err))
		fail_msg("%s", err.text);
	close(peers.dmabuf.fd);
	weir_device_close(peers.memory);
	drive_check(&peers.drives[0], 21);
	assert_int_equal(weir_ioas_unmap(peers.space.ioas, mapping, &err), 0);
	peers.memory = device_open(the_vfio_test.memory, peers.memory_space->ioas);
	peers_close(&peers);
}

static void test_no_export(void **state)
{
	const struct weir_range range = { OFFSET, BYTES };
	struct weir_dmabuf dmabuf;
	struct weir_device *dev;
	struct weir_error err;
	struct space space;

	(void)state;
	space_open(&space);
	dev = device_open(the_vfio_test.memory, space.ioas);
	assert_int_equal(weir_dmabuf_export(dev, MEMORY_BAR, &range, 1, &dmabuf, &err),
			 -EOPNOTSUPP);
	assert_non_null(strstr(err.text, the_vfio_test.memory));
	weir_device_close(dev);
	space_close(&space);
}

const struct CMUnitTest vfio_test_p2p[] = {
	cmocka_unit_test(test_copy),
	cmocka_unit_test(test_limits),
	cmocka_unit_test(test_close_first),
	{ 0 },
};

/* Where the kernel's modules do not export BARs. */
const struct CMUnitTest vfio_test_no_p2p[] = {
	cmocka_unit_test(test_no_export),
	{ 0 },
};
