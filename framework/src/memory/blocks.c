/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The records lie one after another: slot masks (8 bytes a page), slot shifts (1 byte a page), the
 * buddy allocator's tree. They are in memory that a successor process adopts and that no device
 * reaches. Lists of slabs with room are private and made anew by the successor, so that nothing in
 * the records is followed as a link.
 *
 * The records are checked as a whole when they are adopted. A predecessor might still write to them
 * later; then blocks may overlap, but each is inside the memory, because offsets are made of a page
 * number and a slot number that are bounded here.
 */
#include "memory/blocks.h"

#include <assert.h>
#include <stdlib.h>

#include "base/base.h"

#define PAGE_BYTES (UINT64_C(1) << BLOCKS_PAGE_SHIFT)

static_assert(PAGE_BYTES >> BLOCKS_MIN_SHIFT == 64, "the slots of a page fit a mask");

/* A bit for each slot of a slab. */
static uint64_t slot_mask(unsigned int shift)
{
	return ~UINT64_C(0) >> (64 - (PAGE_BYTES >> shift));
}

/* The shift of the power of two that holds so many bytes. */
static unsigned int size_shift(uint64_t bytes)
{
	return (unsigned int)__builtin_ctzll(weir_round_up_power_of_two(bytes));
}

/* The records are read once each, so that what was checked is what is used. */
static unsigned int load_shift(const struct blocks *blocks, uint64_t page)
{
	return __atomic_load_n(&blocks->shift[page], __ATOMIC_RELAXED);
}

static uint64_t load_taken(const struct blocks *blocks, uint64_t page)
{
	return __atomic_load_n(&blocks->taken[page], __ATOMIC_RELAXED);
}

/* A slab is in its list exactly while le_prev is set, whatever the records say. */
static void slab_list_add(struct blocks *blocks, uint64_t page, unsigned int shift)
{
	struct slab_page *slab = &blocks->slabs[page];

	if (!slab->link.le_prev)
		LIST_INSERT_HEAD(&blocks->partial[shift], slab, link);
}

static void slab_list_remove(struct blocks *blocks, uint64_t page)
{
	struct slab_page *slab = &blocks->slabs[page];

	if (slab->link.le_prev)
		LIST_REMOVE(slab, link);
	slab->link.le_prev = NULL;
}

uint64_t blocks_record_bytes(uint64_t bytes)
{
	uint64_t pages = bytes >> BLOCKS_PAGE_SHIFT;

	return weir_align_up(pages * 9 + buddy_tree_bytes(pages), 8);
}

static int attach(struct blocks *blocks, void *records, uint64_t bytes)
{
	uint64_t pages = bytes >> BLOCKS_PAGE_SHIFT;

	blocks->taken = records;
	blocks->shift = (uint8_t *)(blocks->taken + pages);
	buddy_attach(&blocks->pages, blocks->shift + pages, pages);
	for (unsigned int shift = 0; shift < ARRAY_SIZE(blocks->partial); shift++)
		LIST_INIT(&blocks->partial[shift]);
	blocks->slabs = calloc(pages, sizeof(*blocks->slabs));
	return blocks->slabs ? 0 : -ENOMEM;
}

int blocks_create(struct blocks *blocks, void *records, uint64_t bytes)
{
	int rc = attach(blocks, records, bytes);

	if (!rc)
		buddy_format(&blocks->pages);
	return rc;
}

static bool check_page(const struct blocks *blocks, uint64_t page, unsigned int shift,
		       uint64_t taken)
{

	if (!shift)
		return !taken;
	return shift >= BLOCKS_MIN_SHIFT && shift <= BLOCKS_MAX_SHIFT && taken &&
	       !(taken & ~slot_mask(shift)) && buddy_is_single(&blocks->pages, page);
}

int blocks_adopt(struct blocks *blocks, void *records, uint64_t bytes)
{
	int rc = attach(blocks, records, bytes);

	if (rc)
		return rc;
	if (!buddy_check(&blocks->pages))
		goto damaged;
	for (uint64_t page = 0; page < blocks->pages.units; page++) {
		unsigned int shift = load_shift(blocks, page);
		uint64_t taken = load_taken(blocks, page);

		if (!check_page(blocks, page, shift, taken))
			goto damaged;
		if (shift && taken != slot_mask(shift))
			slab_list_add(blocks, page, shift);
	}
	return 0;

damaged:
	blocks_destroy(blocks);
	return -EINVAL;
}

void blocks_destroy(struct blocks *blocks)
{
	free(blocks->slabs);
	blocks->slabs = NULL;
}

/* A page with a free slot of the size, and its free slots; a new slab when there is none. */
static bool find_slab(struct blocks *blocks, unsigned int shift, uint64_t *page, uint64_t *room)
{
	struct slab_page *slab;

	while ((slab = LIST_FIRST(&blocks->partial[shift]))) {
		*page = (uint64_t)(slab - blocks->slabs);
		*room = ~load_taken(blocks, *page) & slot_mask(shift);
		if (*room)
			return true;
		slab_list_remove(blocks, *page);
	}
	if (!buddy_alloc(&blocks->pages, 0, page))
		return false;
	blocks->shift[*page] = (uint8_t)shift;
	blocks->taken[*page] = 0;
	slab_list_add(blocks, *page, shift);
	*room = slot_mask(shift);
	return true;
}

static bool slab_alloc(struct blocks *blocks, unsigned int shift, uint64_t *offset)
{
	uint64_t page, room;
	unsigned int slot;

	if (!find_slab(blocks, shift, &page, &room))
		return false;
	slot = (unsigned int)__builtin_ctzll(room);
	blocks->taken[page] |= UINT64_C(1) << slot;
	if (room == UINT64_C(1) << slot)
		slab_list_remove(blocks, page);
	*offset = page << BLOCKS_PAGE_SHIFT | (uint64_t)slot << shift;
	return true;
}

static bool slab_free(struct blocks *blocks, uint64_t page, unsigned int shift, uint64_t within)
{
	uint64_t taken = load_taken(blocks, page);
	uint64_t bit;

	if (shift < BLOCKS_MIN_SHIFT || shift > BLOCKS_MAX_SHIFT)
		return false;
	bit = UINT64_C(1) << (within >> shift);
	if (!weir_is_aligned(within, UINT64_C(1) << shift) || !(taken & bit))
		return false;
	taken &= ~bit;
	blocks->taken[page] = taken;
	if (taken) {
		slab_list_add(blocks, page, shift);
		return true;
	}
	slab_list_remove(blocks, page);
	blocks->shift[page] = 0;
	return buddy_free(&blocks->pages, page);
}

bool blocks_alloc(struct blocks *blocks, uint64_t bytes, uint64_t *offset)
{
	unsigned int shift = size_shift(bytes);
	uint64_t page;

	if (shift <= BLOCKS_MAX_SHIFT)
		return slab_alloc(blocks, shift < BLOCKS_MIN_SHIFT ? BLOCKS_MIN_SHIFT : shift,
				  offset);
	if (!buddy_alloc(&blocks->pages, shift - BLOCKS_PAGE_SHIFT, &page))
		return false;
	*offset = page << BLOCKS_PAGE_SHIFT;
	return true;
}

bool blocks_free(struct blocks *blocks, uint64_t offset)
{
	uint64_t page = offset >> BLOCKS_PAGE_SHIFT;
	uint64_t within = offset & (PAGE_BYTES - 1);
	unsigned int shift;

	if (page >= blocks->pages.units)
		return false;
	shift = load_shift(blocks, page);
	if (shift)
		return slab_free(blocks, page, shift, within);
	return within == 0 && buddy_free(&blocks->pages, page);
}
