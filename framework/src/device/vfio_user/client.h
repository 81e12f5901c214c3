/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user client: one connection to the server of one device.
 *
 * One mutex keeps calls apart: a message and its reply are one step. While it waits for a reply a
 * call serves what the server asks of us, DMA reads and writes; when nobody calls,
 * weir_device_events() does.
 *
 * Lock order: see ioas/ioas_private.h. The mutex is the second of the three.
 *
 * Any failure of the connection, a time-out included, ends it: the device is lost.
 */
#ifndef WEIR_VFIO_USER_CLIENT_H
#define WEIR_VFIO_USER_CLIENT_H

#include <pthread.h>
#include <sys/uio.h>

#include "device/device.h"
#include "device/vfio_user/wire.h"

/* Of a region's description, capabilities included: what we have room for. */
#define CLIENT_MAX_REGION_INFO 4096

struct vfio_user_client {
	struct weir_device *dev;
	pthread_mutex_t lock; /* of wire, next_id and scratch */
	struct wire *wire;
	int socket; /* the wire's, or -1 in memory */
	uint16_t next_id;
	void *scratch; /* for the server's DMA, VFIO_USER_DEFAULT_MAX_TRANSFER bytes; NULL until it
			  asks */

	/* Negotiated; fixed afterwards. */
	unsigned int max_fds;
	uint32_t max_transfer;
	uint64_t max_dma_maps;
	uint64_t page_bytes;

	struct ioas_attachment *attachment; /* NULL: the server may not reach memory */
	_Atomic int serving; /* attached or attaching: its DMA is answered */
	_Atomic bool msix_bound;
};

/* A command and the reply to it. */
struct vfio_user_call {
	uint16_t command;
	struct iovec parts[3]; /* of the command's payload */
	unsigned int nr_parts;
	const int *fds; /* sent along */
	unsigned int nr_fds;

	/* The reply's payload: its bytes must be min_reply to max_reply. */
	void *reply;
	size_t min_reply, max_reply;
	size_t reply_bytes; /* how many there were */
	int reply_fd; /* the first descriptor that came, owned by the caller; -1: none */
	int error; /* positive errno that the server refused with, or 0 */
};

/* vfio_user.c: a client on a wire, which it owns on success. */
int client_new(struct weir_device *dev, struct wire *wire, struct vfio_user_client **client);
/* Negotiates and describes, over whatever wire. */
int client_start(struct vfio_user_client *client, struct weir_error *err);
void client_free(struct vfio_user_client *client);
const char *client_path(const struct weir_device *dev);

/* connect.c: connects to the server's socket. */
int client_connect(struct weir_device *dev, int *fd, struct weir_error *err);

/* version.c: agrees on the protocol. -EBUSY when the server says that it has another client. */
int client_negotiate(struct vfio_user_client *client, struct weir_error *err);

/* call.c */

/*
 * Sends a command and waits for the reply. -EIO when the server refuses, with its errno in
 * call->error; -ENODEV, -ETIMEDOUT, -EPROTO when the connection failed: the device is lost then.
 */
int client_call(struct vfio_user_client *client, struct vfio_user_call *call,
		struct weir_error *err);
/* Serves the server's commands that have arrived. */
void client_serve(struct vfio_user_client *client);
/* Takes the server off the connection. Any thread, any lock held. */
void client_disconnect(const struct vfio_user_client *client);
/* The same for a server that broke a rule, and the device is lost. Returns error. */
int client_fail(struct vfio_user_client *client, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Until a time of weir_now_ns(): at least 1, or 0 when it has passed. */
unsigned int client_ms_left(uint64_t deadline);
/* "REGION_READ" */
const char *client_command_name(uint16_t command);

/* serve.c: answers one command of the server. An error when the answer cannot be sent. */
int client_answer(struct vfio_user_client *client, const struct wire_message *message,
		  struct weir_error *err);

/* describe.c: asks for device, regions and interrupts; checks everything. */
int client_describe(struct vfio_user_client *client, struct weir_error *err);

/* access.c */
int client_read(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
		size_t bytes, struct weir_error *err);
int client_write(struct weir_device *dev, unsigned int region, uint64_t offset, const void *data,
		 size_t bytes, struct weir_error *err);

/* irqs.c */
int client_bind_irqs(struct weir_device *dev, unsigned int kind, unsigned int first,
		     unsigned int count, const int *eventfds, struct weir_error *err);
int client_unbind_irqs(struct weir_device *dev, unsigned int kind, struct weir_error *err);
int client_reset(struct weir_device *dev, struct weir_error *err);

/* dma.c: the connection as a backend of an IOAS. */
extern const struct ioas_backend_ops client_backend;

#endif
