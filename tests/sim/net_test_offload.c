/* SPDX-License-Identifier: BSD-3-Clause */
/* What the device does to packets on their way: checksums, VLAN tags, segments. */
#include <string.h>

#include "net_test.h"

static struct net_packet packet;

/* A packet whose payload is a pattern, and whose headers are for a device that fills them in or,
 * not partial, complete. */
static struct weir_frame make(struct net_test *t, bool v6, bool tcp, uint32_t bytes, bool partial)
{
	struct net_port *port = &t->port[0];
	uint8_t *data = net_test_tx_memory(port, 0);
	struct weir_frame frame = net_test_tx_frame(t, port, 0, bytes);

	net_test_fill(t, data, bytes, bytes);
	if (v6)
		net_test_headers6(t, data, bytes, tcp, 3, partial);
	else
		net_test_headers4(t, data, bytes, tcp, 3, partial);
	frame.flags = (v6 ? WEIR_FRAME_IP6 : WEIR_FRAME_IP4) |
		      (tcp ? WEIR_FRAME_TCP : WEIR_FRAME_UDP);
	frame.headers = (struct weir_frame_headers){ .l2_len = NET_ETH,
						     .l3_len = v6 ? NET_IP6 : NET_IP4,
						     .l4_len = tcp ? NET_TCP : NET_UDP };
	return frame;
}

static void checksums_are_filled_in_and_checked(void **state)
{
	struct net_test *t = *state;
	const uint32_t checked = WEIR_FRAME_L4_CHECKED | WEIR_FRAME_L4_BAD | WEIR_FRAME_IP_BAD;

	net_test_start(t, NULL);
	for (unsigned int kind = 0; kind < 8; kind++) {
		const bool v6 = kind & 1, tcp = kind & 2, whole = kind & 4;
		/* an odd number of bytes, and an even one */
		struct weir_frame frame = make(t, v6, tcp, whole ? 512 : 333, true);
		const uint32_t types = frame.flags;

		frame.flags |= WEIR_FRAME_L4_CSUM | (v6 ? 0 : WEIR_FRAME_IP_CSUM);
		net_test_send(t, 0, &frame, 1);
		net_test_receive(t, 0, &packet);
		assert_int_equal(packet.bytes, frame.len);
		assert_true(net_test_checksums_right(packet.data, packet.bytes));
		assert_int_equal(packet.last.flags & types, types);
		assert_int_equal(packet.last.flags & checked, WEIR_FRAME_L4_CHECKED);
		assert_int_equal(!!(packet.last.flags & WEIR_FRAME_IP_CHECKED), !v6);
	}
	net_test_stop(t);
}

static void wrong_checksums_are_told(void **state)
{
	struct net_test *t = *state;
	struct weir_frame frame;

	net_test_start(t, NULL);
	for (unsigned int kind = 0; kind < 4; kind++) {
		const bool tcp = kind & 1, v6 = kind & 2;

		frame = make(t, v6, tcp, 200, false);
		frame.flags = 0;
		net_test_send(t, 0, &frame, 1);
		net_test_receive(t, 0, &packet);
		assert_int_equal(packet.last.flags & (WEIR_FRAME_L4_BAD | WEIR_FRAME_IP_BAD), 0);

		net_test_tx_memory(&t->port[0], 0)[150] ^= 1;
		frame.cookie = t->port[0].sent++;
		net_test_send(t, 0, &frame, 1);
		net_test_receive(t, 0, &packet);
		assert_int_equal(packet.last.flags & (WEIR_FRAME_L4_BAD | WEIR_FRAME_IP_BAD),
				 WEIR_FRAME_L4_BAD);
		if (v6)
			continue;
		frame = make(t, false, tcp, 200, false);
		frame.flags = 0;
		net_test_tx_memory(&t->port[0], 0)[NET_ETH + 8] ^= 1;
		net_test_send(t, 0, &frame, 1);
		net_test_receive(t, 0, &packet);
		assert_int_equal(packet.last.flags & (WEIR_FRAME_L4_BAD | WEIR_FRAME_IP_BAD),
				 WEIR_FRAME_IP_BAD);
	}
	net_test_stop(t);
}

static void tags_are_put_in_and_taken_off(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	uint8_t *data = net_test_tx_memory(&t->port[0], 0);
	struct weir_frame frames[3];

	for (unsigned int strip = 0; strip < 2; strip++) {
		config.vlan_strip = (uint8_t)strip;
		net_test_start(t, &config);
		/* two tags, and none */
		net_test_fill(t, data, 300, 5);
		for (unsigned int i = 0; i < 3; i++) {
			frames[i] = net_test_tx_frame(t, &t->port[0], 0, 300);
			frames[i].flags = i < 2 ? WEIR_FRAME_VLAN : 0;
			frames[i].vlan = i ? 0xefff : 0x0123;
		}
		net_test_send(t, 0, frames, 3);
		for (unsigned int i = 0; i < 3; i++) {
			const bool tagged = i < 2 && !strip;

			net_test_receive(t, 0, &packet);
			assert_int_equal(packet.bytes, tagged ? 304 : 300);
			assert_memory_equal(packet.data, data, 12);
			assert_memory_equal(packet.data + (tagged ? 16 : 12), data + 12, 288);
			assert_int_equal(!!(packet.last.flags & WEIR_FRAME_VLAN), i < 2 && strip);
			if (i < 2 && strip)
				assert_int_equal(packet.last.vlan, frames[i].vlan);
			if (tagged) {
				assert_int_equal(packet.data[12] << 8 | packet.data[13], 0x8100);
				assert_int_equal(packet.data[14] << 8 | packet.data[15],
						 frames[i].vlan);
			}
		}
		net_test_stop(t);
	}
}

/* The segments of a packet, put together again, are its payload; their headers are those of packets
 * of their own. */
static void packets_are_cut(void **state)
{
	struct net_test *t = *state;
	static const struct {
		bool v6;
		uint32_t payload, mss, pieces;
	} cases[] = {
		{ false, 5000, 1000, 1 }, { false, 4999, 1448, 3 }, { true, 5000, 1428, 2 },
		{ false, 300, 1000, 1 },  { true, 16000, 512, 4 },  { false, 12, 5, 1 },
	};
	uint8_t *data = net_test_tx_memory(&t->port[0], 0);
	struct weir_frame frames[4];

	net_test_start(t, NULL);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const uint32_t ip = cases[i].v6 ? NET_IP6 : NET_IP4;
		const uint32_t headers = NET_ETH + ip + NET_TCP;
		const uint32_t bytes = headers + cases[i].payload;
		uint32_t got = 0;

		frames[0] = make(t, cases[i].v6, true, bytes, true);
		/* the pseudo header's sum is that of no length */
		{
			uint8_t *l4 = data + NET_ETH + ip, none[2] = { 0, 6 };
			uint32_t sum = cases[i].v6 ? net_test_sum(0, data + NET_ETH + 8, 32)
						   : net_test_sum(0, data + NET_ETH + 12, 8);
			uint16_t pseudo = net_test_fold(net_test_sum(sum, none, 2));

			l4[16] = (uint8_t)(pseudo >> 8);
			l4[17] = (uint8_t)pseudo;
			if (!cases[i].v6)
				data[NET_ETH + 2] = data[NET_ETH + 3] = 0;
		}
		frames[0].flags |= WEIR_FRAME_TSO;
		frames[0].mss = (uint16_t)cases[i].mss;
		for (uint32_t k = 1, at = 0; k < cases[i].pieces; k++) {
			const uint32_t piece = k == 1 ? headers : 700;

			frames[k] = frames[k - 1];
			frames[k - 1].len = piece;
			frames[k - 1].flags |= WEIR_FRAME_MORE;
			at += piece;
			frames[k].iova += piece;
			frames[k].len = bytes - at;
			frames[k].flags = 0;
			frames[k].cookie = t->port[0].sent++;
		}
		net_test_send(t, 0, frames, cases[i].pieces);
		while (got < cases[i].payload) {
			const uint8_t *l4 = packet.data + NET_ETH + ip;
			uint32_t left = cases[i].payload - got, length;
			const bool last = left <= cases[i].mss;

			net_test_receive(t, 0, &packet);
			length = cases[i].v6 ? (uint32_t)(packet.data[NET_ETH + 4] << 8 |
							  packet.data[NET_ETH + 5]) -
						       NET_TCP
					     : (uint32_t)(packet.data[NET_ETH + 2] << 8 |
							  packet.data[NET_ETH + 3]) -
						       NET_IP4 - NET_TCP;
			assert_int_equal(length, last ? left : cases[i].mss);
			assert_true(packet.bytes == headers + length || packet.bytes == 60);
			assert_true(net_test_checksums_right(packet.data, packet.bytes));
			assert_int_equal((uint32_t)l4[4] << 24 | (uint32_t)l4[5] << 16 |
						 (uint32_t)l4[6] << 8 | l4[7],
					 1000 + got);
			/* PSH is the last one's; QEMU's controller takes it from that, too. */
			if (last && !t->is_sim)
				assert_int_equal(l4[13] & ~0x08, 0x10);
			else
				assert_int_equal(l4[13], last ? 0x18 : 0x10);
			assert_memory_equal(packet.data + headers, data + headers + got, length);
			got += length;
		}
	}
	net_test_stop(t);
}

const struct CMUnitTest net_test_offload[] = {
	cmocka_unit_test(checksums_are_filled_in_and_checked),
	cmocka_unit_test(wrong_checksums_are_told),
	cmocka_unit_test(tags_are_put_in_and_taken_off),
	cmocka_unit_test(packets_are_cut),
	{ 0 },
};
