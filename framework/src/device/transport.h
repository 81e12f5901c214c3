/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a device is reached: the seam between what a device is (device.h) and who carries its
 * accesses. Transports are listed in transport.c.
 *
 * Every function that reaches the device may be called from any thread at the same time, except
 * open, adopt and close. An error -ENODEV, -ETIMEDOUT or -EPROTO means that the device is gone:
 * the transport has called device_lost() then.
 */
#ifndef WEIR_DEVICE_TRANSPORT_H
#define WEIR_DEVICE_TRANSPORT_H

#include <weir/p2p.h>

#include "device/device.h"

#define TRANSPORT_STATE_BYTES 64

struct transport_state {
	_Alignas(8) uint8_t bytes[TRANSPORT_STATE_BYTES];
	int fd;
};

struct transport_ops {
	/* As weir_device_options::transport and weir_device_info::transport have it. */
	const char *name;

	/* Whether an address is of this transport's form. */
	bool (*matches)(const char *address);

	/* Whether the kernel offers what it needs for that device, to this process. NULL: always.
	 */
	bool (*offered)(const char *address);

	/*
	 * Connects and describes the device: regions (areas checked, not mapped), interrupts,
	 * reset. Sets dev->link.
	 * Guarantees: on an error nothing of it is left but descriptors in dev->regions.
	 */
	int (*open)(struct weir_device *dev, struct weir_error *err);

	/*
	 * Attaches the device to dev->ioas.
	 * Guarantees: with adopted set the device is told nothing.
	 */
	int (*attach)(struct weir_device *dev, bool adopted, struct weir_error *err);

	/*
	 * Detaches and gives the device back, or leaves it as it is for a successor. Called once
	 * after open() or adopt() succeeded, also when attach() did not.
	 * Guarantees: the IOAS does not call it any more.
	 */
	void (*close)(struct weir_device *dev, bool for_successor);

	/*
	 * Accesses [offset, offset + bytes) of a region, which is inside it.
	 * Guarantees: 1, 2, 4 and 8 bytes are one access.
	 */
	int (*read)(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
		    size_t bytes, struct weir_error *err);
	int (*write)(struct weir_device *dev, unsigned int region, uint64_t offset,
		     const void *data, size_t bytes, struct weir_error *err);

	/* Binds interrupts, which are in range, to eventfds; -1 unbinds. The descriptors are lent.
	 */
	int (*bind_irqs)(struct weir_device *dev, unsigned int kind, unsigned int first,
			 unsigned int count, const int *eventfds, struct weir_error *err);
	/* Unbinds all of a kind and disables it. */
	int (*unbind_irqs)(struct weir_device *dev, unsigned int kind, struct weir_error *err);

	/*
	 * Masks or unmasks one interrupt of a kind. Called for INTx, and for MSI-X vectors whose
	 * table is not mapped. NULL: the table is reached by read() and write(), INTx is not
	 * maskable.
	 */
	int (*mask_irq)(struct weir_device *dev, unsigned int kind, unsigned int vector,
			bool masked);

	/* Resets the function. Guarantees: interrupts stay bound, masked ones stay masked. */
	int (*reset)(struct weir_device *dev, struct weir_error *err);

	/*
	 * Serves what has arrived without waiting for more. Called by the thread that takes events.
	 * Guarantees: a lost device is noticed here at the latest.
	 */
	void (*serve)(struct weir_device *dev);

	/* A descriptor that polls readable when serve() has work, or -1. */
	int (*event_fd)(const struct weir_device *dev);

	/* Takes events of the IOAS: first addresses of mappings that died. */
	unsigned int (*take_dead)(struct weir_device *dev, uint64_t *iovas, unsigned int max);

	/* Exports checked ranges of a BAR. */
	int (*export)(struct weir_device *dev, unsigned int bar, const struct weir_range *ranges,
		      unsigned int nr, struct weir_dmabuf *dmabuf, struct weir_error *err);

	/* What the transport itself needs to go on in another process. -EBUSY while a call waits
	 * for an answer. The descriptor is lent. -EOPNOTSUPP: the device cannot be handed over. */
	int (*save)(struct weir_device *dev, struct transport_state *state, struct weir_error *err);
	/* Sets dev->link from it; owns the descriptor on success. -EINVAL when it is damaged. */
	int (*adopt)(struct weir_device *dev, const struct transport_state *state,
		     struct weir_error *err);
};

/* Chooses the transport for an address; `name` forces one, or is NULL. -EINVAL, -EOPNOTSUPP. */
int transport_choose(const char *address, const char *name, const struct transport_ops **transport,
		     struct weir_error *err);
/* The one of that name, or NULL. */
const struct transport_ops *transport_find(const char *name);

/* Whether an address is that of a PCI function, domain:bus:device.function as sysfs writes it. */
bool transport_is_pci(const char *address);

extern const struct transport_ops vfio_user_transport;
extern const struct transport_ops vfio_cdev_transport;
extern const struct transport_ops vfio_group_transport;

#endif
