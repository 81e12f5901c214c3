// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI and MSI-X. The first eventfds decide how many vectors there are; MSI-X can get more later,
 * where the kernel can add vectors.
 *
 * Vectors are set up in the device's memory, so that this is let to decode for as long as it takes
 * (weir_pci_memory_force). A vector that is masked keeps one interrupt that comes in the meantime.
 */
#include <linux/interrupt.h>
#include <linux/msi.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "pci/private.h"

static irqreturn_t handle_msi(int irq, void *data)
{
	weir_compat_eventfd_signal(data);
	return IRQ_HANDLED;
}

static int enable(struct weir_pci *pci, u32 index, u32 count)
{
	bool msix = index == VFIO_PCI_MSIX_IRQ_INDEX;
	struct weir_pci_vector *vectors;
	unsigned int nr_vectors;
	bool forced;
	int rc;

	if (!count)
		return -EINVAL;
	nr_vectors = pci->nr_irqs[index];
	vectors = kvcalloc(nr_vectors, sizeof(*vectors), GFP_KERNEL_ACCOUNT);
	if (!vectors)
		return -ENOMEM;

	down_write(&pci->memory_lock);
	forced = weir_pci_memory_force(pci);
	rc = pci_alloc_irq_vectors(pci->pdev, 1, count, msix ? PCI_IRQ_MSIX : PCI_IRQ_MSI);
	if (rc > 0 && rc < count)
		pci_free_irq_vectors(pci->pdev);
	weir_pci_memory_unforce(pci, forced);
	up_write(&pci->memory_lock);
	if (rc < 0 || rc < count) {
		/* A positive number says how many there could be. */
		kvfree(vectors);
		return rc;
	}
	pci->vectors = vectors;
	pci->nr_vectors = nr_vectors;
	pci->irq_index = index;
	return 0;
}

/* The Linux interrupt of a vector, which is allocated now if need be. */
static int linux_irq(struct weir_pci *pci, unsigned int index)
{
	int irq = pci_irq_vector(pci->pdev, index);

	if (irq > 0)
		return irq;
	if (pci->irq_index != VFIO_PCI_MSIX_IRQ_INDEX || !weir_compat_msix_dynamic(pci->pdev))
		return -EINVAL;
	return weir_compat_msix_alloc_at(pci->pdev, index);
}

/* [10] is held for writing, and the device's memory decodes. Takes the eventfd over. */
static int connect(struct weir_pci *pci, unsigned int index, struct eventfd_ctx *trigger)
{
	bool msix = pci->irq_index == VFIO_PCI_MSIX_IRQ_INDEX;
	struct weir_pci_vector *vector = &pci->vectors[index];
	struct msi_msg message;
	int irq, rc;

	irq = linux_irq(pci, index);
	if (irq < 0)
		return irq;
	vector->name = kasprintf(GFP_KERNEL_ACCOUNT, "vfio-msi%s[%u](%s)", msix ? "x" : "", index,
				 pci_name(pci->pdev));
	if (!vector->name)
		return -ENOMEM;
	/* A device may have forgotten its vectors since a register of its own reset it. */
	if (msix) {
		get_cached_msi_msg(irq, &message);
		pci_write_msi_msg(irq, &message);
	}
	rc = request_irq(irq, handle_msi, 0, vector->name, trigger);
	if (rc) {
		kfree(vector->name);
		return rc;
	}
	vector->trigger = trigger;
	vector->masked = false;
	vector->irq = irq;
	return 0;
}

/* [10] as above; the eventfd is the caller's to put. */
static struct eventfd_ctx *disconnect(struct weir_pci_vector *vector)
{
	struct eventfd_ctx *trigger = vector->trigger;

	if (!vector->irq)
		return NULL;
	free_irq(vector->irq, trigger);
	kfree(vector->name);
	vector->irq = 0;
	vector->trigger = NULL;
	return trigger;
}

/* Gives the vector an eventfd, which it takes over, or takes it away: NULL. */
static int set_trigger(struct weir_pci *pci, unsigned int index, struct eventfd_ctx *trigger)
{
	struct weir_pci_vector *vector = &pci->vectors[index];
	struct eventfd_ctx *old;
	bool forced;
	int rc = 0;

	if (!trigger) {
		weir_pci_irqfd_clear(&vector->mask);
		weir_pci_irqfd_clear(&vector->unmask);
	}
	down_write(&pci->memory_lock);
	forced = weir_pci_memory_force(pci);
	old = disconnect(vector);
	if (trigger)
		rc = connect(pci, index, trigger);
	weir_pci_memory_unforce(pci, forced);
	up_write(&pci->memory_lock);
	if (old)
		eventfd_ctx_put(old);
	if (rc)
		eventfd_ctx_put(trigger);
	return rc;
}

void weir_pci_msi_disable(struct weir_pci *pci)
{
	unsigned int i;
	bool forced;

	for (i = 0; i < pci->nr_vectors; i++)
		set_trigger(pci, i, NULL);
	down_write(&pci->memory_lock);
	forced = weir_pci_memory_force(pci);
	pci_free_irq_vectors(pci->pdev);
	/* The PCI core has let INTx through again. */
	weir_pci_intx_update(pci);
	weir_pci_memory_unforce(pci, forced);
	up_write(&pci->memory_lock);
	kvfree(pci->vectors);
	pci->vectors = NULL;
	pci->nr_vectors = 0;
	pci->irq_index = WEIR_PCI_NO_IRQS;
}

/* All of them, or, on failure, none. */
static int set_triggers(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	struct eventfd_ctx *trigger;
	int rc = 0;
	u32 i;

	for (i = 0; i < request->count && !rc; i++) {
		trigger = weir_pci_eventfd(request->fds[i]);
		rc = IS_ERR(trigger) ? PTR_ERR(trigger)
				     : set_trigger(pci, request->start + i, trigger);
	}
	if (rc)
		while (i--)
			set_trigger(pci, request->start + i, NULL);
	return rc;
}

int weir_pci_msi_trigger(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool active = pci->irq_index == request->index;
	struct weir_pci_vector *vector;
	u32 i;
	int rc;

	if (active && !request->count && request->data_type == VFIO_IRQ_SET_DATA_NONE) {
		weir_pci_msi_disable(pci);
		return 0;
	}
	if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (active)
			return set_triggers(pci, request);
		if (pci->irq_index != WEIR_PCI_NO_IRQS)
			return -EINVAL;
		rc = enable(pci, request->index, request->start + request->count);
		if (rc)
			return rc;
		rc = set_triggers(pci, request);
		if (rc)
			weir_pci_msi_disable(pci);
		return rc;
	}
	if (!active)
		return -EINVAL;
	for (i = 0; i < request->count; i++) {
		vector = &pci->vectors[request->start + i];
		if (vector->trigger && weir_pci_irq_is_meant(request, i))
			weir_compat_eventfd_signal(vector->trigger);
	}
	return 0;
}

static void set_masked(struct weir_pci *pci, unsigned int index, bool masked)
{
	struct weir_pci_vector *vector = &pci->vectors[index];
	bool forced;

	down_write(&pci->memory_lock);
	forced = weir_pci_memory_force(pci);
	if (vector->irq && vector->masked != masked) {
		vector->masked = masked;
		if (masked)
			disable_irq(vector->irq);
		else
			enable_irq(vector->irq);
	}
	weir_pci_memory_unforce(pci, forced);
	up_write(&pci->memory_lock);
}

static void mask_action(struct weir_pci *pci, unsigned int index)
{
	set_masked(pci, index, true);
}

static void unmask_action(struct weir_pci *pci, unsigned int index)
{
	set_masked(pci, index, false);
}

int weir_pci_msi_mask(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool masked = request->action == VFIO_IRQ_SET_ACTION_MASK;
	struct weir_pci_vector *vector;
	unsigned int index;
	int rc = 0;
	u32 i;

	if (pci->irq_index != request->index)
		return -EINVAL;
	for (i = 0; i < request->count && !rc; i++) {
		index = request->start + i;
		vector = &pci->vectors[index];
		if (!vector->trigger)
			rc = -EINVAL;
		else if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD)
			rc = weir_pci_irqfd_set(masked ? &vector->mask : &vector->unmask, pci,
						request->fds[i],
						masked ? mask_action : unmask_action, index);
		else if (weir_pci_irq_is_meant(request, i))
			set_masked(pci, index, masked);
	}
	return rc;
}
