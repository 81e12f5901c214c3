/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking a block from an arena and giving it back, in an arena that is half full. */
#include "benchmarks.h"

#include <stddef.h>
#include <weir/memory.h>

#define ARENA_BYTES (UINT64_C(16) << 20)

void bench_arena_alloc(struct bench_state *state)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	size_t bytes = (size_t)bench_arg(state);
	struct weir_arena *arena;
	struct weir_error err;

	options.bytes = ARENA_BYTES;
	if (weir_arena_create(&options, &arena, &err)) {
		bench_fail(state, err.text);
		return;
	}
	for (uint64_t used = 0; used < ARENA_BYTES / 2; used += bytes) {
		if (!weir_arena_alloc(arena, bytes, 0))
			bench_fail(state, "the arena is full too early");
	}
	while (bench_next(state)) {
		void *block = weir_arena_alloc(arena, bytes, 0);

		if (!block)
			bench_fail(state, "no block");
		weir_arena_free(arena, block);
	}
	weir_arena_destroy(arena);
}
