/* SPDX-License-Identifier: BSD-3-Clause */
/* Making packets, sending them, and taking back what was sent. */
#include <errno.h>
#include <string.h>

#include "random_traffic.h"

#define MAX_PIECES 64u
#define PIECE_BYTES 32768u

/* A cookie for sending: the frame's number in its queue, its slot, its place in the packet. */
#define COOKIE(number, slot, piece) ((number) << 24 | (uint64_t)(slot) << 8 | (piece))
#define COOKIE_NUMBER(cookie) ((cookie) >> 24)
#define COOKIE_SLOT(cookie) ((cookie) >> 8 & 0xffff)

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static bool is_filter(const struct traffic_port *port, const uint8_t *to)
{
	for (unsigned int i = 0; i < TRAFFIC_FILTERS; i++) {
		if (!memcmp(port->filters[i], to, 6))
			return true;
	}
	return false;
}

/* Whether a port lets a frame on the wire in. */
static bool lets_in(const struct traffic_port *port, const uint8_t *wire)
{
	const uint32_t receive = port->config.receive;
	const unsigned int id = (wire[14] << 8 | wire[15]) & 0xfff;
	bool ours;

	if (wire[0] & 1)
		ours = receive & WEIR_NIC_ALL_MULTICAST ||
		       (!(receive & WEIR_NIC_NO_BROADCAST) && !memcmp(wire, broadcast, 6));
	else
		ours = receive & WEIR_NIC_ALL_UNICAST || !memcmp(wire, port->info.mac, 6);
	if (!ours && !is_filter(port, wire))
		return false;
	return !port->vlan_filter || wire[12] != 0x81 || wire[13] != 0 ||
	       port->vlan_ids[id / 64] >> id % 64 & 1;
}

/* A frame as the port hands it on: without its tag, when it takes that off. Returns its hash, with
 * the tag in it. */
static uint64_t received_hash(const struct traffic_port *port, uint8_t *wire, uint32_t *bytes)
{
	uint64_t tag = 0;

	if (port->config.vlan_strip && wire[12] == 0x81 && wire[13] == 0) {
		tag = 1u << 16 | (uint64_t)wire[14] << 8 | wire[15];
		memmove(wire + 12, wire + 16, *bytes - 16);
		*bytes -= 4;
	}
	return packet_hash(wire, *bytes) ^ tag << 40;
}

/* Counts a frame on the wire, or takes it back from what was counted. */
static void count_wire(struct traffic_port *port, const uint8_t *wire, uint32_t bytes,
		       uint64_t sign)
{
	struct traffic_port *peer = traffic_peer(port);
	struct traffic_sums *sums = &port->sums;

	sums->frames += sign;
	sums->bytes += sign * (bytes + 4);
	if (wire[0] & 1)
		*(memcmp(wire, broadcast, 6) ? &sums->multicast : &sums->broadcast) += sign;
	if (!lets_in(peer, wire))
		sums->filtered += sign;
	else if (bytes > peer->config.mtu + WEIR_NIC_OVERHEAD)
		sums->oversize += sign;
	else
		sums->deliverable += sign;
}

static void count_packet(struct traffic_port *port, const struct packet *packet, uint64_t sign)
{
	const unsigned int n = packet_wire_count(packet);

	for (unsigned int i = 0; i < n; i++) {
		uint32_t bytes = packet_wire(packet, i, port->traffic->scratch);

		count_wire(port, port->traffic->scratch, bytes, sign);
	}
	port->sums.segmented += packet->flags & WEIR_FRAME_TSO ? sign : 0;
	port->sums.given += sign;
}

/* Writes down what is to arrive. */
static void expect(struct traffic_port *port, const struct traffic_slot *slot)
{
	const struct packet *packet = &slot->packet;
	struct traffic_entry *entry = &port->entries[slot->sequence % TRAFFIC_ENTRIES];
	uint8_t *wire = port->traffic->scratch;
	struct traffic_port *peer = traffic_peer(port);
	const bool malformed = packet->verdict == PACKET_MALFORMED;
	unsigned int n = malformed ? 0 : packet_wire_count(packet);

	*entry = (struct traffic_entry){ .sequence = slot->sequence,
					 .used = true,
					 .exact = packet->exact && n <= PACKET_SEGMENTS,
					 .told = packet->told,
					 .rx_flags = packet->rx_flags,
					 .shortest = UINT32_MAX };
	for (unsigned int i = 0; i < n; i++) {
		uint32_t bytes = packet_wire(packet, i, wire);
		uint64_t hash;

		if (!lets_in(peer, wire) || bytes > peer->config.mtu + WEIR_NIC_OVERHEAD)
			continue;
		hash = received_hash(peer, wire, &bytes);
		if (entry->exact)
			entry->hashes[entry->expected] = hash;
		entry->expected++;
		entry->shortest = bytes < entry->shortest ? bytes : entry->shortest;
		entry->longest = bytes > entry->longest ? bytes : entry->longest;
	}
}

/* An address to send to. */
static void choose_address(struct traffic_port *port, uint8_t to[6])
{
	struct rng *rng = &port->traffic->rng;
	struct traffic_port *peer = traffic_peer(port);
	uint64_t random = rng_next(rng);

	memcpy(to, &random, 6);
	if (rng_chance(rng, 700))
		memcpy(to, peer->info.mac, 6);
	else if (rng_chance(rng, 250))
		memcpy(to, broadcast, 6);
	else if (rng_chance(rng, 330))
		memcpy(to, peer->filters[rng_below(rng, TRAFFIC_FILTERS)], 6);
}

/* Cuts a packet into frames behind those that are pending. */
static void cut(struct traffic_port *port, struct traffic_txq *q, unsigned int index)
{
	struct rng *rng = &port->traffic->rng;
	struct traffic_slot *slot = &port->slots[index];
	const struct packet *packet = &slot->packet;
	uint64_t iova = weir_arena_ptr_iova(port->traffic->arena, packet->data);
	unsigned int most = port->config.tx_entries - 2, at = q->nr_pending;
	uint32_t left = packet->bytes;

	most = most < MAX_PIECES ? most : MAX_PIECES;
	slot->pieces = rng_chance(rng, 700)   ? 1
		       : rng_chance(rng, 800) ? 1 + rng_below(rng, 4)
					      : 1 + rng_below(rng, most);
	if (slot->pieces > left)
		slot->pieces = 1;
	if (left > PIECE_BYTES && slot->pieces < 4)
		slot->pieces = 4;
	for (unsigned int i = 0; i < slot->pieces; i++) {
		uint32_t rest = slot->pieces - i - 1;
		uint32_t bytes = rest ? 1 + rng_below(rng, left - rest) : left;

		/* Each fits into a frame. */
		if (left > PIECE_BYTES)
			bytes = left / (rest + 1);
		q->pending[q->nr_pending++] = (struct weir_frame){
			.iova = iova + packet->bytes - left,
			.cookie = COOKIE(q->next, index, i),
			.len = bytes,
			.flags = rest ? WEIR_FRAME_MORE : 0,
		};
		q->next++;
		left -= bytes;
	}
	q->pending[at].flags |= packet->flags;
	q->pending[at].vlan = packet->vlan;
	q->pending[at].mss = packet->mss;
	if (packet->flags & (WEIR_FRAME_IP_CSUM | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO))
		q->pending[at].headers = packet->headers;
	else
		q->pending[at].hash = (uint32_t)rng_next(rng); /* nobody looks at it */
	if (packet->verdict == PACKET_MALFORMED && slot->pieces > 1 && rng_chance(rng, 300))
		q->pending[at + 1].len = 0;
}

static void make_packet(struct traffic_port *port, struct traffic_txq *q)
{
	const unsigned int index = port->free_slots[--port->nr_free_slots];
	struct traffic_slot *slot = &port->slots[index];
	const struct packet_options options = {
		.max_packet = port->config.mtu + WEIR_NIC_OVERHEAD,
		.certain = port->traffic->rules.certain,
	};
	uint8_t to[6], from[6] = { 2, (uint8_t)port->index };

	*slot = (struct traffic_slot){
		.packet.data = port->tx_memory + (size_t)index * PACKET_ROOM,
		.sequence = port->sequence++,
	};
	for (unsigned int i = 0; i < 4; i++)
		from[2 + i] = (uint8_t)(slot->sequence >> 8 * i);
	choose_address(port, to);
	packet_make(&port->traffic->rng, &options, to, from, &slot->packet);
	expect(port, slot);
	port->sums.packets++;
	cut(port, q, index);
}

/* The queue has taken frames: they are to come back. */
static void taken(struct traffic_port *port, struct traffic_txq *q, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct traffic_slot *slot = &port->slots[COOKIE_SLOT(q->pending[i].cookie)];

		port->tx_outstanding++;
		if (!(q->pending[i].flags & WEIR_FRAME_MORE) && slot->packet.verdict == PACKET_GOOD)
			count_packet(port, &slot->packet, 1);
	}
	q->nr_pending -= n;
	memmove(q->pending, q->pending + n, q->nr_pending * sizeof(q->pending[0]));
}

/* Gives a queue what is pending, at times with a packet at the end that does not end. */
static bool submit(struct traffic_port *port, unsigned int index)
{
	struct traffic_txq *q = &port->txq[index];
	struct rng *rng = &port->traffic->rng;
	unsigned int n = q->nr_pending;
	int rc;

	if (n && rng_chance(rng, 50))
		n = 1 + rng_below(rng, n);
	rc = weir_nic_tx(weir_nic_txq(port->nic, index), q->pending, n);
	if (rc == -ENODEV || (rc == 0 && port->traffic->stopping))
		return false;
	traffic_require(rc >= 0, "port %u: transmit queue %u says %d", port->index, index, rc);
	traffic_require((unsigned int)rc <= n, "transmit queue %u took %d frames of %u", index, rc,
			n);
	traffic_require(!rc || !(q->pending[rc - 1].flags & WEIR_FRAME_MORE),
			"transmit queue %u took half a packet", index);
	taken(port, q, (unsigned int)rc);
	return rc > 0;
}

/* A packet of more frames than any may have is the caller's. */
static void try_too_many(struct traffic_port *port, unsigned int index)
{
	struct weir_frame frames[MAX_PIECES + 1];
	int rc;

	for (unsigned int i = 0; i <= MAX_PIECES; i++)
		frames[i] = (struct weir_frame){
			.iova = weir_arena_ptr_iova(port->traffic->arena, port->tx_memory),
			.len = 10,
			.flags = i < MAX_PIECES ? WEIR_FRAME_MORE : 0,
		};
	rc = weir_nic_tx(weir_nic_txq(port->nic, index), frames, MAX_PIECES + 1);
	traffic_require(rc == -EINVAL || rc == -ENODEV, "a packet of %u frames: %d, not %d",
			MAX_PIECES + 1, rc, -EINVAL);
}

bool traffic_send(struct traffic_port *port)
{
	struct rng *rng = &port->traffic->rng;
	struct traffic_txq *q;
	unsigned int index;
	bool busy = false;

	if (port->sums.packets < port->quota) {
		index = rng_below(rng, port->info.tx_queues);
		q = &port->txq[index];
		for (unsigned int n = 1 + rng_below(rng, TRAFFIC_BURST);
		     n && port->nr_free_slots && q->nr_pending + MAX_PIECES < 512; n--)
			make_packet(port, q);
		if (rng_chance(rng, 5))
			try_too_many(port, index);
	}
	for (unsigned int i = 0; i < port->info.tx_queues; i++)
		busy |= port->txq[i].nr_pending && submit(port, i);
	return busy;
}

/* All of a packet is back. */
static void finish(struct traffic_port *port, unsigned int index)
{
	struct traffic_slot *slot = &port->slots[index];
	struct traffic_entry *entry = &port->entries[slot->sequence % TRAFFIC_ENTRIES];
	const bool stopping = traffic_may_end(port->traffic);

	/* Of one that was sent when its device went, some may not have been returned yet. */
	traffic_require(!slot->sent || !slot->refused || port->traffic->rules.leaves,
			"half of packet %u was sent", slot->sequence);
	port->free_slots[port->nr_free_slots++] = index;
	switch (slot->packet.verdict) {
	case PACKET_GOOD:
		traffic_require(slot->sent || stopping, "packet %u is good and was refused",
				slot->sequence);
		port->sums.unsent += slot->refused;
		return;
	case PACKET_MALFORMED:
		traffic_require(slot->refused, "packet %u is malformed and was sent",
				slot->sequence);
		break;
	case PACKET_ANY:
		traffic_require(!stopping, "packet %u is still in its queue", slot->sequence);
		if (slot->sent) {
			count_packet(port, &slot->packet, 1);
			return;
		}
		break;
	}
	port->sums.refused++;
	traffic_require(!entry->used || entry->sequence != slot->sequence || !entry->arrived,
			"packet %u was refused and arrived", slot->sequence);
	entry->cancelled = true;
}

static void came_back(struct traffic_port *port, unsigned int queue, uint64_t cookie, bool sent)
{
	struct traffic_txq *q = &port->txq[queue];
	const unsigned int index = COOKIE_SLOT(cookie);
	const uint64_t number = COOKIE_NUMBER(cookie) + 1;
	struct traffic_slot *slot;

	traffic_require(index < TRAFFIC_SLOTS,
			"transmit queue %u returns a cookie that it never had", queue);
	slot = &port->slots[index];
	traffic_require(slot->returned < slot->pieces, "a frame of packet %u came back twice",
			slot->sequence);
	traffic_require(number > q->last_sent || !sent, "transmit queue %u: a frame came back late",
			queue);
	traffic_require(number > q->last_refused || sent || traffic_may_end(port->traffic),
			"transmit queue %u: refused in no order", queue);
	*(sent ? &q->last_sent : &q->last_refused) = number;
	slot->sent |= sent;
	slot->refused |= !sent;
	if (!sent)
		*(slot->packet.verdict == PACKET_GOOD ? &port->sums.unsent_frames
						      : &port->sums.refused_frames) += 1;
	port->tx_outstanding--;
	if (++slot->returned == slot->pieces)
		finish(port, index);
}

bool traffic_finish_sending(struct traffic_port *port)
{
	uint64_t cookies[TRAFFIC_BURST];
	bool busy = false;

	for (unsigned int i = 0; i < port->info.tx_queues; i++) {
		unsigned int max = 1 + rng_below(&port->traffic->rng, TRAFFIC_BURST), unsent;
		int n = weir_nic_tx_done(weir_nic_txq(port->nic, i), cookies, max, &unsent);

		traffic_require(n <= (int)max && (n < 0 || unsent <= (unsigned int)n),
				"transmit queue %u returns %d cookies of %u, %u unsent", i, n, max,
				unsent);
		traffic_require(n >= 0 || n == -ENODEV, "transmit queue %u says %d", i, n);
		for (int k = 0; k < n; k++)
			came_back(port, i, cookies[k], k < n - (int)unsent);
		busy |= n > 0;
	}
	return busy;
}
