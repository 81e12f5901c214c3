/* SPDX-License-Identifier: BSD-3-Clause */
/* The igb driver's transmit queues, with the test as the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "igb_frames.h"

static void check_data(const uint64_t desc[2], unsigned int n, uint32_t len, uint32_t payload,
		       uint64_t bits)
{
	const uint64_t report = desc[1] & IGB_TXD_RS;

	assert_int_equal(desc[0], IOVA(n));
	assert_int_equal(desc[1] & ~report & ~IGB_TXD_DD, len | (uint64_t)payload << 46 |
								  IGB_TXD_DATA | IGB_TXD_DEXT |
								  IGB_TXD_IFCS | bits);
}

/* Bursts of every size go round the ring; cookies come back in order, however few are taken. */
static void packets_are_sent(void **state)
{
	struct weir_frame frames[ENTRIES];
	uint64_t desc[2], cookies[7];
	struct weir_nic_txq_stats stats;
	struct igb_fixture f;
	unsigned int sent = 0, done = 0, unsent;
	int n;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int turn = 0; turn < 200; turn++) {
		unsigned int burst = turn * 7 % (ENTRIES + 1), room = weir_nic_tx_room(f.txq);
		unsigned int most = burst < room ? burst : room;

		for (unsigned int i = 0; i < burst; i++)
			frames[i] = igb_plain(sent + i);
		assert_int_equal(weir_nic_tx(f.txq, frames, burst), most);
		for (unsigned int i = 0; i < most; i++) {
			assert_true(igb_fixture_send(&f, desc, true));
			check_data(desc, sent + i, 60 + (sent + i) % 1000, 60 + (sent + i) % 1000,
				   IGB_TXD_EOP);
			/* the last of a burst asks for a report */
			assert_int_equal(!!(desc[1] & IGB_TXD_RS), i == most - 1);
		}
		assert_false(igb_fixture_send(&f, desc, true));
		sent += most;
		for (unsigned int takes = turn % 6; takes; takes--) {
			n = weir_nic_tx_done(f.txq, cookies, 7, &unsent);
			assert_int_equal(unsent, 0);
			for (int i = 0; i < n; i++)
				assert_int_equal(cookies[i], COOKIE(done++));
		}
	}
	while ((n = weir_nic_tx_done(f.txq, cookies, 7, NULL)) > 0) {
		for (int i = 0; i < n; i++)
			assert_int_equal(cookies[i], COOKIE(done++));
	}
	assert_int_equal(n, 0);
	assert_int_equal(done, sent);
	assert_int_equal(weir_nic_tx_room(f.txq), MOST);
	weir_nic_txq_stats(f.txq, &stats);
	assert_int_equal(stats.frames, sent);
	igb_fixture_stop(&f);
}

/* Nothing comes back before the device has reported it. */
static void unreported_packets_stay(void **state)
{
	struct weir_frame frames[3] = { igb_plain(0), igb_plain(1), igb_plain(2) };
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
	assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
	for (unsigned int i = 0; i < 3; i++)
		igb_fixture_send(&f, desc, true);
	for (unsigned int i = 0; i < 3; i++)
		igb_fixture_send(&f, desc, false);
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, NULL), 3);
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, NULL), 0);
	igb_fixture_stop(&f);
}

static void packets_of_several_frames_are_sent_whole(void **state)
{
	struct weir_frame frames[80];
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int i = 0; i < 80; i++) {
		frames[i] = igb_plain(i);
		frames[i].len = 100 + i;
	}
	frames[1].flags = frames[2].flags = WEIR_FRAME_MORE;
	frames[2].flags |= WEIR_FRAME_DEVICE;
	/* one, three, one, and the first of a packet whose end is missing */
	frames[5].flags = WEIR_FRAME_MORE;
	assert_int_equal(weir_nic_tx(f.txq, frames, 6), 5);
	for (unsigned int i = 0; i < 5; i++) {
		const uint32_t packet = i == 0 || i == 4 ? 100 + i : 101 + 102 + 103;

		assert_true(igb_fixture_send(&f, desc, true));
		check_data(desc, i, 100 + i, packet, i == 1 || i == 2 ? 0 : IGB_TXD_EOP);
	}
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, NULL), 5);
	assert_int_equal(cookies[4], COOKIE(4));

	/* as many as fit, and no more than any may have */
	for (unsigned int i = 0; i < 80; i++) {
		frames[i].flags = WEIR_FRAME_MORE;
		frames[i].len = 10;
	}
	assert_int_equal(weir_nic_tx(f.txq, frames, 80), -EINVAL);
	frames[MOST - 1].flags = 0;
	assert_int_equal(weir_nic_tx(f.txq, frames, 80), -EINVAL);
	frames[MOST - 2].flags = 0;
	frames[MOST - 1].len = 17;
	assert_int_equal(weir_nic_tx(f.txq, frames, 80), MOST); /* and one of one frame */
	assert_int_equal(weir_nic_tx_room(f.txq), 0);
	/* no room for another */
	assert_int_equal(weir_nic_tx(f.txq, frames, 80), 0);
	igb_fixture_stop(&f);
}

static struct weir_frame tcp(unsigned int n, uint32_t flags)
{
	struct weir_frame frame = igb_plain(n);

	frame.len = 1000;
	frame.flags = WEIR_FRAME_IP4 | WEIR_FRAME_TCP | flags;
	frame.vlan = 0x3abc;
	frame.mss = 100;
	frame.headers = (struct weir_frame_headers){ .l2_len = 14, .l3_len = 20, .l4_len = 32 };
	return frame;
}

#define CTX_TYPE (IGB_TXD_CONTEXT | IGB_TXD_DEXT)

static void offloads_are_described(void **state)
{
	static const struct {
		uint32_t flags, instead; /* of WEIR_FRAME_IP4 | _TCP */
		uint64_t context[2], bits;
		uint32_t payload;
	} cases[] = {
		{ WEIR_FRAME_VLAN,
		  0,
		  { UINT64_C(0x3abc) << 16 | 14 << 9, CTX_TYPE },
		  IGB_TXD_VLE,
		  1000 },
		{ WEIR_FRAME_IP_CSUM,
		  0,
		  { 14 << 9 | 20, CTX_TYPE | IGB_CTX_IPV4 | IGB_CTX_TCP },
		  IGB_TXD_IXSM,
		  1000 },
		{ WEIR_FRAME_L4_CSUM,
		  0,
		  { 14 << 9 | 20, CTX_TYPE | IGB_CTX_IPV4 | IGB_CTX_TCP },
		  IGB_TXD_TXSM,
		  1000 },
		{ WEIR_FRAME_L4_CSUM,
		  WEIR_FRAME_IP6 | WEIR_FRAME_UDP,
		  { 14 << 9 | 40, CTX_TYPE | IGB_CTX_UDP },
		  IGB_TXD_TXSM,
		  1000 },
		{ WEIR_FRAME_L4_CSUM,
		  WEIR_FRAME_IP4 | WEIR_FRAME_SCTP,
		  { 14 << 9 | 20, CTX_TYPE | IGB_CTX_IPV4 | IGB_CTX_SCTP },
		  IGB_TXD_TXSM,
		  1000 },
		{ WEIR_FRAME_TSO | WEIR_FRAME_VLAN,
		  0,
		  { UINT64_C(0x3abc) << 16 | 14 << 9 | 20, CTX_TYPE | IGB_CTX_IPV4 | IGB_CTX_TCP |
								   UINT64_C(32) << 40 |
								   UINT64_C(100) << 48 },
		  IGB_TXD_TSE | IGB_TXD_TXSM | IGB_TXD_IXSM | IGB_TXD_VLE,
		  1000 - 66 },
		{ WEIR_FRAME_TSO,
		  WEIR_FRAME_IP6 | WEIR_FRAME_TCP,
		  { 14 << 9 | 40,
		    CTX_TYPE | IGB_CTX_TCP | UINT64_C(32) << 40 | UINT64_C(100) << 48 },
		  IGB_TXD_TSE | IGB_TXD_TXSM,
		  1000 - 86 },
	};
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_frame frames[3] = { tcp(0, cases[i].flags), tcp(1, cases[i].flags),
						igb_plain(2) };

		for (unsigned int k = 0; cases[i].instead && k < 2; k++) {
			frames[k].flags = cases[i].instead | cases[i].flags;
			frames[k].headers.l3_len = cases[i].instead & WEIR_FRAME_IP6 ? 40 : 20;
		}
		assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
		/* the first two cases of the same headers need one context */
		if (i != 2) {
			assert_true(igb_fixture_send(&f, desc, true));
			assert_int_equal(desc[0], cases[i].context[0]);
			assert_int_equal(desc[1], cases[i].context[1]);
		}
		for (unsigned int k = 0; k < 2; k++) {
			assert_true(igb_fixture_send(&f, desc, true));
			check_data(desc, k, 1000, cases[i].payload, IGB_TXD_EOP | cases[i].bits);
		}
		assert_true(igb_fixture_send(&f, desc, true));
		check_data(desc, 2, 62, 62, IGB_TXD_EOP);
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, NULL), 3);
		assert_int_equal(cookies[2], COOKIE(2));
		assert_int_equal(weir_nic_tx_room(f.txq), MOST);
	}
	igb_fixture_stop(&f);
}

/* What is malformed by one byte more or less is not so with it. */
static void the_limits_are_taken(void **state)
{
	static const struct {
		uint32_t len, flags;
		struct weir_frame_headers headers;
		uint16_t mss;
	} cases[] = {
		{ 17, 0, { 0 }, 0 },
		{ 1518, 0, { 0 }, 0 },
		{ 17, WEIR_FRAME_VLAN, { 0 }, 0 },
		{ 1514, WEIR_FRAME_VLAN, { 0 }, 0 },
		{ 34, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CSUM, { 14, 0, 20 }, 0 },
		{ 54, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 42, WEIR_FRAME_IP4 | WEIR_FRAME_UDP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 46, WEIR_FRAME_IP4 | WEIR_FRAME_SCTP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 1518, WEIR_FRAME_IP6 | WEIR_FRAME_TCP | WEIR_FRAME_L4_CSUM, { 14, 0, 40 }, 0 },
		{ 55, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 20, 20 }, 1464 },
		{ 55,
		  WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO | WEIR_FRAME_VLAN,
		  { 14, 20, 20 },
		  1460 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 255, 243 }, 1 },
	};
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_frame frame = igb_plain(i);

		frame.len = cases[i].len;
		frame.flags = cases[i].flags;
		frame.headers = cases[i].headers;
		frame.mss = cases[i].mss;
		assert_int_equal(weir_nic_tx(f.txq, &frame, 1), 1);
		while (igb_fixture_send(&f, desc, true))
			;
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 1);
		if (unsent)
			fail_msg("case %u was refused", i);
	}
	igb_fixture_stop(&f);
}

/* A packet of as many frames as the port says fits into its ring, whatever that has room for. */
static void the_longest_chain_is_told(void **state)
{
	static const struct {
		unsigned int entries, most;
	} cases[] = { { 32, 30 }, { 64, 62 }, { 4096, 64 }, { 32, 30 } };
	struct weir_frame frames[65];
	struct weir_nic_info info;
	struct igb_fixture f;

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		igb_fixture_start(&f, cases[i].entries, 0, false);
		weir_nic_info(&f.igb.nic, &info);
		assert_int_equal(info.max_packet_frames, cases[i].most);
		for (unsigned int k = 0; k <= cases[i].most; k++) {
			frames[k] = igb_plain(k);
			frames[k].len = 17;
			frames[k].flags = k < cases[i].most ? WEIR_FRAME_MORE : 0;
		}
		assert_int_equal(weir_nic_tx(f.txq, frames, cases[i].most + 1), -EINVAL);
		frames[cases[i].most - 1].flags = 0;
		assert_int_equal(weir_nic_tx(f.txq, frames, cases[i].most), cases[i].most);
		igb_fixture_quiesce(&f);
		igb_fixture_stop(&f);
	}
}

/* Each of them, between two good ones, comes back as unsent and does not reach the device. */
static void malformed_packets_come_back(void **state)
{
	static const struct {
		uint32_t len, flags;
		struct weir_frame_headers headers;
		uint16_t mss;
	} cases[] = {
		{ 0, 0, { 0 }, 0 },
		{ 16, 0, { 0 }, 0 },
		{ 1519, 0, { 0 }, 0 },
		{ UINT32_MAX, 0, { 0 }, 0 },
		{ 60, WEIR_FRAME_UNUSED, { 0 }, 0 },
		{ 60, WEIR_FRAME_HEADER, { 0 }, 0 },
		{ 60, 1, { 0 }, 0 },
		{ 60, 1u << 31, { 0 }, 0 },
		/* headers that are too short, too long, or not said */
		{ 60, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CSUM, { 13, 0, 20 }, 0 },
		{ 60, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CSUM, { 128, 0, 20 }, 0 },
		{ 60, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CSUM, { 14, 0, 19 }, 0 },
		{ 60, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CSUM, { 14, 0, 47 }, 0 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CSUM, { 14, 0, 512 }, 0 },
		{ 60, WEIR_FRAME_IP6 | WEIR_FRAME_TCP | WEIR_FRAME_L4_CSUM, { 14, 0, 39 }, 0 },
		/* checksums of what they are not for */
		{ 60, WEIR_FRAME_IP_CSUM, { 14, 0, 20 }, 0 },
		{ 60, WEIR_FRAME_IP6 | WEIR_FRAME_IP_CSUM, { 14, 0, 40 }, 0 },
		{ 60, WEIR_FRAME_IP4 | WEIR_FRAME_IP6 | WEIR_FRAME_IP_CSUM, { 14, 0, 40 }, 0 },
		{ 60, WEIR_FRAME_IP4 | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 60, WEIR_FRAME_TCP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 60,
		  WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_UDP | WEIR_FRAME_L4_CSUM,
		  { 14, 0, 20 },
		  0 },
		/* segments */
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 20, 20 }, 0 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 20, 20 }, 1465 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 19, 20 }, 100 },
		{ 54, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 20, 20 }, 100 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_UDP | WEIR_FRAME_TSO, { 14, 20, 20 }, 100 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_SCTP | WEIR_FRAME_TSO, { 14, 12, 20 }, 100 },
		{ 1000, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 255, 244 }, 100 },
		{ 1000,
		  WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO | WEIR_FRAME_VLAN,
		  { 14, 20, 475 },
		  100 },
		/* what the device would put in goes over the limit, or behind the packet */
		{ 1000,
		  WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO | WEIR_FRAME_VLAN,
		  { 14, 20, 20 },
		  1461 },
		{ 1515, WEIR_FRAME_VLAN, { 0 }, 0 },
		{ 53, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 41, WEIR_FRAME_IP4 | WEIR_FRAME_UDP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 45, WEIR_FRAME_IP4 | WEIR_FRAME_SCTP | WEIR_FRAME_L4_CSUM, { 14, 0, 20 }, 0 },
		{ 73, WEIR_FRAME_IP6 | WEIR_FRAME_TCP | WEIR_FRAME_L4_CSUM, { 14, 0, 40 }, 0 },
		{ 32769, WEIR_FRAME_IP4 | WEIR_FRAME_TCP | WEIR_FRAME_TSO, { 14, 20, 20 }, 100 },
	};
	uint64_t desc[2], cookies[ENTRIES];
	struct weir_nic_txq_stats stats;
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir_frame frames[4] = { igb_plain(0), igb_plain(1), igb_plain(2),
						igb_plain(3) };
		unsigned int bad = i % 2 ? 2 : 1; /* frames of the malformed packet */

		frames[1].len = cases[i].len;
		frames[1].flags = cases[i].flags | (bad == 2 ? WEIR_FRAME_MORE : 0);
		frames[1].headers = cases[i].headers;
		frames[1].mss = cases[i].mss;
		if (bad == 2) /* both are its length, where that can be */
			frames[2].len = 1;
		if (bad == 2 && cases[i].len > 1 && cases[i].len < 32768)
			frames[1].len--;
		if (weir_nic_tx(f.txq, frames, 2 + bad) != (int)(2 + bad))
			fail_msg("case %u was not taken", i);
		for (unsigned int k = 0; k < 2; k++) {
			assert_true(igb_fixture_send(&f, desc, true));
			if (desc[0] != IOVA(k ? 1 + bad : 0))
				fail_msg("case %u was sent", i);
		}
		assert_false(igb_fixture_send(&f, desc, true));
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, 2, &unsent), 2);
		assert_int_equal(unsent, 0);
		assert_int_equal(cookies[1], COOKIE(1 + bad));
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), bad);
		assert_int_equal(unsent, bad);
		for (unsigned int k = 0; k < bad; k++)
			assert_int_equal(cookies[k], COOKIE(1 + k));
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 0);
	}
	weir_nic_txq_stats(f.txq, &stats);
	assert_int_equal(stats.refused, sizeof(cases) / sizeof(cases[0]) * 3 / 2);
	igb_fixture_stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_are_sent),
		cmocka_unit_test(unreported_packets_stay),
		cmocka_unit_test(packets_of_several_frames_are_sent_whole),
		cmocka_unit_test(offloads_are_described),
		cmocka_unit_test(the_limits_are_taken),
		cmocka_unit_test(the_longest_chain_is_told),
		cmocka_unit_test(malformed_packets_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
