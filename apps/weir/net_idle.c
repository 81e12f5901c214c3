/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Polls for a while, then sleeps until a frame arrives: an emulated port that shares the core, and
 * everybody else on the machine, can go on meanwhile.
 *
 * A frame may arrive between the last look and the arming, so a queue is looked at once more when
 * it is armed, before the sleep.
 */
#include "net_run.h"

#include <poll.h>
#include <sched.h>
#include <time.h>

/* Turns without work before a thread thinks of others; about 100 us. */
#define SPIN_TURNS 4096
/* The longest sleep: the end of the run is not told by an interrupt. */
#define SLEEP_MS 20
/* A look at queues without interrupts. */
#define NAP_NS 50000

static void disarm(struct net_idle *idle)
{
	for (unsigned int i = 0; i < idle->nr; i++)
		weir_nic_rxq_disarm(idle->rxq[i]);
	idle->armed = false;
}

/* Lets the queues' interrupts through. False: one has none. */
static bool arm(struct net_idle *idle)
{
	for (unsigned int i = 0; i < idle->nr; i++) {
		if (weir_nic_rxq_fd(idle->rxq[i]) < 0)
			return false;
	}
	for (unsigned int i = 0; i < idle->nr; i++)
		weir_nic_rxq_arm(idle->rxq[i]);
	idle->armed = true;
	return true;
}

static void sleep_on_queues(struct net_idle *idle)
{
	struct pollfd events[PORTS_MAX];

	for (unsigned int i = 0; i < idle->nr; i++)
		events[i] = (struct pollfd){ .fd = weir_nic_rxq_fd(idle->rxq[i]),
					     .events = POLLIN };
	poll(events, idle->nr, SLEEP_MS);
}

void net_idle_turn(struct net_idle *idle, bool busy, bool waiting)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };

	if (busy) {
		if (idle->armed)
			disarm(idle);
		idle->turns = 0;
		return;
	}
	if (idle->armed && !waiting) {
		sleep_on_queues(idle);
		disarm(idle);
		idle->turns = 0;
		return;
	}
	if (++idle->turns < SPIN_TURNS)
		return;
	if (waiting)
		sched_yield();
	else if (!arm(idle))
		nanosleep(&nap, NULL);
}
