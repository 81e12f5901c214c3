/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir net gen: frames of UDP in a number of flows, at a rate.
 *
 * Each thread makes its part of the flows at its part of the rate. A buffer is zero but for the
 * headers and the first bytes of the payload, which are written anew for each frame. What arrives
 * meanwhile is counted and thrown away.
 *
 * gen_loop.c is the thread, gen_run.c makes what it needs, gen_report.c prints.
 */
#ifndef WEIR_APPS_GEN_H
#define WEIR_APPS_GEN_H

#include "flow.h"
#include "frame_pool.h"
#include "net_run.h"
#include "token_bucket.h"

struct gen_config {
	struct net_config net;
	const char *rate, *size;
	const char *src_mac, *dst_mac;
	const char *src_ip, *dst_ip;
	uint64_t src_port, dst_port;
	uint64_t vlan;
	uint64_t flows;
	unsigned int vary; /* enum flow_vary */
	uint64_t count;
	uint64_t seed;
};

#define GEN_NO_VLAN UINT64_MAX

/* One thread's part. */
struct gen_worker {
	const struct port *port;
	struct weir_nic_rxq *rxq;
	struct weir_nic_txq *txq;
	struct frame_pool tx_pool, rx_pool;
	struct flow_generator flow;
	struct token_bucket bucket;
	bool by_bits; /* tokens are bits on the wire, not frames */
	uint32_t next_bytes; /* of the frame that is made next */
	uint64_t left; /* frames to make */
	struct weir_frame pending[NET_BURST]; /* made, and not taken for sending yet */
	unsigned int nr_pending;
	unsigned int nr_sending;
	uint64_t sent, sent_bytes; /* checksums included */
	uint64_t unsent; /* refused by the port */
	uint64_t received;
	uint64_t elapsed_ns;
};

struct gen {
	const struct gen_config *config;
	struct net_config net; /* with the time that follows from everything */
	struct flow_options flow;
	struct net_rate rate;
	struct ports ports;
	struct net_run run;
	struct gen_worker *workers; /* net_config::queues of them */
};

/* Bytes of memory for gen_prepare() to succeed. */
uint64_t gen_arena_bytes(const struct net_config *config);

/* Starts the open port, makes buffers, flows and rates, and waits for the link. End it with
 * gen_end(), also after a failure. */
int gen_prepare(struct gen *gen, struct weir_error *err);
void gen_end(struct gen *gen);

/* What a frame of so many bytes in memory costs in tokens. */
static inline uint64_t gen_cost(const struct gen_worker *worker, uint32_t bytes)
{
	return worker->by_bits ? (uint64_t)(bytes + NET_FCS + NET_WIRE_OVERHEAD) * 8 : 1;
}

/* The body of a thread. */
void gen_work(struct net_worker *worker);

void gen_print_header(const struct gen *gen);
void gen_print_result(const struct gen *gen);
int gen_print_json(const struct gen *gen, const char *failure, struct weir_error *err);

/* The choices of --vary, in the order of enum flow_vary. */
extern const char *const gen_vary_choices[];

#endif
