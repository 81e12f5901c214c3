/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_VFIO_TYPE1_H
#define WEIR_VFIO_TYPE1_H

#include "device/vfio/vfio.h"

extern const struct ioas_backend_ops type1_backend;

/* As vfio_door::ask_limits. */
int type1_ask_limits(struct vfio_space *space, struct weir_error *err);

#endif
