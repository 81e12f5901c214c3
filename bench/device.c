/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define WAIT_NS UINT64_C(10000000000)

/* Between the two processes. */
struct device_shared {
	_Atomic uint64_t completions;
	_Atomic bool serving; /* the socket is there */
	_Atomic bool hold; /* what is asked for */
	_Atomic bool held; /* what is */
	struct weir_error err; /* why it could not start */
};

struct bench_device {
	struct device_shared *shared;
	pid_t pid;
	char folder[32];
	char socket[48];
	char address[64];
};

static void serve(struct sim_nvme *nvme, struct device_shared *shared)
{
	struct sim_nvme_stats stats;
	unsigned int idle = 0;

	for (;;) {
		bool hold = atomic_load(&shared->hold);

		atomic_store(&shared->held, hold);
		if (!hold && sim_server_turn(sim_nvme_server(nvme))) {
			sim_nvme_stats(nvme, &stats);
			atomic_store(&shared->completions, stats.completions);
			idle = 0;
		} else if (++idle > 1000) {
			/* two cores are shared with the client */
			sched_yield();
		}
	}
}

bool bench_pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return true;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

static _Noreturn void run(const struct bench_device *device, const struct sim_nvme_options *options,
			  int cpu, pid_t parent)
{
	struct device_shared *shared = device->shared;
	struct sim_nvme *nvme;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || !bench_pin(cpu) ||
	    sim_nvme_create(options, &nvme, &shared->err) ||
	    sim_server_listen(sim_nvme_server(nvme), device->socket, &shared->err))
		_exit(1);
	atomic_store(&shared->serving, true);
	serve(nvme, shared);
	_exit(0);
}

int bench_device_start(const struct sim_nvme_options *options, int cpu,
		       struct bench_device **device, struct weir_error *err)
{
	struct bench_device *made = calloc(1, sizeof(*made));
	pid_t parent = getpid();
	int rc;

	if (!made)
		return weir_error_set(err, -ENOMEM, "no memory for an emulated device");
	made->shared = mmap(NULL, sizeof(*made->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (made->shared == MAP_FAILED) {
		rc = weir_error_set(err, -errno, "no memory for an emulated device");
		free(made);
		return rc;
	}
	snprintf(made->folder, sizeof(made->folder), "/tmp/weir-bench-XXXXXX");
	if (!mkdtemp(made->folder)) {
		rc = weir_error_set(err, -errno, "cannot make a folder under /tmp");
		made->folder[0] = '\0';
		goto fail;
	}
	snprintf(made->socket, sizeof(made->socket), "%s/nvme", made->folder);
	snprintf(made->address, sizeof(made->address), "vfio-user:%s", made->socket);
	made->pid = fork();
	if (made->pid < 0) {
		rc = weir_error_set(err, -errno, "cannot start the emulated device");
		made->pid = 0;
		goto fail;
	}
	if (!made->pid)
		run(made, options, cpu, parent);
	while (!atomic_load(&made->shared->serving)) {
		if (waitpid(made->pid, NULL, WNOHANG) == made->pid) {
			made->pid = 0;
			rc = weir_error_set(err, -EIO, "the emulated device did not start: %s",
					    made->shared->err.text);
			goto fail;
		}
		usleep(100);
	}
	*device = made;
	return 0;
fail:
	bench_device_stop(made);
	return rc;
}

void bench_device_stop(struct bench_device *device)
{
	if (!device)
		return;
	if (device->pid > 0) {
		kill(device->pid, SIGKILL);
		waitpid(device->pid, NULL, 0);
	}
	if (device->folder[0]) {
		unlink(device->socket);
		rmdir(device->folder);
	}
	munmap(device->shared, sizeof(*device->shared));
	free(device);
}

const char *bench_device_address(const struct bench_device *device)
{
	return device->address;
}

uint64_t bench_device_completions(const struct bench_device *device)
{
	return atomic_load(&device->shared->completions);
}

bool bench_device_wait(const struct bench_device *device, uint64_t completions)
{
	uint64_t end = weir_now_ns() + WAIT_NS;

	while (bench_device_completions(device) < completions) {
		if (weir_now_ns() > end)
			return false;
		sched_yield();
	}
	return true;
}

void bench_device_hold(struct bench_device *device, bool hold)
{
	atomic_store(&device->shared->hold, hold);
	while (atomic_load(&device->shared->held) != hold)
		sched_yield();
}
