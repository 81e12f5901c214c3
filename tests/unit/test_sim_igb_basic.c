/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated 82576: what it says about itself, the link, and frames from one to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "fd_count.h"
#include "sim_igb_host.h"

#define CONFIG_REGION 7
#define MDIC(op, reg) ((op) | (reg) << IGB_MDIC_REGISTER_SHIFT | 1u << IGB_MDIC_ADDRESS_SHIFT)

static struct nic nics[2];

static int setup(void **state)
{
	(void)state;
	nic_open_pair(nics, NULL, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nic_close_pair(nics);
	return 0;
}

/* A frame from one to the other, filled with a pattern. */
static void make_frame(uint8_t *frame, uint32_t bytes, uint8_t seed)
{
	memcpy(frame, nics[1].mac, 6);
	memcpy(frame + 6, nics[0].mac, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	for (uint32_t i = 14; i < bytes; i++)
		frame[i] = (uint8_t)(seed + i);
}

static void test_identity(void **state)
{
	uint32_t ids = 0, class = 0;

	(void)state;
	assert_int_equal(sim_client_read(&nics[0].client, CONFIG_REGION, 0, &ids, 4), 0);
	assert_int_equal(ids, 0x10c98086);
	assert_int_equal(sim_client_read(&nics[0].client, CONFIG_REGION, 8, &class, 4), 0);
	assert_int_equal(class >> 8, 0x020000);
}

static uint16_t nvm_word(struct nic *nic, uint32_t word)
{
	uint32_t value;

	nic_write(nic, IGB_EERD, word << 2 | IGB_EERD_START);
	value = nic_read(nic, IGB_EERD);
	assert_true(value & IGB_EERD_DONE);
	return (uint16_t)(value >> 16);
}

static void test_eeprom(void **state)
{
	uint16_t sum = 0, words[3];

	(void)state;
	for (uint32_t i = 0; i < 0x40; i++)
		sum = (uint16_t)(sum + nvm_word(&nics[1], i));
	assert_int_equal(sum, 0xbaba);
	for (uint32_t i = 0; i < 3; i++)
		words[i] = nvm_word(&nics[1], i);
	assert_memory_equal(words, nics[1].mac, 6);
	assert_memory_not_equal(nics[0].mac, nics[1].mac, 6);
}

static uint32_t phy(struct nic *nic, uint32_t mdic)
{
	nic_write(nic, IGB_MDIC, mdic);
	mdic = nic_read(nic, IGB_MDIC);
	assert_true(mdic & IGB_MDIC_READY);
	return mdic & (IGB_MDIC_ERROR | 0xffff);
}

static void test_phy(void **state)
{
	(void)state;
	assert_int_equal(phy(&nics[0], MDIC(IGB_MDIC_READ, 2)), IGB_PHY_ID1);
	assert_int_equal(phy(&nics[0], MDIC(IGB_MDIC_READ, 3)), IGB_PHY_ID2);
	/* Link and negotiation; none without the cable. */
	assert_int_equal(phy(&nics[0], MDIC(IGB_MDIC_READ, 1)) & 0x24, 0x24);
	sim_igb_set_link(nics[0].igb, false);
	assert_int_equal(phy(&nics[0], MDIC(IGB_MDIC_READ, 1)) & 0x24, 0);
	/* Nobody is at another address. */
	assert_true(phy(&nics[0], IGB_MDIC_READ | 5u << IGB_MDIC_ADDRESS_SHIFT) & IGB_MDIC_ERROR);
}

static void test_link(void **state)
{
	(void)state;
	assert_true(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	nic_read(&nics[1], IGB_ICR);
	sim_igb_set_link(nics[0].igb, false);
	nic_turn(&nics[0]);
	/* Both ends see it. */
	assert_false(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	assert_false(nic_read(&nics[1], IGB_STATUS) & IGB_STATUS_LU);
	assert_true(nic_read(&nics[1], IGB_ICR) & IGB_ICR_LSC);
	sim_igb_set_link(nics[0].igb, true);
	nic_turn(&nics[0]);
	assert_true(nic_read(&nics[1], IGB_STATUS) & IGB_STATUS_LU);
	/* Software has the last word. */
	nic_write(&nics[0], IGB_CTRL, 0);
	assert_false(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
}

static void test_reset(void **state)
{
	(void)state;
	nic_write(&nics[0], IGB_RCTL, 0x12);
	nic_write(&nics[0], IGB_CTRL, IGB_CTRL_RST);
	assert_int_equal(nic_read(&nics[0], IGB_RCTL), 0);
	for (unsigned int q = 0; q < IGB_QUEUES; q++) {
		uint32_t control = q ? 0 : IGB_DCTL_ENABLE;

		assert_int_equal(nic_queue_read(&nics[0], false, q, NIC_REG(control)), control);
		assert_int_equal(nic_queue_read(&nics[0], true, q, NIC_REG(control)), control);
	}
	assert_false(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	/* Both places of a queue's register are the same one. */
	nic_write(&nics[0], 0x3818, 7);
	assert_int_equal(nic_queue_read(&nics[0], true, 0, NIC_REG(tail)), 7);
	nic_write(&nics[0], 0x2b18, 9);
	assert_int_equal(nic_queue_read(&nics[0], false, 3, NIC_REG(tail)), 9);
}

static void test_frames(void **state)
{
	static const uint32_t lengths[] = { 60, 61, 64, 128, 1000, 1513, 1514 };
	struct nic_frame got;
	uint8_t frame[1514];

	(void)state;
	nic_fill(&nics[1], 0, 40);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		make_frame(frame, lengths[i], (uint8_t)i);
		assert_true(nic_send(&nics[0], frame, lengths[i], 0, 0));
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.bytes, lengths[i]);
		assert_memory_equal(got.data, frame, lengths[i]);
		assert_false(nic_receive(&nics[1], 0, &got));
	}
	/* A short one is padded. */
	assert_true(nic_send(&nics[0], frame, 20, 0, 0));
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, 60);
	assert_int_equal(got.data[59], 0);
}

/* More than a ring, and more than the buffer of the cable holds, in both directions. */
static void test_many(void **state)
{
	struct nic_frame got;
	uint8_t frame[1514];

	(void)state;
	nic_fill(&nics[1], 0, NIC_ENTRIES - 1);
	for (unsigned int i = 0; i < 1000; i++) {
		uint32_t bytes = 60 + i % 1455;

		make_frame(frame, bytes, (uint8_t)i);
		assert_true(nic_send(&nics[0], frame, bytes, 0, 0));
		assert_true(nic_receive(&nics[1], 0, &got));
		assert_int_equal(got.bytes, bytes);
		assert_memory_equal(got.data, frame, bytes);
		nic_fill(&nics[1], 0, 1);
	}
	assert_int_equal(nic_read(&nics[0], IGB_GPTC), 1000);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 1000);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 0);
}

static void test_pieces(void **state)
{
	struct nic_frame got;
	uint8_t frame[300];

	(void)state;
	nic_fill(&nics[1], 0, 4);
	make_frame(frame, 300, 3);
	memcpy(nic_at(&nics[0], NIC_SEND), frame, 300);
	nic_put(&nics[0], 0, nic_iova(NIC_SEND),
		(NIC_SEND_COMMAND & ~(IGB_TX_EOP | IGB_TX_RS)) | 14, 300 << IGB_TX_PAYLOAD_SHIFT);
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
	/* The rest has not come yet. */
	assert_false(nic_receive(&nics[1], 0, &got));
	nic_put(&nics[0], 0, nic_iova(NIC_SEND + 14), NIC_SEND_COMMAND | 286, 0);
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
	assert_true(nic_receive(&nics[1], 0, &got));
	assert_int_equal(got.bytes, 300);
	assert_memory_equal(got.data, frame, 300);
	assert_int_equal(nic_queue_read(&nics[0], true, 0, NIC_REG(head)), 2);
}

static void test_options(void **state)
{
	struct sim_igb_options options = { .mac = { 1, 2, 3, 4, 5, 6 } };
	unsigned int fds = fd_count();
	struct sim_cable *cable;
	struct sim_igb *igb;
	struct weir_error err;

	(void)state;
	assert_int_equal(sim_cable_null(&cable, NULL), 0);
	assert_int_equal(sim_igb_create(&options, cable, &igb, &err), -EINVAL);
	assert_non_null(strstr(err.text, "01:02:03:04:05:06"));
	sim_cable_destroy(cable);
	assert_int_equal(sim_cable_tap(NULL, -1, &cable, NULL), -EINVAL);
	assert_int_equal(sim_cable_tap("a-name-that-is-too-long", -1, &cable, &err), -EINVAL);
	assert_non_null(strstr(err.text, "a-name-that-is-too-long"));
	assert_int_equal(sim_cable_tap(NULL, 0, &cable, &err), -EINVAL);
	assert_int_equal(fd_count(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eeprom, setup, teardown),
		cmocka_unit_test_setup_teardown(test_phy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_link, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests_name("sim_igb_basic", tests, NULL, NULL);
}
