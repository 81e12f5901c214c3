/* SPDX-License-Identifier: BSD-3-Clause */
/* Device memory as a descriptor that another device's IOAS can map. */
#include <inttypes.h>
#include <weir/p2p.h>

#include "device/transport.h"

#define PAGE UINT64_C(4096)

WEIR_EXPORT int weir_dmabuf_export(struct weir_device *dev, unsigned int bar,
				   const struct weir_range *ranges, unsigned int nr,
				   struct weir_dmabuf *dmabuf, struct weir_error *err)
{
	uint64_t limit = bar <= WEIR_REGION_BAR5 ? weir_device_region_bytes(dev, bar) : 0;

	if (device_is_gone(dev))
		return device_gone_error(dev, err);
	if (!limit)
		return weir_error_set(err, -ENODEV, "%s has no BAR %u", dev->address, bar);
	if (!nr)
		return weir_error_set(err, -EINVAL, "%s: no range of BAR %u to export",
				      dev->address, bar);
	for (unsigned int i = 0; i < nr; i++) {
		const struct weir_range *range = &ranges[i];

		if (!range->bytes || !weir_is_aligned(range->offset | range->bytes, PAGE) ||
		    !weir_range_within(range->offset, range->bytes, limit))
			return weir_error_set(err, -EINVAL,
					      "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64
					      " are empty, no multiples of 4096 or past BAR %u, "
					      "which has 0x%" PRIx64,
					      dev->address, range->bytes, range->offset, bar,
					      limit);
	}
	return dev->transport->export(dev, bar, ranges, nr, dmabuf, err);
}
