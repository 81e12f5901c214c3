/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts that nobody keeps apart: a device could raise any of the host's by writing to memory.
 * For a guest without interrupt remapping (intremap=off). Who takes a device there must have been
 * allowed to by the administrator, at either door.
 */
#include <errno.h>
#include <unistd.h>

#include "../sysfs.h"
#include "cdev_calls.h"

#define PARAMETER "/sys/module/%s/parameters/allow_unsafe_interrupts"

static void must_allow(const char *module, bool allowed)
{
	must(sysfs_write(allowed ? "1" : "0", PARAMETER, module), "write allow_unsafe_interrupts");
}

static void check_containers(void)
{
	struct session session = must_open(EDU, 0), other;

	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EPERM,
	       "SET_IOMMU");
	must_allow("vfio_iommu_type1", true);
	expect(call_number(session.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0,
	       "SET_IOMMU, allowed");
	must_allow("vfio_iommu_type1", false);
	other.group = (int)must(open_group(NVME), "open a second group");
	expect(set_container(other.group, session.container), -EPERM, "SET_CONTAINER");
	must_allow("vfio_iommu_type1", true);
	expect(set_container(other.group, session.container), 0, "SET_CONTAINER, allowed");
	must_allow("vfio_iommu_type1", false);
}

static void check_nodes(void)
{
	int iommufd = must_open_iommufd(), group;
	int fd = (int)must(open_parked(the_devices[EDU].bdf), "open the node");

	expect(bind_device(fd, iommufd), -EPERM, "BIND");
	group = open_group(EDU);
	check(group >= 0, "which has bound nothing: the group can be opened");
	expect(set_container(group, iommufd), 0, "SET_CONTAINER of /dev/iommu");
	expect(get_device(group, the_devices[EDU].bdf), -EPERM, "GET_DEVICE_FD on /dev/iommu");
	must_allow("iommufd", true);
	check(get_device(group, the_devices[EDU].bdf) >= 0, "GET_DEVICE_FD, allowed");
	must_allow("iommufd", false);
	expect(bind_device((int)must(open_parked(the_devices[NVME].bdf), "open a node"), iommufd),
	       -EPERM, "BIND of another device");
}

static void check_nodes_allowed(void)
{
	int fd = (int)must(open_parked(the_devices[EDU].bdf), "open the node");

	must_allow("iommufd", true);
	check(bind_device(fd, must_open_iommufd()) > 0, "BIND, allowed");
	must_allow("iommufd", false);
}

static const struct conform_case cases[] = {
	{ "containers", check_containers },
	{ "nodes", check_nodes },
	{ "nodes, allowed", check_nodes_allowed },
};

const struct conform_part part_unsafe = { "unsafe", cases, ARRAY_SIZE(cases) };
