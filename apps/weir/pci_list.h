/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI functions that Weir is for, as /sys shows them. */
#ifndef WEIR_APPS_PCI_LIST_H
#define WEIR_APPS_PCI_LIST_H

#include "pci_names.h"

#include <jansson.h>

/*
 * NVMe controllers and network functions below `root`, in the order of their addresses: an array of
 * objects with address, name, vendor, device, class, driver, iommu_group and node; driver and
 * iommu_group are null when there is none, node is -1 when it is not known. NULL: no memory.
 */
json_t *pci_list(const char *root, const struct pci_names *names);

#endif
