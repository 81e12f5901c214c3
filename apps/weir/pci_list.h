/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI functions that Weir is for, as /sys shows them. */
#ifndef WEIR_APPS_PCI_LIST_H
#define WEIR_APPS_PCI_LIST_H

#include "pci_names.h"
#include "who.h"

#include <jansson.h>

/*
 * NVMe controllers, network functions and whatever else is bound to VFIO below `root`, in the order
 * of their addresses: an array of objects as from pci_describe(). NULL: no memory.
 */
json_t *pci_list(const char *root, const struct who *who, const struct pci_names *names);

/*
 * One function: address, name, vendor, device, class, driver, iommu_group, group_members, node,
 * link {speed, width, max_speed, max_width}, ready, state, fix. driver, iommu_group and link are
 * null when there is none, node is -1 when it is not known. NULL: there is no such function.
 *
 * @param who  the user who would open it
 */
json_t *pci_describe(const char *root, const struct who *who, const struct pci_names *names,
		     const char *address);

#endif
