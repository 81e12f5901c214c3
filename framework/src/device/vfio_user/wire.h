/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One end of a vfio-user connection: whole messages with file descriptors, over an AF_UNIX stream
 * socket or in memory.
 *
 * The wire knows frames, not commands: it checks that a message's size is possible, that it arrives
 * in time, and that no more descriptors come than were allowed. A peer that breaks a rule gets
 * -EPROTO, and the wire is of no further use.
 *
 * One thread at a time uses a wire.
 */
#ifndef WEIR_VFIO_USER_WIRE_H
#define WEIR_VFIO_USER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <weir/error.h>

#include "device/vfio_user/protocol.h"

/* Descriptors in one message at most, either way; what we tell the peer as max_msg_fds. */
#define WIRE_MAX_FDS 16
/* Payload parts of one weir_wire_send() at most. */
#define WIRE_MAX_PARTS 8
/* Bytes of one message at most: the largest transfer and the headers in front of it. */
#define WIRE_MAX_BYTES (VFIO_USER_DEFAULT_MAX_TRANSFER + 4096u)

struct wire;

/* A received message. The payload lies in the wire until its next receive. */
struct wire_message {
	struct vfio_user_header header;
	const void *payload;
	size_t bytes; /* of payload */
	int fds[WIRE_MAX_FDS]; /* owned by the receiver: take one by setting it to -1, then
				  weir_wire_message_release() */
	unsigned int nr_fds;
};

/* Takes ownership of a connected stream socket, on success only. It is made non-blocking. -ENOMEM,
 * or what fcntl() says.
 */
int weir_wire_from_socket(int fd, struct wire **wire);

/*
 * Two ends in memory, for one thread: what one sends the other receives. A receive that would wait
 * calls the pump of its end, which lets the other side work, and looks once more before it gives up
 * with -ETIMEDOUT (or -EAGAIN).
 */
int weir_wire_pair(struct wire **a, struct wire **b);
void weir_wire_set_pump(struct wire *wire, void (*pump)(void *ctx), void *ctx);

/* Closes this end and what descriptors are still queued for it. NULL is allowed. */
void weir_wire_close(struct wire *wire);

/* The socket, or -1 in memory. Owned by the wire. */
int weir_wire_fd(const struct wire *wire);

/*
 * Sends a header (whose `bytes` is filled in here) and payload parts, with descriptors, which stay
 * the caller's. -EMSGSIZE over WIRE_MAX_BYTES, WIRE_MAX_PARTS or WIRE_MAX_FDS, -ETIMEDOUT, -EPIPE
 * when the peer is gone.
 */
int weir_wire_send(struct wire *wire, struct vfio_user_header *header, const struct iovec *parts,
		   unsigned int nr_parts, const int *fds, unsigned int nr_fds,
		   unsigned int timeout_ms, struct weir_error *err);

/*
 * Receives one message. With timeout_ms 0 it does not wait: -EAGAIN when no whole message is there
 * (what has arrived is kept). -ETIMEDOUT, -ECONNRESET when the peer is gone, -EPROTO when it breaks
 * the framing, -ENOMEM. No descriptor leaks on an error.
 */
int weir_wire_receive(struct wire *wire, struct wire_message *message, unsigned int timeout_ms,
		      struct weir_error *err);

/* Whether bytes of a message have been read from the peer that weir_wire_receive() has not returned
 * yet.
 */
bool weir_wire_pending(const struct wire *wire);

/* Closes the descriptors that were not taken. */
void weir_wire_message_release(struct wire_message *message);

/* Raw bytes into the receiving side of an in-memory end, for tests and fuzzing: they need not be a
 * message. Owns fds on success. */
int weir_wire_inject(struct wire *wire, const void *bytes, size_t nr_bytes, const int *fds,
		     unsigned int nr_fds);

/*
 * For handing a connection over: releases the socket from the wire and frees it. -EBUSY when part
 * of a message has arrived or the connection is broken, -EOPNOTSUPP in memory: the wire is as it
 * was then. The caller owns the socket.
 */
int weir_wire_release_socket(struct wire *wire, int *fd);

#endif
