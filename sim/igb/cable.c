/* SPDX-License-Identifier: BSD-3-Clause */
/* The packet buffer at the end of a cable, and the cable that leads nowhere. */
#include <stdlib.h>
#include <string.h>

#include "igb/cable.h"
#include "igb/spec.h"

/* In front of each frame. A length of SKIP: the next one is at the begin of the ring. */
struct record {
	uint32_t bytes, flags;
	uint64_t reserved;
};
#define RECORD_ALIGN 16u
#define SKIP UINT32_MAX

static uint32_t record_bytes(uint32_t bytes)
{
	return (uint32_t)sizeof(struct record) +
	       (uint32_t)weir_align_up(bytes + IGB_FCS_BYTES, RECORD_ALIGN);
}

static struct record *record_at(struct cable_buffer *buffer, uint64_t position)
{
	return (void *)(buffer->bytes + position % CABLE_BUFFER_BYTES);
}

struct cable_buffer *cable_buffer_create(void)
{
	struct cable_buffer *buffer = aligned_alloc(WEIR_CACHE_PAIR, sizeof(*buffer));

	if (buffer)
		memset(buffer, 0, sizeof(*buffer));
	return buffer;
}

/* What is left before the ring begins anew, when the record does not fit in there. It is a multiple
 * of a record's alignment, so that the mark that says so does. */
static uint32_t skipped(uint64_t position, uint32_t bytes)
{
	uint32_t left = CABLE_BUFFER_BYTES - (uint32_t)(position % CABLE_BUFFER_BYTES);

	return bytes <= left ? 0 : left;
}

uint8_t *cable_buffer_room(struct cable_buffer *buffer, uint32_t bytes)
{
	uint64_t position = atomic_load_explicit(&buffer->producer.position, memory_order_relaxed);
	uint32_t whole = record_bytes(bytes), skip = skipped(position, whole);
	uint64_t end = position + skip + whole;

	if (end - buffer->producer.consumer > CABLE_BUFFER_BYTES) {
		/* What the consumer read before is no longer read when we write over it. */
		buffer->producer.consumer = atomic_load_explicit(&buffer->consumer.position,
								 memory_order_acquire);
		if (end - buffer->producer.consumer > CABLE_BUFFER_BYTES)
			return NULL;
	}
	buffer->producer.skip = skip;
	return (uint8_t *)(record_at(buffer, position + skip) + 1);
}

void cable_buffer_add(struct cable_buffer *buffer, uint32_t bytes, uint32_t flags)
{
	uint64_t position = atomic_load_explicit(&buffer->producer.position, memory_order_relaxed);
	uint32_t skip = buffer->producer.skip;
	struct record *record = record_at(buffer, position + skip);

	if (skip)
		record_at(buffer, position)->bytes = SKIP;
	record->bytes = bytes;
	record->flags = flags;
	/* The record is there before its position says so. */
	atomic_store_explicit(&buffer->producer.position, position + skip + record_bytes(bytes),
			      memory_order_release);
}

bool cable_buffer_misses(const struct cable_buffer *buffer, bool lossless)
{
	return !lossless && atomic_load_explicit(&buffer->consumer.starved, memory_order_relaxed);
}

void cable_buffer_miss(struct cable_buffer *buffer, uint32_t bytes)
{
	atomic_fetch_add_explicit(&buffer->producer.missed, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&buffer->producer.missed_octets, bytes + IGB_FCS_BYTES,
				  memory_order_relaxed);
}

bool cable_buffer_first(struct cable_buffer *buffer, struct cable_frame *frame)
{
	uint64_t position = atomic_load_explicit(&buffer->consumer.position, memory_order_relaxed);
	struct record *record;

	if (position == buffer->consumer.producer) {
		/* The records that the position tells of are read after it. */
		buffer->consumer.producer = atomic_load_explicit(&buffer->producer.position,
								 memory_order_acquire);
		if (position == buffer->consumer.producer)
			return false;
	}
	record = record_at(buffer, position);
	if (record->bytes == SKIP) {
		position += CABLE_BUFFER_BYTES - position % CABLE_BUFFER_BYTES;
		atomic_store_explicit(&buffer->consumer.position, position, memory_order_relaxed);
		record = record_at(buffer, position);
	}
	*frame = (struct cable_frame){
		.data = (uint8_t *)(record + 1),
		.bytes = record->bytes,
		.flags = record->flags,
	};
	return true;
}

void cable_buffer_drop(struct cable_buffer *buffer, const struct cable_frame *frame)
{
	uint64_t position = atomic_load_explicit(&buffer->consumer.position, memory_order_relaxed);

	/* The frame was read before its place is given back. */
	atomic_store_explicit(&buffer->consumer.position, position + record_bytes(frame->bytes),
			      memory_order_release);
}

void cable_buffer_clear(struct cable_buffer *buffer)
{
	struct cable_frame frame;

	while (cable_buffer_first(buffer, &frame))
		cable_buffer_drop(buffer, &frame);
}

struct null_cable {
	struct sim_cable cable;
	uint8_t frame[CABLE_MAX_FRAME];
};

static uint8_t *null_room(struct sim_cable *cable, uint32_t bytes)
{
	struct null_cable *null = container_of(cable, struct null_cable, cable);

	(void)bytes;
	return null->frame;
}

static void null_send(struct sim_cable *cable, uint32_t bytes, uint32_t flags)
{
	(void)cable;
	(void)bytes;
	(void)flags;
}

static void null_destroy(struct sim_cable *cable)
{
	free(cable->buffer);
	free(container_of(cable, struct null_cable, cable));
}

static const struct cable_ops null_ops = {
	.room = null_room,
	.send = null_send,
	.destroy = null_destroy,
};

int sim_cable_null(struct sim_cable **cable, struct weir_error *err)
{
	struct null_cable *null = calloc(1, sizeof(*null));
	struct cable_buffer *buffer = cable_buffer_create();

	if (!null || !buffer) {
		free(null);
		free(buffer);
		return weir_error_set(err, -ENOMEM, "no memory for a cable");
	}
	null->cable = (struct sim_cable){ .ops = &null_ops, .buffer = buffer };
	*cable = &null->cable;
	return 0;
}

void sim_cable_destroy(struct sim_cable *cable)
{
	if (cable)
		cable->ops->destroy(cable);
}
