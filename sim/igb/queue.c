/* SPDX-License-Identifier: BSD-3-Clause */
/* Queues: from their registers to a ring in the client's memory, and accesses to it. */
#include <inttypes.h>
#include <string.h>

#include "igb/device.h"

#define NO_TAIL UINT32_MAX
#define BASE_ALIGN 128u

static const char *direction(const struct dev_ring *ring)
{
	return ring->transmits ? "transmit" : "receive";
}

void igb_queue_fail(struct sim_igb *igb, struct dev_ring *ring, const char *what, uint64_t value)
{
	ring->failed = true;
	weir_log_write(&igb->options.server.log, WEIR_LOG_WARN,
		       "igb: %s queue %u stops: %s 0x%" PRIx64, direction(ring), ring->index, what,
		       value);
	igb_cause_other(igb, ring->transmits ? IGB_ICR_FATAL | IGB_ICR_DOUTSYNC : IGB_ICR_FATAL);
}

static void enable_rx(struct sim_igb *igb, struct dev_rx_queue *queue)
{
	const struct dev_ring *ring = &queue->ring;
	uint32_t srrctl = ring->regs->srrctl;
	uint32_t bsize = *igb_reg(igb, IGB_RCTL) >> IGB_RCTL_BSIZE_SHIFT & 3;

	queue->type = srrctl >> IGB_SRRCTL_TYPE_SHIFT & 7;
	queue->packet_bytes = (srrctl & IGB_SRRCTL_PACKET_MASK) << 10;
	/* RCTL.BSIZE is for all queues that say nothing. */
	if (!queue->packet_bytes)
		queue->packet_bytes = 2048u >> bsize;
	queue->header_bytes = (srrctl >> IGB_SRRCTL_HEADER_SHIFT & IGB_SRRCTL_HEADER_MASK) << 6;
	queue->threshold = (srrctl >> IGB_SRRCTL_RDMTS_SHIFT & IGB_SRRCTL_RDMTS_MASK) * 16;
	if (queue->type > IGB_DESC_SPLIT_ALWAYS)
		igb_queue_fail(igb, &queue->ring, "descriptor type", queue->type);
	else if (queue->type >= IGB_DESC_SPLIT &&
		 (!queue->header_bytes || queue->header_bytes > IGB_RX_HEADER_MASK))
		igb_queue_fail(igb, &queue->ring, "header buffers of size", queue->header_bytes);
}

static void enable(struct sim_igb *igb, struct dev_ring *ring)
{
	uint64_t base_low = ring->regs->base_low, base_high = ring->regs->base_high;
	uint32_t bytes = ring->regs->bytes, head = ring->regs->head;

	ring->failed = ring->bare = false;
	ring->base = (base_high << 32 | base_low) & ~(uint64_t)(BASE_ALIGN - 1);
	ring->size = bytes / IGB_DESC_BYTES;
	ring->head = head;
	ring->bad_tail = NO_TAIL;
	ring->descriptors = ring->data = (struct sim_window){ 0 };
	if (!bytes || bytes > IGB_MAX_RING_BYTES || bytes % BASE_ALIGN)
		igb_queue_fail(igb, ring, "ring length", bytes);
	else if (ring->base + bytes < ring->base)
		igb_queue_fail(igb, ring, "ring at", ring->base);
	else if (head >= ring->size)
		igb_queue_fail(igb, ring, "head", head);
	/* The rest is not reached when it has failed. */
	if (ring->transmits) {
		struct dev_tx_queue *queue = container_of(ring, struct dev_tx_queue, ring);

		igb_transmit_forget(queue);
		queue->next = head;
		memset(queue->contexts, 0, sizeof(queue->contexts));
	} else {
		enable_rx(igb, container_of(ring, struct dev_rx_queue, ring));
	}
}

static void notice(struct sim_igb *igb, struct dev_ring *ring, uint32_t *mask)
{
	uint32_t control = ring->regs->control;

	if (unlikely(control & IGB_DCTL_FLUSH))
		/* The client may write it meanwhile, where it is mapped. */
		__atomic_fetch_and(&ring->regs->control, ~IGB_DCTL_FLUSH, __ATOMIC_RELAXED);
	if (likely(ring->enabled == !!(control & IGB_DCTL_ENABLE))) {
		/* A driver may leave it enabled while it says where the ring is. What it says
		 * counts when there are descriptors. */
		if (unlikely(ring->bare) && ring->regs->bytes &&
		    ring->regs->tail != ring->regs->head)
			enable(igb, ring);
		return;
	}
	ring->enabled = !ring->enabled;
	ring->bare = false;
	*mask ^= 1u << ring->index;
	if (ring->enabled)
		enable(igb, ring);
	else if (ring->transmits)
		igb_transmit_forget(container_of(ring, struct dev_tx_queue, ring));
}

void igb_queues_notice(struct sim_igb *igb)
{
	for (unsigned int i = 0; i < IGB_QUEUES; i++) {
		notice(igb, &igb->rx[i].ring, &igb->rx_enabled);
		notice(igb, &igb->tx[i].ring, &igb->tx_enabled);
	}
}

/* Queue 0 of either direction comes out of a reset enabled, all others disabled (§8.10.10,
 * §8.12.14). */
static void reset_ring(struct dev_ring *ring)
{
	ring->enabled = ring->bare = !ring->index;
	ring->failed = false;
	ring->regs->control = ring->enabled ? IGB_DCTL_ENABLE : 0;
}

void igb_queues_reset(struct sim_igb *igb)
{
	memset(igb->bar + IGB_RX_QUEUES, 0, IGB_QUEUES * IGB_QUEUE_STRIDE);
	memset(igb->bar + IGB_TX_QUEUES, 0, IGB_QUEUES * IGB_QUEUE_STRIDE);
	igb->rx_enabled = igb->tx_enabled = 1u << 0;
	igb->waits = false;
	for (unsigned int i = 0; i < IGB_QUEUES; i++) {
		igb_transmit_forget(&igb->tx[i]);
		reset_ring(&igb->rx[i].ring);
		reset_ring(&igb->tx[i].ring);
		igb->rx[i].packets = igb->rx[i].octets = igb->rx[i].multicasts = 0;
		igb->tx[i].packets = igb->tx[i].octets = 0;
	}
}

uint32_t igb_queue_pending(struct sim_igb *igb, struct dev_ring *ring, uint32_t from)
{
	/* Descriptors were written before the tail that tells of them. */
	uint32_t tail = __atomic_load_n(&ring->regs->tail, __ATOMIC_ACQUIRE);

	/* Its tail may have been told since its ring was looked for. */
	if (unlikely(ring->bare))
		return 0;
	if (likely(tail < ring->size))
		return tail >= from ? tail - from : tail + ring->size - from;
	if (tail != ring->bad_tail) {
		ring->bad_tail = tail;
		weir_log_write(&igb->options.server.log, WEIR_LOG_WARN,
			       "igb: %s queue %u: tail %u is over its ring of %u", direction(ring),
			       ring->index, tail, ring->size);
	}
	return 0;
}

bool igb_desc_read(struct sim_igb *igb, struct dev_ring *ring, uint32_t slot, uint64_t desc[2])
{
	uint64_t iova = ring->base + (uint64_t)slot * IGB_DESC_BYTES;
	const uint64_t *words = sim_dma_ptr(igb->server, &ring->descriptors, iova, IGB_DESC_BYTES,
					    DEV_PROT_READ);

	if (likely(words)) {
		desc[0] = __atomic_load_n(&words[0], __ATOMIC_RELAXED);
		desc[1] = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
		return true;
	}
	if (!sim_dma_read(igb->server, iova, desc, IGB_DESC_BYTES))
		return true;
	igb_queue_fail(igb, ring, "no descriptor at", iova);
	return false;
}

bool igb_desc_write(struct sim_igb *igb, struct dev_ring *ring, uint32_t slot,
		    const uint64_t desc[2])
{
	uint64_t iova = ring->base + (uint64_t)slot * IGB_DESC_BYTES;
	uint64_t *words = sim_dma_ptr(igb->server, &ring->descriptors, iova, IGB_DESC_BYTES,
				      DEV_PROT_WRITE);

	if (likely(words)) {
		__atomic_store_n(&words[0], desc[0], __ATOMIC_RELAXED);
		/* The status comes last: data and the other word are there when it is. */
		__atomic_store_n(&words[1], desc[1], __ATOMIC_RELEASE);
		return true;
	}
	if (!sim_dma_write(igb->server, iova, desc, IGB_DESC_BYTES))
		return true;
	igb_queue_fail(igb, ring, "no descriptor to write at", iova);
	return false;
}

bool igb_data_read(struct sim_igb *igb, struct dev_ring *ring, uint64_t iova, void *to,
		   uint32_t bytes)
{
	const void *from = sim_dma_ptr(igb->server, &ring->data, iova, bytes, DEV_PROT_READ);

	if (likely(from)) {
		memcpy(to, from, bytes);
		return true;
	}
	if (!sim_dma_read(igb->server, iova, to, bytes))
		return true;
	igb_queue_fail(igb, ring, "no data at", iova);
	return false;
}

bool igb_data_write(struct sim_igb *igb, struct dev_ring *ring, uint64_t iova, const void *from,
		    uint32_t bytes)
{
	void *to = sim_dma_ptr(igb->server, &ring->data, iova, bytes, DEV_PROT_WRITE);

	if (likely(to)) {
		memcpy(to, from, bytes);
		return true;
	}
	if (!sim_dma_write(igb->server, iova, from, bytes))
		return true;
	igb_queue_fail(igb, ring, "no buffer at", iova);
	return false;
}

/* The windows are found anew, all of them: it happens seldom. */
void igb_dma_unmap(void *model, uint64_t iova, uint64_t bytes)
{
	struct sim_igb *igb = model;

	(void)iova;
	(void)bytes;
	for (unsigned int i = 0; i < IGB_QUEUES; i++) {
		struct dev_ring *rings[] = { &igb->rx[i].ring, &igb->tx[i].ring };

		for (unsigned int k = 0; k < 2; k++)
			rings[k]->descriptors = rings[k]->data = (struct sim_window){ 0 };
	}
}
