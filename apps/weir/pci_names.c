/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci_names.h"
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file as it is: lines "vvvv  Vendor", "\tdddd  Device", "\t\tssss ssss  Subsystem", "# ...".
 */
struct pci_names {
	char *text;
};

struct pci_names *pci_names_open(const char *root)
{
	static const char *const paths[] = { "/usr/share/misc/pci.ids",
					     "/usr/share/hwdata/pci.ids" };
	struct pci_names *names = malloc(sizeof(*names));

	if (!names)
		return NULL;
	names->text = tree_file(root, paths[0]);
	if (!names->text)
		names->text = tree_file(root, paths[1]);
	if (names->text)
		return names;
	free(names);
	return NULL;
}

void pci_names_close(struct pci_names *names)
{
	if (names)
		free(names->text);
	free(names);
}

/*
 * The name in a line of a level: tabs in front, four digits, two blanks, the name. The search ends
 * at a line of a higher level. Returns where the name starts, or NULL.
 */
static const char *find_line(const char *text, unsigned int level, uint16_t id)
{
	char wanted[8];

	snprintf(wanted, sizeof(wanted), "%04x  ", id);
	for (; text && *text; text = strchr(text, '\n'), text = text ? text + 1 : NULL) {
		size_t tabs = strspn(text, "\t");

		if (*text == '#' || *text == '\n' || tabs > level)
			continue;
		if (tabs < level)
			return NULL;
		if (!strncmp(text + tabs, wanted, 6))
			return text + tabs + 6;
	}
	return NULL;
}

static const char *class_name(uint32_t class_code)
{
	if (class_code >> 8 == 0x0108)
		return "NVMe controller";
	if (class_code >> 8 == 0x0200)
		return "Ethernet controller";
	if (class_code >> 16 == 0x02)
		return "network controller";
	if (class_code >> 16 == 0x05)
		return "memory controller";
	return "PCI device";
}

void pci_name(const struct pci_names *names, uint16_t vendor, uint16_t device, uint32_t class_code,
	      char *text, size_t bytes)
{
	const char *vendor_name = names ? find_line(names->text, 0, vendor) : NULL;
	const char *first = vendor_name ? strchr(vendor_name, '\n') : NULL;
	const char *device_name = first ? find_line(first + 1, 1, device) : NULL;

	if (device_name)
		snprintf(text, bytes, "%.*s %.*s", (int)strcspn(vendor_name, "\n"), vendor_name,
			 (int)strcspn(device_name, "\n"), device_name);
	else if (vendor_name)
		snprintf(text, bytes, "%.*s %s %04x", (int)strcspn(vendor_name, "\n"), vendor_name,
			 class_name(class_code), device);
	else
		snprintf(text, bytes, "%s %04x:%04x", class_name(class_code), vendor, device);
}
