// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command register of the hardware. Three write it: the user's configuration space (decoding
 * and bus mastering), the line interrupt with its handler (DisINTx), and whoever resets the device,
 * who saves it and writes it again. The first two are under command_lock, each with bits of its
 * own. The PCI core's resets know no such lock, and announce themselves (error.c).
 */
#include "pci/private.h"

/* command_lock is held. */
static void write_locked(struct weir_pci *pci, u16 mask, u16 bits)
{
	u16 command = 0;

	if (pci->command_holds)
		return;
	pci_read_config_word(pci->pdev, PCI_COMMAND, &command);
	if ((command & mask) != bits)
		pci_write_config_word(pci->pdev, PCI_COMMAND, (command & ~mask) | bits);
}

void weir_pci_command_set_decode(struct weir_pci *pci, u16 decode)
{
	unsigned long flags;

	lockdep_assert_held_write(&pci->memory_lock);
	spin_lock_irqsave(&pci->command_lock, flags);
	pci->decode = decode & WEIR_PCI_DECODE;
	write_locked(pci, WEIR_PCI_DECODE, pci->decode);
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

void weir_pci_command_set_memory(struct weir_pci *pci, bool on)
{
	unsigned long flags;

	lockdep_assert_held_write(&pci->memory_lock);
	spin_lock_irqsave(&pci->command_lock, flags);
	write_locked(pci, PCI_COMMAND_MEMORY, on ? PCI_COMMAND_MEMORY : 0);
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

void weir_pci_command_set_opened(struct weir_pci *pci, bool opened)
{
	unsigned long flags;

	lockdep_assert_held_write(&pci->memory_lock);
	spin_lock_irqsave(&pci->command_lock, flags);
	pci->opened = opened;
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

void weir_pci_command_hold(struct weir_pci *pci)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	if (!pci->command_holds && pci->opened && pci->has_intx && pci->maskable_intx)
		pci_intx(pci->pdev, 0);
	pci->command_holds++;
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

void weir_pci_command_release(struct weir_pci *pci)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	pci->command_holds--;
	if (pci->opened) {
		write_locked(pci, WEIR_PCI_DECODE, pci->decode);
		weir_pci_intx_update_locked(pci);
	}
	spin_unlock_irqrestore(&pci->command_lock, flags);
}
