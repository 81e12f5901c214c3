/* SPDX-License-Identifier: BSD-3-Clause */
#include "cpus.h"
#include "cli.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

int cpus_check(const struct cpu_list *list, uint64_t queues, struct weir_error *err)
{
	cpu_set_t allowed;

	if (!list->nr)
		return 0;
	if (list->nr < queues)
		return fail(err, CLI_USAGE, "cpu names %u CPUs for %" PRIu64 " queues", list->nr,
			    queues);
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return fail(err, -errno, "cannot learn the allowed CPUs: %s", strerror(errno));
	for (unsigned int i = 0; i < list->nr; i++) {
		if (!CPU_ISSET(list->cpus[i], &allowed))
			return fail(err, CLI_USAGE, "CPU %u is not there or not allowed here",
				    list->cpus[i]);
	}
	return 0;
}

int cpus_start_thread(const struct cpu_list *list, unsigned int index, void *(*thread_main)(void *),
		      void *arg, pthread_t *thread, struct weir_error *err)
{
	pthread_attr_t attributes;
	sigset_t ours, before;
	cpu_set_t cpus;
	int rc;

	pthread_attr_init(&attributes);
	if (list->nr) {
		CPU_ZERO(&cpus);
		CPU_SET(list->cpus[index], &cpus);
		pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
	}
	/* Not more: the fault guard needs SIGBUS in every thread. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ours, &before);
	rc = pthread_create(thread, &attributes, thread_main, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (rc)
		return fail(err, -rc, "cannot start thread %u: %s", index, strerror(rc));
	return 0;
}
