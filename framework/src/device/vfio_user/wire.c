/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages over a stream ("Header" in the vfio-user specification).
 *
 * A message is read in two steps, its header and then exactly the rest, so that a read never
 * reaches into the next message and the descriptors that arrive always belong to the message at
 * hand.
 *
 * While weir_wire_send() waits for room it reads ahead, one message at most: otherwise two sides
 * that each send a message larger than the socket's buffer would wait for each other.
 */
#include "device/vfio_user/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "device/vfio_user/wire_private.h"

#define HEADER_BYTES sizeof(struct vfio_user_header)

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(WIRE_MAX_FDS * sizeof(int))];
};

struct wire *wire_new(int fd)
{
	struct wire *wire = calloc(1, sizeof(*wire));

	if (!wire)
		return NULL;
	wire->fd = fd;
	STAILQ_INIT(&wire->queue);
	return wire;
}

WEIR_EXPORT int weir_wire_from_socket(int fd, struct wire **wire)
{
	int flags = fcntl(fd, F_GETFL);
	struct wire *w;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	w = wire_new(fd);
	if (!w)
		return -ENOMEM;
	*wire = w;
	return 0;
}

static void close_incoming_fds(struct wire *wire)
{
	for (unsigned int i = 0; i < wire->nr_fds; i++)
		close(wire->fds[i]);
	wire->nr_fds = 0;
}

WEIR_EXPORT void weir_wire_close(struct wire *wire)
{
	if (!wire)
		return;
	if (wire->fd >= 0)
		close(wire->fd);
	else
		wire_memory_close(wire);
	close_incoming_fds(wire);
	free(wire->incoming.bytes);
	free(wire->current.bytes);
	free(wire);
}

WEIR_EXPORT int weir_wire_fd(const struct wire *wire)
{
	return wire->fd;
}

WEIR_EXPORT bool weir_wire_pending(const struct wire *wire)
{
	return wire->incoming.have;
}

WEIR_EXPORT int weir_wire_release_socket(struct wire *wire, int *fd)
{
	if (wire->fd < 0)
		return -EOPNOTSUPP;
	if (wire->incoming.have || wire->broken)
		return -EBUSY;
	*fd = wire->fd;
	free(wire->incoming.bytes);
	free(wire->current.bytes);
	free(wire);
	return 0;
}

WEIR_EXPORT void weir_wire_message_release(struct wire_message *message)
{
	for (unsigned int i = 0; i < message->nr_fds; i++) {
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	}
	message->nr_fds = 0;
}

int wire_take_fds(struct wire *wire, const int *fds, unsigned int nr_fds)
{
	if (nr_fds > WIRE_MAX_FDS - wire->nr_fds) {
		for (unsigned int i = 0; i < nr_fds; i++)
			close(fds[i]);
		return -EPROTO;
	}
	memcpy(wire->fds + wire->nr_fds, fds, nr_fds * sizeof(int));
	wire->nr_fds += nr_fds;
	return 0;
}

/* Takes all descriptors out of a control message, even when there are too many of them. */
static int take_control(struct wire *wire, struct msghdr *msg)
{
	int fds[WIRE_MAX_FDS];
	int ret = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);
		int taken;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(fds, CMSG_DATA(c), bytes);
		taken = wire_take_fds(wire, fds, (unsigned int)(bytes / sizeof(int)));
		if (taken)
			ret = taken;
	}
	return msg->msg_flags & MSG_CTRUNC ? -EPROTO : ret;
}

static ssize_t socket_pull(struct wire *wire, void *to, size_t bytes)
{
	struct iovec part = { to, bytes };
	union control control;
	struct msghdr msg = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t got;
	int ret;

	do {
		got = recvmsg(wire->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	ret = take_control(wire, &msg);
	if (ret)
		return ret;
	return got ? got : -ECONNRESET;
}

static int buffer_reserve(struct wire_buffer *buffer, size_t bytes)
{
	uint8_t *more;

	if (bytes <= buffer->capacity)
		return 0;
	more = realloc(buffer->bytes, bytes);
	if (!more)
		return -ENOMEM;
	buffer->bytes = more;
	buffer->capacity = bytes;
	return 0;
}

/* How many bytes the incoming message has: those of a header until that has arrived. */
static int incoming_bytes(struct wire *wire, size_t *bytes, struct weir_error *err)
{
	struct vfio_user_header header;

	*bytes = HEADER_BYTES;
	if (wire->incoming.have < HEADER_BYTES)
		return 0;
	memcpy(&header, wire->incoming.bytes, HEADER_BYTES);
	if (header.bytes < HEADER_BYTES || header.bytes > WIRE_MAX_BYTES)
		return weir_error_set(err, -EPROTO,
				      "a message claims %u bytes; possible are %zu to %u",
				      header.bytes, HEADER_BYTES, WIRE_MAX_BYTES);
	*bytes = header.bytes;
	return 0;
}

static int pull_failed(const struct wire *wire, int ret, struct weir_error *err)
{
	switch (ret) {
	case -EAGAIN:
		return ret;
	case -ECONNRESET:
		return weir_error_set(err, ret, "the peer closed the connection%s",
				      wire->incoming.have ? " in the middle of a message" : "");
	case -EPROTO:
		return weir_error_set(err, ret,
				      "a message brings more than %d file descriptors, or more "
				      "than this process may open",
				      WIRE_MAX_FDS);
	default:
		return weir_error_set(err, ret, "cannot receive: %s", strerror(-ret));
	}
}

/* Reads what is there until the incoming message is complete: 0, -EAGAIN or an error. */
static int assemble(struct wire *wire, struct weir_error *err)
{
	size_t bytes;
	ssize_t got;
	int ret;

	while (!wire->complete) {
		ret = incoming_bytes(wire, &bytes, err);
		if (ret)
			goto broken;
		if (wire->incoming.have >= HEADER_BYTES && wire->incoming.have == bytes) {
			wire->complete = true;
			break;
		}
		if (buffer_reserve(&wire->incoming, bytes))
			return weir_error_set(err, -ENOMEM, "no memory for a message of %zu bytes",
					      bytes);
		got = wire->fd >= 0
			      ? socket_pull(wire, wire->incoming.bytes + wire->incoming.have,
					    bytes - wire->incoming.have)
			      : wire_memory_pull(wire, wire->incoming.bytes + wire->incoming.have,
						 bytes - wire->incoming.have);
		if (got < 0) {
			ret = pull_failed(wire, (int)got, err);
			if (ret == -EAGAIN)
				return ret;
			goto broken;
		}
		wire->incoming.have += (size_t)got;
	}
	return 0;

broken:
	close_incoming_fds(wire);
	wire->broken = ret;
	return ret;
}

/* Waits for events on the socket until the deadline: what there is, or -ETIMEDOUT. */
static int wait_socket(const struct wire *wire, short events, uint64_t deadline)
{
	struct pollfd poll = { .fd = wire->fd, .events = events };
	struct timespec rest;
	uint64_t now;
	int ret;

	do {
		now = weir_now_ns();
		if (now >= deadline)
			return -ETIMEDOUT;
		rest.tv_sec = (time_t)((deadline - now) / 1000000000u);
		rest.tv_nsec = (long)((deadline - now) % 1000000000u);
		ret = ppoll(&poll, 1, &rest, NULL);
	} while (ret == 0 || (ret < 0 && errno == EINTR));
	return ret < 0 ? -errno : poll.revents;
}

static void deliver(struct wire *wire, struct wire_message *message)
{
	struct wire_buffer buffer = wire->incoming;

	wire->incoming = wire->current;
	wire->incoming.have = 0;
	wire->current = buffer;
	wire->complete = false;

	memcpy(&message->header, buffer.bytes, HEADER_BYTES);
	message->payload = buffer.bytes + HEADER_BYTES;
	message->bytes = buffer.have - HEADER_BYTES;
	memcpy(message->fds, wire->fds, wire->nr_fds * sizeof(int));
	message->nr_fds = wire->nr_fds;
	wire->nr_fds = 0;
}

static int already_broken(const struct wire *wire, struct weir_error *err)
{
	return weir_error_set(err, wire->broken, "the connection broke before: %s",
			      strerror(-wire->broken));
}

WEIR_EXPORT int weir_wire_receive(struct wire *wire, struct wire_message *message,
				  unsigned int timeout_ms, struct weir_error *err)
{
	uint64_t deadline = weir_now_ns() + (uint64_t)timeout_ms * 1000000u;
	int ret;

	message->nr_fds = 0;
	message->bytes = 0;
	message->payload = NULL;
	if (wire->broken)
		return already_broken(wire, err);
	while ((ret = assemble(wire, err)) == -EAGAIN) {
		if (wire->fd < 0) {
			/* The pump may be followed by one more look only: nothing else brings
			 * bytes. */
			if (!wire_memory_pump(wire) || (ret = assemble(wire, err)) == -EAGAIN)
				ret = timeout_ms ? -ETIMEDOUT : -EAGAIN;
			break;
		}
		ret = timeout_ms ? wait_socket(wire, POLLIN, deadline) : -EAGAIN;
		if (ret < 0)
			break;
	}
	if (ret == -ETIMEDOUT)
		return weir_error_set(err, ret, "no %s after %u ms",
				      wire->incoming.have ? "complete message" : "message",
				      timeout_ms);
	if (ret == -EAGAIN)
		return weir_error_set(err, ret, "no message is there");
	if (ret)
		return ret;
	deliver(wire, message);
	return 0;
}

/* Skips what has been sent. */
static void advance(struct msghdr *msg, size_t bytes)
{
	while (bytes) {
		struct iovec *part = msg->msg_iov;
		size_t step = bytes < part->iov_len ? bytes : part->iov_len;

		part->iov_base = (char *)part->iov_base + step;
		part->iov_len -= step;
		bytes -= step;
		if (!part->iov_len) {
			msg->msg_iov++;
			msg->msg_iovlen--;
		}
	}
}

static void put_control(struct msghdr *msg, union control *control, const int *fds,
			unsigned int nr_fds)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, nr_fds * sizeof(int));
}

/* Waits for room, reading ahead meanwhile. */
static int wait_for_room(struct wire *wire, uint64_t deadline)
{
	short events = POLLOUT;
	int ret;

	if (!wire->complete)
		events |= POLLIN;
	ret = wait_socket(wire, events, deadline);
	if (ret < 0)
		return ret;
	if (ret & POLLIN) {
		ret = assemble(wire, NULL);
		if (ret && ret != -EAGAIN)
			return ret;
	}
	return 0;
}

static int socket_push(struct wire *wire, struct iovec *parts, unsigned int nr_parts, size_t bytes,
		       const int *fds, unsigned int nr_fds, unsigned int timeout_ms)
{
	uint64_t deadline = weir_now_ns() + (uint64_t)timeout_ms * 1000000u;
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = nr_parts };
	union control control;
	size_t sent = 0;
	int ret = 0;

	if (nr_fds)
		put_control(&msg, &control, fds, nr_fds);
	while (sent < bytes) {
		ssize_t step = sendmsg(wire->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (step > 0) {
			sent += (size_t)step;
			advance(&msg, (size_t)step);
			msg.msg_control = NULL;
			msg.msg_controllen = 0;
			continue;
		}
		if (errno == EINTR)
			continue;
		ret = errno == EAGAIN ? wait_for_room(wire, deadline) : -errno;
		if (ret)
			break;
	}
	if (ret == -ECONNRESET)
		ret = -EPIPE;
	/* Half a message cannot be taken back: the peer would take the next for its rest. */
	if (ret && sent)
		wire->broken = ret;
	return ret;
}

WEIR_EXPORT int weir_wire_send(struct wire *wire, struct vfio_user_header *header,
			       const struct iovec *parts, unsigned int nr_parts, const int *fds,
			       unsigned int nr_fds, unsigned int timeout_ms, struct weir_error *err)
{
	struct iovec all[1 + WIRE_MAX_PARTS];
	size_t bytes = HEADER_BYTES;
	int ret;

	if (wire->broken)
		return already_broken(wire, err);
	if (nr_parts > WIRE_MAX_PARTS || nr_fds > WIRE_MAX_FDS)
		return weir_error_set(err, -EMSGSIZE,
				      "%u parts or %u file descriptors are over %d and %d",
				      nr_parts, nr_fds, WIRE_MAX_PARTS, WIRE_MAX_FDS);
	all[0] = (struct iovec){ header, HEADER_BYTES };
	for (unsigned int i = 0; i < nr_parts; i++) {
		all[1 + i] = parts[i];
		if (parts[i].iov_len > WIRE_MAX_BYTES - bytes)
			return weir_error_set(err, -EMSGSIZE, "a message of over %u bytes",
					      WIRE_MAX_BYTES);
		bytes += parts[i].iov_len;
	}
	header->bytes = (uint32_t)bytes;
	ret = wire->fd >= 0 ? socket_push(wire, all, 1 + nr_parts, bytes, fds, nr_fds, timeout_ms)
			    : wire_memory_push(wire, all, 1 + nr_parts, fds, nr_fds);
	if (ret == -ETIMEDOUT)
		return weir_error_set(err, ret, "the peer did not read for %u ms", timeout_ms);
	if (ret)
		return weir_error_set(err, ret, "cannot send: %s", strerror(-ret));
	return 0;
}
