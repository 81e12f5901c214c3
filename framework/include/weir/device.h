/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file device.h
 * One PCI device: configuration space, BARs, interrupts, reset and events, the same over every
 * transport.
 *
 * A device is named by its address: `0000:3b:00.0` is a PCI function, `vfio-user:/path/to/socket` a
 * device that another process serves. Nothing else in a program changes with it.
 *
 * A PCI function is opened through the kernel's VFIO, in one of two ways: "cdev" (its own node in
 * /dev/vfio/devices and /dev/iommu), where this process may use both nodes, or else "group"
 * (/dev/vfio/N in a container with a type1 IOMMU). weir_device_options::transport chooses one, and
 * where it is NULL the environment variable WEIR_TRANSPORT, if it is set. Devices that are opened
 * the same way into one IOAS share one translation there.
 *
 * A device can vanish at any moment. Calls then return -ENODEV and reads of mapped registers return
 * what the transport leaves behind: all ones, once the fault guard (fault_guard.h) has replaced the
 * pages. Devices and servers are not trusted: whatever they say is checked before it is used.
 *
 * Threads: all calls may be made from any thread, except weir_device_close(), weir_device_abandon()
 * and weir_device_events(), which belong to one thread at a time. There are no hidden threads and
 * no callbacks.
 */
#ifndef WEIR_DEVICE_H
#define WEIR_DEVICE_H

#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>
#include <weir/ioas.h>
#include <weir/log.h>
#include <weir/state.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_device;

/** Regions as VFIO numbers them (linux/vfio.h, VFIO_PCI_*_REGION_INDEX). */
enum weir_region {
	WEIR_REGION_BAR0 = 0,
	WEIR_REGION_BAR5 = 5,
	WEIR_REGION_ROM = 6,
	WEIR_REGION_CONFIG = 7,
};

/** Interrupt kinds as VFIO numbers them (linux/vfio.h, VFIO_PCI_*_IRQ_INDEX). */
enum weir_irq {
	WEIR_IRQ_INTX = 0,
	WEIR_IRQ_MSI = 1,
	WEIR_IRQ_MSIX = 2,
	WEIR_IRQ_ERROR = 3,
	WEIR_IRQ_REQUEST = 4,
};

/** How to open a device. */
struct weir_device_options {
	/** sizeof(struct weir_device_options). */
	size_t size;
	/** "group", "cdev" or "vfio-user" forces a transport; NULL: by the address, the environment
	 * variable WEIR_TRANSPORT and what the kernel offers. */
	const char *transport;
	/** Longest wait for one answer of a vfio-user server, in ms; 1 to 600000; 0: 5000. */
	unsigned int timeout_ms;
	/** Must be zero. */
	unsigned int reserved;
	/** Where its messages go. */
	struct weir_log log;
};

/** Defaults. */
#define WEIR_DEVICE_OPTIONS_INIT \
	{ \
		sizeof(struct weir_device_options), NULL, 0, 0, \
		{ \
			NULL, NULL, WEIR_LOG_WARN \
		} \
	}

/**
 * Opens a device and attaches it to an IOAS, whose mappings it can reach from then on.
 *
 * A device has one owner: a second open, by any process, fails and the text names the holder's
 * process id if it can be found.
 *
 * @param address  see the top of this file
 * @param ioas     must outlive the device
 * @param options  NULL for the defaults
 * @param[out] dev owned by the caller; end it with weir_device_close()
 * @retval -EINVAL the address is neither form, an option is out of range, or the transport asked
 * for does not go with the address; the text names the value and the limit
 * @retval -ENOENT there is no such device or socket
 * @retval -ECONNREFUSED nobody serves that socket
 * @retval -EBUSY somebody holds it; the text names the process, or the driver of the kernel that it
 * or a device of its IOMMU group is bound to
 * @retval -EPROTO the server does not speak the protocol, or said something out of its rules; the
 * text says what
 * @retval -ETIMEDOUT the server did not answer in time
 * @retval -ENODEV the server went away meanwhile
 * @retval -EIO the server refused; the text says what
 * @retval -EOPNOTSUPP the transport is not available here (the IOMMU is off, a module is not
 * loaded, no driver is bound, a node is missing; the text says which and what mends it), or the
 * IOAS has mappings that it cannot take
 * @retval -ERANGE the IOAS has a mapping that the device cannot address; the text names both ranges
 * @retval -ENOMEM no memory, or RLIMIT_MEMLOCK does not allow to map what is in the IOAS: the text
 * says how much was needed and allowed
 * @retval -EACCES no rights; the text names the node
 */
int weir_device_open(const char *address, struct weir_ioas *ioas,
		     const struct weir_device_options *options, struct weir_device **dev,
		     struct weir_error *err);

/**
 * Closes a device: detaches it from its IOAS and gives it back. A vfio-user server has up to a
 * second to let go of the memory. NULL is allowed.
 */
void weir_device_close(struct weir_device *dev);

/** What a device is. The strings live as long as the device. */
struct weir_device_info {
	const char *address; /**< as given to weir_device_open() */
	const char *transport; /**< "vfio-user", "group" or "cdev" */
	uint16_t vendor_id; /**< configuration space, offset 00h */
	uint16_t device_id; /**< offset 02h */
	uint16_t subsystem_vendor_id; /**< offset 2Ch */
	uint16_t subsystem_id; /**< offset 2Eh */
	uint32_t class_code; /**< base class, subclass, interface: 0x010802 is NVMe */
	uint8_t revision; /**< offset 08h */
	uint8_t reset; /**< 1: weir_device_reset() is there */
	uint16_t reserved; /**< zero */
	int node; /**< NUMA node, or WEIR_NODE_ANY */
	unsigned int nr_regions; /**< regions, at least 9 */
	unsigned int nr_irqs; /**< interrupt kinds */
};

/** Fills `info`. */
void weir_device_info(const struct weir_device *dev, struct weir_device_info *info);

/** The IOAS that the device was opened into. */
struct weir_ioas *weir_device_ioas(const struct weir_device *dev);

/** 1 when the device is lost (server gone, unplugged, fault): every other call then says -ENODEV.
 * Otherwise 0. */
int weir_device_gone(const struct weir_device *dev);

/** Bytes of a region; 0: it is absent. */
uint64_t weir_device_region_bytes(const struct weir_device *dev, unsigned int region);

/**
 * Where [offset, offset + bytes) of a BAR is mapped in this process, or NULL when not all of it can
 * be mapped: then weir_device_read() and weir_device_write() reach it. Valid until the device is
 * closed.
 */
volatile void *weir_device_bar(const struct weir_device *dev, unsigned int bar, uint64_t offset,
			       uint64_t bytes);

/**
 * Reads a region, configuration space included, without mapping: through the kernel or by message.
 *
 * @param bytes  1, 2, 4 or 8 for registers, done as one access; any length for memory
 * @retval -EINVAL past the end of the region, or an absent region; the text names both
 * @retval -ENODEV the device is gone
 * @retval -ETIMEDOUT, -EPROTO as for weir_device_open(); the device is gone afterwards
 * @retval -EIO the device refused
 */
int weir_device_read(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
		     size_t bytes, struct weir_error *err);

/** Writes a region. Parameters and errors are those of weir_device_read(). */
int weir_device_write(struct weir_device *dev, unsigned int region, uint64_t offset,
		      const void *data, size_t bytes, struct weir_error *err);

/** Reads a 32-bit register of a BAR, through the mapping when there is one. Errors as
 * weir_device_read(). */
int weir_device_read32(struct weir_device *dev, unsigned int bar, uint64_t offset, uint32_t *value);

/** Writes a 32-bit register of a BAR, through the mapping when there is one. Errors as
 * weir_device_read(). */
int weir_device_write32(struct weir_device *dev, unsigned int bar, uint64_t offset, uint32_t value);

/** Reads a 64-bit register of a BAR, through the mapping when there is one. Errors as
 * weir_device_read(). */
int weir_device_read64(struct weir_device *dev, unsigned int bar, uint64_t offset, uint64_t *value);

/** Writes a 64-bit register of a BAR, through the mapping when there is one. Errors as
 * weir_device_read(). */
int weir_device_write64(struct weir_device *dev, unsigned int bar, uint64_t offset, uint64_t value);

/**
 * Allows or forbids the device to start DMA: the bus master bit of the PCI command register
 * (PCI 3.0 §6.2.2). Memory decoding is enabled with it.
 */
int weir_device_bus_master(struct weir_device *dev, int enable, struct weir_error *err);

/**
 * Finds a capability in configuration space (PCI 3.0 §6.7). The list is followed for at most 48
 * steps, whatever it says.
 *
 * @return its offset, or -ENOENT, or -ENODEV
 */
int weir_device_find_capability(struct weir_device *dev, uint8_t id);

/**
 * Resets the function. Interrupts stay bound, mappings stay; the driver sets the device up again.
 *
 * A function behind VFIO that has no reset of its own is reset with its slot or bus. Other devices
 * on it that are open in the same IOAS then report a WEIR_EVENT_ERROR.
 *
 * @retval -EOPNOTSUPP the device has no reset
 * @retval -EBUSY a reset of its bus would hit a device that is not open in the same IOAS; the text
 * names it
 * @retval -ENODEV, -ETIMEDOUT, -EPROTO, -EIO as for weir_device_read()
 */
int weir_device_reset(struct weir_device *dev, struct weir_error *err);

/** How many interrupts of a kind the device has; 0: none. */
unsigned int weir_irq_count(const struct weir_device *dev, enum weir_irq kind);

/**
 * Binds interrupts [first, first + count) of a kind to eventfds.
 *
 * @param eventfds  `count` descriptors; the device takes duplicates. -1 leaves that interrupt
 * unbound.
 * @retval -EINVAL out of the device's range, the text names both; or WEIR_IRQ_ERROR or
 * WEIR_IRQ_REQUEST, which are reported by weir_device_events()
 * @retval -EBADF one of the descriptors is neither -1 nor open
 * @retval -ENODEV, -ETIMEDOUT, -EPROTO, -EIO as for weir_device_read()
 */
int weir_irq_bind(struct weir_device *dev, enum weir_irq kind, unsigned int first,
		  unsigned int count, const int *eventfds, struct weir_error *err);

/** Unbinds all interrupts of a kind and disables it. */
int weir_irq_unbind(struct weir_device *dev, enum weir_irq kind, struct weir_error *err);

/**
 * Lets MSI-X vector `vector` interrupt: clears its mask bit (PCI 3.0 §6.8.2.9). What became pending
 * while it was masked is delivered now. After arming, look at the queue once more before sleeping.
 *
 * While INTx is bound, vector 0 is its line. Behind VFIO an interrupt of a level-triggered line
 * masks it, until it is armed again.
 *
 * @retval -EOPNOTSUPP the device has no MSI-X table that can be used
 * @retval -EINVAL it has no such vector
 * @retval -ENODEV, -ETIMEDOUT, -EPROTO, -EIO as for weir_device_read()
 */
int weir_irq_arm(struct weir_device *dev, unsigned int vector);

/** Keeps MSI-X vector `vector` from interrupting: sets its mask bit. Errors as weir_irq_arm(). */
int weir_irq_disarm(struct weir_device *dev, unsigned int vector);

/** What happened to a device. */
enum weir_event_type {
	WEIR_EVENT_GONE = 1, /**< it is lost; `error` says why. Reported once. */
	WEIR_EVENT_REMOVE_REQUEST = 2, /**< somebody wants it back: stop, then close it */
	WEIR_EVENT_ERROR = 3, /**< it reported an uncorrectable error */
	WEIR_EVENT_MAPPING_DEAD = 4, /**< a mapping was revoked; `iova` is its first address */
};

/** An event. */
struct weir_event {
	uint32_t type; /**< enum weir_event_type */
	int32_t error; /**< a negative errno, or 0 */
	uint64_t iova; /**< see the type */
};

/**
 * Takes the events that have happened and serves what the transport needs: a vfio-user server that
 * reads and writes memory by message is answered here, and in every call that waits for an answer.
 * Waits for nothing but room for such an answer.
 *
 * @return how many events were written to `events`, at most `max`; 0: none. Once the device is gone
 * and that was reported, -ENODEV.
 */
int weir_device_events(struct weir_device *dev, struct weir_event *events, unsigned int max);

/**
 * A descriptor that polls readable when weir_device_events() has work, and not after the device is
 * gone and that was reported. Owned by the device; it may be put into an epoll descriptor.
 *
 * A program may sleep on it without calling anything meanwhile: it wakes for what the kernel or the
 * server says, when the server's end of the connection closes, which it does when the server dies,
 * and when any thread touches a BAR whose file was cut off (with the fault guard on). Nothing wakes
 * it for a server that is there and does not answer: a call finds that out.
 */
int weir_device_event_fd(const struct weir_device *dev);

/**
 * Adds the device to a state: region layout and duplicates of its descriptors.
 *
 * @retval -EOPNOTSUPP the device is behind VFIO: such devices are not handed over, and
 * weir_device_abandon() closes them
 * @retval -EBUSY a call is waiting for an answer
 * @retval -ENODEV the device is gone
 * @retval -E2BIG the state is full
 */
int weir_device_save(struct weir_device *dev, struct weir_state *state, struct weir_error *err);

/**
 * Makes the next record of a state a device again, without telling the device.
 *
 * @param ioas  the adopted IOAS that it was attached to
 * @retval -EINVAL no such record, or a damaged one
 */
int weir_device_adopt(struct weir_state *state, struct weir_ioas *ioas,
		      const struct weir_device_options *options, struct weir_device **dev,
		      struct weir_error *err);

/** Ends the handle and leaves the device running for a successor. A device that cannot be saved is
 * closed. */
void weir_device_abandon(struct weir_device *dev);

#ifdef __cplusplus
}
#endif

#endif
