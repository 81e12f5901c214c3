/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the controller says of itself and of its namespaces (base §5.17, nvm §4.1.5). None of it is
 * believed before it was checked.
 */
#include "nvme.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MIN_BLOCK_SHIFT 9
#define MAX_BLOCK_SHIFT 16
#define LIST_ENTRIES 1024

static int identify(struct weir_nvme *nvme, uint32_t nsid, uint32_t cns, void *data,
		    const char *what, struct weir_error *err)
{
	const struct weir_nvme_command command = {
		.opcode = NVME_ADMIN_IDENTIFY,
		.nsid = nsid,
		.cdw10 = cns,
	};

	return nvme_admin_run(nvme, &command, data, 4096, WEIR_NVME_FROM_DEVICE, NULL, what, err);
}

/* Copies an ASCII field: trimmed, terminated, and nothing in it that a terminal would obey. */
static void copy_text(char *to, const char *from, size_t bytes)
{
	while (bytes && (from[bytes - 1] == ' ' || from[bytes - 1] == '\0'))
		bytes--;
	for (size_t i = 0; i < bytes; i++)
		to[i] = isprint((unsigned char)from[i]) ? from[i] : '?';
	to[bytes] = '\0';
}

static uint32_t max_transfer(const struct weir_nvme *nvme, uint8_t mdts)
{
	unsigned int shift = mdts + 12 + NVME_CAP_MPSMIN(nvme->cap);

	if (!mdts || shift > 31 || 1u << shift > WEIR_NVME_MAX_TRANSFER)
		return WEIR_NVME_MAX_TRANSFER;
	return 1u << shift;
}

static uint16_t usable_opcodes(uint16_t oncs)
{
	uint16_t opcodes = 1u << WEIR_NVME_FLUSH | 1u << WEIR_NVME_READ | 1u << WEIR_NVME_WRITE;

	if (oncs & NVME_ONCS_COMPARE)
		opcodes |= 1u << WEIR_NVME_COMPARE;
	if (oncs & NVME_ONCS_DSM)
		opcodes |= 1u << WEIR_NVME_DEALLOCATE;
	if (oncs & NVME_ONCS_WRITE_ZEROES)
		opcodes |= 1u << WEIR_NVME_WRITE_ZEROES;
	if (oncs & NVME_ONCS_VERIFY)
		opcodes |= 1u << WEIR_NVME_VERIFY;
	return opcodes;
}

/* RTD3E in ms, within reason; 0 is "not reported" (base §3.6.1). */
static unsigned int shutdown_ms(uint32_t rtd3e)
{
	unsigned int ms = rtd3e / 1000 + 1;

	if (!rtd3e)
		return 5000;
	return ms < 1000 ? 1000 : ms > 120000 ? 120000 : ms;
}

int nvme_identify_controller(struct weir_nvme *nvme, struct weir_error *err)
{
	struct weir_nvme_info *info = &nvme->info;
	struct nvme_id_ctrl id;
	uint32_t transfer;
	int rc = identify(nvme, 0, NVME_CNS_CONTROLLER, &id, "Identify Controller", err);

	if (rc)
		return rc;
	copy_text(info->serial, id.sn, sizeof(id.sn));
	copy_text(info->model, id.mn, sizeof(id.mn));
	copy_text(info->firmware, id.fr, sizeof(id.fr));
	copy_text(info->subnqn, id.subnqn, strnlen(id.subnqn, sizeof(id.subnqn)));
	info->vendor_id = id.vid;
	info->controller_id = id.cntlid;
	info->version = nvme->version;
	info->max_namespaces = id.nn;
	info->max_queue_entries = NVME_CAP_MQES(nvme->cap) + 1;
	info->doorbell_stride = nvme->doorbell_stride;
	info->page_bytes = 1u << nvme->page_shift;
	info->oncs = id.oncs;
	info->oacs = id.oacs;
	info->volatile_write_cache = id.vwc & 1;
	/* Queue pairs were made for what it was: after a reset it may be less, not more. */
	transfer = max_transfer(nvme, id.mdts);
	if (!nvme->max_transfer || transfer < nvme->max_transfer)
		nvme->max_transfer = transfer;
	info->max_transfer = nvme->max_transfer;
	nvme->use_sgl = NVME_SGLS_SUPPORTED(id.sgls) && !nvme->options.no_sgl;
	info->sgl = nvme->use_sgl;
	nvme->opcodes = usable_opcodes(id.oncs);
	nvme->shutdown_ms = shutdown_ms(id.rtd3e);
	nvme->abort_limit = id.acl + 1u;
	nvme->aer_limit = id.aerl + 1u < NVME_ASYNC_EVENTS ? id.aerl + 1u : NVME_ASYNC_EVENTS;
	return 0;
}

static struct weir_nvme_ns *find(struct weir_nvme *nvme, uint32_t nsid)
{
	for (unsigned int i = 0; i < nvme->nr_ns; i++) {
		if (nvme->ns[i]->nsid == nsid && !nvme->ns[i]->retired)
			return nvme->ns[i];
	}
	return NULL;
}

/* Adds a namespace as it is described. The array stays in the order of the ids. */
static int add(struct weir_nvme *nvme, const struct weir_nvme_ns *described,
	       struct weir_nvme_ns **out, struct weir_error *err)
{
	struct weir_nvme_ns *ns, **grown;
	unsigned int at = nvme->nr_ns;

	if (nvme->nr_ns == NVME_MAX_NAMESPACES)
		return weir_error_set(
			err, -ENOSPC,
			"namespace %u: %u namespaces are known, no more are looked at",
			described->nsid, NVME_MAX_NAMESPACES);
	grown = realloc(nvme->ns, (nvme->nr_ns + 1) * sizeof(*grown));
	if (!grown)
		return weir_error_set(err, -ENOMEM, "no memory for namespace %u", described->nsid);
	nvme->ns = grown;
	ns = aligned_alloc(WEIR_CACHE_LINE, weir_align_up(sizeof(*ns), WEIR_CACHE_LINE));
	if (!ns)
		return weir_error_set(err, -ENOMEM, "no memory for namespace %u", described->nsid);
	*ns = *described;
	for (; at && grown[at - 1]->nsid > ns->nsid; at--)
		grown[at] = grown[at - 1];
	grown[at] = ns;
	nvme->nr_ns++;
	*out = ns;
	return 0;
}

void nvme_ns_resize(struct weir_nvme_ns *ns, uint64_t blocks)
{
	uint64_t page = (UINT64_C(1) << ns->nvme->page_shift) >> ns->block_shift;
	uint64_t fast = page < ns->max_blocks ? page : ns->max_blocks;

	/* Bursts run meanwhile: a namespace that shrinks is small at once, on each path. */
	ns->fast_blocks = fast;
	ns->nsid_dword = (uint64_t)ns->nsid << 32;
	atomic_store_explicit(&ns->fast_lbas,
			      ns->metadata_bytes || blocks < fast ? 0 : blocks - fast + 1,
			      memory_order_relaxed);
	atomic_store_explicit(&ns->blocks, blocks, memory_order_relaxed);
}

static void set_gone(struct weir_nvme_ns *ns)
{
	nvme_ns_resize(ns, 0);
}

/* What Identify Namespace says, if it makes sense; without its size. */
static int describe(struct weir_nvme *nvme, uint32_t nsid, const struct nvme_id_ns *id,
		    struct weir_nvme_ns *ns, struct weir_error *err)
{
	unsigned int format = NVME_FLBAS_INDEX(id->flbas);
	unsigned int shift = id->lbaf[format].lbads;
	uint64_t block_bytes;

	if (format > id->nlbaf)
		return weir_error_set(err, -EPROTO, "namespace %u: format %u of %u", nsid, format,
				      id->nlbaf + 1);
	if (shift < MIN_BLOCK_SHIFT || shift > MAX_BLOCK_SHIFT)
		return weir_error_set(err, -EPROTO, "namespace %u: blocks of 2^%u bytes", nsid,
				      shift);
	if (id->nsze > UINT64_MAX >> shift)
		return weir_error_set(err, -EPROTO,
				      "namespace %u: %" PRIu64 " blocks of 2^%u bytes", nsid,
				      id->nsze, shift);
	*ns = (struct weir_nvme_ns){
		.nvme = nvme,
		.nsid = nsid,
		.block_shift = (uint8_t)shift,
		.block_bytes = UINT64_C(1) << shift,
		.metadata_bytes = id->lbaf[format].ms,
		.metadata_inline = id->lbaf[format].ms && (id->flbas & NVME_FLBAS_EXTENDED),
		.protection = id->dps & 7,
		.read_only = id->nsattr & NVME_NSATTR_WRITE_PROTECTED,
		.boundary_blocks = id->noiob,
	};
	memcpy(ns->eui64, id->eui64, sizeof(ns->eui64));
	memcpy(ns->nguid, id->nguid, sizeof(ns->nguid));
	block_bytes = ns->block_bytes + (ns->metadata_inline ? ns->metadata_bytes : 0);
	ns->max_blocks = (uint32_t)(nvme->max_transfer / block_bytes);
	if (!ns->max_blocks)
		return weir_error_set(err, -EPROTO,
				      "namespace %u: a block of %" PRIu64
				      " bytes is over the maximum transfer of %u",
				      nsid, block_bytes, nvme->max_transfer);
	return 0;
}

static bool same_format(const struct weir_nvme_ns *a, const struct weir_nvme_ns *b)
{
	return a->block_shift == b->block_shift && a->metadata_bytes == b->metadata_bytes &&
	       a->metadata_inline == b->metadata_inline && a->protection == b->protection;
}

/* Takes over a description and a size: bursts that run at the same time see the old size or the
 * new. */
static int take_over(struct weir_nvme *nvme, const struct weir_nvme_ns *described, uint64_t blocks,
		     struct weir_error *err)
{
	struct weir_nvme_ns *ns = find(nvme, described->nsid);
	int rc;

	if (ns && !same_format(ns, described)) {
		ns->retired = true;
		set_gone(ns);
		ns = NULL;
	}
	if (!ns) {
		rc = add(nvme, described, &ns, err);
		if (rc)
			return rc;
	}
	ns->read_only = described->read_only;
	ns->boundary_blocks = described->boundary_blocks;
	ns->max_blocks = described->max_blocks;
	nvme_ns_resize(ns, blocks);
	return 0;
}

static int identify_namespace(struct weir_nvme *nvme, uint32_t nsid, struct weir_error *err)
{
	struct weir_nvme_ns described, *ns;
	struct nvme_id_ns id;
	int rc;

	rc = identify(nvme, nsid, NVME_CNS_NAMESPACE, &id, "Identify Namespace", err);
	if (!rc)
		rc = describe(nvme, nsid, &id, &described, err);
	if (!rc)
		rc = take_over(nvme, &described, id.nsze, err);
	ns = find(nvme, nsid);
	if (rc && ns)
		set_gone(ns);
	return rc;
}

/* The active namespaces' ids above `after` (base §5.17.2.2); controllers before NVMe 1.1 have all
 * from 1 to NN. */
static int active_list(struct weir_nvme *nvme, uint32_t after, uint32_t ids[LIST_ENTRIES],
		       struct weir_error *err)
{
	if (nvme->version >= 0x10100)
		return identify(nvme, after, NVME_CNS_ACTIVE, ids, "Identify Active Namespaces",
				err);
	for (uint32_t i = 0; i < LIST_ENTRIES; i++)
		ids[i] = after + i < nvme->info.max_namespaces ? after + i + 1 : 0;
	return 0;
}

/*
 * Identifies the active namespaces; those that are known and not in the list are gone. One that
 * makes no sense is logged and left out, the others work.
 */
int nvme_identify_namespaces(struct weir_nvme *nvme, struct weir_error *err)
{
	uint32_t ids[LIST_ENTRIES], last = 0;
	struct weir_error why;
	unsigned int known = 0;
	int rc;

	rc = active_list(nvme, 0, ids, err);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < LIST_ENTRIES && ids[i]; i++) {
		if (ids[i] <= last || ids[i] == NVME_NSID_ALL)
			return weir_error_set(err, -EPROTO,
					      "active namespaces: %u follows %u in the list",
					      ids[i], last);
		for (; known < nvme->nr_ns && nvme->ns[known]->nsid < ids[i]; known++)
			set_gone(nvme->ns[known]);
		last = ids[i];
		rc = identify_namespace(nvme, last, &why);
		if (rc == -EIO || rc == -EPROTO || rc == -ENOSPC) {
			weir_log_write(&nvme->log, WEIR_LOG_WARN, "%s", why.text);
		} else if (rc) {
			if (err)
				*err = why;
			return rc;
		}
		while (known < nvme->nr_ns && nvme->ns[known]->nsid <= last)
			known++;
	}
	for (; known < nvme->nr_ns; known++)
		set_gone(nvme->ns[known]);
	return 0;
}

WEIR_EXPORT struct weir_nvme_ns *weir_nvme_ns(struct weir_nvme *nvme, uint32_t nsid)
{
	struct weir_nvme_ns *ns;

	pthread_mutex_lock(&nvme->lock);
	ns = find(nvme, nsid);
	if (ns && !atomic_load_explicit(&ns->blocks, memory_order_relaxed))
		ns = NULL;
	pthread_mutex_unlock(&nvme->lock);
	return ns;
}

WEIR_EXPORT struct weir_nvme_ns *weir_nvme_next_ns(struct weir_nvme *nvme, uint32_t nsid)
{
	struct weir_nvme_ns *ns = NULL;

	pthread_mutex_lock(&nvme->lock);
	for (unsigned int i = 0; i < nvme->nr_ns && !ns; i++) {
		if (nvme->ns[i]->nsid > nsid &&
		    atomic_load_explicit(&nvme->ns[i]->blocks, memory_order_relaxed))
			ns = nvme->ns[i];
	}
	pthread_mutex_unlock(&nvme->lock);
	return ns;
}

WEIR_EXPORT void weir_nvme_ns_info(const struct weir_nvme_ns *ns, struct weir_nvme_ns_info *info)
{
	uint64_t blocks = atomic_load_explicit(&ns->blocks, memory_order_relaxed);

	*info = (struct weir_nvme_ns_info){
		.nsid = ns->nsid,
		.block_bytes = 1u << ns->block_shift,
		.blocks = blocks,
		.bytes = blocks << ns->block_shift,
		.boundary_blocks = ns->boundary_blocks,
		.metadata_bytes = ns->metadata_bytes,
		.metadata_inline = ns->metadata_inline,
		.protection = ns->protection,
		.read_only = ns->read_only,
	};
	memcpy(info->eui64, ns->eui64, sizeof(info->eui64));
	memcpy(info->nguid, ns->nguid, sizeof(info->nguid));
}
