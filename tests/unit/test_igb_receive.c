/* SPDX-License-Identifier: BSD-3-Clause */
/* The igb driver's receive queues, with the test as the device: right and wrong write-backs. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "igb_frames.h"

#define HEADER_LENGTH(n) ((uint64_t)(n) << 21)
#define PLAIN_FLAGS (WEIR_NIC_HASH_TCP4 | WEIR_FRAME_IP4 | WEIR_FRAME_TCP)

/* Bursts of every size go round the ring, and what the device wrote is in the frames. */
static void packets_are_received(void **state)
{
	struct weir_frame frames[ENTRIES], got[ENTRIES];
	struct weir_nic_rxq_stats stats;
	struct igb_fixture f;
	unsigned int posted = 0, received = 0;
	uint64_t bytes = 0;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int turn = 0; turn < 100; turn++) {
		unsigned int n = turn % (ENTRIES + 1), most = n < MOST ? n : MOST;

		assert_int_equal(weir_nic_rx_room(f.rxq), MOST);
		for (unsigned int i = 0; i < n && i < ENTRIES; i++)
			frames[i] = igb_buffer(posted + i);
		assert_int_equal(weir_nic_rx_post(f.rxq, frames, n), most);
		posted += most;
		for (unsigned int i = received; i < posted; i++)
			assert_true(igb_fixture_receive(&f,
							UINT64_C(0x1234abcd00000000) | PLAIN_FLAGS,
							DONE, (uint16_t)(60 + i % 1500), 0));
		assert_false(igb_fixture_receive(&f, 0, DONE, 60, 0));
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), posted - received);
		for (unsigned int i = 0; received < posted; i++, received++) {
			igb_check_frame(&got[i], received, 60 + received % 1500, PLAIN_FLAGS);
			assert_int_equal(got[i].hash, 0x1234abcd);
			assert_int_equal(got[i].vlan | got[i].mss, 0);
			bytes += got[i].len;
		}
	}
	weir_nic_rxq_stats(f.rxq, &stats);
	assert_int_equal(stats.packets, received);
	assert_int_equal(stats.bytes, bytes);
	igb_fixture_stop(&f);
}

static void flags_are_those_of_the_device(void **state)
{
	static const struct {
		uint32_t first, status, flags;
	} cases[] = {
		{ 0, 0, 0 },
		{ 9, 0, WEIR_NIC_HASH_UDP6_EXT },
		{ 1u << 4, 1u << 6, WEIR_FRAME_IP4 | WEIR_FRAME_IP_CHECKED },
		{ 1u << 5, 1u << 6 | 1u << 30,
		  WEIR_FRAME_IP4_OPTIONS | WEIR_FRAME_IP_CHECKED | WEIR_FRAME_IP_BAD },
		{ 1u << 6 | 1u << 8, 1u << 5,
		  WEIR_FRAME_IP6 | WEIR_FRAME_TCP | WEIR_FRAME_L4_CHECKED },
		{ 1u << 7 | 1u << 9, 1u << 5 | 1u << 29,
		  WEIR_FRAME_IP6_EXTENSIONS | WEIR_FRAME_UDP | WEIR_FRAME_L4_CHECKED |
			  WEIR_FRAME_L4_BAD },
		{ 1u << 10, 1u << 3, WEIR_FRAME_SCTP | WEIR_FRAME_VLAN },
		{ 0, 1u << 31, WEIR_FRAME_ERROR },
		/* what is none of ours */
		{ 0xfffff800, 0x1fffff94, 0 },
	};
	struct weir_frame got[1];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		igb_post(&f, i, 1);
		assert_true(
			igb_fixture_receive(&f, cases[i].first, cases[i].status | DONE, 60, 0xabc));
		assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
		igb_check_frame(&got[0], i, 60, cases[i].flags);
		assert_int_equal(got[0].vlan, 0xabc);
	}
	igb_fixture_stop(&f);
}

/* A packet of three descriptors, which arrive in two turns, between packets of one. */
static void long_packets_are_chained(void **state)
{
	struct weir_frame got[ENTRIES];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int turn = 0; turn < 20; turn++) {
		igb_post(&f, 0, 5);
		igb_fixture_receive(&f, PLAIN_FLAGS, DONE, 100, 0);
		igb_fixture_receive(&f, 0, IGB_RXD_DD, BUFFER, 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 2);
		igb_check_frame(&got[0], 0, 100, PLAIN_FLAGS);
		igb_check_frame(&got[1], 1, BUFFER, WEIR_FRAME_MORE);
		igb_fixture_receive(&f, 0, IGB_RXD_DD, BUFFER, 0);
		igb_fixture_receive(&f, PLAIN_FLAGS | UINT64_C(7) << 32, DONE | 1u << 3, 1, 5);
		igb_fixture_receive(&f, 0, DONE, 60, 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 3);
		igb_check_frame(&got[0], 2, BUFFER, WEIR_FRAME_MORE);
		igb_check_frame(&got[1], 3, 1, PLAIN_FLAGS | WEIR_FRAME_VLAN);
		assert_int_equal(got[1].vlan, 5);
		assert_int_equal(got[1].hash, 7);
		igb_check_frame(&got[2], 4, 60, 0);
	}
	igb_fixture_stop(&f);
}

/* Headers go where headers are, and no payload frame looks as if it were the host's. */
static void headers_are_split(void **state)
{
	const uint32_t header = WEIR_FRAME_HEADER | WEIR_FRAME_MORE;
	struct weir_frame got[4];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, HEADER, true);
	for (unsigned int turn = 0; turn < 20; turn++) {
		igb_post(&f, 0, 7);
		/* split; all of it in the header's; too long a header; two descriptors, in both of
		 * which the device says the header's length; too long a header once more, which
		 * the second descriptor says */
		igb_fixture_receive(&f, PLAIN_FLAGS | 1u << 31 | HEADER_LENGTH(54), DONE, 1000, 0);
		igb_fixture_receive(&f, HEADER_LENGTH(60), DONE, 0, 0);
		igb_fixture_receive(&f, HEADER_LENGTH(HEADER + 9), DONE | IGB_RXD_HBO, 500, 0);
		igb_fixture_receive(&f, HEADER_LENGTH(54), IGB_RXD_DD, BUFFER, 0);
		igb_fixture_receive(&f, PLAIN_FLAGS | HEADER_LENGTH(54), DONE, 7, 0);
		igb_fixture_receive(&f, HEADER_LENGTH(HEADER + 9), IGB_RXD_DD, BUFFER, 0);
		igb_fixture_receive(&f, HEADER_LENGTH(HEADER + 9), DONE | IGB_RXD_HBO, 7, 0);

		assert_int_equal(weir_nic_rx(f.rxq, got, 1), 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, 3), 2);
		igb_check_frame(&got[0], 1, 54, header);
		igb_check_frame(&got[1], 0, 1000, PLAIN_FLAGS | WEIR_FRAME_DEVICE);
		assert_int_equal(weir_nic_rx(f.rxq, got, 4), 4);
		igb_check_frame(&got[0], 3, 60, header);
		igb_check_frame(&got[1], 2, 0, WEIR_FRAME_DEVICE);
		igb_check_frame(&got[2], 5, HEADER, header);
		igb_check_frame(&got[3], 4, 500, WEIR_FRAME_DEVICE);
		assert_int_equal(weir_nic_rx(f.rxq, got, 4), 4);
		igb_check_frame(&got[0], 7, 54, header);
		igb_check_frame(&got[1], 6, BUFFER, WEIR_FRAME_DEVICE | WEIR_FRAME_MORE);
		igb_check_frame(&got[2], 9, 0, header);
		igb_check_frame(&got[3], 8, 7, PLAIN_FLAGS | WEIR_FRAME_DEVICE);
		assert_int_equal(weir_nic_rx(f.rxq, got, 4), 4);
		igb_check_frame(&got[0], 11, HEADER, header);
		igb_check_frame(&got[1], 10, BUFFER, WEIR_FRAME_DEVICE | WEIR_FRAME_MORE);
		igb_check_frame(&got[2], 13, 0, header);
		igb_check_frame(&got[3], 12, 7, WEIR_FRAME_DEVICE);
	}
	igb_fixture_stop(&f);
}

static void wrong_frames_are_not_posted(void **state)
{
	struct weir_frame frames[4];
	struct igb_fixture f;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int i = 0; i < 4; i++)
		frames[i] = igb_buffer(i);
	frames[2].len = BUFFER - 1;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames, 4), 2);
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	frames[2].len = UINT32_MAX;
	frames[3].flags = WEIR_FRAME_HEADER | WEIR_FRAME_MORE;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), 1);
	frames[3].flags = 1;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 3, 1), -EINVAL);
	assert_int_equal(weir_nic_rx_post(f.rxq, frames, 0), 0);
	assert_int_equal(f.rx_tail, 3);
	igb_fixture_stop(&f);

	igb_fixture_start(&f, ENTRIES, HEADER, false);
	igb_buffer_pair(0, frames);
	igb_buffer_pair(1, frames + 2);
	assert_int_equal(weir_nic_rx_post(f.rxq, frames, 3), 2);
	frames[2].len = HEADER - 1;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	igb_buffer_pair(1, frames + 2);
	frames[2].iova |= 1; /* where the device's done bit is */
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	igb_buffer_pair(1, frames + 2);
	frames[2].flags = WEIR_FRAME_HEADER;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	igb_buffer_pair(1, frames + 2);
	frames[3].flags = WEIR_FRAME_MORE;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	igb_buffer_pair(1, frames + 2);
	frames[3].len = BUFFER - 1;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	assert_int_equal(f.rx_tail, 1);
	igb_fixture_stop(&f);
}

/* What a device may not write ends its queue, with words, and nothing else. */
static void impossible_write_backs_break_the_queue(void **state)
{
	static const struct {
		const char *words;
		uint64_t first;
		uint32_t status;
		uint16_t length;
		unsigned int header_bytes;
		unsigned int before; /* full descriptors of the same packet */
	} cases[] = {
		{ "more bytes than its buffer holds", 0, DONE, BUFFER + 1, 0, 0 },
		{ "more bytes than its buffer holds", 0, DONE, 0xffff, 0, 0 },
		{ "more bytes than its buffer holds", 0, IGB_RXD_DD, BUFFER + 1, 0, 0 },
		{ "more bytes than its buffer holds", 0, DONE, BUFFER + 1, 0, 1 },
		{ "a buffer that is not full", 0, IGB_RXD_DD, BUFFER - 1, 0, 0 },
		{ "a buffer that is not full", 0, IGB_RXD_DD, 0, 0, 2 },
		{ "an empty packet", 0, DONE, 0, 0, 0 },
		{ "longer than any may be", 0, DONE, BUFFER, 0, 4 },
		{ "longer than any may be", 0, IGB_RXD_DD, BUFFER, 0, 4 },
		{ "more header than its buffer holds", HEADER_LENGTH(HEADER + 1), DONE, 0, HEADER,
		  0 },
		{ "more header than its buffer holds", HEADER_LENGTH(1023), DONE, 0, HEADER, 0 },
		{ "more bytes than its buffer holds", HEADER_LENGTH(14), DONE, BUFFER + 1, HEADER,
		  0 },
		{ "an empty packet", 0, DONE, 0, HEADER, 0 },
		{ "longer than any may be", 0, DONE, BUFFER, HEADER, 4 },
	};
	struct weir_frame got[2 * ENTRIES], frame = igb_buffer(99);
	struct igb_fixture f;

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned int each = cases[i].header_bytes ? 2 : 1;
		struct weir_error why;
		uint64_t cookie;

		igb_fixture_start(&f, ENTRIES, cases[i].header_bytes, false);
		igb_post(&f, 0, 10);
		igb_fixture_receive(&f, HEADER_LENGTH(cases[i].header_bytes ? 14 : 0), DONE, 60, 0);
		for (unsigned int k = 0; k < cases[i].before; k++)
			igb_fixture_receive(&f, HEADER_LENGTH(cases[i].header_bytes ? 14 : 0),
					    IGB_RXD_DD, BUFFER, 0);
		igb_fixture_receive(&f, cases[i].first, cases[i].status, cases[i].length, 0);

		/* what came before is good */
		assert_int_equal(weir_nic_rx(f.rxq, got, 2 * ENTRIES),
				 each * (1 + cases[i].before));
		assert_int_equal(weir_nic_rx(f.rxq, got, 2 * ENTRIES), -EIO);
		assert_int_equal(weir_nic_rx(f.rxq, got, 2 * ENTRIES), -EIO);
		assert_int_equal(weir_nic_rx_post(f.rxq, &frame, 1), -EIO);
		weir_nic_failure(&f.igb.nic, &why);
		assert_int_equal(why.code, -EIO);
		if (!strstr(why.text, cases[i].words) || !strstr(f.failure.text, "receive queue 0"))
			fail_msg("'%s' has no '%s'", why.text, cases[i].words);

		/* the other queue works */
		assert_int_equal(
			weir_nic_tx(f.txq, &(struct weir_frame){ .iova = 1, .len = 60 }, 1), 1);
		assert_int_equal(weir_nic_tx_done(f.txq, &cookie, 1, NULL), 0);

		igb_fixture_quiesce(&f);
		igb_check_drained(&f, 1 + cases[i].before, 9 - cases[i].before);
		igb_fixture_restart(&f);
		igb_post(&f, 0, 1);
		igb_fixture_receive(&f, HEADER_LENGTH(cases[i].header_bytes ? 14 : 0), DONE, 60, 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, 2), each);
		igb_fixture_stop(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_are_received),
		cmocka_unit_test(flags_are_those_of_the_device),
		cmocka_unit_test(long_packets_are_chained),
		cmocka_unit_test(headers_are_split),
		cmocka_unit_test(wrong_frames_are_not_posted),
		cmocka_unit_test(impossible_write_backs_break_the_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
