/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts about interrupts share: short names, eventfds, and QEMU's edu, which raises an
 * interrupt when it is told to.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_INTERRUPTS_H
#define WEIR_TESTS_GUEST_KERNEL_INTERRUPTS_H

#include "calls.h"

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define ERR VFIO_PCI_ERR_IRQ_INDEX
#define REQ VFIO_PCI_REQ_IRQ_INDEX

/* QEMU's edu: writing raises an interrupt; writing the same to the other takes it back. */
#define EDU_RAISE 0x60
#define EDU_ACKNOWLEDGE 0x64

#define ARRIVES_MS 5000 /* an interrupt that is to come; QEMU emulates its processors */
#define QUIET_MS 200 /* one that is not */

/* A new eventfd, which does not block. */
int must_eventfd(void);
/* How often the eventfd was signalled; waits for the first. A negative errno. */
long signals(int fd, int milliseconds);

void edu_write(void *bar, unsigned int at, uint32_t value);

#endif
