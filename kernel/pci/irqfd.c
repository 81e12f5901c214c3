// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds that the kernel waits for. A signal takes the count and queues the action.
 *
 * The eventfd's context is held, so that its queue of waiters outlives its last descriptor; nothing
 * has to be done when that is closed.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "pci/private.h"

struct weir_pci_irqfd {
	struct weir_pci *pci;
	weir_pci_irqfd_action action;
	unsigned int vector;
	struct eventfd_ctx *eventfd;
	wait_queue_entry_t waiter;
	poll_table table;
	struct work_struct work;
};

static void irqfd_work(struct work_struct *work)
{
	struct weir_pci_irqfd *irqfd = container_of(work, struct weir_pci_irqfd, work);

	irqfd->action(irqfd->pci, irqfd->vector);
}

/* The lock of the eventfd's queue is held. */
static int irqfd_wake(wait_queue_entry_t *waiter, unsigned int mode, int flags, void *key)
{
	struct weir_pci_irqfd *irqfd = container_of(waiter, struct weir_pci_irqfd, waiter);
	u64 count;

	if (key_to_poll(key) & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		schedule_work(&irqfd->work);
	}
	return 0;
}

static void irqfd_queue(struct file *file, wait_queue_head_t *queue, poll_table *table)
{
	struct weir_pci_irqfd *irqfd = container_of(table, struct weir_pci_irqfd, table);

	add_wait_queue(queue, &irqfd->waiter);
}

static struct weir_pci_irqfd *irqfd_create(struct weir_pci *pci, s32 fd,
					   weir_pci_irqfd_action action, unsigned int vector)
{
	struct weir_pci_irqfd *irqfd;
	struct file *file = fget(fd);
	int rc;

	if (!file)
		return ERR_PTR(-EBADF);
	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd) {
		rc = -ENOMEM;
		goto put_file;
	}
	irqfd->eventfd = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->eventfd)) {
		rc = PTR_ERR(irqfd->eventfd);
		goto free;
	}
	irqfd->pci = pci;
	irqfd->action = action;
	irqfd->vector = vector;
	INIT_WORK(&irqfd->work, irqfd_work);
	init_waitqueue_func_entry(&irqfd->waiter, irqfd_wake);
	init_poll_funcptr(&irqfd->table, irqfd_queue);

	/* It may have been signalled before. */
	if (vfs_poll(file, &irqfd->table) & EPOLLIN)
		schedule_work(&irqfd->work);
	fput(file);
	return irqfd;

free:
	kfree(irqfd);
put_file:
	fput(file);
	return ERR_PTR(rc);
}

void weir_pci_irqfd_clear(struct weir_pci_irqfd **slot)
{
	struct weir_pci_irqfd *irqfd = *slot;
	u64 count;

	if (!irqfd)
		return;
	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->waiter, &count);
	cancel_work_sync(&irqfd->work);
	eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
	*slot = NULL;
}

int weir_pci_irqfd_set(struct weir_pci_irqfd **slot, struct weir_pci *pci, s32 fd,
		       weir_pci_irqfd_action action, unsigned int vector)
{
	struct weir_pci_irqfd *irqfd = NULL;

	if (fd >= 0) {
		irqfd = irqfd_create(pci, fd, action, vector);
		if (IS_ERR(irqfd))
			return PTR_ERR(irqfd);
	}
	weir_pci_irqfd_clear(slot);
	*slot = irqfd;
	return 0;
}
