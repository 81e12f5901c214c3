// SPDX-License-Identifier: GPL-2.0-only
/* What a device tells about itself. */
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "pci/private.h"

long weir_pci_get_info(struct weir_pci *pci, void __user *argument)
{
	const size_t least = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info = {};

	if (copy_from_user(&info, argument, least))
		return -EFAULT;
	if (info.argsz < least)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | (pci->can_reset ? VFIO_DEVICE_FLAGS_RESET : 0);
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(argument, &info, min_t(size_t, info.argsz, sizeof(info))) ? -EFAULT : 0;
}

/* The MSI-X table lies in the BAR, and a mapping of the BAR shows it. */
static bool shows_vectors(struct weir_pci *pci, unsigned int index)
{
	return pci->pdev->msix_cap && index < WEIR_PCI_BARS && pci->bars[index].mappable &&
	       index == pci->msix_bar;
}

/* A table of vectors can be mapped: interrupt remapping keeps what is written there harmless. */
static int add_msix_mappable(struct vfio_region_info *info, void __user *argument)
{
	const struct vfio_info_cap_header header = {
		.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE,
		.version = 1,
	};

	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz < sizeof(*info) + sizeof(header)) {
		info->argsz = sizeof(*info) + sizeof(header);
		return 0;
	}
	info->cap_offset = sizeof(*info);
	return copy_to_user(argument + sizeof(*info), &header, sizeof(header)) ? -EFAULT : 0;
}

static u32 region_flags(struct weir_pci *pci, unsigned int index)
{
	if (index == VFIO_PCI_ROM_REGION_INDEX)
		return VFIO_REGION_INFO_FLAG_READ;
	if (index < WEIR_PCI_BARS && pci->bars[index].mappable)
		return VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
		       VFIO_REGION_INFO_FLAG_MMAP;
	return VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
}

long weir_pci_get_region_info(struct weir_pci *pci, void __user *argument)
{
	struct vfio_region_info info;
	int rc;

	if (copy_from_user(&info, argument, sizeof(info)))
		return -EFAULT;
	/* There is no access to the VGA's legacy addresses: they would have to be arbitrated. */
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_VGA_REGION_INDEX)
		return -EINVAL;
	info.offset = (u64)info.index << WEIR_PCI_REGION_SHIFT;
	info.size = weir_pci_region_size(pci, info.index);
	info.flags = info.size ? region_flags(pci, info.index) : 0;
	info.cap_offset = 0;
	if (shows_vectors(pci, info.index)) {
		rc = add_msix_mappable(&info, argument);
		if (rc)
			return rc;
	}
	return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}

static u32 irq_flags(struct weir_pci *pci, unsigned int index)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	case VFIO_PCI_MSI_IRQ_INDEX:
		return VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_NORESIZE;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
		       (weir_compat_msix_dynamic(pci->pdev) ? 0 : VFIO_IRQ_INFO_NORESIZE);
	default:
		return VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE;
	}
}

long weir_pci_get_irq_info(struct weir_pci *pci, void __user *argument)
{
	struct vfio_irq_info info;

	if (copy_from_user(&info, argument, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info) || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	if (info.index == VFIO_PCI_ERR_IRQ_INDEX && !pci_is_pcie(pci->pdev))
		return -EINVAL;
	info.flags = irq_flags(pci, info.index);
	info.count = pci->nr_irqs[info.index];
	return copy_to_user(argument, &info, sizeof(info)) ? -EFAULT : 0;
}
