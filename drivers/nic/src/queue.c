/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The burst calls, as far as they are the same for all drivers: a look at the queue's state, and on
 * to the driver. A stop and a reset are taken part in here.
 */
#include <stdarg.h>
#include <stdio.h>

#include "nic.h"

int nic_queue_break(struct nic_queue *queue, const char *format, ...)
{
	struct weir_nic *nic = queue->nic;
	uint32_t live = NIC_LIVE;
	char text[WEIR_ERROR_TEXT];
	va_list args;

	/* A queue that is being stopped needs no reset any more. */
	if (!atomic_compare_exchange_strong_explicit(&queue->control, &live, NIC_BROKEN,
						     memory_order_relaxed, memory_order_relaxed))
		return -EIO;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pthread_mutex_lock(&nic->lock);
	if (!atomic_load(&nic->reset_needed)) {
		weir_error_set(&nic->trouble, -EIO, "%s queue %u: %s",
			       queue->receives ? "receive" : "transmit", queue->index, text);
		weir_log_write(&nic->log, WEIR_LOG_ERROR, "%s: %s", nic->info.address,
			       nic->trouble.text);
		nic->driver->dump(nic);
		atomic_store(&nic->reset_needed, true);
	}
	pthread_mutex_unlock(&nic->lock);
	return -EIO;
}

/* The owner has all its frames back: from here on it does not touch the queue. */
static void park(struct nic_queue *queue)
{
	uint32_t quiesce = NIC_QUIESCE;

	queue->drains = false;
	atomic_compare_exchange_strong_explicit(&queue->control, &quiesce, NIC_PARKED,
						memory_order_release, memory_order_relaxed);
}

/*
 * Of a stopped queue the owner takes what was completed, then the rest. Once that has begun nothing
 * is looked for in the ring any more: there may be more behind what was not completed, and a device
 * that is not what it should be may add to it.
 */
static bool may_be_completed(const struct nic_queue *queue, uint32_t control)
{
	/* What one that is gone says does not count. */
	return control == NIC_QUIESCE && !queue->drains;
}

/* What the calls that give something to a queue return when it is not live. */
static __attribute__((noinline, cold)) int not_taken(uint32_t control)
{
	if (control == NIC_DEAD)
		return -ENODEV;
	return control == NIC_BROKEN ? -EIO : 0;
}

static __attribute__((noinline, cold)) int rx_not_live(struct weir_nic_rxq *rxq, uint32_t control,
						       struct weir_frame *frames, unsigned int max)
{
	struct nic_queue *queue = nic_rx_queue(rxq);
	const struct nic_queue_ops *ops = &queue->nic->queue_ops;
	bool empty;
	int n = 0;

	if (control == NIC_PARKED || control == NIC_BROKEN)
		return not_taken(control);
	if (may_be_completed(queue, control))
		n = ops->rx(rxq, frames, max);
	if (n <= 0) {
		n = (int)ops->rx_drain(rxq, frames, max);
		queue->drains |= n > 0;
	}
	empty = ops->rx_is_empty(rxq);
	if (empty)
		park(queue);
	return !n && empty && control == NIC_DEAD ? -ENODEV : n;
}

static __attribute__((noinline, cold)) int done_not_live(struct weir_nic_txq *txq, uint32_t control,
							 uint64_t *cookies, unsigned int max,
							 unsigned int *unsent)
{
	struct nic_queue *queue = nic_tx_queue(txq);
	const struct nic_queue_ops *ops = &queue->nic->queue_ops;
	bool empty;
	int n = 0;

	*unsent = 0;
	if (control == NIC_PARKED || control == NIC_BROKEN)
		return not_taken(control);
	if (may_be_completed(queue, control))
		n = ops->tx_done(txq, cookies, max, unsent);
	if (n <= 0) {
		n = (int)ops->tx_drain(txq, cookies, max);
		*unsent = (unsigned int)n;
		queue->drains |= n > 0;
	}
	empty = ops->tx_is_empty(txq);
	if (empty)
		park(queue);
	return !n && empty && control == NIC_DEAD ? -ENODEV : n;
}

static inline uint32_t control_of(const struct nic_queue *queue)
{
	return atomic_load_explicit(&queue->control, memory_order_acquire);
}

WEIR_EXPORT int weir_nic_rx_post(struct weir_nic_rxq *rxq, const struct weir_frame *frames,
				 unsigned int n)
{
	struct nic_queue *queue = nic_rx_queue(rxq);
	uint32_t control = control_of(queue);

	if (unlikely(control != NIC_LIVE))
		return not_taken(control);
	return queue->nic->queue_ops.rx_post(rxq, frames, n);
}

WEIR_EXPORT int weir_nic_rx(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max)
{
	struct nic_queue *queue = nic_rx_queue(rxq);
	uint32_t control = control_of(queue);

	if (unlikely(control != NIC_LIVE))
		return rx_not_live(rxq, control, frames, max);
	return queue->nic->queue_ops.rx(rxq, frames, max);
}

WEIR_EXPORT int weir_nic_tx(struct weir_nic_txq *txq, const struct weir_frame *frames,
			    unsigned int n)
{
	struct nic_queue *queue = nic_tx_queue(txq);
	uint32_t control = control_of(queue);

	if (unlikely(control != NIC_LIVE))
		return not_taken(control);
	return queue->nic->queue_ops.tx(txq, frames, n);
}

WEIR_EXPORT int weir_nic_tx_done(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max,
				 unsigned int *unsent)
{
	struct nic_queue *queue = nic_tx_queue(txq);
	uint32_t control = control_of(queue);

	if (!unsent)
		unsent = &queue->ignored;
	if (unlikely(control != NIC_LIVE))
		return done_not_live(txq, control, cookies, max, unsent);
	return queue->nic->queue_ops.tx_done(txq, cookies, max, unsent);
}

WEIR_EXPORT unsigned int weir_nic_rx_room(const struct weir_nic_rxq *rxq)
{
	const struct nic_queue *queue = (const struct nic_queue *)rxq;

	/* The ring of a queue that is not live may be being made anew. */
	return likely(control_of(queue) == NIC_LIVE) ? queue->nic->queue_ops.rx_room(rxq) : 0;
}

WEIR_EXPORT unsigned int weir_nic_tx_room(const struct weir_nic_txq *txq)
{
	const struct nic_queue *queue = (const struct nic_queue *)txq;

	return likely(control_of(queue) == NIC_LIVE) ? queue->nic->queue_ops.tx_room(txq) : 0;
}

WEIR_EXPORT void weir_nic_rxq_stats(const struct weir_nic_rxq *rxq,
				    struct weir_nic_rxq_stats *stats)
{
	((const struct nic_queue *)rxq)->nic->queue_ops.rx_stats(rxq, stats);
}

WEIR_EXPORT void weir_nic_txq_stats(const struct weir_nic_txq *txq,
				    struct weir_nic_txq_stats *stats)
{
	((const struct nic_queue *)txq)->nic->queue_ops.tx_stats(txq, stats);
}
