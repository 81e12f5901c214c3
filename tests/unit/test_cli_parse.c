/* SPDX-License-Identifier: BSD-3-Clause */
/* What people type: numbers, sizes, times, lists, and a command's options as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

#define UNTOUCHED UINT64_C(0x5a5a5a5a)

static struct weir_error err;

static void assert_number(const char *text, uint64_t expected)
{
	uint64_t value = UNTOUCHED;

	assert_int_equal(parse_number("n", text, 0, UINT64_MAX, &value, &err), 0);
	assert_int_equal(value, expected);
}

static void assert_no_number(const char *text)
{
	uint64_t value = UNTOUCHED;

	assert_int_equal(parse_number("n", text, 0, UINT64_MAX, &value, &err), -EINVAL);
	assert_int_equal(value, UNTOUCHED);
	assert_non_null(strstr(err.text, text));
}

static void test_numbers(void **state)
{
	(void)state;
	assert_number("0", 0);
	assert_number("17", 17);
	assert_number("0x11", 17);
	assert_number("0XfF", 255);
	assert_number("010", 10);
	assert_number("18446744073709551615", UINT64_MAX);
	assert_no_number("18446744073709551616");
	assert_no_number("99999999999999999999999999");
	assert_no_number("0x1ffffffffffffffff");
	assert_no_number("-1");
	assert_no_number("+1");
	assert_no_number(" 1");
	assert_no_number("1 ");
	assert_no_number("1x");
	assert_no_number("1.5");
	assert_no_number("1k");
	assert_no_number("0x");
	assert_no_number("0x-1");
	assert_no_number("x1");
	assert_no_number("");
}

static void test_number_limits(void **state)
{
	uint64_t value = UNTOUCHED;

	(void)state;
	assert_int_equal(parse_number("queue depth", "5000", 1, 4095, &value, &err), -EINVAL);
	assert_string_equal(err.text, "queue depth 5000 is over the limit of 4095");
	assert_int_equal(parse_number("queue depth", "0", 1, 4095, &value, &err), -EINVAL);
	assert_string_equal(err.text, "queue depth 0 is under the minimum of 1");
	assert_int_equal(parse_number("queue depth", "99999999999999999999", 1, 4095, &value, &err),
			 -EINVAL);
	assert_string_equal(err.text, "queue depth 99999999999999999999 is over the limit of 4095");
	assert_int_equal(value, UNTOUCHED);
	assert_int_equal(parse_number("queue depth", "4095", 1, 4095, &value, &err), 0);
	assert_int_equal(value, 4095);
}

static void assert_bytes(const char *text, uint64_t expected)
{
	uint64_t value = UNTOUCHED;

	assert_int_equal(parse_bytes("size", text, 0, UINT64_MAX, &value, &err), 0);
	assert_int_equal(value, expected);
}

static void assert_no_bytes(const char *text)
{
	uint64_t value = UNTOUCHED;

	assert_int_equal(parse_bytes("size", text, 0, UINT64_MAX, &value, &err), -EINVAL);
	assert_int_equal(value, UNTOUCHED);
}

static void test_bytes(void **state)
{
	uint64_t value;

	(void)state;
	assert_bytes("512", 512);
	assert_bytes("512B", 512);
	assert_bytes("4K", 4096);
	assert_bytes("4k", 4096);
	assert_bytes("4KiB", 4096);
	assert_bytes("1M", 1 << 20);
	assert_bytes("1GiB", 1 << 30);
	assert_bytes("2T", UINT64_C(2) << 40);
	assert_bytes("0x1000", 4096);
	assert_bytes("0x10K", 16384);
	assert_bytes("16777215T", UINT64_C(16777215) << 40);
	assert_no_bytes("16777216T");
	assert_no_bytes("18446744073709551615K");
	assert_no_bytes("18446744073709551616");
	assert_no_bytes("4KB");
	assert_no_bytes("4KK");
	assert_no_bytes("4 K");
	assert_no_bytes("K");
	assert_no_bytes("1.5G");
	assert_no_bytes("-4K");
	assert_no_bytes("4Q");
	assert_no_bytes("");
	assert_int_equal(parse_bytes("io size", "4M", 512, 2 << 20, &value, &err), -EINVAL);
	assert_string_equal(err.text, "io size 4194304 is over the limit of 2097152 bytes");
}

static void assert_seconds(const char *text, uint64_t expected_ms)
{
	uint64_t ms = UNTOUCHED;

	assert_int_equal(parse_seconds("time", text, 1, 86400000, &ms, &err), 0);
	assert_int_equal(ms, expected_ms);
}

static void assert_no_seconds(const char *text)
{
	uint64_t ms = UNTOUCHED;

	assert_int_equal(parse_seconds("time", text, 1, 86400000, &ms, &err), -EINVAL);
	assert_int_equal(ms, UNTOUCHED);
}

static void test_seconds(void **state)
{
	(void)state;
	assert_seconds("10", 10000);
	assert_seconds("0.5", 500);
	assert_seconds("0.25", 250);
	assert_seconds("1.0019", 1001);
	assert_seconds("86400", 86400000);
	assert_no_seconds("0");
	assert_no_seconds("0.0001");
	assert_no_seconds("86400.5");
	assert_no_seconds("86401");
	assert_no_seconds("18446744073709551");
	assert_no_seconds("18446744073709551616");
	assert_no_seconds("1.");
	assert_no_seconds(".5");
	assert_no_seconds("1.5s");
	assert_no_seconds("0x10");
	assert_no_seconds("-1");
	assert_no_seconds("nan");
}

static void test_choices(void **state)
{
	static const char *const choices[] = { "read", "write", NULL };
	unsigned int index = 7;

	(void)state;
	assert_int_equal(parse_choice("rw", "write", choices, &index, &err), 0);
	assert_int_equal(index, 1);
	assert_int_equal(parse_choice("rw", "wri", choices, &index, &err), -EINVAL);
	assert_string_equal(err.text, "rw 'wri' is not one of read, write");
	assert_int_equal(index, 1);
}

static void assert_no_cpus(const char *text)
{
	static struct cpu_list list;

	assert_int_equal(parse_cpus("cpu", text, &list, &err), -EINVAL);
}

static void test_cpus(void **state)
{
	static struct cpu_list list;

	(void)state;
	assert_int_equal(parse_cpus("cpu", "3,0,5-7", &list, &err), 0);
	assert_int_equal(list.nr, 5);
	assert_int_equal(list.cpus[0], 3);
	assert_int_equal(list.cpus[1], 0);
	assert_int_equal(list.cpus[2], 5);
	assert_int_equal(list.cpus[4], 7);
	assert_int_equal(parse_cpus("cpu", "0-1023", &list, &err), 0);
	assert_int_equal(list.nr, PARSE_MAX_CPUS);
	assert_no_cpus("0-1023,0");
	assert_no_cpus("1024");
	assert_no_cpus("0-18446744073709551615");
	assert_no_cpus("5-3");
	assert_no_cpus("1,,2");
	assert_no_cpus("1,");
	assert_no_cpus("-1");
	assert_no_cpus("1-");
	assert_no_cpus("");
}

struct config {
	const char *path;
	uint64_t depth, size;
	unsigned int kind;
	bool json;
};

static const char *const kinds[] = { "one", "two", NULL };

static const struct cli_option options[] = {
	{ "path", CLI_TEXT, offsetof(struct config, path), .argument = "PATH", .required = true },
	{ "queue-depth", CLI_NUMBER, offsetof(struct config, depth), .min = 1, .max = 64,
	  .argument = "N" },
	{ "size", CLI_BYTES, offsetof(struct config, size), .max = 1 << 20, .argument = "N" },
	{ "kind", CLI_CHOICE, offsetof(struct config, kind), .choices = kinds, .argument = "K" },
	{ "json", CLI_FLAG, offsetof(struct config, json), .help = "as JSON" },
	{ NULL },
};

static const struct config defaults = { .depth = 32 };

static const struct cli_command command = {
	.name = "test it",
	.operands = "DEV",
	.min_operands = 1,
	.max_operands = 1,
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
};

static struct config config;
static char *const *operands;

/* Parses up to 7 words. */
static int parse(const char *first, ...)
{
	static char words[8][64];
	char *argv[9] = { words[0] };
	va_list args;
	int argc = 1;

	snprintf(words[0], sizeof(words[0]), "%s", "it");
	va_start(args, first);
	for (const char *word = first; word; word = va_arg(args, const char *)) {
		snprintf(words[argc], sizeof(words[argc]), "%s", word);
		argv[argc] = words[argc];
		argc++;
	}
	va_end(args);
	argv[argc] = NULL;
	memset(&config, 0xff, sizeof(config));
	err.text[0] = '\0';
	return cli_parse(&command, argc, argv, &config, &operands, &err);
}

static void test_options(void **state)
{
	(void)state;
	assert_int_equal(parse("--path", "p", "dev", "--queue-depth=7", "--json", NULL), 0);
	assert_string_equal(config.path, "p");
	assert_int_equal(config.depth, 7);
	assert_true(config.json);

	assert_int_equal(parse("dev", "--path=p", "--size", "4K", "--kind", "two", NULL), 0);
	assert_int_equal(config.depth, 32);
	assert_int_equal(config.size, 4096);
	assert_int_equal(config.kind, 1);
	assert_false(config.json);
	assert_string_equal(config.path, "p");
}

static void test_bad_options(void **state)
{
	(void)state;
	assert_int_equal(parse("dev", "--path=p", "--foo", NULL), CLI_USAGE);
	assert_string_equal(err.text, "unknown option '--foo'");
	assert_int_equal(parse("dev", "--path=p", "--foo=bar", NULL), CLI_USAGE);
	assert_string_equal(err.text, "unknown option '--foo'");
	assert_int_equal(parse("dev", "--path=p", "-x", NULL), CLI_USAGE);
	assert_string_equal(err.text, "unknown option '-x'");
	assert_int_equal(parse("dev", "--path", NULL), CLI_USAGE);
	assert_string_equal(err.text, "option '--path' needs a value");
	assert_int_equal(parse("dev", "--path=p", "--json=1", NULL), CLI_USAGE);
	assert_string_equal(err.text, "option '--json' takes no value");
	assert_int_equal(parse("dev", "--path=", NULL), CLI_USAGE);
	assert_string_equal(err.text, "path is empty");
	assert_int_equal(parse("dev", "--path=p", "--queue-depth=65", NULL), CLI_USAGE);
	assert_string_equal(err.text, "queue depth 65 is over the limit of 64");
	assert_int_equal(parse("dev", NULL), CLI_USAGE);
	assert_string_equal(err.text, "--path PATH is missing; see 'weir test it --help'");
}

static void test_operands(void **state)
{
	(void)state;
	assert_int_equal(parse("--path=p", NULL), CLI_USAGE);
	assert_string_equal(err.text, "DEV is missing; see 'weir test it --help'");
	assert_int_equal(parse("--path=p", "dev", "more", NULL), CLI_USAGE);
	assert_string_equal(err.text, "unexpected argument 'more'");
	assert_int_equal(parse("--path=p", "--", "--json", NULL), 0);
	assert_string_equal(operands[0], "--json");
	assert_null(operands[1]);
	assert_false(config.json);
}

static void test_help(void **state)
{
	(void)state;
	assert_int_equal(parse("--help", NULL), CLI_HELP);
	assert_int_equal(parse("dev", "-h", NULL), CLI_HELP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),	 cmocka_unit_test(test_number_limits),
		cmocka_unit_test(test_bytes),	 cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_choices),	 cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_options),	 cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_operands), cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
