/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the core share. Numbers in brackets are rows of the lock order in
 * kernel/README.md.
 */
#ifndef WEIR_CORE_PRIVATE_H
#define WEIR_CORE_PRIVATE_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

struct file;
struct iommu_group;
struct weir_backend;
struct weir_context;
struct weir_context_ops;
struct weir_device;

/* A context, and what keeps it there. All zeroes: none. */
struct weir_held_context {
	const struct weir_context_ops *ops;
	struct weir_context *context;
	struct file *file;
};

/* Lives while it is open, or a group is in it. */
struct weir_container {
	struct kref kref;
	/* [2] guards all that follows. */
	struct rw_semaphore sem;
	struct list_head groups;
	struct weir_backend *backend;
	void *data;
};

/*
 * An IOMMU group with registered devices. Its memory lives while its file is open; iommu_group goes
 * with the last device.
 */
struct weir_group {
	struct device dev;
	struct cdev cdev;
	/* Constant. */
	int id;

	/* Under the lock of all groups, in group.c. */
	struct list_head entry;
	unsigned int members;

	/* Devices that can be opened; inside of [1]. */
	struct mutex devices_lock;
	struct list_head devices;

	/* [1] guards all that follows, but container_entry, which is the container's. */
	struct mutex lock;
	struct iommu_group *iommu_group;
	struct file *opened_file;
	struct weir_container *container;
	struct list_head container_entry;
	unsigned int device_files;
};

/* container.c: the misc device /dev/vfio/vfio. */
int weir_container_init(void);
void weir_container_exit(void);

/* A device that is always there and does nothing: dma-buf asks every importer for one. */
struct device *weir_container_device(void);

/*
 * Puts a group into the container that file is, claims its DMA, and attaches it to the backend, if
 * there is one. [1] of the group is held. -EBADFD: no container.
 */
int weir_container_add_group(struct file *file, struct weir_group *group);
/* Undoes it, and ends the backend with the container's last group. [1] of the group is held. */
void weir_container_remove_group(struct weir_group *group);
/* Whether VFIO_SET_IOMMU was done. Takes [2]. */
bool weir_container_has_backend(struct weir_container *container);

/* backend.c: whether any backend has the extension. */
bool weir_backends_have(unsigned long extension);
/* A backend that can be opened as that type, and that holds its module. NULL: there is none. */
struct weir_backend *weir_backend_get(unsigned long type);
void weir_backend_put(struct weir_backend *backend);

/*
 * context.c: holds the context that file is, with its module. The caller holds the file. False: it
 * is no context.
 */
bool weir_context_hold(struct weir_held_context *held, struct file *file);
void weir_context_let_go(struct weir_held_context *held);

/* group.c */
int weir_groups_init(void);
void weir_groups_exit(void);

/* The group of a device, made when it is the group's first. An ERR_PTR. */
struct weir_group *weir_group_join(struct device *parent);
void weir_group_leave(struct weir_group *group);

/* device.c: the class of all devices. */
int weir_devices_init(void);
void weir_devices_exit(void);

/* The device of the group by its name, kept registered until unuse. An ERR_PTR: -ENODEV... */
struct weir_device *weir_device_use(struct weir_group *group, const char *name);
void weir_device_unuse(struct weir_device *device);

/*
 * device_file.c: a new file of a device that is in use, which the file takes over when this
 * succeeds. [1] of the group is held, whose file is open and whose container has a backend. An
 * ERR_PTR.
 */
struct file *weir_device_file_open(struct weir_device *device);

/* device_set.c: does nothing for a device that is in none. */
void weir_device_leave_set(struct weir_device *device);

/* inode.c: an inode for nothing but its mapping. An ERR_PTR. */
struct inode *weir_inode_new(void);
void weir_inode_free(struct inode *inode);

#endif
