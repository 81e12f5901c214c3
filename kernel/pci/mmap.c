// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping BARs. Pages come by fault, so that a reset can take them away (memory.c) and the next
 * access brings them back, or is a SIGBUS while the memory is not accessible.
 */
#include <linux/mm.h>

#include "compat/compat.h"
#include "pci/private.h"

/* Maps 1 << order pages around address. */
static vm_fault_t bar_insert(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct weir_pci *pci = vma->vm_private_data;
	unsigned long size = PAGE_SIZE << order;
	unsigned long address = ALIGN_DOWN(vmf->address, size);
	vm_fault_t result = VM_FAULT_SIGBUS;
	phys_addr_t physical;
	unsigned long pfn;
	u64 offset;

	if (address < vma->vm_start || size > vma->vm_end - address)
		return VM_FAULT_FALLBACK;
	offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	if (weir_pci_bar_range(pci, offset, vma->vm_end - vma->vm_start, &physical))
		return VM_FAULT_SIGBUS;
	pfn = (physical + (address - vma->vm_start)) >> PAGE_SHIFT;
	if (!IS_ALIGNED(pfn, 1UL << order))
		return VM_FAULT_FALLBACK;

	down_read(&pci->memory_lock);
	if (weir_pci_memory_accessible(pci))
		result = order ? weir_compat_insert_huge(vmf, pfn, order)
			       : vmf_insert_pfn(vma, address, pfn);
	up_read(&pci->memory_lock);
	return result;
}

static vm_fault_t bar_fault(struct vm_fault *vmf)
{
	return bar_insert(vmf, 0);
}

static vm_fault_t __maybe_unused bar_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	return bar_insert(vmf, order);
}

static const struct vm_operations_struct bar_vm_ops = {
	WEIR_VM_FAULT(bar_fault, bar_huge_fault),
};

int weir_pci_mmap(struct weir_device *device, struct vm_area_struct *vma)
{
	struct weir_pci *pci = weir_pci_of(device);
	phys_addr_t physical;
	int rc;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	rc = weir_pci_bar_range(pci, (u64)vma->vm_pgoff << PAGE_SHIFT, vma->vm_end - vma->vm_start,
				&physical);
	if (rc)
		return rc;
	vma->vm_private_data = pci;
	vma->vm_page_prot = pgprot_decrypted(pgprot_noncached(vma->vm_page_prot));
	weir_compat_vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP |
					      WEIR_VM_ALLOW_ANY_UNCACHED);
	vma->vm_ops = &bar_vm_ops;
	return 0;
}
