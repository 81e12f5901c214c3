/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of queues: rings in the arena, what the driver remembers of them in its own. */
#include <stdlib.h>
#include <string.h>

#include "igb.h"

static void *zeroed(size_t bytes)
{
	void *memory = aligned_alloc(WEIR_CACHE_PAIR, weir_align_up(bytes, WEIR_CACHE_PAIR));

	if (memory)
		memset(memory, 0, bytes);
	return memory;
}

static void rxq_destroy(struct igb_rxq *q)
{
	weir_arena_free(q->common.nic->arena, q->ring);
	free(q->slots);
	free(q->header_slots);
	free(q);
}

static void txq_destroy(struct igb_txq *q)
{
	weir_arena_free(q->common.nic->arena, q->ring);
	free(q->cookies);
	free(q->reports);
	free(q->is_context);
	free(q->refused);
	free(q);
}

void igb_queue_destroy(struct nic_queue *queue)
{
	if (queue->receives)
		rxq_destroy((struct igb_rxq *)queue);
	else
		txq_destroy((struct igb_txq *)queue);
}

/* A ring is 16-byte descriptors, its address a multiple of 128 (§8.10.5). */
static void *ring_alloc(struct weir_nic *nic, uint32_t entries)
{
	return weir_arena_alloc(nic->arena, entries * sizeof(igb_pair), 0);
}

static struct igb_rxq *rxq_create(struct weir_nic *nic, unsigned int index)
{
	const struct weir_nic_config *config = &nic->config;
	const size_t bytes = config->rx_entries * sizeof(igb_pair);
	struct igb_rxq *q = zeroed(sizeof(*q));

	if (!q)
		return NULL;
	q->common.nic = nic;
	q->common.receives = true;
	q->entries = config->rx_entries;
	q->buffer_bytes = config->rx_buffer_bytes;
	q->header_bytes = config->header_bytes;
	q->payload_flags = config->rx_device_memory ? WEIR_FRAME_DEVICE : 0;
	q->tail_register = weir_device_bar(nic->dev, 0, IGB_RX_QUEUE(index) + IGB_TAIL, 4);
	q->ring = ring_alloc(nic, q->entries);
	q->slots = zeroed(bytes);
	q->header_slots = q->header_bytes ? zeroed(bytes) : NULL;
	if (q->ring && q->slots && (!q->header_bytes || q->header_slots))
		return q;
	rxq_destroy(q);
	return NULL;
}

static struct igb_txq *txq_create(struct weir_nic *nic, unsigned int index)
{
	struct igb_txq *q = zeroed(sizeof(*q));

	if (!q)
		return NULL;
	q->common.nic = nic;
	q->entries = nic->config.tx_entries;
	/* The largest packet, with its context, fits into an empty ring. */
	q->max_frames = q->entries - 2 < IGB_MAX_PACKET_FRAMES ? q->entries - 2
							       : IGB_MAX_PACKET_FRAMES;
	nic->info.max_packet_frames = q->max_frames;
	q->tail_register = weir_device_bar(nic->dev, 0, IGB_TX_QUEUE(index) + IGB_TAIL, 4);
	q->ring = ring_alloc(nic, q->entries);
	q->cookies = zeroed(q->entries * sizeof(*q->cookies));
	q->reports = zeroed(q->entries * sizeof(*q->reports));
	q->is_context = zeroed(q->entries);
	q->refused = zeroed(q->entries * sizeof(*q->refused));
	if (q->ring && q->cookies && q->reports && q->is_context && q->refused)
		return q;
	txq_destroy(q);
	return NULL;
}

struct nic_queue *igb_queue_create(struct weir_nic *nic, bool receives, unsigned int index,
				   struct weir_error *err)
{
	struct igb_rxq *rxq = receives ? rxq_create(nic, index) : NULL;
	struct igb_txq *txq = receives ? NULL : txq_create(nic, index);
	struct nic_queue *queue = receives ? (struct nic_queue *)rxq : (struct nic_queue *)txq;

	if (!queue) {
		weir_error_set(err, -ENOMEM,
			       "no memory, or no room in the arena, for %s queue %u of %u entries",
			       receives ? "receive" : "transmit", index,
			       receives ? nic->config.rx_entries : nic->config.tx_entries);
		return NULL;
	}
	igb_queue_clear(queue);
	return queue;
}

void igb_queue_clear(struct nic_queue *queue)
{
	if (queue->receives) {
		struct igb_rxq *q = (struct igb_rxq *)queue;

		memset(q->ring, 0, q->entries * sizeof(q->ring[0]));
		q->next = q->tail = q->posted = q->packet_bytes = 0;
	} else {
		struct igb_txq *q = (struct igb_txq *)queue;

		memset(q->ring, 0, q->entries * sizeof(q->ring[0]));
		memset(q->is_context, 0, q->entries);
		q->tail = q->head = q->ready = q->nr_contexts = 0;
		q->report_head = q->report_tail = 0;
		q->context[0] = q->context[1] = 0;
		q->offload = (struct igb_offload){ .headers = IGB_MIN_PACKET };
		q->room = q->entries - 1;
	}
}
