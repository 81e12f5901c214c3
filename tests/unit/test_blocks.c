/* SPDX-License-Identifier: BSD-3-Clause */
/* The allocators of an arena against a model, and with records that somebody else damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "memory/blocks.h"
#include "memory/buddy.h"

#define PAGE 4096u

/* The same numbers in every run. */
static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint8_t *make_buddy(struct buddy *buddy, uint64_t units)
{
	uint8_t *tree = malloc(buddy_tree_bytes(units));

	assert_non_null(tree);
	memset(tree, 0xa5, buddy_tree_bytes(units));
	buddy_attach(buddy, tree, units);
	buddy_format(buddy);
	assert_true(buddy_check(buddy));
	return tree;
}

static void test_buddy_edges(void **state)
{
	struct buddy buddy;
	uint8_t *tree = make_buddy(&buddy, 1);
	uint64_t unit;

	(void)state;
	assert_false(buddy_alloc(&buddy, 1, &unit));
	assert_true(buddy_alloc(&buddy, 0, &unit));
	assert_int_equal(unit, 0);
	assert_true(buddy_is_single(&buddy, 0));
	assert_false(buddy_alloc(&buddy, 0, &unit));
	assert_false(buddy_free(&buddy, 1));
	assert_true(buddy_free(&buddy, 0));
	assert_false(buddy_free(&buddy, 0));
	free(tree);

	/* 13 units: blocks of 8, 4 and 1 and nothing beyond. */
	tree = make_buddy(&buddy, 13);
	assert_false(buddy_alloc(&buddy, 4, &unit));
	assert_false(buddy_alloc(&buddy, 63, &unit));
	assert_true(buddy_alloc(&buddy, 3, &unit));
	assert_int_equal(unit, 0);
	assert_false(buddy_alloc(&buddy, 3, &unit));
	assert_true(buddy_alloc(&buddy, 2, &unit));
	assert_int_equal(unit, 8);
	assert_true(buddy_alloc(&buddy, 0, &unit));
	assert_int_equal(unit, 12);
	assert_false(buddy_alloc(&buddy, 0, &unit));
	assert_false(buddy_free(&buddy, 13));
	assert_false(buddy_free(&buddy, UINT64_MAX));
	assert_false(buddy_free(&buddy, 9)); /* inside the second block */
	assert_false(buddy_free(&buddy, 4)); /* inside the first */
	assert_true(buddy_free(&buddy, 8));
	assert_false(buddy_free(&buddy, 8));
	assert_true(buddy_free(&buddy, 0));
	assert_true(buddy_free(&buddy, 12));
	assert_true(buddy_alloc(&buddy, 3, &unit));
	free(tree);
}

/* Many bytes of a tree are wrong; each walk over it stays in it and ends. AddressSanitizer and the
 * time limit judge that; here, that no unit is out of range. */
static void test_buddy_damaged(void **state)
{
	uint64_t seed = 20240101;
	struct buddy buddy;
	uint8_t *tree = make_buddy(&buddy, 100);
	unsigned int refused = 0;
	uint64_t unit;

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		buddy_format(&buddy);
		for (unsigned int i = 0; i < 20; i++)
			tree[next_random(&seed) % 256] = (uint8_t)next_random(&seed);
		refused += !buddy_check(&buddy);
		for (unsigned int i = 0; i < 50; i++) {
			if (buddy_alloc(&buddy, (unsigned int)(next_random(&seed) % 9), &unit))
				assert_true(unit < 128);
			buddy_free(&buddy, next_random(&seed) % 130);
		}
	}
	assert_true(refused > 1900);
	free(tree);
}

struct world {
	struct blocks blocks;
	void *records;
	uint64_t bytes;
};

static void make_world(struct world *world, uint64_t bytes)
{
	world->bytes = bytes;
	world->records = calloc(1, blocks_record_bytes(bytes));
	assert_non_null(world->records);
	assert_int_equal(blocks_create(&world->blocks, world->records, bytes), 0);
}

static void end_world(struct world *world)
{
	blocks_destroy(&world->blocks);
	free(world->records);
}

/* As a successor does it. */
static int adopt_world(struct world *world)
{
	blocks_destroy(&world->blocks);
	return blocks_adopt(&world->blocks, world->records, world->bytes);
}

struct block {
	uint64_t offset, bytes;
};

/* Which bytes, in units of 64, belong to a block. */
struct model {
	struct block blocks[600];
	unsigned int count;
	uint8_t *owned;
};

static uint64_t natural_size(uint64_t bytes)
{
	uint64_t size = weir_round_up_power_of_two(bytes);

	return size < 64 ? 64 : size;
}

static void model_add(struct model *model, const struct world *world, uint64_t offset,
		      uint64_t bytes)
{
	uint64_t size = natural_size(bytes);

	assert_true(weir_range_within(offset, size, world->bytes));
	assert_true(weir_is_aligned(offset, size));
	for (uint64_t at = offset; at < offset + size; at += 64) {
		assert_int_equal(model->owned[at / 64], 0);
		model->owned[at / 64] = 1;
	}
	model->blocks[model->count++] = (struct block){ offset, bytes };
}

static void model_free(struct model *model, struct world *world, unsigned int index)
{
	struct block block = model->blocks[index];
	uint64_t size = natural_size(block.bytes);

	assert_true(blocks_free(&world->blocks, block.offset));
	memset(model->owned + block.offset / 64, 0, size / 64);
	model->blocks[index] = model->blocks[--model->count];
}

/* Allocates, frees and hands over at random; at the end everything can be had in one piece. */
static void stress(uint64_t bytes, unsigned int steps)
{
	struct model model = { .owned = calloc(1, bytes / 64) };
	uint64_t seed = 88172645463325252u, offset, failed = 0;
	struct world world;

	assert_non_null(model.owned);
	make_world(&world, bytes);
	for (unsigned int step = 0; step < steps; step++) {
		uint64_t dice = next_random(&seed);
		/* Sizes of every magnitude alike. */
		uint64_t size = 1 + next_random(&seed) % (UINT64_C(1) << dice % 18);

		if (step % 997 == 0)
			assert_int_equal(adopt_world(&world), 0);
		if (model.count && (dice & 0x10000 || model.count == ARRAY_SIZE(model.blocks)))
			model_free(&model, &world, (unsigned int)(dice >> 32) % model.count);
		else if (blocks_alloc(&world.blocks, size, &offset))
			model_add(&model, &world, offset, size);
		else
			failed++;
	}
	assert_true(failed < steps / 2);
	while (model.count)
		model_free(&model, &world, 0);
	assert_int_equal(adopt_world(&world), 0);
	assert_true(blocks_alloc(&world.blocks, bytes, &offset));
	assert_int_equal(offset, 0);
	end_world(&world);
	free(model.owned);
}

static void test_stress(void **state)
{
	(void)state;
	stress(1 << 20, 60000);
	stress(16 << 20, 60000);
}

/* Every slot of every size: as many as fit, none twice, and all of them back. */
static void test_slabs_fill(void **state)
{
	const uint64_t bytes = 8 * PAGE;

	(void)state;
	for (uint64_t size = 64; size <= PAGE; size *= 2) {
		uint8_t seen[8 * PAGE / 64] = { 0 };
		struct world world;
		uint64_t offset;

		make_world(&world, bytes);
		for (uint64_t i = 0; i < bytes / size; i++) {
			assert_true(blocks_alloc(&world.blocks, size, &offset));
			assert_true(weir_is_aligned(offset, size));
			assert_int_equal(seen[offset / 64]++, 0);
		}
		assert_false(blocks_alloc(&world.blocks, 1, &offset));
		for (uint64_t at = bytes; at; at -= size)
			assert_true(blocks_free(&world.blocks, at - size));
		assert_true(blocks_alloc(&world.blocks, bytes, &offset));
		end_world(&world);
	}
}

static void test_wrong_frees(void **state)
{
	struct world world;
	uint64_t small, large, offset;

	(void)state;
	make_world(&world, 64 * PAGE);
	assert_true(blocks_alloc(&world.blocks, 200, &small));
	assert_true(blocks_alloc(&world.blocks, 3 * PAGE, &large));
	assert_false(blocks_free(&world.blocks, small + 64)); /* inside a slot */
	assert_false(blocks_free(&world.blocks, small + 256)); /* a free slot */
	assert_false(blocks_free(&world.blocks, large + 1));
	assert_false(blocks_free(&world.blocks, large + PAGE));
	assert_false(blocks_free(&world.blocks, 63 * PAGE)); /* a free page */
	assert_false(blocks_free(&world.blocks, 64 * PAGE)); /* past the end */
	assert_false(blocks_free(&world.blocks, UINT64_MAX));
	assert_true(blocks_free(&world.blocks, small));
	assert_false(blocks_free(&world.blocks, small));
	assert_true(blocks_free(&world.blocks, large));
	assert_false(blocks_free(&world.blocks, large));
	assert_int_equal(adopt_world(&world), 0);
	assert_true(blocks_alloc(&world.blocks, 64 * PAGE, &offset));
	end_world(&world);
}

/* Some blocks of all kinds, so that damage has something to hit. */
static void populate_world(struct world *world)
{
	uint64_t offset;

	make_world(world, 32 * PAGE);
	for (uint64_t size = 40; size < 10 * PAGE; size *= 2)
		assert_true(blocks_alloc(&world->blocks, size, &offset));
}

/* Takes all that is left, page by page: none twice, none that is a slab. */
static void take_all_pages(struct world *world)
{
	uint8_t seen[32] = { 0 };
	uint64_t offset;

	for (unsigned int page = 0; page < 32; page++)
		seen[page] = world->blocks.shift[page] != 0;
	while (blocks_alloc(&world->blocks, PAGE, &offset))
		assert_int_equal(seen[offset / PAGE]++, 0);
}

/*
 * Every bit of the records flipped: what an adopter accepts is something that could have been. It
 * cannot see that a slot is taken or not in a slab that has others, nor a whole block where that
 * changes nothing above it.
 */
static void test_damaged_records(void **state)
{
	unsigned int refused = 0, accepted = 0;
	struct world world;
	uint8_t *pristine;
	uint64_t size;

	(void)state;
	populate_world(&world);
	assert_int_equal(adopt_world(&world), 0);
	size = blocks_record_bytes(world.bytes);
	pristine = malloc(size);
	assert_non_null(pristine);
	memcpy(pristine, world.records, size);
	for (uint64_t bit = 0; bit < size * 8; bit++) {
		memcpy(world.records, pristine, size);
		((uint8_t *)world.records)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (adopt_world(&world) == -EINVAL) {
			refused++;
			continue;
		}
		accepted++;
		take_all_pages(&world);
	}
	/* 126 slots of six slabs, less the one that is taken in each, and the few whole blocks. */
	assert_in_range(accepted, 120, 150);
	assert_int_equal(refused + accepted, size * 8);
	free(pristine);
	end_world(&world);
}

/* A predecessor that writes on after it was adopted: offsets stay inside, everything ends. */
static void test_hostile_records(void **state)
{
	uint64_t seed = 4711, offset;
	struct world world;

	(void)state;
	populate_world(&world);
	assert_int_equal(adopt_world(&world), 0);
	for (unsigned int step = 0; step < 200000; step++) {
		uint64_t at = next_random(&seed) % blocks_record_bytes(world.bytes);

		((uint8_t *)world.records)[at] = (uint8_t)next_random(&seed);
		if (blocks_alloc(&world.blocks, 1 + next_random(&seed) % 5000, &offset))
			assert_true(offset < world.bytes);
		blocks_free(&world.blocks, next_random(&seed) % (world.bytes + PAGE) & ~63u);
	}
	end_world(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buddy_edges),	cmocka_unit_test(test_buddy_damaged),
		cmocka_unit_test(test_stress),		cmocka_unit_test(test_slabs_fill),
		cmocka_unit_test(test_wrong_frees),	cmocka_unit_test(test_damaged_records),
		cmocka_unit_test(test_hostile_records),
	};

	return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
