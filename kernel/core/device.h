/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices: what a bus driver (vfio_pci) registers with the core (vfio), and device sets.
 *
 * Life of a device
 *
 * - Probe: weir_device_alloc(), which calls ops->init; weir_device_join_set(); and, when all else
 *   is ready, weir_device_register(). From then on it can be opened, through its group, or by its
 *   own node, whose file can do nothing until it is bound to a context.
 * - Open: the core makes files for it. With the first of them that can be used it calls ops->open,
 *   with the end of the last one ops->close. A VMA counts, for it holds its file.
 * - Remove: weir_device_unregister() stops further opens, asks the users to go (ops->request) for
 *   as long as there are any, and waits for them. Then weir_device_put().
 * - End: ops->release, when the last reference is gone. Who only needs the structure, like an
 *   internal dma-buf that has outlived the device, holds a reference; such a holder can be there
 *   after remove, and must not touch hardware. It also holds the bus driver's module, whose code
 *   ops->release is.
 *
 * The lock order is told in kernel/README.md; numbers in brackets are its rows.
 */
#ifndef WEIR_CORE_DEVICE_H
#define WEIR_CORE_DEVICE_H

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/refcount.h>

struct dma_buf;
struct inode;
struct weir_bond;
struct weir_context;
struct weir_device;
struct weir_group;

/*
 * What a bus driver does. Errors are negative errno and reach user space as they are. All run in
 * process context and may sleep.
 *
 * Required: name, owner, open, close, ioctl, match. Any other may be NULL: read, write and mmap are
 * then -EINVAL for the user.
 */
struct weir_device_ops {
	/* In messages. */
	const char *name;
	/* Held while a file of a device is open. */
	struct module *owner;

	/*
	 * In weir_device_alloc(): the bus driver's own members begin to live. On failure, the core
	 * frees the memory, and does not call release.
	 */
	int (*init)(struct weir_device *device);
	/* The last reference has gone: ends what init began. No lock is held. */
	void (*release)(struct weir_device *device);

	/*
	 * The first file is about to be made: bring the device into a state to be used. [1] of its
	 * group and [3] are held. DMA is its user's already: the group is attached to a container's
	 * address space, or to none yet, or it has no IOMMU.
	 */
	int (*open)(struct weir_device *device);
	/*
	 * The last file has gone. After this the device does no DMA, raises no interrupt, and every
	 * buffer of its BARs is revoked for good. [1] and [3] are held; what was attached is so
	 * still, so that nothing that the device wrote late hits a page given back.
	 */
	void (*close)(struct weir_device *device);

	/*
	 * System calls on an open device; any number at the same time, no lock of the core is held.
	 * An unknown ioctl is -ENOTTY. mmap() has the mmap_lock [8], writing: nothing above [10]
	 * may be taken.
	 */
	long (*ioctl)(struct weir_device *device, unsigned int command, unsigned long argument);
	ssize_t (*read)(struct weir_device *device, char __user *buffer, size_t size,
			loff_t *offset);
	ssize_t (*write)(struct weir_device *device, const char __user *buffer, size_t size,
			 loff_t *offset);
	int (*mmap)(struct weir_device *device, struct vm_area_struct *vma);

	/*
	 * The device is to go while it is open: tell its user. Called again every ten seconds;
	 * count is how often it was before. No lock of the core, but the bus's own (device_lock)
	 * [0] is held.
	 */
	void (*request)(struct weir_device *device, unsigned int count);

	/*
	 * Is name (of VFIO_GROUP_GET_DEVICE_FD, NUL-terminated) this device's? 1, 0, or a negative
	 * errno when it is, but cannot be had like this. [1] and the group's list of devices are
	 * held.
	 */
	int (*match)(struct weir_device *device, const char *name);

	/*
	 * Makes a buffer (bar.h) of a part of a BAR, for an I/O address space to map. offset is
	 * that of a mmap() of the device's file in bytes; offset and length are multiples of the
	 * page size. They must lie in what mmap() would map.
	 *
	 * The caller holds a file of the device, and none of the locks below [8]; it owns the
	 * buffer and gives it back by dma_buf_put(). The buffer holds a reference to the device,
	 * and the bus driver's module, so that it may outlive the file. -EINVAL: no such part of a
	 * BAR. A buffer of a BAR that is not accessible at the moment is made, and is revoked.
	 */
	struct dma_buf *(*bar_buffer)(struct weir_device *device, u64 offset, u64 length);
};

/*
 * Devices that are reset together (a slot or a bus). Its lock [3] guards the list of devices, their
 * open_count, and first open and last close of each of them.
 */
struct weir_device_set {
	/* [3] */
	struct mutex lock;
	struct list_head devices;
	/* The core's own: what the set is called, and by how many devices it is held. */
	const void *id;
	unsigned int members;
};

/* To be the first member of a bus driver's own structure. */
struct weir_device {
	/* Constant from weir_device_alloc() to the end. */
	struct device *parent;
	const struct weir_device_ops *ops;
	/* Of this device alone: all its VMAs are here, for unmap_mapping_range(). */
	struct address_space *mapping;

	/* From weir_device_join_set() to weir_device_unregister(). */
	struct weir_device_set *set;
	/* Under the set's lock. */
	struct list_head set_entry;
	unsigned int open_count;

	/* The core's own. */
	struct device dev;
	struct cdev cdev;
	struct inode *inode;
	int index;
	/* From weir_device_register() on for its users, and for who has the set's lock. */
	struct weir_group *group;
	struct list_head group_entry;
	refcount_t users;
	struct completion unused;
	/* Under [1]: it can be opened no more. */
	bool going;
	/* Changed under [1] and the set's lock; constant while the device is open. */
	struct weir_bond *bond;
	/* Who opened it last: under the set's lock. */
	char holder[TASK_COMM_LEN];
	pid_t holder_pid;
};

/*
 * weir_device_alloc - a zeroed structure of the given type, whose first member is the weir_device.
 *
 * Holds a reference to parent. An ERR_PTR on failure: -ENOMEM, or what ops->init returned.
 */
#define weir_device_alloc(type, member, parent, ops) \
	({ \
		BUILD_BUG_ON(offsetof(type, member) != 0); \
		(type *)weir_device_alloc_size(sizeof(type), parent, ops); \
	})
void *weir_device_alloc_size(size_t size, struct device *parent, const struct weir_device_ops *ops);

/* A reference to the structure, from someone who has one. */
static inline struct weir_device *weir_device_get(struct weir_device *device)
{
	get_device(&device->dev);
	return device;
}

/* Gives a reference back; with the last, ops->release runs in this context. */
static inline void weir_device_put(struct weir_device *device)
{
	put_device(&device->dev);
}

/*
 * weir_device_join_set - makes the device one of a set, once, before it is registered.
 *
 * Devices that give the same id, which is an address and only compared, are in one set. The device
 * leaves it in weir_device_unregister(), or with its last reference if it never was registered.
 * -ENOMEM.
 */
int weir_device_join_set(struct weir_device *device, const void *id);

/*
 * weir_device_register - lets the device be opened. It gets the node /dev/vfio/devices/vfioN, and
 * with its group's first device comes the node /dev/vfio/GROUP.
 *
 * A device without a set gets one of its own. One without an IOMMU, if these are taken at all, gets
 * the node /dev/vfio/noiommu-GROUP only. -EINVAL: it has no IOMMU, or its DMA is not coherent with
 * the processors' caches; -ENOMEM, or what the driver core says. May not be called again for a
 * device that was registered once. No lock of the core or below may be held.
 */
int weir_device_register(struct weir_device *device);

/*
 * weir_device_unregister - nobody can open the device any more, and nobody has it open, when this
 * returns. It waits for as long as that takes. Takes [1] to [3]: none of these may be held.
 */
void weir_device_unregister(struct weir_device *device);

/*
 * weir_device_of_file - the device that a file was opened for, NULL for files of anybody else, and
 * for one that is parked. The device lives for as long as the caller holds the file.
 */
struct weir_device *weir_device_of_file(const struct file *file);

/*
 * The context that an open device was bound to by its own node; NULL when it came from a group. The
 * caller holds a file of the device.
 */
struct weir_context *weir_device_context(const struct weir_device *device);

/*
 * weir_context_owns_device - whether who has the context owns the device: it is bound to it, and
 * *id is its id there, or another one of its group is, and *id is 0. [3] of the device's set is
 * held.
 */
bool weir_context_owns_device(const struct weir_context *context, const struct weir_device *device,
			      u32 *id);

#endif
