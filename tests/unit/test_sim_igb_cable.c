/* SPDX-License-Identifier: BSD-3-Clause */
/* Cables between emulated controllers: the packet buffers at their ends, one thread at each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "igb/cable.h"

#define FRAMES 200000u

static struct sim_cable *ends[2];

static int setup(void **state)
{
	(void)state;
	if (sim_cable_pair(false, ends, NULL))
		return -1;
	atomic_store(&ends[1]->buffer->consumer.listens, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sim_cable_destroy(ends[0]);
	sim_cable_destroy(ends[1]);
	return 0;
}

/* The n-th frame: every length up to the longest comes. */
static uint32_t length_of(uint32_t n)
{
	return n * 7919 % CABLE_MAX_FRAME + 1;
}

static uint8_t byte_of(uint32_t n)
{
	return (uint8_t)(n * 31 + n / 256);
}

static bool send(uint32_t n, uint32_t bytes)
{
	uint8_t *room = ends[0]->ops->room(ends[0], bytes);

	if (!room)
		return false;
	memset(room, byte_of(n), bytes);
	ends[0]->ops->send(ends[0], bytes, n);
	return true;
}

static bool take(uint32_t n, uint32_t bytes)
{
	struct cable_frame frame;

	if (!cable_buffer_first(ends[1]->buffer, &frame))
		return false;
	if (frame.bytes != bytes || frame.flags != n || frame.data[0] != byte_of(n) ||
	    memcmp(frame.data, frame.data + 1, bytes - 1) != 0)
		fail_msg("frame %u of %u bytes is frame %u of %u bytes", n, bytes, frame.flags,
			 frame.bytes);
	cable_buffer_drop(ends[1]->buffer, &frame);
	return true;
}

static void *send_all(void *arg)
{
	(void)arg;
	for (uint32_t n = 0; n < FRAMES; n++) {
		while (!send(n, length_of(n) % 300 + 1))
			sched_yield();
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t sender;

	(void)state;
	assert_int_equal(pthread_create(&sender, NULL, send_all, NULL), 0);
	for (uint32_t n = 0; n < FRAMES; n++) {
		while (!take(n, length_of(n) % 300 + 1))
			sched_yield();
	}
	pthread_join(sender, NULL);
	assert_false(take(0, 0));
}

/* Full and empty again, with every length, at every place of the ring. */
static void test_lengths(void **state)
{
	uint32_t sent = 0, taken = 0;

	(void)state;
	while (taken < 20000) {
		while (send(sent, length_of(sent)))
			sent++;
		assert_true(sent > taken);
		for (; taken < sent; taken++)
			assert_true(take(taken, length_of(taken)));
	}
	assert_int_equal(atomic_load(&ends[1]->buffer->producer.missed), 0);
}

/* A room that is larger than what comes into it. */
static void test_shorter(void **state)
{
	(void)state;
	for (uint32_t n = 0; n < 1000; n++) {
		uint8_t *room = cable_buffer_room(ends[1]->buffer, CABLE_MAX_FRAME);

		assert_non_null(room);
		memset(room, byte_of(n), 100);
		cable_buffer_add(ends[1]->buffer, 100, n);
		assert_true(take(n, 100));
	}
}

/* What has no room waits for a receiver that only needs a turn, is missed by one without
 * descriptors, and is gone when nobody listens. */
static void test_no_room(void **state)
{
	struct cable_buffer *buffer = ends[1]->buffer;
	uint32_t sent = 0;

	(void)state;
	while (send(sent, 1000))
		sent++;
	assert_false(send(0, 1000));
	assert_int_equal(atomic_load(&buffer->producer.missed), 0);
	atomic_store(&buffer->consumer.starved, true);
	for (unsigned int i = 0; i < 5; i++)
		assert_true(send(0, 1000));
	assert_int_equal(atomic_load(&buffer->producer.missed), 5);
	for (uint32_t n = 0; n < sent; n++)
		assert_true(take(n, 1000));
	assert_false(take(0, 0));
	atomic_store(&buffer->consumer.listens, false);
	assert_true(send(0, 1000));
	assert_false(take(0, 0));
	assert_int_equal(atomic_load(&buffer->producer.missed), 5);
}

/* An end that has gone takes its signal with it; the other one can still send. */
static void test_one_end(void **state)
{
	(void)state;
	assert_true(ends[0]->ops->signal(ends[0]));
	sim_cable_destroy(ends[1]);
	assert_false(ends[0]->ops->signal(ends[0]));
	assert_true(send(0, 1000));
	sim_cable_destroy(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shorter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup(test_one_end, setup),
	};

	return cmocka_run_group_tests_name("sim_igb_cable", tests, NULL, NULL);
}
