/* SPDX-License-Identifier: BSD-3-Clause */
#include "histogram.h"

#include <string.h>

_Static_assert(HISTOGRAM_BUCKETS >
		       (HISTOGRAM_MAX_BITS - 1 - HISTOGRAM_PART_BITS) * HISTOGRAM_PARTS +
			       2 * HISTOGRAM_PARTS - 1,
	       "the largest value has a bucket");

void histogram_clear(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
	histogram->min = UINT64_MAX;
}

void histogram_add(struct histogram *to, const struct histogram *from)
{
	to->count += from->count;
	to->sum += from->sum;
	if (from->min < to->min)
		to->min = from->min;
	if (from->max > to->max)
		to->max = from->max;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

/* The inverse of histogram_bucket(): the largest value that falls into it. */
static uint64_t bucket_end(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * HISTOGRAM_PARTS)
		return bucket;
	shift = bucket / HISTOGRAM_PARTS - 1;
	return ((uint64_t)(bucket - shift * HISTOGRAM_PARTS + 1) << shift) - 1;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned int permille)
{
	uint64_t seen = 0, wanted;

	/* Whole thousands apart, so that no count overflows; at least the first value. */
	wanted = histogram->count / 1000 * permille +
		 (histogram->count % 1000 * permille + 999) / 1000;
	if (!wanted)
		wanted = 1;
	for (unsigned int i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted)
			return bucket_end(i) < histogram->max ? bucket_end(i) : histogram->max;
	}
	return histogram->max;
}

uint64_t histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? (histogram->sum + histogram->count / 2) / histogram->count : 0;
}
