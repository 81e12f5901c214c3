/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of IOVAs. Whoever has one sees to it that it is not changed meanwhile. */
#ifndef WEIR_IOAS_RANGES_H
#define WEIR_IOAS_RANGES_H

#include <linux/types.h>

#include "ioas/ioas.h"

/* In rising order, none touching another. */
struct weir_ranges {
	struct weir_ioas_range *range;
	unsigned int count;
};

/* Everything. -ENOMEM. */
int weir_ranges_init(struct weir_ranges *ranges);
void weir_ranges_free(struct weir_ranges *ranges);

/* A copy of another set. -ENOMEM. */
int weir_ranges_copy(struct weir_ranges *ranges, const struct weir_ranges *from);

/*
 * A list in any order becomes a set. -ENOMEM; -EINVAL: one of the ranges
 * ends before it begins, or two overlap.
 */
int weir_ranges_sort(struct weir_ranges *ranges, const struct weir_ioas_range *list,
		     unsigned int count);

/* Takes start to last out, of which nothing need be there. -ENOMEM, nothing has changed. */
int weir_ranges_exclude(struct weir_ranges *ranges, u64 start, u64 last);

/* Takes out all that is not from start to last. -ENOMEM, and perhaps only a part is out. */
int weir_ranges_limit(struct weir_ranges *ranges, u64 start, u64 last);

/* Whether all from start to last is there. */
bool weir_ranges_contain(const struct weir_ranges *ranges, u64 start, u64 last);

#endif
