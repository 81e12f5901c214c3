/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 30000
#define STOP_MS 15000
#define MAX_OPTIONS 40

static int complain(const char *what, int error)
{
	fprintf(stderr, "sim process: %s: %s\n", what, strerror(error));
	return -error;
}

static const char *socket_of(const char *address)
{
	return address + strlen("vfio-user:");
}

/* In the child. */
static void exec_server(const struct sim_process *sim, const char *kind, const char *const *options,
			int out, pid_t parent)
{
	const char *argv[MAX_OPTIONS + 8] = { getenv("WEIR_COMMAND"), "sim", kind, "--socket",
					      socket_of(sim->address) };
	unsigned int argc = 5;

	if (sim->peer[0]) {
		argv[argc++] = "--peer";
		argv[argc++] = socket_of(sim->peer);
	}
	while (*options && argc < MAX_OPTIONS + 7)
		argv[argc++] = *options++;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || *options || !argv[0] || dup2(out, STDOUT_FILENO) < 0)
		_exit(126);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Waits for the line that says so. */
static int wait_ready(int in)
{
	struct pollfd ready = { .fd = in, .events = POLLIN };
	char line[256];
	size_t used = 0;

	while (used < sizeof(line) - 1) {
		ssize_t n;

		if (poll(&ready, 1, READY_MS) <= 0)
			return complain("not ready in time", ETIMEDOUT);
		n = read(in, line + used, sizeof(line) - 1 - used);
		if (n <= 0)
			return complain("it ended before it was ready", ECHILD);
		used += (size_t)n;
		line[used] = '\0';
		if (strchr(line, '\n'))
			return strncmp(line, "ready:", 6) ? complain(line, EPROTO) : 0;
	}
	return complain("a long line instead of \"ready\"", EPROTO);
}

static void remove_dir(struct sim_process *sim)
{
	unlink(socket_of(sim->address));
	if (sim->peer[0])
		unlink(socket_of(sim->peer));
	rmdir(sim->dir);
	sim->pid = 0;
}

static int start(struct sim_process *sim, const char *kind, const char *const *options, bool pair)
{
	pid_t parent = getpid();
	int pipe_fds[2], rc;

	if (!getenv("WEIR_COMMAND"))
		return complain("WEIR_COMMAND is not set", ENOENT);
	strcpy(sim->dir, "/tmp/weir-sim-XXXXXX");
	if (!mkdtemp(sim->dir))
		return complain("mkdtemp", errno);
	snprintf(sim->address, sizeof(sim->address), "vfio-user:%s/socket", sim->dir);
	sim->peer[0] = '\0';
	if (pair)
		snprintf(sim->peer, sizeof(sim->peer), "vfio-user:%s/peer", sim->dir);
	if (pipe2(pipe_fds, O_CLOEXEC)) {
		rc = complain("pipe", errno);
		remove_dir(sim);
		return rc;
	}
	sim->pid = fork();
	if (!sim->pid)
		exec_server(sim, kind, options, pipe_fds[1], parent);
	rc = sim->pid < 0 ? complain("fork", errno) : 0;
	close(pipe_fds[1]);
	if (!rc)
		rc = wait_ready(pipe_fds[0]);
	close(pipe_fds[0]);
	if (!rc)
		return 0;
	if (sim->pid > 0)
		sim_process_kill(sim);
	else
		remove_dir(sim);
	return rc;
}

int sim_process_start(struct sim_process *sim, const char *kind, const char *const *options)
{
	return start(sim, kind, options, false);
}

int sim_process_start_pair(struct sim_process *sim, const char *kind, const char *const *options)
{
	return start(sim, kind, options, true);
}

int sim_process_stop(struct sim_process *sim)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int status = 0;
	pid_t ended = 0;

	kill(sim->pid, SIGTERM);
	for (int ms = 0; ms < STOP_MS && !ended; ms++) {
		ended = waitpid(sim->pid, &status, WNOHANG);
		if (!ended)
			nanosleep(&pause, NULL);
	}
	if (ended != sim->pid) {
		fprintf(stderr, "sim process: it did not end within %d ms of SIGTERM\n", STOP_MS);
		sim_process_kill(sim);
		return -1;
	}
	remove_dir(sim);
	if (!status)
		return 0;
	fprintf(stderr, "sim process: it ended with status 0x%x\n", (unsigned int)status);
	return -1;
}

void sim_process_kill(struct sim_process *sim)
{
	if (!sim->pid)
		return;
	kill(sim->pid, SIGKILL);
	waitpid(sim->pid, NULL, 0);
	remove_dir(sim);
}
