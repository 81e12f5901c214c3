/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * with_sim [igb] OPTION... -- PROGRAM ARGUMENT...
 *
 * Runs a program beside an emulated NVMe controller made with the options, in which {file} stands
 * for a file made for it; or beside two network controllers that are wired to each other. In the
 * program's arguments {} stands for the device's address, {peer} for that of the second. Exits with
 * the program's status, or 1 when the emulated device's process did not survive it or did not end
 * in order.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_process.h"

#define FILE_BYTES (64 << 20)

static void replace(char **argv, const char *what, const char *by)
{
	for (; *argv; argv++) {
		if (!strcmp(*argv, what))
			*argv = (char *)(uintptr_t)by;
	}
}

static bool make_file(char *name)
{
	int fd = mkstemp(name);
	bool made = fd >= 0 && !ftruncate(fd, FILE_BYTES);

	if (!made)
		perror(name);
	if (fd >= 0)
		close(fd);
	return made;
}

static int run(char **argv)
{
	pid_t pid, parent = getpid();
	int status;

	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("with_sim");
		return 1;
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "with_sim: %s: signal %d\n", argv[0], WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	char file[] = "/tmp/weir-sim-file-XXXXXX";
	struct sim_process sim;
	int program = 1, status = 1, options = 1, failed;

	while (program < argc && strcmp(argv[program], "--"))
		program++;
	if (program + 1 >= argc) {
		fprintf(stderr, "usage: with_sim [igb] OPTION... -- PROGRAM ARGUMENT...\n");
		return 2;
	}
	argv[program] = NULL;
	if (!make_file(file))
		return 1;
	replace(argv, "{file}", file);
	replace(argv + program + 1, "{}", sim.address);
	replace(argv + program + 1, "{peer}", sim.peer);
	if (argv[1] && !strcmp(argv[1], "igb")) {
		options++;
		failed = sim_process_start_pair(&sim, "igb", (const char *const *)(argv + options));
	} else {
		failed = sim_process_start(&sim, "nvme", (const char *const *)(argv + options));
	}
	if (!failed) {
		status = run(argv + program + 1);
		if (sim_process_stop(&sim) && !status)
			status = 1;
	}
	unlink(file);
	return status;
}
