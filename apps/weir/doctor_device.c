/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands between the user and PCI functions. */
#include "doctor.h"
#include "readiness.h"
#include "tree.h"

#include <string.h>

static const char *const ids[] = {
	[READINESS_READY] = "device-ready",
	[READINESS_MISSING] = "device-missing",
	[READINESS_BRIDGE] = "device-bridge",
	[READINESS_NO_IOMMU] = "device-no-iommu",
	[READINESS_IN_USE] = "device-in-use",
	[READINESS_NOT_BOUND] = "device-not-bound",
	[READINESS_GROUP] = "group-not-viable",
	[READINESS_NO_NODE] = "vfio-nodes-missing",
	[READINESS_NO_PERMISSION] = "vfio-permission",
};

static void report(struct doctor *doctor, const struct readiness *readiness)
{
	bool ready = readiness->state == READINESS_READY;

	doctor_report(doctor, ids[readiness->state], ready ? DOCTOR_OK : DOCTOR_PROBLEM,
		      ready ? DOCTOR_BLOCKS_NOTHING : DOCTOR_BLOCKS_HARDWARE, readiness->fix,
		      "%s: %s", readiness->function.address, readiness->text);
}

/*
 * Binding loads vfio-pci. So the module is in the way only where the kernel does not have it, or
 * where all else is prepared and it alone is missing.
 */
static bool needs_module(const struct readiness *readiness, bool available)
{
	if (readiness->state != READINESS_NOT_BOUND && readiness->state != READINESS_GROUP)
		return false;
	if (pci_driver_is_vfio(readiness->function.driver))
		return false;
	return !available ||
	       (!*readiness->function.driver && pci_driver_is_vfio(readiness->function.override));
}

void doctor_check_device(struct doctor *doctor, const char *address)
{
	struct readiness readiness;

	readiness_examine(doctor->root, doctor->who, address, &readiness);
	if (needs_module(&readiness, doctor_vfio_is_available(doctor)) &&
	    !doctor_check_vfio(doctor))
		return;
	report(doctor, &readiness);
}

void doctor_check_bound(struct doctor *doctor)
{
	struct pci_function function;
	char address[PCI_ADDRESS_BYTES];
	unsigned int nr;
	char **names = tree_names(doctor->root, PCI_DEVICES, "", &nr);

	for (unsigned int i = 0; i < nr; i++) {
		if (pci_parse_address(names[i], address) &&
		    pci_function_read(doctor->root, address, &function) &&
		    pci_driver_is_vfio(function.driver))
			doctor_check_device(doctor, address);
	}
	tree_free_names(names);
}
