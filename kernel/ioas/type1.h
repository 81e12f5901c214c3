/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Type 1's ioctls on an address space: for containers, and for files of /dev/iommu that stand in
 * for one. What is wrong with the size or flags of the caller's structure is said first; then, when
 * ioas is NULL, -ENODEV.
 *
 * Threads and locks as in ioas.h.
 */
#ifndef WEIR_IOAS_TYPE1_H
#define WEIR_IOAS_TYPE1_H

#include <linux/compiler_types.h>

#include "ioas/ioas.h"

/* VFIO_IOMMU_GET_INFO. */
long weir_type1_get_info(struct weir_ioas *ioas, void __user *argument);

/* VFIO_IOMMU_MAP_DMA. flags: WEIR_IOAS_MAP_BARS, if BARs can be mapped. */
long weir_type1_map(struct weir_ioas *ioas, const void __user *argument, unsigned int flags);

/* VFIO_IOMMU_UNMAP_DMA, by a rule if not everything is to go. */
long weir_type1_unmap(struct weir_ioas *ioas, void __user *argument,
		      enum weir_ioas_unmap_rule rule);

#endif
