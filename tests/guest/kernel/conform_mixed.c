/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device without an IOMMU beside others that have one: no container, and no context in the place
 * of one, takes both kinds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "cdev_calls.h"

#define PARAMETER "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define NVME_CLASS 0x010802

/* The device's address, and the node of its group, when it has been taken. */
static char bdf[16], node[48];

static void must_take(void)
{
	DIR *folder = opendir("/sys/bus/pci/devices");
	const struct dirent *entry;
	char group[16];

	while (folder && (entry = readdir(folder))) {
		if (sysfs_number("/sys/bus/pci/devices/%s/class", entry->d_name) == NVME_CLASS &&
		    !sysfs_exists("/sys/bus/pci/devices/%s/iommu_group", entry->d_name))
			snprintf(bdf, sizeof(bdf), "%.15s", entry->d_name);
	}
	if (folder)
		closedir(folder);
	must(bdf[0] ? 0 : -ENOENT, "find a drive without an IOMMU");
	must(sysfs_write("Y", PARAMETER), "write the parameter");
	must(type1_bind(bdf), "bind the drive");
	sysfs_link(group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	snprintf(node, sizeof(node), "/dev/vfio/noiommu-%s", group);
}

static int must_open_drive(void)
{
	int fd = open(node, O_RDWR | O_CLOEXEC);

	return (int)must(fd < 0 ? -errno : fd, "open the drive's group");
}

static void check_containers(int drive, int edu)
{
	int container = (int)must(open_container(), "open the container");
	int other = (int)must(open_container(), "open another container");

	expect(set_container(edu, container), 0, "SET_CONTAINER with an IOMMU");
	expect(call_number(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 0,
	       "CHECK_EXTENSION NOIOMMU with an IOMMU");
	expect(call_number(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), -ENODEV,
	       "SET_IOMMU NOIOMMU with an IOMMU");
	expect(set_container(drive, container), -EPERM, "SET_CONTAINER without, beside it");
	must(call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "SET_IOMMU");
	expect(set_container(drive, container), -EPERM, "and after SET_IOMMU");
	expect(set_container(drive, other), 0, "SET_CONTAINER without an IOMMU");
	must(call(edu, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
	expect(set_container(edu, other), -EPERM, "SET_CONTAINER with one, beside it");
	must(call_number(other, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), "SET_IOMMU NOIOMMU");
	expect(set_container(edu, other), -EPERM, "and after SET_IOMMU");
	expect(set_container(edu, container), 0, "a container that is empty takes it");
	must(call(edu, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
	must(call(drive, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
	expect(set_container(edu, other), 0, "also one that had the other kind");
	must(call(edu, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
}

static void check_contexts(int drive, int edu)
{
	int context = must_open_iommufd(), other = must_open_iommufd();

	about("/dev/iommu");
	expect(set_container(edu, context), 0, "SET_CONTAINER with an IOMMU");
	expect(set_container(drive, context), -EINVAL, "SET_CONTAINER without, beside it");
	expect(set_container(drive, other), 0, "SET_CONTAINER without an IOMMU");
	must(call(edu, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
	expect(set_container(edu, other), -EINVAL, "SET_CONTAINER with one, beside it");
	must(call(drive, VFIO_GROUP_UNSET_CONTAINER, NULL), "UNSET_CONTAINER");
	expect(set_container(edu, other), -EINVAL, "and when the other has gone");
	expect(vfio_ioas(other, VFIO_IOAS_SET, must_ioas(other)), 0, "VFIO_IOAS SET");
	expect(set_container(edu, other), -EINVAL, "and with an address space");
}

static void check_mixed(void)
{
	int drive, edu;

	must_take();
	drive = must_open_drive();
	edu = (int)must(open_group(EDU), "open the group");
	check_containers(drive, edu);
	check_contexts(drive, edu);
}

static const struct conform_case cases[] = {
	{ "both kinds of groups", check_mixed },
};

const struct conform_part part_mixed = { "mixed", cases, ARRAY_SIZE(cases) };
