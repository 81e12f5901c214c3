/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Backends: what is behind a container (/dev/vfio/vfio) after VFIO_SET_IOMMU. Type 1 is one.
 *
 * A backend's module registers itself when it is loaded. The core holds it, by try_module_get(),
 * for as long as a container uses it, so that it can only be unloaded unused.
 */
#ifndef WEIR_CORE_BACKEND_H
#define WEIR_CORE_BACKEND_H

#include <linux/list.h>
#include <linux/types.h>

struct iommu_group;
struct module;

/*
 * data is what open() returned. Every operation runs with the container's lock [2] held: for
 * writing in open, release, attach_group and detach_group, which are thereby alone; for reading in
 * ioctl and check_extension, of which many run at the same time.
 */
struct weir_backend_ops {
	const char *name;
	struct module *owner;

	/*
	 * Whether the extension (VFIO_TYPE1_IOMMU...) is there. data is NULL before VFIO_SET_IOMMU;
	 * then it also says whether open() would take this as a type.
	 */
	bool (*check_extension)(void *data, unsigned long extension);

	/*
	 * A new address space for a container, of a type that check_extension() owned to. An
	 * ERR_PTR.
	 */
	void *(*open)(unsigned long type);
	/* Ends it with all that is mapped. Every group is detached. */
	void (*release)(void *data);

	/*
	 * Lets the devices of the group reach what is mapped. The group's DMA is owned by the
	 * container. On failure nothing has changed. [1] is held or not.
	 */
	int (*attach_group)(void *data, struct iommu_group *group);
	/* Never fails. When it returns, the group's devices reach nothing of the address space. */
	void (*detach_group)(void *data, struct iommu_group *group);

	/* Everything the core does not know, -ENOTTY if the backend does not either. */
	long (*ioctl)(void *data, unsigned int command, unsigned long argument);
};

/* Memory is the backend's; the core uses entry. */
struct weir_backend {
	const struct weir_backend_ops *ops;
	struct list_head entry;
};

/* Not to be registered twice. From module init and exit; never fails. */
void weir_backend_register(struct weir_backend *backend);
void weir_backend_unregister(struct weir_backend *backend);

#endif
