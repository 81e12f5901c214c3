/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The burst calls against a controller that the test plays: what they write into the queues, what
 * they refuse, and what they make of completions that are wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_device.h"
#include "nvme_fixture.h"

#define DATA UINT64_C(0x2345670000)

static const struct nvme_fixture_shape usual = {
	.depth = 63,
	.sq_entries = 64,
	.cq_entries = 128,
	.block_shift = 9,
	.blocks = 1 << 20,
	.max_transfer = 256 << 10,
};

static struct weir_nvme_io read_io(uint64_t lba, uint32_t blocks, uint64_t data, uint64_t cookie)
{
	return (struct weir_nvme_io){ .opcode = WEIR_NVME_READ,
				      .blocks = blocks,
				      .lba = lba,
				      .data = data,
				      .cookie = cookie };
}

/* Submits one I/O that must reach the controller, and gives its entry. */
static void submit_one(struct nvme_fixture *f, const struct weir_nvme_io *io, uint64_t sqe[8])
{
	assert_int_equal(weir_nvme_submit(f->qp, &f->ns, io, 1), 1);
	assert_true(nvme_fixture_fetch(f, sqe));
}

static void complete_one(struct nvme_fixture *f, uint16_t cid, uint64_t cookie)
{
	struct weir_nvme_done done;

	nvme_fixture_post(f, cid, 1, 0, 0);
	assert_int_equal(weir_nvme_poll(f->qp, &done, 1), 1);
	assert_true(weir_nvme_ok(&done));
	assert_int_equal(done.cookie, cookie);
}

static uint16_t cid_of(const uint64_t sqe[8])
{
	return (uint16_t)(sqe[0] >> 16);
}

static void test_entry_fields(void **state)
{
	struct nvme_fixture f;
	struct weir_nvme_io io = read_io(0x12345, 8, DATA, 99);
	uint64_t sqe[8];

	(void)state;
	nvme_fixture_start(&f, &usual);
	submit_one(&f, &io, sqe);
	assert_int_equal(sqe[0] & 0xffff, WEIR_NVME_READ); /* opcode; no fuse, PRPs */
	assert_int_equal(sqe[0] >> 32, 7); /* nsid */
	assert_int_equal(sqe[1], 0);
	assert_int_equal(sqe[2], 0);
	assert_int_equal(sqe[3], DATA);
	assert_int_equal(sqe[4], 0);
	assert_int_equal(sqe[5], 0x12345);
	assert_int_equal(sqe[6], 7);
	complete_one(&f, cid_of(sqe), 99);

	io.opcode = WEIR_NVME_WRITE;
	io.flags = WEIR_NVME_FUA | WEIR_NVME_LIMITED_RETRY;
	submit_one(&f, &io, sqe);
	assert_int_equal(sqe[0] & 0xffff, WEIR_NVME_WRITE);
	assert_int_equal(sqe[6], 0xc0000007);
	nvme_fixture_stop(&f);
}

/* The pages of [data, data + bytes) by the definition, to compare with. */
static unsigned int pages_of(uint64_t data, uint64_t bytes, uint64_t *pages)
{
	unsigned int n = 0;

	for (uint64_t at = data; at < data + bytes; at++) {
		if (at == data || !(at & 4095))
			pages[n++] = at;
	}
	return n;
}

static void check_prps(struct nvme_fixture *f, uint64_t data, uint32_t blocks)
{
	struct weir_nvme_io io = read_io(0, blocks, data, 5);
	uint64_t sqe[8], pages[130];
	unsigned int n = pages_of(data, blocks * UINT64_C(512), pages);

	submit_one(f, &io, sqe);
	assert_int_equal(sqe[3], pages[0]);
	if (n == 1) {
		assert_int_equal(sqe[4], 0);
	} else if (n == 2) {
		assert_int_equal(sqe[4], pages[1]);
	} else {
		const uint64_t *list = (uint64_t *)(f->lists + (sqe[4] - NVME_FIXTURE_LISTS));

		assert_int_equal(sqe[4], NVME_FIXTURE_LISTS + cid_of(sqe) * UINT64_C(4096));
		assert_memory_equal(list, &pages[1], (n - 1) * sizeof(*list));
	}
	complete_one(f, cid_of(sqe), 5);
}

static void test_prps(void **state)
{
	static const uint32_t blocks[] = { 1, 2, 7, 8, 9, 15, 16, 17, 64, 255, 256, 511, 512 };
	struct nvme_fixture f;

	(void)state;
	nvme_fixture_start(&f, &usual);
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		for (uint64_t offset = 0; offset < 4096; offset += 364)
			check_prps(&f, DATA + offset, blocks[i]);
	}
	nvme_fixture_stop(&f);
}

static void test_sgls(void **state)
{
	struct nvme_fixture_shape shape = usual;
	struct weir_nvme_segment segments[3] = { { .iova = DATA + 4, .bytes = 1020 },
						 { .iova = 0x9999990, .bytes = 16 },
						 { .iova = 0x123400, .bytes = 3060 } };
	struct weir_nvme_io io = read_io(0, 64, DATA + 4, 1);
	struct nvme_fixture f;
	const struct nvme_sgl *list;
	uint64_t sqe[8];

	(void)state;
	shape.sgl = true;
	nvme_fixture_start(&f, &shape);
	submit_one(&f, &io, sqe); /* 32 KiB: one descriptor in the entry */
	assert_int_equal(sqe[0] >> 14 & 3, 1);
	assert_int_equal(sqe[3], DATA + 4);
	assert_int_equal(sqe[4], 64 * 512); /* type 0, subtype 0 */

	io.blocks = 8;
	io.nr_segments = 3;
	io.data = (uint64_t)(uintptr_t)segments;
	submit_one(&f, &io, sqe);
	assert_int_equal(sqe[0] >> 14 & 3, 1);
	assert_int_equal(sqe[4], UINT64_C(0x30) << 56 | 48); /* last segment, three descriptors */
	list = (const struct nvme_sgl *)(f.lists + (sqe[3] - NVME_FIXTURE_LISTS));
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(list[i].address, segments[i].iova);
		assert_int_equal(list[i].bytes, segments[i].bytes);
		assert_int_equal(list[i].type, 0);
	}
	nvme_fixture_stop(&f);
}

static void test_segments_by_prp(void **state)
{
	struct weir_nvme_segment segments[3] = { { .iova = DATA + 512, .bytes = 3584 },
						 { .iova = 0x10000, .bytes = 8192 },
						 { .iova = 0x50000, .bytes = 512 } };
	struct weir_nvme_io io = read_io(0, 24, (uint64_t)(uintptr_t)segments, 1);
	struct nvme_fixture f;
	const uint64_t *list;
	uint64_t sqe[8];

	(void)state;
	io.nr_segments = 3;
	nvme_fixture_start(&f, &usual);
	submit_one(&f, &io, sqe);
	list = (uint64_t *)(f.lists + (sqe[4] - NVME_FIXTURE_LISTS));
	assert_int_equal(sqe[3], DATA + 512);
	assert_int_equal(list[0], 0x10000);
	assert_int_equal(list[1], 0x11000);
	assert_int_equal(list[2], 0x50000);
	nvme_fixture_stop(&f);
}

struct bad_io {
	const char *what;
	struct weir_nvme_io io;
	uint16_t host;
};

static void expect_refused(struct nvme_fixture *f, const struct weir_nvme_ns *ns,
			   const struct weir_nvme_io *bad, uint16_t host)
{
	struct weir_nvme_io ios[3] = { read_io(1, 8, DATA, 1), *bad, read_io(2, 8, DATA, 3) };
	struct weir_nvme_done done[4];
	uint64_t sqe[8], cookies = 0;
	unsigned int reached = 0;
	int n;

	ios[1].cookie = 2;
	assert_int_equal(weir_nvme_submit(f->qp, ns, ios, 3), 3);
	while (nvme_fixture_fetch(f, sqe)) {
		nvme_fixture_post(f, cid_of(sqe), 1, 0, 0);
		reached++;
	}
	n = weir_nvme_poll(f->qp, done, 4);
	assert_int_equal(n, 3);
	for (int i = 0; i < n; i++) {
		cookies |= 1u << done[i].cookie;
		if (done[i].cookie == 2 || ns != &f->ns) {
			assert_int_equal(done[i].host, host);
			assert_false(weir_nvme_ok(&done[i]));
		} else {
			assert_true(weir_nvme_ok(&done[i]));
		}
	}
	assert_int_equal(cookies, 0xe);
	assert_int_equal(reached, ns == &f->ns ? 2 : 0);
	assert_int_equal(weir_nvme_poll(f->qp, done, 4), 0);
	assert_int_equal(weir_nvme_qp_inflight(f->qp), 0);
}

static void test_refused(void **state)
{
	static struct weir_nvme_segment short_segment = { .iova = DATA, .bytes = 512 };
	static struct weir_nvme_segment odd_segments[2] = { { .iova = DATA, .bytes = 512 },
							    { .iova = DATA + 8192, .bytes = 512 } };
	const struct bad_io bad[] = {
		{ "no blocks", read_io(0, 0, DATA, 0), WEIR_NVME_HOST_LENGTH },
		{ "over the maximum", read_io(0, 513, DATA, 0), WEIR_NVME_HOST_LENGTH },
		{ "far over it", read_io(0, UINT32_MAX, DATA, 0), WEIR_NVME_HOST_LENGTH },
		{ "past the end", read_io(1 << 20, 1, DATA, 0), WEIR_NVME_HOST_LBA },
		{ "across the end", read_io((1 << 20) - 7, 8, DATA, 0), WEIR_NVME_HOST_LBA },
		{ "end wraps", read_io(UINT64_MAX, 8, DATA, 0), WEIR_NVME_HOST_LBA },
		{ "end wraps to 1", read_io(UINT64_MAX - 6, 8, DATA, 0), WEIR_NVME_HOST_LBA },
		{ "unaligned", read_io(0, 8, DATA + 2, 0), WEIR_NVME_HOST_ALIGNMENT },
		{ "unaligned, long", read_io(0, 64, DATA + 1, 0), WEIR_NVME_HOST_ALIGNMENT },
		{ "opcode", { .opcode = 3, .blocks = 8, .data = DATA }, WEIR_NVME_HOST_OPCODE },
		{ "opcode 255",
		  { .opcode = 255, .blocks = 8, .data = DATA },
		  WEIR_NVME_HOST_OPCODE },
		{ "verify is not there",
		  { .opcode = WEIR_NVME_VERIFY, .blocks = 8 },
		  WEIR_NVME_HOST_OPCODE },
		{ "flush with blocks",
		  { .opcode = WEIR_NVME_FLUSH, .blocks = 1 },
		  WEIR_NVME_HOST_LENGTH },
		{ "zeroes with data",
		  { .opcode = WEIR_NVME_WRITE_ZEROES, .blocks = 1, .data = DATA },
		  WEIR_NVME_HOST_LENGTH },
		{ "257 ranges",
		  { .opcode = WEIR_NVME_DEALLOCATE, .blocks = 257, .data = DATA },
		  WEIR_NVME_HOST_LENGTH },
		{ "deallocate hint on a read",
		  { .opcode = WEIR_NVME_READ, .flags = WEIR_NVME_DEAC, .blocks = 8, .data = DATA },
		  WEIR_NVME_HOST_RESERVED },
		{ "reserved",
		  { .opcode = WEIR_NVME_READ, .blocks = 8, .data = DATA, .reserved = { 1, 0 } },
		  WEIR_NVME_HOST_RESERVED },
		{ "reserved, second",
		  { .opcode = WEIR_NVME_READ, .blocks = 8, .data = DATA, .reserved = { 0, 1 } },
		  WEIR_NVME_HOST_RESERVED },
		{ "segments too short",
		  { .opcode = WEIR_NVME_READ,
		    .nr_segments = 1,
		    .blocks = 8,
		    .data = (uint64_t)(uintptr_t)&short_segment },
		  WEIR_NVME_HOST_LENGTH },
		{ "segments that PRPs cannot describe",
		  { .opcode = WEIR_NVME_READ,
		    .nr_segments = 2,
		    .blocks = 2,
		    .data = (uint64_t)(uintptr_t)odd_segments },
		  WEIR_NVME_HOST_ALIGNMENT },
		{ "too many segments",
		  { .opcode = WEIR_NVME_READ,
		    .nr_segments = 257,
		    .blocks = 8,
		    .data = (uint64_t)(uintptr_t)odd_segments },
		  WEIR_NVME_HOST_LENGTH },
	};
	struct nvme_fixture f;

	(void)state;
	nvme_fixture_start(&f, &usual);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		print_message("%s\n", bad[i].what);
		expect_refused(&f, &f.ns, &bad[i].io, bad[i].host);
	}
	nvme_fixture_stop(&f);
}

static void test_bad_namespace(void **state)
{
	struct nvme_fixture f, other;
	struct weir_nvme_io io = read_io(0, 8, DATA, 0);
	struct weir_nvme_ns gone;

	(void)state;
	nvme_fixture_start(&f, &usual);
	nvme_fixture_start(&other, &usual);
	gone = f.ns;
	nvme_ns_resize(&gone, 0);
	expect_refused(&f, NULL, &io, WEIR_NVME_HOST_NAMESPACE);
	expect_refused(&f, &other.ns, &io, WEIR_NVME_HOST_NAMESPACE);
	expect_refused(&f, &gone, &io, WEIR_NVME_HOST_NAMESPACE);
	nvme_fixture_stop(&f);
	nvme_fixture_stop(&other);
}

static void test_last_blocks(void **state)
{
	struct nvme_fixture f;
	uint64_t sqe[8];

	(void)state;
	nvme_fixture_start(&f, &usual);
	for (uint32_t blocks = 1; blocks <= 16; blocks++) {
		struct weir_nvme_io io = read_io((1 << 20) - blocks, blocks, DATA, blocks);

		submit_one(&f, &io, sqe);
		assert_int_equal(sqe[5], (1 << 20) - blocks);
		complete_one(&f, cid_of(sqe), blocks);
		io.lba++;
		expect_refused(&f, &f.ns, &io, WEIR_NVME_HOST_LBA);
	}
	nvme_fixture_stop(&f);
}

static void test_full_and_post(void **state)
{
	struct nvme_fixture f;
	struct weir_nvme_io ios[80];
	uint64_t sqe[8];

	(void)state;
	nvme_fixture_start(&f, &usual);
	for (unsigned int i = 0; i < 80; i++)
		ios[i] = read_io(i, 8, DATA, i);
	assert_int_equal(weir_nvme_submit(f.qp, &f.ns, ios, 60), 60);
	assert_int_equal(weir_nvme_submit(f.qp, &f.ns, ios, 80), 3);
	assert_int_equal(weir_nvme_submit(f.qp, &f.ns, ios, 1), 0);
	assert_int_equal(weir_nvme_post(f.qp, &f.ns, ios), 0);
	assert_int_equal(weir_nvme_qp_inflight(f.qp), 63);
	for (unsigned int i = 0; i < 63; i++)
		assert_true(nvme_fixture_fetch(&f, sqe));
	assert_false(nvme_fixture_fetch(&f, sqe));
	complete_one(&f, cid_of(sqe), 2);

	/* Posted, and not seen by the controller before the ring. */
	assert_int_equal(weir_nvme_post(f.qp, &f.ns, &ios[70]), 1);
	assert_false(nvme_fixture_fetch(&f, sqe));
	weir_nvme_ring(f.qp);
	assert_true(nvme_fixture_fetch(&f, sqe));
	assert_int_equal(sqe[5], 70);
	nvme_fixture_stop(&f);
}

/*
 * Random bursts against a controller that completes in random order and keeps to what the doorbells
 * told it: each cookie comes back exactly once, the queues wrap many times, and nothing ever
 * stalls.
 */
static void churn(const struct nvme_fixture_shape *shape)
{
	uint16_t pending[WEIR_NVME_MAX_DEPTH];
	uint8_t *returned;
	struct weir_nvme_io ios[40];
	struct weir_nvme_done done[40];
	unsigned int nr_pending = 0;
	uint64_t next = 0, back = 0, idle = 0, sqe[8];
	const uint64_t total = 20000;
	struct nvme_fixture f;

	srandom(shape->depth);
	returned = calloc(total, 1);
	nvme_fixture_start(&f, shape);
	while (back < total) {
		unsigned int want = (unsigned int)random() % 40;
		int n;

		if (want > total - next)
			want = (unsigned int)(total - next);
		for (unsigned int i = 0; i < want; i++)
			ios[i] = read_io((next + i) % 1000, 1 + (uint32_t)random() % 20,
					 DATA + 4 * ((uint64_t)random() % 1024), next + i);
		n = weir_nvme_submit(f.qp, &f.ns, ios, want);
		assert_in_range(n, 0, want);
		next += (uint64_t)n;
		while (nvme_fixture_fetch(&f, sqe)) {
			assert_true(nr_pending < shape->depth);
			pending[nr_pending++] = cid_of(sqe);
		}
		for (long todo = random() % 50; todo && nr_pending && nvme_fixture_cq_room(&f);
		     todo--) {
			unsigned int at = (unsigned int)random() % nr_pending;

			nvme_fixture_post(&f, pending[at], 1, 0, 0);
			pending[at] = pending[--nr_pending];
		}
		n = weir_nvme_poll(f.qp, done, (unsigned int)random() % 41);
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			assert_true(weir_nvme_ok(&done[i]));
			assert_in_range(done[i].cookie, 0, next - 1);
			assert_int_equal(returned[done[i].cookie]++, 0);
		}
		back += (uint64_t)n;
		idle = n ? 0 : idle + 1;
		assert_true(idle < 1000);
	}
	assert_int_equal(weir_nvme_qp_inflight(f.qp), 0);
	nvme_fixture_stop(&f);
	free(returned);
}

static void test_churn(void **state)
{
	struct nvme_fixture_shape shape = usual;

	(void)state;
	churn(&shape);
	shape.depth = 33; /* less than the entries */
	churn(&shape);
	shape.depth = 63;
	shape.cq_entries = 64; /* no slack at all */
	churn(&shape);
	shape.depth = 3;
	shape.sq_entries = shape.cq_entries = 4;
	churn(&shape);
	shape.depth = 1;
	shape.sq_entries = shape.cq_entries = 2;
	churn(&shape);
}

/* After a completion that cannot be, every cookie comes back exactly once and the queue is dead. */
static void expect_dead(struct nvme_fixture *f, const char *text, uint64_t cookies)
{
	struct weir_nvme_io io = read_io(0, 8, DATA, 60);
	struct weir_nvme_done done[3];
	struct weir_error why;
	int n;

	while ((n = weir_nvme_poll(f->qp, done, 3)) >= 0) {
		for (int i = 0; i < n; i++) {
			assert_int_equal(done[i].host, WEIR_NVME_HOST_GONE);
			assert_true(cookies & UINT64_C(1) << done[i].cookie);
			cookies &= ~(UINT64_C(1) << done[i].cookie);
		}
	}
	assert_int_equal(n, -ENODEV);
	assert_int_equal(cookies, 0);
	assert_int_equal(weir_nvme_poll(f->qp, done, 3), -ENODEV);
	assert_int_equal(weir_nvme_submit(f->qp, &f->ns, &io, 1), -ENODEV);
	assert_int_equal(weir_nvme_post(f->qp, &f->ns, &io), -ENODEV);
	weir_nvme_failure(f->nvme, &why);
	assert_int_equal(why.code, -EPROTO);
	assert_non_null(strstr(why.text, text));
	/* Their buffers are the caller's again: the device must not reach them. */
	assert_false(fake_device_bus_master());
}

static void submit_five(struct nvme_fixture *f, uint16_t cids[5])
{
	uint64_t sqe[8];

	nvme_fixture_start(f, &usual);
	for (unsigned int i = 0; i < 5; i++) {
		struct weir_nvme_io io = read_io(i, 8, DATA, i);

		submit_one(f, &io, sqe);
		cids[i] = cid_of(sqe);
	}
}

static void test_cid_out_of_range(void **state)
{
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint16_t cids[5];

	(void)state;
	submit_five(&f, cids);
	nvme_fixture_post(&f, cids[0], 1, 0, 0);
	nvme_fixture_post(&f, 63, 1, 0, 0);
	nvme_fixture_post(&f, cids[1], 1, 0, 0);
	assert_int_equal(weir_nvme_poll(f.qp, done, 8), 1);
	assert_int_equal(done[0].cookie, 0);
	expect_dead(&f, "command id 63, beyond the queue's 63", 0x1e);
	nvme_fixture_stop(&f);
}

static void test_cid_duplicate(void **state)
{
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint16_t cids[5];

	(void)state;
	submit_five(&f, cids);
	nvme_fixture_post(&f, cids[2], 1, 0, 0);
	nvme_fixture_post(&f, cids[2], 1, 0, 0);
	assert_int_equal(weir_nvme_poll(f.qp, done, 8), 1);
	assert_int_equal(done[0].cookie, 2);
	expect_dead(&f, "not in flight", 0x1b);
	nvme_fixture_stop(&f);
}

static void test_wrong_queue(void **state)
{
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint16_t cids[5];

	(void)state;
	submit_five(&f, cids);
	nvme_fixture_post(&f, cids[2], 2, 0, 0);
	assert_int_equal(weir_nvme_poll(f.qp, done, 8), 0);
	expect_dead(&f, "submission queue 2", 0x1f);
	nvme_fixture_stop(&f);
}

static void test_refused_when_dead(void **state)
{
	struct weir_nvme_io bad = read_io(1 << 20, 1, DATA, 5);
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint16_t cids[5];

	(void)state;
	submit_five(&f, cids);
	assert_int_equal(weir_nvme_submit(f.qp, &f.ns, &bad, 1), 1);
	nvme_fixture_post(&f, 1000, 1, 0, 0);
	assert_int_equal(weir_nvme_poll(f.qp, done, 8), 1);
	assert_int_equal(done[0].host, WEIR_NVME_HOST_LBA);
	expect_dead(&f, "command id 1000", 0x1f);
	nvme_fixture_stop(&f);
}

static void test_status_and_result(void **state)
{
	struct weir_nvme_io io = read_io(0, 8, DATA, 4);
	struct weir_nvme_done done;
	struct nvme_fixture f;
	uint64_t sqe[8];
	char text[96];

	(void)state;
	nvme_fixture_start(&f, &usual);
	submit_one(&f, &io, sqe);
	nvme_fixture_post(&f, cid_of(sqe), 1, 0x4080, 0xdeadbeef);
	assert_int_equal(weir_nvme_poll(f.qp, &done, 1), 1);
	assert_false(weir_nvme_ok(&done));
	assert_int_equal(done.status, 0x4080);
	assert_int_equal(done.host, 0);
	assert_int_equal(done.result, 0xdeadbeef);
	assert_int_equal(done.reserved, 0);
	assert_int_equal(done.reserved2, 0);
	assert_string_equal(weir_nvme_status_text(&done, text, sizeof(text)),
			    "LBA out of range (generic 80h), do not retry");
	assert_string_equal(weir_nvme_status_text(&done, text, 4), "LBA");
	nvme_fixture_stop(&f);
}

/* The owner's side of a reset: what was completed counts, the rest comes back, then nothing happens
 * until it is live again. */
static void test_quiesce(void **state)
{
	struct weir_nvme_io io = read_io(0, 8, DATA, 9);
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint64_t cookies = 0;
	uint16_t cids[5];

	(void)state;
	submit_five(&f, cids);
	nvme_fixture_post(&f, cids[3], 1, 0, 0);
	atomic_store(&f.qp->control, NVME_QP_QUIESCE);
	assert_int_equal(weir_nvme_submit(f.qp, &f.ns, &io, 1), 0);
	for (int n, turn = 0; turn < 4; turn++) {
		n = weir_nvme_poll(f.qp, done, 2);
		for (int i = 0; i < n; i++) {
			assert_int_equal(done[i].host, done[i].cookie == 3 ? WEIR_NVME_HOST_OK
									   : WEIR_NVME_HOST_RESET);
			cookies |= 1u << done[i].cookie;
		}
	}
	assert_int_equal(cookies, 0x1f);
	assert_int_equal(atomic_load(&f.qp->control), NVME_QP_PARKED);
	assert_int_equal(weir_nvme_poll(f.qp, done, 8), 0);
	assert_int_equal(weir_nvme_submit(f.qp, &f.ns, &io, 1), 0);
	nvme_fixture_stop(&f);
}

/* Sweeps as often as a program does until `ms` have passed. Returns what the last sweep did. */
static int pass_ms(struct nvme_fixture *f, unsigned int ms)
{
	uint64_t now = f->qp->state->swept_ns ? f->qp->state->swept_ns : 1;
	int late = 0;

	for (unsigned int passed = 0; passed < ms; passed += 100)
		late = weir_nvme_sweep(f->qp, now += 100000000);
	return late;
}

/* A queue with one I/O, whose cookie is 7, that took too long. Gives the Abort that was sent. */
static uint16_t start_late(struct nvme_fixture *f, const struct nvme_fixture_shape *shape,
			   struct weir_nvme_command *sent)
{
	struct weir_nvme_io io = read_io(0, 8, DATA, 7);
	uint64_t sqe[8];

	nvme_fixture_start(f, shape);
	f->nvme->options.io_timeout_ms = 1000;
	submit_one(f, &io, sqe);
	assert_int_equal(pass_ms(f, 900), 0);
	assert_false(nvme_fixture_fetch_admin(f, sent));
	assert_int_equal(pass_ms(f, 300), 1);
	assert_true(nvme_fixture_fetch_admin(f, sent));
	assert_int_equal(sent->opcode, NVME_ADMIN_ABORT);
	assert_int_equal(sent->cdw10, (uint32_t)cid_of(sqe) << 16 | 1);
	return cid_of(sqe);
}

/* Fills the queue and completes it. Returns how many I/Os it took; none has the id `not_this`. */
static unsigned int fill(struct nvme_fixture *f, unsigned int not_this)
{
	struct weir_nvme_done done[64];
	unsigned int taken = 0, back = 0;
	uint64_t sqe[8];

	for (;; taken++) {
		struct weir_nvme_io io = read_io(taken, 8, DATA, taken);

		if (weir_nvme_submit(f->qp, &f->ns, &io, 1) != 1)
			break;
	}
	assert_int_equal(weir_nvme_qp_inflight(f->qp), taken);
	while (nvme_fixture_fetch(f, sqe)) {
		assert_int_not_equal(cid_of(sqe), not_this);
		nvme_fixture_post(f, cid_of(sqe), 1, 0, 0);
	}
	for (int n; (n = weir_nvme_poll(f->qp, done, 64)) > 0;)
		back += (unsigned int)n;
	assert_int_equal(back, taken);
	assert_int_equal(weir_nvme_qp_inflight(f->qp), 0);
	return taken;
}

/* An Abort that is executed late must not find the id with another command (base §5.1). */
static void test_aborted_id_is_held(void **state)
{
	struct weir_nvme_qp_stats stats;
	struct weir_nvme_command sent;
	struct nvme_fixture f;
	uint16_t cid;

	(void)state;
	cid = start_late(&f, &usual, &sent);
	complete_one(&f, cid, 7);
	assert_int_equal(weir_nvme_qp_inflight(f.qp), 0);
	weir_nvme_qp_stats(f.qp, &stats);
	assert_int_equal(stats.completed, 1);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(fill(&f, cid), 62);
		assert_int_equal(pass_ms(&f, 100), 0);
	}
	nvme_fixture_post_admin(&f, sent.cid, 0, 1);
	assert_int_equal(fill(&f, cid), 62); /* the owner learns of it in a sweep */
	assert_int_equal(pass_ms(&f, 100), 0);
	assert_int_equal(fill(&f, UINT16_MAX), 63);
	assert_false(nvme_fixture_fetch_admin(&f, &sent));
	nvme_fixture_stop(&f);
}

/* The Abort's answer comes first, and the command is completed as aborted. */
static void test_abort_answered_first(void **state)
{
	struct weir_nvme_command sent;
	struct weir_nvme_done done;
	struct nvme_fixture f;
	uint16_t cid;

	(void)state;
	cid = start_late(&f, &usual, &sent);
	nvme_fixture_post_admin(&f, sent.cid, 0, 0);
	assert_int_equal(pass_ms(&f, 100), 0);
	assert_int_equal(weir_nvme_qp_inflight(f.qp), 1);
	nvme_fixture_post(&f, cid, 1, 0x007, 0);
	assert_int_equal(weir_nvme_poll(f.qp, &done, 1), 1);
	assert_int_equal(done.cookie, 7);
	assert_int_equal(done.status, 0x007);
	assert_int_equal(pass_ms(&f, 100), 0);
	assert_int_equal(fill(&f, UINT16_MAX), 63);
	nvme_fixture_stop(&f);
}

/* The smallest queue: its one id is held again and again, while its rings wrap. */
static void test_only_id_is_held(void **state)
{
	struct nvme_fixture_shape shape = usual;
	struct weir_nvme_io io = read_io(0, 8, DATA, 8);
	struct weir_nvme_command sent;
	struct weir_nvme_done done;
	struct nvme_fixture f;
	uint64_t sqe[8];

	(void)state;
	shape.depth = 1;
	shape.sq_entries = shape.cq_entries = 2;
	start_late(&f, &shape, &sent);
	complete_one(&f, 0, 7);
	for (unsigned int i = 0; i < 100; i++) {
		assert_int_equal(weir_nvme_poll(f.qp, &done, 1), 0);
		assert_int_equal(weir_nvme_submit(f.qp, &f.ns, &io, 1), 0);
		nvme_fixture_post_admin(&f, sent.cid, 0, 0);
		pass_ms(&f, 100);
		submit_one(&f, &io, sqe);
		assert_int_equal(pass_ms(&f, 1100), 1);
		assert_true(nvme_fixture_fetch_admin(&f, &sent));
		assert_true(nvme_fixture_cq_room(&f));
		complete_one(&f, 0, 8);
	}
	nvme_fixture_stop(&f);
}

/* Others complete around one that was aborted: all come back, in order. */
static void test_aborted_in_a_burst(void **state)
{
	struct weir_nvme_command sent;
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint16_t cids[3];
	uint64_t sqe[8];

	(void)state;
	for (unsigned int quiesce = 0; quiesce < 2; quiesce++) {
		unsigned int got = 0;

		cids[1] = start_late(&f, &usual, &sent);
		for (unsigned int i = 0; i < 3; i += 2) {
			struct weir_nvme_io io = read_io(i, 8, DATA, 6 + i);

			submit_one(&f, &io, sqe);
			cids[i] = cid_of(sqe);
		}
		for (unsigned int i = 0; i < 3; i++)
			nvme_fixture_post(&f, cids[i], 1, 0, 0);
		/* What a stopped controller completed counts, behind an aborted command too. */
		if (quiesce)
			atomic_store(&f.qp->control, NVME_QP_QUIESCE);
		for (int n; (n = weir_nvme_poll(f.qp, done + got, 8 - got)) > 0;)
			got += (unsigned int)n;
		assert_int_equal(got, 3);
		for (unsigned int i = 0; i < 3; i++) {
			assert_true(weir_nvme_ok(&done[i]));
			assert_int_equal(done[i].cookie, 6 + i);
		}
		if (quiesce)
			assert_int_equal(atomic_load(&f.qp->control), NVME_QP_PARKED);
		nvme_fixture_stop(&f);
	}
}

/* A reset, or the end, with an id held: what came back does not come back again. */
static void test_held_at_the_end(void **state)
{
	const enum nvme_qp_control ends[] = { NVME_QP_QUIESCE, NVME_QP_DEAD };
	struct weir_nvme_io io = read_io(0, 8, DATA, 9);
	struct weir_nvme_command sent;
	struct weir_nvme_done done[8];
	struct nvme_fixture f;
	uint64_t sqe[8];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++) {
		complete_one(&f, start_late(&f, &usual, &sent), 7);
		submit_one(&f, &io, sqe);
		atomic_store(&f.qp->control, ends[i]);
		assert_int_equal(weir_nvme_poll(f.qp, done, 8), 1);
		assert_int_equal(done[0].cookie, 9);
		assert_int_equal(weir_nvme_poll(f.qp, done, 8),
				 ends[i] == NVME_QP_DEAD ? -ENODEV : 0);
		assert_int_equal(weir_nvme_qp_inflight(f.qp), 0);
		if (ends[i] == NVME_QP_QUIESCE)
			assert_int_equal(atomic_load(&f.qp->control), NVME_QP_PARKED);
		nvme_fixture_stop(&f);
	}
}

/* An Abort that is never answered keeps its id only as long as the time-out. */
static void test_abort_not_answered(void **state)
{
	struct weir_nvme_command sent;
	struct nvme_fixture f;
	struct weir_error why;

	(void)state;
	complete_one(&f, start_late(&f, &usual, &sent), 7);
	assert_int_equal(pass_ms(&f, 800), 0);
	weir_nvme_failure(f.nvme, &why);
	assert_int_equal(why.code, 0);
	assert_int_equal(pass_ms(&f, 400), 0); /* no I/O is late */
	weir_nvme_failure(f.nvme, &why);
	assert_int_equal(why.code, -ETIMEDOUT);
	assert_non_null(strstr(why.text, "no answer to its abort"));
	nvme_fixture_stop(&f);
}

static void test_layout(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct weir_nvme_io), 64);
	assert_int_equal(sizeof(struct weir_nvme_done), 32);
	assert_int_equal(sizeof(struct weir_nvme_segment), 16);
	assert_int_equal(sizeof(struct weir_nvme_command), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_entry_fields),
		cmocka_unit_test(test_prps),
		cmocka_unit_test(test_sgls),
		cmocka_unit_test(test_segments_by_prp),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bad_namespace),
		cmocka_unit_test(test_last_blocks),
		cmocka_unit_test(test_full_and_post),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_cid_out_of_range),
		cmocka_unit_test(test_cid_duplicate),
		cmocka_unit_test(test_wrong_queue),
		cmocka_unit_test(test_refused_when_dead),
		cmocka_unit_test(test_status_and_result),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_aborted_id_is_held),
		cmocka_unit_test(test_abort_answered_first),
		cmocka_unit_test(test_only_id_is_held),
		cmocka_unit_test(test_aborted_in_a_burst),
		cmocka_unit_test(test_held_at_the_end),
		cmocka_unit_test(test_abort_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
