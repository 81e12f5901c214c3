// SPDX-License-Identifier: GPL-2.0-only
/*
 * Functions that are known to harm their host when untrusted software drives them, as their vendor
 * says: Intel QuickAssist of some generations, and DSA and IAA of Sapphire Rapids (INTEL-SA-01084).
 */
#include "pci/private.h"

static const struct pci_device_id denied[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x0435) }, /* QuickAssist DH895XCC, and its VF */
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x0443) },
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x19e2) }, /* C3XXX */
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x19e3) },
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x37c8) }, /* C62X */
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x37c9) },
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x0b25) }, /* DSA */
	{ PCI_DEVICE(PCI_VENDOR_ID_INTEL, 0x0cfe) }, /* IAA */
	{},
};

bool weir_pci_is_denied(const struct pci_dev *pdev)
{
	const struct pci_device_id *id;

	for (id = denied; id->vendor; id++) {
		if (id->vendor == pdev->vendor && id->device == pdev->device)
			return true;
	}
	return false;
}
