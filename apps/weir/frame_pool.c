/* SPDX-License-Identifier: BSD-3-Clause */
#include "frame_pool.h"
#include "fail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define BURST 32u

/* The arena's blocks are powers of two. */
static uint64_t block_bytes(uint32_t bytes)
{
	return bytes <= 64 ? 64 : UINT64_C(1) << (64 - __builtin_clzll((uint64_t)bytes - 1));
}

uint64_t frame_pool_arena_bytes(uint64_t nr, uint32_t bytes)
{
	return nr * block_bytes(bytes);
}

int frame_pool_make(struct frame_pool *pool, struct weir_arena *arena, unsigned int nr,
		    uint32_t bytes, struct weir_error *err)
{
	*pool = (struct frame_pool){
		.arena = arena,
		.delta = (uintptr_t)weir_arena_base(arena) - weir_arena_iova(arena),
		.bytes = bytes,
		.all = calloc(nr, sizeof(*pool->all)),
		.free = calloc(nr, sizeof(*pool->free)),
	};
	if (!pool->all || !pool->free) {
		frame_pool_end(pool);
		return fail(err, -ENOMEM, "no memory for %u frames", nr);
	}
	for (; pool->nr < nr; pool->nr++) {
		void *buffer = weir_arena_alloc(arena, bytes, 0);

		if (!buffer) {
			fail(err, -ENOMEM, "no room for frame %u of %" PRIu32 " bytes", pool->nr,
			     bytes);
			frame_pool_end(pool);
			return -ENOMEM;
		}
		pool->all[pool->nr] = (uintptr_t)buffer;
		frame_pool_give(pool, (uintptr_t)buffer);
	}
	return 0;
}

void frame_pool_end(struct frame_pool *pool)
{
	while (pool->all && pool->nr)
		weir_arena_free(pool->arena, (void *)(uintptr_t)pool->all[--pool->nr]);
	free(pool->all);
	free(pool->free);
	*pool = (struct frame_pool){ 0 };
}

int frame_pool_post(struct frame_pool *pool, struct weir_nic_rxq *rxq)
{
	struct weir_frame frames[BURST];
	unsigned int room = weir_nic_rx_room(rxq), n;
	int taken;

	for (; room && pool->nr_free; room -= n) {
		n = room < BURST ? room : BURST;
		if (n > pool->nr_free)
			n = pool->nr_free;
		for (unsigned int i = 0; i < n; i++) {
			uint64_t address = pool->free[pool->nr_free - 1 - i];

			frames[i] = (struct weir_frame){
				.iova = frame_pool_iova(pool, address),
				.cookie = address,
				.len = pool->bytes,
			};
		}
		taken = weir_nic_rx_post(rxq, frames, n);
		if (taken < 0)
			return taken;
		pool->nr_free -= (unsigned int)taken;
		if ((unsigned int)taken < n)
			break;
	}
	return 0;
}
