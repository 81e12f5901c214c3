/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of test_net_basic share: two ports that are wired to each other, by the command
 * line, in one IOAS with one arena; and small steps on them.
 */
#ifndef WEIR_TESTS_NET_TEST_H
#define WEIR_TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <weir/nic.h>

#include "resources.h"

#define NET_TEST_BURST 32u
/* Bytes of Ethernet, IPv4 or IPv6, and UDP or TCP headers. */
#define NET_ETH 14u
#define NET_IP4 20u
#define NET_IP6 40u
#define NET_UDP 8u
#define NET_TCP 20u

/* One end. */
struct net_port {
	const char *address;
	struct weir_device *dev;
	struct weir_nic *nic;
	struct weir_nic_info info;
	uint8_t *tx, *rx, *header; /* memory of frames, `slot` bytes each */
	unsigned int slots, slot;
	uint64_t posted, sent, done; /* cookies so far */
};

struct net_test {
	/* from the command line */
	const char *transport;
	uint64_t delta;
	bool interrupts;
	bool is_sim; /* the emulated ports of this project; else QEMU's */

	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct weir_mapping *mapping;
	struct net_port port[2];
	struct resources before, after;
};

/* What came of one packet: its bytes in a row, and what its last frame said. */
struct net_packet {
	uint8_t data[16384];
	uint32_t bytes;
	uint32_t header_bytes; /* in the frame for headers */
	unsigned int frames;
	struct weir_frame last;
};

/* Opens both ports, and closes them. -1, with a line on standard error, when that fails or leaves
 * something behind. */
int net_test_open(struct net_test *t);
int net_test_close(struct net_test *t);

/* For before a test: stops what one that failed has left running, and takes everything back. */
int net_test_put_right(void **state);

/* Configures and starts both ports, posts to all receive queues of the second, and waits for the
 * link. */
void net_test_start(struct net_test *t, const struct weir_nic_config *config);
/* Stops both ports, and takes everything back. */
void net_test_stop(struct net_test *t);

/* Posts as many frames as there is room for. */
void net_test_post(struct net_test *t, struct net_port *port, unsigned int queue);

/* The n-th frame for sending of a port: its memory, and a frame of that. */
uint8_t *net_test_tx_memory(struct net_port *port, unsigned int n);
struct weir_frame net_test_tx_frame(const struct net_test *t, struct net_port *port, unsigned int n,
				    uint32_t bytes);

/* Fills a packet from port 0 to port 1: an Ethernet header, and a pattern that no other seed has.
 */
void net_test_fill(const struct net_test *t, uint8_t *data, uint32_t bytes, uint64_t seed);

/* Fills in headers of Ethernet, IPv4 and UDP or TCP for a packet of that many bytes, with right
 * checksums or, for `partial`, as a device that fills them in wants them. Flows differ in their
 * ports. Returns the bytes of headers. */
uint32_t net_test_headers4(const struct net_test *t, uint8_t *data, uint32_t bytes, bool tcp,
			   uint16_t flow, bool partial);
/* The same for IPv6. */
uint32_t net_test_headers6(const struct net_test *t, uint8_t *data, uint32_t bytes, bool tcp,
			   uint16_t flow, bool partial);

/* The sum of 16-bit words in the internet's way, not inverted. */
uint32_t net_test_sum(uint32_t sum, const uint8_t *data, uint32_t bytes);
uint16_t net_test_fold(uint32_t sum);
/* Whether a packet's checksums are right, as far as it has any. */
bool net_test_checksums_right(const uint8_t *data, uint32_t bytes);

/* Sends frames on port 0's transmit queue, and waits until they came back as sent. */
void net_test_send(struct net_test *t, unsigned int queue, const struct weir_frame *frames,
		   unsigned int n);

/* Waits for the next packet on a queue of port 1, and posts what it lay in anew. */
void net_test_receive(struct net_test *t, unsigned int queue, struct net_packet *packet);
/* Whether nothing comes for a while. */
bool net_test_quiet(struct net_test *t, unsigned int queue);

/* To be called while nothing comes. */
void net_test_idle(void);
/* 30 s from now, and whether they are over. */
uint64_t net_test_deadline(void);
bool net_test_is_over(uint64_t deadline);

/* The parts: lists of tests that end with an empty one. */
extern const struct CMUnitTest net_test_traffic[], net_test_config[], net_test_offload[],
	net_test_filters[], net_test_queues[], net_test_split[], net_test_link[];

#endif
