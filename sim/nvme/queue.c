/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues: making and ending them (base §5.4 to §5.7), and what moves entries the long way. */
#include "nvme/controller.h"

#include <stdatomic.h>
#include <string.h>

#define REFUSED_NONE UINT32_MAX /* ctrl_sq::bad_tail */

/* Where a queue lies, or NULL when it is to be reached by message. */
static void *queue_memory(struct sim_nvme *nvme, uint64_t iova, uint64_t bytes, unsigned int prot)
{
	struct sim_window window = { 0 };
	uint8_t *ptr;

	return ctrl_translate(nvme, &window, iova, bytes, prot, &ptr) ? ptr : NULL;
}

static void cq_open(struct sim_nvme *nvme, unsigned int qid, uint64_t iova, uint32_t size)
{
	struct ctrl_cq *cq = &nvme->cqs[qid];

	*cq = (struct ctrl_cq){
		.entries = queue_memory(nvme, iova, size * sizeof(struct nvme_cqe),
					CTRL_PROT_WRITE),
		.doorbell = ctrl_doorbell(nvme, qid, true),
		.size = size,
		.phase = 1,
		.qid = (uint16_t)qid,
		.live = true,
		.iova = iova,
	};
	*ctrl_doorbell(nvme, qid, true) = 0;
	ctrl_shadow_attach(nvme, qid, true);
}

static void sq_open(struct sim_nvme *nvme, unsigned int qid, uint64_t iova, uint32_t size,
		    struct ctrl_cq *cq)
{
	struct ctrl_sq *sq = &nvme->sqs[qid];

	*sq = (struct ctrl_sq){
		.entries = queue_memory(nvme, iova, size * sizeof(struct nvme_sqe), CTRL_PROT_READ),
		.doorbell = ctrl_doorbell(nvme, qid, false),
		.cq = cq,
		.size = size,
		.view = CTRL_NO_VIEW,
		.bad_tail = REFUSED_NONE,
		.qid = (uint16_t)qid,
		.live = true,
		.iova = iova,
	};
	cq->nr_sqs++;
	*ctrl_doorbell(nvme, qid, false) = 0;
	ctrl_shadow_attach(nvme, qid, false);
}

static void active_add(struct sim_nvme *nvme, struct ctrl_sq *sq)
{
	nvme->active[nvme->nr_active++] = sq;
}

static void active_remove(struct sim_nvme *nvme, const struct ctrl_sq *sq)
{
	for (unsigned int i = 0; i < nvme->nr_active; i++) {
		if (nvme->active[i] == sq) {
			nvme->active[i] = nvme->active[--nvme->nr_active];
			return;
		}
	}
}

void ctrl_open_admin_queues(struct sim_nvme *nvme)
{
	cq_open(nvme, 0, nvme->acq, (nvme->aqa >> 16 & 0xfff) + 1);
	/* Base §3.1.3.9: the admin completion queue always interrupts, by vector 0. */
	nvme->cqs[0].interrupts = true;
	sq_open(nvme, 0, nvme->asq, (nvme->aqa & 0xfff) + 1, &nvme->cqs[0]);
}

void ctrl_end_queues(struct sim_nvme *nvme)
{
	nvme->nr_active = 0;
	for (unsigned int i = 0; i < CTRL_QUEUE_PAIRS; i++) {
		nvme->sqs[i].live = false;
		nvme->cqs[i].live = false;
	}
	ctrl_held_forget(nvme, CTRL_QUEUE_PAIRS);
}

/* What creating either kind of queue checks: base §5.4, §5.5 dword 10 and the PRP entry. */
static uint16_t check_create(const struct sim_nvme *nvme, const struct nvme_sqe *sqe, bool exists,
			     unsigned int entry_size, unsigned int expected_size)
{
	uint32_t qid = sqe->cdw10 & 0xffff, entries = (sqe->cdw10 >> 16) + 1;

	if (!qid || qid > nvme->options.queues || exists)
		return NVME_QID_INVALID | NVME_DNR;
	if (entries < 2 || entries > nvme->options.mqes || entry_size != expected_size)
		return NVME_QUEUE_SIZE_INVALID | NVME_DNR;
	/* CAP.CQR: contiguous queues only. */
	if (!(sqe->cdw11 & NVME_QUEUE_CONTIGUOUS))
		return NVME_INVALID_FIELD | NVME_DNR;
	if (!weir_is_aligned(sqe->prp1, UINT64_C(1) << nvme->page_shift))
		return NVME_INVALID_PRP_OFFSET | NVME_DNR;
	return NVME_SUCCESS;
}

uint16_t ctrl_create_cq(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint32_t qid = sqe->cdw10 & 0xffff, vector = sqe->cdw11 >> 16;
	uint16_t status;

	status = check_create(nvme, sqe, qid <= nvme->options.queues && nvme->cqs[qid].live,
			      NVME_CC_IOCQES(nvme->cc), NVME_CQES);
	if (status)
		return status;
	if ((sqe->cdw11 & NVME_CQ_INTERRUPTS) && vector > nvme->options.queues)
		return NVME_VECTOR_INVALID | NVME_DNR;
	cq_open(nvme, qid, sqe->prp1, (sqe->cdw10 >> 16) + 1);
	nvme->cqs[qid].interrupts = sqe->cdw11 & NVME_CQ_INTERRUPTS;
	nvme->cqs[qid].vector = (uint16_t)vector;
	return NVME_SUCCESS;
}

uint16_t ctrl_create_sq(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint32_t qid = sqe->cdw10 & 0xffff, cqid = sqe->cdw11 >> 16;
	uint16_t status;

	status = check_create(nvme, sqe, qid <= nvme->options.queues && nvme->sqs[qid].live,
			      NVME_CC_IOSQES(nvme->cc), NVME_SQES);
	if (status)
		return status;
	if (!cqid || cqid > nvme->options.queues)
		return NVME_QID_INVALID | NVME_DNR;
	if (!nvme->cqs[cqid].live)
		return NVME_CQ_INVALID | NVME_DNR;
	sq_open(nvme, qid, sqe->prp1, (sqe->cdw10 >> 16) + 1, &nvme->cqs[cqid]);
	active_add(nvme, &nvme->sqs[qid]);
	return NVME_SUCCESS;
}

uint16_t ctrl_delete_sq(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint32_t qid = sqe->cdw10 & 0xffff;
	struct ctrl_sq *sq;

	if (!qid || qid > nvme->options.queues || !nvme->sqs[qid].live)
		return NVME_QID_INVALID | NVME_DNR;
	sq = &nvme->sqs[qid];
	/* What was taken and not completed ends with its queue (base §5.7). */
	ctrl_held_forget(nvme, (uint16_t)qid);
	active_remove(nvme, sq);
	sq->cq->nr_sqs--;
	sq->live = false;
	return NVME_SUCCESS;
}

uint16_t ctrl_delete_cq(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint32_t qid = sqe->cdw10 & 0xffff;

	if (!qid || qid > nvme->options.queues || !nvme->cqs[qid].live)
		return NVME_QID_INVALID | NVME_DNR;
	if (nvme->cqs[qid].nr_sqs)
		return NVME_QUEUE_DELETION_INVALID | NVME_DNR;
	nvme->cqs[qid].live = false;
	return NVME_SUCCESS;
}

/* By the last bytes: a range may end at 2^64. */
static bool overlaps(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a <= b + (b_bytes - 1) && b <= a + (a_bytes - 1);
}

/* A queue whose memory goes is reached by message from now on, which fails unless the client maps
 * it again. */
void ctrl_dma_unmap(void *model, uint64_t iova, uint64_t bytes)
{
	struct sim_nvme *nvme = model;

	for (unsigned int i = 0; i < CTRL_QUEUE_PAIRS; i++) {
		struct ctrl_sq *sq = &nvme->sqs[i];
		struct ctrl_cq *cq = &nvme->cqs[i];

		memset(&sq->window, 0, sizeof(sq->window));
		sq->view = CTRL_NO_VIEW;
		if (overlaps(iova, bytes, sq->iova, sq->size * sizeof(struct nvme_sqe)))
			sq->entries = NULL;
		if (overlaps(iova, bytes, cq->iova, cq->size * sizeof(struct nvme_cqe)))
			cq->entries = NULL;
	}
	if (nvme->shadow &&
	    (overlaps(iova, bytes, nvme->shadow_iova, UINT64_C(1) << nvme->page_shift) ||
	     overlaps(iova, bytes, nvme->shadow_events_iova, UINT64_C(1) << nvme->page_shift)))
		ctrl_shadow_end(nvme);
}

unsigned int ctrl_sq_pending(struct sim_nvme *nvme, struct ctrl_sq *sq, uint32_t tail)
{
	uint32_t pending;

	if (unlikely(tail >= sq->size)) {
		if (tail != sq->bad_tail) {
			sq->bad_tail = tail;
			ctrl_event_add(nvme, NVME_EVENT_ERROR, NVME_ERROR_DOORBELL_VALUE,
				       NVME_LOG_ERRORS);
		}
		return 0;
	}
	/* The entries after the doorbell that announces them. */
	atomic_thread_fence(memory_order_acquire);
	pending = tail >= sq->head ? tail - sq->head : tail + sq->size - sq->head;
	return pending < CTRL_BURST ? pending : CTRL_BURST;
}

static uint32_t cq_free(const struct ctrl_cq *cq)
{
	uint32_t used = cq->tail >= cq->head ? cq->tail - cq->head : cq->tail + cq->size - cq->head;

	return cq->size - 1 - used;
}

unsigned int ctrl_cq_room(struct sim_nvme *nvme, struct ctrl_cq *cq, unsigned int wanted)
{
	uint32_t room = cq_free(cq), head, consumed, used;

	if (likely(room >= wanted))
		return wanted;
	head = *cq->doorbell;
	used = cq->size - 1 - room;
	consumed = head >= cq->head ? head - cq->head : head + cq->size - cq->head;
	/* It may only say that entries which were posted have been looked at. */
	if (unlikely(head >= cq->size || consumed > used)) {
		ctrl_event_add(nvme, NVME_EVENT_ERROR, NVME_ERROR_DOORBELL_VALUE, NVME_LOG_ERRORS);
		return room;
	}
	cq->head = head;
	room += consumed;
	return room < wanted ? room : wanted;
}

bool ctrl_fetch(struct sim_nvme *nvme, struct ctrl_sq *sq, struct nvme_sqe *sqe)
{
	uint64_t at = sq->iova + sq->head * sizeof(*sqe);

	if (likely(sq->entries)) {
		memcpy(sqe, (const void *)&sq->entries[sq->head], sizeof(*sqe));
		/* From here on the copy counts, whatever the client does to the entry. */
		atomic_signal_fence(memory_order_seq_cst);
	} else if (ctrl_read_memory(nvme, at, sqe, sizeof(*sqe))) {
		ctrl_fatal(nvme, "a submission queue cannot be read");
		return false;
	}
	ctrl_sq_advance(sq, 1);
	return true;
}

/* The half with the phase last, so that an entry is never seen by halves. */
static void cqe_store(struct sim_nvme *nvme, const struct ctrl_cq *cq, const struct nvme_cqe *cqe)
{
	uint64_t at = cq->iova + cq->tail * sizeof(*cqe), halves[2];

	memcpy(halves, cqe, sizeof(halves));
	if (likely(cq->entries)) {
		volatile uint64_t *entry = (volatile uint64_t *)&cq->entries[cq->tail];

		entry[0] = halves[0];
		atomic_thread_fence(memory_order_release);
		entry[1] = halves[1];
	} else if (ctrl_write_memory(nvme, at, &halves[0], sizeof(halves[0])) ||
		   ctrl_write_memory(nvme, at + sizeof(halves[0]), &halves[1], sizeof(halves[1]))) {
		ctrl_fatal(nvme, "a completion queue cannot be written");
	}
}

void ctrl_post(struct sim_nvme *nvme, const struct ctrl_sq *sq, uint16_t cid, uint16_t status,
	       uint32_t result)
{
	struct ctrl_cq *cq = sq->cq;
	struct nvme_cqe cqe = {
		.dw0 = result,
		.sq_head = (uint16_t)sq->head,
		.sq_id = sq->qid,
		.cid = cid,
		.status = (uint16_t)(status << 1 | cq->phase),
	};

	cqe_store(nvme, cq, &cqe);
	ctrl_cq_advance(cq, 1);
}

void ctrl_interrupt(struct sim_nvme *nvme, const struct ctrl_cq *cq)
{
	if (cq->interrupts)
		sim_irq_raise(nvme->server, cq->vector);
}
