/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands (nvm §3), each from a copy of its entry. poll.c takes the usual ones the short way.
 */
#include "nvme/controller.h"

#include <string.h>

/* The blocks of a command. */
struct range {
	uint64_t lba;
	uint64_t blocks;
	uint64_t offset; /* in bytes */
	uint64_t bytes;
};

static uint16_t check_range(const struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t lba,
			    uint64_t blocks, struct range *range)
{
	if (!weir_range_within(lba, blocks, ns->blocks))
		return NVME_LBA_OUT_OF_RANGE | NVME_DNR;
	*range = (struct range){
		.lba = lba,
		.blocks = blocks,
		.offset = lba << nvme->block_shift,
		.bytes = blocks << nvme->block_shift,
	};
	return NVME_SUCCESS;
}

static uint16_t command_range(const struct sim_nvme *nvme, const struct ctrl_ns *ns,
			      const struct nvme_sqe *sqe, struct range *range)
{
	return check_range(nvme, ns, sqe->cdw10 | (uint64_t)sqe->cdw11 << 32,
			   NVME_IO_NLB(sqe->cdw12), range);
}

/* One call of the backing for many pieces, as long as they are mapped here. */
static int transfer_mapped(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t *offset,
			   unsigned int *next, bool write)
{
	const struct ctrl_data *data = &nvme->data;
	struct iovec parts[CTRL_MAX_PARTS];
	uint64_t bytes = 0;
	int nr = 0, error;

	for (; *next < data->nr && nr < CTRL_MAX_PARTS && data->segments[*next].ptr; (*next)++) {
		const struct ctrl_segment *segment = &data->segments[*next];

		parts[nr++] = (struct iovec){ segment->ptr, segment->bytes };
		bytes += segment->bytes;
	}
	error = write ? nvme->backing->write(nvme, ns, *offset, parts, nr)
		      : nvme->backing->read(nvme, ns, *offset, parts, nr);
	*offset += bytes;
	return error;
}

/* One piece that is reached by message, through the bounce buffer. */
static uint16_t transfer_bounced(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t *offset,
				 const struct ctrl_segment *segment, bool write)
{
	for (uint64_t done = 0; done < segment->bytes;) {
		uint64_t n = segment->bytes - done;
		struct iovec part = { .iov_base = nvme->bounce };

		part.iov_len = n = n < CTRL_BOUNCE_BYTES ? n : CTRL_BOUNCE_BYTES;
		if (write) {
			if (sim_dma_read(nvme->server, segment->iova + done, nvme->bounce, n))
				return NVME_DATA_TRANSFER_ERROR;
			if (nvme->backing->write(nvme, ns, *offset, &part, 1))
				return NVME_WRITE_FAULT;
		} else {
			if (nvme->backing->read(nvme, ns, *offset, &part, 1))
				return NVME_READ_ERROR;
			if (sim_dma_write(nvme->server, segment->iova + done, nvme->bounce, n))
				return NVME_DATA_TRANSFER_ERROR;
		}
		done += n;
		*offset += n;
	}
	return NVME_SUCCESS;
}

static uint16_t transfer(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
			 bool write)
{
	const struct ctrl_data *data = &nvme->data;

	for (unsigned int i = 0; i < data->nr;) {
		uint16_t status;

		if (data->segments[i].ptr) {
			if (transfer_mapped(nvme, ns, &offset, &i, write))
				return write ? NVME_WRITE_FAULT : NVME_READ_ERROR;
			continue;
		}
		status = transfer_bounced(nvme, ns, &offset, &data->segments[i++], write);
		if (status)
			return status;
	}
	return NVME_SUCCESS;
}

/*
 * A write that has to be durable when it completes, and a flush, wait for the backing's flush.
 * Where that takes its time, one at the end of the turn is for all of them: until then they are
 * unsettled. The room for their completions must not be given to others meanwhile; so that whoever
 * looks for room for one more finds the truth, there is always one place more than that.
 */
static bool has_room(struct sim_nvme *nvme, const struct ctrl_sq *sq)
{
	return ctrl_cq_room(nvme, sq->cq, nvme->nr_unsettled + 2) == nvme->nr_unsettled + 2;
}

static void complete(struct sim_nvme *nvme, const struct ctrl_sq *sq, const struct nvme_sqe *sqe,
		     uint16_t cid, uint16_t status)
{
	nvme->stats.completions++;
	if (status) {
		nvme->stats.errors++;
		ctrl_log_error(nvme, sq->qid, sqe, status);
	}
	ctrl_post(nvme, sq, cid, status, 0);
}

/* Flushes once, and completes what waits for it. A queue that ended meanwhile is told nothing. */
static void settle(struct sim_nvme *nvme)
{
	unsigned int nr = nvme->nr_unsettled;
	uint16_t status;

	if (!nr)
		return;
	status = nvme->backing->flush(nvme) ? NVME_WRITE_FAULT : NVME_SUCCESS;
	nvme->nr_unsettled = 0;
	for (unsigned int i = 0; i < nr && nvme->running; i++) {
		const struct ctrl_unsettled *one = &nvme->unsettled[i];

		if (!one->sq->live)
			continue;
		complete(nvme, one->sq, &one->sqe, one->sqe.cid, status);
		if (i + 1 == nr || nvme->unsettled[i + 1].sq->cq != one->sq->cq)
			ctrl_interrupt(nvme, one->sq->cq);
	}
}

/* Faults count on completions in the order of commands. */
static void complete_durable(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct nvme_sqe *sqe)
{
	bool room;

	if (!nvme->backing->flush_waits || nvme->faults) {
		ctrl_io_complete(nvme, sq, sqe, sqe->cid,
				 nvme->backing->flush(nvme) ? NVME_WRITE_FAULT : NVME_SUCCESS);
		return;
	}
	room = has_room(nvme, sq);
	nvme->unsettled[nvme->nr_unsettled++] = (struct ctrl_unsettled){ sq, *sqe };
	if (!room || nvme->nr_unsettled == CTRL_MAX_UNSETTLED)
		settle(nvme);
}

unsigned int ctrl_poll_and_settle(void *model)
{
	unsigned int done = ctrl_poll(model);

	settle(model);
	return done;
}

static uint16_t read_blocks(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct ctrl_ns *ns,
			    const struct nvme_sqe *sqe)
{
	struct range range;
	uint16_t status = command_range(nvme, ns, sqe, &range);

	if (!status)
		status = ctrl_map_data(nvme, &sq->window, sqe, range.bytes, CTRL_PROT_WRITE);
	if (status)
		return status;
	/* With FUA a read returns what is durable: so make it durable first (nvm §3.2.4). */
	if ((sqe->cdw12 & NVME_IO_FUA) && nvme->backing->flush(nvme))
		return NVME_READ_ERROR;
	nvme->reads++;
	nvme->blocks_read += range.blocks;
	return nvme->backing->null ? NVME_SUCCESS : transfer(nvme, ns, range.offset, false);
}

static uint16_t write_blocks(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct ctrl_ns *ns,
			     const struct nvme_sqe *sqe)
{
	struct range range;
	uint16_t status = command_range(nvme, ns, sqe, &range);

	if (status)
		return status;
	/* Identify OACS: no directives. */
	if (NVME_IO_DTYPE(sqe->cdw12))
		return NVME_INVALID_FIELD | NVME_DNR;
	status = ctrl_map_data(nvme, &sq->window, sqe, range.bytes, CTRL_PROT_READ);
	if (status)
		return status;
	nvme->writes++;
	nvme->blocks_written += range.blocks;
	if (nvme->backing->null)
		return NVME_SUCCESS;
	return transfer(nvme, ns, range.offset, true);
}

static uint16_t compare_blocks(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct ctrl_ns *ns,
			       const struct nvme_sqe *sqe)
{
	struct range range;
	uint16_t status = command_range(nvme, ns, sqe, &range);

	if (!status)
		status = ctrl_map_data(nvme, &sq->window, sqe, range.bytes, CTRL_PROT_READ);
	if (status)
		return status;
	nvme->reads++;
	nvme->blocks_read += range.blocks;
	if (nvme->backing->null)
		return NVME_SUCCESS;
	for (uint64_t done = 0; done < range.bytes;) {
		uint64_t n = range.bytes - done;
		struct iovec part = { .iov_base = nvme->bounce2 };

		part.iov_len = n = n < CTRL_BOUNCE_BYTES ? n : CTRL_BOUNCE_BYTES;
		status = ctrl_data_get(nvme, done, nvme->bounce, n);
		if (status)
			return status;
		if (nvme->backing->read(nvme, ns, range.offset + done, &part, 1))
			return NVME_READ_ERROR;
		if (memcmp(nvme->bounce, nvme->bounce2, n) != 0)
			return NVME_COMPARE_FAILURE;
		done += n;
	}
	return NVME_SUCCESS;
}

static uint16_t verify_blocks(struct sim_nvme *nvme, const struct ctrl_ns *ns,
			      const struct nvme_sqe *sqe)
{
	struct range range;
	uint16_t status = command_range(nvme, ns, sqe, &range);

	if (status || nvme->backing->null)
		return status;
	for (uint64_t done = 0; done < range.bytes; done += CTRL_BOUNCE_BYTES) {
		uint64_t n = range.bytes - done;
		struct iovec part = { nvme->bounce, n < CTRL_BOUNCE_BYTES ? n : CTRL_BOUNCE_BYTES };

		if (nvme->backing->read(nvme, ns, range.offset + done, &part, 1))
			return NVME_READ_ERROR;
	}
	return NVME_SUCCESS;
}

static uint16_t write_zeroes(struct sim_nvme *nvme, const struct ctrl_ns *ns,
			     const struct nvme_sqe *sqe)
{
	struct range range;
	uint16_t status = command_range(nvme, ns, sqe, &range);

	if (status)
		return status;
	if (NVME_IO_DTYPE(sqe->cdw12))
		return NVME_INVALID_FIELD | NVME_DNR;
	if (nvme->backing->zero(nvme, ns, range.offset, range.bytes))
		return NVME_WRITE_FAULT;
	return NVME_SUCCESS;
}

/* All ranges are checked before the first is deallocated. */
static uint16_t dataset_management(struct sim_nvme *nvme, struct ctrl_sq *sq,
				   const struct ctrl_ns *ns, const struct nvme_sqe *sqe)
{
	unsigned int nr = (sqe->cdw10 & 0xff) + 1;
	struct nvme_dsm_range ranges[NVME_DSM_MAX_RANGES];
	struct range blocks[NVME_DSM_MAX_RANGES];
	uint16_t status;

	status = ctrl_map_data(nvme, &sq->window, sqe, nr * sizeof(ranges[0]), CTRL_PROT_READ);
	if (!status)
		status = ctrl_data_get(nvme, 0, ranges, nr * sizeof(ranges[0]));
	for (unsigned int i = 0; !status && i < nr; i++)
		status = check_range(nvme, ns, ranges[i].lba, ranges[i].blocks, &blocks[i]);
	if (status || !(sqe->cdw11 & NVME_DSM_DEALLOCATE))
		return status;
	if (nvme->options.read_only)
		return NVME_WRITE_PROTECTED | NVME_DNR;
	for (unsigned int i = 0; i < nr; i++) {
		if (nvme->backing->zero(nvme, ns, blocks[i].offset, blocks[i].bytes))
			return NVME_WRITE_FAULT;
	}
	return NVME_SUCCESS;
}

static bool writes(uint8_t opcode)
{
	return opcode == NVME_IO_WRITE || opcode == NVME_IO_WRITE_ZEROES;
}

/* Whether a command that succeeded may be completed only after a flush. */
static bool has_to_be_durable(const struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	switch (sqe->opcode) {
	case NVME_IO_FLUSH:
		return true;
	case NVME_IO_WRITE:
	case NVME_IO_WRITE_ZEROES:
		return (sqe->cdw12 & NVME_IO_FUA) || ctrl_write_through(nvme);
	case NVME_IO_DATASET_MANAGEMENT:
		return (sqe->cdw11 & NVME_DSM_DEALLOCATE) && ctrl_write_through(nvme);
	default:
		return false;
	}
}

/* Base §4.1 command dword 0. */
static bool flags_possible(const struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	if (NVME_SQE_FUSE(sqe->flags) || NVME_SQE_RESERVED(sqe->flags))
		return false;
	switch (NVME_SQE_PSDT(sqe->flags)) {
	case NVME_PSDT_PRP:
		return true;
	case NVME_PSDT_SGL: /* without metadata both are the same */
	case NVME_PSDT_SGL_METADATA:
		return !nvme->options.no_sgl;
	default:
		return false;
	}
}

static uint16_t io_execute(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct nvme_sqe *sqe)
{
	const struct ctrl_ns *ns;

	if (!flags_possible(nvme, sqe))
		return NVME_INVALID_FIELD | NVME_DNR;
	if (sqe->opcode == NVME_IO_FLUSH && sqe->nsid == NVME_NSID_ALL)
		return NVME_SUCCESS;
	if (!sqe->nsid || sqe->nsid > nvme->nr_namespaces)
		return NVME_INVALID_NAMESPACE | NVME_DNR;
	ns = &nvme->namespaces[sqe->nsid - 1];
	if (nvme->options.read_only && writes(sqe->opcode))
		return NVME_WRITE_PROTECTED | NVME_DNR;

	switch (sqe->opcode) {
	case NVME_IO_FLUSH:
		return NVME_SUCCESS;
	case NVME_IO_WRITE:
		return write_blocks(nvme, sq, ns, sqe);
	case NVME_IO_READ:
		return read_blocks(nvme, sq, ns, sqe);
	case NVME_IO_COMPARE:
		return compare_blocks(nvme, sq, ns, sqe);
	case NVME_IO_WRITE_ZEROES:
		return write_zeroes(nvme, ns, sqe);
	case NVME_IO_DATASET_MANAGEMENT:
		return dataset_management(nvme, sq, ns, sqe);
	case NVME_IO_VERIFY:
		return verify_blocks(nvme, ns, sqe);
	default:
		return NVME_INVALID_OPCODE | NVME_DNR;
	}
}

void ctrl_io_complete(struct sim_nvme *nvme, const struct ctrl_sq *sq, const struct nvme_sqe *sqe,
		      uint16_t cid, uint16_t status)
{
	if (nvme->nr_unsettled && !has_room(nvme, sq))
		settle(nvme);
	complete(nvme, sq, sqe, cid, status);
}

void ctrl_io_run(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct nvme_sqe *sqe)
{
	uint16_t status = io_execute(nvme, sq, sqe);

	if (!status && has_to_be_durable(nvme, sqe))
		complete_durable(nvme, sq, sqe);
	else
		ctrl_io_complete(nvme, sq, sqe, sqe->cid, status);
}
