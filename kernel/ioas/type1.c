// SPDX-License-Identifier: GPL-2.0-only
/* VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA. */
#include <linux/export.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>

#include "ioas/type1.h"
#include "uapi/weir/vfio.h"

long weir_type1_map(struct weir_ioas *ioas, const void __user *argument, unsigned int flags)
{
	const u32 known = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	const size_t size = offsetofend(struct vfio_iommu_type1_dma_map, size);
	struct vfio_iommu_type1_dma_map map;

	if (copy_from_user(&map, argument, size))
		return -EFAULT;
	if (map.argsz < size || map.flags & ~known)
		return -EINVAL;
	if (!ioas)
		return -ENODEV;
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		flags |= WEIR_IOAS_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		flags |= WEIR_IOAS_WRITE;
	return weir_ioas_map_user(ioas, &map.iova, map.size, map.vaddr, flags);
}
EXPORT_SYMBOL_GPL(weir_type1_map);

long weir_type1_unmap(struct weir_ioas *ioas, void __user *argument, enum weir_ioas_unmap_rule rule)
{
	const size_t size = offsetofend(struct vfio_iommu_type1_dma_unmap, size);
	struct vfio_iommu_type1_dma_unmap unmap;
	int rc;

	if (copy_from_user(&unmap, argument, size))
		return -EFAULT;
	if (unmap.argsz < size || unmap.flags & ~VFIO_DMA_UNMAP_FLAG_ALL)
		return -EINVAL;
	if (!ioas)
		return -ENODEV;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap.iova || unmap.size)
			return -EINVAL;
		rule = WEIR_IOAS_UNMAP_ALL;
	}
	rc = weir_ioas_unmap(ioas, unmap.iova, unmap.size, rule, &unmap.size);
	if (rc)
		return rc;
	return copy_to_user(argument, &unmap, size) ? -EFAULT : 0;
}
EXPORT_SYMBOL_GPL(weir_type1_unmap);
