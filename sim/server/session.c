/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One client, from its first message to its last.
 *
 * Commands are handled in the order in which they come. While the server waits for the answer to a
 * DMA request of its own, in the middle of a model's work, commands that arrive are kept and
 * handled afterwards: the model never sees its memory or its registers change under it. A client
 * must answer DMA requests while it waits for a reply, so neither side waits for the other.
 *
 * Whatever breaks the protocol only marks the session as broken. It ends at the next turn, when the
 * model is not in the middle of something.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"
#include "server/server.h"

/* Messages in one go, before the data path has its turn again. */
#define MESSAGES_PER_TURN 16u
/* What a client may send while it owes an answer. */
#define MAX_DEFERRED_BYTES (4u << 20)
#define MAX_DEFERRED_FDS 64u

int session_init(struct session *session)
{
	TAILQ_INIT(&session->deferred);
	session->request = malloc(WIRE_MAX_BYTES);
	session->reply = malloc(WIRE_MAX_BYTES);
	if (!session->request || !session->reply) {
		session_destroy(session);
		return -ENOMEM;
	}
	return 0;
}

void session_destroy(struct session *session)
{
	free(session->request);
	free(session->reply);
	session->request = NULL;
	session->reply = NULL;
}

void session_start(struct sim_server *server, struct wire *wire)
{
	struct session *session = &server->session;

	session->wire = wire;
	session->agreed = false;
	session->attention = true;
	session->broken = 0;
	session->hello_deadline = weir_now_ns() + CLIENT_TIMEOUT_MS * UINT64_C(1000000);
	session->max_transfer = VFIO_USER_DEFAULT_MAX_TRANSFER;
	session->max_fds = VFIO_USER_DEFAULT_MAX_FDS;
	session->nr_messages = 0;
	weir_log_write(&server->options.log, WEIR_LOG_INFO, "%s: a client connected",
		       server->ops->name);
}

static void drop_deferred(struct session *session, struct deferred *deferred)
{
	TAILQ_REMOVE(&session->deferred, deferred, link);
	session->deferred_bytes -= sizeof(*deferred) + deferred->message.bytes;
	session->deferred_fds -= deferred->message.nr_fds;
	weir_wire_message_release(&deferred->message);
	free(deferred);
}

/* Nothing of a client stays: the next one finds the device as after power on. The connection goes
 * last, so that whoever sees its end knows that his memory is left alone. */
void session_end(struct sim_server *server)
{
	struct session *session = &server->session;
	struct deferred *deferred;

	if (!session->wire)
		return;
	if (!session->broken)
		session->broken = -ESHUTDOWN;
	weir_log_write(&server->options.log, WEIR_LOG_INFO, "%s: the client is gone: %s",
		       server->ops->name, strerrordesc_np(-session->broken));
	session->agreed = false;
	session->attention = false;
	while ((deferred = TAILQ_FIRST(&session->deferred)))
		drop_deferred(session, deferred);
	dma_unmap_all(&server->dma);
	atomic_store(&server->dma.truncated, 0);
	irqs_close(&server->irqs);
	config_space_init(&server->config, &server->pci);
	server->ops->reset(server->model);
	weir_wire_close(session->wire);
	session->wire = NULL;
}

static void break_session(struct sim_server *server, int error, const char *what)
{
	if (server->session.broken)
		return;
	weir_log_write(&server->options.log, WEIR_LOG_WARN, "%s: client: %s: %s", server->ops->name,
		       what, strerrordesc_np(-error));
	server->session.broken = error;
	server->session.attention = true;
}

static struct vfio_user_header reply_header(const struct vfio_user_header *request, int error)
{
	return (struct vfio_user_header){
		.id = request->id,
		.command = request->command,
		.flags = VFIO_USER_TYPE_REPLY | (error ? VFIO_USER_ERROR : 0),
		.error = (uint32_t)-error,
	};
}

void reply_error(struct wire *wire, const struct vfio_user_header *request, int error)
{
	struct vfio_user_header header = reply_header(request, error);

	weir_wire_send(wire, &header, NULL, 0, NULL, 0, 0, NULL);
}

static bool fault(const struct session *session, unsigned int after)
{
	return after && session->nr_messages > after;
}

/* Sends bytes that the wire would not: a reply that lies about its size, then nothing more. */
static void send_spoiled(struct sim_server *server, struct vfio_user_header header, void *payload,
			 size_t bytes)
{
	bool is_short = fault(&server->session, server->options.fault_short_after);
	int fd = weir_wire_fd(server->session.wire);
	size_t whole = sizeof(header) + bytes;
	struct iovec parts[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = payload, .iov_len = bytes },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };

	header.bytes = is_short ? (uint32_t)whole : UINT32_MAX;
	if (is_short) {
		parts[0].iov_len = whole / 2 < sizeof(header) ? whole / 2 : sizeof(header);
		parts[1].iov_len = whole / 2 - parts[0].iov_len;
	}
	if (fd >= 0)
		sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (is_short)
		break_session(server, -ECONNABORTED, "fault: short reply");
}

static void send_reply(struct sim_server *server, const struct request *request, int error)
{
	const struct sim_server_options *options = &server->options;
	struct session *session = &server->session;
	struct vfio_user_header header = reply_header(&request->header, error);
	struct iovec part = { .iov_base = request->reply, .iov_len = request->reply_bytes };
	unsigned int nr_fds = !error && request->reply_fd >= 0;
	int rc;

	if (error)
		part.iov_len = 0;
	if (fault(session, options->fault_wrong_id_after))
		header.id++;
	if (fault(session, options->fault_short_after) ||
	    fault(session, options->fault_oversize_after)) {
		send_spoiled(server, header, part.iov_base, part.iov_len);
		return;
	}
	rc = weir_wire_send(session->wire, &header, &part, part.iov_len ? 1 : 0, &request->reply_fd,
			    nr_fds, CLIENT_TIMEOUT_MS, NULL);
	if (rc)
		break_session(server, rc, "it does not take a reply");
}

static void handle(struct sim_server *server, struct wire_message *message)
{
	const struct sim_server_options *options = &server->options;
	struct session *session = &server->session;
	struct request request = {
		.header = message->header,
		.payload = session->request,
		.bytes = message->bytes,
		.fds = message->fds,
		.nr_fds = message->nr_fds,
		.reply = session->reply,
		.reply_fd = -1,
	};
	int rc;

	session->nr_messages++;
	if (fault(session, options->fault_stall_after))
		return;
	if (fault(session, options->fault_close_after)) {
		break_session(server, -ECONNABORTED, "fault: close");
		return;
	}
	if ((message->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_COMMAND) {
		break_session(server, -EPROTO, "it answers what was not asked");
		return;
	}
	/* A model that asks for DMA by message receives, and the wire's own copy is gone then. */
	if (message->bytes)
		memcpy(session->request, message->payload, message->bytes);
	rc = fault(session, options->fault_error_after) ? -EIO : protocol_handle(server, &request);
	if (session->broken)
		return;
	if (rc)
		weir_log_write(&options->log, WEIR_LOG_DEBUG, "%s: command %u refused: %s",
			       server->ops->name, request.header.command, strerrordesc_np(-rc));
	if (!(request.header.flags & VFIO_USER_NO_REPLY))
		send_reply(server, &request, rc);
	if (!session->agreed)
		break_session(server, rc ? rc : -EPROTO, "no agreement on the protocol");
}

/* Handles what is there, a few messages at most. Returns how many. */
static unsigned int serve_messages(struct sim_server *server)
{
	struct session *session = &server->session;
	struct wire_message message;
	unsigned int handled = 0;
	int rc;

	while (handled < MESSAGES_PER_TURN && !session->broken) {
		struct deferred *deferred = TAILQ_FIRST(&session->deferred);

		if (deferred) {
			handle(server, &deferred->message);
			drop_deferred(session, deferred);
			handled++;
			continue;
		}
		rc = weir_wire_receive(session->wire, &message, 0, NULL);
		if (rc == -EAGAIN) {
			session->attention = false;
			break;
		}
		if (rc) {
			session->broken = rc;
			break;
		}
		handle(server, &message);
		weir_wire_message_release(&message);
		handled++;
	}
	return handled;
}

unsigned int session_serve(struct sim_server *server)
{
	struct session *session = &server->session;
	unsigned int handled = 0;

	/* Nothing tells that a message came to an in-memory wire. */
	if (session->attention || weir_wire_fd(session->wire) < 0)
		handled = serve_messages(server);
	if (!session->agreed && !session->broken && weir_now_ns() > session->hello_deadline)
		break_session(server, -ETIMEDOUT, "it does not say hello");
	if (atomic_load(&server->dma.truncated))
		break_session(server, -EFAULT, "it cut a shared file short");
	return handled;
}

/* Keeps a command for later. Owns the message's descriptors on success. */
static int defer(struct session *session, const struct wire_message *message)
{
	size_t bytes = sizeof(struct deferred) + message->bytes;
	struct deferred *deferred;

	if (session->deferred_bytes + bytes > MAX_DEFERRED_BYTES ||
	    session->deferred_fds + message->nr_fds > MAX_DEFERRED_FDS)
		return -ENOBUFS;
	deferred = malloc(bytes);
	if (!deferred)
		return -ENOMEM;
	deferred->message = *message;
	deferred->message.payload = deferred->data;
	if (message->bytes)
		memcpy(deferred->data, message->payload, message->bytes);
	TAILQ_INSERT_TAIL(&session->deferred, deferred, link);
	session->deferred_bytes += bytes;
	session->deferred_fds += message->nr_fds;
	return 0;
}

/* Checks the answer to a DMA request. The answer to a write may count in 32 bits
 * ("VFIO_USER_DMA_WRITE"). */
static int check_dma_reply(const struct wire_message *message, const struct vfio_user_header *asked,
			   const struct vfio_user_dma_access *access, bool write)
{
	size_t least = offsetof(struct vfio_user_dma_access, count) + sizeof(uint32_t);
	struct vfio_user_dma_access answer = { 0 };

	if (message->header.id != asked->id || message->header.command != asked->command)
		return -EPROTO;
	if (message->header.flags & VFIO_USER_ERROR)
		return -EIO;
	if (write ? message->bytes < least : message->bytes != sizeof(answer) + access->count)
		return -EPROTO;
	memcpy(&answer, message->payload,
	       message->bytes < sizeof(answer) ? message->bytes : sizeof(answer));
	if (answer.address != access->address || answer.count != access->count)
		return -EPROTO;
	return 0;
}

/* Waits for an answer. On success the message is the caller's to release. */
static int wait_reply(struct session *session, struct wire_message *message)
{
	uint64_t deadline = weir_now_ns() + CLIENT_TIMEOUT_MS * UINT64_C(1000000);

	for (;;) {
		uint64_t now = weir_now_ns();
		int rc;

		if (now >= deadline)
			return -ETIMEDOUT;
		rc = weir_wire_receive(session->wire, message,
				       (unsigned int)((deadline - now) / 1000000) + 1, NULL);
		if (rc)
			return rc;
		if ((message->header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_REPLY)
			return 0;
		rc = defer(session, message);
		if (rc) {
			weir_wire_message_release(message);
			return rc;
		}
	}
}

int session_dma(struct sim_server *server, uint64_t iova, uint8_t *data, uint32_t bytes, bool write)
{
	struct session *session = &server->session;
	struct vfio_user_dma_access access = { .address = iova, .count = bytes };
	struct vfio_user_header header = {
		.id = session->next_id++,
		.command = write ? VFIO_USER_DMA_WRITE : VFIO_USER_DMA_READ,
		.flags = VFIO_USER_TYPE_COMMAND,
	};
	struct iovec parts[] = {
		{ .iov_base = &access, .iov_len = sizeof(access) },
		{ .iov_base = data, .iov_len = bytes },
	};
	struct wire_message message;
	int rc;

	/* A slow client must not keep a stopped server from ending. */
	if (session->broken || !session->wire || server_stopping(server))
		return -EIO;
	session->attention = true;
	rc = weir_wire_send(session->wire, &header, parts, write ? 2 : 1, NULL, 0,
			    CLIENT_TIMEOUT_MS, NULL);
	if (!rc)
		rc = wait_reply(session, &message);
	if (rc) {
		break_session(server, rc, "it does not answer a DMA request");
		return -EIO;
	}
	rc = check_dma_reply(&message, &header, &access, write);
	if (!rc && !write)
		memcpy(data, (const uint8_t *)message.payload + sizeof(access), bytes);
	weir_wire_message_release(&message);
	if (rc == -EPROTO)
		break_session(server, rc, "its answer to a DMA request does not fit");
	return rc ? -EIO : 0;
}
