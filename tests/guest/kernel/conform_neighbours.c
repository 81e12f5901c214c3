/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Functions that are reset together, some of which are in one group: the four below rp8 in the
 * device set "functions" (docs/guest-lab.md). A and B have a group, C and D one each.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "cdev_calls.h"

#define PORT "0000:00:18.0" /* rp8 */
#define ROUNDS 4
#define PATIENCE 600 /* tenths of a second */

enum function { A, B, C, D, FUNCTIONS };

static struct {
	char bdf[16];
	char group[32];
} functions[FUNCTIONS];

struct hot_reset_info {
	struct vfio_pci_hot_reset_info header;
	struct vfio_pci_dependent_device devices[2 * FUNCTIONS];
};

static bool is_bound(const char *bdf)
{
	char driver[64];

	sysfs_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", bdf);
	return strcmp(driver, "vfio-pci") == 0;
}

static void must_have_functions(void)
{
	long bus = sysfs_number("/sys/bus/pci/devices/%s/secondary_bus_number", PORT);
	char group[16];

	must(bus, "find the port");
	for (int i = 0; i < FUNCTIONS; i++) {
		snprintf(functions[i].bdf, sizeof(functions[i].bdf), "0000:%02lx:00.%d", bus, i);
		if (!is_bound(functions[i].bdf))
			must(type1_bind(functions[i].bdf), "bind function %d", i);
		sysfs_link(group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group",
			   functions[i].bdf);
		snprintf(functions[i].group, sizeof(functions[i].group), "/dev/vfio/%s", group);
	}
	must(strcmp(functions[A].group, functions[B].group) == 0 &&
			     strcmp(functions[B].group, functions[C].group) != 0 &&
			     strcmp(functions[C].group, functions[D].group) != 0
		     ? 0
		     : -EINVAL,
	     "have A and B in one group, and C and D in others");
}

static int open_group_of(enum function function)
{
	int fd = open(functions[function].group, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int must_park(enum function function)
{
	return (int)must(open_parked(functions[function].bdf), "open a node");
}

static void check_group_of_two(void)
{
	int iommufd, other, a, b, group;

	must_have_functions();
	iommufd = must_open_iommufd();
	other = must_open_iommufd();
	a = must_park(A);
	b = must_park(B);
	must(bind_device(a, iommufd), "BIND of A");
	expect(open_group_of(B), -EBUSY, "A bound, an open of B's group");
	expect(bind_device(b, other), -EPERM, "A bound, BIND of B elsewhere");
	check(bind_device(b, iommufd) > 0, "A bound, BIND of B");
	close(a);
	expect(open_group_of(A), -EBUSY, "B bound, an open of A's group");
	a = must_park(A);
	expect(bind_device(a, other), -EPERM, "B bound, BIND of A elsewhere");
	close(b);
	check(bind_device(a, other) > 0, "B closed, BIND of A elsewhere");
	close(a);
	group = open_group_of(A);
	expect(group < 0 ? group : 0, 0, "both closed, an open of the group");
	a = must_park(A);
	expect(bind_device(a, iommufd), -EBUSY, "the group open, BIND of A");
	close(group);
	check(bind_device(a, iommufd) > 0, "the group closed, BIND of A");
}

static void check_attached_together(void)
{
	uint32_t first, second;
	int iommufd, a, b;

	must_have_functions();
	iommufd = must_open_iommufd();
	a = must_park(A);
	b = must_park(B);
	must(bind_device(a, iommufd), "BIND of A");
	must(bind_device(b, iommufd), "BIND of B");
	first = must_ioas(iommufd);
	second = must_ioas(iommufd);
	check(attach_device(a, first) > 0, "ATTACH of A");
	expect(attach_device(b, second), -EINVAL, "ATTACH of B to another address space");
	check(attach_device(b, first) > 0, "ATTACH of B to the same");
	expect(detach_device(a), 0, "DETACH of A");
	expect(attach_device(a, second), -EINVAL, "ATTACH of A to another address space");
	expect(iommufd_destroy(iommufd, first), -EBUSY, "the address space is in use by B");
	close(b);
	expect(iommufd_destroy(iommufd, first), 0, "closed, it is not");
	check(attach_device(a, second) > 0, "ATTACH of A to the other one");
}

static long get_info(int device, struct hot_reset_info *info)
{
	*info = (struct hot_reset_info){ .header.argsz = sizeof(*info) };
	return call(device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
}

/* The function's id by a device's information, or its group's number. */
static uint32_t id_of(const struct hot_reset_info *info, enum function function)
{
	for (uint32_t i = 0; i < info->header.count; i++) {
		if ((info->devices[i].devfn & 7) == function)
			return info->devices[i].group_id;
	}
	check(false, "function %d is among the devices", (int)function);
	return 0;
}

static long hot_reset(int device, const int32_t *files, uint32_t count)
{
	struct {
		struct vfio_pci_hot_reset header;
		int32_t files[FUNCTIONS];
	} reset = { .header.argsz = sizeof(reset), .header.count = count };

	memcpy(reset.files, files, count * sizeof(*files));
	return call(device, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

static long reset_by_context(int device)
{
	return hot_reset(device, NULL, 0);
}

static void expect_foreign(int device, const char *what)
{
	struct hot_reset_info info;

	must(get_info(device, &info), "INFO");
	expect(info.header.flags, HOT_RESET_DEV_ID, "%s: not all are the context's", what);
	expect(id_of(&info, D), DEVID_NOT_OWNED, "%s: D is not", what);
	expect(reset_by_context(device), -EINVAL, "%s: HOT_RESET", what);
}

/* A device that no such reset hits. */
static void check_no_hot_reset(int iommufd)
{
	int edu = (int)must(open_parked(the_devices[EDU].bdf), "open edu's node");
	struct hot_reset_info info;

	must(bind_device(edu, iommufd), "BIND of edu");
	expect(get_info(edu, &info), -ENODEV, "INFO of a device on the root bus");
	expect(reset_by_context(edu), -ENODEV, "HOT_RESET of a device on the root bus");
	expect(hot_reset(edu, &edu, 1), -EINVAL,
	       "HOT_RESET with a file, of a device on the root bus");
	close(edu);
}

static void check_hot_reset(void)
{
	int iommufd, other, group, a, c, d;
	struct hot_reset_info info;
	uint32_t address;
	long id, id_a, id_d;

	must_have_functions();
	iommufd = must_open_iommufd();
	other = must_open_iommufd();
	check_no_hot_reset(iommufd);
	c = must_park(C);
	id = must(bind_device(c, iommufd), "BIND of C");
	info = (struct hot_reset_info){ .header.argsz = sizeof(info.header) };
	expect(call(c, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), -ENOSPC,
	       "INFO of the header only");
	expect(info.header.count, FUNCTIONS, "which tells how many devices there are");
	expect(info.header.flags, 0, "and nothing of devices that it does not tell");
	must(get_info(c, &info), "INFO");
	expect(info.header.count, FUNCTIONS, "all are reset together");
	expect(id_of(&info, C), id, "C is told by its id");
	expect(id_of(&info, A), DEVID_NOT_OWNED, "A is not the context's");
	expect_foreign(c, "C bound alone");
	expect(hot_reset(c, &c, 1), -EINVAL, "HOT_RESET with a file");

	a = must_park(A);
	d = must_park(D);
	id_a = must(bind_device(a, iommufd), "BIND of A");
	expect_foreign(c, "D parked");
	must(bind_device(d, other), "BIND of D elsewhere");
	expect_foreign(c, "D bound elsewhere");
	close(d);
	group = (int)must(open_group_of(D), "open D's group");
	expect_foreign(c, "D's group open");
	expect(hot_reset(c, &group, 1), -EINVAL, "HOT_RESET with D's group");
	close(group);
	must(sysfs_write(functions[D].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind D");
	expect_foreign(c, "D without a driver");
	must(type1_bind(functions[D].bdf), "bind D");
	d = must_park(D);
	id_d = must(bind_device(d, iommufd), "BIND of D");

	must(get_info(c, &info), "INFO");
	expect(info.header.flags, HOT_RESET_DEV_ID | HOT_RESET_OWNED, "all are the context's");
	check(id_of(&info, A) == id_a && id_of(&info, C) == id && id_of(&info, D) == id_d,
	      "what is bound is told by its id");
	expect(id_of(&info, B), DEVID_OWNED, "what is in its group is owned");
	address = config_read(a, PCI_BASE_ADDRESS_0, 4);
	expect(reset_by_context(c), 0, "HOT_RESET");
	expect(config_read(a, PCI_BASE_ADDRESS_0, 4), address, "A's BAR is where it was");
	expect(config_read(d, PCI_VENDOR_ID, 2), 0x8086, "D is there");
	expect(hot_reset(c, &group, 1), -EINVAL, "HOT_RESET with a closed file");
	close(c);
	expect(reset_by_context(a), -EINVAL, "HOT_RESET with C closed");
}

/* Groups, one of them with two devices, on a context. */
static void check_groups(void)
{
	struct hot_reset_info info;
	int iommufd, group, a, b, parked;

	must_have_functions();
	iommufd = must_open_iommufd();
	group = (int)must(open_group_of(A), "open A's group");
	must(set_container(group, iommufd), "SET_CONTAINER");
	a = (int)must(get_device(group, functions[A].bdf), "GET_DEVICE_FD of A");
	b = (int)must(get_device(group, functions[B].bdf), "GET_DEVICE_FD of B");
	must(get_info(a, &info), "INFO");
	expect(info.header.flags, 0, "devices are told by their groups");
	expect(reset_by_context(a), -EINVAL, "HOT_RESET without groups");
	parked = must_park(A);
	expect(bind_device(parked, iommufd), -EBUSY, "BIND of A");
	close(group);
	close(a);
	expect(bind_device(parked, iommufd), -EBUSY, "BIND of A while B is open");
	close(b);
	close(parked);
	parked = must_park(A);
	check(bind_device(parked, iommufd) > 0, "BIND when both were closed");
}

/* B is the kernel's own driver's. */
static void check_host(void)
{
	static const char to_host[] = "/sys/bus/pci/drivers/nvme/bind";
	const char *b = functions[B].bdf;
	int iommufd, a, group;

	must_have_functions();
	must(system("modprobe nvme") ? -ENOENT : 0, "load the kernel's NVMe driver");
	iommufd = must_open_iommufd();
	a = must_park(A);
	must(sysfs_write(b, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind B");
	must(sysfs_write("\n", "/sys/bus/pci/devices/%s/driver_override", b), "no override");
	must(sysfs_write(b, to_host), "give B to the host");
	expect(bind_device(a, iommufd), -EPERM, "BIND of A beside a host driver");
	group = (int)must(open_group_of(A), "open the group");
	expect(set_container(group, iommufd), 0, "SET_CONTAINER beside a host driver");
	expect(get_device(group, functions[A].bdf), -EPERM, "GET_DEVICE_FD beside a host driver");
	close(group);
	must(sysfs_write(b, "/sys/bus/pci/drivers/nvme/unbind"), "take B from the host");
	check(bind_device(a, iommufd) > 0, "BIND of A when there is none");
	expect(sysfs_write(b, to_host), -EBUSY, "a host driver for B while A is bound");
	close(a);
	expect(sysfs_write(b, to_host), 0, "a host driver for B when A was closed");
	must(sysfs_write(b, "/sys/bus/pci/drivers/nvme/unbind"), "take B from the host");
	must(type1_bind(b), "bind B");
}

/* Who comes and goes while C asks for resets. */
static struct {
	int iommufd, c;
	atomic_bool stop;
	atomic_uint resets;
	_Atomic long surprise;
} crowd;

/* -EAGAIN, -EBUSY: another one of the devices is being reset, or is used. */
static bool is_known(long result)
{
	return result >= 0 || result == -EINVAL || result == -EBUSY || result == -EAGAIN;
}

static void *ask_for_resets(void *argument)
{
	struct hot_reset_info info;

	(void)argument;
	while (!atomic_load(&crowd.stop)) {
		long result = reset_by_context(crowd.c), told = get_info(crowd.c, &info);

		if (result == 0)
			atomic_fetch_add(&crowd.resets, 1);
		if (!is_known(result) || told != 0)
			atomic_store(&crowd.surprise, told ? told : result);
	}
	return NULL;
}

static void *bind_and_close(void *argument)
{
	enum function function = (enum function)(uintptr_t)argument;

	for (int i = 0; i < ROUNDS; i++) {
		int fd = open_parked(functions[function].bdf);
		long result = bind_device(fd, crowd.iommufd);

		if (!is_known(result))
			atomic_store(&crowd.surprise, result);
		if (result > 0 && i % 2)
			call(fd, VFIO_DEVICE_RESET, NULL);
		close(fd);
	}
	return NULL;
}

static void *open_and_close_group(void *argument)
{
	(void)argument;
	for (int i = 0; i < 4 * ROUNDS; i++) {
		int group = open_group_of(D);

		if (group < 0 && group != -EBUSY)
			atomic_store(&crowd.surprise, group);
		if (group >= 0)
			close(group);
	}
	return NULL;
}

static void check_crowd(void)
{
	pthread_t asking, others[4];

	must_have_functions();
	crowd.iommufd = must_open_iommufd();
	crowd.c = must_park(C);
	must(bind_device(crowd.c, crowd.iommufd), "BIND of C");
	must(-pthread_create(&asking, NULL, ask_for_resets, NULL), "start a thread");
	must(-pthread_create(&others[0], NULL, bind_and_close, (void *)A), "start a thread");
	must(-pthread_create(&others[1], NULL, bind_and_close, (void *)B), "start a thread");
	must(-pthread_create(&others[2], NULL, bind_and_close, (void *)D), "start a thread");
	must(-pthread_create(&others[3], NULL, open_and_close_group, NULL), "start a thread");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		pthread_join(others[i], NULL);
	must(bind_device(must_park(A), crowd.iommufd), "BIND of A");
	must(bind_device(must_park(D), crowd.iommufd), "BIND of D");
	for (int i = 0; i < PATIENCE && !atomic_load(&crowd.resets); i++)
		usleep(100 * 1000);
	check(atomic_load(&crowd.resets) > 0, "HOT_RESET with all bound, after all came and went");
	atomic_store(&crowd.stop, true);
	pthread_join(asking, NULL);
	expect(crowd.surprise, 0, "no other answer");
}

static const struct conform_case cases[] = {
	{ "a group of two", check_group_of_two },
	{ "a group of two, one of them the host's", check_host },
	{ "a group of two, attached", check_attached_together },
	{ "hot reset", check_hot_reset },
	{ "hot reset, and who comes and goes", check_crowd },
	{ "a group on a context", check_groups },
};

const struct conform_part part_neighbours = { "neighbours", cases, ARRAY_SIZE(cases) };
