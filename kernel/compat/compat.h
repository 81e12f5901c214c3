/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One face for the kernels' differences. Every #if on the kernel is in this folder; what is decided
 * on (WEIR_HAVE_...) comes from compat/probe. Each function behaves as on the newest kernel.
 *
 * Threads, locks and contexts are those of the kernel function behind each.
 */
#ifndef WEIR_COMPAT_H
#define WEIR_COMPAT_H

#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "compat/probed.h"

#if WEIR_HAVE_PFN_T
#include <linux/pfn_t.h>
#endif

/* The name of a symbol namespace, without quotes. */
#if WEIR_HAVE_IMPORT_NS_BARE
#define WEIR_IMPORT_NS(name) MODULE_IMPORT_NS(name)
#else
#define WEIR_IMPORT_NS(name) MODULE_IMPORT_NS(#name)
#endif

/* The first parameter's type of a class's devnode(). */
#if WEIR_HAVE_DEVNODE_CONST
#define weir_devnode_device const struct device
#else
#define weir_devnode_device struct device
#endif

/* dev: any device of the group that the domain is for. An ERR_PTR on failure, never NULL. */
static inline struct iommu_domain *weir_compat_domain_alloc(struct device *dev)
{
#if WEIR_HAVE_IOMMU_PAGING_DOMAIN_ALLOC
	return iommu_paging_domain_alloc(dev);
#else
	struct iommu_domain *domain = iommu_domain_alloc(dev->bus);

	return domain ? domain : ERR_PTR(-ENOMEM);
#endif
}

static inline int weir_compat_iommu_map(struct iommu_domain *domain, unsigned long iova,
					phys_addr_t address, size_t size, int prot, gfp_t gfp)
{
#if WEIR_HAVE_IOMMU_MAP_GFP
	return iommu_map(domain, iova, address, size, prot, gfp);
#else
	if (!gfpflags_allow_blocking(gfp))
		return iommu_map_atomic(domain, iova, address, size, prot);
	return iommu_map(domain, iova, address, size, prot);
#endif
}

/* The length that is mapped, which is all of it, or a negative errno. */
static inline ssize_t weir_compat_iommu_map_sg(struct iommu_domain *domain, unsigned long iova,
					       struct scatterlist *sg, unsigned int count, int prot,
					       gfp_t gfp)
{
#if WEIR_HAVE_IOMMU_MAP_GFP
	return iommu_map_sg(domain, iova, sg, count, prot, gfp);
#else
	return iommu_map_sg(domain, iova, sg, count, prot);
#endif
}

#if !WEIR_HAVE_IOMMU_GROUP_ISOLATED_MSI
static inline int weir_compat_remaps_interrupts(struct device *dev, void *unused)
{
	return device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP) ? 0 : -EPERM;
}
#endif

/* No device of the group can raise an interrupt that is not its own. */
static inline bool weir_compat_isolated_msi(struct iommu_group *group)
{
#if WEIR_HAVE_IOMMU_GROUP_ISOLATED_MSI
	return iommu_group_has_isolated_msi(group);
#else
	return irq_domain_check_msi_remap() ||
	       !iommu_group_for_each_dev(group, NULL, weir_compat_remaps_interrupts);
#endif
}

/*
 * Pins with FOLL_LONGTERM, which flags must hold. The caller holds the mm's mmap_lock for reading
 * and keeps holding it: 6.1 refuses to give it up for a long-term pin.
 */
static inline long weir_compat_pin_remote(struct mm_struct *mm, unsigned long start,
					  unsigned long count, unsigned int flags,
					  struct page **pages)
{
#if WEIR_HAVE_PIN_REMOTE_VMAS
	return pin_user_pages_remote(mm, start, count, flags, pages, NULL, NULL);
#else
	return pin_user_pages_remote(mm, start, count, flags, pages, NULL);
#endif
}

/*
 * More flags for a long-term pin of a VMA's memory that is only read. Where the kernel pins what a
 * private VMA shows before its first write, the zero page or a file's, the process would have
 * another page from that write on: so it is written for it. Huge pages cannot be, if the process
 * may not, nor can what it may not read.
 */
static inline unsigned int weir_compat_pin_to_read(const struct vm_area_struct *vma)
{
#if WEIR_HAVE_UNSHARE_ANONYMOUS_ONLY
	if (!is_cow_mapping(vma->vm_flags) || !(vma->vm_flags & VM_READ))
		return 0;
	if (vma->vm_flags & VM_WRITE)
		return FOLL_WRITE;
	return vma->vm_flags & VM_HUGETLB ? 0 : FOLL_WRITE | FOLL_FORCE;
#else
	return 0;
#endif
}

/* The caller holds the mmap_lock for writing, or the VMA is not yet visible (mmap()). */
static inline void weir_compat_vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
#if WEIR_HAVE_VM_FLAGS_SET
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/*
 * Members of a struct vm_operations_struct. Huge entries for BARs are there only where huge_fault()
 * takes an order; elsewhere it is left out.
 */
#if !WEIR_HAVE_HUGE_FAULT_LEVEL && defined(CONFIG_TRANSPARENT_HUGEPAGE)
#define WEIR_VM_FAULT(function, huge_function) .fault = (function), .huge_fault = (huge_function)

#if WEIR_HAVE_PFN_T
#define weir_compat_pfn(pfn) __pfn_to_pfn_t(pfn, PFN_DEV)
#else
#define weir_compat_pfn(pfn) (pfn)
#endif

/* Maps 1 << order pages from pfn on, around the fault's address. FALLBACK: no such entry. */
static inline vm_fault_t weir_compat_insert_huge(struct vm_fault *vmf, unsigned long pfn,
						 unsigned int order)
{
	if (order == PMD_SHIFT - PAGE_SHIFT)
		return vmf_insert_pfn_pmd(vmf, weir_compat_pfn(pfn), vmf->flags & FAULT_FLAG_WRITE);
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
	if (order == PUD_SHIFT - PAGE_SHIFT)
		return vmf_insert_pfn_pud(vmf, weir_compat_pfn(pfn), vmf->flags & FAULT_FLAG_WRITE);
#endif
	return VM_FAULT_FALLBACK;
}
#else
#define WEIR_VM_FAULT(function, huge_function) .fault = (function)

static inline vm_fault_t weir_compat_insert_huge(struct vm_fault *vmf, unsigned long pfn,
						 unsigned int order)
{
	return VM_FAULT_FALLBACK;
}
#endif

/* Lets a virtual machine choose how its processors cache the mapping. */
#ifdef VM_ALLOW_ANY_UNCACHED
#define WEIR_VM_ALLOW_ANY_UNCACHED VM_ALLOW_ANY_UNCACHED
#else
#define WEIR_VM_ALLOW_ANY_UNCACHED 0
#endif

/* Adds one to the eventfd's count. Any context. */
static inline void weir_compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if WEIR_HAVE_EVENTFD_SIGNAL_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* The member of struct dma_buf_attach_ops that an exporter's notification calls. */
#if WEIR_HAVE_DMA_BUF_INVALIDATE
#define weir_attach_notify invalidate_mappings
#else
#define weir_attach_notify move_notify
#endif

/* Calls every importer of the buffer. Its dma_resv is held. */
static inline void weir_compat_dma_buf_notify(struct dma_buf *buffer)
{
#if WEIR_HAVE_DMA_BUF_INVALIDATE
	dma_buf_invalidate_mappings(buffer);
#else
	dma_buf_move_notify(buffer);
#endif
}

/*
 * Members of a struct dma_buf_ops. Without pin and unpin its dma-bufs would not be dynamic on 6.x:
 * the core would map them at attach, once and for all. Elsewhere they are left out.
 */
#if !WEIR_HAVE_DMA_BUF_INVALIDATE
#define WEIR_DMA_BUF_ATTACH(attach_function, pin_function, unpin_function) \
	.attach = (attach_function), .pin = (pin_function), .unpin = (unpin_function)
#else
#define WEIR_DMA_BUF_ATTACH(attach_function, pin_function, unpin_function) \
	.attach = (attach_function)
#endif

/* MSI-X vectors can be allocated while others are in use. */
static inline bool weir_compat_msix_dynamic(struct pci_dev *pdev)
{
#if WEIR_HAVE_MSIX_ALLOC_AT
	return pci_msix_can_alloc_dyn(pdev);
#else
	return false;
#endif
}

/*
 * Allocates the vector at index of enabled MSI-X: its Linux interrupt, or a negative errno. It goes
 * with the others, in pci_free_irq_vectors().
 */
static inline int weir_compat_msix_alloc_at(struct pci_dev *pdev, unsigned int index)
{
#if WEIR_HAVE_MSIX_ALLOC_AT
	struct msi_map map = pci_msix_alloc_irq_at(pdev, index, NULL);

	return map.index < 0 ? map.index : map.virq;
#else
	return -EOPNOTSUPP;
#endif
}

#endif
