// SPDX-License-Identifier: GPL-2.0-only
/* Reset of one function, and its power states. */
#include <linux/delay.h>

#include "pci/private.h"

/*
 * The PCI core's lock is outside of all of ours (kernel/README.md), so that it is only tried for.
 * Who has it for a moment is waited for; who removes the device has it until the last user goes,
 * and would be waited for in vain.
 */
#define TRIES 10
#define TRY_INTERVAL_MS 10

int weir_pci_try_reset(struct weir_pci *pci)
{
	unsigned int tries = 1;
	bool forced;
	int rc;

	/* Vectors of MSI-X are written again after the reset, with decoding as it was before. */
	forced = weir_pci_memory_force(pci);
	while ((rc = pci_try_reset_function(pci->pdev)) == -EAGAIN && tries++ < TRIES)
		msleep(TRY_INTERVAL_MS);
	weir_pci_memory_unforce(pci, forced);
	return rc;
}

void weir_pci_power_up(struct weir_pci *pci)
{
	struct pci_dev *pdev = pci->pdev;
	pci_power_t before = pdev->current_state;

	lockdep_assert_held_write(&pci->memory_lock);
	if (before == PCI_D0)
		return;
	weir_pci_command_hold(pci);
	if (pci_set_power_state(pdev, PCI_D0))
		dev_warn_ratelimited(&pdev->dev, "does not wake up\n");
	else if (before == PCI_D3hot)
		pci_restore_state(pdev);
	/* What was saved on the way down is older than the user's last changes. */
	weir_pci_command_release(pci);
}

void weir_pci_power_down(struct weir_pci *pci, pci_power_t state)
{
	struct pci_dev *pdev = pci->pdev;
	bool forced;

	lockdep_assert_held_write(&pci->memory_lock);
	/* One that did not wake up stays where it is. */
	if (state == PCI_D0 || pdev->current_state != PCI_D0)
		return;
	if (state == PCI_D3hot) {
		/* For vectors of MSI-X to be restored, as above. */
		forced = weir_pci_memory_force(pci);
		pci_save_state(pdev);
		weir_pci_memory_unforce(pci, forced);
	}
	if (pci_set_power_state(pdev, state))
		pci_dbg(pdev, "has no power state D%d\n", (__force int)state);
}

void weir_pci_set_power(struct weir_pci *pci, pci_power_t state)
{
	down_write(&pci->memory_lock);
	if (state != pci->pdev->current_state) {
		weir_pci_memory_lose(pci);
		/* From one that is low to another it goes through D0: there is no way up. */
		weir_pci_power_up(pci);
		weir_pci_power_down(pci, state);
		weir_pci_memory_regain(pci);
	}
	up_write(&pci->memory_lock);
}

int weir_pci_reset(struct weir_pci *pci)
{
	int rc;

	if (!pci->can_reset)
		return -EINVAL;
	down_write(&pci->memory_lock);
	weir_pci_memory_lose(pci);
	weir_pci_power_up(pci);
	rc = weir_pci_try_reset(pci);
	weir_pci_memory_regain(pci);
	up_write(&pci->memory_lock);
	return rc;
}
