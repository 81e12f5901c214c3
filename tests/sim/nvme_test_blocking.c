/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocking calls: any memory, any length. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_test.h"

#define MOST_BYTES (3u << 20)

static void round_trip(struct nvme_test *t, uint8_t *memory, uint64_t lba, size_t bytes)
{
	struct weir_error err;
	uint64_t seed = ++t->seed;

	nvme_test_fill(memory, bytes, seed);
	if (weir_nvme_write(t->nvme, t->ns_info.nsid, lba, memory, bytes, &err))
		fail_msg("write of %zu bytes: %s", bytes, err.text);
	nvme_test_check(t, memory, bytes, seed);
	memset(memory, 0x55, bytes);
	if (weir_nvme_read(t->nvme, t->ns_info.nsid, lba, memory, bytes, &err))
		fail_msg("read of %zu bytes: %s", bytes, err.text);
	nvme_test_check(t, memory, bytes, seed);
}

static void test_any_memory(void **state)
{
	struct nvme_test *t = *state;
	uint32_t block = t->ns_info.block_bytes, limit = t->info.max_transfer;
	const size_t sizes[] = { block,	    3 * block,	   7 * block,	      128 << 10,
				 256 << 10, limit + block, 3 * limit + block, MOST_BYTES };
	uint8_t *heap = malloc(MOST_BYTES + 64), *arena = nvme_test_buffer(t, MOST_BYTES);

	assert_non_null(heap);
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t bytes = sizes[i] < MOST_BYTES ? sizes[i] : MOST_BYTES;

		round_trip(t, heap + i * 7, 11 + i, bytes);
		heap[i * 7 + bytes] = 0x77;
		round_trip(t, heap + i * 7, 13, bytes);
		assert_int_equal(heap[i * 7 + bytes], 0x77);
		round_trip(t, arena, 17, bytes);
		nvme_test_canaries(arena, MOST_BYTES);
	}
	round_trip(t, arena + 2, 19, block); /* in the arena, and not dword aligned */
	nvme_test_free(t, arena);
	free(heap);
}

static void test_flush(void **state)
{
	struct nvme_test *t = *state;
	struct weir_error err;

	assert_int_equal(weir_nvme_flush(t->nvme, t->ns_info.nsid, &err), 0);
	assert_int_equal(weir_nvme_flush(t->nvme, UINT32_MAX - 1, &err), -EINVAL);
}

static void test_refusals(void **state)
{
	struct nvme_test *t = *state;
	uint32_t nsid = t->ns_info.nsid, block = t->ns_info.block_bytes;
	uint64_t end = t->ns_info.blocks;
	uint8_t memory[8192];
	struct weir_error err;

	assert_int_equal(weir_nvme_read(t->nvme, nsid, 0, memory, 0, &err), -EINVAL);
	assert_int_equal(weir_nvme_read(t->nvme, nsid, 0, memory, block - 1, &err), -EINVAL);
	assert_int_equal(weir_nvme_write(t->nvme, nsid, 0, memory, block + 4, &err), -EINVAL);
	assert_int_equal(weir_nvme_read(t->nvme, nsid, end, memory, block, &err), -EINVAL);
	assert_non_null(strstr(err.text, "past the end"));
	assert_int_equal(weir_nvme_write(t->nvme, nsid, end - 1, memory, 2 * (size_t)block, &err),
			 -EINVAL);
	assert_int_equal(weir_nvme_read(t->nvme, nsid, UINT64_MAX, memory, block, &err), -EINVAL);
	assert_int_equal(weir_nvme_read(t->nvme, UINT32_MAX, 0, memory, block, &err), -EINVAL);
	assert_non_null(strstr(err.text, "namespace"));
	assert_int_equal(err.code, -EINVAL);
}

const struct CMUnitTest nvme_test_blocking[] = {
	cmocka_unit_test(test_any_memory),
	cmocka_unit_test(test_flush),
	cmocka_unit_test(test_refusals),
	{ 0 },
};
