/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/vfio/answer.h"

#include <inttypes.h>
#include <string.h>

#define PAGE UINT64_C(4096)
/* More capabilities than any region or IOMMU has. */
#define MAX_CAPABILITIES 64
#define MAX_RANGES ((size_t)VFIO_ANSWER_BYTES / sizeof(struct uapi_iova_range))

/* Copies out what lies at an offset that the kernel named. `length` bytes of the answer are valid.
 */
static bool copy_at(const struct vfio_answer *answer, size_t length, uint64_t offset, void *to,
		    size_t bytes)
{
	if (!weir_range_within(offset, bytes, length))
		return false;
	memcpy(to, answer->bytes + offset, bytes);
	return true;
}

/* How much of an answer is valid: its first word says how long it is. 0: more than there is room
 * for. */
static size_t valid_bytes(const struct vfio_answer *answer)
{
	uint32_t argsz;

	memcpy(&argsz, answer->bytes, sizeof(argsz));
	return argsz <= sizeof(answer->bytes) ? argsz : 0;
}

/* Finds the first capability of a kind in the chain that begins at *at, behind the fixed part.
 * -ENOENT: there is none. */
static int find_capability(const struct vfio_answer *answer, size_t length, size_t fixed,
			   uint16_t id, uint32_t *at, struct weir_error *err)
{
	struct uapi_vfio_cap cap;

	for (unsigned int step = 0; *at; step++, *at = cap.next) {
		if (step == MAX_CAPABILITIES)
			return weir_error_set(err, -EPROTO, "capabilities do not end after %d",
					      MAX_CAPABILITIES);
		if (*at < fixed || !copy_at(answer, length, *at, &cap, sizeof(cap)))
			return weir_error_set(err, -EPROTO, "a capability at %u of %zu bytes", *at,
					      length);
		if (cap.id == id)
			return 0;
	}
	return -ENOENT;
}

static int take_areas(const struct vfio_answer *answer, size_t length, uint32_t at,
		      struct device_region *region, struct weir_error *err)
{
	struct uapi_vfio_cap_sparse sparse;
	struct uapi_vfio_sparse_area area;

	if (!copy_at(answer, length, at, &sparse, sizeof(sparse)))
		return weir_error_set(err, -EPROTO, "the list of mappable areas is cut off");
	if (sparse.nr_areas > DEVICE_MAX_AREAS)
		return weir_error_set(err, -EPROTO, "%u mappable areas are over %d",
				      sparse.nr_areas, DEVICE_MAX_AREAS);
	for (uint32_t i = 0; i < sparse.nr_areas; i++) {
		if (!copy_at(answer, length, at + sizeof(sparse) + (uint64_t)i * sizeof(area),
			     &area, sizeof(area)))
			return weir_error_set(err, -EPROTO,
					      "the list of mappable areas is cut off");
		if (!area.size)
			continue;
		region->areas[region->nr_areas++] = (struct device_area){ .offset = area.offset,
									  .bytes = area.size };
	}
	return 0;
}

int vfio_take_region(const struct vfio_answer *answer, unsigned int index,
		     struct device_region *region, struct weir_error *err)
{
	size_t length = valid_bytes(answer);
	struct uapi_vfio_region_info info;
	uint32_t at;
	int ret;

	if (!copy_at(answer, length, 0, &info, sizeof(info)) || info.index != index)
		return weir_error_set(err, -EPROTO, "region %u: an answer of %zu bytes", index,
				      length);
	region->bytes = info.size;
	region->fd_offset = info.offset;
	region->readable = info.flags & UAPI_VFIO_REGION_READ;
	region->writable = info.flags & UAPI_VFIO_REGION_WRITE;
	if (!(info.flags & UAPI_VFIO_REGION_MMAP) || !region->readable || !region->writable)
		return 0;
	at = info.flags & UAPI_VFIO_REGION_CAPS ? info.cap_offset : 0;
	ret = find_capability(answer, length, sizeof(info), UAPI_VFIO_REGION_CAP_SPARSE_MMAP, &at,
			      err);
	if (!ret) {
		ret = take_areas(answer, length, at, region, err);
	} else if (ret == -ENOENT) {
		/* All of it; of a BAR smaller than a page nothing. */
		region->areas[0].bytes = weir_align_down(info.size, PAGE);
		region->nr_areas = region->areas[0].bytes ? 1 : 0;
		ret = 0;
	}
	if (!ret)
		ret = region_check_areas(region, index, err);
	if (!ret)
		return 0;
	region->nr_areas = 0;
	return weir_error_prefix(err, ret, "region %u", index);
}

/* Keeps the order. */
static void drop_smallest(struct uapi_iova_range *ranges, size_t *nr)
{
	size_t smallest = 0;

	for (size_t i = 1; i < *nr; i++) {
		if (ranges[i].last - ranges[i].start <
		    ranges[smallest].last - ranges[smallest].start)
			smallest = i;
	}
	(*nr)--;
	memmove(&ranges[smallest], &ranges[smallest + 1], (*nr - smallest) * sizeof(*ranges));
}

int vfio_take_ranges(const struct uapi_iova_range *ranges, size_t nr, struct ioas_limits *limits,
		     struct weir_error *err)
{
	struct uapi_iova_range kept[IOAS_MAX_RANGES + 1];
	size_t nr_kept = 0;

	for (size_t i = 0; i < nr; i++) {
		if (ranges[i].start > ranges[i].last ||
		    (i && ranges[i].start <= ranges[i - 1].last))
			return weir_error_set(err, -EPROTO,
					      "address range 0x%" PRIx64 " to 0x%" PRIx64
					      " is empty or out of order",
					      ranges[i].start, ranges[i].last);
		kept[nr_kept++] = ranges[i];
		if (nr_kept > IOAS_MAX_RANGES)
			drop_smallest(kept, &nr_kept);
	}
	if (!nr_kept)
		return weir_error_set(err, -EPROTO, "no address can be mapped");
	for (size_t i = 0; i < nr_kept; i++)
		limits->ranges[i] = (struct ioas_range){ kept[i].start, kept[i].last };
	limits->nr_ranges = (unsigned int)nr_kept;
	return 0;
}

static int take_type1_ranges(const struct vfio_answer *answer, size_t length, uint32_t at,
			     struct ioas_limits *limits, struct weir_error *err)
{
	struct uapi_iova_range ranges[MAX_RANGES];
	struct uapi_vfio_cap_iova_range cap;

	if (!copy_at(answer, length, at, &cap, sizeof(cap)) || cap.nr_ranges > MAX_RANGES ||
	    !copy_at(answer, length, at + sizeof(cap), ranges, cap.nr_ranges * sizeof(ranges[0])))
		return weir_error_set(err, -EPROTO, "the list of address ranges is cut off");
	return vfio_take_ranges(ranges, cap.nr_ranges, limits, err);
}

int vfio_take_type1(const struct vfio_answer *answer, struct ioas_limits *limits, uint64_t *avail,
		    struct weir_error *err)
{
	static const struct uapi_iova_range everything = { 0, UINT64_MAX };
	size_t length = valid_bytes(answer);
	struct uapi_vfio_cap_dma_avail dma;
	struct uapi_vfio_iommu_info info = { 0 };
	uint32_t chain, at;
	int ret;

	/* Linux before 5.0 ends it before the padding. */
	if (!copy_at(answer, length, 0, &info, offsetof(struct uapi_vfio_iommu_info, pad)))
		return weir_error_set(err, -EPROTO, "type1: an answer of %zu bytes", length);
	limits->page_bytes = PAGE;
	if (info.flags & UAPI_VFIO_IOMMU_INFO_PGSIZES && info.iova_pgsizes) {
		limits->page_bytes = info.iova_pgsizes & -info.iova_pgsizes;
		if (limits->page_bytes < PAGE)
			limits->page_bytes = PAGE;
	}
	chain = info.flags & UAPI_VFIO_IOMMU_INFO_CAPS ? info.cap_offset : 0;
	at = chain;
	ret = find_capability(answer, length, sizeof(info), UAPI_VFIO_IOMMU_CAP_IOVA_RANGE, &at,
			      err);
	if (!ret)
		ret = take_type1_ranges(answer, length, at, limits, err);
	else if (ret == -ENOENT)
		ret = vfio_take_ranges(&everything, 1, limits, err);
	if (ret)
		return weir_error_prefix(err, ret, "type1");
	*avail = UINT64_MAX;
	at = chain;
	ret = find_capability(answer, length, sizeof(info), UAPI_VFIO_IOMMU_CAP_DMA_AVAIL, &at,
			      err);
	if (!ret && !copy_at(answer, length, at, &dma, sizeof(dma)))
		ret = weir_error_set(err, -EPROTO, "the number of mappings left is cut off");
	if (ret && ret != -ENOENT)
		return weir_error_prefix(err, ret, "type1");
	if (!ret)
		*avail = dma.avail;
	return 0;
}
