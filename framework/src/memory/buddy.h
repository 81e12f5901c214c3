/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A buddy allocator of numbered units, whose only record is one byte for each node of a binary
 * tree.
 */
#ifndef WEIR_MEMORY_BUDDY_H
#define WEIR_MEMORY_BUDDY_H

#include <stdbool.h>
#include <stdint.h>

struct buddy {
	uint8_t *tree; /* buddy_tree_bytes() of them; see buddy.c */
	uint64_t units;
	unsigned int top; /* order of the root: 2^top is units, rounded up */
};

/* Bytes of the tree of so many units, which are at least 1. */
uint64_t buddy_tree_bytes(uint64_t units);

/* Lets buddy work on a tree; its contents are not looked at. */
void buddy_attach(struct buddy *buddy, uint8_t *tree, uint64_t units);

/* Writes the tree of an allocator with all units free. */
void buddy_format(struct buddy *buddy);

/* Whether the tree is one that buddy_format(), buddy_alloc() and buddy_free() can have left. */
bool buddy_check(const struct buddy *buddy);

/* Takes 2^order units at a multiple of 2^order. false: there are none in a row. */
bool buddy_alloc(struct buddy *buddy, unsigned int order, uint64_t *unit);

/* Gives back what begins at the unit. false: nothing that was taken begins there. */
bool buddy_free(struct buddy *buddy, uint64_t unit);

/* Whether the unit was taken by itself, with order 0. */
bool buddy_is_single(const struct buddy *buddy, uint64_t unit);

#endif
