/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The run of weir net fwd, gen and dump: threads that each own one queue of every port, while the
 * main thread serves the ports, prints a row of statistics now and then, and says when to stop.
 *
 * net_run.c makes and joins the threads, net_idle.c lets one that has nothing to do sleep,
 * net_report.c prints.
 */
#ifndef WEIR_APPS_NET_RUN_H
#define WEIR_APPS_NET_RUN_H

#include "port.h"

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Frames that are moved at once. */
#define NET_BURST 32
/* How long a thread may take to get back what it has sent, after the end. */
#define NET_DRAIN_NS UINT64_C(2000000000)

struct net_run;

struct net_worker {
	/* Set up by the main thread. */
	struct net_run *run;
	unsigned int index; /* of its queues */
	void *own; /* the command's */
	pthread_t thread;
	bool started;

	/* Written by the worker, read by the main thread after the join. */
	int code; /* a negative errno: it ended early, for the reason in `why` */
	struct weir_error why;
	const struct port *failed; /* the port that knows the reason better; NULL: none */
};

/* Counters of all ports at one time. */
struct net_sample {
	uint64_t ns; /* since the start */
	struct weir_nic_stats stats[PORTS_MAX];
};

struct net_run {
	/* Set by the command. */
	const struct net_config *config;
	struct ports *ports;
	struct net_worker *workers; /* net_config::queues of them */
	void (*work)(struct net_worker *worker); /* a thread's body, until stop or its end */

	/* Set by net_run(). */
	uint64_t elapsed_ns;
	bool interrupted; /* by a signal */
	bool ended_early; /* by a failure */
	struct net_sample *samples; /* one at the end of each interval */
	size_t nr_samples, room;
	size_t nr_rows; /* printed */
	struct net_sample end;

	_Alignas(128) atomic_bool stop; /* read by the workers in each turn */
	atomic_uint nr_ended; /* workers that have nothing left to do */
};

/* Runs until the time is over, a signal comes, all workers have ended or something fails; the
 * results are valid then in any case. Free them with net_run_end(). */
int net_run(struct net_run *run, struct weir_error *err);
void net_run_end(struct net_run *run);

static inline bool net_stopped(const struct net_worker *worker)
{
	return atomic_load_explicit(&worker->run->stop, memory_order_relaxed);
}

/* Ends a worker because a queue of the port answered with a negative errno. Returns it. */
int net_worker_fail(struct net_worker *worker, const struct port *port, int code);

/* What a thread that finds nothing to do does about it. */
struct net_idle {
	struct weir_nic_rxq *rxq[PORTS_MAX]; /* those that may wake it */
	unsigned int nr;
	unsigned int turns; /* without work */
	bool armed;
};

/*
 * After each turn.
 *
 * @param busy  something was done
 * @param waiting  for something of which no interrupt tells, such as room in a queue: no sleep
 */
void net_idle_turn(struct net_idle *idle, bool busy, bool waiting);

/* The lines in front of a table: one for each port. */
void net_print_ports(const struct ports *ports);

/* A row for each port of what happened between two samples. */
void net_print_row(const struct net_run *run, const struct net_sample *from,
		   const struct net_sample *to);

/* The rows of the whole run. */
void net_print_result(const struct net_run *run);

/* What all the commands have in common, as the member parameters. */
json_t *net_parameters_json(const struct net_config *config);

/*
 * Prints one object of the members ports, parameters and result: in the latter the counters of each
 * port, the intervals, what the command adds, and the failure, NULL for none.
 *
 * @param parameters, own  objects, given up; the members of `own` become the result's
 */
int net_print_json(const struct net_run *run, json_t *parameters, json_t *own, const char *failure,
		   struct weir_error *err);

/* Everything that the device counts. */
json_t *net_stats_json(const struct weir_nic_stats *stats);

/* A port's name, addresses and link. */
json_t *net_port_json(const struct port *port);

#endif
