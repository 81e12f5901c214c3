/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/irq.h"

#include <linux/pci_regs.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"

static const struct irq unbound = { -1, -1, -1 };

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/*
 * The counter is shared with the client, which may have filled it, and whether a full one blocks is
 * the client's choice: so look first. A full counter is an interrupt that is already signalled.
 */
static void signal_eventfd(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	if (fd >= 0 && poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT)
		eventfd_write(fd, 1);
}

static uint8_t *vector_control(struct irqs *irqs, unsigned int vector)
{
	return &irqs->table[vector * MSIX_ENTRY_BYTES + PCI_MSIX_ENTRY_VECTOR_CTRL];
}

/* After power on every vector is masked (PCI 3.0 §6.8.2.9). */
static void mask_all(struct irqs *irqs)
{
	memset(irqs->table, 0, sizeof(irqs->table));
	for (unsigned int i = 0; i < irqs->nr_vectors; i++)
		*vector_control(irqs, i) = PCI_MSIX_ENTRY_CTRL_MASKBIT;
}

void irqs_init(struct irqs *irqs, struct config_space *config, unsigned int nr_vectors)
{
	memset(irqs, 0, sizeof(*irqs));
	irqs->config = config;
	irqs->nr_vectors = nr_vectors;
	for (unsigned int i = 0; i < SIM_MAX_VECTORS; i++)
		irqs->vectors[i] = unbound;
	irqs->error = unbound;
	irqs->request = unbound;
	mask_all(irqs);
}

static void unbind(struct irq *irq)
{
	close_fd(&irq->trigger);
	close_fd(&irq->mask);
	close_fd(&irq->unmask);
}

void irqs_close(struct irqs *irqs)
{
	for (unsigned int i = 0; i < irqs->nr_vectors; i++)
		unbind(&irqs->vectors[i]);
	unbind(&irqs->error);
	unbind(&irqs->request);
	irqs_reset(irqs);
	mask_all(irqs);
}

void irqs_reset(struct irqs *irqs)
{
	memset(irqs->pending, 0, sizeof(irqs->pending));
}

int irqs_info(const struct irqs *irqs, uint32_t kind, uint32_t *count, uint32_t *flags)
{
	if (kind >= IRQ_NR_KINDS)
		return -EINVAL;
	*count = 0;
	*flags = VFIO_USER_IRQ_EVENTFD;
	if (kind == IRQ_MSIX) {
		*count = irqs->nr_vectors;
		*flags |= VFIO_USER_IRQ_MASKABLE;
	} else if (kind == IRQ_ERROR || kind == IRQ_REQUEST) {
		*count = 1;
	}
	return 0;
}

void irqs_raise(struct irqs *irqs, unsigned int vector)
{
	if (vector >= irqs->nr_vectors || !config_space_msix_enabled(irqs->config))
		return;
	if (*vector_control(irqs, vector) & PCI_MSIX_ENTRY_CTRL_MASKBIT ||
	    config_space_msix_masked(irqs->config))
		irqs->pending[vector / 64] |= UINT64_C(1) << vector % 64;
	else
		signal_eventfd(irqs->vectors[vector].trigger);
}

/* Sends what became pending, if nothing masks it any more (PCI 3.0 §6.8.3.5). */
static void deliver_pending(struct irqs *irqs, unsigned int vector)
{
	uint64_t bit = UINT64_C(1) << vector % 64;

	if (irqs->pending[vector / 64] & bit) {
		irqs->pending[vector / 64] &= ~bit;
		irqs_raise(irqs, vector);
	}
}

void irqs_control_written(struct irqs *irqs)
{
	if (!config_space_msix_enabled(irqs->config))
		return;
	for (unsigned int i = 0; i < irqs->nr_vectors; i++)
		deliver_pending(irqs, i);
}

static void set_mask(struct irqs *irqs, unsigned int vector, bool mask)
{
	uint8_t *control = vector_control(irqs, vector);
	uint8_t value = mask ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;

	if (*control == value)
		return;
	*control = value;
	if (mask) {
		signal_eventfd(irqs->vectors[vector].mask);
	} else {
		signal_eventfd(irqs->vectors[vector].unmask);
		if (config_space_msix_enabled(irqs->config))
			deliver_pending(irqs, vector);
	}
}

void irqs_table_read(const struct irqs *irqs, uint64_t offset, void *data, size_t bytes)
{
	memcpy(data, irqs->table + offset, bytes);
}

/* Of an entry all bits can be written but the low two of the address and the reserved ones of
 * Vector Control (PCI 3.0 §6.8.2.4 to §6.8.2.9). */
void irqs_table_write(struct irqs *irqs, uint64_t offset, const void *data, size_t bytes)
{
	const uint8_t *values = data;

	for (size_t i = 0; i < bytes; i++) {
		unsigned int vector = (unsigned int)((offset + i) / MSIX_ENTRY_BYTES);
		unsigned int member = (offset + i) % MSIX_ENTRY_BYTES;

		if (member == PCI_MSIX_ENTRY_VECTOR_CTRL)
			set_mask(irqs, vector, values[i] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
		else if (member == PCI_MSIX_ENTRY_LOWER_ADDR)
			irqs->table[offset + i] = values[i] & 0xfc;
		else if (member < PCI_MSIX_ENTRY_VECTOR_CTRL)
			irqs->table[offset + i] = values[i];
	}
}

void irqs_pending_read(const struct irqs *irqs, uint64_t offset, void *data, size_t bytes)
{
	uint8_t *out = data;

	for (size_t i = 0; i < bytes; i++) {
		size_t at = offset + i;

		out[i] = (uint8_t)(irqs->pending[at / 8] >> 8 * (at % 8));
	}
}

static struct irq *find(struct irqs *irqs, uint32_t kind, uint32_t index)
{
	if (kind == IRQ_MSIX)
		return &irqs->vectors[index];
	return kind == IRQ_ERROR ? &irqs->error : &irqs->request;
}

static void bind_trigger(struct irqs *irqs, uint32_t kind, uint32_t index, int fd)
{
	struct irq *irq = find(irqs, kind, index);

	close_fd(&irq->trigger);
	irq->trigger = fd;
	if (kind != IRQ_MSIX)
		return;
	if (fd >= 0 && !config_space_msix_enabled(irqs->config)) {
		config_space_msix_enable(irqs->config, true);
		irqs_control_written(irqs);
	}
	set_mask(irqs, index, fd < 0);
}

static void bind_eventfd(struct irqs *irqs, const struct vfio_user_irq_set *set, uint32_t index,
			 int fd)
{
	struct irq *irq = find(irqs, set->index, index);
	int *place = set->flags & VFIO_USER_IRQ_ACTION_MASK ? &irq->mask : &irq->unmask;

	if (set->flags & VFIO_USER_IRQ_ACTION_TRIGGER) {
		bind_trigger(irqs, set->index, index, fd);
		return;
	}
	close_fd(place);
	*place = fd;
}

static void act(struct irqs *irqs, const struct vfio_user_irq_set *set, uint32_t index)
{
	if (set->index != IRQ_MSIX)
		signal_eventfd(find(irqs, set->index, index)->trigger);
	else if (set->flags & VFIO_USER_IRQ_ACTION_TRIGGER)
		irqs_raise(irqs, index);
	else
		set_mask(irqs, index, set->flags & VFIO_USER_IRQ_ACTION_MASK);
}

static void disable(struct irqs *irqs, uint32_t kind)
{
	switch (kind) {
	case IRQ_MSIX:
		for (unsigned int i = 0; i < irqs->nr_vectors; i++) {
			set_mask(irqs, i, true);
			unbind(&irqs->vectors[i]);
		}
		irqs_reset(irqs);
		if (irqs->nr_vectors)
			config_space_msix_enable(irqs->config, false);
		break;
	case IRQ_ERROR:
		unbind(&irqs->error);
		break;
	case IRQ_REQUEST:
		unbind(&irqs->request);
		break;
	}
}

/* Signalling must neither block nor raise SIGPIPE, which a pipe or socket could do. */
static bool is_eventfd(int fd)
{
	static const char expected[] = "anon_inode:[eventfd]";
	char path[32], target[sizeof(expected)];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target));
	return length == sizeof(expected) - 1 && !memcmp(target, expected, (size_t)length);
}

static bool one_bit(uint32_t flags)
{
	return flags && !(flags & (flags - 1));
}

/* Everything that can be wrong, before anything is done. */
static int check(const struct irqs *irqs, const struct vfio_user_irq_set *set, size_t bytes,
		 const int *fds, unsigned int nr_fds)
{
	uint32_t data = set->flags & VFIO_USER_IRQ_DATA_MASK;
	uint32_t action = set->flags & VFIO_USER_IRQ_ACTIONS;
	uint32_t count, flags;

	if (set->flags & ~(VFIO_USER_IRQ_DATA_MASK | VFIO_USER_IRQ_ACTIONS) || !one_bit(data) ||
	    !one_bit(action) || irqs_info(irqs, set->index, &count, &flags))
		return -EINVAL;
	if (!weir_range_within(set->start, set->count, count))
		return -EINVAL;
	if (!set->count)
		return data == VFIO_USER_IRQ_DATA_NONE && action == VFIO_USER_IRQ_ACTION_TRIGGER &&
				       !set->start
			       ? 0
			       : -EINVAL;
	if (action != VFIO_USER_IRQ_ACTION_TRIGGER && !(flags & VFIO_USER_IRQ_MASKABLE))
		return -EINVAL;
	if (data == VFIO_USER_IRQ_DATA_BOOL && bytes < set->count)
		return -EINVAL;
	if (nr_fds && (data != VFIO_USER_IRQ_DATA_EVENTFD || nr_fds != set->count))
		return -EINVAL;
	for (unsigned int i = 0; i < nr_fds; i++)
		if (!is_eventfd(fds[i]))
			return -EINVAL;
	return 0;
}

int irqs_set(struct irqs *irqs, const struct vfio_user_irq_set *set, const uint8_t *data,
	     size_t bytes, int *fds, unsigned int nr_fds)
{
	int rc = check(irqs, set, bytes, fds, nr_fds);

	if (rc)
		return rc;
	if (!set->count)
		disable(irqs, set->index);
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->flags & VFIO_USER_IRQ_DATA_EVENTFD) {
			bind_eventfd(irqs, set, set->start + i, nr_fds ? fds[i] : -1);
			if (nr_fds)
				fds[i] = -1;
		} else if (set->flags & VFIO_USER_IRQ_DATA_NONE || data[i]) {
			act(irqs, set, set->start + i);
		}
	}
	return 0;
}
