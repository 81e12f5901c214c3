/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated device in a process of its own: `weir sim`, started from the path in the environment
 * variable WEIR_COMMAND, ended by its process id. It never outlives the process that started it.
 */
#ifndef WEIR_TESTS_SIM_PROCESS_H
#define WEIR_TESTS_SIM_PROCESS_H

#include <sys/types.h>

struct sim_process {
	pid_t pid; /* 0: none */
	char dir[32]; /* holds the socket */
	char address[64]; /* of the device */
	char peer[64]; /* of the one that it is wired to; "": there is none */
};

/*
 * Starts `weir sim KIND --socket ... OPTIONS...` and waits until it is ready.
 *
 * options: ends with NULL
 * Returns 0 or a negative errno; says on standard error what failed.
 */
int sim_process_start(struct sim_process *sim, const char *kind, const char *const *options);

/* The same for two devices in one process that are wired to each other: `--peer` is added. */
int sim_process_start_pair(struct sim_process *sim, const char *kind, const char *const *options);

/* Ends it in order. Returns 0 when it ended with status 0; -1, with a line on standard error, when
 * it did not, or did not end in time. */
int sim_process_stop(struct sim_process *sim);

/* Ends it by SIGKILL. */
void sim_process_kill(struct sim_process *sim);

#endif
