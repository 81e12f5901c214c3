/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path: the burst calls of a queue pair's owner.
 *
 * What makes it short: a submission entry is composed in registers from the caller's 64-byte I/O
 * and stored once; command ids come from a stack; a tracker is 16 bytes; the doorbell is rung once
 * per burst; the completion doorbell is rung only when it is needed, because a completion queue is
 * made twice as long as its submission queue where the controller allows it. Everything unusual
 * (other opcodes, metadata, lists, refusals, resets) is in functions that are not inlined.
 *
 * Memory ordering: entries before the doorbell (weir_dma_wmb), the phase bit before the rest of an
 * entry (weir_dma_rmb). Nothing that lies in memory the device can write is trusted or used twice:
 * a completion is read once, and its ids are checked against the trackers, which the device cannot
 * reach.
 */
#include "nvme.h"

#if defined(__GNUC__) && !defined(__clang__)
/* Pairs of 64-bit stores are cheaper as they are than packed into vector registers first. */
#pragma GCC optimize("no-tree-slp-vectorize")
#endif

#define BLOCKS_MAX 65536u
/* In the second half of a completion entry, read as one word. */
#define CQE_PHASE (UINT64_C(1) << 48)

/* An id as it stands in command dword 0, and its tracker. */
static inline struct nvme_tracker *tracker_of(struct nvme_tracker *trackers, uint32_t cid_dword)
{
	_Static_assert(sizeof(struct nvme_tracker) == 1 << (NVME_CID_SHIFT - 12), "one shift");
	return (struct nvme_tracker *)((char *)trackers + (cid_dword >> 12));
}

static inline uint64_t load64(const void *from)
{
	uint64_t value;

	__builtin_memcpy(&value, from, sizeof(value));
	return value;
}

/* Ends an I/O before it reached the controller: its id waits for poll. */
static __attribute__((noinline, cold)) void refuse(struct weir_nvme_qp *qp, uint32_t cid_dword,
						   uint64_t cookie,
						   enum weir_nvme_host_status status)
{
	struct nvme_qp_state *st = qp->state;

	*tracker_of(qp->trackers, cid_dword) = (struct nvme_tracker){ .cookie = cookie,
								      .state = NVME_TRACKER_HOST,
								      .tick = status };
	qp->host_cids[st->nr_host++] = cid_dword;
	qp->nr_attention = st->nr_host;
}

static enum weir_nvme_host_status check_range(const struct weir_nvme_ns *ns, uint64_t blocks,
					      const struct weir_nvme_io *io, uint32_t most)
{
	if (!io->blocks || io->blocks > most)
		return WEIR_NVME_HOST_LENGTH;
	if (io->lba >= blocks || io->blocks > blocks - io->lba)
		return WEIR_NVME_HOST_LBA;
	if (ns->metadata_bytes && !ns->metadata_inline && (io->metadata & 3))
		return WEIR_NVME_HOST_ALIGNMENT;
	return WEIR_NVME_HOST_OK;
}

/* Bytes that the data of a read, write or compare has, metadata in the buffer included (nvm
 * §5.3.1). */
static uint64_t data_bytes(const struct weir_nvme_ns *ns, const struct weir_nvme_io *io)
{
	uint64_t block = UINT64_C(1) << ns->block_shift;
	/* With PRACT and metadata that is only protection information, the controller keeps it to
	 * itself. */
	bool stripped = (io->flags & WEIR_NVME_PRACT) && ns->metadata_bytes == 8;

	if (ns->metadata_inline && !stripped)
		block += ns->metadata_bytes;
	return io->blocks * block;
}

/* Every I/O that the fast path does not take: composes its entry, or says why it cannot be done. */
static __attribute__((noinline, cold)) enum weir_nvme_host_status compose_any(
	struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns, uint64_t blocks,
	const struct weir_nvme_io *io, uint32_t cid_dword, uint64_t sqe[8])
{
	enum weir_nvme_host_status status;
	uint32_t dw10_11[2] = { (uint32_t)io->lba, (uint32_t)(io->lba >> 32) };
	uint32_t dw12 = (uint32_t)io->flags << 24 | (io->blocks - 1);
	uint64_t bytes = 0;

	if (io->reserved[0] | io->reserved[1])
		return WEIR_NVME_HOST_RESERVED;
	if (io->opcode > 15 || !(qp->nvme->opcodes & 1u << io->opcode))
		return WEIR_NVME_HOST_OPCODE;
	if ((io->flags & 1) ||
	    (io->opcode != WEIR_NVME_WRITE_ZEROES && (io->flags & WEIR_NVME_DEAC)))
		return WEIR_NVME_HOST_RESERVED;

	switch (io->opcode) {
	case WEIR_NVME_READ:
	case WEIR_NVME_WRITE:
	case WEIR_NVME_COMPARE:
		status = check_range(ns, blocks, io, ns->max_blocks);
		bytes = data_bytes(ns, io);
		break;
	case WEIR_NVME_WRITE_ZEROES:
	case WEIR_NVME_VERIFY:
		status = check_range(ns, blocks, io, BLOCKS_MAX);
		break;
	case WEIR_NVME_DEALLOCATE: /* nvm §3.2.3: number of ranges, attribute deallocate */
		status = io->blocks && io->blocks <= 256 ? WEIR_NVME_HOST_OK
							 : WEIR_NVME_HOST_LENGTH;
		bytes = io->blocks * UINT64_C(16);
		dw10_11[0] = io->blocks - 1;
		dw10_11[1] = 1u << 2;
		dw12 = 0;
		break;
	default: /* flush */
		status = io->blocks ? WEIR_NVME_HOST_LENGTH : WEIR_NVME_HOST_OK;
		dw10_11[0] = dw10_11[1] = dw12 = 0;
		break;
	}
	if (status != WEIR_NVME_HOST_OK)
		return status;
	if (!bytes && (io->data || io->nr_segments))
		return WEIR_NVME_HOST_LENGTH;

	sqe[0] = io->opcode | cid_dword | (uint64_t)ns->nsid << 32;
	sqe[1] = 0;
	sqe[2] = io->metadata;
	sqe[3] = sqe[4] = 0;
	sqe[5] = dw10_11[0] | (uint64_t)dw10_11[1] << 32;
	sqe[6] = dw12;
	sqe[7] = load64(&io->ref_tag);
	return bytes ? (enum weir_nvme_host_status)nvme_describe(qp, cid_dword >> NVME_CID_SHIFT,
								 sqe, io, bytes)
		     : WEIR_NVME_HOST_OK;
}

static inline void store_entry(uint64_t *to, const uint64_t from[8])
{
	for (unsigned int i = 0; i < 8; i++)
		to[i] = from[i];
}

/* The I/O in the slow way. Returns whether it took a submission entry. */
static __attribute__((noinline)) bool post_any(struct weir_nvme_qp *qp,
					       const struct weir_nvme_ns *ns, uint64_t blocks,
					       const struct weir_nvme_io *io, uint32_t cid_dword,
					       uint64_t *slot)
{
	struct nvme_tracker *tracker = tracker_of(qp->trackers, cid_dword);
	enum weir_nvme_host_status status;
	uint64_t sqe[8];

	status = compose_any(qp, ns, blocks, io, cid_dword, sqe);
	if (status != WEIR_NVME_HOST_OK) {
		refuse(qp, cid_dword, io->cookie, status);
		return false;
	}
	tracker->cookie = io->cookie;
	*(uint64_t *)&tracker->state = qp->active_word;
	store_entry(slot, sqe);
	return true;
}

/*
 * Fills entries for n I/Os, n at most the free command ids, and returns the new tail.
 *
 * The fast path takes reads and writes without flags, of one range of at most a page (so of one
 * page or two), that end before the last few blocks of the namespace; its checks are chosen so that
 * whatever passes is well-formed. All else, malformed or not, is for post_any().
 */
static __attribute__((always_inline)) inline uint32_t post_burst(struct weir_nvme_qp *qp,
								 const struct weir_nvme_ns *ns,
								 const struct weir_nvme_io *ios,
								 unsigned int n)
{
	struct nvme_qp_state *st = qp->state;
	struct nvme_tracker *trackers = qp->trackers;
	const uint64_t blocks = atomic_load_explicit(&ns->blocks, memory_order_relaxed);
	const uint64_t nsid = (uint64_t)ns->nsid << 32;
	const uint64_t active_word = qp->active_word;
	const uint64_t block_bytes = ns->block_bytes;
	const uint64_t fast_blocks = ns->fast_blocks < blocks ? ns->fast_blocks : 0;
	const uint64_t fast_lbas = blocks - fast_blocks; /* from here on nothing is too long */
	const uint32_t *free_cid = qp->free_cids + st->nr_free;
	uint32_t tail = st->sq_tail;

	st->nr_free -= n;
	st->submitted += n;
	while (n) {
		uint64_t *sqe = qp->sq[tail];
		uint32_t run = qp->sq_mask + 1 - tail; /* entries before the ring wraps */
		const struct weir_nvme_io *end = ios + (n < run ? n : run);

		n -= (uint32_t)(end - ios);
		for (; ios < end; ios++) {
			uint64_t first = load64(ios); /* opcode, flags, nr_segments, blocks */
			uint64_t nr = first >> 32;
			uint64_t lba = ios->lba, data = ios->data;
			uint32_t cid_dword = *--free_cid;
			uint64_t next_page = (data | qp->page_mask) + 1;
			struct nvme_tracker *tracker = tracker_of(trackers, cid_dword);

			if (unlikely((uint32_t)first - 1 > 1 || nr - 1 >= fast_blocks ||
				     lba > fast_lbas || (data & 3) ||
				     (ios->metadata | ios->reserved[0] | ios->reserved[1]))) {
				if (post_any(qp, ns, blocks, ios, cid_dword, sqe))
					sqe += 8;
				continue;
			}
			tracker->cookie = ios->cookie;
			*(uint64_t *)&tracker->state = active_word;
			sqe[0] = (uint32_t)first | cid_dword | nsid;
			/* sqe[1], dwords 2 and 3, is zero from the start and in every command */
			sqe[2] = 0;
			sqe[3] = data;
			sqe[4] = data + nr * block_bytes > next_page ? next_page : 0;
			sqe[5] = lba;
			sqe[6] = nr - 1;
			sqe[7] = 0;
			sqe += 8;
		}
		tail = (uint32_t)(((uintptr_t)sqe - (uintptr_t)qp->sq) / sizeof(qp->sq[0])) &
		       qp->sq_mask;
	}
	st->sq_tail = tail;
	return tail;
}

static __attribute__((noinline, cold)) int refuse_burst(struct weir_nvme_qp *qp,
							const struct weir_nvme_io *ios,
							unsigned int n)
{
	struct nvme_qp_state *st = qp->state;

	for (unsigned int i = 0; i < n; i++)
		refuse(qp, qp->free_cids[--st->nr_free], ios[i].cookie, WEIR_NVME_HOST_NAMESPACE);
	st->submitted += n;
	return (int)n;
}

static __attribute__((noinline, cold)) int submit_not_live(uint32_t control)
{
	return control == NVME_QP_DEAD ? -ENODEV : 0;
}

/* Whether a namespace may be used on a queue pair: it is this controller's, and it is there. */
static inline bool ns_usable(const struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns)
{
	return ns && ns->nvme == qp->nvme &&
	       atomic_load_explicit(&ns->blocks, memory_order_relaxed);
}

static inline void ring_to(struct weir_nvme_qp *qp, uint32_t tail)
{
	weir_dma_wmb();
	if (likely(qp->sq_doorbell))
		weir_mmio_write32(qp->sq_doorbell, tail);
	else
		nvme_ring_slow(qp, 0, tail);
	qp->state->sq_rung = tail;
}

WEIR_EXPORT int weir_nvme_submit(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
				 const struct weir_nvme_io *ios, unsigned int n)
{
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);
	uint32_t nr_free = qp->state->nr_free;
	uint32_t tail;

	if (unlikely(control != NVME_QP_LIVE))
		return submit_not_live(control);
	if (n > nr_free)
		n = nr_free;
	if (unlikely(!ns_usable(qp, ns)))
		return refuse_burst(qp, ios, n);
	tail = post_burst(qp, ns, ios, n);
	if (tail != qp->state->sq_rung)
		ring_to(qp, tail);
	return (int)n;
}

WEIR_EXPORT int weir_nvme_post(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
			       const struct weir_nvme_io *io)
{
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);

	if (unlikely(control != NVME_QP_LIVE))
		return submit_not_live(control);
	if (!qp->state->nr_free)
		return 0;
	if (unlikely(!ns_usable(qp, ns)))
		return refuse_burst(qp, io, 1);
	post_burst(qp, ns, io, 1);
	return 1;
}

WEIR_EXPORT void weir_nvme_ring(struct weir_nvme_qp *qp)
{
	uint32_t tail = qp->state->sq_tail;

	if (tail != qp->state->sq_rung &&
	    atomic_load_explicit(&qp->control, memory_order_acquire) == NVME_QP_LIVE)
		ring_to(qp, tail);
}

/* The controller completed something that it was not given: it cannot be trusted with anything. */
static __attribute__((noinline, cold)) void bad_completion(struct weir_nvme_qp *qp, uint64_t second)
{
	unsigned int cid = second >> 32 & 0xffff, sq_id = second >> 16 & 0xffff;
	struct weir_error why;

	if (sq_id != qp->qid)
		weir_error_set(
			&why, -EPROTO,
			"queue %u: the controller completed a command of submission queue %u",
			qp->qid, sq_id);
	else if (cid >= qp->depth)
		weir_error_set(
			&why, -EPROTO,
			"queue %u: the controller completed command id %u, beyond the queue's %u",
			qp->qid, cid, qp->depth);
	else
		weir_error_set(
			&why, -EPROTO,
			"queue %u: the controller completed command id %u, which is not in flight",
			qp->qid, cid);
	pthread_mutex_lock(&qp->nvme->lock);
	nvme_fail(qp->nvme, &why);
	pthread_mutex_unlock(&qp->nvme->lock);
}

/* Whether a completion that is not of an active command is of one that is being aborted. */
static __attribute__((noinline, cold)) bool completes_abort(const struct weir_nvme_qp *qp,
							    uint64_t second)
{
	unsigned int cid = second >> 32 & 0xffff;

	return cid < qp->depth && qp->trackers[cid].state == NVME_TRACKER_ABORTING;
}

/* Gives entries back to the controller. */
static inline void acknowledge(struct weir_nvme_qp *qp, uint32_t head)
{
	if (unlikely(atomic_load_explicit(&qp->control, memory_order_relaxed) != NVME_QP_LIVE))
		return;
	if (likely(qp->cq_doorbell))
		weir_mmio_write32(qp->cq_doorbell, head);
	else
		nvme_ring_slow(qp, 1, head);
	qp->state->cq_acked = head;
}

static inline void done_set(struct weir_nvme_done *done, uint64_t cookie, uint64_t result,
			    uint64_t word)
{
	done->cookie = cookie;
	done->result = result;
	__builtin_memcpy(&done->status, &word, sizeof(word)); /* status, host and reserved */
	done->reserved2 = 0;
}

/* A new entry is one whose phase is ours; its queue is checked with the same comparison. */
#define CQE_CHECKED (CQE_PHASE | UINT64_C(0xffff0000))

/* Takes up to max new completion entries. */
static unsigned int poll_burst(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
			       unsigned int max)
{
	struct nvme_qp_state *st = qp->state;
	struct nvme_tracker *trackers = qp->trackers;
	const uint32_t depth_dword = qp->depth << NVME_CID_SHIFT;
	const struct nvme_cqe *cqe = qp->next_cqe;
	uint32_t *free_cid = qp->free_cids + st->nr_free;
	uint64_t expected = qp->expected, second = expected;
	unsigned int left = max, taken;
	uint32_t head;

	while (left) {
		uint32_t run = qp->cq_mask + 1 - (uint32_t)(cqe - qp->cq);
		struct weir_nvme_done *end = done + (left < run ? left : run), *from = done;

		for (; done < end; done++, cqe++) {
			struct nvme_tracker *tracker;
			uint32_t cid_dword;

			second = nvme_load_once(&cqe->sq_head); /* sq_head, sq_id, cid, status */
			if ((second ^ expected) & CQE_CHECKED)
				break;
			weir_dma_rmb();
			cid_dword = (uint32_t)(second >> (32 - NVME_CID_SHIFT)) & NVME_CID_MASK;
			tracker = tracker_of(trackers, cid_dword);
			if (unlikely(cid_dword >= depth_dword ||
				     tracker->state != NVME_TRACKER_ACTIVE) &&
			    !completes_abort(qp, second))
				break;
			done_set(done, tracker->cookie, nvme_load_once(cqe), second >> 49);
			tracker->state = NVME_TRACKER_FREE;
			*free_cid++ = cid_dword;
		}
		left -= (unsigned int)(done - from);
		if (cqe == qp->cq + qp->cq_mask + 1) {
			cqe = qp->cq;
			expected ^= CQE_PHASE;
		}
		if (done < end)
			break;
	}

	taken = max - left;
	head = (uint32_t)(cqe - qp->cq);
	qp->next_cqe = cqe;
	qp->expected = expected;
	st->cq_head = head;
	st->phase = expected >> 48 & 1;
	st->nr_free += taken;
	st->completed += taken;
	if (unlikely(left && !((second ^ expected) & CQE_PHASE)))
		bad_completion(qp, second);
	else if (((head - st->cq_acked) & qp->cq_mask) > qp->ack_after)
		acknowledge(qp, head);
	return taken;
}

/* Returns up to max of the I/Os that were refused. */
static unsigned int poll_refused(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
				 unsigned int max)
{
	struct nvme_qp_state *st = qp->state;
	unsigned int n = 0;

	while (n < max && st->nr_host) {
		uint32_t cid_dword = qp->host_cids[--st->nr_host];
		struct nvme_tracker *tracker = tracker_of(qp->trackers, cid_dword);

		done_set(&done[n++], tracker->cookie, 0, (uint64_t)tracker->tick << 16);
		tracker->state = NVME_TRACKER_FREE;
		qp->free_cids[st->nr_free++] = cid_dword;
	}
	qp->nr_attention = st->nr_host;
	st->completed += n;
	st->host_failed += n;
	return n;
}

/* Gives back up to max of the I/Os that the controller will not complete any more. */
static unsigned int poll_abandoned(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
				   unsigned int max, enum weir_nvme_host_status status)
{
	struct nvme_qp_state *st = qp->state;
	unsigned int n = 0;

	for (unsigned int cid = 0; cid < qp->depth && n < max; cid++) {
		struct nvme_tracker *tracker = &qp->trackers[cid];

		if (tracker->state == NVME_TRACKER_FREE)
			continue;
		done_set(&done[n++], tracker->cookie, 0, (uint64_t)status << 16);
		tracker->state = NVME_TRACKER_FREE;
		qp->free_cids[st->nr_free++] = NVME_CMD_CID(cid);
	}
	st->completed += n;
	st->host_failed += n;
	return n;
}

/* Poll while something is unusual: refused I/Os, a reset, a dead controller. */
static __attribute__((noinline, cold)) int poll_slow(struct weir_nvme_qp *qp,
						     struct weir_nvme_done *done, unsigned int max)
{
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);
	unsigned int n = poll_refused(qp, done, max);

	if (control == NVME_QP_PARKED)
		return (int)n;
	/* What a stopped controller completed counts; what a dead one says does not. */
	if (control != NVME_QP_DEAD)
		n += poll_burst(qp, done + n, max - n);
	if (control == NVME_QP_LIVE || n == max)
		return (int)n;

	n += poll_abandoned(qp, done + n, max - n,
			    control == NVME_QP_DEAD ? WEIR_NVME_HOST_GONE : WEIR_NVME_HOST_RESET);
	if (n)
		return (int)n;
	if (control == NVME_QP_DEAD)
		return qp->state->nr_free == qp->depth ? -ENODEV : 0;
	if (qp->state->nr_free == qp->depth)
		atomic_compare_exchange_strong_explicit(&qp->control, &control, NVME_QP_PARKED,
							memory_order_release, memory_order_relaxed);
	return 0;
}

WEIR_EXPORT int weir_nvme_poll(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
			       unsigned int max)
{
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);

	if (unlikely(control | qp->nr_attention))
		return poll_slow(qp, done, max);
	if ((nvme_load_once(&qp->next_cqe->sq_head) ^ qp->expected) & CQE_PHASE)
		return 0;
	return (int)poll_burst(qp, done, max);
}
