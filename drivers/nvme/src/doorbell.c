/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells that are not a store: shadow doorbells (base §5.8 and annex B.5), and doorbells that
 * cannot be mapped.
 */
#include "nvme.h"

/*
 * Whether a move of the doorbell from `old` to `new` passes the event index: then the controller
 * sleeps and has to be woken by the real doorbell. All values are indices into the queue.
 */
static bool passes(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

void nvme_ring_slow(struct weir_nvme_qp *qp, unsigned int cq, uint32_t value)
{
	uint32_t *shadow = cq ? qp->shadow_cq : qp->shadow_sq;
	volatile uint32_t *event = cq ? qp->event_cq : qp->event_sq;
	uint32_t old = cq ? (value - qp->unacked) & (qp->state->cq_entries - 1)
			  : (uint32_t)((uintptr_t)qp->rung_sqe - (uintptr_t)qp->sq) /
				       sizeof(qp->sq[0]);

	if (shadow) {
		weir_dma_wmb(); /* entries before the shadow doorbell */
		*(volatile uint32_t *)shadow = value;
		weir_dma_mb(); /* the shadow doorbell before the event index */
		if (!passes((uint16_t)*event, (uint16_t)value, (uint16_t)old))
			return;
	}
	/* A device that is gone is noticed by the control side. */
	weir_device_write32(qp->nvme->dev, 0, nvme_doorbell_offset(qp->nvme, qp->qid, cq), value);
}
