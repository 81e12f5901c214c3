/* SPDX-License-Identifier: BSD-3-Clause */
/* What the owners of the igb driver's queues get back when its device is stopped, or gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "fake_device.h"
#include "igb_frames.h"

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
		igb_post(&f, 0, 8);
		igb_fixture_receive(&f, 0, DONE, 60, 0);
		igb_fixture_receive(&f, 0, IGB_RXD_DD, BUFFER, 0);
		for (unsigned int i = 0; i < 10; i++)
			frames[i] = igb_plain(i);
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
		igb_check_frame(&got[0], 0, 60, 0);
		igb_check_frame(&got[1], 1, BUFFER, WEIR_FRAME_MORE);
		igb_check_drained(&f, 2, 6);

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
	struct weir_frame frames[3] = { igb_plain(0), igb_plain(1), igb_plain(2) }, got[ENTRIES];
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	igb_post(&f, 0, 4);
	igb_fixture_receive(&f, 0, 0, 60, 0);
	igb_fixture_receive(&f, 0, DONE, 60, 0);
	assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
	assert_int_equal(weir_nic_tx(f.txq, frames, 3), 3);
	while (igb_fixture_send(&f, desc, false))
		;
	igb_fixture_quiesce(&f);

	assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
	igb_check_frame(&got[0], 0, 0, WEIR_FRAME_UNUSED);
	assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 3);
	for (unsigned int i = 0; i < 3; i++)
		igb_check_frame(&got[i], 1 + i, 0, WEIR_FRAME_UNUSED);
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
	igb_post(&f, 0, 2);
	igb_fixture_receive(&f, 0, DONE, 60, 0);
	igb_fixture_quiesce(&f);
	assert_int_equal(weir_nic_rx(f.rxq, got, ENTRIES), 1);
	igb_check_frame(&got[0], 0, 60, 0);
	igb_check_drained(&f, 1, 1);
	igb_fixture_stop(&f);
}

/* The owner may count: with the last of its frames its queue is parked, also when that was
 * completed before the stop. */
static void the_last_frame_parks_the_queue(void **state)
{
	struct weir_frame frames[2] = { igb_plain(0), igb_plain(1) }, got[ENTRIES];
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	igb_post(&f, 0, 2);
	while (igb_fixture_receive(&f, 0, DONE, 60, 0))
		;
	assert_int_equal(weir_nic_tx(f.txq, frames, 2), 2);
	while (igb_fixture_send(&f, desc, true))
		;
	igb_fixture_quiesce(&f);
	assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
	assert_int_equal(atomic_load(&f.rxqs[0]->control), NIC_QUIESCE);
	assert_int_equal(weir_nic_rx(f.rxq, got, 1), 1);
	igb_check_frame(&got[0], 1, 60, 0);
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
	struct weir_frame frames[4] = { igb_plain(0), igb_plain(1), igb_plain(2), igb_plain(3) },
			  got[ENTRIES];
	struct weir_error why = { .code = -ENODEV, .text = "unplugged" }, told;
	uint64_t desc[2], cookies[ENTRIES];
	struct igb_fixture f;
	unsigned int unsent;

	(void)state;
	igb_fixture_start(&f, ENTRIES, 0, false);
	igb_post(&f, 0, 4);
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
	igb_check_frame(&got[3], 3, 0, WEIR_FRAME_UNUSED);
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
		cmocka_unit_test(a_stop_gives_everything_back),
		cmocka_unit_test(a_drain_that_has_begun_goes_on),
		cmocka_unit_test(the_last_frame_parks_the_queue),
		cmocka_unit_test(a_lost_device_gives_everything_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
