/* SPDX-License-Identifier: BSD-3-Clause */
/* Get Log Page (base §5.16). */
#include "nvme/controller.h"

#include <string.h>

#define RETAIN_EVENT 0x8000u /* dword 10 RAE */
#define INDEX_OFFSET (1u << 23) /* dword 14 OT */
#define CHANGED_LIST_BYTES 4096

/* The longest page is either of these lists. */
union log_page {
	uint8_t bytes[4096];
	uint32_t words[1024];
	struct nvme_error_entry errors[CTRL_ERROR_ENTRIES];
	struct nvme_smart_log smart;
	struct nvme_firmware_log firmware;
};
static_assert(sizeof(union log_page) == 4096, "a log page fits into one page");

void ctrl_log_error(struct sim_nvme *nvme, uint16_t sqid, const struct nvme_sqe *sqe,
		    uint16_t status)
{
	struct nvme_error_entry *entry = &nvme->errors[nvme->nr_errors++ % CTRL_ERROR_ENTRIES];

	*entry = (struct nvme_error_entry){
		.count = nvme->nr_errors,
		.sq_id = sqid,
		.cid = sqe->cid,
		.status = (uint16_t)(status << 1),
		.location = UINT16_MAX, /* of no parameter in particular */
		.lba = sqid ? sqe->cdw10 | (uint64_t)sqe->cdw11 << 32 : 0,
		.nsid = sqe->nsid,
	};
}

/* The latest first. */
static size_t fill_errors(const struct sim_nvme *nvme, struct nvme_error_entry *entries)
{
	uint64_t nr = nvme->nr_errors < CTRL_ERROR_ENTRIES ? nvme->nr_errors : CTRL_ERROR_ENTRIES;

	for (uint64_t i = 0; i < nr; i++)
		entries[i] = nvme->errors[(nvme->nr_errors - 1 - i) % CTRL_ERROR_ENTRIES];
	return sizeof(nvme->errors);
}

static uint64_t data_units(const struct sim_nvme *nvme, uint64_t blocks)
{
	uint64_t sectors = blocks << (nvme->block_shift - 9);

	return (sectors + 999) / 1000;
}

static size_t fill_smart(const struct sim_nvme *nvme, struct nvme_smart_log *log)
{
	log->critical_warning = nvme->critical_warning;
	log->temperature[0] = CTRL_KELVIN & 0xff;
	log->temperature[1] = CTRL_KELVIN >> 8;
	log->available_spare = 100;
	log->spare_threshold = 10;
	log->units_read[0] = data_units(nvme, nvme->blocks_read + nvme->moved[NVME_IO_READ].blocks);
	log->units_written[0] = data_units(nvme, nvme->blocks_written +
							 nvme->moved[NVME_IO_WRITE].blocks);
	log->reads[0] = nvme->reads + nvme->moved[NVME_IO_READ].commands;
	log->writes[0] = nvme->writes + nvme->moved[NVME_IO_WRITE].commands;
	log->power_cycles[0] = 1;
	log->power_on_hours[0] = (weir_now_ns() - nvme->created_ns) / (UINT64_C(3600) * 1000000000);
	log->unsafe_shutdowns[0] = nvme->unsafe_shutdowns;
	log->error_entries[0] = nvme->nr_errors;
	return sizeof(*log);
}

static size_t fill_firmware(struct nvme_firmware_log *log)
{
	log->active = 1;
	memset(log->slots[0], ' ', sizeof(log->slots[0]));
	memcpy(log->slots[0], CTRL_FIRMWARE, strlen(CTRL_FIRMWARE));
	return sizeof(*log);
}

static size_t fill_changed(const struct sim_nvme *nvme, uint32_t *list)
{
	for (uint32_t nsid = 1; nsid <= nvme->nr_namespaces; nsid++) {
		if (nvme->changed_namespaces >> (nsid - 1) & 1)
			*list++ = nsid;
	}
	return CHANGED_LIST_BYTES;
}

/* Bit 0 of each page's dword: it is there. */
static size_t fill_supported(uint32_t *words)
{
	static const uint8_t pages[] = { NVME_LOG_SUPPORTED, NVME_LOG_ERRORS, NVME_LOG_SMART,
					 NVME_LOG_FIRMWARE, NVME_LOG_CHANGED_NAMESPACES };

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		words[pages[i]] = 1;
	return 256 * sizeof(*words);
}

/* Bytes of the page, or 0 when there is no such page. */
static size_t fill(const struct sim_nvme *nvme, uint8_t id, union log_page *page)
{
	switch (id) {
	case NVME_LOG_SUPPORTED:
		return fill_supported(page->words);
	case NVME_LOG_ERRORS:
		return fill_errors(nvme, page->errors);
	case NVME_LOG_SMART:
		return fill_smart(nvme, &page->smart);
	case NVME_LOG_FIRMWARE:
		return fill_firmware(&page->firmware);
	case NVME_LOG_CHANGED_NAMESPACES:
		return fill_changed(nvme, page->words);
	default:
		return 0;
	}
}

/* Copies the page from `offset` on, and zeroes behind its end. */
static uint16_t put_page(struct sim_nvme *nvme, const union log_page *page, size_t page_bytes,
			 uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeroes[4096];
	uint64_t have = page_bytes - offset, done = bytes < have ? bytes : have;
	uint16_t status = ctrl_data_put(nvme, 0, page->bytes + offset, done);

	while (!status && done < bytes) {
		uint64_t n = bytes - done < sizeof(zeroes) ? bytes - done : sizeof(zeroes);

		status = ctrl_data_put(nvme, done, zeroes, n);
		done += n;
	}
	return status;
}

uint16_t ctrl_get_log_page(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	uint8_t id = sqe->cdw10 & 0xff;
	uint64_t dwords = ((sqe->cdw10 >> 16) | (uint64_t)(sqe->cdw11 & 0xffff) << 16) + 1;
	uint64_t offset = sqe->cdw12 | (uint64_t)sqe->cdw13 << 32;
	union log_page page = { .bytes = { 0 } };
	size_t page_bytes = fill(nvme, id, &page);
	struct sim_window window = { 0 };
	uint16_t status;

	if (!page_bytes)
		return NVME_LOG_PAGE_INVALID | NVME_DNR;
	/* Identify LPA: one SMART page for the controller, none by namespace. */
	if (id == NVME_LOG_SMART && sqe->nsid && sqe->nsid != NVME_NSID_ALL)
		return NVME_INVALID_FIELD | NVME_DNR;
	if ((sqe->cdw14 & INDEX_OFFSET) || (offset & 3) || offset > page_bytes ||
	    dwords * 4 > nvme->max_bytes)
		return NVME_INVALID_FIELD | NVME_DNR;
	status = ctrl_map_data(nvme, &window, sqe, dwords * 4, CTRL_PROT_WRITE);
	if (status)
		return status;
	status = put_page(nvme, &page, page_bytes, offset, dwords * 4);
	if (status || (sqe->cdw10 & RETAIN_EVENT))
		return status;
	if (id == NVME_LOG_CHANGED_NAMESPACES)
		nvme->changed_namespaces = 0;
	ctrl_event_unmask(nvme, id);
	return NVME_SUCCESS;
}
