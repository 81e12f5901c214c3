/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated NVMe controller: properties, states, resets, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "fd_count.h"
#include "sim_nvme_host.h"

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;

static void test_start(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	memset(host_at(&host, HOST_DATA), 0x5a, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 7, 16)), NVME_SUCCESS);
	memset(host_at(&host, HOST_DATA), 0, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 8, 8)), NVME_SUCCESS);
	for (unsigned int i = 0; i < 4096; i++)
		assert_int_equal(host.memory[HOST_DATA + i], 0x5a);
	assert_int_equal(host.memory[HOST_DATA + 4096], 0);
	host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
