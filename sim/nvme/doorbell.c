/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells: the registers behind BAR 0 (pcie §3.1.2), and the shadow doorbells of Doorbell Buffer
 * Config (base §5.8), which I/O queues use instead once the client has set them up.
 *
 * A queue reads its doorbell through a pointer; what changes is where that points. The admin queue
 * stays with its registers, because not every driver shadows it: its EventIdx follows each tail, so
 * that a driver which does shadow it rings nevertheless.
 */
#include "nvme/controller.h"

#include <weir/mmio.h>

static uint64_t doorbell_offset(const struct sim_nvme *nvme, unsigned int qid, bool cq)
{
	return (2ull * qid + cq) * nvme->doorbell_stride;
}

volatile uint32_t *ctrl_doorbell(struct sim_nvme *nvme, unsigned int qid, bool cq)
{
	return (volatile uint32_t *)(nvme->doorbells + doorbell_offset(nvme, qid, cq));
}

void ctrl_doorbell_write(struct sim_nvme *nvme, uint64_t offset, uint32_t value)
{
	uint64_t index = offset / nvme->doorbell_stride;
	unsigned int qid = (unsigned int)(index / 2);
	bool cq = index & 1;

	nvme->stats.doorbell_traps++;
	if (!nvme->running)
		return;
	if (offset % nvme->doorbell_stride || qid > nvme->options.queues ||
	    !(cq ? nvme->cqs[qid].live : nvme->sqs[qid].live)) {
		ctrl_event_add(nvme, NVME_EVENT_ERROR, NVME_ERROR_DOORBELL_REGISTER,
			       NVME_LOG_ERRORS);
		return;
	}
	/* Its value is checked when it is looked at, as one that was written without a message. */
	*ctrl_doorbell(nvme, qid, cq) = value;
}

/* A queue whose slot lies beyond the one page that the buffer has keeps its register. */
static bool shadow_has(const struct sim_nvme *nvme, unsigned int qid, bool cq)
{
	return nvme->shadow && qid &&
	       doorbell_offset(nvme, qid, cq) + sizeof(uint32_t) <= UINT64_C(1) << nvme->page_shift;
}

void ctrl_shadow_attach(struct sim_nvme *nvme, unsigned int qid, bool cq)
{
	uint64_t slot = doorbell_offset(nvme, qid, cq) / sizeof(uint32_t);
	volatile uint32_t *shadow, *event;

	if (!shadow_has(nvme, qid, cq))
		return;
	shadow = nvme->shadow + slot;
	event = nvme->shadow_events + slot;
	*shadow = *ctrl_doorbell(nvme, qid, cq);
	*event = *shadow;
	if (cq) {
		nvme->cqs[qid].doorbell = shadow;
		nvme->cqs[qid].event = event;
	} else {
		nvme->sqs[qid].doorbell = shadow;
		nvme->sqs[qid].event = event;
	}
}

void ctrl_shadow_end(struct sim_nvme *nvme)
{
	for (unsigned int qid = 1; qid <= nvme->options.queues; qid++) {
		nvme->sqs[qid].doorbell = ctrl_doorbell(nvme, qid, false);
		nvme->cqs[qid].doorbell = ctrl_doorbell(nvme, qid, true);
		nvme->sqs[qid].event = NULL;
		nvme->cqs[qid].event = NULL;
	}
	nvme->shadow = nvme->shadow_events = NULL;
}

uint16_t ctrl_doorbell_buffer(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint64_t page = UINT64_C(1) << nvme->page_shift;
	struct sim_window window = { 0 };
	uint8_t *shadow, *events;

	if (nvme->options.no_shadow_doorbells)
		return NVME_INVALID_OPCODE | NVME_DNR;
	if (!weir_is_aligned(sqe->prp1 | sqe->prp2, page))
		return NVME_INVALID_PRP_OFFSET | NVME_DNR;
	/* They are polled, so they have to be mapped here. */
	if (!ctrl_translate(nvme, &window, sqe->prp1, page, CTRL_PROT_READ | CTRL_PROT_WRITE,
			    &shadow) ||
	    !ctrl_translate(nvme, &window, sqe->prp2, page, CTRL_PROT_READ | CTRL_PROT_WRITE,
			    &events) ||
	    !shadow || !events)
		return NVME_INVALID_FIELD | NVME_DNR;

	ctrl_shadow_end(nvme);
	nvme->shadow = (uint32_t *)shadow;
	nvme->shadow_iova = sqe->prp1;
	nvme->shadow_events = (uint32_t *)events;
	nvme->shadow_events_iova = sqe->prp2;
	for (unsigned int qid = 1; qid <= nvme->options.queues; qid++) {
		if (nvme->sqs[qid].live)
			ctrl_shadow_attach(nvme, qid, false);
		if (nvme->cqs[qid].live)
			ctrl_shadow_attach(nvme, qid, true);
	}
	return NVME_SUCCESS;
}

void ctrl_shadow_events(struct sim_nvme *nvme, bool ring)
{
	/* The client rings when it moves a doorbell past EventIdx: the value that it has now makes
	 * it ring for the next entry, the one before makes it ring for none. */
	uint32_t back = ring ? 0 : 1;

	for (unsigned int i = 0; i < nvme->nr_active; i++) {
		const struct ctrl_sq *sq = nvme->active[i];

		if (sq->event)
			*sq->event = sq->head - back;
		if (sq->cq->event)
			*sq->cq->event = sq->cq->head - back;
	}
	nvme->shadow_events[0] = nvme->sqs[0].head;
	/* Before the doorbells are looked at once more: else both sides could wait. */
	if (ring)
		weir_dma_mb();
}
