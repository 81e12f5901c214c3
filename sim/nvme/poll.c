/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The data path: one turn looks at every doorbell and takes what it announces.
 *
 * The short way is for what most commands are: a read or write of up to two pages by PRPs, in
 * memory that is mapped here, on a backing that does not wait. Its entries are looked at in place,
 * each field once, and its completion is composed in registers and stored at once: the client polls
 * that line, and would take it away between two stores. The first entry that is anything else ends
 * the short way and goes the long way (io.c), which copies it and begins anew.
 *
 * What makes it fast: nothing that the client writes or polls is touched without need, the
 * completion queue's doorbell in particular is looked at only when its last value leaves no room;
 * and what this side keeps of a queue lies in lines that the client never touches.
 */
#include <string.h>
#include <weir/mmio.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "nvme/controller.h"

/* Looks at all doorbells before the server has its turn: its part would double what a single
 * command in flight takes. */
#define ROUNDS 32
/* Commands of one queue that go the long way in one turn: the client's messages are answered
 * between turns, within its time-out. Where each may wait, for a disk or for the client, they are
 * fewer. */
#define LONG_BURST 16
#define WAITING_BURST 4
#define SLOW_NS UINT64_C(1000000)
/* Turns without work after which the client of shadow doorbells is asked to ring. */
#define IDLE_TURNS 64

/* The namespace of usual commands, as locals that no store can alias. */
struct target {
	uint64_t nsid;
	uint64_t last_lba; /* from here on the longest usual command would not fit */
	uint8_t *memory;
};

/* No command has this namespace id in its dword. */
static const struct target no_target = { .nsid = UINT64_MAX };

static __attribute__((noinline, cold)) struct ctrl_view view_find(struct sim_nvme *nvme,
								  struct ctrl_sq *sq, uint64_t iova,
								  uint64_t page)
{
	struct sim_window window = { 0 };

	sq->view = CTRL_NO_VIEW;
	if (sim_dma_lookup(nvme->server, iova, page, CTRL_PROT_READ | CTRL_PROT_WRITE, &window) &&
	    window.base)
		sq->view = (struct ctrl_view){ window.iova, window.bytes - page, window.base };
	return sq->view;
}

static inline __attribute__((always_inline)) struct target target_of(const struct sim_nvme *nvme,
								     uint64_t nsid,
								     uint64_t most_blocks)
{
	const struct ctrl_ns *ns;

	if (nsid - 1 >= nvme->nr_namespaces)
		return no_target;
	ns = &nvme->namespaces[nsid - 1];
	if (ns->blocks < most_blocks)
		return no_target;
	return (struct target){ nsid, ns->blocks - most_blocks, ns->memory };
}

/* After the data. The second half holds the phase, so it must not be seen before the first. */
static inline __attribute__((always_inline)) void cqe_store(struct nvme_cqe *cqe, uint64_t second)
{
	weir_dma_wmb();
#if defined(__SSE2__)
	_mm_store_si128((__m128i *)cqe, _mm_slli_si128(_mm_cvtsi64_si128((long long)second), 8));
#else
	volatile uint64_t *half = (volatile uint64_t *)cqe;

	half[0] = 0;
	weir_dma_wmb();
	half[1] = second;
#endif
}

static inline __attribute__((always_inline)) void copy_blocks(uint8_t *blocks, uint8_t *data,
							      uint64_t bytes, uint64_t opcode)
{
	if (opcode == NVME_IO_READ)
		memcpy(data, blocks, bytes);
	else
		memcpy(blocks, data, bytes);
}

/*
 * Takes up to n entries that lie together, as do the places of their completions, as long as they
 * are usual. Returns how many. `memory`: moves the data; else it is checked only.
 */
static inline __attribute__((always_inline)) unsigned int take_run(struct sim_nvme *nvme,
								   struct ctrl_sq *sq,
								   unsigned int n,
								   const bool memory)
{
	struct ctrl_cq *cq = sq->cq;
	const unsigned int block_shift = nvme->block_shift;
	const uint64_t page = UINT64_C(1) << nvme->page_shift;
	const uint64_t most_blocks = nvme->short_blocks;
	const struct nvme_sqe *const begin = sq->entries + sq->head, *const end = begin + n;
	const struct nvme_sqe *entry;
	struct nvme_cqe *cqe = cq->entries + cq->tail;
	struct ctrl_view view = sq->view;
	struct target target = no_target;
	/* The second half of the completion but for the command id. The head moves on with each;
	 * from the last entry it goes to the first. */
	uint64_t second = (uint64_t)cq->phase << 48 | (uint64_t)sq->qid << 16;

	second += sq->head + 1 == sq->size ? UINT64_MAX : sq->head;
	for (entry = begin; entry < end; entry++) {
		const volatile uint64_t *words = (const volatile uint64_t *)entry;
		uint64_t dword0_1 = words[0], prp1 = words[3], lba = words[5];
		uint32_t dw12 = (uint32_t)words[6];
		uint64_t opcode = dword0_1 & 0xffff; /* with the flags, which have to be 0 */
		uint64_t nsid = dword0_1 >> 32;
		uint64_t blocks = (uint64_t)dw12 + 1, bytes = blocks << block_shift;
		uint64_t offset = prp1 & (page - 1), first = bytes, prp2 = 0;

		/* Nothing but a number of blocks in dword 12: no FUA, no directive. */
		if (unlikely(opcode - NVME_IO_WRITE > NVME_IO_READ - NVME_IO_WRITE ||
			     dw12 >= most_blocks || (prp1 & 3)))
			break;
		if (unlikely(nsid != target.nsid)) {
			target = target_of(nvme, nsid, most_blocks);
			if (nsid != target.nsid)
				break;
		}
		if (unlikely(lba > target.last_lba))
			break;
		if (unlikely(prp1 - offset - view.iova > view.last)) {
			view = view_find(nvme, sq, prp1 - offset, page);
			if (prp1 - offset - view.iova > view.last)
				break;
		}
		if (offset + bytes > page) {
			prp2 = words[4];
			if (unlikely(offset + bytes > 2 * page || (prp2 & (page - 1)) ||
				     prp2 - view.iova > view.last))
				break;
			first = page - offset;
		}
		if (memory) {
			uint8_t *stored = target.memory + (lba << block_shift);

			copy_blocks(stored, view.base + (prp1 - view.iova), first, opcode);
			if (first < bytes)
				copy_blocks(stored + first, view.base + (prp2 - view.iova),
					    bytes - first, opcode);
		}

		nvme->moved[opcode].commands++;
		nvme->moved[opcode].blocks += blocks;
		second++;
		cqe_store(cqe++, second + ((uint64_t)((uint32_t)dword0_1 >> 16) << 32));
	}

	return (unsigned int)(entry - begin);
}

static __attribute__((noinline)) unsigned int run_null(struct sim_nvme *nvme, struct ctrl_sq *sq,
						       unsigned int n)
{
	return take_run(nvme, sq, n, false);
}

static __attribute__((noinline)) unsigned int run_memory(struct sim_nvme *nvme, struct ctrl_sq *sq,
							 unsigned int n)
{
	return take_run(nvme, sq, n, true);
}

/* Takes up to n entries the short way. Returns how many; fewer when the next one is not usual. */
static unsigned int take_short(struct sim_nvme *nvme, struct ctrl_sq *sq, unsigned int n)
{
	struct ctrl_cq *cq = sq->cq;
	unsigned int done = 0;

	while (done < n) {
		/* The last entry of the queue is a run of its own, see take_run(). */
		uint32_t to_end = sq->head + 1 == sq->size ? 1 : sq->size - 1 - sq->head;
		uint32_t want = n - done, took;

		want = want < to_end ? want : to_end;
		want = want < cq->size - cq->tail ? want : cq->size - cq->tail;
		took = nvme->backing_kind == SIM_NVME_NULL ? run_null(nvme, sq, want)
							   : run_memory(nvme, sq, want);
		ctrl_sq_advance(sq, took);
		ctrl_cq_advance(cq, took);
		done += took;
		if (took < want)
			break;
	}
	return done;
}

/* Takes one entry the long way. false: nothing is to be taken after it. */
static __attribute__((noinline)) bool take_long(struct sim_nvme *nvme, struct ctrl_sq *sq)
{
	struct nvme_sqe sqe;

	if (!ctrl_fetch(nvme, sq, &sqe))
		return false;
	nvme->stats.commands++;
	if (nvme->faults)
		ctrl_faults_run(nvme, sq, &sqe);
	else
		ctrl_io_run(nvme, sq, &sqe);
	return nvme->running;
}

/* Takes what a doorbell announces, as far as there is room for completions. Returns how many. */
static __attribute__((noinline)) unsigned int take(struct sim_nvme *nvme, struct ctrl_sq *sq,
						   uint32_t tail)
{
	struct ctrl_cq *cq = sq->cq;
	unsigned int n = ctrl_sq_pending(nvme, sq, tail), done = 0;
	bool careful = nvme->careful || !sq->entries || !cq->entries;
	unsigned int most_long = careful ? WAITING_BURST : LONG_BURST;

	n = ctrl_cq_room(nvme, cq, n);
	while (done < n) {
		if (likely(!careful)) {
			done += take_short(nvme, sq, n - done);
			if (done == n)
				break;
		}
		done++;
		/* A fault may have used more room. */
		if (!take_long(nvme, sq) || !--most_long || !ctrl_cq_room(nvme, cq, 1))
			break;
	}
	if (done)
		ctrl_interrupt(nvme, cq);
	return done;
}

static unsigned int look(struct sim_nvme *nvme)
{
	unsigned int done = 0;

	for (unsigned int i = 0; i < nvme->nr_active; i++) {
		struct ctrl_sq *sq = nvme->active[i];
		uint32_t tail = *sq->doorbell;

		if (tail != sq->head)
			done += take(nvme, sq, tail);
	}
	return done;
}

/*
 * The same where a command may wait for a disk or for the client: after SLOW_NS the client's
 * messages have their turn, and the next look begins with the queue at which this one ended.
 */
static unsigned int look_slowly(struct sim_nvme *nvme)
{
	uint64_t began = weir_now_ns();
	unsigned int done = 0;

	for (unsigned int i = 0; i < nvme->nr_active && nvme->running; i++) {
		struct ctrl_sq *sq = nvme->active[nvme->next_active++ % nvme->nr_active];
		uint32_t tail = *sq->doorbell;

		if (tail != sq->head)
			done += take(nvme, sq, tail);
		if (weir_now_ns() - began > SLOW_NS) {
			sim_server_look(nvme->server);
			break;
		}
	}
	return done;
}

/* Shadow doorbells: while this side polls nobody has to ring. When it has not found anything for a
 * while, it asks for it, and looks once more at what came before it did. */
static unsigned int shadow_turn(struct sim_nvme *nvme, unsigned int done)
{
	if (done) {
		nvme->idle_turns = 0;
		ctrl_shadow_events(nvme, false);
		return done;
	}
	if (nvme->idle_turns == IDLE_TURNS)
		return 0;
	if (++nvme->idle_turns < IDLE_TURNS)
		return 0;
	ctrl_shadow_events(nvme, true);
	return look(nvme);
}

unsigned int ctrl_poll(void *model)
{
	struct sim_nvme *nvme = model;
	const bool slow = nvme->careful || nvme->options.no_mmap_dma;
	unsigned int done = 0;
	uint32_t tail;

	if (!nvme->running || !sim_bus_master(nvme->server))
		return 0;
	tail = *nvme->sqs[0].doorbell;
	if (unlikely(tail != nvme->sqs[0].head))
		done = ctrl_admin_turn(nvme, tail);
	if (unlikely(slow))
		done += look_slowly(nvme);
	for (unsigned int i = 0; !slow && i < ROUNDS && done < CTRL_BURST && nvme->running; i++)
		done += look(nvme);
	if (unlikely(!nvme->running))
		return done;
	if (unlikely(nvme->faults))
		done += ctrl_held_run(nvme);
	if (unlikely(nvme->shadow))
		done += shadow_turn(nvme, done);
	if (unlikely(nvme->attention))
		ctrl_events_deliver(nvme);
	return done;
}
