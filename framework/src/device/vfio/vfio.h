/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices behind the kernel's VFIO, reached through one of two doors:
 *
 *   group  /dev/vfio/N in a container with a type1 IOMMU
 *   cdev   /dev/vfio/devices/vfioN, bound to an I/O address space of /dev/iommu
 *
 * The doors differ in how a device is had and how memory is mapped (struct vfio_door); what
 * follows, regions, interrupts, resets, is the same.
 *
 * Ownership: a vfio_space is one translation, a container or an iommufd with one address space. All
 * devices that a weir_ioas has behind one door share it. The first device that joins makes it, the
 * last one that leaves ends it; it hangs in the IOAS (struct ioas_shared). A group belongs to the
 * space and stays open while one of its devices is.
 *
 * Locks, in the order in which they are taken; see also ioas/ioas_private.h:
 *
 *   ioas_shared.lock         devices, groups and limits of a space; held while a device joins,
 *                            leaves or is reset together with others
 *   weir_device.config_lock
 *   vfio_device.irq_lock     which eventfds are bound
 *   vfio_space.list_lock     the list of devices once more, for readers that may hold any lock of
 *                            the IOAS
 *
 * The kernel serialises the system calls on a device or a container by itself.
 */
#ifndef WEIR_VFIO_VFIO_H
#define WEIR_VFIO_VFIO_H

#include <sys/queue.h>

#include "device/transport.h"
#include "device/vfio/place.h"
#include "device/vfio/uapi.h"

/* The kinds of interrupts that have a vector each: INTx, MSI and MSI-X. */
#define VFIO_VECTOR_KINDS 3

/* What is bound to the interrupts of a kind. */
struct vfio_vectors {
	int *fds; /* duplicates of the eventfds, -1: none; as many as the kind has interrupts */
	bool *masked; /* unbound for the kernel, because it cannot be masked otherwise */
	unsigned int nr_enabled; /* how many the kernel has set up; 0: the kind is disabled */
};

struct vfio_group {
	LIST_ENTRY(vfio_group) link;
	char number[PLACE_NAME];
	int fd;
	unsigned int users; /* devices */
};

struct vfio_device {
	LIST_ENTRY(vfio_device) link;
	struct weir_device *dev;
	const struct vfio_door *door;
	struct vfio_space *space; /* NULL: it has not joined, or has left */
	struct vfio_group *group; /* behind the door `group` */
	struct vfio_place place;
	int fd;
	bool function_reset;
	uint64_t deaths_taken; /* see ioas_take_dead_since() */
	uint64_t next_check; /* when serve() looks whether it is still there */

	pthread_mutex_t irq_lock;
	uint32_t irq_flags[DEVICE_MAX_IRQ_KINDS];
	struct vfio_vectors vectors[VFIO_VECTOR_KINDS];
};

struct vfio_space {
	const struct vfio_door *door;
	struct weir_ioas *ioas;
	int fd; /* the container or iommufd */
	int type; /* behind `group`: the IOMMU that was chosen; 0: none yet */
	uint32_t ioas_id; /* behind `cdev` */
	struct ioas_limits limits;
	struct ioas_attachment *attachment; /* NULL until a device has come so far */
	_Atomic uint64_t nr_mapped;
	_Atomic bool no_map_file; /* behind `cdev`: the kernel cannot map by descriptor */
	LIST_HEAD(, vfio_group) groups;
	pthread_mutex_t list_lock;
	LIST_HEAD(, vfio_device) devices;
};

struct vfio_door {
	enum ioas_shared_kind kind;
	const struct ioas_backend_ops *backend;

	/* What is in the way of opening a device, as far as it can be seen: see place.h. */
	int (*check)(const char *root, const struct vfio_place *place, struct weir_error *err);

	/* Opens the container or iommufd. Guarantees: on an error space->fd is -1. */
	int (*open)(struct vfio_space *space, struct weir_error *err);

	/*
	 * Opens the device and puts it under the space's translation.
	 * Guarantees: on an error nothing of it is left.
	 */
	int (*join)(struct vfio_space *space, struct vfio_device *vdev, struct weir_error *err);

	/* Asks for space->limits, which change when a device joins. */
	int (*ask_limits)(struct vfio_space *space, struct weir_error *err);

	/* Closes the device and what it needed of the space. */
	void (*leave)(struct vfio_space *space, struct vfio_device *vdev);

	/* Resets the slot or bus that the device is on, with the devices of `info`. -EBUSY: one of
	 * them is not in this space. With ioas_shared.lock. */
	int (*hot_reset)(struct vfio_device *vdev, const struct uapi_vfio_hot_reset_info *info,
			 struct weir_error *err);

	/* As transport_ops::export. */
	int (*export)(struct vfio_device *vdev, unsigned int bar, const struct weir_range *ranges,
		      unsigned int nr, struct weir_dmabuf *dmabuf, struct weir_error *err);
};

extern const struct vfio_door vfio_group_door;
extern const struct vfio_door vfio_cdev_door;

/* space.c */

/* Joins the space that the device's IOAS has behind its door, or makes it. */
int vfio_join(struct vfio_device *vdev, struct weir_error *err);
/* Attaches the space to the IOAS unless it is. */
int vfio_attach(struct vfio_device *vdev, struct weir_error *err);
void vfio_leave(struct vfio_device *vdev);
/* Whether one of the space's devices is that PCI function. With ioas_shared.lock. */
struct vfio_device *vfio_find(struct vfio_space *space, const char *address);
/* Backend operations that both doors have: see ioas/backend.h. */
void vfio_backend_limits(const void *backend, struct ioas_limits *limits);
bool vfio_backend_dead(const void *backend);
void vfio_backend_mapping_died(void *backend);

/* describe.c: asks for the device, its regions and its interrupts. */
int vfio_describe(struct vfio_device *vdev, struct weir_error *err);

/* access.c */
int vfio_read(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
	      size_t bytes, struct weir_error *err);
int vfio_write(struct weir_device *dev, unsigned int region, uint64_t offset, const void *data,
	       size_t bytes, struct weir_error *err);
/* Whether the device answers; declares it lost if it does not. */
bool vfio_check_presence(struct vfio_device *vdev);
/* Turns a failed call on the device into an error, -ENODEV when the device is no more. */
int vfio_failed(struct vfio_device *vdev, int error, struct weir_error *err, const char *format,
		...) __attribute__((format(printf, 4, 5)));

/* irqs.c */
int vfio_bind_irqs(struct weir_device *dev, unsigned int kind, unsigned int first,
		   unsigned int count, const int *eventfds, struct weir_error *err);
int vfio_unbind_irqs(struct weir_device *dev, unsigned int kind, struct weir_error *err);
int vfio_mask_irq(struct weir_device *dev, unsigned int kind, unsigned int vector, bool masked);
/* Room for what is bound. -ENOMEM. */
int vfio_vectors_init(struct vfio_device *vdev);
void vfio_vectors_free(struct vfio_device *vdev);

/* reset.c */
int vfio_reset(struct weir_device *dev, struct weir_error *err);
/* Whether there is a reset of the slot or bus. */
bool vfio_has_hot_reset(const struct vfio_device *vdev);
/* Says that a reset of slot or bus would hit somebody else's device. Returns -EBUSY. */
int vfio_reset_would_hit(const struct vfio_device *vdev,
			 const struct uapi_vfio_dependent_device *other, struct weir_error *err);

/* memlock.c: the text of an -ENOMEM on mapping. */
int vfio_no_memory(uint64_t bytes, struct weir_error *err);

#endif
