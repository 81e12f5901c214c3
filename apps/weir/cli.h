/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a subcommand is described: its options as a table, from which the parser and the help text
 * are made. A command fills a struct of its own, whose members have the types that each kind names.
 */
#ifndef WEIR_APPS_CLI_H
#define WEIR_APPS_CLI_H

#include "parse.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>

/* Exit codes of the command; weir(1) documents them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* the operation failed */
	CLI_USAGE = 2, /* the command line is wrong; nothing was done */
};

enum cli_kind {
	CLI_FLAG, /* bool */
	CLI_TEXT, /* const char * */
	CLI_NUMBER, /* uint64_t */
	CLI_BYTES, /* uint64_t */
	CLI_SECONDS, /* uint64_t, in milliseconds */
	CLI_CHOICE, /* unsigned int, an index */
	CLI_CPUS, /* struct cpu_list */
};

struct cli_option {
	const char *name; /* without the dashes; NULL ends a table */
	enum cli_kind kind;
	size_t offset; /* of the member in the command's struct */
	uint64_t min, max; /* numbers, bytes and seconds */
	const char *const *choices;
	const char *argument; /* as the help shows it */
	const char *help;
	bool required;
	bool hidden; /* for tests; not in the help */
};

#define CLI_MAX_OPTIONS 40

struct cli_command {
	const char *name; /* "nvme perf" */
	const char *operands; /* "DEV"; "" when there are none */
	unsigned int min_operands, max_operands;
	const char *summary;
	const char *examples; /* lines for the end of the help */
	const struct cli_option *options;
	const void *defaults; /* config_bytes of the command's struct */
	size_t config_bytes;

	/*
	 * Does it. `operands` ends with NULL. Returns 0, CLI_USAGE or a negative errno; when it is
	 * not 0, err holds the one line that the person reads.
	 */
	int (*run)(const void *config, char *const *operands, struct weir_error *err);
};

/* What cli_parse() found in front of everything else. */
#define CLI_HELP 3

/*
 * Parses argv, of which argv[0] is skipped, into `config`. Options and operands may be mixed.
 *
 * @param[out] operands  the first of them in argv, which is reordered
 * @return 0, CLI_HELP when help was asked for, or CLI_USAGE with err filled in
 */
int cli_parse(const struct cli_command *command, int argc, char **argv, void *config,
	      char *const **operands, struct weir_error *err);

/* Prints the help of a command to standard output. */
void cli_print_help(const struct cli_command *command);

#endif
