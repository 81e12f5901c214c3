/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Queues of the real igb driver on rings in an arena, with the test as their device: it takes
 * descriptors as far as the tail says and writes them back, right or wrong. There is no device
 * behind it: fake_device.c.
 */
#ifndef WEIR_TEST_IGB_FIXTURE_H
#define WEIR_TEST_IGB_FIXTURE_H

#include "igb.h"

struct igb_fixture {
	struct igb igb;
	struct weir_arena *arena;
	struct nic_queue *rxqs[1], *txqs[1];
	struct weir_nic_rxq *rxq;
	struct weir_nic_txq *txq;
	struct igb_rxq *rx; /* the same */
	struct igb_txq *tx;
	uint32_t rx_tail, tx_tail; /* registers */
	uint32_t rx_head, tx_head; /* the device's */
	struct weir_error failure; /* of the last log line at level error */
};

/* Queues of so many entries, started. `header_bytes`: header split; `device_memory`: payload is in
 * the memory of a device. */
void igb_fixture_start(struct igb_fixture *f, unsigned int entries, unsigned int header_bytes,
		       bool device_memory);
void igb_fixture_stop(struct igb_fixture *f);

/* What the control side does of a stop, and of a start, to the queues. */
void igb_fixture_quiesce(struct igb_fixture *f);
void igb_fixture_restart(struct igb_fixture *f);

/* Writes the next receive descriptor back: first word, status and errors, length, tag. false: none
 * is posted. */
bool igb_fixture_receive(struct igb_fixture *f, uint64_t first, uint32_t status, uint16_t length,
			 uint16_t vlan);

/* The next transmit descriptor, which the device takes; reports it if it asks for it and `report`.
 * false: there is none. */
bool igb_fixture_send(struct igb_fixture *f, uint64_t descriptor[2], bool report);

#endif
