/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated 82576's interrupts, filters and statistics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "sim_igb_frames.h"
#include "sim_igb_host.h"

#define MSIX 2
#define SET_TRIGGER (VFIO_USER_IRQ_DATA_EVENTFD | VFIO_USER_IRQ_ACTION_TRIGGER)
#define VECTORS 4

static struct nic nics[2];
static struct nic_frame got;
static uint8_t frame[2000];
static int eventfds[VECTORS];

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

/* Vectors 0 to 3 of the second controller: receive queue 0, receive queue 9, transmit queue 0,
 * the rest. */
static int setup_interrupts(void **state)
{
	(void)state;
	nic_open_pair(nics, NULL, false);
	for (unsigned int i = 0; i < VECTORS; i++) {
		eventfds[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_true(eventfds[i] >= 0);
	}
	assert_int_equal(sim_client_set_irqs(&nics[1].client, MSIX, SET_TRIGGER, 0, VECTORS, NULL,
					     0, eventfds, VECTORS),
			 0);
	nic_write(&nics[1], IGB_GPIE, IGB_GPIE_MULTIPLE_MSIX | IGB_GPIE_NSICR);
	nic_write(&nics[1], IGB_IVAR, 0x80 | 0x82 << 8);
	nic_write(&nics[1], IGB_IVAR + 4, 0x81u << 16);
	nic_write(&nics[1], IGB_IVAR_MISC, 0x83 << 8);
	nic_rx_queue(&nics[1], 9);
	nic_fill(&nics[1], 9, 20);
	nic_fill(&nics[1], 0, 20);
	return 0;
}

static int teardown_interrupts(void **state)
{
	for (unsigned int i = 0; i < VECTORS; i++)
		close(eventfds[i]);
	return teardown(state);
}

/* How often a vector was signalled since it was last looked at. */
static uint64_t fired(unsigned int vector)
{
	uint64_t count = 0;

	return read(eventfds[vector], &count, sizeof(count)) < 0 ? 0 : count;
}

static uint32_t plain_frame(uint32_t bytes)
{
	memset(frame, 7, bytes);
	memcpy(frame, nics[1].mac, 6);
	memcpy(frame + 6, nics[0].mac, 6);
	frame_put16(frame + 12, 0x88b5);
	return bytes;
}

static void send_one(void)
{
	nic_send(&nics[0], frame, plain_frame(60), 0, 0);
}

static void test_vectors(void **state)
{
	(void)state;
	/* Masked: the cause is there, no message. */
	send_one();
	assert_int_equal(fired(0), 0);
	assert_int_equal(nic_read(&nics[1], IGB_EICR), 1);
	assert_int_equal(nic_read(&nics[1], IGB_EICR), 0);
	nic_write(&nics[1], IGB_EIMS, 0xf);
	send_one();
	assert_int_equal(fired(0), 1);
	/* Once, until the cause is cleared. */
	send_one();
	assert_int_equal(fired(0), 0);
	nic_write(&nics[1], IGB_EICR, 1);
	send_one();
	assert_int_equal(fired(0), 1);
	/* Queue 9, by the upper half of its register. */
	nic_write(&nics[1], IGB_MRQC, IGB_MRQC_RSS | IGB_MRQC_IPV4);
	nic_write(&nics[1], IGB_RETA, 0x09090909);
	nic_write(&nics[1], IGB_RETA + 4 * 31, 0x09090909);
	for (uint32_t i = 0; i < IGB_RETA_ENTRIES; i += 4)
		nic_write(&nics[1], IGB_RETA + i, 0x09090909);
	{
		struct frame_kind kind = { .protocol = FRAME_UDP, .payload = 30 };

		nic_send(&nics[0], frame, frame_make(&kind, nics[1].mac, nics[0].mac, frame), 0, 0);
	}
	assert_int_equal(fired(1), 1);
	assert_true(nic_receive(&nics[1], 9, &got));
	/* Its own frames, sent. */
	assert_true(nic_send(&nics[1], frame, 60, 0, 0));
	assert_int_equal(fired(2), 1);
	assert_int_equal(fired(3), 0);
	assert_int_equal(nic_read(&nics[1], IGB_IAC), 4);
}

static void test_auto_clear(void **state)
{
	(void)state;
	nic_write(&nics[1], IGB_EIAC, 1);
	nic_write(&nics[1], IGB_EIMS, 1);
	for (unsigned int i = 0; i < 3; i++) {
		send_one();
		assert_int_equal(fired(0), 1);
		assert_int_equal(nic_read(&nics[1], IGB_EICR), 0);
	}
	/* Masked by each message, and pending until it is let through again. */
	nic_write(&nics[1], IGB_EIAM, 1);
	nic_write(&nics[1], IGB_GPIE, IGB_GPIE_MULTIPLE_MSIX | IGB_GPIE_NSICR | IGB_GPIE_EIAME);
	send_one();
	send_one();
	assert_int_equal(fired(0), 1);
	assert_int_equal(nic_read(&nics[1], IGB_EIMS), 0);
	nic_write(&nics[1], IGB_EIMS, 1);
	assert_int_equal(fired(0), 1);
	/* By software. */
	nic_write(&nics[1], IGB_EIMS, 1);
	nic_write(&nics[1], IGB_EICS, 1);
	assert_int_equal(fired(0), 1);
	nic_write(&nics[1], IGB_EIMC, 1);
	nic_write(&nics[1], IGB_EICS, 1);
	assert_int_equal(fired(0), 0);
}

static void test_link_change(void **state)
{
	(void)state;
	nic_read(&nics[1], IGB_ICR);
	nic_write(&nics[1], IGB_EIMS, 8);
	nic_write(&nics[1], IGB_EIAC, 8);
	nic_write(&nics[1], IGB_IMS, IGB_ICR_LSC);
	sim_igb_set_link(nics[1].igb, false);
	assert_int_equal(fired(3), 1);
	assert_int_equal(nic_read(&nics[1], IGB_ICR), IGB_ICR_LSC | IGB_ICR_ASSERTED);
	assert_int_equal(nic_read(&nics[1], IGB_ICR), 0);
	nic_write(&nics[1], IGB_IMC, IGB_ICR_LSC);
	sim_igb_set_link(nics[1].igb, true);
	assert_int_equal(fired(3), 0);
	/* What is pending is told when it is unmasked. */
	nic_write(&nics[1], IGB_IMS, IGB_ICR_LSC);
	assert_int_equal(fired(3), 1);
	nic_write(&nics[1], IGB_ICR, IGB_ICR_LSC);
	assert_int_equal(nic_read(&nics[1], IGB_ICR), 0);
	nic_write(&nics[1], IGB_ICS, IGB_ICR_LSC);
	assert_int_equal(fired(3), 1);
}

/* EITR holds messages back, and none is lost. */
static void test_moderation(void **state)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	unsigned int count = 0;

	(void)state;
	nic_write(&nics[1], IGB_EIAC, 1);
	nic_write(&nics[1], IGB_EIMS, 1);
	nic_write(&nics[1], IGB_EITR, 8000 << IGB_EITR_INTERVAL_SHIFT);
	send_one();
	assert_int_equal(fired(0), 1);
	send_one();
	send_one();
	/* However late this is: at most one for both. */
	nanosleep(&pause, NULL);
	nic_turn(&nics[0]);
	count += (unsigned int)fired(0);
	assert_true(count >= 1 && count <= 2);
	assert_int_equal(nic_read(&nics[1], IGB_EICR), 0);
}

/* One vector for all, without GPIE.Multiple_MSIX. */
static void test_single_vector(void **state)
{
	(void)state;
	nic_write(&nics[1], IGB_GPIE, IGB_GPIE_NSICR);
	nic_write(&nics[1], IGB_IMS, IGB_ICR_RXDW);
	nic_read(&nics[1], IGB_ICR);
	nic_read(&nics[1], IGB_EICR);
	send_one();
	assert_int_equal(fired(0), 1);
	assert_true(nic_read(&nics[1], IGB_ICR) & IGB_ICR_RXDW);
	send_one();
	assert_int_equal(fired(0), 1);
}

/* A cause of the mode with one vector is none of the 25 when the mode is changed. */
static void test_mode_change(void **state)
{
	const uint32_t eitr_31 = IGB_EITR + 4 * 31, behind = 0x4018;

	(void)state;
	nic_write(&nics[1], IGB_GPIE, IGB_GPIE_NSICR);
	nic_write(&nics[1], IGB_IMS, IGB_ICR_LSC);
	nic_write(&nics[1], IGB_ICS, IGB_ICR_LSC);
	assert_int_equal(fired(0), 1);
	nic_write(&nics[1], eitr_31, 8000u << IGB_EITR_INTERVAL_SHIFT);
	nic_write(&nics[1], IGB_GPIE, IGB_GPIE_MULTIPLE_MSIX | IGB_GPIE_NSICR);
	nic_read(&nics[1], IGB_IAC);
	nic_write(&nics[1], IGB_EIMS, UINT32_MAX);
	assert_int_equal(nic_read(&nics[1], IGB_IAC), 0);
	/* A counter that is none of the 82576's, behind the times of the vectors. */
	assert_int_equal(nic_read(&nics[1], behind), 0);
}

/* RDMT0: fewer descriptors are left than SRRCTL says. */
static void test_threshold(void **state)
{
	(void)state;
	nic_queue_write(&nics[1], false, 0, NIC_REG(control), 0);
	nic_read(&nics[1], IGB_STATUS);
	nic_rx_queue(&nics[1], 0);
	nic_queue_write(&nics[1], false, 0, NIC_REG(control), 0);
	nic_read(&nics[1], IGB_STATUS);
	nic_queue_write(&nics[1], false, 0, NIC_REG(srrctl),
			2 | 1u << IGB_SRRCTL_TYPE_SHIFT | 1u << IGB_SRRCTL_RDMTS_SHIFT);
	nic_queue_write(&nics[1], false, 0, NIC_REG(control), IGB_DCTL_ENABLE);
	nic_fill(&nics[1], 0, 17);
	nic_read(&nics[1], IGB_ICR);
	send_one();
	assert_false(nic_read(&nics[1], IGB_ICR) & IGB_ICR_RXDMT0);
	send_one();
	assert_true(nic_read(&nics[1], IGB_ICR) & IGB_ICR_RXDMT0);
}

/* Whether a frame to that address arrives. */
static bool arrives(const uint8_t address[6])
{
	plain_frame(60);
	memcpy(frame, address, 6);
	assert_true(nic_send(&nics[0], frame, 60, 0, 0));
	return nic_receive(&nics[1], 0, &got);
}

static void set_mode(uint32_t mode)
{
	nic_write(&nics[1], IGB_RCTL, IGB_RCTL_RXEN | IGB_RCTL_SECRC | mode);
}

static void test_filters(void **state)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	static const uint8_t other[6] = { 2, 0, 0, 1, 2, 3 };
	static const uint8_t group[6] = { 1, 0, 0x5e, 0x12, 0x34, 0x56 };
	uint32_t low, high = 0;

	(void)state;
	nic_fill(&nics[1], 0, 60);
	set_mode(0);
	assert_true(arrives(nics[1].mac));
	assert_false(arrives(broadcast));
	assert_false(arrives(other));
	assert_false(arrives(group));
	set_mode(IGB_RCTL_BAM);
	assert_true(arrives(broadcast));
	assert_false(arrives(group));
	set_mode(IGB_RCTL_UPE);
	assert_true(arrives(other));
	assert_false(arrives(group));
	set_mode(IGB_RCTL_MPE);
	assert_true(arrives(group));
	assert_true(arrives(broadcast));
	assert_false(arrives(other));
	/* By the table, for each choice of the bits: 0x5634 >> 4, 3, 2, 0. */
	for (unsigned int i = 0; i < 4; i++) {
		static const uint32_t hashes[] = { 0x563, 0xac6, 0x58d, 0x634 };
		uint32_t reg = IGB_MTA + 4 * (hashes[i] >> 5);

		set_mode(i << IGB_RCTL_MO_SHIFT);
		assert_false(arrives(group));
		nic_write(&nics[1], reg, 1u << (hashes[i] & 31));
		assert_true(arrives(group));
		nic_write(&nics[1], reg, 0);
	}
	/* By an exact filter, the last one, while it is valid. */
	memcpy(&low, other, 4);
	memcpy(&high, other + 4, 2);
	nic_write(&nics[1], IGB_RAL_HIGH + 8 * 7, low);
	nic_write(&nics[1], IGB_RAL_HIGH + 8 * 7 + 4, high);
	set_mode(0);
	assert_false(arrives(other));
	nic_write(&nics[1], IGB_RAL_HIGH + 8 * 7 + 4, high | IGB_RAH_VALID);
	assert_true(arrives(other));
	nic_write(&nics[1], IGB_RAL + 4, 0);
	assert_false(arrives(nics[1].mac));
	/* Not one of them reaches a receiver that is off. */
	nic_write(&nics[1], IGB_RCTL, IGB_RCTL_UPE | IGB_RCTL_MPE);
	assert_false(arrives(other));
}

static uint64_t read_long(struct nic *nic, uint32_t reg)
{
	uint64_t low = nic_read(nic, reg);

	return low | (uint64_t)nic_read(nic, reg + 4) << 32;
}

/* Every counter against the frames that were sent, to the frame and the octet. */
static void test_statistics(void **state)
{
	static const uint32_t lengths[] = {
		60, 61, 123, 124, 251, 252, 507, 508, 1019, 1020, 1514
	};
	static const uint32_t bins[6] = { 1, 2, 2, 2, 2, 2 };
	uint64_t octets = 0;

	(void)state;
	nic_fill(&nics[1], 0, 60);
	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		plain_frame(lengths[i]);
		if (i == 3)
			memset(frame, 0xff, 6);
		if (i == 4 || i == 5) {
			frame[0] = 1;
			nic_write(&nics[1], IGB_RCTL,
				  IGB_RCTL_RXEN | IGB_RCTL_SECRC | IGB_RCTL_BAM | IGB_RCTL_MPE);
		}
		assert_true(nic_send(&nics[0], frame, lengths[i], 0, 0));
		octets += lengths[i] + 4;
	}
	/* One that is not for it, and one that is too short, since padding is off. */
	plain_frame(60);
	frame[5] ^= 0x40;
	nic_send(&nics[0], frame, 60, 0, 0);
	nic_write(&nics[0], IGB_TCTL, IGB_TCTL_EN);
	nic_send(&nics[0], frame, plain_frame(40), 0, 0);

	for (unsigned int i = 0; i < 6; i++) {
		assert_int_equal(nic_read(&nics[1], IGB_PRC64 + 4 * i), bins[i]);
		assert_int_equal(nic_read(&nics[0], IGB_PTC64 + 4 * i), bins[i] + (i ? 0 : 2));
		assert_int_equal(nic_read(&nics[0], IGB_PTC64 + 4 * i), 0);
	}
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 11);
	assert_int_equal(nic_read(&nics[1], IGB_TPR), 13);
	assert_int_equal(nic_read(&nics[1], IGB_BPRC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_MPRC), 2);
	assert_int_equal(nic_read(&nics[1], IGB_RUC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_RLEC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_ROC), 0);
	assert_int_equal(nic_read(&nics[1], IGB_RPTHC), 11);
	assert_int_equal(read_long(&nics[1], IGB_GORCL), octets);
	assert_int_equal(read_long(&nics[1], IGB_GORCL), 0);
	assert_int_equal(read_long(&nics[1], IGB_TORL), octets + 64 + 44);
	assert_int_equal(nic_read(&nics[0], IGB_GPTC), 13);
	assert_int_equal(nic_read(&nics[0], IGB_TPT), 13);
	assert_int_equal(nic_read(&nics[0], IGB_BPTC), 1);
	assert_int_equal(nic_read(&nics[0], IGB_MPTC), 2);
	assert_int_equal(read_long(&nics[0], IGB_GOTCL), octets + 64 + 44);
	assert_int_equal(nic_read(&nics[0], IGB_QUEUE_STATS + IGB_PQGPTC), 13);
	assert_int_equal(nic_read(&nics[1], IGB_QUEUE_STATS + IGB_PQGPRC), 11);
	assert_int_equal(nic_read(&nics[1], IGB_QUEUE_STATS + IGB_PQGORC), octets);
	assert_int_equal(nic_read(&nics[1], IGB_QUEUE_STATS + IGB_PQMPRC), 2);
	/* A reset clears what was not read. */
	send_one();
	nic_write(&nics[1], IGB_CTRL, IGB_CTRL_RST);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 0);
}

/* Sends the frame with an FCS that is wrong. */
static void send_bad(uint32_t bytes)
{
	memcpy(nic_at(&nics[0], NIC_SEND), frame, bytes);
	memset(nic_at(&nics[0], NIC_SEND + bytes), 0, 4);
	nic_put(&nics[0], 0, nic_iova(NIC_SEND), (NIC_SEND_COMMAND & ~IGB_TX_IFCS) | (bytes + 4),
		0);
	nic_ring(&nics[0], 0);
	nic_turn(&nics[0]);
}

/* Only frames that pass the filter, of 64 bytes and more, are CRC errors. */
static void test_crc_errors(void **state)
{
	(void)state;
	nic_write(&nics[0], IGB_TCTL, IGB_TCTL_EN);
	send_bad(plain_frame(60));
	assert_int_equal(nic_read(&nics[1], IGB_CRCERRS), 1);
	send_bad(plain_frame(59));
	assert_int_equal(nic_read(&nics[1], IGB_CRCERRS), 0);
	assert_int_equal(nic_read(&nics[1], IGB_RFC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_RLEC), 1);
	plain_frame(60);
	frame[5] ^= 0x40;
	send_bad(60);
	assert_int_equal(nic_read(&nics[1], IGB_CRCERRS), 0);
	send_bad(plain_frame(1600));
	assert_int_equal(nic_read(&nics[1], IGB_CRCERRS), 1);
	assert_int_equal(nic_read(&nics[1], IGB_RJC), 1);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 0);
	assert_int_equal(nic_read(&nics[1], IGB_TPR), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vectors, setup_interrupts,
						teardown_interrupts),
		cmocka_unit_test_setup_teardown(test_auto_clear, setup_interrupts,
						teardown_interrupts),
		cmocka_unit_test_setup_teardown(test_link_change, setup_interrupts,
						teardown_interrupts),
		cmocka_unit_test_setup_teardown(test_moderation, setup_interrupts,
						teardown_interrupts),
		cmocka_unit_test_setup_teardown(test_single_vector, setup_interrupts,
						teardown_interrupts),
		cmocka_unit_test_setup_teardown(test_mode_change, setup_interrupts,
						teardown_interrupts),
		cmocka_unit_test_setup_teardown(test_threshold, setup, teardown),
		cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_statistics, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crc_errors, setup, teardown),
	};

	return cmocka_run_group_tests_name("sim_igb_counts", tests, NULL, NULL);
}
