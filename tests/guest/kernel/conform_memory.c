/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Set-up when memory runs out. The kernel is told to fail the first allocation of a call, then the
 * second, and so on until the call passes without having met a failure: /proc/thread-self/fail-nth
 * of kernels with fault injection. Whatever failed leaves nothing behind, which the leak detector
 * of such a kernel also looks at; and the same call works at once when memory is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define MOST_ALLOCATIONS 2000

static int fail_nth = -1;
static bool failure_met;

static void tell_kernel(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	must(pwrite(fail_nth, text, length, 0) == length ? 0 : -errno, "write %s", FAIL_NTH);
}

/*
 * No allocation fails from here on. Steps call it before they undo what they did: the IOMMU core
 * only warns when memory is short in what cannot fail, and that is not looked at here.
 */
static void stop_failing(void)
{
	char text[16] = "";

	must(pread(fail_nth, text, sizeof(text) - 1, 0) < 0 ? -errno : 0, "read %s", FAIL_NTH);
	/* It counts down to the failure. */
	failure_met |= atoi(text) == 0;
	tell_kernel(0);
}

static void start_failing(unsigned int n)
{
	failure_met = false;
	tell_kernel(n);
}

/* A step of the set-up, which undoes itself when it succeeds. */
struct step {
	const char *name;
	long (*run)(void);
};

static struct session open_already;
static int32_t eventfds[4];
static char *memory;

static long open_a_container(void)
{
	int container = open_container();

	stop_failing();
	if (container >= 0)
		close(container);
	return container < 0 ? container : 0;
}

static long open_a_group(void)
{
	int group = open_group(NVME);

	stop_failing();
	if (group >= 0)
		close(group);
	return group < 0 ? group : 0;
}

/* All from the group to the device: edu, which needs no time for a reset. */
static long open_all(void)
{
	int container = open_container(), group = -1;
	long result = container;

	if (result >= 0)
		result = group = open_group(EDU);
	if (result >= 0)
		result = set_container(group, container);
	if (result >= 0)
		result = call_number(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	if (result >= 0)
		result = get_device(group, the_devices[EDU].bdf);
	stop_failing();
	if (result >= 0)
		close((int)result);
	if (group >= 0)
		close(group);
	if (container >= 0)
		close(container);
	return result < 0 ? result : 0;
}

static long join(void)
{
	int group = open_group(NVME);
	long result = group < 0 ? group : set_container(group, open_already.container);

	stop_failing();
	if (group >= 0)
		close(group);
	return result;
}

static long map(void)
{
	long result = map_dma(open_already.container, memory, 0, 64 * PAGE, READ_WRITE);

	stop_failing();
	if (result == 0)
		result = unmap_dma(open_already.container, 0, 64 * PAGE, 0);
	return result < 0 ? result : 0;
}

static long get_information(void)
{
	long result = dma_available(open_already.container);

	stop_failing();
	return result < 0 ? result : 0;
}

static long interrupts(uint32_t index, uint32_t count)
{
	long result = set_irqs(open_already.device,
			       VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0,
			       count, eventfds);

	stop_failing();
	if (result == 0)
		result = set_irqs(open_already.device,
				  VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 0,
				  NULL);
	return result;
}

static long intx(void)
{
	return interrupts(VFIO_PCI_INTX_IRQ_INDEX, 1);
}

static long msi(void)
{
	return interrupts(VFIO_PCI_MSI_IRQ_INDEX, 1);
}

static long msix(void)
{
	return interrupts(VFIO_PCI_MSIX_IRQ_INDEX, 4);
}

static long map_bar(void)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 0 };
	long result = call(open_already.device, VFIO_DEVICE_GET_REGION_INFO, &info);
	void *bar;

	if (result < 0) {
		stop_failing();
		return result;
	}
	bar = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, open_already.device,
		   (off_t)info.offset);
	result = bar == MAP_FAILED ? -errno
				   : map_dma(open_already.container, bar, 0, PAGE, READ_WRITE);
	stop_failing();
	if (bar == MAP_FAILED)
		return result;
	if (result == 0)
		result = unmap_dma(open_already.container, 0, PAGE, 0);
	munmap(bar, info.size);
	return result < 0 ? result : 0;
}

static long bind(void)
{
	long result = sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/bind");

	stop_failing();
	if (result == 0)
		result = sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind");
	return result;
}

static void run_short(const struct step *step)
{
	unsigned int met = 0, n;
	long result = 0;

	for (n = 1; n < MOST_ALLOCATIONS; n++) {
		start_failing(n);
		result = step->run();
		if (!failure_met)
			break;
		met++;
		/*
		 * A failure may have been harmless: something smaller did. The bus says -ENOSPC
		 * when it cannot have vectors, and a page that cannot be had is a fault.
		 */
		if (result != 0 && result != -ENOMEM && result != -ENOSPC && result != -EFAULT &&
		    result != -EAGAIN) {
			expect(result, -ENOMEM, "%s: allocation %u fails", step->name, n);
			return;
		}
	}
	check(met > 0 && n < MOST_ALLOCATIONS, "%s: every allocation has failed once", step->name);
	expect(result, 0, "%s: works when none fails", step->name);
}

static void must_inject(void)
{
	must(sysfs_write("N", "/sys/kernel/debug/failslab/ignore-gfp-wait"),
	     "let allocations fail that may wait");
	must(sysfs_write("0", "/sys/kernel/debug/failslab/verbose"),
	     "have failures not written into the log");
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	must(fail_nth < 0 ? -errno : 0, "open %s", FAIL_NTH);
}

static void check_opening(void)
{
	static const struct step steps[] = {
		{ "open a container", open_a_container },
		{ "open a group", open_a_group },
		{ "open all", open_all },
	};
	long locked = locked_kilobytes();

	must_inject();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		run_short(&steps[i]);
	expect(locked_kilobytes() - locked, 0, "nothing is charged");
}

static void check_using(void)
{
	static const struct step steps[] = {
		{ "a second group", join }, { "MAP_DMA", map }, { "GET_INFO", get_information },
		{ "INTx", intx },	    { "MSI", msi },	{ "MSI-X", msix },
		{ "a BAR", map_bar },
	};
	long locked = locked_kilobytes(), available;

	memory = must_allocate(64 * PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(eventfds); i++)
		eventfds[i] = eventfd(0, 0);
	open_already = must_open(NIC, VFIO_TYPE1v2_IOMMU);
	available = dma_available(open_already.container);
	set_command(open_already.device, true, true);
	must_inject();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		run_short(&steps[i]);
	expect(dma_available(open_already.container), available, "all areas have been given back");
	close_session(&open_already);
	expect(locked_kilobytes() - locked, 0, "nothing is charged");
}

static void check_binding(void)
{
	static const struct step step = { "bind", bind };

	must(sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
	must_inject();
	run_short(&step);
	must(sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/bind"), "bind");
}

static const struct conform_case cases[] = {
	{ "opening", check_opening },
	{ "using", check_using },
	{ "binding", check_binding },
};

const struct conform_part part_memory = { "memory", cases, ARRAY_SIZE(cases) };
