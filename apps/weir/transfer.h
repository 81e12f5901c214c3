/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moves a range of blocks in pieces, many in flight at once. Where the data lies, and what happens
 * to it before and after, is the caller's: a file, or another device's memory.
 */
#ifndef WEIR_APPS_TRANSFER_H
#define WEIR_APPS_TRANSFER_H

#include "target.h"

/* Most bytes of a piece. */
#define TRANSFER_PIECE (128u << 10)
#define TRANSFER_DEPTH 32

struct transfer_piece {
	uint64_t offset; /* in bytes from the start of the transfer */
	uint32_t bytes;
	unsigned int slot; /* below transfer::depth; no other piece in flight has it */
	uint64_t iova; /* set by prepare: where the controller finds or puts the data */
};

struct transfer_ops {
	/* Called in order before a piece is submitted. Returns 0, 1 when the data is not there yet
	 * (it is called again with the same piece), or a negative errno with err filled in. */
	int (*prepare)(void *ctx, struct transfer_piece *piece, struct weir_error *err);
	/* Called in order after a piece has succeeded. */
	int (*finish)(void *ctx, const struct transfer_piece *piece, struct weir_error *err);
};

struct transfer {
	const struct target *target;
	uint8_t opcode; /* WEIR_NVME_READ or WEIR_NVME_WRITE */
	uint64_t lba;
	uint64_t bytes; /* a multiple of the block size, inside the namespace */
	uint32_t piece; /* no piece reaches over a multiple of so many bytes; 0: TRANSFER_PIECE */
	unsigned int depth; /* 0: set by transfer_begin(), TRANSFER_DEPTH or what the queue has */
	const struct transfer_ops *ops;
	void *ctx;
	struct weir_nvme_qp *qp; /* set by transfer_begin() */
};

/* Bytes of an arena for the buffers of a transfer of that depth (0: automatic) and for its queue.
 */
uint64_t transfer_arena_bytes(uint64_t depth);

/* Makes the queue pair. End it with transfer_end(). -EINVAL: the controller has no such depth. */
int transfer_begin(struct transfer *transfer, struct weir_error *err);
void transfer_end(struct transfer *transfer);

/*
 * Does it, and flushes at the end when it writes. -EINTR: a signal asked to stop; err says how far
 * it came. After a failure nothing is in flight any more.
 */
int transfer_run(const struct transfer *transfer, struct weir_error *err);

#endif
