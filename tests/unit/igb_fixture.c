/* SPDX-License-Identifier: BSD-3-Clause */
#include "igb_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "fake_device.h"

static void keep_error(void *ctx, enum weir_log_level level, const char *text)
{
	struct igb_fixture *f = ctx;

	if (level == WEIR_LOG_ERROR && !f->failure.code)
		weir_error_set(&f->failure, -EIO, "%s", text);
}

static struct nic_queue *make_queue(struct igb_fixture *f, bool receives)
{
	struct nic_queue *queue = igb_driver.queue_create(&f->igb.nic, receives, 0, NULL);

	if (!queue)
		abort();
	queue->nic = &f->igb.nic;
	queue->fd = -1;
	return queue;
}

void igb_fixture_start(struct igb_fixture *f, unsigned int entries, unsigned int header_bytes,
		       bool device_memory)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_nic *nic = &f->igb.nic;

	memset(f, 0, sizeof(*f));
	fake_device_reset();
	options.bytes = 1 << 20;
	if (weir_arena_create(&options, &f->arena, NULL))
		abort();
	nic->driver = &igb_driver;
	nic->queue_ops = igb_driver.queue;
	nic->dev = fake_device();
	nic->arena = f->arena;
	nic->log = (struct weir_log){ keep_error, f, WEIR_LOG_ERROR };
	nic->info.address = "the port";
	pthread_mutex_init(&nic->lock, NULL);
	nic->state = NIC_STARTED;
	nic->config = (struct weir_nic_config){ .rx_queues = 1,
						.tx_queues = 1,
						.rx_entries = entries,
						.tx_entries = entries,
						.mtu = 1500,
						.rx_buffer_bytes = 2048,
						.header_bytes = header_bytes,
						.rx_device_memory = device_memory };
	atomic_init(&nic->max_packet, nic_packet_bytes(1500));
	f->rxqs[0] = make_queue(f, true);
	f->txqs[0] = make_queue(f, false);
	nic->rxqs = f->rxqs;
	nic->txqs = f->txqs;
	nic->info.rx_queues = nic->info.tx_queues = 1;
	f->rxq = (struct weir_nic_rxq *)f->rxqs[0];
	f->txq = (struct weir_nic_txq *)f->txqs[0];
	f->rx = (struct igb_rxq *)f->rxqs[0];
	f->tx = (struct igb_txq *)f->txqs[0];
	f->rx->tail_register = &f->rx_tail;
	f->tx->tail_register = &f->tx_tail;
}

void igb_fixture_stop(struct igb_fixture *f)
{
	igb_driver.queue_destroy(f->rxqs[0]);
	igb_driver.queue_destroy(f->txqs[0]);
	weir_arena_destroy(f->arena);
	pthread_mutex_destroy(&f->igb.nic.lock);
}

void igb_fixture_quiesce(struct igb_fixture *f)
{
	nic_set_control(&f->igb.nic, NIC_QUIESCE);
}

void igb_fixture_restart(struct igb_fixture *f)
{
	igb_queue_clear(f->rxqs[0]);
	igb_queue_clear(f->txqs[0]);
	f->rx_tail = f->rx_head = f->tx_tail = f->tx_head = 0;
	f->igb.nic.reset_needed = false;
	nic_set_control(&f->igb.nic, NIC_LIVE);
}

bool igb_fixture_receive(struct igb_fixture *f, uint64_t first, uint32_t status, uint16_t length,
			 uint16_t vlan)
{
	uint64_t *desc = (uint64_t *)&f->rx->ring[f->rx_head];

	if (f->rx_head == f->rx_tail)
		return false;
	desc[0] = first;
	desc[1] = status | (uint64_t)length << 32 | (uint64_t)vlan << 48;
	f->rx_head = (f->rx_head + 1) % f->rx->entries;
	return true;
}

bool igb_fixture_send(struct igb_fixture *f, uint64_t descriptor[2], bool report)
{
	uint64_t *desc = (uint64_t *)&f->tx->ring[f->tx_head];

	if (f->tx_head == f->tx_tail)
		return false;
	memcpy(descriptor, desc, 16);
	if (report && (desc[1] & IGB_TXD_RS))
		desc[1] |= IGB_TXD_DD;
	f->tx_head = (f->tx_head + 1) % f->tx->entries;
	return true;
}
