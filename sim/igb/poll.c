/* SPDX-License-Identifier: BSD-3-Clause */
/* One turn: what has arrived, what is to be sent, interrupts. */
#include "igb/device.h"

static unsigned int transmit_all(struct sim_igb *igb)
{
	unsigned int done = 0;

	for (uint32_t enabled = igb->tx_enabled; enabled; enabled &= enabled - 1) {
		struct dev_tx_queue *queue = &igb->tx[__builtin_ctz(enabled)];

		if (!queue->ring.failed)
			done += igb_transmit(igb, queue);
	}
	return done;
}

unsigned int igb_poll(void *model)
{
	struct sim_igb *igb = model;
	const struct cable_ops *ops = igb->cable->ops;
	unsigned int done = 0;

	igb_queues_notice(igb);
	if (unlikely(igb->faulty))
		igb_fault_turn(igb);
	igb_link_update(igb);
	if (ops->fetch)
		done += ops->fetch(igb->cable);
	if (!sim_bus_master(igb->server) || *igb_reg(igb, IGB_CTRL) & IGB_CTRL_MASTER_DISABLE) {
		/* Nobody waits for a buffer that is not going to be emptied. */
		atomic_store_explicit(&igb->buffer->consumer.starved, true, memory_order_relaxed);
		return done;
	}
	if (igb->receives)
		done += igb_receive(igb);
	if (igb->link && *igb_reg(igb, IGB_TCTL) & IGB_TCTL_EN)
		done += transmit_all(igb);
	igb_interrupts_send(igb);
	return done;
}
