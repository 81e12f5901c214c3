/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"
#include "fail.h"
#include "notice.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* Values of getopt_long() for our own options; those of a command are its table's indices. */
#define VALUE_BASE 1000
#define VALUE_HELP 998
#define VALUE_VERBOSE 999

/* "queue-depth" reads "queue depth" in messages. */
static void spoken_name(const struct cli_option *option, char *name, size_t bytes)
{
	snprintf(name, bytes, "%s", option->name);
	for (char *c = name; *c; c++) {
		if (*c == '-')
			*c = ' ';
	}
}

static int store_value(const struct cli_option *option, const char *text, void *config,
		       struct weir_error *err)
{
	void *member = (char *)config + option->offset;
	char name[64];

	spoken_name(option, name, sizeof(name));
	switch (option->kind) {
	case CLI_FLAG:
		*(bool *)member = true;
		return 0;
	case CLI_TEXT:
		if (!*text)
			return fail(err, -EINVAL, "%s is empty", name);
		*(const char **)member = text;
		return 0;
	case CLI_NUMBER:
		return parse_number(name, text, option->min, option->max, member, err);
	case CLI_BYTES:
		return parse_bytes(name, text, option->min, option->max, member, err);
	case CLI_SECONDS:
		return parse_seconds(name, text, option->min, option->max, member, err);
	case CLI_CHOICE:
		return parse_choice(name, text, option->choices, member, err);
	case CLI_CPUS:
		return parse_cpus(name, text, member, err);
	}
	return fail(err, -EINVAL, "%s has no such kind of value", name);
}

/* The table as getopt_long() wants it. Returns how many options there are. */
static unsigned int make_long_options(const struct cli_option *options, struct option *longs)
{
	unsigned int nr = 0;

	for (; nr < CLI_MAX_OPTIONS && options[nr].name; nr++) {
		longs[nr] = (struct option){
			.name = options[nr].name,
			.has_arg = options[nr].kind == CLI_FLAG ? no_argument : required_argument,
			.val = VALUE_BASE + (int)nr,
		};
	}
	longs[nr] = (struct option){ .name = "help", .val = VALUE_HELP };
	longs[nr + 1] = (struct option){ .name = "verbose", .val = VALUE_VERBOSE };
	longs[nr + 2] = (struct option){ .name = NULL };
	return nr;
}

/* Says what getopt_long() did not like. It leaves the text in the argument before optind, and in
 * optopt a short option or the value of a long one. */
static int bad_option(int result, char **argv, struct weir_error *err)
{
	const char *text = argv[optind - 1];

	if (result == ':')
		return fail(err, CLI_USAGE, "option '%s' needs a value", text);
	if (optopt >= VALUE_HELP)
		return fail(err, CLI_USAGE, "option '%.*s' takes no value", (int)strcspn(text, "="),
			    text);
	if (optopt)
		return fail(err, CLI_USAGE, "unknown option '-%c'", optopt);
	return fail(err, CLI_USAGE, "unknown option '%.*s'", (int)strcspn(text, "="), text);
}

static int check_operands(const struct cli_command *command, int nr, char *const *operands,
			  struct weir_error *err)
{
	if (nr < (int)command->min_operands)
		return fail(err, CLI_USAGE, "%s is missing; see 'weir %s --help'",
			    command->operands, command->name);
	if (nr > (int)command->max_operands)
		return fail(err, CLI_USAGE, "unexpected argument '%s'",
			    operands[command->max_operands]);
	return 0;
}

static int check_required(const struct cli_command *command, const bool *given,
			  struct weir_error *err)
{
	const struct cli_option *option = command->options;

	for (unsigned int i = 0; option[i].name; i++) {
		if (option[i].required && !given[i])
			return fail(err, CLI_USAGE, "--%s %s is missing; see 'weir %s --help'",
				    option[i].name, option[i].argument, command->name);
	}
	return 0;
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *config,
	      char *const **operands, struct weir_error *err)
{
	struct option longs[CLI_MAX_OPTIONS + 3];
	bool given[CLI_MAX_OPTIONS] = { false };
	int result, rc;

	make_long_options(command->options, longs);
	memcpy(config, command->defaults, command->config_bytes);
	optind = 0;
	opterr = 0;
	while ((result = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (result == 'h' || result == VALUE_HELP)
			return CLI_HELP;
		if (result == VALUE_VERBOSE) {
			notice_verbose();
			continue;
		}
		if (result < VALUE_BASE)
			return bad_option(result, argv, err);
		given[result - VALUE_BASE] = true;
		if (store_value(&command->options[result - VALUE_BASE], optarg, config, err))
			return CLI_USAGE;
	}
	*operands = argv + optind;
	rc = check_operands(command, argc - optind, *operands, err);
	return rc ? rc : check_required(command, given, err);
}

/* Prints a help text behind a column, folded at spaces. */
static void print_folded(const char *text, int column, int width)
{
	while (*text) {
		size_t length = strlen(text);

		if (length > (size_t)(width - column)) {
			length = (size_t)(width - column);
			while (length > 1 && text[length] != ' ')
				length--;
		}
		printf("%.*s\n", (int)length, text);
		text += length;
		text += strspn(text, " ");
		if (*text)
			printf("%*s", column, "");
	}
}

static void print_option(const char *name, const char *argument, const char *help)
{
	enum { COLUMN = 29, WIDTH = 98 };
	int used;

	used = printf("  --%s%s%s", name, argument ? " " : "", argument ? argument : "");
	if (used >= COLUMN)
		printf("\n%*s", COLUMN, "");
	else
		printf("%*s", COLUMN - used, "");
	print_folded(help, COLUMN, WIDTH);
}

void cli_print_help(const struct cli_command *command)
{
	const struct cli_option *option;

	printf("Usage: weir %s%s%s [OPTION...]\n\n%s\n\nOptions:\n", command->name,
	       *command->operands ? " " : "", command->operands, command->summary);
	for (option = command->options; option->name; option++) {
		if (!option->hidden)
			print_option(option->name, option->argument, option->help);
	}
	print_option("verbose", NULL, "say on standard error all that the libraries report");
	print_option("help", NULL, "print this help");
	printf("\nExamples:\n%s", command->examples);
}
