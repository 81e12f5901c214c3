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
#define PREFETCH_AHEAD (8 * 8) /* eight entries, in words */
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
	*tracker_of(qp->trackers, cid_dword) = (struct nvme_tracker){ .cookie = cookie,
								      .state = NVME_TRACKER_REFUSED,
								      .tick = status };
	qp->refused_cids[qp->nr_refused++] = cid_dword;
}

static enum weir_nvme_host_status check_range(uint64_t blocks, const struct weir_nvme_io *io,
					      uint32_t most)
{
	if (!io->blocks || io->blocks > most)
		return WEIR_NVME_HOST_LENGTH;
	if (io->lba >= blocks || io->blocks > blocks - io->lba)
		return WEIR_NVME_HOST_LBA;
	return WEIR_NVME_HOST_OK;
}

/* With PRACT, metadata that is nothing but protection information stays at the controller (nvm
 * §5.3.1). */
static bool metadata_stripped(const struct weir_nvme_ns *ns, const struct weir_nvme_io *io)
{
	return (io->flags & WEIR_NVME_PRACT) && ns->protection && ns->metadata_bytes == 8;
}

static enum weir_nvme_host_status check_metadata(const struct weir_nvme_ns *ns,
						 const struct weir_nvme_io *io)
{
	if (!ns->metadata_bytes || ns->metadata_inline || metadata_stripped(ns, io))
		return WEIR_NVME_HOST_OK;
	if (io->metadata & 3)
		return WEIR_NVME_HOST_ALIGNMENT;
	return io->metadata ? WEIR_NVME_HOST_OK : WEIR_NVME_HOST_LENGTH;
}

/* Bytes that the data of a read, write or compare has, metadata in the buffer included (nvm
 * §5.3.1). */
static uint64_t data_bytes(const struct weir_nvme_ns *ns, const struct weir_nvme_io *io)
{
	uint64_t block = UINT64_C(1) << ns->block_shift;
	if (ns->metadata_inline && !metadata_stripped(ns, io))
		block += ns->metadata_bytes;
	return io->blocks * block;
}

/* Every I/O that the fast path does not take: composes its entry, or says why it cannot be done. */
static enum weir_nvme_host_status compose_any(struct weir_nvme_qp *qp,
					      const struct weir_nvme_ns *ns,
					      const struct weir_nvme_io *io, uint32_t cid_dword,
					      uint64_t sqe[8])
{
	const uint64_t blocks = atomic_load_explicit(&ns->blocks, memory_order_relaxed);
	enum weir_nvme_host_status status;
	uint32_t dw10_11[2] = { (uint32_t)io->lba, (uint32_t)(io->lba >> 32) };
	uint32_t dw12 = (uint32_t)io->flags << 24 | (io->blocks - 1);
	uint64_t bytes = 0;

	if (!blocks)
		return WEIR_NVME_HOST_NAMESPACE;
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
		status = check_range(blocks, io, ns->max_blocks);
		if (status == WEIR_NVME_HOST_OK)
			status = check_metadata(ns, io);
		bytes = data_bytes(ns, io);
		break;
	case WEIR_NVME_WRITE_ZEROES:
	case WEIR_NVME_VERIFY:
		status = check_range(blocks, io, BLOCKS_MAX);
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

static inline uint64_t *next_slot(const struct weir_nvme_qp *qp, uint64_t *sqe)
{
	sqe += 8;
	return likely(sqe != qp->sq_end) ? sqe : qp->sq[0];
}

/* The I/O in the slow way. Returns the slot of the next. */
static __attribute__((noinline)) uint64_t *post_any(struct weir_nvme_qp *qp,
						    const struct weir_nvme_ns *ns,
						    const struct weir_nvme_io *io,
						    uint32_t cid_dword, uint64_t *slot)
{
	struct nvme_tracker *tracker = tracker_of(qp->trackers, cid_dword);
	enum weir_nvme_host_status status = compose_any(qp, ns, io, cid_dword, slot);

	/* What was written to the slot of a refused one is overwritten by the next. */
	if (status != WEIR_NVME_HOST_OK) {
		refuse(qp, cid_dword, io->cookie, status);
		return slot;
	}
	tracker->cookie = io->cookie;
	*(uint64_t *)&tracker->state = qp->active_word;
	return next_slot(qp, slot);
}

/*
 * Fills the entry of one I/O; false when it is not for the fast path.
 *
 * The fast path takes reads and writes without flags, of one range of at most a page (so of one
 * page or two), that end before the last few blocks of the namespace; its checks are chosen so that
 * whatever passes is well-formed. All else, malformed or not, is for post_any(). What is the same
 * for all of a burst is read from memory anew: it is in the first-level cache, and costs less there
 * than in registers that are short.
 */
static __attribute__((always_inline)) inline bool post_fast(struct weir_nvme_qp *qp,
							    const struct weir_nvme_ns *ns,
							    const struct weir_nvme_io *io,
							    uint32_t cid_dword, uint64_t *sqe)
{
	uint64_t first = load64(io); /* opcode, flags, nr_segments, blocks */
	uint64_t nr = first >> 32, lba = io->lba, data = io->data, next_page;
	struct nvme_tracker *tracker;

	if (unlikely((uint32_t)first - 1 > 1 || nr - 1 >= ns->fast_blocks ||
		     lba >= atomic_load_explicit(&ns->fast_lbas, memory_order_relaxed) ||
		     (data & 3) || (io->metadata | io->reserved[0] | io->reserved[1])))
		return false;

	/* Of the lines that the device read last time around, this one is needed soon. */
	weir_prefetch_write(sqe + PREFETCH_AHEAD);
	tracker = tracker_of(qp->trackers, cid_dword);
	next_page = (data | qp->page_mask) + 1;
	tracker->cookie = io->cookie;
	*(uint64_t *)&tracker->state = qp->active_word;
	sqe[0] = (uint32_t)first | cid_dword | ns->nsid_dword;
	/* sqe[1], dwords 2 and 3, is zero from the start and in every command */
	sqe[2] = 0;
	sqe[3] = data;
	sqe[4] = data + nr * ns->block_bytes > next_page ? next_page : 0;
	sqe[5] = lba;
	sqe[6] = nr - 1;
	sqe[7] = 0;
	return true;
}

static __attribute__((noinline, cold)) int refuse_burst(struct weir_nvme_qp *qp,
							const struct weir_nvme_io *ios,
							unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		refuse(qp, qp->free_cids[--qp->nr_free], ios[i].cookie, WEIR_NVME_HOST_NAMESPACE);
	qp->submitted += n;
	return (int)n;
}

static __attribute__((noinline, cold)) int submit_not_live(uint32_t control)
{
	return control == NVME_QP_DEAD ? -ENODEV : 0;
}

static __attribute__((noinline, cold)) int ring_unmapped(struct weir_nvme_qp *qp, uint32_t tail,
							 unsigned int n)
{
	nvme_ring_slow(qp, 0, tail);
	qp->rung_sqe = qp->next_sqe;
	return (int)n;
}

/* Rings if entries were added since, the next of which is sqe, and passes n on: the last step of a
 * burst. */
static inline int ring(struct weir_nvme_qp *qp, uint64_t *sqe, unsigned int n)
{
	uint32_t tail;

	if (unlikely(sqe == qp->rung_sqe))
		return (int)n;
	tail = (uint32_t)(((uintptr_t)sqe - (uintptr_t)qp->sq) / sizeof(qp->sq[0]));
	weir_dma_wmb();
	if (unlikely(!qp->sq_doorbell))
		return ring_unmapped(qp, tail, n);
	weir_mmio_write32(qp->sq_doorbell, tail);
	qp->rung_sqe = sqe;
	return (int)n;
}

static __attribute__((noinline)) int submit_burst(struct weir_nvme_qp *qp,
						  const struct weir_nvme_ns *ns,
						  const struct weir_nvme_io *ios, unsigned int n)
{
	const struct weir_nvme_io *end = ios + n;
	const uint32_t *free_cid = qp->free_cids + qp->nr_free;
	uint64_t *sqe = qp->next_sqe;

	qp->nr_free -= n;
	qp->submitted += n;
	for (; ios < end; ios++) {
		uint32_t cid_dword = *--free_cid;

		if (likely(post_fast(qp, ns, ios, cid_dword, sqe)))
			sqe = next_slot(qp, sqe);
		else
			sqe = post_any(qp, ns, ios, cid_dword, sqe);
	}
	qp->next_sqe = sqe;
	return ring(qp, sqe, n);
}

WEIR_EXPORT int weir_nvme_submit(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
				 const struct weir_nvme_io *ios, unsigned int n)
{
	uint64_t *sqe;
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);

	if (unlikely(control != NVME_QP_LIVE))
		return submit_not_live(control);
	if (n > qp->nr_free)
		n = qp->nr_free;
	if (unlikely(!ns || ns->nvme != qp->nvme))
		return refuse_burst(qp, ios, n);
	sqe = qp->next_sqe;
	if (n != 1 || unlikely(!post_fast(qp, ns, ios, qp->free_cids[qp->nr_free - 1], sqe)))
		return submit_burst(qp, ns, ios, n);
	qp->nr_free--;
	qp->submitted++;
	sqe = next_slot(qp, sqe);
	qp->next_sqe = sqe;
	return ring(qp, sqe, 1);
}

WEIR_EXPORT int weir_nvme_post(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
			       const struct weir_nvme_io *io)
{
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);
	uint32_t cid_dword;

	if (unlikely(control != NVME_QP_LIVE))
		return submit_not_live(control);
	if (!qp->nr_free)
		return 0;
	if (unlikely(!ns || ns->nvme != qp->nvme))
		return refuse_burst(qp, io, 1);
	cid_dword = qp->free_cids[--qp->nr_free];
	qp->submitted++;
	if (likely(post_fast(qp, ns, io, cid_dword, qp->next_sqe)))
		qp->next_sqe = next_slot(qp, qp->next_sqe);
	else
		qp->next_sqe = post_any(qp, ns, io, cid_dword, qp->next_sqe);
	return 1;
}

WEIR_EXPORT void weir_nvme_ring(struct weir_nvme_qp *qp)
{
	if (likely(atomic_load_explicit(&qp->control, memory_order_acquire) == NVME_QP_LIVE))
		ring(qp, qp->next_sqe, 0);
}

static inline void done_set(struct weir_nvme_done *done, uint64_t cookie, uint64_t result,
			    uint64_t word)
{
	done->cookie = cookie;
	done->result = result;
	__builtin_memcpy(&done->status, &word, sizeof(word)); /* status, host and reserved */
	done->reserved2 = 0;
}

/* Takes the next entry, which completes a command whose abort was sent. The sweep frees its id. */
static void take_aborted(struct weir_nvme_qp *qp, struct nvme_tracker *tracker, uint64_t second,
			 struct weir_nvme_done *done)
{
	done_set(done, tracker->cookie, nvme_load_once(qp->next_cqe), second >> 49);
	tracker->state = NVME_TRACKER_HELD;
	qp->nr_held++;
	qp->unacked++;
	if (++qp->next_cqe == qp->cq_end) {
		qp->next_cqe = qp->cq;
		qp->expected ^= CQE_PHASE;
	}
	if (qp->unacked > qp->ack_after)
		nvme_acknowledge(qp);
}

/*
 * A completion that the fast path does not take, after n others: of a command whose abort was sent,
 * or of something that the controller was not given, and then it cannot be trusted with anything.
 */
static __attribute__((noinline, cold)) int bad_completion(struct weir_nvme_qp *qp, uint64_t second,
							  struct weir_nvme_done *done,
							  unsigned int n)
{
	unsigned int cid = second >> 32 & 0xffff, sq_id = second >> 16 & 0xffff;
	struct weir_error why;

	if (sq_id == qp->qid && cid < qp->depth &&
	    qp->trackers[cid].state == NVME_TRACKER_ABORTING) {
		take_aborted(qp, &qp->trackers[cid], second, done);
		return (int)n + 1;
	}
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
	return (int)n;
}

void nvme_acknowledge(struct weir_nvme_qp *qp)
{
	uint32_t head = (uint32_t)(qp->next_cqe - qp->cq);

	weir_dma_rmb(); /* the entries were read before the controller may overwrite them */
	if (unlikely(atomic_load_explicit(&qp->control, memory_order_relaxed) != NVME_QP_LIVE))
		return;
	if (likely(qp->cq_doorbell))
		weir_mmio_write32(qp->cq_doorbell, head);
	else
		nvme_ring_slow(qp, 1, head);
	qp->unacked = 0;
}

/* Gives the entries that were taken back to the controller, and passes n on. */
static __attribute__((noinline)) int acknowledge(struct weir_nvme_qp *qp, unsigned int n)
{
	nvme_acknowledge(qp);
	return (int)n;
}

/* A new entry is one whose phase is ours; its queue is checked with the same comparison. */
#define CQE_CHECKED (CQE_PHASE | UINT64_C(0xffff0000))

/* The end of a burst of n completions: the next entry to look at is cqe. */
static inline void poll_end(struct weir_nvme_qp *qp, const struct nvme_cqe *cqe, unsigned int n)
{
	qp->next_cqe = cqe;
	qp->nr_free += n;
	qp->unacked += n;
}

/* Takes up to max new completion entries. What is unusual is left by tail calls: the loop keeps its
 * registers. */
static __attribute__((noinline)) int poll_burst(struct weir_nvme_qp *qp,
						struct weir_nvme_done *done, unsigned int max)
{
	const struct nvme_cqe *cqe = qp->next_cqe;
	struct weir_nvme_done *end = done + max;
	uint32_t *free_cid = qp->free_cids + qp->nr_free;
	uint64_t second;
	unsigned int n;

	for (; done < end; done++) {
		struct nvme_tracker *tracker;
		uint32_t cid_dword;

		second = nvme_load_once(&cqe->sq_head); /* sq_head, sq_id, cid, status */
		if ((second ^ qp->expected) & CQE_CHECKED) {
			if (likely((second ^ qp->expected) & CQE_PHASE))
				break;
			goto bad; /* new, but of another queue */
		}
		weir_dma_rmb();
		cid_dword = (uint32_t)(second >> (32 - NVME_CID_SHIFT)) & NVME_CID_MASK;
		tracker = tracker_of(qp->trackers, cid_dword);
		if (unlikely(cid_dword >= qp->cid_end || tracker->state != NVME_TRACKER_ACTIVE))
			goto bad;
		done_set(done, tracker->cookie, nvme_load_once(cqe), second >> 49);
		tracker->state = NVME_TRACKER_FREE;
		*free_cid++ = cid_dword;
		if (unlikely(++cqe == qp->cq_end)) {
			cqe = qp->cq;
			qp->expected ^= CQE_PHASE;
		}
	}
	n = max - (unsigned int)(end - done);
	poll_end(qp, cqe, n);
	if (qp->unacked > qp->ack_after)
		return acknowledge(qp, n);
	return (int)n;

bad:
	n = max - (unsigned int)(end - done);
	poll_end(qp, cqe, n);
	return bad_completion(qp, second, done, n);
}

/* Returns up to max of the I/Os that were refused. */
static unsigned int poll_refused(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
				 unsigned int max)
{
	unsigned int n = 0;

	while (n < max && qp->nr_refused) {
		uint32_t cid_dword = qp->refused_cids[--qp->nr_refused];
		struct nvme_tracker *tracker = tracker_of(qp->trackers, cid_dword);

		done_set(&done[n++], tracker->cookie, 0, (uint64_t)tracker->tick << 16);
		tracker->state = NVME_TRACKER_FREE;
		qp->free_cids[qp->nr_free++] = cid_dword;
	}
	qp->host_failed += n;
	return n;
}

/* Gives back up to max of the I/Os that the controller will not complete any more. */
static unsigned int poll_abandoned(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
				   unsigned int max, enum weir_nvme_host_status status)
{
	unsigned int n = 0;

	for (unsigned int cid = 0; cid < qp->depth && n < max; cid++) {
		struct nvme_tracker *tracker = &qp->trackers[cid];

		if (tracker->state == NVME_TRACKER_FREE)
			continue;
		if (tracker->state == NVME_TRACKER_HELD)
			qp->nr_held--;
		else
			done_set(&done[n++], tracker->cookie, 0, (uint64_t)status << 16);
		tracker->state = NVME_TRACKER_FREE;
		qp->free_cids[qp->nr_free++] = NVME_CMD_CID(cid);
	}
	qp->host_failed += n;
	return n;
}

/* A burst ends behind a command that was aborted: as many as there are. */
static unsigned int poll_bursts(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
				unsigned int max)
{
	unsigned int n = 0, taken;

	do {
		taken = (unsigned int)poll_burst(qp, done + n, max - n);
		n += taken;
	} while (taken && n < max);
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
		n += poll_bursts(qp, done + n, max - n);
	if (control == NVME_QP_LIVE || (n && n == max))
		return (int)n;

	n += poll_abandoned(qp, done + n, max - n,
			    control == NVME_QP_DEAD ? WEIR_NVME_HOST_GONE : WEIR_NVME_HOST_RESET);
	if (n)
		return (int)n;
	if (control == NVME_QP_DEAD)
		return qp->nr_free == qp->depth ? -ENODEV : 0;
	if (qp->nr_free == qp->depth)
		atomic_compare_exchange_strong_explicit(&qp->control, &control, NVME_QP_PARKED,
							memory_order_release, memory_order_relaxed);
	return 0;
}

WEIR_EXPORT int weir_nvme_poll(struct weir_nvme_qp *qp, struct weir_nvme_done *done,
			       unsigned int max)
{
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);

	if (unlikely(control | qp->nr_refused))
		return poll_slow(qp, done, max);
	if ((nvme_load_once(&qp->next_cqe->sq_head) ^ qp->expected) & CQE_PHASE)
		return 0;
	/* What completed is soon followed by something new: the lines that it is written to, which
	 * an emulated device's core has, come meanwhile. Of a real doorbell the hint is ignored. */
	weir_prefetch_write(qp->next_sqe);
	weir_prefetch_write(qp->sq_doorbell);
	return poll_burst(qp, done, max);
}
