/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load on one queue pair that knows what has to come back: each cookie exactly once, and in each
 * block what was written there last.
 *
 * The load works on regions of a few blocks each, one I/O at a time on a region. Every block it
 * writes carries its region, a version and a checksum. A write that ended badly may or may not have
 * been done, block by block, so each region has the oldest and the newest version that may be
 * there. What a flush covered is durable: no block may ever be older.
 *
 * A load belongs to one thread at a time.
 */
#ifndef WEIR_TESTS_LOAD_H
#define WEIR_TESTS_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <weir/nvme.h>

#define LOAD_MAX_DEPTH 512
#define LOAD_REGIONS 1024

/* What a load's thread does. */
enum load_order {
	LOAD_RUN,
	LOAD_IDLE, /* submits no more, polls on */
	LOAD_END, /* drains and ends */
};

struct load_region {
	uint32_t oldest, newest; /* versions that may be there; the same when it is known */
	uint32_t durable; /* covered by a flush */
	uint32_t flushing; /* covered by the flush that is under way */
	bool busy;
};

struct load_io {
	uint64_t cookie;
	uint8_t *data; /* in the arena */
	uint8_t opcode;
	uint8_t flags;
	uint16_t region;
	uint32_t version;
	bool busy;
};

struct load_options {
	unsigned int depth; /* of the queue pair, and I/Os in flight; 0: 32 */
	uint64_t lba; /* where its regions begin */
	uint32_t region_blocks; /* 0: as many as 4 KiB hold, at least 1 */
	unsigned int regions; /* 0: LOAD_REGIONS */
	unsigned int flush_every; /* I/Os between flushes; 0: no flush */
	uint32_t seed;
	bool reads_only; /* of what was written before */
	bool no_data; /* the namespace keeps nothing: only cookies are checked */
	bool no_events; /* somebody else calls weir_nvme_events() */
	bool allow_status; /* error statuses of the controller are counted, not failures */
};

struct load {
	struct load_options options;
	struct weir_nvme *nvme;
	struct weir_nvme_qp *qp;
	const struct weir_nvme_ns *ns;
	uint32_t nsid, block_bytes, io_bytes;
	struct load_region regions[LOAD_REGIONS];
	struct load_io ios[LOAD_MAX_DEPTH];
	uint8_t *data; /* of all ios */
	uint64_t next_cookie;
	unsigned int inflight;
	unsigned int since_flush;
	bool flushing;
	uint64_t random;
	uint64_t next_sweep;
	/* results */
	uint64_t submitted, done, failed, reset, gone;
	uint64_t last_status;
	_Atomic uint64_t progress; /* `done`, for other threads */
	_Atomic unsigned int outstanding; /* `inflight`, for other threads */
	_Atomic uint64_t turns; /* that are over */
	bool dead; /* the queue said -ENODEV */
	char error[256]; /* "": all is well */

	pthread_t thread;
	_Atomic enum load_order order;
	_Atomic bool idle; /* its thread has nothing in flight and submits nothing, or has ended */
};

/* Makes its queue pair and buffers. Returns 0 or a negative errno. The caller frees with load_end()
 * in any case. */
int load_begin(struct load *load, struct weir_nvme *nvme, const struct weir_nvme_ns *ns,
	       const struct load_options *options, struct weir_error *err);

/* Frees the buffers; the queue pair too, if the controller is still there. */
void load_end(struct load *load, bool with_queue);

/* Nothing is in flight any more: the drive was started or opened anew. `flushed_only`: what was not
 * flushed may be lost. */
void load_forget(struct load *load, bool flushed_only);

/* For a successor process, or a drive that was opened anew: the controller and queue pair are
 * others, the regions, and the I/Os in flight if there are any, are the same. */
void load_attach(struct load *load, struct weir_nvme *nvme, const struct weir_nvme_ns *ns,
		 struct weir_nvme_qp *qp, uint8_t *data);

/* One turn: submits as many as there is room for, polls once, sweeps now and then. Returns false
 * when the queue is dead or something is wrong (`error`). */
bool load_turn(struct load *load, bool submit);

/* Turns until at least so many I/Os were done since its begin. */
bool load_run(struct load *load, uint64_t ios);

/* Turns without submitting until nothing is in flight, at most `ms`. */
bool load_drain(struct load *load, unsigned int ms);

/* Reads every region that was written and checks it against what may be there. */
bool load_verify(struct load *load);

/* A thread that turns until load_stop(), which drains, or until the queue is dead. */
int load_thread_start(struct load *load);
void load_stop(struct load *load);

uint32_t load_random(struct load *load, uint32_t below);

#endif
