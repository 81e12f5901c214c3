/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cable between two controllers: each end sends straight into the other's packet buffer.
 *
 * The ends may go in any order and from different threads, so both buffers live as long as one of
 * the ends does.
 */
#include <stdlib.h>

#include "igb/cable.h"

struct pair;

struct pair_end {
	struct sim_cable cable;
	struct pair *pair;
	struct pair_end *other;
	atomic_bool gone;
	bool discards; /* the last room is not in a buffer, */
	bool misses; /* since there is none */
	uint8_t nowhere[CABLE_MAX_FRAME];
};

struct pair {
	struct pair_end ends[2];
	struct cable_buffer *buffers[2];
	bool lossless;
	atomic_uint users;
};

static struct pair_end *end_of(struct sim_cable *cable)
{
	return container_of(cable, struct pair_end, cable);
}

static uint8_t *pair_room(struct sim_cable *cable, uint32_t bytes)
{
	struct pair_end *end = end_of(cable);
	struct cable_buffer *buffer = end->other->cable.buffer;
	uint8_t *room = NULL;

	end->discards = !atomic_load_explicit(&buffer->consumer.listens, memory_order_relaxed);
	end->misses = false;
	if (!end->discards) {
		room = cable_buffer_room(buffer, bytes);
		if (!room)
			end->misses = cable_buffer_misses(buffer, end->pair->lossless);
		end->discards = end->misses;
	}
	return end->discards ? end->nowhere : room;
}

static void pair_send(struct sim_cable *cable, uint32_t bytes, uint32_t flags)
{
	struct pair_end *end = end_of(cable);

	if (!end->discards)
		cable_buffer_add(end->other->cable.buffer, bytes, flags);
	else if (end->misses)
		cable_buffer_miss(end->other->cable.buffer, bytes);
}

static bool pair_signal(struct sim_cable *cable)
{
	const struct pair_end *other = end_of(cable)->other;

	return !atomic_load_explicit(&other->gone, memory_order_relaxed) &&
	       !atomic_load_explicit(&other->cable.unplugged, memory_order_relaxed);
}

static void pair_destroy(struct sim_cable *cable)
{
	struct pair_end *end = end_of(cable);
	struct pair *pair = end->pair;

	atomic_store(&cable->buffer->consumer.listens, false);
	atomic_store(&end->gone, true);
	if (atomic_fetch_sub(&pair->users, 1) > 1)
		return;
	free(pair->buffers[0]);
	free(pair->buffers[1]);
	free(pair);
}

static const struct cable_ops pair_ops = {
	.room = pair_room,
	.send = pair_send,
	.signal = pair_signal,
	.destroy = pair_destroy,
};

int sim_cable_pair(bool lossless, struct sim_cable *ends[2], struct weir_error *err)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	if (!pair)
		return weir_error_set(err, -ENOMEM, "no memory for a cable");
	pair->lossless = lossless;
	atomic_init(&pair->users, 2);
	for (unsigned int i = 0; i < 2; i++) {
		pair->buffers[i] = cable_buffer_create();
		pair->ends[i].cable.ops = &pair_ops;
		pair->ends[i].cable.buffer = pair->buffers[i];
		pair->ends[i].pair = pair;
		pair->ends[i].other = &pair->ends[!i];
	}
	if (!pair->buffers[0] || !pair->buffers[1]) {
		free(pair->buffers[0]);
		free(pair->buffers[1]);
		free(pair);
		return weir_error_set(err, -ENOMEM, "no memory for a cable's buffers");
	}
	ends[0] = &pair->ends[0].cable;
	ends[1] = &pair->ends[1].cable;
	return 0;
}
