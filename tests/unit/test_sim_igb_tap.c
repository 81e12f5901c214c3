/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated 82576 at a TAP device, in a network namespace of this test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sim_igb_frames.h"
#include "sim_igb_host.h"

#define NAME "weirtap"
#define TYPE 0x88b5 /* for experiments: nobody else's frames have it */
#define TRIES 1000

static struct nic nic;
static struct nic_frame got;
static uint8_t frame[1514];

/* Where TAP devices can be made, by anybody. */
static int enter_namespace(void **state)
{
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		printf("no network namespace can be made here: %m\n");
		return -1;
	}
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		printf("/dev/net/tun: %m\n");
		return -1;
	}
	return close(fd);
}

/* Brings the device up and returns a socket for its frames. */
static int open_far_end(void)
{
	struct ifreq request = { 0 };
	struct timeval limit = { .tv_sec = 10 };
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, __builtin_bswap16(TYPE));

	assert_true(fd >= 0);
	strcpy(request.ifr_name, NAME);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	assert_int_equal(ioctl(fd, SIOCGIFINDEX, &request), 0);
	address.sll_ifindex = request.ifr_ifindex;
	address.sll_protocol = __builtin_bswap16(TYPE);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	return fd;
}

static void make_frame(uint32_t bytes, uint8_t seed)
{
	memset(frame, 0xff, 12);
	frame_put16(frame + 12, TYPE);
	for (uint32_t i = 14; i < bytes; i++)
		frame[i] = (uint8_t)(i * 3 + seed);
}

/* Until the frame has come through the kernel, which may take a moment. */
static bool receive(void)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	for (unsigned int i = 0; i < TRIES; i++) {
		nic_turn(&nic);
		while (nic_receive(&nic, 0, &got)) {
			if (frame_get16(got.data + 12) == TYPE)
				return true;
			nic_fill(&nic, 0, 1);
		}
		nanosleep(&pause, NULL);
	}
	return false;
}

static void exchange(void)
{
	static const uint32_t lengths[] = { 60, 61, 1000, 1514 };
	uint8_t back[2000];
	int far_end = open_far_end();

	nic_fill(&nic, 0, 40);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		make_frame(lengths[i], (uint8_t)i);
		assert_true(nic_send(&nic, frame, lengths[i], 0, 0));
		assert_int_equal(recv(far_end, back, sizeof(back), 0), lengths[i]);
		assert_memory_equal(back, frame, lengths[i]);
		make_frame(lengths[i], (uint8_t)(i + 10));
		assert_int_equal(send(far_end, frame, lengths[i], 0), lengths[i]);
		assert_true(receive());
		assert_int_equal(got.bytes, lengths[i]);
		assert_memory_equal(got.data, frame, lengths[i]);
	}
	/* One that no cable carries is as long as the shortest, at the end of it zeroes. */
	make_frame(20, 0);
	assert_int_equal(send(far_end, frame, 20, 0), 20);
	assert_true(receive());
	assert_int_equal(got.bytes, 60);
	assert_memory_equal(got.data, frame, 20);
	assert_int_equal(got.data[20] | got.data[59], 0);
	close(far_end);
}

static void test_by_name(void **state)
{
	struct sim_cable *cable;
	struct weir_error err;

	(void)state;
	if (sim_cable_tap(NAME, -1, &cable, &err))
		fail_msg("%s", err.text);
	nic_open(&nic, NULL, cable);
	nic_up(&nic);
	exchange();
	nic_close(&nic);
}

static int open_tap(int flags)
{
	struct ifreq request = { .ifr_flags = (short)flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	strcpy(request.ifr_name, NAME);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	return fd;
}

static void test_by_descriptor(void **state)
{
	static const int wrong[] = { IFF_TUN | IFF_NO_PI, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	struct sim_cable *cable;
	struct weir_error err;

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int fd = open_tap(wrong[i]);

		assert_int_equal(sim_cable_tap(NULL, fd, &cable, &err), -EINVAL);
		assert_non_null(strstr(err.text, "IFF_TAP is needed"));
		close(fd);
	}
	assert_int_equal(sim_cable_tap(NULL, open_tap(IFF_TAP | IFF_NO_PI), &cable, &err), 0);
	nic_open(&nic, NULL, cable);
	nic_up(&nic);
	exchange();
	nic_close(&nic);
}

/* A device that is down takes no frames; the controller goes on. */
static void test_down(void **state)
{
	struct sim_cable *cable;

	(void)state;
	assert_int_equal(sim_cable_tap(NAME, -1, &cable, NULL), 0);
	nic_open(&nic, NULL, cable);
	nic_up(&nic);
	make_frame(100, 0);
	assert_true(nic_send(&nic, frame, 100, 0, 0));
	exchange();
	nic_close(&nic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_by_descriptor),
		cmocka_unit_test(test_down),
	};

	return cmocka_run_group_tests_name("sim_igb_tap", tests, enter_namespace, NULL);
}
