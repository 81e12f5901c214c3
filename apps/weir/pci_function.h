/* SPDX-License-Identifier: BSD-3-Clause */
/* A PCI function as /sys shows it, and the IOMMU group that it shares with others. */
#ifndef WEIR_APPS_PCI_FUNCTION_H
#define WEIR_APPS_PCI_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_DEVICES "/sys/bus/pci/devices"
#define PCI_DRIVERS "/sys/bus/pci/drivers"
#define PCI_VFIO_DRIVER "vfio-pci"

/* "0000:3b:00.0" and its end; a domain can have eight digits. */
#define PCI_ADDRESS_BYTES 20

struct pci_function {
	char address[PCI_ADDRESS_BYTES];
	char driver[64]; /* "" without one */
	char override[64]; /* driver_override, "" without one */
	char group[16]; /* number of its IOMMU group, "" without one */
	bool unprotected; /* VFIO made the group, for want of an IOMMU */
	uint64_t class_code, vendor, device;
};

/* Brings "3b:00.0" or "0000:3B:00.0" into the form that /sys uses; false: it is no such address. */
bool pci_parse_address(const char *text, char *address);

/* false: there is no such function. `address` is of the form that /sys uses. */
bool pci_function_read(const char *root, const char *address, struct pci_function *function);

bool pci_function_is_bridge(const struct pci_function *function);

/* vfio-pci, or a variant of it for one device. */
bool pci_driver_is_vfio(const char *driver);

/*
 * Whether a device with this driver ("": none) keeps its group from being opened by VFIO. Drivers
 * that do no DMA by themselves do not: VFIO's, pci-stub, and the one of PCIe ports.
 */
bool pci_driver_is_in_the_way(const char *driver);

/* The names of the devices in a group, as from tree_names(). */
char **pci_group_members(const char *root, const char *group, unsigned int *nr);

/* The driver of a member, which need not be a PCI function; "" without one. */
void pci_group_member_driver(const char *root, const char *group, const char *member, char *driver,
			     size_t bytes);

#endif
