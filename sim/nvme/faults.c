/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes wrong on purpose: how it is asked for, and how it is done. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nvme/controller.h"
#include "server/faults.h"

/* Commands held back at most; what is over it is dropped beyond an Abort's reach. */
#define HELD_MAX 4096

#define FAULT(name, member, type) \
	{ \
		name, offsetof(struct sim_nvme_options, faults.member), type \
	}

static const struct sim_fault fault_names[] = {
	FAULT("drop-every", drop_every, SIM_FAULT_U64),
	FAULT("delay-every", delay_every, SIM_FAULT_U64),
	FAULT("delay-us", delay_us, SIM_FAULT_U32),
	FAULT("status-every", status_every, SIM_FAULT_U64),
	FAULT("status", status, SIM_FAULT_U15),
	FAULT("wrong-cid-every", wrong_cid_every, SIM_FAULT_U64),
	FAULT("duplicate-cid-every", duplicate_cid_every, SIM_FAULT_U64),
	FAULT("unplug-after", unplug_after, SIM_FAULT_U64),
	FAULT("truncate-after", truncate_after, SIM_FAULT_U64),
	FAULT("fatal-after", fatal_after, SIM_FAULT_U64),
	FAULT("stuck-ready", stuck_ready, SIM_FAULT_FLAG),
	FAULT("stuck-disable", stuck_disable, SIM_FAULT_FLAG),
	FAULT("ignore-abort", ignore_abort, SIM_FAULT_FLAG),
	SIM_SERVER_FAULTS(offsetof(struct sim_nvme_options, server)),
};

int sim_nvme_parse_faults(const char *spec, struct sim_nvme_options *options,
			  struct weir_error *err)
{
	return sim_faults_parse(spec, fault_names, ARRAY_SIZE(fault_names), options, err);
}

/* Those that concern I/O commands. */
static bool faults_any(const struct sim_nvme_faults *faults)
{
	return faults->drop_every || faults->delay_every || faults->status_every ||
	       faults->wrong_cid_every || faults->duplicate_cid_every || faults->unplug_after ||
	       faults->truncate_after || faults->fatal_after;
}

int ctrl_faults_open(struct sim_nvme *nvme, struct weir_error *err)
{
	TAILQ_INIT(&nvme->held);
	TAILQ_INIT(&nvme->held_free);
	if (!faults_any(&nvme->options.faults))
		return 0;
	nvme->faults = &nvme->options.faults;
	nvme->held_entries = calloc(HELD_MAX, sizeof(*nvme->held_entries));
	if (!nvme->held_entries)
		return weir_error_set(err, -ENOMEM, "no memory for commands that are held back");
	for (unsigned int i = 0; i < HELD_MAX; i++)
		TAILQ_INSERT_TAIL(&nvme->held_free, &nvme->held_entries[i], link);
	return 0;
}

void ctrl_faults_close(struct sim_nvme *nvme)
{
	free(nvme->held_entries);
}

static void hold(struct sim_nvme *nvme, const struct ctrl_sq *sq, const struct nvme_sqe *sqe,
		 uint64_t due_ns)
{
	struct ctrl_held *held = TAILQ_FIRST(&nvme->held_free);

	if (!held)
		return;
	TAILQ_REMOVE(&nvme->held_free, held, link);
	held->sqe = *sqe;
	held->sqid = sq->qid;
	held->due_ns = due_ns;
	TAILQ_INSERT_TAIL(&nvme->held, held, link);
}

static void release(struct sim_nvme *nvme, struct ctrl_held *held)
{
	TAILQ_REMOVE(&nvme->held, held, link);
	TAILQ_INSERT_HEAD(&nvme->held_free, held, link);
}

unsigned int ctrl_held_run(struct sim_nvme *nvme)
{
	uint64_t now = weir_now_ns();
	struct ctrl_held *held = TAILQ_FIRST(&nvme->held), *next;
	unsigned int done = 0;

	for (; held && nvme->running; held = next) {
		struct ctrl_sq *sq = &nvme->sqs[held->sqid];
		struct nvme_sqe sqe = held->sqe;

		next = TAILQ_NEXT(held, link);
		if (!held->due_ns || held->due_ns > now || !ctrl_cq_room(nvme, sq->cq, 1))
			continue;
		release(nvme, held);
		ctrl_io_run(nvme, sq, &sqe);
		ctrl_interrupt(nvme, sq->cq);
		done++;
	}
	return done;
}

bool ctrl_held_abort(struct sim_nvme *nvme, uint16_t sqid, uint16_t cid)
{
	struct ctrl_sq *sq = &nvme->sqs[sqid];
	struct ctrl_held *held = TAILQ_FIRST(&nvme->held);

	while (held && (held->sqid != sqid || held->sqe.cid != cid))
		held = TAILQ_NEXT(held, link);
	if (!held || !ctrl_cq_room(nvme, sq->cq, 1))
		return false;
	ctrl_io_complete(nvme, sq, &held->sqe, cid, NVME_ABORT_REQUESTED);
	release(nvme, held);
	ctrl_interrupt(nvme, sq->cq);
	return true;
}

void ctrl_held_forget(struct sim_nvme *nvme, uint16_t sqid)
{
	struct ctrl_held *held = TAILQ_FIRST(&nvme->held), *next;

	for (; held; held = next) {
		next = TAILQ_NEXT(held, link);
		if (sqid == CTRL_QUEUE_PAIRS || held->sqid == sqid)
			release(nvme, held);
	}
}

/* The file behind BAR 0 ends; the client's next access to it faults. This side keeps pages of its
 * own in its place, in which no doorbell moves any more. */
static void truncate_bar(struct sim_nvme *nvme)
{
	void *kept = mmap(NULL, nvme->bar_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (kept == MAP_FAILED) {
		ctrl_fatal(nvme, "no memory to keep BAR 0 in");
		return;
	}
	memcpy(kept, nvme->bar, nvme->bar_bytes);
	if (mremap(kept, nvme->bar_bytes, nvme->bar_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
		   nvme->bar) == MAP_FAILED ||
	    ftruncate(nvme->bar_fd, 0) < 0)
		ctrl_fatal(nvme, "the file of BAR 0 cannot be cut");
}

static bool due(uint64_t every, uint64_t count)
{
	return every && count % every == 0;
}

void ctrl_faults_run(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct nvme_sqe *sqe)
{
	const struct sim_nvme_faults *faults = nvme->faults;
	uint64_t count = ++nvme->fault_commands;

	if (count == faults->unplug_after) {
		nvme->running = false;
		sim_server_unplug(nvme->server);
		return;
	}
	if (count == faults->truncate_after)
		truncate_bar(nvme);
	if (faults->fatal_after && count >= faults->fatal_after) {
		ctrl_fatal(nvme, "asked for by a fault");
		return;
	}
	if (due(faults->drop_every, count)) {
		hold(nvme, sq, sqe, 0);
		return;
	}
	if (due(faults->delay_every, count)) {
		hold(nvme, sq, sqe, weir_now_ns() + faults->delay_us * UINT64_C(1000));
		return;
	}
	if (due(faults->status_every, count)) {
		ctrl_io_complete(nvme, sq, sqe, sqe->cid, faults->status);
		return;
	}
	if (due(faults->wrong_cid_every, count)) {
		ctrl_io_complete(nvme, sq, sqe, sqe->cid | 0x8000, NVME_SUCCESS);
		return;
	}
	ctrl_io_run(nvme, sq, sqe);
	if (due(faults->duplicate_cid_every, count) && ctrl_cq_room(nvme, sq->cq, 1))
		ctrl_io_complete(nvme, sq, sqe, sqe->cid, NVME_SUCCESS);
}
