/* SPDX-License-Identifier: BSD-3-Clause */
/* Queue pairs: full ones, every depth, several at once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "nvme_test.h"

#define LOAD_IOS 600
#define THREADS 4

/* Entries of a power of two, less one, and the driver's own limit. */
static unsigned int depth_limit(const struct nvme_test *t)
{
	unsigned int entries = 1;

	while (entries * 2 <= t->info.max_queue_entries)
		entries *= 2;
	return entries - 1 < WEIR_NVME_MAX_DEPTH ? entries - 1 : WEIR_NVME_MAX_DEPTH;
}

static void fill_queue(struct nvme_test *t, unsigned int wanted)
{
	struct weir_nvme_qp *qp = nvme_test_qp(t, wanted);
	unsigned int depth = weir_nvme_qp_depth(qp), left;
	uint8_t *buffer = nvme_test_buffer(t, 4096);
	struct weir_nvme_io *ios = test_calloc(depth + 5, sizeof(*ios));
	uint8_t *seen = test_calloc(depth + 5, 1);
	struct weir_nvme_done done[16];
	struct weir_nvme_qp_stats stats;

	assert_true(depth >= 1 && depth <= depth_limit(t));
	for (unsigned int i = 0; i < depth + 5; i++) {
		ios[i] = nvme_test_range(t, WEIR_NVME_READ, i, 1, buffer);
		ios[i].cookie = i;
	}
	/* Nothing is polled meanwhile, so it stays full whatever the drive does. */
	assert_int_equal(weir_nvme_submit(qp, t->ns, ios, depth + 5), (int)depth);
	assert_int_equal(weir_nvme_submit(qp, t->ns, ios, 1), 0);
	assert_int_equal(weir_nvme_post(qp, t->ns, ios), 0);
	assert_int_equal(weir_nvme_qp_inflight(qp), depth);
	for (left = depth; left;) {
		int n = weir_nvme_poll(qp, done, 16);

		assert_true(n >= 0);
		if (!n)
			nvme_test_idle(t);
		for (int i = 0; i < n; i++) {
			assert_true(weir_nvme_ok(&done[i]));
			assert_true(done[i].cookie < depth && !seen[done[i].cookie]++);
		}
		left -= (unsigned int)n;
	}
	assert_int_equal(weir_nvme_poll(qp, done, 16), 0);
	weir_nvme_qp_stats(qp, &stats);
	assert_int_equal(stats.submitted, depth);
	assert_int_equal(stats.completed, depth);
	assert_int_equal(stats.host_failed, 0);
	test_free(seen);
	test_free(ios);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

static void test_full_queue(void **state)
{
	fill_queue(*state, 0);
	fill_queue(*state, depth_limit(*state));
}

/* Posting rings nothing; ringing without a post does nothing. */
static void test_post_and_ring(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 0);
	unsigned int n = weir_nvme_qp_depth(qp) < 5 ? weir_nvme_qp_depth(qp) : 5, left;
	uint8_t *buffer = nvme_test_buffer(t, 4096);
	struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_READ, 3, 1, buffer);
	struct weir_nvme_done done[8];

	weir_nvme_ring(qp);
	for (unsigned int i = 0; i < n; i++) {
		io.cookie = i;
		assert_int_equal(weir_nvme_post(qp, t->ns, &io), 1);
	}
	assert_int_equal(weir_nvme_qp_inflight(qp), n);
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(weir_nvme_poll(qp, done, 8), 0);
	weir_nvme_ring(qp);
	weir_nvme_ring(qp);
	for (left = n; left;) {
		int got = weir_nvme_poll(qp, done, 8);

		assert_true(got >= 0);
		if (!got)
			nvme_test_idle(t);
		left -= (unsigned int)got;
	}
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

static void run_load(struct nvme_test *t, const struct load_options *options, uint64_t ios)
{
	struct load *load = test_malloc(sizeof(*load));
	struct weir_error err;

	if (load_begin(load, t->nvme, t->ns, options, &err))
		fail_msg("%s", err.text);
	if (!load_run(load, ios) || !load_drain(load, 20000) ||
	    (!options->no_data && !load_verify(load)))
		fail_msg("depth %u: %s", load->options.depth, load->error);
	load_end(load, true);
	test_free(load);
}

static void test_depths(void **state)
{
	struct nvme_test *t = *state;
	const unsigned int depths[] = { 1, 2, 3, 7, 8, 64, 127, depth_limit(t) };

	for (unsigned int i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		struct load_options options = { .depth = depths[i],
						.regions = 200,
						.seed = 100 + i,
						.flush_every = 200,
						.no_data = t->no_data };

		if (depths[i] > depth_limit(t) || depths[i] > LOAD_MAX_DEPTH)
			continue;
		if (i % 2 && t->info.max_transfer >= 12288) /* a list of pages */
			options.region_blocks = 12288 / t->ns_info.block_bytes;
		run_load(t, &options, LOAD_IOS);
	}
}

/* The deepest queue there can be: one more is refused with both numbers. */
static void test_depth_limit(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	unsigned int limit = depth_limit(t);
	struct weir_nvme_qp *qp = nvme_test_qp(t, limit);
	struct weir_error err;
	char number[16];

	assert_int_equal(weir_nvme_qp_depth(qp), limit);
	weir_nvme_qp_destroy(qp);
	options.depth = limit + 1;
	assert_int_equal(weir_nvme_qp_create(t->nvme, &options, &qp, &err), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	snprintf(number, sizeof(number), "%u", limit);
	assert_non_null(strstr(err.text, number));
	snprintf(number, sizeof(number), "%u", limit + 1);
	assert_non_null(strstr(err.text, number));
	options.depth = 1;
	options.reserved = 1;
	assert_int_equal(weir_nvme_qp_create(t->nvme, &options, &qp, &err), -EINVAL);
}

/* As many as were granted, and not one more; ids are used again. */
static void test_all_queues(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct weir_nvme_qp *qps[64], *qp;
	unsigned int nr = (t->info.queues < 64 ? t->info.queues : 64) - 1, id;
	uint8_t *buffer = nvme_test_buffer(t, 4096);
	struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_READ, 1, 1, buffer);
	struct weir_error err;

	/* The blocking calls keep one. */
	assert_int_equal(weir_nvme_flush(t->nvme, t->ns_info.nsid, &err), 0);
	for (unsigned int i = 0; i < nr; i++) {
		qps[i] = nvme_test_qp(t, 1);
		assert_ptr_equal(weir_nvme_qp_by_id(t->nvme, weir_nvme_qp_id(qps[i])), qps[i]);
		nvme_test_ok(t, qps[i], t->ns, &io);
	}
	options.depth = 1;
	assert_int_equal(weir_nvme_qp_create(t->nvme, &options, &qp, &err), -ENOSPC);
	assert_null(weir_nvme_qp_by_id(t->nvme, t->info.queues + 1));
	if (nr) {
		id = weir_nvme_qp_id(qps[nr / 2]);
		weir_nvme_qp_destroy(qps[nr / 2]);
		assert_null(weir_nvme_qp_by_id(t->nvme, id));
		qps[nr / 2] = nvme_test_qp(t, 1);
		assert_int_equal(weir_nvme_qp_id(qps[nr / 2]), id);
		nvme_test_ok(t, qps[nr / 2], t->ns, &io);
	}
	for (unsigned int i = 0; i < nr; i++)
		weir_nvme_qp_destroy(qps[i]);
	nvme_test_free(t, buffer);
}

/* Several owners at once, each on blocks of its own, beside admin commands and events. */
static void test_threads(void **state)
{
	struct nvme_test *t = *state;
	/* The blocking calls keep one. */
	unsigned int nr = t->info.queues <= THREADS ? t->info.queues - 1 : THREADS, limit;
	struct load *loads = test_calloc(nr, sizeof(*loads));
	uint8_t page[512];
	struct weir_error err;
	bool busy = true;

	limit = depth_limit(t) < 32 ? depth_limit(t) : 32;
	for (unsigned int i = 0; i < nr; i++) {
		struct load_options options = { .depth = limit,
						.lba = 1024 * i,
						.region_blocks = 1,
						.seed = 500 + i,
						.flush_every = 300,
						.no_data = t->no_data };

		assert_int_equal(load_begin(&loads[i], t->nvme, t->ns, &options, &err), 0);
	}
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(load_thread_start(&loads[i]), 0);
	while (busy) {
		struct weir_nvme_event event;

		busy = false;
		for (unsigned int i = 0; i < nr; i++)
			busy |= atomic_load(&loads[i].progress) < LOAD_IOS && !loads[i].error[0];
		assert_int_equal(
			weir_nvme_log_page(t->nvme, UINT32_MAX, 2, 0, page, sizeof(page), &err), 0);
		assert_true(weir_nvme_events(t->nvme, &event, 1) >= 0);
	}
	for (unsigned int i = 0; i < nr; i++)
		load_stop(&loads[i]);
	for (unsigned int i = 0; i < nr; i++) {
		if (loads[i].error[0])
			fail_msg("thread %u: %s", i, loads[i].error);
		assert_int_equal(loads[i].inflight, 0);
		if (!t->no_data)
			assert_true(load_verify(&loads[i]));
		load_end(&loads[i], true);
	}
	test_free(loads);
}

const struct CMUnitTest nvme_test_queues[] = {
	cmocka_unit_test(test_full_queue),
	cmocka_unit_test(test_post_and_ring),
	cmocka_unit_test(test_depths),
	cmocka_unit_test(test_depth_limit),
	cmocka_unit_test(test_all_queues),
	cmocka_unit_test(test_threads),
	{ 0 },
};
