/* SPDX-License-Identifier: BSD-3-Clause */
/* weir net gen: checks everything, sends, prints. */
#include "commands.h"
#include "cpus.h"
#include "fail.h"
#include "gen.h"
#include "memory_check.h"
#include "notice.h"
#include "stop.h"

#include <inttypes.h>
#include <stdio.h>

#define MAX_FLOWS (1u << 24)

static const struct gen_config defaults = {
	.net = NET_CONFIG_DEFAULTS,
	.rate = "max",
	.size = "64",
	.dst_mac = "02:00:00:00:00:01",
	.src_ip = "198.18.0.1", /* RFC 2544 appendix C.2.2: for tests of this kind */
	.dst_ip = "198.18.0.2",
	.src_port = 49152,
	.dst_port = 9,
	.vlan = GEN_NO_VLAN,
	.flows = 1,
	.seed = 1,
};

#define MEMBER(name) offsetof(struct gen_config, name)

static const struct cli_option options[] = {
	{ "rate", CLI_TEXT, MEMBER(rate), .argument = "RATE",
	  .help = "of all queues: max (default), packets a second as 1000pps or 2.5Mpps, bits on "
		  "the wire as 100Mbps, or a part of the link's speed as 50%" },
	{ "size", CLI_TEXT, MEMBER(size), .argument = "SIZE",
	  .help = "bytes of a frame with its checksum: 64 (default), 64-1518, or imix for 64, 594 "
		  "and 1518 as 7:4:1" },
	{ "count", CLI_NUMBER, MEMBER(count), .min = 1, .max = INT64_MAX, .argument = "N",
	  .help = "packets to send" },
	NET_TIME_OPTION("seconds to run (default 10 without --count)"),
	{ "flows", CLI_NUMBER, MEMBER(flows), .min = 1, .max = MAX_FLOWS, .argument = "N",
	  .help = "flows that take turns (default 1)" },
	{ "vary", CLI_CHOICE, MEMBER(vary), .choices = gen_vary_choices, .argument = "WHAT",
	  .help = "what counts up from flow to flow: src-port (default), dst-port, src-ip or "
		  "dst-ip" },
	{ "dst-mac", CLI_TEXT, MEMBER(dst_mac), .argument = "MAC",
	  .help = "Ethernet address to send to (default 02:00:00:00:00:01)" },
	{ "src-mac", CLI_TEXT, MEMBER(src_mac), .argument = "MAC",
	  .help = "Ethernet address to send from (default: the port's)" },
	{ "dst-ip", CLI_TEXT, MEMBER(dst_ip), .argument = "IP",
	  .help = "IPv4 or IPv6 address to send to (default 198.18.0.2)" },
	{ "src-ip", CLI_TEXT, MEMBER(src_ip), .argument = "IP",
	  .help = "address to send from (default 198.18.0.1)" },
	{ "dst-port", CLI_NUMBER, MEMBER(dst_port), .max = UINT16_MAX, .argument = "N",
	  .help = "UDP port to send to (default 9)" },
	{ "src-port", CLI_NUMBER, MEMBER(src_port), .max = UINT16_MAX, .argument = "N",
	  .help = "UDP port to send from (default 49152)" },
	{ "vlan", CLI_NUMBER, MEMBER(vlan), .max = 4094, .argument = "ID",
	  .help = "VLAN of the frames (default: without a tag)" },
	{ "seed", CLI_NUMBER, MEMBER(seed), .max = INT64_MAX, .argument = "N",
	  .help = "for sizes of a range (default 1)" },
	NET_QUEUES_OPTION,
	NET_RING_OPTION,
	NET_MTU_OPTION,
	NET_CPU_OPTION,
	NET_INTERVAL_OPTION,
	NET_LINK_WAIT_OPTION,
	NET_JSON_OPTION,
	{ NULL },
};

/* What can be said before the device is opened. */
static int check_config(struct gen *gen, struct weir_error *err)
{
	const struct gen_config *config = gen->config;
	struct flow_options *flow = &gen->flow;
	uint32_t limit;
	int rc;

	*flow = (struct flow_options){
		.vlan = config->vlan == GEN_NO_VLAN ? FLOW_NO_VLAN : (uint32_t)config->vlan,
		.src_port = (uint16_t)config->src_port,
		.dst_port = (uint16_t)config->dst_port,
		.flows = (uint32_t)config->flows,
		.vary = config->vary,
		.seed = config->seed,
	};
	if (parse_net_rate("rate", config->rate, &gen->rate, err) ||
	    parse_net_sizes("size", config->size, &flow->sizes, err) ||
	    parse_net_mac("dst mac", config->dst_mac, flow->dst_mac, err) ||
	    (config->src_mac && parse_net_mac("src mac", config->src_mac, flow->src_mac, err)) ||
	    parse_net_ip("dst ip", config->dst_ip, &flow->dst, err) ||
	    parse_net_ip("src ip", config->src_ip, &flow->src, err) || flow_check(flow, err))
		return CLI_USAGE;
	limit = (uint32_t)config->net.mtu + 14 + (flow->vlan != FLOW_NO_VLAN ? 4 : 0) + NET_FCS;
	if (flow_max_size(flow) > limit)
		return fail(err, CLI_USAGE,
			    "size %" PRIu32 " is over the %" PRIu32 " bytes that an MTU of %" PRIu64
			    " allows",
			    flow_max_size(flow), limit, config->net.mtu);
	if (config->flows < config->net.queues)
		return fail(err, CLI_USAGE,
			    "flows %" PRIu64 " is under the %" PRIu64
			    " queues, of which each needs one",
			    config->flows, config->net.queues);
	if (config->count && config->count < config->net.queues)
		return fail(err, CLI_USAGE,
			    "count %" PRIu64 " is under the %" PRIu64
			    " queues, of which each sends some",
			    config->count, config->net.queues);
	rc = cpus_check(&config->net.cpus, config->net.queues, err);
	return rc ? rc : memory_check("queues, ring and MTU", gen_arena_bytes(&config->net), err);
}

static int send_all(struct gen *gen, struct weir_error *err)
{
	struct weir_error output_err;
	int rc, output_rc = 0;

	notice_show();
	if (!gen->net.json)
		gen_print_header(gen);
	rc = net_run(&gen->run, err);
	if (gen->net.json)
		output_rc = gen_print_json(gen, rc ? err->text : NULL, &output_err);
	else
		gen_print_result(gen);
	if (!rc && output_rc)
		*err = output_err;
	return rc ? rc : output_rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct gen_config *config = arg;
	struct gen gen = {
		.config = config,
		.net = config->net,
		.run = { .config = &gen.net, .ports = &gen.ports, .work = gen_work },
	};
	int rc;

	if (!gen.net.time_ms && !config->count)
		gen.net.time_ms = 10000;
	rc = check_config(&gen, err);
	if (!rc)
		rc = ports_open(&gen.ports, operands, 1, gen_arena_bytes(&gen.net), err);
	if (rc)
		return rc;
	stop_on_signals(NULL, NULL);
	rc = gen_prepare(&gen, err);
	if (!rc)
		rc = send_all(&gen, err);
	gen_end(&gen);
	ports_close(&gen.ports);
	return rc;
}

const struct cli_command command_net_gen = {
	.name = "net gen",
	.operands = "PORT",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Send generated UDP packets from a network port.",
	.examples =
		"  weir net gen vfio-user:/tmp/a.sock --rate 1000pps --time 5\n"
		"  weir net gen 0000:3b:00.0 --size imix --rate 50% --flows 1000\n"
		"  weir net gen 0000:3b:00.0 --size 64-1518 --count 1000000 --vary dst-ip --flows 16\n"
		"  weir net gen 0000:3b:00.0 --src-ip 2001:db8::1 --dst-ip 2001:db8::2 --size 128 "
		"--json\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
