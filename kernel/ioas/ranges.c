// SPDX-License-Identifier: GPL-2.0-only
/* Sets of IOVAs. */
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "ioas/ranges.h"

int weir_ranges_init(struct weir_ranges *ranges)
{
	ranges->range = kmalloc(sizeof(*ranges->range), GFP_KERNEL);
	if (!ranges->range)
		return -ENOMEM;
	ranges->range[0] = (struct weir_ioas_range){ .start = 0, .last = U64_MAX };
	ranges->count = 1;
	return 0;
}

void weir_ranges_free(struct weir_ranges *ranges)
{
	kvfree(ranges->range);
	ranges->range = NULL;
	ranges->count = 0;
}

int weir_ranges_copy(struct weir_ranges *ranges, const struct weir_ranges *from)
{
	/* One more than there are, because an empty array has no address. */
	ranges->range = kvcalloc(from->count + 1, sizeof(*ranges->range), GFP_KERNEL_ACCOUNT);
	if (!ranges->range)
		return -ENOMEM;
	memcpy(ranges->range, from->range, from->count * sizeof(*ranges->range));
	ranges->count = from->count;
	return 0;
}

int weir_ranges_exclude(struct weir_ranges *ranges, u64 start, u64 last)
{
	struct weir_ioas_range *left;
	unsigned int i, count = 0;

	/* At most one is cut in two. */
	left = kvcalloc(ranges->count + 1, sizeof(*left), GFP_KERNEL);
	if (!left)
		return -ENOMEM;
	for (i = 0; i < ranges->count; i++) {
		const struct weir_ioas_range *range = &ranges->range[i];

		if (range->last < start || range->start > last) {
			left[count++] = *range;
			continue;
		}
		if (range->start < start)
			left[count++] = (struct weir_ioas_range){ range->start, start - 1 };
		if (range->last > last)
			left[count++] = (struct weir_ioas_range){ last + 1, range->last };
	}
	kvfree(ranges->range);
	ranges->range = left;
	ranges->count = count;
	return 0;
}

int weir_ranges_limit(struct weir_ranges *ranges, u64 start, u64 last)
{
	int rc = 0;

	if (start > 0)
		rc = weir_ranges_exclude(ranges, 0, start - 1);
	if (!rc && last < U64_MAX)
		rc = weir_ranges_exclude(ranges, last + 1, U64_MAX);
	return rc;
}

bool weir_ranges_contain(const struct weir_ranges *ranges, u64 start, u64 last)
{
	unsigned int i;

	for (i = 0; i < ranges->count; i++)
		if (ranges->range[i].start <= start && ranges->range[i].last >= last)
			return true;
	return false;
}

static int range_compare(const void *a, const void *b)
{
	const struct weir_ioas_range *first = a, *second = b;

	return first->start < second->start ? -1 : first->start > second->start;
}

/* What touches becomes one. None overlap. */
static void ranges_join(struct weir_ranges *ranges)
{
	unsigned int i, count = 0;

	for (i = 0; i < ranges->count; i++) {
		const struct weir_ioas_range *range = &ranges->range[i];

		if (count && ranges->range[count - 1].last + 1 == range->start)
			ranges->range[count - 1].last = range->last;
		else
			ranges->range[count++] = *range;
	}
	ranges->count = count;
}

int weir_ranges_sort(struct weir_ranges *ranges, const struct weir_ioas_range *list,
		     unsigned int count)
{
	const struct weir_ranges from = { .range = (struct weir_ioas_range *)list, .count = count };
	unsigned int i;
	int rc;

	rc = weir_ranges_copy(ranges, &from);
	if (rc)
		return rc;
	sort(ranges->range, count, sizeof(*ranges->range), range_compare, NULL);
	for (i = 0; i < count; i++) {
		if (ranges->range[i].start > ranges->range[i].last ||
		    (i && ranges->range[i - 1].last >= ranges->range[i].start)) {
			weir_ranges_free(ranges);
			return -EINVAL;
		}
	}
	ranges_join(ranges);
	return 0;
}
