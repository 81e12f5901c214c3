/* SPDX-License-Identifier: BSD-3-Clause */
/* PCI functions of a made-up machine. */
#ifndef WEIR_TESTS_MADE_PCI_H
#define WEIR_TESTS_MADE_PCI_H

#include "made_tree.h"

#define PCI "/sys/bus/pci/devices"
#define GROUPS "/sys/kernel/iommu_groups"

static inline const char *pci_path(const char *format, const char *address, const char *rest)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), format, address, rest);
	return path;
}

/* Changes the driver, as the kernel does: the group's member is a link to the device. */
static inline void pci_put_driver(const char *address, const char *driver)
{
	char target[128];

	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	unlink(tree_path(pci_path(PCI "/%s/%s", address, "driver")));
	if (*driver)
		tree_put_link(pci_path(PCI "/%s/%s", address, "driver"), target);
}

static inline void pci_put_group(const char *address, const char *group)
{
	char target[128];

	snprintf(target, sizeof(target), "../../../../kernel/iommu_groups/%s", group);
	tree_put_link(pci_path(PCI "/%s/%s", address, "iommu_group"), target);
	snprintf(target, sizeof(target), "../../../../bus/pci/devices/%s", address);
	tree_put_link(pci_path(GROUPS "/%s/devices/%s", group, address), target);
}

/* A function with a driver ("": none) in a group. */
static inline void pci_put(const char *address, const char *class_code, const char *driver,
			   const char *group)
{
	tree_put(pci_path(PCI "/%s/%s", address, "class"), class_code);
	tree_put(pci_path(PCI "/%s/%s", address, "vendor"), "0x1b36\n");
	tree_put(pci_path(PCI "/%s/%s", address, "device"), "0x0010\n");
	tree_put(pci_path(PCI "/%s/%s", address, "driver_override"), "(null)\n");
	pci_put_driver(address, driver);
	pci_put_group(address, group);
}

static inline void pci_put_drivers(const char *driver)
{
	tree_put(pci_path("/sys/bus/pci/drivers/%s/%s", driver, "unbind"), "");
	tree_put(pci_path("/sys/bus/pci/drivers/%s/%s", driver, "bind"), "");
}

#endif
