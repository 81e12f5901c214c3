/* SPDX-License-Identifier: BSD-3-Clause */
/* The configuration space of an emulated function: identity, BAR sizing, masks, capabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdbool.h>

#include "base/base.h"
#include "server/config_space.h"
#include "server/server.h"
#include "sim_model.h"

static uint64_t get(const struct config_space *config, unsigned int offset, size_t bytes)
{
	uint64_t value = 0;

	config_space_read(config, offset, &value, bytes);
	return value;
}

static unsigned int set(struct config_space *config, unsigned int offset, uint64_t value,
			size_t bytes)
{
	return config_space_write(config, offset, &value, bytes);
}

static struct config_space make(void)
{
	struct sim_pci pci = sim_model_pci(-1);
	struct config_space config;

	config_space_init(&config, &pci);
	return config;
}

static void test_identity(void **state)
{
	struct config_space config = make();

	(void)state;
	assert_int_equal(get(&config, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(get(&config, PCI_CLASS_REVISION, 4), 0x01080203);
	assert_int_equal(get(&config, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(get(&config, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(&config, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(get(&config, 0x100, 4), 0); /* no extended capabilities */
}

static void test_read_only(void **state)
{
	struct config_space config = make();
	struct config_space before = config;

	(void)state;
	for (unsigned int offset = 0; offset < CONFIG_SPACE_BYTES; offset++) {
		if (!config.writable[offset] && !config.clears[offset]) {
			set(&config, offset, 0xff, 1);
			set(&config, offset, 0, 1);
		}
	}
	assert_memory_equal(config.bytes, before.bytes, sizeof(config.bytes));
}

static void test_bar_sizing(void **state)
{
	static const struct {
		unsigned int bar;
		uint64_t bytes;
		bool is64, prefetchable;
		uint32_t low, high; /* read after all ones were written */
	} rows[] = {
		{ 0, 0x1000, false, false, 0xfffff000, 0 },
		{ 1, 0x80000000, false, true, 0x80000008, 0 },
		{ 2, 0x4000, true, false, 0xffffc004, 0xffffffff },
		{ 4, UINT64_C(1) << 32, true, true, 0x0000000c, 0xffffffff },
		{ 4, UINT64_C(64) << 30, true, true, 0x0000000c, 0xfffffff0 },
		{ 5, 0x100000, false, false, 0xfff00000, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sim_pci pci = { 0 };
		struct config_space config;
		unsigned int offset = PCI_BASE_ADDRESS_0 + 4 * rows[i].bar;

		pci.bars[rows[i].bar] = (struct sim_bar){
			.bytes = rows[i].bytes,
			.is64 = rows[i].is64,
			.prefetchable = rows[i].prefetchable,
			.fd = -1,
		};
		assert_int_equal(pci_check(&pci, NULL), 0);
		config_space_init(&config, &pci);
		set(&config, offset, UINT32_MAX, 4);
		assert_int_equal(get(&config, offset, 4), rows[i].low);
		if (rows[i].is64) {
			set(&config, offset + 4, UINT32_MAX, 4);
			assert_int_equal(get(&config, offset + 4, 4), rows[i].high);
		}
		/* An address comes back as it was written, less the bits below the size. */
		set(&config, offset, 0x12345678, 4);
		assert_int_equal(get(&config, offset, 4) & 0xfffffff0,
				 0x12345670 & rows[i].low & 0xfffffff0);
	}
}

static void test_absent_bars_stay_zero(void **state)
{
	struct config_space config = make();

	(void)state;
	for (unsigned int bar = 2; bar < 6; bar++) {
		if (bar == 4)
			continue;
		set(&config, PCI_BASE_ADDRESS_0 + 4 * bar, UINT32_MAX, 4);
		assert_int_equal(get(&config, PCI_BASE_ADDRESS_0 + 4 * bar, 4), 0);
	}
	set(&config, PCI_ROM_ADDRESS, UINT32_MAX, 4);
	assert_int_equal(get(&config, PCI_ROM_ADDRESS, 4), 0);
}

static void test_command_and_status(void **state)
{
	struct config_space config = make();

	(void)state;
	set(&config, PCI_COMMAND, 0xffff, 2);
	assert_int_equal(get(&config, PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
				 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	assert_true(config_space_bus_master(&config));
	set(&config, PCI_COMMAND, 0, 2);
	assert_false(config_space_bus_master(&config));

	/* Error bits are cleared by writing 1; the capability list bit is not. */
	config.bytes[PCI_STATUS + 1] |= 0xf9;
	set(&config, PCI_STATUS, 0x0900, 2);
	assert_int_equal(get(&config, PCI_STATUS, 2), 0xf000 | PCI_STATUS_CAP_LIST);
	set(&config, PCI_STATUS, 0xffff, 2);
	assert_int_equal(get(&config, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

static void test_power_state(void **state)
{
	struct config_space config = make();

	(void)state;
	set(&config, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	set(&config, CONFIG_PM + PCI_PM_CTRL, 3, 2);
	assert_int_equal(get(&config, CONFIG_PM + PCI_PM_CTRL, 2), 3 | PCI_PM_CTRL_NO_SOFT_RESET);
	assert_false(config_space_bus_master(&config)); /* D3hot does no DMA */
	set(&config, CONFIG_PM + PCI_PM_CTRL, 1, 2); /* D1 does not exist */
	assert_int_equal(get(&config, CONFIG_PM + PCI_PM_CTRL, 2), 3 | PCI_PM_CTRL_NO_SOFT_RESET);
	set(&config, CONFIG_PM + PCI_PM_CTRL, 0, 2);
	assert_true(config_space_bus_master(&config));
}

/* Follows the list as a client does; returns where the capability is, or 0. */
static unsigned int find(const struct config_space *config, unsigned int id)
{
	unsigned int at = (unsigned int)get(config, PCI_CAPABILITY_LIST, 1);

	for (int i = 0; at && i < 48; i++) {
		assert_true(at >= 0x40 && at < 0x100 && at % 4 == 0);
		if (get(config, at, 1) == id)
			return at;
		at = (unsigned int)get(config, at + 1, 1);
	}
	assert_int_equal(at, 0);
	return 0;
}

static void test_capabilities(void **state)
{
	struct sim_pci pci = sim_model_pci(-1);
	struct config_space config = make();
	unsigned int msix = find(&config, PCI_CAP_ID_MSIX);
	unsigned int express = find(&config, PCI_CAP_ID_EXP);

	(void)state;
	assert_int_not_equal(find(&config, PCI_CAP_ID_PM), 0);
	assert_int_not_equal(msix, 0);
	assert_int_equal(get(&config, msix + PCI_MSIX_FLAGS, 2), SIM_MODEL_VECTORS - 1);
	assert_int_equal(get(&config, msix + PCI_MSIX_TABLE, 4), SIM_MODEL_TABLE | 4);
	assert_int_equal(get(&config, msix + PCI_MSIX_PBA, 4), SIM_MODEL_PBA | 4);
	assert_int_equal(get(&config, express + PCI_EXP_FLAGS, 2), 2); /* version 2, endpoint */
	assert_true(get(&config, express + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);

	pci.nr_vectors = 0;
	config_space_init(&config, &pci);
	assert_int_equal(find(&config, PCI_CAP_ID_MSIX), 0);
	assert_int_not_equal(find(&config, PCI_CAP_ID_PM), 0);
	assert_int_not_equal(find(&config, PCI_CAP_ID_EXP), 0);
	assert_false(config_space_msix_enabled(&config));
}

static void test_msix_control(void **state)
{
	struct config_space config = make();

	(void)state;
	assert_false(config_space_msix_enabled(&config));
	assert_int_equal(set(&config, CONFIG_MSIX + PCI_MSIX_FLAGS, 0xffff, 2), CONFIG_EVENT_MSIX);
	assert_int_equal(get(&config, CONFIG_MSIX + PCI_MSIX_FLAGS, 2),
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL | (SIM_MODEL_VECTORS - 1));
	assert_true(config_space_msix_enabled(&config));
	assert_true(config_space_msix_masked(&config));
	/* The low byte alone changes nothing. */
	assert_int_equal(set(&config, CONFIG_MSIX + PCI_MSIX_FLAGS, 0, 1), 0);
	assert_true(config_space_msix_enabled(&config));
	config_space_msix_enable(&config, false);
	assert_false(config_space_msix_enabled(&config));
	assert_true(config_space_msix_masked(&config));
}

/* Initiate Function Level Reset in any access that covers it; it always reads 0. */
static void test_function_level_reset(void **state)
{
	static const struct {
		unsigned int offset;
		uint64_t value;
		size_t bytes;
		unsigned int events;
	} rows[] = {
		{ PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2, CONFIG_EVENT_RESET },
		{ PCI_EXP_DEVCTL + 1, 0x80, 1, CONFIG_EVENT_RESET },
		{ PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 4, CONFIG_EVENT_RESET },
		{ PCI_EXP_DEVCTL - 3, UINT64_C(0x80) << 32, 8, CONFIG_EVENT_RESET },
		{ PCI_EXP_DEVCTL, 0x80, 1, 0 },
		{ PCI_EXP_DEVCTL, 0x7fff, 2, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config_space config = make();

		assert_int_equal(
			set(&config, CONFIG_EXPRESS + rows[i].offset, rows[i].value, rows[i].bytes),
			rows[i].events);
		assert_int_equal(get(&config, CONFIG_EXPRESS + PCI_EXP_DEVCTL, 2) &
					 PCI_EXP_DEVCTL_BCR_FLR,
				 0);
	}
}

static void test_whole_space_at_once(void **state)
{
	struct config_space config = make();
	uint8_t ones[CONFIG_SPACE_BYTES], back[CONFIG_SPACE_BYTES];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	config_space_write(&config, 0, ones, sizeof(ones));
	config_space_read(&config, 0, back, sizeof(back));
	assert_int_equal(back[0], 0x34);
	assert_int_equal(back[PCI_INTERRUPT_LINE], 0xff);
	assert_int_equal(back[CONFIG_SPACE_BYTES - 1], 0);
}

static void test_descriptions_that_make_no_sense(void **state)
{
	struct weir_error err;
	struct sim_pci pci;

	(void)state;
#define REFUSED(change) \
	do { \
		pci = sim_model_pci(-1); \
		change; \
		assert_int_equal(pci_check(&pci, &err), -EINVAL); \
		assert_int_equal(err.code, -EINVAL); \
	} while (0)
	REFUSED(pci.bars[0].bytes = 0x3000);
	REFUSED(pci.bars[3].bytes = 0x800);
	REFUSED(pci.bars[3].bytes = UINT64_C(1) << 32);
	REFUSED(pci.bars[1].bytes = 0x1000); /* the upper half of BAR 0 */
	REFUSED((pci.bars[5].bytes = 0x1000, pci.bars[5].is64 = true));
	REFUSED(pci.bars[0].nr_areas = SIM_MAX_AREAS + 1);
	REFUSED(pci.bars[0].areas[1].offset = SIM_MODEL_BAR0_BYTES);
	REFUSED(pci.bars[0].areas[1].offset = UINT64_MAX - 0xfff);
	REFUSED(pci.bars[0].areas[1].bytes = 0);
	REFUSED(pci.bars[0].areas[1].bytes = 0x1001);
	REFUSED(pci.nr_vectors = SIM_MAX_VECTORS + 1);
	REFUSED(pci.msix_bar = 6);
	REFUSED(pci.msix_bar = 5); /* absent */
	REFUSED(pci.msix_table = 0xff8); /* past the end */
	REFUSED(pci.msix_table = 0x101);
	REFUSED(pci.msix_pba = SIM_MODEL_TABLE + 16);
	REFUSED((pci.msix_bar = 0, pci.msix_table = 0x1000)); /* in an area */
#undef REFUSED
	pci = sim_model_pci(-1);
	assert_int_equal(pci_check(&pci, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_bar_sizing),
		cmocka_unit_test(test_absent_bars_stay_zero),
		cmocka_unit_test(test_command_and_status),
		cmocka_unit_test(test_power_state),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_msix_control),
		cmocka_unit_test(test_function_level_reset),
		cmocka_unit_test(test_whole_space_at_once),
		cmocka_unit_test(test_descriptions_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
