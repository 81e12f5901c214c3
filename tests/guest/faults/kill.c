/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process is killed under load and leaves everything as it is: nobody stops, unmaps or closes
 * anything. The next one opens the drives at its first attempt, under the same limit of locked
 * memory, finds what the one before was told is written, and is killed in turn.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "faults.h"

/* Rounds in which nothing was out do not count. */
#define TRIES (3 * FAULTS_ROUNDS)
#define LOADED 1

static void verify(struct rig *rig)
{
	if (rig->victim_load.done)
		rig_resume_load(rig);
}

/* Ends by being killed. Its load has a seed of its own: what others wrote is nothing to it. */
static void live(struct rig *rig)
{
	verify(rig);
	rig_start_load(rig);
	rig_worker_reach(rig, LOADED);
	for (;;)
		rig_turn(rig);
}

/* Returns how many I/Os were out. */
static unsigned int kill_one(struct rig *rig)
{
	struct load random = { .random = rig->seed };
	struct timespec pause = { 0 };
	int status;
	pid_t pid;

	atomic_store(&rig->worker_at, 0);
	pid = rig_fork_worker(rig, live, false);
	rig_must(rig, pid > 0, "no process");
	rig_machine_await(rig, LOADED);
	pause.tv_nsec = load_random(&random, 20000000);
	nanosleep(&pause, NULL);
	kill(pid, SIGKILL);
	rig_must(rig, waitpid(pid, &status, 0) == pid, "no end");
	rig_must(rig, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
		 "the process ended with %d before it was killed", status);
	rig_must(rig, !rig->victim_load.error[0], "the load was wrong before");
	/* Shared memory has the records as they were at that moment. */
	return rig->victim_load.inflight;
}

static void rounds(struct rig *rig)
{
	long pages = machine_free_huge_pages();
	unsigned int hits = 0, round = 0;
	uint64_t out = 0;

	while (hits < FAULTS_ROUNDS) {
		unsigned int inflight;

		rig_must(rig, ++round <= TRIES, "I/Os were out in %u of %u rounds only", hits,
			 TRIES);
		rig->seed += 2;
		inflight = kill_one(rig);
		out += inflight;
		hits += inflight > 0;
	}
	if (rig_wait_worker(rig, rig_fork_worker(rig, verify, false)))
		return;
	rig_must(rig, machine_free_huge_pages() == pages, "%ld of %ld huge pages are free",
		 machine_free_huge_pages(), pages);
	snprintf(rig->figures, sizeof(rig->figures), "%u rounds, %llu I/Os were out at them", round,
		 (unsigned long long)out);
}

bool faults_kill(struct rig *rig)
{
	return rig_conduct(rig, rounds);
}
