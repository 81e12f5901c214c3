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
struct vfio_device_attach_iommufd_pt;
struct vfio_device_bind_iommufd;
struct vfio_device_detach_iommufd_pt;
struct weir_binding;
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
	/* Of what kind they are, when there is one. */
	bool no_iommu;
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
	/* Of one device, made by no_iommu.c. */
	bool no_iommu;

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
	/* A context in the place of a container. */
	struct weir_held_context held;
	/* From groups, not of the devices' own nodes. */
	unsigned int device_files;
	/*
	 * How many of its devices are bound to a context, and to which. While its file is not open,
	 * they are so by their own nodes. owner is also read without a lock.
	 */
	unsigned int bonds;
	struct weir_context *owner;
};

/* What binds a device to a context: under [1] of its group and [3]. */
struct weir_bond {
	struct weir_held_context held;
	struct weir_binding *binding;
	/* The device's, in the context. */
	u32 id;
	/* By VFIO_DEVICE_BIND_IOMMUFD. */
	bool own_node;
};

/* A file of a device. */
struct weir_device_file {
	struct weir_device *device;
	/*
	 * Held by a file that came from a group, so that the group stays in its container until the
	 * device is quiet. NULL for files of the device's own node.
	 */
	struct file *group_file;
	/* Once true it stays so: the device is open, and this file a user of it. */
	bool usable;
};

/* container.c: the misc device /dev/vfio/vfio. */
int weir_container_init(void);
void weir_container_exit(void);

/* A device that is always there and does nothing: dma-buf asks every importer for one. */
struct device *weir_container_device(void);

/*
 * Puts a group into the container that file is, claims its DMA, if an IOMMU has it, and attaches it
 * to the backend, if there is one. [1] of the group is held. -EBADFD: no container; -EPERM: groups
 * of the other kind are in it, with an IOMMU or without, or the caller may not have the latter.
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
 * no_iommu.c: whether containers of groups without an IOMMU have the extension; never, unless these
 * are enabled (context.h).
 */
bool weir_no_iommu_has(unsigned long extension);
/* Their backend, as weir_backend_get(). */
struct weir_backend *weir_no_iommu_backend_get(unsigned long type);
/*
 * A new group of a device that is in none, with a reference for the caller. Takes the IOMMU core's
 * group mutex: no lock is held. An ERR_PTR.
 */
struct iommu_group *weir_no_iommu_group_begin(struct device *parent);
/* The device is in no group any more; references last. No lock is held. */
void weir_no_iommu_group_end(struct device *parent);
/*
 * Whether the caller may have a file of a device of such a group; first: which is not open. -EPERM:
 * it has no CAP_SYS_RAWIO, or its context has a compatible address space. [1] is held.
 */
int weir_no_iommu_may_open(const struct weir_group *group, bool first);
/* Says in the log, and by the kernel's taint, that user space is given the device. */
void weir_no_iommu_taint(struct device *parent);

/*
 * context.c: holds the context that file is, with its module. The caller holds the file. False: it
 * is no context.
 */
bool weir_context_hold(struct weir_held_context *held, struct file *file);
/* One more of what is held already. */
void weir_context_hold_again(struct weir_held_context *held, const struct weir_held_context *other);
void weir_context_let_go(struct weir_held_context *held);

/*
 * bond.c: binds the device to a context, which its group's owner has; and undoes it, attached or
 * not. [1] and [3] are held. Errors are those of weir_context_ops.bind().
 */
int weir_bond_make(struct weir_device *device, const struct weir_held_context *held, bool own_node);
void weir_bond_end(struct weir_device *device);
/* weir_context_ops.attach() and detach() of a device that is bound; [3] is held. */
int weir_bond_attach(struct weir_device *device, u32 *id);
int weir_bond_attach_compatible(struct weir_device *device);
void weir_bond_detach(struct weir_device *device);

/* cdev.c: devices' own nodes. */
int weir_cdevs_init(void);
void weir_cdevs_exit(void);
dev_t weir_cdev_number(const struct weir_device *device);
int weir_cdev_open(struct inode *inode, struct file *file);
/* Any file of a device; makes a parked one usable. */
long weir_cdev_bind(struct weir_device_file *device_file,
		    struct vfio_device_bind_iommufd __user *argument);
/* Of a device that is bound by its own node. */
long weir_cdev_attach(struct weir_device *device,
		      struct vfio_device_attach_iommufd_pt __user *argument);
long weir_cdev_detach(struct weir_device *device,
		      struct vfio_device_detach_iommufd_pt __user *argument);

/* group.c */
int weir_groups_init(void);
void weir_groups_exit(void);

/*
 * The group of a device, made when it is the group's first. An ERR_PTR: -EINVAL, the device has no
 * IOMMU, which is not enabled, or its DMA is not coherent; -ENOMEM...
 */
struct weir_group *weir_group_join(struct device *parent);
void weir_group_leave(struct weir_group *group, struct device *parent);

/* device.c: the class of all devices. */
int weir_devices_init(void);
void weir_devices_exit(void);

/*
 * The device of the group by its name, which may be opened, and is waited for until unuse. An
 * ERR_PTR: -ENODEV...
 */
struct weir_device *weir_device_use(struct weir_group *group, const char *name);
void weir_device_unuse(struct weir_device *device);

/* device_file.c: of all files of devices. */
extern const struct file_operations weir_device_fops;
/*
 * A new file of a device that is in use, which the file takes over when this succeeds. [1] of the
 * group is held, whose file is open and whose container has a backend, or is a context. An ERR_PTR.
 */
struct file *weir_device_file_open(struct weir_device *device);
/*
 * Binds a device that is in use to the context, and opens it. [1] of its group is held, whose file
 * is not open. -EINVAL: it is open.
 */
int weir_device_open_by_node(struct weir_device *device, const struct weir_held_context *held);
/* One user less of an open device, whose last one closes and unbinds it. [1] is held. */
void weir_device_close(struct weir_device *device);

/* device_set.c: does nothing for a device that is in none. */
void weir_device_leave_set(struct weir_device *device);

/* inode.c: an inode for nothing but its mapping. An ERR_PTR. */
struct inode *weir_inode_new(void);
void weir_inode_free(struct inode *inode);

#endif
