/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contexts: what is behind a file of /dev/iommu. The core knows no more of them than is here; their
 * module, iommufd, registers itself when it is loaded.
 *
 * A device is bound to a context before its user may do anything with it: by
 * VFIO_DEVICE_BIND_IOMMUFD on its own file, or when it is taken from a group whose container is a
 * context. Bound, it is attached to an address space of that context, and may be attached to
 * another one later.
 *
 * Whoever has a struct weir_context holds the file that it came from, for as long. A binding has no
 * reference of its own to anything: the core unbinds before it lets go of file or device.
 *
 * Locks: every operation but of_file() is called with [1] of the device's group or [3] of its set
 * held, or both, and none of [4] to [13].
 */
#ifndef WEIR_CORE_CONTEXT_H
#define WEIR_CORE_CONTEXT_H

#include <linux/types.h>

struct file;
struct module;
struct weir_binding;
struct weir_context;
struct weir_device;

struct weir_context_ops {
	/* Held by the core while a context is in use. */
	struct module *owner;

	/* The context of a file, NULL if it is none of /dev/iommu. Takes no lock. */
	struct weir_context *(*of_file)(const struct file *file);

	/*
	 * Claims the DMA of the device's group for the context, counted by the context's devices of
	 * that group, and makes the device an object of the context, whose id is *id. It reaches
	 * nothing yet. The device is bound to no context.
	 *
	 * An ERR_PTR: -ENOMEM; -EPERM when its interrupts are not isolated and this is not allowed,
	 * or when the group's DMA is somebody else's, also a host driver's; -EBUSY when the IOMMU
	 * core cannot give it at the moment.
	 */
	struct weir_binding *(*bind)(struct weir_context *context, struct weir_device *device,
				     u32 *id);
	/* Undoes it. The device is detached. Cannot fail. */
	void (*unbind)(struct weir_binding *binding);

	/*
	 * The device reaches what is mapped in the address space, or behind the page table, that
	 * *id names; it is taken from the one it was attached to, if any. *id is then the page
	 * table's, which was perhaps made for it. On failure it is attached as before, or, when
	 * memory is short for that, too, to nothing: -ENOENT, no such object; -EINVAL, an object of
	 * another kind, or a group's other device is attached elsewhere; -EADDRINUSE, an area lies
	 * where the device cannot reach; -EFAULT, memory of an area is not there; -ENOMEM.
	 */
	int (*attach)(struct weir_binding *binding, u32 *id);
	/*
	 * It reaches nothing when this returns, unless another device of its group is attached:
	 * a group reaches one and the same. Does nothing if it is not attached. Cannot fail.
	 */
	void (*detach)(struct weir_binding *binding);

	/*
	 * For a context in the place of a container of groups without an IOMMU: from now on it has
	 * no compatible address space but one that user space names. Nothing is bound or attached
	 * for these. -EINVAL: it has such an address space.
	 */
	int (*set_no_iommu)(struct weir_context *context);

	/*
	 * For a context in the place of a container: the id of the address space that type 1's
	 * ioctls work on. When there is none, it is made if make says so. -ENODEV, there is none;
	 * -EINVAL, it is to be made, and the context is for groups without an IOMMU; -ENOMEM. No
	 * device need be bound.
	 */
	int (*compatible)(struct weir_context *context, bool make, u32 *id);
};

/*
 * Whether devices without an IOMMU are taken, by the module's parameter: what VFIO_CHECK_EXTENSION
 * says of VFIO_NOIOMMU_IOMMU on a context. Any context.
 */
bool weir_no_iommu_enabled(void);

/* Once, from module init and exit; never fails. No context is in use at the end. */
void weir_contexts_register(const struct weir_context_ops *ops);
void weir_contexts_unregister(const struct weir_context_ops *ops);

#endif
