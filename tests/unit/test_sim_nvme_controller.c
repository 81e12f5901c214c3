/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated NVMe controller: properties, states, resets, options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "fd_count.h"
#include "sim_nvme_host.h"

#define CC_READY (NVME_CC_EN | 6u << 16 | 4u << 20)

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;

static void test_capabilities(void **state)
{
	struct sim_nvme_options options = defaults;
	struct host host;
	uint64_t cap;

	(void)state;
	options.mqes = 100;
	options.dstrd = 1;
	options.mpsmin = 2;
	host_open(&host, &options);
	cap = host_read64(&host, NVME_CAP);
	assert_int_equal(cap & 0xffff, 99);
	assert_true(cap & NVME_CAP_CQR);
	assert_int_equal(cap >> NVME_CAP_DSTRD_SHIFT & 0xf, 1);
	assert_true(cap & NVME_CAP_CSS_NVM);
	assert_int_equal(cap >> NVME_CAP_MPSMIN_SHIFT & 0xf, 2);
	assert_int_equal(cap >> NVME_CAP_MPSMAX_SHIFT & 0xf, 4);
	assert_false(cap & NVME_CAP_CMBS);
	assert_int_equal(host_read32(&host, NVME_CAP + 4), cap >> 32);
	assert_int_equal(host_read32(&host, NVME_VS), NVME_VERSION_2_0);
	assert_int_equal(host_read32(&host, NVME_CRTO), cap >> NVME_CAP_TO_SHIFT & 0xff);
	assert_int_equal(host_read32(&host, NVME_CSTS), 0);
	host_close(&host);
}

static void test_register_accesses(void **state)
{
	uint8_t bytes[8] = { 0 };
	struct host host;

	(void)state;
	host_open(&host, &defaults);
	/* Wide ones in halves, and parts of any. */
	host_write32(&host, NVME_ASQ, 0x12345fff);
	host_write32(&host, NVME_ASQ + 4, 0x9abcdef0);
	assert_true(host_read64(&host, NVME_ASQ) == UINT64_C(0x9abcdef012345000));
	assert_int_equal(sim_client_read(&host.client, 0, NVME_ASQ + 3, bytes, 2), 0);
	assert_int_equal(bytes[0], 0x12);
	assert_int_equal(bytes[1], 0xf0);
	/* Read only ones stay. */
	host_write64(&host, NVME_CAP, 0);
	host_write32(&host, NVME_CSTS, 0xffffffff);
	host_write32(&host, 0x20, 0x4e564d65);
	assert_true(host_read64(&host, NVME_CAP) != 0);
	assert_int_equal(host_read32(&host, NVME_CSTS), 0);
	assert_int_equal(host_read32(&host, 0x20), 0);
	/* Nothing is there behind the properties. */
	assert_int_equal(host_read32(&host, 0xffc), 0);
	/* Odd writes are refused, as is what lies outside. */
	assert_int_equal(sim_client_write(&host.client, 0, NVME_CC, bytes, 2), -EINVAL);
	assert_int_equal(sim_client_write(&host.client, 0, NVME_CC + 2, bytes, 4), -EINVAL);
	assert_int_equal(sim_client_write(&host.client, 0, 1u << 20, bytes, 4), -EINVAL);
	assert_int_equal(sim_client_read(&host.client, 0, 1u << 20, bytes, 4), -EINVAL);
	host_write32(&host, NVME_INTMS, 0x5);
	host_write32(&host, NVME_INTMC, 0x4);
	assert_int_equal(host_read32(&host, NVME_INTMS), 0x1);
	host_close(&host);
}

static void enable_with(struct host *host, uint32_t cc, uint32_t aqa, uint64_t asq, uint64_t acq)
{
	host_write32(host, NVME_CC, 0);
	host_write32(host, NVME_AQA, aqa);
	host_write64(host, NVME_ASQ, asq);
	host_write64(host, NVME_ACQ, acq);
	host_write32(host, NVME_CC, cc);
}

static void test_enable_refused(void **state)
{
	struct sim_nvme_options options = defaults;
	const uint32_t aqa = 31u << 16 | 31;
	struct host host;

	(void)state;
	options.mpsmin = 1;
	host_open(&host, &options);
	/* An arbitration, command set or page size that is not there; queues of one entry; queues
	 * that are aligned to 4 KiB only. */
	enable_with(&host, CC_READY | 1u << 7 | 1u << 11, aqa, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	enable_with(&host, CC_READY | 1u << 7 | 6u << 4, aqa, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	enable_with(&host, CC_READY, aqa, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	enable_with(&host, CC_READY | 5u << 7, aqa, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	enable_with(&host, CC_READY | 1u << 7, 31u << 16, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	enable_with(&host, CC_READY | 1u << 7, 31u, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	enable_with(&host, CC_READY | 1u << 7, aqa, HOST_IOVA + 4096, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_CFS);
	/* And then a good one. */
	enable_with(&host, CC_READY | 1u << 7, aqa, HOST_IOVA, HOST_IOVA);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_RDY);
	host_close(&host);
}

/* While it runs, the admin queue does not move. */
static void test_admin_registers_locked(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	host_write32(&host, NVME_AQA, 0x00010001);
	host_write64(&host, NVME_ASQ, 0x1000);
	assert_int_equal(host_read32(&host, NVME_AQA),
			 (HOST_ENTRIES - 1) << 16 | (HOST_ENTRIES - 1));
	assert_true(host_read64(&host, NVME_ASQ) == host_iova(HOST_SQ(0)));
	host_close(&host);
}

/* Admin queues in memory that is not there: a fatal status, once they are used. */
static void test_admin_queue_nowhere(void **state)
{
	struct host host;

	(void)state;
	host_open(&host, &defaults);
	enable_with(&host, CC_READY, 31u << 16 | 31, 0x5000, 0x6000);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_RDY);
	host_ring_value(&host, 0, false, 1);
	host_turn(&host);
	assert_true(host_read32(&host, NVME_CSTS) & NVME_CSTS_CFS);
	host_disable(&host);
	host_enable(&host);
	host_close(&host);
}

static void test_disable(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	/* What was not taken when it is disabled is never done. */
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host_disable(&host);
	host_turn(&host);
	assert_false(host_take(&host, 1));
	assert_true(host_read64(&host, NVME_ASQ) == host_iova(HOST_SQ(0)));
	/* The doorbells are as new, so old values do nothing. */
	host_enable(&host);
	host_queue(&host, 1);
	host_turn(&host);
	assert_false(host_take(&host, 1));
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
}

static void test_shutdown(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	host_write32(&host, NVME_CC, CC_READY | 1u << 14);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_RDY | NVME_CSTS_SHST_COMPLETE);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), HOST_NOTHING);
	/* Only a reset brings it back. */
	host_write32(&host, NVME_CC, CC_READY);
	assert_int_equal(host_read32(&host, NVME_CSTS) & NVME_CSTS_SHST_MASK,
			 NVME_CSTS_SHST_COMPLETE);
	host_disable(&host);
	/* Also one that is not enabled. */
	host_write32(&host, NVME_CC, 2u << 14);
	assert_int_equal(host_read32(&host, NVME_CSTS), NVME_CSTS_SHST_COMPLETE);
	host_enable(&host);
	host_queue(&host, 1);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
}

static void test_function_reset(void **state)
{
	struct nvme_smart_log smart;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(sim_client_call(&host.client, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	assert_int_equal(host_read32(&host, NVME_CC), 0);
	assert_int_equal(host_read32(&host, NVME_CSTS), 0);
	assert_int_equal(host_read32(&host, NVME_AQA), 0);
	assert_true(host_read64(&host, NVME_ASQ) == 0);
	host_enable(&host);
	assert_int_equal(host_log(&host, NVME_LOG_SMART, sizeof(smart), &smart), NVME_SUCCESS);
	assert_int_equal(smart.unsafe_shutdowns[0], 1);
	host_close(&host);
}

/* A client that goes away in the middle leaves nothing to the next one. */
static void test_client_vanishes(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	for (unsigned int i = 0; i < 10; i++)
		host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	sim_client_close(&host.client);
	host_turn(&host);
	host_connect(&host);
	assert_int_equal(host_read32(&host, NVME_CSTS), 0);
	host_enable(&host);
	host_queue(&host, 1);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
}

/* Without bus mastering a device does not reach memory. */
static void test_bus_master(void **state)
{
	uint16_t command = 2;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	assert_int_equal(sim_client_write(&host.client, 7, 4, &command, sizeof(command)), 0);
	host_put(&host, 1, host_rw(NVME_IO_READ, 0, 8));
	host_ring(&host, 1);
	host_turn(&host);
	assert_false(host_take(&host, 1));
	command = 6;
	assert_int_equal(sim_client_write(&host.client, 7, 4, &command, sizeof(command)), 0);
	host_turn(&host);
	assert_true(host_take(&host, 1));
	host_close(&host);
}

static void test_cmb_registers(void **state)
{
	const uint64_t base = UINT64_C(0x200000000000);
	struct sim_nvme_options options = defaults;
	struct host host;

	(void)state;
	options.cmb_bytes = 3u << 20;
	host_open(&host, &options);
	assert_true(host_read64(&host, NVME_CAP) & NVME_CAP_CMBS);
	assert_int_equal(host_read32(&host, NVME_CMBSZ), 0);
	assert_int_equal(host_read32(&host, NVME_CMBLOC), 0);
	host_write64(&host, NVME_CMBMSC, NVME_CMBMSC_CRE);
	assert_int_equal(host_read32(&host, NVME_CMBLOC) & 7, 2);
	assert_int_equal(host_read32(&host, NVME_CMBLOC) >> 12, 0);
	assert_int_equal(host_read32(&host, NVME_CMBSZ) >> NVME_CMBSZ_SZ_SHIFT, 3 * 256);
	assert_int_equal(host_read32(&host, NVME_CMBSZ) & 0xff, NVME_CMBSZ_ALL);
	/* A base that puts its end beyond 2^64. */
	host_write64(&host, NVME_CMBMSC,
		     UINT64_C(0xfffffffffff00000) | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_int_equal(host_read32(&host, NVME_CMBSTS), NVME_CMBSTS_CBAI);
	/* A controller reset does not move it; a function reset does. */
	host_write64(&host, NVME_CMBMSC, base | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	assert_int_equal(host_read32(&host, NVME_CMBSTS), 0);
	host_enable(&host);
	host_disable(&host);
	assert_true(host_read64(&host, NVME_CMBMSC) == (base | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE));
	assert_int_equal(sim_client_call(&host.client, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	assert_true(host_read64(&host, NVME_CMBMSC) == 0);
	host_close(&host);

	/* Without one nothing of this is there. */
	host_open(&host, &defaults);
	host_write64(&host, NVME_CMBMSC, NVME_CMBMSC_CRE);
	assert_true(host_read64(&host, NVME_CMBMSC) == 0);
	assert_int_equal(host_read32(&host, NVME_CMBSZ), 0);
	host_close(&host);
}

static void test_bad_options(void **state)
{
	struct sim_nvme_options bad[20];
	unsigned int nr = 0, fds = fd_count();

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = defaults;
	bad[nr++].block_bytes = 256;
	bad[nr++].block_bytes = 8192;
	bad[nr++].block_bytes = 1000;
	bad[nr++].namespaces = SIM_NVME_MAX_NAMESPACES + 1;
	bad[nr++].serial = "123456789012345678901";
	bad[nr++].serial = "tab\t";
	bad[nr++].queues = SIM_NVME_MAX_QUEUES + 1;
	bad[nr++].mqes = 1;
	bad[nr++].mqes = SIM_NVME_MAX_MQES + 1;
	bad[nr++].dstrd = 9;
	bad[nr++].dstrd = -1;
	bad[nr++].mpsmin = 5;
	bad[nr++].mdts = 17;
	bad[nr++].mdts = -2;
	bad[nr++].cmb_bytes = 4095;
	bad[nr++].cmb_bytes = (256u << 20) + 4096;
	bad[nr++].noiob = 65536;
	bad[nr++].bytes = 511;
	bad[nr++].backing = (enum sim_nvme_backing)3;
	bad[nr++].backing = SIM_NVME_FILE;
	assert_int_equal(nr, ARRAY_SIZE(bad));
	for (unsigned int i = 0; i < nr; i++) {
		struct sim_nvme *nvme = NULL;
		struct weir_error err = { 0 };

		assert_int_equal(sim_nvme_create(&bad[i], &nvme, &err), -EINVAL);
		assert_null(nvme);
		assert_int_equal(err.code, -EINVAL);
		assert_true(err.text[0] != '\0');
	}
	assert_int_equal(fd_count(), fds);
}

static void test_nothing_leaks(void **state)
{
	struct sim_nvme_options options = defaults;
	unsigned int fds = fd_count();
	struct host host;

	(void)state;
	options.cmb_bytes = 1u << 20;
	options.namespaces = 3;
	host_start(&host, &options);
	host_close(&host);
	sim_nvme_destroy(NULL);
	assert_int_equal(fd_count(), fds);
}

/* The client gets the doorbells' descriptor and must not be able to shrink the file under them. */
static void test_bar_is_sealed(void **state)
{
	struct vfio_user_region_info info = { .argsz = 256, .index = 0 };
	struct host host;

	(void)state;
	host_open(&host, &defaults);
	assert_int_equal(sim_client_call(&host.client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	assert_int_equal(host.client.reply.nr_fds, 1);
	assert_int_equal(ftruncate(host.client.reply.fds[0], 0), -1);
	assert_int_equal(errno, EPERM);
	host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_register_accesses),
		cmocka_unit_test(test_enable_refused),
		cmocka_unit_test(test_admin_registers_locked),
		cmocka_unit_test(test_admin_queue_nowhere),
		cmocka_unit_test(test_disable),
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_function_reset),
		cmocka_unit_test(test_client_vanishes),
		cmocka_unit_test(test_bus_master),
		cmocka_unit_test(test_cmb_registers),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_nothing_leaks),
		cmocka_unit_test(test_bar_is_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
