/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of an arena: memory for devices, and beside it state memory with the records of both
 * allocators, in a file that no device is given.
 *
 *	device file:  [ blocks of 4 KiB pages and slabs ]
 *	state file:   [ state memory | records of its buddy tree | records of the device's blocks ]
 *
 * The layout follows from the two sizes, so nothing has to be read to find it.
 */
#ifndef WEIR_MEMORY_ARENA_H
#define WEIR_MEMORY_ARENA_H

#include <pthread.h>
#include <weir/memory.h>

#include "memory/blocks.h"
#include "memory/buddy.h"
#include "memory/populate.h"

#define ARENA_NAME_BYTES 64
#define ARENA_MIN_BYTES (UINT64_C(1) << 12)
#define ARENA_MAX_BYTES (UINT64_C(1) << 36)
#define ARENA_MAX_DELTA (UINT64_C(1) << 46)
#define ARENA_DELTA_ALIGN (UINT64_C(1) << 30)
/* Unit of the allocator of state memory: a cache line. */
#define ARENA_STATE_SHIFT 6

struct weir_arena {
	struct populated memory;
	struct populated state;
	uint64_t state_bytes; /* of state memory, which the state file begins with */
	uint64_t delta;
	pthread_mutex_t lock; /* of the two allocators */
	struct blocks blocks;
	struct buddy state_blocks;
	struct weir_log log;
	char name[ARENA_NAME_BYTES];
};

/* Bytes of the state file for the two sizes. */
uint64_t arena_state_file_bytes(uint64_t bytes, uint64_t state_bytes);

/* Where in the state file the records lie. */
void *arena_state_records(const struct weir_arena *arena);
void *arena_block_records(const struct weir_arena *arena);

#endif
