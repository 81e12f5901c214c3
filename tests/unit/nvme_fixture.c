/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "fake_device.h"

static void *zeroed(size_t bytes)
{
	void *memory = aligned_alloc(4096, weir_align_up(bytes, 4096));

	if (!memory)
		abort();
	memset(memory, 0, bytes);
	return memory;
}

static void start_queue(struct nvme_fixture *f, const struct nvme_fixture_shape *shape)
{
	struct weir_nvme_qp *qp = nvme_qp_alloc(f->nvme);
	struct nvme_qp_state *st = zeroed(nvme_qp_state_bytes(shape->depth));

	st->version = NVME_QP_STATE_VERSION;
	st->qid = 1;
	st->depth = shape->depth;
	st->sq_entries = shape->sq_entries;
	st->cq_entries = shape->cq_entries;
	st->list_bytes = 4096;
	st->vector = UINT32_MAX;

	f->lists = zeroed(shape->depth * (size_t)4096);
	qp->state = st;
	qp->trackers = (struct nvme_tracker *)(st + 1);
	qp->free_cids = (uint32_t *)(qp->trackers + shape->depth);
	qp->refused_cids = qp->free_cids + shape->depth;
	qp->nr_free = shape->depth;
	for (unsigned int i = 0; i < shape->depth; i++)
		qp->free_cids[i] = NVME_CMD_CID(shape->depth - 1 - i);
	qp->sq = zeroed(shape->sq_entries * sizeof(qp->sq[0]));
	qp->cq = zeroed(shape->cq_entries * sizeof(qp->cq[0]));
	qp->next_sqe = qp->rung_sqe = qp->sq[0];
	qp->sq_end = qp->sq[shape->sq_entries];
	qp->next_cqe = qp->cq;
	qp->cq_end = qp->cq + shape->cq_entries;
	qp->lists = f->lists;
	qp->lists_iova = NVME_FIXTURE_LISTS;
	qp->depth = shape->depth;
	qp->list_bytes = 4096;
	qp->cid_end = NVME_CMD_CID(shape->depth);
	qp->qid = 1;
	qp->page_mask = 4095;
	qp->active_word = NVME_TRACKER_ACTIVE;
	qp->ack_after = (shape->cq_entries - 1 - shape->depth) / 2;
	qp->expected = UINT64_C(1) << 48 | 1 << 16;
	qp->sq_doorbell = &f->sq_doorbell;
	qp->cq_doorbell = &f->cq_doorbell;
	TAILQ_INSERT_TAIL(&f->nvme->qps, qp, link);
	f->qp = qp;
}

static void keep_error(void *ctx, enum weir_log_level level, const char *text)
{
	struct nvme_fixture *f = ctx;

	if (level == WEIR_LOG_ERROR && !f->failure.code)
		weir_error_set(&f->failure, -EIO, "%s", text);
}

void nvme_fixture_start(struct nvme_fixture *f, const struct nvme_fixture_shape *shape)
{
	struct weir_nvme_options options;

	memset(f, 0, sizeof(*f));
	nvme_options_check(&options, NULL, NULL);
	options.log = (struct weir_log){ keep_error, f, WEIR_LOG_ERROR };
	fake_device_reset();
	f->nvme = nvme_alloc(fake_device(), NULL, &options);
	f->nvme->page_shift = 12;
	f->nvme->max_transfer = shape->max_transfer;
	f->nvme->use_sgl = shape->sgl;
	f->nvme->opcodes = 1u << WEIR_NVME_FLUSH | 1u << WEIR_NVME_READ | 1u << WEIR_NVME_WRITE |
			   1u << WEIR_NVME_DEALLOCATE | 1u << WEIR_NVME_WRITE_ZEROES;
	f->ns = (struct weir_nvme_ns){
		.nvme = f->nvme,
		.nsid = 7,
		.max_blocks = shape->max_transfer >> shape->block_shift,
		.block_bytes = 1u << shape->block_shift,
		.block_shift = (uint8_t)shape->block_shift,
	};
	nvme_ns_resize(&f->ns, shape->blocks);
	f->nvme->admin.sq = f->admin_sq;
	f->nvme->admin.cq = f->admin_cq;
	nvme_admin_reset(f->nvme);
	f->nvme->abort_limit = 4;
	f->phase = f->admin_phase = 1;
	start_queue(f, shape);
}

void nvme_fixture_stop(struct nvme_fixture *f)
{
	free(f->qp->state);
	free(f->qp->sq);
	free((void *)(uintptr_t)f->qp->cq);
	free(f->lists);
	nvme_qp_free(f->qp);
	nvme_free(f->nvme);
}

bool nvme_fixture_fetch(struct nvme_fixture *f, uint64_t sqe[8])
{
	if (f->sq_head == f->sq_doorbell)
		return false;
	memcpy(sqe, f->qp->sq[f->sq_head], 64);
	f->sq_head = (f->sq_head + 1) & (f->qp->state->sq_entries - 1);
	return true;
}

bool nvme_fixture_fetch_admin(struct nvme_fixture *f, struct weir_nvme_command *command)
{
	if (f->admin_head == f->nvme->admin.tail)
		return false;
	memcpy(command, f->admin_sq[f->admin_head], sizeof(*command));
	f->admin_head = (f->admin_head + 1) % NVME_ADMIN_ENTRIES;
	return true;
}

void nvme_fixture_post_admin(struct nvme_fixture *f, uint16_t cid, uint16_t status, uint32_t result)
{
	f->admin_cq[f->admin_tail] = (struct nvme_cqe){
		.dw0 = result, .cid = cid, .status = (uint16_t)(status << 1 | f->admin_phase)
	};
	f->admin_tail = (f->admin_tail + 1) % NVME_ADMIN_ENTRIES;
	if (!f->admin_tail)
		f->admin_phase ^= 1;
}

bool nvme_fixture_cq_room(const struct nvme_fixture *f)
{
	return ((f->cq_tail + 1) & (f->qp->state->cq_entries - 1)) != f->cq_doorbell;
}

void nvme_fixture_post(struct nvme_fixture *f, uint16_t cid, uint16_t sq_id, uint16_t status,
		       uint32_t result)
{
	struct nvme_cqe *cqe = (struct nvme_cqe *)(uintptr_t)&f->qp->cq[f->cq_tail];

	*cqe = (struct nvme_cqe){ .dw0 = result,
				  .sq_head = (uint16_t)f->sq_head,
				  .sq_id = sq_id,
				  .cid = cid,
				  .status = (uint16_t)(status << 1 | f->phase) };
	f->cq_tail = (f->cq_tail + 1) & (f->qp->state->cq_entries - 1);
	if (!f->cq_tail)
		f->phase ^= 1;
}
