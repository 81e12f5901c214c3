/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Node 1 is the root, 2n and 2n + 1 are the children of n, and the leaves, one a unit, are the
 * second half of the array. A node's byte says how large a block can be taken below it: its order
 * plus one, or 0 for none. Leaves past the last unit are 0 for ever.
 *
 * A block is taken by setting its node to 0. What is below keeps the values of a free subtree, and
 * that tells a taken node, whose children are whole, from one whose children are used up. So the
 * first 0 on the way up from a block's first unit is the node it was taken as.
 *
 * There is nothing in the tree that is used as an address: whatever bytes are written to it by
 * somebody else, every walk stays inside and ends.
 */
#include "memory/buddy.h"

#include <string.h>

#include "base/base.h"

static uint64_t first_leaf(const struct buddy *buddy)
{
	return UINT64_C(1) << buddy->top;
}

/* What a node of the order says, given its children. */
static uint8_t combine(uint8_t left, uint8_t right, unsigned int order)
{
	if (left == order && right == order)
		return (uint8_t)(order + 1);
	return left > right ? left : right;
}

/* Brings the ancestors of a node of the order up to date. */
static void update_ancestors(struct buddy *buddy, uint64_t node, unsigned int order)
{
	while (node > 1) {
		node >>= 1;
		order++;
		buddy->tree[node] = combine(buddy->tree[2 * node], buddy->tree[2 * node + 1],
					    order);
	}
}

uint64_t buddy_tree_bytes(uint64_t units)
{
	return 2 * weir_round_up_power_of_two(units);
}

void buddy_attach(struct buddy *buddy, uint8_t *tree, uint64_t units)
{
	buddy->tree = tree;
	buddy->units = units;
	buddy->top = (unsigned int)__builtin_ctzll(weir_round_up_power_of_two(units));
}

void buddy_format(struct buddy *buddy)
{
	uint64_t leaves = first_leaf(buddy);

	buddy->tree[0] = 0;
	memset(buddy->tree + leaves, 1, buddy->units);
	memset(buddy->tree + leaves + buddy->units, 0, leaves - buddy->units);
	for (unsigned int order = 1; order <= buddy->top; order++) {
		uint64_t first = leaves >> order;

		for (uint64_t node = first; node < 2 * first; node++)
			buddy->tree[node] = combine(buddy->tree[2 * node],
						    buddy->tree[2 * node + 1], order);
	}
}

static bool check_leaves(const struct buddy *buddy)
{
	const uint8_t *leaf = buddy->tree + first_leaf(buddy);

	for (uint64_t unit = 0; unit < first_leaf(buddy); unit++) {
		if (leaf[unit] > (unit < buddy->units ? 1 : 0))
			return false;
	}
	return true;
}

bool buddy_check(const struct buddy *buddy)
{
	if (!check_leaves(buddy))
		return false;
	for (unsigned int order = 1; order <= buddy->top; order++) {
		uint64_t first = first_leaf(buddy) >> order;

		for (uint64_t node = first; node < 2 * first; node++) {
			uint8_t value = combine(buddy->tree[2 * node], buddy->tree[2 * node + 1],
						order);
			bool whole = value == order + 1;

			if (buddy->tree[node] != value && !(whole && buddy->tree[node] == 0))
				return false;
		}
	}
	return true;
}

bool buddy_alloc(struct buddy *buddy, unsigned int order, uint64_t *unit)
{
	uint64_t node = 1;

	if (order > buddy->top || buddy->tree[1] <= order)
		return false;
	for (unsigned int at = buddy->top; at > order; at--) {
		uint8_t left = buddy->tree[2 * node];
		uint8_t right = buddy->tree[2 * node + 1];

		/* The tighter of the two, so that large blocks stay whole. */
		node *= 2;
		if (left <= order || (right > order && right < left))
			node++;
	}
	/* Always so, unless somebody else wrote to the tree. */
	if (buddy->tree[node] != order + 1)
		return false;
	buddy->tree[node] = 0;
	update_ancestors(buddy, node, order);
	*unit = (node << order) - first_leaf(buddy);
	return true;
}

bool buddy_free(struct buddy *buddy, uint64_t unit)
{
	uint64_t node = first_leaf(buddy) + unit;
	unsigned int order = 0;

	if (unit >= buddy->units)
		return false;
	while (buddy->tree[node]) {
		/* A block that holds a right child began before it. The root, 1, is odd too. */
		if (node & 1)
			return false;
		node >>= 1;
		order++;
	}
	buddy->tree[node] = (uint8_t)(order + 1);
	update_ancestors(buddy, node, order);
	return true;
}

bool buddy_is_single(const struct buddy *buddy, uint64_t unit)
{
	return unit < buddy->units && buddy->tree[first_leaf(buddy) + unit] == 0;
}
