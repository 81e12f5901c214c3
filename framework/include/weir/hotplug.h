/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file hotplug.h
 * PCI functions that come and go: what the kernel says about them, as it says it.
 *
 * A program that waits for a device opens a watch first and then tries weir_device_open(): a device
 * that is not there yet, or has no driver yet, is announced by the watch. That somebody wants a
 * device back, or that it is lost, is an event of the device itself (device.h), which comes before
 * the watch says that the function is gone: the kernel waits until nobody has it open.
 *
 * The kernel's messages (netlink, NETLINK_KOBJECT_UEVENT) are open to every user. A container whose
 * user namespace is not the machine's gets none.
 *
 * Threads: a watch belongs to one thread at a time. There are no hidden threads and no callbacks.
 */
#ifndef WEIR_HOTPLUG_H
#define WEIR_HOTPLUG_H

#include <stdint.h>
#include <weir/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_hotplug;

/** What happened to a PCI function. */
enum weir_hotplug_type {
	WEIR_HOTPLUG_ADDED = 1, /**< it is there */
	WEIR_HOTPLUG_REMOVED = 2, /**< it is not there any more */
	WEIR_HOTPLUG_BOUND = 3, /**< a driver has taken it, `driver` names it: once that is
				   vfio-pci the device can be opened, by whom its nodes allow */
	WEIR_HOTPLUG_UNBOUND = 4, /**< no driver has it any more */
	WEIR_HOTPLUG_MISSED = 5, /**< messages came faster than they were taken, and some are lost:
				    try to open what is waited for; all else is zero */
};

/** An event. Strings are always terminated. */
struct weir_hotplug_event {
	uint32_t type; /**< enum weir_hotplug_type */
	uint32_t class_code; /**< base class, subclass, interface: 0x010802 is NVMe */
	uint16_t vendor_id; /**< PCI vendor */
	uint16_t device_id; /**< PCI device */
	uint32_t reserved; /**< zero */
	char address[24]; /**< as weir_device_open() takes it */
	char driver[40]; /**< with WEIR_HOTPLUG_BOUND; else "" */
};

/**
 * Begins to watch. What happens from now on is kept until it is taken, up to a megabyte of messages
 * or what net.core.rmem_max allows.
 *
 * @param[out] hotplug  owned by the caller; end it with weir_hotplug_close()
 * @retval -EMFILE, -ENFILE no file descriptor left
 * @retval -ENOMEM no memory
 * @retval -errno what socket() or bind() says: -EAFNOSUPPORT where a sandbox forbids netlink
 */
int weir_hotplug_open(struct weir_hotplug **hotplug, struct weir_error *err);

/** Ends a watch. NULL is allowed. */
void weir_hotplug_close(struct weir_hotplug *hotplug);

/**
 * Takes events, the oldest first. Does not wait.
 *
 * @return how many were written to `events`, at most `max`; 0: none. Negative: what recvmsg() says,
 * which leaves the watch usable.
 */
int weir_hotplug_events(struct weir_hotplug *hotplug, struct weir_hotplug_event *events,
			unsigned int max);

/** A descriptor that polls readable when weir_hotplug_events() has work. Owned by the watch. */
int weir_hotplug_fd(const struct weir_hotplug *hotplug);

#ifdef __cplusplus
}
#endif

#endif
