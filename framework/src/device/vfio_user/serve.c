/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server's commands: DMA by message ("VFIO_USER_DMA_READ", "VFIO_USER_DMA_WRITE"). A command
 * that asks for too much is refused and harms nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "device/vfio_user/client.h"

static int reply(struct vfio_user_client *client, const struct vfio_user_header *command, int error,
		 const struct iovec *parts, unsigned int nr_parts, struct weir_error *err)
{
	struct vfio_user_header header = {
		.id = command->id,
		.command = command->command,
		.flags = VFIO_USER_TYPE_REPLY | (error ? VFIO_USER_ERROR : 0),
		.error = (uint32_t)-error,
	};

	if (command->flags & VFIO_USER_NO_REPLY)
		return 0;
	return weir_wire_send(client->wire, &header, parts, error ? 0 : nr_parts, NULL, 0,
			      client->dev->timeout_ms, err);
}

/* Takes the request out of a message. -EINVAL when the message is not as long as it says. */
static int take_request(const struct wire_message *message, struct vfio_user_dma_access *request)
{
	uint64_t data;

	if (message->bytes < sizeof(*request))
		return -EINVAL;
	memcpy(request, message->payload, sizeof(*request));
	if (request->count > VFIO_USER_DEFAULT_MAX_TRANSFER)
		return -EINVAL;
	data = message->header.command == VFIO_USER_DMA_WRITE ? request->count : 0;
	return message->bytes == sizeof(*request) + data ? 0 : -EINVAL;
}

static int read_memory(struct vfio_user_client *client, const struct vfio_user_dma_access *request)
{
	if (!client->scratch)
		client->scratch = malloc(VFIO_USER_DEFAULT_MAX_TRANSFER);
	if (!client->scratch)
		return -ENOMEM;
	return ioas_access(client->dev->ioas, request->address, client->scratch, request->count,
			   false);
}

static int write_memory(struct vfio_user_client *client, const struct vfio_user_dma_access *request,
			const struct wire_message *message)
{
	const uint8_t *payload = message->payload;

	/* ioas_access() only reads what it writes to memory. */
	return ioas_access(client->dev->ioas, request->address,
			   (void *)(uintptr_t)(payload + sizeof(*request)), request->count, true);
}

int client_answer(struct vfio_user_client *client, const struct wire_message *message,
		  struct weir_error *err)
{
	const struct vfio_user_header *command = &message->header;
	struct vfio_user_dma_access request;
	struct iovec parts[2] = { { &request, sizeof(request) } };
	unsigned int nr_parts = 1;
	int ret;

	if (command->command != VFIO_USER_DMA_READ && command->command != VFIO_USER_DMA_WRITE)
		return reply(client, command, -ENOTSUP, NULL, 0, err);
	ret = take_request(message, &request);
	if (!ret && !atomic_load(&client->serving))
		ret = -EFAULT;
	if (!ret && command->command == VFIO_USER_DMA_READ) {
		ret = read_memory(client, &request);
		parts[nr_parts++] = (struct iovec){ client->scratch, request.count };
	} else if (!ret) {
		ret = write_memory(client, &request, message);
	}
	if (ret)
		weir_log_write(&client->dev->log, WEIR_LOG_WARN,
			       "%s: the server's %s of %zu payload bytes is refused: %s",
			       client->dev->address, client_command_name(command->command),
			       message->bytes, strerror(-ret));
	return reply(client, command, ret, parts, nr_parts, err);
}
