/* SPDX-License-Identifier: BSD-3-Clause */
/* weir ls: the devices that Weir is for, and what serves the sockets given. */
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "output.h"
#include "pci_list.h"

#include <errno.h>
#include <stdio.h>
#include <weir/device.h>

struct ls_config {
	const char *root;
	bool json;
};

static const struct ls_config defaults = { .root = "" };

static const struct cli_option options[] = {
	{ "json", CLI_FLAG, offsetof(struct ls_config, json), .help = "print a JSON array" },
	{ "root", CLI_TEXT, offsetof(struct ls_config, root), .argument = "DIR",
	  .help = "look below DIR", .hidden = true },
	{ NULL },
};

/* What is behind an address: the same members as in pci_list(). */
static int identify(const char *address, const struct pci_names *names, json_t **object,
		    struct weir_error *err)
{
	struct weir_device_options device_options = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_device_info info;
	struct weir_device *dev;
	struct weir_ioas *ioas;
	char name[160];
	int rc;

	device_options.log = notice_log();
	rc = weir_ioas_create(NULL, &ioas, err);
	if (rc)
		return rc;
	rc = weir_device_open(address, ioas, &device_options, &dev, err);
	if (!rc) {
		weir_device_info(dev, &info);
		pci_name(names, info.vendor_id, info.device_id, info.class_code, name,
			 sizeof(name));
		*object = json_pack("{s:s, s:s, s:i, s:i, s:i, s:s, s:n, s:i}", "address", address,
				    "name", name, "vendor", info.vendor_id, "device",
				    info.device_id, "class", (int)info.class_code, "driver",
				    info.transport, "iommu_group", "node", info.node);
		weir_device_close(dev);
	}
	weir_ioas_destroy(ioas);
	return rc;
}

static void print_table(const json_t *list)
{
	const json_t *row;
	size_t i;

	if (!json_array_size(list)) {
		printf("No NVMe controller or network function on this machine's PCI buses.\n");
		return;
	}
	printf("%-28s %-14s %5s %4s  %s\n", "ADDRESS", "DRIVER", "GROUP", "NODE", "NAME");
	json_array_foreach(list, i, row)
	{
		const char *driver = json_string_value(json_object_get(row, "driver"));
		const char *group = json_string_value(json_object_get(row, "iommu_group"));
		json_int_t node = json_integer_value(json_object_get(row, "node"));
		char node_text[8] = "-";

		if (node >= 0)
			snprintf(node_text, sizeof(node_text), "%d", (int)node);
		printf("%-28s %-14s %5s %4s  %s\n",
		       json_string_value(json_object_get(row, "address")), driver ? driver : "-",
		       group ? group : "-", node_text,
		       json_string_value(json_object_get(row, "name")));
	}
}

/* The devices named on the command line. The first that cannot be identified ends it. */
static int list_named(char *const *addresses, const struct pci_names *names, json_t *list,
		      struct weir_error *err)
{
	json_t *object;
	int rc;

	for (; *addresses; addresses++) {
		rc = identify(*addresses, names, &object, err);
		if (rc)
			return rc;
		if (json_array_append_new(list, object))
			return fail(err, -ENOMEM, "no memory for the list");
	}
	return 0;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct ls_config *config = arg;
	struct pci_names *names = pci_names_open(config->root);
	json_t *list;
	int rc = 0;

	list = *operands ? json_array() : pci_list(config->root, names);
	if (!list)
		rc = fail(err, -ENOMEM, "no memory for the list");
	else if (*operands)
		rc = list_named(operands, names, list, err);
	pci_names_close(names);
	if (rc) {
		json_decref(list);
		return rc;
	}
	if (config->json)
		return output_json(list, err);
	print_table(list);
	json_decref(list);
	return 0;
}

const struct cli_command command_ls = {
	.name = "ls",
	.operands = "[DEV...]",
	.max_operands = 1024,
	.summary = "List the NVMe controllers and network functions of this machine, or what the "
		   "given devices are.",
	.examples = "  weir ls\n"
		    "  weir ls --json\n"
		    "  weir ls vfio-user:/tmp/nvme.sock\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
