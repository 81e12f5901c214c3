/* SPDX-License-Identifier: BSD-3-Clause */
#include "fail.h"
#include "gen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is saved up at most when a thread does not run: a tenth of a second. */
#define SAVED_PART 10

static unsigned int pool_frames(const struct net_config *config)
{
	return (unsigned int)config->ring + NET_BURST;
}

uint64_t gen_arena_bytes(const struct net_config *config)
{
	uint64_t frames = 2 * config->queues * pool_frames(config);

	return frame_pool_arena_bytes(frames, port_frame_bytes(config->mtu)) +
	       port_ring_bytes(config) + (UINT64_C(8) << 20);
}

/* Tokens a second of all queues; 0: no limit. */
static uint64_t token_rate(const struct gen *gen)
{
	switch (gen->rate.unit) {
	case NET_RATE_MAX:
		return 0;
	case NET_RATE_PERCENT:
		/* In hundredths of a percent of 10^6 bits. */
		return gen->ports.port[0].link.speed_mbps * gen->rate.value * 100;
	default:
		return gen->rate.value;
	}
}

/* The part of queue `index` of so many, the parts being as equal as can be. */
static uint64_t part_of(uint64_t total, unsigned int index, uint64_t nr)
{
	return total / nr + (index < total % nr);
}

static void limit_rate(struct gen *gen)
{
	uint64_t queues = gen->net.queues, total = token_rate(gen), rate, depth, dearest;

	for (unsigned int i = 0; i < queues; i++) {
		struct gen_worker *generator = &gen->workers[i];

		generator->by_bits = gen->rate.unit != NET_RATE_PPS;
		dearest = gen_cost(generator, flow_max_size(&gen->flow));
		rate = part_of(total, i, queues);
		/* A queue whose part would be nothing is slow instead of without a limit. */
		rate = total && !rate ? 1 : rate;
		/* Room for what comes in while the next frame is late already. */
		depth = dearest + (rate / SAVED_PART > dearest ? rate / SAVED_PART : dearest);
		generator->bucket = (struct token_bucket){ .per_second = rate, .depth = depth };
	}
}

static int make_generator(struct gen *gen, unsigned int queue, struct weir_error *err)
{
	struct gen_worker *generator = &gen->workers[queue];
	const struct net_config *config = &gen->net;
	const struct port *port = &gen->ports.port[0];
	int rc;

	generator->port = port;
	generator->rxq = weir_nic_rxq(port->nic, queue);
	generator->txq = weir_nic_txq(port->nic, queue);
	generator->left = gen->config->count ? part_of(gen->config->count, queue, config->queues)
					     : UINT64_MAX;
	flow_start(&generator->flow, &gen->flow, queue, (unsigned int)config->queues);
	generator->next_bytes = flow_next_bytes(&generator->flow);
	rc = frame_pool_make(&generator->tx_pool, gen->ports.arena, pool_frames(config),
			     port_frame_bytes(config->mtu), err);
	if (!rc)
		rc = frame_pool_make(&generator->rx_pool, gen->ports.arena, pool_frames(config),
				     port_frame_bytes(config->mtu), err);
	if (!rc && frame_pool_post(&generator->rx_pool, generator->rxq))
		rc = port_failure(port, err);
	return rc;
}

int gen_prepare(struct gen *gen, struct weir_error *err)
{
	struct port *port = &gen->ports.port[0];
	uint64_t queues = gen->net.queues;
	int rc;

	gen->run.workers = calloc(queues, sizeof(*gen->run.workers));
	gen->workers = calloc(queues, sizeof(*gen->workers));
	if (!gen->run.workers || !gen->workers)
		return fail(err, -ENOMEM, "no memory for %" PRIu64 " queues", queues);
	rc = port_start(port, &gen->net, 0, err);
	if (!rc && !gen->config->src_mac)
		memcpy(gen->flow.src_mac, port->info.mac, sizeof(gen->flow.src_mac));
	for (unsigned int i = 0; !rc && i < queues; i++) {
		gen->run.workers[i].own = &gen->workers[i];
		rc = make_generator(gen, i, err);
	}
	if (!rc)
		rc = ports_wait_link(&gen->ports, gen->net.link_wait_ms, err);
	if (!rc)
		limit_rate(gen);
	return rc;
}

/* The port does not use the buffers any more. */
void gen_end(struct gen *gen)
{
	weir_nic_stop(gen->ports.port[0].nic, NULL);
	for (unsigned int i = 0; gen->workers && i < gen->net.queues; i++) {
		frame_pool_end(&gen->workers[i].tx_pool);
		frame_pool_end(&gen->workers[i].rx_pool);
	}
	free(gen->workers);
	free(gen->run.workers);
	net_run_end(&gen->run);
}
