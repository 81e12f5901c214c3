/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller's properties (base §3.1.3) and its states: enabled, ready, shut down, fatal. */
#include "nvme/controller.h"

#include <string.h>

static bool cmb_enabled(const struct sim_nvme *nvme)
{
	return nvme->options.cmb_bytes && (nvme->cmbmsc & NVME_CMBMSC_CRE);
}

static void put32(uint8_t *properties, enum nvme_property at, uint32_t value)
{
	memcpy(properties + at, &value, sizeof(value));
}

static void put64(uint8_t *properties, enum nvme_property at, uint64_t value)
{
	memcpy(properties + at, &value, sizeof(value));
}

static void properties_image(const struct sim_nvme *nvme, uint8_t image[NVME_PROPERTIES_END])
{
	memset(image, 0, NVME_PROPERTIES_END);
	put64(image, NVME_CAP, nvme->cap);
	put32(image, NVME_VS, NVME_VERSION_2_0);
	put32(image, NVME_INTMS, nvme->intms);
	put32(image, NVME_INTMC, nvme->intms);
	put32(image, NVME_CC, nvme->cc);
	put32(image, NVME_CSTS, nvme->csts);
	put32(image, NVME_AQA, nvme->aqa);
	put64(image, NVME_ASQ, nvme->asq);
	put64(image, NVME_ACQ, nvme->acq);
	if (cmb_enabled(nvme)) {
		put32(image, NVME_CMBLOC, CTRL_BAR_CMB | NVME_CMBLOC_MIXED);
		put32(image, NVME_CMBSZ,
		      NVME_CMBSZ_ALL | (nvme->options.cmb_bytes >> 12) << NVME_CMBSZ_SZ_SHIFT);
	}
	put64(image, NVME_CMBMSC, nvme->cmbmsc);
	put32(image, NVME_CMBSTS, nvme->cmbsts);
	put32(image, NVME_CRTO, (uint32_t)(nvme->cap >> NVME_CAP_TO_SHIFT) & 0xff);
}

static void read_registers(const struct sim_nvme *nvme, uint64_t offset, uint8_t *data,
			   size_t bytes)
{
	uint8_t image[NVME_PROPERTIES_END];

	properties_image(nvme, image);
	for (size_t i = 0; i < bytes; i++, offset++) {
		if (offset < sizeof(image))
			data[i] = image[offset];
		else if (offset >= NVME_DOORBELLS && nvme->doorbells)
			data[i] = nvme->bar[offset];
		else
			data[i] = 0;
	}
}

int ctrl_read_bar(void *model, unsigned int bar, uint64_t offset, void *data, size_t bytes)
{
	const struct sim_nvme *nvme = model;

	switch (bar) {
	case CTRL_BAR_REGISTERS:
		if (!weir_range_within(offset, bytes, nvme->bar_bytes))
			return -EINVAL;
		read_registers(nvme, offset, data, bytes);
		return 0;
	case CTRL_BAR_CMB:
		if (!weir_range_within(offset, bytes, nvme->cmb_bar_bytes))
			return -EINVAL;
		memcpy(data, nvme->cmb + offset, bytes);
		return 0;
	default: /* beside the MSI-X table */
		memset(data, 0, bytes);
		return 0;
	}
}

void ctrl_fatal(struct sim_nvme *nvme, const char *why)
{
	nvme->running = false;
	nvme->csts |= NVME_CSTS_CFS;
	weir_log_write(&nvme->options.server.log, WEIR_LOG_WARN, "nvme: fatal status: %s", why);
}

/* What makes enabling impossible, or NULL. */
static const char *enable_obstacle(const struct sim_nvme *nvme)
{
	uint32_t sq_entries = (nvme->aqa & 0xfff) + 1, cq_entries = (nvme->aqa >> 16 & 0xfff) + 1;
	unsigned int mps = NVME_CC_MPS(nvme->cc);
	uint64_t page = UINT64_C(4096) << mps;

	if (NVME_CC_CSS(nvme->cc))
		return "CC.CSS asks for a command set that is not there";
	if (NVME_CC_AMS(nvme->cc))
		return "CC.AMS asks for an arbitration that is not there";
	if (mps < (nvme->cap >> NVME_CAP_MPSMIN_SHIFT & 0xf) ||
	    mps > (nvme->cap >> NVME_CAP_MPSMAX_SHIFT & 0xf))
		return "CC.MPS is not between CAP.MPSMIN and CAP.MPSMAX";
	if (sq_entries < 2 || cq_entries < 2)
		return "AQA asks for an admin queue of one entry";
	if (!weir_is_aligned(nvme->asq | nvme->acq, page))
		return "ASQ or ACQ is not page aligned";
	return NULL;
}

static void enable(struct sim_nvme *nvme)
{
	const char *obstacle = enable_obstacle(nvme);
	uint64_t two_pages;

	nvme->csts = 0;
	if (obstacle) {
		ctrl_fatal(nvme, obstacle);
		return;
	}
	nvme->page_shift = 12 + NVME_CC_MPS(nvme->cc);
	two_pages = UINT64_C(2) << nvme->page_shift;
	nvme->short_blocks = (two_pages < nvme->max_bytes ? two_pages : nvme->max_bytes) >>
			     nvme->block_shift;
	ctrl_open_admin_queues(nvme);
	if (nvme->options.faults.stuck_ready)
		return;
	nvme->csts |= NVME_CSTS_RDY;
	nvme->running = nvme->was_ready = true;
}

/* Controller reset, base §3.7.2: everything but the admin queue's place and the controller memory
 * buffer's. */
static void disable(struct sim_nvme *nvme)
{
	nvme->running = false;
	ctrl_end_queues(nvme);
	ctrl_shadow_end(nvme);
	ctrl_events_reset(nvme);
	ctrl_features_reset(nvme);
	memset(nvme->doorbells, 0, nvme->doorbell_bytes);
	nvme->intms = 0;
	nvme->csts = nvme->options.faults.stuck_disable && nvme->was_ready ? NVME_CSTS_RDY : 0;
}

/* Base §3.6.1. Commands that were taken are done, and what they wrote is made durable. */
static void shut_down(struct sim_nvme *nvme)
{
	if ((nvme->csts & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_COMPLETE)
		return;
	nvme->running = false;
	if (nvme->backing->flush(nvme))
		ctrl_fatal(nvme, "the backing cannot be flushed for a shutdown");
	nvme->csts = (nvme->csts & ~NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_COMPLETE;
}

static void write_cc(struct sim_nvme *nvme, uint32_t value)
{
	uint32_t before = nvme->cc;

	nvme->cc = value & NVME_CC_WRITABLE;
	if ((before & NVME_CC_EN) && !(value & NVME_CC_EN))
		disable(nvme);
	else if (!(before & NVME_CC_EN) && (value & NVME_CC_EN))
		enable(nvme);
	if (NVME_CC_SHN(value) && NVME_CC_SHN(value) != NVME_CC_SHN(before))
		shut_down(nvme);
}

static void write_cmbmsc(struct sim_nvme *nvme, uint64_t value)
{
	uint64_t base = value & NVME_CMBMSC_CBA;

	if (!nvme->options.cmb_bytes)
		return;
	nvme->cmbmsc = value & (NVME_CMBMSC_CBA | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	nvme->cmbsts = 0;
	if ((value & NVME_CMBMSC_CMSE) && base + nvme->options.cmb_bytes - 1 < base)
		nvme->cmbsts = NVME_CMBSTS_CBAI;
}

static uint64_t set_half(uint64_t whole, bool high, uint32_t value)
{
	return high ? (uint32_t)whole | (uint64_t)value << 32
		    : (whole & ~UINT64_C(0xffffffff)) | value;
}

/* One 32-bit write; the wide properties may be written in halves (pcie §3.1). */
static void write_property(struct sim_nvme *nvme, uint64_t offset, uint32_t value)
{
	bool enabled = nvme->cc & NVME_CC_EN;
	bool high = offset & 4;

	switch (offset) {
	case NVME_INTMS:
		nvme->intms |= value;
		break;
	case NVME_INTMC:
		nvme->intms &= ~value;
		break;
	case NVME_CC:
		write_cc(nvme, value);
		break;
	case NVME_AQA:
		if (!enabled)
			nvme->aqa = value & 0x0fff0fff;
		break;
	case NVME_ASQ:
	case NVME_ASQ + 4:
		if (!enabled)
			nvme->asq = set_half(nvme->asq, high, value) & ~UINT64_C(0xfff);
		break;
	case NVME_ACQ:
	case NVME_ACQ + 4:
		if (!enabled)
			nvme->acq = set_half(nvme->acq, high, value) & ~UINT64_C(0xfff);
		break;
	case NVME_CMBMSC:
	case NVME_CMBMSC + 4:
		write_cmbmsc(nvme, set_half(nvme->cmbmsc, offset != NVME_CMBMSC, value));
		break;
	default: /* read only, or not there */
		break;
	}
}

static int write_registers(struct sim_nvme *nvme, uint64_t offset, const uint8_t *data,
			   size_t bytes)
{
	if ((bytes != 4 && bytes != 8) || !weir_is_aligned(offset, 4))
		return -EINVAL;
	for (; bytes; bytes -= 4, offset += 4, data += 4) {
		uint32_t value;

		memcpy(&value, data, sizeof(value));
		if (offset >= NVME_DOORBELLS)
			ctrl_doorbell_write(nvme, offset - NVME_DOORBELLS, value);
		else
			write_property(nvme, offset, value);
	}
	return 0;
}

int ctrl_write_bar(void *model, unsigned int bar, uint64_t offset, const void *data, size_t bytes)
{
	struct sim_nvme *nvme = model;

	switch (bar) {
	case CTRL_BAR_REGISTERS:
		if (!weir_range_within(offset, bytes, nvme->bar_bytes))
			return -EINVAL;
		return write_registers(nvme, offset, data, bytes);
	case CTRL_BAR_CMB:
		if (!weir_range_within(offset, bytes, nvme->cmb_bar_bytes))
			return -EINVAL;
		memcpy(nvme->cmb + offset, data, bytes);
		return 0;
	default: /* beside the MSI-X table */
		return 0;
	}
}

/* Function level reset; also when the client goes. */
void ctrl_reset(void *model)
{
	struct sim_nvme *nvme = model;

	if ((nvme->cc & NVME_CC_EN) &&
	    (nvme->csts & NVME_CSTS_SHST_MASK) != NVME_CSTS_SHST_COMPLETE)
		nvme->unsafe_shutdowns++;
	disable(nvme);
	nvme->cc = nvme->aqa = 0;
	nvme->asq = nvme->acq = 0;
	nvme->cmbmsc = 0;
	nvme->cmbsts = 0;
}
