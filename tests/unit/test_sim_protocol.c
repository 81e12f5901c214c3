/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of a client: what it may say, and what it must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/pci_regs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

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

static int setup_silent(void **state)
{
	(void)state;
	return sim_fixture_open(&fixture, NULL, NULL);
}

static int teardown(void **state)
{
	(void)state;
	return sim_fixture_close(&fixture);
}

/* A client that broke the rules is gone, and the next one is served. */
static void assert_disconnected(void)
{
	assert_int_equal(sim_client_receive(&fixture.client), -ECONNRESET);
	sim_client_close(&fixture.client);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
}

static void test_version(void **state)
{
	struct sim_client *client = &fixture.client;
	const char *text;
	json_t *json, *capabilities;

	(void)state;
	assert_int_equal(sim_client_hello(client, "{\"capabilities\":{\"max_msg_fds\":8}}"), 0);
	assert_int_equal(((const struct vfio_user_version *)client->reply.payload)->major, 0);
	assert_int_equal(((const struct vfio_user_version *)client->reply.payload)->minor, 1);
	text = (const char *)client->reply.payload + sizeof(struct vfio_user_version);
	assert_int_equal(text[client->reply.bytes - sizeof(struct vfio_user_version) - 1], 0);
	json = json_loads(text, 0, NULL);
	capabilities = json_object_get(json, "capabilities");
	assert_int_equal(json_integer_value(json_object_get(capabilities, "max_msg_fds")),
			 WIRE_MAX_FDS);
	assert_int_equal(json_integer_value(json_object_get(capabilities, "max_data_xfer_size")),
			 1 << 20);
	assert_int_equal(json_integer_value(json_object_get(capabilities, "max_dma_maps")),
			 DMA_MAX_WINDOWS);
	assert_int_equal(json_integer_value(json_object_get(capabilities, "pgsizes")), 4096);
	assert_null(json_object_get(capabilities, "write_multiple"));
	json_decref(json);
}

static void test_version_offers_what_was_asked(void **state)
{
	(void)state;
	assert_int_equal(
		sim_client_hello(&fixture.client, "{\"capabilities\":{\"write_multiple\":true}}"),
		0);
	assert_non_null(strstr((const char *)fixture.client.reply.payload +
				       sizeof(struct vfio_user_version),
			       "write_multiple"));
}

static void test_version_without_text(void **state)
{
	(void)state;
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), -EOPNOTSUPP); /* only once */
}

static void test_version_minor_is_lowered(void **state)
{
	struct vfio_user_version version = { .major = 0, .minor = 99 };

	(void)state;
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_VERSION, &version, sizeof(version)), 0);
	assert_int_equal(((const struct vfio_user_version *)fixture.client.reply.payload)->minor,
			 1);
}

static void test_bad_hellos(void **state)
{
	static const char *const texts[] = {
		"{",
		"[]",
		"null",
		"{\"capabilities\":[]}",
		"{\"capabilities\":7}",
		"{\"capabilities\":{\"max_msg_fds\":\"8\"}}",
		"{\"capabilities\":{\"max_msg_fds\":-1}}",
		"{\"capabilities\":{\"max_data_xfer_size\":0}}",
		"{\"capabilities\":{\"max_data_xfer_size\":1.5}}",
		"{\"capabilities\":{\"max_data_xfer_size\":99999999999999999999999}}",
	};
	uint8_t endless[8192];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(sim_client_hello(&fixture.client, texts[i]), -EINVAL);
		assert_disconnected();
		sim_client_close(&fixture.client);
		assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	}
	/* No terminating NUL; too long; shorter than a version; another major. */
	memcpy(endless, "\0\0\1\0{}", 6);
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_VERSION, endless, 6), -EINVAL);
	assert_disconnected();
	sim_client_close(&fixture.client);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	memset(endless, '[', sizeof(endless));
	memset(endless, 0, 4);
	endless[sizeof(endless) - 1] = 0;
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_VERSION, endless, sizeof(endless)),
		-EINVAL);
	assert_disconnected();
	sim_client_close(&fixture.client);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_VERSION, "\0\0", 2), -EINVAL);
	assert_disconnected();
	sim_client_close(&fixture.client);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_VERSION, "\1\0\0\0", 4),
			 -EPROTONOSUPPORT);
	assert_disconnected();
}

static void test_first_message_must_be_version(void **state)
{
	(void)state;
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_RESET, NULL, 0),
			 -EINVAL);
	assert_int_equal(fixture.model.resets, 1); /* the one that follows the disconnection */
	assert_disconnected();
}

static void test_unknown_commands(void **state)
{
	static const uint16_t commands[] = {
		0,
		VFIO_USER_DEVICE_GET_REGION_IO_FDS,
		VFIO_USER_DMA_READ,
		VFIO_USER_DMA_WRITE,
		14,
		VFIO_USER_DEVICE_FEATURE,
		VFIO_USER_MIG_DATA_READ,
		VFIO_USER_MIG_DATA_WRITE,
		19,
		1000,
		UINT16_MAX,
	};
	uint8_t payload[64] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		assert_int_equal(sim_client_call(&fixture.client, commands[i], NULL, 0),
				 -EOPNOTSUPP);
		assert_int_equal(
			sim_client_call(&fixture.client, commands[i], payload, sizeof(payload)),
			-EOPNOTSUPP);
	}
}

/* Each known command, cut short by a byte. */
static void test_short_payloads(void **state)
{
	static const struct {
		uint16_t command;
		size_t bytes;
	} rows[] = {
		{ VFIO_USER_DMA_MAP, sizeof(struct vfio_user_dma_map) },
		{ VFIO_USER_DMA_UNMAP, sizeof(struct vfio_user_dma_unmap) },
		{ VFIO_USER_DEVICE_GET_INFO, sizeof(struct vfio_user_device_info) },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, sizeof(struct vfio_user_region_info) },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, sizeof(struct vfio_user_irq_info) },
		{ VFIO_USER_DEVICE_SET_IRQS, sizeof(struct vfio_user_irq_set) },
		{ VFIO_USER_REGION_READ, sizeof(struct vfio_user_region_access) },
		{ VFIO_USER_REGION_WRITE, sizeof(struct vfio_user_region_access) },
		{ VFIO_USER_REGION_WRITE_MULTI, sizeof(uint64_t) },
	};
	uint8_t payload[64];

	(void)state;
	memset(payload, 0xff, sizeof(payload));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(sim_client_call(&fixture.client, rows[i].command, NULL, 0),
				 -EINVAL);
		assert_int_equal(sim_client_call(&fixture.client, rows[i].command, payload,
						 rows[i].bytes - 1),
				 -EINVAL);
		/* Of the right size, but every number in it is as large as can be. */
		assert_int_equal(
			sim_client_call(&fixture.client, rows[i].command, payload, rows[i].bytes),
			rows[i].command == VFIO_USER_DEVICE_GET_INFO ? 0 : -EINVAL);
	}
}

/* argsz is the room for the answer: less than the fixed part is refused. */
static void test_short_argsz(void **state)
{
	static const struct {
		uint16_t command;
		size_t bytes;
	} rows[] = {
		{ VFIO_USER_DMA_MAP, sizeof(struct vfio_user_dma_map) },
		{ VFIO_USER_DMA_UNMAP, sizeof(struct vfio_user_dma_unmap) },
		{ VFIO_USER_DEVICE_GET_INFO, sizeof(struct vfio_user_device_info) },
		{ VFIO_USER_DEVICE_GET_REGION_INFO, sizeof(struct vfio_user_region_info) },
		{ VFIO_USER_DEVICE_GET_IRQ_INFO, sizeof(struct vfio_user_irq_info) },
		{ VFIO_USER_DEVICE_SET_IRQS, sizeof(struct vfio_user_irq_set) },
	};
	uint8_t payload[64] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t argsz = (uint32_t)rows[i].bytes - 1;

		memcpy(payload, &argsz, sizeof(argsz));
		assert_int_equal(
			sim_client_call(&fixture.client, rows[i].command, payload, rows[i].bytes),
			-EINVAL);
	}
}

static void test_device_info(void **state)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };

	(void)state;
	assert_int_equal(
		sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)),
		0);
	assert_int_equal(fixture.client.reply.bytes, sizeof(info));
	memcpy(&info, fixture.client.reply.payload, sizeof(info));
	assert_int_equal(info.flags, VFIO_USER_DEVICE_PCI | VFIO_USER_DEVICE_RESET_SUPPORTED);
	assert_int_equal(info.nr_regions, 9);
	assert_int_equal(info.nr_irqs, 5);
}

static void test_irq_info(void **state)
{
	static const struct vfio_user_irq_info rows[] = {
		{ 16, VFIO_USER_IRQ_EVENTFD, 0, 0 },
		{ 16, VFIO_USER_IRQ_EVENTFD, 1, 0 },
		{ 16, VFIO_USER_IRQ_EVENTFD | VFIO_USER_IRQ_MASKABLE, 2, SIM_MODEL_VECTORS },
		{ 16, VFIO_USER_IRQ_EVENTFD, 3, 1 },
		{ 16, VFIO_USER_IRQ_EVENTFD, 4, 1 },
	};
	struct vfio_user_irq_info info = { .argsz = sizeof(info), .index = 5 };

	(void)state;
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_IRQ_INFO, &info,
					 sizeof(info)),
			 -EINVAL);
	for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
		info.index = i;
		assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_GET_IRQ_INFO,
						 &info, sizeof(info)),
				 0);
		assert_int_equal(fixture.client.reply.bytes, sizeof(info));
		assert_memory_equal(fixture.client.reply.payload, &rows[i], sizeof(info));
	}
}

static void test_no_reply(void **state)
{
	struct vfio_user_region_access access = { .region = 0, .offset = 8, .count = 1 };
	uint8_t payload[sizeof(access) + 1], byte = 0;

	(void)state;
	memcpy(payload, &access, sizeof(access));
	payload[sizeof(access)] = 0xa5;
	assert_int_equal(sim_client_send(&fixture.client, VFIO_USER_REGION_WRITE,
					 VFIO_USER_NO_REPLY, payload, sizeof(payload), NULL, 0),
			 0);
	/* One that fails is not answered either. */
	assert_int_equal(sim_client_send(&fixture.client, 99, VFIO_USER_NO_REPLY, NULL, 0, NULL, 0),
			 0);
	assert_int_equal(sim_client_read(&fixture.client, 0, 8, &byte, 1), 0);
	assert_int_equal(byte, 0xa5);
}

static void test_pipelined_commands_are_answered_in_order(void **state)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(sim_client_send(&fixture.client, VFIO_USER_DEVICE_GET_INFO, 0,
						 &info, sizeof(info), NULL, 0),
				 0);
	for (uint16_t i = 0; i < 100; i++) {
		assert_int_equal(sim_client_receive(&fixture.client), 0);
		assert_int_equal(fixture.client.reply.header.id, fixture.client.id - 99 + i);
	}
}

static void test_reset(void **state)
{
	uint16_t command = PCI_COMMAND_MASTER, flr = PCI_EXP_DEVCTL_BCR_FLR, back = 0;

	(void)state;
	assert_int_equal(sim_client_write(&fixture.client, REGION_CONFIG, PCI_COMMAND, &command, 2),
			 0);
	assert_int_equal(sim_client_call(&fixture.client, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	assert_int_equal(fixture.model.resets, 1);
	/* The function's configuration outlives it, as with VFIO. */
	assert_int_equal(sim_client_read(&fixture.client, REGION_CONFIG, PCI_COMMAND, &back, 2), 0);
	assert_int_equal(back, PCI_COMMAND_MASTER);
	assert_int_equal(sim_client_write(&fixture.client, REGION_CONFIG,
					  CONFIG_EXPRESS + PCI_EXP_DEVCTL, &flr, 2),
			 0);
	assert_int_equal(fixture.model.resets, 2);
}

static void test_stray_reply(void **state)
{
	(void)state;
	assert_int_equal(sim_client_send(&fixture.client, VFIO_USER_DMA_READ, VFIO_USER_TYPE_REPLY,
					 NULL, 0, NULL, 0),
			 0);
	assert_disconnected();
}

/* Descriptors that a command does not take are closed; teardown counts them. */
static void test_unwanted_descriptors(void **state)
{
	struct vfio_user_device_info info = { .argsz = sizeof(info) };
	int fds[WIRE_MAX_FDS];

	(void)state;
	for (int i = 0; i < WIRE_MAX_FDS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(sim_client_call_fds(&fixture.client, VFIO_USER_DEVICE_GET_INFO, &info,
					     sizeof(info), fds, WIRE_MAX_FDS),
			 0);
	assert_int_equal(sim_client_call_fds(&fixture.client, 99, NULL, 0, fds, WIRE_MAX_FDS),
			 -EOPNOTSUPP);
	assert_int_equal(sim_client_call_fds(&fixture.client, VFIO_USER_DEVICE_SET_IRQS, &info,
					     sizeof(info), fds, WIRE_MAX_FDS),
			 -EINVAL);
	for (int i = 0; i < WIRE_MAX_FDS; i++)
		close(fds[i]);
}

/* Bytes that are no message at all. */
static void test_broken_framing(void **state)
{
	static const struct vfio_user_header headers[] = {
		{ .command = VFIO_USER_DEVICE_RESET, .bytes = 0 },
		{ .command = VFIO_USER_DEVICE_RESET, .bytes = 15 },
		{ .command = VFIO_USER_DEVICE_RESET, .bytes = WIRE_MAX_BYTES + 1 },
		{ .command = VFIO_USER_DEVICE_RESET, .bytes = UINT32_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		assert_int_equal(weir_wire_inject(fixture.model.server->session.wire, &headers[i],
						  sizeof(headers[i]), NULL, 0),
				 0);
		assert_disconnected();
	}
	assert_int_equal(fixture.model.resets, ARRAY_SIZE(headers));
}

/* The client dies with half of a message on its way: the next one starts afresh. */
static void test_death_in_the_middle_of_a_message(void **state)
{
	struct vfio_user_header header = { .command = VFIO_USER_DEVICE_RESET, .bytes = 64 };
	uint16_t command = PCI_COMMAND_MASTER;

	(void)state;
	assert_int_equal(sim_client_write(&fixture.client, REGION_CONFIG, PCI_COMMAND, &command, 2),
			 0);
	assert_int_equal(weir_wire_inject(fixture.model.server->session.wire, &header, 10, NULL, 0),
			 0);
	sim_server_turn(fixture.model.server);
	sim_client_close(&fixture.client);
	assert_int_equal(fixture.model.resets, 1);
	assert_int_equal(sim_client_open(&fixture.client, fixture.model.server), 0);
	assert_int_equal(sim_client_hello(&fixture.client, NULL), 0);
	assert_int_equal(sim_client_read(&fixture.client, REGION_CONFIG, PCI_COMMAND, &command, 2),
			 0);
	assert_int_equal(command, 0); /* as after power on */
}

static void test_only_one_in_memory(void **state)
{
	struct sim_client second;

	(void)state;
	assert_int_equal(sim_client_open(&second, fixture.model.server), -EBUSY);
}

static void test_unplug(void **state)
{
	struct sim_client late;

	(void)state;
	sim_server_unplug(fixture.model.server);
	assert_int_equal(sim_client_receive(&fixture.client), -ECONNRESET);
	assert_int_equal(fixture.model.resets, 1);
	assert_int_equal(sim_client_open(&late, fixture.model.server), -ENODEV);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define SILENT(test) cmocka_unit_test_setup_teardown(test, setup_silent, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SILENT(test_version),
		SILENT(test_version_offers_what_was_asked),
		SILENT(test_version_without_text),
		SILENT(test_version_minor_is_lowered),
		SILENT(test_bad_hellos),
		SILENT(test_first_message_must_be_version),
		SERVED(test_unknown_commands),
		SERVED(test_short_payloads),
		SERVED(test_short_argsz),
		SERVED(test_device_info),
		SERVED(test_irq_info),
		SERVED(test_no_reply),
		SERVED(test_pipelined_commands_are_answered_in_order),
		SERVED(test_reset),
		SERVED(test_stray_reply),
		SERVED(test_unwanted_descriptors),
		SERVED(test_broken_framing),
		SERVED(test_death_in_the_middle_of_a_message),
		SERVED(test_only_one_in_memory),
		SERVED(test_unplug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
