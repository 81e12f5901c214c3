/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions per I/O of the NVMe driver's data path, counted in the shared library as it was
 * built, against an emulated controller in another process. The same process then gives the driver
 * bad I/Os and bad completions: a count is worth nothing if the checks are not in it.
 *
 * The emulated controller's backing is null: it checks commands and moves no data, which is no
 * matter for what the driver executes.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <weir/nvme.h>

#include "ceilings.h"
#include "device.h"
#include "refusals.h"
#include "stepper.h"

#define MAX_DEPTH 1024u
#define DEFAULT_DEPTH 128u /* of a queue pair for which the caller names none */
#define MAX_BYTES (128u << 10)
#define SEGMENTS 4u
#define PAGE 4096u

enum function { SUBMIT, POLL, POST, RING };

static const char *const functions[STEPPER_FUNCTIONS] = {
	[SUBMIT] = "weir_nvme_submit",
	[POLL] = "weir_nvme_poll",
	[POST] = "weir_nvme_post",
	[RING] = "weir_nvme_ring",
};

/* How one row is measured. */
struct shape {
	const char *name; /* of its ceiling */
	const char *what;
	uint32_t bytes; /* of an I/O; 0: polls that find nothing */
	uint32_t depth; /* I/Os in flight */
	uint32_t burst; /* I/Os in one submit, and completions in one poll, at most */
	uint32_t offset_mask; /* which offsets in a page the data has */
	unsigned int segments; /* 0: one range */
	bool no_sgl;
	bool one_by_one; /* post and ring instead of submit */
};

#define ROUNDS 2u
#define ANY_DWORD 0xffcu /* data begins at any dword of a page */

static const struct shape shapes[] = {
	{ .name = "burst32",
	  .what = "4 KiB reads, bursts of 32",
	  .bytes = 4096,
	  .depth = 32,
	  .burst = 32,
	  .offset_mask = ANY_DWORD,
	  .no_sgl = true },
	{ .name = "qd1",
	  .what = "4 KiB reads, one at a time",
	  .bytes = 4096,
	  .depth = 1,
	  .burst = 1,
	  .offset_mask = ANY_DWORD,
	  .no_sgl = true },
	{ .name = "empty",
	  .what = "a poll that finds nothing",
	  .depth = 1,
	  .burst = 32,
	  .no_sgl = true },
	{ .name = "post",
	  .what = "4 KiB reads, 32 posts and a ring",
	  .bytes = 4096,
	  .depth = 32,
	  .burst = 32,
	  .offset_mask = ANY_DWORD,
	  .no_sgl = true,
	  .one_by_one = true },
	{ .name = "depth1024",
	  .what = "4 KiB reads, bursts of 32, 1024 in flight",
	  .bytes = 4096,
	  .depth = 1024,
	  .burst = 32,
	  .offset_mask = ANY_DWORD,
	  .no_sgl = true },
	{ .name = "8k",
	  .what = "8 KiB reads on page boundaries, bursts of 32",
	  .bytes = 8192,
	  .depth = 32,
	  .burst = 32,
	  .no_sgl = true },
	{ .name = "8k-list",
	  .what = "8 KiB reads over three pages (PRP list), bursts of 32",
	  .bytes = 8192,
	  .depth = 32,
	  .burst = 32,
	  .offset_mask = ANY_DWORD,
	  .no_sgl = true },
	{ .name = "128k-list",
	  .what = "128 KiB reads (PRP list), bursts of 32",
	  .bytes = MAX_BYTES,
	  .depth = 32,
	  .burst = 32,
	  .offset_mask = ANY_DWORD,
	  .no_sgl = true },
	{ .name = "128k-sgl",
	  .what = "128 KiB reads (SGL), bursts of 32",
	  .bytes = MAX_BYTES,
	  .depth = 32,
	  .burst = 32,
	  .offset_mask = ANY_DWORD },
	{ .name = "segments-sgl",
	  .what = "16 KiB reads in 4 segments (SGL), bursts of 32",
	  .bytes = 16384,
	  .depth = 32,
	  .burst = 32,
	  .offset_mask = ANY_DWORD,
	  .segments = SEGMENTS },
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct row {
	struct stepper_count count;
	uint64_t ios; /* or polls, for "empty" */
};

struct probe {
	struct bench_device *device;
	struct row *rows; /* in memory that the tracer and the traced process share */
};

/* One controller and queue pair, as a shape needs them. */
struct rig {
	struct bench_device *device;
	struct weir_nvme *nvme;
	struct weir_nvme_ns *ns;
	struct weir_nvme_qp *qp;
	uint64_t data; /* IOVA of MAX_BYTES and a page */
	struct weir_nvme_io ios[MAX_DEPTH];
	struct weir_nvme_segment segments[MAX_DEPTH][SEGMENTS];
	struct weir_nvme_done done[MAX_DEPTH];
	bool returned[MAX_DEPTH];
};

static int rig_open(struct rig *rig, const struct probe *probe, const struct shape *shape)
{
	struct weir_nvme_options options = WEIR_NVME_OPTIONS_INIT;
	struct weir_nvme_qp_options qp_options = WEIR_NVME_QP_OPTIONS_INIT;
	struct weir_error err = { 0 };
	void *data;
	int rc;

	memset(rig, 0, sizeof(*rig));
	rig->device = probe->device;
	options.no_sgl = shape->no_sgl;
	if (shape->depth > DEFAULT_DEPTH)
		qp_options.depth = shape->depth;
	rc = weir_nvme_open(bench_device_address(probe->device), &options, &rig->nvme, &err);
	if (!rc)
		rc = weir_nvme_qp_create(rig->nvme, &qp_options, &rig->qp, &err);
	if (rc) {
		fprintf(stderr, "%s: %s\n", shape->name, err.text);
		goto fail;
	}
	rig->ns = weir_nvme_ns(rig->nvme, 1);
	data = weir_arena_alloc(weir_nvme_arena(rig->nvme), MAX_BYTES + PAGE, PAGE);
	if (!rig->ns || !data) {
		fprintf(stderr, "%s: no namespace 1, or no memory\n", shape->name);
		rc = -ENOMEM;
		goto fail;
	}
	rig->data = weir_arena_ptr_iova(weir_nvme_arena(rig->nvme), data);
	return 0;
fail:
	weir_nvme_close(rig->nvme);
	return rc;
}

/* I/O i of a round: another LBA and another offset in the page each time. */
static void fill_io(struct rig *rig, const struct shape *shape, unsigned int i, unsigned int round)
{
	struct weir_nvme_io *io = &rig->ios[i];
	uint32_t offset = (i * 508 + round * 132) & shape->offset_mask;
	uint32_t piece = shape->segments ? shape->bytes / shape->segments : 0;

	*io = (struct weir_nvme_io){
		.opcode = WEIR_NVME_READ,
		.blocks = shape->bytes / 512,
		.lba = (i * UINT64_C(7919) + round * UINT64_C(104729)) % 1000000,
		.data = rig->data + offset,
		.cookie = i,
	};
	if (!shape->segments)
		return;
	io->nr_segments = (uint16_t)shape->segments;
	io->data = (uintptr_t)rig->segments[i];
	for (unsigned int s = 0; s < shape->segments; s++)
		rig->segments[i][s] = (struct weir_nvme_segment){
			/* pieces that do not touch */
			.iova = rig->data + offset + s * UINT64_C(2) * piece,
			.bytes = piece,
		};
}

static bool submit_round(struct rig *rig, const struct shape *shape, struct stepper_count *count)
{
	for (unsigned int i = 0; i < shape->depth; i += shape->burst) {
		unsigned int taken = 0;

		stepper_begin(count);
		if (!shape->one_by_one) {
			taken = (unsigned int)weir_nvme_submit(rig->qp, rig->ns, &rig->ios[i],
							       shape->burst);
		} else {
			while (taken < shape->burst &&
			       weir_nvme_post(rig->qp, rig->ns, &rig->ios[i + taken]) == 1)
				taken++;
			weir_nvme_ring(rig->qp);
		}
		stepper_end();
		if (taken != shape->burst) {
			fprintf(stderr, "%s: %d of %u I/Os were taken\n", shape->name, (int)taken,
				shape->burst);
			return false;
		}
	}
	return true;
}

/* It succeeded, and its cookie has not come back before in this round. */
static bool check_done(struct rig *rig, const struct shape *shape,
		       const struct weir_nvme_done *done)
{
	char text[128];

	if (weir_nvme_ok(done) && done->cookie < shape->depth && !rig->returned[done->cookie]) {
		rig->returned[done->cookie] = true;
		return true;
	}
	fprintf(stderr, "%s: cookie %llu: %s\n", shape->name, (unsigned long long)done->cookie,
		weir_nvme_status_text(done, text, sizeof(text)));
	return false;
}

/* All completions are there: each poll returns a full burst. */
static bool poll_round(struct rig *rig, const struct shape *shape, struct stepper_count *count)
{
	memset(rig->returned, 0, sizeof(rig->returned));
	for (unsigned int i = 0; i < shape->depth; i += shape->burst) {
		int n;

		stepper_begin(count);
		n = weir_nvme_poll(rig->qp, rig->done, shape->burst);
		stepper_end();
		if (n != (int)shape->burst) {
			fprintf(stderr, "%s: a poll returned %d of %u\n", shape->name, n,
				shape->burst);
			return false;
		}
		for (int d = 0; d < n; d++) {
			if (!check_done(rig, shape, &rig->done[d]))
				return false;
		}
	}
	return true;
}

static bool run_round(struct rig *rig, const struct shape *shape, struct stepper_count *count,
		      unsigned int round)
{
	uint64_t before = bench_device_completions(rig->device);

	for (unsigned int i = 0; i < shape->depth; i++)
		fill_io(rig, shape, i, round);
	if (!submit_round(rig, shape, count))
		return false;
	if (!bench_device_wait(rig->device, before + shape->depth)) {
		fprintf(stderr, "%s: the device does not answer\n", shape->name);
		return false;
	}
	return poll_round(rig, shape, count);
}

static bool run_ios(struct rig *rig, const struct shape *shape, struct row *row)
{
	unsigned int rounds = shape->depth > 32 ? 1 : ROUNDS;

	/* The first round resolves symbols and is not counted. */
	for (unsigned int round = 0; round <= rounds; round++) {
		if (!run_round(rig, shape, round ? &row->count : NULL, round))
			return false;
	}
	row->ios = UINT64_C(1) * rounds * shape->depth;
	return true;
}

/* Polls with one I/O in flight that the device does not complete yet. */
static bool run_empty(struct rig *rig, const struct shape *shape, struct row *row)
{
	struct shape one = { .name = shape->name, .bytes = 4096, .depth = 1, .burst = 1 };
	uint64_t before = bench_device_completions(rig->device);
	int n;

	weir_nvme_poll(rig->qp, rig->done, 1); /* resolves its symbol */
	fill_io(rig, &one, 0, 0);
	bench_device_hold(rig->device, true);
	n = weir_nvme_submit(rig->qp, rig->ns, rig->ios, 1);
	for (unsigned int i = 0; n == 1 && i < ROUNDS; i++) {
		stepper_begin(&row->count);
		n += weir_nvme_poll(rig->qp, rig->done, shape->burst);
		stepper_end();
	}
	bench_device_hold(rig->device, false);
	row->ios = ROUNDS;
	if (n != 1 || !bench_device_wait(rig->device, before + 1) ||
	    weir_nvme_poll(rig->qp, rig->done, 1) != 1) {
		fprintf(stderr, "%s: the device did not behave as told\n", shape->name);
		return false;
	}
	return true;
}

/* In the traced process. Its exit status: 0, or 1 with the reason printed. */
static int measure(void *ctx)
{
	struct probe *probe = ctx;
	struct rig *rig = malloc(sizeof(*rig));
	bool ok = rig;

	for (size_t i = 0; ok && i < NR_SHAPES; i++) {
		ok = !rig_open(rig, probe, &shapes[i]);
		if (!ok)
			break;
		ok = shapes[i].bytes ? run_ios(rig, &shapes[i], &probe->rows[i])
				     : run_empty(rig, &shapes[i], &probe->rows[i]);
		weir_nvme_close(rig->nvme);
	}
	free(rig);
	if (ok)
		ok = refusals_all(bench_device_address(probe->device));
	return ok ? 0 : 1;
}

static double per_io(const struct row *row, enum function function)
{
	return (double)row->count.instructions[function] / (double)row->ios;
}

/* Prints one row and adds it to the JSON. False when it is over its ceiling. */
static bool report_row(const struct shape *shape, const struct row *row, const char *ceilings,
		       json_t *json)
{
	double submit = per_io(row, SUBMIT) + per_io(row, POST) + per_io(row, RING);
	double poll = per_io(row, POLL), ceiling = ceilings_find(ceilings, shape->name);
	bool within = submit + poll <= ceiling;

	printf("%-13s %8.1f %8.1f %8.1f %8.1f  %s%s\n", shape->name, submit, poll, submit + poll,
	       ceiling, shape->what,
	       within	     ? ""
	       : ceiling < 0 ? ": NO CEILING"
			     : ": OVER THE CEILING");
	json_array_append_new(json, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f}", "name", shape->name,
					      "what", shape->what, "submit", submit, "poll", poll,
					      "total", submit + poll, "ceiling", ceiling));
	return within;
}

/* The cost of an I/O is not to grow with the number in flight. */
static bool report_depth(const struct row *rows)
{
	double at32 = 0, at1024 = 0;

	for (size_t i = 0; i < NR_SHAPES; i++) {
		double total = per_io(&rows[i], SUBMIT) + per_io(&rows[i], POLL);

		if (!strcmp(shapes[i].name, "burst32"))
			at32 = total;
		if (!strcmp(shapes[i].name, "depth1024"))
			at1024 = total;
	}
	printf("1024 in flight cost %.1f %% more than 32 (at most 10)\n",
	       (at1024 / at32 - 1) * 100);
	return at1024 <= at32 * 1.1;
}

static bool report(const struct row *rows, const char *ceilings, const char *json_path)
{
	json_t *json = json_array();
	bool ok = json != NULL;

	printf("%-13s %8s %8s %8s %8s  instructions per I/O\n", "", "submit", "poll", "total",
	       "ceiling");
	for (size_t i = 0; json && i < NR_SHAPES; i++)
		ok = report_row(&shapes[i], &rows[i], ceilings, json) && ok;
	ok = report_depth(rows) && ok;
	ok = ceilings_write(json, json_path) && ok;
	return ok;
}

int main(int argc, char **argv)
{
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	struct probe probe = { 0 };
	struct weir_error err;
	int rc;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "Usage: instructions CEILINGS [JSON]\n");
		return 2;
	}
	probe.rows = mmap(NULL, sizeof(struct row) * NR_SHAPES, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (probe.rows == MAP_FAILED)
		return 1;
	options.backing = SIM_NVME_NULL;
	if (bench_device_start(&options, -1, &probe.device, &err)) {
		fprintf(stderr, "instructions: %s\n", err.text);
		return 1;
	}
	rc = stepper_run(functions, measure, &probe);
	bench_device_stop(probe.device);
	if (rc) {
		fprintf(stderr, "instructions: the measured process failed (%d)\n", rc);
		return 1;
	}
	return report(probe.rows, argv[1], argc > 2 ? argv[2] : NULL) ? 0 : 1;
}
