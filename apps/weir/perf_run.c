/* SPDX-License-Identifier: BSD-3-Clause */
/* The main thread of weir nvme perf: makes the workers, watches the device, joins them. */
#include "clock.h"
#include "cpus.h"
#include "fail.h"
#include "perf.h"
#include "progress.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)
/* How often the device is looked at when it has nothing to say. */
#define WATCH_MS 100

static uint64_t round_up_power_of_two(uint64_t value)
{
	return value <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(value - 1));
}

uint64_t perf_arena_bytes(const struct perf_config *config)
{
	const uint64_t page = 4096;
	uint64_t buffer = round_up_power_of_two(config->io_bytes < page ? page : config->io_bytes);
	/* Beside its buffer an I/O has a submission and a completion entry and a PRP list; blocks
	 * are powers of two, so a queue takes up to twice its entries. */
	uint64_t per_io = buffer + 2 * (64 + 16) + page;

	return config->queues * (config->depth + 1) * per_io + (UINT64_C(16) << 20);
}

static int make_slots(struct perf *perf, struct perf_worker *worker, struct weir_error *err)
{
	struct weir_arena *arena = weir_nvme_arena(perf->target.nvme);
	const struct perf_config *config = perf->config;

	worker->slots = calloc(config->depth, sizeof(*worker->slots));
	if (!worker->slots)
		return fail(err, -ENOMEM, "no memory for %" PRIu64 " I/Os", config->depth);
	for (uint64_t i = 0; i < config->depth; i++) {
		void *buffer = weir_arena_alloc(arena, config->io_bytes, 0);

		if (!buffer)
			return fail(err, -ENOMEM,
				    "no room for buffer %" PRIu64 " of %" PRIu64 " bytes", i,
				    config->io_bytes);
		worker->slots[i].buffer = buffer;
		worker->slots[i].iova = weir_arena_ptr_iova(arena, buffer);
	}
	return 0;
}

static int make_worker(struct perf *perf, unsigned int index, struct weir_error *err)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct perf_worker *worker = &perf->workers[index];
	uint64_t positions = perf->target.ns_info.blocks / perf->io_blocks;
	int rc;

	worker->perf = perf;
	worker->index = index;
	worker->positions = positions / perf->config->queues;
	worker->first_lba = index * worker->positions * perf->io_blocks;
	histogram_clear(&worker->latency);
	options.depth = (unsigned int)perf->config->depth;
	rc = weir_nvme_qp_create(perf->target.nvme, &options, &worker->qp, err);
	return rc ? rc : make_slots(perf, worker, err);
}

int perf_prepare(struct perf *perf, struct weir_error *err)
{
	const struct perf_config *config = perf->config;
	size_t bytes = config->queues * sizeof(*perf->workers);
	int rc;

	sem_init(&perf->start, 0, 0);
	perf->workers = aligned_alloc(_Alignof(struct perf_worker), bytes);
	if (!perf->workers)
		return fail(err, -ENOMEM, "no memory for %" PRIu64 " threads", config->queues);
	memset(perf->workers, 0, bytes);
	for (unsigned int i = 0; i < config->queues; i++) {
		rc = make_worker(perf, i, err);
		if (rc)
			return rc;
	}
	return 0;
}

void perf_end(struct perf *perf)
{
	struct weir_arena *arena = weir_nvme_arena(perf->target.nvme);

	for (unsigned int i = 0; perf->workers && i < perf->config->queues; i++) {
		struct perf_worker *worker = &perf->workers[i];

		weir_nvme_qp_destroy(worker->qp);
		for (uint64_t j = 0; worker->slots && j < perf->config->depth; j++)
			weir_arena_free(arena, worker->slots[j].buffer);
		free(worker->slots);
	}
	free(perf->workers);
	sem_destroy(&perf->start);
}

static int start_workers(struct perf *perf, struct weir_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < perf->config->queues; i++) {
		struct perf_worker *worker = &perf->workers[i];

		rc = cpus_start_thread(&perf->config->cpus, worker->index, perf_worker_main, worker,
				       &worker->thread, err);
		if (rc)
			break;
		worker->started = true;
	}
	if (rc)
		atomic_store(&perf->stop, true);
	for (unsigned int i = 0; i < perf->config->queues; i++)
		sem_post(&perf->start);
	return rc;
}

static uint64_t total_completed(const struct perf *perf)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < perf->config->queues; i++)
		total += atomic_load_explicit(&perf->workers[i].completed, memory_order_relaxed);
	return total;
}

/* Until the time is over, a signal comes, a worker gives up or the device fails. */
static int watch(struct perf *perf, struct weir_error *err)
{
	struct pollfd event = {
		.fd = weir_device_event_fd(weir_nvme_device(perf->target.nvme)),
		.events = POLLIN,
	};
	uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start;
	uint64_t time_ns = perf->config->time_ms * NS_PER_MS, left_ms;
	struct progress progress;
	int rc = 0;

	progress_begin(&progress);
	while (!rc && !atomic_load(&perf->stop) && now - start < time_ns) {
		bool running = atomic_load(&perf->nr_running) == perf->config->queues;

		if (stop_requested()) {
			perf->interrupted = true;
			break;
		}
		if (!running)
			start = now;
		left_ms = (time_ns - (now - start) + NS_PER_MS - 1) / NS_PER_MS;
		poll(&event, 1, !running ? 1 : left_ms < WATCH_MS ? (int)left_ms : WATCH_MS);
		rc = target_events(&perf->target, err);
		now = clock_ns(CLOCK_MONOTONIC);
		if (progress_due(&progress, now))
			progress_show(&progress, "%.0f of %.0f s, %.0f IOPS",
				      (double)(now - start) / 1e9, (double)time_ns / 1e9,
				      (double)total_completed(perf) /
					      ((double)(now - start) / 1e9));
	}
	progress_end(&progress);
	return rc;
}

/* Serves the device while the workers wait for their last I/Os, then joins them. */
static void join_workers(struct perf *perf)
{
	atomic_store(&perf->stop, true);
	for (unsigned int i = 0; i < perf->config->queues; i++) {
		if (!perf->workers[i].started)
			continue;
		while (true) {
			struct timespec until;

			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_nsec += 1000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_nsec -= 1000000000;
				until.tv_sec++;
			}
			if (pthread_clockjoin_np(perf->workers[i].thread, NULL, CLOCK_MONOTONIC,
						 &until) != ETIMEDOUT)
				break;
			target_events(&perf->target, NULL);
		}
	}
}

/* The first worker that ended early or had an I/O fail. */
static int worker_failure(struct perf *perf, struct weir_error *err)
{
	uint64_t failed = 0;
	int first = -1;

	for (unsigned int i = 0; i < perf->config->queues; i++) {
		const struct perf_worker *worker = &perf->workers[i];

		/* A dead queue has its reason in the controller. */
		if (worker->code == -ENODEV)
			return target_events(&perf->target, err)
				       ?: target_failure(&perf->target, err);
		if (worker->code)
			return fail(err, worker->code, "%s", worker->why.text);
		failed += worker->failed;
		if (worker->failed && first < 0)
			first = (int)i;
	}
	if (first < 0)
		return 0;
	return fail(err, -EIO, "%" PRIu64 " I/Os failed; %s", failed,
		    perf->workers[first].why.text);
}

int perf_run(struct perf *perf, struct weir_error *err)
{
	int rc;

	rc = start_workers(perf, err);
	if (!rc)
		rc = watch(perf, err);
	join_workers(perf);
	perf->ended_early = rc != 0;
	for (unsigned int i = 0; i < perf->config->queues; i++)
		perf->ended_early |= perf->workers[i].code != 0;
	return rc ? rc : worker_failure(perf, err);
}

void perf_collect(const struct perf *perf, struct perf_result *result)
{
	memset(result, 0, sizeof(*result));
	histogram_clear(&result->latency);
	for (unsigned int i = 0; i < perf->config->queues; i++) {
		const struct perf_worker *worker = &perf->workers[i];
		uint64_t completed = atomic_load(&worker->completed);
		double seconds = (double)worker->elapsed_ns / 1e9;

		result->ios += completed;
		result->failed += worker->failed;
		if (seconds > 0)
			result->iops += (double)completed / seconds;
		if (seconds > result->seconds)
			result->seconds = seconds;
		histogram_add(&result->latency, &worker->latency);
	}
}
