/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Controllers that do wrong, and a server that is killed. Whatever happens: every frame that was
 * taken comes back exactly once, the failure is told in words, the other port is unharmed, and a
 * reset mends what can be mended.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <weir/fault_guard.h>
#include <weir/nic.h>

#include "sim_process.h"

#define FRAMES 40u
#define BUFFER 2048u
#define PACKET 300u
#define HEADER 128u
#define SECONDS 30

/* Frames of one direction: where each one is. */
enum place { FREE, TAKEN };

struct port {
	struct weir_device *dev;
	struct weir_nic *nic;
	uint8_t *memory;
	enum place rx[2 * FRAMES], tx[FRAMES];
	unsigned int nr_rx, nr_tx; /* that are taken */
	uint64_t packets, unsent;
	int rx_error, tx_error; /* of the last call that failed */
};

struct wire {
	struct sim_process sim;
	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct port port[2];
	unsigned int header_bytes;
	struct weir_error err;
};

static int wire_start(struct wire *w, const char *faults)
{
	const char *const options[] = { "--fault", faults, NULL };

	memset(w, 0, sizeof(*w));
	return sim_process_start_pair(&w->sim, "igb", faults ? options : options + 2);
}

static int wire_open(struct wire *w)
{
	struct weir_arena_options arena = WEIR_ARENA_OPTIONS_INIT;
	struct weir_mapping *mapping;
	int rc;

	arena.bytes = 4 << 20;
	assert_int_equal(weir_arena_create(&arena, &w->arena, &w->err), 0);
	assert_int_equal(weir_ioas_create(NULL, &w->ioas, &w->err), 0);
	assert_int_equal(weir_ioas_map_arena(w->ioas, w->arena, &mapping, &w->err), 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct port *port = &w->port[i];

		assert_int_equal(weir_device_open(i ? w->sim.peer : w->sim.address, w->ioas, NULL,
						  &port->dev, &w->err),
				 0);
		rc = weir_nic_create(port->dev, w->arena, NULL, &port->nic, &w->err);
		if (rc)
			return rc;
		port->memory = weir_arena_alloc(w->arena, 2 * FRAMES * BUFFER, 0);
		assert_non_null(port->memory);
	}
	return 0;
}

static void weir_wire_close(struct wire *w)
{
	for (unsigned int i = 0; i < 2; i++) {
		weir_nic_close(w->port[i].nic);
		weir_device_close(w->port[i].dev);
	}
	assert_int_equal(weir_ioas_destroy(w->ioas), 0);
	weir_arena_destroy(w->arena);
}

static void configure(struct wire *w, unsigned int header_bytes)
{
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;

	config.rx_entries = config.tx_entries = 32;
	config.header_bytes = w->header_bytes = header_bytes;
	for (unsigned int i = 0; i < 2; i++) {
		if (weir_nic_configure(w->port[i].nic, &config, &w->err) ||
		    weir_nic_start(w->port[i].nic, &w->err))
			fail_msg("%s", w->err.text);
	}
}

static struct weir_frame frame_of(const struct wire *w, const struct port *port, unsigned int n,
				  uint32_t len)
{
	return (struct weir_frame){ .iova = weir_arena_ptr_iova(w->arena,
								port->memory + n * BUFFER),
				    .cookie = n,
				    .len = len };
}

/* Gives a receive queue all frames that are free. With header split frame n has frame n + FRAMES
 * for its headers. */
static void post(const struct wire *w, struct port *port)
{
	for (unsigned int n = 0; n < FRAMES && port->rx_error >= 0; n++) {
		struct weir_frame frames[2];
		unsigned int each = 0;
		int rc;

		if (port->rx[n] == TAKEN)
			continue;
		if (w->header_bytes) {
			frames[each] = frame_of(w, port, n + FRAMES, HEADER);
			frames[each++].flags = WEIR_FRAME_HEADER | WEIR_FRAME_MORE;
		}
		frames[each++] = frame_of(w, port, n, BUFFER);
		rc = weir_nic_rx_post(weir_nic_rxq(port->nic, 0), frames, each);
		if (rc < 0)
			port->rx_error = rc;
		if (rc <= 0)
			return;
		for (unsigned int i = 0; i < each; i++)
			port->rx[frames[i].cookie] = TAKEN;
		port->nr_rx += each;
	}
}

static void receive(const struct wire *w, struct port *port)
{
	struct weir_frame frames[8];
	int n = weir_nic_rx(weir_nic_rxq(port->nic, 0), frames, 8);

	if (n < 0)
		port->rx_error = n;
	for (int i = 0; i < n; i++) {
		const uint64_t cookie = frames[i].cookie;

		assert_in_range(cookie, 0, 2 * FRAMES - 1);
		assert_int_equal(port->rx[cookie], TAKEN); /* once */
		assert_int_equal(frames[i].iova,
				 weir_arena_ptr_iova(w->arena, port->memory + cookie * BUFFER));
		assert_in_range(frames[i].len, 0, cookie < FRAMES ? BUFFER : HEADER);
		port->rx[cookie] = FREE;
		port->nr_rx--;
		if (!(frames[i].flags & (WEIR_FRAME_UNUSED | WEIR_FRAME_MORE)))
			port->packets++;
	}
}

static void send(const struct wire *w, struct port *port)
{
	for (unsigned int n = 0; n < FRAMES && port->tx_error >= 0; n++) {
		struct weir_frame frame = frame_of(w, port, n, PACKET);
		int rc;

		if (port->tx[n] == TAKEN)
			continue;
		rc = weir_nic_tx(weir_nic_txq(port->nic, 0), &frame, 1);
		if (rc < 0)
			port->tx_error = rc;
		if (rc <= 0)
			return;
		port->tx[n] = TAKEN;
		port->nr_tx++;
	}
}

static void finish_sending(struct port *port)
{
	uint64_t cookies[8];
	unsigned int unsent;
	int n = weir_nic_tx_done(weir_nic_txq(port->nic, 0), cookies, 8, &unsent);

	if (n < 0)
		port->tx_error = n;
	for (int i = 0; i < n; i++) {
		assert_in_range(cookies[i], 0, FRAMES - 1);
		assert_int_equal(port->tx[cookies[i]], TAKEN);
		port->tx[cookies[i]] = FREE;
		port->nr_tx--;
	}
	if (n > 0)
		port->unsent += unsent;
}

/* One turn of all owners: port 0 sends, port 1 receives. */
static void turn(struct wire *w, bool give)
{
	if (give) {
		post(w, &w->port[1]);
		send(w, &w->port[0]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		receive(w, &w->port[i]);
		finish_sending(&w->port[i]);
	}
	sched_yield();
}

/* A valid header, so that what is split and what is told of the packet can go wrong. */
static void fill(struct wire *w)
{
	struct weir_nic_info info;

	weir_nic_info(w->port[1].nic, &info);
	for (unsigned int n = 0; n < FRAMES; n++) {
		uint8_t *data = w->port[0].memory + n * BUFFER;

		memset(data, (int)n, PACKET);
		memcpy(data, info.mac, 6);
		memcpy(data + 12, (const uint8_t[]){ 0x08, 0, 0x45, 0, 1, 30, 0, 0, 0, 0, 64, 17 },
		       12);
	}
}

static uint32_t next_event(struct port *port)
{
	struct weir_nic_event event;

	while (weir_nic_events(port->nic, &event, 1)) {
		if (event.type != WEIR_NIC_EVENT_LINK)
			return event.type;
	}
	return 0;
}

static time_t deadline(void)
{
	return time(NULL) + SECONDS;
}

static void all_back(struct wire *w)
{
	for (time_t end = deadline(); time(NULL) < end;) {
		turn(w, false);
		if (!w->port[0].nr_tx && !w->port[1].nr_rx)
			return;
	}
	fail_msg("%u frames for sending and %u for receiving did not come back", w->port[0].nr_tx,
		 w->port[1].nr_rx);
}

/* Traffic until a call fails on port 1, or on port 0, or so many packets have come. */
static void run(struct wire *w, uint64_t packets)
{
	uint64_t until = w->port[1].packets + packets;
	time_t end = deadline();

	while (w->port[1].packets < until && !w->port[0].tx_error && !w->port[1].rx_error) {
		struct weir_nic_event event;

		turn(w, true);
		for (unsigned int i = 0; i < 2; i++)
			weir_nic_events(w->port[i].nic, &event, 0);
		if (time(NULL) > end)
			fail_msg("%llu packets of %llu came in time",
				 (unsigned long long)w->port[1].packets, (unsigned long long)until);
	}
}

/* Takes a port through a stop and a start. */
static void reset(struct wire *w, unsigned int which)
{
	if (weir_nic_stop(w->port[which].nic, &w->err))
		fail_msg("%s", w->err.text);
	for (time_t end = deadline(); time(NULL) < end; turn(w, false)) {
		int rc = weir_nic_start(w->port[which].nic, &w->err);

		if (!rc) {
			w->port[which].rx_error = w->port[which].tx_error = 0;
			return;
		}
		if (rc != -EAGAIN)
			fail_msg("%s", w->err.text);
	}
	fail_msg("not started: %s", w->err.text);
}

/* What a controller writes that it cannot mean: the queue ends with these words, and a reset starts
 * it again. */
static void impossible_write_backs_are_told(void **state)
{
	static const struct {
		const char *fault, *words;
		unsigned int header_bytes;
	} cases[] = {
		{ "length-every=20", "more bytes than its buffer holds", 0 },
		{ "length-every=20", "more bytes than its buffer holds", HEADER },
		{ "header-every=20", "more header than its buffer holds", HEADER },
		{ "endless-every=20", "a packet that goes on behind a buffer that is not full", 0 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire w;
		struct weir_error why;

		assert_int_equal(wire_start(&w, cases[i].fault), 0);
		if (wire_open(&w))
			fail_msg("%s", w.err.text);
		fill(&w);
		configure(&w, cases[i].header_bytes);
		for (unsigned int round = 0; round < 3; round++) {
			run(&w, 1000);
			assert_int_equal(w.port[1].rx_error, -EIO);
			assert_int_equal(w.port[0].tx_error, 0);
			assert_int_equal(next_event(&w.port[1]), WEIR_NIC_EVENT_RESET_NEEDED);
			assert_int_equal(next_event(&w.port[1]), 0);
			assert_int_equal(next_event(&w.port[0]), 0);
			weir_nic_failure(w.port[1].nic, &why);
			assert_int_equal(why.code, -EIO);
			if (!strstr(why.text, cases[i].words))
				fail_msg("'%s' has no '%s'", why.text, cases[i].words);
			reset(&w, 1);
			weir_nic_failure(w.port[1].nic, &why);
			assert_int_equal(why.code, 0);
		}
		assert_int_equal(weir_nic_stop(w.port[0].nic, &w.err), 0);
		assert_int_equal(weir_nic_stop(w.port[1].nic, &w.err), 0);
		all_back(&w);
		weir_wire_close(&w);
		assert_int_equal(sim_process_stop(&w.sim), 0);
	}
}

/* Wrong, but possible: traffic goes on, or a reset makes it go on, and no frame is lost. */
static void other_faults_harm_nothing(void **state)
{
	static const char *const faults[] = {
		"crc-every=7",
		"garble-every=5",
		"types-every=3",
		"status-every=9",
		"skip-every=50",
		"unreported-every=4",
		"flap-every=200,flap-us=1",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct wire w;

		assert_int_equal(wire_start(&w, faults[i]), 0);
		if (wire_open(&w))
			fail_msg("%s", w.err.text);
		fill(&w);
		configure(&w, 0);
		for (unsigned int round = 0; round < 5; round++) {
			time_t end = deadline();
			uint64_t before = w.port[1].packets;

			/* until some came, or what comes is stuck */
			for (unsigned int k = 0; k < 2000 && time(NULL) < end; k++) {
				struct weir_nic_event events[4];

				turn(&w, !w.port[1].rx_error && !w.port[0].tx_error);
				if (k % 100 == 0) {
					weir_nic_events(w.port[0].nic, events, 4);
					weir_nic_events(w.port[1].nic, events, 4);
				}
			}
			if (w.port[1].packets == before)
				fail_msg("%s: no packet in round %u", faults[i], round);
			reset(&w, round % 2);
			reset(&w, 1 - round % 2);
		}
		assert_int_equal(weir_nic_stop(w.port[0].nic, &w.err), 0);
		assert_int_equal(weir_nic_stop(w.port[1].nic, &w.err), 0);
		all_back(&w);
		weir_wire_close(&w);
		assert_int_equal(sim_process_stop(&w.sim), 0);
	}
}

static void a_reset_that_does_not_end_is_told(void **state)
{
	struct wire w;

	(void)state;
	assert_int_equal(wire_start(&w, "stuck-reset"), 0);
	assert_int_equal(wire_open(&w), -ETIMEDOUT);
	assert_non_null(strstr(w.err.text, "did not come out of its reset"));
	assert_null(w.port[0].nic);
	weir_wire_close(&w);
	assert_int_equal(sim_process_stop(&w.sim), 0);
}

static void a_link_may_be_down(void **state)
{
	struct weir_nic_link link;
	struct wire w;

	(void)state;
	assert_int_equal(wire_start(&w, "no-link"), 0);
	if (wire_open(&w))
		fail_msg("%s", w.err.text);
	configure(&w, 0);
	assert_int_equal(weir_nic_link(w.port[0].nic, &link, &w.err), 0);
	assert_int_equal(link.up | link.speed_mbps, 0);
	send(&w, &w.port[0]);
	assert_int_equal(weir_nic_stop(w.port[0].nic, &w.err), 0);
	all_back(&w);
	weir_wire_close(&w);
	assert_int_equal(sim_process_stop(&w.sim), 0);
}

/* Both ports of a server that is killed, and a controller that is pulled: everything comes back
 * once, and then each call says so. */
static void check_gone(struct wire *w, struct port *port)
{
	struct weir_frame frame = { 0 };
	struct weir_nic_link link;
	struct weir_error why;
	time_t end = deadline();
	uint32_t type = 0;

	/* somebody finds it out; then the owners are told */
	while (time(NULL) < end && type != WEIR_NIC_EVENT_GONE) {
		type = next_event(port);
		sched_yield();
	}
	assert_int_equal(type, WEIR_NIC_EVENT_GONE);
	while (time(NULL) < end && (port->rx_error != -ENODEV || port->tx_error != -ENODEV ||
				    port->nr_rx + port->nr_tx)) {
		receive(w, port);
		finish_sending(port);
	}
	assert_int_equal(port->rx_error, -ENODEV);
	assert_int_equal(port->tx_error, -ENODEV);
	assert_int_equal(port->nr_rx + port->nr_tx, 0);
	assert_int_equal(weir_nic_rx_post(weir_nic_rxq(port->nic, 0), &frame, 1), -ENODEV);
	assert_int_equal(weir_nic_tx(weir_nic_txq(port->nic, 0), &frame, 1), -ENODEV);
	assert_int_equal(weir_nic_link(port->nic, &link, &why), -ENODEV);
	assert_int_equal(weir_nic_start(port->nic, &why), -ENODEV);
	assert_int_equal(weir_nic_stop(port->nic, &why), -ENODEV);
	assert_int_equal(weir_nic_reset(port->nic, 100, &why), -ENODEV);
	assert_int_equal(weir_nic_set_mtu(port->nic, 1000, &why), -ENODEV);
	assert_int_equal(weir_nic_configure(port->nic, NULL, &why), -ENODEV);
	weir_nic_failure(port->nic, &why);
	assert_int_equal(why.code, -ENODEV);
}

static void a_killed_server_loses_no_frame(void **state)
{
	struct wire w;

	(void)state;
	assert_int_equal(wire_start(&w, NULL), 0);
	if (wire_open(&w))
		fail_msg("%s", w.err.text);
	fill(&w);
	configure(&w, 0);
	run(&w, 500);
	post(&w, &w.port[0]);
	sim_process_kill(&w.sim);
	for (unsigned int i = 0; i < 100; i++)
		turn(&w, true);
	check_gone(&w, &w.port[0]);
	check_gone(&w, &w.port[1]);
	weir_wire_close(&w);
}

static void a_pulled_device_loses_no_frame(void **state)
{
	struct wire w;
	time_t end = deadline();

	(void)state;
	assert_int_equal(wire_start(&w, "unplug-after=300"), 0);
	if (wire_open(&w))
		fail_msg("%s", w.err.text);
	fill(&w);
	configure(&w, 0);
	while (time(NULL) < end && w.port[0].tx_error != -ENODEV && w.port[1].rx_error != -ENODEV) {
		struct weir_nic_event event;

		turn(&w, true);
		weir_nic_events(w.port[0].nic, &event, 0);
		weir_nic_events(w.port[1].nic, &event, 0);
	}
	check_gone(&w, w.port[0].tx_error ? &w.port[0] : &w.port[1]);
	weir_wire_close(&w);
	sim_process_kill(&w.sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_write_backs_are_told),
		cmocka_unit_test(other_faults_harm_nothing),
		cmocka_unit_test(a_reset_that_does_not_end_is_told),
		cmocka_unit_test(a_link_may_be_down),
		cmocka_unit_test(a_killed_server_loses_no_frame),
		cmocka_unit_test(a_pulled_device_loses_no_frame),
	};

	if (weir_fault_guard_enable(NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
