/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define SWEEP_NS (20 * NS_PER_MS)
#define STUCK_NS (60000 * NS_PER_MS)
#define DRAIN_MS 30000
#define BURST 32u
#define FLUSH_REGION UINT16_MAX
#define MARK UINT64_C(0x77656972426c6f63)

/* What a block begins with; the rest is made from it. */
struct stamp {
	uint64_t mark;
	uint64_t lba;
	uint32_t version;
	uint32_t seed;
	uint64_t sum;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

uint32_t load_random(struct load *load, uint32_t below)
{
	load->random += UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(mix(load->random) >> 32) % below;
}

static bool wrong(struct load *load, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct load *load, const char *format, ...)
{
	va_list args;

	if (!load->error[0]) {
		va_start(args, format);
		vsnprintf(load->error, sizeof(load->error), format, args);
		va_end(args);
	}
	return false;
}

static uint64_t region_lba(const struct load *load, unsigned int region)
{
	return load->options.lba + (uint64_t)region * load->options.region_blocks;
}

static uint64_t stamp_sum(const struct stamp *stamp)
{
	return mix(stamp->lba ^ (uint64_t)stamp->version << 32 ^ stamp->seed);
}

static void stamp_block(const struct load *load, uint8_t *block, uint64_t lba, uint32_t version)
{
	struct stamp stamp = { MARK, lba, version, load->options.seed, 0 };
	uint64_t word = stamp.sum = stamp_sum(&stamp);

	memcpy(block, &stamp, sizeof(stamp));
	for (uint32_t at = sizeof(stamp); at < load->block_bytes; at += sizeof(word)) {
		word += UINT64_C(0x9e3779b97f4a7c15);
		memcpy(block + at, &word, sizeof(word));
	}
}

/* Checks one block; versions from `oldest` to `newest` may be there, 0 being anything that is not a
 * stamp of ours. */
static bool check_block(struct load *load, const uint8_t *block, uint64_t lba, uint32_t oldest,
			uint32_t newest)
{
	uint8_t expected[4096];
	struct stamp stamp;

	memcpy(&stamp, block, sizeof(stamp));
	if (stamp.mark != MARK || stamp.seed != load->options.seed || stamp.lba != lba ||
	    stamp.sum != stamp_sum(&stamp)) {
		if (!oldest)
			return true;
		return wrong(load,
			     "LBA %" PRIu64 " holds nothing of version %u to %u (LBA %" PRIu64
			     ", version %u, mark %" PRIx64 ")",
			     lba, oldest, newest, stamp.lba, stamp.version, stamp.mark);
	}
	if (stamp.version < oldest || stamp.version > newest)
		return wrong(load, "LBA %" PRIu64 " holds version %u, not %u to %u", lba,
			     stamp.version, oldest, newest);
	stamp_block(load, expected, lba, stamp.version);
	return !memcmp(expected, block, load->block_bytes) ||
	       wrong(load, "LBA %" PRIu64 ", version %u, is damaged", lba, stamp.version);
}

static bool check_region(struct load *load, unsigned int region, const uint8_t *data,
			 uint32_t oldest)
{
	for (uint32_t i = 0; i < load->options.region_blocks; i++) {
		if (!check_block(load, data + (size_t)i * load->block_bytes,
				 region_lba(load, region) + i, oldest,
				 load->regions[region].newest))
			return false;
	}
	return true;
}

int load_begin(struct load *load, struct weir_nvme *nvme, const struct weir_nvme_ns *ns,
	       const struct load_options *options, struct weir_error *err)
{
	struct weir_nvme_qp_options qp_options = WEIR_NVME_QP_OPTIONS_INIT;
	struct weir_nvme_ns_info info;
	struct weir_nvme_qp *qp;
	uint8_t *data;
	int rc;

	memset(load, 0, sizeof(*load));
	load->options = *options;
	weir_nvme_ns_info(ns, &info);
	if (!load->options.depth)
		load->options.depth = 32;
	if (!load->options.region_blocks)
		load->options.region_blocks = info.block_bytes < 4096 ? 4096 / info.block_bytes : 1;
	if (!load->options.regions)
		load->options.regions = LOAD_REGIONS;
	load->random = load->options.seed;
	load->block_bytes = info.block_bytes;
	load->nsid = info.nsid;
	load->io_bytes = info.block_bytes * load->options.region_blocks;
	load->next_cookie = 1;
	qp_options.depth = load->options.depth;
	rc = weir_nvme_qp_create(nvme, &qp_options, &qp, err);
	if (rc)
		return rc;
	data = weir_arena_alloc(weir_nvme_arena(nvme), (size_t)load->io_bytes * load->options.depth,
				0);
	load_attach(load, nvme, ns, qp, data);
	return data ? 0 : -ENOMEM;
}

void load_forget(struct load *load, bool flushed_only)
{
	for (unsigned int i = 0; i < load->options.depth; i++)
		load->ios[i].busy = false;
	for (unsigned int i = 0; i < load->options.regions; i++) {
		load->regions[i].busy = false;
		if (flushed_only)
			load->regions[i].oldest = load->regions[i].durable;
	}
	load->inflight = 0;
	load->flushing = false;
}

void load_attach(struct load *load, struct weir_nvme *nvme, const struct weir_nvme_ns *ns,
		 struct weir_nvme_qp *qp, uint8_t *data)
{
	load->nvme = nvme;
	load->ns = ns;
	load->qp = qp;
	load->data = data;
	load->dead = false;
	load->next_sweep = 0;
	for (unsigned int i = 0; i < load->options.depth; i++)
		load->ios[i].data = data + (size_t)i * load->io_bytes;
}

void load_end(struct load *load, bool with_queue)
{
	if (load->data)
		weir_arena_free(weir_nvme_arena(load->nvme), load->data);
	if (with_queue)
		weir_nvme_qp_destroy(load->qp);
	load->data = NULL;
	load->qp = NULL;
}

/* An idle region that suits the operation, or -1 when none of a few random ones does. */
static int pick_region(struct load *load, bool for_read)
{
	for (unsigned int try = 0; try < 8; try++) {
		uint32_t region = load_random(load, load->options.regions);

		if (!load->regions[region].busy && (!for_read || load->regions[region].newest))
			return (int)region;
	}
	return -1;
}

static struct load_io *idle_io(struct load *load)
{
	for (unsigned int i = 0; i < load->options.depth; i++) {
		if (!load->ios[i].busy)
			return &load->ios[i];
	}
	return NULL;
}

static void begin_flush(struct load *load, struct load_io *io)
{
	io->opcode = WEIR_NVME_FLUSH;
	io->flags = 0;
	io->region = FLUSH_REGION;
	load->flushing = true;
	load->since_flush = 0;
	/* What is on its way now is not covered. */
	for (unsigned int i = 0; i < load->options.regions; i++)
		load->regions[i].flushing = load->regions[i].oldest;
}

static bool begin_data(struct load *load, struct load_io *io)
{
	bool read = load->options.reads_only || load_random(load, 2);
	int region = pick_region(load, read);

	if (region < 0 && read && !load->options.reads_only) {
		read = false;
		region = pick_region(load, false);
	}
	if (region < 0)
		return false;
	io->opcode = read ? WEIR_NVME_READ : WEIR_NVME_WRITE;
	io->flags = !read && load->options.flush_every && !load_random(load, 16) ? WEIR_NVME_FUA
										 : 0;
	io->region = (uint16_t)region;
	load->regions[region].busy = true;
	if (read) {
		memset(io->data, 0xee, load->io_bytes);
		return true;
	}
	io->version = ++load->regions[region].newest;
	for (uint32_t i = 0; i < load->options.region_blocks; i++)
		stamp_block(load, io->data + (size_t)i * load->block_bytes,
			    region_lba(load, io->region) + i, io->version);
	return true;
}

static void describe(const struct load *load, const struct load_io *io, struct weir_nvme_io *to)
{
	*to = (struct weir_nvme_io){ .opcode = io->opcode,
				     .flags = io->flags,
				     .cookie = io->cookie };
	if (io->opcode == WEIR_NVME_FLUSH)
		return;
	to->blocks = load->options.region_blocks;
	to->lba = region_lba(load, io->region);
	to->data = weir_arena_ptr_iova(weir_nvme_arena(load->nvme), io->data);
}

/* As it was before: it was not taken. */
static void take_back(struct load *load, struct load_io *io)
{
	io->busy = false;
	if (io->opcode == WEIR_NVME_FLUSH) {
		load->flushing = false;
		return;
	}
	load->regions[io->region].busy = false;
	if (io->opcode == WEIR_NVME_WRITE)
		load->regions[io->region].newest--;
}

static bool submit_burst(struct load *load)
{
	struct weir_nvme_io ios[BURST];
	struct load_io *prepared[BURST];
	unsigned int n = 0, room = load->options.depth - load->inflight;
	int taken;

	while (n < BURST && n < room) {
		struct load_io *io = idle_io(load);

		if (load->options.flush_every && !load->flushing &&
		    load->since_flush >= load->options.flush_every)
			begin_flush(load, io);
		else if (!begin_data(load, io))
			break;
		io->busy = true;
		io->cookie = load->next_cookie++ << 16 | (uint64_t)(io - load->ios);
		describe(load, io, &ios[n]);
		prepared[n++] = io;
	}
	taken = n ? weir_nvme_submit(load->qp, load->ns, ios, n) : 0;
	for (unsigned int i = n; i-- > (taken > 0 ? (unsigned int)taken : 0);)
		take_back(load, prepared[i]);
	if (taken > 0) {
		load->inflight += (unsigned int)taken;
		load->submitted += (uint64_t)taken;
		load->since_flush += (unsigned int)taken;
	}
	if (taken < 0 && taken != -ENODEV)
		return wrong(load, "submit returned %d", taken);
	return true;
}

static void written(struct load *load, const struct load_io *io)
{
	struct load_region *region = &load->regions[io->region];

	region->oldest = io->version;
	if (io->flags & WEIR_NVME_FUA)
		region->durable = io->version;
}

static void flushed(struct load *load)
{
	for (unsigned int i = 0; i < load->options.regions; i++) {
		if (load->regions[i].durable < load->regions[i].flushing)
			load->regions[i].durable = load->regions[i].flushing;
	}
}

static bool succeeded(struct load *load, const struct load_io *io)
{
	switch (io->opcode) {
	case WEIR_NVME_FLUSH:
		flushed(load);
		return true;
	case WEIR_NVME_WRITE:
		written(load, io);
		return true;
	default:
		return load->options.no_data ||
		       check_region(load, io->region, io->data, load->regions[io->region].oldest);
	}
}

static bool failed(struct load *load, const struct weir_nvme_done *done)
{
	char text[128];

	if (done->host == WEIR_NVME_HOST_RESET) {
		load->reset++;
	} else if (done->host == WEIR_NVME_HOST_GONE) {
		load->gone++;
	} else if (!done->host && load->options.allow_status) {
		load->failed++;
		load->last_status = done->status;
	} else {
		return wrong(load, "an I/O ended with: %s",
			     weir_nvme_status_text(done, text, sizeof(text)));
	}
	return true;
}

static bool complete(struct load *load, const struct weir_nvme_done *done)
{
	unsigned int index = done->cookie & 0xffff;
	struct load_io *io = &load->ios[index];

	if (index >= load->options.depth || !io->busy || io->cookie != done->cookie)
		return wrong(load, "cookie %" PRIx64 " came back and was not out", done->cookie);
	io->busy = false;
	load->inflight--;
	load->done++;
	if (io->region == FLUSH_REGION)
		load->flushing = false;
	else
		load->regions[io->region].busy = false;
	return weir_nvme_ok(done) ? succeeded(load, io) : failed(load, done);
}

/* The drive may need this core; and one that moves data by message is served here. */
static void idle(struct load *load)
{
	struct weir_nvme_event event;

	sched_yield();
	if (!load->options.no_events)
		weir_nvme_events(load->nvme, &event, 1);
}

static bool poll_once(struct load *load)
{
	struct weir_nvme_done done[BURST];
	int n = weir_nvme_poll(load->qp, done, BURST);

	for (int i = 0; i < n; i++) {
		if (!complete(load, &done[i]))
			return false;
	}
	if (!n)
		idle(load);
	if (n < 0) {
		load->dead = true;
		if (n != -ENODEV)
			return wrong(load, "poll returned %d", n);
		if (load->inflight)
			return wrong(load, "the queue is dead with %u cookies out", load->inflight);
		return false;
	}
	return true;
}

bool load_turn(struct load *load, bool submit)
{
	uint64_t now;
	bool ok = !load->error[0] && (!submit || submit_burst(load)) && poll_once(load);

	atomic_store_explicit(&load->progress, load->done, memory_order_relaxed);
	atomic_store_explicit(&load->outstanding, load->inflight, memory_order_relaxed);
	atomic_fetch_add_explicit(&load->turns, 1, memory_order_release);
	if (!ok)
		return false;
	if (weir_nvme_qp_inflight(load->qp) != load->inflight)
		return wrong(load, "%u I/Os in flight, the queue pair says %u", load->inflight,
			     weir_nvme_qp_inflight(load->qp));
	now = now_ns();
	if (now >= load->next_sweep) {
		load->next_sweep = now + SWEEP_NS;
		weir_nvme_sweep(load->qp, now);
	}
	return true;
}

bool load_run(struct load *load, uint64_t ios)
{
	uint64_t deadline = now_ns() + STUCK_NS;

	while (load->done < ios) {
		if (!load_turn(load, true))
			return false;
		if (now_ns() > deadline)
			return wrong(load, "stuck at %" PRIu64 " of %" PRIu64 " I/Os", load->done,
				     ios);
	}
	return true;
}

bool load_drain(struct load *load, unsigned int ms)
{
	uint64_t deadline = now_ns() + ms * NS_PER_MS;

	while (load->inflight) {
		if (!load_turn(load, false))
			return false;
		if (now_ns() > deadline)
			return wrong(load, "%u I/Os did not come back within %u ms", load->inflight,
				     ms);
	}
	return true;
}

/* Reads the next regions that were written, as many as fit into the queue. */
static bool verify_some(struct load *load, unsigned int *next)
{
	struct weir_nvme_io io;

	for (; *next < load->options.regions && load->inflight < load->options.depth; (*next)++) {
		struct load_io *slot = &load->ios[load->inflight];

		if (!load->regions[*next].newest)
			continue;
		slot->opcode = WEIR_NVME_READ;
		slot->flags = 0;
		slot->region = (uint16_t)*next;
		slot->cookie = load->next_cookie++ << 16 | load->inflight;
		slot->busy = true;
		load->regions[*next].busy = true;
		memset(slot->data, 0xee, load->io_bytes);
		describe(load, slot, &io);
		if (weir_nvme_submit(load->qp, load->ns, &io, 1) != 1)
			return wrong(load, "region %u cannot be read", *next);
		load->inflight++;
		load->submitted++;
	}
	return load_drain(load, DRAIN_MS);
}

bool load_verify(struct load *load)
{
	bool ok = load_drain(load, DRAIN_MS);

	for (unsigned int next = 0; ok && next < load->options.regions;)
		ok = verify_some(load, &next);
	return ok;
}

static void *thread_main(void *arg)
{
	struct load *load = arg;
	enum load_order order;
	bool ok = true;

	/* An idle owner polls on: a reset waits for it. */
	while (ok && (order = atomic_load(&load->order)) != LOAD_END) {
		ok = load_turn(load, order == LOAD_RUN);
		atomic_store(&load->idle, order == LOAD_IDLE && !load->inflight);
	}
	if (ok)
		load_drain(load, DRAIN_MS);
	atomic_store(&load->idle, true);
	return NULL;
}

int load_thread_start(struct load *load)
{
	atomic_store(&load->order, LOAD_RUN);
	atomic_store(&load->idle, false);
	return -pthread_create(&load->thread, NULL, thread_main, load);
}

void load_stop(struct load *load)
{
	atomic_store(&load->order, LOAD_END);
	pthread_join(load->thread, NULL);
}
