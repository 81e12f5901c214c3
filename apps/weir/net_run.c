/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_run.h"
#include "clock.h"
#include "cpus.h"
#include "fail.h"
#include "progress.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
/* How often the ports are looked at when they have nothing to say. */
#define WATCH_MS 100

int net_worker_fail(struct net_worker *worker, const struct port *port, int code)
{
	worker->code = code;
	worker->failed = port;
	return fail(&worker->why, code, "%s: %s", port->address, strerror(-code));
}

static void *worker_main(void *arg)
{
	struct net_worker *worker = arg;
	struct net_run *run = worker->run;

	run->work(worker);
	if (worker->code)
		atomic_store(&run->stop, true);
	atomic_fetch_add(&run->nr_ended, 1);
	return NULL;
}

static int start_workers(struct net_run *run, struct weir_error *err)
{
	for (unsigned int i = 0; i < run->config->queues; i++) {
		struct net_worker *worker = &run->workers[i];
		int rc;

		worker->run = run;
		worker->index = i;
		rc = cpus_start_thread(&run->config->cpus, i, worker_main, worker, &worker->thread,
				       err);
		if (rc)
			return rc;
		worker->started = true;
	}
	return 0;
}

static void take_sample(const struct net_run *run, uint64_t ns, struct net_sample *sample)
{
	sample->ns = ns;
	/* A port that is gone leaves what was known last. */
	for (unsigned int i = 0; i < run->ports->nr; i++)
		weir_nic_stats(run->ports->port[i].nic, &sample->stats[i],
			       sizeof(sample->stats[i]));
}

/* Ends an interval: a row for people, a sample for JSON. */
static int end_interval(struct net_run *run, uint64_t ns, struct weir_error *err)
{
	static const struct net_sample zero;
	struct net_sample *samples;

	if (run->nr_samples == run->room) {
		samples = reallocarray(run->samples, run->room + 256, sizeof(*samples));
		if (!samples)
			return fail(err, -ENOMEM, "no memory for the statistics");
		run->samples = samples;
		run->room += 256;
	}
	take_sample(run, ns, &run->samples[run->nr_samples]);
	if (!run->config->json) {
		net_print_row(run, run->nr_samples ? &run->samples[run->nr_samples - 1] : &zero,
			      &run->samples[run->nr_samples]);
		run->nr_rows++;
		/* Only JSON needs the others. */
		run->samples[0] = run->samples[run->nr_samples];
		run->nr_samples = 0;
	}
	run->nr_samples++;
	return 0;
}

static int serve_ports(struct net_run *run, struct weir_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < run->ports->nr; i++)
		rc = port_events(&run->ports->port[i], err);
	return rc;
}

/* Sleeps until a port has something to say, or until `until_ns`, but not for long. */
static void wait_for_ports(const struct net_run *run, uint64_t now_ns, uint64_t until_ns)
{
	uint64_t left_ms = (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
	struct pollfd events[PORTS_MAX];

	for (unsigned int i = 0; i < run->ports->nr; i++)
		events[i] = (struct pollfd){
			.fd = weir_nic_event_fd(run->ports->port[i].nic),
			.events = POLLIN,
		};
	poll(events, run->ports->nr, left_ms < WATCH_MS ? (int)left_ms : WATCH_MS);
}

/* Until the time is over, a signal comes, the workers have ended or a port fails. */
static int watch(struct net_run *run, struct weir_error *err)
{
	uint64_t end_ns = run->config->time_ms ? run->config->time_ms * NS_PER_MS : UINT64_MAX;
	uint64_t interval_ns = run->config->interval_ms * NS_PER_MS;
	uint64_t next_ns = interval_ns ? interval_ns : UINT64_MAX;
	uint64_t start = clock_ns(CLOCK_MONOTONIC), now = 0;
	int rc = 0;

	while (!rc && now < end_ns && !atomic_load(&run->stop) &&
	       atomic_load(&run->nr_ended) < run->config->queues) {
		if (stop_requested()) {
			run->interrupted = true;
			break;
		}
		wait_for_ports(run, now, next_ns < end_ns ? next_ns : end_ns);
		rc = serve_ports(run, err);
		now = clock_ns(CLOCK_MONOTONIC) - start;
		if (!rc && now >= next_ns) {
			rc = end_interval(run, now, err);
			next_ns += interval_ns;
		}
	}
	run->elapsed_ns = now;
	return rc;
}

/* Serves the ports while the workers get back what they have sent, then joins them. */
static void join_workers(struct net_run *run)
{
	atomic_store(&run->stop, true);
	for (unsigned int i = 0; i < run->config->queues; i++) {
		while (run->workers[i].started) {
			struct timespec until;

			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_nsec += 1000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_nsec -= 1000000000;
				until.tv_sec++;
			}
			if (pthread_clockjoin_np(run->workers[i].thread, NULL, CLOCK_MONOTONIC,
						 &until) != ETIMEDOUT)
				break;
			serve_ports(run, NULL);
		}
	}
}

/* The first worker that ended early. */
static int worker_failure(struct net_run *run, struct weir_error *err)
{
	for (unsigned int i = 0; i < run->config->queues; i++) {
		const struct net_worker *worker = &run->workers[i];

		if (!worker->code)
			continue;
		/* A dead queue has its reason in the port. */
		if (worker->failed)
			return port_failure(worker->failed, err);
		return fail(err, worker->code, "%s", worker->why.text);
	}
	return 0;
}

int net_run(struct net_run *run, struct weir_error *err)
{
	int rc;

	rc = start_workers(run, err);
	if (!rc)
		rc = watch(run, err);
	join_workers(run);
	take_sample(run, run->elapsed_ns, &run->end);
	if (!rc)
		rc = worker_failure(run, err);
	run->ended_early = rc != 0;
	return rc;
}

void net_run_end(struct net_run *run)
{
	free(run->samples);
}
