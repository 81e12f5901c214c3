/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The framework on PCI functions behind the kernel's VFIO. Everything on the drives is overwritten.
 *
 *   test_vfio TRANSPORT NVME NVME MEMORY UNBOUND FORBIDDEN [TEST]
 *
 * MEMORY is QEMU's ivshmem-plain, UNBOUND a function without a driver, FORBIDDEN one that is bound
 * to vfio-pci and whose node this user, unless it is root, may not open. With TEST only that one is
 * run. With WEIR_TEST_NO_EXPORT, the name of a transport, the kernel's modules do not export BARs
 * over it.
 */
#include "vfio_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vfio_test the_vfio_test;

int main(int argc, char **argv)
{
	const struct CMUnitTest *parts[] = { vfio_test_device, vfio_test_ioas, vfio_test_p2p };
	const char *no_export = getenv("WEIR_TEST_NO_EXPORT");
	static struct resources before, after;
	struct CMUnitTest tests[64];
	unsigned int nr = 0;
	int failed;

	if (argc < 7 || argc > 8) {
		fprintf(stderr,
			"usage: test_vfio TRANSPORT NVME NVME MEMORY UNBOUND FORBIDDEN [TEST]\n");
		return 2;
	}
	the_vfio_test =
		(struct vfio_test){ argv[1], { argv[2], argv[3] }, argv[4], argv[5], argv[6] };
	if (no_export && !strcmp(no_export, argv[1]))
		parts[2] = vfio_test_no_p2p;
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (const struct CMUnitTest *test = parts[i]; test->name; test++) {
			if (argc < 8 || !strcmp(test->name, argv[7]))
				tests[nr++] = *test;
		}
	}
	if (!nr) {
		fprintf(stderr, "there is no test %s\n", argv[7]);
		return 2;
	}
	resources_look(&before);
	failed = _cmocka_run_group_tests("vfio", tests, nr, NULL, NULL);
	resources_look(&after);
	after.private_kib = before.private_kib;
	return !resources_same(&before, &after) || failed;
}
