/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The post-mortem: registers, the last entries of each queue and the commands in flight, through
 * the log hook. Called with the lock held when a controller fails or does not answer. Owners may be
 * running: what it shows of their queues is a snapshot.
 */
#include "nvme.h"

#include <inttypes.h>

#define LAST_ENTRIES 16

static void dump_registers(struct weir_nvme *nvme)
{
	uint32_t cc = UINT32_MAX, csts = UINT32_MAX, aqa = UINT32_MAX;

	weir_device_read32(nvme->dev, 0, NVME_REG_CC, &cc);
	weir_device_read32(nvme->dev, 0, NVME_REG_CSTS, &csts);
	weir_device_read32(nvme->dev, 0, NVME_REG_AQA, &aqa);
	weir_log_write(&nvme->log, WEIR_LOG_ERROR,
		       "registers: CAP %016" PRIx64 " VS %08" PRIx32 " CC %08" PRIx32
		       " CSTS %08" PRIx32 " AQA %08" PRIx32,
		       nvme->cap, nvme->version, cc, csts, aqa);
}

static void dump_queue(struct weir_nvme *nvme, const struct weir_nvme_qp *qp)
{
	const struct nvme_qp_state *st = qp->state;
	uint32_t tail = (uint32_t)((uintptr_t)qp->next_sqe - (uintptr_t)qp->sq) / sizeof(qp->sq[0]);
	uint32_t head = (uint32_t)(qp->next_cqe - qp->cq);
	unsigned int shown = 0;

	weir_log_write(&nvme->log, WEIR_LOG_ERROR,
		       "queue %u: depth %u, in flight %u, SQ tail %u of %u, CQ head %u of %u, "
		       "%u not acknowledged, phase %u",
		       qp->qid, qp->depth, weir_nvme_qp_inflight(qp), tail, st->sq_entries, head,
		       st->cq_entries, qp->unacked, (unsigned int)(qp->expected >> 48 & 1));
	for (unsigned int i = 1; i <= LAST_ENTRIES && i <= st->sq_entries; i++) {
		const uint64_t *sqe = qp->sq[(tail - i) & (st->sq_entries - 1)];

		weir_log_write(&nvme->log, WEIR_LOG_DEBUG,
			       "queue %u SQ -%u: %016" PRIx64 " prp %016" PRIx64 " %016" PRIx64
			       " lba %" PRIu64 " dw12 %08" PRIx32,
			       qp->qid, i, sqe[0], sqe[3], sqe[4], sqe[5], (uint32_t)sqe[6]);
	}
	for (unsigned int i = 1; i <= LAST_ENTRIES && i <= st->cq_entries; i++) {
		const struct nvme_cqe *cqe = &qp->cq[(head - i) & (st->cq_entries - 1)];

		weir_log_write(&nvme->log, WEIR_LOG_DEBUG,
			       "queue %u CQ -%u: %08" PRIx32 " sq %u head %u cid %u status %04x",
			       qp->qid, i, cqe->dw0, cqe->sq_id, cqe->sq_head, cqe->cid,
			       cqe->status);
	}
	for (unsigned int cid = 0; cid < qp->depth && shown < LAST_ENTRIES; cid++) {
		const struct nvme_tracker *tracker = &qp->trackers[cid];

		if (tracker->state != NVME_TRACKER_ACTIVE &&
		    tracker->state != NVME_TRACKER_ABORTING)
			continue;
		shown++;
		weir_log_write(&nvme->log, WEIR_LOG_ERROR,
			       "queue %u: command id %u in flight, cookie %016" PRIx64 "%s",
			       qp->qid, cid, tracker->cookie,
			       tracker->state == NVME_TRACKER_ABORTING ? ", abort sent" : "");
	}
}

void nvme_dump(struct weir_nvme *nvme)
{
	struct weir_nvme_qp *qp;

	if (!nvme->log.write)
		return;
	dump_registers(nvme);
	TAILQ_FOREACH (qp, &nvme->qps, link)
		dump_queue(nvme, qp);
}
