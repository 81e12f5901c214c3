/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_serve.h"

#include <errno.h>
#include <stdio.h>

#include "cli.h"
#include "fail.h"
#include "notice.h"
#include "stop.h"

static int pin(uint64_t cpu, struct weir_error *err)
{
	cpu_set_t cpus;

	if (cpu == SIM_NO_CPU)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (!sched_setaffinity(0, sizeof(cpus), &cpus))
		return 0;
	return fail(err, CLI_USAGE, "CPU %u is not there or not allowed here", (unsigned int)cpu);
}

/* One that stops ends all of them. */
static void stop_server(void *ctx)
{
	sim_server_stop(ctx);
}

int sim_serve_together(struct sim_server *const servers[], const char *const sockets[],
		       unsigned int nr, uint64_t cpu, struct weir_error *err)
{
	int rc;

	stop_on_signals(stop_server, servers[0]);
	rc = pin(cpu, err);
	for (unsigned int i = 0; i < nr && !rc; i++)
		rc = sim_server_listen(servers[i], sockets[i], err);
	if (rc)
		return rc;
	notice_show();
	for (unsigned int i = 0; i < nr; i++)
		printf("ready: vfio-user:%s\n", sockets[i]);
	if (fflush(stdout))
		return fail(err, -EIO, "cannot write to standard output");
	return sim_servers_run(servers, nr, err);
}

int sim_serve(struct sim_server *server, const char *socket, uint64_t cpu, struct weir_error *err)
{
	return sim_serve_together(&server, &socket, 1, cpu, err);
}
