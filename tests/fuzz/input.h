/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share: the input, taken a field at a time, and what must hold whatever it
 * was. An input that has ended goes on as zeroes.
 */
#ifndef WEIR_TESTS_FUZZ_INPUT_H
#define WEIR_TESTS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What is left of it. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static inline void require(bool condition)
{
	if (!condition)
		abort();
}

/* A number of at most 8 bytes, the highest first. */
static inline uint64_t take(struct fuzz_input *input, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes-- && input->at < input->end)
		value = value << 8 | *input->at++;
	return value;
}

/* As many bytes as there are, and no more than asked for; returns how many. */
static inline size_t take_bytes(struct fuzz_input *input, void *to, size_t bytes)
{
	if (bytes > (size_t)(input->end - input->at))
		bytes = (size_t)(input->end - input->at);
	memcpy(to, input->at, bytes);
	input->at += bytes;
	return bytes;
}

#endif
