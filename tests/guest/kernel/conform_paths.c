/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths of Weir's modules that no other part takes: how mappings and devices go while both are in
 * use. locks.py has lockdep's word for it that they were taken. For a kernel with fault injection.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"
#include "shortage.h"

#define SIZE (16 * PAGE)
#define BAR_IOVA (1ull << 30)
#define MOST_ALLOCATIONS 2000

/* A device with memory mapped, and a BAR of its own, which need page tables of their own. */
static struct session must_open_mapped(enum conform_kind kind)
{
	struct session session = must_open(kind, VFIO_TYPE1v2_IOMMU);
	void *memory = must_allocate(SIZE), *bar;

	set_command(session.device, true, true);
	bar = must_map_region(session.device, VFIO_PCI_BAR0_REGION_INDEX);
	must(map_dma(session.container, memory, 0, SIZE, READ_WRITE), "MAP_DMA of memory");
	must(map_dma(session.container, bar, BAR_IOVA, PAGE, READ_WRITE), "MAP_DMA of a BAR");
	munmap(bar, must_region(session.device, VFIO_PCI_BAR0_REGION_INDEX).size);
	return session;
}

static long hot_reset(const struct session *session)
{
	struct {
		struct vfio_pci_hot_reset header;
		int32_t group;
	} request = { .header = { .argsz = sizeof(request), .count = 1 }, .group = session->group };

	return call(session->device, VFIO_DEVICE_PCI_HOT_RESET, &request);
}

static void check_losses(void)
{
	struct session session = must_open_mapped(NVME);

	expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET with a BAR mapped");
	expect(hot_reset(&session), 0, "PCI_HOT_RESET with a BAR mapped");
	set_command(session.device, false, true);
	set_command(session.device, true, true);
	set_power_state(session.device, 3);
	set_power_state(session.device, 0);
	close(session.device);
	session.device = -1;
	expect(unmap_dma(session.container, BAR_IOVA, PAGE, 0), PAGE,
	       "UNMAP_DMA of the BAR after its device was closed");
	close_session(&session);
}

static void check_last_group(void)
{
	struct session session = must_open_mapped(EDU);
	long locked = locked_kilobytes();

	close(session.device);
	session.device = -1;
	expect(call(session.group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0,
	       "UNSET_CONTAINER with memory and a BAR mapped");
	expect(locked - locked_kilobytes(), SIZE / 1024, "nothing is charged any more");
	close_session(&session);
}

/* The group has no device any more, and its user still has the group. */
static void check_removal(void)
{
	struct session session = must_open_mapped(EDU);
	const char *bdf = the_devices[EDU].bdf;
	long locked = locked_kilobytes();

	close(session.device);
	session.device = -1;
	must(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
	expect(locked - locked_kilobytes(), SIZE / 1024, "with its device a group's mappings go");
	expect(set_container(session.group, session.container), -ENODEV,
	       "SET_CONTAINER of a group without a device");
	close_session(&session);
	must(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/bind"), "bind");
}

/*
 * All groups of this machine can have one domain. One that cannot be had for lack of memory makes
 * the group get a domain of its own, and all areas are mapped there, too.
 */
static void check_domains(void)
{
	struct session session = must_open_mapped(NIC);
	unsigned int n = 1, refused = 0;
	long result = 0;
	bool met = true;
	int group;

	must_prepare_shortage();
	for (; met && n < MOST_ALLOCATIONS; n++) {
		group = (int)must(open_group(NVME), "open the second group");
		shortage_begin(n);
		result = set_container(group, session.container);
		met = shortage_end();
		refused += result != 0;
		close(group);
	}
	check(!met && result == 0 && refused > 0,
	      "a second group joins, whatever allocation failed before");
	expect(unmap_dma(session.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), SIZE + PAGE,
	       "and all areas are there");
	close_session(&session);
}

static const struct conform_case cases[] = {
	{ "loss of a BAR", check_losses },
	{ "the last group goes", check_last_group },
	{ "the last device goes", check_removal },
	{ "domains", check_domains },
};

const struct conform_part part_paths = { "paths", cases, ARRAY_SIZE(cases) };
