/* SPDX-License-Identifier: BSD-3-Clause */
/* The weir command: finds the subcommand, parses for it, runs it, reports how it ended. */
#include "commands.h"
#include "fail.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/fault_guard.h>

static const struct cli_command *const commands[] = {
	&command_ls,	    &command_doctor,	 &command_bind,	       &command_unbind,
	&command_nvme_info, &command_nvme_perf,	 &command_nvme_read,   &command_nvme_write,
	&command_net_info,  &command_net_fwd,	 &command_net_gen,     &command_net_dump,
	&command_p2p_copy,  &command_p2p_send,	 &command_p2p_receive, &command_sim_igb,
	&command_sim_nvme,  &command_sim_membar,
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* One line on standard error, whatever the text holds. */
static int report(const char *where, struct weir_error *err, int status)
{
	for (char *c = err->text; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	fprintf(stderr, "weir: %s%s%s\n", where, *where ? ": " : "", err->text);
	return status;
}

/* How many words of argv name the command: 0 when they do not. */
static int match(const struct cli_command *command, int argc, char **argv)
{
	const char *name = command->name;
	const char *space = strchr(name, ' ');
	size_t first = space ? (size_t)(space - name) : strlen(name);

	if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], name, first))
		return 0;
	if (!space)
		return 1;
	return argc > 1 && !strcmp(argv[1], space + 1) ? 2 : 0;
}

static const struct cli_command *find_command(int argc, char **argv, int *words)
{
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		*words = match(commands[i], argc, argv);
		if (*words)
			return commands[i];
	}
	return NULL;
}

/* Lists the commands whose name begins with `group`; all with "". Returns how many. */
static unsigned int print_commands(const char *group)
{
	size_t length = strlen(group);
	unsigned int nr = 0;

	for (size_t i = 0; i < NR_COMMANDS; i++) {
		const char *name = commands[i]->name;

		if (strncmp(name, group, length) || (length && name[length] != ' '))
			continue;
		if (!nr++)
			printf("Usage: weir %s%sCOMMAND [OPTION...]\n\nCommands:\n", group,
			       length ? " " : "");
		printf("  %-12s %s\n", name, commands[i]->summary);
	}
	if (nr)
		printf("\n'weir help COMMAND' or 'weir COMMAND --help' tells more, with examples; "
		       "'weir --version' prints the version.\n");
	return nr;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int unknown_command(int argc, char **argv)
{
	struct weir_error err;
	bool is_group = false;
	size_t length;

	if (!argc) {
		fail(&err, CLI_USAGE, "a command is missing; 'weir help' lists them");
		return report("", &err, CLI_USAGE);
	}
	length = strlen(argv[0]);
	for (size_t i = 0; i < NR_COMMANDS; i++) {
		if (!strncmp(commands[i]->name, argv[0], length) &&
		    commands[i]->name[length] == ' ')
			is_group = true;
	}
	if (!is_group)
		fail(&err, CLI_USAGE, "unknown command '%s'; 'weir help' lists them", argv[0]);
	else if (argc == 1)
		fail(&err, CLI_USAGE, "'%s' needs a command; 'weir help %s' lists them", argv[0],
		     argv[0]);
	else
		fail(&err, CLI_USAGE, "unknown command '%s %s'; 'weir help %s' lists them", argv[0],
		     argv[1], argv[0]);
	return report("", &err, CLI_USAGE);
}

/* weir help [COMMAND], and weir GROUP --help */
static int help(int argc, char **argv)
{
	const struct cli_command *command;
	int words;

	command = find_command(argc, argv, &words);
	if (command && words == argc) {
		cli_print_help(command);
		return CLI_OK;
	}
	if (!command && argc <= 1 && print_commands(argc ? argv[0] : ""))
		return CLI_OK;
	return unknown_command(argc, argv);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
	struct weir_error err = { 0 };
	char *const *operands;
	void *config;
	int rc;

	config = malloc(command->config_bytes);
	if (!config) {
		fail(&err, CLI_FAILED, "no memory");
		return report(command->name, &err, CLI_FAILED);
	}
	rc = cli_parse(command, argc, argv, config, &operands, &err);
	if (rc == CLI_HELP)
		cli_print_help(command);
	else if (!rc)
		rc = weir_fault_guard_enable(&err);
	if (!rc)
		rc = command->run(config, operands, &err);
	free(config);
	if (!rc || rc == CLI_HELP)
		return CLI_OK;
	return report(command->name, &err, rc == CLI_USAGE ? CLI_USAGE : CLI_FAILED);
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	struct weir_error err;
	int words, status;

	argc--;
	argv++;
	command = find_command(argc, argv, &words);
	if (command)
		status = run(command, argc - words + 1, argv + words - 1);
	else if (argc && !strcmp(argv[0], "--version"))
		status = printf("weir %s\n", WEIR_VERSION) < 0;
	else if (argc && is_help(argv[0]))
		status = help(argc - 1, argv + 1);
	else if (argc == 2 && is_help(argv[1]))
		status = help(1, argv);
	else
		status = unknown_command(argc, argv);

	if ((fflush(stdout) || ferror(stdout)) && !status) {
		fail(&err, CLI_FAILED, "cannot write to standard output");
		return report("", &err, CLI_FAILED);
	}
	return status;
}
