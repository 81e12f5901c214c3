/* SPDX-License-Identifier: BSD-3-Clause */
/* The igb driver's burst calls, with the test as the device: right and wrong write-backs. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fake_device.h"
#include "igb_fixture.h"

#define ENTRIES 32u
#define MOST (ENTRIES - 1)
#define BUFFER 2048u
#define HEADER 128u
#define DONE (IGB_RXD_DD | IGB_RXD_EOP)
#define IOVA(n) (UINT64_C(0x100000000) + (n) * (uint64_t)4096)
#define COOKIE(n) (UINT64_C(0xc000) + (n))
#define HEADER_LENGTH(n) ((uint64_t)(n) << 21)
#define PLAIN_FLAGS (WEIR_NIC_HASH_TCP4 | WEIR_FRAME_IP4 | WEIR_FRAME_TCP)

static struct weir_frame buffer(unsigned int n)
{
	return (struct weir_frame){ .iova = IOVA(n), .cookie = COOKIE(n), .len = BUFFER };
}

/* With header split: the frame for headers is an odd one. */
static void pair(unsigned int n, struct weir_frame frames[2])
{
	frames[0] = buffer(2 * n + 1);
	frames[0].len = HEADER;
	frames[0].flags = WEIR_FRAME_HEADER | WEIR_FRAME_MORE;
	frames[1] = buffer(2 * n);
}

static void post(struct igb_fixture *f, unsigned int first, unsigned int n)
{
	struct weir_frame frames[2 * ENTRIES];

	if (f->rx->header_bytes) {
		for (unsigned int i = 0; i < n; i++)
			pair(first + i, &frames[2 * i]);
		assert_int_equal(weir_nic_rx_post(f->rxq, frames, 2 * n), 2 * n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		frames[i] = buffer(first + i);
	assert_int_equal(weir_nic_rx_post(f->rxq, frames, n), n);
}

static void check_frame(const struct weir_frame *frame, unsigned int n, uint32_t len,
			uint32_t flags)
{
	assert_int_equal(frame->iova, IOVA(n));
	assert_int_equal(frame->cookie, COOKIE(n));
	assert_int_equal(frame->len, len);
	assert_int_equal(frame->flags, flags);
}

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
			frames[i] = buffer(posted + i);
		assert_int_equal(weir_nic_rx_post(f.rxq, frames, n), most);
		posted += most;
		for (unsigned int i = received; i < posted; i++)
			assert_true(igb_fixture_receive(&f,
							UINT64_C(0x1234abcd00000000) | PLAIN_FLAGS,
							DONE, (uint16_t)(60 + i % 1500), 0));
		assert_false(igb_fixture_receive(&f, 0, DONE, 60, 0));
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), posted - received);
		for (unsigned int i = 0; received < posted; i++, received++) {
			check_frame(&got[i], received, 60 + received % 1500, PLAIN_FLAGS);
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
		post(&f, i, 1);
		assert_true(
			igb_fixture_receive(&f, cases[i].first, cases[i].status | DONE, 60, 0xabc));
		assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
		check_frame(&got[0], i, 60, cases[i].flags);
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
		post(&f, 0, 5);
		igb_fixture_receive(&f, PLAIN_FLAGS, DONE, 100, 0);
		igb_fixture_receive(&f, 0, IGB_RXD_DD, BUFFER, 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 2);
		check_frame(&got[0], 0, 100, PLAIN_FLAGS);
		check_frame(&got[1], 1, BUFFER, WEIR_FRAME_MORE);
		igb_fixture_receive(&f, 0, IGB_RXD_DD, BUFFER, 0);
		igb_fixture_receive(&f, PLAIN_FLAGS | UINT64_C(7) << 32, DONE | 1u << 3, 1, 5);
		igb_fixture_receive(&f, 0, DONE, 60, 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 3);
		check_frame(&got[0], 2, BUFFER, WEIR_FRAME_MORE);
		check_frame(&got[1], 3, 1, PLAIN_FLAGS | WEIR_FRAME_VLAN);
		assert_int_equal(got[1].vlan, 5);
		assert_int_equal(got[1].hash, 7);
		check_frame(&got[2], 4, 60, 0);
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
		post(&f, 0, 7);
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
		check_frame(&got[0], 1, 54, header);
		check_frame(&got[1], 0, 1000, PLAIN_FLAGS | WEIR_FRAME_DEVICE);
		assert_int_equal(weir_nic_rx(f.rxq, got, 4), 4);
		check_frame(&got[0], 3, 60, header);
		check_frame(&got[1], 2, 0, WEIR_FRAME_DEVICE);
		check_frame(&got[2], 5, HEADER, header);
		check_frame(&got[3], 4, 500, WEIR_FRAME_DEVICE);
		assert_int_equal(weir_nic_rx(f.rxq, got, 4), 4);
		check_frame(&got[0], 7, 54, header);
		check_frame(&got[1], 6, BUFFER, WEIR_FRAME_DEVICE | WEIR_FRAME_MORE);
		check_frame(&got[2], 9, 0, header);
		check_frame(&got[3], 8, 7, PLAIN_FLAGS | WEIR_FRAME_DEVICE);
		assert_int_equal(weir_nic_rx(f.rxq, got, 4), 4);
		check_frame(&got[0], 11, HEADER, header);
		check_frame(&got[1], 10, BUFFER, WEIR_FRAME_DEVICE | WEIR_FRAME_MORE);
		check_frame(&got[2], 13, 0, header);
		check_frame(&got[3], 12, 7, WEIR_FRAME_DEVICE);
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
		frames[i] = buffer(i);
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
	pair(0, frames);
	pair(1, frames + 2);
	assert_int_equal(weir_nic_rx_post(f.rxq, frames, 3), 2);
	frames[2].len = HEADER - 1;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	pair(1, frames + 2);
	frames[2].iova |= 1; /* where the device's done bit is */
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	pair(1, frames + 2);
	frames[2].flags = WEIR_FRAME_HEADER;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	pair(1, frames + 2);
	frames[3].flags = WEIR_FRAME_MORE;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	pair(1, frames + 2);
	frames[3].len = BUFFER - 1;
	assert_int_equal(weir_nic_rx_post(f.rxq, frames + 2, 2), -EINVAL);
	assert_int_equal(f.rx_tail, 1);
	igb_fixture_stop(&f);
}

/* All of a queue's posted frames come back unused, once each, and then it is parked. */
static void check_drained(struct igb_fixture *f, unsigned int first, unsigned int n)
{
	struct weir_frame got[3];
	const unsigned int each = f->rx->header_bytes ? 2 : 1;
	unsigned int seen = 0;
	int rc;

	while ((rc = weir_nic_rx(f->rxq, got, 1 + seen % 3)) > 0) {
		for (int i = 0; i < rc; i++, seen++) {
			unsigned int at = first + seen / each;
			bool is_header = each == 2 && seen % 2 == 0;

			check_frame(&got[i], each == 2 ? 2 * at + is_header : at, 0,
				    WEIR_FRAME_UNUSED |
					    (is_header ? WEIR_FRAME_HEADER | WEIR_FRAME_MORE : 0));
		}
	}
	assert_int_equal(rc, 0);
	assert_int_equal(seen, n * each);
	assert_int_equal(atomic_load(&f->rxqs[0]->control), NIC_PARKED);
	assert_int_equal(weir_nic_rx(f->rxq, got, 3), 0);
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
	struct weir_frame got[2 * ENTRIES], frame = buffer(99);
	struct igb_fixture f;

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned int each = cases[i].header_bytes ? 2 : 1;
		struct weir_error why;
		uint64_t cookie;

		igb_fixture_start(&f, ENTRIES, cases[i].header_bytes, false);
		post(&f, 0, 10);
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
		check_drained(&f, 1 + cases[i].before, 9 - cases[i].before);
		igb_fixture_restart(&f);
		post(&f, 0, 1);
		igb_fixture_receive(&f, HEADER_LENGTH(cases[i].header_bytes ? 14 : 0), DONE, 60, 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, 2), each);
		igb_fixture_stop(&f);
	}
}

static struct weir_frame plain(unsigned int n)
{
	return (struct weir_frame){ .iova = IOVA(n), .cookie = COOKIE(n), .len = 60 + n % 1000 };
}

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
			frames[i] = plain(sent + i);
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
	struct weir_frame frames[3] = { plain(0), plain(1), plain(2) };
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
		frames[i] = plain(i);
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
	struct weir_frame frame = plain(n);

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
						plain(2) };

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
		struct weir_frame frame = plain(i);

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
			frames[k] = plain(k);
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
		struct weir_frame frames[4] = { plain(0), plain(1), plain(2), plain(3) };
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

/* After a stop every frame comes back once: what was done as done, the rest as it is. */
static void a_stop_gives_everything_back(void **state)
{
	struct weir_frame frames[10], got[ENTRIES];
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	for (unsigned int turn = 0; turn < 10; turn++) {
		post(&f, 0, 8);
		igb_fixture_receive(&f, 0, DONE, 60, 0);
		igb_fixture_receive(&f, 0, IGB_RXD_DD, BUFFER, 0);
		for (unsigned int i = 0; i < 10; i++)
			frames[i] = plain(i);
		frames[4].len = 0;
		assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
		assert_int_equal(weir_nic_tx(f.txq, frames + 3, 7), 7);
		for (unsigned int i = 0; i < 3; i++)
			igb_fixture_send(&f, desc, true);
		igb_fixture_quiesce(&f);

		assert_int_equal(weir_nic_rx_room(f.rxq), 0);
		assert_int_equal(weir_nic_tx_room(f.txq), 0);
		assert_int_equal(weir_nic_rx_post(f.rxq, frames, 1), 0);
		assert_int_equal(weir_nic_tx(f.txq, frames, 1), 0);
		assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 2);
		check_frame(&got[0], 0, 60, 0);
		check_frame(&got[1], 1, BUFFER, WEIR_FRAME_MORE);
		check_drained(&f, 2, 6);

		assert_int_equal(weir_nic_tx_done(f.txq, cookies, 3, &unsent), 3);
		assert_int_equal(unsent, 0);
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 1);
		assert_int_equal(unsent, 1); /* the malformed one */
		assert_int_equal(cookies[0], COOKIE(4));
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 6);
		assert_int_equal(unsent, 6);
		assert_int_equal(cookies[0], COOKIE(3));
		assert_int_equal(cookies[5], COOKIE(9));
		/* the last one parks the queue */
		assert_int_equal(atomic_load(&f.txqs[0]->control), NIC_PARKED);
		assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 0);
		igb_fixture_restart(&f);
	}
	igb_fixture_stop(&f);
}

/* Completions behind a gap, and such that come after the stop: what has once been passed over as
 * unused, or unsent, is followed by nothing else, and nothing comes back twice. */
static void a_drain_that_has_begun_goes_on(void **state)
{
	struct weir_frame frames[3] = { plain(0), plain(1), plain(2) }, got[ENTRIES];
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	post(&f, 0, 4);
	igb_fixture_receive(&f, 0, 0, 60, 0);
	igb_fixture_receive(&f, 0, DONE, 60, 0);
	assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
	assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
	while (igb_fixture_send(&f, desc, false))
		;
	igb_fixture_quiesce(&f);

	assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
	check_frame(&got[0], 0, 0, WEIR_FRAME_UNUSED);
	assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 3);
	for (unsigned int i = 0; i < 3; i++)
		check_frame(&got[i], 1 + i, 0, WEIR_FRAME_UNUSED);
	assert_int_equal(atomic_load(&f.rxqs[0]->control), NIC_PARKED);

	assert_int_equal(weir_nic_tx_done(f.txq, cookies, 4, &unsent), 4);
	assert_int_equal(unsent, 4);
	((uint64_t *)&f.tx->ring[2])[1] |= IGB_TXD_DD;
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 2);
	assert_int_equal(unsent, 2);
	assert_int_equal(cookies[0], COOKIE(1));
	assert_int_equal(cookies[1], COOKIE(2));
	assert_int_equal(atomic_load(&f.txqs[0]->control), NIC_PARKED);

	/* and the next stop begins with what is completed again */
	igb_fixture_restart(&f);
	post(&f, 0, 2);
	igb_fixture_receive(&f, 0, DONE, 60, 0);
	igb_fixture_quiesce(&f);
	assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 1);
	check_frame(&got[0], 0, 60, 0);
	check_drained(&f, 1, 1);
	igb_fixture_stop(&f);
}

/* The owner may count: with the last of its frames its queue is parked, also when that was
 * completed before the stop. */
static void the_last_frame_parks_the_queue(void **state)
{
	struct weir_frame frames[2] = { plain(0), plain(1) }, got[ENTRIES];
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	post(&f, 0, 2);
	while (igb_fixture_receive(&f, 0, DONE, 60, 0))
		;
	assert_int_equal(weir_nic_tx(f.txq, frames, 2), 2);
	while (igb_fixture_send(&f, desc, true))
		;
	igb_fixture_quiesce(&f);
	assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
	assert_int_equal(atomic_load(&f.rxqs[0]->control), NIC_QUIESCE);
	assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
	check_frame(&got[0], 1, 60, 0);
	assert_int_equal(atomic_load(&f.rxqs[0]->control), NIC_PARKED);
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, 1, &unsent), 1);
	assert_int_equal(atomic_load(&f.txqs[0]->control), NIC_QUIESCE);
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, 1, &unsent), 1);
	assert_int_equal(unsent, 0);
	assert_int_equal(atomic_load(&f.txqs[0]->control), NIC_PARKED);
	igb_fixture_stop(&f);
}

/* A device that is gone: what it left in the rings does not count, and frames come back once. */
static void a_lost_device_gives_everything_back(void **state)
{
	struct weir_frame frames[4] = { plain(0), plain(1), plain(2), plain(3) }, got[ENTRIES];
	struct weir_error why = { .code = -ENODEV, .text = "unplugged" }, told;
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	post(&f, 0, 4);
	assert_int_equal(weir_nic_tx(f.txq, frames, 4), 4);
	while (igb_fixture_receive(&f, 0, DONE, 60, 0))
		;
	while (igb_fixture_send(&f, desc, true))
		;
	nic_fail(&f.igb.nic, &why);
	assert_false(fake_device_bus_master());
	assert_int_equal(weir_nic_rx_post(f.rxq, got, 1), -ENODEV);
	assert_int_equal(weir_nic_tx(f.txq, frames, 1), -ENODEV);
	assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 4);
	check_frame(&got[3], 3, 0, WEIR_FRAME_UNUSED);
	assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), -ENODEV);
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), 4);
	assert_int_equal(unsent, 4);
	assert_int_equal(weir_nic_tx_done(f.txq, cookies, ENTRIES, &unsent), -ENODEV);
	weir_nic_failure(&f.igb.nic, &told);
	assert_string_equal(told.text, "unplugged");
	igb_fixture_stop(&f);
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
		cmocka_unit_test(packets_are_sent),
		cmocka_unit_test(unreported_packets_stay),
		cmocka_unit_test(packets_of_several_frames_are_sent_whole),
		cmocka_unit_test(offloads_are_described),
		cmocka_unit_test(the_limits_are_taken),
		cmocka_unit_test(the_longest_chain_is_told),
		cmocka_unit_test(malformed_packets_come_back),
		cmocka_unit_test(a_stop_gives_everything_back),
		cmocka_unit_test(a_drain_that_has_begun_goes_on),
		cmocka_unit_test(the_last_frame_parks_the_queue),
		cmocka_unit_test(a_lost_device_gives_everything_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
