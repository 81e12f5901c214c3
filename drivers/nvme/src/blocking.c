/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocking reads, writes and flushes from any memory, on the burst calls: a transfer is cut into
 * pieces, a few of which are in flight at a time on a queue pair of the controller's own, each
 * through a buffer in the arena.
 *
 * A call never returns with a piece in flight: what does not complete is aborted by the sweep, then
 * ended by a reset (made here when nobody else has a queue pair), and at last by failing the
 * controller.
 */
#include "nvme.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PIECES 8u
#define PIECE_BYTES (128u << 10)
#define LOOK_EVERY 1024u /* turns between looks at the clock and at the device */
#define SWEEP_NS UINT64_C(100000000)

struct piece {
	uint8_t *data; /* in the arena: the caller's memory, or `buffer` */
	uint8_t *buffer;
	uint8_t *caller;
	uint64_t lba;
	size_t bytes;
	bool busy;
};

struct nvme_blocking {
	struct weir_nvme_qp *qp;
	unsigned int nr_pieces;
	uint32_t piece_bytes;
	struct piece pieces[PIECES];
};

/* A transfer under way. */
struct transfer {
	struct weir_nvme *nvme;
	struct nvme_blocking *blocking;
	const struct weir_nvme_ns *ns;
	uint8_t opcode;
	uint64_t lba;
	uint8_t *data;
	size_t bytes; /* still to be submitted */
	unsigned int inflight;
	bool flushed; /* the flush was submitted */
	bool resetting; /* we began a reset */
	uint64_t next_sweep;
	uint64_t give_up; /* when a reset that nobody makes has been waited for long enough */
	int rc;
	struct weir_error err;
};

static void free_blocking(struct weir_nvme *nvme, struct nvme_blocking *blocking)
{
	for (unsigned int i = 0; i < PIECES; i++)
		weir_arena_free(nvme->arena, blocking->pieces[i].buffer);
	weir_nvme_qp_destroy(blocking->qp);
	free(blocking);
}

static int make_blocking(struct weir_nvme *nvme, struct nvme_blocking **out, struct weir_error *err)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct nvme_blocking *blocking = calloc(1, sizeof(*blocking));
	unsigned int limit = nvme_max_depth(nvme);
	int rc;

	if (!blocking)
		return weir_error_set(err, -ENOMEM, "no memory for blocking calls");
	blocking->piece_bytes = nvme->max_transfer < PIECE_BYTES ? nvme->max_transfer : PIECE_BYTES;
	options.depth = limit < PIECES ? limit : PIECES;
	rc = weir_nvme_qp_create(nvme, &options, &blocking->qp, err);
	blocking->nr_pieces = options.depth;
	for (unsigned int i = 0; !rc && i < blocking->nr_pieces; i++) {
		blocking->pieces[i].buffer = weir_arena_alloc(nvme->arena, blocking->piece_bytes,
							      0);
		if (!blocking->pieces[i].buffer)
			rc = weir_error_set(err, -ENOMEM,
					    "no room in the arena for %u buffers of %u bytes",
					    blocking->nr_pieces, blocking->piece_bytes);
	}
	if (rc) {
		free_blocking(nvme, blocking);
		return rc;
	}
	*out = blocking;
	return 0;
}

/* Takes the one set of buffers, made by the first caller. It stays locked until put_blocking(). */
static int get_blocking(struct weir_nvme *nvme, struct nvme_blocking **out, struct weir_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&nvme->blocking_lock);
	if (!nvme->blocking)
		rc = make_blocking(nvme, &nvme->blocking, err);
	if (rc)
		pthread_mutex_unlock(&nvme->blocking_lock);
	else
		*out = nvme->blocking;
	return rc;
}

static void put_blocking(struct weir_nvme *nvme)
{
	pthread_mutex_unlock(&nvme->blocking_lock);
}

void nvme_blocking_end(struct weir_nvme *nvme)
{
	if (nvme->blocking)
		free_blocking(nvme, nvme->blocking);
	nvme->blocking = NULL;
}

/* For a reset by somebody else, while no blocking call is running to poll for itself. */
void nvme_blocking_park(struct weir_nvme *nvme)
{
	struct weir_nvme_done done;

	if (pthread_mutex_trylock(&nvme->blocking_lock))
		return;
	if (nvme->blocking)
		weir_nvme_poll(nvme->blocking->qp, &done, 1);
	pthread_mutex_unlock(&nvme->blocking_lock);
}

static void fail_transfer(struct transfer *transfer, const struct weir_nvme_done *done,
			  uint64_t lba)
{
	char text[96];

	if (transfer->rc)
		return;
	weir_nvme_status_text(done, text, sizeof(text));
	transfer->rc = weir_error_set(
		&transfer->err, done->host == WEIR_NVME_HOST_GONE ? -ENODEV : -EIO,
		"namespace %u, LBA %" PRIu64 ": %s", transfer->ns->nsid, lba, text);
}

/* Blocks of the next piece: up to its buffer and not across the namespace's boundary (NOIOB). */
static uint32_t next_blocks(const struct transfer *transfer)
{
	const struct weir_nvme_ns *ns = transfer->ns;
	uint64_t blocks = transfer->bytes >> ns->block_shift;
	uint32_t most = transfer->blocking->piece_bytes >> ns->block_shift;

	/* The maximum transfer may be less after a reset. */
	if (most > ns->max_blocks)
		most = ns->max_blocks;
	if (most > blocks)
		most = (uint32_t)blocks;
	if (ns->boundary_blocks) {
		uint32_t left = ns->boundary_blocks -
				(uint32_t)(transfer->lba % ns->boundary_blocks);

		if (most > left)
			most = left;
	}
	return most;
}

static bool in_arena(const struct weir_nvme *nvme, const uint8_t *data, size_t bytes)
{
	uint64_t offset = (uint64_t)(data - (uint8_t *)weir_arena_base(nvme->arena));

	return weir_range_within(offset, bytes, weir_arena_bytes(nvme->arena)) &&
	       weir_is_aligned(offset, 4);
}

static bool more_to_submit(const struct transfer *transfer)
{
	return !transfer->rc && !transfer->resetting &&
	       (transfer->opcode == WEIR_NVME_FLUSH ? !transfer->flushed : transfer->bytes > 0);
}

/* Describes the next piece of a read or write. */
static void prepare_data(struct transfer *transfer, struct piece *piece, struct weir_nvme_io *io)
{
	struct weir_nvme *nvme = transfer->nvme;

	io->lba = piece->lba = transfer->lba;
	io->blocks = next_blocks(transfer);
	piece->bytes = (size_t)io->blocks << transfer->ns->block_shift;
	piece->caller = transfer->data;
	piece->data = in_arena(nvme, piece->caller, piece->bytes) ? piece->caller : piece->buffer;
	if (transfer->opcode == WEIR_NVME_WRITE && piece->data != piece->caller)
		memcpy(piece->data, piece->caller, piece->bytes);
	io->data = weir_arena_ptr_iova(nvme->arena, piece->data);
}

/* Submits the next piece. false: the queue pair takes none now. */
static bool submit_piece(struct transfer *transfer, struct piece *piece)
{
	struct weir_nvme_io io = { .opcode = transfer->opcode,
				   .cookie = (uint64_t)(uintptr_t)piece };
	int rc;

	piece->bytes = 0;
	if (transfer->opcode != WEIR_NVME_FLUSH)
		prepare_data(transfer, piece, &io);
	rc = weir_nvme_submit(transfer->blocking->qp, transfer->ns, &io, 1);
	if (rc < 0) {
		weir_nvme_failure(transfer->nvme, &transfer->err);
		transfer->rc = -ENODEV;
	}
	/* The queue pair has as many slots as there are pieces, less those held after an abort. */
	if (rc == 0 && !transfer->inflight &&
	    atomic_load_explicit(&transfer->blocking->qp->control, memory_order_acquire) !=
		    NVME_QP_LIVE)
		transfer->rc = weir_error_set(&transfer->err, -EAGAIN, "a reset is under way");
	if (rc != 1)
		return false;
	piece->busy = true;
	transfer->flushed = true;
	transfer->inflight++;
	transfer->lba += io.blocks;
	transfer->data += piece->bytes;
	transfer->bytes -= piece->bytes;
	return true;
}

static void finish_piece(struct transfer *transfer, const struct weir_nvme_done *done)
{
	struct piece *piece = (struct piece *)(uintptr_t)done->cookie;

	piece->busy = false;
	transfer->inflight--;
	if (!weir_nvme_ok(done))
		fail_transfer(transfer, done, piece->lba);
	else if (transfer->opcode == WEIR_NVME_READ && piece->data != piece->caller)
		memcpy(piece->caller, piece->data, piece->bytes);
}

/* Whether the controller has no other queue pair than the blocking calls' own. */
static bool alone(struct weir_nvme *nvme)
{
	bool only;

	pthread_mutex_lock(&nvme->lock);
	only = TAILQ_FIRST(&nvme->qps) == nvme->blocking->qp &&
	       !TAILQ_NEXT(nvme->blocking->qp, link);
	pthread_mutex_unlock(&nvme->lock);
	return only;
}

/* The controller does not answer. */
static void recover(struct transfer *transfer, uint64_t now)
{
	struct weir_nvme *nvme = transfer->nvme;
	struct weir_error why;

	weir_nvme_failure(nvme, &why);
	if (!why.code)
		return; /* somebody else has reset it meanwhile */
	if (!transfer->rc) {
		transfer->err = why;
		transfer->rc = why.code;
	}
	if (!transfer->give_up)
		transfer->give_up = now + nvme->options.io_timeout_ms * UINT64_C(1000000);
	if (alone(nvme)) {
		transfer->resetting = !weir_nvme_reset_begin(nvme, NULL);
	} else if (now > transfer->give_up) {
		pthread_mutex_lock(&nvme->lock);
		nvme_fail(nvme, &why);
		pthread_mutex_unlock(&nvme->lock);
	}
}

/* Now and then while waiting: time-outs, the device, a reset that we began. */
static void look_around(struct transfer *transfer)
{
	struct weir_nvme *nvme = transfer->nvme;
	uint64_t now = weir_now_ns();

	if (!pthread_mutex_trylock(&nvme->lock)) {
		nvme_pump_device(nvme);
		pthread_mutex_unlock(&nvme->lock);
	}
	if (now < transfer->next_sweep)
		return;
	transfer->next_sweep = now + SWEEP_NS;
	weir_nvme_sweep(transfer->blocking->qp, now);
	if (!atomic_load(&nvme->reset_needed))
		transfer->give_up = 0;
	else if (!transfer->resetting)
		recover(transfer, now);
}

static void submit_pieces(struct transfer *transfer)
{
	struct nvme_blocking *blocking = transfer->blocking;

	for (unsigned int i = 0; i < blocking->nr_pieces && more_to_submit(transfer); i++) {
		if (!blocking->pieces[i].busy && !submit_piece(transfer, &blocking->pieces[i]))
			break;
	}
}

static void run(struct transfer *transfer)
{
	struct weir_nvme_qp *qp = transfer->blocking->qp;
	struct weir_nvme_done done[PIECES];

	weir_nvme_sweep(qp, weir_now_ns()); /* what is submitted now is as old as now */
	for (unsigned int turn = 1; transfer->inflight || more_to_submit(transfer); turn++) {
		int n;

		submit_pieces(transfer);
		n = weir_nvme_poll(qp, done, PIECES);
		for (int i = 0; i < n; i++)
			finish_piece(transfer, &done[i]);
		if (n > 0)
			continue;
		weir_cpu_relax();
		if (turn % LOOK_EVERY == 0)
			look_around(transfer);
	}
	/* Nothing is in flight: the reset that we began only waits for this queue pair to park. */
	while (transfer->resetting && weir_nvme_reset_finish(transfer->nvme, NULL) == -EAGAIN)
		weir_nvme_poll(qp, done, PIECES);
}

static int transfer_check(struct weir_nvme *nvme, struct transfer *transfer, uint32_t nsid,
			  size_t bytes, struct weir_error *err)
{
	uint64_t blocks;

	transfer->ns = weir_nvme_ns(nvme, nsid);
	if (!transfer->ns)
		return weir_error_set(err, -EINVAL, "there is no namespace %u", nsid);
	if (transfer->opcode == WEIR_NVME_FLUSH)
		return 0;
	if (transfer->ns->metadata_bytes)
		return weir_error_set(err, -EOPNOTSUPP,
				      "namespace %u has %u bytes of metadata a block", nsid,
				      transfer->ns->metadata_bytes);
	blocks = atomic_load_explicit(&transfer->ns->blocks, memory_order_relaxed);
	if (!bytes || !weir_is_aligned(bytes, UINT64_C(1) << transfer->ns->block_shift))
		return weir_error_set(err, -EINVAL,
				      "%zu bytes are no multiple of the block size %u", bytes,
				      1u << transfer->ns->block_shift);
	if (!weir_range_within(transfer->lba, bytes >> transfer->ns->block_shift, blocks))
		return weir_error_set(err, -EINVAL,
				      "%zu blocks at LBA %" PRIu64
				      " reach past the end of namespace %u, which has %" PRIu64,
				      bytes >> transfer->ns->block_shift, transfer->lba, nsid,
				      blocks);
	return 0;
}

static int transfer_run(struct weir_nvme *nvme, uint8_t opcode, uint32_t nsid, uint64_t lba,
			void *data, size_t bytes, struct weir_error *err)
{
	struct transfer transfer = {
		.nvme = nvme, .opcode = opcode, .lba = lba, .data = data, .bytes = bytes
	};
	int rc = transfer_check(nvme, &transfer, nsid, bytes, err);

	if (!rc)
		rc = get_blocking(nvme, &transfer.blocking, err);
	if (rc)
		return rc;
	run(&transfer);
	put_blocking(nvme);
	if (transfer.rc && err)
		*err = transfer.err;
	return transfer.rc;
}

WEIR_EXPORT int weir_nvme_read(struct weir_nvme *nvme, uint32_t nsid, uint64_t lba, void *data,
			       size_t bytes, struct weir_error *err)
{
	return transfer_run(nvme, WEIR_NVME_READ, nsid, lba, data, bytes, err);
}

WEIR_EXPORT int weir_nvme_write(struct weir_nvme *nvme, uint32_t nsid, uint64_t lba,
				const void *data, size_t bytes, struct weir_error *err)
{
	return transfer_run(nvme, WEIR_NVME_WRITE, nsid, lba, (void *)(uintptr_t)data, bytes, err);
}

WEIR_EXPORT int weir_nvme_flush(struct weir_nvme *nvme, uint32_t nsid, struct weir_error *err)
{
	return transfer_run(nvme, WEIR_NVME_FLUSH, nsid, 0, NULL, 0, err);
}
