/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From descriptors to frames (datasheet §7.2).
 *
 * The pieces of a frame are collected until the one that ends it. Then the frame is gathered
 * straight into the place that the cable has for it; one that is to be cut is gathered beside it
 * first. When the cable has no room, or the queue has sent enough for this turn, the frame stays
 * where it is, and the queue with it.
 */
#include <string.h>

#include "igb/device.h"

#define TAG_BYTES 4u
#define ADDRESSES_BYTES 12u
#define ETHERNET_BYTES 14u

static struct dev_work work_of_legacy(const struct dev_tx_queue *queue)
{
	struct dev_work work = { 0 };

	/* CSO and CSS. */
	if (queue->first_command & IGB_TX_LEGACY_IC) {
		work.checksum_offset = queue->first_command >> 16 & 0xff;
		work.checksum_start = queue->first_options >> 8 & 0xff;
	}
	work.vlan = queue->first_command & IGB_TX_VLE;
	work.vlan_tag = (uint16_t)(queue->first_options >> 16);
	return work;
}

static struct dev_work work_of(const struct dev_tx_queue *queue)
{
	uint32_t index = queue->first_options >> IGB_TX_CONTEXT_SHIFT & (IGB_CONTEXTS - 1);
	const uint32_t *context = queue->contexts[index];

	if (!(queue->first_command & IGB_TX_DEXT))
		return work_of_legacy(queue);
	return (struct dev_work){
		.vlan = queue->first_command & IGB_TX_VLE,
		.segment = queue->first_command & IGB_TX_TSE,
		.ip_checksum = queue->first_options & IGB_TX_IXSM,
		.l4_checksum = queue->first_options & IGB_TX_TXSM,
		.ipv4 = context[2] & IGB_CONTEXT_IPV4,
		.l4 = context[2] >> IGB_CONTEXT_L4_SHIFT & 3,
		.vlan_tag = (uint16_t)(context[0] >> 16),
		.mac_bytes = context[0] >> 9 & 0x7f,
		.ip_bytes = context[0] & 0x1ff,
		.l4_bytes = context[3] >> 8 & 0xff,
		.mss = (uint16_t)(context[3] >> 16),
	};
}

void igb_transmit_forget(struct dev_tx_queue *queue)
{
	queue->nr_pieces = 0;
	queue->bytes = 0;
	queue->complete = queue->cutting = false;
	queue->sent = 0;
}

/* Tells the driver that the descriptor is done, as it asked for. */
static void report(struct sim_igb *igb, struct dev_tx_queue *queue, uint32_t slot)
{
	const uint64_t done[2] = { 0, (uint64_t)IGB_TX_DD << 32 };

	if (!(queue->ring.regs->write_back_low & IGB_TDWBAL_ENABLE))
		igb_desc_write(igb, &queue->ring, slot, done);
}

/* The head in the client's memory instead (§7.2.3). */
static void report_head(struct sim_igb *igb, struct dev_tx_queue *queue)
{
	uint64_t low = queue->ring.regs->write_back_low, high = queue->ring.regs->write_back_high;

	if (low & IGB_TDWBAL_ENABLE)
		igb_data_write(igb, &queue->ring, (high << 32 | low) & ~UINT64_C(3),
			       &queue->ring.head, sizeof(queue->ring.head));
}

static void take_context(struct sim_igb *igb, struct dev_tx_queue *queue, const uint64_t desc[2])
{
	uint32_t *context;

	if (queue->nr_pieces) {
		igb_queue_fail(igb, &queue->ring, "a context inside a frame, at descriptor",
			       queue->next);
		return;
	}
	context = queue->contexts[desc[1] >> 32 >> IGB_TX_CONTEXT_SHIFT & (IGB_CONTEXTS - 1)];
	memcpy(context, desc, IGB_DESC_BYTES);
	if (desc[1] & IGB_TX_RS)
		report(igb, queue, queue->next);
	queue->next = igb_slot_after(&queue->ring, queue->next, 1);
	queue->ring.head = queue->next;
}

/* Takes the next descriptor. false: the queue has failed. */
static bool take(struct sim_igb *igb, struct dev_tx_queue *queue)
{
	uint32_t command, options, type;
	uint64_t desc[2];

	if (!igb_desc_read(igb, &queue->ring, queue->next, desc))
		return false;
	command = (uint32_t)desc[1];
	options = (uint32_t)(desc[1] >> 32);
	type = command >> IGB_TX_TYPE_SHIFT & 0xf;
	if (command & IGB_TX_DEXT && type == IGB_TX_TYPE_CONTEXT) {
		take_context(igb, queue, desc);
		return !queue->ring.failed;
	}
	if (command & IGB_TX_DEXT && type != IGB_TX_TYPE_DATA) {
		igb_queue_fail(igb, &queue->ring, "descriptor of type", type);
		return false;
	}
	if (queue->nr_pieces == DEV_MAX_PIECES) {
		igb_queue_fail(igb, &queue->ring, "a frame in more pieces than", DEV_MAX_PIECES);
		return false;
	}
	if (!queue->nr_pieces) {
		queue->first_command = command;
		queue->first_options = options;
	}
	queue->pieces[queue->nr_pieces++] = (struct dev_piece){
		.address = desc[0],
		.bytes = command & IGB_TX_LENGTH,
		.slot = queue->next,
		.report = command & IGB_TX_RS,
	};
	queue->bytes += command & IGB_TX_LENGTH;
	queue->complete = command & IGB_TX_EOP;
	queue->next = igb_slot_after(&queue->ring, queue->next, 1);
	return true;
}

static bool gather(struct sim_igb *igb, struct dev_tx_queue *queue, uint8_t *to)
{
	for (unsigned int i = 0; i < queue->nr_pieces; i++) {
		const struct dev_piece *piece = &queue->pieces[i];

		if (piece->bytes &&
		    !igb_data_read(igb, &queue->ring, piece->address, to, piece->bytes))
			return false;
		to += piece->bytes;
	}
	return true;
}

/* Puts the tag behind the addresses, for which there is room in front of the frame. */
static uint8_t *insert_tag(const struct sim_igb *igb, uint8_t *frame, uint16_t tag)
{
	uint32_t type = igb->regs[IGB_VET / 4];

	memmove(frame - TAG_BYTES, frame, ADDRESSES_BYTES);
	frame -= TAG_BYTES;
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	frame[14] = (uint8_t)(tag >> 8);
	frame[15] = (uint8_t)tag;
	return frame;
}

static void send(struct sim_igb *igb, struct dev_tx_queue *queue, const uint8_t *frame,
		 uint32_t bytes, uint32_t flags)
{
	igb_count_sent(igb, queue, frame, bytes);
	igb->cable->ops->send(igb->cable, bytes, flags);
	queue->burst++;
}

/* The driver's own FCS, which may be wrong. */
static uint32_t take_fcs(uint8_t *frame, uint32_t *bytes)
{
	uint32_t fcs;

	*bytes -= IGB_FCS_BYTES;
	memcpy(&fcs, frame + *bytes, sizeof(fcs));
	return fcs == igb_fcs(frame, *bytes) ? 0 : CABLE_BAD_FCS;
}

static bool too_long(struct sim_igb *igb, struct dev_tx_queue *queue, uint32_t bytes)
{
	if (bytes <= IGB_MAX_FRAME)
		return false;
	igb_queue_fail(igb, &queue->ring, "a frame of more than 9728 bytes:", bytes);
	return true;
}

/* Sends the frame at hand. false: there is no room, or the queue has failed. */
static bool send_whole(struct sim_igb *igb, struct dev_tx_queue *queue, const struct dev_work *work)
{
	uint32_t bytes = queue->bytes, tag = work->vlan ? TAG_BYTES : 0, flags = 0;
	uint8_t *room, *frame;

	if (bytes < ETHERNET_BYTES + (queue->first_command & IGB_TX_IFCS ? 0 : IGB_FCS_BYTES)) {
		igb_queue_fail(igb, &queue->ring, "a frame of less than a header:", bytes);
		return false;
	}
	if (too_long(igb, queue, bytes + tag))
		return false;
	room = igb->cable->ops->room(igb->cable,
				     bytes + tag < IGB_MIN_FRAME ? IGB_MIN_FRAME : bytes + tag);
	if (!room)
		return false;
	frame = room + tag;
	if (!gather(igb, queue, frame))
		return false;
	if (!igb_offload(work, frame, bytes)) {
		igb_queue_fail(igb, &queue->ring, "headers longer than the frame of", bytes);
		return false;
	}
	if (tag)
		frame = insert_tag(igb, frame, work->vlan_tag);
	bytes += tag;
	if (!(queue->first_command & IGB_TX_IFCS))
		flags = take_fcs(frame, &bytes);
	if (bytes < IGB_MIN_FRAME && *igb_reg(igb, IGB_TCTL) & IGB_TCTL_PSP) {
		memset(frame + bytes, 0, IGB_MIN_FRAME - bytes);
		bytes = IGB_MIN_FRAME;
	}
	send(igb, queue, frame, bytes, flags);
	return true;
}

/* Whether the context says how to cut the frame at hand; otherwise the queue has failed. */
static bool check_cut(struct sim_igb *igb, struct dev_tx_queue *queue, const struct dev_work *work)
{
	uint32_t headers = work->mac_bytes + work->ip_bytes + work->l4_bytes;
	uint32_t payload = queue->first_options >> IGB_TX_PAYLOAD_SHIFT;

	if (work->l4 > IGB_L4_TCP || work->mac_bytes < ETHERNET_BYTES ||
	    work->ip_bytes < (work->ipv4 ? 20 : 40) ||
	    work->l4_bytes < (work->l4 == IGB_L4_TCP ? 20 : 8))
		igb_queue_fail(igb, &queue->ring, "headers that cannot be cut, of", headers);
	else if (!work->mss)
		igb_queue_fail(igb, &queue->ring, "segments of size", 0);
	else if (queue->bytes != headers + payload || !payload)
		igb_queue_fail(igb, &queue->ring, "a payload length that is wrong:", payload);
	else if (!too_long(igb, queue, headers + work->mss + TAG_BYTES))
		return true;
	return false;
}

static bool stage(struct sim_igb *igb, struct dev_tx_queue *queue, const struct dev_work *work)
{
	if (!check_cut(igb, queue, work) || !gather(igb, queue, queue->staging))
		return false;
	queue->cutting = true;
	queue->sent = 0;
	igb_count(igb, IGB_TSCTC, 1);
	return true;
}

/* Cuts the frame at hand. false: not all of it could be sent in this turn, or the queue has failed.
 */
static bool send_cut(struct sim_igb *igb, struct dev_tx_queue *queue, const struct dev_work *work)
{
	uint32_t headers = work->mac_bytes + work->ip_bytes + work->l4_bytes;
	uint32_t payload = queue->bytes - headers, tag = work->vlan ? TAG_BYTES : 0;

	if (!queue->cutting && !stage(igb, queue, work))
		return false;
	while (queue->sent < payload && queue->burst < DEV_BURST) {
		uint32_t left = payload - queue->sent;
		uint32_t part = left < work->mss ? left : work->mss;
		uint32_t bytes = headers + part;
		uint8_t *room = igb->cable->ops->room(igb->cable, bytes + tag + IGB_MIN_FRAME);
		uint8_t *frame;

		if (!room)
			return false;
		frame = room + tag;
		memcpy(frame, queue->staging, headers);
		memcpy(frame + headers, queue->staging + headers + queue->sent, part);
		igb_segment(igb, work, frame, bytes, queue->sent, queue->sent / work->mss,
			    part == left);
		if (tag)
			frame = insert_tag(igb, frame, work->vlan_tag);
		bytes += tag;
		if (bytes < IGB_MIN_FRAME) {
			memset(frame + bytes, 0, IGB_MIN_FRAME - bytes);
			bytes = IGB_MIN_FRAME;
		}
		send(igb, queue, frame, bytes, 0);
		queue->sent += part;
	}
	return queue->sent == payload;
}

/* The frame at hand is sent: its descriptors are the driver's again. Returns whether it asked to be
 * told. */
static bool finish(struct sim_igb *igb, struct dev_tx_queue *queue)
{
	bool silent = unlikely(igb->faulty) && igb_fault_sent(igb);
	bool told = false;

	for (unsigned int i = 0; i < queue->nr_pieces; i++) {
		if (!queue->pieces[i].report || silent)
			continue;
		report(igb, queue, queue->pieces[i].slot);
		told = true;
	}
	queue->ring.head = queue->next;
	igb_transmit_forget(queue);
	return told;
}

unsigned int igb_transmit(struct sim_igb *igb, struct dev_tx_queue *queue)
{
	uint32_t pending = igb_queue_pending(igb, &queue->ring, queue->next);
	unsigned int taken = 0;
	uint32_t head = queue->ring.head;
	struct dev_work work;
	bool told = false;

	queue->burst = 0;
	while (!queue->ring.failed && queue->burst < DEV_BURST) {
		if (!queue->complete) {
			if (!pending || !take(igb, queue))
				break;
			pending--;
			taken++;
			continue;
		}
		if (unlikely(igb->faulty) && igb_fault_stuck(igb))
			break;
		work = work_of(queue);
		if (work.segment ? !send_cut(igb, queue, &work) : !send_whole(igb, queue, &work))
			break;
		told |= finish(igb, queue);
	}
	if (head != queue->ring.head) {
		queue->ring.regs->head = queue->ring.head;
		report_head(igb, queue);
	}
	if (told)
		igb_cause_queue(igb, true, queue->ring.index);
	return taken + queue->burst;
}
