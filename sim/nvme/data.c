/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Data pointers: PRP entries and lists (base §4.1.1), SGLs (base §4.1.2).
 *
 * A command's data is first found in full, into nvme->data, and moved only then: a command with a
 * bad pointer moves nothing. Each entry of a list is read once, a part of the list at a time.
 */
#include "nvme/controller.h"

#include <string.h>

/* Entries of a list that are read at a time. */
#define LIST_PART 64

static bool in_cmb(const struct sim_nvme *nvme, uint64_t iova, uint64_t bytes)
{
	uint64_t base = nvme->cmbmsc & NVME_CMBMSC_CBA;

	return (nvme->cmbmsc & NVME_CMBMSC_CMSE) && !nvme->cmbsts && iova >= base &&
	       weir_range_within(iova - base, bytes, nvme->options.cmb_bytes);
}

static uint8_t *cmb_ptr(const struct sim_nvme *nvme, uint64_t iova)
{
	return nvme->cmb + (iova - (nvme->cmbmsc & NVME_CMBMSC_CBA));
}

bool ctrl_translate(struct sim_nvme *nvme, struct sim_window *cache, uint64_t iova, uint64_t bytes,
		    unsigned int prot, uint8_t **ptr)
{
	struct sim_window window = { 0 };

	*ptr = sim_dma_ptr(nvme->server, cache, iova, bytes, prot);
	if (likely(*ptr))
		return true;
	if (in_cmb(nvme, iova, bytes)) {
		*ptr = cmb_ptr(nvme, iova);
		return true;
	}
	return sim_dma_lookup(nvme->server, iova, bytes, prot, &window);
}

int ctrl_read_memory(struct sim_nvme *nvme, uint64_t iova, void *to, uint64_t bytes)
{
	if (in_cmb(nvme, iova, bytes)) {
		memcpy(to, cmb_ptr(nvme, iova), bytes);
		return 0;
	}
	return sim_dma_read(nvme->server, iova, to, bytes);
}

int ctrl_write_memory(struct sim_nvme *nvme, uint64_t iova, const void *from, uint64_t bytes)
{
	if (in_cmb(nvme, iova, bytes)) {
		memcpy(cmb_ptr(nvme, iova), from, bytes);
		return 0;
	}
	return sim_dma_write(nvme->server, iova, from, bytes);
}

/* Adds a piece that lies in one window, to the one before it where they meet. */
static uint16_t add_piece(struct sim_nvme *nvme, uint8_t *ptr, uint64_t iova, uint64_t bytes)
{
	struct ctrl_data *data = &nvme->data;
	struct ctrl_segment *last = data->nr ? &data->segments[data->nr - 1] : NULL;

	data->bytes += bytes;
	if (last && last->iova + last->bytes == iova &&
	    (last->ptr ? ptr == last->ptr + last->bytes : !ptr)) {
		last->bytes += bytes;
		return NVME_SUCCESS;
	}
	if (data->nr == data->max)
		return NVME_SGL_COUNT_INVALID | NVME_DNR;
	data->segments[data->nr++] = (struct ctrl_segment){ ptr, iova, bytes };
	return NVME_SUCCESS;
}

/* Adds [iova, iova + bytes), which may lie across windows: they begin and end at 4 KiB pages. */
static uint16_t add_range(struct sim_nvme *nvme, struct sim_window *cache, uint64_t iova,
			  uint64_t bytes, unsigned int prot)
{
	uint8_t *ptr;

	if (iova + (bytes - 1) < iova)
		return NVME_DATA_TRANSFER_ERROR | NVME_DNR;
	if (likely(ctrl_translate(nvme, cache, iova, bytes, prot, &ptr)))
		return add_piece(nvme, ptr, iova, bytes);
	while (bytes) {
		uint64_t piece = 4096 - (iova & 4095);
		uint16_t status;

		piece = piece < bytes ? piece : bytes;
		if (!ctrl_translate(nvme, cache, iova, piece, prot, &ptr))
			return NVME_DATA_TRANSFER_ERROR | NVME_DNR;
		status = add_piece(nvme, ptr, iova, piece);
		if (status)
			return status;
		iova += piece;
		bytes -= piece;
	}
	return NVME_SUCCESS;
}

/*
 * Follows a PRP list for `bytes` bytes. Only the first list may begin inside a page; the last entry
 * of a page points to the next page when there is more to come. So each page yields data, and a
 * list that loops ends with the data.
 */
static uint16_t map_prp_list(struct sim_nvme *nvme, struct sim_window *cache, uint64_t list,
			     uint64_t bytes, unsigned int prot)
{
	const uint64_t page = UINT64_C(1) << nvme->page_shift;
	uint64_t entries[LIST_PART];

	if (list & 7)
		return NVME_INVALID_PRP_OFFSET | NVME_DNR;
	while (bytes) {
		uint64_t left = (page - (list & (page - 1))) / sizeof(*entries);
		uint64_t needed = (bytes + page - 1) >> nvme->page_shift;
		/* With less than the rest of the page needed, no entry of it is a pointer. */
		bool chained = needed > left;
		uint64_t nr = chained ? left : needed;
		bool last_part = nr <= LIST_PART;

		nr = last_part ? nr : LIST_PART;
		if (ctrl_read_memory(nvme, list, entries, nr * sizeof(*entries)))
			return NVME_DATA_TRANSFER_ERROR | NVME_DNR;
		list += nr * sizeof(*entries);
		for (uint64_t i = 0; i < nr; i++) {
			uint64_t piece = bytes < page ? bytes : page;
			uint16_t status;

			if (entries[i] & (page - 1))
				return NVME_INVALID_PRP_OFFSET | NVME_DNR;
			if (chained && last_part && i == nr - 1) {
				list = entries[i];
				break;
			}
			status = add_range(nvme, cache, entries[i], piece, prot);
			if (status)
				return status;
			bytes -= piece;
		}
	}
	return NVME_SUCCESS;
}

static uint16_t map_prp(struct sim_nvme *nvme, struct sim_window *cache, uint64_t prp1,
			uint64_t prp2, uint64_t bytes, unsigned int prot)
{
	const uint64_t page = UINT64_C(1) << nvme->page_shift;
	uint64_t first = page - (prp1 & (page - 1));
	uint16_t status;

	if (prp1 & 3)
		return NVME_INVALID_PRP_OFFSET | NVME_DNR;
	first = first < bytes ? first : bytes;
	status = add_range(nvme, cache, prp1, first, prot);
	bytes -= first;
	if (status || !bytes)
		return status;
	if (bytes > page)
		return map_prp_list(nvme, cache, prp2, bytes, prot);
	if (prp2 & (page - 1))
		return NVME_INVALID_PRP_OFFSET | NVME_DNR;
	return add_range(nvme, cache, prp2, bytes, prot);
}

/*
 * A descriptor's type must be known and its subtype an address (base §4.1.2.1). Its reserved bytes
 * are not looked at: Linux leaves in them what was in its memory.
 */
static uint16_t add_data_block(struct sim_nvme *nvme, struct sim_window *cache,
			       const struct nvme_sgl *sgl, uint64_t bytes, unsigned int prot)
{
	if (!sgl->bytes)
		return NVME_SUCCESS;
	/* Identify SGLS does not allow an SGL to be longer than the data. */
	if (sgl->bytes > bytes - nvme->data.bytes)
		return NVME_SGL_LENGTH_INVALID | NVME_DNR;
	return add_range(nvme, cache, sgl->address, sgl->bytes, prot);
}

static bool is_segment(const struct nvme_sgl *sgl)
{
	return sgl->type == NVME_SGL_SEGMENT || sgl->type == NVME_SGL_LAST_SEGMENT;
}

/* Adds what one segment describes. A segment descriptor at its end is left in *next. */
static uint16_t map_segment(struct sim_nvme *nvme, struct sim_window *cache,
			    const struct nvme_sgl *segment, uint64_t bytes, unsigned int prot,
			    struct nvme_sgl *next)
{
	uint64_t nr = segment->bytes / sizeof(*segment), at = segment->address;
	struct nvme_sgl part[LIST_PART];

	next->type = NVME_SGL_DATA_BLOCK;
	while (nr) {
		uint64_t n = nr < LIST_PART ? nr : LIST_PART;

		if (ctrl_read_memory(nvme, at, part, n * sizeof(*part)))
			return NVME_DATA_TRANSFER_ERROR | NVME_DNR;
		at += n * sizeof(*part);
		nr -= n;
		for (uint64_t i = 0; i < n; i++) {
			uint16_t status;

			if (is_segment(&part[i])) {
				/* Only as the last descriptor of a segment that is not the last. */
				if (segment->type == NVME_SGL_LAST_SEGMENT || nr || i != n - 1)
					return NVME_SGL_SEGMENT_INVALID | NVME_DNR;
				*next = part[i];
				return NVME_SUCCESS;
			}
			if (part[i].type != NVME_SGL_DATA_BLOCK)
				return NVME_SGL_TYPE_INVALID | NVME_DNR;
			status = add_data_block(nvme, cache, &part[i], bytes, prot);
			if (status)
				return status;
		}
	}
	/* A segment that is not the last has to say where the next is. */
	return segment->type == NVME_SGL_LAST_SEGMENT ? NVME_SUCCESS
						      : NVME_SGL_SEGMENT_INVALID | NVME_DNR;
}

/* The number of descriptors is limited, so that a chain that loops ends. */
static uint16_t map_sgl(struct sim_nvme *nvme, struct sim_window *cache, const struct nvme_sqe *sqe,
			uint64_t bytes, unsigned int prot)
{
	uint64_t descriptors = 0;
	struct nvme_sgl sgl, next;
	uint16_t status;

	memcpy(&sgl, &sqe->prp1, sizeof(sgl));
	if (sgl.type == NVME_SGL_DATA_BLOCK) {
		status = add_data_block(nvme, cache, &sgl, bytes, prot);
		if (status)
			return status;
	} else if (!is_segment(&sgl)) {
		return NVME_SGL_TYPE_INVALID | NVME_DNR;
	}
	while (is_segment(&sgl)) {
		if (!sgl.bytes || sgl.bytes % sizeof(sgl) || (sgl.address & 7))
			return NVME_SGL_SEGMENT_INVALID | NVME_DNR;
		descriptors += sgl.bytes / sizeof(sgl);
		if (descriptors > nvme->data.max)
			return NVME_SGL_COUNT_INVALID | NVME_DNR;
		status = map_segment(nvme, cache, &sgl, bytes, prot, &next);
		if (status)
			return status;
		sgl = next;
	}
	return nvme->data.bytes == bytes ? NVME_SUCCESS : NVME_SGL_LENGTH_INVALID | NVME_DNR;
}

uint16_t ctrl_map_data(struct sim_nvme *nvme, struct sim_window *cache, const struct nvme_sqe *sqe,
		       uint64_t bytes, unsigned int prot)
{
	nvme->data.nr = 0;
	nvme->data.bytes = 0;
	if (bytes > nvme->max_bytes)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (NVME_SQE_PSDT(sqe->flags) == NVME_PSDT_PRP)
		return map_prp(nvme, cache, sqe->prp1, sqe->prp2, bytes, prot);
	return map_sgl(nvme, cache, sqe, bytes, prot);
}

/* Where `offset` is: the index of its segment, and how far in it. */
static unsigned int find(const struct ctrl_data *data, uint64_t *offset)
{
	unsigned int i = 0;

	while (i < data->nr && *offset >= data->segments[i].bytes)
		*offset -= data->segments[i++].bytes;
	return i;
}

static uint16_t move(struct sim_nvme *nvme, uint64_t offset, uint8_t *here, uint64_t bytes,
		     bool to_client)
{
	const struct ctrl_data *data = &nvme->data;
	unsigned int i = find(data, &offset);

	for (; bytes && i < data->nr; i++, offset = 0) {
		const struct ctrl_segment *segment = &data->segments[i];
		uint64_t n = segment->bytes - offset;
		int error = 0;

		n = n < bytes ? n : bytes;
		if (segment->ptr && to_client)
			memcpy(segment->ptr + offset, here, n);
		else if (segment->ptr)
			memcpy(here, segment->ptr + offset, n);
		else if (to_client)
			error = sim_dma_write(nvme->server, segment->iova + offset, here, n);
		else
			error = sim_dma_read(nvme->server, segment->iova + offset, here, n);
		if (error)
			return NVME_DATA_TRANSFER_ERROR;
		here += n;
		bytes -= n;
	}
	return NVME_SUCCESS;
}

uint16_t ctrl_data_get(struct sim_nvme *nvme, uint64_t offset, void *to, uint64_t bytes)
{
	return move(nvme, offset, to, bytes, false);
}

uint16_t ctrl_data_put(struct sim_nvme *nvme, uint64_t offset, const void *from, uint64_t bytes)
{
	/* Only read from when it goes to the client. */
	return move(nvme, offset, (uint8_t *)(uintptr_t)from, bytes, true);
}
