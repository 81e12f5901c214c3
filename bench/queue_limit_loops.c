/* SPDX-License-Identifier: BSD-3-Clause */
/* Compiled twice: VARIANT is plain or wide. */
#include "queue_limit_loops.h"

#include <time.h>

#define JOIN(name, variant) name##_##variant
#define NAME(name, variant) JOIN(name, variant)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void NAME(serve, VARIANT)(struct shared *shared)
{
	uint32_t head = 0, slot = 0, phase = 1;

	while (!shared->stop) {
		uint32_t tail = shared->tail;

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		while (head != tail) {
			uint32_t cid = (uint32_t)shared->sq[head][0] >> 16;
			uint32_t result = (uint32_t)shared->sq[head][5];

			head = (head + 1) % ENTRIES;
			shared->cq[slot] = (cqe){ result, 0, head, phase << 16 | cid };
			if (++slot == ENTRIES) {
				slot = 0;
				phase ^= 1;
			}
		}
	}
}

/* Dword 3 of a completion entry has the phase in bit 16 (NVMe 2.0 §4.2.3). */
static inline __attribute__((always_inline)) uint32_t reap(struct host *host, uint32_t max)
{
	const struct shared *shared = host->shared;
	uint32_t got = 0;

	while (got < max) {
		const volatile uint32_t *entry = (const volatile uint32_t *)&shared->cq[host->head];

		if ((entry[3] >> 16 & 1) != host->phase)
			break;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		got++;
		if (++host->head == ENTRIES) {
			host->head = 0;
			host->phase ^= 1;
		}
	}
	host->inflight -= got;
	return got;
}

/* Fills the queue to its depth, then rings once, if there is anything to ring for: an idle write
 * would take the line away from the side that polls it. */
static inline __attribute__((always_inline)) void fill(struct host *host, uint32_t depth)
{
	struct shared *shared = host->shared;
	uint32_t rung = host->tail;

	for (; host->inflight < depth; host->inflight++) {
		uint64_t first = UINT64_C(1) << 32 | host->tail << 16 | 2;

		shared->sq[host->tail] = (sqe){ first, 0, 0, host->lba * 4096, 0, host->lba, 7, 0 };
		host->lba++;
		host->tail = (host->tail + 1) % ENTRIES;
	}
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (host->tail != rung)
		shared->tail = host->tail;
}

/* Entries per second at a depth. */
double NAME(run, VARIANT)(struct host *host, uint32_t depth, double seconds)
{
	struct host mine = *host; /* in registers */
	double begin = now(), end;
	uint64_t done = 0;

	do {
		for (int i = 0; i < 2000; i++) {
			fill(&mine, depth);
			done += reap(&mine, BURST);
		}
		end = now();
	} while (end - begin < seconds);
	while (mine.inflight)
		reap(&mine, BURST);
	*host = mine;
	return (double)done / (end - begin);
}
