/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The allocator of an arena: pages from a buddy allocator, and slabs in single pages for what is
 * smaller. It deals in offsets and knows no addresses but those of its own records.
 */
#ifndef WEIR_MEMORY_BLOCKS_H
#define WEIR_MEMORY_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "memory/buddy.h"

#define BLOCKS_PAGE_SHIFT 12
/* Slots of slabs: from 64 bytes, a cache line, to half a page. */
#define BLOCKS_MIN_SHIFT 6
#define BLOCKS_MAX_SHIFT 11

struct slab_page {
	LIST_ENTRY(slab_page) link;
};
LIST_HEAD(slab_list, slab_page);

struct blocks {
	struct buddy pages;
	/* Shared with a successor: for each page the slot size as a shift, 0 when it is no slab,
	 * and which slots are taken. */
	uint8_t *shift;
	uint64_t *taken;
	/* This process's own: the slabs with a free slot, by shift. */
	struct slab_page *slabs;
	struct slab_list partial[BLOCKS_MAX_SHIFT + 1];
};

/* Bytes of the records for so many bytes of memory, a multiple of 8. */
uint64_t blocks_record_bytes(uint64_t bytes);

/* Begins with all of the memory free. The records are 8-byte aligned and outlive the blocks.
 * -ENOMEM. */
int blocks_create(struct blocks *blocks, void *records, uint64_t bytes);

/* Goes on with records that another process left. -EINVAL when they contradict themselves,
 * -ENOMEM. */
int blocks_adopt(struct blocks *blocks, void *records, uint64_t bytes);

/* Frees what this process has; the records stay. */
void blocks_destroy(struct blocks *blocks);

/* Takes a block that is aligned to its size, which is `bytes`, at least 1, rounded up to a power of
 * two. */
bool blocks_alloc(struct blocks *blocks, uint64_t bytes, uint64_t *offset);

/* Gives a block back. false: none begins there. */
bool blocks_free(struct blocks *blocks, uint64_t offset);

#endif
