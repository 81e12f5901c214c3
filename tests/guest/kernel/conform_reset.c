/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets of a function, and of all that are reset with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define NVME_CC 0x14 /* NVMe 2.0 §3.1.3.5: controller configuration */
#define CC_SIZES 0x460000u /* sizes of queue entries; the controller is not enabled */

struct hot_reset_info {
	struct vfio_pci_hot_reset_info header;
	struct vfio_pci_dependent_device devices[8];
};

struct hot_reset {
	struct vfio_pci_hot_reset header;
	int32_t group_fds[8];
};

static void check_reset(void)
{
	for (enum conform_kind kind = 0; kind < KINDS; kind++) {
		struct session session;
		struct vfio_device_info info = { .argsz = sizeof(info) };

		about("%s", the_devices[kind].kind);
		session = must_open(kind, VFIO_TYPE1v2_IOMMU);
		must(call(session.device, VFIO_DEVICE_GET_INFO, &info), "GET_INFO");
		expect(call(session.device, VFIO_DEVICE_RESET, NULL),
		       info.flags & VFIO_DEVICE_FLAGS_RESET ? 0 : -EINVAL,
		       "RESET does what the flags say");
		if (kind == NVME)
			check(info.flags & VFIO_DEVICE_FLAGS_RESET, "it can be reset");
		if (kind == EDU)
			check(!(info.flags & VFIO_DEVICE_FLAGS_RESET), "it cannot be reset");
		close_session(&session);
	}
}

/* What a reset does to registers, mappings and interrupts. */
static void check_after(int device, volatile uint32_t *bar, int32_t interrupt)
{
	uint64_t count = 0;

	check(readable(bar) && bar[NVME_CC / 4] == 0, "registers are as after power on");
	bar[NVME_CC / 4] = CC_SIZES;
	expect(bar[NVME_CC / 4], CC_SIZES, "the mapping works");
	expect(set_irqs(device, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, NULL),
	       0, "interrupts are still on");
	check(read(interrupt, &count, sizeof(count)) == sizeof(count) && count == 1,
	      "and arrive where they did");
}

static long hot_reset(int device, const int32_t *fds, uint32_t count)
{
	struct hot_reset reset = { .header = { .argsz = sizeof(reset), .count = count } };

	memcpy(reset.group_fds, fds, count * sizeof(*fds));
	return call(device, VFIO_DEVICE_PCI_HOT_RESET, &reset);
}

static void check_state(void)
{
	static const uint32_t on = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	int32_t interrupt = eventfd(0, EFD_NONBLOCK);
	uint32_t address = config_read(session.device, PCI_BASE_ADDRESS_0, 4);
	volatile uint32_t *bar;

	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	must(set_irqs(session.device, on, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, &interrupt), "SET_IRQS");
	bar[NVME_CC / 4] = CC_SIZES;
	about("function reset");
	expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET");
	check_after(session.device, bar, interrupt);
	about("hot reset");
	expect(hot_reset(session.device, &session.group, 1), 0, "PCI_HOT_RESET");
	check_after(session.device, bar, interrupt);
	expect(config_read(session.device, PCI_BASE_ADDRESS_0, 4), address,
	       "the BAR is where it was");
	check(config_read(session.device, PCI_COMMAND, 2) & PCI_COMMAND_MASTER,
	      "bus mastering is as it was");
}

static void check_hot_reset_info(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	struct session edu = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	struct hot_reset_info info;
	unsigned int domain, bus, slot, function, group;

	must(sscanf(the_devices[NVME].bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4 &&
			     sscanf(the_devices[NVME].node, "/dev/vfio/%u", &group) == 1
		     ? 0
		     : -EINVAL,
	     "read the device's address");
	for (uint32_t argsz = 0; argsz < 12; argsz += 4) {
		info = (struct hot_reset_info){ .header.argsz = argsz };
		expect(call(session.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), -EINVAL,
		       "INFO with argsz %u", argsz);
	}
	info = (struct hot_reset_info){ .header.argsz = sizeof(info.header) };
	expect(call(session.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), -ENOSPC,
	       "INFO of the header only");
	expect(info.header.count, 1, "which tells how many devices there are");
	info = (struct hot_reset_info){ .header.argsz = sizeof(info) };
	expect(call(session.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), 0, "INFO");
	expect(info.header.count, 1, "the device is alone");
	expect(info.header.flags, 0, "devices are told by their groups");
	check(info.devices[0].group_id == group && info.devices[0].segment == domain &&
		      info.devices[0].bus == bus && info.devices[0].devfn == (slot << 3 | function),
	      "it is itself");
	info = (struct hot_reset_info){ .header.argsz = sizeof(info) };
	expect(call(edu.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info), -ENODEV,
	       "INFO of a device on the root bus");
	expect(call(session.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, NULL), -EFAULT,
	       "INFO of no address");
}

static void check_hot_reset(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	struct session edu = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	int32_t own = session.group, other = edu.group, none = -1, closed = 999;
	int32_t both[] = { own, other }, null = open("/dev/null", O_RDWR);
	struct hot_reset reset = { .header = { .argsz = 8, .count = 1 }, .group_fds = { own } };

	expect(call(session.device, VFIO_DEVICE_PCI_HOT_RESET, &reset), -EINVAL,
	       "HOT_RESET with a short argsz");
	reset.header =
		(struct vfio_pci_hot_reset){ .argsz = sizeof(reset), .flags = 1, .count = 1 };
	expect(call(session.device, VFIO_DEVICE_PCI_HOT_RESET, &reset), -EINVAL,
	       "HOT_RESET with a flag");
	expect(hot_reset(session.device, &own, 0), -EINVAL, "HOT_RESET with no group");
	expect(hot_reset(session.device, &other, 1), -EINVAL, "HOT_RESET with another's group");
	expect(hot_reset(session.device, &none, 1), -EBADF, "HOT_RESET with file -1");
	expect(hot_reset(session.device, &closed, 1), -EBADF, "HOT_RESET with a closed file");
	expect(hot_reset(session.device, &null, 1), -EINVAL, "HOT_RESET with /dev/null");
	expect(hot_reset(session.device, both, 2), -EINVAL,
	       "HOT_RESET with more groups than devices");
	expect(hot_reset(edu.device, &other, 1), -ENODEV, "HOT_RESET of a device on the root bus");
	expect(call(session.device, VFIO_DEVICE_PCI_HOT_RESET, NULL), -EFAULT,
	       "HOT_RESET of no address");
	expect(hot_reset(session.device, &own, 1), 0, "HOT_RESET with its group");
}

/* A reset while the device is powered down, and while memory is off: it is usable afterwards. */
static void check_reset_unpowered(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	volatile uint32_t *bar;

	set_command(session.device, true, false);
	bar = must_map_region(session.device, 0);
	set_command(session.device, false, false);
	expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET with memory off");
	check(!readable(bar), "memory stays off");
	set_power_state(session.device, 3);
	expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET in D3hot");
	set_power_state(session.device, 0);
	set_command(session.device, true, false);
	check(readable(bar), "and it can be used");
}

/* INTx on, and masked or not. */
static void set_line(int device, bool masked)
{
	must(set_irqs(device,
		      VFIO_IRQ_SET_DATA_NONE |
			      (masked ? VFIO_IRQ_SET_ACTION_MASK : VFIO_IRQ_SET_ACTION_UNMASK),
		      VFIO_PCI_INTX_IRQ_INDEX, 0, 1, NULL),
	     "%s of INTx", masked ? "MASK" : "UNMASK");
}

static void expect_line(bool masked, const char *when)
{
	bool has = hardware_config(NVME, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;

	check(has == masked, "%s, INTx is %s", when, masked ? "masked" : "not masked");
}

/* A reset that is no wish of the device's user: by root, through sysfs. */
struct other_reset {
	pthread_t thread;
	atomic_bool done;
	long result;
};

static void *reset_by_sysfs(void *argument)
{
	struct other_reset *other = argument;

	other->result = sysfs_write("1", "/sys/bus/pci/devices/%s/reset", the_devices[NVME].bdf);
	atomic_store(&other->done, true);
	return NULL;
}

/* Masks or unmasks INTx while the device is being reset. False: the reset was over before. */
static bool set_line_in_reset(int device, volatile uint32_t *bar, bool masked)
{
	struct other_reset other = { .done = false };
	const uint32_t capabilities = bar[0]; /* NVMe 2.0 §3.1.3.1: constant */
	bool seen = false;

	must(pthread_create(&other.thread, NULL, reset_by_sysfs, &other) ? -EAGAIN : 0, "a thread");
	/* While it goes on, the device does not decode memory, and something else is read. */
	while (!seen && !atomic_load(&other.done))
		seen = bar[0] != capabilities;
	set_line(device, masked);
	pthread_join(other.thread, NULL);
	must(other.result, "a reset through sysfs");
	return seen;
}

static void check_line(void)
{
	static const uint32_t on = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	const uint32_t bits = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	int32_t interrupt = eventfd(0, EFD_NONBLOCK);
	volatile uint32_t *bar;

	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	must(set_irqs(session.device, on, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &interrupt), "SET_IRQS");
	for (int masked = 1; masked >= 0; masked--) {
		set_line(session.device, masked);
		expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET");
		expect_line(masked, "after RESET");
	}
	for (int masked = 1; masked >= 0; masked--) {
		bool seen = false;

		for (int tries = 0; !seen && tries < 10; tries++) {
			set_line(session.device, !masked);
			seen = set_line_in_reset(session.device, bar, masked);
		}
		check(seen, "somebody else resets the device meanwhile");
		expect_line(masked, "set during a reset by somebody else");
		expect(hardware_config(NVME, PCI_COMMAND, 2) & bits, bits,
		       "memory and bus mastering are as before");
	}
}

static const struct conform_case cases[] = {
	{ "RESET", check_reset },
	{ "what a reset leaves", check_state },
	{ "hot reset, information", check_hot_reset_info },
	{ "hot reset", check_hot_reset },
	{ "reset without memory or power", check_reset_unpowered },
	{ "INTx and resets", check_line },
};

const struct conform_part part_reset = { "reset", cases, ARRAY_SIZE(cases) };
