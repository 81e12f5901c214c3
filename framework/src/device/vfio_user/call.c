/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands and replies ("Commands", "Header" in the vfio-user specification). */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vfio_user/client.h"

/* Commands of the server that one client_serve() answers: then others have their turn. */
#define SERVE_BURST 64

const char *client_command_name(uint16_t command)
{
	static const char *const names[] = {
		[VFIO_USER_VERSION] = "VERSION",
		[VFIO_USER_DMA_MAP] = "DMA_MAP",
		[VFIO_USER_DMA_UNMAP] = "DMA_UNMAP",
		[VFIO_USER_DEVICE_GET_INFO] = "DEVICE_GET_INFO",
		[VFIO_USER_DEVICE_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
		[VFIO_USER_DEVICE_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
		[VFIO_USER_DEVICE_SET_IRQS] = "DEVICE_SET_IRQS",
		[VFIO_USER_REGION_READ] = "REGION_READ",
		[VFIO_USER_REGION_WRITE] = "REGION_WRITE",
		[VFIO_USER_DMA_READ] = "DMA_READ",
		[VFIO_USER_DMA_WRITE] = "DMA_WRITE",
		[VFIO_USER_DEVICE_RESET] = "DEVICE_RESET",
	};

	return command < ARRAY_SIZE(names) && names[command] ? names[command] : "unknown";
}

void client_disconnect(const struct vfio_user_client *client)
{
	/* The descriptor stays open, so that it polls readable until the loss has been told. */
	if (client->socket >= 0)
		shutdown(client->socket, SHUT_RDWR);
}

int client_fail(struct vfio_user_client *client, int error, const char *format, ...)
{
	char text[WEIR_ERROR_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	client_disconnect(client);
	device_lost(client->dev, error, "%s", text);
	return error;
}

/* What a failure of the wire means to a caller. */
static int wire_failed(struct vfio_user_client *client, uint16_t command, int ret,
		       struct weir_error *err)
{
	struct weir_error why = *err;

	if (ret != -ETIMEDOUT && ret != -EPROTO && ret != -ENOMEM)
		ret = -ENODEV;
	client_fail(client, ret, "%s: %s", client_command_name(command), why.text);
	return weir_error_set(err, ret, "%s: %s: %s", client->dev->address,
			      client_command_name(command), why.text);
}

unsigned int client_ms_left(uint64_t deadline)
{
	uint64_t now = weir_now_ns();

	return now >= deadline ? 0 : (unsigned int)((deadline - now) / 1000000u) + 1;
}

/* Checks that a message answers the call, and takes what it brings. */
static int take_reply(struct vfio_user_call *call, uint16_t id, struct wire_message *message,
		      struct weir_error *err)
{
	const struct vfio_user_header *header = &message->header;
	const char *name = client_command_name(call->command);

	if (header->id != id || header->command != call->command)
		return weir_error_set(err, -EPROTO,
				      "a reply to message %u, command %u, came instead of one "
				      "to %u, %s",
				      header->id, header->command, id, name);
	if (header->flags & VFIO_USER_ERROR) {
		/* An errno is optional; what is none is as good as none. */
		call->error = header->error > 0 && header->error < 4096 ? (int)header->error : EIO;
		return weir_error_set(err, -EIO, "the server refuses %s: %s", name,
				      strerror(call->error));
	}
	if (message->bytes < call->min_reply || message->bytes > call->max_reply)
		return weir_error_set(err, -EPROTO, "the reply to %s has %zu bytes, not %zu to %zu",
				      name, message->bytes, call->min_reply, call->max_reply);
	if (message->bytes)
		memcpy(call->reply, message->payload, message->bytes);
	call->reply_bytes = message->bytes;
	if (message->nr_fds) {
		call->reply_fd = message->fds[0];
		message->fds[0] = -1;
	}
	return 0;
}

/* Waits for the reply, serving the server meanwhile. */
static int wait_reply(struct vfio_user_client *client, struct vfio_user_call *call, uint16_t id,
		      uint64_t deadline, struct weir_error *err)
{
	struct wire_message message;
	int ret;

	for (;;) {
		unsigned int left = client_ms_left(deadline);

		ret = left ? weir_wire_receive(client->wire, &message, left, err)
			   : weir_error_set(err, -ETIMEDOUT, "no reply after %u ms",
					    client->dev->timeout_ms);
		if (ret)
			return wire_failed(client, call->command, ret, err);
		switch (message.header.flags & VFIO_USER_TYPE_MASK) {
		case VFIO_USER_TYPE_REPLY:
			ret = take_reply(call, id, &message, err);
			weir_wire_message_release(&message);
			if (ret == -EPROTO)
				client_fail(client, ret, "%s", err->text);
			return ret ? weir_error_prefix(err, ret, "%s", client->dev->address) : 0;
		case VFIO_USER_TYPE_COMMAND:
			ret = client_answer(client, &message, err);
			weir_wire_message_release(&message);
			if (ret)
				return wire_failed(client, message.header.command, ret, err);
			break;
		default:
			weir_wire_message_release(&message);
			client_fail(client, -EPROTO, "a message with flags 0x%x",
				    message.header.flags);
			return weir_error_set(err, -EPROTO, "%s: a message with flags 0x%x",
					      client->dev->address, message.header.flags);
		}
	}
}

int client_call(struct vfio_user_client *client, struct vfio_user_call *call,
		struct weir_error *err)
{
	struct vfio_user_header header = { .command = call->command };
	struct weir_error ours;
	uint64_t deadline;
	int ret;

	if (!err)
		err = &ours;
	call->reply_bytes = 0;
	call->reply_fd = -1;
	call->error = 0;
	pthread_mutex_lock(&client->lock);
	if (device_is_gone(client->dev)) {
		ret = device_gone_error(client->dev, err);
		goto unlock;
	}
	/* Not before: the calls of others are no fault of this one's answer. */
	deadline = weir_now_ns() + (uint64_t)client->dev->timeout_ms * 1000000u;
	header.id = client->next_id++;
	ret = weir_wire_send(client->wire, &header, call->parts, call->nr_parts, call->fds,
			     call->nr_fds, client->dev->timeout_ms, err);
	ret = ret ? wire_failed(client, call->command, ret, err)
		  : wait_reply(client, call, header.id, deadline, err);
unlock:
	pthread_mutex_unlock(&client->lock);
	return ret;
}

void client_serve(struct vfio_user_client *client)
{
	struct wire_message message;
	struct weir_error err;
	unsigned int served;
	int ret = 0;

	/* A call that waits for its reply serves the server as well. */
	if (pthread_mutex_trylock(&client->lock))
		return;
	for (served = 0; served < SERVE_BURST && !device_is_gone(client->dev); served++) {
		ret = weir_wire_receive(client->wire, &message, 0, &err);
		if (ret == -EAGAIN)
			break;
		if (ret) {
			client_fail(client, ret == -ECONNRESET ? -ENODEV : ret, "%s", err.text);
			break;
		}
		if ((message.header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_COMMAND) {
			ret = client_answer(client, &message, &err);
			if (ret)
				wire_failed(client, message.header.command, ret, &err);
		} else {
			client_fail(client, -EPROTO,
				    "message %u, command %u, with flags 0x%x, which nobody asked "
				    "for",
				    message.header.id, message.header.command,
				    message.header.flags);
		}
		weir_wire_message_release(&message);
	}
	/* The rest may have been read already, where polling the socket does not see it. */
	if (served == SERVE_BURST)
		device_kick(client->dev);
	pthread_mutex_unlock(&client->lock);
}
