/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Vectors of MSI and MSI-X that are masked, and those of a device that sleeps: what the device's
 * own table says of them.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <unistd.h>

#include "interrupts.h"

/* The device's own table of vectors: four words each, of which the last holds the mask. */
static volatile uint32_t *must_map_vectors(int device)
{
	unsigned int msix = capability(device, PCI_CAP_ID_MSIX);
	uint32_t where = config_read(device, msix + PCI_MSIX_TABLE, 4);
	char *bar = must_map_region(device, where & PCI_MSIX_TABLE_BIR);

	return (volatile uint32_t *)(bar + (where & PCI_MSIX_TABLE_OFFSET));
}

static bool is_masked(volatile uint32_t *vectors, unsigned int index)
{
	return vectors[PCI_MSIX_ENTRY_SIZE / 4 * index + PCI_MSIX_ENTRY_VECTOR_CTRL / 4] &
	       PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

/*
 * Masked vectors of MSI-X are masked in the device, at once: a table that is written when the next
 * interrupt comes may be out of reach by then.
 */
static void check_masked_vectors(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = MSIX };
	int32_t fds[] = { must_eventfd(), must_eventfd() };
	volatile uint32_t *vectors;

	must(call(session.device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO");
	set_command(session.device, true, true);
	vectors = must_map_vectors(session.device);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 2, fds), 0, "two vectors");
	check(!is_masked(vectors, 0) && !is_masked(vectors, 1), "vectors in use are not masked");
	if (!(info.flags & VFIO_IRQ_INFO_MASKABLE)) {
		expect(set_irqs(session.device, NONE | MASK, MSIX, 0, 1, NULL), -ENOTTY,
		       "MASK of a vector, which the flags do not offer");
		return;
	}
	expect(set_irqs(session.device, NONE | MASK, MSIX, 0, 1, NULL), 0, "MASK of a vector");
	check(is_masked(vectors, 0), "it is masked in the device");
	check(!is_masked(vectors, 1), "its neighbour is not");
	set_command(session.device, false, true);
	expect(set_irqs(session.device, NONE | MASK, MSIX, 1, 1, NULL), 0, "MASK with memory off");
	set_command(session.device, true, true);
	check(is_masked(vectors, 1), "masked with memory off, it is masked in the device");
	expect(call(session.device, VFIO_DEVICE_RESET, NULL), 0, "RESET");
	check(is_masked(vectors, 0) && is_masked(vectors, 1), "they are masked after a reset");
	expect(set_irqs(session.device, NONE | UNMASK, MSIX, 0, 2, NULL), 0, "UNMASK of both");
	check(!is_masked(vectors, 0) && !is_masked(vectors, 1), "they are not masked any more");
	expect(set_irqs(session.device, NONE | MASK, MSIX, 0, 1, NULL), 0, "MASK once more");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 1, &fds[1]), 0,
	       "another eventfd for a vector that is masked");
	check(!is_masked(vectors, 0), "which unmasks it");
}

/* What comes while it is masked is kept: edu's MSI has no bit to mask it by. */
static void check_masked_message(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = MSI };
	int32_t fd = must_eventfd();
	void *bar;

	must(call(session.device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO");
	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &fd), 0, "MSI switched on");
	if (!(info.flags & VFIO_IRQ_INFO_MASKABLE)) {
		expect(set_irqs(session.device, NONE | MASK, MSI, 0, 1, NULL), -ENOTTY,
		       "MASK of MSI, which the flags do not offer");
		return;
	}
	expect(set_irqs(session.device, NONE | MASK, MSI, 0, 1, NULL), 0, "MASK of MSI");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(fd, QUIET_MS), 0, "what is masked signals nothing, by MSI");
	expect(set_irqs(session.device, NONE | UNMASK, MSI, 0, 1, NULL), 0, "UNMASK of MSI");
	expect(signals(fd, ARRIVES_MS), 1, "UNMASK lets it through");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
}

/* A message that nobody listens to goes nowhere: not into memory at address 0, either, which is
 * that of a message that was cleared. */
static void check_message_without_eventfd(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	int32_t fd = must_eventfd(), none = -1;
	unsigned char *memory = must_allocate(PAGE), was[PAGE];
	void *bar;

	memset(memory, 0xa5, PAGE);
	memcpy(was, memory, PAGE);
	must(map_dma(session.container, memory, 0, PAGE, READ_WRITE), "MAP_DMA at 0");
	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	must(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &fd), "MSI");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &none), 0,
	       "no eventfd for MSI any more");
	edu_write(bar, EDU_RAISE, 1);
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(signals(fd, QUIET_MS), 0, "what is raised then signals nothing");
	check(memcmp(memory, was, PAGE) == 0, "nor does it write into memory");
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSI, 0, 1, &fd), 0, "an eventfd again");
	edu_write(bar, EDU_RAISE, 1);
	expect(signals(fd, ARRIVES_MS), 1, "which is signalled");
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	expect(set_irqs(session.device, NONE | TRIGGER, MSI, 0, 0, NULL), 0, "MSI switched off");
	memcpy(was, memory, PAGE);
	edu_write(bar, EDU_RAISE, 1);
	edu_write(bar, EDU_ACKNOWLEDGE, 1);
	check(memcmp(memory, was, PAGE) == 0, "what is raised then writes nothing, either");
}

static void expect_asleep(int device)
{
	unsigned int at = capability(device, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	expect(hardware_config(NVME, at, 2) & PCI_PM_CTRL_STATE_MASK, 3, "it sleeps as before");
}

/* MSI-X of a device that its user has put to sleep: the table cannot be reached there. */
static void check_sleeping_vectors(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	unsigned int msix = capability(session.device, PCI_CAP_ID_MSIX);
	int32_t fds[] = { must_eventfd(), must_eventfd() }, none = -1;
	volatile uint32_t *vectors;

	set_command(session.device, true, true);
	vectors = must_map_vectors(session.device);
	must(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 2, fds), "SET_IRQS");
	set_power_state(session.device, 3);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 1, 1, &none), 0,
	       "in D3hot, none any more for the second");
	expect_asleep(session.device);
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, 0, NULL), 0,
	       "in D3hot, switched off");
	expect_asleep(session.device);
	check(!(hardware_config(NVME, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE),
	      "in D3hot, the hardware's MSI-X is off");
	set_power_state(session.device, 0);
	set_command(session.device, true, true);
	check(is_masked(vectors, 0) && is_masked(vectors, 1),
	      "awake again, vectors that were switched off are masked");

	set_power_state(session.device, 3);
	expect(set_irqs(session.device, EVENTFD | TRIGGER, MSIX, 0, 1, fds), 0,
	       "in D3hot, switched on");
	expect_asleep(session.device);
	set_power_state(session.device, 0);
	set_command(session.device, true, true);
	check(vectors[PCI_MSIX_ENTRY_LOWER_ADDR / 4] != 0 &&
		      vectors[PCI_MSIX_ENTRY_LOWER_ADDR / 4] != ~0u,
	      "awake again, the vector has an address");
	expect(vectors[PCI_MSIX_ENTRY_VECTOR_CTRL / 4], 0,
	       "its control word is as after power on, not masked");
	expect(set_irqs(session.device, NONE | TRIGGER, MSIX, 0, 1, NULL), 0, "loopback");
	expect(signals(fds[0], ARRIVES_MS), 1, "loopback signals");
}

static const struct conform_case cases[] = {
	{ "masked vectors", check_masked_vectors },
	{ "masked MSI", check_masked_message },
	{ "MSI without an eventfd", check_message_without_eventfd },
	{ "vectors of a device that sleeps", check_sleeping_vectors },
};

const struct conform_part part_vectors = { "vectors", cases, ARRAY_SIZE(cases) };
