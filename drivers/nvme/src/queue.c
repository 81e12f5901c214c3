/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * I/O queue pairs: their memory, their making and ending at the controller (base §5.4 to §5.7).
 */
#include "nvme.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define DEFAULT_DEPTH 128u
#define NO_VECTOR UINT32_MAX

uint64_t nvme_doorbell_offset(const struct weir_nvme *nvme, unsigned int qid, unsigned int cq)
{
	return NVME_REG_DOORBELLS + (2 * (uint64_t)qid + cq) * nvme->doorbell_stride;
}

size_t nvme_qp_state_bytes(unsigned int depth)
{
	return sizeof(struct nvme_qp_state) + depth * sizeof(struct nvme_tracker) +
	       2 * depth * sizeof(uint32_t);
}

struct weir_nvme_qp *nvme_qp_alloc(struct weir_nvme *nvme)
{
	struct weir_nvme_qp *qp = aligned_alloc(_Alignof(struct weir_nvme_qp), sizeof(*qp));

	if (!qp)
		return NULL;
	memset(qp, 0, sizeof(*qp));
	qp->nvme = nvme;
	qp->fd = -1;
	return qp;
}

void nvme_qp_free(struct weir_nvme_qp *qp)
{
	free(qp);
}

/* The largest power of two of entries that the controller takes. */
static uint32_t max_entries(const struct weir_nvme *nvme)
{
	uint32_t entries = NVME_CAP_MQES(nvme->cap) + 1;

	return 1u << (31 - __builtin_clz(entries));
}

unsigned int nvme_max_depth(const struct weir_nvme *nvme)
{
	uint32_t depth = max_entries(nvme) - 1;

	return depth < WEIR_NVME_MAX_DEPTH ? depth : WEIR_NVME_MAX_DEPTH;
}

static uint32_t list_bytes(const struct weir_nvme *nvme)
{
	uint64_t pages = (nvme->max_transfer >> nvme->page_shift) + 1;

	if (nvme->use_sgl)
		return WEIR_NVME_MAX_SEGMENTS * sizeof(struct nvme_sgl);
	/* One entry less than pages, but one more for data that does not begin on a page. */
	return (uint32_t)weir_round_up_power_of_two(
		pages * sizeof(uint64_t) < 64 ? 64 : (pages - 1) * sizeof(uint64_t));
}

void nvme_qp_attach_state(struct weir_nvme_qp *qp)
{
	struct nvme_qp_state *st = qp->state;
	struct weir_nvme *nvme = qp->nvme;
	uint8_t *base = weir_arena_base(nvme->arena);
	uint64_t sq_doorbell = nvme_doorbell_offset(nvme, st->qid, 0);
	uint64_t cq_doorbell = nvme_doorbell_offset(nvme, st->qid, 1);

	_Static_assert(sizeof(*st) % WEIR_CACHE_LINE == 0, "trackers begin on a line");

	qp->trackers = (struct nvme_tracker *)(st + 1);
	qp->free_cids = (uint32_t *)(qp->trackers + st->depth);
	qp->refused_cids = qp->free_cids + st->depth;
	qp->nr_free = st->nr_free;
	qp->nr_refused = st->nr_refused;
	qp->depth = st->depth;
	qp->list_bytes = st->list_bytes;
	qp->cid_end = NVME_CMD_CID(st->depth);
	qp->qid = st->qid;
	qp->page_mask = (UINT64_C(1) << nvme->page_shift) - 1;
	qp->active_word = NVME_TRACKER_ACTIVE | (uint64_t)st->tick << 32;
	qp->submitted = st->submitted;
	qp->host_failed = st->host_failed;
	qp->ack_after = (st->cq_entries - 1 - st->depth) / 2;

	if (st->sq_in_cmb) {
		qp->sq = (void *)(uintptr_t)weir_device_bar(nvme->dev, nvme->cmb.bar,
							    nvme->cmb.offset + st->sq_offset,
							    st->sq_entries * sizeof(qp->sq[0]));
		qp->sq_iova = nvme->cmb.base + st->sq_offset;
	} else {
		qp->sq = (void *)(base + st->sq_offset);
		qp->sq_iova = weir_arena_iova(nvme->arena) + st->sq_offset;
	}
	qp->cq = (void *)(base + st->cq_offset);
	qp->cq_iova = weir_arena_iova(nvme->arena) + st->cq_offset;
	qp->lists = base + st->lists_offset;
	qp->lists_iova = weir_arena_iova(nvme->arena) + st->lists_offset;
	if (qp->sq) {
		qp->next_sqe = qp->sq[st->sq_tail];
		qp->rung_sqe = qp->sq[st->sq_rung];
		qp->sq_end = qp->sq[st->sq_entries];
	}
	qp->next_cqe = &qp->cq[st->cq_head];
	qp->cq_end = &qp->cq[st->cq_entries];
	qp->expected = (uint64_t)st->phase << 48 | st->qid << 16;
	qp->unacked = (st->cq_head - st->cq_acked) & (st->cq_entries - 1);

	qp->sq_doorbell = qp->cq_doorbell = NULL;
	qp->shadow_sq = qp->shadow_cq = NULL;
	if (nvme->use_shadow && cq_doorbell + 4 - NVME_REG_DOORBELLS <= 1u << nvme->page_shift) {
		qp->shadow_sq = nvme->shadow + (sq_doorbell - NVME_REG_DOORBELLS) / 4;
		qp->shadow_cq = nvme->shadow + (cq_doorbell - NVME_REG_DOORBELLS) / 4;
		qp->event_sq = nvme->shadow_event + (sq_doorbell - NVME_REG_DOORBELLS) / 4;
		qp->event_cq = nvme->shadow_event + (cq_doorbell - NVME_REG_DOORBELLS) / 4;
	} else {
		qp->sq_doorbell = weir_device_bar(nvme->dev, 0, sq_doorbell, 4);
		qp->cq_doorbell = weir_device_bar(nvme->dev, 0, cq_doorbell, 4);
	}
	if (st->vector != NO_VECTOR && nvme->vector_fds)
		qp->fd = nvme->vector_fds[st->vector];
}

static uint32_t sq_index(const struct weir_nvme_qp *qp, const uint64_t *sqe)
{
	return (uint32_t)((uintptr_t)sqe - (uintptr_t)qp->sq) / sizeof(qp->sq[0]);
}

void nvme_qp_set_control(struct weir_nvme_qp *qp, enum nvme_qp_control control)
{
	atomic_store_explicit(&qp->control, control, memory_order_release);
	if (qp->fd >= 0)
		eventfd_write(qp->fd, 1); /* its owner may be asleep */
}

void nvme_qp_freeze(struct weir_nvme_qp *qp)
{
	struct nvme_qp_state *st = qp->state;

	st->sq_tail = sq_index(qp, qp->next_sqe);
	st->sq_rung = sq_index(qp, qp->rung_sqe);
	st->cq_head = (uint32_t)(qp->next_cqe - qp->cq);
	st->cq_acked = (st->cq_head - qp->unacked) & (st->cq_entries - 1);
	st->phase = qp->expected >> 48 & 1;
	st->tick = (uint32_t)(qp->active_word >> 32);
	st->nr_free = qp->nr_free;
	st->nr_refused = qp->nr_refused;
	st->submitted = qp->submitted;
	st->host_failed = qp->host_failed;
}

int nvme_qp_clear(struct weir_nvme_qp *qp, struct weir_error *err)
{
	struct nvme_qp_state *st = qp->state;

	if (qp->sq)
		nvme_qp_freeze(qp); /* what is counted goes on */
	else
		nvme_qp_attach_state(qp);
	if (!qp->sq)
		return weir_error_set(
			err, -EIO,
			"queue %u: its part of the controller memory buffer cannot be mapped",
			st->qid);
	memset((void *)(uintptr_t)qp->cq, 0, st->cq_entries * sizeof(qp->cq[0]));
	for (uint32_t i = 0; i < st->sq_entries; i++)
		memset(qp->sq[i], 0, sizeof(qp->sq[i]));
	for (uint32_t i = 0; i < st->depth; i++) {
		qp->trackers[i] = (struct nvme_tracker){ 0 };
		/* The first id taken is 0, and a busy queue reuses the ids, and lines, that are
		 * warm. */
		qp->free_cids[i] = NVME_CMD_CID(st->depth - 1 - i);
	}
	st->sq_tail = st->sq_rung = st->cq_head = st->cq_acked = 0;
	st->phase = 1;
	st->nr_refused = 0;
	st->nr_free = st->depth;
	nvme_qp_attach_state(qp);
	return 0;
}

static int take_qid(struct weir_nvme *nvme)
{
	nvme_admin_poll(nvme); /* Aborts may have been answered */
	for (unsigned int qid = 1; qid <= nvme->queues; qid++) {
		if (nvme->qid_use[qid] == NVME_QID_FREE ||
		    (nvme->qid_use[qid] == NVME_QID_HELD && !nvme->admin.aborts))
			return (int)qid;
	}
	return -ENOSPC;
}

static void *arena_take(struct weir_nvme *nvme, uint64_t bytes, uint64_t *offset)
{
	uint8_t *memory = nvme_take_pages(nvme, bytes);

	if (memory)
		*offset = (uint64_t)(memory - (uint8_t *)weir_arena_base(nvme->arena));
	return memory;
}

/* Room for a submission queue in the controller memory buffer, if that is wanted and can be had. */
static bool cmb_take(struct weir_nvme *nvme, uint64_t bytes, uint64_t *offset)
{
	const struct weir_nvme_qp *qp;
	uint64_t at = 0;

	if (!nvme->options.cmb_queues || nvme_cmb_find(nvme, NULL))
		return false;
again:
	if (!weir_range_within(at, bytes, nvme->cmb.queue_bytes))
		return false;
	TAILQ_FOREACH (qp, &nvme->qps, link) {
		uint64_t begin = qp->state->sq_offset;
		uint64_t end = begin + qp->state->sq_entries * sizeof(qp->sq[0]);

		if (qp->state->sq_in_cmb && at < end && begin < at + bytes) {
			at = weir_align_up(end, UINT64_C(1) << nvme->page_shift);
			goto again;
		}
	}
	*offset = at;
	return weir_device_bar(nvme->dev, nvme->cmb.bar, nvme->cmb.offset + at, bytes) != NULL;
}

static void free_memory(struct weir_nvme_qp *qp)
{
	struct weir_nvme *nvme = qp->nvme;
	uint8_t *base = weir_arena_base(nvme->arena);
	struct nvme_qp_state *st = qp->state;

	if (!st)
		return;
	if (st->sq_offset != UINT64_MAX && !st->sq_in_cmb)
		weir_arena_free(nvme->arena, base + st->sq_offset);
	if (st->cq_offset != UINT64_MAX)
		weir_arena_free(nvme->arena, base + st->cq_offset);
	if (st->lists_offset != UINT64_MAX)
		weir_arena_free(nvme->arena, base + st->lists_offset);
	weir_arena_free_state(nvme->arena, st);
}

static int take_memory(struct weir_nvme_qp *qp, unsigned int depth, unsigned int qid,
		       struct weir_error *err)
{
	struct weir_nvme *nvme = qp->nvme;
	uint32_t entries = (uint32_t)weir_round_up_power_of_two(depth + 1);
	struct nvme_qp_state *st = weir_arena_alloc_state(nvme->arena, nvme_qp_state_bytes(depth));

	if (!st)
		return weir_error_set(err, -ENOMEM,
				      "no state memory in the arena for a queue pair");
	qp->state = st;
	*st = (struct nvme_qp_state){
		.version = NVME_QP_STATE_VERSION,
		.qid = qid,
		.depth = depth,
		.sq_entries = entries,
		.cq_entries = 2 * entries <= max_entries(nvme) ? 2 * entries : entries,
		.list_bytes = list_bytes(nvme),
		.vector = nvme->vector_fds && qid <= nvme->nr_vectors ? qid - 1 : NO_VECTOR,
		.sq_offset = UINT64_MAX,
		.cq_offset = UINT64_MAX,
		.lists_offset = UINT64_MAX,
	};
	st->sq_in_cmb = cmb_take(nvme, entries * sizeof(qp->sq[0]), &st->sq_offset);
	if ((!st->sq_in_cmb && !arena_take(nvme, entries * sizeof(qp->sq[0]), &st->sq_offset)) ||
	    !arena_take(nvme, st->cq_entries * sizeof(struct nvme_cqe), &st->cq_offset) ||
	    !arena_take(nvme, (uint64_t)depth * st->list_bytes, &st->lists_offset))
		return weir_error_set(err, -ENOMEM,
				      "no room in the arena for a queue pair of depth %u", depth);
	return 0;
}

static int delete_queue(struct weir_nvme *nvme, uint8_t opcode, unsigned int qid, const char *what,
			struct weir_error *err)
{
	const struct weir_nvme_command command = { .opcode = opcode, .cdw10 = qid };

	return nvme_admin_run(nvme, &command, NULL, 0, WEIR_NVME_NO_DATA, NULL, what, err);
}

int nvme_qp_connect(struct weir_nvme_qp *qp, struct weir_error *err)
{
	struct weir_nvme *nvme = qp->nvme;
	const struct nvme_qp_state *st = qp->state;
	struct weir_nvme_command cq = {
		.opcode = NVME_ADMIN_CREATE_CQ,
		.prp1 = qp->cq_iova,
		.cdw10 = (st->cq_entries - 1) << 16 | st->qid,
		.cdw11 = NVME_QUEUE_CONTIGUOUS,
	};
	const struct weir_nvme_command sq = {
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = qp->sq_iova,
		.cdw10 = (st->sq_entries - 1) << 16 | st->qid,
		.cdw11 = st->qid << 16 | NVME_QUEUE_CONTIGUOUS,
	};
	struct weir_error why;
	int rc;

	if (st->vector != NO_VECTOR)
		cq.cdw11 |= st->vector << 16 | NVME_CQ_INTERRUPTS;
	rc = nvme_admin_run(nvme, &cq, NULL, 0, WEIR_NVME_NO_DATA, NULL,
			    "Create I/O Completion Queue", err);
	if (rc)
		return rc;
	rc = nvme_admin_run(nvme, &sq, NULL, 0, WEIR_NVME_NO_DATA, NULL,
			    "Create I/O Submission Queue", err);
	/* Its memory is about to be freed. */
	if (rc &&
	    delete_queue(nvme, NVME_ADMIN_DELETE_CQ, st->qid, "Delete I/O Completion Queue", &why))
		nvme_fail(nvme, &why);
	return rc;
}

static int create_locked(struct weir_nvme *nvme, unsigned int depth, struct weir_nvme_qp **out,
			 struct weir_error *err)
{
	struct weir_nvme_qp *qp;
	int qid, rc;

	rc = nvme_usable(nvme, err);
	if (rc)
		return rc;
	qid = take_qid(nvme);
	if (qid < 0)
		return weir_error_set(err, -ENOSPC,
				      "all %u queue pairs that the controller granted are in use",
				      nvme->queues);
	qp = nvme_qp_alloc(nvme);
	if (!qp)
		return weir_error_set(err, -ENOMEM, "no memory for a queue pair");
	rc = take_memory(qp, depth, (unsigned int)qid, err);
	if (!rc)
		rc = nvme_qp_clear(qp, err);
	if (!rc)
		rc = nvme_qp_connect(qp, err);
	if (rc) {
		/* After a time-out the controller may still know the queue. */
		if (rc == -ETIMEDOUT)
			nvme_fail(nvme, &nvme->trouble);
		free_memory(qp);
		nvme_qp_free(qp);
		return rc;
	}
	nvme->qid_use[qid] = NVME_QID_USED;
	TAILQ_INSERT_TAIL(&nvme->qps, qp, link);
	*out = qp;
	return 0;
}

WEIR_EXPORT int weir_nvme_qp_create(struct weir_nvme *nvme, const struct weir_nvme_qp_options *from,
				    struct weir_nvme_qp **qp, struct weir_error *err)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	unsigned int limit = nvme_max_depth(nvme);
	int rc;

	rc = weir_options_copy(&options, sizeof(options), from, "queue pair options", err);
	if (rc)
		return rc;
	if (options.reserved)
		return weir_error_set(err, -EINVAL, "queue pair options: reserved is %u, not 0",
				      options.reserved);
	if (options.depth > limit)
		return weir_error_set(err, -EINVAL, "queue depth %u is over the controller's %u",
				      options.depth, limit);
	if (!options.depth)
		options.depth = limit < DEFAULT_DEPTH ? limit : DEFAULT_DEPTH;
	pthread_mutex_lock(&nvme->lock);
	rc = create_locked(nvme, options.depth, qp, err);
	pthread_mutex_unlock(&nvme->lock);
	return rc;
}

WEIR_EXPORT void weir_nvme_qp_destroy(struct weir_nvme_qp *qp)
{
	struct weir_nvme *nvme;
	struct weir_error why;

	if (!qp)
		return;
	nvme = qp->nvme;
	pthread_mutex_lock(&nvme->lock);
	if (nvme->state == NVME_LIVE) {
		int rc = delete_queue(nvme, NVME_ADMIN_DELETE_SQ, qp->qid,
				      "Delete I/O Submission Queue", &why);

		if (!rc)
			rc = delete_queue(nvme, NVME_ADMIN_DELETE_CQ, qp->qid,
					  "Delete I/O Completion Queue", &why);
		/* It may go on using the memory, which is about to be somebody else's. */
		if (rc)
			nvme_fail(nvme, &why);
	}
	TAILQ_REMOVE(&nvme->qps, qp, link);
	nvme->qid_use[qp->qid] = nvme->admin.aborts ? NVME_QID_HELD : NVME_QID_FREE;
	free_memory(qp);
	nvme_qp_free(qp);
	pthread_mutex_unlock(&nvme->lock);
}

WEIR_EXPORT unsigned int weir_nvme_qp_depth(const struct weir_nvme_qp *qp)
{
	return qp->depth;
}

WEIR_EXPORT unsigned int weir_nvme_qp_id(const struct weir_nvme_qp *qp)
{
	return qp->qid;
}

WEIR_EXPORT unsigned int weir_nvme_qp_inflight(const struct weir_nvme_qp *qp)
{
	return qp->depth - qp->nr_free - qp->nr_held;
}

WEIR_EXPORT void weir_nvme_qp_stats(const struct weir_nvme_qp *qp, struct weir_nvme_qp_stats *stats)
{
	*stats = (struct weir_nvme_qp_stats){ .submitted = qp->submitted,
					      .completed = qp->submitted -
							   weir_nvme_qp_inflight(qp),
					      .host_failed = qp->host_failed,
					      .aborts = qp->state->aborts };
}

WEIR_EXPORT struct weir_nvme_qp *weir_nvme_qp_by_id(struct weir_nvme *nvme, unsigned int id)
{
	struct weir_nvme_qp *qp;

	pthread_mutex_lock(&nvme->lock);
	TAILQ_FOREACH (qp, &nvme->qps, link) {
		if (qp->qid == id)
			break;
	}
	pthread_mutex_unlock(&nvme->lock);
	return qp;
}
