/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_APPS_CPUS_H
#define WEIR_APPS_CPUS_H

#include <pthread.h>

#include "parse.h"

/* Whether a list, unless it is empty, has a CPU that this process may use for each queue's thread.
 * CLI_USAGE: it does not, and the text says which. */
int cpus_check(const struct cpu_list *list, uint64_t queues, struct weir_error *err);

/*
 * Starts queue `index`'s thread, on its CPU when there is a list. Requests to stop (SIGINT and
 * SIGTERM) stay with the threads that had them. On success the caller joins it.
 */
int cpus_start_thread(const struct cpu_list *list, unsigned int index, void *(*thread_main)(void *),
		      void *arg, pthread_t *thread, struct weir_error *err);

#endif
