/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Set-up when memory runs out: the first allocation of a call fails (shortage.h), then the second,
 * and so on until the call has passed without having met a failure. A call that failed says so by
 * an error of memory and leaves nothing behind, which the leak detector of such a kernel also looks
 * at; and the same call works at once when memory is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "calls.h"
#include "shortage.h"

#define HUGE_PAGE (2u << 20)
#define SIZE (64 * PAGE)
#define BAR_IOVA (1ull << 30)

/*
 * ACPI's methods are evaluated when an interrupt is routed, and when it is no more; whatever they
 * leave half done when memory is short, the next evaluation trips over.
 */
static const struct shortage_spared routing = { "acpi_pci_irq_enable", "acpi_pci_irq_disable" };
/* An interrupt's folder in /proc is missing files that its removal warns about. */
static const struct shortage_spared proc_irq = { "register_irq_proc", "register_irq_proc" };
/* The IOMMU core warns about what cannot fail: the way back to the host's own domain. */
static const struct shortage_spared detaching = { "iommu_detach_group",
						  "iommu_group_release_dma_owner" };

/* What a step has open, and what it uses that a case has open. */
static struct session current = { -1, -1, -1 }, opened;
static int32_t eventfds[4];
static char *memory, *huge_memory, *fresh_memory;
static volatile char *bar;
static size_t bar_size;

static void close_current(void)
{
	close_session(&current);
}

/* Opening. */

static long open_a_container(void)
{
	long fd = open_container();

	current.container = fd < 0 ? -1 : (int)fd;
	return fd < 0 ? fd : 0;
}

static long open_a_group(void)
{
	long fd = open_group(EDU);

	current.group = fd < 0 ? -1 : (int)fd;
	return fd < 0 ? fd : 0;
}

static void prepare_group(void)
{
	must(open_a_container(), "open the container");
	must(open_a_group(), "open the group");
}

static long join_container(void)
{
	return set_container(current.group, current.container);
}

static void prepare_container(void)
{
	prepare_group();
	must(join_container(), "SET_CONTAINER");
}

static long set_iommu(void)
{
	return call_number(current.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
}

static void prepare_iommu(void)
{
	prepare_container();
	must(set_iommu(), "SET_IOMMU");
}

static long open_a_device(void)
{
	long fd = get_device(current.group, the_devices[EDU].bdf);

	current.device = fd < 0 ? -1 : (int)fd;
	return fd < 0 ? fd : 0;
}

/* All that a user may have of a device, in use. */
static void prepare_all(void)
{
	prepare_iommu();
	must(open_a_device(), "GET_DEVICE_FD");
	set_command(current.device, true, true);
	bar_size = must_region(current.device, VFIO_PCI_BAR0_REGION_INDEX).size;
	bar = must_map_region(current.device, VFIO_PCI_BAR0_REGION_INDEX);
	must(map_dma(current.container, memory, 0, SIZE, READ_WRITE), "MAP_DMA of memory");
	must(map_dma(current.container, (const void *)bar, SIZE, PAGE, READ_WRITE), "and a BAR");
	must(set_irqs(current.device, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		      VFIO_PCI_MSI_IRQ_INDEX, 0, 1, eventfds),
	     "MSI");
	munmap((void *)bar, bar_size);
}

static long close_the_device(void)
{
	close(current.device);
	current.device = -1;
	return 0;
}

static void prepare_to_leave(void)
{
	prepare_all();
	close_the_device();
}

static long leave_container(void)
{
	return call(current.group, VFIO_GROUP_UNSET_CONTAINER, NULL);
}

/* Using: with a device of the NIC's open, and a container with mappings. */

static long map(void)
{
	return map_dma(opened.container, memory, 0, SIZE, READ_WRITE);
}

static long map_huge(void)
{
	return map_dma(opened.container, huge_memory, 0, 2 * HUGE_PAGE, READ_WRITE);
}

/* Memory that nobody has touched: its pages are allocated when they are pinned. */
static void get_fresh(void)
{
	fresh_memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(fresh_memory == MAP_FAILED ? -errno : 0, "allocate memory");
}

static long map_fresh(void)
{
	return map_dma(opened.container, fresh_memory, 0, SIZE, READ_WRITE);
}

static void unmap_all(void)
{
	must(unmap_dma(opened.container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), "UNMAP_DMA");
}

static void drop_fresh(void)
{
	unmap_all();
	munmap(fresh_memory, SIZE);
}

static void must_map(void)
{
	must(map(), "MAP_DMA");
}

static long unmap(void)
{
	long result = unmap_dma(opened.container, 0, SIZE, 0);

	return result == SIZE ? 0 : result < 0 ? result : -EIO;
}

static void get_bar(void)
{
	bar_size = must_region(opened.device, VFIO_PCI_BAR0_REGION_INDEX).size;
	bar = must_map_region(opened.device, VFIO_PCI_BAR0_REGION_INDEX);
}

static long map_bar(void)
{
	return map_dma(opened.container, (const void *)bar, BAR_IOVA, PAGE, READ_WRITE);
}

static void drop_bar(void)
{
	unmap_all();
	munmap((void *)bar, bar_size);
}

static void must_map_bar(void)
{
	get_bar();
	must(map_bar(), "MAP_DMA of a BAR");
}

/* When it cannot have the domain that is there, it gets one with the same mappings. */
static void open_second(void)
{
	must_map();
	must_map_bar();
	current.group = (int)must(open_group(NVME), "open the second group");
}

static long join_opened(void)
{
	return set_container(current.group, opened.container);
}

static void close_second(void)
{
	close_current();
	drop_bar();
}

static long unmap_bar(void)
{
	long result = unmap_dma(opened.container, BAR_IOVA, PAGE, 0);

	return result == PAGE ? 0 : result < 0 ? result : -EIO;
}

static long touch_bar(void)
{
	return readable(bar) ? 0 : -EFAULT;
}

static long get_information(void)
{
	long result = dma_available(opened.container);

	return result < 0 ? result : 0;
}

static long get_region_information(void)
{
	struct {
		struct vfio_region_info info;
		char capabilities[256];
	} answer = { .info.argsz = sizeof(answer), .info.index = VFIO_PCI_BAR0_REGION_INDEX };

	return call(opened.device, VFIO_DEVICE_GET_REGION_INFO, &answer);
}

static long interrupts_on(uint32_t index, uint32_t start, uint32_t count)
{
	return set_irqs(opened.device, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			index, start, count, eventfds);
}

static long interrupts_off(uint32_t index)
{
	return set_irqs(opened.device, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, index,
			0, 0, NULL);
}

static long intx(void)
{
	return interrupts_on(VFIO_PCI_INTX_IRQ_INDEX, 0, 1);
}

static void must_intx(void)
{
	must(intx(), "INTx");
}

static void intx_off(void)
{
	must(interrupts_off(VFIO_PCI_INTX_IRQ_INDEX), "INTx off");
}

static long irqfd(uint32_t action)
{
	return set_irqs(opened.device, VFIO_IRQ_SET_DATA_EVENTFD | action, VFIO_PCI_INTX_IRQ_INDEX,
			0, 1, &eventfds[1]);
}

static long irqfd_mask(void)
{
	return irqfd(VFIO_IRQ_SET_ACTION_MASK);
}

static long irqfd_unmask(void)
{
	return irqfd(VFIO_IRQ_SET_ACTION_UNMASK);
}

static long msi(void)
{
	return interrupts_on(VFIO_PCI_MSI_IRQ_INDEX, 0, 1);
}

static void msi_off(void)
{
	must(interrupts_off(VFIO_PCI_MSI_IRQ_INDEX), "MSI off");
}

static long msix(void)
{
	return interrupts_on(VFIO_PCI_MSIX_IRQ_INDEX, 0, 4);
}

static void msix_one(void)
{
	must(interrupts_on(VFIO_PCI_MSIX_IRQ_INDEX, 0, 1), "one vector of MSI-X");
}

/* Vectors are added to those there are. */
static long msix_more(void)
{
	return interrupts_on(VFIO_PCI_MSIX_IRQ_INDEX, 1, 3);
}

static void must_msix(void)
{
	must(msix(), "MSI-X");
}

static long msix_disable(void)
{
	return interrupts_off(VFIO_PCI_MSIX_IRQ_INDEX);
}

static void msix_off(void)
{
	must(msix_disable(), "MSI-X off");
}

static long error_event(void)
{
	return interrupts_on(VFIO_PCI_ERR_IRQ_INDEX, 0, 1);
}

static void error_off(void)
{
	must(interrupts_off(VFIO_PCI_ERR_IRQ_INDEX), "no error eventfd");
}

static long request_event(void)
{
	return interrupts_on(VFIO_PCI_REQ_IRQ_INDEX, 0, 1);
}

static void request_off(void)
{
	must(interrupts_off(VFIO_PCI_REQ_IRQ_INDEX), "no request eventfd");
}

/* The interrupt line, a field that is the user's own. */
static long write_config(void)
{
	off_t offset = (off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40;
	unsigned char line = 5;

	return pwrite(opened.device, &line, 1, offset + 0x3c) < 0 ? -errno : 0;
}

/* Resets: of the NVMe controller, whose registers are mapped for itself. */

static long reset(void)
{
	return call(opened.device, VFIO_DEVICE_RESET, NULL);
}

static long hot_reset_info(void)
{
	struct {
		struct vfio_pci_hot_reset_info header;
		struct vfio_pci_dependent_device devices[8];
	} info = { .header.argsz = sizeof(info) };

	return call(opened.device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &info);
}

static long hot_reset(void)
{
	struct {
		struct vfio_pci_hot_reset header;
		int32_t group;
	} request = { .header = { .argsz = sizeof(request), .count = 1 }, .group = opened.group };

	return call(opened.device, VFIO_DEVICE_PCI_HOT_RESET, &request);
}

/* Drivers. */

static long bind(void)
{
	return sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/bind");
}

static void unbind(void)
{
	must(sysfs_write(the_devices[EDU].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
}

static const char *module_path;

static long load(void)
{
	int fd = open(module_path, O_RDONLY | O_CLOEXEC);
	long result = fd < 0 ? -errno : 0;

	if (result == 0 && syscall(SYS_finit_module, fd, "", 0) < 0)
		result = -errno;
	close(fd);
	return result;
}

static const char *module_name;

static void unload(void)
{
	must(syscall(SYS_delete_module, module_name, O_NONBLOCK) < 0 ? -errno : 0, "unload %s",
	     module_name);
}

static void prepare_case(void)
{
	memory = must_allocate(SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(eventfds); i++)
		eventfds[i] = (int)must(eventfd(0, 0), "make an eventfd");
}

static void check_opening(void)
{
	static const struct shortage_step steps[] = {
		{ "open a container", NULL, open_a_container, close_current },
		{ "open a group", NULL, open_a_group, close_current, .cannot_fail = true },
		{ "SET_CONTAINER", prepare_group, join_container, close_current,
		  .cannot_fail = true },
		{ "SET_IOMMU", prepare_container, set_iommu, close_current },
		{ "GET_DEVICE_FD", prepare_iommu, open_a_device, close_current, &routing },
		{ "close a device", prepare_all, close_the_device, close_current, &routing,
		  .cannot_fail = true },
		{ "UNSET_CONTAINER", prepare_to_leave, leave_container, close_current, &detaching,
		  .cannot_fail = true },
	};

	prepare_case();
	shortage_run(steps, ARRAY_SIZE(steps));
}

/* Steps that have the NIC open. */
static void run_with_device(const struct shortage_step *steps, size_t count)
{
	long available;

	prepare_case();
	opened = must_open(NIC, VFIO_TYPE1v2_IOMMU);
	set_command(opened.device, true, true);
	available = dma_available(opened.container);
	shortage_run(steps, count);
	expect(dma_available(opened.container), available, "all areas have been given back");
}

static void check_mapping(void)
{
	static const struct shortage_step steps[] = {
		{ "a second group", open_second, join_opened, close_second },
		{ "MAP_DMA", NULL, map, unmap_all },
		{ "MAP_DMA of huge pages", NULL, map_huge, unmap_all },
		{ "MAP_DMA of untouched memory", get_fresh, map_fresh, drop_fresh,
		  .also = -EFAULT },
		{ "MAP_DMA of a BAR", get_bar, map_bar, drop_bar },
		{ "UNMAP_DMA", must_map, unmap, unmap_all, .cannot_fail = true },
		{ "UNMAP_DMA of a BAR", must_map_bar, unmap_bar, drop_bar, .cannot_fail = true },
		{ "a BAR's page", get_bar, touch_bar, drop_bar, .cannot_fail = true },
		{ "IOMMU_GET_INFO", NULL, get_information, NULL },
	};

	huge_memory = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	must(huge_memory == MAP_FAILED ? -errno : 0, "allocate huge pages");
	run_with_device(steps, ARRAY_SIZE(steps));
}

static void check_device(void)
{
	static const struct shortage_step steps[] = {
		{ "GET_REGION_INFO", NULL, get_region_information, NULL, .cannot_fail = true },
		{ "INTx", NULL, intx, intx_off, &proc_irq },
		{ "masking eventfd", must_intx, irqfd_mask, intx_off },
		{ "unmasking eventfd", must_intx, irqfd_unmask, intx_off },
		{ "MSI", NULL, msi, msi_off, &proc_irq, -ENOSPC },
		{ "MSI-X", NULL, msix, msix_off, &proc_irq, -ENOSPC, .fewer = true },
		{ "more of MSI-X", msix_one, msix_more, msix_off, &proc_irq, -ENOSPC },
		{ "MSI-X off", must_msix, msix_disable, NULL, .cannot_fail = true },
		{ "error eventfd", NULL, error_event, error_off },
		{ "request eventfd", NULL, request_event, request_off },
		{ "write to configuration space", NULL, write_config, NULL },
	};

	run_with_device(steps, ARRAY_SIZE(steps));
}

static void check_resetting(void)
{
	static const struct shortage_step steps[] = {
		{ "RESET", NULL, reset, NULL, .cannot_fail = true },
		{ "GET_PCI_HOT_RESET_INFO", NULL, hot_reset_info, NULL },
		{ "PCI_HOT_RESET", NULL, hot_reset, NULL },
	};

	prepare_case();
	opened = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	set_command(opened.device, true, true);
	must_map_bar();
	must_msix();
	shortage_run(steps, ARRAY_SIZE(steps));
}

static void check_binding(void)
{
	static const struct shortage_step step = { "bind", NULL, bind, unbind };

	unbind();
	shortage_run(&step, 1);
	must(bind(), "bind");
}

/* From vfio on, each is loaded with those before it. */
static const char *const modules[][2] = {
	{ "vfio", "core/vfio.ko" },
	{ "iommufd", "ioas/iommufd.ko" },
	{ "vfio_iommu_type1", "type1/vfio_iommu_type1.ko" },
	{ "vfio_pci", "pci/vfio_pci.ko" },
};

/* Without devices, so that the loading binds none. */
static void unload_all(void)
{
	for (enum conform_kind kind = 0; kind < KINDS; kind++)
		must(sysfs_write("\n", "/sys/bus/pci/devices/%s/driver_override",
				 the_devices[kind].bdf),
		     "no driver_override");
	for (size_t i = ARRAY_SIZE(modules); i--;) {
		module_name = modules[i][0];
		unload();
	}
}

static void check_load(size_t i)
{
	/* The driver core says -EINVAL when it cannot make the module's folder of drivers. */
	static const struct shortage_step step = {
		"load", NULL, load, unload, .also = -EINVAL, .may_need_none = true
	};
	char path[512];

	about("%s", modules[i][0]);
	module_name = modules[i][0];
	snprintf(path, sizeof(path), "%s/%s", the_modules, modules[i][1]);
	module_path = path;
	shortage_run(&step, 1);
	must(load(), "load");
}

static void check_load_core(void)
{
	unload_all();
	check_load(0);
}

static void check_load_ioas(void)
{
	check_load(1);
}

static void check_load_type1(void)
{
	check_load(2);
}

static void check_load_pci(void)
{
	check_load(3);
	for (enum conform_kind kind = 0; kind < KINDS; kind++)
		must(type1_bind(the_devices[kind].bdf), "bind the %s", the_devices[kind].kind);
}

static const struct conform_case cases[] = {
	{ "opening", check_opening },		{ "mapping", check_mapping },
	{ "a device", check_device },		{ "resetting", check_resetting },
	{ "binding", check_binding },		{ "loading vfio", check_load_core },
	{ "loading iommufd", check_load_ioas }, { "loading type 1", check_load_type1 },
	{ "loading vfio_pci", check_load_pci },
};

const struct conform_part part_memory = { "memory", cases, ARRAY_SIZE(cases) };
