/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices by their own nodes: what a parked file may do, which is nothing; BIND, ATTACH, DETACH;
 * groups and nodes at the same time.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../edu.h"
#include "cdev_calls.h"

#define NO_SUCH_COMMAND _IO(VFIO_TYPE, VFIO_BASE + 99)
#define NO_SUCH_FD 999
#define NO_SUCH_ID 9999u
#define LARGE 64u /* bytes, more than any of the structures has */

static long parked_mmap(int fd)
{
	void *address = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (address == MAP_FAILED)
		return -errno;
	munmap(address, PAGE);
	return 0;
}

/* Everything but BIND. */
static void check_nothing(int fd, const char *what)
{
	static const struct {
		const char *name;
		unsigned long request;
	} commands[] = {
		{ "GET_INFO", VFIO_DEVICE_GET_INFO },
		{ "GET_REGION_INFO", VFIO_DEVICE_GET_REGION_INFO },
		{ "GET_IRQ_INFO", VFIO_DEVICE_GET_IRQ_INFO },
		{ "SET_IRQS", VFIO_DEVICE_SET_IRQS },
		{ "RESET", VFIO_DEVICE_RESET },
		{ "GET_PCI_HOT_RESET_INFO", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO },
		{ "PCI_HOT_RESET", VFIO_DEVICE_PCI_HOT_RESET },
		{ "DEVICE_FEATURE", VFIO_DEVICE_FEATURE },
		{ "ATTACH_IOMMUFD_PT", DEVICE_ATTACH },
		{ "DETACH_IOMMUFD_PT", DEVICE_DETACH },
		{ "a command that is not there", NO_SUCH_COMMAND },
	};
	uint32_t argument[64] = { sizeof(argument) };
	char byte = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		expect(call(fd, commands[i].request, argument), -EINVAL, "%s: %s", what,
		       commands[i].name);
		expect(call(fd, commands[i].request, NULL), -EINVAL, "%s: %s of no address", what,
		       commands[i].name);
	}
	expect(read(fd, &byte, 1) < 0 ? -errno : 0, -EINVAL, "%s: read()", what);
	expect(write(fd, &byte, 1) < 0 ? -errno : 0, -EINVAL, "%s: write()", what);
	expect(pread(fd, &byte, 1, (off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) < 0 ? -errno : 0,
	       -EINVAL, "%s: pread() of configuration space", what);
	expect(pwrite(fd, &byte, 1, (off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) < 0 ? -errno : 0,
	       -EINVAL, "%s: pwrite() of configuration space", what);
	expect(parked_mmap(fd), -EINVAL, "%s: mmap()", what);
}

static void check_parked(void)
{
	const char *bdf = the_devices[EDU].bdf;
	int fd = (int)must(open_parked(bdf), "open the node"), other, copy;
	struct session session;

	check_nothing(fd, "parked");
	other = open_parked(bdf);
	expect(other < 0 ? other : 0, 0, "a second open");
	copy = dup(fd);
	check_nothing(copy, "dup()");
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	other = open_parked(bdf);
	expect(other < 0 ? other : 0, 0, "an open while the group's device is open");
	check_nothing(other, "while the group's device is open");
	set_command(session.device, true, false);
	check(readable(must_map_region(session.device, 0)), "which works as if nobody were parked");
}

static void check_bind_arguments(void)
{
	const char *bdf = the_devices[EDU].bdf;
	int fd = (int)must(open_parked(bdf), "open the node"), other = open_parked(bdf);
	int iommufd = must_open_iommufd();
	int null = open("/dev/null", O_RDWR), container = open_container();
	int group = open_group(NVME);
	struct {
		const char *what;
		uint32_t argsz, flags;
		int fd;
		long result;
	} table[] = {
		{ "argsz 0", 0, 0, iommufd, -EINVAL },
		{ "argsz 11", 11, 0, iommufd, -EINVAL },
		{ "argsz 15", 15, 0, iommufd, -EINVAL },
		{ "the flag of a token that is none", sizeof(struct device_bind), 1, iommufd,
		  -EFAULT },
		{ "an unknown flag", sizeof(struct device_bind), 2, iommufd, -EINVAL },
		{ "file -1", BIND_LEAST, 0, -1, -EINVAL },
		{ "a closed file", BIND_LEAST, 0, NO_SUCH_FD, -EBADF },
		{ "/dev/null", BIND_LEAST, 0, null, -EBADFD },
		{ "a container", BIND_LEAST, 0, container, -EBADFD },
		{ "a group", BIND_LEAST, 0, group, -EBADFD },
		{ "itself", BIND_LEAST, 0, fd, -EBADFD },
		{ "another file of the device", BIND_LEAST, 0, other, -EBADFD },
	};
	struct device_bind bind = { 0 };
	unsigned char *bytes, large[LARGE] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		bind = (struct device_bind){ .argsz = table[i].argsz,
					     .flags = table[i].flags,
					     .iommufd = table[i].fd };
		expect(call(fd, DEVICE_BIND, &bind), table[i].result, "BIND, %s", table[i].what);
	}
	expect(call(fd, DEVICE_BIND, NULL), -EFAULT, "BIND of no address");
	bind = (struct device_bind){ .argsz = LARGE, .iommufd = iommufd };
	memcpy(large, &bind, sizeof(bind));
	large[LARGE - 1] = 1;
	expect(call(fd, DEVICE_BIND, large), -E2BIG, "BIND, a byte behind what is known");
	/* The id cannot be given back: nothing has been bound. */
	bytes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bind.argsz = BIND_LEAST;
	memcpy(bytes, &bind, sizeof(bind));
	mprotect(bytes, PAGE, PROT_READ);
	expect(call(fd, DEVICE_BIND, bytes), -EFAULT, "BIND in memory that cannot be written");
	check_nothing(fd, "after BIND failed");
	large[LARGE - 1] = 0;
	expect(call(fd, DEVICE_BIND, large), 0, "BIND, zeroes behind what is known");
	memcpy(&bind, large, sizeof(bind));
	check(bind.out_devid > 0, "the id is not 0");
	expect(bind_device(fd, null), -EINVAL, "a second BIND, with /dev/null");
	expect(bind_device(fd, iommufd), -EINVAL, "a second BIND");
	expect(bind_device(other, iommufd), -EINVAL, "BIND of another file");
	expect(bind_device(other, must_open_iommufd()), -EINVAL, "BIND of another file elsewhere");
	check_nothing(other, "beside one that is bound");
	close(fd);
	bind = (struct device_bind){ .argsz = BIND_LEAST, .iommufd = iommufd };
	expect(call(other, DEVICE_BIND, &bind), 0, "BIND of another file after that was closed");
}

static void check_attach(void)
{
	struct cdev_session session = must_bind(NVME);
	struct device_attach attach;
	struct device_detach detach;
	uint32_t second = must_ioas(session.iommufd);
	unsigned char *bytes;
	struct {
		const char *what;
		uint32_t argsz, flags, id;
		long result;
	} table[] = {
		{ "argsz 0", 0, 0, second, -EINVAL },
		{ "argsz 11", 11, 0, second, -EINVAL },
		{ "an unknown flag", 16, 2, second, -EINVAL },
		{ "a PASID", 16, DEVICE_PASID, second, -EOPNOTSUPP },
		{ "id 0", ATTACH_LEAST, 0, 0, -ENOENT },
		{ "an id that is none", ATTACH_LEAST, 0, NO_SUCH_ID, -ENOENT },
		{ "the id of a device", ATTACH_LEAST, 0, session.id, -EINVAL },
		{ "another address space", ATTACH_LEAST, 0, second, 0 },
		{ "the same again", ATTACH_LEAST, 0, second, 0 },
		{ "the first again", 4096, 0, session.ioas, 0 },
	};

	check_nothing(open_parked(the_devices[NVME].bdf), "beside one that is attached");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		attach = (struct device_attach){ .argsz = table[i].argsz,
						 .flags = table[i].flags,
						 .pt_id = table[i].id };
		expect(call(session.device, DEVICE_ATTACH, &attach), table[i].result, "ATTACH, %s",
		       table[i].what);
	}
	expect(call(session.device, DEVICE_ATTACH, NULL), -EFAULT, "ATTACH of no address");
	bytes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(bytes, &(struct device_attach){ .argsz = ATTACH_LEAST, .pt_id = second },
	       sizeof(attach));
	mprotect(bytes, PAGE, PROT_READ);
	expect(call(session.device, DEVICE_ATTACH, bytes), -EFAULT,
	       "ATTACH in memory that cannot be written");
	expect(iommufd_destroy(session.iommufd, second), 0, "which has attached nothing");
	second = must_ioas(session.iommufd);
	must(attach_device(session.device, session.ioas), "ATTACH");
	expect(iommufd_destroy(session.iommufd, session.ioas), -EBUSY,
	       "an address space that is attached is in use");
	detach = (struct device_detach){ .argsz = 4 };
	expect(call(session.device, DEVICE_DETACH, &detach), -EINVAL, "DETACH, argsz 4");
	detach = (struct device_detach){ .argsz = sizeof(detach), .flags = 2 };
	expect(call(session.device, DEVICE_DETACH, &detach), -EINVAL, "DETACH, an unknown flag");
	detach.flags = DEVICE_PASID;
	expect(call(session.device, DEVICE_DETACH, &detach), -EOPNOTSUPP, "DETACH, a PASID");
	expect(call(session.device, DEVICE_DETACH, NULL), -EFAULT, "DETACH of no address");
	detach = (struct device_detach){ .argsz = DETACH_LEAST };
	expect(call(session.device, DEVICE_DETACH, &detach), 0, "DETACH");
	expect(detach_device(session.device), 0, "DETACH again");
	expect(iommufd_destroy(session.iommufd, session.ioas), 0,
	       "an address space that was detached from can be destroyed");
	expect(attach_device(session.device, session.ioas), -ENOENT, "and attached no more");
	check(attach_device(session.device, second) > 0, "but another one can");
}

static void check_dma(void)
{
	struct cdev_session edu = must_bind(EDU);
	unsigned char *source = must_allocate(PAGE), *target = must_allocate(PAGE);
	void *bar;

	memset(source, 0x5a, PAGE);
	must(ioas_map_at(edu.iommufd, edu.ioas, source, PAGE, 0), "IOAS_MAP");
	must(ioas_map_at(edu.iommufd, edu.ioas, target, PAGE, PAGE), "IOAS_MAP");
	set_command(edu.device, true, true);
	bar = must_map_region(edu.device, 0);
	check(edu_copy(bar, 0, PAGE, EDU_FROM_MEMORY) && edu_copy(bar, PAGE, PAGE, EDU_TO_MEMORY) &&
		      memcmp(source, target, PAGE) == 0,
	      "an attached device reaches what is mapped");
	close(edu.iommufd);
	memset(target, 0, PAGE);
	check(edu_copy(bar, PAGE, PAGE, EDU_TO_MEMORY) && memcmp(source, target, PAGE) == 0,
	      "also when /dev/iommu was closed: the device's file holds it");
}

/* What is lost of a device is lost to all of its files, and to no other device's. */
static void check_mappings(void)
{
	struct cdev_session edu = must_bind(EDU), nvme = must_bind(NVME);
	void *first, *second, *other;

	set_command(edu.device, true, false);
	set_command(nvme.device, true, false);
	first = must_map_region(edu.device, 0);
	second = must_map_region(dup(edu.device), 0);
	other = must_map_region(nvme.device, 0);
	check(readable(first) && readable(second) && readable(other), "BARs are mapped");
	set_command(edu.device, false, false);
	check(!readable(first) && !readable(second), "memory off, none of a device's is readable");
	check(readable(other), "another device's is");
	set_command(edu.device, true, false);
	check(readable(first) && readable(second), "memory on, they are again");
	expect(call(nvme.device, VFIO_DEVICE_RESET, NULL), 0, "RESET");
	check(readable(other), "after which the BAR is readable");
	close(edu.device);
	check(readable(first), "a closed file's mapping is");
}

static void check_exclusion(void)
{
	const char *bdf = the_devices[EDU].bdf;
	int group = (int)must(open_group(EDU), "open the group");
	int fd = open_parked(bdf), iommufd = must_open_iommufd();
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct session session;

	expect(fd < 0 ? fd : 0, 0, "an open of the node while the group is open");
	expect(bind_device(fd, iommufd), -EBUSY, "BIND while the group is open");
	expect(bind_device(fd, NO_SUCH_FD), -EBUSY,
	       "BIND of a closed file while the group is open");
	close(group);
	check(bind_device(fd, iommufd) > 0, "BIND when it was closed");
	expect(open_group(EDU), -EBUSY, "an open of the group while the device is bound");
	check(bind_device(open_parked(the_devices[NVME].bdf), iommufd) > 0,
	      "BIND of another device");
	close(fd);
	group = (int)must(open_group(EDU), "open the group when it was closed");
	must(call(group, VFIO_GROUP_GET_STATUS, &status), "GET_STATUS");
	expect(status.flags, VFIO_GROUP_FLAGS_VIABLE, "which is viable");
	close(group);
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	fd = open_parked(bdf);
	close(session.group);
	expect(bind_device(fd, iommufd), -EBUSY, "BIND while the group's device is open");
	expect(bind_device(session.device, iommufd), -EINVAL, "BIND of a group's device");
	expect(attach_device(session.device, 1), -ENOTTY, "ATTACH of a group's device");
	expect(detach_device(session.device), -ENOTTY, "DETACH of a group's device");
	close(session.device);
	check(bind_device(fd, iommufd) > 0, "BIND after that");
}

/* A group on a context in the place of a container. */
static void check_group_on_context(void)
{
	int group = (int)must(open_group(EDU), "open the group");
	int iommufd = must_open_iommufd(), container = open_container();
	int parked = open_parked(the_devices[EDU].bdf), device, second;
	unsigned char *source = must_allocate(PAGE), *target = must_allocate(PAGE);
	struct vfio_group_status status = { .argsz = sizeof(status) };
	uint32_t ioas;
	void *bar;

	expect(vfio_ioas(iommufd, VFIO_IOAS_GET, 0), -ENODEV,
	       "there is no compatible address space");
	expect(set_container(group, iommufd), 0, "SET_CONTAINER");
	ioas = (uint32_t)must(vfio_ioas(iommufd, VFIO_IOAS_GET, 0),
			      "have a compatible address space");
	must(call(group, VFIO_GROUP_GET_STATUS, &status), "GET_STATUS");
	expect(status.flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET, "status");
	expect(set_container(group, iommufd), -EINVAL, "SET_CONTAINER again");
	expect(set_container(group, container), -EINVAL, "SET_CONTAINER of a container");
	expect(get_device(group, "nobody"), -ENODEV, "GET_DEVICE_FD of a name that nobody has");
	expect(bind_device(parked, iommufd), -EBUSY, "BIND");
	must(vfio_ioas(iommufd, VFIO_IOAS_CLEAR, 0), "VFIO_IOAS CLEAR");
	expect(get_device(group, the_devices[EDU].bdf), -ENODEV,
	       "GET_DEVICE_FD when the compatible address space was taken away");
	must(vfio_ioas(iommufd, VFIO_IOAS_SET, ioas), "VFIO_IOAS SET");
	device = (int)must(get_device(group, the_devices[EDU].bdf), "GET_DEVICE_FD");
	second = (int)must(get_device(group, the_devices[EDU].bdf), "GET_DEVICE_FD again");
	expect(bind_device(second, iommufd), -EINVAL, "BIND of a group's device");
	expect(attach_device(second, ioas), -ENOTTY, "ATTACH of a group's device");
	expect(bind_device(parked, iommufd), -EBUSY, "BIND while the group's device is open");
	memset(source, 0x5a, PAGE);
	must(ioas_map_at(iommufd, ioas, source, PAGE, 0), "IOAS_MAP");
	must(ioas_map_at(iommufd, ioas, target, PAGE, PAGE), "IOAS_MAP");
	expect(iommufd_destroy(iommufd, ioas), -EBUSY, "the address space is in use");
	set_command(device, true, true);
	bar = must_map_region(device, 0);
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0, "UNSET_CONTAINER with devices");
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EINVAL, "UNSET_CONTAINER again");
	expect(get_device(group, the_devices[EDU].bdf), -EINVAL, "GET_DEVICE_FD after that");
	expect(set_container(group, container), -EPERM,
	       "SET_CONTAINER of a container: DMA is the context's");
	close(group);
	close(device);
	close(iommufd);
	check(edu_copy(bar, 0, PAGE, EDU_FROM_MEMORY) && edu_copy(bar, PAGE, PAGE, EDU_TO_MEMORY) &&
		      memcmp(source, target, PAGE) == 0,
	      "with one file left the device reaches what is mapped");
	munmap(bar, must_region(second, 0).size);
	close(second);
	check(bind_device(parked, must_open_iommufd()) > 0, "BIND when all is closed");
}

static const struct conform_case cases[] = {
	{ "parked", check_parked },
	{ "BIND", check_bind_arguments },
	{ "ATTACH and DETACH", check_attach },
	{ "DMA", check_dma },
	{ "mappings", check_mappings },
	{ "groups and nodes", check_exclusion },
	{ "a group on a context", check_group_on_context },
};

const struct conform_part part_cdev = { "cdev", cases, ARRAY_SIZE(cases) };
