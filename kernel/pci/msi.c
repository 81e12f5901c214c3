// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSI and MSI-X. The first eventfds decide how many vectors there are; MSI-X can get more later,
 * where the kernel can add vectors.
 *
 * Vectors of MSI-X are set up and masked in the device's memory, so that the device is woken and
 * its memory let to decode for as long as it takes, whatever the user has set. This is not left to
 * the next interrupt, as the kernel would by itself: then it would be too late. A vector that is
 * masked keeps one interrupt that comes in the meantime.
 *
 * When an interrupt is freed, the kernel clears its message, whose address is 0 from then on. A
 * vector of MSI-X is masked before; one of MSI mostly cannot be, and a device that uses it would
 * write into what its user has at address 0. So these are kept until MSI is off.
 */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/msi.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "pci/private.h"

static irqreturn_t handle_vector(int irq, void *data)
{
	struct weir_pci_vector *vector = data;
	struct eventfd_ctx *trigger = READ_ONCE(vector->trigger);

	if (trigger)
		weir_compat_eventfd_signal(trigger);
	return IRQ_HANDLED;
}

/* What the device was before it was made to answer for its vectors. */
struct before {
	pci_power_t power;
	bool forced;
};

/* Takes [10] for writing; from here on the vectors are in reach. */
static void reach_vectors(struct weir_pci *pci, struct before *before)
{
	down_write(&pci->memory_lock);
	before->power = pci->pdev->current_state;
	weir_pci_power_up(pci);
	before->forced = weir_pci_memory_force(pci);
}

static void leave_vectors(struct weir_pci *pci, const struct before *before)
{
	weir_pci_memory_unforce(pci, before->forced);
	weir_pci_power_down(pci, before->power);
	up_write(&pci->memory_lock);
}

static int enable(struct weir_pci *pci, u32 index, u32 count)
{
	bool msix = index == VFIO_PCI_MSIX_IRQ_INDEX;
	struct weir_pci_vector *vectors;
	unsigned int nr_vectors;
	struct before before;
	int rc;

	if (!count)
		return -EINVAL;
	nr_vectors = pci->nr_irqs[index];
	vectors = kvcalloc(nr_vectors, sizeof(*vectors), GFP_KERNEL_ACCOUNT);
	if (!vectors)
		return -ENOMEM;

	reach_vectors(pci, &before);
	rc = pci_alloc_irq_vectors(pci->pdev, 1, count, msix ? PCI_IRQ_MSIX : PCI_IRQ_MSI);
	if (rc > 0 && rc < count)
		pci_free_irq_vectors(pci->pdev);
	leave_vectors(pci, &before);
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

/* The vectors are in reach. */
static int request_vector(struct weir_pci *pci, unsigned int index)
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
	/* disable_irq() masks in the device, at once; free_irq() forgets the flag. */
	irq_set_status_flags(irq, IRQ_DISABLE_UNLAZY);
	rc = request_irq(irq, handle_vector, 0, vector->name, vector);
	if (rc) {
		irq_clear_status_flags(irq, IRQ_DISABLE_UNLAZY);
		kfree(vector->name);
		return rc;
	}
	vector->irq = irq;
	return 0;
}

/* The vectors are in reach. Nobody listens any more. */
static void free_vector(struct weir_pci_vector *vector)
{
	if (!vector->irq)
		return;
	free_irq(vector->irq, vector);
	kfree(vector->name);
	vector->irq = 0;
}

/* The vectors are in reach. */
static void set_masked(struct weir_pci_vector *vector, bool masked)
{
	if (!vector->irq || vector->masked == masked)
		return;
	vector->masked = masked;
	if (masked)
		disable_irq(vector->irq);
	else
		enable_irq(vector->irq);
}

/* The vectors are in reach. Takes the eventfd over, if it succeeds. */
static int connect(struct weir_pci *pci, unsigned int index, struct eventfd_ctx *trigger)
{
	struct weir_pci_vector *vector = &pci->vectors[index];
	int rc = 0;

	/* For whatever comes as soon as it can. */
	WRITE_ONCE(vector->trigger, trigger);
	if (!vector->irq)
		rc = request_vector(pci, index);
	if (rc)
		vector->trigger = NULL;
	return rc;
}

/* The vectors are in reach. */
static void disconnect(struct weir_pci *pci, struct weir_pci_vector *vector)
{
	struct eventfd_ctx *trigger = vector->trigger;

	if (!trigger)
		return;
	WRITE_ONCE(vector->trigger, NULL);
	if (pci->irq_index == VFIO_PCI_MSIX_IRQ_INDEX) {
		free_vector(vector);
		vector->masked = false;
	} else {
		/* What was kept comes now, and is nobody's. */
		set_masked(vector, false);
		synchronize_irq(vector->irq);
	}
	eventfd_ctx_put(trigger);
}

/* Before messages are cleared that cannot be masked. */
static void stop_messages(struct weir_pci *pci)
{
	unsigned int at = pci->pdev->msi_cap + PCI_MSI_FLAGS;
	u16 flags;

	if (pci->irq_index != VFIO_PCI_MSI_IRQ_INDEX)
		return;
	pci_read_config_word(pci->pdev, at, &flags);
	pci_write_config_word(pci->pdev, at, flags & ~PCI_MSI_FLAGS_ENABLE);
}

static void clear_irqfds(struct weir_pci_vector *vector)
{
	weir_pci_irqfd_clear(&vector->mask);
	weir_pci_irqfd_clear(&vector->unmask);
}

void weir_pci_msi_disable(struct weir_pci *pci)
{
	struct before before;
	unsigned int i;

	for (i = 0; i < pci->nr_vectors; i++)
		clear_irqfds(&pci->vectors[i]);
	reach_vectors(pci, &before);
	stop_messages(pci);
	for (i = 0; i < pci->nr_vectors; i++) {
		disconnect(pci, &pci->vectors[i]);
		free_vector(&pci->vectors[i]);
	}
	pci_free_irq_vectors(pci->pdev);
	/* The PCI core has let INTx through again. */
	weir_pci_intx_update(pci);
	leave_vectors(pci, &before);
	kvfree(pci->vectors);
	pci->vectors = NULL;
	pci->nr_vectors = 0;
	pci->irq_index = WEIR_PCI_NO_IRQS;
}

static void put_eventfds(struct eventfd_ctx **triggers, u32 count)
{
	while (count--) {
		if (triggers[count])
			eventfd_ctx_put(triggers[count]);
	}
	kvfree(triggers);
}

/* The request's eventfds, NULL for none. An ERR_PTR. */
static struct eventfd_ctx **get_eventfds(const struct weir_pci_irq_request *request)
{
	struct eventfd_ctx **triggers;
	u32 i;

	triggers = kvcalloc(request->count, sizeof(struct eventfd_ctx *), GFP_KERNEL_ACCOUNT);
	if (!triggers)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < request->count; i++) {
		triggers[i] = weir_pci_eventfd(request->fds[i]);
		if (IS_ERR(triggers[i])) {
			int rc = PTR_ERR(triggers[i]);

			put_eventfds(triggers, i);
			return ERR_PTR(rc);
		}
	}
	return triggers;
}

/*
 * Gives vectors eventfds, which are NULL in triggers from then on, and takes them away from others:
 * those that are NULL before. All of them, or, on failure, none is left with one.
 */
static int set_triggers(struct weir_pci *pci, u32 start, u32 count, struct eventfd_ctx **triggers)
{
	struct weir_pci_vector *vectors = &pci->vectors[start];
	struct before before;
	int rc = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		if (!triggers[i])
			clear_irqfds(&vectors[i]);
	}
	reach_vectors(pci, &before);
	for (i = 0; i < count && !rc; i++) {
		disconnect(pci, &vectors[i]);
		if (!triggers[i])
			continue;
		rc = connect(pci, start + i, triggers[i]);
		if (!rc)
			triggers[i] = NULL;
	}
	if (rc) {
		for (i = 0; i < count; i++)
			disconnect(pci, &vectors[i]);
	}
	leave_vectors(pci, &before);
	if (rc) {
		for (i = 0; i < count; i++)
			clear_irqfds(&vectors[i]);
	}
	return rc;
}

/* The request has eventfds. */
static int set_eventfds(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool active = pci->irq_index == request->index;
	struct eventfd_ctx **triggers;
	int rc = 0;

	if (!active && pci->irq_index != WEIR_PCI_NO_IRQS)
		return -EINVAL;
	triggers = get_eventfds(request);
	if (IS_ERR(triggers))
		return PTR_ERR(triggers);
	if (!active)
		rc = enable(pci, request->index, request->start + request->count);
	if (!rc) {
		rc = set_triggers(pci, request->start, request->count, triggers);
		if (rc && !active)
			weir_pci_msi_disable(pci);
	}
	put_eventfds(triggers, request->count);
	return rc;
}

int weir_pci_msi_trigger(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool active = pci->irq_index == request->index;
	struct weir_pci_vector *vector;
	u32 i;

	if (active && !request->count && request->data_type == VFIO_IRQ_SET_DATA_NONE) {
		weir_pci_msi_disable(pci);
		return 0;
	}
	if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD)
		return set_eventfds(pci, request);
	if (!active)
		return -EINVAL;
	for (i = 0; i < request->count; i++) {
		vector = &pci->vectors[request->start + i];
		if (vector->trigger && weir_pci_irq_is_meant(request, i))
			weir_compat_eventfd_signal(vector->trigger);
	}
	return 0;
}

static void mask_action(struct weir_pci *pci, unsigned int index)
{
	struct before before;

	reach_vectors(pci, &before);
	set_masked(&pci->vectors[index], true);
	leave_vectors(pci, &before);
}

static void unmask_action(struct weir_pci *pci, unsigned int index)
{
	struct before before;

	reach_vectors(pci, &before);
	set_masked(&pci->vectors[index], false);
	leave_vectors(pci, &before);
}

static int mask_by_eventfds(struct weir_pci *pci, const struct weir_pci_irq_request *request,
			    bool masked)
{
	struct weir_pci_vector *vector;
	unsigned int index;
	int rc = 0;
	u32 i;

	for (i = 0; i < request->count && !rc; i++) {
		index = request->start + i;
		vector = &pci->vectors[index];
		if (!vector->trigger)
			return -EINVAL;
		rc = weir_pci_irqfd_set(masked ? &vector->mask : &vector->unmask, pci,
					request->fds[i], masked ? mask_action : unmask_action,
					index);
	}
	return rc;
}

int weir_pci_msi_mask(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	bool masked = request->action == VFIO_IRQ_SET_ACTION_MASK;
	struct weir_pci_vector *vector;
	struct before before;
	int rc = 0;
	u32 i;

	if (pci->irq_index != request->index)
		return -EINVAL;
	if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD)
		return mask_by_eventfds(pci, request, masked);

	reach_vectors(pci, &before);
	for (i = 0; i < request->count && !rc; i++) {
		vector = &pci->vectors[request->start + i];
		if (!vector->trigger)
			rc = -EINVAL;
		else if (weir_pci_irq_is_meant(request, i))
			set_masked(vector, masked);
	}
	leave_vectors(pci, &before);
	return rc;
}
