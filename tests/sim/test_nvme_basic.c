/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The NVMe driver on a drive, whatever it is behind: the same tests for emulated and real ones.
 * Everything on the drive is overwritten.
 *
 *   test_nvme_basic [OPTION...] [NAME=VALUE...] ADDRESS
 *
 *   --delta N      virtual address less IOVA of the arena
 *   --transport T  how to reach the device
 *   --namespace N  the namespace under test; the first by default
 *   --no-sgl --shadow --cmb-queues --interrupts   the driver's options of these names
 *   --no-data      the drive keeps nothing: data is not checked
 *   --no-export    the kernel's modules do not export BARs over this transport
 *
 * NAME=VALUE is what the driver has to find, see nvme_test_expect().
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_test.h"

static struct nvme_test the_test;

static const struct option long_options[] = {
	{ "delta", required_argument, NULL, 'd' },
	{ "transport", required_argument, NULL, 't' },
	{ "no-sgl", no_argument, NULL, 'g' },
	{ "shadow", no_argument, NULL, 's' },
	{ "cmb-queues", no_argument, NULL, 'c' },
	{ "interrupts", no_argument, NULL, 'i' },
	{ "no-data", no_argument, NULL, 'n' },
	{ "no-export", no_argument, NULL, 'e' },
	{ "namespace", required_argument, NULL, 'N' },
	{ 0 },
};

static bool parse(struct nvme_test *t, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'd':
			t->options.iova_delta = strtoull(optarg, NULL, 0);
			break;
		case 't':
			t->options.transport = optarg;
			break;
		case 'g':
			t->options.no_sgl = 1;
			break;
		case 's':
			t->options.shadow_doorbells = 1;
			break;
		case 'c':
			t->options.cmb_queues = 1;
			break;
		case 'i':
			t->options.interrupts = 1;
			break;
		case 'N':
			t->nsid = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'n':
			t->no_data = true;
			break;
		case 'e':
			t->no_export = true;
			break;
		default:
			return false;
		}
	}
	while (optind < argc - 1 && t->nr_expectations < 16)
		t->expectations[t->nr_expectations++] = argv[optind++];
	t->address = argv[optind];
	return optind == argc - 1;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest *const parts[] = {
		nvme_test_data,	 nvme_test_segments, nvme_test_refused,	   nvme_test_queues,
		nvme_test_admin, nvme_test_blocking, nvme_test_interrupts, nvme_test_cmb,
	};
	struct CMUnitTest tests[64];
	unsigned int nr = 0;
	int failed;

	the_test.options = (struct weir_nvme_options)WEIR_NVME_OPTIONS_INIT;
	if (!parse(&the_test, argc, argv)) {
		fprintf(stderr, "usage: test_nvme_basic [OPTION...] [NAME=VALUE...] ADDRESS\n");
		return 2;
	}
	if (nvme_test_open(&the_test))
		return 1;
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (const struct CMUnitTest *test = parts[i]; test->name; test++) {
			tests[nr] = *test;
			tests[nr++].initial_state = &the_test;
		}
	}
	failed = _cmocka_run_group_tests("nvme_basic", tests, nr, NULL, NULL);
	return nvme_test_close(&the_test) || failed;
}
