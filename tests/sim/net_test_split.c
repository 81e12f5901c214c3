/* SPDX-License-Identifier: BSD-3-Clause */
/* Header split: headers in one frame, payload in another. */
#include <string.h>

#include "net_test.h"

#define HEADER 128u

static struct net_packet packet;

static void check(struct net_test *t, const uint8_t *data, uint32_t bytes, uint32_t header)
{
	net_test_receive(t, 0, &packet);
	assert_int_equal(packet.bytes, bytes);
	assert_int_equal(packet.header_bytes, header);
	assert_memory_equal(packet.data, data, bytes);
}

static void headers_and_payload_part(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	uint8_t *data = net_test_tx_memory(&t->port[0], 0);
	struct weir_frame frame;

	config.header_bytes = HEADER;
	config.mtu = 9000;
	net_test_start(t, &config);
	for (unsigned int kind = 0; kind < 8; kind++) {
		const bool v6 = kind & 1, tcp = kind & 2;
		const uint32_t bytes = kind & 4 ? 5000 : 400;
		uint32_t header;

		net_test_fill(t, data, bytes, kind);
		header = v6 ? net_test_headers6(t, data, bytes, tcp, 1, false)
			    : net_test_headers4(t, data, bytes, tcp, 1, false);
		frame = net_test_tx_frame(t, &t->port[0], 0, bytes);
		net_test_send(t, 0, &frame, 1);
		check(t, data, bytes, header);
		assert_int_equal(packet.frames, bytes == 400 ? 2 : 6);
	}
	/* none that is recognised: its beginning is in the frame for headers all the same */
	net_test_fill(t, data, 600, 9);
	frame = net_test_tx_frame(t, &t->port[0], 0, 600);
	net_test_send(t, 0, &frame, 1);
	check(t, data, 600, HEADER);
	net_test_fill(t, data, 70, 10);
	frame = net_test_tx_frame(t, &t->port[0], 0, 70);
	net_test_send(t, 0, &frame, 1);
	check(t, data, 70, 70);
	net_test_stop(t);
}

static void frames_of_devices_are_marked(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	uint8_t *data = net_test_tx_memory(&t->port[0], 0);
	struct weir_frame frame;

	config.header_bytes = 64;
	config.rx_device_memory = 1;
	net_test_start(t, &config);
	net_test_fill(t, data, 600, 1);
	net_test_headers4(t, data, 600, false, 1, false);
	frame = net_test_tx_frame(t, &t->port[0], 0, 600);
	net_test_send(t, 0, &frame, 1);
	check(t, data, 600, NET_ETH + NET_IP4 + NET_UDP);
	assert_true(packet.last.flags & WEIR_FRAME_DEVICE);
	net_test_stop(t);
}

const struct CMUnitTest net_test_split[] = {
	cmocka_unit_test(headers_and_payload_part),
	cmocka_unit_test(frames_of_devices_are_marked),
	{ 0 },
};
