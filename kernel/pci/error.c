// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the PCI core tells: errors and that the device must go, which user space is told by
 * eventfds; and resets.
 */
#include "compat/compat.h"
#include "pci/private.h"

/* The locks of the PCI device and of its buses (pci_bus_sem) are held: [13] only. */
static pci_ers_result_t error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct weir_pci *pci = pci_get_drvdata(pdev);

	spin_lock(&pci->event_lock);
	if (pci->error_trigger)
		weir_compat_eventfd_signal(pci->error_trigger);
	spin_unlock(&pci->event_lock);
	/* What is to be done now its user knows. */
	return PCI_ERS_RESULT_CAN_RECOVER;
}

/*
 * Around every reset of the PCI core's, our own included: sysfs, a bus that others reset. The PCI
 * device's lock is held: [13] only.
 */
static void reset_prepare(struct pci_dev *pdev)
{
	weir_pci_command_hold(pci_get_drvdata(pdev));
}

static void reset_done(struct pci_dev *pdev)
{
	weir_pci_command_release(pci_get_drvdata(pdev));
}

const struct pci_error_handlers weir_pci_error_handlers = {
	.error_detected = error_detected,
	.reset_prepare = reset_prepare,
	.reset_done = reset_done,
};

void weir_pci_request(struct weir_device *device, unsigned int count)
{
	struct weir_pci *pci = weir_pci_of(device);

	bool told = false;

	spin_lock(&pci->event_lock);
	if (pci->request_trigger) {
		weir_compat_eventfd_signal(pci->request_trigger);
		told = true;
	}
	spin_unlock(&pci->event_lock);
	if (!told && !count)
		pci_notice(pci->pdev,
			   "is to go, and its user has given no eventfd to be told by\n");
}
