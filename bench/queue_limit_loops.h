/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two loops of queue_limit, compiled once for the plain machine and once for 64-byte stores:
 * the compiler takes a vector apart before it makes clones of a function, so a file is compiled
 * twice.
 */
#ifndef WEIR_BENCH_QUEUE_LIMIT_LOOPS_H
#define WEIR_BENCH_QUEUE_LIMIT_LOOPS_H

#include <stdbool.h>
#include <stdint.h>

#define ENTRIES 1024u
#define BURST 32u
#define LINES 128 /* bytes that prefetchers move together */

typedef uint64_t sqe __attribute__((vector_size(64)));
typedef uint32_t cqe __attribute__((vector_size(16)));

/* What both sides see. */
struct shared {
	sqe sq[ENTRIES];
	cqe cq[ENTRIES];
	volatile uint32_t tail __attribute__((aligned(LINES)));
	volatile bool stop __attribute__((aligned(LINES)));
};

/* The host's own: no line of it is shared with the device. */
struct host {
	struct shared *shared;
	uint64_t lba;
	uint32_t tail;
	uint32_t head;
	uint32_t phase;
	uint32_t inflight;
};

/* The device's side, until shared->stop. */
typedef void serve_loop(struct shared *shared);
/* The host's side: entries per second at a depth. */
typedef double host_loop(struct host *host, uint32_t depth, double seconds);

serve_loop serve_plain, serve_wide;
host_loop run_plain, run_wide;

#endif
