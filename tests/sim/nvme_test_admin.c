/* SPDX-License-Identifier: BSD-3-Clause */
/* Admin commands and log pages that the caller makes. */
#include <errno.h>
#include <string.h>

#include "nvme_test.h"

#define ADMIN_IDENTIFY 0x06
#define ADMIN_GET_FEATURES 0x0a
#define CNS_CONTROLLER 1
#define LOG_ERRORS 1
#define LOG_SMART 2

static void test_identify(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_command command = { .opcode = ADMIN_IDENTIFY, .cdw10 = CNS_CONTROLLER };
	uint8_t page[4096];
	struct weir_error err;
	uint32_t result;

	memset(page, 0xaa, sizeof(page));
	if (weir_nvme_admin(t->nvme, &command, page, sizeof(page), WEIR_NVME_FROM_DEVICE, &result,
			    &err))
		fail_msg("%s", err.text);
	assert_memory_equal(page + 4, t->info.serial, strlen(t->info.serial));
	assert_memory_equal(page + 24, t->info.model, strlen(t->info.model));
	assert_int_equal(page[0] | page[1] << 8, t->info.vendor_id);
}

static void test_features(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_command command = { .opcode = ADMIN_GET_FEATURES, .cdw10 = 7 };
	struct weir_error err;
	uint32_t result = 0;

	/* Number of Queues (base §5.27.1.5): at least what the driver has. */
	if (weir_nvme_admin(t->nvme, &command, NULL, 0, WEIR_NVME_NO_DATA, &result, &err))
		fail_msg("%s", err.text);
	assert_true((result & 0xffff) + 1 >= t->info.queues &&
		    (result >> 16) + 1 >= t->info.queues);
}

static void test_log_pages(void **state)
{
	struct nvme_test *t = *state;
	uint8_t page[512], part[128];
	struct weir_error err;

	memset(page, 0xff, sizeof(page));
	assert_int_equal(
		weir_nvme_log_page(t->nvme, UINT32_MAX, LOG_SMART, 0, page, sizeof(page), &err), 0);
	/* a temperature in kelvin, and spare in percent */
	assert_in_range(page[1] | page[2] << 8, 200, 400);
	assert_in_range(page[3], 0, 100);
	assert_int_equal(weir_nvme_log_page(t->nvme, UINT32_MAX, LOG_ERRORS, 0, part, 64, &err), 0);
	assert_int_equal(weir_nvme_log_page(t->nvme, UINT32_MAX, LOG_SMART, 0, page, 0, &err),
			 -EINVAL);
	assert_int_equal(weir_nvme_log_page(t->nvme, UINT32_MAX, LOG_SMART, 0, page, 6, &err),
			 -EINVAL);
	assert_int_equal(weir_nvme_log_page(t->nvme, UINT32_MAX, LOG_SMART, 2, page, 8, &err),
			 -EINVAL);
	assert_int_equal(weir_nvme_log_page(t->nvme, UINT32_MAX, 0x6f, 0, page, 512, &err), -EIO);
	assert_non_null(strstr(err.text, "invalid"));
}

static void test_refusals(void **state)
{
	static const uint8_t owned[] = { 0x00, 0x01, 0x04, 0x05, 0x0c, 0x7c };
	struct nvme_test *t = *state;
	struct weir_nvme_command command = { .opcode = ADMIN_IDENTIFY, .cdw10 = CNS_CONTROLLER };
	uint8_t page[4096];
	struct weir_error err;

	for (unsigned int i = 0; i < sizeof(owned); i++) {
		struct weir_nvme_command other = { .opcode = owned[i] };

		assert_int_equal(
			weir_nvme_admin(t->nvme, &other, NULL, 0, WEIR_NVME_NO_DATA, NULL, &err),
			-EINVAL);
		assert_non_null(strstr(err.text, "driver"));
	}
	assert_int_equal(weir_nvme_admin(t->nvme, &command, page, (128 << 10) + 4,
					 WEIR_NVME_FROM_DEVICE, NULL, &err),
			 -EINVAL);
	assert_int_equal(
		weir_nvme_admin(t->nvme, &command, page, 4096, WEIR_NVME_NO_DATA, NULL, &err),
		-EINVAL);
	assert_int_equal(
		weir_nvme_admin(t->nvme, &command, NULL, 0, WEIR_NVME_FROM_DEVICE, NULL, &err),
		-EINVAL);
	command.flags = 1;
	assert_int_equal(
		weir_nvme_admin(t->nvme, &command, page, 4096, WEIR_NVME_FROM_DEVICE, NULL, &err),
		-EINVAL);
}

/* What the controller refuses comes back with its status, and does no harm. */
static void test_failures(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_command command = { .opcode = 0xc7 };
	struct weir_nvme_qp *qp;
	struct weir_error err;
	struct weir_nvme_io flush = { .opcode = WEIR_NVME_FLUSH };

	for (unsigned int i = 0; i < 70; i++) {
		assert_int_equal(
			weir_nvme_admin(t->nvme, &command, NULL, 0, WEIR_NVME_NO_DATA, NULL, &err),
			-EIO);
		assert_non_null(strstr(err.text, "invalid opcode"));
	}
	weir_nvme_failure(t->nvme, &err);
	assert_int_equal(err.code, 0);
	qp = nvme_test_qp(t, 1);
	nvme_test_ok(t, qp, t->ns, &flush);
	weir_nvme_qp_destroy(qp);
}

const struct CMUnitTest nvme_test_admin[] = {
	cmocka_unit_test(test_identify),  cmocka_unit_test(test_features),
	cmocka_unit_test(test_log_pages), cmocka_unit_test(test_refusals),
	cmocka_unit_test(test_failures),  { 0 },
};
