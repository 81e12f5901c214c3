/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir net dump: what a port receives, into a file.
 *
 * One thread receives, filters and writes; what arrives while it writes waits in the ring, and what
 * finds the ring full is counted as lost by the port.
 */
#include "capture.h"
#include "clock.h"
#include "commands.h"
#include "fail.h"
#include "frame_pool.h"
#include "memory_check.h"
#include "net_run.h"
#include "notice.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How long frames may lie in memory before somebody who reads along sees them. */
#define FLUSH_NS UINT64_C(100000000)

struct dump_config {
	struct net_config net;
	const char *to;
	const char *filter;
	uint64_t count;
	uint64_t snaplen;
	bool force;
	bool only_own; /* not promiscuous */
};

static const struct dump_config defaults = {
	.net = NET_CONFIG_DEFAULTS,
	.snaplen = CAPTURE_SNAPLEN,
};

#define MEMBER(name) offsetof(struct dump_config, name)

static const struct cli_option options[] = {
	{ "to", CLI_TEXT, MEMBER(to), .argument = "FILE",
	  .help = "the file to make, for tcpdump -r; - is standard output", .required = true },
	{ "filter", CLI_TEXT, MEMBER(filter), .argument = "EXPR",
	  .help = "which packets, as in pcap-filter(7): 'udp port 53' (default: all)" },
	{ "count", CLI_NUMBER, MEMBER(count), .min = 1, .max = INT64_MAX, .argument = "N",
	  .help = "packets to write (default: no limit)" },
	NET_TIME_OPTION("seconds to run (default: until SIGINT)"),
	{ "snaplen", CLI_NUMBER, MEMBER(snaplen), .min = 1, .max = CAPTURE_SNAPLEN, .argument = "N",
	  .help = "bytes to write of a packet at most (default 262144)" },
	{ "only-own", CLI_FLAG, MEMBER(only_own),
	  .help = "only what is for the port's own address, and broadcasts (default: everything)" },
	{ "force", CLI_FLAG, MEMBER(force), .help = "replace FILE if it is there" },
	NET_RING_OPTION,
	NET_MTU_OPTION,
	NET_CPU_OPTION,
	NET_INTERVAL_OPTION,
	NET_LINK_WAIT_OPTION,
	NET_JSON_OPTION,
	{ NULL },
};

struct dump {
	const struct dump_config *config;
	struct ports ports;
	struct net_run run;
	struct net_worker worker;
	struct weir_nic_rxq *rxq;
	struct frame_pool pool;
	struct capture_filter filter;
	struct capture capture;
	uint64_t flushed_ns;
	bool in_pieces; /* the last frame was not the end of its packet */
	uint64_t received; /* packets */
	uint64_t damaged; /* of them, and those in pieces: not written */
};

static bool enough(const struct dump *dump)
{
	return dump->config->count && dump->capture.frames == dump->config->count;
}

/* Writes one received frame, unless it is none or not wanted. */
static int take_frame(struct dump *dump, const struct weir_frame *frame, uint64_t realtime_ns,
		      struct weir_error *err)
{
	const void *data = (const void *)(uintptr_t)frame->cookie;
	bool more = frame->flags & WEIR_FRAME_MORE, in_pieces = dump->in_pieces;

	if (frame->flags & WEIR_FRAME_UNUSED)
		return 0;
	dump->in_pieces = more;
	if (more)
		return 0;
	dump->received++;
	if (in_pieces || frame->flags & WEIR_FRAME_ERROR) {
		dump->damaged++;
		return 0;
	}
	if (enough(dump) || !capture_filter_wants(&dump->filter, data, frame->len))
		return 0;
	return capture_add(&dump->capture, realtime_ns, data, frame->len, err);
}

/* Returns how many frames were received, or a negative errno. */
static int receive(struct net_worker *worker, struct dump *dump)
{
	const struct port *port = &dump->ports.port[0];
	struct weir_frame frames[NET_BURST];
	uint64_t realtime_ns = 0;
	int n, rc = 0;

	n = weir_nic_rx(dump->rxq, frames, NET_BURST);
	if (n < 0)
		return net_worker_fail(worker, port, n);
	if (n)
		realtime_ns = clock_ns(CLOCK_REALTIME);
	for (int i = 0; i < n; i++) {
		if (!rc)
			rc = take_frame(dump, &frames[i], realtime_ns, &worker->why);
		frame_pool_give(&dump->pool, frames[i].cookie);
	}
	if (rc) {
		worker->code = rc;
		return rc;
	}
	rc = n ? frame_pool_post(&dump->pool, dump->rxq) : 0;
	return rc < 0 ? net_worker_fail(worker, port, rc) : n;
}

/* Lets somebody who reads along see what is there. */
static int flush_sometimes(struct net_worker *worker, struct dump *dump)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC_COARSE);

	if (now - dump->flushed_ns < FLUSH_NS)
		return 0;
	dump->flushed_ns = now;
	worker->code = capture_flush(&dump->capture, &worker->why);
	return worker->code;
}

static void work(struct net_worker *worker)
{
	struct dump *dump = worker->own;
	struct net_idle idle = { .rxq = { dump->rxq }, .nr = 1 };

	while (!net_stopped(worker) && !enough(dump)) {
		int n = receive(worker, dump);

		if (n < 0 || flush_sometimes(worker, dump))
			return;
		net_idle_turn(&idle, n > 0, false);
	}
	/* What is in the ring came before the end. */
	for (uint64_t left = dump->config->net.ring; left && !enough(dump); left--) {
		if (receive(worker, dump) <= 0)
			return;
	}
}

static unsigned int pool_frames(const struct net_config *config)
{
	return (unsigned int)config->ring + NET_BURST;
}

static uint64_t arena_bytes(const struct net_config *config)
{
	return frame_pool_arena_bytes(pool_frames(config), port_frame_bytes(config->mtu)) +
	       port_ring_bytes(config) + (UINT64_C(8) << 20);
}

static int prepare(struct dump *dump, struct weir_error *err)
{
	const struct net_config *config = &dump->config->net;
	struct port *port = &dump->ports.port[0];
	int rc;

	rc = port_start(port, config, dump->config->only_own ? 0 : WEIR_NIC_PROMISCUOUS, err);
	if (rc)
		return rc;
	dump->rxq = weir_nic_rxq(port->nic, 0);
	rc = frame_pool_make(&dump->pool, dump->ports.arena, pool_frames(config),
			     port_frame_bytes(config->mtu), err);
	if (!rc && frame_pool_post(&dump->pool, dump->rxq))
		rc = port_failure(port, err);
	if (!rc)
		rc = ports_wait_link(&dump->ports, config->link_wait_ms, err);
	return rc;
}

/* Whether rows and results may go to standard output. */
static bool is_quiet(const struct dump_config *config)
{
	return !strcmp(config->to, "-");
}

static void print_result(const struct dump *dump)
{
	net_print_result(&dump->run);
	printf("%" PRIu64 " packets received, %" PRIu64 " written to %s", dump->received,
	       dump->capture.frames, dump->config->to);
	if (dump->damaged)
		printf("; %" PRIu64 " damaged or too long", dump->damaged);
	printf("\n");
}

static int print_json(const struct dump *dump, const char *failure, struct weir_error *err)
{
	const struct dump_config *config = dump->config;
	json_t *parameters = net_parameters_json(&config->net), *own, *result;

	own = json_pack("{s:s, s:s?, s:I, s:I, s:b}", "to", config->to, "filter", config->filter,
			"count", (json_int_t)config->count, "snaplen", (json_int_t)config->snaplen,
			"only_own", (int)config->only_own);
	json_object_update(parameters, own);
	json_decref(own);
	result = json_pack("{s:I, s:I, s:I, s:I}", "received", (json_int_t)dump->received,
			   "written", (json_int_t)dump->capture.frames, "written_bytes",
			   (json_int_t)dump->capture.bytes, "damaged", (json_int_t)dump->damaged);
	return net_print_json(&dump->run, parameters, result, failure, err);
}

/* Captures, and keeps what was written unless writing failed. */
static int dump_all(struct dump *dump, struct weir_error *err)
{
	const struct dump_config *config = dump->config;
	struct weir_error late;
	int rc, late_rc = 0;

	rc = capture_begin(&dump->capture, config->to, config->force, (uint32_t)config->snaplen,
			   err);
	if (rc)
		return rc;
	notice_show();
	if (!config->net.json && !is_quiet(config)) {
		net_print_ports(&dump->ports);
		fflush(stdout);
	}
	rc = net_run(&dump->run, err);
	if (dump->worker.code && !dump->worker.failed)
		capture_discard(&dump->capture);
	else
		late_rc = capture_commit(&dump->capture, &late);
	if (!rc && late_rc) {
		rc = late_rc;
		*err = late;
	}
	late_rc = 0;
	if (config->net.json)
		late_rc = print_json(dump, rc ? err->text : NULL, &late);
	else if (!is_quiet(config))
		print_result(dump);
	if (!rc && late_rc)
		*err = late;
	return rc ? rc : late_rc;
}

static int check_config(const struct dump_config *config, struct capture_filter *filter,
			struct weir_error *err)
{
	int rc;

	if (is_quiet(config) && config->net.json)
		return fail(err, CLI_USAGE,
			    "json does not go with --to -: both are standard output");
	rc = output_file_check(config->to, config->force, err);
	if (!rc)
		rc = memory_check("ring and MTU", arena_bytes(&config->net), err);
	if (!rc && capture_filter_make(filter, config->filter, err))
		rc = CLI_USAGE;
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct dump_config *config = arg;
	struct net_config net = config->net;
	struct dump dump = {
		.config = config,
		.worker = { .own = &dump },
		.run = { .config = &net,
			 .ports = &dump.ports,
			 .workers = &dump.worker,
			 .work = work },
	};
	int rc;

	/* No rows between the frames. */
	if (is_quiet(config))
		net.interval_ms = 0;
	rc = check_config(config, &dump.filter, err);
	if (rc)
		return rc;
	rc = ports_open(&dump.ports, operands, 1, arena_bytes(&config->net), err);
	if (rc)
		goto end_filter;
	stop_on_signals(NULL, NULL);
	rc = prepare(&dump, err);
	if (!rc)
		rc = dump_all(&dump, err);
	weir_nic_stop(dump.ports.port[0].nic, NULL);
	frame_pool_end(&dump.pool);
	net_run_end(&dump.run);
	ports_close(&dump.ports);
end_filter:
	capture_filter_end(&dump.filter);
	return rc;
}

const struct cli_command command_net_dump = {
	.name = "net dump",
	.operands = "PORT",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Write what a network port receives to a file for tcpdump.",
	.examples = "  weir net dump 0000:3b:00.0 --to all.pcap --time 10\n"
		    "  weir net dump vfio-user:/tmp/a.sock --to dns.pcap --filter 'udp port 53' "
		    "--count 100\n"
		    "  weir net dump 0000:3b:00.0 --to - | tcpdump -n -r -\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
