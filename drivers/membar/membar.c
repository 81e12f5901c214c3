/* SPDX-License-Identifier: BSD-3-Clause */
#include "membar.h"

#include "base/base.h"

#define MEMORY_BAR 2

static const struct {
	uint16_t vendor, device;
} known[] = {
	{ WEIR_MEMBAR_VENDOR, WEIR_MEMBAR_DEVICE },
	{ WEIR_MEMBAR_IVSHMEM_VENDOR, WEIR_MEMBAR_IVSHMEM_DEVICE },
};

int weir_membar_find(const struct weir_device *dev, unsigned int *bar, uint64_t *bytes,
		     struct weir_error *err)
{
	struct weir_device_info info;
	uint64_t found;

	weir_device_info(dev, &info);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (info.vendor_id != known[i].vendor || info.device_id != known[i].device)
			continue;
		found = weir_device_region_bytes(dev, MEMORY_BAR);
		if (!found)
			return weir_error_set(err, -EINVAL, "%s: its BAR %u is absent",
					      info.address, MEMORY_BAR);
		*bar = MEMORY_BAR;
		*bytes = found;
		return 0;
	}
	return weir_error_set(err, -EINVAL, "%s: %04x:%04x is no memory device", info.address,
			      info.vendor_id, info.device_id);
}

int weir_membar_export(struct weir_device *dev, uint64_t offset, uint64_t bytes,
		       struct weir_dmabuf *dmabuf, struct weir_error *err)
{
	struct weir_range range = { .offset = offset, .bytes = bytes };
	uint64_t bar_bytes;
	unsigned int bar;
	int rc = weir_membar_find(dev, &bar, &bar_bytes, err);

	if (rc)
		return rc;
	return weir_dmabuf_export(dev, bar, &range, 1, dmabuf, err);
}
