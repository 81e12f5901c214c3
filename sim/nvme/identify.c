/* SPDX-License-Identifier: BSD-3-Clause */
/* Identify (base §5.17, nvm §4.1.5). */
#include "nvme/controller.h"

#include <stdio.h>
#include <string.h>

#define RTD3_US 1000000u
#define MAX_POWER_10MW 2500

/* ASCII fields are padded with spaces, not terminated. */
static void put_text(char *field, size_t bytes, const char *text)
{
	size_t length = strlen(text);

	memset(field, ' ', bytes);
	memcpy(field, text, length < bytes ? length : bytes);
}

static void fill_controller(const struct sim_nvme *nvme, struct nvme_id_ctrl *id)
{
	const struct sim_nvme_options *options = &nvme->options;

	id->vid = id->ssvid = CTRL_PCI_VENDOR;
	put_text(id->sn, sizeof(id->sn), nvme->serial);
	put_text(id->mn, sizeof(id->mn), CTRL_MODEL);
	put_text(id->fr, sizeof(id->fr), CTRL_FIRMWARE);
	id->mdts = (uint8_t)options->mdts;
	id->ver = NVME_VERSION_2_0;
	id->rtd3r = id->rtd3e = RTD3_US;
	id->oaes = NVME_OAES_NAMESPACES;
	id->ctratt = NVME_CTRATT_HOST_ID_128;
	id->cntrltype = NVME_CNTRLTYPE_IO;
	id->oacs = options->no_shadow_doorbells ? 0 : NVME_OACS_DOORBELL_BUFFER;
	id->acl = 3;
	id->aerl = CTRL_ASYNC_REQUESTS - 1;
	id->frmw = NVME_FRMW_ONE_READ_ONLY;
	id->lpa = NVME_LPA_EXTENDED | NVME_LPA_SUPPORTED_PAGES;
	id->elpe = CTRL_ERROR_ENTRIES - 1;
	id->wctemp = CTRL_WARNING_KELVIN;
	id->cctemp = CTRL_CRITICAL_KELVIN;
	id->sqes = NVME_SQES << 4 | NVME_SQES;
	id->cqes = NVME_CQES << 4 | NVME_CQES;
	id->nn = id->mnan = nvme->nr_namespaces;
	id->oncs = NVME_ONCS_COMPARE | NVME_ONCS_DSM | NVME_ONCS_WRITE_ZEROES |
		   NVME_ONCS_FEATURE_SELECT | NVME_ONCS_TIMESTAMP | NVME_ONCS_VERIFY;
	id->vwc = NVME_VWC_FLUSH_ALL | (options->write_cache ? NVME_VWC_PRESENT : 0);
	id->sgls = options->no_sgl ? 0 : NVME_SGLS_SUPPORTED;
	/* The name that base §4.5 gives to a subsystem without one of its own. */
	snprintf(id->subnqn, sizeof(id->subnqn), "nqn.2014.08.org.nvmexpress:%04x%04x%-20s%-40s",
		 CTRL_PCI_VENDOR, CTRL_PCI_VENDOR, nvme->serial, CTRL_MODEL);
	id->psd[0].mp = MAX_POWER_10MW;
}

static void fill_namespace(const struct sim_nvme *nvme, const struct ctrl_ns *ns,
			   struct nvme_id_ns *id)
{
	id->nsze = id->ncap = id->nuse = ns->blocks;
	id->dlfeat = NVME_DLFEAT_ZEROES | NVME_DLFEAT_WRITE_ZEROES;
	id->noiob = (uint16_t)nvme->options.noiob;
	id->nsattr = nvme->options.read_only ? NVME_NSATTR_WRITE_PROTECTED : 0;
	id->lbaf[0].lbads = (uint8_t)nvme->block_shift;
}

static void fill_active(const struct sim_nvme *nvme, uint32_t after, uint32_t *list)
{
	for (uint32_t nsid = after + 1; nsid <= nvme->nr_namespaces; nsid++)
		*list++ = nsid;
}

/* Base figure 277: type, length, two reserved bytes, identifier. */
static void fill_descriptors(const struct sim_nvme *nvme, uint32_t nsid, uint8_t *list)
{
	uint8_t *uuid = list + 4;

	list[0] = NVME_NIDT_UUID;
	list[1] = sizeof(nvme->uuid);
	memcpy(uuid, nvme->uuid, sizeof(nvme->uuid));
	uuid[15] ^= (uint8_t)nsid;
	list += 4 + sizeof(nvme->uuid);
	list[0] = NVME_NIDT_COMMAND_SET;
	list[1] = 1;
	list[4] = 0; /* NVM */
}

static bool nsid_active(const struct sim_nvme *nvme, uint32_t nsid)
{
	return nsid && nsid <= nvme->nr_namespaces;
}

static uint16_t fill(const struct sim_nvme *nvme, const struct nvme_sqe *sqe, void *page)
{
	uint32_t nsid = sqe->nsid, command_set = sqe->cdw11 >> 24;

	switch (sqe->cdw10 & 0xff) {
	case NVME_CNS_NAMESPACE:
		if (!nsid_active(nvme, nsid))
			return NVME_INVALID_NAMESPACE | NVME_DNR;
		fill_namespace(nvme, &nvme->namespaces[nsid - 1], page);
		return NVME_SUCCESS;
	case NVME_CNS_CONTROLLER:
		fill_controller(nvme, page);
		return NVME_SUCCESS;
	case NVME_CNS_ACTIVE:
		if (nsid >= NVME_NSID_ALL - 1)
			return NVME_INVALID_NAMESPACE | NVME_DNR;
		fill_active(nvme, nsid, page);
		return NVME_SUCCESS;
	case NVME_CNS_DESCRIPTORS:
		if (!nsid_active(nvme, nsid))
			return NVME_INVALID_NAMESPACE | NVME_DNR;
		fill_descriptors(nvme, nsid, page);
		return NVME_SUCCESS;
	case NVME_CNS_IO_NAMESPACE: /* nvm §4.1.5.3, §4.1.5.4: no tags, no limits: zeroes */
		if (command_set)
			return NVME_INVALID_FIELD | NVME_DNR;
		return nsid_active(nvme, nsid) ? NVME_SUCCESS : NVME_INVALID_NAMESPACE | NVME_DNR;
	case NVME_CNS_IO_CONTROLLER:
		return command_set ? NVME_INVALID_FIELD | NVME_DNR : NVME_SUCCESS;
	default:
		return NVME_INVALID_FIELD | NVME_DNR;
	}
}

uint16_t ctrl_identify(struct sim_nvme *nvme, const struct nvme_sqe *sqe)
{
	union {
		uint8_t bytes[NVME_IDENTIFY_BYTES];
		struct nvme_id_ctrl controller; /* for its alignment */
	} page = { .bytes = { 0 } };
	struct sim_window window = { 0 };
	uint16_t status = fill(nvme, sqe, &page);

	if (status)
		return status;
	status = ctrl_map_data(nvme, &window, sqe, sizeof(page), CTRL_PROT_WRITE);
	if (status)
		return status;
	return ctrl_data_put(nvme, 0, &page, sizeof(page));
}
