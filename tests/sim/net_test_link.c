/* SPDX-License-Identifier: BSD-3-Clause */
/* The link, and sleeping until something happens to it or to a receive queue. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>

#include "net_test.h"

#define EVENT_MS 30000
#define NOTHING_MS 100

static struct net_packet packet;

static bool readable(int fd, int ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, ms) == 1;
}

static void drain_events(struct net_port *port)
{
	struct weir_nic_event event;

	while (weir_nic_events(port->nic, &event, 1))
		;
}

/* Takes events of port 1 until its link is said to be up. With interrupts the descriptor tells when
 * to look. */
static void wait_for_link_event(struct net_test *t)
{
	struct net_port *port = &t->port[1];
	uint64_t deadline = net_test_deadline();
	struct weir_nic_event event;

	for (;;) {
		if (t->interrupts && !readable(weir_nic_event_fd(port->nic), EVENT_MS))
			fail_msg("%s: nothing happens to the link", port->address);
		while (weir_nic_events(port->nic, &event, 1)) {
			assert_int_equal(event.type, WEIR_NIC_EVENT_LINK);
			if (event.info)
				return;
		}
		drain_events(&t->port[0]); /* whose device may have to be served */
		sched_yield();
		if (net_test_is_over(deadline))
			fail_msg("%s: the link is not told of", port->address);
	}
}

/* A stop takes the link down, and it comes again; both are told, in that order. */
static void the_link_is_told_of(void **state)
{
	struct net_test *t = *state;
	struct net_port *port = &t->port[1];
	struct weir_nic_event event;
	struct weir_nic_link link;
	struct weir_error err;

	net_test_start(t, NULL);
	drain_events(port);
	net_test_stop(t);
	/* also when nobody has looked while it was down */
	assert_true(!t->interrupts || readable(weir_nic_event_fd(port->nic), 0));
	assert_int_equal(weir_nic_events(port->nic, &event, 1), 1);
	assert_int_equal(event.type, WEIR_NIC_EVENT_LINK);
	assert_int_equal(event.info, 0);
	assert_int_equal(weir_nic_start(port->nic, &err), 0);
	assert_int_equal(weir_nic_link(port->nic, &link, &err), 0);
	if (!link.up) {
		wait_for_link_event(t);
		assert_int_equal(weir_nic_link(port->nic, &link, &err), 0);
		assert_int_equal(link.up, 1);
	}
	assert_int_equal(weir_nic_stop(port->nic, &err), 0);
	assert_int_equal(weir_nic_tx_done(weir_nic_txq(port->nic, 0), &(uint64_t){ 0 }, 1, NULL),
			 0);
	assert_int_equal(weir_nic_rx(weir_nic_rxq(port->nic, 0), &(struct weir_frame){ 0 }, 1), 0);
}

static void send_one(struct net_test *t)
{
	struct weir_frame frame = net_test_tx_frame(t, &t->port[0], 0, 100);

	net_test_fill(t, net_test_tx_memory(&t->port[0], 0), 100, 1);
	net_test_send(t, 0, &frame, 1);
}

/* An armed queue wakes its owner for a packet, also for one that came before it was armed; one that
 * is not armed does not. */
static void owners_can_sleep(void **state)
{
	struct net_test *t = *state;
	struct weir_nic_rxq *rxq;
	int fd;

	net_test_start(t, NULL);
	rxq = weir_nic_rxq(t->port[1].nic, 0);
	fd = weir_nic_rxq_fd(rxq);
	if (!t->interrupts) {
		assert_int_equal(fd, -1);
		assert_int_equal(weir_nic_rxq_arm(rxq), -EOPNOTSUPP);
		assert_int_equal(weir_nic_rxq_disarm(rxq), -EOPNOTSUPP);
		net_test_stop(t);
		return;
	}
	assert_int_equal(weir_nic_rxq_disarm(rxq), 0); /* the start wakes owners */
	for (unsigned int turn = 0; turn < 5; turn++) {
		send_one(t);
		if (turn % 2) {
			net_test_receive(t, 0, &packet);
			assert_int_equal(weir_nic_rxq_arm(rxq), 0);
			assert_true(readable(fd, EVENT_MS)); /* it was pending */
			assert_int_equal(weir_nic_rxq_disarm(rxq), 0);
			continue;
		}
		assert_false(readable(fd, NOTHING_MS));
		assert_int_equal(weir_nic_rxq_arm(rxq), 0);
		assert_true(readable(fd, EVENT_MS));
		assert_int_equal(weir_nic_rxq_disarm(rxq), 0);
		assert_false(readable(fd, 0));
		net_test_receive(t, 0, &packet);
		assert_int_equal(packet.bytes, 100);
	}
	/* a stop wakes the owner, too */
	assert_int_equal(weir_nic_rxq_arm(rxq), 0);
	net_test_stop(t);
	assert_true(readable(fd, 0));
	assert_int_equal(weir_nic_rxq_disarm(rxq), 0);
}

const struct CMUnitTest net_test_link[] = {
	cmocka_unit_test(the_link_is_told_of),
	cmocka_unit_test(owners_can_sleep),
	{ 0 },
};
