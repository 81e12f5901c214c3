/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of random content to be sent: valid ones of all sorts, and malformed ones; with offloads
 * asked for, rightly and wrongly. Of each it is known what the driver does with it, and what comes
 * out on the wire, as far as the documentation of nic.h says it.
 *
 * The checksums, tags and segments that a device makes are made here once more, independent of it.
 */
#ifndef WEIR_TESTS_RANDOM_PACKETS_H
#define WEIR_TESTS_RANDOM_PACKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/nic.h>

/* splitmix64 */
struct rng {
	uint64_t at;
};
uint64_t rng_next(struct rng *rng);
/* 0 to n - 1. */
uint32_t rng_below(struct rng *rng, uint32_t n);
/* true in so many of 1000 cases. */
bool rng_chance(struct rng *rng, uint32_t permille);

/* Memory of a packet: the longest that may be asked for, and what is too long. */
#define PACKET_ROOM (68u << 10)
/* Most frames on the wire that come of one packet whose content is known. */
#define PACKET_SEGMENTS 48u
#define PACKET_MIN_WIRE 60u

enum packet_verdict {
	PACKET_GOOD, /* it is sent */
	PACKET_MALFORMED, /* it is refused */
	PACKET_ANY, /* either */
};

struct packet {
	uint8_t *data; /* PACKET_ROOM bytes */
	uint32_t bytes;
	/* of its frame, as weir_frame has them */
	uint32_t flags;
	uint16_t vlan, mss;
	struct weir_frame_headers headers;

	enum packet_verdict verdict;
	bool exact; /* what is sent is known, byte by byte */
	bool told; /* what the receiver says of it is known: */
	uint32_t rx_flags; /* of PACKET_TOLD */
};

/* What a receiver says of a packet, if it recognises it. */
#define PACKET_TOLD \
	(WEIR_FRAME_IP4 | WEIR_FRAME_IP4_OPTIONS | WEIR_FRAME_IP6 | WEIR_FRAME_IP6_EXTENSIONS | \
	 WEIR_FRAME_TCP | WEIR_FRAME_UDP | WEIR_FRAME_SCTP | WEIR_FRAME_L4_BAD | \
	 WEIR_FRAME_IP_BAD | WEIR_FRAME_L4_CHECKED | WEIR_FRAME_IP_CHECKED)

struct packet_options {
	uint32_t max_packet; /* bytes that the sender's MTU allows */
	bool certain; /* no PACKET_ANY, no segments */
};

/* Makes a packet to `to` from `from`; its data is at `packet->data`. */
void packet_make(struct rng *rng, const struct packet_options *options, const uint8_t to[6],
		 const uint8_t from[6], struct packet *packet);

/* How many frames on the wire come of it when it is sent. */
unsigned int packet_wire_count(const struct packet *packet);

/* The n-th of them: its length, and its bytes when the packet is exact. `wire` has PACKET_ROOM
 * bytes; at least the Ethernet header and a tag are written there in any case. */
uint32_t packet_wire(const struct packet *packet, unsigned int n, uint8_t *wire);

/* A hash of a frame. */
uint64_t packet_hash(const uint8_t *data, uint32_t bytes);

#endif
