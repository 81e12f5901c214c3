/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated 82576's queues: which one a frame goes to, what happens when there is no room, and
 * what becomes of one that a client gets wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/base.h"
#include "igb/cable.h"
#include "sim_igb_frames.h"
#include "sim_igb_host.h"

static struct nic nics[2];
static struct nic_frame got;
static uint8_t frame[2000];

static int setup(void **state)
{
	(void)state;
	nic_open_pair(nics, NULL, false);
	return 0;
}

static int setup_lossless(void **state)
{
	(void)state;
	nic_open_pair(nics, NULL, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nic_close_pair(nics);
	return 0;
}

static uint32_t plain_frame(uint32_t bytes, uint8_t seed)
{
	memset(frame, seed, bytes);
	memcpy(frame, nics[1].mac, 6);
	memcpy(frame + 6, nics[0].mac, 6);
	frame_put16(frame + 12, 0x88b5);
	return bytes;
}

/* The vectors that are published with the definition of the hash. */
static const struct {
	struct frame_kind kind;
	uint32_t with_ports, without;
} vectors[] = {
	{ { .protocol = FRAME_TCP,
	    .payload = 20,
	    .source = { 66, 9, 149, 187 },
	    .destination = { 161, 142, 100, 80 },
	    .source_port = 2794,
	    .destination_port = 1766 },
	  0x51ccc178,
	  0x323e8fc2 },
	{ { .protocol = FRAME_TCP,
	    .payload = 20,
	    .source = { 199, 92, 111, 2 },
	    .destination = { 65, 69, 140, 83 },
	    .source_port = 14230,
	    .destination_port = 4739 },
	  0xc626b0ea,
	  0xd718262a },
	{ { .protocol = FRAME_TCP,
	    .payload = 20,
	    .source = { 24, 19, 198, 95 },
	    .destination = { 12, 22, 207, 184 },
	    .source_port = 12898,
	    .destination_port = 38024 },
	  0x5c2b394a,
	  0xd2d0a5de },
	{ { .v6 = true,
	    .protocol = FRAME_TCP,
	    .payload = 20,
	    .source = { 0x3f, 0xfe, 0x25, 0x01, 0x02, 0, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 7 },
	    .destination = { 0x3f, 0xfe, 0x25, 0x01, 0x02, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1 },
	    .source_port = 2794,
	    .destination_port = 1766 },
	  0x40207d3d,
	  0x2cc18cd5 },
	{ { .v6 = true,
	    .protocol = FRAME_TCP,
	    .payload = 20,
	    .source = { 0x3f, 0xfe, 0x05, 0x01, 0, 8, 0, 0, 2, 0x60, 0x97, 0xff, 0xfe, 0x40, 0xef,
			0xab },
	    .destination = { 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
	    .source_port = 14230,
	    .destination_port = 4739 },
	  0xdde51bbf,
	  0x0f0c461c },
};

static const uint8_t rss_key[IGB_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* All sixteen queues, and a table that sends entry i to queue i % 16. */
static void start_rss(struct nic *nic, uint32_t types)
{
	for (uint32_t i = 0; i < IGB_RSS_KEY_BYTES; i += 4) {
		uint32_t word;

		memcpy(&word, rss_key + i, 4);
		nic_write(nic, IGB_RSSRK + i, word);
	}
	for (uint32_t i = 0; i < IGB_RETA_ENTRIES; i += 4)
		nic_write(nic, IGB_RETA + i, 0x03020100 + i % 16 * 0x01010101u);
	for (unsigned int q = 0; q < IGB_QUEUES; q++) {
		if (q)
			nic_rx_queue(nic, q);
		nic_fill(nic, q, 30);
	}
	nic_write(nic, IGB_RXCSUM, IGB_RXCSUM_PCSD);
	nic_write(nic, IGB_MRQC, IGB_MRQC_RSS | types);
}

static void test_rss(void **state)
{
	static const uint32_t with = IGB_MRQC_TCP_IPV4 | IGB_MRQC_TCP_IPV6,
			      without = IGB_MRQC_IPV4 | IGB_MRQC_IPV6;

	(void)state;
	start_rss(&nics[1], with | without);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct frame_kind kind = vectors[i].kind;
		uint32_t bytes, queue;

		/* TCP, and UDP, whose ports are not asked for. */
		for (unsigned int udp = 0; udp < 2; udp++) {
			uint32_t hash = udp ? vectors[i].without : vectors[i].with_ports;
			unsigned int type = udp	      ? kind.v6 ? IGB_RSS_IPV6 : IGB_RSS_IPV4
					    : kind.v6 ? IGB_RSS_TCP_IPV6
						      : IGB_RSS_TCP_IPV4;

			kind.protocol = udp ? FRAME_UDP : FRAME_TCP;
			queue = hash % 16;
			bytes = frame_make(&kind, nics[1].mac, nics[0].mac, frame);
			assert_true(nic_send(&nics[0], frame, bytes, 0, 0));
			assert_true(nic_receive(&nics[1], queue, &got));
			assert_int_equal(got.hash, hash);
			assert_int_equal(got.info & 0xf, type);
			assert_int_equal(got.bytes, bytes);
			assert_int_equal(nic_read(&nics[1], IGB_QUEUE_STATS +
								    queue * IGB_QUEUE_STATS_STRIDE +
								    IGB_PQGPRC),
					 1);
		}
	}
	/* Neither IP nor hash: queue 0. */
	nic_send(&nics[0], frame, plain_frame(100, 0), 0, 0);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.info & 0xf, 0);
	assert_int_equal(got.hash, 0);
	/* Ports of UDP, with the same result as TCP's. */
	nic_write(&nics[1], IGB_MRQC, IGB_MRQC_RSS | IGB_MRQC_UDP_IPV4 | IGB_MRQC_UDP_IPV6);
	for (unsigned int i = 0; i < ARRAY_SIZE(vectors); i++) {
		struct frame_kind kind = vectors[i].kind;

		kind.protocol = FRAME_UDP;
		nic_send(&nics[0], frame, frame_make(&kind, nics[1].mac, nics[0].mac, frame), 0, 0);
		assert_true(nic_receive(&nics[1], vectors[i].with_ports % 16, &got));
		assert_int_equal(got.hash, vectors[i].with_ports);
		assert_int_equal(got.info & 0xf, kind.v6 ? IGB_RSS_UDP_IPV6 : IGB_RSS_UDP_IPV4);
	}
	/* Another key, another hash: the first four bytes swapped. */
	nic_write(&nics[1], IGB_RSSRK, 0x6d5a56da);
	nic_send(&nics[0], frame, 100, 0, 0);
	for (unsigned int q = 0; q < IGB_QUEUES; q++) {
		if (nic_receive(&nics[1], q, &got))
			assert_true(got.hash != vectors[ARRAY_SIZE(vectors) - 1].with_ports);
	}
}

/* A reset leaves queue 0 enabled. What comes before it has a ring waits, and where the ring lies
 * may be said to it as it is. */
static void test_enabled_queue(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		nic_write(&nics[i], IGB_CTRL, IGB_CTRL_RST);
		nic_write(&nics[i], IGB_CTRL, nic_read(&nics[i], IGB_CTRL) | IGB_CTRL_SLU);
		nic_write(&nics[i], IGB_RCTL, IGB_RCTL_RXEN | IGB_RCTL_BAM | IGB_RCTL_SECRC);
		nic_write(&nics[i], IGB_TCTL, IGB_TCTL_EN);
	}
	nic_tx_queue(&nics[0], 0);
	nic_turn(&nics[0]);
	assert_true(nic_send(&nics[0], frame, plain_frame(100, 1), 0, 0));
	nic_rx_queue(&nics[1], 0);
	assert_true(nic_send(&nics[0], frame, plain_frame(101, 2), 0, 0));
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 0);
	nic_fill(&nics[1], 0, 4);
	nic_turn(&nics[1]);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, 100);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, 101);
	assert_int_equal(nic_read(&nics[1], IGB_RX_QUEUES + NIC_REG(dropped)), 0);
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
}

/* Sixteen queues send. */
static void test_transmit_queues(void **state)
{
	(void)state;
	nic_fill(&nics[1], 0, 40);
	for (unsigned int q = 1; q < IGB_QUEUES; q++)
		nic_tx_queue(&nics[0], q);
	for (unsigned int q = 0; q < IGB_QUEUES; q++) {
		memcpy(nic_at(&nics[0], NIC_SEND + q * 256), frame,
		       plain_frame(100, (uint8_t)(q + 1)));
		memset(nic_at(&nics[0], NIC_SEND + q * 256 + 14), (int)q + 1, 86);
		nic_put(&nics[0], q, nic_iova(NIC_SEND + q * 256), NIC_SEND_COMMAND | 100, 0);
		nic_ring(&nics[0], q);
	}
	nic_turn(&nics[0]);
	for (unsigned int q = 0; q < IGB_QUEUES; q++) {
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.data[50], q + 1);
		assert_int_equal(nic_read(&nics[0], IGB_QUEUE_STATS + q * IGB_QUEUE_STATS_STRIDE +
							    IGB_PQGOTC),
				 104);
	}
}

/* Sends n frames, each from memory of its own, without looking whether they are sent. */
static void send_many(unsigned int n, uint32_t bytes)
{
	for (unsigned int i = 0; i < n; i++) {
		uint32_t place = NIC_SEND + i % NIC_ENTRIES * NIC_BUFFER_BYTES;

		memcpy(nic_at(&nics[0], place), frame, plain_frame(bytes, (uint8_t)i));
		nic_put(&nics[0], 0, nic_iova(place), NIC_SEND_COMMAND | bytes, 0);
		nic_ring(&nics[0], 0);
		nic_turn(&nics[0]);
	}
}

/* Frames for which there is no descriptor wait in the packet buffer; what it does not hold is
 * missed. Nothing else is lost, and everything is counted. */
static void test_overflow(void **state)
{
	const uint32_t bytes = 1500, fit = CABLE_BUFFER_BYTES / (16 + 1504);
	unsigned int received = 0;

	(void)state;
	nic_fill(&nics[1], 0, 10);
	send_many(400, bytes);
	assert_int_equal(nic_read(&nics[0], IGB_GPTC), 400);
	assert_int_equal(nic_read(&nics[1], IGB_RNBC), 1);
	/* Ten were received and made room, before the buffer was full. */
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 400 - 10 - fit);
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 10);
	/* What is never sent is not missed. */
	nic_put(&nics[0], 0, UINT64_MAX - 4095, NIC_SEND_COMMAND | bytes, 0);
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
	for (unsigned int i = 0; i < 20; i++) {
		while (nic_receive(&nics[1], 0, &got))
			assert_int_equal(got.data[100], (uint8_t)received++);
		nic_fill(&nics[1], 0, 10);
		nic_turn(&nics[0]);
	}
	assert_int_equal(received, 10 + fit);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), fit);
	assert_int_equal(nic_read(&nics[1], IGB_TPR), 400);
	assert_int_equal(nic_read(&nics[1], IGB_TORL), 400 * (bytes + 4));
}

/* Who sends waits, and nothing is lost. */
static void test_lossless(void **state)
{
	unsigned int received = 0;

	(void)state;
	nic_fill(&nics[1], 0, 10);
	send_many(200, 1500);
	/* The ring is full of what waits: its first descriptor is not done. */
	assert_true(nic_read(&nics[0], IGB_GPTC) < 200);
	for (unsigned int i = 0; i < 50; i++) {
		while (nic_receive(&nics[1], 0, &got))
			assert_int_equal(got.data[100], (uint8_t)received++);
		nic_fill(&nics[1], 0, 10);
		nic_turn(&nics[0]);
	}
	assert_int_equal(received, 200);
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
}

/* A queue that wants frames dropped does not hold up another. */
static void test_drop(void **state)
{
	uint32_t srrctl;

	(void)state;
	srrctl = nic_queue_read(&nics[1], false, 0, NIC_REG(srrctl));
	nic_queue_write(&nics[1], false, 0, NIC_REG(srrctl), srrctl | IGB_SRRCTL_DROP);
	nic_fill(&nics[1], 0, 3);
	send_many(50, 100);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 3);
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
	assert_int_equal(nic_read(&nics[1], IGB_RNBC), 0);
	/* A message clears it, whatever is mapped. */
	assert_int_equal(nic_read(&nics[1], IGB_RX_QUEUES + NIC_REG(dropped)), 47);
	assert_int_equal(nic_read(&nics[1], IGB_RX_QUEUES + NIC_REG(dropped)), 0);
	nic_fill(&nics[1], 0, 1);
	send_many(1, 100);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 1);
}

static bool failed(struct nic *nic)
{
	return nic_read(nic, IGB_ICR) & IGB_ICR_FATAL;
}

/* Restarts a queue with one register wrong. */
static void restart(struct nic *nic, bool transmit, uint32_t inside, uint32_t value)
{
	nic_queue_write(nic, transmit, 0, NIC_REG(control), 0);
	nic_read(nic, IGB_STATUS);
	if (transmit)
		nic_tx_queue(nic, 0);
	else
		nic_rx_queue(nic, 0);
	nic_queue_write(nic, transmit, 0, NIC_REG(control), 0);
	nic_read(nic, IGB_STATUS);
	if (inside)
		nic_queue_write(nic, transmit, 0, inside, value);
	nic_queue_write(nic, transmit, 0, NIC_REG(control), IGB_DCTL_ENABLE);
	nic_read(nic, IGB_STATUS);
}

/* Each queue that is set up wrong stops, says so, and works when it is set up right. */
static void test_bad_queues(void **state)
{
	static const struct {
		bool transmit;
		uint32_t inside, value;
	} rows[] = {
		{ false, NIC_REG(bytes), 100 },
		{ false, NIC_REG(bytes), 0x100000 },
		{ false, NIC_REG(bytes), 0 },
		{ false, NIC_REG(head), NIC_ENTRIES },
		{ false, NIC_REG(srrctl), 2 | 6u << IGB_SRRCTL_TYPE_SHIFT },
		{ false, NIC_REG(srrctl), 2 | 5u << IGB_SRRCTL_TYPE_SHIFT },
		{ false, NIC_REG(srrctl), 2 | 16u << 8 | 5u << IGB_SRRCTL_TYPE_SHIFT },
		{ true, NIC_REG(bytes), 0x80080 },
		{ true, NIC_REG(head), 0xffffffff },
		{ true, NIC_REG(base_high), 0xffffffff },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		struct nic *nic = &nics[!rows[i].transmit];

		nic_read(nic, IGB_ICR);
		restart(nic, rows[i].transmit, rows[i].inside, rows[i].value);
		if (rows[i].inside == NIC_REG(base_high)) {
			/* A ring that is not there shows when it is used. */
			nic_put(nic, 0, 0, NIC_SEND_COMMAND | 60, 0);
			nic_ring(nic, 0);
			nic_turn(nic);
		}
		assert_true(failed(nic));
		nic_send(&nics[0], frame, plain_frame(60, 1), 0, 0);
		assert_false(nic_receive(&nics[1], 0, &got));
		restart(nic, rows[i].transmit, 0, 0);
		assert_false(failed(nic));
		restart(&nics[!!rows[i].transmit], !rows[i].transmit, 0, 0);
		nic_fill(&nics[1], 0, 4);
		assert_true(nic_send(&nics[0], frame, plain_frame(60, 1), 0, 0));
		assert_true(nic_receive(&nics[1], 0, &got));
	}
}

/* Descriptors that are wrong stop their queue, and no other. */
static void test_bad_descriptors(void **state)
{
	static const uint64_t nowhere = UINT64_C(0x7fff00000000);
	static const struct {
		uint64_t address;
		uint32_t command, options;
	} rows[] = {
		{ nowhere, NIC_SEND_COMMAND | 60, 0 },
		{ UINT64_MAX - 10, NIC_SEND_COMMAND | 60, 0 },
		{ NIC_IOVA + NIC_BYTES - 30, NIC_SEND_COMMAND | 60, 0 },
		{ NIC_IOVA, NIC_SEND_COMMAND | 13, 0 }, /* less than a header */
		{ NIC_IOVA, NIC_SEND_COMMAND | 9730, 0 },
		{ NIC_IOVA, (NIC_SEND_COMMAND & ~(15u << 20)) | 7u << 20 | 60, 0 }, /* no type */
		{ NIC_IOVA, NIC_SEND_COMMAND | 60, IGB_TX_TXSM }, /* without a context */
		{ NIC_IOVA, NIC_SEND_COMMAND | IGB_TX_TSE | 60, 0 },
	};

	(void)state;
	nic_tx_queue(&nics[0], 1);
	nic_fill(&nics[1], 0, 60);
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		bool whole = rows[i].options & IGB_TX_TXSM; /* the sum of the frame, then */

		memcpy(nic_at(&nics[0], 0x700000), frame, plain_frame(60, 2));
		nic_read(&nics[0], IGB_ICR);
		nic_put(&nics[0], 0, rows[i].address, rows[i].command, rows[i].options);
		nic_ring(&nics[0], 0);
		nic_put(&nics[0], 1, nic_iova(0x700000), NIC_SEND_COMMAND | 60, 0);
		nic_ring(&nics[0], 1);
		nic_turn(&nics[0]);
		if (!whole)
			assert_true(failed(&nics[0]));
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_false(nic_receive(&nics[1], 0, &got));
		restart(&nics[0], true, 0, 0);
		assert_true(nic_send(&nics[0], frame, 60, 0, 0));
		assert_true(nic_receive(&nics[1], 0, &got));
	}
	/* A receive buffer that is nowhere. */
	start_rss(&nics[1], 0);
	((uint64_t *)nic_at(&nics[1], NIC_RX_RING(0)))[2 * nics[1].rx[0].next] = nowhere;
	nic_read(&nics[1], IGB_ICR);
	nic_send(&nics[0], frame, 60, 0, 0);
	assert_true(failed(&nics[1]));
	/* Its frames are dropped; those for another queue arrive. */
	nic_send(&nics[0], frame, 60, 0, 0);
	assert_false(nic_receive(&nics[1], 0, &got));
	nic_write(&nics[1], IGB_MRQC, 3u << IGB_MRQC_DEFAULT_QUEUE_SHIFT);
	nic_send(&nics[0], frame, 60, 0, 0);
	assert_true(nic_receive(&nics[1], 3, &got));
}

/* All queues have more to send than the cable has room for: none of them waits for ever. */
static void test_fairness(void **state)
{
	unsigned int received[IGB_QUEUES] = { 0 };

	(void)state;
	for (unsigned int q = 0; q < IGB_QUEUES; q++) {
		if (q)
			nic_tx_queue(&nics[0], q);
		plain_frame(1500, (uint8_t)q);
		memcpy(nic_at(&nics[0], NIC_SEND + q * NIC_BUFFER_BYTES), frame, 1500);
	}
	for (unsigned int turn = 0; turn < 200; turn++) {
		for (unsigned int q = 0; q < IGB_QUEUES; q++) {
			uint32_t head = nic_queue_read(&nics[0], true, q, NIC_REG(head));

			while ((nics[0].tx[q].tail + 1) % NIC_ENTRIES != head)
				nic_put(&nics[0], q, nic_iova(NIC_SEND + q * NIC_BUFFER_BYTES),
					NIC_SEND_COMMAND | 1500, 0);
			nic_ring(&nics[0], q);
		}
		/* As many as one queue sends in a turn. */
		nic_fill(&nics[1], 0,
			 (NIC_ENTRIES - 1 - (nics[1].rx[0].tail - nics[1].rx[0].next)) %
				 NIC_ENTRIES);
		sim_server_turn(nics[0].client.server);
		sim_server_turn(nics[1].client.server);
		while (nic_receive(&nics[1], 0, &got))
			received[got.data[100]]++;
	}
	for (unsigned int q = 0; q < IGB_QUEUES; q++)
		assert_true(received[q] >= 200);
}

/* A frame that is cut into many does not hold up the others, nor the rest of the device. */
static void test_long_cuts(void **state)
{
	const uint32_t headers = 54, payload = 5000;

	(void)state;
	/* What is sent is gone, so there is always room. */
	nic_write(&nics[1], IGB_RCTL, 0);
	nic_tx_queue(&nics[0], 1);
	memset(nic_at(&nics[0], NIC_SEND), 0, headers + payload);
	for (unsigned int q = 0; q < 2; q++) {
		nic_context(&nics[0], q, 0, 20 | 14u << 9,
			    IGB_CONTEXT_IPV4 | IGB_L4_TCP << IGB_CONTEXT_L4_SHIFT,
			    20u << 8 | 1u << 16);
		for (unsigned int i = 0; i < 4; i++)
			nic_put(&nics[0], q, nic_iova(NIC_SEND),
				NIC_SEND_COMMAND | IGB_TX_TSE | (headers + payload),
				payload << IGB_TX_PAYLOAD_SHIFT);
		nic_ring(&nics[0], q);
	}
	sim_server_turn(nics[0].client.server);
	for (unsigned int q = 0; q < 2; q++)
		assert_int_equal(nic_read(&nics[0], IGB_QUEUE_STATS + q * IGB_QUEUE_STATS_STRIDE +
							    IGB_PQGPTC),
				 64 * (1 + q));
	nic_turn(&nics[0]);
	assert_int_equal(nic_read(&nics[0], IGB_GPTC), 2 * 4 * payload);
	assert_int_equal(nic_read(&nics[0], IGB_TSCTC), 2 * 4);
	assert_int_equal(nic_queue_read(&nics[0], true, 1, NIC_REG(head)), 5);
}

/* A frame that never ends: the queue stops when it has more pieces than any frame. */
static void test_endless_frame(void **state)
{
	(void)state;
	nic_read(&nics[0], IGB_ICR);
	for (unsigned int i = 0; i < 300; i++) {
		nic_put(&nics[0], 0, nic_iova(0), (NIC_SEND_COMMAND & ~IGB_TX_EOP) | 1, 0);
		nic_ring(&nics[0], 0);
		nic_turn(&nics[0]);
	}
	assert_true(failed(&nics[0]));
	restart(&nics[0], true, 0, 0);
	nic_fill(&nics[1], 0, 1);
	assert_true(nic_send(&nics[0], frame, plain_frame(60, 0), 0, 0));
	assert_true(nic_receive(&nics[1], 0, &got));
}

/* Tails that are not in their ring are not followed. */
static void test_bad_tail(void **state)
{
	(void)state;
	nic_fill(&nics[1], 0, 4);
	nic_queue_write(&nics[0], true, 0, NIC_REG(tail), NIC_ENTRIES);
	nic_turn(&nics[0]);
	nic_queue_write(&nics[0], true, 0, NIC_REG(tail), 0xffffffff);
	nic_turn(&nics[0]);
	assert_int_equal(nic_queue_read(&nics[0], true, 0, NIC_REG(head)), 0);
	assert_true(nic_send(&nics[0], frame, plain_frame(60, 0), 0, 0));
	assert_true(nic_receive(&nics[1], 0, &got));
}

/* The client's memory goes while rings are in it. */
static void test_unmap(void **state)
{
	(void)state;
	nic_fill(&nics[1], 0, 4);
	assert_true(nic_send(&nics[0], frame, plain_frame(60, 0), 0, 0));
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(sim_client_unmap(&nics[1].client, NIC_IOVA, NIC_BYTES, 0), 0);
	assert_true(nic_send(&nics[0], frame, 60, 0, 0));
	assert_true(failed(&nics[1]));
	assert_int_equal(sim_client_map(&nics[1].client, NIC_IOVA, NIC_BYTES, 0, 3, nics[1].fd), 0);
	restart(&nics[1], false, 0, 0);
	nic_fill(&nics[1], 0, 4);
	assert_true(nic_send(&nics[0], frame, 60, 0, 0));
	assert_true(nic_receive(&nics[1], 0, &got));
}

/* Memory by message, and then registers. */
static void test_by_message(void **state)
{
	static const struct sim_igb_options rows[] = { { .server.no_mmap_dma = true },
						       { .trap_queues = true } };
	struct frame_kind kind = { .protocol = FRAME_UDP, .payload = 1200 };
	uint32_t bytes;

	(void)state;
	for (unsigned int row = 0; row < ARRAY_SIZE(rows); row++) {
		nic_open_pair(nics, &rows[row], false);
		assert_int_equal(!nics[0].pages[0], row);
		nic_fill(&nics[1], 0, 20);
		bytes = frame_make(&kind, nics[1].mac, nics[0].mac, frame);
		for (unsigned int i = 0; i < 10; i++) {
			assert_true(nic_send(&nics[0], frame, bytes, 0, 0));
			assert_true(nic_receive(&nics[1], 0, &got));
			assert_int_equal(got.bytes, bytes);
			assert_memory_equal(got.data, frame, bytes);
		}
		/* A descriptor, the data, a descriptor. */
		assert_int_equal(nics[0].dma_messages, row ? 0 : 30);
		assert_int_equal(nics[1].dma_messages, row ? 0 : 30);
		nic_queue_write(&nics[0], true, 0, NIC_REG(control), 0);
		assert_int_equal(nic_queue_read(&nics[0], true, 0, NIC_REG(control)), 0);
		nic_close_pair(nics);
	}
}

/* Nothing moves without bus mastering, and a client that goes leaves nothing behind. */
static void test_bus_master(void **state)
{
	const uint16_t off = 2, on = 6;

	(void)state;
	nic_fill(&nics[1], 0, 4);
	assert_int_equal(sim_client_write(&nics[0].client, 7, 4, &off, 2), 0);
	assert_false(nic_send(&nics[0], frame, plain_frame(60, 0), 0, 0));
	assert_int_equal(sim_client_write(&nics[0].client, 7, 4, &on, 2), 0);
	nic_turn(&nics[0]);
	assert_true(nic_receive(&nics[1], 0, &got));
	nic_write(&nics[0], IGB_CTRL, nic_read(&nics[0], IGB_CTRL) | IGB_CTRL_MASTER_DISABLE);
	assert_false(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_MASTER);
	assert_false(nic_send(&nics[0], frame, 60, 0, 0));
}

/* While a receiver may not reach its memory, frames are missed; afterwards they wait for it. */
static void test_bus_master_again(void **state)
{
	const uint16_t off = 2, on = 6;

	(void)state;
	assert_int_equal(sim_client_write(&nics[1].client, 7, 4, &off, 2), 0);
	nic_turn(&nics[0]);
	assert_int_equal(sim_client_write(&nics[1].client, 7, 4, &on, 2), 0);
	nic_turn(&nics[0]);
	nic_fill(&nics[1], 0, NIC_ENTRIES - 1);
	plain_frame(1500, 0);
	memcpy(nic_at(&nics[0], NIC_SEND), frame, 1500);
	/* More than the buffer holds, without a turn of the receiver. */
	for (unsigned int i = 0; i < 5; i++) {
		uint32_t head = nic_queue_read(&nics[0], true, 0, NIC_REG(head));

		while ((nics[0].tx[0].tail + 1) % NIC_ENTRIES != head)
			nic_put(&nics[0], 0, nic_iova(NIC_SEND), NIC_SEND_COMMAND | 1500, 0);
		nic_ring(&nics[0], 0);
		sim_server_turn(nics[0].client.server);
	}
	assert_true(nic_read(&nics[0], IGB_GPTC) < 5 * (NIC_ENTRIES - 1));
	assert_int_equal(nic_read(&nics[1], IGB_MPC), 0);
}

/* The head goes to memory instead of a bit in each descriptor. */
static void test_head_write_back(void **state)
{
	volatile uint32_t *head = nic_at(&nics[0], 0x9000);

	(void)state;
	nic_fill(&nics[1], 0, 4);
	nic_queue_write(&nics[0], true, 0, NIC_REG(write_back_high), (uint32_t)(NIC_IOVA >> 32));
	nic_queue_write(&nics[0], true, 0, NIC_REG(write_back_low), 0x9000 | IGB_TDWBAL_ENABLE);
	assert_false(nic_send(&nics[0], frame, plain_frame(60, 0), 0, 0));
	assert_int_equal(*head, 1);
	assert_false(nic_send(&nics[0], frame, 60, 0, 0));
	assert_int_equal(*head, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enabled_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_transmit_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lossless, setup_lossless, teardown),
		cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fairness, setup_lossless, teardown),
		cmocka_unit_test_setup_teardown(test_long_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_frame, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unmap, setup, teardown),
		cmocka_unit_test(test_by_message),
		cmocka_unit_test_setup_teardown(test_bus_master, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bus_master_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_write_back, setup, teardown),
	};

	return cmocka_run_group_tests_name("sim_igb_queues", tests, NULL, NULL);
}
