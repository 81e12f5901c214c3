/* SPDX-License-Identifier: BSD-3-Clause */
/* weir bind and weir unbind. */
#include "bind.h"
#include "commands.h"
#include "fail.h"

#include <errno.h>
#include <unistd.h>

struct bind_config {
	const char *user;
	const char *group;
	bool persist;
	bool dry_run;
	bool nodes;
	bool boot;
};

static const struct bind_config defaults = { .persist = false };

static const struct cli_option bind_options[] = {
	{ "user", CLI_TEXT, offsetof(struct bind_config, user), .argument = "NAME",
	  .help = "let this user open the devices, so that programs need no root" },
	{ "group", CLI_TEXT, offsetof(struct bind_config, group), .argument = "NAME",
	  .help = "let the members of this group open the devices" },
	{ "persist", CLI_FLAG, offsetof(struct bind_config, persist),
	  .help = "write the files that do the same at every boot" },
	{ "dry-run", CLI_FLAG, offsetof(struct bind_config, dry_run),
	  .help = "check everything and say what would be done" },
	{ "boot", CLI_FLAG, offsetof(struct bind_config, boot),
	  .help = "leave the group's other members to their own rules (for udev rules)",
	  .hidden = true },
	{ "nodes", CLI_FLAG, offsetof(struct bind_config, nodes),
	  .help = "only give access, and only to what is bound (for udev rules)", .hidden = true },
	{ NULL },
};

static const struct cli_option unbind_options[] = {
	{ "persist", CLI_FLAG, offsetof(struct bind_config, persist),
	  .help = "remove what 'weir bind --persist' wrote" },
	{ "dry-run", CLI_FLAG, offsetof(struct bind_config, dry_run),
	  .help = "check everything and say what would be done" },
	{ NULL },
};

static int make_bind(const struct bind_config *config, struct bind *bind, struct weir_error *err)
{
	*bind = (struct bind){
		.root = "",
		.kernel = &bind_this_kernel,
		.out = stdout,
		.dry_run = config->dry_run,
		.persist = config->persist,
		.boot = config->boot,
	};
	if (geteuid() && !config->dry_run)
		return fail(err, -EPERM,
			    "only root may change drivers: run it with sudo, or see "
			    "what it would do with --dry-run");
	return bind_find_access(config->user, config->group, &bind->access, err);
}

static int run_bind(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct bind_config *config = arg;
	struct bind bind;
	int rc;

	rc = make_bind(config, &bind, err);
	if (rc)
		return rc;
	if (config->nodes)
		return bind_nodes(&bind, operands, err);
	rc = bind_functions(&bind, operands, err);
	if (!rc && bind.access.mode && !bind.dry_run)
		printf("Programs need to lock memory, too: 'weir doctor', run as they are, says "
		       "whether they may.\n");
	return rc;
}

static int run_unbind(const void *arg, char *const *operands, struct weir_error *err)
{
	struct bind bind;
	int rc;

	rc = make_bind(arg, &bind, err);
	return rc ? rc : unbind_functions(&bind, operands, err);
}

const struct cli_command command_bind = {
	.name = "bind",
	.operands = "DEV...",
	.min_operands = 1,
	.max_operands = 1024,
	.summary = "Give PCI functions to vfio-pci, so that programs can drive them.",
	.examples = "  weir bind --dry-run 0000:3b:00.0\n"
		    "  weir bind 0000:3b:00.0 --user ann --persist\n",
	.options = bind_options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run_bind,
};

const struct cli_command command_unbind = {
	.name = "unbind",
	.operands = "DEV...",
	.min_operands = 1,
	.max_operands = 1024,
	.summary = "Give PCI functions back to the drivers that they had.",
	.examples = "  weir unbind 0000:3b:00.0\n"
		    "  weir unbind --persist 0000:3b:00.0\n",
	.options = unbind_options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run_unbind,
};
