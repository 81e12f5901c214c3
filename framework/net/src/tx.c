/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of mbufs as frames to be sent. Each segment is a frame, and its mbuf the cookie, which is
 * freed by itself when the device does not use it any more.
 *
 * A packet that cannot be sent takes part in its burst with no frame, so that packets are taken in
 * their order.
 */
#include "net.h"

#include <inttypes.h>
#include <rte_mbuf.h>
#include <rte_net.h>
#include <stdlib.h>
#include <string.h>

/* Frames of the packets that are handed on at once: more than one packet can have. */
#define MAX_FRAMES 128u

/* The offloads that a frame can ask for. */
#define KNOWN_OFFLOADS \
	(RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | \
	 RTE_MBUF_F_TX_UDP_SEG | RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6)

struct weir_net_txq {
	struct weir_nic_txq *txq;
	struct net_span span;
	uint32_t max_segments;
	unsigned int in_queue; /* mbufs */
	struct weir_net_txq_stats stats;
};

WEIR_EXPORT int weir_net_txq_create(struct weir_nic *nic, unsigned int queue,
				    struct weir_net_txq **txq, struct weir_error *err)
{
	struct weir_net_txq *made;
	struct weir_nic_info info;

	weir_nic_info(nic, &info);
	if (!weir_nic_txq(nic, queue))
		return weir_error_set(err, -EINVAL,
				      "%s: transmit queue %u is not one of its %" PRIu32,
				      info.address, queue, info.tx_queues);
	made = calloc(1, sizeof(*made));
	if (!made)
		return weir_error_set(err, -ENOMEM, "no memory for a transmit queue");
	made->txq = weir_nic_txq(nic, queue);
	made->max_segments = info.max_packet_frames < MAX_FRAMES ? info.max_packet_frames
								 : MAX_FRAMES;
	net_span_init(&made->span, nic);
	*txq = made;
	return 0;
}

/* Frees what was sent, as far as one look tells. Returns how many mbufs, or a negative errno. */
static int free_sent(struct weir_net_txq *txq)
{
	uint64_t cookies[NET_BURST];
	unsigned int unsent = 0;
	int n;

	n = weir_nic_tx_done(txq->txq, cookies, NET_BURST, &unsent);
	if (unlikely(n < 0))
		return n;
	for (int i = 0; i < n; i++)
		rte_pktmbuf_free_seg((struct rte_mbuf *)(uintptr_t)cookies[i]);
	txq->in_queue -= (unsigned int)n;
	txq->stats.unsent += unsent;
	return n;
}

WEIR_EXPORT int weir_net_tx_clean(struct weir_net_txq *txq)
{
	int n;

	do {
		n = free_sent(txq);
	} while (n == NET_BURST);
	return n < 0 ? n : (int)txq->in_queue;
}

WEIR_EXPORT void weir_net_txq_destroy(struct weir_net_txq *txq)
{
	if (!txq)
		return;
	while (free_sent(txq) > 0)
		;
	free(txq);
}

static uint32_t l4_flag(uint64_t offloads)
{
	switch (offloads & RTE_MBUF_F_TX_L4_MASK) {
	case RTE_MBUF_F_TX_TCP_CKSUM:
		return WEIR_FRAME_L4_CSUM | WEIR_FRAME_TCP;
	case RTE_MBUF_F_TX_UDP_CKSUM:
		return WEIR_FRAME_L4_CSUM | WEIR_FRAME_UDP;
	case RTE_MBUF_F_TX_SCTP_CKSUM:
		return WEIR_FRAME_L4_CSUM | WEIR_FRAME_SCTP;
	default:
		return 0;
	}
}

/* Asks the first frame for a packet's offloads. */
static void ask_for_offloads(const struct rte_mbuf *packet, struct weir_frame *frame)
{
	uint64_t offloads = packet->ol_flags;
	uint32_t flags = l4_flag(offloads);

	if (offloads & RTE_MBUF_F_TX_TCP_SEG)
		flags = WEIR_FRAME_TSO | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TCP;
	if (offloads & RTE_MBUF_F_TX_UDP_SEG)
		flags = WEIR_FRAME_TSO | WEIR_FRAME_L4_CSUM | WEIR_FRAME_UDP;
	if (flags)
		flags |= offloads & RTE_MBUF_F_TX_IPV6 ? WEIR_FRAME_IP6 : WEIR_FRAME_IP4;
	if (offloads & RTE_MBUF_F_TX_IP_CKSUM)
		flags |= WEIR_FRAME_IP_CSUM | WEIR_FRAME_IP4;
	if (offloads & RTE_MBUF_F_TX_VLAN) {
		flags |= WEIR_FRAME_VLAN;
		frame->vlan = packet->vlan_tci;
	}
	frame->flags |= flags;
	frame->mss = packet->tso_segsz;
	frame->headers.l2_len = (uint8_t)packet->l2_len;
	frame->headers.l3_len = (uint16_t)packet->l3_len;
	frame->headers.l4_len = (uint8_t)packet->l4_len;
}

/* Makes the frames of a packet. Returns how many, of at most the queue's max_segments, or 0 when it
 * cannot be sent. */
static unsigned int make_frames(const struct weir_net_txq *txq, const struct rte_mbuf *packet,
				struct weir_frame *frames)
{
	const struct rte_mbuf *mbuf = packet;
	unsigned int n = 0;

	if (unlikely(packet->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK & ~KNOWN_OFFLOADS))
		return 0;
	do {
		const char *data = rte_pktmbuf_mtod(mbuf, const char *);

		if (unlikely(n == txq->max_segments || !mbuf->data_len ||
			     !net_span_holds(&txq->span, data, mbuf->data_len)))
			return 0;
		frames[n++] = (struct weir_frame){
			.iova = (uintptr_t)data - txq->span.delta,
			.cookie = (uintptr_t)mbuf,
			.len = mbuf->data_len,
			.flags = mbuf->next ? WEIR_FRAME_MORE : 0,
		};
		mbuf = mbuf->next;
	} while (mbuf);
	if (packet->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK)
		ask_for_offloads(packet, &frames[0]);
	return n;
}

/* A part of a burst: packets, and the frames that were made of them. */
struct part {
	unsigned int nr_packets, nr_frames;
	uint8_t segments[NET_BURST]; /* of each packet; 0: it cannot be sent */
	struct weir_frame frames[2 * MAX_FRAMES];
};

/* Makes frames of as many packets as there is room for. */
static void make_part(const struct weir_net_txq *txq, struct rte_mbuf *const *packets,
		      unsigned int n, struct part *part)
{
	part->nr_packets = 0;
	part->nr_frames = 0;
	while (part->nr_packets < n && part->nr_packets < NET_BURST &&
	       part->nr_frames <= MAX_FRAMES) {
		unsigned int segments = make_frames(txq, packets[part->nr_packets],
						    &part->frames[part->nr_frames]);

		part->segments[part->nr_packets++] = (uint8_t)segments;
		part->nr_frames += segments;
	}
}

/* Counts the packets of a part of which the port took so many frames, and frees those that cannot
 * be sent. Returns how many packets are done with. */
static unsigned int settle_part(struct weir_net_txq *txq, struct rte_mbuf *const *packets,
				const struct part *part, unsigned int taken)
{
	unsigned int i;

	txq->in_queue += taken;
	for (i = 0; i < part->nr_packets; i++) {
		if (unlikely(!part->segments[i])) {
			rte_pktmbuf_free(packets[i]);
			txq->stats.refused++;
			continue;
		}
		if (part->segments[i] > taken)
			break;
		taken -= part->segments[i];
		txq->stats.packets++;
		txq->stats.bytes += packets[i]->pkt_len;
	}
	return i;
}

WEIR_EXPORT int weir_net_tx_burst(struct weir_net_txq *txq, struct rte_mbuf **packets,
				  unsigned int n)
{
	unsigned int done = 0, settled;
	struct part part;
	int rc;

	rc = weir_net_tx_clean(txq);
	if (unlikely(rc < 0))
		return rc;
	do {
		make_part(txq, packets + done, n - done, &part);
		rc = part.nr_frames ? weir_nic_tx(txq->txq, part.frames, part.nr_frames) : 0;
		if (unlikely(rc < 0))
			return done ? (int)done : rc;
		settled = settle_part(txq, packets + done, &part, (unsigned int)rc);
		done += settled;
	} while (done < n && settled == part.nr_packets);
	return (int)done;
}

WEIR_EXPORT unsigned int weir_net_tx_prepare(struct rte_mbuf **packets, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (rte_net_intel_cksum_prepare(packets[i]))
			return i;
	}
	return n;
}

WEIR_EXPORT void weir_net_txq_stats(const struct weir_net_txq *txq,
				    struct weir_net_txq_stats *stats)
{
	*stats = txq->stats;
}
