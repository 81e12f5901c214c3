/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The framework on PCI functions behind the kernel's VFIO. Everything on the drives is overwritten.
 *
 *   test_vfio TRANSPORT NVME NVME MEMORY UNBOUND [FORBIDDEN]
 *
 * MEMORY is QEMU's ivshmem-plain, UNBOUND a function without a driver, FORBIDDEN one that is bound
 * to vfio-pci and whose node this user may not open.
 */
#include "vfio_test.h"

#include <stdio.h>

struct vfio_test the_vfio_test;

int main(int argc, char **argv)
{
	static const struct CMUnitTest *const parts[] = { vfio_test_device, vfio_test_ioas,
							  vfio_test_p2p };
	static struct resources before, after;
	struct CMUnitTest tests[64];
	unsigned int nr = 0;
	int failed;

	if (argc < 6 || argc > 7) {
		fprintf(stderr,
			"usage: test_vfio TRANSPORT NVME NVME MEMORY UNBOUND [FORBIDDEN]\n");
		return 2;
	}
	the_vfio_test =
		(struct vfio_test){ argv[1], { argv[2], argv[3] }, argv[4], argv[5], argv[6] };
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (const struct CMUnitTest *test = parts[i]; test->name; test++)
			tests[nr++] = *test;
	}
	resources_look(&before);
	failed = _cmocka_run_group_tests("vfio", tests, nr, NULL, NULL);
	resources_look(&after);
	after.private_kib = before.private_kib;
	return !resources_same(&before, &after) || failed;
}
