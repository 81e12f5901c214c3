/* SPDX-License-Identifier: BSD-3-Clause */
/* Configurations that a port cannot have: each fails with a line that names the value and the
 * limit, and harms nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "net_test.h"

static struct weir_nic_config good;

#define MEMBER(name, value, rc, text) \
	{ \
		offsetof(struct weir_nic_config, name), sizeof(good.name), value, rc, text \
	}

static const struct {
	size_t offset, bytes;
	uint64_t value;
	int rc;
	const char *words;
} bad[] = {
	MEMBER(rx_queues, 17, -EINVAL, "17 receive queues are over the device's 16"),
	MEMBER(tx_queues, 17, -EINVAL, "17 transmit queues are over the device's 16"),
	MEMBER(rx_queues, UINT32_MAX, -EINVAL, "4294967295 receive queues"),
	MEMBER(rx_entries, 31, -EINVAL, "receive ring of 31 is out of the device's 32 to 4096"),
	MEMBER(rx_entries, 4104, -EINVAL, "receive ring of 4104 is out of"),
	MEMBER(rx_entries, 100, -EINVAL, "receive ring of 100 is no multiple of 8"),
	MEMBER(tx_entries, 8, -EINVAL, "transmit ring of 8 is out of the device's 32 to 4096"),
	MEMBER(tx_entries, 513, -EINVAL, "transmit ring of 513 is no multiple of 8"),
	MEMBER(mtu, 67, -EINVAL, "MTU 67 is out of the device's 68 to 9706"),
	MEMBER(mtu, 9707, -EINVAL, "MTU 9707 is out of the device's 68 to 9706"),
	MEMBER(mtu, UINT32_MAX, -EINVAL, "MTU 4294967295"),
	MEMBER(rx_buffer_bytes, 1000, -EINVAL, "receive buffer of 1000 is out of"),
	MEMBER(rx_buffer_bytes, 1500, -EINVAL, "receive buffer of 1500 is no multiple of 1024"),
	MEMBER(rx_buffer_bytes, 17408, -EINVAL, "receive buffer of 17408 is out of"),
	MEMBER(header_bytes, 100, -EINVAL, "header buffer of 100 is no multiple of 64"),
	MEMBER(header_bytes, 1024, -EINVAL, "header buffer of 1024 is out of"),
	MEMBER(rss_types, 1, -EOPNOTSUPP, "hash types 0x1 are not all of"),
	MEMBER(rss_types, 1 << 10, -EOPNOTSUPP, "hash types 0x400 are not all of"),
	MEMBER(rss_table_entries, 64, -EINVAL, "a table of 64 entries is not the device's 128"),
	MEMBER(rss_table_entries, 128, -EINVAL, "rss_table is NULL"),
	MEMBER(receive, 8, -EINVAL, "receive is 0x8, unknown bits"),
	MEMBER(vlan_strip, 2, -EINVAL, "vlan_strip is 2"),
	MEMBER(rx_device_memory, 2, -EINVAL, "rx_device_memory 2"),
	MEMBER(reserved, 1, -EINVAL, "reserved is not 0"),
};

static void bad_configurations_are_refused(void **state)
{
	struct net_test *t = *state;
	struct weir_nic *nic = t->port[0].nic;
	struct weir_nic_config config;
	struct weir_error err;

	good = (struct weir_nic_config)WEIR_NIC_CONFIG_INIT;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config = good;
		memcpy((char *)&config + bad[i].offset, &bad[i].value, bad[i].bytes);
		if (weir_nic_configure(nic, &config, &err) != bad[i].rc)
			fail_msg("'%s' was not refused as it should be", bad[i].words);
		if (!strstr(err.text, bad[i].words))
			fail_msg("'%s' has no '%s'", err.text, bad[i].words);
	}
	config = good;
	config.size = 8;
	config.rx_queues = 17;
	assert_int_equal(weir_nic_configure(nic, &config, &err), 0);
	assert_int_equal(weir_nic_configure(nic, &good, &err), 0);
}

static void tables_name_queues_that_are_there(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	uint8_t table[128] = { 0 };
	struct weir_error err;

	config.rx_queues = 4;
	config.rss_table = table;
	config.rss_table_entries = 128;
	table[77] = 4;
	assert_int_equal(weir_nic_configure(t->port[0].nic, &config, &err), -EINVAL);
	assert_string_equal(err.text, "rss_table entry 77 is 4, the receive queues are 4");
	table[77] = 3;
	assert_int_equal(weir_nic_configure(t->port[0].nic, &config, &err), 0);
}

/* What may be called when. */
static void states_are_kept(void **state)
{
	struct net_test *t = *state;
	struct weir_nic *nic = t->port[0].nic;
	struct weir_frame frame = { .len = 2048 };
	struct weir_nic_info info;
	struct weir_error err;

	assert_int_equal(weir_nic_configure(nic, NULL, &err), 0);
	weir_nic_info(nic, &info);
	assert_int_equal(info.rx_queues, 1);
	assert_int_equal(info.rx_entries, 512);
	assert_int_equal(info.mtu, 1500);
	assert_null(weir_nic_rxq(nic, 1));
	assert_null(weir_nic_txq(nic, 1));

	/* stopped */
	assert_int_equal(weir_nic_stop(nic, &err), 0);
	assert_int_equal(weir_nic_rx_post(weir_nic_rxq(nic, 0), &frame, 1), 0);
	assert_int_equal(weir_nic_tx(weir_nic_txq(nic, 0), &frame, 1), 0);

	/* started */
	assert_int_equal(weir_nic_start(nic, &err), 0);
	assert_int_equal(weir_nic_start(nic, &err), -EALREADY);
	assert_int_equal(weir_nic_configure(nic, NULL, &err), -EBUSY);
	frame.iova = weir_arena_ptr_iova(t->arena, t->port[0].rx);
	assert_int_equal(weir_nic_rx_post(weir_nic_rxq(nic, 0), &frame, 1), 1);

	/* an owner has not taken its frame back */
	assert_int_equal(weir_nic_stop(nic, &err), 0);
	assert_int_equal(weir_nic_start(nic, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "receive queue 0"));
	assert_int_equal(weir_nic_configure(nic, NULL, &err), -EAGAIN);
	assert_int_equal(weir_nic_reset(nic, 20, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "receive queue 0"));
	assert_int_equal(weir_nic_rx(weir_nic_rxq(nic, 0), &frame, 1), 1);
	assert_int_equal(frame.flags, WEIR_FRAME_UNUSED);
	assert_int_equal(weir_nic_rx(weir_nic_rxq(nic, 0), &frame, 1), 0);
	assert_int_equal(weir_nic_start(nic, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "transmit queue 0"));
	assert_int_equal(weir_nic_tx_done(weir_nic_txq(nic, 0), &frame.cookie, 1, NULL), 0);
	assert_int_equal(weir_nic_configure(nic, NULL, &err), 0);
}

static void bad_filters_are_refused(void **state)
{
	struct net_test *t = *state;
	struct weir_nic *nic = t->port[0].nic;
	static const uint8_t multicast[6] = { 1, 0, 0x5e, 0, 0, 1 }, zero[6];
	uint8_t macs[24][6];
	struct weir_error err;

	assert_int_equal(weir_nic_set_mtu(nic, 9707, &err), -EINVAL);
	assert_string_equal(err.text, "MTU 9707 is out of the device's 68 to 9706");
	assert_int_equal(weir_nic_set_mac(nic, multicast, &err), -EINVAL);
	assert_non_null(strstr(err.text, "01:00:5e:00:00:01 is no port's address"));
	assert_int_equal(weir_nic_set_mac(nic, zero, &err), -EINVAL);
	assert_int_equal(weir_nic_set_receive(nic, 16, &err), -EINVAL);
	for (unsigned int i = 0; i < 24; i++)
		memcpy(macs[i], (const uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)i }, 6);
	assert_int_equal(weir_nic_set_filters(nic, (const void *)macs, 24, &err), -ENOSPC);
	assert_string_equal(err.text,
			    "24 unicast addresses are over the device's 23, its own less");
	assert_int_equal(weir_nic_set_filters(nic, (const void *)macs, 23, &err), 0);
	memset(macs[3], 0, 6);
	assert_int_equal(weir_nic_set_filters(nic, (const void *)macs, 23, &err), -EINVAL);
	assert_string_equal(err.text, "address 3 of 23 is all zeroes");
	assert_int_equal(weir_nic_set_filters(nic, NULL, 5000, &err), -EINVAL);
	assert_int_equal(weir_nic_set_filters(nic, NULL, 0, &err), 0);
}

static void ports_are_told_apart(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_options options = WEIR_NIC_OPTIONS_INIT;
	struct weir_arena_options arena_options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_arena *arena;
	struct weir_nic *nic;
	struct weir_error err;

	assert_int_not_equal(memcmp(t->port[0].info.mac, t->port[1].info.mac, 6), 0);
	assert_string_equal(t->port[0].info.driver, "igb");
	assert_string_equal(t->port[0].info.address, t->port[0].address);

	options.reserved[3] = 1;
	assert_int_equal(weir_nic_create(t->port[0].dev, t->arena, &options, &nic, &err), -EINVAL);
	options = (struct weir_nic_options)WEIR_NIC_OPTIONS_INIT;
	options.interrupts = 2;
	assert_int_equal(weir_nic_create(t->port[0].dev, t->arena, &options, &nic, &err), -EINVAL);
	arena_options.bytes = 1 << 20;
	arena_options.iova_delta = t->delta;
	assert_int_equal(weir_arena_create(&arena_options, &arena, &err), 0);
	assert_int_equal(weir_nic_create(t->port[0].dev, arena, NULL, &nic, &err), -EINVAL);
	assert_string_equal(err.text, "the arena is not mapped in the device's IOAS");
	weir_arena_destroy(arena);
}

const struct CMUnitTest net_test_config[] = {
	cmocka_unit_test(bad_configurations_are_refused),
	cmocka_unit_test(tables_name_queues_that_are_there),
	cmocka_unit_test(states_are_kept),
	cmocka_unit_test(bad_filters_are_refused),
	cmocka_unit_test(ports_are_told_apart),
	{ 0 },
};
