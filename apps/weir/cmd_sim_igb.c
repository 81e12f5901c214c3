/* SPDX-License-Identifier: BSD-3-Clause */
/* weir sim igb: serve an emulated network controller, or two with a cable in between. */
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "sim_serve.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "igb/sim_igb.h"

#define NO_FD UINT64_MAX
#define MAX_FD 1000000

struct sim_igb_config {
	const char *socket, *peer;
	const char *tap;
	const char *pcap_in, *pcap_out;
	const char *mac;
	const char *fault;
	uint64_t tap_fd;
	uint64_t spin_us, cpu;
	bool null, lossless, trap_queues, no_mmap_dma;
};

static const struct sim_igb_config defaults = {
	.tap_fd = NO_FD,
	.cpu = SIM_NO_CPU,
};

#define MEMBER(name) offsetof(struct sim_igb_config, name)

static const struct cli_option options[] = {
	SIM_SOCKET_OPTION,
	{ "peer", CLI_TEXT, MEMBER(peer), .argument = "PATH",
	  .help = "the socket of a second controller, at the other end of the cable" },
	{ "lossless", CLI_FLAG, MEMBER(lossless),
	  .help = "with --peer: who sends waits for a receiver without descriptors" },
	{ "tap", CLI_TEXT, MEMBER(tap), .argument = "NAME",
	  .help = "the cable leads to this TAP device, which is made when it is not there" },
	{ "tap-fd", CLI_NUMBER, MEMBER(tap_fd), .max = MAX_FD, .argument = "N",
	  .help = "the cable leads to the TAP device that is open at this descriptor" },
	{ "pcap-in", CLI_TEXT, MEMBER(pcap_in), .argument = "FILE",
	  .help = "the frames of this capture file arrive" },
	{ "pcap-out", CLI_TEXT, MEMBER(pcap_out), .argument = "FILE",
	  .help = "what is sent is recorded in this file" },
	{ "null", CLI_FLAG, MEMBER(null), .help = "the cable leads nowhere" },
	{ "mac", CLI_TEXT, MEMBER(mac), .argument = "ADDR",
	  .help = "the address (default 52:45:49:52:00:00); the peer has the next one" },
	{ "trap-queues", CLI_FLAG, MEMBER(trap_queues),
	  .help = "no registers can be mapped: each access is a message" },
	SIM_SPIN_OPTION,
	SIM_NO_MMAP_DMA_OPTION,
	SIM_CPU_OPTION,
	{ "fault", CLI_TEXT, MEMBER(fault), .argument = "SPEC",
	  .help = "what goes wrong on purpose: NAME=VALUE[,NAME=VALUE...], see "
		  "weir-sim(1)" },
	{ NULL },
};

static int parse_mac(const char *text, uint8_t mac[6], struct weir_error *err)
{
	static const char shape[] = "xx:xx:xx:xx:xx:xx";
	bool fits = strlen(text) == strlen(shape);

	for (unsigned int i = 0; fits && shape[i]; i++)
		fits = shape[i] == ':' ? text[i] == ':' : isxdigit((unsigned char)text[i]);
	if (!fits)
		return fail(err, CLI_USAGE, "mac: \"%s\" is no address like 52:45:49:52:00:00",
			    text);
	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	return 0;
}

static int check(const struct sim_igb_config *config, struct weir_error *err)
{
	int ends = !!config->peer + !!config->tap + (config->tap_fd != NO_FD) + config->null +
		   (config->pcap_in || config->pcap_out);

	if (ends != 1)
		return fail(err, CLI_USAGE,
			    "the cable has one other end: peer, tap, tap-fd, pcap or null, not %d",
			    ends);
	if (config->lossless && !config->peer)
		return fail(err, CLI_USAGE, "lossless goes with peer only");
	return 0;
}

static int make_cable(const struct sim_igb_config *config, struct sim_cable *cables[2],
		      struct weir_error *err)
{
	if (config->peer)
		return sim_cable_pair(config->lossless, cables, err);
	if (config->pcap_in || config->pcap_out)
		return sim_cable_pcap(config->pcap_in, config->pcap_out, &cables[0], err);
	if (config->null)
		return sim_cable_null(&cables[0], err);
	return sim_cable_tap(config->tap, config->tap_fd == NO_FD ? -1 : (int)config->tap_fd,
			     &cables[0], err);
}

static int serve(const struct sim_igb_config *config, const struct sim_igb_options *igb_options,
		 struct sim_cable *cables[2], struct weir_error *err)
{
	const char *const sockets[2] = { config->socket, config->peer };
	struct sim_igb_options settings = *igb_options;
	struct sim_igb *controllers[2] = { NULL };
	struct sim_server *servers[2];
	unsigned int nr = 0;
	int rc = 0;

	while (!rc && nr < 2 && cables[nr]) {
		rc = sim_igb_create(&settings, cables[nr], &controllers[nr], err);
		if (rc)
			break;
		servers[nr] = sim_igb_server(controllers[nr]);
		cables[nr++] = NULL;
		settings.mac[5]++;
		settings.port++;
	}
	if (!rc)
		rc = sim_serve_several(servers, sockets, nr, config->no_mmap_dma, config->cpu, err);
	for (unsigned int i = 0; i < 2; i++) {
		sim_igb_destroy(controllers[i]);
		sim_cable_destroy(cables[i]);
	}
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct sim_igb_config *config = arg;
	struct sim_igb_options igb_options = { 0 };
	struct sim_cable *cables[2] = { NULL };
	int rc = check(config, err);

	(void)operands;
	if (!rc && config->fault && sim_igb_parse_faults(config->fault, &igb_options, err))
		rc = CLI_USAGE;
	if (!rc)
		rc = parse_mac(config->mac ? config->mac : "52:45:49:52:00:00", igb_options.mac,
			       err);
	if (!rc)
		rc = make_cable(config, cables, err);
	if (rc)
		return rc;
	igb_options.trap_queues = config->trap_queues;
	igb_options.server.spin_us = (unsigned int)config->spin_us;
	igb_options.server.no_mmap_dma = config->no_mmap_dma;
	igb_options.server.log = notice_log();
	return serve(config, &igb_options, cables, err);
}

const struct cli_command command_sim_igb = {
	.name = "sim igb",
	.operands = "",
	.summary = "Serve an emulated Intel 82576 network controller over vfio-user.",
	.examples = "  weir sim igb --socket /tmp/a.sock --peer /tmp/b.sock\n"
		    "  weir sim igb --socket /tmp/igb.sock --tap tap0\n"
		    "  weir sim igb --socket /tmp/igb.sock --pcap-out sent.pcap\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
