/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A log-linear histogram of durations: each power of two is cut into 128 equal parts, so a value is
 * known to 0.8 %. Recording is a few instructions and no allocation.
 */
#ifndef WEIR_APPS_HISTOGRAM_H
#define WEIR_APPS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PART_BITS 7
#define HISTOGRAM_PARTS (1u << HISTOGRAM_PART_BITS)
/* Larger values count as this one: 18 minutes in nanoseconds. */
#define HISTOGRAM_MAX_BITS 40
#define HISTOGRAM_MAX ((UINT64_C(1) << HISTOGRAM_MAX_BITS) - 1)
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_BITS - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS)

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Values below 2^(PART_BITS + 1) have a bucket each; above, the top 8 bits choose. */
static inline unsigned int histogram_bucket(uint64_t value)
{
	unsigned int shift;

	if (value < 2 * HISTOGRAM_PARTS)
		return (unsigned int)value;
	shift = 63u - (unsigned int)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
	return shift * HISTOGRAM_PARTS + (unsigned int)(value >> shift);
}

static inline void histogram_record(struct histogram *histogram, uint64_t value)
{
	if (value > HISTOGRAM_MAX)
		value = HISTOGRAM_MAX;
	histogram->count++;
	histogram->sum += value;
	if (value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[histogram_bucket(value)]++;
}

/* Empties it. */
void histogram_clear(struct histogram *histogram);

/* Adds what `from` holds to `to`. */
void histogram_add(struct histogram *to, const struct histogram *from);

/* The largest value of the bucket that holds the given part of all values, in parts per 1000, at
 * most the maximum; 0 when the histogram is empty. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned int permille);

/* The mean, rounded; 0 when the histogram is empty. */
uint64_t histogram_mean(const struct histogram *histogram);

#endif
