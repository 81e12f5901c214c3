/* SPDX-License-Identifier: BSD-3-Clause */
#include "p2p_link.h"
#include "clock.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define RING 512u
#define SERVE_NS UINT64_C(20000000)
#define DRAIN_NS UINT64_C(200000000)
#define BUFFER_UNIT 1024u
#define ARENA_BYTES (UINT64_C(2) << 20)

static int start(struct p2p_link *link, bool receives, struct weir_error *err)
{
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	struct port *port = link->port;
	int rc;

	config.rx_entries = config.tx_entries = RING;
	config.mtu = link->payload + P2P_HEADER - P2P_ETHERNET;
	if (config.mtu < 1500)
		config.mtu = 1500;
	config.rx_buffer_bytes = link->rx_room;
	/* The sender is told things and gets no payload: its frames are in host memory. */
	if (receives) {
		config.header_bytes = P2P_HEADER;
		config.rx_device_memory = 1;
	}
	rc = weir_nic_configure(port->nic, &config, err);
	if (!rc)
		rc = weir_nic_start(port->nic, err);
	if (rc)
		return rc;
	weir_nic_info(port->nic, &port->info);
	link->rxq = weir_nic_rxq(port->nic, 0);
	link->txq = weir_nic_txq(port->nic, 0);
	return 0;
}

static int make_headers(struct p2p_link *link, struct weir_error *err)
{
	/* One for receiving is as large as a frame where there is no device memory for it. */
	const uint32_t room = link->port->info.header_bytes ? P2P_HEADER : link->rx_room;

	link->tx_headers = weir_arena_alloc(link->ports.arena, P2P_TX_HEADERS * P2P_HEADER, 0);
	link->rx_headers = weir_arena_alloc(link->ports.arena, (size_t)link->rx_frames * room, 0);
	if (!link->tx_headers || !link->rx_headers)
		return fail(err, -ENOMEM, "no room for headers");
	for (unsigned int i = 0; i < link->rx_frames; i++) {
		int rc = p2p_link_post(link, i, err);

		if (rc)
			return rc;
	}
	return 0;
}

int p2p_link_open(struct p2p_link *link, const char *address, const struct device_memory *memory,
		  uint32_t payload, bool receives, uint64_t link_wait_ms, struct weir_error *err)
{
	char *addresses[] = { (char *)(uintptr_t)address };
	int rc;

	*link = (struct p2p_link){ .payload = payload };
	link->rx_room = (payload + BUFFER_UNIT - 1) / BUFFER_UNIT * BUFFER_UNIT;
	link->rx_frames = P2P_RX_RESERVE;
	if (!receives)
		link->rx_room = 2048;
	else
		link->rx_frames = memory->bytes / link->rx_room < P2P_RX_FRAMES
					  ? (unsigned int)(memory->bytes / link->rx_room)
					  : P2P_RX_FRAMES;
	rc = ports_open(&link->ports, addresses, 1, ARENA_BYTES, err);
	if (rc)
		return rc;
	link->port = &link->ports.port[0];
	rc = device_memory_map(memory, link->ports.ioas,
			       receives ? WEIR_PROT_WRITE : WEIR_PROT_READ, &link->mapping,
			       &link->memory, err);
	if (!rc)
		rc = start(link, receives, err);
	if (!rc)
		rc = make_headers(link, err);
	if (!rc)
		rc = ports_wait_link(&link->ports, link_wait_ms, err);
	if (rc)
		p2p_link_close(link);
	return rc;
}

void p2p_link_close(struct p2p_link *link)
{
	struct weir_frame frames[64];
	uint64_t cookies[64];

	weir_nic_stop(link->port->nic, NULL);
	while (link->rxq && weir_nic_rx(link->rxq, frames, 64) > 0)
		;
	while (link->txq && weir_nic_tx_done(link->txq, cookies, 64, NULL) > 0)
		;
	weir_ioas_unmap(link->ports.ioas, link->mapping, NULL);
	ports_close(&link->ports);
}

bool p2p_link_has_room(const struct p2p_link *link)
{
	return link->tx_busy < P2P_TX_HEADERS;
}

int p2p_link_send(struct p2p_link *link, const struct p2p_frame *frame, uint64_t iova,
		  struct weir_error *err)
{
	unsigned int slot = (link->tx_first + link->tx_busy) % P2P_TX_HEADERS;
	uint8_t *header = link->tx_headers + (size_t)slot * P2P_HEADER;
	const uint32_t payload = iova ? frame->payload : 0;
	struct weir_frame frames[2];
	int taken;

	p2p_frame_write(frame, header);
	frames[0] = (struct weir_frame){
		.iova = weir_arena_ptr_iova(link->ports.arena, header),
		.cookie = slot,
		.len = P2P_HEADER,
		.flags = payload ? WEIR_FRAME_MORE : 0,
	};
	frames[1] = (struct weir_frame){
		.iova = iova,
		.cookie = slot | UINT64_C(1) << 32,
		.len = payload,
		.flags = WEIR_FRAME_DEVICE,
	};
	taken = weir_nic_tx(link->txq, frames, payload ? 2 : 1);
	if (taken <= 0)
		return port_failure(link->port, err);
	link->tx_payload[slot] = payload;
	link->tx_busy++;
	link->sent += payload;
	return 0;
}

/* The last frame of a packet is back: its header may be used again, and its payload. */
static void sent_one(struct p2p_link *link, uint64_t cookie)
{
	unsigned int slot = (uint32_t)cookie;

	if (link->tx_payload[slot] && !(cookie >> 32))
		return;
	link->left += link->tx_payload[slot];
	link->tx_first = (link->tx_first + 1) % P2P_TX_HEADERS;
	link->tx_busy--;
}

int p2p_link_serve(struct p2p_link *link, struct weir_error *err)
{
	uint64_t cookies[64], now = clock_ns(CLOCK_MONOTONIC_COARSE);
	unsigned int unsent = 0;
	int n = weir_nic_tx_done(link->txq, cookies, 64, &unsent);

	if (n < 0)
		return port_failure(link->port, err);
	if (unsent)
		return fail(err, -EIO, "%s did not send %u frames", link->port->address, unsent);
	for (int i = 0; i < n; i++)
		sent_one(link, cookies[i]);
	if (now - link->served_ns < SERVE_NS)
		return 0;
	link->served_ns = now;
	return port_events(link->port, err) ?: device_memory_check(link->mapping, err);
}

int p2p_link_post(struct p2p_link *link, unsigned int slot, struct weir_error *err)
{
	const bool split = link->port->info.header_bytes;
	uint8_t *header = link->rx_headers + (size_t)slot * (split ? P2P_HEADER : link->rx_room);
	struct weir_frame frames[2] = {
		{ .iova = weir_arena_ptr_iova(link->ports.arena, header),
		  .cookie = slot,
		  .len = split ? P2P_HEADER : link->rx_room,
		  .flags = split ? WEIR_FRAME_HEADER | WEIR_FRAME_MORE : 0 },
		{ .iova = link->memory + (uint64_t)slot * link->rx_room,
		  .cookie = slot,
		  .len = link->rx_room },
	};

	if (weir_nic_rx_post(link->rxq, frames, split ? 2 : 1) <= 0)
		return port_failure(link->port, err);
	return 0;
}

/* One packet as its frames tell. false: it is none of ours, or damaged. */
static bool understand(struct p2p_link *link, const struct weir_frame *frames, bool whole,
		       struct p2p_received *received)
{
	const bool split = link->port->info.header_bytes;
	const struct weir_frame *last = &frames[split ? 1 : 0];
	const uint8_t *header = link->rx_headers +
				(size_t)frames[0].cookie * (split ? P2P_HEADER : link->rx_room);

	received->slot = (unsigned int)frames[0].cookie;
	received->payload = split ? last->len : 0;
	if (!whole || last->flags & (WEIR_FRAME_ERROR | WEIR_FRAME_UNUSED | WEIR_FRAME_MORE))
		return false;
	return p2p_frame_read(header, frames[0].len, &received->frame);
}

int p2p_link_receive(struct p2p_link *link, struct p2p_received *received, struct weir_error *err)
{
	const unsigned int each = link->port->info.header_bytes ? 2 : 1;
	struct weir_frame frames[2];
	int n, rc;

	for (;;) {
		n = weir_nic_rx(link->rxq, frames, each);
		if (n < 0)
			return port_failure(link->port, err);
		if (!n)
			return 0;
		if (understand(link, frames, !link->in_packet, received))
			return 1;
		/* A packet of several frames is too long to be one of this protocol's. */
		link->in_packet = frames[each - 1].flags & WEIR_FRAME_MORE;
		rc = p2p_link_post(link, received->slot, err);
		if (rc)
			return rc;
	}
}

/* Takes back what was sent until no more than so much is on its way, for a while. */
static bool drain(struct p2p_link *link, unsigned int busy)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	while (link->tx_busy > busy) {
		if (p2p_link_serve(link, NULL) || clock_ns(CLOCK_MONOTONIC) - start > DRAIN_NS)
			return false;
		sched_yield();
	}
	return true;
}

void p2p_link_say(struct p2p_link *link, const struct p2p_frame *frame)
{
	if (drain(link, P2P_TX_HEADERS - 1) && !p2p_link_send(link, frame, 0, NULL))
		drain(link, 0);
}

void p2p_link_fail(struct p2p_link *link, const struct weir_error *why)
{
	struct p2p_frame frame = { .kind = P2P_FAILED, .stream = link->stream };

	if (!link->stream)
		return; /* there is no peer */
	memcpy(frame.to, link->peer, 6);
	memcpy(frame.from, link->port->info.mac, 6);
	snprintf(frame.text, sizeof(frame.text), "%s", why->text);
	p2p_link_say(link, &frame);
}
