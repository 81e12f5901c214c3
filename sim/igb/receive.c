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
	uint64_t info; /* the first word of what is written back */
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
	igb_count(igb, IGB_TPR, 1);
	igb_count(igb, IGB_TORL, frame->bytes + IGB_FCS_BYTES);
	if (frame->flags & CABLE_BAD_FCS)
		igb_count(igb, IGB_CRCERRS, 1);
	if (!igb_filter(igb, frame->data, frame->bytes) || !check_length(igb, frame))
		return false;
	return !(frame->flags & CABLE_BAD_FCS) || *igb_reg(igb, IGB_RCTL) & IGB_RCTL_SBP;
}

/* How many descriptors a frame needs. */
static uint32_t needed(const struct dev_rx_queue *queue, uint32_t bytes)
{
	return bytes ? (bytes + queue->packet_bytes - 1) / queue->packet_bytes : 1;
}

static void strip_tag(struct sim_igb *igb, struct delivery *delivery)
{
	if (!(*igb_reg(igb, IGB_CTRL) & IGB_CTRL_VME))
		return;
	delivery->status |= IGB_RX_VP;
	delivery->tag = (uint16_t)(delivery->data[14] << 8 | delivery->data[15]);
	memmove(delivery->data + TAG_BYTES, delivery->data, ADDRESSES_BYTES);
	delivery->data += TAG_BYTES;
	delivery->bytes -= TAG_BYTES;
}

/* RSS hash and type, or the IP identification: RXCSUM.PCSD says. */
static uint64_t info_of(const struct sim_igb *igb, const struct dev_packet *packet, uint32_t hash,
			enum igb_rss_type type)
{
	uint64_t info = packet->types;

	if (igb->regs[IGB_RXCSUM / 4] & IGB_RXCSUM_PCSD)
		return info | type | (uint64_t)hash << 32;
	return info | (uint64_t)packet->ip_id << 32;
}

/* Writes the frame into the descriptors from the head on, which are enough. */
static bool write_frame(struct sim_igb *igb, struct dev_rx_queue *queue,
			const struct delivery *delivery)
{
	struct dev_ring *ring = &queue->ring;
	uint32_t slot = ring->head, at = 0;

	for (;;) {
		uint32_t left = delivery->bytes - at;
		uint32_t part = left < queue->packet_bytes ? left : queue->packet_bytes;
		bool last = part == left;
		uint32_t status = IGB_RX_DD | (last ? IGB_RX_EOP | delivery->status : 0);
		uint64_t desc[2];

		if (!igb_desc_read(igb, ring, slot, desc) ||
		    !igb_data_write(igb, ring, desc[0], delivery->data + at, part))
			return false;
		desc[0] = last ? delivery->info : 0;
		desc[1] = status | (uint64_t)part << 32 |
			  (uint64_t)(last ? delivery->tag : 0) << 48;
		if (!igb_desc_write(igb, ring, slot, desc))
			return false;
		slot = igb_slot_after(ring, slot, 1);
		at += part;
		if (last)
			break;
	}
	ring->head = slot;
	return true;
}

/* The frame has to wait: says so once. */
static void wait(struct sim_igb *igb)
{
	if (!igb->waits) {
		igb_count(igb, IGB_RNBC, 1);
		igb->waits = true;
	}
	atomic_store_explicit(&igb->buffer->consumer.starved, true, memory_order_relaxed);
}

static void drop(struct dev_rx_queue *queue)
{
	queue->ring.regs->dropped++;
}

/* Delivers a frame that was admitted. false: it waits. */
static bool deliver(struct sim_igb *igb, const struct cable_frame *frame, uint32_t *touched)
{
	struct delivery delivery = { .data = frame->data, .bytes = frame->bytes };
	bool tagged = igb_is_tagged(igb, frame->data, frame->bytes);
	struct dev_packet packet;
	struct dev_rx_queue *queue;
	enum igb_rss_type type;
	uint32_t hash, need, have;

	igb_parse(igb, frame->data, frame->bytes, &packet);
	queue = &igb->rx[igb_rss(igb, frame->data, &packet, &hash, &type)];
	if (!queue->ring.enabled || queue->ring.failed) {
		drop(queue);
		return true;
	}
	need = needed(queue, frame->bytes + IGB_FCS_BYTES);
	have = igb_queue_pending(igb, &queue->ring, queue->ring.head);
	if (need > have) {
		if (need < queue->ring.size && !(queue->ring.regs->srrctl & IGB_SRRCTL_DROP)) {
			wait(igb);
			return false;
		}
		drop(queue);
		return true;
	}
	delivery.status = packet.status;
	if (frame->flags & CABLE_BAD_FCS)
		delivery.status |= IGB_RX_RXE;
	delivery.info = info_of(igb, &packet, hash, type);
	if (!(*igb_reg(igb, IGB_RCTL) & IGB_RCTL_SECRC)) {
		uint32_t fcs = igb_fcs(frame->data, frame->bytes);

		memcpy(frame->data + frame->bytes, &fcs, sizeof(fcs));
		delivery.bytes += IGB_FCS_BYTES;
	}
	if (!(frame->flags & CABLE_BAD_FCS))
		igb_count_received(igb, queue, frame->data, frame->bytes);
	if (tagged)
		strip_tag(igb, &delivery);
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
		if ((igb->waits || admit(igb, &frame)) && !deliver(igb, &frame, &touched))
			break;
		igb->waits = false;
		cable_buffer_drop(igb->buffer, &frame);
		taken++;
	}
	if (taken)
		atomic_store_explicit(&igb->buffer->consumer.starved, igb->waits,
				      memory_order_relaxed);
	for (; touched; touched &= touched - 1) {
		struct dev_ring *ring = &igb->rx[__builtin_ctz(touched)].ring;

		ring->regs->head = ring->head;
		igb_cause_queue(igb, false, ring->index);
	}
	return taken;
}
