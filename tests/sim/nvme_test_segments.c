/* SPDX-License-Identifier: BSD-3-Clause */
/* I/Os whose data lies in pieces: SGLs where the drive has them, PRP lists where not. */
#include <stdlib.h>
#include <string.h>

#include "nvme_test.h"

#define ROUNDS 60

/* Data in pieces, in memory in reverse order with gaps of canary between them. */
struct pieces {
	struct weir_nvme_segment segments[WEIR_NVME_MAX_SEGMENTS];
	uint8_t *at[WEIR_NVME_MAX_SEGMENTS];
	unsigned int nr;
	uint8_t *buffer;
	size_t room;
};

static uint32_t random_below(struct nvme_test *t, uint32_t below)
{
	uint64_t word;

	nvme_test_fill(&word, sizeof(word), ++t->seed);
	return (uint32_t)(word >> 32) % below;
}

/* For SGLs: any number of dwords in each. */
static void cut_dwords(struct nvme_test *t, struct pieces *pieces, uint32_t bytes)
{
	uint32_t left = bytes;

	pieces->nr = 0;
	while (left) {
		uint32_t most = left / 4, n;

		n = pieces->nr + 1 == WEIR_NVME_MAX_SEGMENTS
			    ? most
			    : 1 + random_below(t, most < 400 ? most : 400);
		if (random_below(t, 4) == 0 || pieces->nr > 200)
			n = 1 + random_below(t, most);
		if (pieces->nr + 1 == WEIR_NVME_MAX_SEGMENTS)
			n = most;
		pieces->segments[pieces->nr++].bytes = 4 * n;
		left -= 4 * n;
	}
}

/* For PRPs: the first may begin anywhere and the last end anywhere, between are whole pages. */
static uint32_t cut_pages(struct nvme_test *t, struct pieces *pieces, uint32_t bytes)
{
	uint32_t page = t->info.page_bytes, left = bytes;
	uint32_t first = page - 4 * random_below(t, page / 4);

	pieces->nr = 0;
	for (uint32_t n = first; left; n = page * (1 + random_below(t, 3))) {
		if (n > left || pieces->nr + 1 == WEIR_NVME_MAX_SEGMENTS)
			n = left;
		pieces->segments[pieces->nr++].bytes = n;
		left -= n;
	}
	return first;
}

/* Gives the pieces places, the last one first. */
static void place(struct nvme_test *t, struct pieces *pieces, uint32_t first_offset)
{
	uint32_t page = t->info.page_bytes;
	uint8_t *at = (uint8_t *)(((uintptr_t)pieces->buffer + page - 1) & ~(uintptr_t)(page - 1));

	memset(pieces->buffer, 0xc5, pieces->room);
	for (unsigned int i = pieces->nr; i--;) {
		uint32_t bytes = pieces->segments[i].bytes;

		if (t->info.sgl) {
			pieces->at[i] = at + 12;
			at += bytes + 24;
		} else {
			pieces->at[i] = i ? at : at + first_offset;
			at += (first_offset + bytes + 2 * (size_t)page - 1) / page * page;
		}
		pieces->segments[i].iova = nvme_test_iova(t, pieces->at[i]);
		pieces->segments[i].reserved = 0;
	}
	assert_true(at <= pieces->buffer + pieces->room);
}

/* Nothing but the pieces was written: without them all is canary. */
static void check_gaps(const struct pieces *pieces)
{
	for (unsigned int i = 0; i < pieces->nr; i++)
		memset(pieces->at[i], 0xc5, pieces->segments[i].bytes);
	assert_true(pieces->buffer[0] == 0xc5 &&
		    !memcmp(pieces->buffer, pieces->buffer + 1, pieces->room - 1));
	nvme_test_canaries(pieces->buffer, pieces->room);
}

static void gather(const struct pieces *pieces, uint8_t *flat, bool scatter)
{
	for (unsigned int i = 0; i < pieces->nr; i++) {
		if (scatter)
			memcpy(pieces->at[i], flat, pieces->segments[i].bytes);
		else
			memcpy(flat, pieces->at[i], pieces->segments[i].bytes);
		flat += pieces->segments[i].bytes;
	}
}

static void round_trip(struct nvme_test *t, struct weir_nvme_qp *qp, struct pieces *pieces,
		       uint8_t *flat, uint64_t lba, uint32_t blocks)
{
	uint32_t bytes = blocks * t->ns_info.block_bytes;
	struct weir_nvme_io flat_io = nvme_test_range(t, WEIR_NVME_READ, lba, blocks, flat);
	struct weir_nvme_io io = { .opcode = WEIR_NVME_WRITE, .lba = lba, .blocks = blocks };
	uint32_t first_offset = 0;
	uint64_t seed;

	if (t->info.sgl)
		cut_dwords(t, pieces, bytes);
	else
		first_offset = t->info.page_bytes - cut_pages(t, pieces, bytes);
	if (first_offset + bytes > t->info.page_bytes * 512)
		return; /* more pages than a list has room for */
	place(t, pieces, first_offset);
	io.data = (uint64_t)(uintptr_t)pieces->segments;
	io.nr_segments = (uint16_t)pieces->nr;

	/* written in pieces, read as one */
	seed = ++t->seed;
	nvme_test_fill(flat, bytes, seed);
	gather(pieces, flat, true);
	nvme_test_ok(t, qp, t->ns, &io);
	memset(flat, 0, bytes);
	nvme_test_ok(t, qp, t->ns, &flat_io);
	nvme_test_check(t, flat, bytes, seed);
	check_gaps(pieces);

	/* and read in pieces */
	io.opcode = WEIR_NVME_READ;
	nvme_test_ok(t, qp, t->ns, &io);
	gather(pieces, flat, false);
	nvme_test_check(t, flat, bytes, seed);
	check_gaps(pieces);
}

static void test_pieces(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	uint32_t most = nvme_test_max_blocks(t);
	uint8_t *flat = nvme_test_buffer(t, t->info.max_transfer);
	struct pieces *pieces = test_calloc(1, sizeof(*pieces));

	/* every piece may begin a page of its own */
	pieces->room = t->info.max_transfer +
		       (WEIR_NVME_MAX_SEGMENTS + 2) * 2 * (size_t)t->info.page_bytes;
	pieces->buffer = nvme_test_buffer(t, pieces->room);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint32_t limit = i % 8 ? (most < 64 ? most : 64) : most;

		round_trip(t, qp, pieces, flat, 3 + random_below(t, 64),
			   1 + random_below(t, limit));
	}
	nvme_test_canaries(flat, t->info.max_transfer);
	nvme_test_free(t, pieces->buffer);
	test_free(pieces);
	nvme_test_free(t, flat);
	weir_nvme_qp_destroy(qp);
}

/* As many pieces as there may be, and one more. */
static void test_most_pieces(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	size_t piece = t->info.sgl ? t->ns_info.block_bytes : t->info.page_bytes;
	struct weir_nvme_segment *segments = test_calloc(WEIR_NVME_MAX_SEGMENTS + 1,
							 sizeof(*segments));
	uint8_t *buffer;
	uint32_t nr = t->info.max_transfer / (uint32_t)piece;
	struct weir_nvme_io io = { .opcode = WEIR_NVME_WRITE,
				   .lba = 9,
				   .data = (uint64_t)(uintptr_t)segments };
	struct weir_nvme_done done;

	if (nr > WEIR_NVME_MAX_SEGMENTS)
		nr = WEIR_NVME_MAX_SEGMENTS;
	buffer = nvme_test_buffer(t, nr * piece + t->info.page_bytes);
	for (uint32_t i = 0; i < WEIR_NVME_MAX_SEGMENTS + 1; i++) {
		uint64_t base = (nvme_test_iova(t, buffer) + t->info.page_bytes - 1) &
				~(uint64_t)(t->info.page_bytes - 1);

		segments[i] = (struct weir_nvme_segment){ .iova = base + (nr - 1 - i % nr) * piece,
							  .bytes = (uint32_t)piece };
	}
	io.nr_segments = (uint16_t)nr;
	io.blocks = (uint32_t)(nr * piece / t->ns_info.block_bytes);
	nvme_test_ok(t, qp, t->ns, &io);

	io.nr_segments = WEIR_NVME_MAX_SEGMENTS + 1;
	done = nvme_test_io(t, qp, t->ns, &io);
	assert_int_equal(done.host, WEIR_NVME_HOST_LENGTH);
	nvme_test_canaries(buffer, nr * piece + t->info.page_bytes);
	nvme_test_free(t, buffer);
	test_free(segments);
	weir_nvme_qp_destroy(qp);
}

const struct CMUnitTest nvme_test_segments[] = {
	cmocka_unit_test(test_pieces),
	cmocka_unit_test(test_most_pieces),
	{ 0 },
};
