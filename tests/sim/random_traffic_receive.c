/* SPDX-License-Identifier: BSD-3-Clause */
/* Posting buffers, and checking what comes in them. */
#include <errno.h>
#include <string.h>

#include "random_traffic.h"

#define GUARD 64u
#define GUARD_BYTE 0xa7

/* One for receiving: the frame's number in its queue, its buffer, whether it is for headers. */
#define RX_COOKIE(number, buffer, header) ((number) << 16 | (uint64_t)(buffer) << 1 | (header))
#define RX_NUMBER(cookie) ((cookie) >> 16)
#define RX_BUFFER(cookie) ((cookie) >> 1 & 0x7fff)
#define RX_IS_HEADER(cookie) ((cookie)&1)

/* Frames for receiving at any alignment, each with a guard behind its room. */
void traffic_lay_out(struct traffic_port *port)
{
	struct rng *rng = &port->traffic->rng;
	const uint32_t room = port->info.rx_buffer_bytes, stride = room + 2 * GUARD;

	port->nr_buffers = TRAFFIC_RX_BYTES / stride < TRAFFIC_BUFFERS ? TRAFFIC_RX_BYTES / stride
								       : TRAFFIC_BUFFERS;
	port->nr_free_buffers = 0;
	memset(port->rx_memory, GUARD_BYTE, TRAFFIC_RX_BYTES);
	memset(port->headers, GUARD_BYTE, TRAFFIC_BUFFERS * TRAFFIC_HEADER_ROOM);
	for (unsigned int i = 0; i < port->nr_buffers; i++) {
		struct traffic_buffer *buffer = &port->buffers[i];

		*buffer = (struct traffic_buffer){
			.data = port->rx_memory + (size_t)i * stride + rng_below(rng, GUARD),
			.header = port->headers + (size_t)i * TRAFFIC_HEADER_ROOM +
				  2 * rng_below(rng, GUARD / 2),
		};
		port->free_buffers[port->nr_free_buffers++] = i;
	}
	port->per_queue = port->nr_buffers / port->info.rx_queues;
}

static bool post(struct traffic_port *port, unsigned int index)
{
	struct weir_nic_rxq *rxq = weir_nic_rxq(port->nic, index);
	struct traffic_rxq *q = &port->rxq[index];
	const bool split = port->info.header_bytes;
	unsigned int room = weir_nic_rx_room(rxq);
	unsigned int mine = port->config.rx_entries - 1 - room, n = 0;
	struct weir_frame frames[2 * TRAFFIC_BURST];
	int rc;

	if (mine >= port->per_queue)
		return false;
	if (room > port->per_queue - mine)
		room = port->per_queue - mine;
	room = room > TRAFFIC_BURST ? TRAFFIC_BURST : room;
	for (; room && port->nr_free_buffers; room--) {
		unsigned int b = port->free_buffers[--port->nr_free_buffers];
		struct traffic_buffer *buffer = &port->buffers[b];

		buffer->taken = true;
		if (split)
			frames[n++] = (struct weir_frame){
				.iova = weir_arena_ptr_iova(port->traffic->arena, buffer->header),
				.cookie = RX_COOKIE(q->next_posted++, b, 1),
				.len = port->info.header_bytes,
				.flags = WEIR_FRAME_HEADER | WEIR_FRAME_MORE,
			};
		buffer->iova = weir_arena_ptr_iova(port->traffic->arena, buffer->data);
		frames[n++] = (struct weir_frame){
			.iova = buffer->iova,
			.cookie = RX_COOKIE(q->next_posted++, b, 0),
			.len = port->info.rx_buffer_bytes,
		};
	}
	rc = n ? weir_nic_rx_post(rxq, frames, n) : 0;
	if (rc < 0)
		traffic_require(rc == -ENODEV || rc == -EIO, "receive queue %u says %d", index, rc);
	else
		traffic_require(rc == (int)n || (!rc && port->traffic->stopping),
				"receive queue %u took %d frames of %u", index, rc, n);
	if (rc > 0) {
		port->rx_outstanding += n;
		return true;
	}
	for (; n; n -= split ? 2 : 1) {
		unsigned int b = RX_BUFFER(frames[n - 1].cookie);

		port->buffers[b].taken = false;
		port->free_buffers[port->nr_free_buffers++] = b;
		q->next_posted -= split ? 2 : 1;
	}
	return false;
}

static void check_guard(const uint8_t *data, uint32_t room, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		traffic_require(data[room + i] == GUARD_BYTE,
				"something was written behind a buffer");
}

/* Finds the packet that a received one was, and whether it still is that. */
static void check_packet(struct traffic_port *port, const struct weir_frame *last,
			 const uint8_t *data, uint32_t bytes)
{
	struct traffic_port *sender = traffic_peer(port);
	const struct traffic_rules *rules = &port->traffic->rules;
	uint64_t hash = packet_hash(data, bytes);
	struct traffic_entry *entry;
	uint32_t sequence = 0;
	bool same;

	sender->sums.arrived++;
	if (last->flags & WEIR_FRAME_VLAN)
		hash ^= (1u << 16 | (uint64_t)last->vlan) << 40;
	for (unsigned int i = 0; bytes >= 14 && i < 4; i++)
		sequence |= (uint32_t)data[8 + i] << 8 * i;
	entry = &sender->entries[sequence % TRAFFIC_ENTRIES];
	if (bytes < 14 || !entry->used || entry->sequence != sequence || entry->cancelled ||
	    entry->arrived == entry->expected) {
		traffic_require(
			rules->breaks,
			"a packet came that was not sent: number %u, %u bytes; of number %u "
			"%u of %u have come, cancelled %d",
			sequence, bytes, entry->sequence, entry->arrived, entry->expected,
			entry->cancelled);
		sender->sums.altered++;
		sender->sums.damaged += last->flags & WEIR_FRAME_ERROR ? 1 : 0;
		return;
	}
	entry->arrived++;
	if (entry->exact) {
		unsigned int i = entry->next;

		while (i < entry->expected && entry->hashes[i] != hash)
			i++;
		same = i < entry->expected;
		entry->next = same ? i + 1 : entry->next;
	} else {
		same = bytes >= entry->shortest && bytes <= entry->longest;
	}
	same &= !entry->told || (last->flags & PACKET_TOLD) == entry->rx_flags;
	same &= !(last->flags & WEIR_FRAME_ERROR);
	traffic_require(same || rules->alters || rules->breaks,
			"packet %u is not what was sent: %u bytes, flags %#x, told %#x", sequence,
			bytes, last->flags, entry->told ? entry->rx_flags : 0);
	*(same ? &sender->sums.intact : &sender->sums.altered) += 1;
	sender->sums.damaged += last->flags & WEIR_FRAME_ERROR ? 1 : 0;
}

static void take_frame(struct traffic_port *port, unsigned int index,
		       const struct weir_frame *frame)
{
	struct traffic_rxq *q = &port->rxq[index];
	const unsigned int b = RX_BUFFER(frame->cookie);
	const bool header = RX_IS_HEADER(frame->cookie);
	const uint32_t room = header ? port->info.header_bytes : port->info.rx_buffer_bytes;
	struct traffic_buffer *buffer;
	uint8_t *data;

	traffic_require(b < port->nr_buffers && RX_NUMBER(frame->cookie) == q->next_back,
			"receive queue %u returns frame %llu, not %llu", index,
			(unsigned long long)RX_NUMBER(frame->cookie),
			(unsigned long long)q->next_back);
	q->next_back++;
	buffer = &port->buffers[b];
	data = header ? buffer->header : buffer->data;
	traffic_require(buffer->taken, "buffer %u came back twice", b);
	traffic_require(frame->iova == weir_arena_ptr_iova(port->traffic->arena, data),
			"buffer %u came back with another's address", b);
	traffic_require(frame->len <= room, "a frame of %u bytes in a buffer of %u", frame->len,
			room);
	traffic_require(!!(frame->flags & WEIR_FRAME_HEADER) == header &&
				(!header || frame->flags & WEIR_FRAME_MORE),
			"flags %#x of a frame for %s", frame->flags,
			header ? "headers" : "payload");
	check_guard(data, room, GUARD / 2);
	port->rx_outstanding--;
	if (frame->flags & WEIR_FRAME_UNUSED) {
		traffic_require(!frame->len && traffic_may_end(port->traffic),
				"an unused frame of %u bytes", frame->len);
		port->rx_unused++;
		q->bytes = q->frames = 0;
	} else {
		traffic_require(q->bytes + frame->len <= sizeof(q->packet),
				"a packet of over %u bytes", q->bytes);
		memcpy(q->packet + q->bytes, data, frame->len);
		q->bytes += frame->len;
		q->frames++;
		if (!(frame->flags & WEIR_FRAME_MORE)) {
			check_packet(port, frame, q->packet, q->bytes);
			q->bytes = q->frames = 0;
		}
	}
	if (header)
		return;
	/* What was there is none of the next packet's. */
	memset(data, GUARD_BYTE, frame->len);
	buffer->taken = false;
	port->free_buffers[port->nr_free_buffers++] = b;
}

bool traffic_receive(struct traffic_port *port)
{
	struct rng *rng = &port->traffic->rng;
	struct weir_frame frames[TRAFFIC_BURST];
	bool busy = false;

	for (unsigned int i = 0; i < port->info.rx_queues; i++) {
		unsigned int max = 2 + rng_below(rng, TRAFFIC_BURST - 1);
		int n = weir_nic_rx(weir_nic_rxq(port->nic, i), frames, max);

		traffic_require(n <= (int)max, "receive queue %u returns %d frames of %u", i, n,
				max);
		if (n < 0) {
			struct weir_error why;

			weir_nic_failure(port->nic, &why);
			traffic_require(n == -ENODEV || (n == -EIO && port->traffic->rules.breaks),
					"port %u: receive queue %u says %d: %s", port->index, i, n,
					why.text);
			port->rxq[i].failed = true;
		}
		for (int k = 0; k < n; k++)
			take_frame(port, i, &frames[k]);
		busy |= n > 0;
		if (!port->traffic->stopping && !port->rxq[i].failed &&
		    (!port->traffic->rules.lossy || rng_chance(rng, 100)))
			busy |= post(port, i);
	}
	return busy;
}
