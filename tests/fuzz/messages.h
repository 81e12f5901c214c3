/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands to an emulated device, for the fuzz targets that are its client. */
#ifndef WEIR_TESTS_FUZZ_MESSAGES_H
#define WEIR_TESTS_FUZZ_MESSAGES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "device/vfio_user/wire.h"

/* A message of any kind, with its payload and descriptors. That it arrives is not looked at. */
static inline void send_message(struct wire *wire, unsigned int command, uint32_t flags,
				const void *payload, size_t bytes, const int *fds,
				unsigned int nr_fds)
{
	struct vfio_user_header header = {
		.id = 1,
		.command = (uint16_t)command,
		.flags = flags,
	};
	struct iovec part = { .iov_base = (void *)(uintptr_t)payload, .iov_len = bytes };

	weir_wire_send(wire, &header, &part, bytes ? 1 : 0, fds, nr_fds, 0, NULL);
}

/* Writes the value's lowest bytes, at most 8, and wants no reply. */
static inline void write_region(struct wire *wire, uint32_t region, uint64_t offset, uint64_t value,
				uint32_t bytes)
{
	uint8_t payload[sizeof(struct vfio_user_region_access) + sizeof(value)];
	struct vfio_user_region_access access = {
		.offset = offset,
		.region = region,
		.count = bytes,
	};

	memcpy(payload, &access, sizeof(access));
	memcpy(payload + sizeof(access), &value, sizeof(value));
	send_message(wire, VFIO_USER_REGION_WRITE, VFIO_USER_NO_REPLY, payload,
		     sizeof(access) + bytes, NULL, 0);
}

/* Lets the device reach a part of the file by these addresses. */
static inline void send_map(struct wire *wire, int fd, uint64_t iova, uint64_t offset,
			    uint64_t bytes, uint32_t prot)
{
	struct vfio_user_dma_map request = {
		.argsz = sizeof(request),
		.flags = prot,
		.offset = offset,
		.address = iova,
		.bytes = bytes,
	};

	send_message(wire, VFIO_USER_DMA_MAP, VFIO_USER_NO_REPLY, &request, sizeof(request), &fd,
		     1);
}

static inline void send_unmap(struct wire *wire, uint64_t iova, uint64_t bytes)
{
	struct vfio_user_dma_unmap request = { .argsz = sizeof(request),
					       .address = iova,
					       .bytes = bytes };

	send_message(wire, VFIO_USER_DMA_UNMAP, VFIO_USER_NO_REPLY, &request, sizeof(request), NULL,
		     0);
}

#endif
