/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interrupts of an emulated function, as VFIO numbers their kinds: INTx and MSI (none), MSI-X,
 * error, request.
 *
 * The MSI-X table and pending bits are emulated in full. VFIO clients do not write the table's
 * addresses; they bind eventfds, and the kernel's VFIO then enables MSI-X and unmasks the vector.
 * The same happens here: binding an eventfd sets MSI-X Enable and clears the vector's mask bit,
 * unbinding sets the mask bit, disabling the kind clears MSI-X Enable. Clients that do write the
 * table, the control register or SET_IRQS masks are honoured as well.
 */
#ifndef WEIR_SIM_IRQ_H
#define WEIR_SIM_IRQ_H

#include "device/vfio_user/protocol.h"
#include "server/config_space.h"

/* Kinds (linux/vfio.h, VFIO_PCI_*_IRQ_INDEX). */
enum {
	IRQ_MSIX = 2,
	IRQ_ERROR = 3,
	IRQ_REQUEST = 4,
	IRQ_NR_KINDS = 5,
};

#define MSIX_ENTRY_BYTES 16u

/* Eventfds of one interrupt, -1 where there is none. */
struct irq {
	int trigger;
	int mask; /* told when it becomes masked */
	int unmask; /* told when it becomes unmasked */
};

struct irqs {
	struct config_space *config;
	unsigned int nr_vectors;
	uint8_t table[SIM_MAX_VECTORS * MSIX_ENTRY_BYTES];
	uint64_t pending[SIM_MAX_VECTORS / 64];
	struct irq vectors[SIM_MAX_VECTORS];
	struct irq error, request;
};

void irqs_init(struct irqs *irqs, struct config_space *config, unsigned int nr_vectors);

/* Closes all eventfds and goes back to the state after power on. */
void irqs_close(struct irqs *irqs);

/* Function reset: nothing is pending any more. Bindings and masks stay, as VFIO keeps them. */
void irqs_reset(struct irqs *irqs);

/* How many there are of a kind, and its VFIO_USER_IRQ_* flags. -EINVAL: there is no such kind. */
int irqs_info(const struct irqs *irqs, uint32_t kind, uint32_t *count, uint32_t *flags);

/*
 * "VFIO_USER_DEVICE_SET_IRQS": `data` is what follows the request. Descriptors that are taken
 * become -1 in fds. -EINVAL when the request does not fit together; nothing was done then.
 */
int irqs_set(struct irqs *irqs, const struct vfio_user_irq_set *set, const uint8_t *data,
	     size_t bytes, int *fds, unsigned int nr_fds);

/* The device interrupts: signals the vector, or sets its pending bit while it is masked. */
void irqs_raise(struct irqs *irqs, unsigned int vector);

/* MSI-X Message Control was written: delivers what may be delivered now. */
void irqs_control_written(struct irqs *irqs);

/* Accesses to the table and the pending bits, inside them. Pending bits cannot be written. */
void irqs_table_read(const struct irqs *irqs, uint64_t offset, void *data, size_t bytes);
void irqs_table_write(struct irqs *irqs, uint64_t offset, const void *data, size_t bytes);
void irqs_pending_read(const struct irqs *irqs, uint64_t offset, void *data, size_t bytes);

#endif
