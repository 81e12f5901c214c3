/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data pointers beyond two pages: PRP lists (base §4.1.1) and SGLs (base §4.1.2), in lists that
 * were set aside for each command id when the queue pair was made.
 */
#include "nvme.h"

#define LIST(qp, cid) ((qp)->lists + (size_t)(cid) * (qp)->list_bytes)
#define LIST_IOVA(qp, cid) ((qp)->lists_iova + (uint64_t)(cid) * (qp)->list_bytes)

/* Writes the pages of one range to a PRP list, the first of which may already be in PRP 1. */
struct prp_builder {
	uint64_t *list;
	unsigned int room, used;
	uint64_t prp1;
	bool first; /* PRP 1 is still to be set */
};

static bool prp_add(struct prp_builder *prp, uint64_t iova, uint64_t bytes, uint64_t page_mask)
{
	for (uint64_t at = iova; at < iova + bytes; at = (at | page_mask) + 1) {
		if (prp->first) {
			prp->prp1 = at;
			prp->first = false;
		} else {
			if (prp->used == prp->room)
				return false;
			prp->list[prp->used++] = at;
		}
	}
	return true;
}

static int describe_prp(struct weir_nvme_qp *qp, unsigned int cid, uint64_t sqe[8],
			const struct weir_nvme_segment *segments, unsigned int nr)
{
	struct prp_builder prp = { .list = (uint64_t *)LIST(qp, cid),
				   .room = qp->list_bytes / sizeof(uint64_t),
				   .first = true };

	for (unsigned int i = 0; i < nr; i++) {
		uint64_t end = segments[i].iova + segments[i].bytes;

		/* Inside the transfer, pages are whole. */
		if ((i && (segments[i].iova & qp->page_mask)) ||
		    (i + 1 < nr && (end & qp->page_mask)))
			return WEIR_NVME_HOST_ALIGNMENT;
		if (!prp_add(&prp, segments[i].iova, segments[i].bytes, qp->page_mask))
			return WEIR_NVME_HOST_LENGTH;
	}
	sqe[3] = prp.prp1;
	sqe[4] = prp.used == 0 ? 0 : prp.used == 1 ? prp.list[0] : LIST_IOVA(qp, cid);
	return WEIR_NVME_HOST_OK;
}

static_assert(NVME_SGL_DATA == 0, "describe_range() composes a data block by its length alone");

static void sgl_set(struct nvme_sgl *sgl, uint64_t address, uint32_t bytes, uint8_t type)
{
	*sgl = (struct nvme_sgl){ .address = address, .bytes = bytes, .type = type };
}

static int describe_sgl(struct weir_nvme_qp *qp, unsigned int cid, uint64_t sqe[8],
			const struct weir_nvme_segment *segments, unsigned int nr)
{
	struct nvme_sgl *list = (struct nvme_sgl *)LIST(qp, cid), pointer;

	if (nr * sizeof(*list) > qp->list_bytes)
		return WEIR_NVME_HOST_LENGTH;
	if (nr == 1) {
		sgl_set(&pointer, segments[0].iova, segments[0].bytes, NVME_SGL_DATA);
	} else {
		for (unsigned int i = 0; i < nr; i++)
			sgl_set(&list[i], segments[i].iova, segments[i].bytes, NVME_SGL_DATA);
		sgl_set(&pointer, LIST_IOVA(qp, cid), nr * (uint32_t)sizeof(*list),
			NVME_SGL_LAST_SEGMENT);
	}
	sqe[0] |= NVME_CMD_SGL;
	__builtin_memcpy(&sqe[3], &pointer, sizeof(pointer));
	return WEIR_NVME_HOST_OK;
}

static int check_segments(const struct weir_nvme_segment *segments, unsigned int nr, uint64_t bytes)
{
	uint64_t sum = 0;

	if (nr > WEIR_NVME_MAX_SEGMENTS)
		return WEIR_NVME_HOST_LENGTH;
	for (unsigned int i = 0; i < nr; i++) {
		if (segments[i].reserved)
			return WEIR_NVME_HOST_RESERVED;
		if ((segments[i].iova | segments[i].bytes) & 3)
			return WEIR_NVME_HOST_ALIGNMENT;
		if (!segments[i].bytes || segments[i].iova + segments[i].bytes < segments[i].iova)
			return WEIR_NVME_HOST_LENGTH;
		sum += segments[i].bytes;
	}
	return sum == bytes ? WEIR_NVME_HOST_OK : WEIR_NVME_HOST_LENGTH;
}

/* Data in one range: no list for up to two pages, nor with an SGL. */
static int describe_range(struct weir_nvme_qp *qp, unsigned int cid, uint64_t sqe[8], uint64_t data,
			  uint64_t bytes)
{
	uint64_t next_page = (data | qp->page_mask) + 1, end = data + bytes, pages;
	uint64_t *list = (uint64_t *)LIST(qp, cid);

	if (unlikely(data & 3))
		return WEIR_NVME_HOST_ALIGNMENT;
	if (unlikely(end < data))
		return WEIR_NVME_HOST_LENGTH;
	/* Pages after the first, each an entry of the list. */
	pages = ((end - 1 - (data & ~qp->page_mask)) & ~qp->page_mask) >> qp->nvme->page_shift;
	sqe[3] = data;
	if (pages <= 1) {
		sqe[4] = pages ? next_page : 0;
	} else if (qp->nvme->use_sgl) {
		sqe[0] |= NVME_CMD_SGL;
		sqe[4] = bytes; /* a data block descriptor: type and subtype are 0 */
	} else {
		if (pages * sizeof(*list) > qp->list_bytes)
			return WEIR_NVME_HOST_LENGTH;
		sqe[4] = LIST_IOVA(qp, cid);
		for (; pages; pages--, next_page += qp->page_mask + 1)
			*list++ = next_page;
	}
	return WEIR_NVME_HOST_OK;
}

int nvme_describe(struct weir_nvme_qp *qp, unsigned int cid, uint64_t sqe[8],
		  const struct weir_nvme_io *io, uint64_t bytes)
{
	const struct weir_nvme_segment *segments =
		(const struct weir_nvme_segment *)(uintptr_t)io->data;
	int status;

	if (!io->nr_segments)
		return describe_range(qp, cid, sqe, io->data, bytes);
	status = check_segments(segments, io->nr_segments, bytes);
	if (status != WEIR_NVME_HOST_OK)
		return status;
	return qp->nvme->use_sgl ? describe_sgl(qp, cid, sqe, segments, io->nr_segments)
				 : describe_prp(qp, cid, sqe, segments, io->nr_segments);
}
