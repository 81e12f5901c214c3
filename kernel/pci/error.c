// SPDX-License-Identifier: GPL-2.0-only
/* What user space is told by eventfds beside interrupts: errors, and that the device must go. */
#include "compat/compat.h"
#include "pci/private.h"

static pci_ers_result_t error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct weir_pci *pci = pci_get_drvdata(pdev);

	mutex_lock(&pci->irq_lock);
	if (pci->error_trigger)
		weir_compat_eventfd_signal(pci->error_trigger);
	mutex_unlock(&pci->irq_lock);
	/* What is to be done now its user knows. */
	return PCI_ERS_RESULT_CAN_RECOVER;
}

const struct pci_error_handlers weir_pci_error_handlers = {
	.error_detected = error_detected,
};

void weir_pci_request(struct weir_device *device, unsigned int count)
{
	struct weir_pci *pci = weir_pci_of(device);

	mutex_lock(&pci->irq_lock);
	if (pci->request_trigger)
		weir_compat_eventfd_signal(pci->request_trigger);
	else if (!count)
		pci_notice(pci->pdev,
			   "is to go, and its user has given no eventfd to be told by\n");
	mutex_unlock(&pci->irq_lock);
}
