/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weir/fault_guard.h>

#include "../../sim/resources.h"

#define VICTIM_DEPTH 64
#define BYSTANDER_DEPTH 8
#define BYSTANDER_LBA 0x40000
#define REGIONS 256

struct rig *rig_new(const char *transport, uint32_t seed, const char *user)
{
	const struct passwd *entry = getpwnam(user);
	struct rig *rig;

	if (!entry)
		return NULL;
	rig = mmap(NULL, sizeof(*rig), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (rig == MAP_FAILED)
		return NULL;
	rig->transport = transport;
	rig->seed = seed;
	rig->user = entry->pw_uid;
	rig->group = entry->pw_gid;
	return rig;
}

void rig_free(struct rig *rig)
{
	munmap(rig, sizeof(*rig));
}

uint64_t rig_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void rig_fail(struct rig *rig, const char *format, ...)
{
	const char *load = rig->victim_load.error, *bystander = rig->bystander_load.error;
	size_t used;
	va_list args;

	if (!rig->error[0]) {
		va_start(args, format);
		vsnprintf(rig->error, sizeof(rig->error), format, args);
		va_end(args);
		used = strlen(rig->error);
		snprintf(rig->error + used, sizeof(rig->error) - used, "%s%s%s%s",
			 *load ? "; load: " : "", load, *bystander ? "; bystander: " : "",
			 bystander);
	}
	_exit(1);
}

static void take_events(struct rig *rig)
{
	struct weir_nvme_event events[8];
	int n;

	n = rig->victim ? weir_nvme_events(rig->victim, events, 8) : 0;
	for (int i = 0; i < n; i++)
		rig->seen |= 1u << events[i].type;
	n = weir_nvme_events(rig->bystander, events, 8);
	for (int i = 0; i < n; i++)
		rig_must(rig, events[i].type == WEIR_NVME_EVENT_ASYNC, "the bystander has event %u",
			 events[i].type);
}

static void take_hotplug(struct rig *rig)
{
	struct weir_hotplug_event events[8];
	int n = weir_hotplug_events(rig->hotplug, events, 8);

	rig_must(rig, n >= 0, "hotplug events: %s", strerror(-n));
	for (int i = 0; i < n; i++) {
		rig_must(rig, events[i].type != WEIR_HOTPLUG_MISSED, "hotplug events were missed");
		if (strcmp(events[i].address, machine_victim.address))
			continue;
		rig->hotplug_seen |= 1u << events[i].type;
		rig_must(rig,
			 events[i].type != WEIR_HOTPLUG_BOUND ||
				 !strcmp(events[i].driver, "vfio-pci"),
			 "the victim was bound to '%s'", events[i].driver);
	}
}

void rig_turn(struct rig *rig)
{
	/* The other side has failed and will not come. */
	if (rig->error[0])
		_exit(1);
	take_events(rig);
	take_hotplug(rig);
	rig_must(rig, load_turn(&rig->bystander_load, true), "the bystander is disturbed");
}

void rig_worker_reach(struct rig *rig, unsigned int step)
{
	atomic_store(&rig->worker_at, step);
}

void rig_worker_await(struct rig *rig, unsigned int step)
{
	rig_wait_until(rig, atomic_load(&rig->machine_at) >= step, "the machine's side");
}

void rig_machine_reach(struct rig *rig, unsigned int step)
{
	atomic_store(&rig->machine_at, step);
}

/* Whether a process is a child of ours that has ended; it stays to be waited for. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = { 0 };

	return pid && !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

void rig_machine_await(struct rig *rig, unsigned int step)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t deadline = rig_now_ms() + 2 * RIG_PATIENCE_S * UINT64_C(1000);

	while (atomic_load(&rig->worker_at) < step) {
		/* A worker that has failed says so itself. */
		if (rig->error[0])
			_exit(1);
		rig_must(rig, !has_ended(rig->worker), "the worker has ended before step %u", step);
		rig_must(rig, rig_now_ms() < deadline, "the worker did not come to step %u", step);
		nanosleep(&pause, NULL);
	}
}

static int open_drive(struct rig *rig, const char *address, struct weir_device **dev,
		      struct weir_nvme **nvme, struct weir_error *err)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	int ret;

	options.transport = rig->transport;
	ret = weir_device_open(address, rig->ioas, &options, dev, err);
	if (ret)
		return ret;
	ret = weir_nvme_create(*dev, rig->arena, NULL, nvme, err);
	if (ret)
		weir_device_close(*dev);
	return ret;
}

int rig_try_victim(struct rig *rig, struct weir_error *err)
{
	return open_drive(rig, machine_victim.address, &rig->victim_dev, &rig->victim, err);
}

void rig_open_victim(struct rig *rig)
{
	struct weir_error err;

	rig->seen = 0;
	if (rig_try_victim(rig, &err))
		rig_fail(rig, "opening the victim: %s", err.text);
}

void rig_close_victim(struct rig *rig)
{
	weir_nvme_close(rig->victim);
	weir_device_close(rig->victim_dev);
	rig->victim = NULL;
}

static void open_all(struct rig *rig)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	const struct load_options load = {
		.depth = BYSTANDER_DEPTH,
		.regions = REGIONS,
		.lba = BYSTANDER_LBA,
		.flush_every = 64,
		.seed = rig->seed + 1,
		.no_events = true,
	};
	struct weir_error err;

	rig->hotplug_seen = 0;
	options.bytes = RIG_ARENA_BYTES;
	if (weir_hotplug_open(&rig->hotplug, &err) || weir_ioas_create(NULL, &rig->ioas, &err) ||
	    weir_arena_create(&options, &rig->arena, &err) ||
	    weir_ioas_map_arena(rig->ioas, rig->arena, &rig->mapping, &err) ||
	    open_drive(rig, machine_bystander.address, &rig->bystander_dev, &rig->bystander,
		       &err) ||
	    load_begin(&rig->bystander_load, rig->bystander, weir_nvme_ns(rig->bystander, 1), &load,
		       &err))
		rig_fail(rig, "%s", err.text);
	rig_open_victim(rig);
}

static void close_all(struct rig *rig)
{
	/* After all that has happened it goes on. */
	uint64_t target = rig->bystander_load.done + 100;

	rig_wait_until(rig, rig->bystander_load.done >= target, "more of the bystander's load");
	rig_must(rig, load_verify(&rig->bystander_load), "the bystander's data");
	load_end(&rig->bystander_load, true);
	weir_nvme_close(rig->bystander);
	weir_device_close(rig->bystander_dev);
	if (rig->victim)
		rig_close_victim(rig);
	rig_must(rig, !weir_ioas_unmap(rig->ioas, rig->mapping, NULL), "the arena is not unmapped");
	weir_arena_destroy(rig->arena);
	rig_must(rig, !weir_ioas_destroy(rig->ioas), "the IOAS has devices left");
	weir_hotplug_close(rig->hotplug);
}

static void become_user(struct rig *rig)
{
	const struct rlimit limit = { RIG_MEMLOCK_BYTES, RIG_MEMLOCK_BYTES };

	if (setrlimit(RLIMIT_MEMLOCK, &limit) || setgroups(0, NULL) ||
	    setresgid(rig->group, rig->group, rig->group) ||
	    setresuid(rig->user, rig->user, rig->user))
		rig_fail(rig, "becoming a user: %s", strerror(errno));
	/* A change of user takes it back. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
}

pid_t rig_fork_worker(struct rig *rig, void (*run)(struct rig *rig), bool fault_guard)
{
	static struct resources before, after;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid) {
		rig->worker = pid;
		return pid;
	}
	become_user(rig);
	rig_must(rig, !fault_guard || !weir_fault_guard_enable(NULL), "no fault guard");
	resources_look(&before);
	open_all(rig);
	run(rig);
	close_all(rig);
	resources_look(&after);
	/* Its own heap is not the matter here. */
	after.private_kib = before.private_kib;
	rig_must(rig, resources_same(&before, &after), "something was left behind");
	_exit(0);
}

int rig_wait_worker(struct rig *rig, pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFSIGNALED(status)) {
		if (!rig->error[0])
			snprintf(rig->error, sizeof(rig->error), "the worker died of signal %d",
				 WTERMSIG(status));
		return WTERMSIG(status);
	}
	if (WEXITSTATUS(status) && !rig->error[0])
		snprintf(rig->error, sizeof(rig->error), "the worker ended with status %d",
			 WEXITSTATUS(status));
	return WEXITSTATUS(status) ? -1 : 0;
}

/* In a process of its own: a side that fails does not return. */
static pid_t fork_machine(struct rig *rig, void (*run)(struct rig *rig))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(rig);
	_exit(0);
}

static bool wait_machine(struct rig *rig, pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	if (status && !rig->error[0])
		snprintf(rig->error, sizeof(rig->error), "root's side ended with %d", status);
	return !rig->error[0];
}

bool rig_try(struct rig *rig, const struct rig_fault *fault)
{
	pid_t machine = fork_machine(rig, fault->machine);
	pid_t worker = rig_fork_worker(rig, fault->worker, fault->fault_guard);

	if (rig_wait_worker(rig, worker))
		kill(machine, SIGKILL);
	return wait_machine(rig, machine);
}

bool rig_conduct(struct rig *rig, void (*run)(struct rig *rig))
{
	return wait_machine(rig, fork_machine(rig, run));
}

static uint64_t moment(const struct rig *rig)
{
	struct load random = { .random = rig->seed };

	return 100 + load_random(&random, 400);
}

void rig_start_load(struct rig *rig)
{
	const struct load_options options = {
		.depth = VICTIM_DEPTH,
		.regions = REGIONS,
		.flush_every = 100,
		.seed = rig->seed,
		.no_events = true,
	};
	struct load *load = &rig->victim_load;
	struct weir_error err;

	if (load_begin(load, rig->victim, weir_nvme_next_ns(rig->victim, 0), &options, &err))
		rig_fail(rig, "%s", err.text);
	rig_must(rig, !load_thread_start(load), "no thread");
	rig_wait_until(
		rig, atomic_load(&load->progress) >= moment(rig) && atomic_load(&load->outstanding),
		"the load's beginning");
}

void rig_more_load(struct rig *rig, uint64_t ios)
{
	uint64_t target = atomic_load(&rig->victim_load.progress) + ios;

	rig_wait_until(rig,
		       atomic_load(&rig->victim_load.progress) >= target &&
			       atomic_load(&rig->victim_load.outstanding),
		       "more of the load");
}

void rig_end_load(struct rig *rig)
{
	struct load *load = &rig->victim_load;

	load_stop(load);
	rig_must(rig, !load->error[0] && !load->dead && !load->inflight, "the load did not end");
	rig_must(rig, load->submitted == load->done, "%llu I/Os taken, %llu returned",
		 (unsigned long long)load->submitted, (unsigned long long)load->done);
	rig_must(rig, load_verify(load), "the victim's data");
	load_end(load, true);
}

void rig_end_dead_load(struct rig *rig)
{
	struct load *load = &rig->victim_load;

	rig_wait_until(rig, atomic_load(&load->idle), "the end of the dead queue's load");
	load_stop(load);
	rig_must(rig, !load->error[0] && load->dead && !load->inflight, "the queue is not dead");
	rig_must(rig, load->submitted == load->done, "%llu I/Os taken, %llu returned",
		 (unsigned long long)load->submitted, (unsigned long long)load->done);
	load_end(load, true);
}

void rig_resume_load(struct rig *rig)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct load *load = &rig->victim_load;
	struct weir_nvme_qp *qp;
	struct weir_error err;
	uint8_t *data;

	options.depth = VICTIM_DEPTH;
	if (weir_nvme_qp_create(rig->victim, &options, &qp, &err))
		rig_fail(rig, "%s", err.text);
	data = weir_arena_alloc(rig->arena, (size_t)VICTIM_DEPTH * load->io_bytes, 0);
	rig_must(rig, data, "no memory in the arena");
	load_forget(load, false);
	load_attach(load, rig->victim, weir_nvme_next_ns(rig->victim, 0), qp, data);
	rig_must(rig, load_verify(load) && load_run(load, load->done + 200) && load_verify(load),
		 "the victim's data after its return");
	load_end(load, true);
}
