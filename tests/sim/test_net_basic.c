/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network drivers on two ports that are wired to each other, whatever they are behind: the same
 * tests for emulated and real ones.
 *
 *   test_net_basic [OPTION...] ADDRESS PEER
 *
 *   --delta N      virtual address less IOVA of the arena
 *   --transport T  how to reach the devices
 *   --interrupts   the driver's option of this name
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_test.h"

static struct net_test the_test;

static const struct option long_options[] = {
	{ "delta", required_argument, NULL, 'd' },
	{ "transport", required_argument, NULL, 't' },
	{ "interrupts", no_argument, NULL, 'i' },
	{ 0 },
};

static bool parse(struct net_test *t, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'd':
			t->delta = strtoull(optarg, NULL, 0);
			break;
		case 't':
			t->transport = optarg;
			break;
		case 'i':
			t->interrupts = true;
			break;
		default:
			return false;
		}
	}
	if (optind != argc - 2)
		return false;
	t->port[0].address = argv[optind];
	t->port[1].address = argv[optind + 1];
	t->is_sim = !strncmp(argv[optind], "vfio-user:", strlen("vfio-user:"));
	return true;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest *const parts[] = {
		net_test_traffic, net_test_config, net_test_offload, net_test_filters,
		net_test_queues,  net_test_split,  net_test_link,
	};
	struct CMUnitTest tests[64];
	unsigned int nr = 0;
	int failed;

	if (!parse(&the_test, argc, argv)) {
		fprintf(stderr, "usage: test_net_basic [OPTION...] ADDRESS PEER\n");
		return 2;
	}
	if (net_test_open(&the_test))
		return 1;
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (const struct CMUnitTest *test = parts[i]; test->name; test++) {
			tests[nr] = *test;
			tests[nr].setup_func = net_test_put_right;
			tests[nr++].initial_state = &the_test;
		}
	}
	failed = _cmocka_run_group_tests("net_basic", tests, nr, NULL, NULL);
	return net_test_close(&the_test) || failed;
}
