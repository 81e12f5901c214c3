/* SPDX-License-Identifier: BSD-3-Clause */
#include "transfer.h"
#include "clock.h"
#include "fail.h"
#include "output.h"
#include "progress.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#define SWEEP_NS 100000000u
/* After so long without a completion the core is offered to others: an emulated device that shares
 * it could not go on otherwise. */
#define IDLE_NS 100000u
#define DRAIN_NS UINT64_C(10000000000)
#define BURST 32

struct slot {
	struct transfer_piece piece;
	bool done;
};

/* A transfer under way. Pieces are numbered from 0; piece n is in slot n % depth. */
struct job {
	const struct transfer *transfer;
	struct slot *slots;
	uint64_t head; /* first piece that is not finished */
	uint64_t tail; /* next piece to submit */
	uint64_t next; /* where it begins, in bytes */
	uint64_t finished; /* bytes */
	uint64_t swept_ns;
	uint64_t busy_ns; /* when the last completion came */
	struct progress progress;
	uint64_t start_ns;
};

uint64_t transfer_arena_bytes(uint64_t depth)
{
	/* A buffer, a PRP list and queue entries for each, and what the controller needs. */
	if (!depth)
		depth = TRANSFER_DEPTH;
	return (depth + 1) * (TRANSFER_PIECE + 4096 + 256) + (UINT64_C(8) << 20);
}

static struct slot *slot_of(const struct job *job, uint64_t number)
{
	return &job->slots[number % job->transfer->depth];
}

/* Bytes of the piece at `next`: within limits, ending at a boundary of the namespace if there is
 * one on the way. */
static uint32_t piece_bytes(const struct job *job)
{
	const struct target *target = job->transfer->target;
	uint32_t block = target->ns_info.block_bytes;
	const uint32_t piece = job->transfer->piece;
	uint64_t bytes = TRANSFER_PIECE;
	uint64_t boundary = target->ns_info.boundary_blocks;

	if (bytes > target->info.max_transfer)
		bytes = target->info.max_transfer;
	bytes -= bytes % block;
	if (piece && bytes > piece - job->next % piece)
		bytes = piece - job->next % piece;
	if (bytes > job->transfer->bytes - job->next)
		bytes = job->transfer->bytes - job->next;
	if (boundary) {
		uint64_t lba = job->transfer->lba + job->next / block;
		uint64_t room = (boundary - lba % boundary) * block;

		if (bytes > room)
			bytes = room;
	}
	return (uint32_t)bytes;
}

/* Composes the next piece. Returns 1 when there is none for now. */
static int compose(struct job *job, struct weir_nvme_io *io, struct weir_error *err)
{
	const struct transfer *transfer = job->transfer;
	uint32_t block = transfer->target->ns_info.block_bytes;
	struct slot *slot = slot_of(job, job->tail);
	int rc;

	if (job->next == transfer->bytes || job->tail - job->head == transfer->depth)
		return 1;
	slot->done = false;
	slot->piece.offset = job->next;
	slot->piece.bytes = piece_bytes(job);
	slot->piece.slot = (unsigned int)(job->tail % transfer->depth);
	rc = transfer->ops->prepare(transfer->ctx, &slot->piece, err);
	if (rc)
		return rc;
	*io = (struct weir_nvme_io){
		.opcode = transfer->opcode,
		.blocks = slot->piece.bytes / block,
		.lba = transfer->lba + job->next / block,
		.data = slot->piece.iova,
		.cookie = slot->piece.slot,
	};
	job->next += slot->piece.bytes;
	job->tail++;
	return 0;
}

static int submit(struct job *job, const struct weir_nvme_io *ios, unsigned int n,
		  struct weir_error *err)
{
	/* There is a place in the queue for each slot: less is taken only when it dies. */
	if (weir_nvme_submit(job->transfer->qp, job->transfer->target->ns, ios, n) == (int)n)
		return 0;
	return target_events(job->transfer->target, err)
		       ?: target_failure(job->transfer->target, err);
}

static int submit_pieces(struct job *job, struct weir_error *err)
{
	struct weir_nvme_io ios[BURST];
	unsigned int n = 0;
	int rc = 0;

	while (!rc && n < BURST) {
		rc = compose(job, &ios[n], err);
		n += !rc;
	}
	if (rc < 0)
		return rc;
	return n ? submit(job, ios, n, err) : 0;
}

static int io_failure(const struct job *job, const struct weir_nvme_done *done,
		      struct weir_error *err)
{
	const struct transfer *transfer = job->transfer;
	uint32_t block = transfer->target->ns_info.block_bytes;
	const struct transfer_piece *piece;
	char text[128];

	weir_nvme_status_text(done, text, sizeof(text));
	if (done->cookie >= transfer->depth)
		return fail(err, -EIO, "flush: %s", text);
	piece = &job->slots[done->cookie].piece;
	return fail(err, -EIO, "%s of %" PRIu32 " blocks at LBA %" PRIu64 ": %s",
		    transfer->opcode == WEIR_NVME_READ ? "read" : "write", piece->bytes / block,
		    transfer->lba + piece->offset / block, text);
}

/* Takes completions. A flush, which has no slot, counts as none. Returns how many there were. */
static int take_completions(struct job *job, struct weir_error *err)
{
	struct weir_nvme_done done[BURST];
	int n, rc = 0;

	n = weir_nvme_poll(job->transfer->qp, done, BURST);
	if (n < 0)
		return target_events(job->transfer->target, err)
			       ?: target_failure(job->transfer->target, err);
	for (int i = 0; i < n; i++) {
		if (!weir_nvme_ok(&done[i]))
			rc = rc ? rc : io_failure(job, &done[i], err);
		else if (done[i].cookie < job->transfer->depth)
			job->slots[done[i].cookie].done = true;
	}
	return rc ? rc : n;
}

/* Hands finished pieces on, in order. */
static int finish_pieces(struct job *job, struct weir_error *err)
{
	const struct transfer *transfer = job->transfer;

	for (; job->head < job->tail && slot_of(job, job->head)->done; job->head++) {
		const struct transfer_piece *piece = &slot_of(job, job->head)->piece;
		int rc = transfer->ops->finish(transfer->ctx, piece, err);

		if (rc)
			return rc;
		job->finished += piece->bytes;
	}
	return 0;
}

/* What has to be done now and then. Comes after take_completions(), so that no I/O that has
 * completed is taken for late. */
static int look_around(struct job *job, bool completed, struct weir_error *err)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	char done[32], all[32];

	if (stop_requested())
		return fail(err, -EINTR, "interrupted after %" PRIu64 " of %" PRIu64 " bytes",
			    job->finished, job->transfer->bytes);
	if (completed)
		job->busy_ns = now;
	else if (now - job->busy_ns > IDLE_NS)
		sched_yield();
	if (now - job->swept_ns < SWEEP_NS)
		return 0;
	job->swept_ns = now;
	weir_nvme_sweep(job->transfer->qp, now);
	if (progress_due(&job->progress, now))
		progress_show(&job->progress, "%s of %s, %.1f MB/s",
			      output_bytes(job->finished, done, sizeof(done)),
			      output_bytes(job->transfer->bytes, all, sizeof(all)),
			      (double)job->finished * 1e3 / (double)(now - job->start_ns + 1));
	return target_events(job->transfer->target, err);
}

static int move_pieces(struct job *job, struct weir_error *err)
{
	int rc = 0, completed = 0;

	while (!rc && job->finished < job->transfer->bytes) {
		rc = submit_pieces(job, err);
		if (!rc)
			rc = completed = take_completions(job, err);
		if (rc >= 0)
			rc = finish_pieces(job, err);
		if (!rc)
			rc = look_around(job, completed > 0, err);
	}
	return rc;
}

/* Makes what was written durable. */
static int flush(struct job *job, struct weir_error *err)
{
	const struct weir_nvme_io io = { .opcode = WEIR_NVME_FLUSH, .cookie = UINT64_MAX };
	int rc;

	rc = submit(job, &io, 1, err);
	while (!rc && weir_nvme_qp_inflight(job->transfer->qp)) {
		rc = take_completions(job, err);
		if (rc >= 0)
			rc = look_around(job, rc > 0, err);
	}
	return rc;
}

/* Waits for what is in flight after a failure: the buffers are the caller's to free then. */
static void drain(struct job *job)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start;
	struct weir_nvme_done done[BURST];

	while (weir_nvme_qp_inflight(job->transfer->qp) && now - start < DRAIN_NS) {
		if (weir_nvme_poll(job->transfer->qp, done, BURST) < 0)
			return;
		target_events(job->transfer->target, NULL);
		sched_yield();
		now = clock_ns(CLOCK_MONOTONIC);
	}
}

int transfer_begin(struct transfer *transfer, struct weir_error *err)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	const struct weir_nvme_info *info = &transfer->target->info;
	unsigned int granted;
	int rc;

	if (info->max_transfer < transfer->target->ns_info.block_bytes)
		return fail(err, -EPROTO,
			    "%s transfers at most %" PRIu32 " bytes, less than its blocks of "
			    "%" PRIu32,
			    transfer->target->address, info->max_transfer,
			    transfer->target->ns_info.block_bytes);
	options.depth = transfer->depth;
	rc = weir_nvme_qp_create(transfer->target->nvme, &options, &transfer->qp, err);
	if (rc)
		return rc;
	granted = weir_nvme_qp_depth(transfer->qp);
	if (!transfer->depth)
		transfer->depth = granted < TRANSFER_DEPTH ? granted : TRANSFER_DEPTH;
	return 0;
}

void transfer_end(struct transfer *transfer)
{
	weir_nvme_qp_destroy(transfer->qp);
}

int transfer_run(const struct transfer *transfer, struct weir_error *err)
{
	struct job job = { .transfer = transfer, .start_ns = clock_ns(CLOCK_MONOTONIC) };
	int rc;

	job.slots = calloc(transfer->depth, sizeof(*job.slots));
	if (!job.slots)
		return fail(err, -ENOMEM, "no memory for %u pieces", transfer->depth);
	progress_begin(&job.progress);
	rc = move_pieces(&job, err);
	if (!rc && transfer->opcode == WEIR_NVME_WRITE)
		rc = flush(&job, err);
	progress_end(&job.progress);
	if (rc)
		drain(&job);
	free(job.slots);
	return rc;
}
