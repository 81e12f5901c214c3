/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From frames to descriptors (datasheet §7.1).
 *
 * A frame stays in the packet buffer until there are descriptors for all of it. The first one that
 * has none holds up those behind it, whatever queue they are for, unless its queue wants it
 * dropped.
 */
#include <string.h>

#include "igb/device.h"

#define TAG_BYTES 4u
#define ADDRESSES_BYTES 12u
#define MAX_UNTAGGED 1518u

/* What a frame is delivered as. */
struct delivery {
	uint8_t *data;
	uint32_t bytes;
	uint32_t header; /* bytes that go into the header buffer */
	bool again; /* and into the packet buffer as well */
	uint32_t info; /* of what is written back: types, header length */
	uint32_t hash;
	uint32_t status;
	uint16_t tag;
};

/* The longest frame that is taken, with its FCS. */
static uint32_t max_octets(const struct sim_igb *igb, bool tagged)
{
	if (igb->regs[IGB_RCTL / 4] & IGB_RCTL_LPE)
		return igb->regs[IGB_RLPML / 4] & 0x3fff;
	return tagged ? MAX_UNTAGGED + TAG_BYTES : MAX_UNTAGGED;
}

/* Counts a frame that is not good. false: it is dropped. */
static bool check_length(struct sim_igb *igb, const struct cable_frame *frame)
{
	bool bad = frame->flags & CABLE_BAD_FCS;
	uint32_t octets = frame->bytes + IGB_FCS_BYTES;
	bool is_short = frame->bytes < IGB_MIN_FRAME;

	if (is_short || octets > max_octets(igb, igb_is_tagged(igb, frame->data, frame->bytes))) {
		igb_count(igb, IGB_RLEC, 1);
		if (is_short)
			igb_count(igb, bad ? IGB_RFC : IGB_RUC, 1);
		else
			igb_count(igb, bad ? IGB_RJC : IGB_ROC, 1);
		return false;
	}
	return true;
}

/* Whether a frame is wanted. It is counted for what it is. */
static bool admit(struct sim_igb *igb, const struct cable_frame *frame)
{
	bool bad = frame->flags & CABLE_BAD_FCS;

	igb_count(igb, IGB_TPR, 1);
	igb_count(igb, IGB_TORL, frame->bytes + IGB_FCS_BYTES);
	if (!igb_filter(igb, frame->data, frame->bytes))
		return false;
	/* Short ones are fragments and nothing else. */
	if (bad && frame->bytes >= IGB_MIN_FRAME)
		igb_count(igb, IGB_CRCERRS, 1);
	return check_length(igb, frame) && (!bad || *igb_reg(igb, IGB_RCTL) & IGB_RCTL_SBP);
}

/* Bits of PSRTYPE: which headers are split off. */
enum {
	SPLIT_MAC = 0,
	SPLIT_IPV4 = 1,
	SPLIT_IPV4_TCP = 2,
	SPLIT_IPV4_UDP = 3,
	SPLIT_IPV6 = 7,
	SPLIT_IPV6_TCP = 8,
	SPLIT_IPV6_UDP = 9,
};

/* How long the headers are that PSRTYPE names; 0: the frame has none of them. */
static uint32_t find_headers(const struct sim_igb *igb, const struct dev_rx_queue *queue,
			     const struct dev_packet *packet)
{
	/* Eight of them; which of the sixteen queues share one is not said. */
	uint32_t wanted = igb->regs[IGB_PSRTYPE / 4 + queue->ring.index % 8];
	uint32_t kind = packet->types & IGB_RX_TYPE_IPV6 ? SPLIT_IPV6 : SPLIT_IPV4;

	if (!(packet->types & (IGB_RX_TYPE_IPV4 | IGB_RX_TYPE_IPV6)))
		return wanted & 1u << SPLIT_MAC ? packet->l3 : 0;
	if (packet->types & IGB_RX_TYPE_TCP && wanted & 1u << (kind + 1))
		return packet->headers;
	if (packet->types & IGB_RX_TYPE_UDP && wanted & 1u << (kind + 2))
		return packet->headers;
	if (!(wanted & 1u << kind))
		return 0;
	return packet->l4 ? packet->l4 : packet->headers;
}

/* The header buffer's share (§7.1.10). */
static void split(struct delivery *delivery, const struct dev_rx_queue *queue, uint32_t headers)
{
	bool always = queue->type == IGB_DESC_SPLIT_ALWAYS;
	uint32_t room = queue->header_bytes, said = headers;

	if (queue->type < IGB_DESC_SPLIT ||
	    (queue->type == IGB_DESC_REPLICATE_LARGE && delivery->bytes <= room))
		return;
	delivery->again = queue->type == IGB_DESC_REPLICATE ||
			  queue->type == IGB_DESC_REPLICATE_LARGE;
	if (always && delivery->bytes <= room) {
		delivery->header = said = delivery->bytes;
	} else if (!headers) {
		delivery->header = said = always ? room : 0;
	} else {
		delivery->info |= IGB_RX_SPH;
		delivery->header = headers <= room ? headers : always ? room : 0;
		if (headers > room)
			delivery->status |= IGB_RX_HBO;
	}
	delivery->info |= (said & IGB_RX_HEADER_MASK) << IGB_RX_HEADER_SHIFT;
}

/* How many descriptors a frame needs. */
static uint32_t needed(const struct dev_rx_queue *queue, const struct delivery *delivery)
{
	uint32_t bytes = delivery->bytes - (delivery->again ? 0 : delivery->header);

	return bytes ? (bytes + queue->packet_bytes - 1) / queue->packet_bytes : 1;
}

/* What is written into a descriptor that holds `bytes` of the frame. */
static void compose(const struct dev_rx_queue *queue, const struct delivery *delivery,
		    uint32_t bytes, bool last, uint64_t desc[2])
{
	uint32_t status = IGB_RX_DD | (last ? IGB_RX_EOP | delivery->status : 0);
	uint64_t tag = last ? delivery->tag : 0;

	if (queue->type == IGB_DESC_LEGACY) {
		/* The address stays; status and errors are a byte each (§7.1.4.1). */
		desc[1] = bytes | (uint64_t)(status & 0xff) << 32 | (uint64_t)(status >> 24) << 40 |
			  tag << 48;
		return;
	}
	desc[0] = last ? delivery->info | (uint64_t)delivery->hash << 32
		       : delivery->info & ~(uint32_t)IGB_RX_TYPES;
	desc[1] = status | (uint64_t)bytes << 32 | tag << 48;
}

/* Writes the frame into the descriptors from the head on, which are enough. */
static bool write_frame(struct sim_igb *igb, struct dev_rx_queue *queue,
			const struct delivery *delivery)
{
	uint32_t at = delivery->again ? 0 : delivery->header, header = delivery->header;
	struct dev_ring *ring = &queue->ring;
	bool last = false;

	for (; !last; header = 0) {
		uint32_t left = delivery->bytes - at;
		uint32_t part = left < queue->packet_bytes ? left : queue->packet_bytes;
		uint64_t desc[2];

		last = part == left;
		if (!igb_desc_read(igb, ring, ring->head, desc) ||
		    (header &&
		     !igb_data_write(igb, ring, desc[1] & ~UINT64_C(1), delivery->data, header)) ||
		    (part && !igb_data_write(igb, ring, desc[0], delivery->data + at, part)))
			return false;
		compose(queue, delivery, part, last, desc);
		if (unlikely(igb->faulty) && last)
			igb_fault_written(igb, queue, desc);
		if (!igb_desc_write(igb, ring, ring->head, desc))
			return false;
		ring->head = igb_slot_after(ring, ring->head, 1);
		at += part;
	}
	return true;
}

/* The frame has to wait: says so once. */
static void wait(struct sim_igb *igb)
{
	if (!igb->waits)
		igb_count(igb, IGB_RNBC, 1);
	igb->waits = true;
}

static void drop(struct dev_rx_queue *queue)
{
	queue->ring.regs->dropped++;
}

/* There are not enough descriptors for the frame yet. false: it waits for them. */
static bool lacks_descriptors(struct sim_igb *igb, struct dev_rx_queue *queue)
{
	if (!(queue->ring.regs->srrctl & IGB_SRRCTL_DROP)) {
		wait(igb);
		return false;
	}
	drop(queue);
	return true;
}

/* RSS hash and type, or the IP identification: RXCSUM.PCSD says. */
static void describe(const struct sim_igb *igb, const struct dev_packet *packet, uint32_t hash,
		     enum igb_rss_type type, struct delivery *delivery)
{
	bool hashed = igb->regs[IGB_RXCSUM / 4] & IGB_RXCSUM_PCSD;

	delivery->info = packet->types | (hashed ? type : IGB_RSS_NONE);
	delivery->hash = hashed ? hash : packet->ip_id;
	delivery->status |= packet->status;
}

static void strip_tag(struct delivery *delivery)
{
	delivery->status |= IGB_RX_VP;
	delivery->tag = (uint16_t)(delivery->data[14] << 8 | delivery->data[15]);
	memmove(delivery->data + TAG_BYTES, delivery->data, ADDRESSES_BYTES);
	delivery->data += TAG_BYTES;
}

/* Delivers a frame that was admitted. false: it waits. */
static bool deliver(struct sim_igb *igb, const struct cable_frame *frame, uint32_t *touched)
{
	bool strip = *igb_reg(igb, IGB_CTRL) & IGB_CTRL_VME &&
		     igb_is_tagged(igb, frame->data, frame->bytes);
	bool fcs = !(*igb_reg(igb, IGB_RCTL) & IGB_RCTL_SECRC);
	bool bad = frame->flags & CABLE_BAD_FCS;
	struct delivery delivery = {
		.data = frame->data,
		.bytes = frame->bytes - (strip ? TAG_BYTES : 0) + (fcs ? IGB_FCS_BYTES : 0),
		.status = bad ? IGB_RX_RXE : 0,
	};
	struct dev_packet packet;
	struct dev_rx_queue *queue;
	enum igb_rss_type type;
	uint32_t hash, headers, need, have;

	igb_parse(igb, frame->data, frame->bytes, &packet);
	queue = &igb->rx[igb_rss(igb, frame->data, &packet, &hash, &type)];
	if (!queue->ring.enabled || queue->ring.failed) {
		drop(queue);
		return true;
	}
	if (unlikely(queue->ring.bare))
		return lacks_descriptors(igb, queue);
	describe(igb, &packet, hash, type, &delivery);
	headers = find_headers(igb, queue, &packet);
	split(&delivery, queue, headers && strip ? headers - TAG_BYTES : headers);
	need = needed(queue, &delivery);
	have = igb_queue_pending(igb, &queue->ring, queue->ring.head);
	if (need >= queue->ring.size) {
		drop(queue);
		return true;
	}
	if (need > have)
		return lacks_descriptors(igb, queue);
	if (unlikely(igb->faulty) && have > need && igb_fault_skips(igb))
		queue->ring.head = igb_slot_after(&queue->ring, queue->ring.head, 1);
	if (fcs) {
		uint32_t sum = igb_fcs(frame->data, frame->bytes);

		memcpy(frame->data + frame->bytes, &sum, sizeof(sum));
	}
	if (!bad)
		igb_count_received(igb, queue, frame->data, frame->bytes);
	if (strip)
		strip_tag(&delivery);
	if (write_frame(igb, queue, &delivery)) {
		*touched |= 1u << queue->ring.index;
		if (have - need < queue->threshold)
			igb_cause_other(igb, IGB_ICR_RXDMT0);
	}
	return true;
}

unsigned int igb_receive(struct sim_igb *igb)
{
	struct cable_frame frame;
	unsigned int taken = 0;
	uint32_t touched = 0;

	while (taken < DEV_BURST && cable_buffer_first(igb->buffer, &frame)) {
		if (unlikely(igb->faulty) && !igb->waits)
			igb_fault_arrived(igb, &frame);
		if ((igb->waits || admit(igb, &frame)) && !deliver(igb, &frame, &touched))
			break;
		igb->waits = false;
		cable_buffer_drop(igb->buffer, &frame);
		taken++;
	}
	/* It may also be left over from a time without bus mastering. */
	if (atomic_load_explicit(&igb->buffer->consumer.starved, memory_order_relaxed) !=
	    igb->waits)
		atomic_store_explicit(&igb->buffer->consumer.starved, igb->waits,
				      memory_order_relaxed);
	for (; touched; touched &= touched - 1) {
		struct dev_ring *ring = &igb->rx[__builtin_ctz(touched)].ring;

		ring->regs->head = ring->head;
		igb_cause_queue(igb, false, ring->index);
	}
	return taken;
}
