/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir net fwd: what one port receives the other sends, as it is, both ways.
 *
 * A frame is not copied or looked at: both ports are in one I/O address space, and a buffer goes
 * from a receive ring to the other port's transmit ring and, when it is sent, back. Each direction
 * of each queue has buffers of its own, enough for both rings to be full. When the transmit ring is
 * full the direction stops receiving until it is not: what then gets lost is lost at the receiving
 * port, which counts it.
 *
 * Queue N of one port is forwarded by queue N of the other and by no other, also when that one is
 * full and others are not: packets of a flow keep their order, and a transmit queue has one owner.
 * The others are not held up by it: with several queues a port drops what is for a full one.
 */
#include "clock.h"
#include "commands.h"
#include "cpus.h"
#include "fail.h"
#include "frame_pool.h"
#include "memory_check.h"
#include "net_run.h"
#include "notice.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define unlikely(x) __builtin_expect(!!(x), 0)

struct fwd_config {
	struct net_config net;
};

static const struct fwd_config defaults = { .net = NET_CONFIG_DEFAULTS };

static const struct cli_option options[] = {
	NET_TIME_OPTION("seconds to run (default: until SIGINT)"),
	NET_QUEUES_OPTION,
	NET_RING_OPTION,
	NET_MTU_OPTION,
	NET_CPU_OPTION,
	NET_INTERVAL_OPTION,
	NET_LINK_WAIT_OPTION,
	NET_JSON_OPTION,
	{ NULL },
};

/* What a queue of one port receives and a queue of the other sends. */
struct direction {
	const struct port *from, *to;
	struct weir_nic_rxq *rxq;
	struct weir_nic_txq *txq;
	struct frame_pool pool;
	struct weir_frame pending[NET_BURST]; /* received, and not taken for sending yet */
	unsigned int nr_pending;
	unsigned int nr_sending;
	bool in_pieces; /* the last frame was not the end of its packet */
	uint64_t forwarded; /* sent */
	uint64_t dropped; /* damaged, in pieces, or refused by the port that should send it */
};

struct pair {
	struct direction direction[PORTS_MAX];
};

struct fwd {
	const struct fwd_config *config;
	struct ports ports;
	struct net_run run;
	struct pair *pairs; /* net_config::queues of them */
};

/* Keeps those of n received frames that can be sent. A packet in pieces is larger than the MTU
 * allows: a device that obeys has none. */
static void keep_frames(struct direction *direction, const struct weir_frame *frames,
			unsigned int n)
{
	const uint32_t unfit = WEIR_FRAME_ERROR | WEIR_FRAME_UNUSED;

	for (unsigned int i = 0; i < n; i++) {
		bool more = frames[i].flags & WEIR_FRAME_MORE;

		if (unlikely(direction->in_pieces || more || frames[i].flags & unfit)) {
			direction->in_pieces = more;
			direction->dropped += !(frames[i].flags & WEIR_FRAME_UNUSED);
			frame_pool_give(&direction->pool, frames[i].cookie);
			continue;
		}
		direction->pending[direction->nr_pending++] = (struct weir_frame){
			.iova = frames[i].iova,
			.cookie = frames[i].cookie,
			.len = frames[i].len,
		};
	}
}

/* Takes back what was sent. Returns how many, or a negative errno. */
static int take_back(struct net_worker *worker, struct direction *direction)
{
	uint64_t cookies[NET_BURST];
	unsigned int unsent = 0;
	int n;

	n = weir_nic_tx_done(direction->txq, cookies, NET_BURST, &unsent);
	if (unlikely(n < 0))
		return net_worker_fail(worker, direction->to, n);
	for (int i = 0; i < n; i++)
		frame_pool_give(&direction->pool, cookies[i]);
	direction->nr_sending -= (unsigned int)n;
	direction->forwarded += (unsigned int)n - unsent;
	direction->dropped += unsent;
	return n;
}

/* Sends what is pending, as far as there is room. Returns how many, or a negative errno. */
static int send_pending(struct net_worker *worker, struct direction *direction)
{
	int n;

	if (!direction->nr_pending)
		return 0;
	n = weir_nic_tx(direction->txq, direction->pending, direction->nr_pending);
	if (unlikely(n < 0))
		return net_worker_fail(worker, direction->to, n);
	direction->nr_sending += (unsigned int)n;
	direction->nr_pending -= (unsigned int)n;
	if (unlikely(direction->nr_pending))
		memmove(direction->pending, direction->pending + n,
			direction->nr_pending * sizeof(direction->pending[0]));
	return n;
}

/* Receives, unless something still waits to be sent. Returns how many, or a negative errno. */
static int receive(struct net_worker *worker, struct direction *direction)
{
	struct weir_frame frames[NET_BURST];
	int n;

	if (direction->nr_pending)
		return 0;
	n = weir_nic_rx(direction->rxq, frames, NET_BURST);
	if (unlikely(n < 0))
		return net_worker_fail(worker, direction->from, n);
	keep_frames(direction, frames, (unsigned int)n);
	return n;
}

/* Returns whether anything was done, or a negative errno. */
static int forward(struct net_worker *worker, struct direction *direction)
{
	int back, received, sent, rc;

	back = take_back(worker, direction);
	if (unlikely(back < 0))
		return back;
	received = receive(worker, direction);
	if (unlikely(received < 0))
		return received;
	sent = send_pending(worker, direction);
	if (unlikely(sent < 0))
		return sent;
	/* One doorbell for many buffers, unless there is nothing else to do. */
	if (!received || direction->pool.nr_free >= NET_BURST) {
		rc = frame_pool_post(&direction->pool, direction->rxq);
		if (unlikely(rc < 0))
			return net_worker_fail(worker, direction->from, rc);
	}
	return back || received || sent;
}

/* Sends what was received, and waits until it is sent. */
static void drain(struct net_worker *worker, struct direction *direction)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	while (direction->nr_pending || direction->nr_sending) {
		if (send_pending(worker, direction) < 0 || take_back(worker, direction) < 0 ||
		    clock_ns(CLOCK_MONOTONIC) - start > NET_DRAIN_NS)
			return;
		sched_yield();
	}
}

static void work(struct net_worker *worker)
{
	struct pair *pair = worker->own;
	struct net_idle idle = { .nr = PORTS_MAX };

	for (unsigned int i = 0; i < PORTS_MAX; i++)
		idle.rxq[i] = pair->direction[i].rxq;
	while (!net_stopped(worker)) {
		bool busy = false, waiting = false;

		for (unsigned int i = 0; i < PORTS_MAX; i++) {
			int done = forward(worker, &pair->direction[i]);

			if (unlikely(done < 0))
				return;
			busy |= done;
			waiting |= pair->direction[i].nr_pending != 0;
		}
		net_idle_turn(&idle, busy, waiting);
	}
	for (unsigned int i = 0; i < PORTS_MAX; i++)
		drain(worker, &pair->direction[i]);
}

/* Both rings full, and a burst in hand. */
static unsigned int pool_frames(const struct net_config *config)
{
	return (unsigned int)(2 * config->ring + NET_BURST);
}

static uint64_t arena_bytes(const struct net_config *config)
{
	uint64_t frames = PORTS_MAX * config->queues * pool_frames(config);

	return frame_pool_arena_bytes(frames, port_frame_bytes(config->mtu)) +
	       PORTS_MAX * port_ring_bytes(config) + (UINT64_C(8) << 20);
}

/* Makes a direction's buffers, and gives the receive queue what it takes. */
static int make_direction(struct fwd *fwd, struct direction *direction, unsigned int from,
			  unsigned int queue, struct weir_error *err)
{
	const struct net_config *config = &fwd->config->net;
	int rc;

	direction->from = &fwd->ports.port[from];
	direction->to = &fwd->ports.port[1 - from];
	direction->rxq = weir_nic_rxq(direction->from->nic, queue);
	direction->txq = weir_nic_txq(direction->to->nic, queue);
	rc = frame_pool_make(&direction->pool, fwd->ports.arena, pool_frames(config),
			     port_frame_bytes(config->mtu), err);
	if (!rc && frame_pool_post(&direction->pool, direction->rxq))
		rc = port_failure(direction->from, err);
	return rc;
}

static int prepare(struct fwd *fwd, struct weir_error *err)
{
	const struct net_config *config = &fwd->config->net;
	int rc = 0;

	fwd->run.workers = calloc(config->queues, sizeof(*fwd->run.workers));
	fwd->pairs = calloc(config->queues, sizeof(*fwd->pairs));
	if (!fwd->run.workers || !fwd->pairs)
		return fail(err, -ENOMEM, "no memory for %" PRIu64 " queues", config->queues);
	for (unsigned int i = 0; !rc && i < PORTS_MAX; i++)
		rc = port_start(&fwd->ports.port[i], config, WEIR_NIC_PROMISCUOUS, err);
	for (unsigned int queue = 0; !rc && queue < config->queues; queue++) {
		fwd->run.workers[queue].own = &fwd->pairs[queue];
		for (unsigned int i = 0; !rc && i < PORTS_MAX; i++)
			rc = make_direction(fwd, &fwd->pairs[queue].direction[i], i, queue, err);
	}
	return rc;
}

/* The ports do not use the buffers any more. */
static void end(struct fwd *fwd)
{
	for (unsigned int i = 0; i < PORTS_MAX; i++)
		weir_nic_stop(fwd->ports.port[i].nic, NULL);
	for (unsigned int queue = 0; fwd->pairs && queue < fwd->config->net.queues; queue++) {
		for (unsigned int i = 0; i < PORTS_MAX; i++)
			frame_pool_end(&fwd->pairs[queue].direction[i].pool);
	}
	free(fwd->pairs);
	free(fwd->run.workers);
	net_run_end(&fwd->run);
}

/* What the queues of one direction did. */
static void add_up(const struct fwd *fwd, unsigned int from, uint64_t *forwarded, uint64_t *dropped)
{
	*forwarded = 0;
	*dropped = 0;
	for (unsigned int queue = 0; queue < fwd->config->net.queues; queue++) {
		*forwarded += fwd->pairs[queue].direction[from].forwarded;
		*dropped += fwd->pairs[queue].direction[from].dropped;
	}
}

static void print_result(const struct fwd *fwd)
{
	uint64_t forwarded, dropped;

	net_print_result(&fwd->run);
	for (unsigned int from = 0; from < PORTS_MAX; from++) {
		add_up(fwd, from, &forwarded, &dropped);
		printf("port %u to port %u: %" PRIu64 " packets forwarded, %" PRIu64 " dropped\n",
		       from, 1 - from, forwarded, dropped);
	}
}

static json_t *result_json(const struct fwd *fwd)
{
	json_t *directions = json_array();
	uint64_t forwarded, dropped;

	for (unsigned int from = 0; from < PORTS_MAX; from++) {
		add_up(fwd, from, &forwarded, &dropped);
		json_array_append_new(directions,
				      json_pack("{s:i, s:i, s:I, s:I}", "from", (int)from, "to",
						(int)(1 - from), "packets", (json_int_t)forwarded,
						"dropped", (json_int_t)dropped));
	}
	return json_pack("{s:o}", "forwarded", directions);
}

static int forward_all(struct fwd *fwd, struct weir_error *err)
{
	bool json = fwd->config->net.json;
	struct weir_error output_err;
	int rc, output_rc = 0;

	notice_show();
	if (!json) {
		net_print_ports(&fwd->ports);
		fflush(stdout);
	}
	rc = net_run(&fwd->run, err);
	if (json)
		output_rc = net_print_json(&fwd->run, net_parameters_json(&fwd->config->net),
					   result_json(fwd), rc ? err->text : NULL, &output_err);
	else
		print_result(fwd);
	if (!rc && output_rc)
		*err = output_err;
	return rc ? rc : output_rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct fwd_config *config = arg;
	struct fwd fwd = {
		.config = config,
		.run = { .config = &config->net, .ports = &fwd.ports, .work = work },
	};
	int rc;

	if (!strcmp(operands[0], operands[1]))
		return fail(err, CLI_USAGE, "both ports are %s", operands[0]);
	rc = cpus_check(&config->net.cpus, config->net.queues, err);
	if (!rc)
		rc = memory_check("queues, ring and MTU", arena_bytes(&config->net), err);
	if (!rc)
		rc = ports_open(&fwd.ports, operands, PORTS_MAX, arena_bytes(&config->net), err);
	if (rc)
		return rc;
	stop_on_signals(NULL, NULL);
	rc = prepare(&fwd, err);
	if (!rc)
		rc = ports_wait_link(&fwd.ports, config->net.link_wait_ms, err);
	if (!rc)
		rc = forward_all(&fwd, err);
	end(&fwd);
	ports_close(&fwd.ports);
	return rc;
}

const struct cli_command command_net_fwd = {
	.name = "net fwd",
	.operands = "PORT PORT",
	.min_operands = 2,
	.max_operands = 2,
	.summary = "Forward frames between two network ports, as they are, both ways.",
	.examples =
		"  weir net fwd 0000:3b:00.0 0000:3b:00.1\n"
		"  weir net fwd vfio-user:/tmp/a.sock vfio-user:/tmp/b.sock --time 10 --json\n"
		"  weir net fwd 0000:3b:00.0 vfio-user:/tmp/b.sock --queues 4 --cpu 2-5 --mtu 9000\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
