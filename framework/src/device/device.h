/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a device.
 *
 * A device is described once, when it is opened or adopted: regions, interrupt counts, ids and the
 * place of the MSI-X table do not change afterwards and are read without a lock. `gone` is the one
 * thing that changes under everybody's feet.
 */
#ifndef WEIR_DEVICE_DEVICE_H
#define WEIR_DEVICE_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <weir/device.h>

#include "base/base.h"
#include "ioas/backend.h"

/* What a server or the kernel may claim at most. */
#define DEVICE_MAX_REGIONS 64
#define DEVICE_MAX_AREAS 16
#define DEVICE_MAX_IRQ_KINDS 16
#define DEVICE_MAX_IRQS 2048

/* VFIO_PCI_NUM_REGIONS and VFIO_PCI_NUM_IRQS of linux/vfio.h: what every PCI device has. */
#define DEVICE_PCI_REGIONS 9
#define DEVICE_PCI_IRQS 5

struct transport_ops;

/* A stretch of a region that is mapped here. */
struct device_area {
	uint64_t offset; /* from the start of the region */
	uint64_t bytes;
	uint8_t *base;
};

struct device_region {
	uint64_t bytes; /* 0: absent */
	bool readable;
	bool writable;
	int fd; /* behind its areas, owned unless it is lent; -1: none */
	bool fd_lent;
	uint64_t fd_offset; /* where the region begins in fd */
	struct device_area areas[DEVICE_MAX_AREAS];
	unsigned int nr_areas;
};

/* The MSI-X table (PCI 3.0 §6.8.2); nr_vectors is 0 when there is none that can be used. */
struct device_msix {
	uint32_t capability; /* offset in configuration space */
	uint32_t bar;
	uint32_t offset;
	uint32_t nr_vectors;
};

/* What configuration space says about the device, read once. */
struct device_ids {
	uint16_t vendor_id;
	uint16_t device_id;
	uint16_t subsystem_vendor_id;
	uint16_t subsystem_id;
	uint32_t class_code;
	uint32_t revision;
};

struct weir_device {
	char *address;
	struct weir_log log;
	unsigned int timeout_ms;
	struct weir_ioas *ioas;
	const struct transport_ops *transport;
	void *link; /* the transport's own */

	/* The description. */
	struct device_region regions[DEVICE_MAX_REGIONS];
	unsigned int nr_regions;
	unsigned int irq_counts[DEVICE_MAX_IRQ_KINDS];
	unsigned int nr_irqs;
	bool can_reset;
	int node; /* NUMA node, or WEIR_NODE_ANY */
	struct device_ids ids;
	struct device_msix msix;

	/* Read-modify-writes of configuration space and of vector control words, one at a time.
	 * Taken before a transport's lock. */
	pthread_mutex_t config_lock;
	bool intx_bound; /* arming means the line, not a vector of MSI-X; under config_lock */

	/* Events. */
	_Atomic int gone; /* set by device_lost() and by the fault guard */
	_Atomic int gone_error; /* why, once it is known */
	bool gone_reported;
	int epoll_fd;
	int kick_fd; /* eventfd: there is something to report */
	int notify_fds[2]; /* eventfds of WEIR_IRQ_ERROR and WEIR_IRQ_REQUEST; -1: none */
};

/* device.c: an empty device with its locks; for open and adopt. */
int device_new(const char *address, struct weir_ioas *ioas,
	       const struct weir_device_options *options, struct weir_device **dev,
	       struct weir_error *err);
/* What follows once the transport is open: maps, reads the ids, attaches, listens for events. */
int device_start(struct weir_device *dev, struct weir_error *err);
/* Frees what there is of a device, whose transport is closed. */
void device_free(struct weir_device *dev);

/* lost.c */

/* Declares the device gone. The first reason counts: it is logged and reported as an event. Any
 * thread, any lock held. */
void device_lost(struct weir_device *dev, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Makes the event descriptor readable. */
void device_kick(struct weir_device *dev);

static inline bool device_is_gone(const struct weir_device *dev)
{
	return atomic_load_explicit(&dev->gone, memory_order_acquire);
}

/* -ENODEV with a text. */
int device_gone_error(const struct weir_device *dev, struct weir_error *err);

/* region.c */

/* Checks the areas that a region says can be mapped, against the region and its file. -EPROTO. A
 * file that is lent is the kernel's, which refuses to map past its end. */
int region_check_areas(const struct device_region *region, unsigned int index,
		       struct weir_error *err);
/* Maps the areas of all regions and puts them under the fault guard. */
int regions_map(struct weir_device *dev, struct weir_error *err);
/* Unmaps them and closes the regions' descriptors. */
void regions_release(struct weir_device *dev);

/* config.c */

/* Reads the ids and finds the MSI-X table. */
int config_describe(struct weir_device *dev, struct weir_error *err);
int config_read16(struct weir_device *dev, uint64_t offset, uint16_t *value,
		  struct weir_error *err);
/* Clears and sets bits of a 16-bit register; writes only when that changes it. */
int config_update16(struct weir_device *dev, uint64_t offset, uint16_t clear, uint16_t set,
		    struct weir_error *err);

/* events.c */

/* Makes the event descriptor; binds the error and request interrupts to it, when there are any. */
int events_open(struct weir_device *dev, struct weir_error *err);
/* The same for an adopted device, whose notify_fds are bound already. */
int events_adopt(struct weir_device *dev, struct weir_error *err);

#endif
