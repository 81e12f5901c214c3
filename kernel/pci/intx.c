// SPDX-License-Identifier: GPL-2.0-only
/*
 * The line interrupt, INTx. It is level-triggered: the device raises it until its user has looked
 * after it. So that the processor can go on, it is masked when it comes, and its user unmasks it.
 *
 * Most devices can mask it themselves (DisINTx in the command register), so that the line can be
 * shared. Otherwise it is masked at the interrupt controller, and nobody else can use the line.
 * While there is no handler, a device that can is kept quiet: a line that nobody answers to is
 * shut down by the kernel, for everybody on it.
 */
#include <linux/interrupt.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "pci/private.h"

void weir_pci_intx_update_locked(struct weir_pci *pci)
{
	struct weir_pci_intx *intx = &pci->intx;
	bool mask = !intx->active || intx->masked || intx->disabled;

	lockdep_assert_held(&pci->command_lock);
	if (!pci->has_intx)
		return;
	if (pci->maskable_intx) {
		if (!pci->command_holds)
			pci_intx(pci->pdev, !mask);
		return;
	}
	if (!intx->active || intx->line_masked == mask)
		return;
	intx->line_masked = mask;
	if (mask)
		disable_irq_nosync(pci->pdev->irq);
	else
		enable_irq(pci->pdev->irq);
}

void weir_pci_intx_update(struct weir_pci *pci)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	weir_pci_intx_update_locked(pci);
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

void weir_pci_intx_set_disabled(struct weir_pci *pci, bool disabled)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	pci->intx.disabled = disabled;
	weir_pci_intx_update_locked(pci);
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

static void set_masked(struct weir_pci *pci, bool masked)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	pci->intx.masked = masked;
	weir_pci_intx_update_locked(pci);
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

static void mask_action(struct weir_pci *pci, unsigned int vector)
{
	set_masked(pci, true);
}

static void unmask_action(struct weir_pci *pci, unsigned int vector)
{
	set_masked(pci, false);
}

static irqreturn_t handle_intx(int irq, void *data)
{
	struct weir_pci *pci = data;
	struct weir_pci_intx *intx = &pci->intx;
	struct eventfd_ctx *trigger = NULL;
	unsigned long flags;
	bool ours = true;

	spin_lock_irqsave(&pci->command_lock, flags);
	/* While the register is held, the line is another's. */
	if (pci->maskable_intx)
		ours = !pci->command_holds && pci_check_and_mask_intx(pci->pdev);
	if (ours && !intx->masked && !intx->disabled)
		trigger = intx->trigger;
	if (ours && !intx->disabled)
		intx->masked = true;
	if (ours && !pci->maskable_intx)
		weir_pci_intx_update_locked(pci);
	spin_unlock_irqrestore(&pci->command_lock, flags);

	/* Not under the lock: whoever waits for the eventfd is called by this. */
	if (trigger)
		weir_compat_eventfd_signal(trigger);
	return ours ? IRQ_HANDLED : IRQ_NONE;
}

static void set_active(struct weir_pci *pci, bool active)
{
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	pci->intx.active = active;
	pci->intx.masked = false;
	weir_pci_intx_update_locked(pci);
	spin_unlock_irqrestore(&pci->command_lock, flags);
}

/* Takes the eventfd over, if it succeeds. */
static int enable(struct weir_pci *pci, struct eventfd_ctx *trigger)
{
	struct weir_pci_intx *intx = &pci->intx;
	unsigned long flags = pci->maskable_intx ? IRQF_SHARED : IRQF_NO_AUTOEN;
	int rc;

	intx->name = kasprintf(GFP_KERNEL_ACCOUNT, "vfio-intx(%s)", pci_name(pci->pdev));
	if (!intx->name)
		return -ENOMEM;
	intx->trigger = trigger;
	intx->line_masked = !pci->maskable_intx;
	rc = request_irq(pci->pdev->irq, handle_intx, flags, intx->name, pci);
	if (rc) {
		intx->trigger = NULL;
		kfree(intx->name);
		return rc;
	}
	pci->irq_index = VFIO_PCI_INTX_IRQ_INDEX;
	set_active(pci, true);
	return 0;
}

void weir_pci_intx_disable(struct weir_pci *pci)
{
	struct weir_pci_intx *intx = &pci->intx;

	weir_pci_irqfd_clear(&intx->mask);
	weir_pci_irqfd_clear(&intx->unmask);
	/* At the interrupt controller, too: the handler does it no more once it is not active. */
	set_masked(pci, true);
	set_active(pci, false);
	free_irq(pci->pdev->irq, pci);
	if (intx->trigger)
		eventfd_ctx_put(intx->trigger);
	intx->trigger = NULL;
	kfree(intx->name);
	pci->irq_index = WEIR_PCI_NO_IRQS;
}

/* Takes the eventfd over. */
static void replace_trigger(struct weir_pci *pci, struct eventfd_ctx *trigger)
{
	struct eventfd_ctx *old = pci->intx.trigger;
	unsigned long flags;

	spin_lock_irqsave(&pci->command_lock, flags);
	pci->intx.trigger = trigger;
	spin_unlock_irqrestore(&pci->command_lock, flags);
	/* The handler may be about to signal the old one. */
	synchronize_irq(pci->pdev->irq);
	if (old)
		eventfd_ctx_put(old);
}

static int set_trigger(struct weir_pci *pci, s32 fd)
{
	struct eventfd_ctx *trigger = weir_pci_eventfd(fd);
	int rc;

	if (IS_ERR(trigger))
		return PTR_ERR(trigger);
	if (pci->irq_index == VFIO_PCI_INTX_IRQ_INDEX) {
		replace_trigger(pci, trigger);
		return 0;
	}
	rc = enable(pci, trigger);
	if (rc && trigger)
		eventfd_ctx_put(trigger);
	return rc;
}

int weir_pci_intx_trigger(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool active = pci->irq_index == VFIO_PCI_INTX_IRQ_INDEX;

	if (active && !request->count && request->data_type == VFIO_IRQ_SET_DATA_NONE) {
		weir_pci_intx_disable(pci);
		return 0;
	}
	if (request->count != 1)
		return -EINVAL;
	if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (!active && pci->irq_index != WEIR_PCI_NO_IRQS)
			return -EINVAL;
		return set_trigger(pci, request->fds[0]);
	}
	if (!active)
		return -EINVAL;
	if (weir_pci_irq_is_meant(request, 0) && pci->intx.trigger)
		weir_compat_eventfd_signal(pci->intx.trigger);
	return 0;
}

int weir_pci_intx_mask(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool masked = request->action == VFIO_IRQ_SET_ACTION_MASK;
	struct weir_pci_intx *intx = &pci->intx;

	if (pci->irq_index != VFIO_PCI_INTX_IRQ_INDEX || request->count != 1)
		return -EINVAL;
	if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD)
		return weir_pci_irqfd_set(masked ? &intx->mask : &intx->unmask, pci,
					  request->fds[0], masked ? mask_action : unmask_action, 0);
	if (weir_pci_irq_is_meant(request, 0))
		set_masked(pci, masked);
	return 0;
}
