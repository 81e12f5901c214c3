/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices without an IOMMU, in a guest that has none: refused, until vfio's parameter
 * enable_unsafe_noiommu_mode is set; then they are for those who may harm the machine in any case,
 * and can do everything but have memory mapped. The last case unloads the modules: of several parts
 * this one is the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/pci_regs.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "cdev_calls.h"
#include "interrupts.h"

#define PARAMETER "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
#define USER "lab" /* of the lab's roots */
#define TAINT_USER (1L << 6) /* Documentation/admin-guide/tainted-kernels.rst */
#define READ_LOG 3 /* syslog(2): SYSLOG_ACTION_READ_ALL */
#define LOG_SIZE (1u << 20)
#define NO_SUCH_EXTENSION 9999
#define NO_SUCH_COMMAND _IO(VFIO_TYPE, VFIO_BASE + 99)
#define VIABLE VFIO_GROUP_FLAGS_VIABLE
#define VIABLE_AND_SET (VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET)

static void must_enable(bool enabled)
{
	must(sysfs_write(enabled ? "Y" : "N", PARAMETER), "write the parameter");
}

static bool is_bound(enum conform_kind kind)
{
	char driver[64];

	sysfs_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", the_devices[kind].bdf);
	return strcmp(driver, "vfio-pci") == 0;
}

static bool is_in_group(enum conform_kind kind)
{
	return sysfs_exists("/sys/bus/pci/devices/%s/iommu_group", the_devices[kind].bdf);
}

static bool is_tainted(void)
{
	return sysfs_number("/proc/sys/kernel/tainted") & TAINT_USER;
}

static long has_extension(int container, unsigned long extension)
{
	return call_number(container, VFIO_CHECK_EXTENSION, extension);
}

static long set_type(int container, unsigned long type)
{
	return call_number(container, VFIO_SET_IOMMU, type);
}

/* The group's flags, or a negative errno. */
static long group_status(int group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	long result = call(group, VFIO_GROUP_GET_STATUS, &status);

	return result < 0 ? result : status.flags;
}

static bool answers(int device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return call(device, VFIO_DEVICE_GET_INFO, &info) == 0;
}

/* Takes CAP_SYS_RAWIO from this process, or takes it up again. */
static void must_have_rawio(bool have)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint32_t bit = CAP_TO_MASK(CAP_SYS_RAWIO);

	must(syscall(SYS_capget, &header, data) ? -errno : 0, "capget()");
	if (have)
		data[CAP_TO_INDEX(CAP_SYS_RAWIO)].effective |= bit;
	else
		data[CAP_TO_INDEX(CAP_SYS_RAWIO)].effective &= ~bit;
	must(syscall(SYS_capset, &header, data) ? -errno : 0, "capset()");
}

static void check_refused(void)
{
	int container = (int)must(open_container(), "open the container");
	int iommufd = must_open_iommufd();

	about("off");
	type1_bind(the_devices[EDU].bdf);
	check(!is_bound(EDU), "a device without an IOMMU is not bound");
	check(!is_in_group(EDU), "and is in no group");
	expect(has_extension(container, VFIO_NOIOMMU_IOMMU), 0, "CHECK_EXTENSION");
	expect(has_extension(iommufd, VFIO_NOIOMMU_IOMMU), 0, "CHECK_EXTENSION on /dev/iommu");
	about("%s", "");
	close(iommufd);
	close(container);
}

static bool prepare(void)
{
	struct stat status;
	char value[8];

	sysfs_read(value, sizeof(value), PARAMETER);
	if (!check(strcmp(value, "N") == 0, "the parameter is off by itself"))
		return false;
	check(stat(PARAMETER, &status) == 0 && (status.st_mode & 07777) == 0644,
	      "everybody can read it, and root write it (0644)");
	check_refused();
	check(!is_tainted(), "nothing has tainted the kernel by its user");
	return expect(sysfs_write("Y", PARAMETER), 0, "it can be set");
}

/* Whether the log has a line about the device with this word. */
static bool is_logged(const char *bdf, const char *word)
{
	char *log = calloc(1, LOG_SIZE + 1), *rest = log, *line;
	bool found = false;

	must(log ? 0 : -ENOMEM, "allocate memory");
	must(klogctl(READ_LOG, log, LOG_SIZE) < 0 ? -errno : 0, "read the log");
	while ((line = strsep(&rest, "\n")))
		found = found || (strstr(line, bdf) && strstr(line, word));
	free(log);
	return found;
}

static void check_nodes(void)
{
	char group[16], name[32];

	for (enum conform_kind kind = 0; kind < KINDS; kind++) {
		const struct conform_device *device = &the_devices[kind];

		about("%s", device->kind);
		check(strncmp(device->node, "/dev/vfio/noiommu-", 18) == 0 &&
			      sysfs_exists("%s", device->node),
		      "there is a node, whose name says so");
		check(sysfs_exists("/sys/class/vfio/%s", strrchr(device->node, '/') + 1),
		      "and a device of class vfio");
		sysfs_link(group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group",
			   device->bdf);
		sysfs_read(name, sizeof(name), "/sys/kernel/iommu_groups/%s/name", group);
		check(strcmp(name, "vfio-noiommu") == 0, "so does its group's name");
		check(!sysfs_exists("/dev/vfio/%s", group), "there is none of the number alone");
		check(is_logged(device->bdf, "taint"), "the log has it");
		cdev_name(name, sizeof(name), device->bdf);
		check(name[0], "the device is one of class vfio-dev");
		check(!sysfs_exists("/dev/vfio/devices/%s", name), "and has no node");
		check(!sysfs_exists("/sys/class/vfio-dev/%s/dev", name), "nor the number of one");
		for (enum conform_kind other = 0; other < kind; other++)
			check(strcmp(device->node, the_devices[other].node) != 0,
			      "its group is not that of the %s", the_devices[other].kind);
	}
	about("%s", "");
	check(is_tainted(), "the kernel is tainted");
}

/* Of a container that has such groups, or had, before and after SET_IOMMU. */
static void check_extensions(int container, const char *when)
{
	static const struct {
		const char *name;
		unsigned long extension;
		long result;
	} extensions[] = {
		{ "NOIOMMU", VFIO_NOIOMMU_IOMMU, 1 },	  { "TYPE1", VFIO_TYPE1_IOMMU, 0 },
		{ "TYPE1v2", VFIO_TYPE1v2_IOMMU, 0 },	  { "UNMAP_ALL", VFIO_UNMAP_ALL, 0 },
		{ "UPDATE_VADDR", VFIO_UPDATE_VADDR, 0 }, { "DMA_CC", VFIO_DMA_CC_IOMMU, 0 },
		{ "9999", NO_SUCH_EXTENSION, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		expect(has_extension(container, extensions[i].extension), extensions[i].result,
		       "CHECK_EXTENSION %s %s", extensions[i].name, when);
	must_enable(false);
	expect(has_extension(container, VFIO_NOIOMMU_IOMMU), 0,
	       "CHECK_EXTENSION NOIOMMU %s, switched off", when);
	must_enable(true);
}

static void check_empty(int container, const char *what)
{
	expect(has_extension(container, VFIO_NOIOMMU_IOMMU), 1, "%s: CHECK_EXTENSION NOIOMMU",
	       what);
	expect(has_extension(container, VFIO_TYPE1v2_IOMMU), 1, "%s: CHECK_EXTENSION TYPE1v2",
	       what);
	expect(set_type(container, VFIO_NOIOMMU_IOMMU), -EINVAL, "%s: SET_IOMMU", what);
	expect(map_dma(container, NULL, 0, PAGE, READ_WRITE), -EINVAL, "%s: MAP_DMA", what);
}

static void check_no_mapping(int container)
{
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	void *memory = must_allocate(PAGE);

	expect(call(container, VFIO_IOMMU_GET_INFO, &info), -ENOTTY, "GET_INFO");
	expect(map_dma(container, memory, 0, PAGE, READ_WRITE), -ENOTTY, "MAP_DMA");
	expect(unmap_dma(container, 0, PAGE, 0), -ENOTTY, "UNMAP_DMA");
	expect(call(container, VFIO_IOMMU_DIRTY_PAGES, NULL), -ENOTTY, "DIRTY_PAGES");
	expect(call(container, NO_SUCH_COMMAND, NULL), -ENOTTY, "an unknown command");
	expect(call(container, VFIO_GET_API_VERSION, NULL), VFIO_API_VERSION, "GET_API_VERSION");
}

static void check_container(void)
{
	int container = (int)must(open_container(), "open the container");
	int group = (int)must(open_group(EDU), "open the group");
	const char *bdf = the_devices[EDU].bdf;
	struct session other;
	int device;

	check_empty(container, "no group");
	expect(group_status(group), VIABLE, "GET_STATUS without a container");
	expect(get_device(group, bdf), -EINVAL, "GET_DEVICE_FD without a container");
	expect(open_group(EDU), -EBUSY, "a second open of the group");
	expect(set_container(group, container), 0, "SET_CONTAINER");
	expect(set_container(group, container), -EINVAL, "SET_CONTAINER again");
	expect(group_status(group), VIABLE_AND_SET, "GET_STATUS with a container");
	check_extensions(container, "with a group");
	expect(get_device(group, bdf), -EINVAL, "GET_DEVICE_FD before SET_IOMMU");
	expect(map_dma(container, NULL, 0, PAGE, READ_WRITE), -EINVAL, "MAP_DMA before SET_IOMMU");
	expect(set_type(container, VFIO_TYPE1_IOMMU), -ENODEV, "SET_IOMMU TYPE1");
	expect(set_type(container, VFIO_TYPE1v2_IOMMU), -ENODEV, "SET_IOMMU TYPE1v2");
	expect(set_type(container, NO_SUCH_EXTENSION), -ENODEV, "SET_IOMMU 9999");
	must_enable(false);
	expect(set_type(container, VFIO_NOIOMMU_IOMMU), -ENODEV, "SET_IOMMU, switched off");
	must_enable(true);
	expect(set_type(container, VFIO_NOIOMMU_IOMMU), 0, "SET_IOMMU");
	expect(set_type(container, VFIO_NOIOMMU_IOMMU), -EINVAL, "SET_IOMMU again");
	check_extensions(container, "after SET_IOMMU");
	check_no_mapping(container);

	expect(get_device(group, "nobody"), -ENODEV, "GET_DEVICE_FD of a name that nobody has");
	device = (int)must(get_device(group, bdf), "GET_DEVICE_FD");
	check(answers(device), "the device can be used");
	check(is_logged(bdf, "opened"), "the log has who opened it");
	other = must_join(&(struct session){ container, group, device }, NVME);
	check(answers(other.device), "so can that of a second group");
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), -EBUSY,
	       "UNSET_CONTAINER with a file of a device");
	close(device);
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0, "UNSET_CONTAINER");
	expect(map_dma(container, NULL, 0, PAGE, READ_WRITE), -ENOTTY,
	       "MAP_DMA with the second group left");
	close_session(&other);
	check_empty(container, "the last group has gone");
}

/* Switching it off is no matter to what there is. */
static void check_switched_off(void)
{
	struct session session = must_open(EDU, VFIO_NOIOMMU_IOMMU);
	long second, group;

	must_enable(false);
	check(answers(session.device), "an open device can be used");
	second = get_device(session.group, the_devices[EDU].bdf);
	check(second >= 0, "and be opened again");
	close((int)second);
	close_session(&session);
	group = open_group(EDU);
	check(group >= 0, "its group can be opened");
	must_enable(true);
}

static void check_rights(void)
{
	int container = (int)must(open_container(), "open the container"), group, device;
	const char *bdf = the_devices[EDU].bdf;

	must_have_rawio(false);
	expect(open_group(EDU), -EPERM, "open of the group");
	must_have_rawio(true);
	group = (int)must(open_group(EDU), "open the group");
	must_have_rawio(false);
	expect(open_group(EDU), -EPERM, "open of the group when it is in use");
	expect(set_container(group, container), -EPERM, "SET_CONTAINER");
	must_have_rawio(true);
	must(set_container(group, container), "SET_CONTAINER");
	must_have_rawio(false);
	expect(set_type(container, VFIO_NOIOMMU_IOMMU), -EPERM, "SET_IOMMU");
	must_have_rawio(true);
	must(set_type(container, VFIO_NOIOMMU_IOMMU), "SET_IOMMU");
	must_have_rawio(false);
	expect(get_device(group, "nobody"), -ENODEV, "GET_DEVICE_FD of a name that nobody has");
	expect(get_device(group, bdf), -EPERM, "GET_DEVICE_FD");
	must_have_rawio(true);
	device = (int)must(get_device(group, bdf), "GET_DEVICE_FD");
	must_have_rawio(false);
	check(get_device(group, bdf) >= 0, "GET_DEVICE_FD of a device that is open");
	check(answers(device), "an open device can be used");
}

static void check_user(void)
{
	const struct passwd *user = getpwnam(USER);

	must(user ? 0 : -ENOENT, "find the user %s", USER);
	must(chmod(the_devices[EDU].node, 0666) ? -errno : 0, "let everybody open the node");
	must(setgid(user->pw_gid) || setuid(user->pw_uid) ? -errno : 0, "become %s", USER);
	expect(open_group(EDU), -EPERM, "open of a node that everybody may open");
}

static void check_edu(void)
{
	struct session session = must_open(EDU, VFIO_NOIOMMU_IOMMU);
	int32_t interrupt = must_eventfd();
	void *bar;

	expect(config_read(session.device, PCI_VENDOR_ID, 4),
	       hardware_config(EDU, PCI_VENDOR_ID, 4), "configuration space is the device's");
	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	expect(*(volatile uint32_t *)bar & 0xff, 0xed, "a BAR can be mapped");
	edu_write(bar, 4, 0x1234);
	expect(*((volatile uint32_t *)bar + 1), (uint32_t)~0x1234, "and be written");
	about("INTx");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, INTX, 0, 1, &interrupt), 0, "SET_IRQS");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(interrupt, ARRIVES_MS), 1, "it arrives");
	expect(signals(interrupt, QUIET_MS), 0, "and is masked then");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, NONE | UNMASK, INTX, 0, 1, NULL), 0, "UNMASK");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(interrupt, ARRIVES_MS), 1, "it arrives again");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, NONE | TRIGGER, INTX, 0, 0, NULL), 0, "switched off");
	about("MSI");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &interrupt), 0, "SET_IRQS");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(interrupt, ARRIVES_MS), 1, "it arrives");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
}

static void check_nvme(void)
{
	struct session session = must_open(NVME, VFIO_NOIOMMU_IOMMU);
	struct {
		struct vfio_pci_hot_reset_info info;
		struct vfio_pci_dependent_device devices[4];
	} answer = { .info.argsz = sizeof(answer) };
	struct {
		struct vfio_pci_hot_reset reset;
		int32_t group;
	} request = { .reset = { .argsz = sizeof(request), .count = 1 }, .group = session.group };
	int32_t interrupt = must_eventfd();

	set_command(session.device, true, true);
	about("MSI-X");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 1, &interrupt), 0, "SET_IRQS");
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, 1, NULL), 0, "loopback");
	expect(signals(interrupt, ARRIVES_MS), 1, "it arrives");
	about("reset");
	expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET");
	expect(call(session.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &answer), 0, "INFO");
	check(answer.info.count == 1 &&
		      answer.devices[0].group_id ==
			      (uint32_t)atoi(the_devices[NVME].node + strlen("/dev/vfio/noiommu-")),
	      "which tells the group");
	expect(call(session.device, VFIO_DEVICE_PCI_HOT_RESET, &request), 0, "HOT_RESET");
	check(answers(session.device), "the device can be used");
}

/* A context in the place of a container. */
static void check_context(void)
{
	int context = must_open_iommufd(), group = (int)must(open_group(EDU), "open the group");
	struct vfio_iommu_type1_info info = { .argsz = sizeof(info) };
	void *memory = must_allocate(PAGE);
	int device;

	expect(has_extension(context, VFIO_NOIOMMU_IOMMU), 1, "CHECK_EXTENSION NOIOMMU");
	expect(has_extension(context, VFIO_TYPE1v2_IOMMU), 1, "CHECK_EXTENSION TYPE1v2");
	expect(set_type(context, VFIO_NOIOMMU_IOMMU), -EINVAL, "SET_IOMMU without a group");
	expect(set_container(group, context), 0, "SET_CONTAINER");
	expect(group_status(group), VIABLE_AND_SET, "GET_STATUS");
	about("with a group");
	expect(has_extension(context, VFIO_NOIOMMU_IOMMU), 1, "CHECK_EXTENSION NOIOMMU");
	expect(has_extension(context, VFIO_TYPE1_IOMMU), 0, "CHECK_EXTENSION TYPE1");
	expect(has_extension(context, VFIO_TYPE1v2_IOMMU), 0, "CHECK_EXTENSION TYPE1v2");
	expect(has_extension(context, VFIO_UNMAP_ALL), 0, "CHECK_EXTENSION UNMAP_ALL");
	expect(set_type(context, VFIO_TYPE1v2_IOMMU), -EINVAL, "SET_IOMMU TYPE1v2");
	must_have_rawio(false);
	expect(set_type(context, VFIO_NOIOMMU_IOMMU), -EPERM, "SET_IOMMU without the right to");
	expect(get_device(group, the_devices[EDU].bdf), -EPERM,
	       "GET_DEVICE_FD without the right to");
	must_have_rawio(true);
	expect(set_type(context, VFIO_NOIOMMU_IOMMU), 0, "SET_IOMMU");
	expect(call(context, VFIO_IOMMU_GET_INFO, &info), -ENODEV, "GET_INFO");
	expect(map_dma(context, memory, 0, PAGE, READ_WRITE), -ENODEV, "MAP_DMA");
	expect(unmap_dma(context, 0, PAGE, 0), -ENODEV, "UNMAP_DMA");
	expect(vfio_ioas(context, VFIO_IOAS_GET, 0), -ENODEV, "VFIO_IOAS GET");
	device = (int)must(get_device(group, the_devices[EDU].bdf), "GET_DEVICE_FD");
	check(answers(device), "the device can be used");
	expect(bind_device(device, context), -EINVAL, "BIND");
	expect(call(group, VFIO_GROUP_UNSET_CONTAINER, NULL), 0,
	       "UNSET_CONTAINER with a file of the device");
	check(answers(device), "which can be used still");
}

/* Whoever has an address space there expects that the device is held to it. */
static void check_address_space(void)
{
	int context = must_open_iommufd(), group = (int)must(open_group(EDU), "open the group");
	uint32_t ioas = must_ioas(context);
	int device;

	must(vfio_ioas(context, VFIO_IOAS_SET, ioas), "VFIO_IOAS SET");
	expect(set_container(group, context), -EINVAL, "SET_CONTAINER");
	expect(group_status(group), VIABLE, "which leaves the group without one");
	must(vfio_ioas(context, VFIO_IOAS_CLEAR, 0), "VFIO_IOAS CLEAR");
	expect(set_container(group, context), 0, "SET_CONTAINER after VFIO_IOAS CLEAR");
	must(vfio_ioas(context, VFIO_IOAS_SET, ioas), "VFIO_IOAS SET");
	expect(get_device(group, the_devices[EDU].bdf), -EPERM, "GET_DEVICE_FD");
	must(vfio_ioas(context, VFIO_IOAS_CLEAR, 0), "VFIO_IOAS CLEAR");
	device = (int)must(get_device(group, the_devices[EDU].bdf),
			   "GET_DEVICE_FD after VFIO_IOAS CLEAR");
	must(vfio_ioas(context, VFIO_IOAS_SET, ioas), "VFIO_IOAS SET");
	check(get_device(group, the_devices[EDU].bdf) >= 0, "GET_DEVICE_FD when it is open");
	check(answers(device), "the device can be used");
}

static void must_unbind(enum conform_kind kind)
{
	must(sysfs_write(the_devices[kind].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"),
	     "unbind the %s", the_devices[kind].kind);
}

static void check_unload(void)
{
	static const char *const modules[] = { "vfio_pci", "vfio_iommu_type1", "iommufd", "vfio" };
	int container = (int)must(open_container(), "open the container");
	int group = (int)must(open_group(EDU), "open the group");

	must(set_container(group, container), "SET_CONTAINER");
	must(set_type(container, VFIO_NOIOMMU_IOMMU), "SET_IOMMU");
	must_unbind(EDU);
	expect(group_status(group), -ENODEV, "GET_STATUS when the device has gone");
	expect(set_container(group, container), -ENODEV, "SET_CONTAINER when the device has gone");
	expect(get_device(group, the_devices[EDU].bdf), -ENODEV,
	       "GET_DEVICE_FD when the device has gone");
	check_empty(container, "the device has gone");
	close(group);
	close(container);

	for (enum conform_kind kind = 0; kind < KINDS; kind++) {
		about("%s", the_devices[kind].kind);
		if (kind != EDU)
			must_unbind(kind);
		check(!sysfs_exists("%s", the_devices[kind].node), "the node goes");
		check(!is_in_group(kind), "and the group");
	}
	about("%s", "");
	must_enable(false);
	check_refused();
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		expect(syscall(SYS_delete_module, modules[i], O_NONBLOCK) ? -errno : 0, 0,
		       "unload %s", modules[i]);
}

static const struct conform_case cases[] = {
	{ "nodes", check_nodes },
	{ "a container", check_container },
	{ "switched off", check_switched_off },
	{ "rights", check_rights },
	{ "an ordinary user", check_user },
	{ "edu", check_edu },
	{ "nvme", check_nvme },
	{ "a context", check_context },
	{ "a context with an address space", check_address_space },
	{ "unloading", check_unload },
};

const struct conform_part part_noiommu = { "noiommu", cases, ARRAY_SIZE(cases), prepare };
