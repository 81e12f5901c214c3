/* SPDX-License-Identifier: BSD-3-Clause */
#include "net_test.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_BYTES (32u << 20)
#define LINK_SECONDS 30
#define SLOTS 512u
#define SLOT_BYTES 16384u

uint64_t net_test_deadline(void)
{
	return (uint64_t)time(NULL) + 30;
}

bool net_test_is_over(uint64_t deadline)
{
	return (uint64_t)time(NULL) > deadline;
}

static int open_port(struct net_test *t, struct net_port *port)
{
	struct weir_device_options device = WEIR_DEVICE_OPTIONS_INIT;
	struct weir_nic_options options = WEIR_NIC_OPTIONS_INIT;
	struct weir_error err;

	device.transport = t->transport;
	options.interrupts = t->interrupts;
	if (weir_device_open(port->address, t->ioas, &device, &port->dev, &err) ||
	    weir_nic_create(port->dev, t->arena, &options, &port->nic, &err)) {
		fprintf(stderr, "%s: %s\n", port->address, err.text);
		return -1;
	}
	weir_nic_info(port->nic, &port->info);
	port->slots = SLOTS;
	port->slot = SLOT_BYTES;
	port->tx = weir_arena_alloc(t->arena, 256 * SLOT_BYTES, 0);
	port->rx = weir_arena_alloc(t->arena, SLOTS * SLOT_BYTES, 0);
	port->header = weir_arena_alloc(t->arena, SLOTS * 1024, 0);
	port->posted = port->sent = port->done = 0;
	return port->tx && port->rx && port->header ? 0 : -1;
}

static void close_ports(struct net_test *t)
{
	for (unsigned int i = 0; i < 2; i++) {
		weir_nic_close(t->port[i].nic);
		weir_device_close(t->port[i].dev);
	}
	weir_ioas_unmap(t->ioas, t->mapping, NULL);
	weir_ioas_destroy(t->ioas);
	weir_arena_destroy(t->arena);
}

static int open_ports(struct net_test *t)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_error err;

	options.bytes = ARENA_BYTES;
	options.iova_delta = t->delta;
	if (weir_arena_create(&options, &t->arena, &err) ||
	    weir_ioas_create(NULL, &t->ioas, &err) ||
	    weir_ioas_map_arena(t->ioas, t->arena, &t->mapping, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return -1;
	}
	return open_port(t, &t->port[0]) || open_port(t, &t->port[1]) ? -1 : 0;
}

int net_test_open(struct net_test *t)
{
	/* Once for what the C library keeps. */
	if (open_ports(t))
		return -1;
	close_ports(t);
	resources_look(&t->before);
	return open_ports(t);
}

int net_test_close(struct net_test *t)
{
	close_ports(t);
	resources_look(&t->after);
	/* Threads were run meanwhile: their stacks and heaps are kept. */
	t->after.private_kib = t->before.private_kib;
	return resources_same(&t->before, &t->after) ? 0 : -1;
}

void net_test_idle(void)
{
	sched_yield(); /* the devices may need this core */
}

static void wait_for_link(struct net_port *port)
{
	uint64_t deadline = (uint64_t)time(NULL) + LINK_SECONDS;
	struct weir_nic_link link;
	struct weir_error err;

	for (;;) {
		if (weir_nic_link(port->nic, &link, &err))
			fail_msg("%s", err.text);
		if (link.up)
			break;
		if (net_test_is_over(deadline))
			fail_msg("%s: no link", port->address);
		net_test_idle();
	}
	assert_int_equal(link.speed_mbps, 1000);
	assert_int_equal(link.full_duplex, 1);
}

void net_test_start(struct net_test *t, const struct weir_nic_config *config)
{
	struct weir_error err;

	for (unsigned int i = 0; i < 2; i++) {
		struct net_port *port = &t->port[i];

		if (weir_nic_configure(port->nic, config, &err) || weir_nic_start(port->nic, &err))
			fail_msg("%s", err.text);
		weir_nic_info(port->nic, &port->info);
	}
	for (unsigned int i = 0; i < t->port[1].info.rx_queues; i++)
		net_test_post(t, &t->port[1], i);
	wait_for_link(&t->port[0]);
	wait_for_link(&t->port[1]);
}

static void take_back(struct net_port *port)
{
	struct weir_frame frames[NET_TEST_BURST];
	uint64_t cookies[NET_TEST_BURST];

	for (unsigned int i = 0; i < port->info.rx_queues; i++) {
		while (weir_nic_rx(weir_nic_rxq(port->nic, i), frames, NET_TEST_BURST) > 0)
			;
	}
	for (unsigned int i = 0; i < port->info.tx_queues; i++) {
		while (weir_nic_tx_done(weir_nic_txq(port->nic, i), cookies, NET_TEST_BURST, NULL) >
		       0)
			;
	}
}

void net_test_stop(struct net_test *t)
{
	struct weir_error err;

	for (unsigned int i = 0; i < 2; i++) {
		if (weir_nic_stop(t->port[i].nic, &err))
			fail_msg("%s", err.text);
		take_back(&t->port[i]);
	}
}

int net_test_put_right(void **state)
{
	struct net_test *t = *state;
	struct weir_error err;

	for (unsigned int i = 0; i < 2; i++) {
		struct net_port *port = &t->port[i];

		if (weir_nic_stop(port->nic, &err)) {
			fprintf(stderr, "%s: %s\n", port->address, err.text);
			return -1;
		}
		/* as that test configured it */
		weir_nic_info(port->nic, &port->info);
		take_back(port);
	}
	return 0;
}

static struct weir_frame rx_frame(const struct net_test *t, const struct net_port *port, uint64_t n,
				  bool header)
{
	const uint8_t *memory = header ? port->header + n % port->slots * 1024
				       : port->rx + n % port->slots * port->slot;

	return (struct weir_frame){ .iova = weir_arena_ptr_iova(t->arena, memory),
				    .cookie = n,
				    .len = header ? port->info.header_bytes
						  : port->info.rx_buffer_bytes,
				    .flags = header ? WEIR_FRAME_HEADER | WEIR_FRAME_MORE : 0 };
}

void net_test_post(struct net_test *t, struct net_port *port, unsigned int queue)
{
	struct weir_nic_rxq *rxq = weir_nic_rxq(port->nic, queue);
	unsigned int room = weir_nic_rx_room(rxq);
	struct weir_frame frames[2];

	for (unsigned int i = 0; i < room; i++) {
		unsigned int n = 0;

		if (port->info.header_bytes)
			frames[n++] = rx_frame(t, port, port->posted, true);
		frames[n++] = rx_frame(t, port, port->posted++, false);
		assert_int_equal(weir_nic_rx_post(rxq, frames, n), n);
	}
}

uint8_t *net_test_tx_memory(struct net_port *port, unsigned int n)
{
	return port->tx + n % 256 * port->slot;
}

struct weir_frame net_test_tx_frame(const struct net_test *t, struct net_port *port, unsigned int n,
				    uint32_t bytes)
{
	return (struct weir_frame){
		.iova = weir_arena_ptr_iova(t->arena, net_test_tx_memory(port, n)),
		.cookie = port->sent++,
		.len = bytes,
	};
}

static uint64_t next_word(uint64_t *at)
{
	uint64_t word = *at += UINT64_C(0x9e3779b97f4a7c15);

	word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return word ^ word >> 27;
}

static void ethernet(const struct net_test *t, uint8_t *data, uint16_t type)
{
	memcpy(data, t->port[1].info.mac, 6);
	memcpy(data + 6, t->port[0].info.mac, 6);
	data[12] = (uint8_t)(type >> 8);
	data[13] = (uint8_t)type;
}

void net_test_fill(const struct net_test *t, uint8_t *data, uint32_t bytes, uint64_t seed)
{
	uint64_t at = seed * UINT64_C(0xd1342543de82ef95);

	for (uint32_t done = 0; done < bytes; done += 8) {
		uint64_t word = next_word(&at);

		memcpy(data + done, &word, bytes - done < 8 ? bytes - done : 8);
	}
	ethernet(t, data, 0x88b5); /* local experiments */
}

uint32_t net_test_sum(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

uint16_t net_test_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The header of UDP or TCP at `l4`, of a packet that ends at `end`. The sum is that of the pseudo
 * header. */
static void layer4(uint8_t *l4, const uint8_t *end, bool tcp, uint16_t flow, uint32_t pseudo,
		   bool partial)
{
	uint8_t *checksum = l4 + (tcp ? 16 : 6);
	const uint32_t bytes = (uint32_t)(end - l4);
	uint16_t value;

	put16(l4, (uint16_t)(10000 + flow));
	put16(l4 + 2, 7);
	if (tcp) {
		memset(l4 + 4, 0, 16);
		put16(l4 + 6, 1000);
		l4[12] = NET_TCP / 4 << 4;
		l4[13] = 0x18; /* ACK, PSH */
	} else {
		put16(l4 + 4, (uint16_t)bytes);
	}
	put16(checksum, 0);
	value = partial ? net_test_fold(pseudo)
			: (uint16_t)~net_test_fold(net_test_sum(pseudo, l4, bytes));
	put16(checksum, value || tcp || partial ? value : 0xffff);
}

uint32_t net_test_headers4(const struct net_test *t, uint8_t *data, uint32_t bytes, bool tcp,
			   uint16_t flow, bool partial)
{
	uint8_t *ip = data + NET_ETH;
	uint8_t protocol[2] = { 0, tcp ? 6 : 17 };
	uint16_t length = (uint16_t)(bytes - NET_ETH - NET_IP4);
	uint32_t pseudo;

	ethernet(t, data, 0x0800);
	memset(ip, 0, NET_IP4);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(bytes - NET_ETH));
	ip[8] = 64;
	ip[9] = protocol[1];
	memcpy(ip + 12, (const uint8_t[]){ 192, 0, 2, 1, 192, 0, 2, 2 }, 8);
	if (!partial)
		put16(ip + 10, (uint16_t)~net_test_fold(net_test_sum(0, ip, NET_IP4)));
	pseudo = net_test_sum(net_test_sum(length, ip + 12, 8), protocol, 2);
	layer4(ip + NET_IP4, data + bytes, tcp, flow, pseudo, partial);
	return NET_ETH + NET_IP4 + (tcp ? NET_TCP : NET_UDP);
}

uint32_t net_test_headers6(const struct net_test *t, uint8_t *data, uint32_t bytes, bool tcp,
			   uint16_t flow, bool partial)
{
	uint8_t *ip = data + NET_ETH;
	uint8_t protocol[2] = { 0, tcp ? 6 : 17 };
	uint16_t length = (uint16_t)(bytes - NET_ETH - NET_IP6);
	uint32_t pseudo;

	ethernet(t, data, 0x86dd);
	memset(ip, 0, NET_IP6);
	ip[0] = 0x60;
	put16(ip + 4, length);
	ip[6] = protocol[1];
	ip[7] = 64;
	put16(ip + 8, 0x2001), put16(ip + 10, 0xdb8), put16(ip + 22, 1);
	put16(ip + 24, 0x2001), put16(ip + 26, 0xdb8), put16(ip + 38, 2);
	pseudo = net_test_sum(net_test_sum(length, ip + 8, 32), protocol, 2);
	layer4(ip + NET_IP6, data + bytes, tcp, flow, pseudo, partial);
	return NET_ETH + NET_IP6 + (tcp ? NET_TCP : NET_UDP);
}

bool net_test_checksums_right(const uint8_t *data, uint32_t bytes)
{
	const uint8_t *ip = data + NET_ETH;
	bool v4 = data[12] == 0x08;
	uint32_t length = v4 ? (uint32_t)(ip[2] << 8 | ip[3]) - NET_IP4
			     : (uint32_t)(ip[4] << 8 | ip[5]);
	uint8_t protocol[2] = { 0, v4 ? ip[9] : ip[6] };
	uint32_t pseudo = v4 ? net_test_sum(length, ip + 12, 8) : net_test_sum(length, ip + 8, 32);
	const uint8_t *l4 = ip + (v4 ? NET_IP4 : NET_IP6);

	if (l4 + length > data + bytes)
		return false;
	if (v4 && net_test_fold(net_test_sum(0, ip, NET_IP4)) != 0xffff)
		return false;
	pseudo = net_test_sum(pseudo, protocol, 2);
	return net_test_fold(net_test_sum(pseudo, l4, length)) == 0xffff;
}

void net_test_send(struct net_test *t, unsigned int queue, const struct weir_frame *frames,
		   unsigned int n)
{
	struct weir_nic_txq *txq = weir_nic_txq(t->port[0].nic, queue);
	uint64_t cookies[NET_TEST_BURST], deadline = net_test_deadline();
	unsigned int taken = 0, done = 0, unsent;
	int rc;

	while (done < n) {
		if (taken < n) {
			rc = weir_nic_tx(txq, frames + taken, n - taken);
			assert_true(rc >= 0);
			taken += (unsigned int)rc;
		}
		rc = weir_nic_tx_done(txq, cookies, NET_TEST_BURST, &unsent);
		assert_true(rc >= 0);
		assert_int_equal(unsent, 0);
		for (int i = 0; i < rc; i++)
			assert_int_equal(cookies[i], frames[done++].cookie);
		if (!rc)
			net_test_idle();
		if (net_test_is_over(deadline))
			fail_msg("%u of %u frames were sent in time", done, n);
	}
}

static void add_frame(const struct net_test *t, struct net_packet *packet,
		      const struct weir_frame *frame)
{
	const struct net_port *port = &t->port[1];
	const bool header = frame->flags & WEIR_FRAME_HEADER;
	const uint8_t *memory = header ? port->header + frame->cookie % port->slots * 1024
				       : port->rx + frame->cookie % port->slots * port->slot;

	assert_int_equal(frame->iova, weir_arena_ptr_iova(t->arena, memory));
	assert_int_equal(frame->flags & WEIR_FRAME_UNUSED, 0);
	assert_in_range(frame->len, 0,
			header ? port->info.header_bytes : port->info.rx_buffer_bytes);
	assert_in_range(packet->bytes + frame->len, 0, sizeof(packet->data));
	memcpy(packet->data + packet->bytes, memory, frame->len);
	packet->bytes += frame->len;
	packet->header_bytes += header ? frame->len : 0;
	packet->frames++;
	packet->last = *frame;
}

void net_test_receive(struct net_test *t, unsigned int queue, struct net_packet *packet)
{
	struct weir_nic_rxq *rxq = weir_nic_rxq(t->port[1].nic, queue);
	const unsigned int each = t->port[1].info.header_bytes ? 2 : 1;
	uint64_t deadline = net_test_deadline();
	struct weir_frame frames[2];

	packet->bytes = packet->header_bytes = packet->frames = 0;
	do {
		int n = weir_nic_rx(rxq, frames, each);

		assert_true(n >= 0);
		for (int i = 0; i < n; i++)
			add_frame(t, packet, &frames[i]);
		if (!n)
			net_test_idle();
		if (net_test_is_over(deadline))
			fail_msg("no packet on queue %u in time", queue);
	} while (!packet->frames || (packet->last.flags & WEIR_FRAME_MORE));
	net_test_post(t, &t->port[1], queue);
}

bool net_test_quiet(struct net_test *t, unsigned int queue)
{
	struct weir_nic_rxq *rxq = weir_nic_rxq(t->port[1].nic, queue);
	struct weir_frame frames[2];

	for (unsigned int i = 0; i < 200; i++) {
		if (weir_nic_rx(rxq, frames, 2))
			return false;
		net_test_idle();
	}
	return true;
}
