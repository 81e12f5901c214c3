/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user protocol, version 0.1: numbers and layouts, as its specification gives them
 * ("vfio-user Protocol Specification"; section names are quoted). Host byte order. Shared by the
 * client here and the server in sim/.
 */
#ifndef WEIR_VFIO_USER_PROTOCOL_H
#define WEIR_VFIO_USER_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define VFIO_USER_MAJOR 0
#define VFIO_USER_MINOR 1

/* Defaults that hold when a capability is not given ("VFIO_USER_VERSION"). */
#define VFIO_USER_DEFAULT_MAX_FDS 1
#define VFIO_USER_DEFAULT_MAX_TRANSFER (1u << 20)
#define VFIO_USER_DEFAULT_MAX_DMA_MAPS 65535u
#define VFIO_USER_DEFAULT_PGSIZES 4096u

/* "Commands" */
enum vfio_user_command {
	VFIO_USER_VERSION = 1,
	VFIO_USER_DMA_MAP = 2,
	VFIO_USER_DMA_UNMAP = 3,
	VFIO_USER_DEVICE_GET_INFO = 4,
	VFIO_USER_DEVICE_GET_REGION_INFO = 5,
	VFIO_USER_DEVICE_GET_REGION_IO_FDS = 6,
	VFIO_USER_DEVICE_GET_IRQ_INFO = 7,
	VFIO_USER_DEVICE_SET_IRQS = 8,
	VFIO_USER_REGION_READ = 9,
	VFIO_USER_REGION_WRITE = 10,
	VFIO_USER_DMA_READ = 11,
	VFIO_USER_DMA_WRITE = 12,
	VFIO_USER_DEVICE_RESET = 13,
	VFIO_USER_REGION_WRITE_MULTI = 15,
	VFIO_USER_DEVICE_FEATURE = 16,
	VFIO_USER_MIG_DATA_READ = 17,
	VFIO_USER_MIG_DATA_WRITE = 18,
};

/* "Header": flags */
#define VFIO_USER_TYPE_MASK 0xfu
#define VFIO_USER_TYPE_COMMAND 0x0u
#define VFIO_USER_TYPE_REPLY 0x1u
#define VFIO_USER_NO_REPLY 0x10u
#define VFIO_USER_ERROR 0x20u

struct vfio_user_header {
	uint16_t id;
	uint16_t command;
	uint32_t bytes; /* of the whole message, header included */
	uint32_t flags;
	uint32_t error; /* errno, valid with VFIO_USER_ERROR */
};
static_assert(sizeof(struct vfio_user_header) == 16, "header");

/* Followed by NUL-terminated JSON, which is optional. */
struct vfio_user_version {
	uint16_t major;
	uint16_t minor;
};
static_assert(sizeof(struct vfio_user_version) == 4, "version");

#define VFIO_USER_DMA_READABLE 0x1u
#define VFIO_USER_DMA_WRITEABLE 0x2u

struct vfio_user_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t address;
	uint64_t bytes;
};
static_assert(sizeof(struct vfio_user_dma_map) == 32, "dma map");

struct vfio_user_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t bytes;
};
static_assert(sizeof(struct vfio_user_dma_unmap) == 24, "dma unmap");

#define VFIO_USER_DEVICE_RESET_SUPPORTED 0x1u
#define VFIO_USER_DEVICE_PCI 0x2u

struct vfio_user_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t nr_regions;
	uint32_t nr_irqs;
};
static_assert(sizeof(struct vfio_user_device_info) == 16, "device info");

#define VFIO_USER_REGION_READABLE 0x1u
#define VFIO_USER_REGION_WRITEABLE 0x2u
#define VFIO_USER_REGION_MMAP 0x4u
#define VFIO_USER_REGION_CAPS 0x8u

struct vfio_user_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t bytes;
	uint64_t offset;
};
static_assert(sizeof(struct vfio_user_region_info) == 32, "region info");

/* "VFIO region capabilities"; `next` counts from the start of the region info. */
struct vfio_user_cap_header {
	uint16_t id;
	uint16_t version;
	uint32_t next;
};
static_assert(sizeof(struct vfio_user_cap_header) == 8, "capability header");

#define VFIO_USER_CAP_SPARSE_MMAP 1

struct vfio_user_sparse_area {
	uint64_t offset;
	uint64_t bytes;
};

struct vfio_user_cap_sparse {
	struct vfio_user_cap_header header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct vfio_user_sparse_area areas[];
};
static_assert(sizeof(struct vfio_user_cap_sparse) == 16, "sparse capability");

#define VFIO_USER_IRQ_EVENTFD 0x1u
#define VFIO_USER_IRQ_MASKABLE 0x2u
#define VFIO_USER_IRQ_AUTOMASKED 0x4u
#define VFIO_USER_IRQ_NORESIZE 0x8u

struct vfio_user_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
static_assert(sizeof(struct vfio_user_irq_info) == 16, "irq info");

#define VFIO_USER_IRQ_DATA_NONE 0x01u
#define VFIO_USER_IRQ_DATA_BOOL 0x02u
#define VFIO_USER_IRQ_DATA_EVENTFD 0x04u
#define VFIO_USER_IRQ_DATA_MASK 0x07u
#define VFIO_USER_IRQ_ACTION_MASK 0x08u
#define VFIO_USER_IRQ_ACTION_UNMASK 0x10u
#define VFIO_USER_IRQ_ACTION_TRIGGER 0x20u
#define VFIO_USER_IRQ_ACTIONS 0x38u

struct vfio_user_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
};
static_assert(sizeof(struct vfio_user_irq_set) == 20, "irq set");

struct vfio_user_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};
static_assert(sizeof(struct vfio_user_region_access) == 16, "region access");

struct vfio_user_dma_access {
	uint64_t address;
	uint64_t count;
};
static_assert(sizeof(struct vfio_user_dma_access) == 16, "dma access");

#endif
