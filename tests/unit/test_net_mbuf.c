/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir-net between a real EAL and queues of which the test is the port: what frames become mbufs,
 * what mbufs become frames, and that every mbuf comes back to its pool.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/net.h>

#define RING 128
#define NR_MBUFS 511
#define ROOM 2048
#define PORT 7

/* The port: what was posted, what it received, what it was given to send. */
struct weir_nic_rxq {
	struct weir_frame posted[RING];
	unsigned int nr_posted;
	struct weir_frame received[RING];
	unsigned int nr_received;
	bool stopped;
	int fails;
};

struct weir_nic_txq {
	struct weir_frame taken[RING];
	unsigned int nr_taken, room, nr_done;
	int fails;
};

struct weir_nic {
	struct weir_arena *arena;
	struct weir_nic_rxq rxq;
	struct weir_nic_txq txq;
	struct weir_nic_info info;
};

static struct weir_nic nic;
static struct weir_net_heap *heap;
static struct rte_mempool *pool;
static struct weir_error err;

void weir_nic_info(const struct weir_nic *of, struct weir_nic_info *info)
{
	*info = of->info;
}

struct weir_arena *weir_nic_arena(const struct weir_nic *of)
{
	return of->arena;
}

struct weir_nic_rxq *weir_nic_rxq(struct weir_nic *of, unsigned int index)
{
	return index ? NULL : &of->rxq;
}

struct weir_nic_txq *weir_nic_txq(struct weir_nic *of, unsigned int index)
{
	return index ? NULL : &of->txq;
}

unsigned int weir_nic_rx_room(const struct weir_nic_rxq *rxq)
{
	return RING - rxq->nr_posted;
}

int weir_nic_rx_post(struct weir_nic_rxq *rxq, const struct weir_frame *frames, unsigned int n)
{
	unsigned int room = rxq->stopped ? 0 : RING - rxq->nr_posted;

	n = n < room ? n : room;
	memcpy(rxq->posted + rxq->nr_posted, frames, n * sizeof(*frames));
	rxq->nr_posted += n;
	return rxq->fails ? rxq->fails : (int)n;
}

int weir_nic_rx(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max)
{
	unsigned int n = rxq->nr_received < max ? rxq->nr_received : max;

	if (rxq->fails)
		return rxq->fails;
	memcpy(frames, rxq->received, n * sizeof(*frames));
	rxq->nr_received -= n;
	memmove(rxq->received, rxq->received + n, rxq->nr_received * sizeof(*frames));
	return (int)n;
}

int weir_nic_tx(struct weir_nic_txq *txq, const struct weir_frame *frames, unsigned int n)
{
	unsigned int whole = 0;

	if (txq->fails)
		return txq->fails;
	for (unsigned int i = 0; i < n && i < txq->room; i++) {
		if (!(frames[i].flags & WEIR_FRAME_MORE))
			whole = i + 1;
	}
	memcpy(txq->taken + txq->nr_taken, frames, whole * sizeof(*frames));
	txq->nr_taken += whole;
	txq->room -= whole;
	return (int)whole;
}

int weir_nic_tx_done(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max,
		     unsigned int *unsent)
{
	unsigned int n = txq->nr_done < max ? txq->nr_done : max;

	*unsent = 0;
	if (txq->fails)
		return txq->fails;
	for (unsigned int i = 0; i < n; i++)
		cookies[i] = txq->taken[i].cookie;
	txq->nr_taken -= n;
	txq->nr_done -= n;
	memmove(txq->taken, txq->taken + n, txq->nr_taken * sizeof(txq->taken[0]));
	return (int)n;
}

/* Takes the oldest posted frame and receives into it. */
static struct weir_frame *receive(uint32_t len, uint32_t flags, uint8_t fill)
{
	struct weir_nic_rxq *rxq = &nic.rxq;
	struct weir_frame *frame = &rxq->received[rxq->nr_received];
	uint64_t offset;

	assert_true(rxq->nr_posted > 0);
	*frame = rxq->posted[0];
	rxq->nr_posted--;
	memmove(rxq->posted, rxq->posted + 1, rxq->nr_posted * sizeof(*frame));
	rxq->nr_received++;
	assert_in_range(frame->len, ROOM, ROOM + 64);
	/* The device writes where the IOVA says. */
	offset = frame->iova - weir_arena_iova(nic.arena);
	assert_true(offset < weir_arena_bytes(nic.arena) - len);
	memset((char *)weir_arena_base(nic.arena) + offset, fill, len);
	frame->len = len;
	frame->flags = flags;
	return frame;
}

/* All that were posted come back unused. */
static void stop_port(void)
{
	nic.rxq.stopped = true;
	while (nic.rxq.nr_posted)
		receive(0, WEIR_FRAME_UNUSED, 0);
	nic.txq.nr_done = nic.txq.nr_taken;
}

/* Where EAL keeps its files: not where those of the machine's programs are. */
static char folder[] = "/tmp/weir-eal-XXXXXX";

static void remove_folder(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/dpdk/rte", folder);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", folder);
	rmdir(path);
	rmdir(folder);
}

static int start(void **state)
{
	char *args[] = {
		(char[]){ "test" },	   (char[]){ "--no-pci" }, (char[]){ "--no-huge" },
		(char[]){ "--no-shconf" }, (char[]){ "-l" },	   (char[]){ "0" },
		(char[]){ "-m" },	   (char[]){ "16" },	   (char[]){ "--no-telemetry" }
	};
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;

	(void)state;
	if (!mkdtemp(folder) || setenv("RUNTIME_DIRECTORY", folder, 1))
		return -1;
	if (rte_eal_init(sizeof(args) / sizeof(args[0]), args) < 0) {
		fprintf(stderr, "EAL: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	options.bytes = 16 << 20;
	options.page_size = WEIR_PAGE_4K;
	if (weir_arena_create(&options, &nic.arena, &err) ||
	    weir_net_heap_create(nic.arena, 8 << 20, "weir", &heap, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	pool = rte_pktmbuf_pool_create("mbufs", NR_MBUFS, 0, 0, ROOM + RTE_PKTMBUF_HEADROOM,
				       weir_net_heap_socket(heap));
	return pool ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	if (weir_net_heap_destroy(heap))
		return -1;
	weir_arena_destroy(nic.arena);
	if (rte_eal_cleanup())
		return -1;
	remove_folder();
	return access(folder, F_OK) ? 0 : -1;
}

static int reset(void **state)
{
	(void)state;
	nic.rxq = (struct weir_nic_rxq){ 0 };
	nic.txq = (struct weir_nic_txq){ .room = RING };
	nic.info = (struct weir_nic_info){
		.address = "0000:00:01.0",
		.rx_queues = 1,
		.tx_queues = 1,
		.rx_buffer_bytes = ROOM,
		.max_packet_frames = 4,
	};
	return 0;
}

static int all_are_back(void **state)
{
	(void)state;
	return rte_mempool_avail_count(pool) == NR_MBUFS ? 0 : -1;
}

static struct weir_net_rxq *make_rxq(void)
{
	struct weir_net_rxq *rxq;

	assert_int_equal(weir_net_rxq_create(&nic, 0, pool, PORT, &rxq, &err), 0);
	assert_int_equal(nic.rxq.nr_posted, RING);
	return rxq;
}

static struct weir_net_txq *make_txq(void)
{
	struct weir_net_txq *txq;

	assert_int_equal(weir_net_txq_create(&nic, 0, &txq, &err), 0);
	return txq;
}

static void test_heap(void **state)
{
	struct weir_net_heap *other;
	void *block;

	(void)state;
	assert_true(weir_net_heap_socket(heap) >= 256);
	assert_int_equal(weir_net_heap_node(heap), weir_arena_node(nic.arena));
	assert_int_equal(weir_net_heap_create(nic.arena, 4096, "weir", &other, &err), -EEXIST);
	assert_int_equal(weir_net_heap_create(nic.arena, 0, "x", &other, &err), -EINVAL);
	assert_int_equal(weir_net_heap_create(nic.arena, 4096, "", &other, &err), -EINVAL);
	assert_int_equal(weir_net_heap_create(nic.arena, 32 << 20, "x", &other, &err), -ENOMEM);
	assert_string_equal(err.text, "heap x of 33554432 bytes: the arena of 16777216 bytes has "
				      "no such block left");
	assert_int_equal(weir_net_heap_create(nic.arena, 300000, "other", &other, &err), 0);
	block = rte_malloc_socket(NULL, 1000, 64, weir_net_heap_socket(other));
	assert_non_null(block);
	assert_true((char *)block > (char *)weir_arena_base(nic.arena));
	assert_true((char *)block < (char *)weir_arena_base(nic.arena) + (16 << 20));
	assert_int_equal(rte_malloc_virt2iova(block), weir_arena_ptr_iova(nic.arena, block));
	assert_int_equal(weir_net_heap_destroy(other), -EBUSY);
	rte_free(block);
	assert_int_equal(weir_net_heap_destroy(other), 0);
	assert_int_equal(weir_net_heap_destroy(NULL), 0);
}

static void test_mbufs_lie_in_the_arena(void **state)
{
	struct rte_mbuf *mbufs[NR_MBUFS];

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, mbufs, NR_MBUFS), 0);
	for (unsigned int i = 0; i < NR_MBUFS; i++) {
		char *data = rte_pktmbuf_mtod(mbufs[i], char *);

		assert_int_equal(rte_pktmbuf_iova(mbufs[i]), weir_arena_ptr_iova(nic.arena, data));
		assert_true((uint64_t)(data - (char *)weir_arena_base(nic.arena)) <
			    weir_arena_bytes(nic.arena) - ROOM);
	}
	rte_pktmbuf_free_bulk(mbufs, NR_MBUFS);
}

static void test_receive(void **state)
{
	struct weir_net_rxq *rxq = make_rxq();
	struct weir_net_rxq_stats stats;
	struct rte_mbuf *packets[8];
	struct weir_frame *frame;

	(void)state;
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 0);
	receive(60,
		WEIR_FRAME_IP4 | WEIR_FRAME_UDP | WEIR_FRAME_IP_CHECKED | WEIR_FRAME_L4_CHECKED |
			WEIR_FRAME_L4_BAD,
		0x11);
	frame = receive(1514,
			WEIR_FRAME_IP6 | WEIR_FRAME_IP6_EXTENSIONS | WEIR_FRAME_TCP |
				WEIR_FRAME_VLAN | WEIR_NIC_HASH_TCP6,
			0x22);
	frame->vlan = 0x6123;
	frame->hash = 0xdeadbeef;
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 2);
	assert_int_equal(packets[0]->pkt_len, 60);
	assert_int_equal(packets[0]->data_len, 60);
	assert_int_equal(packets[0]->nb_segs, 1);
	assert_int_equal(packets[0]->port, PORT);
	assert_int_equal(packets[0]->packet_type,
			 RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP);
	assert_int_equal(packets[0]->ol_flags,
			 RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD);
	assert_int_equal(*rte_pktmbuf_mtod_offset(packets[0], uint8_t *, 59), 0x11);
	assert_int_equal(packets[1]->pkt_len, 1514);
	assert_int_equal(packets[1]->packet_type,
			 RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV6_EXT | RTE_PTYPE_L4_TCP);
	assert_int_equal(packets[1]->ol_flags,
			 RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED);
	assert_int_equal(packets[1]->vlan_tci, 0x6123);
	assert_int_equal(packets[1]->hash.rss, 0xdeadbeef);
	assert_int_equal(*rte_pktmbuf_mtod_offset(packets[1], uint8_t *, 1513), 0x22);
	rte_pktmbuf_free_bulk(packets, 2);
	/* With nothing else to do the ring is filled again. */
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 0);
	assert_int_equal(nic.rxq.nr_posted, RING);
	weir_net_rxq_stats(rxq, &stats);
	assert_int_equal(stats.packets, 2);
	assert_int_equal(stats.bytes, 1574);
	assert_int_equal(stats.damaged, 0);
	stop_port();
	weir_net_rxq_destroy(rxq);
}

static void test_receive_in_pieces(void **state)
{
	struct weir_net_rxq *rxq = make_rxq();
	struct rte_mbuf *packets[8];

	(void)state;
	receive(ROOM, WEIR_FRAME_MORE, 1);
	receive(ROOM, WEIR_FRAME_MORE, 2);
	/* Its last piece comes with another call. */
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 0);
	receive(5, WEIR_FRAME_IP4, 3);
	receive(64, 0, 4);
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 2);
	assert_int_equal(packets[0]->nb_segs, 3);
	assert_int_equal(packets[0]->pkt_len, 2 * ROOM + 5);
	assert_int_equal(packets[0]->next->next->data_len, 5);
	assert_null(packets[0]->next->next->next);
	assert_int_equal(packets[0]->packet_type, RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4);
	rte_mbuf_sanity_check(packets[0], 1);
	assert_int_equal(packets[1]->nb_segs, 1);
	rte_pktmbuf_free_bulk(packets, 2);
	/* A stop cuts one off. */
	receive(ROOM, WEIR_FRAME_MORE, 5);
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 0);
	stop_port();
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 0);
	weir_net_rxq_destroy(rxq);
}

static void test_receive_damaged(void **state)
{
	struct weir_net_rxq *rxq = make_rxq();
	struct weir_net_rxq_stats stats;
	struct rte_mbuf *packets[8];

	(void)state;
	receive(64, WEIR_FRAME_ERROR, 1);
	receive(ROOM, WEIR_FRAME_MORE, 2);
	receive(64, WEIR_FRAME_ERROR, 2);
	receive(64, 0, 3);
	assert_int_equal(weir_net_rx_burst(rxq, packets, 8), 1);
	assert_int_equal(*rte_pktmbuf_mtod(packets[0], uint8_t *), 3);
	rte_pktmbuf_free(packets[0]);
	weir_net_rxq_stats(rxq, &stats);
	assert_int_equal(stats.damaged, 2);
	assert_int_equal(stats.packets, 1);
	stop_port();
	weir_net_rxq_destroy(rxq);
}

static void test_pool_runs_dry(void **state)
{
	struct rte_mbuf *all[NR_MBUFS], *packets[64];
	struct weir_net_rxq *rxq = make_rxq();
	struct weir_net_rxq_stats stats;

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, all, NR_MBUFS - RING), 0);
	for (unsigned int i = 0; i < 64; i++)
		receive(60, 0, 1);
	assert_int_equal(weir_net_rx_burst(rxq, packets, 64), 64);
	assert_int_equal(nic.rxq.nr_posted, RING - 64);
	weir_net_rxq_stats(rxq, &stats);
	assert_int_equal(stats.no_mbufs, 1);
	rte_pktmbuf_free_bulk(packets, 64);
	assert_int_equal(weir_net_rx_burst(rxq, packets, 64), 0);
	assert_int_equal(nic.rxq.nr_posted, RING);
	rte_pktmbuf_free_bulk(all, NR_MBUFS - RING);
	stop_port();
	weir_net_rxq_destroy(rxq);
}

static void test_port_is_gone(void **state)
{
	struct weir_net_rxq *rxq = make_rxq();
	struct weir_net_txq *txq = make_txq();
	struct rte_mbuf *packets[1];

	(void)state;
	stop_port();
	assert_int_equal(weir_net_rx_burst(rxq, packets, 1), 0);
	while (nic.rxq.nr_received)
		assert_int_equal(weir_net_rx_burst(rxq, packets, 1), 0);
	nic.rxq.fails = nic.txq.fails = -ENODEV;
	assert_int_equal(weir_net_rx_burst(rxq, packets, 1), -ENODEV);
	assert_int_equal(weir_net_tx_clean(txq), -ENODEV);
	packets[0] = rte_pktmbuf_alloc(pool);
	assert_int_equal(weir_net_tx_burst(txq, packets, 1), -ENODEV);
	rte_pktmbuf_free(packets[0]);
	weir_net_rxq_destroy(rxq);
	weir_net_txq_destroy(txq);
	weir_net_rxq_destroy(NULL);
	weir_net_txq_destroy(NULL);
}

static void test_refused_queues(void **state)
{
	struct weir_net_rxq *rxq;
	struct weir_net_txq *txq;
	struct rte_mempool *elsewhere;

	(void)state;
	assert_int_equal(weir_net_rxq_create(&nic, 1, pool, 0, &rxq, &err), -EINVAL);
	assert_string_equal(err.text, "0000:00:01.0: receive queue 1 is not one of its 1");
	assert_int_equal(weir_net_txq_create(&nic, 1, &txq, &err), -EINVAL);
	nic.info.rx_buffer_bytes = 4096;
	assert_int_equal(weir_net_rxq_create(&nic, 0, pool, 0, &rxq, &err), -EINVAL);
	assert_string_equal(err.text, "0000:00:01.0: mbufs of 2176 bytes are too small for 128 of "
				      "headroom and a receive buffer of 4096");
	nic.info.rx_buffer_bytes = ROOM;
	nic.info.header_bytes = 64;
	assert_int_equal(weir_net_rxq_create(&nic, 0, pool, 0, &rxq, &err), -EINVAL);
	nic.info.header_bytes = 0;
	elsewhere = rte_pktmbuf_pool_create("elsewhere", 15, 0, 0, ROOM + RTE_PKTMBUF_HEADROOM,
					    SOCKET_ID_ANY);
	assert_non_null(elsewhere);
	assert_int_equal(weir_net_rxq_create(&nic, 0, elsewhere, 0, &rxq, &err), -EFAULT);
	rte_mempool_free(elsewhere);
}

static struct rte_mbuf *make_packet(unsigned int segments, uint16_t len)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *more;

	assert_non_null(rte_pktmbuf_append(head, len));
	while (--segments) {
		more = rte_pktmbuf_alloc(pool);
		assert_non_null(rte_pktmbuf_append(more, len));
		assert_int_equal(rte_pktmbuf_chain(head, more), 0);
	}
	return head;
}

static void test_send(void **state)
{
	struct weir_net_txq *txq = make_txq();
	struct rte_mbuf *packets[2] = { make_packet(1, 60), make_packet(3, 100) };
	struct weir_net_txq_stats stats;

	(void)state;
	rte_pktmbuf_adj(packets[0], 5);
	assert_int_equal(weir_net_tx_burst(txq, packets, 2), 2);
	assert_int_equal(nic.txq.nr_taken, 4);
	assert_int_equal(nic.txq.taken[0].iova, rte_pktmbuf_iova(packets[0]));
	assert_int_equal(nic.txq.taken[0].len, 55);
	assert_int_equal(nic.txq.taken[0].flags, 0);
	assert_int_equal(nic.txq.taken[1].flags, WEIR_FRAME_MORE);
	assert_int_equal(nic.txq.taken[2].flags, WEIR_FRAME_MORE);
	assert_int_equal(nic.txq.taken[2].iova, rte_pktmbuf_iova(packets[1]->next));
	assert_int_equal(nic.txq.taken[3].flags, 0);
	assert_int_equal(nic.txq.taken[3].len, 100);
	/* In the middle of a packet: what is sent goes back, the rest stays. */
	nic.txq.nr_done = 2;
	assert_int_equal(weir_net_tx_clean(txq), 2);
	assert_int_equal(rte_mempool_avail_count(pool), NR_MBUFS - 2);
	nic.txq.nr_done = 2;
	assert_int_equal(weir_net_tx_clean(txq), 0);
	weir_net_txq_stats(txq, &stats);
	assert_int_equal(stats.packets, 2);
	assert_int_equal(stats.bytes, 355);
	assert_int_equal(stats.refused, 0);
	weir_net_txq_destroy(txq);
}

static void test_send_offloads(void **state)
{
	static const struct {
		uint64_t ol_flags;
		uint32_t flags;
	} rows[] = {
		{ RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM,
		  WEIR_FRAME_IP_CSUM | WEIR_FRAME_IP4 },
		{ RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM,
		  WEIR_FRAME_IP_CSUM | WEIR_FRAME_IP4 | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TCP },
		{ RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM,
		  WEIR_FRAME_IP6 | WEIR_FRAME_L4_CSUM | WEIR_FRAME_UDP },
		{ RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_SCTP_CKSUM,
		  WEIR_FRAME_IP4 | WEIR_FRAME_L4_CSUM | WEIR_FRAME_SCTP },
		{ RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_SEG,
		  WEIR_FRAME_IP_CSUM | WEIR_FRAME_IP4 | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TCP |
			  WEIR_FRAME_TSO },
		{ RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_SEG,
		  WEIR_FRAME_IP6 | WEIR_FRAME_L4_CSUM | WEIR_FRAME_UDP | WEIR_FRAME_TSO },
		{ RTE_MBUF_F_TX_VLAN, WEIR_FRAME_VLAN },
	};
	struct weir_net_txq *txq = make_txq();

	(void)state;
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rte_mbuf *packet = make_packet(2, 200);
		const struct weir_frame *frame = &nic.txq.taken[0];

		packet->ol_flags = rows[i].ol_flags;
		packet->l2_len = 14;
		packet->l3_len = 340;
		packet->l4_len = 20;
		packet->tso_segsz = 1448;
		packet->vlan_tci = 0x2fff;
		assert_int_equal(weir_net_tx_burst(txq, &packet, 1), 1);
		assert_int_equal(frame->flags, rows[i].flags | WEIR_FRAME_MORE);
		assert_int_equal(frame->headers.l2_len, 14);
		assert_int_equal(frame->headers.l3_len, 340);
		assert_int_equal(frame->headers.l4_len, 20);
		assert_int_equal(frame->mss, 1448);
		if (rows[i].flags & WEIR_FRAME_VLAN)
			assert_int_equal(frame->vlan, 0x2fff);
		assert_int_equal(nic.txq.taken[1].flags, 0);
		nic.txq.nr_done = 2;
		nic.txq.room = RING;
		assert_int_equal(weir_net_tx_clean(txq), 0);
	}
	weir_net_txq_destroy(txq);
}

static void test_send_what_cannot_be_sent(void **state)
{
	static char elsewhere[256];
	struct rte_mbuf_ext_shared_info shared = { 0 };
	struct weir_net_txq *txq = make_txq();
	struct weir_net_txq_stats stats;
	struct rte_mbuf *packets[6];

	(void)state;
	rte_mbuf_ext_refcnt_set(&shared, 2);
	packets[0] = make_packet(1, 60);
	packets[1] = make_packet(5, 60); /* more segments than the port allows */
	packets[2] = rte_pktmbuf_alloc(pool); /* empty */
	packets[3] = make_packet(1, 60);
	packets[3]->ol_flags |= RTE_MBUF_F_TX_TUNNEL_VXLAN;
	packets[4] = rte_pktmbuf_alloc(pool); /* in memory that the device cannot reach */
	rte_pktmbuf_attach_extbuf(packets[4], elsewhere, (uintptr_t)elsewhere, sizeof(elsewhere),
				  &shared);
	packets[4]->data_len = 60;
	packets[4]->pkt_len = 60;
	packets[5] = make_packet(4, 60);
	assert_int_equal(weir_net_tx_burst(txq, packets, 6), 6);
	assert_int_equal(nic.txq.nr_taken, 5);
	weir_net_txq_stats(txq, &stats);
	assert_int_equal(stats.packets, 2);
	assert_int_equal(stats.refused, 4);
	nic.txq.nr_done = 5;
	assert_int_equal(weir_net_tx_clean(txq), 0);
	weir_net_txq_destroy(txq);
}

static void test_full_queue_takes_whole_packets_in_order(void **state)
{
	struct weir_net_txq *txq = make_txq();
	struct weir_net_txq_stats stats;
	struct rte_mbuf *packets[4];

	(void)state;
	packets[0] = make_packet(2, 60);
	packets[1] = make_packet(5, 60); /* cannot be sent */
	packets[2] = make_packet(2, 60);
	packets[3] = make_packet(5, 60); /* behind one that was not taken: the caller's */
	nic.txq.room = 3;
	assert_int_equal(weir_net_tx_burst(txq, packets, 4), 2);
	assert_int_equal(nic.txq.nr_taken, 2);
	weir_net_txq_stats(txq, &stats);
	assert_int_equal(stats.packets, 1);
	assert_int_equal(stats.refused, 1);
	rte_pktmbuf_free(packets[2]);
	rte_pktmbuf_free(packets[3]);
	nic.txq.nr_done = 2;
	weir_net_txq_destroy(txq);
}

static void test_long_bursts(void **state)
{
	struct weir_net_txq *txq = make_txq();
	struct rte_mbuf *packets[RING / 2];

	(void)state;
	/* Frames of more than one call below. */
	for (unsigned int i = 0; i < RING / 2; i++)
		packets[i] = make_packet(i % 2 ? 3 : 1, 60);
	assert_int_equal(weir_net_tx_burst(txq, packets, RING / 2), RING / 2);
	assert_int_equal(nic.txq.nr_taken, RING);
	for (unsigned int i = 0, at = 0; i < RING / 2; at += i % 2 ? 3 : 1, i++)
		assert_int_equal(nic.txq.taken[at].cookie, (uintptr_t)packets[i]);
	nic.txq.nr_done = RING;
	assert_int_equal(weir_net_tx_clean(txq), 0);
	weir_net_txq_destroy(txq);
}

static void test_prepare(void **state)
{
	struct rte_mbuf *packets[2] = { make_packet(1, 60), make_packet(1, 60) };
	char *data = rte_pktmbuf_mtod(packets[0], char *);
	struct rte_ipv4_hdr *ip = (void *)(data + 14);
	struct rte_udp_hdr *udp = (void *)(data + 34);

	(void)state;
	memset(data, 0, 60);
	ip->version_ihl = 0x45;
	ip->total_length = rte_cpu_to_be_16(46);
	ip->next_proto_id = 17;
	ip->src_addr = rte_cpu_to_be_32(0xc0000201);
	ip->dst_addr = rte_cpu_to_be_32(0xc0000202);
	ip->hdr_checksum = 0x1234;
	packets[0]->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
			       RTE_MBUF_F_TX_UDP_CKSUM;
	packets[0]->l2_len = 14;
	packets[0]->l3_len = 20;
	/* Headers that go on behind the first segment. */
	packets[1]->ol_flags = packets[0]->ol_flags;
	packets[1]->l2_len = 14;
	packets[1]->l3_len = 60;
	assert_int_equal(weir_net_tx_prepare(packets, 2), 1);
	assert_int_equal(ip->hdr_checksum, 0);
	/* c000 + 0201 + c000 + 0202 + 11h + 1ah (length 26), folded */
	assert_int_equal(rte_be_to_cpu_16(udp->dgram_cksum), 0x842f);
	rte_pktmbuf_free_bulk(packets, 2);
}

#define mbuf_test(name) cmocka_unit_test_setup_teardown(name, reset, all_are_back)

int main(void)
{
	const struct CMUnitTest tests[] = {
		mbuf_test(test_heap),
		mbuf_test(test_mbufs_lie_in_the_arena),
		mbuf_test(test_receive),
		mbuf_test(test_receive_in_pieces),
		mbuf_test(test_receive_damaged),
		mbuf_test(test_pool_runs_dry),
		mbuf_test(test_port_is_gone),
		mbuf_test(test_refused_queues),
		mbuf_test(test_send),
		mbuf_test(test_send_offloads),
		mbuf_test(test_send_what_cannot_be_sent),
		mbuf_test(test_full_queue_takes_whole_packets_in_order),
		mbuf_test(test_long_bursts),
		mbuf_test(test_prepare),
	};

	return cmocka_run_group_tests(tests, start, end);
}
