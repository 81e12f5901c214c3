/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory/arena.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DEFAULT_DELTA WEIR_ASAN_IOVA_DELTA
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define DEFAULT_DELTA WEIR_ASAN_IOVA_DELTA
#endif
#ifndef DEFAULT_DELTA
#define DEFAULT_DELTA UINT64_C(0)
#endif

uint64_t arena_state_file_bytes(uint64_t bytes, uint64_t state_bytes)
{
	return weir_align_up(state_bytes + buddy_tree_bytes(state_bytes >> ARENA_STATE_SHIFT) +
				     blocks_record_bytes(bytes),
			     ARENA_MIN_BYTES);
}

void *arena_state_records(const struct weir_arena *arena)
{
	return (uint8_t *)arena->state.base + arena->state_bytes;
}

void *arena_block_records(const struct weir_arena *arena)
{
	return (uint8_t *)arena_state_records(arena) +
	       buddy_tree_bytes(arena->state_bytes >> ARENA_STATE_SHIFT);
}

static uint64_t default_state_bytes(uint64_t bytes)
{
	const uint64_t least = UINT64_C(1) << 20;

	return bytes / 64 < least ? least : bytes / 64;
}

/* Checks the options and puts the defaults in place of zeroes. */
static int settle_options(struct weir_arena_options *options, struct weir_error *err)
{
	if (options->bytes < ARENA_MIN_BYTES || options->bytes > ARENA_MAX_BYTES)
		return weir_error_set(err, -EINVAL,
				      "arena: %" PRIu64 " bytes is not from %" PRIu64
				      " to %" PRIu64,
				      options->bytes, ARENA_MIN_BYTES, ARENA_MAX_BYTES);
	if (options->state_bytes > ARENA_MAX_BYTES)
		return weir_error_set(err, -EINVAL,
				      "arena: %" PRIu64 " bytes of state is over %" PRIu64,
				      options->state_bytes, ARENA_MAX_BYTES);
	if (!weir_is_aligned(options->iova_delta, ARENA_DELTA_ALIGN) ||
	    options->iova_delta >= ARENA_MAX_DELTA)
		return weir_error_set(err, -EINVAL,
				      "arena: IOVA delta 0x%" PRIx64 " is no multiple of 1 GiB "
				      "below 2^46",
				      options->iova_delta);
	if (options->page_size != WEIR_PAGE_AUTO && options->page_size != WEIR_PAGE_4K &&
	    options->page_size != WEIR_PAGE_2M && options->page_size != WEIR_PAGE_1G)
		return weir_error_set(err, -EINVAL, "arena: page size %u is not 0, 12, 21 or 30",
				      (unsigned int)options->page_size);
	if (!options->iova_delta)
		options->iova_delta = DEFAULT_DELTA;
	if (!options->state_bytes)
		options->state_bytes = default_state_bytes(options->bytes);
	options->state_bytes = weir_align_up(options->state_bytes, ARENA_MIN_BYTES);
	return populate_node(options->node, &options->node, err);
}

static int create_memory(struct weir_arena *arena, const struct weir_arena_options *options,
			 struct weir_error *err)
{
	struct populate_request request = {
		.name = arena->name,
		.bytes = options->bytes,
		.delta = options->iova_delta,
		.node = options->node,
		.page_size = options->page_size,
		.log = &arena->log,
	};

	return populate_window(&request, &arena->memory, err);
}

static int create_state(struct weir_arena *arena, struct weir_error *err)
{
	uint64_t bytes = arena_state_file_bytes(arena->memory.bytes, arena->state_bytes);
	char name[ARENA_NAME_BYTES + 8];
	int rc;

	snprintf(name, sizeof(name), "%s.state", arena->name);
	rc = populate_anywhere(name, bytes, arena->memory.node, &arena->log, &arena->state, err);
	if (rc)
		return rc;
	buddy_attach(&arena->state_blocks, arena_state_records(arena),
		     arena->state_bytes >> ARENA_STATE_SHIFT);
	buddy_format(&arena->state_blocks);
	rc = blocks_create(&arena->blocks, arena_block_records(arena), arena->memory.bytes);
	if (rc) {
		populate_undo(&arena->state);
		return weir_error_set(err, rc, "arena %s: no memory for slab lists", arena->name);
	}
	return 0;
}

WEIR_EXPORT int weir_arena_create(const struct weir_arena_options *options,
				  struct weir_arena **arena, struct weir_error *err)
{
	struct weir_arena_options settled = WEIR_ARENA_OPTIONS_INIT;
	struct weir_arena *made;
	int rc;

	rc = weir_options_copy(&settled, sizeof(settled), options, "arena options", err);
	if (!rc)
		rc = settle_options(&settled, err);
	if (rc)
		return rc;
	made = calloc(1, sizeof(*made));
	if (!made)
		return weir_error_set(err, -ENOMEM, "arena: no memory for its handle");
	pthread_mutex_init(&made->lock, NULL);
	snprintf(made->name, sizeof(made->name), "%s", settled.name ? settled.name : "weir");
	made->log = settled.log;
	made->delta = settled.iova_delta;
	made->state_bytes = settled.state_bytes;
	rc = create_memory(made, &settled, err);
	if (rc)
		goto free_handle;
	rc = create_state(made, err);
	if (rc)
		goto undo_memory;
	*arena = made;
	return 0;

undo_memory:
	populate_undo(&made->memory);
free_handle:
	pthread_mutex_destroy(&made->lock);
	free(made);
	return rc;
}

WEIR_EXPORT void weir_arena_destroy(struct weir_arena *arena)
{
	if (!arena)
		return;
	blocks_destroy(&arena->blocks);
	populate_undo(&arena->state);
	populate_undo(&arena->memory);
	pthread_mutex_destroy(&arena->lock);
	free(arena);
}

WEIR_EXPORT void *weir_arena_base(const struct weir_arena *arena)
{
	return arena->memory.base;
}

WEIR_EXPORT uint64_t weir_arena_bytes(const struct weir_arena *arena)
{
	return arena->memory.bytes;
}

WEIR_EXPORT uint64_t weir_arena_iova(const struct weir_arena *arena)
{
	return weir_arena_ptr_iova(arena, arena->memory.base);
}

WEIR_EXPORT int weir_arena_fd(const struct weir_arena *arena)
{
	return arena->memory.fd;
}

WEIR_EXPORT uint64_t weir_arena_page_bytes(const struct weir_arena *arena)
{
	return arena->memory.page_bytes;
}

WEIR_EXPORT int weir_arena_node(const struct weir_arena *arena)
{
	return arena->memory.node;
}

WEIR_EXPORT uint64_t weir_arena_ptr_iova(const struct weir_arena *arena, const void *ptr)
{
	return (uintptr_t)ptr - arena->delta;
}

WEIR_EXPORT void *weir_arena_alloc(struct weir_arena *arena, size_t bytes, size_t align)
{
	uint64_t size = bytes > align ? bytes : align;
	uint64_t offset;
	uint8_t *block;
	bool found;

	if (bytes == 0 || size > arena->memory.bytes || align > arena->memory.page_bytes ||
	    (align && !weir_is_power_of_two(align)))
		return NULL;
	/* Blocks are aligned to their size, so a larger alignment is a larger block. */
	pthread_mutex_lock(&arena->lock);
	found = blocks_alloc(&arena->blocks, size, &offset);
	pthread_mutex_unlock(&arena->lock);
	if (!found)
		return NULL;
	block = (uint8_t *)arena->memory.base + offset;
	/* A device may have written here since it was last free, or after. */
	memset(block, 0, bytes);
	return block;
}

WEIR_EXPORT void weir_arena_free(struct weir_arena *arena, void *ptr)
{
	bool freed;

	if (!ptr)
		return;
	pthread_mutex_lock(&arena->lock);
	freed = blocks_free(&arena->blocks, (uintptr_t)ptr - (uintptr_t)arena->memory.base);
	pthread_mutex_unlock(&arena->lock);
	if (!freed)
		weir_log_write(&arena->log, WEIR_LOG_ERROR,
			       "arena %s: free of %p, where no block begins (freed twice?)",
			       arena->name, ptr);
}

WEIR_EXPORT void *weir_arena_alloc_state(struct weir_arena *arena, size_t bytes)
{
	uint64_t units, unit;
	uint8_t *block;
	bool found;

	if (bytes == 0 || bytes > arena->state_bytes)
		return NULL;
	units = weir_align_up(bytes, UINT64_C(1) << ARENA_STATE_SHIFT) >> ARENA_STATE_SHIFT;
	units = weir_round_up_power_of_two(units);
	pthread_mutex_lock(&arena->lock);
	found = buddy_alloc(&arena->state_blocks, (unsigned int)__builtin_ctzll(units), &unit);
	pthread_mutex_unlock(&arena->lock);
	if (!found)
		return NULL;
	block = (uint8_t *)arena->state.base + (unit << ARENA_STATE_SHIFT);
	memset(block, 0, bytes);
	return block;
}

WEIR_EXPORT void weir_arena_free_state(struct weir_arena *arena, void *ptr)
{
	uint64_t offset = (uintptr_t)ptr - (uintptr_t)arena->state.base;
	bool freed;

	if (!ptr)
		return;
	pthread_mutex_lock(&arena->lock);
	freed = weir_is_aligned(offset, UINT64_C(1) << ARENA_STATE_SHIFT) &&
		buddy_free(&arena->state_blocks, offset >> ARENA_STATE_SHIFT);
	pthread_mutex_unlock(&arena->lock);
	if (!freed)
		weir_log_write(&arena->log, WEIR_LOG_ERROR,
			       "arena %s: free of state %p, where no block begins (freed twice?)",
			       arena->name, ptr);
}

WEIR_EXPORT uint64_t weir_arena_state_offset(const struct weir_arena *arena, const void *ptr)
{
	return (uintptr_t)ptr - (uintptr_t)arena->state.base;
}

WEIR_EXPORT void *weir_arena_state_ptr(const struct weir_arena *arena, uint64_t offset,
				       size_t bytes)
{
	if (!weir_range_within(offset, bytes, arena->state_bytes))
		return NULL;
	return (uint8_t *)arena->state.base + offset;
}
