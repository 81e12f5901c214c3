/* SPDX-License-Identifier: BSD-3-Clause */
/* weir ls: the devices that Weir is for, and what serves the sockets given. */
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "output.h"
#include "pci_function.h"
#include "pci_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
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

/* What is behind a socket: the same members as of a PCI function. */
static int identify_socket(const char *address, const struct pci_names *names, json_t **object,
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
		*object = json_pack(
			"{s:s, s:s, s:i, s:i, s:i, s:s, s:n, s:[], s:i, s:n, s:b, s:s, s:s}",
			"address", address, "name", name, "vendor", info.vendor_id, "device",
			info.device_id, "class", (int)info.class_code, "driver", info.transport,
			"iommu_group", "group_members", "node", info.node, "link", "ready", 1,
			"state", "ready: vfio-user", "fix", "");
		weir_device_close(dev);
	}
	weir_ioas_destroy(ioas);
	return rc;
}

static const char *text_of(const json_t *row, const char *member)
{
	const char *text = json_string_value(json_object_get(row, member));

	return text && *text ? text : "-";
}

/* "8.0 GT/s x4", and what it could be when it runs below that: "2.5 GT/s x1 of 8.0 GT/s x4". */
static void link_text(const json_t *link, char *text, size_t bytes)
{
	const char *speed = json_string_value(json_object_get(link, "speed"));
	const char *max_speed = json_string_value(json_object_get(link, "max_speed"));
	int width = (int)json_integer_value(json_object_get(link, "width"));
	int max_width = (int)json_integer_value(json_object_get(link, "max_width"));
	int used;

	snprintf(text, bytes, "-");
	if (!speed || !max_speed)
		return;
	/* The kernel appends " PCIe" to the speed. */
	used = snprintf(text, bytes, "%.*s x%d", (int)strcspn(speed, " ") + 5, speed, width);
	if ((strcmp(speed, max_speed) || width != max_width) && (size_t)used < bytes)
		snprintf(text + used, bytes - (size_t)used, " of %.*s x%d",
			 (int)strcspn(max_speed, " ") + 5, max_speed, max_width);
}

static void print_row(const json_t *row)
{
	const json_t *members = json_object_get(row, "group_members"), *member;
	json_int_t node = json_integer_value(json_object_get(row, "node"));
	const char *fix = json_string_value(json_object_get(row, "fix"));
	char node_text[8] = "-", link[64];
	size_t i;

	if (node >= 0)
		snprintf(node_text, sizeof(node_text), "%d", (int)node);
	link_text(json_object_get(row, "link"), link, sizeof(link));
	printf("%-14s %-12s %5s %4s  %-14s %s\n", text_of(row, "address"), text_of(row, "driver"),
	       text_of(row, "iommu_group"), node_text, link, text_of(row, "name"));
	printf("  %s%s%s\n", text_of(row, "state"), *fix ? "; as root: " : "", fix);
	json_array_foreach(members, i, member)
	{
		printf("%s%s", i ? ", " : "  in a group with ", json_string_value(member));
	}
	if (i)
		putchar('\n');
}

static void print_table(const json_t *list)
{
	const json_t *row;
	size_t i;

	if (!json_array_size(list)) {
		printf("No NVMe controller or network function on this machine's PCI buses.\n");
		return;
	}
	printf("%-14s %-12s %5s %4s  %-14s %s\n", "ADDRESS", "DRIVER", "GROUP", "NODE", "LINK",
	       "NAME");
	json_array_foreach(list, i, row)
	{
		print_row(row);
	}
}

/* A PCI function is looked at from outside: opening it would reset it. */
static int identify(const struct ls_config *config, const struct who *who, const char *operand,
		    const struct pci_names *names, json_t **object, struct weir_error *err)
{
	char address[PCI_ADDRESS_BYTES];

	if (!pci_parse_address(operand, address))
		return identify_socket(operand, names, object, err);
	*object = pci_describe(config->root, who, names, address);
	if (!*object)
		return fail(err, -ENODEV, "there is no PCI function %s", address);
	return 0;
}

/* The devices named on the command line. The first that cannot be identified ends it. */
static int list_named(const struct ls_config *config, const struct who *who, char *const *addresses,
		      const struct pci_names *names, json_t *list, struct weir_error *err)
{
	json_t *object;
	int rc;

	for (; *addresses; addresses++) {
		rc = identify(config, who, *addresses, names, &object, err);
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
	struct pci_names *names;
	struct who who;
	json_t *list;
	int rc;

	rc = who_self(&who, err);
	if (rc)
		return rc;
	names = pci_names_open(config->root);
	list = *operands ? json_array() : pci_list(config->root, &who, names);
	if (!list)
		rc = fail(err, -ENOMEM, "no memory for the list");
	else if (*operands)
		rc = list_named(config, &who, operands, names, list, err);
	pci_names_close(names);
	who_end(&who);
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
