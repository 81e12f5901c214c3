/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions by message ("VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE"). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/vfio_user/client.h"

/* Registers fit on the stack. */
#define SMALL 64

static int check_echo(struct vfio_user_client *client, const struct vfio_user_region_access *asked,
		      const struct vfio_user_region_access *got, struct weir_error *err)
{
	if (got->offset == asked->offset && got->region == asked->region &&
	    got->count == asked->count)
		return 0;
	weir_error_set(err, -EPROTO,
		       "%s: the server answers for %u bytes at 0x%" PRIx64
		       " of region %u, not %u at 0x%" PRIx64 " of %u",
		       client->dev->address, got->count, got->offset, got->region, asked->count,
		       asked->offset, asked->region);
	return client_fail(client, -EPROTO, "its reply is about another access");
}

static int read_some(struct vfio_user_client *client, const struct vfio_user_region_access *access,
		     void *data, uint8_t *buffer, struct weir_error *err)
{
	struct vfio_user_region_access got;
	struct vfio_user_call call = {
		.command = VFIO_USER_REGION_READ,
		.parts = { { (void *)(uintptr_t)access, sizeof(*access) } },
		.nr_parts = 1,
		.reply = buffer,
		.min_reply = sizeof(*access) + access->count,
		.max_reply = sizeof(*access) + access->count,
	};
	int ret = client_call(client, &call, err);

	if (ret)
		return ret;
	if (call.reply_fd >= 0)
		close(call.reply_fd);
	memcpy(&got, buffer, sizeof(got));
	memcpy(data, buffer + sizeof(got), access->count);
	return check_echo(client, access, &got, err);
}

static int write_some(struct vfio_user_client *client, const struct vfio_user_region_access *access,
		      const void *data, struct weir_error *err)
{
	struct vfio_user_region_access got;
	struct vfio_user_call call = {
		.command = VFIO_USER_REGION_WRITE,
		.parts = { { (void *)(uintptr_t)access, sizeof(*access) },
			   { (void *)(uintptr_t)data, access->count } },
		.nr_parts = 2,
		.reply = &got,
		.min_reply = sizeof(got),
		.max_reply = sizeof(got),
	};
	int ret = client_call(client, &call, err);

	if (ret)
		return ret;
	if (call.reply_fd >= 0)
		close(call.reply_fd);
	return check_echo(client, access, &got, err);
}

static uint32_t piece(const struct vfio_user_client *client, size_t bytes)
{
	return bytes < client->max_transfer ? (uint32_t)bytes : client->max_transfer;
}

int client_read(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
		size_t bytes, struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	uint8_t small[sizeof(struct vfio_user_region_access) + SMALL], *buffer = small;
	uint8_t *to = data;
	int ret = 0;

	if (bytes > SMALL) {
		buffer = malloc(sizeof(struct vfio_user_region_access) + piece(client, bytes));
		if (!buffer)
			return weir_error_set(err, -ENOMEM, "%s: no memory to read %zu bytes",
					      dev->address, bytes);
	}
	while (bytes && !ret) {
		const struct vfio_user_region_access access = { offset, region,
								piece(client, bytes) };

		ret = read_some(client, &access, to, buffer, err);
		to += access.count;
		offset += access.count;
		bytes -= access.count;
	}
	if (buffer != small)
		free(buffer);
	return ret;
}

int client_write(struct weir_device *dev, unsigned int region, uint64_t offset, const void *data,
		 size_t bytes, struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	const uint8_t *from = data;
	int ret = 0;

	while (bytes && !ret) {
		const struct vfio_user_region_access access = { offset, region,
								piece(client, bytes) };

		ret = write_some(client, &access, from, err);
		from += access.count;
		offset += access.count;
		bytes -= access.count;
	}
	return ret;
}
