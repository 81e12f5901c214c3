/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_list.h"
#include "tree.h"

#include <stdbool.h>
#include <stdlib.h>

#define PCI_DEVICES "/sys/bus/pci/devices"

static bool is_of_interest(uint64_t class_code)
{
	return class_code >> 8 == 0x0108 || class_code >> 16 == 0x02;
}

/* One function, or NULL when it is of another kind or goes away meanwhile. */
static json_t *describe(const char *root, const struct pci_names *names, const char *address)
{
	uint64_t class_code, vendor, device;
	char name[160], driver[64], group[32], node[16];
	int node_id = -1;

	if (!tree_number(root, &class_code, PCI_DEVICES "/%s/class", address) ||
	    !is_of_interest(class_code) ||
	    !tree_number(root, &vendor, PCI_DEVICES "/%s/vendor", address) ||
	    !tree_number(root, &device, PCI_DEVICES "/%s/device", address))
		return NULL;
	pci_name(names, (uint16_t)vendor, (uint16_t)device, (uint32_t)class_code, name,
		 sizeof(name));
	tree_link(root, driver, sizeof(driver), PCI_DEVICES "/%s/driver", address);
	tree_link(root, group, sizeof(group), PCI_DEVICES "/%s/iommu_group", address);
	/* The kernel says -1 as well where it does not know. */
	if (tree_text(root, node, sizeof(node), PCI_DEVICES "/%s/numa_node", address))
		node_id = atoi(node);
	return json_pack("{s:s, s:s, s:i, s:i, s:i, s:s?, s:s?, s:i}", "address", address, "name",
			 name, "vendor", (int)vendor, "device", (int)device, "class",
			 (int)class_code, "driver", driver[0] ? driver : NULL, "iommu_group",
			 group[0] ? group : NULL, "node", node_id);
}

json_t *pci_list(const char *root, const struct pci_names *names)
{
	json_t *list = json_array();
	unsigned int nr;
	char **addresses = tree_names(root, PCI_DEVICES, "", &nr);

	for (unsigned int i = 0; list && i < nr; i++) {
		json_t *function = describe(root, names, addresses[i]);

		if (function)
			json_array_append_new(list, function);
	}
	tree_free_names(addresses);
	return list;
}
