/* SPDX-License-Identifier: BSD-3-Clause */
/* Several queues: packets spread over them, owners in threads of their own, resets under load. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "net_test.h"

#define QUEUES 4u
#define FLOWS 64u

static struct net_packet packet;

/* The Toeplitz hash by its definition: the key's 32 bits from bit i on, for each bit i that is set.
 */
static uint32_t toeplitz(const uint8_t *key, const uint8_t *data, unsigned int bytes)
{
	uint32_t hash = 0;

	for (unsigned int i = 0; i < 8 * bytes; i++) {
		uint32_t window = 0;

		for (unsigned int k = 0; k < 32; k++)
			window = window << 1 | (key[(i + k) / 8] >> (7 - (i + k) % 8) & 1);
		if (data[i / 8] >> (7 - i % 8) & 1)
			hash ^= window;
	}
	return hash;
}

/* Vectors that are published with the hash's definition, so that the test judges by that. */
static void check_toeplitz(const uint8_t *key)
{
	static const uint8_t v4[] = { 66, 9, 149, 187, 161, 142, 100, 80, 10, 234, 6, 230 };
	static const uint8_t v6[] = { 0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0,
				      0,    0,	  0,	0,    0,    0,	  7,	0x3f, 0xfe,
				      0x25, 0x01, 2,	0,    0,    3,	  0,	0,    0,
				      0,    0,	  0,	0,    1,    10,	  234,	6,    230 };

	assert_int_equal(toeplitz(key, v4, 8), 0x323e8fc2);
	assert_int_equal(toeplitz(key, v4, 12), 0x51ccc178);
	assert_int_equal(toeplitz(key, v6, 32), 0x2cc18cd5);
	assert_int_equal(toeplitz(key, v6, 36), 0x40207d3d);
}

/* QEMU's 82576 makes the hash of TCP over IPv6 only as the kind that considers extensions. These
 * packets have none: it is the same hash by another name. */
static void check_hash_type(const struct net_test *t, bool v6, bool tcp)
{
	const unsigned int type = packet.last.flags & WEIR_FRAME_HASH_TYPE;

	if (v6 && tcp && !t->is_sim && type == WEIR_NIC_HASH_TCP6_EXT)
		return;
	assert_int_equal(type, tcp  ? v6 ? WEIR_NIC_HASH_TCP6 : WEIR_NIC_HASH_TCP4
			       : v6 ? WEIR_NIC_HASH_IP6
				    : WEIR_NIC_HASH_IP4);
}

static uint32_t expected_hash(const uint8_t *key, const uint8_t *data, bool v6, bool ports)
{
	const uint8_t *ip = data + NET_ETH;

	/* addresses and ports lie in a row */
	return v6 ? toeplitz(key, ip + 8, 32 + (ports ? 4 : 0))
		  : toeplitz(key, ip + 12, 8 + (ports ? 4 : 0));
}

/* The queue that has something; its packet is taken. */
static unsigned int receive_anywhere(struct net_test *t)
{
	uint64_t deadline = net_test_deadline();

	for (;;) {
		for (unsigned int q = 0; q < t->port[1].info.rx_queues; q++) {
			struct weir_frame frame;
			int n = weir_nic_rx(weir_nic_rxq(t->port[1].nic, q), &frame, 1);

			assert_true(n >= 0);
			if (!n)
				continue;
			packet.last = frame;
			packet.bytes = frame.len;
			memcpy(packet.data, t->port[1].rx + frame.cookie % 512 * 16384, frame.len);
			net_test_post(t, &t->port[1], q);
			return q;
		}
		net_test_idle();
		if (net_test_is_over(deadline))
			fail_msg("no packet on any queue in time");
	}
}

static void flows_go_where_the_table_says(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	/* that of the hash's definition */
	static const uint8_t key[WEIR_NIC_RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};
	uint8_t table[128], *data = net_test_tx_memory(&t->port[0], 0);
	unsigned int used[QUEUES] = { 0 };

	for (unsigned int i = 0; i < 128; i++)
		table[i] = (uint8_t)(i * 7 % 5 % QUEUES);
	check_toeplitz(key);
	config.rx_queues = QUEUES;
	config.rx_entries = 64;
	config.rss_key = key;
	config.rss_table = table;
	config.rss_table_entries = 128;
	net_test_start(t, &config);
	for (uint16_t flow = 0; flow < FLOWS; flow++) {
		const bool v6 = flow & 1, tcp = flow & 2;
		struct weir_frame frame = net_test_tx_frame(t, &t->port[0], 0, 100);
		uint32_t hash;
		unsigned int queue;

		net_test_fill(t, data, 100, flow);
		if (v6)
			net_test_headers6(t, data, 100, tcp, flow, false);
		else
			net_test_headers4(t, data, 100, tcp, flow, false);
		net_test_send(t, 0, &frame, 1);
		queue = receive_anywhere(t);
		hash = expected_hash(key, data, v6, tcp);
		assert_int_equal(packet.last.hash, hash);
		check_hash_type(t, v6, tcp);
		assert_int_equal(queue, table[hash % 128]);
		assert_memory_equal(packet.data, data, 100);
		used[queue]++;
	}
	for (unsigned int i = 0; i < QUEUES; i++)
		assert_true(used[i] > 0);
	/* what has no hash */
	net_test_fill(t, data, 100, 1);
	packet.last = net_test_tx_frame(t, &t->port[0], 0, 100);
	net_test_send(t, 0, &packet.last, 1);
	assert_int_equal(receive_anywhere(t), 0);
	assert_int_equal(packet.last.flags & WEIR_FRAME_HASH_TYPE, 0);
	net_test_stop(t);
}

static void all_queues_carry_packets(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	uint8_t table[128], *data = net_test_tx_memory(&t->port[0], 0);

	config.rx_queues = config.tx_queues = t->port[0].info.max_rx_queues;
	config.rx_entries = config.tx_entries = 32;
	config.rss_types = WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_IP4);
	config.rss_table = table;
	config.rss_table_entries = 128;
	for (unsigned int queue = 0; queue < config.rx_queues; queue++) {
		struct weir_frame frame;

		memset(table, (int)queue, sizeof(table));
		net_test_start(t, &config);
		frame = net_test_tx_frame(t, &t->port[0], 0, 100);
		net_test_fill(t, data, 100, queue);
		net_test_headers4(t, data, 100, false, 1, false);
		net_test_send(t, config.rx_queues - 1 - queue, &frame, 1);
		assert_int_equal(receive_anywhere(t), queue);
		assert_memory_equal(packet.data, data, 100);
		net_test_stop(t);
	}
}

/* Owners: one sends on a queue, one receives on a queue, while a third thread resets the ports. */
struct owner {
	struct net_test *t;
	unsigned int queue;
	atomic_bool *end;
	uint64_t taken, returned, packets, damaged;
	int result;
};

/* Each owner has the other queue of its number, too, which has nothing to do. */
static void *send_on(void *ctx)
{
	struct owner *o = ctx;
	struct net_port *port = &o->t->port[0];
	struct weir_nic_rxq *other = weir_nic_rxq(port->nic, o->queue);
	struct weir_frame unused;
	struct weir_nic_txq *txq = weir_nic_txq(port->nic, o->queue);
	struct weir_frame frame = { .len = 100 };
	uint64_t cookies[NET_TEST_BURST];
	int rc;

	frame.iova = weir_arena_ptr_iova(o->t->arena, net_test_tx_memory(port, o->queue));
	do {
		frame.cookie = o->taken;
		rc = atomic_load(o->end) ? 0 : weir_nic_tx(txq, &frame, 1);
		if (rc > 0)
			o->taken++;
		if (rc >= 0)
			rc = weir_nic_tx_done(txq, cookies, NET_TEST_BURST, NULL);
		for (int i = 0; i < rc; i++) {
			if (cookies[i] != o->returned++)
				rc = -EBADMSG;
		}
		if (weir_nic_rx(other, &unused, 1))
			rc = -EBADMSG;
		sched_yield();
	} while (rc >= 0 && !(atomic_load(o->end) && o->returned == o->taken));
	o->result = rc < 0 ? rc : 0;
	return NULL;
}

static void *receive_on(void *ctx)
{
	struct owner *o = ctx;
	struct net_port *port = &o->t->port[1];
	struct weir_nic_rxq *rxq = weir_nic_rxq(port->nic, o->queue);
	struct weir_nic_txq *other = weir_nic_txq(port->nic, o->queue);
	uint64_t cookie;
	/* 31 frames of its own */
	uint8_t *memory = port->rx + (size_t)o->queue * 32 * 16384;
	struct weir_frame frames[31];
	unsigned int nr = 31;
	int rc;

	for (unsigned int i = 0; i < nr; i++)
		frames[i].cookie = i;
	do {
		for (unsigned int i = 0; i < nr; i++) {
			frames[i].iova = weir_arena_ptr_iova(o->t->arena,
							     memory + frames[i].cookie * 16384);
			frames[i].len = 2048;
			frames[i].flags = 0;
		}
		rc = nr && !atomic_load(o->end) ? weir_nic_rx_post(rxq, frames, nr) : 0;
		if (rc < 0)
			break;
		o->taken += (unsigned int)rc;
		nr -= (unsigned int)rc;
		memmove(frames, frames + rc, nr * sizeof(frames[0]));
		rc = weir_nic_rx(rxq, frames + nr, 31 - nr);
		for (int i = 0; i < rc; i++) {
			const struct weir_frame *frame = &frames[nr + (unsigned int)i];

			o->returned++;
			if (frame->cookie > 30)
				rc = -EBADMSG;
			else if (!(frame->flags & WEIR_FRAME_UNUSED)) {
				o->packets++;
				if (frame->len != 100 ||
				    memcmp(memory + frame->cookie * 16384,
					   net_test_tx_memory(&o->t->port[0], 0), 12))
					o->damaged++;
			}
		}
		if (rc > 0)
			nr += (unsigned int)rc;
		if (weir_nic_tx_done(other, &cookie, 1, NULL))
			rc = -EBADMSG;
		sched_yield();
	} while (rc >= 0 && !(atomic_load(o->end) && o->returned == o->taken));
	o->result = rc < 0 ? rc : 0;
	return NULL;
}

static uint64_t packets_of(const struct owner *owners)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < QUEUES; i++)
		sum += *(const volatile uint64_t *)&owners[i].packets;
	return sum;
}

/* Resets both ports by turns. NULL, or what went wrong; whoever calls it ends the owners first and
 * fails then. */
static const char *reset_under_load(const struct net_test *t, const struct owner *receivers,
				    struct weir_error *err)
{
	for (unsigned int turn = 0; turn < 6; turn++) {
		uint64_t before = packets_of(receivers), deadline = net_test_deadline();

		/* something goes through between any two resets */
		while (packets_of(receivers) < before + 50) {
			net_test_idle();
			if (net_test_is_over(deadline))
				return "no packets after a reset";
		}
		if (weir_nic_reset(t->port[turn % 2].nic, 30000, err))
			return err->text;
	}
	return NULL;
}

static void resets_lose_no_frame(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	struct owner senders[QUEUES] = { 0 }, receivers[QUEUES] = { 0 };
	pthread_t threads[2 * QUEUES];
	const char *trouble;
	atomic_bool end = false;
	struct weir_error err, reset_err;

	config.rx_queues = config.tx_queues = QUEUES;
	config.rx_entries = config.tx_entries = 32;
	config.rss_types = WEIR_NIC_HASH_BIT(WEIR_NIC_HASH_UDP4);
	for (unsigned int i = 0; i < 2; i++) {
		if (weir_nic_configure(t->port[i].nic, &config, &err) ||
		    weir_nic_start(t->port[i].nic, &err))
			fail_msg("%s", err.text);
		weir_nic_info(t->port[i].nic, &t->port[i].info);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		senders[i] = (struct owner){ .t = t, .queue = i, .end = &end };
		receivers[i] = senders[i];
		net_test_fill(t, net_test_tx_memory(&t->port[0], i), 100, i);
		net_test_headers4(t, net_test_tx_memory(&t->port[0], i), 100, false,
				  (uint16_t)(i * 11), false);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, send_on, &senders[i]), 0);
		assert_int_equal(
			pthread_create(&threads[QUEUES + i], NULL, receive_on, &receivers[i]), 0);
	}
	trouble = reset_under_load(t, receivers, &reset_err);
	atomic_store(&end, true);
	/* what is still posted comes back with the stop */
	for (unsigned int i = 0; i < 2; i++) {
		if (weir_nic_stop(t->port[i].nic, &err) && !trouble)
			trouble = err.text;
	}
	for (unsigned int i = 0; i < 2 * QUEUES; i++)
		pthread_join(threads[i], NULL);
	if (trouble)
		fail_msg("%s", trouble);
	for (unsigned int i = 0; i < QUEUES; i++) {
		assert_int_equal(senders[i].result, 0);
		assert_int_equal(receivers[i].result, 0);
		assert_int_equal(senders[i].returned, senders[i].taken);
		assert_int_equal(receivers[i].returned, receivers[i].taken);
		assert_int_equal(receivers[i].damaged, 0);
	}
	net_test_stop(t);
}

const struct CMUnitTest net_test_queues[] = {
	cmocka_unit_test(flows_go_where_the_table_says),
	cmocka_unit_test(all_queues_carry_packets),
	cmocka_unit_test(resets_lose_no_frame),
	{ 0 },
};
