// SPDX-License-Identifier: GPL-2.0-only
/* BARs of a function that is open. */
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "pci/private.h"

/*
 * Of a BAR that is smaller than a page, the page can be mapped if nothing else is or will come into
 * it. That is made sure of by reserving what the BAR leaves of it.
 */
static bool reserve_rest(struct weir_pci_bar *bar, const struct resource *resource)
{
	struct resource *rest;

	if (!PAGE_ALIGNED(resource->start) || !resource->parent)
		return false;
	rest = kzalloc(sizeof(*rest), GFP_KERNEL_ACCOUNT);
	if (!rest)
		return false;
	rest->name = WEIR_PCI_NAME;
	rest->start = resource->end + 1;
	rest->end = resource->start + PAGE_SIZE - 1;
	rest->flags = resource->flags;
	if (request_resource(resource->parent, rest)) {
		kfree(rest);
		return false;
	}
	bar->rest = rest;
	return true;
}

/* The BAR is there, and can be told from the next one's in the device's file. */
static bool is_offered(struct pci_dev *pdev, unsigned int index)
{
	u64 size = pci_resource_len(pdev, index);

	return size && size <= BIT_ULL(WEIR_PCI_REGION_SHIFT);
}

void weir_pci_bars_check(struct pci_dev *pdev)
{
	unsigned int i;

	for (i = 0; i < WEIR_PCI_BARS; i++) {
		if (pci_resource_len(pdev, i) && !is_offered(pdev, i))
			pci_warn(pdev, "BAR %u is not offered: %llu bytes, over %llu\n", i,
				 (u64)pci_resource_len(pdev, i), BIT_ULL(WEIR_PCI_REGION_SHIFT));
	}
}

static void bar_open(struct weir_pci *pci, unsigned int index)
{
	const struct resource *resource = &pci->pdev->resource[index];
	struct weir_pci_bar *bar = &pci->bars[index];

	memset(bar, 0, sizeof(*bar));
	if (!is_offered(pci->pdev, index))
		return;
	bar->size = pci_resource_len(pci->pdev, index);
	bar->io = resource->flags & IORESOURCE_IO;
	bar->error = pci_request_region(pci->pdev, index, WEIR_PCI_NAME);
	if (bar->error)
		return;
	bar->reserved = true;
	if (!bar->io)
		bar->mappable = bar->size < PAGE_SIZE ? reserve_rest(bar, resource)
						      : PAGE_ALIGNED(resource->start);
	bar->map = pci_iomap(pci->pdev, index, 0);
	if (!bar->map)
		bar->error = -ENOMEM;
}

static void bar_close(struct weir_pci *pci, unsigned int index)
{
	struct weir_pci_bar *bar = &pci->bars[index];

	if (bar->map)
		pci_iounmap(pci->pdev, bar->map);
	if (bar->rest) {
		release_resource(bar->rest);
		kfree(bar->rest);
	}
	if (bar->reserved)
		pci_release_region(pci->pdev, index);
	memset(bar, 0, sizeof(*bar));
}

void weir_pci_bars_open(struct weir_pci *pci)
{
	unsigned int i;

	for (i = 0; i < WEIR_PCI_BARS; i++)
		bar_open(pci, i);
}

void weir_pci_bars_close(struct weir_pci *pci)
{
	unsigned int i;

	for (i = 0; i < WEIR_PCI_BARS; i++)
		bar_close(pci, i);
}

int weir_pci_bar_range(struct weir_pci *pci, u64 offset, u64 length, phys_addr_t *address)
{
	u64 index = offset >> WEIR_PCI_REGION_SHIFT;
	const struct weir_pci_bar *bar;
	u64 size;

	if (index >= WEIR_PCI_BARS)
		return -EINVAL;
	bar = &pci->bars[index];
	offset &= BIT_ULL(WEIR_PCI_REGION_SHIFT) - 1;
	if (!bar->size || bar->io)
		return -EINVAL;
	if (!bar->mappable)
		return bar->error ?: -EINVAL;
	size = PAGE_ALIGN(bar->size);
	if (offset >= size || length > size - offset)
		return -EINVAL;
	*address = pci_resource_start(pci->pdev, index) + offset;
	return 0;
}
