/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir p2p receive: what weir p2p send sends, into an NVMe namespace, through the memory of another
 * device. The port takes headers off into host memory and writes payload into that memory, and the
 * drive reads it from there: no byte of the data is in host memory.
 *
 * Which place of the memory a frame came into is only known when it is there, since frames of
 * others may come between; so each frame is written to the drive by itself.
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
#include <unistd.h>

#define LINGER_NS UINT64_C(1000000000)
#define IDLE_US 500

static const struct p2p_config defaults = P2P_CONFIG_DEFAULTS;

static const struct cli_option options[] = {
	P2P_SIDE_OPTIONS,
	{ "yes", CLI_FLAG, P2P_MEMBER(yes), .help = "overwrite what is on the blocks written to" },
	{ NULL },
};

struct receiver {
	struct p2p_side side;
	unsigned int slots[P2P_RX_FRAMES]; /* of frames that are there, by their number */
	uint64_t arrived; /* bytes */
	uint64_t written; /* of them */
	uint64_t allowed; /* as the sender was told */
	bool done, closed;
	uint64_t heard_ns;
};

static bool is_open(const struct receiver *receiver)
{
	return receiver->side.link.stream;
}

/* Tells the sender how far there is room, or that all is written. */
static int answer(struct receiver *receiver, struct weir_error *err)
{
	const struct p2p_config *config = receiver->side.config;
	struct p2p_link *link = &receiver->side.link;
	struct p2p_frame frame = p2p_side_frame(&receiver->side,
						receiver->done ? P2P_DONE : P2P_READY);
	uint64_t room = receiver->written - receiver->written % link->payload +
			(uint64_t)(link->rx_frames - P2P_RX_RESERVE) * link->payload;

	/* It asks again. */
	if (!p2p_link_has_room(link))
		return 0;
	receiver->allowed = room < config->bytes ? room : config->bytes;
	frame.offset = receiver->allowed;
	return p2p_link_send(link, &frame, 0, err);
}

static int open_stream(struct receiver *receiver, const struct p2p_frame *frame,
		       struct weir_error *err)
{
	const struct p2p_config *config = receiver->side.config;
	struct p2p_link *link = &receiver->side.link;

	receiver->heard_ns = clock_ns(CLOCK_MONOTONIC);
	link->stream = frame->stream;
	memcpy(link->peer, frame->from, sizeof(link->peer));
	if (frame->bytes != config->bytes || frame->payload != link->payload)
		return fail(err, -EINVAL,
			    "the sender has %" PRIu64 " bytes in frames of %" PRIu32
			    ", the receiver expects %" PRIu64 " in frames of %" PRIu32,
			    frame->bytes, frame->payload, config->bytes, link->payload);
	printf("receiving from %02x:%02x:%02x:%02x:%02x:%02x\n", link->peer[0], link->peer[1],
	       link->peer[2], link->peer[3], link->peer[4], link->peer[5]);
	fflush(stdout);
	return answer(receiver, err);
}

/* A frame of data. 1: it is kept. */
static int take_data(struct receiver *receiver, const struct p2p_received *received,
		     struct weir_error *err)
{
	const struct p2p_frame *frame = &received->frame;
	const struct p2p_link *link = &receiver->side.link;
	uint64_t left = receiver->side.config->bytes - receiver->arrived;
	uint32_t expected = left < link->payload ? (uint32_t)left : link->payload;

	if (frame->offset > receiver->arrived)
		return fail(err, -EIO,
			    "what came after byte %" PRIu64 " of %" PRIu64
			    " is that of byte %" PRIu64 ": a frame was lost",
			    receiver->arrived, receiver->side.config->bytes, frame->offset);
	if (frame->offset < receiver->arrived || !left)
		return fail(err, -EPROTO, "the sender sends byte %" PRIu64 " again", frame->offset);
	if (frame->payload != expected || received->payload != expected)
		return fail(err, -EPROTO,
			    "a frame at byte %" PRIu64 " says %" PRIu32 " bytes and has %" PRIu32
			    ", not %" PRIu32,
			    frame->offset, frame->payload, received->payload, expected);
	if (receiver->arrived + expected > receiver->allowed)
		return fail(err, -EPROTO,
			    "the sender goes on behind byte %" PRIu64 ", as far as there is room",
			    receiver->allowed);
	receiver->slots[receiver->arrived / link->payload % P2P_RX_FRAMES] = received->slot;
	receiver->arrived += expected;
	return 1;
}

/* A frame. 1: its place in the memory is kept. */
static int hear(struct receiver *receiver, const struct p2p_received *received,
		struct weir_error *err)
{
	const struct p2p_frame *frame = &received->frame;
	const struct p2p_link *link = &receiver->side.link;

	if (!is_open(receiver))
		return frame->kind == P2P_OPEN && frame->stream ? open_stream(receiver, frame, err)
								: 0;
	if (frame->stream != link->stream || memcmp(frame->from, link->peer, sizeof(link->peer)))
		return 0;
	receiver->heard_ns = clock_ns(CLOCK_MONOTONIC);
	switch (frame->kind) {
	case P2P_OPEN:
		return answer(receiver, err);
	case P2P_DATA:
		return take_data(receiver, received, err);
	case P2P_CLOSE:
		receiver->closed = receiver->done;
		return 0;
	case P2P_FAILED:
		return p2p_side_given_up(frame, err);
	default:
		return 0;
	}
}

static int check_silence(const struct receiver *receiver, struct weir_error *err)
{
	const struct p2p_config *config = receiver->side.config;

	if (!is_open(receiver) ||
	    clock_ns(CLOCK_MONOTONIC) - receiver->heard_ns <= config->wait_ms * 1000000)
		return 0;
	return fail(err, -ETIMEDOUT,
		    "nothing came for %.1f s after %" PRIu64 " of %" PRIu64 " bytes",
		    (double)config->wait_ms / 1e3, receiver->arrived, config->bytes);
}

static int turn(struct receiver *receiver, struct weir_error *err)
{
	struct p2p_link *link = &receiver->side.link;
	struct p2p_received received;
	int rc = p2p_link_serve(link, err);

	if (rc)
		return rc;
	while ((rc = p2p_link_receive(link, &received, err)) > 0) {
		rc = hear(receiver, &received, err);
		if (!rc)
			rc = p2p_link_post(link, received.slot, err);
		if (rc < 0)
			return rc;
	}
	return rc ? rc : check_silence(receiver, err);
}

static int prepare(void *ctx, struct transfer_piece *piece, struct weir_error *err)
{
	struct receiver *receiver = ctx;
	const struct p2p_link *link = &receiver->side.link;
	uint64_t slot;
	int rc = turn(receiver, err);

	if (rc)
		return rc;
	if (piece->offset + piece->bytes > receiver->arrived)
		return 1;
	slot = receiver->slots[piece->offset / link->payload % P2P_RX_FRAMES];
	piece->iova = receiver->side.iova + slot * link->rx_room + piece->offset % link->payload;
	return device_memory_check(receiver->side.mapping, err);
}

static int finish(void *ctx, const struct transfer_piece *piece, struct weir_error *err)
{
	struct receiver *receiver = ctx;
	struct p2p_link *link = &receiver->side.link;
	uint64_t end = piece->offset + piece->bytes;
	int rc;

	receiver->written = end;
	if (end % link->payload && end != receiver->side.config->bytes)
		return 0; /* the rest of the frame is still to be written */
	rc = p2p_link_post(link, receiver->slots[piece->offset / link->payload % P2P_RX_FRAMES],
			   err);
	/* Few words, and before the sender has to wait. */
	if (!rc &&
	    receiver->allowed - receiver->written <
		    (uint64_t)(link->rx_frames - P2P_RX_RESERVE) * link->payload / 2 &&
	    receiver->allowed < receiver->side.config->bytes)
		rc = answer(receiver, err);
	return rc;
}

static const struct transfer_ops receive_ops = { .prepare = prepare, .finish = finish };

static int wait_open(struct receiver *receiver, struct weir_error *err)
{
	int rc = 0;

	while (!rc && !is_open(receiver)) {
		rc = turn(receiver, err);
		if (!rc)
			rc = target_events(&receiver->side.target, err);
		if (!rc && stop_requested())
			rc = fail(err, -EINTR, "interrupted before a sender came");
		if (!rc)
			usleep(IDLE_US);
	}
	return rc;
}

/* Says that all is written until the sender knows it. What fails here has not harmed the data. */
static void linger(struct receiver *receiver)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	receiver->done = true;
	if (answer(receiver, NULL))
		return;
	while (!receiver->closed && !stop_requested() &&
	       clock_ns(CLOCK_MONOTONIC) - start < LINGER_NS) {
		if (turn(receiver, NULL))
			return;
		sched_yield();
	}
}

static int confirm(const struct p2p_side *side, struct weir_error *err)
{
	const struct target *target = &side->target;

	if (side->config->yes)
		return 0;
	return fail(err, CLI_USAGE,
		    "this overwrites %" PRIu64 " bytes from LBA %" PRIu64 " of namespace %" PRIu32
		    " of %s (%s, serial %s); --yes does it",
		    side->config->bytes, side->config->lba, target->ns_info.nsid, target->address,
		    target->info.model, target->info.serial);
}

static int receive_all(struct receiver *receiver, struct weir_error *err)
{
	const struct p2p_side *side = &receiver->side;
	int rc;

	printf("ready for %" PRIu64 " bytes at %s, through offset %" PRIu64
	       " of %s, to LBA %" PRIu64 " of namespace %" PRIu32 " of %s (%s, serial %s)\n",
	       side->config->bytes, side->config->port, side->config->offset, side->config->memory,
	       side->config->lba, side->target.ns_info.nsid, side->target.address,
	       side->target.info.model, side->target.info.serial);
	fflush(stdout);
	rc = wait_open(receiver, err);
	if (!rc)
		rc = transfer_run(&side->transfer, err);
	if (!rc)
		linger(receiver);
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	struct receiver receiver = { 0 };
	int rc;

	(void)operands;
	rc = p2p_side_open(&receiver.side, arg, true, err);
	if (rc)
		return rc;
	receiver.side.transfer.ops = &receive_ops;
	receiver.side.transfer.ctx = &receiver;
	rc = confirm(&receiver.side, err);
	if (!rc) {
		stop_on_signals(NULL, NULL);
		notice_show();
		rc = receive_all(&receiver, err);
		if (rc)
			p2p_link_fail(&receiver.side.link, err);
	}
	p2p_side_close(&receiver.side);
	return rc;
}

const struct cli_command command_p2p_receive = {
	.name = "p2p receive",
	.operands = "",
	.summary = "Receive blocks for an NVMe namespace over the network, through device memory.",
	.examples = "  weir p2p receive --nvme 0000:3b:00.0 --memory 0000:3c:00.0 "
		    "--port 0000:3d:00.0 --bytes 64M --yes\n"
		    "  weir p2p receive --nvme vfio-user:/tmp/nvme.sock --memory "
		    "vfio-user:/tmp/memory.sock \\\n"
		    "      --port vfio-user:/tmp/igb.sock --bytes 16M --yes\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
