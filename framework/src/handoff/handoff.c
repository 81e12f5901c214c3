/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On the socket: a header, the descriptors in batches, the bytes of the records. Each batch rides
 * on one byte of its own, and both sides know its size, so that the receiver can tell at every byte
 * which descriptors have to come with it. Bytes after the last record are left in the socket.
 *
 * The socket may be blocking or not; it is never waited in but in poll(), against one deadline.
 */
#include <assert.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weir/handoff.h>

#include "base/base.h"
#include "base/state.h"

#define MAGIC UINT64_C(0x444e414852494557) /* "WEIRHAND" on a little-endian machine */
#define VERSION 1
/* Descriptors in one message; the kernel takes and gives at most 253 (SCM_MAX_FD). */
#define BATCH 128u
#define MAX_MESSAGE_FDS 253u

struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes;
	uint32_t nr_fds;
	uint32_t reserved;
};
static_assert(sizeof(struct header) == 24, "the same for every compiler");

struct channel {
	int socket;
	uint64_t deadline; /* weir_now_ns() */
	struct weir_error *err;
};

/* Room for the descriptors of a message, and for credentials where the socket's owner asked for
 * them. */
union control {
	char bytes[CMSG_SPACE(MAX_MESSAGE_FDS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

static struct channel open_channel(int socket, unsigned int timeout_ms, struct weir_error *err)
{
	return (struct channel){ socket, weir_now_ns() + timeout_ms * UINT64_C(1000000), err };
}

/* Waits until the socket is ready or the deadline has passed. */
static int wait_ready(const struct channel *channel, short events)
{
	struct pollfd pollfd = { .fd = channel->socket, .events = events };

	for (;;) {
		uint64_t now = weir_now_ns();
		uint64_t left = now < channel->deadline ? channel->deadline - now : 0;
		uint64_t left_ms = (left + 999999) / 1000000;
		int rc = poll(&pollfd, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);

		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return weir_error_set(channel->err, -errno, "handoff: poll: %s",
					      strerror(errno));
		if (rc == 0 && left_ms <= INT_MAX)
			return weir_error_set(channel->err, -ETIMEDOUT,
					      "handoff: the other side did not %s in time",
					      events == POLLIN ? "send" : "read");
	}
}

/* Sends bytes, at least one, with descriptors on the first of them. */
static int send_part(const struct channel *channel, const void *data, size_t bytes, const int *fds,
		     unsigned int nr_fds)
{
	union control control = { 0 };
	size_t sent = 0;

	while (sent < bytes) {
		struct iovec part = { (char *)(uintptr_t)data + sent, bytes - sent };
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
		ssize_t rc;

		if (nr_fds && !sent) {
			message.msg_control = control.bytes;
			message.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
			control.align.cmsg_level = SOL_SOCKET;
			control.align.cmsg_type = SCM_RIGHTS;
			control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
			memcpy(CMSG_DATA(&control.align), fds, nr_fds * sizeof(int));
		}
		rc = sendmsg(channel->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (rc >= 0) {
			sent += (size_t)rc;
		} else if (errno == EAGAIN) {
			int waited = wait_ready(channel, POLLOUT);

			if (waited)
				return waited;
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return weir_error_set(channel->err, -EPIPE,
					      "handoff: the other side is gone");
		} else if (errno != EINTR) {
			return weir_error_set(channel->err, -errno, "handoff: sendmsg: %s",
					      strerror(errno));
		}
	}
	return 0;
}

/* Moves the descriptors of a message behind the `have` that are in `fds`; returns how many there
 * are then. What is over `max` is closed and counted. */
static unsigned int collect_fds(struct msghdr *message, int *fds, unsigned int have,
				unsigned int max)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
	     part = CMSG_NXTHDR(message, part)) {
		unsigned int nr_fds = (unsigned int)((part->cmsg_len - CMSG_LEN(0)) / sizeof(int));

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		for (unsigned int i = 0; i < nr_fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
			if (have < max)
				fds[have] = fd;
			else
				close(fd);
			have++;
		}
	}
	return have;
}

static void close_all(const int *fds, unsigned int nr_fds)
{
	for (unsigned int i = 0; i < nr_fds; i++)
		close(fds[i]);
}

/* One recvmsg(): how many bytes came, or a negative errno. */
static ssize_t receive_some(const struct channel *channel, void *data, size_t bytes, int *fds,
			    unsigned int *have, unsigned int max)
{
	union control control;
	struct iovec part = { data, bytes };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t rc = recvmsg(channel->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (rc < 0 && (errno == EAGAIN || errno == EINTR))
		return wait_ready(channel, POLLIN);
	if (rc == 0 || (rc < 0 && errno == ECONNRESET))
		return weir_error_set(channel->err, -ECONNRESET,
				      "handoff: the other side closed early");
	if (rc < 0)
		return weir_error_set(channel->err, -errno, "handoff: recvmsg: %s",
				      strerror(errno));
	*have = collect_fds(&message, fds, *have, max);
	if (message.msg_flags & MSG_CTRUNC)
		return weir_error_set(channel->err, -EMFILE,
				      "handoff: no room for the descriptors that came; raise "
				      "RLIMIT_NOFILE (ulimit -n)");
	return rc;
}

/* Receives bytes with exactly nr_fds descriptors. On failure none of them is left open. */
static int receive_part(const struct channel *channel, void *data, size_t bytes, int *fds,
			unsigned int nr_fds)
{
	unsigned int have = 0;
	size_t received = 0;
	int rc = 0;

	while (received < bytes) {
		ssize_t some = receive_some(channel, (char *)data + received, bytes - received, fds,
					    &have, nr_fds);

		if (some < 0) {
			rc = (int)some;
			break;
		}
		received += (size_t)some;
	}
	if (!rc && have != nr_fds)
		rc = weir_error_set(channel->err, -EPROTO,
				    "handoff: %u descriptors came where %u belong", have, nr_fds);
	if (rc)
		close_all(fds, have < nr_fds ? have : nr_fds);
	return rc;
}

static unsigned int batch_of(unsigned int left)
{
	return left < BATCH ? left : BATCH;
}

WEIR_EXPORT int weir_handoff_send(int socket, const struct weir_state *state,
				  unsigned int timeout_ms, struct weir_error *err)
{
	struct channel channel = open_channel(socket, timeout_ms, err);
	struct header header = { .magic = MAGIC, .version = VERSION };
	const void *data;
	const int *fds;
	size_t bytes;
	int rc;

	data = weir_state_raw(state, &bytes, &fds, &header.nr_fds);
	header.bytes = (uint32_t)bytes; /* at most WEIR_STATE_MAX_BYTES */
	rc = send_part(&channel, &header, sizeof(header), NULL, 0);
	for (unsigned int at = 0; at < header.nr_fds && !rc; at += BATCH)
		rc = send_part(&channel, "", 1, fds + at, batch_of(header.nr_fds - at));
	if (!rc)
		rc = send_part(&channel, data, bytes, NULL, 0);
	return rc;
}

static int receive_header(const struct channel *channel, struct header *header)
{
	int rc = receive_part(channel, header, sizeof(*header), NULL, 0);

	if (rc)
		return rc;
	if (header->magic != MAGIC || header->reserved)
		return weir_error_set(channel->err, -EPROTO, "handoff: what came is no state");
	if (header->version != VERSION)
		return weir_error_set(channel->err, -EPROTO,
				      "handoff: version %u came, %u is known here", header->version,
				      VERSION);
	if (header->bytes > WEIR_STATE_MAX_BYTES || header->nr_fds > WEIR_STATE_MAX_FDS)
		return weir_error_set(channel->err, -EPROTO,
				      "handoff: %u bytes and %u descriptors are over %u and %u",
				      header->bytes, header->nr_fds, WEIR_STATE_MAX_BYTES,
				      WEIR_STATE_MAX_FDS);
	return 0;
}

/* Receives all batches. On failure no descriptor is left open. */
static int receive_fds(const struct channel *channel, int *fds, unsigned int nr_fds)
{
	for (unsigned int at = 0; at < nr_fds; at += BATCH) {
		char carrier;
		int rc = receive_part(channel, &carrier, 1, fds + at, batch_of(nr_fds - at));

		if (rc) {
			close_all(fds, at);
			return rc;
		}
	}
	return 0;
}

WEIR_EXPORT int weir_handoff_receive(int socket, unsigned int timeout_ms, struct weir_state **state,
				     struct weir_error *err)
{
	struct channel channel = open_channel(socket, timeout_ms, err);
	int fds[WEIR_STATE_MAX_FDS];
	struct header header;
	void *data;
	int rc;

	rc = receive_header(&channel, &header);
	if (rc)
		return rc;
	data = malloc(header.bytes ? header.bytes : 1);
	if (!data)
		return weir_error_set(err, -ENOMEM, "handoff: no memory for %u bytes",
				      header.bytes);
	rc = receive_fds(&channel, fds, header.nr_fds);
	if (rc)
		goto free_data;
	rc = receive_part(&channel, data, header.bytes, NULL, 0);
	if (!rc)
		rc = weir_state_from_raw(data, header.bytes, fds, header.nr_fds, state, err);
	if (rc)
		close_all(fds, header.nr_fds);
free_data:
	free(data);
	return rc;
}
