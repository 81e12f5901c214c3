/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread_steps THREAD STEPS
 *
 * Counts what a thread of any process executes, by running it one instruction at a time, and where:
 * in the program itself or in which library. It says "stopped" when the thread is, and takes the
 * steps when it is sent a line; then it prints the counts as JSON and lets the thread go when it is
 * sent another. Whoever runs it can look at what else the process counts, at standstill, before and
 * after.
 *
 * The thread is one that does the same thing over and over. It is run as many steps first, and then
 * on to the instruction that it came by least often, but several times: where its turns begin, or
 * anything else that is done once in a turn. There it is stopped, and there the count ends, after
 * at least so many steps: it is one of whole turns.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define MAX_AREAS 512
#define PLACES (1u << 16) /* different instructions of a turn, several times over */
#define MIN_TURNS 3u

/* Executable memory of the process, and the instructions in it. */
struct area {
	uintptr_t begin, end;
	char path[256];
	uint64_t steps;
};

/* An instruction, and how often the thread came by. */
struct place {
	uintptr_t at;
	uint64_t visits;
};

struct tracer {
	pid_t thread;
	struct place places[PLACES];
	size_t nr_places;
	struct area areas[MAX_AREAS];
	size_t nr, last; /* areas, and the one of the last step */
	uint64_t elsewhere;
};

static bool read_areas(struct tracer *t)
{
	char path[64], line[512], access[5];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)t->thread);
	maps = fopen(path, "re");
	if (!maps)
		return false;
	while (t->nr < MAX_AREAS && fgets(line, sizeof(line), maps)) {
		struct area *area = &t->areas[t->nr];

		*area = (struct area){ .path = "anonymous" };
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %*s %255s", &area->begin,
			   &area->end, access, area->path) >= 3 &&
		    access[2] == 'x')
			t->nr++;
	}
	fclose(maps);
	return t->nr > 0;
}

static void count_step(struct tracer *t, uintptr_t at)
{
	for (size_t i = 0; i < t->nr; i++) {
		struct area *area = &t->areas[(t->last + i) % t->nr];

		if (at >= area->begin && at < area->end) {
			t->last = (t->last + i) % t->nr;
			area->steps++;
			return;
		}
	}
	t->elsewhere++;
}

/* A step is two switches between threads: they are cheapest on one core. */
static void share_core(pid_t thread)
{
	cpu_set_t cpus;

	if (!sched_getaffinity(thread, sizeof(cpus), &cpus))
		sched_setaffinity(0, sizeof(cpus), &cpus);
}

static bool stop(const struct tracer *t)
{
	int status;

	return !ptrace(PTRACE_SEIZE, t->thread, NULL, NULL) &&
	       !ptrace(PTRACE_INTERRUPT, t->thread, NULL, NULL) &&
	       waitpid(t->thread, &status, __WALL) == t->thread && WIFSTOPPED(status);
}

static uintptr_t program_counter(const struct tracer *t)
{
	return (uintptr_t)ptrace(PTRACE_PEEKUSER, t->thread, offsetof(struct user_regs_struct, rip),
				 NULL);
}

/* One instruction. A signal that comes meanwhile is handed on. */
static bool step(const struct tracer *t)
{
	long signal = 0;
	int status;

	do {
		if (ptrace(PTRACE_SINGLESTEP, t->thread, NULL, signal) ||
		    waitpid(t->thread, &status, __WALL) != t->thread || !WIFSTOPPED(status))
			return false;
		signal = status >> 16 || WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
	} while (status >> 16 || signal);
	return true;
}

static bool visit(struct tracer *t, uintptr_t at)
{
	size_t i = at * UINT64_C(0x9e3779b97f4a7c15) >> 48;

	while (t->places[i].visits && t->places[i].at != at)
		i = (i + 1) % PLACES;
	if (!t->places[i].visits && ++t->nr_places == PLACES / 2)
		return false;
	t->places[i].at = at;
	t->places[i].visits++;
	return true;
}

/* Runs the thread, and stops it where a turn begins. 0: there are no turns, or it is gone. */
static uintptr_t find_turn(struct tracer *t, uint64_t steps)
{
	const struct place *rarest = NULL;

	for (uint64_t i = 0; i < steps; i++) {
		if (!visit(t, program_counter(t)) || !step(t))
			return 0;
	}
	for (size_t i = 0; i < PLACES; i++) {
		const struct place *place = &t->places[i];

		if (place->visits >= MIN_TURNS && (!rarest || place->visits < rarest->visits))
			rarest = place;
	}
	while (rarest && program_counter(t) != rarest->at) {
		if (!step(t))
			return 0;
	}
	return rarest ? rarest->at : 0;
}

/* Whole turns, and at least so many steps. Returns how many, or 0. */
static uint64_t count_turns(struct tracer *t, uintptr_t turn, uint64_t min_steps)
{
	uintptr_t at = turn;
	uint64_t steps = 0;

	do {
		count_step(t, at);
		if (!step(t))
			return 0;
		at = program_counter(t);
		steps++;
	} while (steps < min_steps || at != turn);
	return steps;
}

static bool wait_for_line(void)
{
	char line[16];

	return fgets(line, sizeof(line), stdin) != NULL;
}

/* The paths are files' names as the kernel shows them; none that needs quoting is measured here. */
static void report(const struct tracer *t, uint64_t steps)
{
	printf("{\"steps\": %" PRIu64 ", \"areas\": [", steps);
	for (size_t i = 0; i < t->nr; i++) {
		if (t->areas[i].steps)
			printf("{\"path\": \"%s\", \"steps\": %" PRIu64 "}, ", t->areas[i].path,
			       t->areas[i].steps);
	}
	printf("{\"path\": \"elsewhere\", \"steps\": %" PRIu64 "}]}\n", t->elsewhere);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct tracer t;
	uint64_t steps;
	uintptr_t turn;

	if (argc != 3) {
		fprintf(stderr, "Usage: thread_steps THREAD STEPS\n");
		return 2;
	}
	t.thread = atoi(argv[1]);
	steps = strtoull(argv[2], NULL, 0);
	share_core(t.thread);
	if (!read_areas(&t) || !stop(&t)) {
		fprintf(stderr, "thread_steps: cannot trace thread %s: %s\n", argv[1],
			strerror(errno));
		return 1;
	}
	turn = find_turn(&t, steps);
	if (!turn) {
		fprintf(stderr,
			"thread_steps: thread %s does nothing over and over in %" PRIu64
			" steps, or is gone\n",
			argv[1], steps);
		return 1;
	}
	printf("stopped\n");
	fflush(stdout);
	if (!wait_for_line())
		return 1;
	steps = count_turns(&t, turn, steps);
	if (!steps) {
		fprintf(stderr, "thread_steps: thread %s is gone\n", argv[1]);
		return 1;
	}
	report(&t, steps);
	wait_for_line();
	return ptrace(PTRACE_DETACH, t.thread, NULL, NULL) ? 1 : 0;
}
