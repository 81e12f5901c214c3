/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of PCI devices, from the system's pci.ids where it is installed. */
#ifndef WEIR_APPS_PCI_NAMES_H
#define WEIR_APPS_PCI_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct pci_names;

/* Opens the database below `root` ("" for this machine). NULL: there is none. */
struct pci_names *pci_names_open(const char *root);
void pci_names_close(struct pci_names *names);

/* "Vendor Device", or what the class is and the ids when `names` (may be NULL) does not know it. */
void pci_name(const struct pci_names *names, uint16_t vendor, uint16_t device, uint32_t class_code,
	      char *text, size_t bytes);

#endif
