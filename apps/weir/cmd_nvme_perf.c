/* SPDX-License-Identifier: BSD-3-Clause */
/* weir nvme perf: checks everything, names what it works on, runs, prints. */
#include "commands.h"
#include "cpus.h"
#include "fail.h"
#include "memory_check.h"
#include "notice.h"
#include "output.h"
#include "perf.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most queue pairs: what an NVMe controller can have is 65535, what a machine has cores for is
 * less. */
#define MAX_QUEUES 1024
#define MAX_TIME_MS (UINT64_C(30) * 86400 * 1000)

static const struct perf_config defaults = {
	.rw = PERF_RANDREAD,
	.io_bytes = 4096,
	.depth = 32,
	.queues = 1,
	.time_ms = 10000,
	.read_percent = 50,
	.seed = 1,
};

static const char *const rw_choices[] = {
	"read", "write", "randread", "randwrite", "randrw", NULL
};
static const char *const latency_choices[] = { "sampled", "all", NULL };

static const struct cli_option options[] = {
	{ "rw", CLI_CHOICE, offsetof(struct perf_config, rw), .choices = rw_choices,
	  .argument = "KIND",
	  .help = "read, write, randread (default), randwrite or randrw; rand: at random places" },
	{ "io-size", CLI_BYTES, offsetof(struct perf_config, io_bytes), .min = 512,
	  .max = WEIR_NVME_MAX_TRANSFER, .argument = "N",
	  .help = "bytes of an I/O, a multiple of the block size (default 4K)" },
	{ "queue-depth", CLI_NUMBER, offsetof(struct perf_config, depth), .min = 1,
	  .max = WEIR_NVME_MAX_DEPTH, .argument = "N",
	  .help = "I/Os in flight on each queue (default 32)" },
	{ "queues", CLI_NUMBER, offsetof(struct perf_config, queues), .min = 1, .max = MAX_QUEUES,
	  .argument = "N",
	  .help = "queue pairs, each with a thread and an equal part of the "
		  "namespace (default 1)" },
	{ "time", CLI_SECONDS, offsetof(struct perf_config, time_ms), .min = 1, .max = MAX_TIME_MS,
	  .argument = "S", .help = "seconds to run (default 10)" },
	{ "namespace", CLI_NUMBER, offsetof(struct perf_config, nsid), .min = 1,
	  .max = UINT32_MAX - 1, .argument = "N", .help = "namespace id (default: the first)" },
	{ "rwmix", CLI_NUMBER, offsetof(struct perf_config, read_percent), .min = 0, .max = 100,
	  .argument = "N", .help = "percentage of reads of randrw (default 50)" },
	{ "latency", CLI_CHOICE, offsetof(struct perf_config, latency), .choices = latency_choices,
	  .argument = "WHICH", .help = "time one of 64 I/Os (sampled, the default) or all" },
	{ "cpu", CLI_CPUS, offsetof(struct perf_config, cpus), .argument = "LIST",
	  .help = "CPUs such as 0,2-5 that the threads are pinned to, one for each queue" },
	{ "verify", CLI_FLAG, offsetof(struct perf_config, verify),
	  .help = "check data: writes carry a pattern and are read back; reads expect the pattern "
		  "of an earlier run with the same seed" },
	{ "seed", CLI_NUMBER, offsetof(struct perf_config, seed), .max = INT64_MAX, .argument = "N",
	  .help = "for the random places and the pattern (default 1)" },
	{ "yes", CLI_FLAG, offsetof(struct perf_config, yes),
	  .help = "writes may destroy what is on the namespace" },
	{ "json", CLI_FLAG, offsetof(struct perf_config, json), .help = "print one JSON object" },
	{ NULL },
};

/* What can be said before the device is opened. */
static int check_config(const struct perf_config *config, struct weir_error *err)
{
	int rc;

	if (config->verify && config->rw == PERF_RANDRW)
		return fail(err, CLI_USAGE,
			    "verify does not go with randrw: randwrite reads each write back");
	rc = cpus_check(&config->cpus, config->queues, err);
	return rc ? rc
		  : memory_check("queues, queue depth and I/O size", perf_arena_bytes(config), err);
}

/* What the device has to allow. */
static int check_target(struct perf *perf, struct weir_error *err)
{
	const struct perf_config *config = perf->config;
	const struct target *target = &perf->target;
	uint64_t blocks;
	int rc;

	rc = target_check_plain(target, err);
	if (!rc && perf_writes(config))
		rc = target_check_writable(target, err);
	if (!rc)
		rc = target_blocks(target, "io size", config->io_bytes, &blocks, err);
	if (rc)
		return rc;
	perf->io_blocks = (uint32_t)blocks;
	if (config->io_bytes > target->info.max_transfer)
		return fail(err, -EINVAL,
			    "io size %" PRIu64 " is over the controller's limit of %" PRIu32
			    " bytes",
			    config->io_bytes, target->info.max_transfer);
	if (config->queues > target->info.queues)
		return fail(err, -EINVAL,
			    "queues %" PRIu64 " is over the %" PRIu32 " that the controller grants",
			    config->queues, target->info.queues);
	if (target->ns_info.blocks / blocks < config->queues)
		return fail(err, -EINVAL,
			    "namespace %" PRIu32 " has %" PRIu64 " bytes, less than one I/O of "
			    "%" PRIu64 " bytes for each queue",
			    target->ns_info.nsid, target->ns_info.bytes, config->io_bytes);
	return 0;
}

static void print_header(const struct perf *perf)
{
	const struct perf_config *config = perf->config;
	char size[32];

	printf("%s: %s, serial %s, namespace %" PRIu32 " (%s)\n", perf->target.address,
	       perf->target.info.model, perf->target.info.serial, perf->target.ns_info.nsid,
	       output_bytes(perf->target.ns_info.bytes, size, sizeof(size)));
	if (perf_writes(config))
		printf("writes destroy what is on it\n");
	printf("%s of %s, queue depth %" PRIu64 ", %" PRIu64 " queue%s, %.1f s\n",
	       rw_choices[config->rw], output_bytes(config->io_bytes, size, sizeof(size)),
	       config->depth, config->queues, config->queues == 1 ? "" : "s",
	       (double)config->time_ms / 1e3);
	fflush(stdout);
}

static int measure(struct perf *perf, struct weir_error *err)
{
	struct perf_result *result = malloc(sizeof(*result));
	struct weir_error output_err;
	int rc, output_rc = 0;

	if (!result)
		return fail(err, -ENOMEM, "no memory for the result");
	rc = perf_run(perf, err);
	perf_collect(perf, result);
	if (perf->config->json)
		output_rc = perf_print_json(perf, result, rc ? err->text : NULL, &output_err);
	else
		perf_print(perf, result);
	free(result);
	if (!rc && output_rc)
		*err = output_err;
	return rc ? rc : output_rc;
}

static int run_on_target(struct perf *perf, struct weir_error *err)
{
	const struct perf_config *config = perf->config;
	int rc;

	rc = check_target(perf, err);
	if (rc)
		return rc;
	if (perf_writes(config) && !config->yes)
		return fail(err, CLI_USAGE,
			    "this destroys what is on namespace %" PRIu32 " of %s (%s, serial %s); "
			    "--yes does it",
			    perf->target.ns_info.nsid, perf->target.address,
			    perf->target.info.model, perf->target.info.serial);
	rc = perf_prepare(perf, err);
	if (!rc) {
		stop_on_signals(NULL, NULL);
		notice_show();
		if (!config->json)
			print_header(perf);
		rc = measure(perf, err);
	}
	perf_end(perf);
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct perf_config *config = arg;
	struct target_options target_options = {
		.nsid = config->nsid,
		.arena_bytes = perf_arena_bytes(config),
		.queues = (unsigned int)config->queues,
	};
	struct perf perf = { .config = config };
	int rc;

	rc = check_config(config, err);
	if (!rc)
		rc = target_open(&perf.target, operands[0], &target_options, err);
	if (rc)
		return rc;
	rc = run_on_target(&perf, err);
	target_close(&perf.target);
	return rc;
}

const struct cli_command command_nvme_perf = {
	.name = "nvme perf",
	.operands = "DEV",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Measure an NVMe device: I/Os per second and their latency.",
	.examples =
		"  weir nvme perf vfio-user:/tmp/nvme.sock\n"
		"  weir nvme perf 0000:3b:00.0 --queue-depth 128 --queues 4 --cpu 2-5 --time 30\n"
		"  weir nvme perf vfio-user:/tmp/nvme.sock --rw randwrite --verify --yes\n"
		"  weir nvme perf 0000:3b:00.0 --queue-depth 1 --latency all --json\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
