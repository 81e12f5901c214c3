/* SPDX-License-Identifier: BSD-3-Clause */
/* I/Os that are wrong: they come back with the right host status and touch nothing. */
#include <string.h>

#include "nvme_test.h"

#define LBA 2000
#define BLOCKS 4

/* A drive with a known stretch, a buffer, and a well-formed write to spoil. */
struct victim {
	struct nvme_test *t;
	struct weir_nvme_qp *qp;
	uint8_t *buffer;
	uint64_t seed;
	struct weir_nvme_segment segments[2];
	struct weir_nvme_io good;
};

static void victim_begin(struct victim *v, struct nvme_test *t)
{
	size_t block = t->ns_info.block_bytes;

	*v = (struct victim){ .t = t, .qp = nvme_test_qp(t, 0), .seed = ++t->seed };
	v->buffer = nvme_test_buffer(t, block);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_WRITE, LBA + i, 1, v->buffer);

		nvme_test_fill(v->buffer, block, v->seed + i);
		nvme_test_ok(v->t, v->qp, t->ns, &io);
	}
	t->seed += BLOCKS;
	memset(v->buffer, 0x22, block);
	v->good = nvme_test_range(t, WEIR_NVME_WRITE, LBA + 1, 1, v->buffer);
}

/* Neither the drive nor memory was touched. */
static void victim_end(struct victim *v)
{
	struct nvme_test *t = v->t;
	size_t block = t->ns_info.block_bytes;

	for (size_t i = 0; i < block; i++)
		assert_int_equal(v->buffer[i], 0x22);
	nvme_test_canaries(v->buffer, block);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_READ, LBA + i, 1, v->buffer);

		nvme_test_ok(v->t, v->qp, t->ns, &io);
		nvme_test_check(t, v->buffer, block, v->seed + i);
	}
	nvme_test_free(t, v->buffer);
	weir_nvme_qp_destroy(v->qp);
}

static void refused(struct victim *v, const struct weir_nvme_io *io,
		    enum weir_nvme_host_status status)
{
	struct weir_nvme_qp_stats before, after;
	struct weir_nvme_done done;
	char text[128];

	weir_nvme_qp_stats(v->qp, &before);
	done = nvme_test_io(v->t, v->qp, v->t->ns, io);
	weir_nvme_qp_stats(v->qp, &after);
	if (done.host != status)
		fail_msg("opcode %02x, flags %02x, %u blocks at %llu, %u segments: host status %u, "
			 "not %u",
			 io->opcode, io->flags, io->blocks, (unsigned long long)io->lba,
			 io->nr_segments, done.host, status);
	assert_int_equal(done.status, 0);
	assert_false(weir_nvme_ok(&done));
	assert_int_equal(after.host_failed, before.host_failed + 1);
	assert_true(strlen(weir_nvme_status_text(&done, text, sizeof(text))) > 3);
}

/* The good write with one member spoilt. */
#define REFUSED(v, status, ...) \
	do { \
		struct weir_nvme_io io_ = (v)->good; \
		__VA_ARGS__; \
		refused(v, &io_, status); \
	} while (0)

static void test_addresses(void **state)
{
	struct victim v;
	uint64_t end;

	victim_begin(&v, *state);
	end = v.t->ns_info.blocks;
	REFUSED(&v, WEIR_NVME_HOST_LBA, io_.lba = end);
	REFUSED(&v, WEIR_NVME_HOST_LBA, io_.lba = UINT64_MAX);
	REFUSED(&v, WEIR_NVME_HOST_LBA, io_.lba = UINT64_MAX - 1; io_.opcode = WEIR_NVME_READ);
	REFUSED(&v, WEIR_NVME_HOST_LBA, io_.lba = UINT64_C(1) << 63);
	REFUSED(&v, WEIR_NVME_HOST_ALIGNMENT, io_.data += 1);
	REFUSED(&v, WEIR_NVME_HOST_ALIGNMENT, io_.data += 2);
	if (nvme_test_max_blocks(v.t) > 1)
		REFUSED(&v, WEIR_NVME_HOST_LBA, io_.lba = end - 1; io_.blocks = 2);
	victim_end(&v);
}

static void test_lengths(void **state)
{
	struct victim v;
	uint32_t most;

	victim_begin(&v, *state);
	most = nvme_test_max_blocks(v.t);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.blocks = 0);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.blocks = most + 1);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.blocks = 65537);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.blocks = UINT32_MAX);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.blocks = 0; io_.opcode = WEIR_NVME_READ);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.opcode = WEIR_NVME_FLUSH);
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.opcode = WEIR_NVME_FLUSH; io_.blocks = 0);
	victim_end(&v);
}

static void test_members(void **state)
{
	struct victim v;

	victim_begin(&v, *state);
	REFUSED(&v, WEIR_NVME_HOST_RESERVED, io_.reserved[0] = 1);
	REFUSED(&v, WEIR_NVME_HOST_RESERVED, io_.reserved[1] = UINT64_C(1) << 63);
	REFUSED(&v, WEIR_NVME_HOST_RESERVED, io_.flags = 1);
	REFUSED(&v, WEIR_NVME_HOST_RESERVED, io_.flags = WEIR_NVME_DEAC);
	REFUSED(&v, WEIR_NVME_HOST_OPCODE, io_.opcode = 3);
	REFUSED(&v, WEIR_NVME_HOST_OPCODE, io_.opcode = 0x10);
	REFUSED(&v, WEIR_NVME_HOST_OPCODE, io_.opcode = 0x81);
	REFUSED(&v, WEIR_NVME_HOST_OPCODE, io_.opcode = 0xff);
	victim_end(&v);
}

static void test_segments(void **state)
{
	struct victim v;
	uint32_t half;

	victim_begin(&v, *state);
	half = v.t->ns_info.block_bytes / 2;
	v.segments[0] = (struct weir_nvme_segment){ .iova = v.good.data, .bytes = half };
	v.segments[1] = (struct weir_nvme_segment){ .iova = v.good.data + half, .bytes = half };
	v.good.data = (uint64_t)(uintptr_t)v.segments;
	v.good.nr_segments = 2;
#define SPOIL(status, member, value) \
	do { \
		struct weir_nvme_segment kept_ = v.segments[1]; \
		v.segments[1].member = (value); \
		refused(&v, &v.good, status); \
		v.segments[1] = kept_; \
	} while (0)
	SPOIL(WEIR_NVME_HOST_LENGTH, bytes, half - 4);
	SPOIL(WEIR_NVME_HOST_LENGTH, bytes, half + 4);
	SPOIL(WEIR_NVME_HOST_LENGTH, bytes, 0);
	SPOIL(WEIR_NVME_HOST_ALIGNMENT, bytes, half - 1);
	SPOIL(WEIR_NVME_HOST_ALIGNMENT, iova, v.segments[1].iova + 1);
	SPOIL(WEIR_NVME_HOST_LENGTH, iova, UINT64_MAX - 3);
	SPOIL(WEIR_NVME_HOST_RESERVED, reserved, 1);
	if (!v.t->info.sgl) /* a piece in the middle of a page */
		SPOIL(WEIR_NVME_HOST_ALIGNMENT, iova, v.segments[1].iova);
#undef SPOIL
	REFUSED(&v, WEIR_NVME_HOST_LENGTH, io_.nr_segments = 1);
	victim_end(&v);
}

static void test_no_namespace(void **state)
{
	struct victim v;
	struct weir_nvme_done done[2];
	struct weir_nvme_io ios[2];
	uint64_t cookies = 0;
	int nr;

	victim_begin(&v, *state);
	nr = weir_nvme_qp_depth(v.qp) < 2 ? 1 : 2;
	ios[0] = ios[1] = v.good;
	ios[0].cookie = 1;
	ios[1].cookie = 2;
	assert_int_equal(weir_nvme_submit(v.qp, NULL, ios, 2), nr);
	assert_int_equal(weir_nvme_poll(v.qp, done, 2), nr);
	for (int i = 0; i < nr; i++) {
		assert_int_equal(done[i].host, WEIR_NVME_HOST_NAMESPACE);
		cookies |= done[i].cookie;
	}
	assert_int_equal(cookies, nr == 2 ? 3 : 1);
	victim_end(&v);
}

/* Wrong ones in a burst do not hold up the right ones beside them. */
static void test_mixed_burst(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 0);
	size_t block = t->ns_info.block_bytes;
	unsigned int depth = weir_nvme_qp_depth(qp), left = 0, seen[64] = { 0 };
	uint8_t *buffer = nvme_test_buffer(t, 64 * block);
	struct weir_nvme_io ios[64];
	struct weir_nvme_done done[7];

	if (depth > 64)
		depth = 64;
	for (unsigned int i = 0; i < depth; i++) {
		ios[i] = nvme_test_range(t, WEIR_NVME_WRITE, 3000 + i, 1, buffer + i * block);
		ios[i].cookie = i;
		if (i % 3 == 1)
			ios[i].lba = t->ns_info.blocks + i;
		nvme_test_fill(buffer + i * block, block, 9000 + i);
	}
	assert_int_equal(weir_nvme_submit(qp, t->ns, ios, depth), (int)depth);
	for (left = depth; left;) {
		int n = weir_nvme_poll(qp, done, 7);

		assert_true(n >= 0 && n <= 7);
		if (!n)
			nvme_test_idle(t);
		for (int i = 0; i < n; i++) {
			assert_true(done[i].cookie < depth && !seen[done[i].cookie]++);
			assert_int_equal(done[i].host,
					 done[i].cookie % 3 == 1 ? WEIR_NVME_HOST_LBA : 0);
			assert_int_equal(done[i].status, 0);
		}
		left -= (unsigned int)n;
	}
	for (unsigned int i = 0; i < depth; i++) {
		struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_READ, 3000 + i, 1, buffer);

		if (i % 3 == 1)
			continue;
		memset(buffer, 0, block);
		nvme_test_ok(t, qp, t->ns, &io);
		nvme_test_check(t, buffer, block, 9000 + i);
	}
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

/* An address that is not mapped: the drive says so, and goes on. Only where that does no harm. */
static void test_unmapped_data(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp;
	uint8_t *buffer;
	struct weir_nvme_io io;
	struct weir_nvme_done done;

	if (!t->is_sim)
		return;
	qp = nvme_test_qp(t, 1);
	buffer = nvme_test_buffer(t, 4096);
	io = nvme_test_range(t, WEIR_NVME_READ, 5, 1, buffer);
	nvme_test_ok(t, qp, t->ns, &io);
	io.data = weir_arena_iova(t->arena) + weir_arena_bytes(t->arena) + (16 << 20);
	done = nvme_test_io(t, qp, t->ns, &io);
	assert_int_equal(done.host, WEIR_NVME_HOST_OK);
	assert_int_not_equal(done.status, 0);
	io = nvme_test_range(t, WEIR_NVME_READ, 5, 1, buffer);
	nvme_test_ok(t, qp, t->ns, &io);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

const struct CMUnitTest nvme_test_refused[] = {
	cmocka_unit_test(test_addresses),     cmocka_unit_test(test_lengths),
	cmocka_unit_test(test_members),	      cmocka_unit_test(test_segments),
	cmocka_unit_test(test_no_namespace),  cmocka_unit_test(test_mixed_burst),
	cmocka_unit_test(test_unmapped_data), { 0 },
};
