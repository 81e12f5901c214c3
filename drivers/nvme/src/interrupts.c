/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One MSI-X vector and one eventfd for each I/O queue pair, so that an idle owner can sleep. Masked
 * unless armed.
 */
#include "nvme.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int nvme_vectors_bind(struct weir_nvme *nvme, struct weir_error *err)
{
	unsigned int available = weir_irq_count(nvme->dev, WEIR_IRQ_MSIX), nr;
	int rc;

	if (!available)
		return weir_error_set(err, -EOPNOTSUPP, "the device has no MSI-X vectors");
	if (nvme->queues > available)
		nvme->queues = nvme->info.queues = available;
	nr = nvme->queues;
	nvme->vector_fds = malloc(nr * sizeof(*nvme->vector_fds));
	if (!nvme->vector_fds)
		return weir_error_set(err, -ENOMEM, "no memory for %u vectors", nr);
	for (unsigned int i = 0; i < nr; i++)
		nvme->vector_fds[i] = -1;
	nvme->nr_vectors = nr;
	for (unsigned int i = 0; i < nr; i++) {
		nvme->vector_fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (nvme->vector_fds[i] < 0)
			return weir_error_set(err, -errno, "eventfd %u of %u: %s", i, nr,
					      strerror(errno));
	}
	rc = weir_irq_bind(nvme->dev, WEIR_IRQ_MSIX, 0, nr, nvme->vector_fds, err);
	for (unsigned int i = 0; !rc && i < nr; i++)
		rc = weir_irq_disarm(nvme->dev, i);
	return rc;
}

void nvme_vectors_release(struct weir_nvme *nvme)
{
	if (!nvme->vector_fds)
		return;
	weir_irq_unbind(nvme->dev, WEIR_IRQ_MSIX, NULL);
	for (unsigned int i = 0; i < nvme->nr_vectors; i++) {
		if (nvme->vector_fds[i] >= 0)
			close(nvme->vector_fds[i]);
	}
	free(nvme->vector_fds);
	nvme->vector_fds = NULL;
}

WEIR_EXPORT int weir_nvme_qp_fd(const struct weir_nvme_qp *qp)
{
	return qp->fd;
}

WEIR_EXPORT int weir_nvme_qp_arm(struct weir_nvme_qp *qp)
{
	if (qp->fd < 0)
		return -EOPNOTSUPP;
	/* A controller interrupts for entries that it believes unseen: tell it of all that were. */
	nvme_acknowledge(qp);
	return weir_irq_arm(qp->nvme->dev, qp->state->vector);
}

WEIR_EXPORT int weir_nvme_qp_disarm(struct weir_nvme_qp *qp)
{
	eventfd_t count;
	int rc;

	if (qp->fd < 0)
		return -EOPNOTSUPP;
	rc = weir_irq_disarm(qp->nvme->dev, qp->state->vector);
	eventfd_read(qp->fd, &count); /* -EAGAIN when nothing came */
	return rc;
}
