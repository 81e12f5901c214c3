/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The controller memory buffer (base §8.5): found, and enabled where the controller wants that
 * (CMBMSC, NVMe 1.4 on).
 */
#include "nvme.h"

#include <inttypes.h>

/*
 * Tells the controller where its buffer is in its own address space: at an address that no mapping
 * has, above every IOVA that an IOAS gives out.
 */
#define CMB_BASE (UINT64_C(1) << 46)

static int enable(struct weir_nvme *nvme)
{
	return weir_device_write64(nvme->dev, 0, NVME_REG_CMBMSC,
				   nvme->cmb.base | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
}

static int look(struct weir_nvme *nvme)
{
	uint32_t location, size;
	uint64_t unit, room;
	int rc;

	if (!NVME_CAP_CMBS(nvme->cap) && nvme->version >= 0x10400)
		return 0;
	if (NVME_CAP_CMBS(nvme->cap)) {
		nvme->cmb.base = CMB_BASE;
		/* CMBLOC and CMBSZ read zero before. */
		rc = weir_device_write64(nvme->dev, 0, NVME_REG_CMBMSC, NVME_CMBMSC_CRE);
		if (rc)
			return rc;
	}
	rc = weir_device_read32(nvme->dev, 0, NVME_REG_CMBLOC, &location);
	if (!rc)
		rc = weir_device_read32(nvme->dev, 0, NVME_REG_CMBSZ, &size);
	if (rc || !NVME_CMBSZ_SZ(size) || NVME_CMBSZ_SZU(size) > 6)
		return rc;

	unit = UINT64_C(4096) << (4 * NVME_CMBSZ_SZU(size));
	nvme->cmb.bar = NVME_CMBLOC_BIR(location);
	nvme->cmb.offset = NVME_CMBLOC_OFST(location) * unit;
	nvme->cmb.bytes = NVME_CMBSZ_SZ(size) * unit;
	nvme->cmb.flags = size;
	room = nvme->cmb.bar <= WEIR_REGION_BAR5
		       ? weir_device_region_bytes(nvme->dev, nvme->cmb.bar)
		       : 0;
	if (nvme->cmb.offset >= room)
		return 0;
	/* Base §3.1.3.11: it may reach past the end of the BAR; what is there is ours to use. */
	if (nvme->cmb.bytes > room - nvme->cmb.offset)
		nvme->cmb.bytes = room - nvme->cmb.offset;
	/* Before NVMe 1.4 the controller knows it by its address on the bus, which we do not. */
	if (nvme->cmb.base && nvme->options.cmb_queues && (size & NVME_CMBSZ_SQS))
		nvme->cmb.queue_bytes = weir_align_down(nvme->cmb.bytes / 2,
							UINT64_C(1) << nvme->page_shift);
	nvme->cmb.present = true;
	return NVME_CAP_CMBS(nvme->cap) ? enable(nvme) : 0;
}

int nvme_cmb_find(struct weir_nvme *nvme, struct weir_error *err)
{
	if (!nvme->cmb.looked) {
		int rc = look(nvme);

		if (rc)
			return weir_error_set(err, rc,
					      "the controller memory buffer cannot be looked up");
		nvme->cmb.looked = true;
	}
	if (!nvme->cmb.present)
		return weir_error_set(err, -ENOENT, "the controller has no memory buffer");
	nvme->info.cmb_bytes = nvme->cmb.bytes;
	if (nvme->cmb.base)
		nvme->info.cmb_address = nvme->cmb.base + nvme->cmb.queue_bytes;
	return 0;
}

/* A reset clears CMBMSC (base §3.7.2); submission queues in the buffer are about to be made again.
 */
void nvme_cmb_restore(struct weir_nvme *nvme)
{
	if (nvme->cmb.present && NVME_CAP_CMBS(nvme->cap))
		enable(nvme);
}

WEIR_EXPORT int weir_nvme_cmb(struct weir_nvme *nvme, unsigned int *bar, uint64_t *offset,
			      uint64_t *bytes, struct weir_error *err)
{
	int rc;

	pthread_mutex_lock(&nvme->lock);
	rc = nvme_usable(nvme, err);
	if (!rc)
		rc = nvme_cmb_find(nvme, err);
	if (!rc && (nvme->cmb.flags & (NVME_CMBSZ_RDS | NVME_CMBSZ_WDS)) !=
			   (NVME_CMBSZ_RDS | NVME_CMBSZ_WDS))
		rc = weir_error_set(err, -ENOENT,
				    "the controller memory buffer is not for data (CMBSZ %08" PRIx32
				    ")",
				    nvme->cmb.flags);
	if (!rc) {
		*bar = nvme->cmb.bar;
		*offset = nvme->cmb.offset + nvme->cmb.queue_bytes;
		*bytes = nvme->cmb.bytes - nvme->cmb.queue_bytes;
	}
	pthread_mutex_unlock(&nvme->lock);
	return rc;
}
