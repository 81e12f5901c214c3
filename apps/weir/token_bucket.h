/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A token bucket: so many tokens a second, of which a limited number is saved up.
 *
 * It is kept in billionths of a token, so that no rate is rounded and no time is lost between two
 * refills, however short.
 */
#ifndef WEIR_APPS_TOKEN_BUCKET_H
#define WEIR_APPS_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_BUCKET_UNIT UINT64_C(1000000000)
/* A full bucket and as much again fit into 64 bits; deeper ones are cut to this. */
#define TOKEN_BUCKET_MAX_DEPTH (UINT64_MAX / TOKEN_BUCKET_UNIT / 2)

struct token_bucket {
	uint64_t per_second; /* 0: without a limit */
	uint64_t depth; /* tokens that are saved up at most */
	uint64_t credit; /* in 1 / TOKEN_BUCKET_UNIT of a token */
	uint64_t fill_ns; /* the time that fills an empty bucket, rounded up */
	uint64_t now_ns; /* of the last refill */
};

/* Begins with an empty bucket. `depth` has to hold the dearest single cost, and what comes in
 * between that being there and its being taken is lost if it does not hold more. */
void token_bucket_start(struct token_bucket *bucket, uint64_t per_second, uint64_t depth,
			uint64_t now_ns);

/* Adds what came in since the last call. Time does not go back. */
void token_bucket_refill(struct token_bucket *bucket, uint64_t now_ns);

/* Takes the tokens, if they are there. */
static inline bool token_bucket_take(struct token_bucket *bucket, uint64_t tokens)
{
	if (!bucket->per_second)
		return true;
	if (bucket->credit < tokens * TOKEN_BUCKET_UNIT)
		return false;
	bucket->credit -= tokens * TOKEN_BUCKET_UNIT;
	return true;
}

/* Gives back what was taken and not used. */
static inline void token_bucket_give(struct token_bucket *bucket, uint64_t tokens)
{
	bucket->credit += tokens * TOKEN_BUCKET_UNIT;
}

/* Nanoseconds after the last refill at which so many tokens will be there, rounded up. */
uint64_t token_bucket_wait_ns(const struct token_bucket *bucket, uint64_t tokens);

#endif
