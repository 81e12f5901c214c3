/* SPDX-License-Identifier: BSD-3-Clause */
#include "sim_serve.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

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

/* A server in a thread of its own. */
struct apart {
	pthread_t thread;
	struct sim_server *server, *first;
	struct weir_error err;
	int rc;
};

static void *run_one(void *arg)
{
	struct apart *apart = arg;

	apart->rc = sim_server_run(apart->server, &apart->err);
	/* None goes on without the others. */
	sim_server_stop(apart->first);
	return NULL;
}

/* The first of them in this thread. */
static int run_apart(struct sim_server *const servers[], unsigned int nr, struct weir_error *err)
{
	struct apart others[SIM_MAX_TOGETHER] = { 0 };
	unsigned int started = 1;
	int rc = 0;

	for (; started < nr; started++) {
		struct apart *apart = &others[started];

		*apart = (struct apart){ .server = servers[started], .first = servers[0] };
		rc = pthread_create(&apart->thread, NULL, run_one, apart);
		if (rc)
			break;
	}
	rc = rc ? fail(err, -rc, "no thread for a server: %s", strerror(rc))
		: sim_server_run(servers[0], err);
	while (--started) {
		sim_server_stop(servers[started]);
		pthread_join(others[started].thread, NULL);
		if (!rc && others[started].rc)
			rc = fail(err, others[started].rc, "%s", others[started].err.text);
	}
	return rc;
}

int sim_serve_several(struct sim_server *const servers[], const char *const sockets[],
		      unsigned int nr, bool apart, uint64_t cpu, struct weir_error *err)
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
	return apart ? run_apart(servers, nr, err) : sim_servers_run(servers, nr, err);
}

int sim_serve(struct sim_server *server, const char *socket, uint64_t cpu, struct weir_error *err)
{
	return sim_serve_several(&server, &socket, 1, false, cpu, err);
}
