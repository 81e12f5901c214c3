/* SPDX-License-Identifier: BSD-3-Clause */
/* One turn: what has arrived, what is to be sent, interrupts. */
#include "igb/device.h"

/* The queue that had the first turn and used it has the last one next time. Otherwise one could
 * take all the room that the cable has in a turn. */
static unsigned int transmit_all(struct sim_igb *igb)
{
	uint32_t early = igb->tx_enabled & ((1u << igb->first_tx) - 1);
	uint32_t late = igb->tx_enabled & ~early;
	unsigned int done = 0;

	while (late | early) {
		uint32_t *queues = late ? &late : &early;
		unsigned int index = (unsigned int)__builtin_ctz(*queues), work = 0;

		*queues &= *queues - 1;
		if (!igb->tx[index].ring.failed)
			work = igb_transmit(igb, &igb->tx[index]);
		if (work && !done)
			igb->first_tx = (index + 1) % IGB_QUEUES;
		done += work;
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
