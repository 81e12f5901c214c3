/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of device nodes (/dev/vfio/devices/vfioN), with the numbers and layouts of Linux 7.2, which
 * the headers of the lab's systems lack. As in calls.h, each returns what the call did, or a
 * negative errno.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_CDEV_CALLS_H
#define WEIR_TESTS_GUEST_KERNEL_CDEV_CALLS_H

#include "iommufd_calls.h"

#define DEVICE_BIND _IO(VFIO_TYPE, VFIO_BASE + 18)
#define DEVICE_ATTACH _IO(VFIO_TYPE, VFIO_BASE + 19)
#define DEVICE_DETACH _IO(VFIO_TYPE, VFIO_BASE + 20)

struct device_bind {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token;
};

struct device_attach {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
	uint32_t pasid;
};

struct device_detach {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pasid;
};

/* The flag of ATTACH and DETACH. */
#define DEVICE_PASID 1u

#define HOT_RESET_DEV_ID 1u
#define HOT_RESET_OWNED 2u
#define DEVID_OWNED 0u
#define DEVID_NOT_OWNED UINT32_MAX

/* Sizes of the first version of each. */
#define BIND_LEAST 16u
#define ATTACH_LEAST 12u
#define DETACH_LEAST 8u

/* The device's name, "vfioN"; "" if it has none. */
void cdev_name(char *name, size_t size, const char *bdf);

/* Of the device by its address, parked. */
int open_parked(const char *bdf);

/* The device's id in the context, which is positive. */
long bind_device(int device, int iommufd);
/* The page table that the device is attached to then. */
long attach_device(int device, uint32_t id);
long detach_device(int device);

/* A device by its own node, bound; its id, and the id of the address space it is attached to. */
struct cdev_session {
	int iommufd;
	int device;
	uint32_t id;
	uint32_t ioas;
};

/* To a context there is, and attached to nothing. */
struct cdev_session must_bind_only(enum conform_kind kind, int iommufd);
/* To a new context, and attached to a new address space. */
struct cdev_session must_bind(enum conform_kind kind);
/* Device first; what is -1 is not open. */
void close_cdev_session(struct cdev_session *session);

#endif
