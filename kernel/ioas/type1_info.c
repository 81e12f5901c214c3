// SPDX-License-Identifier: GPL-2.0-only
/* VFIO_IOMMU_GET_INFO: page sizes, and behind them a chain of capabilities. */
#include <linux/export.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>

#include "ioas/type1.h"
#include "uapi/weir/vfio.h"

/* Every capability begins where 64-bit numbers may. */
#define CAPABILITY_ALIGN 8

/* All capabilities, as they lie behind struct vfio_iommu_type1_info. */
struct capabilities {
	void *data;
	size_t size;
};

static void ranges_fill(struct vfio_iommu_type1_info_cap_iova_range *capability,
			const struct weir_ioas_range *ranges, unsigned int count)
{
	unsigned int i;

	capability->header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	capability->header.version = 1;
	capability->nr_iovas = count;
	for (i = 0; i < count; i++) {
		capability->iova_ranges[i].start = ranges[i].start;
		capability->iova_ranges[i].end = ranges[i].last;
	}
}

static int capabilities_make(struct weir_ioas *ioas, struct capabilities *capabilities)
{
	struct vfio_iommu_type1_info_dma_avail *avail;
	const size_t avail_size = ALIGN(sizeof(*avail), CAPABILITY_ALIGN);
	struct vfio_iommu_type1_info_cap_iova_range *iova_range;
	struct weir_ioas_range *ranges;
	unsigned int count;
	int rc;

	rc = weir_ioas_ranges(ioas, &ranges, &count);
	if (rc)
		return rc;
	capabilities->size = avail_size + struct_size(iova_range, iova_ranges, count);
	capabilities->data = kzalloc(capabilities->size, GFP_KERNEL);
	if (capabilities->data) {
		avail = capabilities->data;
		avail->header.id = VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL;
		avail->header.version = 1;
		avail->header.next = sizeof(struct vfio_iommu_type1_info) + avail_size;
		avail->avail = weir_ioas_entries_left(ioas);
		iova_range = capabilities->data + avail_size;
		ranges_fill(iova_range, ranges, count);
	} else {
		rc = -ENOMEM;
	}
	kvfree(ranges);
	return rc;
}

/* What fits into the caller's structure is given; else argsz says what all of it would take. */
long weir_type1_get_info(struct weir_ioas *ioas, void __user *argument)
{
	struct vfio_iommu_type1_info __user *user = argument;
	const size_t shortest = offsetofend(struct vfio_iommu_type1_info, iova_pgsizes);
	struct vfio_iommu_type1_info info = { .flags = VFIO_IOMMU_INFO_PGSIZES };
	struct capabilities capabilities;
	size_t size;
	long rc;

	if (get_user(info.argsz, &user->argsz))
		return -EFAULT;
	if (info.argsz < shortest)
		return -EINVAL;
	if (!ioas)
		return -ENODEV;
	size = min_t(size_t, info.argsz, sizeof(info));

	rc = capabilities_make(ioas, &capabilities);
	if (rc)
		return rc;
	info.flags |= VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = weir_ioas_page_sizes(ioas);
	if (info.argsz < sizeof(info) + capabilities.size) {
		info.argsz = sizeof(info) + capabilities.size;
	} else {
		info.cap_offset = sizeof(info);
		if (copy_to_user(user + 1, capabilities.data, capabilities.size))
			rc = -EFAULT;
	}
	kfree(capabilities.data);
	if (!rc && copy_to_user(user, &info, size))
		rc = -EFAULT;
	return rc;
}
EXPORT_SYMBOL_GPL(weir_type1_get_info);
