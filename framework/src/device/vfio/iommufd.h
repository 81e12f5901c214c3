/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VFIO_IOMMUFD_H
#define WEIR_VFIO_IOMMUFD_H

#include "device/vfio/vfio.h"

extern const struct ioas_backend_ops iommufd_backend;

/* As vfio_door::open and ask_limits. */
int iommufd_open(struct vfio_space *space, struct weir_error *err);
int iommufd_ask_limits(struct vfio_space *space, struct weir_error *err);

#endif
