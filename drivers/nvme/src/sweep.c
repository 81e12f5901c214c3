/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time-outs of I/Os. There is no clock on the data path: a tracker holds the coarse time of the
 * sweep before its command was posted, and the sweep compares.
 */
#include "nvme.h"

#include <inttypes.h>

#define NS_PER_TICK_SHIFT 20 /* about a millisecond */
#define SWEEP_MAX_NS UINT64_C(200000000)

static uint32_t ticks(unsigned int ms)
{
	return (uint32_t)((ms * UINT64_C(1000000) >> NS_PER_TICK_SHIFT) + 1);
}

/* Asks the controller to abort a command. Another time if somebody is busy with the admin queue. */
static void abort_command(struct weir_nvme_qp *qp, unsigned int cid)
{
	struct weir_nvme *nvme = qp->nvme;

	if (pthread_mutex_trylock(&nvme->lock))
		return;
	if (nvme->state == NVME_LIVE && !nvme_admin_abort(nvme, (uint16_t)qp->qid, (uint16_t)cid)) {
		qp->trackers[cid].state = NVME_TRACKER_ABORTING;
		qp->trackers[cid].tick = qp->state->tick;
		qp->state->aborts++;
	}
	pthread_mutex_unlock(&nvme->lock);
}

/* Aborting did not help. The control side learns of it from weir_nvme_events(). */
static void ask_for_reset(struct weir_nvme_qp *qp, unsigned int cid)
{
	bool held = qp->trackers[cid].state == NVME_TRACKER_HELD;
	struct weir_nvme *nvme = qp->nvme;

	if (atomic_load(&nvme->reset_needed) || pthread_mutex_trylock(&nvme->lock))
		return;
	weir_error_set(&nvme->trouble, -ETIMEDOUT,
		       held ? "queue %u: command id %u was completed, but no answer to its abort "
			      "came within %u ms"
			    : "queue %u: command id %u was not completed within %u ms of its abort",
		       qp->qid, cid, nvme->options.io_timeout_ms);
	weir_log_write(&nvme->log, WEIR_LOG_ERROR, "%s", nvme->trouble.text);
	nvme_dump(nvme);
	atomic_store(&nvme->reset_needed, true);
	pthread_mutex_unlock(&nvme->lock);
}

/*
 * Frees the ids of commands that were completed after their abort was sent, once the controller has
 * answered every Abort: before that, it might abort what has the id next (base §5.1). Only this
 * owner sends Aborts to this queue, so the answer stays true.
 */
static void free_held(struct weir_nvme_qp *qp)
{
	struct weir_nvme *nvme = qp->nvme;
	bool answered;

	if (pthread_mutex_trylock(&nvme->lock))
		return; /* another time */
	if (nvme->state == NVME_LIVE)
		nvme_admin_poll(nvme);
	answered = nvme->state == NVME_LIVE && !nvme->admin.aborts;
	pthread_mutex_unlock(&nvme->lock);
	if (!answered)
		return;
	for (unsigned int cid = 0; cid < qp->depth; cid++) {
		if (qp->trackers[cid].state != NVME_TRACKER_HELD)
			continue;
		qp->trackers[cid].state = NVME_TRACKER_FREE;
		qp->free_cids[qp->nr_free++] = NVME_CMD_CID(cid);
		qp->nr_held--;
	}
}

/*
 * Trackers hold the time of the sweep before their command. So that a command does not look as old
 * as a pause between sweeps, a pause counts no more than SWEEP_MAX_NS.
 */
static void count_time(struct nvme_qp_state *st, uint64_t now_ns)
{
	uint64_t passed = st->swept_ns && now_ns > st->swept_ns ? now_ns - st->swept_ns : 0;

	st->swept_ns = now_ns;
	st->clock_ns += passed < SWEEP_MAX_NS ? passed : SWEEP_MAX_NS;
	st->tick = (uint32_t)(st->clock_ns >> NS_PER_TICK_SHIFT);
}

WEIR_EXPORT int weir_nvme_sweep(struct weir_nvme_qp *qp, uint64_t now_ns)
{
	struct nvme_qp_state *st = qp->state;
	uint32_t control = atomic_load_explicit(&qp->control, memory_order_acquire);
	uint32_t limit = ticks(qp->nvme->options.io_timeout_ms);
	int late = 0;

	count_time(st, now_ns);
	qp->active_word = NVME_TRACKER_ACTIVE | (uint64_t)st->tick << 32;
	if (control != NVME_QP_LIVE)
		return control == NVME_QP_DEAD ? -ENODEV : 0;
	if (qp->nr_held)
		free_held(qp);
	if (qp->nr_free == qp->depth)
		return 0;

	for (unsigned int cid = 0; cid < st->depth; cid++) {
		struct nvme_tracker *tracker = &qp->trackers[cid];
		uint32_t age = st->tick - tracker->tick;

		if (tracker->state < NVME_TRACKER_ACTIVE || age <= limit)
			continue;
		late += tracker->state != NVME_TRACKER_HELD;
		if (tracker->state == NVME_TRACKER_ACTIVE)
			abort_command(qp, cid);
		else
			ask_for_reset(qp, cid);
	}
	return late;
}
