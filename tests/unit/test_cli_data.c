/* SPDX-License-Identifier: BSD-3-Clause */
/* The histogram of latencies, and the pattern that --verify writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "histogram.h"
#include "pattern.h"

static struct histogram histogram;

static void test_empty(void **state)
{
	(void)state;
	histogram_clear(&histogram);
	assert_int_equal(histogram_quantile(&histogram, 500), 0);
	assert_int_equal(histogram_mean(&histogram), 0);
}

static void test_buckets_are_in_order(void **state)
{
	unsigned int last = 0;

	(void)state;
	for (uint64_t value = 0; value < HISTOGRAM_MAX / 2; value += value / 300 + 1) {
		unsigned int bucket = histogram_bucket(value);

		assert_in_range(bucket, last, last + 1);
		last = bucket;
	}
	assert_int_equal(histogram_bucket(HISTOGRAM_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_quantiles_of_small_values(void **state)
{
	(void)state;
	histogram_clear(&histogram);
	for (uint64_t value = 1; value <= 200; value++)
		histogram_record(&histogram, value);
	assert_int_equal(histogram_quantile(&histogram, 500), 100);
	assert_int_equal(histogram_quantile(&histogram, 900), 180);
	assert_int_equal(histogram_quantile(&histogram, 990), 198);
	assert_int_equal(histogram_quantile(&histogram, 999), 200);
	assert_int_equal(histogram_quantile(&histogram, 1000), 200);
	assert_int_equal(histogram.min, 1);
	assert_int_equal(histogram.max, 200);
	assert_int_equal(histogram_mean(&histogram), 101);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Against a sorted list: never below the true value, and at most 1 % above it. */
static void test_quantiles_are_close(void **state)
{
	enum { NR = 20000 };
	uint64_t *values = calloc(NR, sizeof(*values)), random = 88172645463325252u;

	(void)state;
	assert_non_null(values);
	histogram_clear(&histogram);
	for (unsigned int i = 0; i < NR; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		values[i] = random >> (24 + i % 30);
		histogram_record(&histogram, values[i]);
	}
	qsort(values, NR, sizeof(*values), compare);
	for (unsigned int permille = 1; permille <= 1000; permille++) {
		uint64_t exact = values[(NR * permille + 999) / 1000 - 1];
		uint64_t found = histogram_quantile(&histogram, permille);

		assert_true(found >= exact);
		assert_true(found <= exact + exact / 100);
	}
	free(values);
}

static void test_too_large_values(void **state)
{
	(void)state;
	histogram_clear(&histogram);
	histogram_record(&histogram, UINT64_MAX);
	assert_int_equal(histogram.max, HISTOGRAM_MAX);
	assert_int_equal(histogram_quantile(&histogram, 500), HISTOGRAM_MAX);
}

static void test_adding(void **state)
{
	static struct histogram other;

	(void)state;
	histogram_clear(&histogram);
	histogram_clear(&other);
	histogram_record(&histogram, 10);
	histogram_record(&other, 5);
	histogram_record(&other, 1000);
	histogram_add(&histogram, &other);
	assert_int_equal(histogram.count, 3);
	assert_int_equal(histogram.min, 5);
	assert_int_equal(histogram.max, 1000);
	assert_int_equal(histogram_quantile(&histogram, 500), 10);
	histogram_clear(&other);
	histogram_add(&histogram, &other);
	assert_int_equal(histogram.min, 5);
}

#define BLOCK 512u
#define BLOCKS 8u

static unsigned char data[BLOCKS * BLOCK];
static struct pattern_difference where;

static void test_pattern_is_recognised(void **state)
{
	(void)state;
	pattern_fill(data, 1000, BLOCKS, BLOCK, 7);
	assert_true(pattern_check(data, 1000, BLOCKS, BLOCK, 7, &where));
	/* A part of it is recognised alone. */
	assert_true(pattern_check(data + 3 * BLOCK, 1003, 1, BLOCK, 7, &where));
}

static void test_each_wrong_byte_is_found(void **state)
{
	(void)state;
	pattern_fill(data, 1000, BLOCKS, BLOCK, 7);
	for (unsigned int i = 0; i < sizeof(data); i++) {
		data[i] ^= 1;
		assert_false(pattern_check(data, 1000, BLOCKS, BLOCK, 7, &where));
		assert_int_equal(where.lba, 1000 + i / BLOCK);
		assert_int_equal(where.offset, i % BLOCK / 8 * 8);
		assert_int_equal(where.expected ^ where.found, UINT64_C(1) << i % 8 * 8);
		data[i] ^= 1;
	}
}

static void test_other_blocks_are_not_taken(void **state)
{
	(void)state;
	pattern_fill(data, 1000, BLOCKS, BLOCK, 7);
	assert_false(pattern_check(data, 1001, 1, BLOCK, 7, &where));
	assert_false(pattern_check(data, 1000, 1, BLOCK, 8, &where));
	memset(data, 0, sizeof(data));
	assert_false(pattern_check(data, 0, 1, BLOCK, 0, &where));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_buckets_are_in_order),
		cmocka_unit_test(test_quantiles_of_small_values),
		cmocka_unit_test(test_quantiles_are_close),
		cmocka_unit_test(test_too_large_values),
		cmocka_unit_test(test_adding),
		cmocka_unit_test(test_pattern_is_recognised),
		cmocka_unit_test(test_each_wrong_byte_is_found),
		cmocka_unit_test(test_other_blocks_are_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
