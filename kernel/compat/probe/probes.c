// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel's headers offer, one question a section: it has it if the section compiles.
 * Headers are asked, never version numbers, because stable kernels take changes back.
 */

/* Must compile everywhere: see collect.sh. */
#ifdef PROBE_COMPILER
#include <linux/module.h>
int probe(void)
{
	return !THIS_MODULE;
}
#endif

/* iommu_map() takes allocation flags. */
#ifdef PROBE_IOMMU_MAP_GFP
#include <linux/iommu.h>
int probe(struct iommu_domain *domain)
{
	return iommu_map(domain, 0, 0, PAGE_SIZE, IOMMU_READ, GFP_KERNEL);
}
#endif

/* A paging domain is allocated for a device; before, for a bus. */
#ifdef PROBE_IOMMU_PAGING_DOMAIN_ALLOC
#include <linux/iommu.h>
struct iommu_domain *probe(struct device *dev)
{
	return iommu_paging_domain_alloc(dev);
}
#endif

/* A group is asked whether its interrupts are isolated; before, interrupt domains or a device. */
#ifdef PROBE_IOMMU_GROUP_ISOLATED_MSI
#include <linux/iommu.h>
bool probe(struct iommu_group *group)
{
	return iommu_group_has_isolated_msi(group);
}
#endif

/* pin_user_pages_remote() fills an array of VMAs, too. */
#ifdef PROBE_PIN_REMOTE_VMAS
#include <linux/mm.h>
long probe(struct mm_struct *mm, struct page **pages)
{
	return pin_user_pages_remote(mm, 0, 1, FOLL_LONGTERM, pages, NULL, NULL);
}
#endif

/* A pin makes only anonymous pages a process's own; later, whatever a private VMA shows. */
#ifdef PROBE_UNSHARE_ANONYMOUS_ONLY
#include <linux/mm.h>
bool probe(struct page *page)
{
	return gup_must_unshare(FOLL_PIN, page);
}
#endif

/* Flags of a VMA are changed by functions; before, by assignment. */
#ifdef PROBE_VM_FLAGS_SET
#include <linux/mm.h>
void probe(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_PFNMAP);
}
#endif

/* huge_fault() takes an enumeration of page table levels; later, an order. */
#ifdef PROBE_HUGE_FAULT_LEVEL
#include <linux/mm.h>
static vm_fault_t fault(struct vm_fault *vmf, enum page_entry_size level)
{
	return level == PE_SIZE_PMD ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;
}

const struct vm_operations_struct probe = { .huge_fault = fault };
#endif

/* vmf_insert_pfn_pmd() takes a pfn_t. */
#ifdef PROBE_PFN_T
#include <linux/mm.h>
#include <linux/pfn_t.h>
vm_fault_t probe(struct vm_fault *vmf)
{
	pfn_t pfn = __pfn_to_pfn_t(0, PFN_DEV);

	return vmf_insert_pfn_pmd(vmf, pfn, false);
}
#endif

/* eventfd_signal() takes the number to add. */
#ifdef PROBE_EVENTFD_SIGNAL_COUNT
#include <linux/eventfd.h>
void probe(struct eventfd_ctx *ctx)
{
	eventfd_signal(ctx, 1);
}
#endif

/* A class names device nodes by a constant device. */
#ifdef PROBE_DEVNODE_CONST
#include <linux/device.h>
static char *devnode(const struct device *dev, umode_t *mode)
{
	return NULL;
}

const struct class probe = { .devnode = devnode };
#endif

/* Importers are told by invalidate_mappings; before, by move_notify. */
#ifdef PROBE_DMA_BUF_INVALIDATE
#include <linux/dma-buf.h>
static void invalidate(struct dma_buf_attachment *attachment)
{
}

const struct dma_buf_attach_ops importer = { .invalidate_mappings = invalidate };
void probe(struct dma_buf *buffer)
{
	dma_buf_invalidate_mappings(buffer);
}
#endif

/* MODULE_IMPORT_NS() takes the bare name; later, a string. */
#ifdef PROBE_IMPORT_NS_BARE
#include <linux/module.h>
MODULE_IMPORT_NS(DMA_BUF);
#endif

/* Vectors can be added to enabled MSI-X. */
#ifdef PROBE_MSIX_ALLOC_AT
#include <linux/pci.h>
struct msi_map probe(struct pci_dev *pdev)
{
	return pci_msix_alloc_irq_at(pdev, 0, NULL);
}
#endif

/* Folios of a file can be pinned without mapping it. */
#ifdef PROBE_MEMFD_PIN_FOLIOS
#include <linux/mm.h>
long probe(struct file *file, struct folio **folios, pgoff_t *offset)
{
	return memfd_pin_folios(file, 0, PAGE_SIZE - 1, folios, 1, offset);
}
#endif
