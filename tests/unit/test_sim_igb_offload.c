/* SPDX-License-Identifier: BSD-3-Clause */
/* What the emulated 82576 computes: checksums, segments, tags, and what it says of frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base.h"
#include "sim_igb_frames.h"
#include "sim_igb_host.h"

#define IP_ADDRESSES \
	.source = { 10, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 }, \
	.destination = { 192, 168, 4, 5, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36 }, \
	.source_port = 40000, .destination_port = 80

static struct nic nics[2];
static struct nic_frame got;
static uint8_t frame[80000];

static int setup(void **state)
{
	(void)state;
	nic_open_pair(nics, NULL, false);
	nic_write(&nics[1], IGB_RXCSUM, IGB_RXCSUM_IPOFLD | IGB_RXCSUM_TUOFLD | IGB_RXCSUM_CRCOFL);
	nic_fill(&nics[1], 0, NIC_ENTRIES - 1);
	return 0;
}

static int setup_lossless(void **state)
{
	(void)state;
	nic_open_pair(nics, NULL, true);
	nic_fill(&nics[1], 0, NIC_ENTRIES - 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nic_close_pair(nics);
	return 0;
}

static uint32_t make(const struct frame_kind *kind)
{
	return frame_make(kind, nics[1].mac, nics[0].mac, frame);
}

/* The context for a frame, without a tag to insert. */
static void put_context(const struct frame_kind *kind, uint32_t mss, uint16_t tag)
{
	uint32_t l3 = frame_l3(kind), types = kind->v6 ? 0 : IGB_CONTEXT_IPV4;
	uint32_t l4 = kind->protocol == FRAME_TCP   ? IGB_L4_TCP
		      : kind->protocol == FRAME_UDP ? IGB_L4_UDP
						    : IGB_L4_SCTP;

	nic_context(&nics[0], 0, 1, (frame_l4(kind) - l3) | l3 << 9 | (uint32_t)tag << 16,
		    types | l4 << IGB_CONTEXT_L4_SHIFT, frame_l4_bytes(kind) << 8 | mss << 16);
}

#define OPTIONS (IGB_TX_IXSM | IGB_TX_TXSM | 1u << IGB_TX_CONTEXT_SHIFT)

static const struct frame_kind kinds[] = {
	{ .protocol = FRAME_TCP, .payload = 100, IP_ADDRESSES },
	{ .protocol = FRAME_TCP, .payload = 1001, .options = 8, IP_ADDRESSES },
	{ .protocol = FRAME_UDP, .payload = 333, IP_ADDRESSES },
	{ .protocol = FRAME_UDP, .payload = 100, .tag = 0x6123, IP_ADDRESSES },
	{ .v6 = true, .protocol = FRAME_TCP, .payload = 999, IP_ADDRESSES },
	{ .v6 = true, .protocol = FRAME_UDP, .payload = 77, .options = 16, IP_ADDRESSES },
	{ .v6 = true, .protocol = FRAME_TCP, .payload = 30, .tag = 7, IP_ADDRESSES },
};

static uint32_t types_of(const struct frame_kind *kind)
{
	uint32_t types = kind->v6 ? IGB_RX_TYPE_IPV6 : IGB_RX_TYPE_IPV4;

	if (kind->options)
		types |= kind->v6 ? IGB_RX_TYPE_IPV6_EXTENSIONS : IGB_RX_TYPE_IPV4_OPTIONS;
	return types | (kind->protocol == FRAME_TCP ? IGB_RX_TYPE_TCP : IGB_RX_TYPE_UDP);
}

/* Inserted by one controller, found right by the other and by this test. */
static void test_checksums(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct frame_kind *kind = &kinds[i];
		uint32_t bytes = make(kind), l4 = frame_l4(kind), status;

		frame_put16(frame + frame_checksum_at(kind), frame_pseudo(kind, bytes - l4));
		put_context(kind, 0, 0);
		assert_true(nic_send(&nics[0], frame, bytes, 0, OPTIONS));
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.bytes, bytes);
		assert_true(frame_ip_right(kind, got.data));
		assert_true(frame_l4_right(kind, got.data, bytes));
		status = IGB_RX_L4CS | (kind->v6 ? 0 : IGB_RX_IPCS);
		if (kind->protocol == FRAME_UDP)
			status |= IGB_RX_UDPCS;
		assert_int_equal(got.status, IGB_RX_DD | IGB_RX_EOP | status);
		assert_int_equal(got.info, types_of(kind));
	}
}

/* Frames with right checksums, then with one bit of IP's or of the payload wrong. */
static void test_wrong_checksums(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct frame_kind *kind = &kinds[i];
		uint32_t bytes = make(kind);

		frame_finish(kind, frame, bytes);
		assert_true(nic_send(&nics[0], frame, bytes, 0, 0));
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_memory_equal(got.data, frame, bytes);
		assert_false(got.status & (IGB_RX_IPE | IGB_RX_L4E));
		frame[bytes - 1] ^= 0x10;
		nic_send(&nics[0], frame, bytes, 0, 0);
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.status & (IGB_RX_IPE | IGB_RX_L4E), IGB_RX_L4E);
		frame[frame_l3(kind) + 8] ^= 1; /* TTL, or a byte of the address */
		nic_send(&nics[0], frame, bytes, 0, 0);
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.status & IGB_RX_IPE, kind->v6 ? 0 : IGB_RX_IPE);
	}
}

/* What has no checksum, or none that can be looked at, is not said to be right. */
static void test_unchecked(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_UDP, .payload = 50, IP_ADDRESSES };
	uint32_t bytes = make(&kind);

	(void)state;
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.status & (IGB_RX_L4CS | IGB_RX_UDPCS | IGB_RX_L4E), 0);
	kind.fragment = 0x2000;
	bytes = make(&kind);
	frame_finish(&kind, frame, bytes);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.info, IGB_RX_TYPE_IPV4);
	assert_int_equal(got.status & (IGB_RX_IPCS | IGB_RX_L4CS), IGB_RX_IPCS);
	/* An IP header that is longer than the frame says is none. */
	frame[14] = 0x4f;
	frame_put16(frame + 16, 30);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.info, 0);
	nic_write(&nics[1], IGB_RXCSUM, 0);
	kind.fragment = 0;
	bytes = make(&kind);
	frame_finish(&kind, frame, bytes);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.status, IGB_RX_DD | IGB_RX_EOP);
	assert_int_equal(got.hash, 0x1234); /* the IP identification */
}

/* CRC32c of "123456789" is known; here over a header of zeroes and that text. */
static void test_sctp(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_SCTP, .payload = 100, IP_ADDRESSES };
	uint32_t bytes = make(&kind), crc = UINT32_MAX, l4 = frame_l4(&kind);

	(void)state;
	for (uint32_t i = l4; i < bytes; i++) {
		crc ^= frame[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	crc = ~crc;
	put_context(&kind, 0, 0);
	assert_true(nic_send(&nics[0], frame, bytes, 0, OPTIONS));
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_memory_equal(got.data + l4 + 8, &crc, 4);
	assert_int_equal(got.info, IGB_RX_TYPE_IPV4 | IGB_RX_TYPE_SCTP);
	assert_int_equal(got.status & (IGB_RX_L4CS | IGB_RX_L4E), IGB_RX_L4CS);
	memcpy(frame, got.data, bytes);
	frame[bytes - 1] ^= 1;
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.status & (IGB_RX_L4CS | IGB_RX_L4E), IGB_RX_L4CS | IGB_RX_L4E);
}

/* Sends a frame to be cut, from pieces. */
static void send_cut(uint32_t bytes, uint32_t payload, uint32_t command)
{
	uint32_t at = 0, piece = 1000;

	memcpy(nic_at(&nics[0], NIC_SEND), frame, bytes);
	while (at < bytes) {
		uint32_t part = bytes - at < piece ? bytes - at : piece;

		nic_put(&nics[0], 0, nic_iova(NIC_SEND + at),
			(NIC_SEND_COMMAND & ~IGB_TX_EOP) | IGB_TX_TSE | command | part |
				(at + part == bytes ? IGB_TX_EOP : 0),
			OPTIONS | payload << IGB_TX_PAYLOAD_SHIFT);
		at += part;
		piece = 4000;
	}
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
}

/* Every segment: lengths, sequence, flags, identification, checksums, payload. */
static void check_segments(const struct frame_kind *whole, uint32_t mss)
{
	uint32_t headers = frame_l4(whole) + frame_l4_bytes(whole), sent = 0;
	struct frame_kind kind = *whole;

	for (unsigned int i = 0; sent < whole->payload; i++) {
		uint32_t left = whole->payload - sent, part = left < mss ? left : mss;
		const uint8_t *ip = got.data + frame_l3(whole), *l4 = got.data + frame_l4(whole);

		kind.payload = part;
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.bytes, headers + part);
		assert_memory_equal(got.data + headers, frame + headers + sent, part);
		assert_true(frame_ip_right(&kind, got.data));
		assert_true(frame_l4_right(&kind, got.data, got.bytes));
		if (whole->v6) {
			assert_int_equal(frame_get16(ip + 4), got.bytes - frame_l3(whole) - 40);
		} else {
			assert_int_equal(frame_get16(ip + 2), got.bytes - frame_l3(whole));
			assert_int_equal(frame_get16(ip + 4), 0x1234 + i);
		}
		if (whole->protocol == FRAME_TCP) {
			assert_int_equal(frame_get32(l4 + 4), 0xffffff00u + sent);
			assert_int_equal(l4[13], part == left ? 0x19 : 0x10);
		} else {
			assert_int_equal(frame_get16(l4 + 4), 8 + part);
		}
		sent += part;
		nic_fill(&nics[1], 0, 1);
		nic_turn(&nics[0]);
	}
	assert_false(nic_receive(&nics[1], 0, &got));
}

static void test_segmentation(void **state)
{
	static const struct frame_kind wholes[] = {
		{ .protocol = FRAME_TCP, .payload = 60000, IP_ADDRESSES },
		{ .protocol = FRAME_TCP, .payload = 2896, .options = 8, IP_ADDRESSES },
		{ .v6 = true, .protocol = FRAME_TCP, .payload = 50001, IP_ADDRESSES },
		{ .protocol = FRAME_UDP, .payload = 7000, IP_ADDRESSES },
		{ .protocol = FRAME_TCP, .payload = 5000, .tag = 5, IP_ADDRESSES },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(wholes); i++) {
		const struct frame_kind *kind = &wholes[i];
		uint32_t bytes = make(kind);

		frame_put16(frame + frame_checksum_at(kind), frame_pseudo(kind, 0));
		put_context(kind, 1400, 0);
		send_cut(bytes, kind->payload, 0);
		check_segments(kind, 1400);
	}
	assert_int_equal(nic_read(&nics[0], IGB_TSCTC), ARRAY_SIZE(wholes));
}

/* The most that a context can say: 127, 511 and 255 bytes of headers, 18 bits of payload. */
static void test_longest(void **state)
{
	const uint32_t headers = 127 + 511 + 255, payload = (1 << 18) - 1, mss = 8000;
	uint8_t *data = nic_at(&nics[0], NIC_SEND);
	uint32_t at = 0, sent = 0;

	(void)state;
	nic_write(&nics[1], IGB_RCTL, nic_read(&nics[1], IGB_RCTL) | IGB_RCTL_LPE | IGB_RCTL_UPE);
	for (uint32_t i = 0; i < headers + payload; i++)
		data[i] = (uint8_t)(i * 5 + i / 1000);
	data[0] = 2;
	nic_context(&nics[0], 0, 1, 511 | 127u << 9, IGB_L4_TCP << IGB_CONTEXT_L4_SHIFT,
		    255u << 8 | mss << 16);
	while (at < headers + payload) {
		uint32_t left = headers + payload - at, part = left < 65535 ? left : 65535;

		nic_put(&nics[0], 0, nic_iova(NIC_SEND + at),
			(NIC_SEND_COMMAND & ~IGB_TX_EOP) | IGB_TX_TSE | part |
				(part == left ? IGB_TX_EOP : 0),
			OPTIONS | payload << IGB_TX_PAYLOAD_SHIFT);
		at += part;
	}
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
	while (sent < payload) {
		uint32_t left = payload - sent, part = left < mss ? left : mss;

		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.bytes, headers + part);
		assert_memory_equal(got.data + headers, data + headers + sent, part);
		nic_fill(&nics[1], 0, got.descriptors);
		nic_turn(&nics[0]);
		sent += part;
	}
}

/* More segments than the packet buffer holds, sent to a receiver that takes some at a time: the
 * rest waits. */
static void test_held_segmentation(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_TCP, .payload = 60000, IP_ADDRESSES };
	uint32_t headers = frame_l4(&kind) + 20, sent = 0, mss = 16, bytes = make(&kind);

	(void)state;
	frame_put16(frame + frame_checksum_at(&kind), frame_pseudo(&kind, 0));
	put_context(&kind, mss, 0);
	send_cut(bytes, kind.payload, 0);
	kind.payload = mss;
	while (sent < 60000) {
		unsigned int taken = 0;

		while (nic_receive(&nics[1], 0, &got)) {
			assert_int_equal(got.bytes, headers + mss);
			assert_memory_equal(got.data + headers, frame + headers + sent, mss);
			assert_true(frame_l4_right(&kind, got.data, got.bytes));
			sent += mss;
			taken++;
		}
		assert_true(taken > 0);
		nic_fill(&nics[1], 0, taken);
		nic_turn(&nics[0]);
	}
	assert_int_equal(sent, 60000);
	assert_int_equal(nic_read(&nics[0], IGB_GPTC), 60000 / mss);
	assert_int_equal(nic_read(&nics[0], IGB_TSCTC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
}

/* The tag is inserted, into segments too, taken off, and filtered by. */
static void test_vlan(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_TCP, .payload = 100, IP_ADDRESSES };
	uint32_t bytes = make(&kind);

	(void)state;
	frame_finish(&kind, frame, bytes);
	put_context(&kind, 0, 0xa123);
	assert_true(nic_send(&nics[0], frame, bytes, IGB_TX_VLE, 1u << IGB_TX_CONTEXT_SHIFT));
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, bytes + 4);
	assert_memory_equal(got.data, frame, 12);
	assert_memory_equal(got.data + 12, "\x81\x00\xa1\x23", 4);
	assert_memory_equal(got.data + 16, frame + 12, bytes - 12);
	assert_int_equal(got.status & (IGB_RX_VP | IGB_RX_L4CS), IGB_RX_L4CS);

	nic_write(&nics[1], IGB_CTRL, nic_read(&nics[1], IGB_CTRL) | IGB_CTRL_VME);
	put_context(&kind, 0, 0xa123);
	nic_send(&nics[0], frame, bytes, IGB_TX_VLE, 1u << IGB_TX_CONTEXT_SHIFT);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, bytes);
	assert_memory_equal(got.data, frame, bytes);
	assert_true(got.status & IGB_RX_VP);
	assert_int_equal(got.tag, 0xa123);

	/* A filter without it, then with it; a frame without a tag passes. */
	nic_write(&nics[1], IGB_RCTL, nic_read(&nics[1], IGB_RCTL) | IGB_RCTL_VFE);
	put_context(&kind, 0, 0xa123);
	nic_send(&nics[0], frame, bytes, IGB_TX_VLE, 1u << IGB_TX_CONTEXT_SHIFT);
	assert_false(nic_receive(&nics[1], 0, &got));
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	nic_write(&nics[1], IGB_VFTA + 4 * (0x123 >> 5), 1u << (0x123 & 31));
	put_context(&kind, 0, 0xa123);
	nic_send(&nics[0], frame, bytes, IGB_TX_VLE, 1u << IGB_TX_CONTEXT_SHIFT);
	assert_true(nic_receive(&nics[1], 0, &got));
}

/* A legacy descriptor: checksum from CSS to the end at CSO, and its own tag. */
static void test_legacy(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_TCP, .payload = 64, IP_ADDRESSES };
	uint32_t bytes = make(&kind), l4 = frame_l4(&kind);

	(void)state;
	frame_put16(frame + l4 + 16, frame_pseudo(&kind, bytes - l4));
	memcpy(nic_at(&nics[0], NIC_SEND), frame, bytes);
	nic_put(&nics[0], 0, nic_iova(NIC_SEND),
		IGB_TX_EOP | IGB_TX_IFCS | IGB_TX_RS | IGB_TX_LEGACY_IC | IGB_TX_VLE |
			(l4 + 16) << 16 | bytes,
		0x0456u << 16 | l4 << 8);
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_memory_equal(got.data + 12, "\x81\x00\x04\x56", 4);
	memmove(got.data + 12, got.data + 16, got.bytes - 16);
	assert_true(frame_l4_right(&kind, got.data, bytes));
}

/* The FCS: kept on request, and wrong when software made it so. */
static void test_fcs(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_TCP, .payload = 64, IP_ADDRESSES };
	uint32_t bytes = make(&kind), rctl = nic_read(&nics[1], IGB_RCTL);

	(void)state;
	nic_write(&nics[1], IGB_RCTL, rctl & ~IGB_RCTL_SECRC);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, bytes + 4);
	/* Sent again as it came, FCS and all, it is right; and with another FCS wrong. */
	memcpy(nic_at(&nics[0], NIC_SEND), got.data, got.bytes);
	for (unsigned int i = 0; i < 2; i++) {
		nic_put(&nics[0], 0, nic_iova(NIC_SEND),
			(NIC_SEND_COMMAND & ~IGB_TX_IFCS) | got.bytes, 0);
		nic_ring(&nics[0], 0);
		nic_turn(&nics[0]);
		assert_int_equal(nic_receive(&nics[1], 0, &got), !i);
		assert_int_equal(nic_read(&nics[1], IGB_CRCERRS), i);
		got.bytes = bytes + 4;
		*(uint8_t *)nic_at(&nics[0], NIC_SEND + bytes) ^= 1;
	}
	/* Stored when bad frames are wanted. */
	nic_write(&nics[1], IGB_RCTL, rctl | IGB_RCTL_SBP);
	*(uint8_t *)nic_at(&nics[0], NIC_SEND + bytes) ^= 2;
	nic_put(&nics[0], 0, nic_iova(NIC_SEND), (NIC_SEND_COMMAND & ~IGB_TX_IFCS) | (bytes + 4),
		0);
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_true(got.status & IGB_RX_RXE);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 2);
}

static void test_jumbo(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_UDP, .payload = 8900, IP_ADDRESSES };
	uint32_t bytes = make(&kind);

	(void)state;
	frame_finish(&kind, frame, bytes);
	/* Too long without LPE. */
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_false(nic_receive(&nics[1], 0, &got));
	assert_int_equal(nic_read(&nics[1], IGB_ROC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_RLEC), 1);
	nic_write(&nics[1], IGB_RCTL, nic_read(&nics[1], IGB_RCTL) | IGB_RCTL_LPE);
	nic_write(&nics[1], IGB_RLPML, bytes + 4);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, bytes);
	assert_int_equal(got.descriptors, 5);
	assert_memory_equal(got.data, frame, bytes);
	assert_true(got.status & IGB_RX_L4CS && !(got.status & IGB_RX_L4E));
	nic_write(&nics[1], IGB_RLPML, bytes + 3);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_false(nic_receive(&nics[1], 0, &got));
	assert_int_equal(nic_read(&nics[1], IGB_ROC), 1);
}

static void restart_split(uint32_t type)
{
	nics[1].rx_type = type;
	nic_queue_write(&nics[1], false, 0, NIC_REG(control), 0);
	nic_read(&nics[1], IGB_STATUS);
	nic_rx_queue(&nics[1], 0);
	nic_fill(&nics[1], 0, 40);
}

/* Headers in the header buffer, of 256 bytes, and the payload in the other. */
static void test_split(void **state)
{
	struct frame_kind kind = { .protocol = FRAME_TCP, .payload = 1000, IP_ADDRESSES };
	uint32_t bytes = make(&kind), headers = frame_l4(&kind) + 20;
	uint32_t first;

	(void)state;
	nic_write(&nics[1], IGB_PSRTYPE, 0x7effe);
	restart_split(IGB_DESC_SPLIT_ALWAYS);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.header_bytes, headers);
	assert_int_equal(got.bytes, bytes);
	assert_memory_equal(got.data, frame, bytes);
	/* One that fits in the header buffer as a whole is there. */
	kind.payload = 50;
	bytes = make(&kind);
	first = nics[1].rx[0].next;
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, 0);
	assert_int_equal(got.info >> IGB_RX_HEADER_SHIFT, bytes);
	assert_memory_equal(nic_at(&nics[1], NIC_HEADER_BUFFER(0, first)), frame, bytes);
	/* No headers that are asked for: as much as the header buffer holds. */
	nic_write(&nics[1], IGB_PSRTYPE, 0);
	kind.payload = 1000;
	bytes = make(&kind);
	first = nics[1].rx[0].next;
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.info >> IGB_RX_HEADER_SHIFT, 256);
	assert_int_equal(got.bytes, bytes - 256);
	assert_memory_equal(nic_at(&nics[1], NIC_HEADER_BUFFER(0, first)), frame, 256);
	assert_memory_equal(got.data, frame + 256, bytes - 256);

	/* Replicated: the header in both. */
	nic_write(&nics[1], IGB_PSRTYPE, 0x7effe);
	restart_split(IGB_DESC_REPLICATE);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, headers + bytes);
	assert_memory_equal(got.data, frame, headers);
	assert_memory_equal(got.data + headers, frame, bytes);
	/* Split only when there is something to split. */
	restart_split(IGB_DESC_SPLIT);
	frame_put16(frame + 12, 0x88b5);
	nic_send(&nics[0], frame, bytes, 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.header_bytes, 0);
	assert_int_equal(got.bytes, bytes);
}

/* Headers that are longer than their buffer. */
static void test_long_headers(void **state)
{
	struct frame_kind kind = {
		.v6 = true, .protocol = FRAME_UDP, .payload = 900, .options = 256, IP_ADDRESSES
	};
	uint32_t bytes = make(&kind), headers = frame_l4(&kind) + 8;

	(void)state;
	nic_write(&nics[1], IGB_PSRTYPE, 0x7effe);
	restart_split(IGB_DESC_SPLIT_ALWAYS);
	nic_send(&nics[0], frame, bytes, 0, 0);
	nic_turn(&nics[0]);
	{
		const uint64_t *desc = nic_at(&nics[1], NIC_RX_RING(0));

		assert_int_equal((uint32_t)desc[0] >> IGB_RX_HEADER_SHIFT & 0x3ff, headers);
		assert_true(desc[0] & IGB_RX_SPH);
		assert_true(desc[1] & IGB_RX_HBO);
		assert_int_equal(desc[1] >> 32 & 0xffff, bytes - 256);
	}
	assert_memory_equal(nic_at(&nics[1], NIC_HEADER_BUFFER(0, 0)), frame, 256);
	assert_memory_equal(nic_at(&nics[1], NIC_RX_BUFFER(0, 0)), frame + 256, bytes - 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_checksums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_checksums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unchecked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sctp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segmentation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_longest, setup_lossless, teardown),
		cmocka_unit_test_setup_teardown(test_held_segmentation, setup_lossless, teardown),
		cmocka_unit_test_setup_teardown(test_vlan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_legacy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fcs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jumbo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_headers, setup, teardown),
	};

	return cmocka_run_group_tests_name("sim_igb_offload", tests, NULL, NULL);
}
