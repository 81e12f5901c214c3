/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers for frames, all of one size, in an arena. A pool belongs to one thread.
 *
 * A buffer's cookie in the driver's calls is its address, from which its IOVA is one subtraction.
 */
#ifndef WEIR_APPS_FRAME_POOL_H
#define WEIR_APPS_FRAME_POOL_H

#include <weir/nic.h>

struct frame_pool {
	struct weir_arena *arena;
	uint64_t delta; /* address less IOVA */
	uint32_t bytes; /* of each buffer */
	unsigned int nr; /* buffers, in `all` */
	unsigned int nr_free;
	uint64_t *all;
	uint64_t *free; /* addresses; the last one is taken next */
};

/* Bytes of an arena that so many buffers take. */
uint64_t frame_pool_arena_bytes(uint64_t nr, uint32_t bytes);

/* Takes zeroed buffers. */
int frame_pool_make(struct frame_pool *pool, struct weir_arena *arena, unsigned int nr,
		    uint32_t bytes, struct weir_error *err);

/* Gives the memory back, of buffers in use too. A pool of zeroes is allowed. */
void frame_pool_end(struct frame_pool *pool);

/* Takes a buffer, of which there is one. */
static inline uint64_t frame_pool_take(struct frame_pool *pool)
{
	return pool->free[--pool->nr_free];
}

/* Gives one back that was taken before. */
static inline void frame_pool_give(struct frame_pool *pool, uint64_t address)
{
	pool->free[pool->nr_free++] = address;
}

/* Where a buffer is for a device. */
static inline uint64_t frame_pool_iova(const struct frame_pool *pool, uint64_t address)
{
	return address - pool->delta;
}

/* Gives a receive queue as many buffers as it takes. 0, or what weir_nic_rx_post() failed with. */
int frame_pool_post(struct frame_pool *pool, struct weir_nic_rxq *rxq);

#endif
