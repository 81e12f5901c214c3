/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * l2fwd [EAL OPTION...] -- PORT PORT: packets of DPDK from each of two ports of Weir to the other.
 *
 *     ./l2fwd --no-pci --no-huge --no-shconf -l 0 -- vfio-user:/tmp/a.sock vfio-user:/tmp/b.sock
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <weir/net.h>

#define BURST 32
#define NR_MBUFS 4095
#define POOL_BYTES (16 << 20)

struct port {
	struct weir_device *dev;
	struct weir_nic *nic;
	struct weir_net_rxq *rxq;
	struct weir_net_txq *txq;
};

static volatile sig_atomic_t stop;
static struct weir_error err;

static void handle_signal(int number)
{
	(void)number;
	stop = 1;
}

static void check(int rc)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "l2fwd: %s\n", err.text);
	exit(1);
}

static void start_port(struct port *port, uint16_t id, struct weir_arena *arena,
		       struct rte_mempool *pool)
{
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;

	config.receive = WEIR_NIC_PROMISCUOUS;
	check(weir_nic_create(port->dev, arena, NULL, &port->nic, &err));
	check(weir_nic_configure(port->nic, &config, &err));
	check(weir_nic_start(port->nic, &err));
	check(weir_net_rxq_create(port->nic, 0, pool, id, &port->rxq, &err));
	check(weir_net_txq_create(port->nic, 0, &port->txq, &err));
}

/* What one port received goes to the other, which frees it when it is sent. */
static void forward(struct port *from, struct port *to)
{
	struct rte_mbuf *packets[BURST];
	int received = weir_net_rx_burst(from->rxq, packets, BURST);
	int sent = received > 0 ? weir_net_tx_burst(to->txq, packets, (unsigned int)received)
				: weir_net_tx_clean(to->txq);

	if (received < 0 || sent < 0) {
		weir_nic_failure(received < 0 ? from->nic : to->nic, &err);
		check(-1);
	}
	for (int i = sent; i < received; i++)
		rte_pktmbuf_free(packets[i]);
}

static void run(struct port ports[2])
{
	uint64_t next = 0, tenth = rte_get_timer_hz() / 10;
	struct weir_nic_event events[8];

	while (!stop) {
		forward(&ports[0], &ports[1]);
		forward(&ports[1], &ports[0]);
		if (rte_get_timer_cycles() < next)
			continue;
		next = rte_get_timer_cycles() + tenth;
		weir_nic_events(ports[0].nic, events, 8);
		weir_nic_events(ports[1].nic, events, 8);
	}
}

static void stop_port(struct port *port)
{
	weir_nic_stop(port->nic, NULL);
	weir_net_rxq_destroy(port->rxq);
	weir_net_txq_destroy(port->txq);
	weir_nic_close(port->nic);
	weir_device_close(port->dev);
}

int main(int argc, char **argv)
{
	struct weir_arena_options arena_options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_mapping *mapping;
	struct port ports[2] = { 0 };
	struct weir_net_heap *heap;
	struct weir_arena *arena;
	struct rte_mempool *pool;
	struct weir_ioas *ioas;
	int used = rte_eal_init(argc, argv);

	if (used < 0 || argc - used != 3) {
		fprintf(stderr, "usage: l2fwd [EAL OPTION...] -- PORT PORT\n");
		return 2;
	}
	/* Both ports reach one arena, and EAL makes its mbufs there. */
	arena_options.bytes = 2 * POOL_BYTES;
	check(weir_arena_create(&arena_options, &arena, &err));
	check(weir_net_heap_create(arena, POOL_BYTES, "weir", &heap, &err));
	pool = rte_pktmbuf_pool_create("mbufs", NR_MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				       weir_net_heap_socket(heap));
	if (!pool) {
		fprintf(stderr, "l2fwd: no %d mbufs: %s\n", NR_MBUFS, rte_strerror(rte_errno));
		return 1;
	}
	check(weir_ioas_create(NULL, &ioas, &err));
	check(weir_ioas_map_arena(ioas, arena, &mapping, &err));
	for (uint16_t i = 0; i < 2; i++) {
		check(weir_device_open(argv[used + 1 + i], ioas, NULL, &ports[i].dev, &err));
		start_port(&ports[i], i, arena, pool);
	}
	signal(SIGINT, handle_signal);
	printf("forwarding\n");
	fflush(stdout);
	run(ports);
	stop_port(&ports[0]);
	stop_port(&ports[1]);
	if (rte_mempool_avail_count(pool) != NR_MBUFS)
		fprintf(stderr, "l2fwd: mbufs are missing\n");
	rte_mempool_free(pool);
	weir_net_heap_destroy(heap);
	weir_ioas_unmap(ioas, mapping, NULL);
	weir_ioas_destroy(ioas);
	weir_arena_destroy(arena);
	return rte_eal_cleanup() != 0;
}
