/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two emulated ports that are wired to each other, between which packets of random content pass
 * both ways; and a record of every frame that was given to one, until it comes back, and of every
 * packet, until it arrives.
 *
 * Whatever the devices do: a frame comes back once, in its turn, with its own address, and nothing
 * is written behind its room.
 */
#ifndef WEIR_TESTS_RANDOM_TRAFFIC_H
#define WEIR_TESTS_RANDOM_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/nic.h>

#include "random_packets.h"

#define TRAFFIC_QUEUES 16u
#define TRAFFIC_SLOTS 192u /* packets for sending */
#define TRAFFIC_BUFFERS 2048u /* frames for receiving, at most */
#define TRAFFIC_ENTRIES 65536u /* packets that may be on their way, and more */
#define TRAFFIC_FILTERS 8u
#define TRAFFIC_BURST 32u
#define TRAFFIC_RX_BYTES (12u << 20) /* of memory for receiving */
#define TRAFFIC_HEADER_ROOM 1088u /* of a frame for headers */

/* Says what is wrong, and how to do it again, and ends the program. */
void traffic_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define traffic_require(condition, ...) \
	do { \
		if (!(condition)) \
			traffic_fail(__VA_ARGS__); \
	} while (0)

/* A packet that is to be sent, in its memory. */
struct traffic_slot {
	struct packet packet;
	uint32_t sequence;
	unsigned int pieces, returned;
	bool sent, refused; /* some piece came back as that */
};

/* What is to arrive of a packet. */
struct traffic_entry {
	uint32_t sequence;
	bool used, cancelled, exact, told;
	uint32_t rx_flags;
	unsigned int expected, arrived; /* frames on the wire that pass the receiver's filter */
	unsigned int next; /* of those, the first that may come */
	uint32_t shortest, longest; /* bytes of one, as received */
	uint64_t hashes[PACKET_SEGMENTS];
};

/* What one port has sent, by what happens at the other. */
struct traffic_sums {
	uint64_t packets; /* made */
	uint64_t refused; /* of them, by the driver */
	uint64_t unsent; /* came back from a stop */
	uint64_t refused_frames, unsent_frames; /* of the two */
	uint64_t given; /* the others: sent */
	/* frames on the wire that come of them */
	uint64_t frames, bytes, multicast, broadcast, segmented;
	uint64_t deliverable, filtered, oversize;
	/* at the other port */
	uint64_t arrived; /* packets that its driver returned */
	uint64_t intact; /* of them, the same as they were sent */
	uint64_t altered; /* of them, not */
	uint64_t damaged; /* altered ones that the device says are damaged */
};

struct traffic_txq {
	struct weir_frame pending[512];
	unsigned int nr_pending;
	uint64_t next, last_sent, last_refused; /* numbers of frames */
};

struct traffic_rxq {
	uint64_t next_posted, next_back; /* numbers of frames */
	bool failed; /* says -EIO */
	/* of the packet that is being received */
	uint32_t bytes, frames;
	uint8_t packet[32768];
};

struct traffic_buffer {
	bool taken;
	uint64_t iova;
	uint8_t *data;
	uint8_t *header;
};

struct traffic;

struct traffic_port {
	struct traffic *traffic;
	unsigned int index;
	struct weir_device *dev;
	struct weir_nic *nic;
	struct weir_nic_info info;
	struct weir_nic_config config;
	uint8_t filters[TRAFFIC_FILTERS][WEIR_NIC_MAC_BYTES];
	bool vlan_filter;
	uint64_t vlan_ids[64];

	struct traffic_slot slots[TRAFFIC_SLOTS];
	unsigned int free_slots[TRAFFIC_SLOTS], nr_free_slots;
	struct traffic_txq txq[TRAFFIC_QUEUES];
	uint64_t quota; /* packets to be made at most, of traffic_sums::packets */
	uint64_t tx_outstanding;
	uint32_t sequence;
	struct traffic_entry *entries;
	struct traffic_sums sums; /* of what this port sends */

	uint8_t *tx_memory, *rx_memory, *headers;
	struct traffic_buffer buffers[TRAFFIC_BUFFERS];
	unsigned int free_buffers[TRAFFIC_BUFFERS], nr_free_buffers, nr_buffers;
	unsigned int per_queue; /* buffers that one may have */
	struct traffic_rxq rxq[TRAFFIC_QUEUES];
	uint64_t rx_outstanding; /* frames */
	uint64_t rx_unused;
};

/* What may happen in a round. */
struct traffic_rules {
	bool certain; /* nothing is sent of which it is not known whether it is */
	bool lossy; /* the receiver has no buffers now and then */
	bool alters; /* the receiver changes what is in packets, or says of them */
	bool breaks; /* its queues may end, or be stuck, or give packets that never came */
	bool forgets; /* the sender may not be told of what was sent */
	bool flaps; /* what is on the wire when the link goes is lost, and nobody counts it */
	bool leaves; /* a device goes */
};

struct traffic {
	struct rng rng;
	struct traffic_rules rules;
	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct traffic_port port[2];
	bool stopping; /* frames may come back unused */
	uint8_t scratch[PACKET_ROOM + 16];
};

/* The IOAS and the memory, once. */
void traffic_create(struct traffic *w, uint64_t seed);
void traffic_destroy(struct traffic *w);

/* Two devices. */
void traffic_open(struct traffic *w, const char *const addresses[2], bool interrupts);
void traffic_close(struct traffic *w);

/* Counts from 0. The ports are configured and stopped. */
void traffic_begin(struct traffic *w);

/* One turn of all owners, who make packets within their quota. Whether anything was done. */
bool traffic_turn(struct traffic *w);

/* The parts of a turn, and of a begin. */
bool traffic_send(struct traffic_port *port);
bool traffic_finish_sending(struct traffic_port *port);
bool traffic_receive(struct traffic_port *port);
void traffic_lay_out(struct traffic_port *port);

/* Whether frames may come back unused. */
static inline bool traffic_may_end(const struct traffic *w)
{
	return w->stopping || w->rules.leaves;
}

/* Packets that were made and not taken, when nothing is in a queue any more; else 0. */
static inline uint64_t traffic_waiting(const struct traffic_port *port)
{
	return port->tx_outstanding ? 0 : TRAFFIC_SLOTS - port->nr_free_slots;
}

/* The other port. */
static inline struct traffic_port *traffic_peer(struct traffic_port *port)
{
	return &port->traffic->port[!port->index];
}

#endif
