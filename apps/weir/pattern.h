/* SPDX-License-Identifier: BSD-3-Clause */
/* Contents of a block that follow from its address and a seed, to be recognised when read back. */
#ifndef WEIR_APPS_PATTERN_H
#define WEIR_APPS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills `blocks` blocks from LBA `lba`. block_bytes is a multiple of 8. */
void pattern_fill(void *data, uint64_t lba, uint32_t blocks, uint32_t block_bytes, uint64_t seed);

/* Where data differs from the pattern. */
struct pattern_difference {
	uint64_t lba;
	uint32_t offset; /* in the block */
	uint64_t expected, found; /* the eight bytes there */
};

/* Compares. true: all as expected; otherwise `difference` is the first place. */
bool pattern_check(const void *data, uint64_t lba, uint32_t blocks, uint32_t block_bytes,
		   uint64_t seed, struct pattern_difference *difference);

#endif
