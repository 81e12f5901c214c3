/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Live update: a controller and its queue pairs go on in another process, with I/Os in flight.
 *
 * The queues, lists and state of the queue pairs lie in the arena, which the successor has adopted;
 * the record here says where, and what else the driver knew. The controller is not told. Everything
 * in the record is checked: it comes from another process.
 */
#include "nvme.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/state.h"

#define RECORD STATE_TYPE('N', 'V', 'M', 'E')
#define VERSION 1
#define NOWHERE UINT64_MAX

struct saved_ns {
	uint64_t blocks;
	uint32_t nsid;
	uint32_t max_blocks;
	uint32_t boundary_blocks;
	uint16_t metadata_bytes;
	uint8_t block_shift;
	uint8_t metadata_inline;
	uint8_t protection;
	uint8_t read_only;
	uint8_t eui64[8];
	uint8_t nguid[16];
	uint8_t reserved[2];
};

/* Followed by nr_ns saved_ns and nr_qps offsets of queue pair states. The eventfds are the record's
 * descriptors. */
struct saved_nvme {
	uint64_t cap;
	uint32_t version;
	uint32_t page_shift;
	uint32_t max_transfer;
	uint32_t queues;
	uint32_t shutdown_ms;
	uint32_t aer_limit;
	uint32_t abort_limit;
	uint8_t use_sgl, use_shadow, cmb_present, reserved;
	uint16_t opcodes;
	uint16_t reserved2;
	uint64_t sq, cq, buffer, list; /* of the admin queue, offsets in the arena */
	uint64_t shadow, shadow_event; /* or NOWHERE */
	uint64_t cmb_offset, cmb_bytes, cmb_queue_bytes, cmb_base;
	uint32_t cmb_bar, cmb_flags;
	uint32_t admin_tail, admin_head, admin_phase, admin_outstanding;
	uint8_t admin_use[NVME_ADMIN_ENTRIES];
	struct weir_nvme_info info;
	uint32_t nr_ns, nr_qps;
};

static uint64_t arena_offset(const struct weir_nvme *nvme, const void *memory)
{
	return memory ? (uint64_t)((const uint8_t *)memory -
				   (const uint8_t *)weir_arena_base(nvme->arena))
		      : NOWHERE;
}

static void save_controller(struct weir_nvme *nvme, struct saved_nvme *saved)
{
	const struct nvme_admin_queue *admin = &nvme->admin;

	*saved = (struct saved_nvme){
		.cap = nvme->cap,
		.version = nvme->version,
		.page_shift = nvme->page_shift,
		.max_transfer = nvme->max_transfer,
		.queues = nvme->queues,
		.shutdown_ms = nvme->shutdown_ms,
		.aer_limit = nvme->aer_limit,
		.abort_limit = nvme->abort_limit,
		.use_sgl = nvme->use_sgl,
		.use_shadow = nvme->use_shadow,
		.cmb_present = nvme->cmb.present,
		.opcodes = nvme->opcodes,
		.sq = arena_offset(nvme, admin->sq),
		.cq = arena_offset(nvme, admin->cq),
		.buffer = arena_offset(nvme, admin->buffer),
		.list = arena_offset(nvme, admin->list),
		.shadow = arena_offset(nvme, nvme->shadow),
		.shadow_event = arena_offset(nvme, nvme->shadow_event),
		.cmb_offset = nvme->cmb.offset,
		.cmb_bytes = nvme->cmb.bytes,
		.cmb_queue_bytes = nvme->cmb.queue_bytes,
		.cmb_base = nvme->cmb.base,
		.cmb_bar = nvme->cmb.bar,
		.cmb_flags = nvme->cmb.flags,
		.admin_tail = admin->tail,
		.admin_head = admin->head,
		.admin_phase = admin->phase,
		.admin_outstanding = admin->outstanding,
		.info = nvme->info,
	};
	for (unsigned int i = 0; i < NVME_ADMIN_ENTRIES; i++)
		saved->admin_use[i] = (uint8_t)admin->use[i];
}

static void save_ns(const struct weir_nvme_ns *ns, struct saved_ns *saved)
{
	*saved = (struct saved_ns){
		.blocks = atomic_load_explicit(&ns->blocks, memory_order_relaxed),
		.nsid = ns->nsid,
		.max_blocks = ns->max_blocks,
		.boundary_blocks = ns->boundary_blocks,
		.metadata_bytes = ns->metadata_bytes,
		.block_shift = ns->block_shift,
		.metadata_inline = ns->metadata_inline,
		.protection = ns->protection,
		.read_only = ns->read_only,
	};
	memcpy(saved->eui64, ns->eui64, sizeof(saved->eui64));
	memcpy(saved->nguid, ns->nguid, sizeof(saved->nguid));
}

static int save_locked(struct weir_nvme *nvme, struct weir_state *state, struct weir_error *err)
{
	struct saved_nvme *saved;
	struct saved_ns *ns;
	struct weir_nvme_qp *qp;
	uint64_t *offsets;
	uint32_t nr_qps = 0, nr_ns = 0;
	size_t bytes;
	int rc;

	if (nvme->state == NVME_FAILED)
		return weir_error_set(err, -ENODEV, "%s", nvme->failure.text);
	if (nvme->state == NVME_RESETTING)
		return weir_error_set(err, -EBUSY, "a reset is under way");
	TAILQ_FOREACH (qp, &nvme->qps, link)
		nr_qps++;
	for (unsigned int i = 0; i < nvme->nr_ns; i++)
		nr_ns += !nvme->ns[i]->retired;
	bytes = sizeof(*saved) + nr_ns * sizeof(*ns) + nr_qps * sizeof(*offsets);
	saved = malloc(bytes);
	if (!saved)
		return weir_error_set(err, -ENOMEM, "no memory to save a controller");
	save_controller(nvme, saved);
	saved->nr_ns = nr_ns;
	saved->nr_qps = nr_qps;
	ns = (struct saved_ns *)(saved + 1);
	for (unsigned int i = 0; i < nvme->nr_ns; i++) {
		if (!nvme->ns[i]->retired)
			save_ns(nvme->ns[i], ns++);
	}
	offsets = (uint64_t *)ns;
	TAILQ_FOREACH (qp, &nvme->qps, link) {
		nvme_qp_freeze(qp);
		*offsets++ = weir_arena_state_offset(nvme->arena, qp->state);
	}
	rc = weir_state_put(state, RECORD, VERSION, saved, bytes, nvme->vector_fds,
			    nvme->nr_vectors, err);
	free(saved);
	return rc;
}

WEIR_EXPORT int weir_nvme_save(struct weir_nvme *nvme, struct weir_state *state,
			       struct weir_error *err)
{
	int rc;

	if (pthread_mutex_trylock(&nvme->blocking_lock))
		return weir_error_set(err, -EBUSY, "a blocking call is under way");
	nvme_blocking_end(nvme); /* made again by the first call that needs it */
	pthread_mutex_unlock(&nvme->blocking_lock);
	if (pthread_mutex_trylock(&nvme->lock))
		return weir_error_set(err, -EBUSY, "an admin command is under way");
	rc = save_locked(nvme, state, err);
	pthread_mutex_unlock(&nvme->lock);
	return rc;
}

/* The memory at an offset of the arena, or NULL when it is not all inside. */
static void *arena_memory(const struct weir_nvme *nvme, uint64_t offset, uint64_t bytes)
{
	if (!weir_range_within(offset, bytes, weir_arena_bytes(nvme->arena)) ||
	    !weir_is_aligned(offset, 4096))
		return NULL;
	return (uint8_t *)weir_arena_base(nvme->arena) + offset;
}

static int adopt_admin(struct weir_nvme *nvme, const struct saved_nvme *saved)
{
	struct nvme_admin_queue *admin = &nvme->admin;
	uint64_t page = UINT64_C(1) << nvme->page_shift;
	uint32_t outstanding = 0;

	admin->sq = arena_memory(nvme, saved->sq, NVME_ADMIN_ENTRIES * sizeof(admin->sq[0]));
	admin->cq = arena_memory(nvme, saved->cq, NVME_ADMIN_ENTRIES * sizeof(admin->cq[0]));
	admin->buffer = arena_memory(nvme, saved->buffer, NVME_ADMIN_MAX_BYTES);
	admin->list = arena_memory(nvme, saved->list, page);
	if (!admin->sq || !admin->cq || !admin->buffer || !admin->list ||
	    saved->admin_tail >= NVME_ADMIN_ENTRIES || saved->admin_head >= NVME_ADMIN_ENTRIES ||
	    saved->admin_phase > 1)
		return -EINVAL;
	admin->sq_iova = weir_arena_ptr_iova(nvme->arena, admin->sq);
	admin->cq_iova = weir_arena_ptr_iova(nvme->arena, admin->cq);
	admin->buffer_iova = weir_arena_ptr_iova(nvme->arena, admin->buffer);
	admin->list_iova = weir_arena_ptr_iova(nvme->arena, admin->list);
	admin->tail = saved->admin_tail;
	admin->head = saved->admin_head;
	admin->phase = saved->admin_phase;
	admin->lost = -1;
	for (unsigned int i = 0; i < NVME_ADMIN_ENTRIES; i++) {
		/* Nobody waits here for what somebody waited for there. */
		if (saved->admin_use[i] > NVME_ADMIN_NOBODY)
			return -EINVAL;
		admin->use[i] = saved->admin_use[i] == NVME_ADMIN_WAITING ? NVME_ADMIN_NOBODY
									  : saved->admin_use[i];
		outstanding += admin->use[i] != NVME_ADMIN_IDLE;
		admin->aborts += admin->use[i] == NVME_ADMIN_ABORTING;
	}
	admin->outstanding = outstanding;
	return outstanding == saved->admin_outstanding && outstanding < NVME_ADMIN_ENTRIES
		       ? 0
		       : -EINVAL;
}

static int adopt_cmb(struct weir_nvme *nvme, const struct saved_nvme *saved)
{
	if (!saved->cmb_present)
		return 0;
	if (saved->cmb_bar > WEIR_REGION_BAR5 || saved->cmb_queue_bytes > saved->cmb_bytes ||
	    !weir_range_within(saved->cmb_offset, saved->cmb_bytes,
			       weir_device_region_bytes(nvme->dev, saved->cmb_bar)))
		return -EINVAL;
	nvme->cmb.looked = nvme->cmb.present = true;
	nvme->cmb.bar = saved->cmb_bar;
	nvme->cmb.offset = saved->cmb_offset;
	nvme->cmb.bytes = saved->cmb_bytes;
	nvme->cmb.queue_bytes = saved->cmb_queue_bytes;
	nvme->cmb.base = saved->cmb_base;
	nvme->cmb.flags = saved->cmb_flags;
	return 0;
}

/* Strings end, and what the driver goes by is what it says. */
static void adopt_info(struct weir_nvme *nvme, const struct saved_nvme *saved)
{
	struct weir_nvme_info *info = &nvme->info;

	*info = saved->info;
	info->serial[sizeof(info->serial) - 1] = '\0';
	info->model[sizeof(info->model) - 1] = '\0';
	info->firmware[sizeof(info->firmware) - 1] = '\0';
	info->subnqn[sizeof(info->subnqn) - 1] = '\0';
	info->version = saved->version;
	info->max_transfer = saved->max_transfer;
	info->max_queue_entries = NVME_CAP_MQES(saved->cap) + 1;
	info->queues = saved->queues;
	info->doorbell_stride = nvme->doorbell_stride;
	info->page_bytes = 1u << saved->page_shift;
	info->sgl = saved->use_sgl;
	info->shadow_doorbells = saved->use_shadow;
}

static int adopt_controller(struct weir_nvme *nvme, const struct saved_nvme *saved)
{
	uint64_t doorbells;

	nvme->cap = saved->cap;
	nvme->version = saved->version;
	nvme->page_shift = saved->page_shift;
	nvme->doorbell_stride = 4u << NVME_CAP_DSTRD(saved->cap);
	nvme->max_transfer = saved->max_transfer;
	nvme->queues = saved->queues;
	if (nvme->nr_vectors && nvme->queues > nvme->nr_vectors)
		nvme->queues = nvme->nr_vectors;
	nvme->shutdown_ms = saved->shutdown_ms;
	nvme->aer_limit = saved->aer_limit;
	nvme->abort_limit = saved->abort_limit;
	nvme->use_sgl = saved->use_sgl;
	nvme->opcodes = saved->opcodes;
	doorbells = (2 * (UINT64_C(1) + saved->queues)) * nvme->doorbell_stride;
	if (saved->page_shift < 12 || saved->page_shift > 16 ||
	    saved->max_transfer > WEIR_NVME_MAX_TRANSFER ||
	    saved->max_transfer < 1u << saved->page_shift || !saved->queues ||
	    saved->queues > NVME_MAX_QUEUES || saved->aer_limit > NVME_ASYNC_EVENTS ||
	    !weir_range_within(NVME_REG_DOORBELLS, doorbells,
			       weir_device_region_bytes(nvme->dev, WEIR_REGION_BAR0)))
		return -EINVAL;
	if (saved->use_shadow) {
		nvme->shadow = arena_memory(nvme, saved->shadow, 1u << saved->page_shift);
		nvme->shadow_event = arena_memory(nvme, saved->shadow_event,
						  1u << saved->page_shift);
		if (!nvme->shadow || !nvme->shadow_event)
			return -EINVAL;
		nvme->use_shadow = true;
	}
	adopt_info(nvme, saved);
	return adopt_cmb(nvme, saved);
}

static int adopt_ns(struct weir_nvme *nvme, const struct saved_ns *saved, uint32_t after)
{
	struct weir_nvme_ns *ns;
	uint64_t block_bytes = (UINT64_C(1) << (saved->block_shift & 31)) +
			       (saved->metadata_inline ? saved->metadata_bytes : 0);

	/* One that is gone, or never made sense, has no size. */
	if (saved->nsid <= after || saved->nsid == NVME_NSID_ALL || saved->block_shift > 16 ||
	    (saved->blocks && (saved->block_shift < 9 || !saved->max_blocks ||
			       saved->max_blocks > nvme->max_transfer / block_bytes ||
			       saved->blocks > UINT64_MAX >> saved->block_shift)))
		return -EINVAL;
	ns = aligned_alloc(WEIR_CACHE_LINE, weir_align_up(sizeof(*ns), WEIR_CACHE_LINE));
	if (!ns)
		return -ENOMEM;
	*ns = (struct weir_nvme_ns){
		.nvme = nvme,
		.nsid = saved->nsid,
		.max_blocks = saved->max_blocks,
		.block_shift = saved->block_shift,
		.metadata_inline = saved->metadata_inline,
		.metadata_bytes = saved->metadata_bytes,
		.protection = saved->protection,
		.read_only = saved->read_only,
		.boundary_blocks = saved->boundary_blocks,
	};
	ns->block_bytes = UINT64_C(1) << saved->block_shift;
	nvme_ns_resize(ns, saved->blocks);
	memcpy(ns->eui64, saved->eui64, sizeof(ns->eui64));
	memcpy(ns->nguid, saved->nguid, sizeof(ns->nguid));
	nvme->ns[nvme->nr_ns++] = ns;
	return 0;
}

/* nr ids are in range, not seen before, and their trackers in the state that they should be in. */
static bool ids_consistent(const uint32_t *cid_dwords, uint32_t nr, enum nvme_tracker_state state,
			   const struct nvme_qp_state *st, uint8_t *seen)
{
	const struct nvme_tracker *trackers = (const struct nvme_tracker *)(st + 1);

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t cid = cid_dwords[i] >> NVME_CID_SHIFT;

		if (cid >= st->depth || (cid_dwords[i] & ~NVME_CID_MASK) || seen[cid]++ ||
		    trackers[cid].state != state)
			return false;
	}
	return true;
}

/* Every command id is exactly once on the free stack, among the refused, in flight, or held. */
static bool cids_consistent(const struct nvme_qp_state *st)
{
	const struct nvme_tracker *trackers = (const struct nvme_tracker *)(st + 1);
	const uint32_t *free_cids = (const uint32_t *)(trackers + st->depth);
	uint8_t seen[WEIR_NVME_MAX_DEPTH + 1] = { 0 };

	if (!ids_consistent(free_cids, st->nr_free, NVME_TRACKER_FREE, st, seen) ||
	    !ids_consistent(free_cids + st->depth, st->nr_refused, NVME_TRACKER_REFUSED, st, seen))
		return false;
	for (uint32_t cid = 0; cid < st->depth; cid++) {
		if (!seen[cid] && trackers[cid].state != NVME_TRACKER_ACTIVE &&
		    trackers[cid].state != NVME_TRACKER_ABORTING &&
		    trackers[cid].state != NVME_TRACKER_HELD)
			return false;
	}
	return true;
}

static bool shape_consistent(const struct weir_nvme *nvme, const struct nvme_qp_state *st)
{
	uint64_t sq_bytes = st->sq_entries * UINT64_C(64);
	uint64_t lists = st->depth * (uint64_t)st->list_bytes;

	return st->version == NVME_QP_STATE_VERSION && st->qid && st->qid <= nvme->queues &&
	       nvme->qid_use[st->qid] == NVME_QID_FREE && st->depth &&
	       st->depth <= WEIR_NVME_MAX_DEPTH && weir_is_power_of_two(st->sq_entries) &&
	       weir_is_power_of_two(st->cq_entries) && st->sq_entries > st->depth &&
	       st->cq_entries >= st->sq_entries && st->cq_entries <= 65536 &&
	       st->sq_tail < st->sq_entries && st->sq_rung < st->sq_entries &&
	       st->cq_head < st->cq_entries && st->cq_acked < st->cq_entries && st->phase <= 1 &&
	       st->nr_free <= st->depth && st->nr_refused <= st->depth - st->nr_free &&
	       weir_is_power_of_two(st->list_bytes) && st->list_bytes >= 64 &&
	       st->list_bytes <= 65536 &&
	       arena_memory(nvme, st->cq_offset, st->cq_entries * sizeof(struct nvme_cqe)) &&
	       arena_memory(nvme, st->lists_offset, lists) &&
	       (st->sq_in_cmb ? nvme->cmb.present && weir_range_within(st->sq_offset, sq_bytes,
								       nvme->cmb.queue_bytes)
			      : arena_memory(nvme, st->sq_offset, sq_bytes) != NULL) &&
	       (st->vector == UINT32_MAX || st->vector < nvme->nr_vectors);
}

static int adopt_qp(struct weir_nvme *nvme, uint64_t offset)
{
	struct nvme_qp_state *st = weir_arena_state_ptr(nvme->arena, offset, sizeof(*st));
	struct weir_nvme_qp *qp;

	if (!st || !weir_is_aligned(offset, WEIR_CACHE_LINE) || !shape_consistent(nvme, st) ||
	    !weir_arena_state_ptr(nvme->arena, offset, nvme_qp_state_bytes(st->depth)) ||
	    !cids_consistent(st))
		return -EINVAL;
	qp = nvme_qp_alloc(nvme);
	if (!qp)
		return -ENOMEM;
	qp->state = st;
	nvme_qp_attach_state(qp);
	if (!qp->sq) {
		nvme_qp_free(qp);
		return -EINVAL;
	}
	for (uint32_t cid = 0; cid < st->depth; cid++)
		qp->nr_held += qp->trackers[cid].state == NVME_TRACKER_HELD;
	nvme->qid_use[st->qid] = NVME_QID_USED;
	TAILQ_INSERT_TAIL(&nvme->qps, qp, link);
	return 0;
}

static int adopt_all(struct weir_nvme *nvme, const struct saved_nvme *saved, size_t bytes)
{
	const struct saved_ns *ns = (const struct saved_ns *)(saved + 1);
	const uint64_t *offsets;
	uint64_t cap;
	int rc;

	if (bytes < sizeof(*saved) || saved->nr_ns > NVME_MAX_NAMESPACES ||
	    saved->nr_qps > NVME_MAX_QUEUES ||
	    bytes != sizeof(*saved) + saved->nr_ns * sizeof(*ns) + saved->nr_qps * sizeof(*offsets))
		return -EINVAL;
	rc = weir_device_read64(nvme->dev, 0, NVME_REG_CAP, &cap);
	if (!rc && cap != saved->cap)
		rc = -EINVAL; /* not the controller that was saved */
	if (!rc)
		rc = adopt_controller(nvme, saved);
	if (!rc)
		rc = adopt_admin(nvme, saved);
	if (rc)
		return rc;
	nvme->ns = calloc(saved->nr_ns + 1, sizeof(*nvme->ns));
	if (!nvme->ns)
		return -ENOMEM;
	for (uint32_t i = 0; !rc && i < saved->nr_ns; i++)
		rc = adopt_ns(nvme, &ns[i], i ? ns[i - 1].nsid : 0);
	offsets = (const uint64_t *)(ns + saved->nr_ns);
	for (uint32_t i = 0; !rc && i < saved->nr_qps; i++)
		rc = adopt_qp(nvme, offsets[i]);
	/* An Abort that is under way may be to a queue that was ended. */
	for (uint32_t qid = 1; nvme->admin.aborts && qid <= nvme->queues; qid++) {
		if (nvme->qid_use[qid] == NVME_QID_FREE)
			nvme->qid_use[qid] = NVME_QID_HELD;
	}
	return rc;
}

/* Frees the handle and what belongs to this process alone; the arena's memory and the controller
 * stay as they are. */
static void drop(struct weir_nvme *nvme)
{
	struct weir_nvme_qp *qp;

	while ((qp = TAILQ_FIRST(&nvme->qps))) {
		TAILQ_REMOVE(&nvme->qps, qp, link);
		nvme_qp_free(qp);
	}
	for (unsigned int i = 0; i < nvme->nr_vectors; i++)
		close(nvme->vector_fds[i]);
	free(nvme->vector_fds);
	free(nvme->blocking);
	nvme_free(nvme);
}

WEIR_EXPORT int weir_nvme_adopt(struct weir_state *state, struct weir_device *dev,
				struct weir_arena *arena, const struct weir_nvme_options *from,
				struct weir_nvme **out, struct weir_error *err)
{
	struct weir_nvme_options options;
	struct weir_nvme *nvme;
	const void *payload;
	size_t bytes;
	int rc;

	rc = nvme_options_check(&options, from, err);
	if (rc)
		return rc;
	if (!weir_ioas_find_arena(weir_device_ioas(dev), arena))
		return weir_error_set(err, -EINVAL, "the arena is not mapped in the device's IOAS");
	nvme = nvme_alloc(dev, arena, &options);
	if (!nvme)
		return weir_error_set(err, -ENOMEM, "no memory for a controller");
	nvme->vector_fds = malloc(NVME_MAX_QUEUES * sizeof(*nvme->vector_fds));
	if (!nvme->vector_fds) {
		nvme_free(nvme);
		return weir_error_set(err, -ENOMEM, "no memory for vectors");
	}
	rc = weir_state_take(state, RECORD, VERSION, &payload, &bytes, nvme->vector_fds,
			     NVME_MAX_QUEUES, &nvme->nr_vectors, err);
	if (!rc) {
		rc = adopt_all(nvme, payload, bytes);
		if (rc)
			weir_error_set(err, rc, "the saved NVMe controller is damaged");
	}
	if (rc) {
		drop(nvme);
		return rc;
	}
	if (!nvme->nr_vectors) {
		free(nvme->vector_fds);
		nvme->vector_fds = NULL;
	}
	*out = nvme;
	return 0;
}

WEIR_EXPORT void weir_nvme_abandon(struct weir_nvme *nvme)
{
	if (nvme)
		drop(nvme);
}
