/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors, log lines, option structs and the small arithmetic of base.h, at their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static void test_error_set(void **state)
{
	struct weir_error err = { 0 };
	char longer[2 * WEIR_ERROR_TEXT];

	(void)state;
	assert_int_equal(weir_error_set(&err, -EINVAL, "depth %d is over %u", 5000, 1024u),
			 -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.text, "depth 5000 is over 1024");
	assert_int_equal(weir_error_set(NULL, -EIO, "nobody listens"), -EIO);

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(weir_error_set(&err, -EIO, "%s", longer), -EIO);
	assert_int_equal(strlen(err.text), WEIR_ERROR_TEXT - 1);
}

static void test_error_prefix(void **state)
{
	struct weir_error err;
	char longer[WEIR_ERROR_TEXT];

	(void)state;
	weir_error_set(&err, -EIO, "refused");
	assert_int_equal(weir_error_prefix(&err, -EIO, "device %d", 3), -EIO);
	assert_string_equal(err.text, "device 3: refused");
	assert_int_equal(weir_error_prefix(NULL, -EIO, "device"), -EIO);

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(weir_error_prefix(&err, -ENODEV, "%s", longer), -ENODEV);
	assert_int_equal(err.code, -ENODEV);
	assert_int_equal(strlen(err.text), WEIR_ERROR_TEXT - 1);
	assert_memory_equal(err.text, longer, WEIR_ERROR_TEXT - 1);
}

struct line {
	unsigned int count;
	enum weir_log_level level;
	char text[600];
};

static void keep_line(void *ctx, enum weir_log_level level, const char *text)
{
	struct line *line = ctx;

	line->count++;
	line->level = level;
	snprintf(line->text, sizeof(line->text), "%s", text);
}

static void test_log_write(void **state)
{
	struct line line = { 0 };
	struct weir_log log = { keep_line, &line, WEIR_LOG_WARN };
	struct weir_log silent = { NULL, NULL, WEIR_LOG_DEBUG };

	(void)state;
	weir_log_write(&log, WEIR_LOG_WARN, "queue %d", 7);
	assert_int_equal(line.count, 1);
	assert_int_equal(line.level, WEIR_LOG_WARN);
	assert_string_equal(line.text, "queue 7");
	weir_log_write(&log, WEIR_LOG_INFO, "not wanted");
	weir_log_write(&silent, WEIR_LOG_ERROR, "to nobody");
	assert_int_equal(line.count, 1);
	weir_log_write(&log, WEIR_LOG_ERROR, "%0600d", 1);
	assert_int_equal(line.count, 2);
	assert_int_equal(strlen(line.text), 511);
}

struct options {
	size_t size;
	uint32_t first;
	uint32_t second;
};

/* The same, two versions of the library later. */
struct longer_options {
	struct options known;
	uint64_t unknown;
};

static void test_options(void **state)
{
	struct options ours = { sizeof(ours), 1, 2 };
	struct options shorter = { offsetof(struct options, second), 10, 20 };
	struct longer_options longer = { { sizeof(longer), 100, 200 }, 0 };
	struct weir_error err = { 0 };

	(void)state;
	assert_int_equal(weir_options_copy(&ours, sizeof(ours), NULL, "test", &err), 0);
	assert_int_equal(ours.first, 1);

	assert_int_equal(weir_options_copy(&ours, sizeof(ours), &shorter, "test", &err), 0);
	assert_int_equal(ours.size, sizeof(ours));
	assert_int_equal(ours.first, 10);
	assert_int_equal(ours.second, 2);

	assert_int_equal(weir_options_copy(&ours, sizeof(ours), &longer, "test", &err), 0);
	assert_int_equal(ours.size, sizeof(ours));
	assert_int_equal(ours.second, 200);

	longer.unknown = 1;
	longer.known.first = 111;
	assert_int_equal(weir_options_copy(&ours, sizeof(ours), &longer, "test", &err), -EINVAL);
	assert_int_equal(ours.first, 100);
	assert_non_null(strstr(err.text, "test: byte 16"));

	longer.known.size = 0;
	assert_int_equal(weir_options_copy(&ours, sizeof(ours), &longer, "test", &err), -EINVAL);
	longer.known.size = SIZE_MAX;
	assert_int_equal(weir_options_copy(&ours, sizeof(ours), &longer, "test", &err), -EINVAL);
}

static void test_arithmetic(void **state)
{
	(void)state;
	assert_int_equal(weir_round_up_power_of_two(0), 1);
	assert_int_equal(weir_round_up_power_of_two(1), 1);
	assert_int_equal(weir_round_up_power_of_two(3), 4);
	assert_int_equal(weir_round_up_power_of_two(4096), 4096);
	assert_true(weir_round_up_power_of_two((UINT64_C(1) << 62) + 1) == UINT64_C(1) << 63);
	assert_true(weir_round_up_power_of_two(UINT64_C(1) << 63) == UINT64_C(1) << 63);

	assert_int_equal(weir_align_up(4097, 4096), 8192);
	assert_int_equal(weir_align_down(8191, 4096), 4096);
	assert_true(weir_is_aligned(8192, 4096));
	assert_false(weir_is_aligned(8193, 4096));
	assert_false(weir_is_power_of_two(0));
	assert_true(weir_is_power_of_two(1));
	assert_false(weir_is_power_of_two(6));

	assert_true(weir_range_within(0, 10, 10));
	assert_true(weir_range_within(10, 0, 10));
	assert_false(weir_range_within(1, 10, 10));
	assert_false(weir_range_within(UINT64_MAX, 2, UINT64_MAX));
	assert_false(weir_range_within(2, UINT64_MAX, 10));
}

static void test_clock(void **state)
{
	uint64_t first = weir_now_ns();

	(void)state;
	assert_true(first > 0);
	assert_true(weir_now_ns() >= first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_set),  cmocka_unit_test(test_error_prefix),
		cmocka_unit_test(test_log_write),  cmocka_unit_test(test_options),
		cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
