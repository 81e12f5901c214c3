/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"
#include "gen.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#define unlikely(x) __builtin_expect(!!(x), 0)

/* Waits are slept through as far as they are longer than this, but not for longer than that. */
#define SPIN_NS UINT64_C(100000)
#define SLEEP_NS UINT64_C(10000000)
/* Turns without progress, about 100 us, after which the core is offered to others. */
#define IDLE_TURNS 2048

/* Makes frames while there are tokens, buffers and room. Returns how many. */
static unsigned int make_frames(struct gen_worker *gen)
{
	unsigned int before = gen->nr_pending;

	while (gen->nr_pending < NET_BURST && gen->left && gen->tx_pool.nr_free &&
	       token_bucket_take(&gen->bucket, gen_cost(gen, gen->next_bytes))) {
		uint64_t address = frame_pool_take(&gen->tx_pool);

		flow_write(&gen->flow, (uint8_t *)(uintptr_t)address, gen->next_bytes);
		gen->pending[gen->nr_pending++] = (struct weir_frame){
			.iova = frame_pool_iova(&gen->tx_pool, address),
			.cookie = address,
			.len = gen->next_bytes,
		};
		gen->left--;
		gen->next_bytes = flow_next_bytes(&gen->flow);
	}
	return gen->nr_pending - before;
}

/* Sends what was made, as far as there is room. Returns how many, or a negative errno. */
static int send_pending(struct net_worker *worker, struct gen_worker *gen)
{
	int n;

	if (!gen->nr_pending)
		return 0;
	n = weir_nic_tx(gen->txq, gen->pending, gen->nr_pending);
	if (unlikely(n < 0))
		return net_worker_fail(worker, gen->port, n);
	for (int i = 0; i < n; i++)
		gen->sent_bytes += gen->pending[i].len + NET_FCS;
	gen->sent += (unsigned int)n;
	gen->nr_sending += (unsigned int)n;
	gen->nr_pending -= (unsigned int)n;
	if (gen->nr_pending)
		memmove(gen->pending, gen->pending + n, gen->nr_pending * sizeof(gen->pending[0]));
	return n;
}

/* Takes back what was sent. Returns how many, or a negative errno. */
static int take_back(struct net_worker *worker, struct gen_worker *gen)
{
	uint64_t cookies[NET_BURST];
	unsigned int unsent = 0;
	int n;

	n = weir_nic_tx_done(gen->txq, cookies, NET_BURST, &unsent);
	if (unlikely(n < 0))
		return net_worker_fail(worker, gen->port, n);
	for (int i = 0; i < n; i++)
		frame_pool_give(&gen->tx_pool, cookies[i]);
	gen->nr_sending -= (unsigned int)n;
	gen->unsent += unsent;
	return n;
}

/* Throws away what arrived. Returns how much, or a negative errno. */
static int discard_received(struct net_worker *worker, struct gen_worker *gen)
{
	struct weir_frame frames[NET_BURST];
	int n, rc;

	n = weir_nic_rx(gen->rxq, frames, NET_BURST);
	if (unlikely(n < 0))
		return net_worker_fail(worker, gen->port, n);
	for (int i = 0; i < n; i++) {
		gen->received += !(frames[i].flags & (WEIR_FRAME_MORE | WEIR_FRAME_UNUSED));
		frame_pool_give(&gen->rx_pool, frames[i].cookie);
	}
	rc = n ? frame_pool_post(&gen->rx_pool, gen->rxq) : 0;
	return unlikely(rc < 0) ? net_worker_fail(worker, gen->port, rc) : n;
}

/* Sleeps through most of the time until there are tokens again. */
static void wait_for_tokens(const struct gen_worker *gen)
{
	uint64_t wait_ns = token_bucket_wait_ns(&gen->bucket, gen_cost(gen, gen->next_bytes));
	struct timespec sleep = { 0 };

	if (wait_ns <= SPIN_NS)
		return;
	wait_ns -= SPIN_NS;
	sleep.tv_nsec = (long)(wait_ns < SLEEP_NS ? wait_ns : SLEEP_NS);
	nanosleep(&sleep, NULL);
}

/* Returns whether frames were made, sent or received, or a negative errno. */
static int generate(struct net_worker *worker, struct gen_worker *gen)
{
	unsigned int made;
	int back, sent, received;

	token_bucket_refill(&gen->bucket, clock_ns(CLOCK_MONOTONIC));
	made = make_frames(gen);
	sent = send_pending(worker, gen);
	if (unlikely(sent < 0))
		return sent;
	back = take_back(worker, gen);
	if (unlikely(back < 0))
		return back;
	received = discard_received(worker, gen);
	if (unlikely(received < 0))
		return received;
	if (!gen->nr_pending && gen->left && gen->tx_pool.nr_free)
		wait_for_tokens(gen);
	return made || sent || back || received;
}

/* Waits until all is sent that was taken. */
static void drain(struct net_worker *worker, struct gen_worker *gen)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);

	while (gen->nr_sending && clock_ns(CLOCK_MONOTONIC) - start < NET_DRAIN_NS) {
		if (take_back(worker, gen) < 0)
			return;
		sched_yield();
	}
	/* Nobody knows what became of the rest. */
	gen->unsent += gen->nr_sending;
}

void gen_work(struct net_worker *worker)
{
	struct gen_worker *gen = worker->own;
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	unsigned int idle_turns = 0;

	token_bucket_start(&gen->bucket, gen->bucket.per_second, gen->bucket.depth, start);
	while (!net_stopped(worker) && (gen->left || gen->nr_pending)) {
		int done = generate(worker, gen);

		if (unlikely(done < 0))
			break;
		idle_turns = done ? 0 : idle_turns + 1;
		if (idle_turns > IDLE_TURNS)
			sched_yield();
	}
	if (!worker->code)
		drain(worker, gen);
	gen->elapsed_ns = clock_ns(CLOCK_MONOTONIC) - start;
}
