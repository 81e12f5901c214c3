/* SPDX-License-Identifier: BSD-3-Clause */
/* The connection as a backend of an IOAS ("VFIO_USER_DMA_MAP", "VFIO_USER_DMA_UNMAP"). */
#include <inttypes.h>
#include <unistd.h>

#include "device/vfio_user/client.h"

static void client_limits(const void *backend, struct ioas_limits *limits)
{
	const struct vfio_user_client *client = backend;

	*limits = (struct ioas_limits){
		.ranges = { { 0, UINT64_MAX } },
		.nr_ranges = 1,
		.page_bytes = client->page_bytes,
		.max_mappings = client->max_dma_maps,
		.needs_fd = true,
	};
}

static int client_map(void *backend, const struct ioas_memory *memory, struct weir_error *err)
{
	struct vfio_user_client *client = backend;
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = (memory->prot & WEIR_PROT_READ ? VFIO_USER_DMA_READABLE : 0) |
			 (memory->prot & WEIR_PROT_WRITE ? VFIO_USER_DMA_WRITEABLE : 0),
		.offset = memory->offset,
		.address = memory->iova,
		.bytes = memory->bytes,
	};
	struct vfio_user_call call = {
		.command = VFIO_USER_DMA_MAP,
		.parts = { { &map, sizeof(map) } },
		.nr_parts = 1,
		.fds = &memory->fd,
		.nr_fds = 1,
	};
	int ret = client_call(client, &call, err);

	if (call.reply_fd >= 0)
		close(call.reply_fd);
	if (ret != -EIO)
		return ret;
	/* Some refusals have a meaning of their own. */
	return call.error == ENOSPC || call.error == ENOMEM || call.error == EEXIST ? -call.error
										    : ret;
}

static int client_unmap(void *backend, uint64_t iova, uint64_t bytes, uint64_t *unmapped,
			struct weir_error *err)
{
	struct vfio_user_client *client = backend;
	struct vfio_user_dma_unmap unmap = { .argsz = sizeof(unmap),
					     .address = iova,
					     .bytes = bytes },
				   reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_DMA_UNMAP,
		.parts = { { &unmap, sizeof(unmap) } },
		.nr_parts = 1,
		.reply = &reply,
		.min_reply = sizeof(reply),
		.max_reply = sizeof(reply),
	};
	int ret = client_call(client, &call, err);

	if (call.reply_fd >= 0)
		close(call.reply_fd);
	/* Who may still reach memory that is about to be reused does not stay connected. */
	if (call.error)
		return client_fail(client, -EPROTO,
				   "it refuses to unmap 0x%" PRIx64 " bytes at 0x%" PRIx64, bytes,
				   iova);
	if (ret)
		return ret;
	*unmapped = reply.address == iova ? reply.bytes : 0;
	if (*unmapped != bytes)
		client_fail(client, -EPROTO,
			    "it unmapped 0x%" PRIx64 " bytes at 0x%" PRIx64 ", not 0x%" PRIx64
			    " at 0x%" PRIx64,
			    reply.bytes, reply.address, bytes, iova);
	return 0;
}

static bool client_dead(const void *backend)
{
	const struct vfio_user_client *client = backend;

	if (!device_is_gone(client->dev))
		return false;
	/* The fault guard only says that it is gone: the server may still be there. */
	client_disconnect(client);
	return true;
}

static void client_mapping_died(void *backend)
{
	const struct vfio_user_client *client = backend;

	device_kick(client->dev);
}

const struct ioas_backend_ops client_backend = {
	.name = "vfio-user",
	.limits = client_limits,
	.map = client_map,
	.unmap = client_unmap,
	.dead = client_dead,
	.mapping_died = client_mapping_died,
};
