// SPDX-License-Identifier: GPL-2.0-only
/* The choice of an IOVA for who leaves it to the kernel. */
#include <linux/align.h>
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/sizes.h>

#include "ioas/private.h"

/* What nobody gets by itself: 0 is no good address, nor is what ends where numbers do. */
#define CHOICE_FIRST PAGE_SIZE
#define CHOICE_LAST (U64_MAX - PAGE_SIZE)

/* A place to be found. */
struct search {
	struct weir_ioas *ioas;
	u64 length;
	/* Of the IOVA less the remainder: as large as IOMMU pages for that length can be. */
	u64 alignment;
	u64 remainder;
};

/* The first place from start on. False if that wraps. */
static bool align_up(const struct search *search, u64 start, u64 *iova)
{
	u64 mask = search->alignment - 1;
	u64 base = start - search->remainder;

	if (start < search->remainder)
		base = 0;
	*iova = ((base + mask) & ~mask) + search->remainder;
	return *iova >= start;
}

/* The lowest place between start and last that no area has. */
static bool search_between(const struct search *search, u64 start, u64 last, u64 *iova)
{
	const struct weir_area *area;

	start = max_t(u64, start, CHOICE_FIRST);
	last = min_t(u64, last, CHOICE_LAST);
	while (start <= last && align_up(search, start, iova) && *iova <= last &&
	       search->length - 1 <= last - *iova) {
		area = weir_area_of(interval_tree_iter_first(&search->ioas->areas, *iova,
							     *iova + search->length - 1));
		if (!area)
			return true;
		if (area->node.last >= last)
			break;
		start = area->node.last + 1;
	}
	return false;
}

int weir_iova_choose(struct weir_ioas *ioas, u64 length, u64 remainder, u64 *iova)
{
	const struct weir_ranges *ranges = ioas->allowed.count ? &ioas->allowed : &ioas->ranges;
	const struct search search = {
		.ioas = ioas,
		.length = length,
		.alignment = max3((u64)PAGE_SIZE, weir_granule_mask(ioas) + 1,
				  min_t(u64, 1ULL << __ffs64(length), SZ_1G)),
		.remainder = remainder,
	};
	unsigned int i;

	for (i = 0; i < ranges->count; i++) {
		if (search_between(&search, ranges->range[i].start, ranges->range[i].last, iova))
			return 0;
	}
	return -ENOSPC;
}
