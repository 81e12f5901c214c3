/* SPDX-License-Identifier: BSD-3-Clause */
/* What a port lets in: addresses, multicast, VLANs, lengths; told to a port that runs. */
#include <string.h>

#include "net_test.h"

static struct net_packet packet;

/* Sends a packet of that many bytes to an address, and says whether it comes. Behind it goes one
 * that always does, so that nothing has to be waited for. */
static bool comes(struct net_test *t, const uint8_t mac[6], uint32_t bytes, uint16_t vlan)
{
	struct net_port *port = &t->port[0];
	struct weir_frame frames[2];
	uint8_t *data = net_test_tx_memory(port, 0);
	bool came = false;

	frames[0] = net_test_tx_frame(t, port, 0, bytes);
	net_test_fill(t, data, bytes, 1);
	memcpy(data, mac, 6);
	if (vlan) {
		memcpy(data + 12, (const uint8_t[]){ 0x81, 0, (uint8_t)(vlan >> 8), (uint8_t)vlan },
		       4);
	}
	frames[1] = net_test_tx_frame(t, port, 1, 77);
	net_test_fill(t, net_test_tx_memory(port, 1), 77, 2);
	net_test_send(t, 0, frames, 2);
	net_test_receive(t, 0, &packet);
	if (packet.bytes != 77) {
		assert_int_equal(packet.bytes, bytes);
		assert_memory_equal(packet.data, data, bytes);
		came = true;
		net_test_receive(t, 0, &packet);
	}
	assert_int_equal(packet.bytes, 77);
	return came;
}

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void addresses_are_filtered(void **state)
{
	static const uint8_t stranger[6] = { 2, 0, 0, 0, 0, 9 }, group[6] = { 1, 0, 0x5e, 1, 2, 3 };
	struct net_test *t = *state;
	struct weir_nic *nic = t->port[1].nic;
	uint8_t macs[40][6];
	struct weir_error err;

	net_test_start(t, NULL);
	assert_true(comes(t, t->port[1].info.mac, 100, 0));
	assert_true(comes(t, broadcast, 100, 0));
	assert_false(comes(t, stranger, 100, 0));
	assert_false(comes(t, group, 100, 0));

	assert_int_equal(weir_nic_set_receive(nic, WEIR_NIC_ALL_UNICAST, &err), 0);
	assert_true(comes(t, stranger, 100, 0));
	assert_false(comes(t, group, 100, 0));
	assert_int_equal(weir_nic_set_receive(nic, WEIR_NIC_ALL_MULTICAST, &err), 0);
	assert_false(comes(t, stranger, 100, 0));
	assert_true(comes(t, group, 100, 0));
	assert_int_equal(weir_nic_set_receive(nic, WEIR_NIC_NO_BROADCAST, &err), 0);
	assert_false(comes(t, broadcast, 100, 0));
	assert_int_equal(weir_nic_set_receive(nic, 0, &err), 0);

	/* more multicast addresses than there are exact filters: the last go through the hash */
	for (unsigned int i = 0; i < 40; i++)
		memcpy(macs[i], (const uint8_t[]){ 1, 0, 0x5e, 7, (uint8_t)(i * 37), (uint8_t)i },
		       6);
	memcpy(macs[38], stranger, 6);
	assert_int_equal(weir_nic_set_filters(nic, (const void *)macs, 40, &err), 0);
	for (unsigned int i = 0; i < 40; i++)
		assert_true(comes(t, macs[i], 100, 0));
	assert_false(comes(t, group, 100, 0));
	assert_int_equal(weir_nic_set_filters(nic, NULL, 0, &err), 0);
	assert_false(comes(t, macs[0], 100, 0));
	assert_false(comes(t, macs[39], 100, 0));
	assert_false(comes(t, stranger, 100, 0));
	net_test_stop(t);
}

static void an_address_can_be_set(void **state)
{
	static const uint8_t other[6] = { 2, 0, 0, 0, 0, 5 };
	struct net_test *t = *state;
	struct weir_nic *nic = t->port[1].nic;
	struct weir_nic_info info;
	uint8_t mac[6];
	struct weir_error err;

	memcpy(mac, t->port[1].info.mac, 6);
	net_test_start(t, NULL);
	assert_int_equal(weir_nic_set_mac(nic, other, &err), 0);
	weir_nic_info(nic, &info);
	assert_memory_equal(info.mac, other, 6);
	/* what comes() sends to be sure that something comes goes to the port as it is now */
	memcpy(t->port[1].info.mac, other, 6);
	assert_true(comes(t, other, 100, 0));
	assert_false(comes(t, mac, 100, 0));
	/* over a stop, too */
	net_test_stop(t);
	net_test_start(t, NULL);
	assert_true(comes(t, other, 100, 0));
	assert_int_equal(weir_nic_set_mac(nic, mac, &err), 0);
	memcpy(t->port[1].info.mac, mac, 6);
	assert_true(comes(t, mac, 100, 0));
	net_test_stop(t);
}

static void an_mtu_can_be_set(void **state)
{
	struct net_test *t = *state;
	const uint8_t *mac = t->port[1].info.mac;
	struct weir_error err;

	net_test_start(t, NULL);
	/* what is sent has to be let out, too */
	assert_int_equal(weir_nic_set_mtu(t->port[0].nic, 9000, &err), 0);
	assert_true(comes(t, mac, 1518, 0));
	assert_false(comes(t, mac, 1519, 0));
	assert_int_equal(weir_nic_set_mtu(t->port[1].nic, 3000, &err), 0);
	assert_true(comes(t, mac, 3018, 0));
	assert_false(comes(t, mac, 3019, 0));
	assert_int_equal(weir_nic_set_mtu(t->port[1].nic, 1000, &err), 0);
	assert_true(comes(t, mac, 1018, 0));
	assert_false(comes(t, mac, 1019, 0));
	net_test_stop(t);
}

static void vlans_are_filtered(void **state)
{
	struct net_test *t = *state;
	struct weir_nic *nic = t->port[1].nic;
	const uint8_t *mac = t->port[1].info.mac;
	uint64_t ids[64] = { 0 };
	struct weir_error err;

	net_test_start(t, NULL);
	assert_true(comes(t, mac, 100, 1));
	ids[0] = 1u << 5;
	ids[63] = UINT64_C(1) << 62;
	assert_int_equal(weir_nic_vlan_filter(nic, ids, &err), 0);
	assert_false(comes(t, mac, 100, 1));
	assert_true(comes(t, mac, 100, 5));
	assert_true(comes(t, mac, 100, 0xe000 | 5)); /* the priority is none of the id */
	assert_true(comes(t, mac, 100, 4094));
	assert_false(comes(t, mac, 100, 4093));
	assert_true(comes(t, mac, 100, 0));
	assert_int_equal(weir_nic_vlan_filter(nic, NULL, &err), 0);
	assert_true(comes(t, mac, 100, 1));
	net_test_stop(t);
}

const struct CMUnitTest net_test_filters[] = {
	cmocka_unit_test(addresses_are_filtered),
	cmocka_unit_test(an_address_can_be_set),
	cmocka_unit_test(an_mtu_can_be_set),
	cmocka_unit_test(vlans_are_filtered),
	{ 0 },
};
