/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Interrupts as eventfds.
 *
 * What is bound is remembered, for two kinds of kernels: those that set up as many MSI-X vectors as
 * the first call binds and then no more (VFIO_IRQ_INFO_NORESIZE), where binding beyond takes
 * everything down and up again; and those that cannot mask a vector, where a vector is unbound to
 * mask it. An interrupt that becomes pending meanwhile is kept by the device, whose vector the
 * kernel masks (PCI 3.0 §6.8.2.9).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/vfio/vfio.h"

#define TRIGGER_EVENTFD (UAPI_VFIO_IRQ_ACTION_TRIGGER | UAPI_VFIO_IRQ_DATA_EVENTFD)
#define TRIGGER_NONE (UAPI_VFIO_IRQ_ACTION_TRIGGER | UAPI_VFIO_IRQ_DATA_NONE)

int vfio_vectors_init(struct vfio_device *vdev)
{
	for (unsigned int kind = 0; kind < VFIO_VECTOR_KINDS; kind++) {
		unsigned int count = vdev->dev->irq_counts[kind];
		struct vfio_vectors *vectors = &vdev->vectors[kind];

		vectors->fds = calloc(count ? count : 1, sizeof(*vectors->fds));
		vectors->masked = calloc(count ? count : 1, sizeof(*vectors->masked));
		if (!vectors->fds || !vectors->masked)
			return -ENOMEM;
		for (unsigned int i = 0; i < count; i++)
			vectors->fds[i] = -1;
	}
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Forgets what is bound; the kernel does so by itself when the kind or the device is closed. */
static void forget(struct vfio_device *vdev, unsigned int kind)
{
	struct vfio_vectors *vectors = &vdev->vectors[kind];

	for (unsigned int i = 0; vectors->fds && i < vdev->dev->irq_counts[kind]; i++) {
		close_fd(vectors->fds[i]);
		vectors->fds[i] = -1;
		if (vectors->masked)
			vectors->masked[i] = false;
	}
	vectors->nr_enabled = 0;
}

void vfio_vectors_free(struct vfio_device *vdev)
{
	for (unsigned int kind = 0; kind < VFIO_VECTOR_KINDS; kind++) {
		forget(vdev, kind);
		free(vdev->vectors[kind].fds);
		free(vdev->vectors[kind].masked);
	}
}

/* `fds` may be NULL when the flags say that there is no data. Returns 0 or a positive errno. */
static int set_irqs(const struct vfio_device *vdev, uint32_t flags, unsigned int kind,
		    unsigned int first, unsigned int count, const int *fds)
{
	size_t data = fds ? count * sizeof(*fds) : 0;
	struct uapi_vfio_irq_set *set = calloc(1, sizeof(*set) + data);
	int error = 0;

	if (!set)
		return ENOMEM;
	set->argsz = (uint32_t)(sizeof(*set) + data);
	set->flags = flags;
	set->index = kind;
	set->start = first;
	set->count = count;
	if (fds)
		memcpy(set->data, fds, data);
	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_SET_IRQS, set))
		error = errno;
	free(set);
	return error;
}

/* Tells the kernel of vectors as they are remembered. */
static int send_vectors(const struct vfio_device *vdev, unsigned int kind, unsigned int first,
			unsigned int count)
{
	const struct vfio_vectors *vectors = &vdev->vectors[kind];
	int fds[DEVICE_MAX_IRQS];

	for (unsigned int i = 0; i < count; i++)
		fds[i] = vectors->masked[first + i] ? -1 : vectors->fds[first + i];
	return set_irqs(vdev, TRIGGER_EVENTFD, kind, first, count, fds);
}

/* Interrupts may have been lost while nothing was set up: everybody looks at his queue. */
static void wake_all(const struct vfio_vectors *vectors)
{
	const uint64_t one = 1;

	for (unsigned int i = 0; i < vectors->nr_enabled; i++) {
		if (vectors->fds[i] >= 0 && !vectors->masked[i] &&
		    write(vectors->fds[i], &one, sizeof(one)) < 0)
			continue;
	}
}

/* Sets up more vectors than there were. On an error the old ones are back, if the kernel lets us.
 */
static int grow(struct vfio_device *vdev, unsigned int kind, unsigned int end)
{
	struct vfio_vectors *vectors = &vdev->vectors[kind];
	unsigned int old = vectors->nr_enabled;
	int error = set_irqs(vdev, TRIGGER_NONE, kind, 0, 0, NULL);

	if (error)
		return error;
	error = send_vectors(vdev, kind, 0, end);
	vectors->nr_enabled = error ? 0 : end;
	if (error && !send_vectors(vdev, kind, 0, old))
		vectors->nr_enabled = old;
	wake_all(vectors);
	return error;
}

static int apply(struct vfio_device *vdev, unsigned int kind, unsigned int first,
		 unsigned int count)
{
	struct vfio_vectors *vectors = &vdev->vectors[kind];
	unsigned int end = first + count;
	int error;

	if (vectors->nr_enabled && end > vectors->nr_enabled &&
	    vdev->irq_flags[kind] & UAPI_VFIO_IRQ_NORESIZE)
		return grow(vdev, kind, end);
	error = send_vectors(vdev, kind, first, count);
	if (!error && end > vectors->nr_enabled)
		vectors->nr_enabled = end;
	return error;
}

static bool duplicate(const int *fds, unsigned int count, int *copies, int *error)
{
	for (unsigned int i = 0; i < count; i++) {
		copies[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (fds[i] < 0 || copies[i] >= 0)
			continue;
		*error = errno;
		while (i--)
			close_fd(copies[i]);
		return false;
	}
	return true;
}

/* The new eventfds take the places of the old ones, or of none when the kernel refuses. */
static int bind_vectors(struct vfio_device *vdev, unsigned int kind, unsigned int first,
			unsigned int count, const int *eventfds)
{
	struct vfio_vectors *vectors = &vdev->vectors[kind];
	int copies[DEVICE_MAX_IRQS];
	int error;

	if (!duplicate(eventfds, count, copies, &error))
		return error;
	for (unsigned int i = 0; i < count; i++) {
		int old = vectors->fds[first + i];

		vectors->fds[first + i] = copies[i];
		copies[i] = old;
	}
	error = apply(vdev, kind, first, count);
	for (unsigned int i = 0; i < count; i++) {
		close_fd(copies[i]);
		if (!error)
			continue;
		close_fd(vectors->fds[first + i]);
		vectors->fds[first + i] = -1;
	}
	return error;
}

int vfio_bind_irqs(struct weir_device *dev, unsigned int kind, unsigned int first,
		   unsigned int count, const int *eventfds, struct weir_error *err)
{
	struct vfio_device *vdev = dev->link;
	int error;

	pthread_mutex_lock(&vdev->irq_lock);
	if (kind < VFIO_VECTOR_KINDS)
		error = bind_vectors(vdev, kind, first, count, eventfds);
	else
		error = set_irqs(vdev, TRIGGER_EVENTFD, kind, first, count, eventfds);
	pthread_mutex_unlock(&vdev->irq_lock);
	if (!error)
		return 0;
	return vfio_failed(vdev, error, err, "binding %u interrupts of kind %u from %u on%s", count,
			   kind, first, error == EINVAL ? " (is another kind bound?)" : "");
}

int vfio_unbind_irqs(struct weir_device *dev, unsigned int kind, struct weir_error *err)
{
	struct vfio_device *vdev = dev->link;
	int error = 0;

	pthread_mutex_lock(&vdev->irq_lock);
	/* The kernel takes it for a mistake to disable what is not enabled. */
	if (kind >= VFIO_VECTOR_KINDS || vdev->vectors[kind].nr_enabled)
		error = set_irqs(vdev, TRIGGER_NONE, kind, 0, 0, NULL);
	if (!error && kind < VFIO_VECTOR_KINDS)
		forget(vdev, kind);
	pthread_mutex_unlock(&vdev->irq_lock);
	return error ? vfio_failed(vdev, error, err, "unbinding interrupts of kind %u", kind) : 0;
}

static int mask_by_unbinding(struct vfio_device *vdev, unsigned int kind, unsigned int vector,
			     bool masked)
{
	struct vfio_vectors *vectors = &vdev->vectors[kind];
	int error = 0;

	if (vectors->masked[vector] == masked)
		return 0;
	vectors->masked[vector] = masked;
	if (vector < vectors->nr_enabled && vectors->fds[vector] >= 0)
		error = send_vectors(vdev, kind, vector, 1);
	if (error)
		vectors->masked[vector] = !masked;
	return error;
}

int vfio_mask_irq(struct weir_device *dev, unsigned int kind, unsigned int vector, bool masked)
{
	uint32_t action = masked ? UAPI_VFIO_IRQ_ACTION_MASK : UAPI_VFIO_IRQ_ACTION_UNMASK;
	struct vfio_device *vdev = dev->link;
	int error;

	pthread_mutex_lock(&vdev->irq_lock);
	if (vdev->irq_flags[kind] & UAPI_VFIO_IRQ_MASKABLE)
		error = set_irqs(vdev, action | UAPI_VFIO_IRQ_DATA_NONE, kind, vector, 1, NULL);
	else if (kind == WEIR_IRQ_MSIX)
		error = mask_by_unbinding(vdev, kind, vector, masked);
	else
		error = EOPNOTSUPP;
	pthread_mutex_unlock(&vdev->irq_lock);
	if (!error || error == EOPNOTSUPP)
		return -error;
	return vfio_failed(vdev, error, NULL, "masking");
}
