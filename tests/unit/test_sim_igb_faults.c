/* SPDX-License-Identifier: BSD-3-Clause */
/* What the emulated 82576 does wrong when it is asked to, and cables to files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "fd_count.h"
#include "sim_igb_frames.h"
#include "sim_igb_host.h"

static struct nic nics[2];
static struct nic_frame got;
static uint8_t frame[2000];

/* Two controllers of which both have the faults. */
static void open_with(const char *faults)
{
	struct sim_igb_options options = { 0 };
	struct weir_error err;

	if (sim_igb_parse_faults(faults, &options, &err))
		fail_msg("%s", err.text);
	nic_open_pair(nics, &options, false);
	nic_fill(&nics[1], 0, 60);
}

static uint32_t plain_frame(uint32_t bytes)
{
	memset(frame, 7, bytes);
	memcpy(frame, nics[1].mac, 6);
	memcpy(frame + 6, nics[0].mac, 6);
	frame_put16(frame + 12, 0x88b5);
	return bytes;
}

static bool send_one(void)
{
	return nic_send(&nics[0], frame, plain_frame(200), 0, 0);
}

/* The descriptor that the n-th frame came to. */
static const uint64_t *desc_of(unsigned int n)
{
	return nic_at(&nics[1], NIC_RX_RING(0) + (uint64_t)n * IGB_DESC_BYTES);
}

static void test_parse(void **state)
{
	static const struct {
		const char *spec, *said;
	} rows[] = {
		{ "crc=1", "\"crc=1\" is not one of crc-every garble-every" },
		{ "skip-every", "not a number" },
		{ "no-link=1", "takes no value" },
		{ "server-x=1", "server-stall-after" },
		{ "", "\"\" is not one of" },
	};
	struct sim_igb_options options = { 0 };
	struct weir_error err;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(sim_igb_parse_faults(rows[i].spec, &options, &err), -EINVAL);
		if (!strstr(err.text, rows[i].said))
			fail_msg("\"%s\" does not say \"%s\"", err.text, rows[i].said);
	}
	assert_int_equal(
		sim_igb_parse_faults("skip-every=3,no-link,server-close-after=9", &options, NULL),
		0);
	assert_int_equal(options.faults.skip_every, 3);
	assert_true(options.faults.no_link);
	assert_int_equal(options.server.fault_close_after, 9);
}

static void test_bad_frames(void **state)
{
	(void)state;
	open_with("crc-every=2,garble-every=3");
	for (unsigned int i = 1; i <= 6; i++) {
		send_one();
		assert_int_equal(nic_receive(&nics[1], 0, &got), i % 2);
		if (i % 2)
			assert_int_equal(!memcmp(got.data, frame, 200), i != 3);
	}
	assert_int_equal(nic_read(&nics[1], IGB_CRCERRS), 3);
	assert_int_equal(nic_read(&nics[1], IGB_GPRC), 3);
	nic_close_pair(nics);
}

static void test_bad_descriptors(void **state)
{
	(void)state;
	open_with("length-every=2,header-every=3,types-every=5,endless-every=7,status-every=11");
	for (unsigned int i = 0; i < 11; i++)
		send_one();
	for (unsigned int i = 1; i <= 11; i++) {
		const uint64_t *desc = desc_of(i - 1);

		assert_true(desc[1] & IGB_RX_DD);
		assert_int_equal((desc[1] >> 32 & 0xffff) > NIC_BUFFER_BYTES, !(i % 2));
		assert_int_equal(!!(desc[0] & IGB_RX_SPH), !(i % 3));
		assert_int_equal(!!(desc[0] & IGB_RX_TYPES), !(i % 5));
		if (i != 11) {
			assert_int_equal(!!(desc[1] & IGB_RX_EOP), i != 7);
			assert_int_equal((uint32_t)desc[1] & ~3u, 0);
		}
	}
	assert_true((uint32_t)desc_of(10)[1] & ~3u);
	nic_close_pair(nics);
}

static void test_skip(void **state)
{
	(void)state;
	open_with("skip-every=2");
	for (unsigned int i = 0; i < 4; i++)
		send_one();
	/* The third and the sixth descriptor stay as they were... */
	assert_true(desc_of(0)[1] & IGB_RX_DD);
	assert_false(desc_of(1)[1]);
	assert_true(desc_of(2)[1] & IGB_RX_DD);
	assert_true(desc_of(3)[1] & IGB_RX_DD);
	assert_false(desc_of(4)[1]);
	assert_true(desc_of(5)[1] & IGB_RX_DD);
	nic_close_pair(nics);
}

static void test_sending(void **state)
{
	(void)state;
	open_with("unreported-every=3,stuck-after=7");
	for (unsigned int i = 1; i <= 9; i++) {
		assert_int_equal(send_one(), i % 3 && i <= 7);
		assert_int_equal(nic_receive(&nics[1], 0, &got), i <= 7);
	}
	/* A reset does not help. */
	nic_up(&nics[0]);
	assert_false(send_one());
	nic_close_pair(nics);
}

static void test_flap(void **state)
{
	const struct timespec pause = { .tv_nsec = 3 * 1000 * 1000 };

	(void)state;
	open_with("flap-every=2,flap-us=2000");
	nic_read(&nics[0], IGB_ICR);
	send_one();
	assert_true(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	send_one();
	/* It has gone, and has come back or will. */
	assert_true(nic_read(&nics[0], IGB_ICR) & IGB_ICR_LSC);
	for (unsigned int i = 0; i < 1000 && !(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	     i++) {
		nanosleep(&pause, NULL);
		nic_turn(&nics[0]);
	}
	assert_true(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	nic_close_pair(nics);
}

static void test_stuck(void **state)
{
	struct sim_igb_options options = {
		.faults = { .stuck_reset = true, .stuck_eeprom = true, .no_link = true },
	};
	struct sim_cable *cable;

	(void)state;
	assert_int_equal(sim_cable_null(&cable, NULL), 0);
	nic_open(&nics[0], &options, cable);
	nic_write(&nics[0], IGB_CTRL, IGB_CTRL_SLU);
	assert_false(nic_read(&nics[0], IGB_STATUS) & IGB_STATUS_LU);
	nic_write(&nics[0], IGB_EERD, IGB_EERD_START);
	assert_false(nic_read(&nics[0], IGB_EERD) & IGB_EERD_DONE);
	nic_write(&nics[0], IGB_CTRL, IGB_CTRL_RST);
	assert_true(nic_read(&nics[0], IGB_CTRL) & IGB_CTRL_RST);
	nic_close(&nics[0]);
}

static void test_unplug(void **state)
{
	struct sim_igb_options options = { .faults.unplug_after = 3 };
	struct sim_cable *cable;
	uint32_t value;

	(void)state;
	assert_int_equal(sim_cable_null(&cable, NULL), 0);
	nic_open(&nics[0], &options, cable);
	nic_up(&nics[0]);
	for (unsigned int i = 0; i < 3; i++)
		send_one();
	assert_true(sim_client_read(&nics[0].client, 0, IGB_STATUS, &value, 4) < 0);
	nic_close(&nics[0]);
}

/* What one controller records, another one plays. */
static void test_pcap(void **state)
{
	char path[] = "/tmp/weir-test-igb-XXXXXX";
	unsigned int fds = fd_count();
	struct sim_cable *cable;
	struct weir_error err;
	uint8_t header[24];
	FILE *file;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(sim_cable_pcap(NULL, path, &cable, NULL), 0);
	nic_open(&nics[0], NULL, cable);
	nic_up(&nics[0]);
	memcpy(nics[1].mac, nics[0].mac, 6);
	for (unsigned int i = 0; i < 20; i++) {
		plain_frame(100 + i);
		frame[50] = (uint8_t)i;
		assert_true(nic_send(&nics[0], frame, 100 + i, 0, 0));
	}
	nic_close(&nics[0]);

	assert_int_equal(sim_cable_pcap(path, NULL, &cable, NULL), 0);
	nic_open(&nics[0], NULL, cable);
	nic_up(&nics[0]);
	/* Fewer descriptors than frames: the rest waits. */
	nic_fill(&nics[0], 0, 5);
	nic_turn(&nics[0]);
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(nic_receive(&nics[0], 0, &got));
		assert_int_equal(got.bytes, 100 + i);
		assert_int_equal(got.data[50], i);
		nic_fill(&nics[0], 0, 1);
		nic_turn(&nics[0]);
	}
	assert_false(nic_receive(&nics[0], 0, &got));
	nic_close(&nics[0]);

	/* Files that are none, or of something else. */
	file = fopen(path, "r+b");
	assert_int_equal(fread(header, sizeof(header), 1, file), 1);
	header[20] = 101;
	rewind(file);
	assert_int_equal(fwrite(header, sizeof(header), 1, file), 1);
	fclose(file);
	assert_int_equal(sim_cable_pcap(path, NULL, &cable, &err), -EINVAL);
	assert_non_null(strstr(err.text, "link type 101"));
	assert_int_equal(truncate(path, 10), 0);
	assert_int_equal(sim_cable_pcap(path, NULL, &cable, &err), -EINVAL);
	assert_int_equal(sim_cable_pcap("/nowhere/at/all", NULL, &cable, &err), -ENOENT);
	assert_int_equal(sim_cable_pcap(NULL, "/nowhere/at/all", &cable, &err), -ENOENT);
	unlink(path);
	assert_int_equal(fd_count(), fds);
}

static void keep_line(void *ctx, enum weir_log_level level, const char *text)
{
	(void)level;
	snprintf(ctx, 200, "%s", text);
}

/* A disk that is full, which may show only when the file is closed. */
static void test_full_disk(void **state)
{
	char path[] = "/tmp/weir-test-igb-XXXXXX", line[200];
	struct sim_igb_options options = { .server.log = { keep_line, line, WEIR_LOG_WARN } };
	struct sim_cable *cable;
	struct rlimit before, limit;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 100;
	signal(SIGXFSZ, SIG_IGN);
	for (unsigned int frames = 1; frames < 100; frames += 98) {
		line[0] = '\0';
		assert_int_equal(sim_cable_pcap(NULL, path, &cable, NULL), 0);
		nic_open(&nics[0], &options, cable);
		nic_up(&nics[0]);
		/* What a test says may go to a file, too. */
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		for (unsigned int i = 0; i < frames; i++)
			send_one();
		nic_close(&nics[0]);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_non_null(strstr(line, frames == 1 ? "the record of frames is not complete"
							 : "the record of frames ends"));
	}
	signal(SIGXFSZ, SIG_DFL);
	unlink(path);
}

/* A record that is too long, and one that is cut off, end the play; swapped bytes do not. */
static void test_pcap_records(void **state)
{
	static const uint8_t swapped[24 + 16] = {
		0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0xff, 0xff,
		0,    0,    0,	  1,	0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 70, 0, 0, 0,	 70,
	};
	char path[] = "/tmp/weir-test-igb-XXXXXX";
	struct sim_cable *cable;
	int fd = mkstemp(path);
	uint8_t file[24 + 2 * (16 + 70)];

	(void)state;
	for (unsigned int bad = 0; bad < 4; bad++) {
		static const char *const said[] = { "", "which is not all there",
						    "which no cable carries",
						    "after 9 bytes of a header of 16" };
		size_t bytes = bad == 1 ? sizeof(file) - 1 : bad == 3 ? 24 + 86 + 9 : sizeof(file);
		char line[200] = "";
		struct sim_igb_options options = {
			.server.log = { keep_line, line, WEIR_LOG_WARN },
		};

		memcpy(file, swapped, 24);
		memset(file + 24, 0xff, sizeof(file) - 24); /* to all */
		memcpy(file + 24, swapped + 24, 16);
		memcpy(file + 24 + 86, swapped + 24, 16);
		if (bad == 2)
			file[24 + 86 + 8] = 0x7f;
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, file, bytes, 0), bytes);
		assert_int_equal(sim_cable_pcap(path, NULL, &cable, NULL), 0);
		nic_open(&nics[0], &options, cable);
		nic_up(&nics[0]);
		nic_fill(&nics[0], 0, 5);
		nic_turn(&nics[0]);
		assert_true(nic_receive(&nics[0], 0, &got));
		assert_int_equal(got.bytes, 70);
		assert_int_equal(nic_receive(&nics[0], 0, &got), !bad);
		assert_true(strstr(line, said[bad]) && !line[0] == !bad);
		nic_close(&nics[0]);
	}
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_bad_frames),
		cmocka_unit_test(test_bad_descriptors),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_sending),
		cmocka_unit_test(test_flap),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_unplug),
		cmocka_unit_test(test_pcap),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_pcap_records),
	};

	return cmocka_run_group_tests_name("sim_igb_faults", tests, NULL, NULL);
}
