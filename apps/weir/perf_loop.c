/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that keeps one queue pair full.
 *
 * Whatever completes is submitted again as one burst: a completion's cookie is its slot, from which
 * the next I/O takes its buffer; opcode and length stay in the burst array from the start. Per I/O
 * that is a handful of loads and stores, a random number and two multiplications. The clock is read
 * for timed I/Os and in every PERF_TURNS-th turn only.
 *
 * run_loop() is expanded once for each kind of work, so that none pays for another's branches.
 */
#include "clock.h"
#include "fail.h"
#include "pattern.h"
#include "perf.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define cold __attribute__((cold, noinline))
#define expanded inline __attribute__((always_inline))

/* Turns between two looks at the coarse clock; a power of two. */
#define PERF_TURNS 1024
#define PERF_SWEEP_NS 100000000u
/* Turns without a completion, a multiple of PERF_TURNS and about 100 us, after which the core is
 * offered to others: an emulated device that shares it could not go on otherwise. */
#define PERF_IDLE_TURNS 8192
/* How long I/Os may take to come back after the end. */
#define PERF_DRAIN_NS UINT64_C(10000000000)

/* Where the next I/O goes, and what it is. */
struct generator {
	uint64_t state; /* xorshift64 (Marsaglia 2003), never 0 */
	uint64_t first_lba, positions, io_blocks;
	uint64_t position; /* next, when sequential */
	uint64_t read_below; /* a mixed I/O is a read when the random word is below */
};

/* What a run keeps in registers. */
struct run {
	struct generator gen;
	uint64_t completed;
	unsigned int until_sample; /* I/Os before the next timed one */
	unsigned int turn;
	unsigned int busy_turn; /* the last one with a completion */
	uint64_t swept_ns;
};

/* What kind of work; constants in each expansion. */
struct kind {
	bool random;
	bool mixed;
	bool time_all;
	bool verify;
};

static inline uint64_t next_random(struct generator *gen)
{
	gen->state ^= gen->state << 13;
	gen->state ^= gen->state >> 7;
	gen->state ^= gen->state << 17;
	return gen->state;
}

static expanded uint64_t next_lba(struct generator *gen, bool random)
{
	uint64_t position;

	if (random) {
		/* By the high bits of a product: no division. */
		position = (uint64_t)((unsigned __int128)next_random(gen) * gen->positions >> 64);
	} else {
		position = gen->position++;
		if (unlikely(gen->position == gen->positions))
			gen->position = 0;
	}
	return gen->first_lba + position * gen->io_blocks;
}

static void generator_init(struct generator *gen, const struct perf_worker *worker)
{
	const struct perf_config *config = worker->perf->config;

	*gen = (struct generator){
		/* Neighbouring seeds must not walk in step. */
		.state = (config->seed + worker->index + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1,
		.first_lba = worker->first_lba,
		.positions = worker->positions,
		.io_blocks = worker->perf->io_blocks,
		.read_below = UINT64_MAX / 100 * config->read_percent,
	};
	for (int i = 0; i < 16; i++)
		next_random(gen);
}

static struct perf_slot *slot_of(uint64_t cookie)
{
	return (struct perf_slot *)(uintptr_t)cookie;
}

/* Submit took fewer I/Os than completed before: the queue is dead or being reset. */
static cold int end_early(struct perf_worker *worker)
{
	worker->code = -ENODEV;
	fail(&worker->why, -ENODEV, "queue %u takes no more I/Os", weir_nvme_qp_id(worker->qp));
	return -ENODEV;
}

/* Counts an I/O that failed and keeps the words of the worker's first. */
static cold void note_failure(struct perf_worker *worker, struct perf_slot *slot,
			      const struct weir_nvme_done *done)
{
	char text[128];

	if (!worker->failed++)
		fail(&worker->why, -EIO, "I/O of %" PRIu32 " blocks at LBA %" PRIu64 ": %s",
		     worker->perf->io_blocks, slot->lba,
		     weir_nvme_status_text(done, text, sizeof(text)));
	slot->start_ns = 0;
}

/* Compares what a read of --verify brought. */
static int check_read(struct perf_worker *worker, const struct perf_slot *slot)
{
	const struct perf *perf = worker->perf;
	struct pattern_difference where;

	if (pattern_check(slot->buffer, slot->lba, perf->io_blocks,
			  perf->target.ns_info.block_bytes, perf->config->seed, &where))
		return 0;
	worker->code = -EILSEQ;
	return fail(&worker->why, -EILSEQ,
		    "wrong data at LBA %" PRIu64 ", byte %" PRIu32 ": expected %016" PRIx64
		    ", found %016" PRIx64 "%s",
		    where.lba, where.offset, where.expected, where.found,
		    perf_writes(perf->config) ? ""
					      : " (was it written with --verify and this seed?)");
}

/*
 * The next I/O of a slot with --verify: a write that succeeded is read back, a read is compared;
 * then the slot goes on somewhere else.
 */
static __attribute__((noinline)) int verify_next(struct perf_worker *worker, struct generator *gen,
						 bool random, struct perf_slot *slot, bool ok,
						 struct weir_nvme_io *io)
{
	const struct perf *perf = worker->perf;

	if (slot->opcode == WEIR_NVME_READ && ok && check_read(worker, slot))
		return worker->code;
	if (slot->opcode == WEIR_NVME_WRITE && ok) {
		slot->opcode = WEIR_NVME_READ;
	} else {
		slot->opcode = perf_writes(perf->config) ? WEIR_NVME_WRITE : WEIR_NVME_READ;
		slot->lba = next_lba(gen, random);
	}
	if (slot->opcode == WEIR_NVME_WRITE)
		pattern_fill(slot->buffer, slot->lba, perf->io_blocks,
			     perf->target.ns_info.block_bytes, perf->config->seed);
	else
		memset(slot->buffer, 0, perf->config->io_bytes);
	io->lba = slot->lba;
	io->opcode = (uint8_t)slot->opcode;
	return 0;
}

/* Composes the next I/O of a slot whose last one succeeded or not. */
static expanded int next_io(struct perf_worker *worker, struct generator *gen,
			    struct perf_slot *slot, bool ok, struct weir_nvme_io *io,
			    const struct kind kind)
{
	io->data = slot->iova;
	io->cookie = (uintptr_t)slot;
	if (kind.verify)
		return verify_next(worker, gen, kind.random, slot, ok, io);
	if (kind.mixed)
		io->opcode = next_random(gen) < gen->read_below ? WEIR_NVME_READ : WEIR_NVME_WRITE;
	io->lba = next_lba(gen, kind.random);
	slot->lba = io->lba;
	return 0;
}

/* Submits the first n of the burst, noting the time for those that are timed. */
static expanded int submit_burst(struct perf_worker *worker, struct run *run, unsigned int n,
				 const struct kind kind)
{
	if (kind.time_all) {
		uint64_t now = clock_ns(CLOCK_MONOTONIC);

		for (unsigned int i = 0; i < n; i++)
			slot_of(worker->ios[i].cookie)->start_ns = now;
	} else if (unlikely(run->until_sample < n)) {
		slot_of(worker->ios[run->until_sample].cookie)->start_ns = clock_ns(
			CLOCK_MONOTONIC);
		run->until_sample += PERF_SAMPLE - n;
	} else {
		run->until_sample -= n;
	}
	if (unlikely(weir_nvme_submit(worker->qp, worker->perf->target.ns, worker->ios, n) !=
		     (int)n))
		return end_early(worker);
	return 0;
}

/* Records the latency of a completed I/O that was timed. `now` is read once per burst. */
static inline void record(struct perf_worker *worker, struct perf_slot *slot, uint64_t *now)
{
	if (!*now)
		*now = clock_ns(CLOCK_MONOTONIC);
	histogram_record(&worker->latency, *now - slot->start_ns);
	slot->start_ns = 0;
}

/* Takes n completions into account and submits as many I/Os. */
static expanded int turn_over(struct perf_worker *worker, struct run *run, unsigned int n,
			      const struct kind kind)
{
	/* A copy, which no store to an I/O can change: it stays in registers. */
	struct generator gen = run->gen;
	uint64_t failed = worker->failed, now = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct weir_nvme_done *done = &worker->done[i];
		struct perf_slot *slot = slot_of(done->cookie);
		bool ok = weir_nvme_ok(done);

		if (unlikely(!ok))
			note_failure(worker, slot, done);
		else if (kind.time_all || unlikely(slot->start_ns))
			record(worker, slot, &now);
		if (next_io(worker, &gen, slot, ok, &worker->ios[i], kind))
			return worker->code;
	}
	run->gen.state = gen.state;
	run->gen.position = gen.position;
	run->completed += n - (worker->failed - failed);
	return submit_burst(worker, run, n, kind);
}

/* Fills the queue. */
static expanded int fill_queue(struct perf_worker *worker, struct run *run, const struct kind kind)
{
	unsigned int depth = (unsigned int)worker->perf->config->depth, n;

	for (unsigned int i = 0; i < depth; i += n) {
		n = depth - i < PERF_BURST ? depth - i : PERF_BURST;
		for (unsigned int j = 0; j < n; j++) {
			if (next_io(worker, &run->gen, &worker->slots[i + j], true, &worker->ios[j],
				    kind))
				return worker->code;
		}
		if (submit_burst(worker, run, n, kind))
			return worker->code;
	}
	return 0;
}

/* Time-outs, the count that the main thread shows, and politeness. */
static cold void look_around(struct perf_worker *worker, struct run *run)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC_COARSE);

	if (run->turn - run->busy_turn >= PERF_IDLE_TURNS)
		sched_yield();
	if (now - run->swept_ns < PERF_SWEEP_NS)
		return;
	run->swept_ns = now;
	weir_nvme_sweep(worker->qp, now);
	atomic_store_explicit(&worker->completed, run->completed, memory_order_relaxed);
}

static expanded void run_loop(struct perf_worker *worker, struct run *run, const struct kind kind)
{
	const atomic_bool *stop = &worker->perf->stop;

	if (fill_queue(worker, run, kind))
		return;
	atomic_fetch_add(&worker->perf->nr_running, 1);
	while (!atomic_load_explicit(stop, memory_order_relaxed)) {
		int n = weir_nvme_poll(worker->qp, worker->done, PERF_BURST);

		if (n > 0) {
			run->busy_turn = run->turn;
			if (unlikely(turn_over(worker, run, (unsigned int)n, kind)))
				return;
		} else if (unlikely(n < 0)) {
			end_early(worker);
			return;
		}
		if (unlikely(++run->turn % PERF_TURNS == 0))
			look_around(worker, run);
	}
}

static void run_random(struct perf_worker *worker, struct run *run)
{
	run_loop(worker, run, (struct kind){ .random = true });
}

static void run_sequential(struct perf_worker *worker, struct run *run)
{
	run_loop(worker, run, (struct kind){ .random = false });
}

static void run_mixed(struct perf_worker *worker, struct run *run)
{
	run_loop(worker, run, (struct kind){ .random = true, .mixed = true });
}

/* With every I/O timed, or verified, the rest does not matter. */
static void run_other(struct perf_worker *worker, struct run *run)
{
	const struct perf_config *config = worker->perf->config;

	run_loop(worker, run,
		 (struct kind){
			 .random = config->rw >= PERF_RANDREAD,
			 .mixed = config->rw == PERF_RANDRW,
			 .time_all = config->latency,
			 .verify = config->verify,
		 });
}

/* Waits for what is in flight, so that the queue can be ended in order. */
static void drain(struct perf_worker *worker)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start;

	while (weir_nvme_qp_inflight(worker->qp) && now - start < PERF_DRAIN_NS) {
		if (weir_nvme_poll(worker->qp, worker->done, PERF_BURST) < 0)
			return;
		sched_yield();
		now = clock_ns(CLOCK_MONOTONIC);
		weir_nvme_sweep(worker->qp, now);
	}
	if (weir_nvme_qp_inflight(worker->qp) && !worker->code) {
		worker->code = -ETIMEDOUT;
		fail(&worker->why, -ETIMEDOUT, "%u I/Os of queue %u did not complete within 10 s",
		     weir_nvme_qp_inflight(worker->qp), weir_nvme_qp_id(worker->qp));
	}
}

/* What is the same in all I/Os. */
static void prepare_burst(struct perf_worker *worker)
{
	memset(worker->ios, 0, sizeof(worker->ios));
	for (unsigned int i = 0; i < PERF_BURST; i++) {
		worker->ios[i].opcode = perf_writes(worker->perf->config) ? WEIR_NVME_WRITE
									  : WEIR_NVME_READ;
		worker->ios[i].blocks = worker->perf->io_blocks;
	}
}

void *perf_worker_main(void *arg)
{
	struct perf_worker *worker = arg;
	struct perf *perf = worker->perf;
	const struct perf_config *config = perf->config;
	struct run run = { .until_sample = PERF_SAMPLE / 2 };
	uint64_t start;

	generator_init(&run.gen, worker);
	prepare_burst(worker);
	while (sem_wait(&perf->start))
		;
	/* Another thread could not be started. */
	if (atomic_load(&perf->stop))
		return NULL;
	start = clock_ns(CLOCK_MONOTONIC);
	if (config->latency || config->verify)
		run_other(worker, &run);
	else if (config->rw == PERF_RANDRW)
		run_mixed(worker, &run);
	else if (config->rw >= PERF_RANDREAD)
		run_random(worker, &run);
	else
		run_sequential(worker, &run);
	worker->elapsed_ns = clock_ns(CLOCK_MONOTONIC) - start;
	atomic_store(&worker->completed, run.completed);
	if (worker->code)
		atomic_store(&perf->stop, true);
	drain(worker);
	return NULL;
}
