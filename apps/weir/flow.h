/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The frames that weir net gen sends: UDP in IPv4 or IPv6 in Ethernet, in a number of flows that
 * take turns.
 *
 * The payload begins with FLOW_MAGIC, the number of the flow in 32 bits and that of the frame in
 * its flow in 64, all in network order; zeros follow. So a receiver can tell what is missing.
 */
#ifndef WEIR_APPS_FLOW_H
#define WEIR_APPS_FLOW_H

#include "parse_net.h"

#define FLOW_MAGIC 0x57454952u /* "WEIR" */
#define FLOW_PAYLOAD 16
/* Ethernet with a tag, IPv6, UDP and the payload. */
#define FLOW_MAX_HEADERS (14 + 4 + 40 + 8 + FLOW_PAYLOAD)
#define FLOW_NO_VLAN UINT32_MAX

/* What differs between flows. */
enum flow_vary { FLOW_SRC_PORT, FLOW_DST_PORT, FLOW_SRC_IP, FLOW_DST_IP };

struct flow_options {
	uint8_t dst_mac[6], src_mac[6];
	uint32_t vlan; /* id, or FLOW_NO_VLAN */
	struct net_ip src, dst; /* of the same family */
	uint16_t src_port, dst_port;
	uint32_t flows; /* at least 1 */
	enum flow_vary vary;
	struct net_sizes sizes;
	uint64_t seed; /* of a range of sizes */
};

/* One thread's part of the flows. */
struct flow_generator {
	uint8_t headers[FLOW_MAX_HEADERS]; /* of flow 0 */
	uint32_t header_bytes;
	uint32_t ip_at, udp_at;
	uint32_t vary_at, vary_bytes; /* the number in the headers that differs */
	uint32_t vary_base;
	uint32_t first, step, end; /* the flows: first, first + step, ... below end */
	uint32_t flow; /* the next frame's */
	uint64_t sequence; /* in its flow */
	struct net_sizes sizes;
	uint32_t tag_bytes;
	unsigned int imix; /* the next place in the mix */
	uint64_t random;
};

/* The smallest frame, checksum included, that these options allow. */
uint32_t flow_min_size(const struct flow_options *options);

/* Whether the options go together: -EINVAL otherwise, with a text. */
int flow_check(const struct flow_options *options, struct weir_error *err);

/* Begins with the flows `part`, `part` + `parts`, and so on of options that were checked. There
 * are at least as many flows as parts. */
void flow_start(struct flow_generator *gen, const struct flow_options *options, unsigned int part,
		unsigned int parts);

/* Bytes in memory of the next frame: its size less its checksum. */
uint32_t flow_next_bytes(struct flow_generator *gen);

/* Writes the headers and the payload's beginning of the next frame. What is behind them in the
 * frame has to be zero already. */
void flow_write(struct flow_generator *gen, uint8_t *frame, uint32_t bytes);

/* Most that a frame's size can be with these sizes, checksum included. */
uint32_t flow_max_size(const struct flow_options *options);

#endif
