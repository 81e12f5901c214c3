/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The admin queue: one command at a time that somebody waits for, asynchronous event requests, and
 * aborts. All of it under the controller's lock.
 */
#include "nvme.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SPIN_NS 100000 /* how long a waiter spins before it sleeps between looks */
#define PAUSE_NS 50000

void *nvme_take_pages(struct weir_nvme *nvme, size_t bytes)
{
	size_t page = (size_t)1 << nvme->page_shift;

	/* Blocks of the arena are aligned to their size. */
	return weir_arena_alloc(nvme->arena, bytes < page ? page : bytes, 0);
}

int nvme_admin_alloc(struct weir_nvme *nvme, struct weir_error *err)
{
	struct nvme_admin_queue *admin = &nvme->admin;

	admin->sq = nvme_take_pages(nvme, NVME_ADMIN_ENTRIES * sizeof(admin->sq[0]));
	admin->cq = nvme_take_pages(nvme, NVME_ADMIN_ENTRIES * sizeof(admin->cq[0]));
	admin->buffer = nvme_take_pages(nvme, NVME_ADMIN_MAX_BYTES);
	admin->list = nvme_take_pages(nvme, 1);
	if (!admin->sq || !admin->cq || !admin->buffer || !admin->list)
		return weir_error_set(err, -ENOMEM, "no room in the arena for the admin queue");
	admin->sq_iova = weir_arena_ptr_iova(nvme->arena, admin->sq);
	admin->cq_iova = weir_arena_ptr_iova(nvme->arena, admin->cq);
	admin->buffer_iova = weir_arena_ptr_iova(nvme->arena, admin->buffer);
	admin->list_iova = weir_arena_ptr_iova(nvme->arena, admin->list);
	return 0;
}

void nvme_admin_reset(struct weir_nvme *nvme)
{
	struct nvme_admin_queue *admin = &nvme->admin;

	memset(admin->cq, 0, NVME_ADMIN_ENTRIES * sizeof(admin->cq[0]));
	memset(admin->use, 0, sizeof(admin->use));
	admin->tail = admin->head = 0;
	admin->phase = 1;
	admin->outstanding = admin->aborts = 0;
	admin->lost = -1;
}

void nvme_admin_free(struct weir_nvme *nvme)
{
	weir_arena_free(nvme->arena, nvme->admin.sq);
	weir_arena_free(nvme->arena, nvme->admin.cq);
	weir_arena_free(nvme->arena, nvme->admin.buffer);
	weir_arena_free(nvme->arena, nvme->admin.list);
}

static void ring_admin(struct weir_nvme *nvme, unsigned int cq, uint32_t value)
{
	weir_dma_wmb();
	weir_device_write32(nvme->dev, 0, nvme_doorbell_offset(nvme, 0, cq), value);
}

/* Posts a command. Returns its id, or -EBUSY when all are in use. */
static int post(struct weir_nvme *nvme, const struct weir_nvme_command *command,
		enum nvme_admin_use use)
{
	struct nvme_admin_queue *admin = &nvme->admin;
	struct weir_nvme_command entry = *command;
	unsigned int cid;

	if (admin->outstanding == NVME_ADMIN_ENTRIES - 1)
		return -EBUSY;
	for (cid = 0; admin->use[cid] != NVME_ADMIN_IDLE; cid++)
		;
	entry.cid = (uint16_t)cid;
	memcpy(admin->sq[admin->tail], &entry, sizeof(entry));
	admin->use[cid] = use;
	admin->outstanding++;
	admin->tail = (admin->tail + 1) % NVME_ADMIN_ENTRIES;
	ring_admin(nvme, 0, admin->tail);
	return (int)cid;
}

void nvme_event_add(struct weir_nvme *nvme, enum weir_nvme_event_type type, uint32_t info)
{
	struct weir_nvme_event *event = &nvme->events[nvme->events_tail % NVME_EVENT_RING];

	/* A reader that is so far behind learns of the newest. */
	if (nvme->events_tail - nvme->events_head == NVME_EVENT_RING)
		nvme->events_head++;
	event->type = type;
	event->info = info;
	nvme->events_tail++;
}

void nvme_admin_request_events(struct weir_nvme *nvme)
{
	const struct weir_nvme_command command = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	unsigned int pending = 0, limit = nvme->aer_limit;

	for (unsigned int cid = 0; cid < NVME_ADMIN_ENTRIES; cid++)
		pending += nvme->admin.use[cid] == NVME_ADMIN_EVENT;
	for (; pending < limit; pending++) {
		if (post(nvme, &command, NVME_ADMIN_EVENT) < 0)
			break;
	}
}

static void async_event(struct weir_nvme *nvme, uint32_t dw0, uint16_t status)
{
	if (status)
		return; /* aborted, or over the controller's limit: not asked for again */
	if (NVME_EVENT_TYPE(dw0) == NVME_EVENT_NOTICE &&
	    NVME_EVENT_INFO(dw0) == NVME_NOTICE_NAMESPACES)
		nvme->namespaces_changed = true;
	else
		nvme->event_logs[NVME_EVENT_LOG(dw0) / 32] |= 1u << NVME_EVENT_LOG(dw0) % 32;
	nvme_event_add(nvme, WEIR_NVME_EVENT_ASYNC, dw0);
	nvme->rearm_events = true;
}

static void complete(struct weir_nvme *nvme, const struct nvme_cqe *cqe)
{
	struct nvme_admin_queue *admin = &nvme->admin;
	enum nvme_admin_use use;
	struct weir_error why;

	if (cqe->cid >= NVME_ADMIN_ENTRIES || admin->use[cqe->cid] == NVME_ADMIN_IDLE ||
	    cqe->sq_id) {
		weir_error_set(
			&why, -EPROTO,
			"admin queue: the controller completed command id %u of queue %u, which is not in flight",
			cqe->cid, cqe->sq_id);
		nvme_fail(nvme, &why);
		return;
	}
	use = admin->use[cqe->cid];
	admin->use[cqe->cid] = NVME_ADMIN_IDLE;
	admin->outstanding--;
	if (cqe->cid == admin->lost)
		admin->lost = -1;
	if (use == NVME_ADMIN_ABORTING)
		admin->aborts--;
	if (use == NVME_ADMIN_WAITING) {
		admin->done = true;
		admin->status = cqe->status >> 1;
		admin->result = cqe->dw0;
	} else if (use == NVME_ADMIN_EVENT) {
		async_event(nvme, cqe->dw0, cqe->status >> 1);
	}
}

void nvme_admin_poll(struct weir_nvme *nvme)
{
	struct nvme_admin_queue *admin = &nvme->admin;
	union {
		uint64_t words[2];
		struct nvme_cqe entry;
	} cqe;
	bool any = false;

	while (nvme->state != NVME_FAILED) {
		const struct nvme_cqe *next = &admin->cq[admin->head];

		cqe.words[1] = nvme_load_once(&next->sq_head);
		if ((cqe.entry.status & 1) != admin->phase)
			break;
		weir_dma_rmb(); /* the phase before the rest of the entry */
		cqe.words[0] = nvme_load_once(next);
		admin->head = (admin->head + 1) % NVME_ADMIN_ENTRIES;
		if (!admin->head)
			admin->phase ^= 1;
		complete(nvme, &cqe.entry);
		any = true;
	}
	if (any && nvme->state != NVME_FAILED)
		ring_admin(nvme, 1, admin->head);
}

/* Lets the device's transport work, which the controller may need to reach its queues, and notices
 * when it is gone. */
void nvme_pump_device(struct weir_nvme *nvme)
{
	struct weir_event events[4];
	struct weir_error why;
	int n;

	n = weir_device_events(nvme->dev, events, ARRAY_SIZE(events));
	for (int i = 0; i < n; i++) {
		switch (events[i].type) {
		case WEIR_EVENT_REMOVE_REQUEST:
			nvme_event_add(nvme, WEIR_NVME_EVENT_REMOVE_REQUEST, 0);
			break;
		case WEIR_EVENT_MAPPING_DEAD:
			nvme_event_add(nvme, WEIR_NVME_EVENT_MAPPING_DEAD, 0);
			break;
		case WEIR_EVENT_ERROR:
			weir_error_set(&nvme->trouble, -EIO,
				       "the device reported an uncorrectable error");
			atomic_store(&nvme->reset_needed, true);
			break;
		default:
			break;
		}
	}
	if (weir_device_gone(nvme->dev)) {
		weir_error_set(&why, -ENODEV, "the device is gone");
		nvme_fail(nvme, &why);
	}
}

/* Describes the first `bytes` of the admin buffer by PRPs. */
static void describe(struct weir_nvme *nvme, struct weir_nvme_command *command, size_t bytes)
{
	struct nvme_admin_queue *admin = &nvme->admin;
	uint64_t page = UINT64_C(1) << nvme->page_shift;
	uint64_t *list = admin->list;

	command->prp1 = admin->buffer_iova;
	if (bytes <= page)
		return;
	if (bytes <= 2 * page) {
		command->prp2 = admin->buffer_iova + page;
		return;
	}
	for (uint64_t at = page; at < bytes; at += page)
		*list++ = admin->buffer_iova + at;
	command->prp2 = admin->list_iova;
}

/* Sleeps a little, unless the transport has something to do: a controller that reaches our memory
 * by message should not wait for us. */
static void pause_for_device(struct weir_nvme *nvme)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct pollfd device = { .fd = weir_device_event_fd(nvme->dev), .events = POLLIN };

	ppoll(&device, 1, &pause, NULL);
}

static int wait_done(struct weir_nvme *nvme, int cid, const char *what, struct weir_error *err)
{
	uint64_t begin = weir_now_ns(), now = begin;
	uint64_t limit = nvme->options.admin_timeout_ms * UINT64_C(1000000);

	for (unsigned int turn = 1;; turn++) {
		nvme_admin_poll(nvme);
		if (nvme->admin.done)
			return 0;
		if (nvme->state == NVME_FAILED) {
			if (err)
				*err = nvme->failure;
			return nvme->failure.code;
		}
		if (turn % 64 && now - begin < SPIN_NS) {
			weir_cpu_relax();
			continue;
		}
		nvme_pump_device(nvme);
		now = weir_now_ns();
		if (now - begin > limit)
			break;
		if (now - begin >= SPIN_NS)
			pause_for_device(nvme);
	}
	nvme->admin.use[cid] = NVME_ADMIN_NOBODY;
	weir_error_set(&nvme->trouble, -ETIMEDOUT, "%s was not answered within %u ms", what,
		       nvme->options.admin_timeout_ms);
	if (err)
		*err = nvme->trouble;
	atomic_store(&nvme->reset_needed, true);
	return -ETIMEDOUT;
}

int nvme_admin_run(struct weir_nvme *nvme, const struct weir_nvme_command *command, void *data,
		   size_t bytes, enum weir_nvme_direction direction, uint32_t *result,
		   const char *what, struct weir_error *err)
{
	struct nvme_admin_queue *admin = &nvme->admin;
	struct weir_nvme_command entry = *command;
	char text[96];
	int cid, rc;

	if (bytes && admin->lost >= 0)
		return weir_error_set(err, -ETIMEDOUT,
				      "%s: an earlier command was not answered and may still use "
				      "the buffer, a reset is needed",
				      what);

	if (bytes) {
		describe(nvme, &entry, bytes);
		if (direction == WEIR_NVME_TO_DEVICE)
			memcpy(admin->buffer, data, bytes);
		else
			memset(admin->buffer, 0, bytes);
	}
	admin->done = false;
	cid = post(nvme, &entry, NVME_ADMIN_WAITING);
	if (cid < 0)
		return weir_error_set(
			err, -ETIMEDOUT,
			"%s: the admin queue is full of commands that were not answered", what);
	rc = wait_done(nvme, cid, what, err);
	if (rc == -ETIMEDOUT && bytes)
		admin->lost = cid;
	if (rc)
		return rc;
	if (admin->status)
		return weir_error_set(err, -EIO, "%s failed: %s", what,
				      nvme_status_words(admin->status, text, sizeof(text)));
	if (bytes && direction == WEIR_NVME_FROM_DEVICE)
		memcpy(data, admin->buffer, bytes);
	if (result)
		*result = admin->result;
	return 0;
}

int nvme_admin_abort(struct weir_nvme *nvme, uint16_t sqid, uint16_t cid)
{
	const struct weir_nvme_command command = {
		.opcode = NVME_ADMIN_ABORT,
		.cdw10 = (uint32_t)cid << 16 | sqid,
	};
	int rc;

	if (nvme->admin.aborts >= nvme->abort_limit)
		return -EBUSY;
	rc = post(nvme, &command, NVME_ADMIN_ABORTING);
	if (rc < 0)
		return rc;
	nvme->admin.aborts++;
	return 0;
}

/* Commands that would change what the driver knows of its queues. */
static bool driver_owned(uint8_t opcode)
{
	switch (opcode) {
	case NVME_ADMIN_DELETE_SQ:
	case NVME_ADMIN_CREATE_SQ:
	case NVME_ADMIN_DELETE_CQ:
	case NVME_ADMIN_CREATE_CQ:
	case NVME_ADMIN_ASYNC_EVENT:
	case NVME_ADMIN_DOORBELL_BUFFER:
		return true;
	default:
		return false;
	}
}

/* Commands after which blocks may have another size, which the data path must know before the next
 * I/O. */
static bool changes_namespaces(uint8_t opcode)
{
	return opcode == NVME_ADMIN_NS_MANAGEMENT || opcode == NVME_ADMIN_NS_ATTACHMENT ||
	       opcode == NVME_ADMIN_FORMAT;
}

int nvme_usable(struct weir_nvme *nvme, struct weir_error *err)
{
	if (nvme->state == NVME_RESETTING)
		return weir_error_set(err, -EAGAIN, "a reset is under way");
	if (nvme->state == NVME_FAILED)
		return weir_error_set(err, -ENODEV, "%s", nvme->failure.text);
	return 0;
}

WEIR_EXPORT int weir_nvme_admin(struct weir_nvme *nvme, const struct weir_nvme_command *command,
				void *data, size_t bytes, enum weir_nvme_direction direction,
				uint32_t *result, struct weir_error *err)
{
	size_t limit = nvme->max_transfer < NVME_ADMIN_MAX_BYTES ? nvme->max_transfer
								 : NVME_ADMIN_MAX_BYTES;
	struct weir_nvme_command entry = *command;
	char what[32];
	int rc;

	if (command->flags)
		return weir_error_set(err, -EINVAL, "command flags are %02x, not 0",
				      command->flags);
	if (driver_owned(command->opcode))
		return weir_error_set(err, -EINVAL, "admin command %02xh is the driver's own",
				      command->opcode);
	if (bytes > limit)
		return weir_error_set(err, -EINVAL, "%zu bytes are over the limit of %zu", bytes,
				      limit);
	if ((bytes & 3) || (bytes == 0) != (direction == WEIR_NVME_NO_DATA))
		return weir_error_set(err, -EINVAL, "%zu bytes do not fit the direction %d", bytes,
				      direction);
	snprintf(what, sizeof(what), "admin command %02xh", command->opcode);
	entry.prp1 = entry.prp2 = 0;
	pthread_mutex_lock(&nvme->lock);
	rc = nvme_usable(nvme, err);
	if (!rc)
		rc = nvme_admin_run(nvme, &entry, data, bytes, direction, result, what, err);
	if (!rc && changes_namespaces(command->opcode))
		rc = nvme_identify_namespaces(nvme, err);
	pthread_mutex_unlock(&nvme->lock);
	return rc;
}

WEIR_EXPORT int weir_nvme_log_page(struct weir_nvme *nvme, uint32_t nsid, uint8_t lid,
				   uint64_t offset, void *data, size_t bytes,
				   struct weir_error *err)
{
	uint32_t dwords = (uint32_t)(bytes / 4) - 1;
	struct weir_nvme_command command = {
		.opcode = NVME_ADMIN_GET_LOG_PAGE,
		.nsid = nsid,
		.cdw10 = (dwords & 0xffff) << 16 | lid,
		.cdw11 = dwords >> 16,
		.cdw12 = (uint32_t)offset,
		.cdw13 = (uint32_t)(offset >> 32),
	};

	if (!bytes || (bytes & 3) || (offset & 3))
		return weir_error_set(err, -EINVAL,
				      "log page: %zu bytes at %" PRIu64 " are no whole dwords",
				      bytes, offset);
	return weir_nvme_admin(nvme, &command, data, bytes, WEIR_NVME_FROM_DEVICE, NULL, err);
}
