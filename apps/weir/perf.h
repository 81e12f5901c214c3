/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir nvme perf: one thread per queue pair keeps a fixed number of I/Os in flight.
 *
 * perf_loop.c is the thread, perf_run.c makes and joins the threads, perf_report.c prints. The main
 * thread serves the device's events and says when to stop.
 */
#ifndef WEIR_APPS_PERF_H
#define WEIR_APPS_PERF_H

#include "histogram.h"
#include "parse.h"
#include "target.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Of so many I/Os one is timed, unless all are. */
#define PERF_SAMPLE 64
/* Completions taken, and I/Os submitted, at once: at most PERF_SAMPLE, so that a burst holds at
 * most one timed I/O. */
#define PERF_BURST 64

enum perf_rw { PERF_READ, PERF_WRITE, PERF_RANDREAD, PERF_RANDWRITE, PERF_RANDRW };

struct perf_config {
	uint64_t nsid;
	unsigned int rw; /* enum perf_rw */
	uint64_t io_bytes;
	uint64_t depth;
	uint64_t queues;
	uint64_t time_ms;
	uint64_t read_percent; /* PERF_RANDRW */
	uint64_t seed;
	unsigned int latency; /* 0: sampled, 1: every I/O */
	struct cpu_list cpus; /* none: threads are not pinned */
	bool verify;
	bool yes;
	bool json;
};

/* A place in the queue: one buffer and the I/O that uses it now. Its address is the I/O's cookie.
 */
struct perf_slot {
	uint64_t iova;
	uint64_t start_ns; /* when the I/O was submitted; 0: it is not timed */
	uint64_t lba;
	void *buffer;
	unsigned int opcode; /* --verify: of the I/O in flight; 0: none yet */
};

struct perf;

struct perf_worker {
	/* Set up by the main thread. */
	struct perf *perf;
	struct weir_nvme_qp *qp;
	struct perf_slot *slots; /* perf_config::depth of them */
	uint64_t first_lba; /* the part of the namespace that is this worker's */
	uint64_t positions; /* I/Os that fit there */
	unsigned int index;
	pthread_t thread;
	bool started;

	/* Written by the worker, read by the main thread after the join. */
	struct histogram latency;
	uint64_t elapsed_ns;
	uint64_t failed; /* I/Os that ended with an error */
	int code; /* a negative errno: the worker ended early, for the reason in `why` */
	struct weir_error why;

	/* I/Os that succeeded, as known about ten times a second. */
	_Alignas(128) _Atomic uint64_t completed;

	/* The loop's own. */
	_Alignas(128) struct weir_nvme_io ios[PERF_BURST];
	struct weir_nvme_done done[PERF_BURST];
};

struct perf {
	const struct perf_config *config;
	struct target target;
	uint32_t io_blocks;
	struct perf_worker *workers; /* perf_config::queues of them */
	sem_t start; /* posted once for each worker */
	atomic_uint
		nr_running; /* workers that have filled their queue: time counts from the last */
	uint64_t elapsed_ns; /* set by the main thread */
	bool interrupted; /* by a signal */
	bool ended_early; /* by a failure */
	_Alignas(128) atomic_bool stop; /* read by the workers in each turn */
};

static inline bool perf_writes(const struct perf_config *config)
{
	return config->rw == PERF_WRITE || config->rw == PERF_RANDWRITE ||
	       config->rw == PERF_RANDRW;
}

/* The body of a worker's thread; `arg` is the worker. */
void *perf_worker_main(void *arg);

/* Takes memory for queues and buffers: bytes for perf_prepare() to succeed. */
uint64_t perf_arena_bytes(const struct perf_config *config);

/* Makes queue pairs, buffers and workers on an open target. End them with perf_end(), also after a
 * failure. */
int perf_prepare(struct perf *perf, struct weir_error *err);
void perf_end(struct perf *perf);

/* Runs until the time is over, a signal comes or something fails; the results are valid then in any
 * case. */
int perf_run(struct perf *perf, struct weir_error *err);

/* What all workers did. */
struct perf_result {
	uint64_t ios, failed;
	double iops, seconds;
	struct histogram latency;
};

void perf_collect(const struct perf *perf, struct perf_result *result);

/* Prints the result; in JSON together with the failure, NULL for none. */
void perf_print(const struct perf *perf, const struct perf_result *result);
int perf_print_json(const struct perf *perf, const struct perf_result *result, const char *failure,
		    struct weir_error *err);

#endif
