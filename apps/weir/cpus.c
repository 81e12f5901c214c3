/* SPDX-License-Identifier: BSD-3-Clause */
#include "cpus.h"
#include "cli.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
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
