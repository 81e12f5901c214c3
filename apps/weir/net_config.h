/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir net fwd, gen and dump have in common on their command lines. */
#ifndef WEIR_APPS_NET_CONFIG_H
#define WEIR_APPS_NET_CONFIG_H

#include "cli.h"

#include <weir/nic.h>

#define NET_MAX_TIME_MS (UINT64_C(30) * 86400 * 1000)

struct net_config {
	uint64_t queues; /* of each port, each with a thread */
	uint64_t ring; /* entries of each queue */
	uint64_t mtu;
	uint64_t time_ms; /* 0: until something else ends it */
	uint64_t interval_ms; /* between rows; 0: none */
	uint64_t link_wait_ms;
	struct cpu_list cpus; /* none: threads are not pinned */
	bool json;
};

#define NET_CONFIG_DEFAULTS \
	{ \
		.queues = 1, .ring = 512, .mtu = 1500, .interval_ms = 1000, .link_wait_ms = 5000 \
	}

/*
 * Rows of a command's table of options. Its struct begins with its net_config, so that offsets here
 * are offsets there. The device says what it allows; these limits only keep the numbers in their
 * types.
 */
#define NET_RING_OPTION \
	{ \
		"ring", CLI_NUMBER, offsetof(struct net_config, ring), \
			.min = 1, .max = 65536, .argument = "N", \
			.help = "entries of each queue's ring (default 512)" \
	}
#define NET_MTU_OPTION \
	{ \
		"mtu", CLI_NUMBER, offsetof(struct net_config, mtu), \
			.min = 1, .max = 65535, .argument = "N", \
			.help = "bytes of the largest packet without its Ethernet header (default " \
				"1500)" \
	}
#define NET_QUEUES_OPTION \
	{ \
		"queues", CLI_NUMBER, offsetof(struct net_config, queues), \
			.min = 1, .max = 1024, .argument = "N", \
			.help = "queues of each port, each number with a thread (default 1)" \
	}
#define NET_CPU_OPTION \
	{ \
		"cpu", CLI_CPUS, offsetof(struct net_config, cpus), \
			.argument = "LIST", \
			.help = "CPUs such as 0,2-5 that the threads are pinned to, one for each" \
	}
#define NET_TIME_OPTION(text) \
	{ \
		"time", CLI_SECONDS, offsetof(struct net_config, time_ms), \
			.min = 1, .max = NET_MAX_TIME_MS, .argument = "S", .help = (text) \
	}
#define NET_INTERVAL_OPTION \
	{ \
		"interval", CLI_SECONDS, offsetof(struct net_config, interval_ms), \
			.max = NET_MAX_TIME_MS, .argument = "S", \
			.help = "seconds between two rows of statistics; 0: none (default 1)" \
	}
#define NET_LINK_WAIT_OPTION \
	{ \
		"link-wait", CLI_SECONDS, offsetof(struct net_config, link_wait_ms), \
			.max = NET_MAX_TIME_MS, .argument = "S", \
			.help = "seconds that a link may take to come up (default 5)" \
	}
#define NET_JSON_OPTION \
	{ \
		"json", CLI_FLAG, offsetof(struct net_config, json), \
			.help = "print one JSON object" \
	}

#endif
