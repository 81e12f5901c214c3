// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access to a function's memory, and how it is lost and comes back. There is one predicate and one
 * sequence, whatever is done to the device:
 *
 *	memory_lock [10] for writing
 *	weir_pci_memory_lose()		mappings of processes go, then those of other devices
 *	...reset, power state, decoding...
 *	weir_pci_memory_regain()	other devices may map again; processes will fault
 *
 * When lose returns, nobody reaches the memory: every importer of a buffer is one of
 * weir_bar_attach(), and has its mappings gone when it has been notified (core/bar.h).
 */
#include <linux/mm.h>

#include "pci/private.h"

bool weir_pci_memory_accessible(struct weir_pci *pci)
{
	lockdep_assert_held(&pci->memory_lock);
	/* A function answers to memory requests in D0 only (Power Management 1.2 §5.3). */
	return pci->opened && pci->pdev->current_state == PCI_D0 &&
	       (pci->decode & PCI_COMMAND_MEMORY || pci->pdev->no_command_memory);
}

void weir_pci_memory_lose(struct weir_pci *pci)
{
	lockdep_assert_held_write(&pci->memory_lock);
	unmap_mapping_range(pci->device.mapping, 0, (loff_t)WEIR_PCI_BARS << WEIR_PCI_REGION_SHIFT,
			    true);
	weir_pci_buffers_set(pci, true);
}

void weir_pci_memory_regain(struct weir_pci *pci)
{
	if (weir_pci_memory_accessible(pci))
		weir_pci_buffers_set(pci, false);
}

bool weir_pci_memory_force(struct weir_pci *pci)
{
	u16 command = 0;

	lockdep_assert_held_write(&pci->memory_lock);
	pci_read_config_word(pci->pdev, PCI_COMMAND, &command);
	if (command & PCI_COMMAND_MEMORY || pci->pdev->no_command_memory)
		return false;
	weir_pci_command_set_memory(pci, true);
	return true;
}

void weir_pci_memory_unforce(struct weir_pci *pci, bool forced)
{
	/* If it was off because somebody else resets the device, that is no wish of its user. */
	if (forced)
		weir_pci_command_set_memory(pci, pci->opened && pci->decode & PCI_COMMAND_MEMORY);
}
