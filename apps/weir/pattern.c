/* SPDX-License-Identifier: BSD-3-Clause */
#include "pattern.h"

#include <string.h>

/* 2^64 divided by the golden ratio: odd, with bits all over. */
#define STEP UINT64_C(0x9e3779b97f4a7c15)

/* A bijection that spreads each bit over the word, so that neighbouring blocks have nothing in
 * common. */
static uint64_t mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	return value ^ value >> 32;
}

static uint64_t first_word(uint64_t lba, uint64_t seed)
{
	return mix(lba + mix(seed));
}

void pattern_fill(void *data, uint64_t lba, uint32_t blocks, uint32_t block_bytes, uint64_t seed)
{
	unsigned char *at = data;

	for (uint32_t block = 0; block < blocks; block++) {
		uint64_t word = first_word(lba + block, seed);

		for (uint32_t i = 0; i < block_bytes; i += 8, at += 8, word += STEP)
			memcpy(at, &word, 8);
	}
}

bool pattern_check(const void *data, uint64_t lba, uint32_t blocks, uint32_t block_bytes,
		   uint64_t seed, struct pattern_difference *difference)
{
	const unsigned char *at = data;

	for (uint32_t block = 0; block < blocks; block++) {
		uint64_t word = first_word(lba + block, seed);

		for (uint32_t i = 0; i < block_bytes; i += 8, at += 8, word += STEP) {
			uint64_t found;

			memcpy(&found, at, 8);
			if (found == word)
				continue;
			*difference = (struct pattern_difference){
				.lba = lba + block,
				.offset = i,
				.expected = word,
				.found = found,
			};
			return false;
		}
	}
	return true;
}
