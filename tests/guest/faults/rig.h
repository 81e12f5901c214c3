/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a fault is tried. An ordinary user's process, the worker, has two drives in one I/O address
 * space: the victim, whose load runs in a thread of its own, and the bystander, whose load nothing
 * may disturb. Meanwhile root does something to the victim. Both sides tell each other in shared
 * memory how far they are. Where the worker lives on, it has in the end what it had at first:
 * descriptors, mappings, locked memory.
 *
 * Everything is counted, seeded, and bounded in time: what does not come within RIG_PATIENCE_S is a
 * failure, never a hang.
 */
#ifndef WEIR_TESTS_FAULTS_RIG_H
#define WEIR_TESTS_FAULTS_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/hotplug.h>
#include <weir/nvme.h>

#include "../../sim/load.h"
#include "machine.h"

#define RIG_PATIENCE_S 120

/* The arena is one, and the limit of locked memory leaves no room for a second: whatever is not
 * given back is missed at once. */
#define RIG_ARENA_BYTES (UINT64_C(16) << 20)
#define RIG_MEMLOCK_BYTES (UINT64_C(24) << 20)

struct rig {
	const char *transport;
	uint32_t seed;
	uid_t user;
	gid_t group;
	struct load victim_load, bystander_load;
	pid_t worker;
	_Atomic unsigned int worker_at, machine_at; /* how far each side is; counts up */
	char error[400]; /* of whoever failed first; "": nobody */
	char figures[200]; /* what a check that passed has to tell */

	/* The worker's own. */
	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct weir_mapping *mapping;
	struct weir_device *victim_dev, *bystander_dev;
	struct weir_nvme *victim, *bystander; /* NULL: closed */
	struct weir_hotplug *hotplug;
	uint32_t seen; /* bits: events of the victim, by enum weir_nvme_event_type */
	uint32_t hotplug_seen; /* bits: events of the victim's address, by enum weir_hotplug_type */
};

/* A fault: what each side does. A side that fails does not return. */
struct rig_fault {
	const char *name;
	void (*worker)(struct rig *rig);
	void (*machine)(struct rig *rig);
	bool fault_guard; /* the worker has it on */
};

/* Memory that both sides see. NULL: no memory. */
struct rig *rig_new(const char *transport, uint32_t seed, const char *user);
void rig_free(struct rig *rig);

/* Tries a fault. false: rig->error says what went wrong. */
bool rig_try(struct rig *rig, const struct rig_fault *fault);

/* The same for a fault that is no story of two sides: `run`, as root, has workers as it likes. */
bool rig_conduct(struct rig *rig, void (*run)(struct rig *rig));

/* Ends this side with an error. */
void rig_fail(struct rig *rig, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
#define rig_must(rig, condition, ...) \
	do { \
		if (!(condition)) \
			rig_fail(rig, __VA_ARGS__); \
	} while (0)

uint64_t rig_now_ms(void);
/* What a worker does while it waits: events, and the bystander's load. */
void rig_turn(struct rig *rig);
#define rig_wait_until(rig, condition, what) \
	do { \
		uint64_t rig_deadline = rig_now_ms() + RIG_PATIENCE_S * UINT64_C(1000); \
\
		while (!(condition)) { \
			rig_turn(rig); \
			rig_must(rig, rig_now_ms() < rig_deadline, "%s: not within %d s", what, \
				 RIG_PATIENCE_S); \
		} \
	} while (0)

/* The worker tells that it is at `step`, or waits until the machine side is; and the other way
 * round. */
void rig_worker_reach(struct rig *rig, unsigned int step);
void rig_worker_await(struct rig *rig, unsigned int step);
void rig_machine_reach(struct rig *rig, unsigned int step);
void rig_machine_await(struct rig *rig, unsigned int step);

/* In a process of its own, as the ordinary user: opens everything, calls `run`, closes everything.
 * Returns its id. */
pid_t rig_fork_worker(struct rig *rig, void (*run)(struct rig *rig), bool fault_guard);
/* Its end. 0: in order; a signal's number; or -1, and rig->error. */
int rig_wait_worker(struct rig *rig, pid_t pid);

/* The victim, opened and closed by the worker. */
void rig_open_victim(struct rig *rig);
void rig_close_victim(struct rig *rig);
/* -errno of an attempt to open it that has to fail; 0: it was opened. */
int rig_try_victim(struct rig *rig, struct weir_error *err);

/* Starts the load on the victim, in its thread, and waits until it is under way: I/Os are out, and
 * as many were done as the seed says. */
void rig_start_load(struct rig *rig);
/* Waits until the load has done so many more. */
void rig_more_load(struct rig *rig, uint64_t ios);
/* Ends the load with nothing in flight, every cookie back and everything as it was written. */
void rig_end_load(struct rig *rig);
/* The load's thread has ended because the queue is dead, with every cookie back. */
void rig_end_dead_load(struct rig *rig);
/* Goes on with the load on the victim, which was opened anew: what it acknowledged is there. */
void rig_resume_load(struct rig *rig);

#endif
