/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define SHARED_FILES 2
#define TURN_US 50000
/* What a worker does, and the milliseconds in which it may. */
#define LEAST_ROUNDS 50
#define MOST_ROUNDS 1000
#define LONGEST_LIFE 60000
#define GRACE 15000 /* that a worker has to end by itself */

struct worker {
	pid_t process;
	unsigned int count; /* that have been here */
	unsigned int rounds; /* after which it is to be asked to end, or killed */
	int64_t asked; /* when it is at the latest */
	bool kill;
	bool is_asked;
};

static struct worker workers[MAX_WORKERS];
static struct fuzz_thread self;
static uint64_t herd_seed;
static int containers[SHARED_FILES], contexts[SHARED_FILES];

struct fuzz_slot *fuzz_slot_of(unsigned int worker, unsigned int thread)
{
	return &the_shared->slots[worker * SLOTS_OF_WORKER + thread];
}

/* The last one, if there is one: who works from outside. */
static bool is_outsider(unsigned int number)
{
	return the_options.sysfs && number == the_options.workers;
}

static void start(unsigned int number)
{
	struct worker *worker = &workers[number];
	/* Whenever it is started, its numbers are the same. */
	uint64_t seed = fuzz_mix(fuzz_mix(herd_seed, number), worker->count);
	pid_t child;

	atomic_store(&the_shared->stop[number], false);
	atomic_store(&the_shared->rounds[number], 0);
	child = fork();
	if (child < 0)
		return;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (is_outsider(number)) {
			for (unsigned int i = 0; i < SHARED_FILES; i++) {
				close(containers[i]);
				close(contexts[i]);
			}
			fuzz_outsider(number, seed);
		}
		fuzz_worker(number, seed, containers, contexts, SHARED_FILES);
	}
	worker->process = child;
	worker->count++;
	worker->rounds = LEAST_ROUNDS + (unsigned int)(seed % (MOST_ROUNDS - LEAST_ROUNDS));
	worker->asked = is_outsider(number) ? INT64_MAX : fuzz_now() + LONGEST_LIFE;
	worker->kill = (seed >> 32) % 3 == 0;
	worker->is_asked = false;
	atomic_fetch_add(&the_shared->workers, !is_outsider(number));
}

static void forget(pid_t process)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (atomic_load(&the_shared->slots[i].process) == process)
			atomic_store(&the_shared->slots[i].process, 0);
	}
	for (unsigned int i = 0; i < MAX_WORKERS; i++) {
		if (workers[i].process == process)
			workers[i].process = 0;
	}
}

/* Workers, and children of those that were killed. */
static void reap(void)
{
	pid_t process;
	int status;

	while ((process = waitpid(-1, &status, WNOHANG)) > 0) {
		fuzz_note_end(process, status);
		forget(process);
	}
}

static void kill_worker(unsigned int number)
{
	int64_t now = fuzz_now();

	for (unsigned int i = 0; i < SLOTS_OF_WORKER; i++)
		atomic_store(&fuzz_slot_of(number, i)->killed, now);
	fuzz_begin(&self, KILL_WORKER);
	fuzz_end(&self, fuzz_errno(kill(workers[number].process, SIGKILL)));
	workers[number].asked = INT64_MAX;
	workers[number].is_asked = true;
}

static void look_after(unsigned int number, bool ending)
{
	struct worker *worker = &workers[number];
	int64_t now = fuzz_now();

	if (!worker->process) {
		if (!ending)
			start(number);
		return;
	}
	/* Who works from outside may be waiting for the others: it is never killed. */
	if (!worker->is_asked &&
	    (ending || atomic_load(&the_shared->rounds[number]) >= worker->rounds))
		worker->asked = now;
	if (worker->asked > now)
		return;
	if (!is_outsider(number) && (worker->kill || worker->is_asked)) {
		kill_worker(number);
		return;
	}
	atomic_store(&the_shared->stop[number], true);
	worker->is_asked = true;
	worker->asked = is_outsider(number) ? INT64_MAX : now + GRACE;
}

static bool alone(void)
{
	for (unsigned int i = 0; i < MAX_WORKERS; i++) {
		if (workers[i].process)
			return false;
	}
	return true;
}

static void open_files(void)
{
	for (unsigned int i = 0; i < SHARED_FILES; i++) {
		containers[i] = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
		contexts[i] = open("/dev/iommu", O_RDWR | O_CLOEXEC);
		if (containers[i] < 0 || contexts[i] < 0)
			_exit(1);
	}
}

static void close_files(void)
{
	for (unsigned int i = 0; i < SHARED_FILES; i++) {
		fuzz_begin(&self, CLOSE);
		fuzz_end(&self, fuzz_errno(close(containers[i])));
		fuzz_begin(&self, CLOSE);
		fuzz_end(&self, fuzz_errno(close(contexts[i])));
	}
}

void fuzz_herd(unsigned int generation, int64_t until)
{
	unsigned int all = the_options.workers + the_options.sysfs;
	bool ending = false;
	pid_t process;
	int status;

	herd_seed = fuzz_mix(the_options.seed, generation);
	self.slot = &the_shared->slots[SLOTS - 1];
	atomic_store(&self.slot->since, 0);
	atomic_store(&self.slot->killed, 0);
	atomic_store(&self.slot->thread, getpid());
	atomic_store(&self.slot->process, getpid());
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	open_files();
	while (!ending || !alone()) {
		if (!ending && fuzz_now() >= until) {
			ending = true;
			atomic_store(&self.slot->killed, fuzz_now());
		}
		for (unsigned int i = 0; i < all; i++)
			look_after(i, ending);
		usleep(TURN_US);
		reap();
	}
	/* Orphans, who were killed with their parents. */
	while ((process = wait(&status)) > 0) {
		fuzz_note_end(process, status);
		forget(process);
	}
	close_files();
	atomic_store(&self.slot->process, 0);
	_exit(0);
}
