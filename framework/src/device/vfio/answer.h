/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel says about regions and IOMMUs, taken apart. It is checked like everything that
 * comes from outside: the answer may be one that a future kernel gives to a question of today.
 */
#ifndef WEIR_VFIO_ANSWER_H
#define WEIR_VFIO_ANSWER_H

#include "device/device.h"
#include "device/vfio/uapi.h"

/* Room for an answer with its capabilities. */
#define VFIO_ANSWER_BYTES 4096

struct vfio_answer {
	_Alignas(8) uint8_t bytes[VFIO_ANSWER_BYTES];
};

/*
 * Takes a region: size, place in the device's descriptor, and which areas of it can be mapped.
 * region->fd is set by the caller. -EPROTO.
 */
int vfio_take_region(const struct vfio_answer *answer, unsigned int index,
		     struct device_region *region, struct weir_error *err);

/* Takes what a type1 IOMMU can map; *avail is how many mappings it has room for. -EPROTO. */
int vfio_take_type1(const struct vfio_answer *answer, struct ioas_limits *limits, uint64_t *avail,
		    struct weir_error *err);

/* Takes address ranges, which have to ascend without touching; of more than IOAS_MAX_RANGES the
 * largest. -EPROTO. */
int vfio_take_ranges(const struct uapi_iova_range *ranges, size_t nr, struct ioas_limits *limits,
		     struct weir_error *err);

#endif
