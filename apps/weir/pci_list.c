/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_list.h"
#include "readiness.h"
#include "tree.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool is_of_interest(const struct pci_function *function)
{
	return function->class_code >> 8 == 0x0108 || function->class_code >> 16 == 0x02 ||
	       pci_driver_is_vfio(function->driver);
}

/* The others in the group. */
static json_t *group_members(const char *root, const struct pci_function *function)
{
	json_t *list = json_array();
	unsigned int nr = 0;
	char **members = NULL;

	if (*function->group)
		members = pci_group_members(root, function->group, &nr);
	for (unsigned int i = 0; i < nr; i++) {
		if (strcmp(members[i], function->address))
			json_array_append_new(list, json_string(members[i]));
	}
	tree_free_names(members);
	return list;
}

/* The link to the port above, or null for a function that has none. */
static json_t *describe_link(const char *root, const char *address)
{
	char speed[32], width[8], max_speed[32], max_width[8];

	if (!tree_text(root, speed, sizeof(speed), PCI_DEVICES "/%s/current_link_speed", address) ||
	    !tree_text(root, width, sizeof(width), PCI_DEVICES "/%s/current_link_width", address) ||
	    !tree_text(root, max_speed, sizeof(max_speed), PCI_DEVICES "/%s/max_link_speed",
		       address) ||
	    !tree_text(root, max_width, sizeof(max_width), PCI_DEVICES "/%s/max_link_width",
		       address))
		return json_null();
	return json_pack("{s:s, s:i, s:s, s:i}", "speed", speed, "width", atoi(width), "max_speed",
			 max_speed, "max_width", atoi(max_width));
}

json_t *pci_describe(const char *root, const struct who *who, const struct pci_names *names,
		     const char *address)
{
	struct readiness readiness;
	const struct pci_function *function = &readiness.function;
	char name[160], node[16];
	int node_id = -1;

	readiness_examine(root, who, address, &readiness);
	if (readiness.state == READINESS_MISSING)
		return NULL;
	pci_name(names, (uint16_t)function->vendor, (uint16_t)function->device,
		 (uint32_t)function->class_code, name, sizeof(name));
	/* The kernel says -1 as well where it does not know. */
	if (tree_text(root, node, sizeof(node), PCI_DEVICES "/%s/numa_node", address))
		node_id = atoi(node);
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:s?, s:s?, s:o, s:i, s:o, s:b, s:s, s:s}",
			 "address", address, "name", name, "vendor", (int)function->vendor,
			 "device", (int)function->device, "class", (int)function->class_code,
			 "driver", *function->driver ? function->driver : NULL, "iommu_group",
			 *function->group ? function->group : NULL, "group_members",
			 group_members(root, function), "node", node_id, "link",
			 describe_link(root, address), "ready", readiness.state == READINESS_READY,
			 "state", readiness.text, "fix", readiness.fix);
}

json_t *pci_list(const char *root, const struct who *who, const struct pci_names *names)
{
	json_t *list = json_array();
	char address[PCI_ADDRESS_BYTES];
	struct pci_function function;
	unsigned int nr;
	char **found = tree_names(root, PCI_DEVICES, "", &nr);

	for (unsigned int i = 0; list && i < nr; i++) {
		json_t *object;

		if (!pci_parse_address(found[i], address) ||
		    !pci_function_read(root, address, &function) || !is_of_interest(&function))
			continue;
		/* It may be gone by now. */
		object = pci_describe(root, who, names, address);
		if (object)
			json_array_append_new(list, object);
	}
	tree_free_names(found);
	return list;
}
