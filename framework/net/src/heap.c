/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block of an arena as a heap of EAL.
 *
 * EAL is given the IOVA of the block, so that its own idea of addresses (physical, or virtual) does
 * not matter: mempools take an object's IOVA from this table.
 */
#include "base/base.h"
#include <weir/net.h>

#include <inttypes.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_PAGE UINT64_C(4096)
#define MAX_BYTES (UINT64_C(1) << 30)
/* With its NUL; a limit of EAL's. */
#define NAME_BYTES 32

struct weir_net_heap {
	struct weir_arena *arena;
	void *block;
	size_t bytes;
	int socket;
	char name[NAME_BYTES];
};

static int check(uint64_t bytes, const char *name, struct weir_error *err)
{
	if (!bytes || bytes > MAX_BYTES)
		return weir_error_set(err, -EINVAL,
				      "heap of %" PRIu64 " bytes is outside 1 to %" PRIu64, bytes,
				      MAX_BYTES);
	if (!name || !*name || strlen(name) >= NAME_BYTES)
		return weir_error_set(err, -EINVAL, "heap name '%s' is not of 1 to %d bytes",
				      name ? name : "", NAME_BYTES - 1);
	return 0;
}

/*
 * The page size that EAL is told: the largest power of two that the block consists of. IOVAs are
 * contiguous over the block, whatever the pages behind it are; with small pages a mempool would
 * begin a new one for each mbuf, so that none lies in two.
 */
static size_t page_bytes(const struct weir_net_heap *heap)
{
	uint64_t both = (uintptr_t)heap->block | heap->bytes;

	return both & -both;
}

/* Hands the block over to EAL. */
static int add_memory(struct weir_net_heap *heap, struct weir_error *err)
{
	size_t page = page_bytes(heap), nr = heap->bytes / page;
	rte_iova_t *iovas = calloc(nr, sizeof(*iovas));
	uint64_t iova;
	int rc = 0;

	if (!iovas)
		return weir_error_set(err, -ENOMEM, "no memory for the addresses of %zu pages", nr);
	iova = weir_arena_ptr_iova(heap->arena, heap->block);
	for (size_t i = 0; i < nr; i++)
		iovas[i] = iova + i * page;
	if (rte_malloc_heap_memory_add(heap->name, heap->block, heap->bytes, iovas,
				       (unsigned int)nr, page))
		rc = weir_error_set(err, -EIO, "EAL does not take the memory of heap %s: %s",
				    heap->name, rte_strerror(rte_errno));
	free(iovas);
	return rc;
}

static int make_heap(struct weir_net_heap *heap, struct weir_error *err)
{
	int rc;

	if (rte_malloc_heap_create(heap->name))
		return weir_error_set(err, rte_errno == EEXIST ? -EEXIST : -EIO,
				      "EAL does not make heap %s: %s", heap->name,
				      rte_strerror(rte_errno));
	rc = add_memory(heap, err);
	if (!rc) {
		heap->socket = rte_malloc_heap_get_socket(heap->name);
		return 0;
	}
	rte_malloc_heap_destroy(heap->name);
	return rc;
}

static uint64_t round_up(uint64_t bytes)
{
	return bytes <= SMALL_PAGE ? SMALL_PAGE : UINT64_C(1) << (64 - __builtin_clzll(bytes - 1));
}

WEIR_EXPORT int weir_net_heap_create(struct weir_arena *arena, uint64_t bytes, const char *name,
				     struct weir_net_heap **heap, struct weir_error *err)
{
	struct weir_net_heap *made;
	int rc;

	rc = check(bytes, name, err);
	if (rc)
		return rc;
	made = calloc(1, sizeof(*made));
	if (!made)
		return weir_error_set(err, -ENOMEM, "no memory for heap %s", name);
	made->arena = arena;
	made->bytes = round_up(bytes);
	strcpy(made->name, name);
	made->block = weir_arena_alloc(arena, made->bytes, 0);
	if (!made->block) {
		rc = weir_error_set(err, -ENOMEM,
				    "heap %s of %zu bytes: the arena of %" PRIu64
				    " bytes has no such block left",
				    name, made->bytes, weir_arena_bytes(arena));
		goto free_heap;
	}
	rc = make_heap(made, err);
	if (!rc) {
		*heap = made;
		return 0;
	}
	weir_arena_free(arena, made->block);
free_heap:
	free(made);
	return rc;
}

WEIR_EXPORT int weir_net_heap_destroy(struct weir_net_heap *heap)
{
	if (!heap)
		return 0;
	if (rte_malloc_heap_memory_remove(heap->name, heap->block, heap->bytes))
		return -EBUSY;
	rte_malloc_heap_destroy(heap->name);
	weir_arena_free(heap->arena, heap->block);
	free(heap);
	return 0;
}

WEIR_EXPORT int weir_net_heap_socket(const struct weir_net_heap *heap)
{
	return heap->socket;
}

WEIR_EXPORT int weir_net_heap_node(const struct weir_net_heap *heap)
{
	return weir_arena_node(heap->arena);
}
