/* SPDX-License-Identifier: BSD-3-Clause */
/* A client of an emulated device in the same thread: it says exactly what a test wants said. */
#ifndef WEIR_TESTS_SIM_CLIENT_H
#define WEIR_TESTS_SIM_CLIENT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device/vfio_user/wire.h"
#include "server/sim.h"

/* More turns than any exchange takes. */
#define SIM_CLIENT_TURNS 200

struct sim_client {
	struct sim_server *server;
	struct wire *wire;
	uint16_t id;
	struct wire_message reply; /* of the last call; its descriptors are released by the next */
};

static inline int sim_client_open(struct sim_client *client, struct sim_server *server)
{
	struct wire *end;
	int rc;

	*client = (struct sim_client){ .server = server };
	rc = weir_wire_pair(&client->wire, &end);
	if (rc)
		return rc;
	rc = sim_server_connect(server, end);
	if (rc) {
		weir_wire_close(end);
		weir_wire_close(client->wire);
	}
	return rc;
}

static inline void sim_client_close(struct sim_client *client)
{
	weir_wire_message_release(&client->reply);
	weir_wire_close(client->wire);
	client->wire = NULL;
	sim_server_turn(client->server);
}

static inline int sim_client_send(struct sim_client *client, uint16_t command, uint32_t flags,
				  const void *payload, size_t bytes, const int *fds,
				  unsigned int nr_fds)
{
	struct vfio_user_header header = {
		.id = ++client->id,
		.command = command,
		.flags = flags,
	};
	struct iovec part = { .iov_base = (void *)(uintptr_t)payload, .iov_len = bytes };

	return weir_wire_send(client->wire, &header, &part, bytes ? 1 : 0, fds, nr_fds, 1000, NULL);
}

/* Lets the server work until it says something. 0, or what weir_wire_receive() says. */
static inline int sim_client_receive(struct sim_client *client)
{
	int rc = -EAGAIN;

	weir_wire_message_release(&client->reply);
	for (int i = 0; i < SIM_CLIENT_TURNS && rc == -EAGAIN; i++) {
		sim_server_turn(client->server);
		rc = weir_wire_receive(client->wire, &client->reply, 0, NULL);
	}
	return rc;
}

/* A command and its reply. 0, the server's errno as a negative number, or -ECONNRESET. -EBADMSG
 * when the reply belongs to something else. */
static inline int sim_client_call_fds(struct sim_client *client, uint16_t command,
				      const void *payload, size_t bytes, const int *fds,
				      unsigned int nr_fds)
{
	int rc = sim_client_send(client, command, VFIO_USER_TYPE_COMMAND, payload, bytes, fds,
				 nr_fds);

	if (!rc)
		rc = sim_client_receive(client);
	if (rc)
		return rc;
	if (client->reply.header.id != client->id || client->reply.header.command != command ||
	    (client->reply.header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_REPLY)
		return -EBADMSG;
	if (client->reply.header.flags & VFIO_USER_ERROR)
		return client->reply.bytes ? -EBADMSG : -(int)client->reply.header.error;
	return 0;
}

static inline int sim_client_call(struct sim_client *client, uint16_t command, const void *payload,
				  size_t bytes)
{
	return sim_client_call_fds(client, command, payload, bytes, NULL, 0);
}

/* The handshake; NULL: no capabilities. */
static inline int sim_client_hello(struct sim_client *client, const char *json)
{
	uint8_t payload[512] = { 0 };
	struct vfio_user_version version = { .major = VFIO_USER_MAJOR, .minor = VFIO_USER_MINOR };
	size_t bytes = sizeof(version);

	memcpy(payload, &version, sizeof(version));
	if (json)
		bytes += (size_t)snprintf((char *)payload + bytes, sizeof(payload) - bytes, "%s",
					  json) +
			 1;
	return sim_client_call(client, VFIO_USER_VERSION, payload, bytes);
}

static inline int sim_client_read(struct sim_client *client, uint32_t region, uint64_t offset,
				  void *data, uint32_t bytes)
{
	struct vfio_user_region_access access = {
		.offset = offset,
		.region = region,
		.count = bytes,
	};
	int rc = sim_client_call(client, VFIO_USER_REGION_READ, &access, sizeof(access));

	if (rc)
		return rc;
	if (client->reply.bytes != sizeof(access) + bytes ||
	    memcmp(client->reply.payload, &access, sizeof(access)))
		return -EBADMSG;
	memcpy(data, (const uint8_t *)client->reply.payload + sizeof(access), bytes);
	return 0;
}

static inline int sim_client_write(struct sim_client *client, uint32_t region, uint64_t offset,
				   const void *data, uint32_t bytes)
{
	uint8_t payload[sizeof(struct vfio_user_region_access) + 4096];
	struct vfio_user_region_access access = {
		.offset = offset,
		.region = region,
		.count = bytes,
	};

	if (bytes > 4096)
		return -EMSGSIZE;
	memcpy(payload, &access, sizeof(access));
	memcpy(payload + sizeof(access), data, bytes);
	return sim_client_call(client, VFIO_USER_REGION_WRITE, payload, sizeof(access) + bytes);
}

static inline int sim_client_map(struct sim_client *client, uint64_t iova, uint64_t bytes,
				 uint64_t offset, uint32_t prot, int fd)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = prot,
		.offset = offset,
		.address = iova,
		.bytes = bytes,
	};

	return sim_client_call_fds(client, VFIO_USER_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

static inline int sim_client_unmap(struct sim_client *client, uint64_t iova, uint64_t bytes,
				   uint32_t flags)
{
	struct vfio_user_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.address = iova,
		.bytes = bytes,
	};

	return sim_client_call(client, VFIO_USER_DMA_UNMAP, &unmap, sizeof(unmap));
}

/*
 * Answers a DMA request of the server from memory at an IOVA. 1, or 0 when there is none; -EFAULT:
 * it is for something else; -EBADMSG: it is no such request; or what weir_wire_send() says.
 */
static inline int sim_client_answer_dma(struct sim_client *client, uint8_t *memory, uint64_t iova,
					uint64_t bytes)
{
	static uint8_t reply[sizeof(struct vfio_user_dma_access) + VFIO_USER_DEFAULT_MAX_TRANSFER];
	struct vfio_user_dma_access access;
	struct wire_message message;
	struct vfio_user_header header;
	struct iovec part = { .iov_base = reply, .iov_len = sizeof(access) };
	uint64_t offset;
	int rc;

	if (weir_wire_receive(client->wire, &message, 0, NULL))
		return 0;
	header = message.header;
	header.flags = VFIO_USER_TYPE_REPLY;
	memcpy(&access, message.payload, sizeof(access));
	offset = access.address - iova;
	if (offset >= bytes || access.count > bytes - offset ||
	    access.count > VFIO_USER_DEFAULT_MAX_TRANSFER)
		return -EFAULT;
	memcpy(reply, &access, sizeof(access));
	if (header.command == VFIO_USER_DMA_WRITE) {
		memcpy(memory + offset, (const uint8_t *)message.payload + sizeof(access),
		       access.count);
	} else if (header.command == VFIO_USER_DMA_READ) {
		memcpy(reply + sizeof(access), memory + offset, access.count);
		part.iov_len += access.count;
	} else {
		return -EBADMSG;
	}
	rc = weir_wire_send(client->wire, &header, &part, 1, NULL, 0, 1000, NULL);
	return rc ? rc : 1;
}

/* SET_IRQS with up to 16 descriptors; `data` follows the request. */
static inline int sim_client_set_irqs(struct sim_client *client, uint32_t index, uint32_t flags,
				      uint32_t start, uint32_t count, const void *data,
				      size_t bytes, const int *fds, unsigned int nr_fds)
{
	uint8_t payload[sizeof(struct vfio_user_irq_set) + 256];
	struct vfio_user_irq_set set = {
		.argsz = (uint32_t)(sizeof(set) + bytes),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};

	if (bytes > 256)
		return -EMSGSIZE;
	memcpy(payload, &set, sizeof(set));
	if (bytes)
		memcpy(payload + sizeof(set), data, bytes);
	return sim_client_call_fds(client, VFIO_USER_DEVICE_SET_IRQS, payload, sizeof(set) + bytes,
				   fds, nr_fds);
}

#endif
