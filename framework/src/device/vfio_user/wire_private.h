/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two kinds of wire, socket and memory, share. */
#ifndef WEIR_VFIO_USER_WIRE_PRIVATE_H
#define WEIR_VFIO_USER_WIRE_PRIVATE_H

#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "device/vfio_user/wire.h"

/* A message, or the part of it that has arrived. */
struct wire_buffer {
	uint8_t *bytes;
	size_t capacity;
	size_t have;
};

/* Bytes on their way to an in-memory end. The descriptors come with the first byte. */
struct wire_chunk {
	STAILQ_ENTRY(wire_chunk) link;
	size_t bytes;
	size_t taken;
	int *fds; /* owned */
	unsigned int nr_fds;
	uint8_t data[];
};

STAILQ_HEAD(wire_queue, wire_chunk);

struct wire {
	int fd; /* -1: in memory */
	int broken; /* the error after which the stream makes no sense any more, or 0 */

	/* The message that is arriving, and the one that the caller looks at: apart, because
	 * weir_wire_send() reads ahead. */
	struct wire_buffer incoming;
	struct wire_buffer current;
	bool complete; /* incoming is a whole message */
	int fds[WIRE_MAX_FDS]; /* of incoming */
	unsigned int nr_fds;

	/* In memory. */
	struct wire *peer; /* NULL: closed */
	struct wire_queue queue; /* what the peer sent */
	void (*pump)(void *ctx);
	void *pump_ctx;
	bool pumping;
};

struct wire *wire_new(int fd);

/*
 * Adopts descriptors for the incoming message. -EPROTO when that makes too many: then the ones
 * given are closed.
 */
int wire_take_fds(struct wire *wire, const int *fds, unsigned int nr_fds);

/* At most `bytes` bytes, and their descriptors. Returns how many, -EAGAIN, -ECONNRESET or -EPROTO.
 */
ssize_t wire_memory_pull(struct wire *wire, void *to, size_t bytes);

/* Queues a whole message for the peer. -EPIPE, -ENOMEM, or what fcntl() says. */
int wire_memory_push(struct wire *wire, const struct iovec *parts, unsigned int nr_parts,
		     const int *fds, unsigned int nr_fds);

/* Lets the other side work. false when it cannot. */
bool wire_memory_pump(struct wire *wire);

void wire_memory_close(struct wire *wire);

#endif
