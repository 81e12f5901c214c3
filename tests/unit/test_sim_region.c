/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions by message: what is told about them, accesses of any width, at and past every border. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <string.h>

#include "base/base.h"
#include "server/server.h"
#include "sim_fixture.h"

static struct sim_fixture fixture;

static int setup(void **state)
{
	(void)state;
	return sim_fixture_open(&fixture, NULL,
				"{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}");
}

static int teardown(void **state)
{
	(void)state;
	return sim_fixture_close(&fixture);
}

static struct vfio_user_region_info region_info(uint32_t index, uint32_t argsz)
{
	struct vfio_user_region_info info = { .argsz = argsz, .index = index };

	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	memcpy(&info, fixture.client.reply.payload, sizeof(info));
	return info;
}

static void test_region_info(void **state)
{
	static const uint64_t bytes[9] = {
		[0] = SIM_MODEL_BAR0_BYTES, [4] = SIM_MODEL_BAR4_BYTES, [7] = 4096
	};
	struct vfio_user_region_info info = { .argsz = 32, .index = 9 };

	(void)state;
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 -EINVAL);
	for (uint32_t i = 1; i < 9; i++) {
		info = region_info(i, 256);
		assert_int_equal(info.index, i);
		assert_int_equal(info.argsz, sizeof(info));
		assert_int_equal(info.bytes, bytes[i]);
		assert_int_equal(info.flags, bytes[i] ? 3 : 0);
		assert_int_equal(fixture.client.reply.nr_fds, 0);
		assert_int_equal(fixture.client.reply.bytes, sizeof(info));
	}
}

static void test_region_info_with_areas(void **state)
{
	const uint32_t whole = sizeof(struct vfio_user_region_info) +
			       sizeof(struct vfio_user_cap_sparse) +
			       2 * sizeof(struct vfio_user_sparse_area);
	const struct vfio_user_cap_sparse *sparse;
	struct vfio_user_region_info info;

	(void)state;
	/* Too little room: the fixed part alone, without the descriptor. */
	info = region_info(0, whole - 1);
	assert_int_equal(info.argsz, whole);
	assert_int_equal(info.cap_offset, sizeof(info));
	assert_int_equal(fixture.client.reply.bytes, sizeof(info));
	assert_int_equal(fixture.client.reply.nr_fds, 0);

	info = region_info(0, whole);
	assert_int_equal(info.argsz, whole);
	assert_int_equal(info.bytes, SIM_MODEL_BAR0_BYTES);
	assert_int_equal(info.flags, 0xf);
	assert_int_equal(info.cap_offset, sizeof(info));
	assert_int_equal(fixture.client.reply.bytes, whole);
	assert_int_equal(fixture.client.reply.nr_fds, 1);
	sparse = (const void *)((const uint8_t *)fixture.client.reply.payload + info.cap_offset);
	assert_int_equal(sparse->header.id, VFIO_USER_CAP_SPARSE_MMAP);
	assert_int_equal(sparse->header.version, 1);
	assert_int_equal(sparse->header.next, 0);
	assert_int_equal(sparse->nr_areas, 2);
	assert_int_equal(sparse->areas[0].offset, 0x1000);
	assert_int_equal(sparse->areas[1].offset, 0x4000);
	assert_int_equal(sparse->areas[1].bytes, 0x2000);
}

static int setup_without_mapping(void **state)
{
	struct sim_server_options options = { .no_mmap_bars = true };

	(void)state;
	return sim_fixture_open(&fixture, &options, "{}");
}

static int setup_without_fds(void **state)
{
	(void)state;
	return sim_fixture_open(&fixture, NULL, "{\"capabilities\":{\"max_msg_fds\":0}}");
}

static void test_region_that_cannot_be_mapped(void **state)
{
	struct vfio_user_region_info info = region_info(0, 256);

	(void)state;
	assert_int_equal(info.flags, 3);
	assert_int_equal(info.argsz, sizeof(info));
	assert_int_equal(fixture.client.reply.nr_fds, 0);
}

static void test_region_access(void **state)
{
	uint8_t data[64], back[64];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	for (uint32_t bytes = 1; bytes <= 16; bytes++) {
		for (uint64_t offset = 0; offset < 8; offset++) {
			assert_int_equal(sim_client_write(&fixture.client, 0, offset, data, bytes),
					 0);
			assert_int_equal(sim_client_read(&fixture.client, 0, offset, back, bytes),
					 0);
			assert_memory_equal(data, back, bytes);
		}
	}
	/* The last byte of the BAR, and past it. */
	assert_int_equal(sim_client_read(&fixture.client, 0, SIM_MODEL_BAR0_BYTES - 1, back, 1), 0);
	assert_int_equal(sim_client_read(&fixture.client, 0, SIM_MODEL_BAR0_BYTES - 1, back, 2),
			 -EINVAL);
	assert_int_equal(sim_client_write(&fixture.client, 0, SIM_MODEL_BAR0_BYTES, data, 1),
			 -EINVAL);
	assert_int_equal(sim_client_read(&fixture.client, 0, UINT64_MAX, back, 1), -EINVAL);
	assert_int_equal(sim_client_read(&fixture.client, 0, UINT64_MAX, back, 64), -EINVAL);
	assert_int_equal(sim_client_read(&fixture.client, 0, 0, back, 0), -EINVAL);
	/* Absent regions, and ones that do not exist. */
	assert_int_equal(sim_client_read(&fixture.client, 1, 0, back, 4), -EINVAL);
	assert_int_equal(sim_client_read(&fixture.client, 6, 0, back, 4), -EINVAL);
	assert_int_equal(sim_client_write(&fixture.client, 8, 0, data, 4), -EINVAL);
	assert_int_equal(sim_client_read(&fixture.client, 9, 0, back, 4), -EINVAL);
	assert_int_equal(sim_client_read(&fixture.client, UINT32_MAX, 0, back, 4), -EINVAL);
	/* The model's own refusal. */
	assert_int_equal(sim_client_read(&fixture.client, 0, SIM_MODEL_REFUSED, back, 4), -EIO);
	assert_int_equal(sim_client_write(&fixture.client, 0, SIM_MODEL_REFUSED, data, 4), -EIO);
}

/* The count and the size of the message have to agree. */
static void test_region_counts(void **state)
{
	uint8_t payload[sizeof(struct vfio_user_region_access) + 8] = { 0 };
	struct vfio_user_region_access access = { .region = 0, .count = 8 };

	(void)state;
	memcpy(payload, &access, sizeof(access));
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_REGION_WRITE, payload, sizeof(payload)),
		0);
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_REGION_WRITE, payload,
					 sizeof(payload) - 1),
			 -EINVAL);
	access.count = 7;
	memcpy(payload, &access, sizeof(access));
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_REGION_WRITE, payload, sizeof(payload)),
		-EINVAL);
	access.count = VFIO_USER_DEFAULT_MAX_TRANSFER + 1;
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_REGION_READ, &access, sizeof(access)),
		-EINVAL);
	access.count = UINT32_MAX;
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_REGION_READ, &access, sizeof(access)),
		-EINVAL);
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_REGION_WRITE, &access, sizeof(access)),
		-EINVAL);
}

static void test_config_by_message(void **state)
{
	uint16_t command = PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY;
	uint32_t id;

	(void)state;
	assert_int_equal(sim_client_read(&fixture.client, REGION_CONFIG, 0, &id, 4), 0);
	assert_int_equal(id, 0x56781234);
	assert_false(sim_bus_master(fixture.model.server));
	assert_int_equal(sim_client_write(&fixture.client, REGION_CONFIG, PCI_COMMAND, &command, 2),
			 0);
	assert_true(sim_bus_master(fixture.model.server));
	assert_int_equal(sim_client_read(&fixture.client, REGION_CONFIG, 4095, &id, 2), -EINVAL);
}

/* One access over the MSI-X table, the bytes around it and the pending bits. */
static void test_access_across_msix(void **state)
{
	uint8_t ones[SIM_MODEL_BAR4_BYTES], back[SIM_MODEL_BAR4_BYTES];
	const uint32_t table_end = SIM_MODEL_TABLE + 16 * SIM_MODEL_VECTORS;

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(sim_client_write(&fixture.client, 4, 0, ones, sizeof(ones)), 0);
	assert_int_equal(sim_client_read(&fixture.client, 4, 0, back, sizeof(back)), 0);
	assert_int_equal(back[SIM_MODEL_TABLE - 1], 0xff); /* the model's */
	assert_int_equal(back[SIM_MODEL_TABLE], 0xfc);
	assert_int_equal(back[SIM_MODEL_TABLE + 12], 1);
	assert_int_equal(back[SIM_MODEL_TABLE + 13], 0);
	assert_int_equal(back[table_end - 1], 0);
	assert_int_equal(back[table_end], 0xff);
	assert_int_equal(back[SIM_MODEL_PBA - 1], 0xff);
	assert_int_equal(back[SIM_MODEL_PBA], 0); /* cannot be written */
	assert_int_equal(back[SIM_MODEL_PBA + 7], 0);
	assert_int_equal(back[SIM_MODEL_PBA + 8], 0xff);
	/* The model never saw the bytes that are the server's. */
	assert_int_equal(fixture.model.bar4[SIM_MODEL_TABLE], 0);
	assert_int_equal(fixture.model.bar4[table_end - 1], 0);
	assert_int_equal(fixture.model.bar4[SIM_MODEL_PBA], 0);
}

struct multi {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint64_t data;
};

static int write_multi(uint64_t count, const struct multi *writes, size_t bytes)
{
	uint8_t payload[8 + 4 * sizeof(struct multi)];

	memcpy(payload, &count, sizeof(count));
	memcpy(payload + sizeof(count), writes, bytes);
	return sim_client_call(&fixture.client, VFIO_USER_REGION_WRITE_MULTI, payload, 8 + bytes);
}

static void test_write_multi(void **state)
{
	const struct multi writes[] = {
		{ 0x10, 0, 4, 0x11223344 },
		{ 0x18, 0, 8, 0x5566778899aabbcc },
		{ SIM_MODEL_BAR0_BYTES, 0, 4, 0 },
		{ 0x20, 0, 4, 0xffffffff },
	};
	uint64_t done;

	(void)state;
	assert_int_equal(write_multi(4, writes, sizeof(writes)), 0);
	assert_int_equal(fixture.client.reply.bytes, sizeof(done));
	memcpy(&done, fixture.client.reply.payload, sizeof(done));
	assert_int_equal(done, 2);
	assert_memory_equal(fixture.model.bar0 + 0x10, "\x44\x33\x22\x11", 4);
	assert_memory_equal(fixture.model.bar0 + 0x18, "\xcc\xbb\xaa\x99\x88\x77\x66\x55", 8);
	assert_int_equal(fixture.model.bar0[0x20], 0);

	assert_int_equal(write_multi(0, writes, 0), 0);
	assert_int_equal(write_multi(2, writes, sizeof(writes[0])), -EINVAL);
	assert_int_equal(write_multi(1, writes, sizeof(writes[0]) - 1), -EINVAL);
	assert_int_equal(write_multi(UINT64_MAX, writes, sizeof(writes)), -EINVAL);
	/* 2^61 + 1 records of 24 bytes would be 24 bytes in 64 bits. */
	assert_int_equal(write_multi((UINT64_C(1) << 61) + 1, writes, sizeof(writes[0])), -EINVAL);
}

static void test_write_multi_record_too_long(void **state)
{
	const struct multi write = { 0x10, 0, 9, 0x11223344 };
	uint64_t done;

	(void)state;
	assert_int_equal(write_multi(1, &write, sizeof(write)), 0);
	memcpy(&done, fixture.client.reply.payload, sizeof(done));
	assert_int_equal(done, 0);
	assert_int_equal(fixture.model.bar0[0x10], 0);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_region_info),
		SERVED(test_region_info_with_areas),
		cmocka_unit_test_setup_teardown(test_region_that_cannot_be_mapped,
						setup_without_mapping, teardown),
		cmocka_unit_test_setup_teardown(test_region_that_cannot_be_mapped,
						setup_without_fds, teardown),
		SERVED(test_region_access),
		SERVED(test_region_counts),
		SERVED(test_config_by_message),
		SERVED(test_access_across_msix),
		SERVED(test_write_multi),
		SERVED(test_write_multi_record_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
