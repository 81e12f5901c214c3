/* SPDX-License-Identifier: BSD-3-Clause */
/* Strict parsing, as in parse.h, of what the network commands take. */
#ifndef WEIR_APPS_PARSE_NET_H
#define WEIR_APPS_PARSE_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/error.h>

/* A frame on the wire has this around it that is no part of its size: preamble, start of frame and
 * the gap before the next (IEEE 802.3 clause 4.4.2). */
#define NET_WIRE_OVERHEAD 20
/* The frame check sequence, which is part of a frame's size and not of the bytes in memory. */
#define NET_FCS 4
/* The smallest frame, checksum included. */
#define NET_MIN_SIZE 64
/* The largest of the mix of sizes. */
#define NET_IMIX_MAX 1518

enum net_rate_unit { NET_RATE_MAX, NET_RATE_PPS, NET_RATE_BPS, NET_RATE_PERCENT };

struct net_rate {
	enum net_rate_unit unit;
	uint64_t value; /* frames or bits a second, or hundredths of a percent */
};

enum net_size_kind { NET_SIZE_FIXED, NET_SIZE_RANGE, NET_SIZE_IMIX };

/* Sizes of frames, checksum included, as RFC 2544 counts them. */
struct net_sizes {
	enum net_size_kind kind;
	uint32_t min, max; /* the same when fixed */
};

/* An IPv4 or IPv6 address in network order. */
struct net_ip {
	unsigned int bytes; /* 4 or 16 */
	uint8_t address[16];
};

/* Each returns 0, or -EINVAL with a text that begins with `what`. */

/* max, 1000pps, 2.5Mpps, 100Mbps, 1Gbps or 12.5%. K, M and G are powers of 1000. */
int parse_net_rate(const char *what, const char *text, struct net_rate *rate,
		   struct weir_error *err);

/* 64, 64-1518 or imix. */
int parse_net_sizes(const char *what, const char *text, struct net_sizes *sizes,
		    struct weir_error *err);

/* 02:00:00:00:00:01 */
int parse_net_mac(const char *what, const char *text, uint8_t mac[6], struct weir_error *err);

/* 192.0.2.1 or 2001:db8::1 */
int parse_net_ip(const char *what, const char *text, struct net_ip *ip, struct weir_error *err);

#endif
