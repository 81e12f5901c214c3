/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_function.h"
#include "tree.h"

#include <stdio.h>
#include <string.h>

#define IOMMU_GROUPS "/sys/kernel/iommu_groups"

bool pci_parse_address(const char *text, char *address)
{
	unsigned int domain = 0, bus, slot, number;
	size_t length = strlen(text);
	int used = 0;

	/* sscanf() would take signs, blanks and 0x as well. */
	if (length >= PCI_ADDRESS_BYTES || strspn(text, "0123456789abcdefABCDEF:.") != length)
		return false;
	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &number, &used) != 4 ||
	    (size_t)used != length) {
		domain = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &number, &used) != 3 ||
		    (size_t)used != length)
			return false;
	}
	if (slot > 0x1f || number > 7)
		return false;
	snprintf(address, PCI_ADDRESS_BYTES, "%04x:%02x:%02x.%x", domain, bus & 0xff, slot, number);
	return true;
}

/* Whether a group is one that VFIO's enable_unsafe_noiommu_mode makes: by its name. */
static bool is_unprotected(const char *root, const char *group)
{
	char name[32];

	tree_text(root, name, sizeof(name), IOMMU_GROUPS "/%s/name", group);
	return !strcmp(name, "vfio-noiommu");
}

bool pci_function_read(const char *root, const char *address, struct pci_function *function)
{
	*function = (struct pci_function){ 0 };
	snprintf(function->address, sizeof(function->address), "%s", address);
	if (!tree_number(root, &function->class_code, PCI_DEVICES "/%s/class", address) ||
	    !tree_number(root, &function->vendor, PCI_DEVICES "/%s/vendor", address) ||
	    !tree_number(root, &function->device, PCI_DEVICES "/%s/device", address))
		return false;
	tree_link(root, function->driver, sizeof(function->driver), PCI_DEVICES "/%s/driver",
		  address);
	tree_link(root, function->group, sizeof(function->group), PCI_DEVICES "/%s/iommu_group",
		  address);
	if (function->group[strspn(function->group, "0123456789")])
		function->group[0] = '\0';
	function->unprotected = is_unprotected(root, function->group);
	tree_text(root, function->override, sizeof(function->override),
		  PCI_DEVICES "/%s/driver_override", address);
	if (!strcmp(function->override, "(null)"))
		function->override[0] = '\0';
	return true;
}

bool pci_function_is_bridge(const struct pci_function *function)
{
	return function->class_code >> 16 == 0x06;
}

bool pci_driver_is_vfio(const char *driver)
{
	return strstr(driver, "vfio") != NULL;
}

bool pci_driver_is_in_the_way(const char *driver)
{
	return *driver && !pci_driver_is_vfio(driver) && strcmp(driver, "pci-stub") &&
	       strcmp(driver, "pcieport");
}

char **pci_group_members(const char *root, const char *group, unsigned int *nr)
{
	char path[64];

	snprintf(path, sizeof(path), IOMMU_GROUPS "/%s/devices", group);
	return tree_names(root, path, "", nr);
}

void pci_group_member_driver(const char *root, const char *group, const char *member, char *driver,
			     size_t bytes)
{
	tree_link(root, driver, bytes, IOMMU_GROUPS "/%s/devices/%s/driver", group, member);
}
