/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir p2p send: blocks of an NVMe namespace to the wire, through the memory of another device. The
 * drive writes into that memory and the port reads from it: no byte of the data is in host memory.
 *
 * The memory is a ring of bytes: what is read goes to its place in there when the port has let go
 * of what was there before.
 */
#include "clock.h"
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "p2p_side.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ASK_NS UINT64_C(100000000)

static const struct p2p_config defaults = P2P_CONFIG_DEFAULTS;

static const struct cli_option options[] = {
	P2P_SIDE_OPTIONS,
	{ NULL },
};

struct sender {
	struct p2p_side side;
	uint64_t ring; /* bytes of the memory that are used: whole pieces */
	uint64_t read; /* bytes that lie in the memory, or did */
	uint64_t allowed; /* by the receiver */
	bool answered, done;
	uint64_t heard_ns, asked_ns;
};

/* Something that the receiver says. */
static int hear(struct sender *sender, const struct p2p_frame *frame, struct weir_error *err)
{
	struct p2p_link *link = &sender->side.link;

	if (frame->stream != link->stream ||
	    (sender->answered && memcmp(frame->from, link->peer, sizeof(link->peer))))
		return 0;
	sender->heard_ns = clock_ns(CLOCK_MONOTONIC);
	sender->answered = true;
	memcpy(link->peer, frame->from, sizeof(link->peer));
	switch (frame->kind) {
	case P2P_READY:
		if (frame->offset > sender->side.config->bytes)
			return fail(err, -EPROTO,
				    "the receiver has room up to byte %" PRIu64 " of %" PRIu64,
				    frame->offset, sender->side.config->bytes);
		if (frame->offset > sender->allowed)
			sender->allowed = frame->offset;
		return 0;
	case P2P_DONE:
		if (link->sent != sender->side.config->bytes)
			return fail(err, -EPROTO,
				    "the receiver has all after %" PRIu64 " of %" PRIu64 " bytes",
				    link->sent, sender->side.config->bytes);
		sender->done = true;
		return 0;
	case P2P_FAILED:
		return p2p_side_given_up(frame, err);
	default:
		return 0;
	}
}

static int listen(struct sender *sender, struct weir_error *err)
{
	struct p2p_link *link = &sender->side.link;
	struct p2p_received received;
	int rc;

	while ((rc = p2p_link_receive(link, &received, err)) > 0) {
		rc = p2p_link_post(link, received.slot, err);
		if (!rc)
			rc = hear(sender, &received.frame, err);
		if (rc)
			break;
	}
	return rc;
}

/* Sends what has been read and may be sent. */
static int send_data(struct sender *sender, struct weir_error *err)
{
	struct p2p_link *link = &sender->side.link;
	uint64_t end = sender->read < sender->allowed ? sender->read : sender->allowed;
	int rc = 0;

	while (!rc && link->sent < end && p2p_link_has_room(link)) {
		struct p2p_frame frame = p2p_side_frame(&sender->side, P2P_DATA);
		uint64_t left = sender->side.config->bytes - link->sent;

		frame.offset = link->sent;
		if (left < frame.payload)
			frame.payload = (uint32_t)left;
		/* Whole frames only: the rest of one may not have been read yet. */
		if (frame.payload > end - link->sent)
			break;
		rc = p2p_link_send(link, &frame, link->memory + link->sent % sender->ring, err);
	}
	return rc;
}

/* Asks a receiver that says nothing how it is. */
static int ask(struct sender *sender, struct weir_error *err)
{
	const struct p2p_config *config = sender->side.config;
	struct p2p_frame frame = p2p_side_frame(&sender->side, P2P_OPEN);
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	if (now - sender->heard_ns > config->wait_ms * 1000000)
		return fail(err, -ETIMEDOUT, "no receiver answered at %s for %.1f s", config->port,
			    (double)config->wait_ms / 1e3);
	if ((sender->answered && now - sender->heard_ns < ASK_NS) ||
	    now - sender->asked_ns < ASK_NS || !p2p_link_has_room(&sender->side.link))
		return 0;
	sender->asked_ns = now;
	return p2p_link_send(&sender->side.link, &frame, 0, err);
}

static int turn(struct sender *sender, struct weir_error *err)
{
	int rc = p2p_link_serve(&sender->side.link, err);

	if (!rc)
		rc = listen(sender, err);
	if (!rc)
		rc = send_data(sender, err);
	return rc ? rc : ask(sender, err);
}

static int prepare(void *ctx, struct transfer_piece *piece, struct weir_error *err)
{
	struct sender *sender = ctx;
	int rc = turn(sender, err);

	if (rc)
		return rc;
	if (piece->offset + piece->bytes > sender->side.link.left + sender->ring)
		return 1;
	piece->iova = sender->side.iova + piece->offset % sender->ring;
	return device_memory_check(sender->side.mapping, err);
}

static int finish(void *ctx, const struct transfer_piece *piece, struct weir_error *err)
{
	struct sender *sender = ctx;

	sender->read = piece->offset + piece->bytes;
	return turn(sender, err);
}

static const struct transfer_ops send_ops = { .prepare = prepare, .finish = finish };

/* All is read: the rest of it goes out, and the receiver writes it. */
static int wait_done(struct sender *sender, struct weir_error *err)
{
	while (!sender->done) {
		int rc = turn(sender, err);

		if (!rc)
			rc = target_events(&sender->side.target, err);
		if (!rc && stop_requested())
			rc = fail(err, -EINTR, "interrupted after %" PRIu64 " of %" PRIu64 " bytes",
				  sender->side.link.sent, sender->side.config->bytes);
		if (rc)
			return rc;
		sched_yield();
	}
	return 0;
}

static int send_all(struct sender *sender, struct weir_error *err)
{
	const struct p2p_side *side = &sender->side;
	int rc;

	printf("sending %" PRIu64 " bytes from LBA %" PRIu64 " of namespace %" PRIu32
	       " of %s (%s, serial %s), through offset %" PRIu64 " of %s, from %s\n",
	       side->config->bytes, side->config->lba, side->target.ns_info.nsid,
	       side->target.address, side->target.info.model, side->target.info.serial,
	       side->config->offset, side->config->memory, side->config->port);
	fflush(stdout);
	sender->heard_ns = clock_ns(CLOCK_MONOTONIC);
	rc = transfer_run(&side->transfer, err);
	return rc ? rc : wait_done(sender, err);
}

/* The receiver may go. */
static void say_close(struct sender *sender)
{
	struct p2p_frame frame = p2p_side_frame(&sender->side, P2P_CLOSE);

	p2p_link_say(&sender->side.link, &frame);
}

static int choose_stream(struct p2p_link *link, struct weir_error *err)
{
	memset(link->peer, 0xff, sizeof(link->peer));
	if (getrandom(&link->stream, sizeof(link->stream), 0) != sizeof(link->stream))
		return fail(err, -errno, "no random number: %s", strerror(errno));
	link->stream |= 1;
	return 0;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	struct sender sender = { 0 };
	int rc;

	(void)operands;
	rc = p2p_side_open(&sender.side, arg, false, err);
	if (rc)
		return rc;
	sender.side.transfer.ops = &send_ops;
	sender.side.transfer.ctx = &sender;
	sender.ring = sender.side.config->window -
		      sender.side.config->window % sender.side.transfer.piece;
	rc = choose_stream(&sender.side.link, err);
	if (!rc) {
		stop_on_signals(NULL, NULL);
		notice_show();
		rc = send_all(&sender, err);
		if (rc)
			p2p_link_fail(&sender.side.link, err);
		else
			say_close(&sender);
	}
	p2p_side_close(&sender.side);
	return rc;
}

const struct cli_command command_p2p_send = {
	.name = "p2p send",
	.operands = "",
	.summary = "Send blocks of an NVMe namespace over the network, through device memory.",
	.examples = "  weir p2p send --nvme 0000:3b:00.0 --memory 0000:3c:00.0 "
		    "--port 0000:3d:00.0 --bytes 64M\n"
		    "  weir p2p send --nvme vfio-user:/tmp/nvme.sock --memory "
		    "vfio-user:/tmp/memory.sock \\\n"
		    "      --port vfio-user:/tmp/igb.sock --bytes 16M --mappings\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
