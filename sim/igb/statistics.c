/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics (datasheet §8.18). Lengths are those on the wire, with the FCS. */
#include <string.h>

#include "igb/device.h"

static bool is_group(const uint8_t *frame)
{
	return frame[0] & 1;
}

static bool is_broadcast(const uint8_t *frame)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return !memcmp(frame, broadcast, sizeof(broadcast));
}

/* Which of six counters a length goes to: 64, 65 to 127, to 255, to 511, to 1023, longer. */
static uint32_t bin(uint32_t octets)
{
	if (octets <= 64)
		return 0;
	if (octets >= 1024)
		return 5;
	return 26u - (uint32_t)__builtin_clz(octets);
}

void igb_count_sent(struct sim_igb *igb, struct dev_tx_queue *queue, const uint8_t *frame,
		    uint32_t bytes)
{
	uint32_t octets = bytes + IGB_FCS_BYTES;

	igb_count(igb, IGB_GPTC, 1);
	igb_count(igb, IGB_GOTCL, octets);
	igb_count(igb, IGB_TPT, 1);
	igb_count(igb, IGB_TOTL, octets);
	igb_count(igb, IGB_HGPTC, 1);
	igb_count(igb, IGB_HGOTCL, octets);
	igb_count(igb, IGB_PTC64 + 4 * bin(octets), 1);
	if (is_group(frame))
		igb_count(igb, is_broadcast(frame) ? IGB_BPTC : IGB_MPTC, 1);
	queue->packets++;
	queue->octets += octets;
}

void igb_count_received(struct sim_igb *igb, struct dev_rx_queue *queue, const uint8_t *frame,
			uint32_t bytes)
{
	uint32_t octets = bytes + IGB_FCS_BYTES;

	igb_count(igb, IGB_GPRC, 1);
	igb_count(igb, IGB_GORCL, octets);
	igb_count(igb, IGB_RPTHC, 1);
	igb_count(igb, IGB_HGORCL, octets);
	igb_count(igb, IGB_PRC64 + 4 * bin(octets), 1);
	if (is_group(frame)) {
		bool broadcast = is_broadcast(frame);

		igb_count(igb, broadcast ? IGB_BPRC : IGB_MPRC, 1);
		queue->multicasts += !broadcast;
	}
	queue->packets++;
	queue->octets += octets;
}

static uint32_t take(uint64_t *counter)
{
	uint32_t value = *counter > UINT32_MAX ? UINT32_MAX : (uint32_t)*counter;

	*counter = 0;
	return value;
}

static bool read_queue(struct sim_igb *igb, uint32_t inside, uint32_t *value)
{
	unsigned int index = inside / IGB_QUEUE_STATS_STRIDE;

	switch (inside % IGB_QUEUE_STATS_STRIDE) {
	case IGB_PQGPRC:
		*value = take(&igb->rx[index].packets);
		return true;
	case IGB_PQGPTC:
		*value = take(&igb->tx[index].packets);
		return true;
	case IGB_PQGORC:
		*value = take(&igb->rx[index].octets);
		return true;
	case IGB_PQGOTC:
		*value = take(&igb->tx[index].octets);
		return true;
	case IGB_PQMPRC:
		*value = take(&igb->rx[index].multicasts);
		return true;
	default:
		return false;
	}
}

/* What the far end of the cable found no room for. It is part of all that came. */
static void fetch_missed(struct sim_igb *igb)
{
	uint64_t missed = atomic_load_explicit(&igb->buffer->producer.missed, memory_order_relaxed);
	uint64_t octets = atomic_load_explicit(&igb->buffer->producer.missed_octets,
					       memory_order_relaxed);

	igb_count(igb, IGB_MPC, missed - igb->missed);
	igb_count(igb, IGB_TPR, missed - igb->missed);
	igb_count(igb, IGB_TORL, octets - igb->missed_octets);
	igb->missed_octets = octets;
	igb->missed = missed;
}

/*
 * Counters of octets are two registers, of which the lower is read first. It holds the upper one,
 * whose read then clears what was read: octets that come between the two are not lost. The place of
 * the upper register in the statistics has what was held, plus 1; 0: nothing is.
 */
static uint32_t read_lower(uint64_t *counter)
{
	counter[1] = counter[0] + 1;
	return (uint32_t)counter[0];
}

static uint32_t read_upper(uint64_t *counter)
{
	uint64_t held = counter[1] ? counter[1] - 1 : counter[0];

	counter[0] -= held;
	counter[1] = 0;
	return (uint32_t)(held >> 32);
}

/* The lower registers of octets. */
static bool is_long(uint32_t reg)
{
	return reg == IGB_GORCL || reg == IGB_GOTCL || reg == IGB_TORL || reg == IGB_TOTL ||
	       reg == IGB_HGORCL || reg == IGB_HGOTCL;
}

bool igb_stats_read(struct sim_igb *igb, uint32_t offset, uint32_t *value)
{
	uint64_t *counter;

	if (offset - IGB_QUEUE_STATS < IGB_QUEUES * IGB_QUEUE_STATS_STRIDE)
		return read_queue(igb, offset - IGB_QUEUE_STATS, value);
	if (offset < IGB_STATS || offset >= IGB_STATS_END)
		return false;
	counter = &igb->stats[(offset - IGB_STATS) / 4];
	if (offset == IGB_MPC || offset == IGB_TPR || offset == IGB_TORL)
		fetch_missed(igb);
	if (is_long(offset))
		*value = read_lower(counter);
	else if (is_long(offset - 4))
		*value = read_upper(counter - 1);
	else
		*value = take(counter);
	return true;
}

void igb_stats_reset(struct sim_igb *igb)
{
	memset(igb->stats, 0, sizeof(igb->stats));
	igb->missed = atomic_load_explicit(&igb->buffer->producer.missed, memory_order_relaxed);
	igb->missed_octets = atomic_load_explicit(&igb->buffer->producer.missed_octets,
						  memory_order_relaxed);
}
