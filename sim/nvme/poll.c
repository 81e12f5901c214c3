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
#include <stdatomic.h>
#include <string.h>
#include <weir/mmio.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "nvme/controller.h"

/* Looks at all doorbells before the server has its turn: its part would double what a single
 * command in flight takes. */
#define ROUNDS 32
/* Turns without work after which the client of shadow doorbells is asked to ring. */
#define IDLE_TURNS 64

/* Dword 12 of a command that the short way takes: blocks, and limited retry, which means nothing
 * here. */
#define SHORT_DW12 0x8000ffffu

/* A window as locals, where no store can alias it. */
struct view {
	uint64_t iova, bytes;
	uint8_t *base;
	unsigned int prot;
};

static inline __attribute__((always_inline)) bool view_holds(const struct view *view, uint64_t iova,
							     uint64_t bytes, unsigned int prot)
{
	uint64_t offset = iova - view->iova;

	return offset < view->bytes && bytes <= view->bytes - offset && (view->prot & prot);
}

/* Another window. It holds nothing when there is none that is mapped here. */
static __attribute__((noinline, cold)) struct view view_refill(struct sim_nvme *nvme,
							       struct ctrl_sq *sq, uint64_t iova,
							       uint64_t bytes, unsigned int prot)
{
	struct sim_window window = { 0 };

	if (!sim_dma_lookup(nvme->server, iova, bytes, prot, &window) || !window.base)
		memset(&window, 0, sizeof(window));
	sq->window = window;
	return (struct view){ window.iova, window.bytes, window.base, window.prot };
}

/* The second half holds the phase, so it must not be seen before the first. */
static inline __attribute__((always_inline)) void cqe_store(struct nvme_cqe *cqe, uint64_t second)
{
#if defined(__SSE2__)
	_mm_store_si128((__m128i *)cqe, _mm_set_epi64x((long long)second, 0));
#else
	volatile uint64_t *half = (volatile uint64_t *)cqe;

	half[0] = 0;
	atomic_thread_fence(memory_order_release);
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
 * Takes up to n entries, as long as they are usual. Returns how many. `memory`: moves the data;
 * else it is checked only.
 */
static inline __attribute__((always_inline)) unsigned int take_short(struct sim_nvme *nvme,
								     struct ctrl_sq *sq,
								     unsigned int n,
								     const bool memory)
{
	struct ctrl_cq *cq = sq->cq;
	const unsigned int block_shift = nvme->block_shift;
	const uint64_t page = UINT64_C(1) << nvme->page_shift;
	const uint64_t first_opcode = nvme->options.read_only ? NVME_IO_READ : NVME_IO_WRITE;
	const uint64_t most_blocks = nvme->max_bytes >> block_shift;
	const uint32_t nr_namespaces = nvme->nr_namespaces;
	const struct nvme_sqe *const sq_begin = sq->entries, *const sq_end = sq_begin + sq->size;
	struct nvme_cqe *const cq_begin = cq->entries, *const cq_end = cq_begin + cq->size;
	const struct nvme_sqe *entry = sq_begin + sq->head;
	struct nvme_cqe *cqe = cq_begin + cq->tail;
	struct view view = { sq->window.iova, sq->window.bytes, sq->window.base, sq->window.prot };
	uint64_t tally[2] = { 0, 0 }; /* commands << 32 | blocks, by opcode & 1 */
	/* Of every completion: the ids and the phase. */
	uint64_t common = (uint64_t)sq->qid << 16 | (uint64_t)cq->phase << 48;
	uint32_t head = sq->head;
	unsigned int i;

	for (i = 0; i < n; i++) {
		const volatile uint64_t *words = (const volatile uint64_t *)entry;
		uint64_t dword0_1 = words[0], prp1 = words[3], prp2 = words[4], lba = words[5];
		uint32_t dw12 = (uint32_t)words[6];
		uint64_t opcode = dword0_1 & 0xffff; /* with the flags, which have to be 0 */
		uint64_t blocks = NVME_IO_NLB(dw12), bytes = blocks << block_shift;
		uint64_t first = page - (prp1 & (page - 1)), second = 0;
		uint32_t ns_index = (uint32_t)(dword0_1 >> 32) - 1;
		uint8_t *data1, *data2 = NULL;
		uint64_t ns_blocks;

		if (unlikely(opcode - first_opcode > NVME_IO_READ - first_opcode ||
			     ns_index >= nr_namespaces || (dw12 & ~SHORT_DW12) ||
			     blocks > most_blocks || (prp1 & 3)))
			break;
		ns_blocks = nvme->namespaces[ns_index].blocks;
		if (unlikely(lba >= ns_blocks || blocks > ns_blocks - lba))
			break;

		/* What the device may do with the memory has the value of the opcode. */
		static_assert(NVME_IO_WRITE == CTRL_PROT_READ && NVME_IO_READ == CTRL_PROT_WRITE,
			      "opcode as protection");
		if (bytes > first) {
			second = bytes - first;
			if (unlikely(second > page || (prp2 & (page - 1))))
				break;
		} else {
			first = bytes;
		}
		if (unlikely(!view_holds(&view, prp1, first, (unsigned int)opcode))) {
			view = view_refill(nvme, sq, prp1, first, (unsigned int)opcode);
			if (!view.bytes)
				break;
		}
		data1 = view.base + (prp1 - view.iova);
		if (second) {
			if (unlikely(!view_holds(&view, prp2, second, (unsigned int)opcode))) {
				view = view_refill(nvme, sq, prp2, second, (unsigned int)opcode);
				if (!view.bytes)
					break;
			}
			data2 = view.base + (prp2 - view.iova);
		}
		if (memory) {
			uint8_t *stored = nvme->namespaces[ns_index].memory + (lba << block_shift);

			copy_blocks(stored, data1, first, opcode);
			if (second)
				copy_blocks(stored + first, data2, second, opcode);
		}

		tally[opcode & 1] += UINT64_C(1) << 32 | blocks;
		head++;
		if (unlikely(++entry == sq_end)) {
			entry = sq_begin;
			head = 0;
		}
		cqe_store(cqe, common | head | (dword0_1 & 0xffff0000) << 16);
		if (unlikely(++cqe == cq_end)) {
			cqe = cq_begin;
			common ^= UINT64_C(1) << 48;
		}
	}

	sq->head = head;
	cq->tail = (uint32_t)(cqe - cq_begin);
	cq->phase = (uint16_t)(common >> 48);
	nvme->stats.commands += i;
	nvme->stats.completions += i;
	nvme->reads += tally[0] >> 32;
	nvme->blocks_read += (uint32_t)tally[0];
	nvme->writes += tally[1] >> 32;
	nvme->blocks_written += (uint32_t)tally[1];
	return i;
}

static __attribute__((noinline)) unsigned int take_short_null(struct sim_nvme *nvme,
							      struct ctrl_sq *sq, unsigned int n)
{
	return take_short(nvme, sq, n, false);
}

static __attribute__((noinline)) unsigned int take_short_memory(struct sim_nvme *nvme,
								struct ctrl_sq *sq, unsigned int n)
{
	return take_short(nvme, sq, n, true);
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
	return nvme->csts == NVME_CSTS_RDY && !nvme->unplugged;
}

/* Takes what a doorbell announces, as far as there is room for completions. Returns how many. */
static unsigned int take(struct sim_nvme *nvme, struct ctrl_sq *sq, uint32_t tail)
{
	struct ctrl_cq *cq = sq->cq;
	unsigned int n = ctrl_sq_pending(nvme, sq, tail), done = 0;
	bool careful = nvme->careful || !sq->entries || !cq->entries;

	n = ctrl_cq_room(nvme, cq, n);
	while (done < n) {
		if (likely(!careful)) {
			done += nvme->backing_kind == SIM_NVME_NULL
					? take_short_null(nvme, sq, n - done)
					: take_short_memory(nvme, sq, n - done);
			if (done == n)
				break;
		}
		done++;
		if (!take_long(nvme, sq))
			break;
		/* A fault may have used more of it. */
		if (careful && !ctrl_cq_room(nvme, cq, 1))
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
	unsigned int done = 0;
	uint32_t tail;

	if (nvme->csts != NVME_CSTS_RDY || nvme->unplugged || !sim_bus_master(nvme->server))
		return 0;
	tail = *nvme->sqs[0].doorbell;
	if (unlikely(tail != nvme->sqs[0].head))
		done = ctrl_admin_turn(nvme, tail);
	for (unsigned int i = 0; i < ROUNDS && nvme->csts == NVME_CSTS_RDY; i++)
		done += look(nvme);
	if (unlikely(nvme->faults))
		done += ctrl_held_run(nvme);
	if (unlikely(nvme->shadow))
		done += shadow_turn(nvme, done);
	if (unlikely(nvme->attention))
		ctrl_events_deliver(nvme);
	return done;
}
