/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands (base §5). */
#include "nvme/controller.h"

#define ADMIN_BURST 16

/* Ends an Asynchronous Event Request, where there is room for its completion beside the Abort's. */
static bool abort_event_request(struct sim_nvme *nvme, uint16_t cid)
{
	struct ctrl_sq *sq = &nvme->sqs[0];

	if (ctrl_cq_room(nvme, sq->cq, 2) < 2 || !ctrl_event_abort(nvme, cid))
		return false;
	ctrl_post(nvme, sq, cid, NVME_ABORT_REQUESTED, 0);
	return true;
}

static uint16_t abort_command(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint32_t *result)
{
	uint16_t sqid = sqe->cdw10 & 0xffff, cid = (uint16_t)(sqe->cdw10 >> 16);
	bool aborted;

	if (sqid > nvme->options.queues || !nvme->sqs[sqid].live)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (nvme->options.faults.ignore_abort) {
		*result = 0;
		return NVME_SUCCESS;
	}
	aborted = sqid ? ctrl_held_abort(nvme, sqid, cid) : abort_event_request(nvme, cid);
	if (aborted)
		nvme->stats.aborted++;
	/* Base §5.1: bit 0 says that it was not aborted. */
	*result = !aborted;
	return NVME_SUCCESS;
}

static uint16_t admin_execute(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint32_t *result)
{
	/* Base §3.3.3.1: no fused admin commands; pcie §2.3: no SGLs for them. */
	if (NVME_SQE_FUSE(sqe->flags) || NVME_SQE_RESERVED(sqe->flags) ||
	    NVME_SQE_PSDT(sqe->flags) != NVME_PSDT_PRP)
		return NVME_INVALID_FIELD | NVME_DNR;

	switch (sqe->opcode) {
	case NVME_ADMIN_DELETE_SQ:
		return ctrl_delete_sq(nvme, sqe);
	case NVME_ADMIN_CREATE_SQ:
		return ctrl_create_sq(nvme, sqe);
	case NVME_ADMIN_GET_LOG_PAGE:
		return ctrl_get_log_page(nvme, sqe);
	case NVME_ADMIN_DELETE_CQ:
		return ctrl_delete_cq(nvme, sqe);
	case NVME_ADMIN_CREATE_CQ:
		return ctrl_create_cq(nvme, sqe);
	case NVME_ADMIN_IDENTIFY:
		return ctrl_identify(nvme, sqe);
	case NVME_ADMIN_ABORT:
		return abort_command(nvme, sqe, result);
	case NVME_ADMIN_SET_FEATURES:
		return ctrl_set_features(nvme, sqe, result);
	case NVME_ADMIN_GET_FEATURES:
		return ctrl_get_features(nvme, sqe, result);
	case NVME_ADMIN_ASYNC_EVENT:
		return ctrl_event_request(nvme, sqe->cid);
	case NVME_ADMIN_DOORBELL_BUFFER:
		return ctrl_doorbell_buffer(nvme, sqe);
	default:
		return NVME_INVALID_OPCODE | NVME_DNR;
	}
}

unsigned int ctrl_admin_turn(struct sim_nvme *nvme, uint32_t tail)
{
	struct ctrl_sq *sq = &nvme->sqs[0];
	unsigned int pending = ctrl_sq_pending(nvme, sq, tail), posted = 0, n;

	pending = pending < ADMIN_BURST ? pending : ADMIN_BURST;
	for (n = 0; n < pending && ctrl_cq_room(nvme, sq->cq, 1); n++) {
		struct nvme_sqe sqe;
		uint32_t result = 0;
		uint16_t status;

		if (!ctrl_fetch(nvme, sq, &sqe))
			break;
		status = admin_execute(nvme, &sqe, &result);
		if (sqe.opcode == NVME_ADMIN_ASYNC_EVENT && status == NVME_SUCCESS)
			continue; /* completes when something happens */
		if (status)
			ctrl_log_error(nvme, 0, &sqe, status);
		ctrl_post(nvme, sq, sqe.cid, status, result);
		posted++;
	}
	if (posted)
		ctrl_interrupt(nvme, sq->cq);
	return n;
}
