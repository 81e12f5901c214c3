/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast two cores of this machine can pass NVMe queue entries to each other: the limit of any
 * driver on any emulated device here, and the yardstick of bench/compare.
 *
 * One thread plays the host: 64-byte submission entries, one doorbell per burst. The other plays
 * the device: 16-byte completion entries. Nothing is checked and no data moves. An entry is
 * composed in registers and stored at the greatest width the machine has: narrower stores to a line
 * that the other core polls, or a wide load of what was just stored narrowly, cost up to half of
 * the rate.
 */
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue_limit_loops.h"

#define MAX_DEPTHS 16

#if !defined(WEIR_WIDE_STORES)
#define serve_wide serve_plain
#define run_wide run_plain
#endif

/* Whether the processor stores 64 bytes at once. */
static bool wide_stores(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
#else
	return false;
#endif
}

static void *device(void *arg)
{
	struct shared *shared = arg;

	(wide_stores() ? serve_wide : serve_plain)(shared);
	return NULL;
}

/* Puts the caller on one core and starts the device's thread on the other. */
static int start(pthread_t *thread, struct shared *shared, int host_cpu, int device_cpu)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int rc;

	CPU_ZERO(&set);
	CPU_SET(host_cpu, &set);
	rc = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (rc)
		return rc;
	CPU_ZERO(&set);
	CPU_SET(device_cpu, &set);
	pthread_attr_init(&attr);
	rc = pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	if (!rc)
		rc = pthread_create(thread, &attr, device, shared);
	pthread_attr_destroy(&attr);
	return rc;
}

struct options {
	uint32_t depths[MAX_DEPTHS];
	unsigned int nr_depths;
	double seconds;
	int host_cpu, device_cpu;
	bool json;
};

static int measure(const struct options *options)
{
	struct shared *shared = aligned_alloc(4096, (sizeof(*shared) + 4095) / 4096 * 4096);
	json_t *rows = json_array();
	pthread_t thread;
	int rc = -1;

	if (!shared || !rows)
		goto out;
	memset(shared, 0, sizeof(*shared));
	if (start(&thread, shared, options->host_cpu, options->device_cpu)) {
		fprintf(stderr, "queue_limit: cannot run on cores %d and %d\n", options->host_cpu,
			options->device_cpu);
		goto out;
	}
	struct host host = { .shared = shared, .phase = 1 };
	for (unsigned int i = 0; i < options->nr_depths; i++) {
		host_loop *run = wide_stores() ? run_wide : run_plain;
		double rate = run(&host, options->depths[i], options->seconds);

		json_array_append_new(rows, json_pack("{s:i, s:f}", "depth", options->depths[i],
						      "entries_per_second", rate));
		if (!options->json)
			printf("depth %4u: %7.2f M entries/s, %4.0f ns each\n", options->depths[i],
			       rate / 1e6, 1e9 / rate);
	}
	shared->stop = true;
	pthread_join(thread, NULL);
	if (options->json) {
		json_dumpf(rows, stdout, JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	rc = 0;
out:
	json_decref(rows);
	free(shared);
	return rc;
}

static const char usage[] =
	"Usage: queue_limit [--cpu HOST,DEVICE] [--seconds S] [--json] [DEPTH...]\n"
	"\n"
	"Passes bare NVMe queue entries between two cores and prints how many a second.\n"
	"Default: cores 1 and 0, 0.5 seconds, depths 1 8 32 128 512.\n";

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = { { "cpu", required_argument, NULL, 'c' },
					       { "seconds", required_argument, NULL, 's' },
					       { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		if (c == 'c' &&
		    sscanf(optarg, "%d,%d", &options->host_cpu, &options->device_cpu) == 2)
			continue;
		if (c == 's' && (options->seconds = strtod(optarg, NULL)) > 0)
			continue;
		if (c != 'j') {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 1 : -1;
		}
		options->json = true;
	}
	if (optind == argc)
		return 0;
	for (options->nr_depths = 0; optind < argc; optind++) {
		unsigned long depth = strtoul(argv[optind], NULL, 10);

		if (!depth || depth >= ENTRIES || options->nr_depths == MAX_DEPTHS) {
			fprintf(stderr, "queue_limit: at most %d depths of 1 to %u\n", MAX_DEPTHS,
				ENTRIES - 1);
			return -1;
		}
		options->depths[options->nr_depths++] = (uint32_t)depth;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {
		.depths = { 1, 8, 32, 128, 512 },
		.nr_depths = 5,
		.seconds = 0.5,
		.host_cpu = 1,
		.device_cpu = 0,
	};
	int rc = parse(argc, argv, &options);

	if (rc)
		return rc < 0 ? 2 : 0;
	return measure(&options) ? 1 : 0;
}
