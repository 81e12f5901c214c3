/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel says of regions and IOMMUs, and what a kernel gone wrong might say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/vfio/answer.h"

#define BAR UINT64_C(0x10000)
#define MAPPABLE (UAPI_VFIO_REGION_READ | UAPI_VFIO_REGION_WRITE | UAPI_VFIO_REGION_MMAP)

static void put(struct vfio_answer *answer, size_t at, const void *data, size_t bytes)
{
	assert_true(at + bytes <= sizeof(answer->bytes));
	if (bytes)
		memcpy(answer->bytes + at, data, bytes);
}

static void put_cap(struct vfio_answer *answer, size_t at, uint16_t id, uint32_t next)
{
	const struct uapi_vfio_cap cap = { .id = id, .version = 1, .next = next };

	put(answer, at, &cap, sizeof(cap));
}

static void put_region(struct vfio_answer *answer, uint32_t flags, uint32_t cap_offset)
{
	const struct uapi_vfio_region_info info = {
		.argsz = sizeof(answer->bytes),
		.flags = flags,
		.index = 2,
		.cap_offset = cap_offset,
		.size = BAR,
		.offset = UINT64_C(2) << 40,
	};

	memset(answer, 0, sizeof(*answer));
	put(answer, 0, &info, sizeof(info));
}

static void put_areas(struct vfio_answer *answer, size_t at, uint32_t next, uint32_t nr,
		      const struct uapi_vfio_sparse_area *areas, size_t nr_put)
{
	const struct uapi_vfio_cap_sparse sparse = {
		.header = { .id = UAPI_VFIO_REGION_CAP_SPARSE_MMAP, .version = 1, .next = next },
		.nr_areas = nr,
	};

	put(answer, at, &sparse, sizeof(sparse));
	put(answer, at + sizeof(sparse), areas, nr_put * sizeof(*areas));
}

static int take_region(const struct vfio_answer *answer, struct device_region *region)
{
	struct weir_error err = { 0 };
	int ret;

	*region = (struct device_region){ .fd = 0, .fd_lent = true };
	ret = vfio_take_region(answer, 2, region, &err);
	if (ret) {
		assert_int_equal(ret, err.code);
		assert_non_null(strstr(err.text, "region 2"));
		assert_int_equal(region->nr_areas, 0);
	}
	return ret;
}

static void test_region_whole(void **state)
{
	struct device_region region;
	struct vfio_answer answer;

	(void)state;
	put_region(&answer, MAPPABLE, 0);
	assert_int_equal(take_region(&answer, &region), 0);
	assert_int_equal(region.bytes, BAR);
	assert_int_equal(region.fd_offset, UINT64_C(2) << 40);
	assert_int_equal(region.nr_areas, 1);
	assert_int_equal(region.areas[0].offset, 0);
	assert_int_equal(region.areas[0].bytes, BAR);

	put_region(&answer, UAPI_VFIO_REGION_READ | UAPI_VFIO_REGION_MMAP, 0);
	assert_int_equal(take_region(&answer, &region), 0);
	assert_int_equal(region.nr_areas, 0);
	assert_true(region.readable && !region.writable);
}

/* The MSI-X capability changes nothing: the whole BAR can be mapped. */
static void test_region_msix_mappable(void **state)
{
	struct device_region region;
	struct vfio_answer answer;

	(void)state;
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 32);
	put_cap(&answer, 32, UAPI_VFIO_REGION_CAP_MSIX_MAPPABLE, 0);
	assert_int_equal(take_region(&answer, &region), 0);
	assert_int_equal(region.nr_areas, 1);
	assert_int_equal(region.areas[0].bytes, BAR);
}

/* A BAR smaller than a page is reached by read and write. */
static void test_region_small(void **state)
{
	struct uapi_vfio_region_info info = {
		.argsz = sizeof(info), .flags = MAPPABLE, .index = 2, .size = 256
	};
	struct vfio_answer answer = { 0 };
	struct device_region region;

	(void)state;
	put(&answer, 0, &info, sizeof(info));
	assert_int_equal(take_region(&answer, &region), 0);
	assert_int_equal(region.bytes, 256);
	assert_int_equal(region.nr_areas, 0);
}

static void test_region_sparse(void **state)
{
	static const struct uapi_vfio_sparse_area areas[] = { { 0, 0x1000 },
							      { 0x3000, 0 },
							      { 0x8000, 0x8000 } };
	struct device_region region;
	struct vfio_answer answer;

	(void)state;
	/* Behind another capability, and before it in the answer. */
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 256);
	put_cap(&answer, 256, UAPI_VFIO_REGION_CAP_MSIX_MAPPABLE, 64);
	put_areas(&answer, 64, 0, 3, areas, 3);
	assert_int_equal(take_region(&answer, &region), 0);
	assert_int_equal(region.nr_areas, 2);
	assert_int_equal(region.areas[1].offset, 0x8000);
	assert_int_equal(region.areas[1].bytes, 0x8000);

	/* No areas at all: nothing can be mapped. */
	put_areas(&answer, 64, 0, 0, NULL, 0);
	assert_int_equal(take_region(&answer, &region), 0);
	assert_int_equal(region.nr_areas, 0);
}

static void test_region_bad_areas(void **state)
{
	static const struct uapi_vfio_sparse_area bad[][2] = {
		{ { 0, 0x1000 }, { 0xf000, 0x2000 } }, /* past the end */
		{ { 0, 0x1000 }, { UINT64_MAX - 0xfff, 0x2000 } }, /* around */
		{ { 0, 0x2000 }, { 0x1000, 0x1000 } }, /* overlap */
		{ { 0, 0x1000 }, { 0x1800, 0x1000 } }, /* unaligned */
		{ { 0, 0x1000 }, { 0x2000, 0x10 } },
	};
	struct device_region region;
	struct vfio_answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 32);
		put_areas(&answer, 32, 0, 2, bad[i], 2);
		assert_int_equal(take_region(&answer, &region), -EPROTO);
	}
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 32);
	put_areas(&answer, 32, 0, DEVICE_MAX_AREAS + 1, NULL, 0);
	assert_int_equal(take_region(&answer, &region), -EPROTO);
	put_areas(&answer, 32, 0, UINT32_MAX, NULL, 0);
	assert_int_equal(take_region(&answer, &region), -EPROTO);
}

/* Chains that point outside, into the fixed part, or in circles. */
static void test_region_bad_chains(void **state)
{
	static const uint32_t outside[] = {
		1, 31, VFIO_ANSWER_BYTES - 7, VFIO_ANSWER_BYTES, UINT32_MAX - 3, UINT32_MAX
	};
	static const struct uapi_vfio_sparse_area area = { 0, 0x1000 };
	struct device_region region;
	struct vfio_answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, outside[i]);
		assert_int_equal(take_region(&answer, &region), -EPROTO);
		put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 32);
		put_cap(&answer, 32, 99, outside[i]);
		assert_int_equal(take_region(&answer, &region), -EPROTO);
	}
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 32);
	put_cap(&answer, 32, 99, 64);
	put_cap(&answer, 64, 98, 32);
	assert_int_equal(take_region(&answer, &region), -EPROTO);

	/* The list begins inside the answer and ends outside. */
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, VFIO_ANSWER_BYTES - 8);
	put_cap(&answer, VFIO_ANSWER_BYTES - 8, UAPI_VFIO_REGION_CAP_SPARSE_MMAP, 0);
	assert_int_equal(take_region(&answer, &region), -EPROTO);
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, VFIO_ANSWER_BYTES - 32);
	put_areas(&answer, VFIO_ANSWER_BYTES - 32, 0, 2, &area, 1);
	assert_int_equal(take_region(&answer, &region), -EPROTO);
}

/* Only what the answer's first word covers counts. */
static void test_region_bad_lengths(void **state)
{
	static const uint32_t lengths[] = { 0, 4, 31, VFIO_ANSWER_BYTES + 1, UINT32_MAX };
	static const struct uapi_vfio_sparse_area area = { 0, 0x1000 };
	struct device_region region;
	struct vfio_answer answer;
	uint32_t short_by_one = 32 + sizeof(struct uapi_vfio_cap_sparse) + sizeof(area) - 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		put_region(&answer, MAPPABLE, 0);
		put(&answer, 0, &lengths[i], sizeof(lengths[i]));
		assert_int_equal(take_region(&answer, &region), -EPROTO);
	}
	put_region(&answer, MAPPABLE | UAPI_VFIO_REGION_CAPS, 32);
	put_areas(&answer, 32, 0, 1, &area, 1);
	assert_int_equal(take_region(&answer, &region), 0);
	put(&answer, 0, &short_by_one, sizeof(short_by_one));
	assert_int_equal(take_region(&answer, &region), -EPROTO);
	assert_int_equal(vfio_take_region(&answer, 3, &region, NULL), -EPROTO);
}

static void put_type1(struct vfio_answer *answer, uint64_t pgsizes, uint32_t cap_offset)
{
	const struct uapi_vfio_iommu_info info = {
		.argsz = sizeof(answer->bytes),
		.flags = UAPI_VFIO_IOMMU_INFO_PGSIZES |
			 (cap_offset ? UAPI_VFIO_IOMMU_INFO_CAPS : 0),
		.iova_pgsizes = pgsizes,
		.cap_offset = cap_offset,
	};

	memset(answer, 0, sizeof(*answer));
	put(answer, 0, &info, sizeof(info));
}

static void put_ranges(struct vfio_answer *answer, size_t at, uint32_t next, uint32_t nr,
		       const struct uapi_iova_range *ranges, size_t nr_put)
{
	const struct uapi_vfio_cap_iova_range cap = {
		.header = { .id = UAPI_VFIO_IOMMU_CAP_IOVA_RANGE, .version = 1, .next = next },
		.nr_ranges = nr,
	};

	put(answer, at, &cap, sizeof(cap));
	put(answer, at + sizeof(cap), ranges, nr_put * sizeof(*ranges));
}

static const struct uapi_iova_range usual[] = { { 0, 0xfedfffff }, { 0xfef00000, 0x7fffffffff } };

static void test_type1(void **state)
{
	const struct uapi_vfio_cap_dma_avail dma = {
		.header = { .id = UAPI_VFIO_IOMMU_CAP_DMA_AVAIL, .version = 1 },
		.avail = 65535,
	};
	struct ioas_limits limits = { 0 };
	struct vfio_answer answer;
	uint64_t avail;

	(void)state;
	put_type1(&answer, 0x40201000, 24);
	put_ranges(&answer, 24, 128, 2, usual, 2);
	put(&answer, 128, &dma, sizeof(dma));
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, NULL), 0);
	assert_int_equal(avail, 65535);
	assert_int_equal(limits.page_bytes, 4096);
	assert_int_equal(limits.nr_ranges, 2);
	assert_int_equal(limits.ranges[0].last, 0xfedfffff);
	assert_int_equal(limits.ranges[1].first, 0xfef00000);

	/* A kernel that does not say: everything. */
	put_type1(&answer, UINT64_C(1) << 16, 0);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, NULL), 0);
	assert_true(avail == UINT64_MAX);
	assert_int_equal(limits.page_bytes, 65536);
	assert_int_equal(limits.nr_ranges, 1);
	assert_true(limits.ranges[0].first == 0 && limits.ranges[0].last == UINT64_MAX);

	/* All sizes of pages, as some IOMMUs claim. */
	put_type1(&answer, UINT64_MAX, 0);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, NULL), 0);
	assert_int_equal(limits.page_bytes, 4096);
	put_type1(&answer, 0, 0);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, NULL), 0);
	assert_int_equal(limits.page_bytes, 4096);
}

static void test_type1_bad(void **state)
{
	struct ioas_limits limits = { 0 };
	struct weir_error err = { 0 };
	struct vfio_answer answer;
	const uint32_t lengths[] = { 0, 19, VFIO_ANSWER_BYTES + 1 };
	uint64_t avail;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		put_type1(&answer, 4096, 0);
		put(&answer, 0, &lengths[i], sizeof(lengths[i]));
		assert_int_equal(vfio_take_type1(&answer, &limits, &avail, &err), -EPROTO);
		assert_non_null(strstr(err.text, "type1"));
	}
	put_type1(&answer, 4096, 24);
	put_ranges(&answer, 24, 0, 255, usual, 2);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, &err), -EPROTO);
	put_ranges(&answer, 24, 0, UINT32_MAX, usual, 2);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, &err), -EPROTO);
	put_ranges(&answer, 24, 0, 0, NULL, 0);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, &err), -EPROTO);
	put_ranges(&answer, 24, 24, 2, usual, 2);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, &err), -EPROTO);
	put_type1(&answer, 4096, VFIO_ANSWER_BYTES - 8);
	put_cap(&answer, VFIO_ANSWER_BYTES - 8, UAPI_VFIO_IOMMU_CAP_DMA_AVAIL, 0);
	assert_int_equal(vfio_take_type1(&answer, &limits, &avail, &err), -EPROTO);
}

static void test_ranges(void **state)
{
	static const struct uapi_iova_range bad[][2] = {
		{ { 5, 4 }, { 10, 20 } }, /* empty */
		{ { 0, 10 }, { 10, 20 } }, /* touching */
		{ { 30, 40 }, { 10, 20 } }, /* descending */
	};
	struct uapi_iova_range many[100];
	struct ioas_limits limits;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vfio_take_ranges(bad[i], 2, &limits, NULL), -EPROTO);
	assert_int_equal(vfio_take_ranges(NULL, 0, &limits, NULL), -EPROTO);

	/* The largest remain, in order: here every sixth. */
	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		many[i].start = i << 32;
		many[i].last = many[i].start + (i % 6 == 5 ? 0xffffffff - i : i);
	}
	assert_int_equal(vfio_take_ranges(many, ARRAY_SIZE(many), &limits, NULL), 0);
	assert_int_equal(limits.nr_ranges, IOAS_MAX_RANGES);
	for (unsigned int i = 0; i < IOAS_MAX_RANGES; i++)
		assert_int_equal(limits.ranges[i].first, (uint64_t)(i * 6 + 5) << 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_region_whole),
		cmocka_unit_test(test_region_msix_mappable),
		cmocka_unit_test(test_region_small),
		cmocka_unit_test(test_region_sparse),
		cmocka_unit_test(test_region_bad_areas),
		cmocka_unit_test(test_region_bad_chains),
		cmocka_unit_test(test_region_bad_lengths),
		cmocka_unit_test(test_type1),
		cmocka_unit_test(test_type1_bad),
		cmocka_unit_test(test_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
