/* SPDX-License-Identifier: BSD-3-Clause */
#include "p2p_side.h"
#include "fail.h"
#include "mappings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int check(const struct p2p_side *side, bool receives, struct weir_error *err)
{
	const struct p2p_config *config = side->config;
	const struct target *target = &side->target;
	uint64_t blocks;
	int rc;

	rc = target_check_plain(target, err);
	if (!rc && receives)
		rc = target_check_writable(target, err);
	if (!rc)
		rc = target_blocks(target, "bytes", config->bytes, &blocks, err);
	if (!rc)
		rc = target_check_range(target, config->lba, blocks, err);
	if (!rc)
		rc = target_blocks(target, "payload", config->payload, &blocks, err);
	return rc;
}

/* Pieces of whole frames, and no more of them than there is memory for. */
static int begin(struct p2p_side *side, bool receives, struct weir_error *err)
{
	const struct p2p_config *config = side->config;
	struct transfer *transfer = &side->transfer;
	uint32_t payload = (uint32_t)config->payload;

	transfer->target = &side->target;
	transfer->opcode = receives ? WEIR_NVME_WRITE : WEIR_NVME_READ;
	transfer->lba = config->lba;
	transfer->bytes = config->bytes;
	transfer->depth = (unsigned int)config->depth;
	/* Each received frame lies by itself. */
	transfer->piece = receives ? payload : TRANSFER_PIECE - TRANSFER_PIECE % payload;
	return transfer_begin(transfer, err);
}

static int open_target(struct p2p_side *side, bool receives, struct weir_error *err)
{
	const struct p2p_config *config = side->config;
	const struct target_options options = {
		.nsid = config->nsid,
		/* Queues and lists of addresses: no data passes through it. */
		.arena_bytes = (UINT64_C(8) << 20) + config->depth * 8192,
		.queues = 1,
	};
	int rc;

	rc = target_open(&side->target, config->nvme, &options, err);
	if (rc)
		return rc;
	rc = check(side, receives, err);
	if (!rc)
		rc = begin(side, receives, err);
	if (rc)
		goto close;
	rc = device_memory_map(&side->memory, weir_device_ioas(weir_nvme_device(side->target.nvme)),
			       receives ? WEIR_PROT_READ : WEIR_PROT_WRITE, &side->mapping,
			       &side->iova, err);
	if (!rc)
		return 0;
	transfer_end(&side->transfer);
close:
	target_close(&side->target);
	return rc;
}

static void close_target(struct p2p_side *side)
{
	transfer_end(&side->transfer);
	weir_ioas_unmap(weir_device_ioas(weir_nvme_device(side->target.nvme)), side->mapping, NULL);
	target_close(&side->target);
}

static int print_mappings(const struct p2p_side *side, struct weir_error *err)
{
	const struct p2p_config *config = side->config;
	struct weir_ioas *ioas = weir_device_ioas(weir_nvme_device(side->target.nvme));
	int rc;

	rc = mappings_print(config->nvme, ioas, err);
	if (!rc)
		rc = mappings_print(config->port, side->link.ports.ioas, err);
	if (rc)
		return rc;
	printf("payload: 0x%" PRIx64 "-0x%" PRIx64 " of %s, 0x%" PRIx64 "-0x%" PRIx64 " of %s\n",
	       side->iova, side->iova + config->window - 1, config->nvme, side->link.memory,
	       side->link.memory + config->window - 1, config->port);
	return 0;
}

static int check_window(const struct p2p_config *config, uint64_t least, struct weir_error *err)
{
	if (config->offset % 4)
		return fail(err, CLI_USAGE, "offset %" PRIu64 " is no multiple of 4",
			    config->offset);
	if (config->window < least)
		return fail(err, CLI_USAGE,
			    "window %" PRIu64 " is less than the %" PRIu64
			    " that frames of %" PRIu64 " bytes need",
			    config->window, least, config->payload);
	return 0;
}

int p2p_side_open(struct p2p_side *side, const struct p2p_config *config, bool receives,
		  struct weir_error *err)
{
	/* Two pieces for the sender; some frames more than those that carry nothing. */
	uint64_t room = (config->payload + 1023) / 1024 * 1024;
	uint64_t least = receives ? 2 * P2P_RX_RESERVE * room : 2 * TRANSFER_PIECE;
	int rc;

	memset(side, 0, sizeof(*side));
	side->config = config;
	rc = check_window(config, least, err);
	if (!rc)
		rc = device_memory_open(&side->memory, config->memory, config->offset,
					config->window, err);
	if (rc)
		return rc;
	rc = open_target(side, receives, err);
	if (rc)
		goto close_memory;
	rc = p2p_link_open(&side->link, config->port, &side->memory, (uint32_t)config->payload,
			   receives, config->link_wait_ms, err);
	if (rc)
		goto close_target;
	if (config->mappings)
		rc = print_mappings(side, err);
	if (!rc)
		return 0;
	p2p_link_close(&side->link);
close_target:
	close_target(side);
close_memory:
	device_memory_close(&side->memory);
	return rc;
}

void p2p_side_close(struct p2p_side *side)
{
	p2p_link_close(&side->link);
	close_target(side);
	device_memory_close(&side->memory);
}

struct p2p_frame p2p_side_frame(const struct p2p_side *side, enum p2p_kind kind)
{
	const struct p2p_link *link = &side->link;
	struct p2p_frame frame = {
		.kind = (uint8_t)kind,
		.stream = link->stream,
		.bytes = side->config->bytes,
		.payload = link->payload,
	};

	memcpy(frame.to, link->peer, sizeof(frame.to));
	memcpy(frame.from, link->port->info.mac, sizeof(frame.from));
	return frame;
}

int p2p_side_given_up(const struct p2p_frame *frame, struct weir_error *err)
{
	return fail(err, -ECONNABORTED, "the other side gave up: %s", frame->text);
}
