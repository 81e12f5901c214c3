/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * VFIO_DEVICE_SET_IRQS in every form: what is refused, and what arrives at eventfds.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "interrupts.h"

static const struct refused {
	const char *what;
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	long result;
} refusals[] = {
	{ "argsz 0", 0, NONE | TRIGGER, MSIX, 0, 0, -EINVAL },
	{ "argsz one short", 19, NONE | TRIGGER, MSIX, 0, 0, -EINVAL },
	{ "an unknown flag", 20, 1u << 6 | NONE | TRIGGER, MSIX, 0, 0, -EINVAL },
	{ "the highest flag", 20, 1u << 31 | NONE | TRIGGER, MSIX, 0, 0, -EINVAL },
	{ "no kind of data", 20, TRIGGER, MSIX, 0, 1, -EINVAL },
	{ "two kinds of data", 24, BOOL | EVENTFD | TRIGGER, MSIX, 0, 1, -EINVAL },
	{ "no action", 20, NONE, MSIX, 0, 1, -ENOTTY },
	{ "two actions", 20, NONE | MASK | UNMASK, INTX, 0, 1, -ENOTTY },
	{ "index 5", 20, NONE | TRIGGER, VFIO_PCI_NUM_IRQS, 0, 1, -EINVAL },
	{ "index UINT_MAX", 20, NONE | TRIGGER, ~0u, 0, 1, -EINVAL },
	{ "start beyond the vectors", 20, NONE | TRIGGER, MSIX, 4096, 0, -EINVAL },
	{ "count beyond the vectors", 20, NONE | TRIGGER, MSIX, 0, 4096, -EINVAL },
	{ "start + count wraps", 20, NONE | TRIGGER, MSIX, 2, ~0u, -EINVAL },
	{ "eventfds that argsz does not hold", 20, EVENTFD | TRIGGER, MSIX, 0, 1, -EINVAL },
	{ "two eventfds, of which argsz holds one", 24, EVENTFD | TRIGGER, MSIX, 0, 2, -EINVAL },
	{ "bytes that argsz does not hold", 20, BOOL | TRIGGER, MSIX, 0, 1, -EINVAL },
	{ "MASK of MSI-X", 20, NONE | MASK, MSIX, 0, 1, -ENOTTY },
	{ "UNMASK of MSI-X", 20, NONE | UNMASK, MSIX, 0, 1, -ENOTTY },
	{ "MASK of errors", 20, NONE | MASK, ERR, 0, 1, -ENOTTY },
	{ "MASK of requests", 20, NONE | MASK, REQ, 0, 1, -ENOTTY },
	{ "triggering MSI-X that is off", 20, NONE | TRIGGER, MSIX, 0, 1, -EINVAL },
	{ "triggering MSI-X that is off, by bytes", 24, BOOL | TRIGGER, MSIX, 0, 1, -EINVAL },
	{ "switching off MSI-X that is off", 20, NONE | TRIGGER, MSIX, 0, 0, -EINVAL },
	{ "switching off INTx that is off", 20, NONE | TRIGGER, INTX, 0, 0, -EINVAL },
	{ "triggering INTx that is off", 20, NONE | TRIGGER, INTX, 0, 1, -EINVAL },
	{ "MASK of INTx that is off", 20, NONE | MASK, INTX, 0, 1, -EINVAL },
	{ "UNMASK of INTx that is off", 20, NONE | UNMASK, INTX, 0, 1, -EINVAL },
	{ "INTx 1", 20, NONE | TRIGGER, INTX, 1, 1, -EINVAL },
};

static void check_refused(void)
{
	struct session session = must_open(NIC, VFIO_TYPE1v2_IOMMU);

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct {
			struct vfio_irq_set set;
			uint32_t data[4];
		} request = { .set = {
				      .argsz = refusals[i].argsz,
				      .flags = refusals[i].flags,
				      .index = refusals[i].index,
				      .start = refusals[i].start,
				      .count = refusals[i].count,
			      } };

		expect(call(session.device, VFIO_DEVICE_SET_IRQS, &request), refusals[i].result,
		       "SET_IRQS, %s", refusals[i].what);
	}
	expect(call(session.device, VFIO_DEVICE_SET_IRQS, NULL), -EFAULT, "SET_IRQS of no address");
}

static void check_bad_eventfds(void)
{
	struct session session = must_open(NIC, VFIO_TYPE1v2_IOMMU);
	int32_t null = open("/dev/null", O_RDWR), closed = 999, good = must_eventfd();
	int32_t mixed[] = { good, closed };
	static const struct {
		const char *name;
		uint32_t index;
	} indexes[] = { { "INTx", INTX },
			{ "MSI", MSI },
			{ "MSI-X", MSIX },
			{ "errors", ERR },
			{ "requests", REQ } };

	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
		expect(set_irqs(session.device, EVENTFD | TRIGGER, indexes[i].index, 0, 1, &closed),
		       -EBADF, "%s to a closed file", indexes[i].name);
		expect(set_irqs(session.device, EVENTFD | TRIGGER, indexes[i].index, 0, 1, &null),
		       -EINVAL, "%s to a file that is no eventfd", indexes[i].name);
		expect(set_irqs(session.device, EVENTFD | TRIGGER, indexes[i].index, 0, 1, &good),
		       0, "%s to an eventfd after that", indexes[i].name);
		expect(set_irqs(session.device, NONE | TRIGGER, indexes[i].index, 0, 0, NULL), 0,
		       "%s switched off", indexes[i].name);
	}
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 2, mixed), -EBADF,
	       "MSI-X to an eventfd and a closed file");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 1, &good), 0,
	       "MSI-X to the eventfd alone");
}

/* What a device can mask is found out when it is opened. */
static void set_no_mask(const char *value)
{
	must(sysfs_write(value, "/sys/module/vfio_pci/parameters/nointxmask"), "set nointxmask");
}

static void check_line(bool exclusive)
{
	struct session session;
	int32_t trigger = must_eventfd(), unmask = must_eventfd(), none = -1;
	uint8_t yes = 1, no = 0;
	uint64_t one = 1;
	void *bar;

	set_no_mask(exclusive ? "1" : "0");
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	set_no_mask("0");
	set_command(session.device, true, false);
	bar = must_map_region(session.device, 0);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, INTX, 0, 1, &trigger), 0, "switched on");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &trigger), -EINVAL,
	       "MSI while INTx is on");

	edu_write(bar, EDU_RAISE, 1);
	expect(signals(trigger, ARRIVES_MS), 1, "raised by the device");
	expect(signals(trigger, QUIET_MS), 0, "masked by itself while the line is high");
	expect(set_irqs(session.device, NONE | UNMASK, INTX, 0, 1, NULL), 0, "UNMASK");
	expect(signals(trigger, ARRIVES_MS), 1, "UNMASK while the line is high signals again");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, NONE | UNMASK, INTX, 0, 1, NULL), 0,
	       "UNMASK with the line low");
	expect(signals(trigger, QUIET_MS), 0, "UNMASK with the line low signals nothing");

	expect(set_irqs(session.device, NONE | MASK, INTX, 0, 1, NULL), 0, "MASK");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(trigger, QUIET_MS), 0, "what is masked signals nothing");
	expect(set_irqs(session.device, BOOL | UNMASK, INTX, 0, 1, &no), 0, "UNMASK of a byte 0");
	expect(signals(trigger, QUIET_MS), 0, "UNMASK of a byte 0 does nothing");
	expect(set_irqs(session.device, BOOL | UNMASK, INTX, 0, 1, &yes), 0, "UNMASK of a byte 1");
	expect(signals(trigger, ARRIVES_MS), 1, "UNMASK of a byte 1 unmasks");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, BOOL | MASK, INTX, 0, 1, &yes), 0, "MASK of a byte 1");

	expect(set_irqs(session.device, EVENTFD | UNMASK, INTX, 0, 1, &unmask), 0,
	       "UNMASK by an eventfd");
	expect(set_irqs(session.device, EVENTFD | MASK, INTX, 0, 1, &unmask), -ENOTTY,
	       "MASK by an eventfd is not there");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(trigger, QUIET_MS), 0, "still masked");
	check(write(unmask, &one, sizeof(one)) == sizeof(one), "the eventfd is written");
	expect(signals(trigger, ARRIVES_MS), 1, "and unmasks");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, EVENTFD | UNMASK, INTX, 0, 1, &none), 0,
	       "UNMASK by no eventfd");

	expect(set_irqs(session.device, NONE | TRIGGER, INTX, 0, 1, NULL), 0, "loopback");
	expect(signals(trigger, ARRIVES_MS), 1, "loopback signals");
	expect(set_irqs(session.device, BOOL | TRIGGER, INTX, 0, 1, &no), 0,
	       "loopback of a byte 0");
	expect(signals(trigger, QUIET_MS), 0, "loopback of a byte 0 signals nothing");
	expect(set_irqs(session.device, BOOL | TRIGGER, INTX, 0, 1, &yes), 0,
	       "loopback of a byte 1");
	expect(signals(trigger, ARRIVES_MS), 1, "loopback of a byte 1 signals");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, INTX, 0, 1, &none), 0,
	       "no eventfd (-1)");
	expect(set_irqs(session.device, NONE | TRIGGER, INTX, 0, 0, NULL), 0, "switched off");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(trigger, QUIET_MS), 0, "off is off");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
}

static void check_intx(void)
{
	about("DisINTx");
	check_line(false);
}

/* Of devices that cannot mask it themselves, the interrupt controller has to. */
static void check_exclusive_intx(void)
{
	about("nointxmask");
	check_line(true);
}

static void check_msi(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	unsigned int msi = capability(session.device, PCI_CAP_ID_MSI);
	int32_t first = must_eventfd(), second = must_eventfd(), none = -1;
	uint8_t yes = 1, no = 0;
	void *bar;

	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &first), 0, "switched on");
	check(hardware_config(EDU, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE,
	      "the hardware's MSI is on");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(first, ARRIVES_MS), 1, "raised by the device");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &second), 0,
	       "another eventfd while it is on");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(second, ARRIVES_MS), 1, "raised by the device, to the other eventfd");
	expect(signals(first, 0), 0, "and not to the first");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, NONE | TRIGGER, MSI, 0, 1, NULL), 0, "loopback");
	expect(signals(second, ARRIVES_MS), 1, "loopback signals");
	expect(set_irqs(session.device, BOOL | TRIGGER, MSI, 0, 1, &no), 0, "loopback of a byte 0");
	expect(signals(second, QUIET_MS), 0, "loopback of a byte 0 signals nothing");
	expect(set_irqs(session.device, BOOL | TRIGGER, MSI, 0, 1, &yes), 0,
	       "loopback of a byte 1");
	expect(signals(second, ARRIVES_MS), 1, "loopback of a byte 1 signals");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &none), 0, "no eventfd (-1)");
	expect(set_irqs(session.device, NONE | TRIGGER, MSI, 0, 1, NULL), 0,
	       "loopback of a vector without an eventfd");
	expect(signals(second, QUIET_MS), 0, "a vector without an eventfd signals nobody");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, INTX, 0, 1, &first), -EINVAL,
	       "INTx while MSI is on");
	expect(set_irqs(session.device, NONE | TRIGGER, MSI, 0, 0, NULL), 0, "switched off");
	check(!(hardware_config(EDU, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE),
	      "the hardware's MSI is off");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, INTX, 0, 1, &first), 0,
	       "INTx after MSI was switched off");
}

static void check_msix(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	unsigned int msix = capability(session.device, PCI_CAP_ID_MSIX);
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = MSIX };
	int32_t fds[] = { must_eventfd(), -1, must_eventfd() }, other = must_eventfd(), none = -1;
	uint8_t pattern[] = { 0, 1, 1 };
	long beyond;

	must(call(session.device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO");
	set_command(session.device, true, true);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 3, fds), 0,
	       "three vectors, the second without an eventfd");
	check(hardware_config(NVME, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE,
	      "the hardware's MSI-X is on");
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, 3, NULL), 0, "loopback of three");
	expect(signals(fds[0], ARRIVES_MS), 1, "loopback of three signals the first");
	expect(signals(fds[2], ARRIVES_MS), 1, "loopback of three signals the third");
	expect(set_irqs(session.device, BOOL | TRIGGER, MSIX, 0, 3, pattern), 0,
	       "loopback of bytes 0, 1, 1");
	expect(signals(fds[2], ARRIVES_MS), 1, "loopback of bytes 0, 1, 1 signals the third");
	expect(signals(fds[0], QUIET_MS), 0, "and not the first");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 1, 1, &other), 0,
	       "an eventfd for the second while others are in use");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 1, &none), 0,
	       "none any more for the first");
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, 2, NULL), 0, "loopback of two");
	expect(signals(other, ARRIVES_MS), 1, "the second signals");
	expect(signals(fds[0], QUIET_MS), 0, "the first does not");
	beyond = set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 3, 1, &other);
	expect(beyond, info.flags & VFIO_IRQ_INFO_NORESIZE ? -EINVAL : 0,
	       "a vector more while others are in use, as its flags say");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, info.count, 1, &other), -EINVAL,
	       "a vector that the device does not have");
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, 0, NULL), 0, "switched off");
	check(!(hardware_config(NVME, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE),
	      "the hardware's MSI-X is off");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 1, fds), 0,
	       "switched on again");
	close(session.device);
	check(!(hardware_config(NVME, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE),
	      "it is off when the device is closed");
}

static void check_all_vectors(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = MSIX };
	int32_t *fds;
	bool all = true;

	must(call(session.device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO");
	fds = calloc(info.count, sizeof(*fds));
	must(fds && info.count >= 4 ? 0 : -ENOMEM, "memory for %u eventfds", info.count);
	for (uint32_t i = 0; i < info.count; i++)
		fds[i] = must_eventfd();
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, info.count, fds), 0,
	       "all vectors");
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, info.count, NULL), 0,
	       "loopback of all");
	for (uint32_t i = 0; i < info.count; i++)
		all &= signals(fds[i], ARRIVES_MS) == 1;
	check(all, "every eventfd is signalled once");
	free(fds);
}

/* Closed while it raises its line, a device that cannot be reset does not trouble the others. */
static void check_abandoned_line(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	int32_t fd = must_eventfd();
	void *bar;

	set_command(session.device, true, false);
	bar = must_map_region(session.device, 0);
	must(set_irqs(session.device, EVENTFD | TRIGGER, INTX, 0, 1, &fd), "SET_IRQS");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(fd, ARRIVES_MS), 1, "raised by the device");
	munmap(bar, must_region(session.device, 0).size);
	close_session(&session);
	check(hardware_config(EDU, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE,
	      "closed while its line is high, it is masked");
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	set_command(session.device, true, false);
	bar = must_map_region(session.device, 0);
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
}

/* Errors and requests: single eventfds that stay until they are replaced. */
static void check_notice(int device, uint32_t index, const char *name)
{
	int32_t first = must_eventfd(), second = must_eventfd(), none = -1;
	uint8_t yes = 1, no = 0;

	expect(set_irqs(device, EVENTFD | TRIGGER, index, 0, 1, &first), 0, "%s: an eventfd", name);
	expect(set_irqs(device, NONE | TRIGGER, index, 0, 1, NULL), 0, "%s: loopback", name);
	expect(signals(first, ARRIVES_MS), 1, "%s: loopback signals", name);
	expect(set_irqs(device, EVENTFD | TRIGGER, index, 0, 1, &second), 0, "%s: another", name);
	expect(set_irqs(device, BOOL | TRIGGER, index, 0, 1, &yes), 0, "%s: loopback of a byte 1",
	       name);
	expect(signals(second, ARRIVES_MS), 1, "%s: loopback of a byte 1 signals the other", name);
	expect(set_irqs(device, BOOL | TRIGGER, index, 0, 1, &no), 0, "%s: loopback of a byte 0",
	       name);
	expect(signals(second, QUIET_MS), 0, "%s: loopback of a byte 0 signals nothing", name);
	expect(signals(first, 0), 0, "%s: the first was not signalled again", name);
	expect(set_irqs(device, EVENTFD | TRIGGER, index, 0, 1, &none), 0, "%s: none (-1)", name);
	expect(set_irqs(device, EVENTFD | TRIGGER, index, 0, 1, &first), 0, "%s: one again", name);
	expect(set_irqs(device, NONE | TRIGGER, index, 0, 0, NULL), 0, "%s: count 0", name);
}

static void check_notices(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	int32_t fd = must_eventfd();

	check_notice(session.device, ERR, "errors");
	check_notice(session.device, REQ, "requests");
	close_session(&session);
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, ERR, 0, 1, &fd), -EINVAL,
	       "errors without PCI Express");
}

static void *unbind_edu(void *result)
{
	*(long *)result = sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind");
	return NULL;
}

/* The driver is told to let go of a device that is open. */
static void check_request(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	size_t size = must_region(session.device, 0).size;
	void *bar = must_map_region(session.device, 0);
	int32_t request = must_eventfd();
	pthread_t thread;
	long result = 1, late;

	must(set_irqs(session.device, EVENTFD | TRIGGER, REQ, 0, 1, &request), "SET_IRQS");
	must(pthread_create(&thread, NULL, unbind_edu, &result) ? -EAGAIN : 0, "a thread");
	expect(signals(request, ARRIVES_MS), 1, "unbinding an open device asks for it");
	late = get_device(session.group, the_devices[EDU].bdf);
	expect(late < 0 ? late : 0, -ENODEV, "GET_DEVICE_FD of a device that is going");
	if (late >= 0)
		close((int)late);
	expect(result, 1, "unbinding waits");
	close(session.device);
	munmap(bar, size);
	close(session.group);
	pthread_join(thread, NULL);
	expect(result, 0, "unbinding ends when it is closed");
	check(!sysfs_exists("%s", the_devices[EDU].node), "the group's node has gone");
	must(sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/bind"), "bind");
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	check(session.device >= 0, "bound again, it can be opened");
}

static const struct conform_case cases[] = {
	{ "what is refused", check_refused },
	{ "what is no eventfd", check_bad_eventfds },
	{ "INTx", check_intx },
	{ "INTx without a mask in the device", check_exclusive_intx },
	{ "INTx of a device that is closed", check_abandoned_line },
	{ "MSI", check_msi },
	{ "MSI-X", check_msix },
	{ "all vectors", check_all_vectors },
	{ "errors and requests", check_notices },
	{ "a request", check_request },
};

const struct conform_part part_irqs = { "irqs", cases, ARRAY_SIZE(cases) };
