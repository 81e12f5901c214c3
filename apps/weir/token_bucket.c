/* SPDX-License-Identifier: BSD-3-Clause */
#include "token_bucket.h"

void token_bucket_start(struct token_bucket *bucket, uint64_t per_second, uint64_t depth,
			uint64_t now_ns)
{
	*bucket = (struct token_bucket){
		.per_second = per_second,
		.depth = depth < TOKEN_BUCKET_MAX_DEPTH ? depth : TOKEN_BUCKET_MAX_DEPTH,
		.now_ns = now_ns,
	};
	if (per_second)
		bucket->fill_ns = (bucket->depth * TOKEN_BUCKET_UNIT + per_second - 1) / per_second;
}

void token_bucket_refill(struct token_bucket *bucket, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - bucket->now_ns;

	bucket->now_ns = now_ns;
	/* A full bucket, without a product that might not fit. */
	if (elapsed >= bucket->fill_ns) {
		bucket->credit = bucket->depth * TOKEN_BUCKET_UNIT;
		return;
	}
	bucket->credit += elapsed * bucket->per_second;
	if (bucket->credit > bucket->depth * TOKEN_BUCKET_UNIT)
		bucket->credit = bucket->depth * TOKEN_BUCKET_UNIT;
}

uint64_t token_bucket_wait_ns(const struct token_bucket *bucket, uint64_t tokens)
{
	uint64_t needed = tokens * TOKEN_BUCKET_UNIT;

	if (!bucket->per_second || bucket->credit >= needed)
		return 0;
	return (needed - bucket->credit + bucket->per_second - 1) / bucket->per_second;
}
