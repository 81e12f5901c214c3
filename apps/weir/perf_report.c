/* SPDX-License-Identifier: BSD-3-Clause */
/* How weir nvme perf shows its results. */
#include "output.h"
#include "perf.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
	const char *name;
	unsigned int permille;
} quantiles[] = { { "p50", 500 }, { "p90", 900 }, { "p99", 990 }, { "p99_9", 999 } };

#define NR_QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static const char *rw_name(const struct perf_config *config)
{
	static const char *const names[] = { "read", "write", "randread", "randwrite", "randrw" };

	return names[config->rw];
}

static const char *sampled_name(const struct perf_config *config)
{
	return config->latency ? "1/1" : "1/64";
}

static void print_latency(const struct histogram *latency)
{
	static const char *const columns[] = { "min", "mean", "p50", "p90", "p99", "p99.9", "max" };
	uint64_t values[7];

	values[0] = latency->count ? latency->min : 0;
	values[1] = histogram_mean(latency);
	for (unsigned int i = 0; i < NR_QUANTILES; i++)
		values[2 + i] = histogram_quantile(latency, quantiles[i].permille);
	values[6] = latency->max;
	for (unsigned int i = 0; i < 7; i++)
		printf("%12s", columns[i]);
	printf("\n");
	for (unsigned int i = 0; i < 7; i++)
		printf("%12.3f", (double)values[i] / 1e3);
	printf("\n");
}

void perf_print(const struct perf *perf, const struct perf_result *result)
{
	const struct perf_config *config = perf->config;

	printf("%.0f IOPS, %.1f MB/s: %" PRIu64 " I/Os in %.2f s%s\n", result->iops,
	       result->iops * (double)config->io_bytes / 1e6, result->ios, result->seconds,
	       perf->ended_early   ? ", ended early"
	       : perf->interrupted ? ", interrupted"
				   : "");
	if (result->failed)
		printf("%" PRIu64 " I/Os failed\n", result->failed);
	printf("data is %s\n", config->verify ? "checked" : "not checked");
	if (result->latency.count) {
		printf("latency in microseconds, %s of the I/Os (%" PRIu64 "):\n",
		       sampled_name(config), result->latency.count);
		print_latency(&result->latency);
	}
}

static json_t *latency_json(const struct histogram *latency)
{
	json_t *object = json_object();

	json_object_set_new(object, "min",
			    json_integer((json_int_t)(latency->count ? latency->min : 0)));
	json_object_set_new(object, "mean", json_integer((json_int_t)histogram_mean(latency)));
	for (unsigned int i = 0; i < NR_QUANTILES; i++)
		json_object_set_new(object, quantiles[i].name,
				    json_integer((json_int_t)histogram_quantile(
					    latency, quantiles[i].permille)));
	json_object_set_new(object, "max", json_integer((json_int_t)latency->max));
	return object;
}

static json_t *parameters_json(const struct perf *perf)
{
	const struct perf_config *config = perf->config;
	json_t *cpus = json_array();

	for (unsigned int i = 0; i < config->cpus.nr; i++)
		json_array_append_new(cpus, json_integer(config->cpus.cpus[i]));
	return json_pack("{s:I, s:s, s:I, s:I, s:I, s:f, s:I, s:I, s:b, s:o}", "namespace",
			 (json_int_t)perf->target.ns_info.nsid, "rw", rw_name(config), "io_size",
			 (json_int_t)config->io_bytes, "queue_depth", (json_int_t)config->depth,
			 "queues", (json_int_t)config->queues, "time_seconds",
			 (double)config->time_ms / 1e3, "rwmix", (json_int_t)config->read_percent,
			 "seed", (json_int_t)config->seed, "verify", (int)config->verify, "cpus",
			 cpus);
}

int perf_print_json(const struct perf *perf, const struct perf_result *result, const char *failure,
		    struct weir_error *err)
{
	const struct weir_nvme_info *info = &perf->target.info;
	json_t *device, *numbers;

	device = json_pack("{s:s, s:s, s:s, s:s}", "address", perf->target.address, "model",
			   info->model, "serial", info->serial, "firmware", info->firmware);
	numbers = json_pack(
		"{s:I, s:I, s:I, s:I, s:f, s:b, s:s?, s:s, s:s, s:I, s:o}", "iops",
		(json_int_t)(result->iops + 0.5), "bytes_per_second",
		(json_int_t)(result->iops * (double)perf->config->io_bytes + 0.5), "ios",
		(json_int_t)result->ios, "failed", (json_int_t)result->failed, "seconds",
		result->seconds, "interrupted", (int)perf->interrupted, "error", failure, "data",
		perf->config->verify ? "checked" : "not checked", "latency_sampled",
		sampled_name(perf->config), "latency_samples", (json_int_t)result->latency.count,
		"latency_ns", latency_json(&result->latency));
	return output_json(json_pack("{s:o, s:o, s:o}", "device", device, "parameters",
				     parameters_json(perf), "result", numbers),
			   err);
}
