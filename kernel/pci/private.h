/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the PCI driver share. Numbers in brackets are rows of the lock order in
 * kernel/README.md.
 *
 * A file of a device shows regions: region i is at offset i << WEIR_PCI_REGION_SHIFT.
 */
#ifndef WEIR_PCI_PRIVATE_H
#define WEIR_PCI_PRIVATE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>

#include "core/device.h"
#include "uapi/weir/vfio.h"

struct eventfd_ctx;
struct weir_pci;
struct weir_pci_irqfd;

#define WEIR_PCI_REGION_SHIFT 40
#define WEIR_PCI_BARS PCI_STD_NUM_BARS

/* Name of the driver, and of who holds resources. */
#define WEIR_PCI_NAME "vfio-pci"

/* Constant while the device is open. */
struct weir_pci_bar {
	/* 0: absent. */
	resource_size_t size;
	bool io;
	bool reserved;
	/* It is whole pages, or nothing else is in its page. */
	bool mappable;
	/* Why map is NULL although the BAR is there. */
	int error;
	void __iomem *map;
	/* The part of its page that a small BAR leaves, kept from others. Or NULL. */
	struct resource *rest;
};

/*
 * A field of configuration space that is not simply what the hardware says, and read-only. Bits of
 * hidden are read from value, the others from the hardware. Bits of writable can be written, and
 * never get to the hardware by themselves: apply does with the field's new content what there is to
 * be done, and returns what becomes of the hidden bits.
 */
struct weir_pci_field {
	u16 offset;
	/* 1, 2 or 4, and offset is a multiple. */
	u8 size;
	u32 hidden;
	u32 writable;
	u32 value;
	u32 (*apply)(struct weir_pci *pci, const struct weir_pci_field *field, u32 content);
};

#define WEIR_PCI_FIELDS 32

/* Bits of the command register that its user sets in the hardware. */
#define WEIR_PCI_DECODE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

/* The line interrupt. */
struct weir_pci_intx {
	/* Under irq_lock [9]. */
	char *name;
	struct weir_pci_irqfd *mask, *unmask;

	/* Under command_lock; trigger is changed with irq_lock held, too. */
	struct eventfd_ctx *trigger;
	bool active;
	/* By the user, or since it was raised. */
	bool masked;
	/* The user's bit in the command register. */
	bool disabled;
	/* Of a line that is masked at the interrupt controller. */
	bool line_masked;
};

/* Of MSI and MSI-X. irq and masked are also under memory_lock [10], for writing. */
struct weir_pci_vector {
	/* 0: it was never listened to, or, of MSI-X, is not any more. */
	int irq;
	bool masked;
	char *name;
	/* NULL: nobody listens. Also read by the interrupt's handler. */
	struct eventfd_ctx *trigger;
	struct weir_pci_irqfd *mask, *unmask;
};

#define WEIR_PCI_NO_IRQS U32_MAX

struct weir_pci {
	struct weir_device device;
	struct pci_dev *pdev;

	/* Constant from probe on: the function sleeps while it is not open. */
	bool idle_d3;

	/* From open on. */
	bool can_reset;
	bool has_intx;
	/* The line can be masked in the command register, and shared. */
	bool maskable_intx;
	struct weir_pci_bar bars[WEIR_PCI_BARS];
	/*
	 * Counts of interrupts, and where the MSI-X table is. They are read once: a device that is
	 * reset, or is gone, answers with ones, and vectors are allocated by the first answer.
	 */
	u32 nr_irqs[VFIO_PCI_NUM_IRQS];
	unsigned int msix_bar;
	u32 msix_offset;
	struct pci_saved_state *saved_state;

	/* Under the set's lock [3]: what the last user left is still in it. */
	bool needs_reset;

	/* Outside of [10]: content of configuration space. */
	struct mutex config_lock;
	struct weir_pci_field fields[WEIR_PCI_FIELDS];
	unsigned int nr_fields;

	/* [10] guards whether memory is accessible, power, and the list of buffers. */
	struct rw_semaphore memory_lock;
	struct list_head buffers;

	/* Changed with command_lock held, too. */
	bool opened;
	/* The user's bits of WEIR_PCI_DECODE in the command register. */
	u16 decode;

	/*
	 * A leaf [13], interrupts disabled: intx, and the command register of the hardware, which
	 * is left alone for as long as somebody holds it (weir_pci_command_hold).
	 */
	spinlock_t command_lock;
	unsigned int command_holds;

	/* [9] guards what follows: which interrupts are in use, and by which eventfds. */
	struct mutex irq_lock;
	/* VFIO_PCI_INTX_IRQ_INDEX, ...MSI..., ...MSIX..., or WEIR_PCI_NO_IRQS. */
	u32 irq_index;
	struct weir_pci_intx intx;
	struct weir_pci_vector *vectors;
	unsigned int nr_vectors;

	/*
	 * A leaf [13] for eventfds that are signalled with locks of the PCI core held; they are
	 * changed with [9] held, too.
	 */
	spinlock_t event_lock;
	struct eventfd_ctx *error_trigger;
	struct eventfd_ctx *request_trigger;
};

static inline struct weir_pci *weir_pci_of(struct weir_device *device)
{
	return container_of(device, struct weir_pci, device);
}

/* driver.c: the parameter nointxmask, as it is at the moment. */
bool weir_pci_no_intx_mask(void);

/* denylist.c: whether the device must not be given to user space. */
bool weir_pci_is_denied(const struct pci_dev *pdev);

/* device.c */
extern const struct weir_device_ops weir_pci_device_ops;
/* Runtime power management begins with probe, and ends with remove. */
void weir_pci_power_begin(struct weir_pci *pci, bool idle_d3);
void weir_pci_power_end(struct weir_pci *pci);

/* bar.c: says in the kernel's log which BARs are too large to be offered. In probe. */
void weir_pci_bars_check(struct pci_dev *pdev);
/* Reserves and maps BARs of an enabled device; one that cannot be had says so when used. */
void weir_pci_bars_open(struct weir_pci *pci);
void weir_pci_bars_close(struct weir_pci *pci);
/*
 * The physical address that offset stands for: both it and length are bytes of the device's file,
 * in whole pages. -EINVAL: not a part of a BAR that can be mapped; or why it could not be had.
 */
int weir_pci_bar_range(struct weir_pci *pci, u64 offset, u64 length, phys_addr_t *address);

/* region.c: system calls on regions, but mmap. */
ssize_t weir_pci_read(struct weir_device *device, char __user *buffer, size_t size, loff_t *offset);
ssize_t weir_pci_write(struct weir_device *device, const char __user *buffer, size_t size,
		       loff_t *offset);
/* Bytes of a region; 0 if it is absent. */
u64 weir_pci_region_size(struct weir_pci *pci, unsigned int index);

/* mmap.c */
int weir_pci_mmap(struct weir_device *device, struct vm_area_struct *vma);

/* info.c */
long weir_pci_get_info(struct weir_pci *pci, void __user *argument);
long weir_pci_get_region_info(struct weir_pci *pci, void __user *argument);
long weir_pci_get_irq_info(struct weir_pci *pci, void __user *argument);

/* feature.c */
long weir_pci_feature(struct weir_pci *pci, void __user *argument);

/* config_fields.c: which fields there are, for a device that is being opened. */
void weir_pci_fields_init(struct weir_pci *pci);

/*
 * config.c: a part of configuration space, which it lies in. buffer is the kernel's. They take
 * config_lock, and whatever it takes to apply a write: nothing from [10] on may be held.
 */
int weir_pci_config_read(struct weir_pci *pci, unsigned int offset, void *buffer, size_t size);
int weir_pci_config_write(struct weir_pci *pci, unsigned int offset, const void *buffer,
			  size_t size);

/*
 * memory.c: access to BARs, by processors and by other devices. [10] is held: for reading at least
 * in weir_pci_memory_accessible(), for writing in the others.
 */
bool weir_pci_memory_accessible(struct weir_pci *pci);
/* Before a reset, or anything that takes memory away: nobody has access when this returns. */
void weir_pci_memory_lose(struct weir_pci *pci);
/* Afterwards: gives access again, if memory is accessible. */
void weir_pci_memory_regain(struct weir_pci *pci);
/*
 * Lets the kernel reach the device's memory for a moment, whatever the user has set. unforce is
 * given what force returned.
 */
bool weir_pci_memory_force(struct weir_pci *pci);
void weir_pci_memory_unforce(struct weir_pci *pci, bool forced);

/*
 * command.c: the command register of the hardware. The user's bits of decoding and bus mastering
 * are set with [10] held for writing, before the device is open as well.
 */
void weir_pci_command_set_decode(struct weir_pci *pci, u16 decode);
/* Decoding of memory on or off, for a moment. [10] is held for writing. */
void weir_pci_command_set_memory(struct weir_pci *pci, bool on);
/* From here on, and until here, its user has the device. [10] is held for writing. */
void weir_pci_command_set_opened(struct weir_pci *pci, bool opened);
/*
 * Around a reset, or a power state that configuration space is saved for and restored after.
 * Nobody writes the register in between, not the interrupt's handler either: what it would read
 * there is not the device's, and what it would write could come after what is restored. The
 * function's line is quiet. Afterwards the register is as its user wants it by then.
 *
 * They take command_lock, and may be nested.
 */
void weir_pci_command_hold(struct weir_pci *pci);
void weir_pci_command_release(struct weir_pci *pci);

/* buffer.c: buffers of BARs. The first two with [10] held for writing. */
void weir_pci_buffers_set(struct weir_pci *pci, bool revoked);
/* Revoked they are, and stay so for good: the device forgets them. */
void weir_pci_buffers_forget(struct weir_pci *pci);
struct dma_buf *weir_pci_bar_buffer(struct weir_device *device, u64 offset, u64 length);

/* reset.c: [10] is held for writing, and memory lost. -EAGAIN: somebody holds the device. */
int weir_pci_try_reset(struct weir_pci *pci);
/* The function reset as the user asks for it; takes [10]. The device is open. */
int weir_pci_reset(struct weir_pci *pci);
/*
 * Takes [10] and puts the device into a power state, PCI_D0 to PCI_D3hot. What it loses on the way
 * is restored.
 */
void weir_pci_set_power(struct weir_pci *pci, pci_power_t state);
/*
 * The same for D0 from any other, and for another from D0, with [10] held for writing and memory
 * lost, or not there before.
 */
void weir_pci_power_up(struct weir_pci *pci);
void weir_pci_power_down(struct weir_pci *pci, pci_power_t state);

/* hot_reset.c: what stands for the devices that are reset together. NULL: it is alone. */
const void *weir_pci_set_id(struct pci_dev *pdev);
long weir_pci_get_hot_reset_info(struct weir_pci *pci, void __user *argument);
long weir_pci_hot_reset(struct weir_pci *pci, void __user *argument);

/* error.c */
extern const struct pci_error_handlers weir_pci_error_handlers;
void weir_pci_request(struct weir_device *device, unsigned int count);

/* A VFIO_DEVICE_SET_IRQS that has been checked. */
struct weir_pci_irq_request {
	u32 index, start, count;
	/* One of VFIO_IRQ_SET_DATA_..., and of VFIO_IRQ_SET_ACTION_... */
	u32 data_type, action;
	union {
		const u8 *bools;
		const s32 *fds;
	};
};

/* Whether the i-th of the request's interrupts is meant; data is NONE or BOOL. */
static inline bool weir_pci_irq_is_meant(const struct weir_pci_irq_request *request, u32 i)
{
	return request->data_type == VFIO_IRQ_SET_DATA_NONE || request->bools[i];
}

/* irq.c: counts interrupts of a device that is being opened, after has_intx is known. */
void weir_pci_irqs_open(struct weir_pci *pci);
long weir_pci_set_irqs(struct weir_pci *pci, void __user *argument);
/* Takes [9]: no interrupt, no eventfd is left. */
void weir_pci_irqs_close(struct weir_pci *pci);
/* The eventfd of a descriptor, NULL for a negative one. An ERR_PTR: -EBADF, -EINVAL. */
struct eventfd_ctx *weir_pci_eventfd(s32 fd);

/* intx.c: [9] is held in the first three. */
int weir_pci_intx_trigger(struct weir_pci *pci, const struct weir_pci_irq_request *request);
/* The request's action is MASK or UNMASK. */
int weir_pci_intx_mask(struct weir_pci *pci, const struct weir_pci_irq_request *request);
void weir_pci_intx_disable(struct weir_pci *pci);
/* The user's bit in the command register. */
void weir_pci_intx_set_disabled(struct weir_pci *pci, bool disabled);
/* Does to the hardware what the state says; to be called when others have touched it. */
void weir_pci_intx_update(struct weir_pci *pci);
/* The same, with command_lock held. */
void weir_pci_intx_update_locked(struct weir_pci *pci);

/* msi.c: MSI and MSI-X. [9] is held. */
int weir_pci_msi_trigger(struct weir_pci *pci, const struct weir_pci_irq_request *request);
int weir_pci_msi_mask(struct weir_pci *pci, const struct weir_pci_irq_request *request);
void weir_pci_msi_disable(struct weir_pci *pci);

/*
 * irqfd.c: an eventfd that makes the kernel do something when it is signalled. action runs in
 * process context with no lock held.
 *
 * irqfd_set replaces *slot's by one for the descriptor, by none if that is negative. On failure
 * *slot is as it was. Both wait for action: the caller holds nothing that it takes.
 */
typedef void (*weir_pci_irqfd_action)(struct weir_pci *pci, unsigned int vector);
int weir_pci_irqfd_set(struct weir_pci_irqfd **slot, struct weir_pci *pci, s32 fd,
		       weir_pci_irqfd_action action, unsigned int vector);
void weir_pci_irqfd_clear(struct weir_pci_irqfd **slot);

#endif
