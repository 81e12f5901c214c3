/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of all lengths, in bursts and one at a time, in one frame and several. */
#include <string.h>

#include "net_test.h"

static struct net_packet packet;

static void check_packet(struct net_test *t, uint32_t bytes, uint64_t seed)
{
	static uint8_t expected[16384];

	net_test_fill(t, expected, bytes, seed);
	net_test_receive(t, 0, &packet);
	/* short ones are padded to what Ethernet asks for */
	assert_int_equal(packet.bytes, bytes < 60 ? 60 : bytes);
	assert_memory_equal(packet.data, expected, bytes);
	for (uint32_t i = bytes; i < packet.bytes; i++)
		assert_int_equal(packet.data[i], 0);
}

static void send_one(struct net_test *t, uint32_t bytes, uint64_t seed)
{
	struct weir_frame frame = net_test_tx_frame(t, &t->port[0], (unsigned int)seed, bytes);

	net_test_fill(t, net_test_tx_memory(&t->port[0], (unsigned int)seed), bytes, seed);
	net_test_send(t, 0, &frame, 1);
}

static void packets_of_all_lengths_arrive(void **state)
{
	struct net_test *t = *state;

	net_test_start(t, NULL);
	for (uint32_t bytes = 17; bytes <= 1514; bytes += bytes < 70 || bytes > 1500 ? 1 : 61) {
		send_one(t, bytes, bytes);
		check_packet(t, bytes, bytes);
	}
	net_test_stop(t);
}

/* More packets than the rings have entries, in bursts, in order. */
static void bursts_arrive_in_order(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	struct weir_frame frames[NET_TEST_BURST];

	config.rx_entries = 64;
	config.tx_entries = 48;
	net_test_start(t, &config);
	for (unsigned int turn = 0, seed = 0; turn < 40; turn++) {
		unsigned int n = 1 + turn % NET_TEST_BURST, first = seed;

		for (unsigned int i = 0; i < n; i++, seed++) {
			frames[i] = net_test_tx_frame(t, &t->port[0], seed, 60 + seed % 1000);
			net_test_fill(t, net_test_tx_memory(&t->port[0], seed), 60 + seed % 1000,
				      seed);
		}
		net_test_send(t, 0, frames, n);
		for (unsigned int i = first; i < seed; i++)
			check_packet(t, 60 + i % 1000, i);
	}
	net_test_stop(t);
}

/* Packets larger than a frame for receiving, and packets that are sent from several frames. */
static void long_packets_arrive(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	const uint32_t lengths[] = { 2047, 2048, 2049, 4096, 6000, 9000, 9018 };
	struct weir_frame frames[9];

	config.mtu = 9000;
	net_test_start(t, &config);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const uint32_t bytes = lengths[i];

		send_one(t, bytes, i);
		check_packet(t, bytes, i);
		assert_int_equal(packet.frames, (bytes + 2047) / 2048);

		/* the same from pieces of all sizes */
		net_test_fill(t, net_test_tx_memory(&t->port[0], 0), bytes, 100 + i);
		for (uint32_t at = 0, n = 0; at < bytes; n++) {
			const uint32_t left = bytes - at;
			uint32_t piece = n == 8 || left < 20 ? left : n % 2 ? left / 2 : 1 + n;

			frames[n] = net_test_tx_frame(t, &t->port[0], 0, piece);
			frames[n].iova += at;
			frames[n].flags = piece < left ? WEIR_FRAME_MORE : 0;
			at += piece;
			if (at == bytes)
				net_test_send(t, 0, frames, n + 1);
		}
		check_packet(t, bytes, 100 + i);
	}
	net_test_stop(t);
}

/* What the device counts is what was sent, over a reset too. */
static void counters_add_up(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_stats before[2], after[2];
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(weir_nic_stats(t->port[i].nic, &before[i], sizeof(before[i])), 0);
	for (unsigned int turn = 0; turn < 2; turn++) {
		net_test_start(t, NULL);
		for (unsigned int i = 0; i < 10; i++) {
			send_one(t, 100 + i, i);
			check_packet(t, 100 + i, i);
			bytes += 100 + i + 4;
		}
		net_test_stop(t);
	}
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(weir_nic_stats(t->port[i].nic, &after[i], sizeof(after[i])), 0);
	assert_int_equal(after[0].tx_packets - before[0].tx_packets, 20);
	assert_int_equal(after[0].tx_bytes - before[0].tx_bytes, bytes);
	assert_int_equal(after[1].rx_packets - before[1].rx_packets, 20);
	assert_int_equal(after[1].rx_bytes - before[1].rx_bytes, bytes);
	assert_int_equal(after[1].rx_missed - before[1].rx_missed, 0);
	assert_int_equal(after[0].rx_packets - before[0].rx_packets, 0);
}

const struct CMUnitTest net_test_traffic[] = {
	cmocka_unit_test(packets_of_all_lengths_arrive),
	cmocka_unit_test(bursts_arrive_in_order),
	cmocka_unit_test(long_packets_arrive),
	cmocka_unit_test(counters_add_up),
	{ 0 },
};
