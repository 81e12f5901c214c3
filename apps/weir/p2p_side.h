/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir p2p send and receive have in common: a namespace, device memory, a port. */
#ifndef WEIR_APPS_P2P_SIDE_H
#define WEIR_APPS_P2P_SIDE_H

#include "cli.h"
#include "p2p_link.h"
#include "transfer.h"

struct p2p_config {
	const char *nvme, *memory, *port;
	uint64_t nsid, lba, bytes;
	uint64_t offset, window;
	uint64_t payload;
	uint64_t depth;
	uint64_t wait_ms, link_wait_ms;
	bool mappings, yes;
};

#define P2P_CONFIG_DEFAULTS \
	{ \
		.window = 4 << 20, .payload = P2P_DEFAULT_PAYLOAD, .wait_ms = 10000, \
		.link_wait_ms = 5000 \
	}

#define P2P_MEMBER(name) offsetof(struct p2p_config, name)

/* Rows of both tables of options. */
#define P2P_SIDE_OPTIONS \
	{ \
		"nvme", \
		CLI_TEXT, \
		P2P_MEMBER(nvme), \
		.argument = "DEV", \
		.help = "the NVMe device", \
		.required = true \
	}, \
		{ "namespace", \
		  CLI_NUMBER, \
		  P2P_MEMBER(nsid), \
		  .min = 1, \
		  .max = UINT32_MAX - 1, \
		  .argument = "N", \
		  .help = "its namespace (default: the first)" }, \
		{ "lba",	   CLI_NUMBER, \
		  P2P_MEMBER(lba), .max = UINT64_MAX, \
		  .argument = "N", .help = "first block there (default 0)" }, \
		{ "bytes", \
		  CLI_BYTES, \
		  P2P_MEMBER(bytes), \
		  .min = 1, \
		  .max = UINT64_MAX, \
		  .argument = "N", \
		  .help = "how much, a multiple of the block size", \
		  .required = true }, \
		{ "memory", \
		  CLI_TEXT, \
		  P2P_MEMBER(memory), \
		  .argument = "DEV", \
		  .help = "the device whose memory the data passes through: weir sim membar, or QEMU's " \
			  "ivshmem-plain", \
		  .required = true }, \
		{ "offset",	      CLI_BYTES, \
		  P2P_MEMBER(offset), .max = UINT64_MAX, \
		  .argument = "N",    .help = "first byte there, a multiple of 4 (default 0)" }, \
		{ "window", \
		  CLI_BYTES, \
		  P2P_MEMBER(window), \
		  .min = 1, \
		  .max = UINT64_C(1) << 30, \
		  .argument = "N", \
		  .help = "bytes there that are used (default 4M)" }, \
		{ "port", \
		  CLI_TEXT, \
		  P2P_MEMBER(port), \
		  .argument = "DEV", \
		  .help = "the network port", \
		  .required = true }, \
		{ "payload", \
		  CLI_BYTES, \
		  P2P_MEMBER(payload), \
		  .min = P2P_MIN_PAYLOAD, \
		  .max = P2P_MAX_PAYLOAD, \
		  .argument = "N", \
		  .help = "bytes in each frame, a multiple of the block size; the same on both sides " \
			  "(default 4K)" }, \
		{ "queue-depth", \
		  CLI_NUMBER, \
		  P2P_MEMBER(depth), \
		  .min = 1, \
		  .max = WEIR_NVME_MAX_DEPTH, \
		  .argument = "N", \
		  .help = "I/Os in flight (default 32, or what the controller allows)" }, \
		{ "wait", \
		  CLI_SECONDS, \
		  P2P_MEMBER(wait_ms), \
		  .min = 1, \
		  .max = UINT64_C(86400000), \
		  .argument = "S", \
		  .help = "seconds without a sign of the other side (default 10)" }, \
		{ "link-wait", \
		  CLI_SECONDS, \
		  P2P_MEMBER(link_wait_ms), \
		  .max = UINT64_C(86400000), \
		  .argument = "S", \
		  .help = "seconds that the link may take to come up (default 5)" }, \
	{ \
		"mappings", CLI_FLAG, P2P_MEMBER(mappings), \
			.help = "print what each device can reach, and where the payload lies" \
	}

struct p2p_side {
	const struct p2p_config *config;
	struct device_memory memory;
	struct target target;
	struct transfer transfer; /* its ops and ctx are the command's */
	struct weir_mapping *mapping; /* of the memory, for the NVMe device */
	uint64_t iova; /* there */
	struct p2p_link link;
};

/* Opens everything; `receives`: the namespace is written. On failure nothing is left open. */
int p2p_side_open(struct p2p_side *side, const struct p2p_config *config, bool receives,
		  struct weir_error *err);
void p2p_side_close(struct p2p_side *side);

/* A frame for the peer. */
struct p2p_frame p2p_side_frame(const struct p2p_side *side, enum p2p_kind kind);

/* Why the peer gave up. Returns -ECONNABORTED. */
int p2p_side_given_up(const struct p2p_frame *frame, struct weir_error *err);

#endif
