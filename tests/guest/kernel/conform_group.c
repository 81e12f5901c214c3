/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Groups: status, their container, names of devices, and files that are closed in every order.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define NO_SUCH_COMMAND _IO(VFIO_TYPE, VFIO_BASE + 99)
#define BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)
#define NO_SUCH_FD 999
#define TOKEN "c4b5f6a1-2f0e-4f5f-9a3c-0c5d6b7a8e90"

static void check_status(void)
{
	static const struct {
		uint32_t argsz;
		long result;
	} sizes[] = {
		{ 0, -EINVAL }, { 4, -EINVAL }, { 7, -EINVAL }, { 8, 0 }, { 4096, 0 }, { ~0u, 0 },
	};
	int group = (int)must(open_group(EDU), "open the group");
	int container = (int)must(open_container(), "open the container");
	struct vfio_group_status status;
	char byte = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		status = (struct vfio_group_status){ .argsz = sizes[i].argsz };
		expect(call(group, VFIO_GROUP_GET_STATUS, &status), sizes[i].result,
		       "GET_STATUS with argsz %u", sizes[i].argsz);
	}
	check(status.flags == VFIO_GROUP_FLAGS_VIABLE, "the group is viable and has no container");
	expect(call(group, VFIO_GROUP_GET_STATUS, NULL), -EFAULT, "GET_STATUS of no address");
	must(set_container(group, container), "SET_CONTAINER");
	must(call(group, VFIO_GROUP_GET_STATUS, &status), "GET_STATUS");
	check(status.flags == (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET),
	      "with a container it is viable and says so");
	expect(call(group, NO_SUCH_COMMAND, NULL), -ENOTTY, "an unknown command");
	expect(read(group, &byte, 1) < 0 ? -errno : 0, -EINVAL, "read()");
	expect(write(group, &byte, 1) < 0 ? -errno : 0, -EINVAL, "write()");
	expect(open_group(EDU), -EBUSY, "a second open");
	close(group);
	group = open_group(EDU);
	expect(group < 0 ? group : 0, 0, "an open after the close");
}

static void check_container(void)
{
	int group = (int)must(open_group(EDU), "open the group");
	int container = (int)must(open_container(), "open the container");
	int other = (int)must(open_container(), "open another container");
	int null = open("/dev/null", O_RDWR);
	int32_t number;

	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EINVAL,
	       "UNSET_CONTAINER without one");
	expect(call(group, VFIO_GROUP_SET_CONTAINER, NULL), -EFAULT, "SET_CONTAINER of no address");
	number = -1;
	expect(call(group, VFIO_GROUP_SET_CONTAINER, &number), -EBADF, "SET_CONTAINER of -1");
	number = NO_SUCH_FD;
	expect(call(group, VFIO_GROUP_SET_CONTAINER, &number), -EBADF,
	       "SET_CONTAINER of a closed file");
	expect(set_container(group, null), -EBADFD, "SET_CONTAINER of /dev/null");
	expect(set_container(group, group), -EBADFD, "SET_CONTAINER of the group itself");
	expect(get_device(group, the_devices[EDU].bdf), -EINVAL,
	       "GET_DEVICE_FD without a container");
	expect(get_device(group, "nobody"), -ENODEV,
	       "GET_DEVICE_FD of a name that nobody has, without a container");
	expect(set_container(group, container), 0, "SET_CONTAINER");
	expect(set_container(group, container), -EINVAL, "SET_CONTAINER again");
	expect(set_container(group, other), -EINVAL, "SET_CONTAINER of another one");
	expect(get_device(group, the_devices[EDU].bdf), -EINVAL, "GET_DEVICE_FD before SET_IOMMU");
	expect(get_device(group, "nobody"), -ENODEV,
	       "GET_DEVICE_FD of a name that nobody has, before SET_IOMMU");
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0, "UNSET_CONTAINER");
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EINVAL, "UNSET_CONTAINER again");
	expect(set_container(group, other), 0, "SET_CONTAINER of another one after that");
}

static void expect_device(int group, long result, const char *name, const char *what)
{
	long fd = get_device(group, name);

	expect(fd < 0 ? fd : 0, result, "GET_DEVICE_FD of %s", what);
	if (fd >= 0)
		close((int)fd);
}

static void check_names(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	const char *bdf = the_devices[EDU].bdf;
	struct {
		const char *what;
		const char *end; /* of the name, behind the address */
		long result;
	} ends[] = {
		{ "the address", "", 0 },
		{ "the address and a space", " ", 0 },
		{ "the address and more digits", "0", -ENODEV },
		{ "the address and an unknown option", " colour=red", -EINVAL },
		{ "the address and a token that is none", " vf_token=123", -EINVAL },
		{ "the address and a token for what takes none", " vf_token=" TOKEN, -EINVAL },
	};
	static char endless[2 * PAGE];
	char name[128];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(name, sizeof(name), "%s%s", bdf, ends[i].end);
		expect_device(session.group, ends[i].result, name, ends[i].what);
	}
	snprintf(name, sizeof(name), "%.*s", (int)strlen(bdf) - 1, bdf);
	expect_device(session.group, -ENODEV, name, "an address cut short");
	expect_device(session.group, -ENODEV, "", "an empty name");
	expect_device(session.group, -ENODEV, "nobody", "a name that nobody has");
	expect_device(session.group, -ENODEV, the_devices[NVME].bdf, "another group's device");
	expect_device(session.group, -EFAULT, NULL, "no address");
	memset(endless, 'x', sizeof(endless));
	expect_device(session.group, -EINVAL, endless, "a name longer than a page");
}

static void check_users(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int second = (int)must(get_device(session.group, the_devices[EDU].bdf),
			       "GET_DEVICE_FD a second time");

	expect(call(session.group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EBUSY,
	       "UNSET_CONTAINER with two files of a device");
	close(session.device);
	expect(call(session.group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EBUSY,
	       "UNSET_CONTAINER with one file of a device");
	expect(call(second, VFIO_DEVICE_GET_INFO, &info), 0, "the second file works on");
	expect(call(second, BIND_IOMMUFD, &info),
	       sysfs_exists("/dev/vfio/devices") ? -EINVAL : -ENOTTY,
	       "BIND_IOMMUFD of a device that a group opened");
	close(session.group);
	expect(open_group(EDU), -EBUSY, "open of a group whose device is open");
	expect(call(second, VFIO_DEVICE_GET_INFO, &info), 0,
	       "the file works on without its group's");
	close(second);
	session.group = open_group(EDU);
	expect(session.group < 0 ? session.group : 0, 0, "open after the last device file");
	expect(set_container(session.group, session.container), 0, "and its container takes it");
}

/* What a process has open: a container, a group, a device, memory that is mapped, a BAR. */
static void close_in_order(const int order[3])
{
	static const char *const names[] = { "container", "group", "device" };
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	int fds[] = { session.container, session.group, session.device };
	long locked = locked_kilobytes();
	void *memory = must_allocate(16 * PAGE);
	size_t size = must_region(session.device, VFIO_PCI_BAR0_REGION_INDEX).size;
	void *bar = must_map_region(session.device, VFIO_PCI_BAR0_REGION_INDEX);
	char label[64];

	must(map_dma(session.container, memory, 0, 16 * PAGE, READ_WRITE), "MAP_DMA");
	set_command(session.device, true, true);
	for (int i = 0; i < 3; i++)
		close(fds[order[i]]);
	snprintf(label, sizeof(label), "%s, %s, %s", names[order[0]], names[order[1]],
		 names[order[2]]);
	check(readable(bar), "%s closed: the BAR's mapping holds the device", label);
	expect(open_group(EDU), -EBUSY, "%s closed: so that its group is in use", label);
	munmap(bar, size);
	expect(locked_kilobytes() - locked, 0, "%s closed, BAR unmapped: nothing is charged",
	       label);
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	expect(map_dma(session.container, memory, 0, 16 * PAGE, READ_WRITE), 0,
	       "%s closed: all of it can be had again", label);
	expect(hardware_config(EDU, 4, 2) & 4, 0, "%s closed: bus mastering is off", label);
	close_session(&session);
	munmap(memory, 16 * PAGE);
}

static void check_orders(void)
{
	static const int orders[][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		close_in_order(orders[i]);
}

static void check_nodes(void)
{
	char driver[64];

	check(sysfs_exists("%s", the_devices[EDU].node), "a bound device's group has a node");
	check(sysfs_exists("/sys/class/vfio/%s", strrchr(the_devices[EDU].node, '/') + 1),
	      "and a device of class vfio");
	must(sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
	check(!sysfs_exists("%s", the_devices[EDU].node), "the node goes with its last device");
	must(sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/bind"), "bind");
	sysfs_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", the_devices[EDU].bdf);
	check(strcmp(driver, "vfio-pci") == 0 && sysfs_exists("%s", the_devices[EDU].node),
	      "and comes back with it");
}

static void check_new_id(void)
{
	const char *bdf = the_devices[EDU].bdf;
	char driver[64];

	must(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
	must(sysfs_write("\n", "/sys/bus/pci/devices/%s/driver_override", bdf),
	     "no driver_override");
	expect(sysfs_write("1234 11e8", "/sys/bus/pci/drivers/vfio-pci/new_id"), 0, "new_id");
	sysfs_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", bdf);
	check(strcmp(driver, "vfio-pci") == 0, "a device with a new id is bound");
	expect(sysfs_write("1234 11e8", "/sys/bus/pci/drivers/vfio-pci/remove_id"), 0, "remove_id");
	must(sysfs_write("vfio-pci", "/sys/bus/pci/devices/%s/driver_override", bdf),
	     "driver_override");
}

static const struct conform_case cases[] = {
	{ "status", check_status },
	{ "a group's container", check_container },
	{ "names of devices", check_names },
	{ "files of devices", check_users },
	{ "files closed in every order", check_orders },
	{ "nodes", check_nodes },
	{ "new_id", check_new_id },
};

const struct conform_part part_group = { "group", cases, ARRAY_SIZE(cases) };
