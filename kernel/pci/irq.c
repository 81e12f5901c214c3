// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO_DEVICE_SET_IRQS. At most one of INTx, MSI and MSI-X is in use; it is taken into use by
 * eventfds, and given up by a trigger without data for no interrupt.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "pci/private.h"

void weir_pci_irqs_open(struct weir_pci *pci)
{
	struct pci_dev *pdev = pci->pdev;
	u32 table = 0;
	u16 flags = 0;

	memset(pci->nr_irqs, 0, sizeof(pci->nr_irqs));
	pci->nr_irqs[VFIO_PCI_INTX_IRQ_INDEX] = pci->has_intx;
	if (pdev->msi_cap) {
		pci_read_config_word(pdev, pdev->msi_cap + PCI_MSI_FLAGS, &flags);
		pci->nr_irqs[VFIO_PCI_MSI_IRQ_INDEX] = 1 << ((flags & PCI_MSI_FLAGS_QMASK) >> 1);
	}
	if (pdev->msix_cap) {
		pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &flags);
		pci->nr_irqs[VFIO_PCI_MSIX_IRQ_INDEX] = (flags & PCI_MSIX_FLAGS_QSIZE) + 1;
		pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
		pci->msix_bar = table & PCI_MSIX_TABLE_BIR;
		pci->msix_offset = table & PCI_MSIX_TABLE_OFFSET;
	}
	pci->nr_irqs[VFIO_PCI_ERR_IRQ_INDEX] = pci_is_pcie(pdev);
	pci->nr_irqs[VFIO_PCI_REQ_IRQ_INDEX] = 1;
}

struct eventfd_ctx *weir_pci_eventfd(s32 fd)
{
	return fd < 0 ? NULL : eventfd_ctx_fdget(fd);
}

/* Takes eventfd over, or takes the one away that there is: NULL. */
static void replace_event(struct weir_pci *pci, struct eventfd_ctx **trigger,
			  struct eventfd_ctx *eventfd)
{
	struct eventfd_ctx *old;

	spin_lock(&pci->event_lock);
	old = *trigger;
	*trigger = eventfd;
	spin_unlock(&pci->event_lock);
	if (old)
		eventfd_ctx_put(old);
}

/* An eventfd that is only signalled by the kernel: of errors and requests. [9] is held. */
static int set_event(struct weir_pci *pci, struct eventfd_ctx **trigger,
		     const struct weir_pci_irq_request *request)
{
	struct eventfd_ctx *eventfd;

	if (request->action != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	if (request->data_type == VFIO_IRQ_SET_DATA_EVENTFD) {
		if (!request->count || request->fds[0] < -1)
			return -EINVAL;
		eventfd = weir_pci_eventfd(request->fds[0]);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
		replace_event(pci, trigger, eventfd);
		return 0;
	}
	if (request->data_type == VFIO_IRQ_SET_DATA_BOOL) {
		if (!request->count)
			return -EINVAL;
		if (request->bools[0] && *trigger)
			weir_compat_eventfd_signal(*trigger);
		return 0;
	}
	if (!*trigger)
		return -EINVAL;
	if (request->count)
		weir_compat_eventfd_signal(*trigger);
	else
		replace_event(pci, trigger, NULL);
	return 0;
}

static int set_irqs(struct weir_pci *pci, const struct weir_pci_irq_request *request)
{
	const bool masks = request->action == VFIO_IRQ_SET_ACTION_MASK ||
			   request->action == VFIO_IRQ_SET_ACTION_UNMASK;

	if (!masks && request->action != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -ENOTTY;
	switch (request->index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return masks ? weir_pci_intx_mask(pci, request)
			     : weir_pci_intx_trigger(pci, request);
	case VFIO_PCI_MSI_IRQ_INDEX:
	case VFIO_PCI_MSIX_IRQ_INDEX:
		return masks ? weir_pci_msi_mask(pci, request) : weir_pci_msi_trigger(pci, request);
	case VFIO_PCI_ERR_IRQ_INDEX:
		return set_event(pci, &pci->error_trigger, request);
	default:
		return set_event(pci, &pci->request_trigger, request);
	}
}

/* How many bytes of data belong to the request. A negative errno: it makes no sense. */
static ssize_t check(struct weir_pci *pci, const struct vfio_irq_set *set)
{
	const size_t head = offsetof(struct vfio_irq_set, data);
	size_t size;
	u32 count;

	if (set->argsz < head || set->index >= VFIO_PCI_NUM_IRQS ||
	    set->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK))
		return -EINVAL;
	count = pci->nr_irqs[set->index];
	if (set->start >= count || set->count > count - set->start)
		return -EINVAL;

	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		size = 0;
		break;
	case VFIO_IRQ_SET_DATA_BOOL:
		size = sizeof(u8);
		break;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		size = sizeof(s32);
		break;
	default:
		return -EINVAL;
	}
	if (set->argsz - head < set->count * size)
		return -EINVAL;
	return set->count * size;
}

long weir_pci_set_irqs(struct weir_pci *pci, void __user *argument)
{
	const size_t head = offsetof(struct vfio_irq_set, data);
	struct weir_pci_irq_request request;
	struct vfio_irq_set set;
	void *data = NULL;
	ssize_t size;
	long rc;

	if (copy_from_user(&set, argument, head))
		return -EFAULT;
	size = check(pci, &set);
	if (size < 0)
		return size;
	if (size) {
		data = memdup_user(argument + head, size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}
	request.index = set.index;
	request.start = set.start;
	request.count = set.count;
	request.data_type = set.flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
	request.action = set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	request.fds = data;

	mutex_lock(&pci->irq_lock);
	rc = set_irqs(pci, &request);
	mutex_unlock(&pci->irq_lock);
	kfree(data);
	return rc;
}

void weir_pci_irqs_close(struct weir_pci *pci)
{
	mutex_lock(&pci->irq_lock);
	if (pci->irq_index == VFIO_PCI_INTX_IRQ_INDEX)
		weir_pci_intx_disable(pci);
	else if (pci->irq_index != WEIR_PCI_NO_IRQS)
		weir_pci_msi_disable(pci);
	replace_event(pci, &pci->error_trigger, NULL);
	replace_event(pci, &pci->request_trigger, NULL);
	mutex_unlock(&pci->irq_lock);
}
