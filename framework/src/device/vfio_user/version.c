/* SPDX-License-Identifier: BSD-3-Clause */
/* Agreeing on the protocol ("VFIO_USER_VERSION"). */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "device/holder.h"
#include "device/vfio_user/client.h"

/* Of the server's JSON. */
#define MAX_JSON 16384

struct version_reply {
	struct vfio_user_version version;
	char json[MAX_JSON];
};

static int take_number(const json_t *capabilities, const char *name, uint64_t min, uint64_t *value,
		       struct weir_error *err)
{
	const json_t *number = json_object_get(capabilities, name);

	if (!number)
		return 0;
	if (!json_is_integer(number) || json_integer_value(number) < 0 ||
	    (uint64_t)json_integer_value(number) < min)
		return weir_error_set(err, -EPROTO,
				      "the server's capability %s is no number from %" PRIu64 " on",
				      name, min);
	*value = (uint64_t)json_integer_value(number);
	return 0;
}

static int take_capabilities(struct vfio_user_client *client, const json_t *capabilities,
			     struct weir_error *err)
{
	uint64_t max_fds = VFIO_USER_DEFAULT_MAX_FDS;
	uint64_t max_transfer = VFIO_USER_DEFAULT_MAX_TRANSFER;
	uint64_t max_dma_maps = VFIO_USER_DEFAULT_MAX_DMA_MAPS;
	uint64_t page_sizes = VFIO_USER_DEFAULT_PGSIZES;
	int ret;

	if (capabilities && !json_is_object(capabilities))
		return weir_error_set(err, -EPROTO, "the server's capabilities are no object");
	ret = take_number(capabilities, "max_msg_fds", 1, &max_fds, err);
	if (!ret) /* a register has up to 8 bytes, and is accessed at once */
		ret = take_number(capabilities, "max_data_xfer_size", 8, &max_transfer, err);
	if (!ret)
		ret = take_number(capabilities, "max_dma_maps", 1, &max_dma_maps, err);
	if (!ret)
		ret = take_number(capabilities, "pgsizes", 1, &page_sizes, err);
	if (ret)
		return ret;
	if (json_is_true(
		    json_object_get(json_object_get(capabilities, "twin_socket"), "supported")))
		return weir_error_set(err, -EPROTO,
				      "the server uses a second socket, which was not offered");
	client->max_fds = max_fds < WIRE_MAX_FDS ? (unsigned int)max_fds : WIRE_MAX_FDS;
	client->max_transfer = max_transfer < VFIO_USER_DEFAULT_MAX_TRANSFER
				       ? (uint32_t)max_transfer
				       : VFIO_USER_DEFAULT_MAX_TRANSFER;
	client->max_dma_maps = max_dma_maps;
	client->page_bytes = page_sizes & -page_sizes;
	if (client->page_bytes < 4096)
		client->page_bytes = 4096;
	return 0;
}

static int take_version(struct vfio_user_client *client, const struct version_reply *reply,
			size_t bytes, struct weir_error *err)
{
	size_t length = bytes - sizeof(reply->version);
	json_error_t why;
	json_t *json;
	int ret;

	if (reply->version.major != VFIO_USER_MAJOR || reply->version.minor > VFIO_USER_MINOR)
		return weir_error_set(err, -EPROTO, "the server speaks version %u.%u, not %u.%u",
				      reply->version.major, reply->version.minor, VFIO_USER_MAJOR,
				      VFIO_USER_MINOR);
	if (!length)
		return take_capabilities(client, NULL, err);
	if (!memchr(reply->json, 0, length))
		return weir_error_set(err, -EPROTO, "the server's version data does not end");
	json = json_loads(reply->json, 0, &why);
	if (!json)
		return weir_error_set(err, -EPROTO, "the server's version data is no JSON: %s",
				      why.text);
	ret = json_is_object(json)
		      ? take_capabilities(client, json_object_get(json, "capabilities"), err)
		      : weir_error_set(err, -EPROTO, "the server's version data is no object");
	json_decref(json);
	return ret;
}

/* A server that has a client already says so, or, as most do, leaves us in its queue. */
static int explain_failure(struct vfio_user_client *client, int ret, int refusal,
			   struct weir_error *err)
{
	const struct weir_device *dev = client->dev;
	char holder[HOLDER_TEXT];
	bool held = false;

	if (ret != -ETIMEDOUT && refusal != EBUSY)
		return ret;
	if (client->socket >= 0)
		held = holder_of_socket(client_path(dev), client->socket, holder);
	if (held)
		return weir_error_set(err, -EBUSY, "%s is held by %s", dev->address, holder);
	if (refusal == EBUSY)
		return weir_error_set(err, -EBUSY, "%s is held by another process", dev->address);
	return ret;
}

int client_negotiate(struct vfio_user_client *client, struct weir_error *err)
{
	struct vfio_user_version version = { VFIO_USER_MAJOR, VFIO_USER_MINOR };
	struct version_reply reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_VERSION,
		.reply = &reply,
		.min_reply = sizeof(version),
		.max_reply = sizeof(reply),
	};
	char json[256];
	int length, ret;

	length = snprintf(json, sizeof(json),
			  "{\"capabilities\":{\"max_msg_fds\":%d,\"max_data_xfer_size\":%u,"
			  "\"max_dma_maps\":%u,\"pgsizes\":%u}}",
			  WIRE_MAX_FDS, VFIO_USER_DEFAULT_MAX_TRANSFER,
			  VFIO_USER_DEFAULT_MAX_DMA_MAPS, VFIO_USER_DEFAULT_PGSIZES);
	call.parts[0] = (struct iovec){ &version, sizeof(version) };
	call.parts[1] = (struct iovec){ json, (size_t)length + 1 };
	call.nr_parts = 2;
	ret = client_call(client, &call, err);
	if (ret)
		return explain_failure(client, ret, call.error, err);
	if (call.reply_fd >= 0)
		close(call.reply_fd);
	ret = take_version(client, &reply, call.reply_bytes, err);
	if (ret)
		weir_error_prefix(err, ret, "%s", client->dev->address);
	return ret;
}
