/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received frames as mbufs. The cookie of a frame is its mbuf, so nothing has to be looked up; what
 * the device says about a packet stands in its last frame and goes into the first mbuf.
 */
#include "net.h"

#include <inttypes.h>
#include <rte_mbuf.h>
#include <stdlib.h>
#include <string.h>

struct weir_net_rxq {
	struct weir_nic_rxq *rxq;
	struct rte_mempool *pool;
	struct net_span span;
	uint32_t room; /* for the device, in each mbuf */
	uint16_t port;
	struct rte_mbuf *head, *tail; /* of a packet of which more is to come; NULL: none */
	struct weir_net_rxq_stats stats;
};

/* Looks at one mbuf for all: they are alike, and the pool lies in one heap. */
static int check_pool(const struct weir_net_rxq *rxq, struct weir_error *err)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rxq->pool);
	bool inside;

	if (!mbuf)
		return weir_error_set(err, -ENOMEM, "mempool %s has no mbuf left", rxq->pool->name);
	inside = net_span_holds(&rxq->span, mbuf->buf_addr, mbuf->buf_len);
	rte_pktmbuf_free(mbuf);
	if (inside)
		return 0;
	return weir_error_set(err, -EFAULT,
			      "mempool %s is not in the port's arena: make it with the socket id "
			      "of weir_net_heap_socket()",
			      rxq->pool->name);
}

static int check(const struct weir_net_rxq *rxq, const struct weir_nic_info *info,
		 unsigned int queue, struct weir_error *err)
{
	uint32_t room = rte_pktmbuf_data_room_size(rxq->pool);

	if (!rxq->rxq)
		return weir_error_set(err, -EINVAL,
				      "%s: receive queue %u is not one of its %" PRIu32,
				      info->address, queue, info->rx_queues);
	if (info->header_bytes)
		return weir_error_set(err, -EINVAL, "%s: mbufs do not go with header split",
				      info->address);
	if (room < RTE_PKTMBUF_HEADROOM + info->rx_buffer_bytes)
		return weir_error_set(err, -EINVAL,
				      "%s: mbufs of %" PRIu32
				      " bytes are too small for %u of headroom and a receive "
				      "buffer of %" PRIu32,
				      info->address, room, RTE_PKTMBUF_HEADROOM,
				      info->rx_buffer_bytes);
	return check_pool(rxq, err);
}

/* Gives the port n fresh mbufs. Returns how many it took, or a negative errno. */
static int post(struct weir_net_rxq *rxq, unsigned int n)
{
	struct rte_mbuf *mbufs[NET_BURST];
	struct weir_frame frames[NET_BURST];
	int taken;

	if (rte_pktmbuf_alloc_bulk(rxq->pool, mbufs, n)) {
		rxq->stats.no_mbufs++;
		return 0;
	}
	for (unsigned int i = 0; i < n; i++) {
		frames[i] = (struct weir_frame){
			.iova = (uintptr_t)rte_pktmbuf_mtod(mbufs[i], char *) - rxq->span.delta,
			.cookie = (uintptr_t)mbufs[i],
			.len = rxq->room,
		};
	}
	taken = weir_nic_rx_post(rxq->rxq, frames, n);
	for (unsigned int i = taken > 0 ? (unsigned int)taken : 0; i < n; i++)
		rte_pktmbuf_free(mbufs[i]);
	return taken;
}

/* Fills the ring as far as mbufs and the port allow. */
static int fill(struct weir_net_rxq *rxq)
{
	unsigned int room = weir_nic_rx_room(rxq->rxq);

	while (room) {
		unsigned int n = room < NET_BURST ? room : NET_BURST;
		int taken = post(rxq, n);

		if (taken < 0)
			return taken;
		if ((unsigned int)taken < n)
			break;
		room -= n;
	}
	return 0;
}

WEIR_EXPORT int weir_net_rxq_create(struct weir_nic *nic, unsigned int queue,
				    struct rte_mempool *pool, uint16_t port,
				    struct weir_net_rxq **rxq, struct weir_error *err)
{
	struct weir_net_rxq *made = calloc(1, sizeof(*made));
	struct weir_nic_info info;
	int rc;

	if (!made)
		return weir_error_set(err, -ENOMEM, "no memory for a receive queue");
	weir_nic_info(nic, &info);
	made->rxq = weir_nic_rxq(nic, queue);
	made->pool = pool;
	made->port = port;
	net_span_init(&made->span, nic);
	rc = check(made, &info, queue, err);
	if (rc) {
		free(made);
		return rc;
	}
	made->room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	/* A port that is gone says so to the first burst. */
	fill(made);
	*rxq = made;
	return 0;
}

WEIR_EXPORT void weir_net_rxq_destroy(struct weir_net_rxq *rxq)
{
	struct weir_frame frames[NET_BURST];
	int n;

	if (!rxq)
		return;
	do {
		n = weir_nic_rx(rxq->rxq, frames, NET_BURST);
		for (int i = 0; i < n; i++)
			rte_pktmbuf_free_seg((struct rte_mbuf *)(uintptr_t)frames[i].cookie);
	} while (n > 0);
	rte_pktmbuf_free(rxq->head);
	free(rxq);
}

/* The packet type of what the device recognised. */
static uint32_t packet_type(uint32_t flags)
{
	uint32_t type = RTE_PTYPE_L2_ETHER;

	if (flags & WEIR_FRAME_IP4)
		type |= flags & WEIR_FRAME_IP4_OPTIONS ? RTE_PTYPE_L3_IPV4_EXT : RTE_PTYPE_L3_IPV4;
	else if (flags & WEIR_FRAME_IP6)
		type |= flags & WEIR_FRAME_IP6_EXTENSIONS ? RTE_PTYPE_L3_IPV6_EXT
							  : RTE_PTYPE_L3_IPV6;
	if (flags & WEIR_FRAME_TCP)
		type |= RTE_PTYPE_L4_TCP;
	else if (flags & WEIR_FRAME_UDP)
		type |= RTE_PTYPE_L4_UDP;
	else if (flags & WEIR_FRAME_SCTP)
		type |= RTE_PTYPE_L4_SCTP;
	return type;
}

static uint64_t checksum_flags(uint32_t flags)
{
	uint64_t found = 0;

	if (flags & WEIR_FRAME_IP_CHECKED)
		found |= flags & WEIR_FRAME_IP_BAD ? RTE_MBUF_F_RX_IP_CKSUM_BAD
						   : RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	if (flags & WEIR_FRAME_L4_CHECKED)
		found |= flags & WEIR_FRAME_L4_BAD ? RTE_MBUF_F_RX_L4_CKSUM_BAD
						   : RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	return found;
}

/* What the last frame says about the packet. */
static void describe(const struct weir_net_rxq *rxq, struct rte_mbuf *head,
		     const struct weir_frame *frame)
{
	head->port = rxq->port;
	head->packet_type = packet_type(frame->flags);
	head->ol_flags = checksum_flags(frame->flags);
	if (frame->flags & WEIR_FRAME_HASH_TYPE) {
		head->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
		head->hash.rss = frame->hash;
	}
	if (frame->flags & WEIR_FRAME_VLAN) {
		head->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		head->vlan_tci = frame->vlan;
	}
}

static void drop_head(struct weir_net_rxq *rxq)
{
	rte_pktmbuf_free(rxq->head);
	rxq->head = NULL;
	rxq->stats.damaged++;
}

/* Puts a frame behind those of its packet. Returns the packet when that was the last one. */
static struct rte_mbuf *add_frame(struct weir_net_rxq *rxq, const struct weir_frame *frame)
{
	struct rte_mbuf *mbuf = (struct rte_mbuf *)(uintptr_t)frame->cookie, *head = rxq->head;

	if (unlikely(frame->flags & WEIR_FRAME_UNUSED)) {
		rte_pktmbuf_free_seg(mbuf);
		/* A stop cut it off. */
		if (head)
			drop_head(rxq);
		return NULL;
	}
	mbuf->data_len = (uint16_t)frame->len;
	if (likely(!head)) {
		head = mbuf;
		head->pkt_len = frame->len;
	} else {
		rxq->tail->next = mbuf;
		head->nb_segs++;
		head->pkt_len += frame->len;
	}
	rxq->head = head;
	rxq->tail = mbuf;
	if (frame->flags & WEIR_FRAME_MORE)
		return NULL;
	if (unlikely(frame->flags & WEIR_FRAME_ERROR)) {
		drop_head(rxq);
		return NULL;
	}
	rxq->head = NULL;
	describe(rxq, head, frame);
	return head;
}

WEIR_EXPORT int weir_net_rx_burst(struct weir_net_rxq *rxq, struct rte_mbuf **packets,
				  unsigned int max)
{
	struct weir_frame frames[NET_BURST];
	unsigned int nr = 0;
	int n, rc;

	n = weir_nic_rx(rxq->rxq, frames, max < NET_BURST ? max : NET_BURST);
	if (unlikely(n < 0))
		return n;
	for (int i = 0; i < n; i++) {
		struct rte_mbuf *packet = add_frame(rxq, &frames[i]);

		if (!packet)
			continue;
		rxq->stats.bytes += packet->pkt_len;
		packets[nr++] = packet;
	}
	rxq->stats.packets += nr;
	/* Few doorbells for many mbufs, unless there is nothing else to do. */
	if (!n || weir_nic_rx_room(rxq->rxq) >= NET_BURST / 2) {
		rc = fill(rxq);
		if (unlikely(rc < 0) && !nr)
			return rc;
	}
	return (int)nr;
}

WEIR_EXPORT void weir_net_rxq_stats(const struct weir_net_rxq *rxq,
				    struct weir_net_rxq_stats *stats)
{
	*stats = rxq->stats;
}
