/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Eventfds for MSI-X vectors: vector 0 tells of the link, the others of one receive queue each, so
 * that an idle owner can sleep. Those of queues are masked unless armed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nic.h"

static int watch(struct weir_nic *nic, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(nic->event_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

/* The vectors that the device and its driver can use. */
static int bind_vectors(struct weir_nic *nic, struct weir_error *err)
{
	unsigned int nr = weir_irq_count(nic->dev, WEIR_IRQ_MSIX);
	int rc;

	if (!nr)
		return weir_error_set(err, -EOPNOTSUPP, "%s has no MSI-X vectors",
				      nic->info.address);
	if (nr > nic->info.max_rx_queues + 1)
		nr = nic->info.max_rx_queues + 1;
	nic->vector_fds = malloc(nr * sizeof(*nic->vector_fds));
	if (!nic->vector_fds)
		return weir_error_set(err, -ENOMEM, "no memory for %u vectors", nr);
	for (unsigned int i = 0; i < nr; i++)
		nic->vector_fds[i] = -1;
	nic->nr_vectors = nr;
	for (unsigned int i = 0; i < nr; i++) {
		nic->vector_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (nic->vector_fds[i] < 0)
			return weir_error_set(err, -errno, "eventfd %u of %u: %s", i, nr,
					      strerror(errno));
	}
	rc = weir_irq_bind(nic->dev, WEIR_IRQ_MSIX, 0, nr, nic->vector_fds, err);
	if (rc)
		return rc;
	for (unsigned int i = 1; !rc && i < nr; i++)
		rc = weir_irq_disarm(nic->dev, i);
	if (!rc)
		rc = weir_irq_arm(nic->dev, 0);
	if (!rc)
		rc = watch(nic, nic->vector_fds[0]);
	if (rc)
		return weir_error_set(err, rc, "the vectors of %s cannot be used: %s",
				      nic->info.address, strerror(-rc));
	nic->info.interrupts = 1;
	return 0;
}

int nic_vectors_bind(struct weir_nic *nic, struct weir_error *err)
{
	int fd = weir_device_event_fd(nic->dev), rc = 0;

	nic->event_fd = epoll_create1(EPOLL_CLOEXEC);
	if (nic->event_fd < 0)
		return weir_error_set(err, -errno, "epoll_create1: %s", strerror(errno));
	if (fd >= 0)
		rc = watch(nic, fd);
	if (rc)
		return weir_error_set(err, rc, "epoll_ctl: %s", strerror(-rc));
	return nic->options.interrupts ? bind_vectors(nic, err) : 0;
}

void nic_vectors_release(struct weir_nic *nic)
{
	if (nic->vector_fds) {
		weir_irq_unbind(nic->dev, WEIR_IRQ_MSIX, NULL);
		for (unsigned int i = 0; i < nic->nr_vectors; i++) {
			if (nic->vector_fds[i] >= 0)
				close(nic->vector_fds[i]);
		}
		free(nic->vector_fds);
		nic->vector_fds = NULL;
	}
	if (nic->event_fd >= 0)
		close(nic->event_fd);
	nic->event_fd = -1;
}

WEIR_EXPORT int weir_nic_rxq_fd(const struct weir_nic_rxq *rxq)
{
	return ((const struct nic_queue *)rxq)->fd;
}

WEIR_EXPORT int weir_nic_rxq_arm(struct weir_nic_rxq *rxq)
{
	struct nic_queue *queue = nic_rx_queue(rxq);
	int rc;

	if (queue->fd < 0)
		return -EOPNOTSUPP;
	rc = weir_irq_arm(queue->nic->dev, queue->vector);
	/* A device that is stopped may be in its reset; the start lets all vectors' interrupts
	 * come. */
	if (!rc && queue->nic->driver->arm &&
	    atomic_load_explicit(&queue->control, memory_order_acquire) == NIC_LIVE)
		rc = queue->nic->driver->arm(queue);
	return rc;
}

WEIR_EXPORT int weir_nic_rxq_disarm(struct weir_nic_rxq *rxq)
{
	struct nic_queue *queue = nic_rx_queue(rxq);
	eventfd_t count;
	int rc;

	if (queue->fd < 0)
		return -EOPNOTSUPP;
	rc = weir_irq_disarm(queue->nic->dev, queue->vector);
	eventfd_read(queue->fd, &count); /* -EAGAIN when nothing came */
	return rc;
}

WEIR_EXPORT int weir_nic_event_fd(const struct weir_nic *nic)
{
	return nic->event_fd;
}
