/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of type 1 share. */
#ifndef WEIR_TYPE1_PRIVATE_H
#define WEIR_TYPE1_PRIVATE_H

#include <linux/compiler_types.h>

struct vfio_iommu_type1_info;
struct weir_ioas;

/* info.c: VFIO_IOMMU_GET_INFO. */
long weir_type1_get_info(struct weir_ioas *ioas, struct vfio_iommu_type1_info __user *argument);

#endif
