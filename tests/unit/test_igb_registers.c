/* SPDX-License-Identifier: BSD-3-Clause */
/* What the igb driver does to registers, and in which order, with the test as the device. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_device.h"
#include "igb_fixture.h"

#define ENTRIES 32u

static struct device {
	uint32_t regs[IGB_BAR_BYTES / 4];
	/* where each queue's ring is, as it was when the queue was enabled; receive queues first */
	uint64_t ring[2 * IGB_QUEUES];
	uint32_t bytes[2 * IGB_QUEUES];
	unsigned int resets;
	struct igb_fixture *f; /* the port on it */
	bool phy_taken; /* others have the PHY, and the semaphore in front of it */
	unsigned int locks; /* of that semaphore, in spite of them */
	bool stuck; /* its requests are never answered */
	bool reset_live; /* it was reset while an owner might go on giving it frames */
	bool free_early; /* owners might have taken frames back from a bus master */
	bool silent; /* its registers read all ones */
	bool gone; /* and so does its configuration space */
	uint64_t pulled_at; /* it goes while this register is read; 0: it stays */
} device;

static uint32_t *reg(uint64_t offset)
{
	return &device.regs[offset / 4];
}

static uint32_t queue_registers(unsigned int queue)
{
	return queue < IGB_QUEUES ? IGB_RX_QUEUE(queue) : IGB_TX_QUEUE(queue - IGB_QUEUES);
}

/* All but queue 0 of either direction are disabled by a reset. */
static void reset(void)
{
	memset(device.regs, 0, sizeof(device.regs));
	memset(device.ring, 0, sizeof(device.ring));
	memset(device.bytes, 0, sizeof(device.bytes));
	*reg(IGB_RX_QUEUE(0) + IGB_DCTL) = *reg(IGB_TX_QUEUE(0) + IGB_DCTL) = IGB_DCTL_ENABLE;
	*reg(IGB_EEC) = IGB_EEC_AUTO_RD;
	*reg(IGB_MDIC) = IGB_MDIC_READY;
	device.resets++;
}

static void enable(unsigned int queue)
{
	const uint32_t at = queue_registers(queue);

	device.ring[queue] = *reg(at + IGB_BASE_LOW) | (uint64_t)*reg(at + IGB_BASE_HIGH) << 32;
	device.bytes[queue] = *reg(at + IGB_LENGTH);
}

static uint32_t read_register(uint64_t offset)
{
	if (device.pulled_at && offset == device.pulled_at)
		device.gone = true;
	if (device.silent || device.gone)
		return UINT32_MAX;
	if (offset == IGB_STATUS && device.stuck)
		return IGB_STATUS_MASTER;
	if (offset == IGB_SWSM && device.phy_taken)
		return *reg(offset) | IGB_SWSM_SMBI;
	if (offset == IGB_SW_FW_SYNC && device.phy_taken)
		return *reg(offset) | IGB_FW_PHY(0);
	return *reg(offset);
}

/* Looked at before each write: what owners may do, and what the device may. */
static void look_at_owners(bool resets)
{
	const bool live = atomic_load(&device.f->rxqs[0]->control) == NIC_LIVE ||
			  atomic_load(&device.f->txqs[0]->control) == NIC_LIVE;
	const bool halted = device.stuck ? !fake_device_bus_master()
					 : *reg(IGB_CTRL) & IGB_CTRL_MASTER_DISABLE;

	device.reset_live |= resets && live;
	/* a device that was reset has its queues disabled */
	device.free_early |= !live && !halted && device.resets == 1;
}

static void write_register(uint64_t offset, uint32_t value)
{
	const uint32_t before = *reg(offset);

	device.locks += offset == IGB_SWSM && (value & IGB_SWSM_SWESMBI);
	look_at_owners(offset == IGB_CTRL && (value & IGB_CTRL_RST));
	if (offset == IGB_CTRL && (value & IGB_CTRL_RST)) {
		reset();
		return;
	}
	*reg(offset) = offset == IGB_MDIC ? value | IGB_MDIC_READY : value;
	for (unsigned int queue = 0; queue < 2 * IGB_QUEUES; queue++) {
		if (offset == queue_registers(queue) + IGB_DCTL && (value & IGB_DCTL_ENABLE) &&
		    !(before & IGB_DCTL_ENABLE))
			enable(queue);
	}
}

static uint32_t read_config(uint64_t offset)
{
	(void)offset;
	return device.gone ? UINT32_MAX : IGB_DEVICE_82576 << 16 | IGB_VENDOR_INTEL;
}

static const struct fake_registers registers = { read_register, write_register, read_config };

/* A started port, all of whose queues are empty, on the device. */
static void start(struct igb_fixture *f)
{
	memset(&device, 0, sizeof(device));
	device.f = f;
	igb_fixture_start(f, ENTRIES, 0, false);
	reset();
	fake_device_registers(&registers);
	f->igb.nic.configured = true;
}

static void take_back(struct igb_fixture *f)
{
	struct weir_frame frame;
	uint64_t cookie;

	while (weir_nic_rx(f->rxq, &frame, 1) > 0)
		;
	while (weir_nic_tx_done(f->txq, &cookie, 1, NULL) > 0)
		;
}

/* A queue that was enabled when it was told of its ring would work on none, or on another. */
static void queues_are_enabled_with_their_rings(void **state)
{
	struct igb_fixture f;
	struct weir_error err;

	(void)state;
	start(&f);
	for (unsigned int turn = 0; turn < 2; turn++) {
		if (weir_nic_stop(&f.igb.nic, &err))
			fail_msg("%s", err.text);
		assert_int_equal(device.resets, 2 + turn);
		assert_int_equal(*reg(IGB_RX_QUEUE(0) + IGB_DCTL), 0);
		assert_int_equal(*reg(IGB_TX_QUEUE(0) + IGB_DCTL), 0);
		take_back(&f);
		if (weir_nic_start(&f.igb.nic, &err))
			fail_msg("%s", err.text);
		assert_int_equal(device.ring[0], weir_arena_ptr_iova(f.arena, f.rx->ring));
		assert_int_equal(device.bytes[0], ENTRIES * 16);
		assert_int_equal(device.ring[IGB_QUEUES], weir_arena_ptr_iova(f.arena, f.tx->ring));
		assert_int_equal(device.bytes[IGB_QUEUES], ENTRIES * 16);
	}
	igb_fixture_stop(&f);
}

/* Owners learn of a stop when the device makes no requests any more, and before its reset, during
 * which nobody else may reach for it. */
static void owners_are_told_between_halt_and_reset(void **state)
{
	struct igb_fixture f;
	struct weir_error err;

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		start(&f);
		device.stuck = i;
		if (weir_nic_stop(&f.igb.nic, &err))
			fail_msg("%s", err.text);
		assert_int_equal(device.resets, 2);
		assert_false(device.reset_live);
		assert_false(device.free_early);
		/* one whose requests are never answered is stopped by its function's reset */
		assert_int_equal(fake_device_resets(), i);
		assert_int_equal(fake_device_bus_master(), !i);
		assert_int_equal(atomic_load(&f.rxqs[0]->control), NIC_QUIESCE);
		take_back(&f);
		assert_int_equal(atomic_load(&f.rxqs[0]->control), NIC_PARKED);
		igb_fixture_stop(&f);
	}
}

/* The port is stopped although its link cannot be begun, and does not wait for that once for each
 * try. */
static void a_phy_that_is_never_free_is_given_up(void **state)
{
	struct igb_fixture f;
	struct weir_error err;

	(void)state;
	start(&f);
	f.igb.copper = true;
	device.phy_taken = true;
	assert_int_equal(igb_link_begin(&f.igb.nic, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "PHY does not answer"));
	assert_in_range(device.locks, 1, 2);
	if (weir_nic_stop(&f.igb.nic, &err))
		fail_msg("%s", err.text);
	igb_fixture_stop(&f);
}

/* An owner that goes to sleep reaches for a running device only. */
static void a_stopped_device_is_not_armed(void **state)
{
	struct igb_fixture f;
	struct weir_error err;

	(void)state;
	start(&f);
	f.rxqs[0]->vector = 1;
	f.rxqs[0]->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(f.rxqs[0]->fd >= 0);
	assert_int_equal(weir_nic_rxq_arm(f.rxq), 0);
	assert_int_equal(*reg(IGB_EIMS), 1u << 1);
	if (weir_nic_stop(&f.igb.nic, &err))
		fail_msg("%s", err.text);
	assert_int_equal(weir_nic_rxq_arm(f.rxq), 0);
	assert_int_equal(*reg(IGB_EIMS), 0);
	close(f.rxqs[0]->fd);
	igb_fixture_stop(&f);
}

/* A queue may drop more in a second than 12 bits hold. */
static void all_drops_are_counted(void **state)
{
	struct weir_nic_stats stats;
	struct igb_fixture f;

	(void)state;
	start(&f);
	*reg(IGB_RX_QUEUE(0) + IGB_RQDPC) = 0x12345678;
	assert_int_equal(weir_nic_stats(&f.igb.nic, &stats, sizeof(stats)), 0);
	assert_int_equal(stats.rx_dropped, 0x12345678);
	igb_fixture_stop(&f);
}

/* Whenever it goes: what a device reads that is not there is no count. */
static void a_device_that_goes_adds_nothing(void **state)
{
	static const uint64_t last_words[] = { IGB_STATUS, 0x4074, IGB_RX_QUEUE(0) + IGB_RQDPC };
	struct weir_nic_stats stats, none = { 0 };
	struct igb_fixture f;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(last_words); i++) {
		start(&f);
		device.pulled_at = last_words[i];
		assert_int_equal(weir_nic_stats(&f.igb.nic, &stats, sizeof(stats)), -ENODEV);
		assert_true(device.gone);
		assert_memory_equal(&stats, &none, sizeof(stats));
		igb_fixture_stop(&f);
	}
}

/* Its memory space may be off while its configuration space answers. It may come again. */
static void a_device_that_does_not_answer_has_no_link(void **state)
{
	struct weir_nic_stats stats, none = { 0 };
	struct weir_nic_link link;
	struct weir_error err;
	struct igb_fixture f;

	(void)state;
	start(&f);
	device.silent = true;
	assert_int_equal(weir_nic_link(&f.igb.nic, &link, &err), -EIO);
	assert_non_null(strstr(err.text, "the port: its registers cannot be read"));
	assert_int_equal(link.up | link.speed_mbps, 0);
	assert_int_equal(weir_nic_stats(&f.igb.nic, &stats, sizeof(stats)), -EIO);
	assert_memory_equal(&stats, &none, sizeof(stats));
	device.silent = false;
	*reg(IGB_STATUS) = IGB_STATUS_LU;
	assert_int_equal(weir_nic_link(&f.igb.nic, &link, &err), 0);
	assert_int_equal(link.up, 1);
	device.gone = true;
	assert_int_equal(weir_nic_link(&f.igb.nic, &link, &err), -ENODEV);
	igb_fixture_stop(&f);
}

static void ignore(int number)
{
	(void)number;
}

/* What the device is given time for, it gets. */
static void signals_shorten_no_wait(void **state)
{
	const struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { 0 };
	struct sigaction action = { .sa_handler = ignore }, before;
	uint64_t begin;

	(void)state;
	assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
	begin = weir_now_ns();
	assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
	igb_sleep_us(10000);
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_true(weir_now_ns() - begin >= 10000000);
	assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_drops_are_counted),
		cmocka_unit_test(a_device_that_goes_adds_nothing),
		cmocka_unit_test(a_device_that_does_not_answer_has_no_link),
		cmocka_unit_test(a_stopped_device_is_not_armed),
		cmocka_unit_test(signals_shorten_no_wait),
		cmocka_unit_test(a_phy_that_is_never_free_is_given_up),
		cmocka_unit_test(owners_are_told_between_halt_and_reset),
		cmocka_unit_test(queues_are_enabled_with_their_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
