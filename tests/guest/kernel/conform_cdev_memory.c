/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices' own nodes, and contexts in a container's place, when memory runs out (shortage.h).
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cdev_calls.h"
#include "shortage.h"

#define SIZE (16 * PAGE)

/* As in conform_memory.c: what of the kernel's own does not bear it. */
static const struct shortage_spared routing = { "acpi_pci_irq_enable", "acpi_pci_irq_disable" };
static const struct shortage_spared detaching = { "iommu_detach_group",
						  "iommu_group_release_dma_owner" };

/* What a case has open, and what a step has. */
static int iommufd = -1, group = -1, device = -1;
static uint32_t first, second;

static void prepare_case(void)
{
	void *memory = must_allocate(SIZE);

	iommufd = must_open_iommufd();
	first = must_ioas(iommufd);
	second = must_ioas(iommufd);
	must(ioas_map_at(iommufd, first, memory, SIZE, 0), "IOAS_MAP");
	must(ioas_map_at(iommufd, second, memory, SIZE, SIZE), "IOAS_MAP");
}

static void close_all(void)
{
	if (device >= 0)
		close(device);
	if (group >= 0)
		close(group);
	device = group = -1;
}

static long of_id(long result)
{
	return result < 0 ? result : 0;
}

static long park_kind(enum conform_kind kind)
{
	device = open_parked(the_devices[kind].bdf);
	return of_id(device);
}

static long park(void)
{
	return park_kind(NVME);
}

static void must_park(void)
{
	must(park(), "open the node");
}

static long bind(void)
{
	return of_id(bind_device(device, iommufd));
}

static void must_be_bound(void)
{
	must_park();
	must(bind(), "BIND");
}

static long attach(void)
{
	return of_id(attach_device(device, first));
}

static long attach_elsewhere(void)
{
	return of_id(attach_device(device, second));
}

static void must_be_attached(void)
{
	must_be_bound();
	must(attach(), "ATTACH");
}

/*
 * What is closed is detached and has its interrupt routed no more, and one range of the kernel's
 * code is all that can be spared. Plain memory has no interrupt.
 */
static void must_be_attached_unrouted(void)
{
	must(hardware_config(MEMORY, PCI_INTERRUPT_PIN, 1) ? -EINVAL : 0,
	     "have a device without an interrupt line");
	must(park_kind(MEMORY), "open the memory's node");
	must(bind(), "BIND");
	must(attach(), "ATTACH");
}

static long detach(void)
{
	return detach_device(device);
}

static long close_device(void)
{
	close(device);
	device = -1;
	return 0;
}

static long hot_reset_info(void)
{
	struct {
		struct vfio_pci_hot_reset_info header;
		struct vfio_pci_dependent_device devices[8];
	} info = { .header.argsz = sizeof(info) };

	return call(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);
}

static long hot_reset(void)
{
	struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

	return call(device, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

static void check_nodes(void)
{
	static const struct shortage_step steps[] = {
		{ "open a node", NULL, park, close_all },
		{ "BIND", must_park, bind, close_all, &routing },
		{ "ATTACH", must_be_bound, attach, close_all },
	};

	prepare_case();
	shortage_run(steps, ARRAY_SIZE(steps));
}

static void check_attached(void)
{
	static const struct shortage_step steps[] = {
		{ "ATTACH elsewhere", must_be_attached, attach_elsewhere, close_all, &detaching },
		{ "DETACH", must_be_attached, detach, close_all, &detaching, .cannot_fail = true },
		{ "close a node", must_be_attached_unrouted, close_device, NULL, &detaching,
		  .cannot_fail = true },
	};

	prepare_case();
	shortage_run(steps, ARRAY_SIZE(steps));
}

static void check_resets(void)
{
	static const struct shortage_step steps[] = {
		{ "GET_PCI_HOT_RESET_INFO", must_be_bound, hot_reset_info, close_all },
		{ "PCI_HOT_RESET", must_be_bound, hot_reset, close_all, .cannot_fail = true },
	};

	prepare_case();
	shortage_run(steps, ARRAY_SIZE(steps));
}

static void must_open_group(void)
{
	group = (int)must(open_group(NVME), "open the group");
}

static long join(void)
{
	return set_container(group, iommufd);
}

static void must_join_context(void)
{
	must_open_group();
	must(join(), "SET_CONTAINER");
}

static long get(void)
{
	device = (int)get_device(group, the_devices[NVME].bdf);
	return of_id(device);
}

/* For the context's first group an address space is made. */
static void must_be_first(void)
{
	must_open_group();
	must(vfio_ioas(iommufd, VFIO_IOAS_CLEAR, 0), "VFIO_IOAS CLEAR");
}

static void check_groups(void)
{
	static const struct shortage_step steps[] = {
		{ "SET_CONTAINER", must_be_first, join, close_all },
		{ "GET_DEVICE_FD", must_join_context, get, close_all, &routing },
	};

	prepare_case();
	shortage_run(steps, ARRAY_SIZE(steps));
}

static const struct conform_case cases[] = {
	{ "nodes", check_nodes },
	{ "attached nodes", check_attached },
	{ "resets by a context", check_resets },
	{ "groups on a context", check_groups },
};

const struct conform_part part_cdev_memory = { "cdev-memory", cases, ARRAY_SIZE(cases) };
