/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user wire over a socket and in memory: framing, descriptors, time-outs, broken peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"
#include "device/vfio_user/wire.h"
#include "fd_count.h"

/* One body over both kinds: two ends, and how to put raw bytes on the way to `a`. */
struct ends {
	struct wire *a, *b;
	int raw; /* the peer's socket, when b is not a wire */
};

static unsigned int fds_before;

static int count_fds(void **state)
{
	(void)state;
	fds_before = fd_count();
	return 0;
}

static int same_fds(void **state)
{
	(void)state;
	return fd_count() == fds_before ? 0 : -1;
}

static struct ends open_ends(bool memory)
{
	struct ends ends = { .raw = -1 };
	int sockets[2];

	if (memory) {
		assert_int_equal(weir_wire_pair(&ends.a, &ends.b), 0);
		return ends;
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(weir_wire_from_socket(sockets[0], &ends.a), 0);
	assert_int_equal(weir_wire_from_socket(sockets[1], &ends.b), 0);
	return ends;
}

/* One wire and the bare socket of its peer. */
static struct ends open_raw(void)
{
	struct ends ends = { 0 };
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(weir_wire_from_socket(sockets[0], &ends.a), 0);
	ends.raw = sockets[1];
	return ends;
}

static void close_ends(struct ends *ends)
{
	weir_wire_close(ends->a);
	weir_wire_close(ends->b);
	if (ends->raw >= 0)
		close(ends->raw);
}

/* Sends bytes with nr_fds copies of one descriptor over a bare socket. */
static void send_raw(int fd, const void *bytes, size_t nr, unsigned int nr_fds)
{
	struct iovec part = { (void *)(uintptr_t)bytes, nr };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };

	if (nr_fds) {
		struct cmsghdr *c;
		int one = eventfd(0, 0);

		assert_true(one >= 0);
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		for (unsigned int i = 0; i < nr_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &one, sizeof(int));
		assert_int_equal(sendmsg(fd, &msg, 0), nr);
		close(one);
		return;
	}
	assert_int_equal(sendmsg(fd, &msg, 0), nr);
}

static void round_trip(bool memory)
{
	struct ends ends = open_ends(memory);
	struct vfio_user_header header = { .id = 7, .command = VFIO_USER_REGION_WRITE };
	const struct iovec parts[] = { { (char[]){ "abc" }, 3 },
				       { NULL, 0 },
				       { (char[]){ "defg" }, 4 } };
	struct wire_message message;
	uint64_t value = 0;
	int fd = eventfd(3, EFD_NONBLOCK);

	assert_int_equal(weir_wire_receive(ends.b, &message, 0, NULL), -EAGAIN);
	assert_int_equal(weir_wire_send(ends.a, &header, parts, 3, &fd, 1, 100, NULL), 0);
	close(fd);
	header.id = 8;
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, NULL, 0, 100, NULL), 0);

	assert_int_equal(weir_wire_receive(ends.b, &message, 100, NULL), 0);
	assert_int_equal(message.header.id, 7);
	assert_int_equal(message.header.bytes, 16 + 7);
	assert_int_equal(message.bytes, 7);
	assert_memory_equal(message.payload, "abcdefg", 7);
	assert_int_equal(message.nr_fds, 1);
	assert_int_equal(fcntl(message.fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(read(message.fds[0], &value, sizeof(value)), sizeof(value));
	assert_int_equal(value, 3);
	weir_wire_message_release(&message);
	weir_wire_message_release(&message);

	assert_int_equal(weir_wire_receive(ends.b, &message, 100, NULL), 0);
	assert_int_equal(message.header.id, 8);
	assert_int_equal(message.bytes, 0);
	assert_int_equal(message.nr_fds, 0);
	close_ends(&ends);
}

static void test_round_trip(void **state)
{
	(void)state;
	round_trip(false);
	round_trip(true);
}

/* A descriptor that the receiver keeps is not closed by the release. */
static void test_take_descriptor(void **state)
{
	struct ends ends = open_ends(true);
	struct vfio_user_header header = { 0 };
	int fds[2] = { eventfd(0, 0), eventfd(0, 0) };
	struct wire_message message;
	int kept;

	(void)state;
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, fds, 2, 100, NULL), 0);
	assert_int_equal(weir_wire_receive(ends.b, &message, 0, NULL), 0);
	kept = message.fds[0];
	message.fds[0] = -1;
	weir_wire_message_release(&message);
	assert_true(fcntl(kept, F_GETFD) >= 0);
	close(kept);
	close(fds[0]);
	close(fds[1]);
	close_ends(&ends);
}

/* What is queued or half assembled when an end closes does not leak; setup and teardown count. */
static void test_close_with_descriptors_queued(void **state)
{
	struct vfio_user_header header = { .bytes = 64 };
	int fd = eventfd(0, 0);
	struct wire_message message;
	struct ends ends;

	(void)state;
	ends = open_ends(true);
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, &fd, 1, 100, NULL), 0);
	close_ends(&ends);
	ends = open_raw();
	header.bytes = 64;
	send_raw(ends.raw, &header, sizeof(header), 3);
	assert_int_equal(weir_wire_receive(ends.a, &message, 0, NULL), -EAGAIN);
	close_ends(&ends);
	close(fd);
}

static void test_byte_by_byte(void **state)
{
	struct ends ends = open_raw();
	uint8_t bytes[16 + 5] = { 0 };
	struct vfio_user_header header = { .id = 3, .bytes = sizeof(bytes) };
	struct wire_message message;

	(void)state;
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + 16, "hello", 5);
	for (unsigned int i = 0; i < sizeof(bytes); i++) {
		assert_int_equal(weir_wire_receive(ends.a, &message, 0, NULL), -EAGAIN);
		send_raw(ends.raw, bytes + i, 1, i == 16);
	}
	assert_int_equal(weir_wire_receive(ends.a, &message, 0, NULL), 0);
	assert_memory_equal(message.payload, "hello", 5);
	assert_int_equal(message.nr_fds, 1);
	weir_wire_message_release(&message);
	close_ends(&ends);
}

/* What arrived before a time-out is kept, and the descriptors with it. */
static void test_time_out_keeps_part(void **state)
{
	struct ends ends = open_raw();
	struct vfio_user_header header = { .bytes = 20 };
	struct wire_message message;
	struct weir_error err;
	uint64_t start = weir_now_ns();
	int fd = -1;

	(void)state;
	assert_int_equal(weir_wire_receive(ends.a, &message, 20, &err), -ETIMEDOUT);
	assert_true(weir_now_ns() - start >= 20000000u);
	send_raw(ends.raw, &header, sizeof(header), 2);
	assert_int_equal(weir_wire_receive(ends.a, &message, 20, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "complete"));
	assert_int_equal(weir_wire_release_socket(ends.a, &fd), -EBUSY);
	send_raw(ends.raw, "1234", 4, 0);
	assert_int_equal(weir_wire_receive(ends.a, &message, 20, &err), 0);
	assert_int_equal(message.nr_fds, 2);
	weir_wire_message_release(&message);
	assert_int_equal(weir_wire_release_socket(ends.a, &fd), 0);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
	close(ends.raw);
}

static void impossible_size(bool memory, uint32_t bytes)
{
	struct ends ends = memory ? open_ends(true) : open_raw();
	struct vfio_user_header header = { .bytes = bytes };
	struct wire_message message;
	struct weir_error err;
	int fd = eventfd(0, 0);

	if (memory) {
		assert_int_equal(weir_wire_inject(ends.a, &header, sizeof(header), &fd, 1), 0);
	} else {
		send_raw(ends.raw, &header, sizeof(header), 1);
		close(fd);
	}
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, &err), -EPROTO);
	assert_int_equal(err.code, -EPROTO);
	assert_int_equal(message.nr_fds, 0);
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, &err), -EPROTO);
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, NULL, 0, 50, &err), -EPROTO);
	/* What it brought was closed, once: a descriptor of that number is somebody else's now. */
	fd = eventfd(0, 0);
	close_ends(&ends);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	close(fd);
}

static void test_impossible_size(void **state)
{
	(void)state;
	for (int memory = 0; memory < 2; memory++) {
		impossible_size(memory, 0);
		impossible_size(memory, 15);
		impossible_size(memory, WIRE_MAX_BYTES + 1);
		impossible_size(memory, UINT32_MAX);
	}
}

static void test_too_many_descriptors(void **state)
{
	struct vfio_user_header header = { .bytes = 16 };
	const struct vfio_user_header longer = { .bytes = 18 };
	struct wire_message message;
	struct ends ends;
	int fds[WIRE_MAX_FDS + 1];

	(void)state;
	ends = open_raw(); /* in one go: the kernel cuts the control message */
	send_raw(ends.raw, &header, sizeof(header), WIRE_MAX_FDS + 1);
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, NULL), -EPROTO);
	close_ends(&ends);

	ends = open_raw(); /* as many as allowed, and one more with a later byte */
	send_raw(ends.raw, &longer, sizeof(longer), WIRE_MAX_FDS);
	send_raw(ends.raw, "a", 1, 1);
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, NULL), -EPROTO);
	close_ends(&ends);

	ends = open_ends(true);
	for (int i = 0; i < WIRE_MAX_FDS + 1; i++)
		fds[i] = eventfd(0, 0);
	assert_int_equal(weir_wire_inject(ends.a, &header, sizeof(header), fds, WIRE_MAX_FDS + 1),
			 0);
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, NULL), -EPROTO);
	close_ends(&ends);

	ends = open_raw(); /* exactly the limit is fine */
	send_raw(ends.raw, &header, sizeof(header), WIRE_MAX_FDS);
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, NULL), 0);
	assert_int_equal(message.nr_fds, WIRE_MAX_FDS);
	weir_wire_message_release(&message);
	close_ends(&ends);
}

/* A process that may open no more descriptors loses none of those that it did get. */
static void test_no_descriptor_left(void **state)
{
	struct ends ends = open_raw();
	struct vfio_user_header header = { .bytes = 16 };
	struct rlimit old, tight;
	struct wire_message message;
	int ret, probe;

	(void)state;
	send_raw(ends.raw, &header, sizeof(header), 4);
	probe = dup(0);
	close(probe);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = (struct rlimit){ (rlim_t)probe + 2, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ret = weir_wire_receive(ends.a, &message, 50, NULL);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(ret, -EPROTO);
	close_ends(&ends);
}

static void test_peer_gone(void **state)
{
	struct vfio_user_header header = { .bytes = 32 };
	struct wire_message message;
	struct weir_error err;
	struct ends ends;

	(void)state;
	for (int memory = 0; memory < 2; memory++) {
		ends = open_ends(memory);
		assert_int_equal(weir_wire_send(ends.b, &header, NULL, 0, NULL, 0, 50, NULL), 0);
		weir_wire_close(ends.b);
		ends.b = NULL;
		assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, NULL, 0, 50, &err),
				 -EPIPE);
		/* What it said last still arrives. */
		assert_int_equal(weir_wire_receive(ends.a, &message, 50, NULL), 0);
		assert_int_equal(weir_wire_receive(ends.a, &message, 50, &err), -ECONNRESET);
		close_ends(&ends);
	}

	ends = open_raw();
	header.bytes = 32;
	send_raw(ends.raw, &header, sizeof(header), 1);
	close(ends.raw);
	ends.raw = -1;
	assert_int_equal(weir_wire_receive(ends.a, &message, 50, &err), -ECONNRESET);
	assert_non_null(strstr(err.text, "middle"));
	close_ends(&ends);
}

static void test_limits_of_send(void **state)
{
	struct ends ends = open_ends(true);
	struct vfio_user_header header = { 0 };
	char *big = calloc(1, WIRE_MAX_BYTES);
	struct iovec parts[WIRE_MAX_PARTS + 1] = { { big, WIRE_MAX_BYTES - 16 }, { big, 1 } };
	struct wire_message message;
	int fds[WIRE_MAX_FDS + 1] = { 0 };

	(void)state;
	assert_non_null(big);
	assert_int_equal(weir_wire_send(ends.a, &header, parts, 2, NULL, 0, 50, NULL), -EMSGSIZE);
	parts[1].iov_len = SIZE_MAX;
	assert_int_equal(weir_wire_send(ends.a, &header, parts, 2, NULL, 0, 50, NULL), -EMSGSIZE);
	assert_int_equal(
		weir_wire_send(ends.a, &header, parts, WIRE_MAX_PARTS + 1, NULL, 0, 50, NULL),
		-EMSGSIZE);
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, fds, WIRE_MAX_FDS + 1, 50, NULL),
			 -EMSGSIZE);
	assert_int_equal(weir_wire_send(ends.a, &header, parts, 1, NULL, 0, 50, NULL), 0);
	assert_int_equal(weir_wire_receive(ends.b, &message, 0, NULL), 0);
	assert_int_equal(message.bytes, WIRE_MAX_BYTES - 16);
	free(big);
	close_ends(&ends);
}

/* Nobody reads: the sender gives up, and the half message makes the wire useless. */
static void test_send_time_out(void **state)
{
	struct ends ends = open_raw();
	struct vfio_user_header header = { 0 };
	char *big = calloc(1, 1 << 20);
	struct iovec part = { big, 1 << 20 };
	struct weir_error err;
	int ret = 0;

	(void)state;
	assert_non_null(big);
	for (int i = 0; i < 8 && !ret; i++)
		ret = weir_wire_send(ends.a, &header, &part, 1, NULL, 0, 30, &err);
	assert_int_equal(ret, -ETIMEDOUT);
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, NULL, 0, 30, &err), -ETIMEDOUT);
	free(big);
	close_ends(&ends);
}

/* Sends more than a socket holds, and only then receives as much. */
static void *send_then_receive(void *wire)
{
	struct vfio_user_header header = { .id = 9 };
	char *big = calloc(1, 1 << 20);
	struct iovec part = { big, 1 << 20 };
	struct wire_message message;
	int ret = weir_wire_send(wire, &header, &part, 1, NULL, 0, 5000, NULL);

	if (!ret)
		ret = weir_wire_receive(wire, &message, 5000, NULL);
	if (!ret && message.bytes != 1 << 20)
		ret = -EBADMSG;
	free(big);
	return (void *)(intptr_t)ret;
}

static void test_both_send(void **state)
{
	struct ends ends = open_ends(false);
	pthread_t other;
	void *ret;

	(void)state;
	assert_int_equal(pthread_create(&other, NULL, send_then_receive, ends.b), 0);
	assert_ptr_equal(send_then_receive(ends.a), NULL);
	pthread_join(other, &ret);
	assert_ptr_equal(ret, NULL);
	close_ends(&ends);
}

struct answerer {
	struct wire *wire;
	unsigned int calls;
};

static void answer(void *ctx)
{
	struct answerer *answerer = ctx;
	struct wire_message message;

	answerer->calls++;
	if (weir_wire_receive(answerer->wire, &message, 0, NULL))
		return;
	message.header.flags = VFIO_USER_TYPE_REPLY;
	weir_wire_send(answerer->wire, &message.header, NULL, 0, NULL, 0, 0, NULL);
}

static void test_pump(void **state)
{
	struct ends ends = open_ends(true);
	struct answerer answerer = { .wire = ends.b };
	struct vfio_user_header header = { .id = 5 };
	struct wire_message message;

	(void)state;
	weir_wire_set_pump(ends.a, answer, &answerer);
	assert_int_equal(weir_wire_receive(ends.a, &message, 1000, NULL), -ETIMEDOUT);
	assert_int_equal(answerer.calls, 1);
	assert_int_equal(weir_wire_receive(ends.a, &message, 0, NULL), -EAGAIN);
	assert_int_equal(weir_wire_send(ends.a, &header, NULL, 0, NULL, 0, 0, NULL), 0);
	assert_int_equal(weir_wire_receive(ends.a, &message, 1000, NULL), 0);
	assert_int_equal(message.header.id, 5);
	assert_int_equal(message.header.flags, VFIO_USER_TYPE_REPLY);
	close_ends(&ends);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, count_fds, same_fds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_take_descriptor),
		TEST(test_close_with_descriptors_queued),
		TEST(test_byte_by_byte),
		TEST(test_time_out_keeps_part),
		TEST(test_impossible_size),
		TEST(test_too_many_descriptors),
		TEST(test_no_descriptor_left),
		TEST(test_peer_gone),
		TEST(test_limits_of_send),
		TEST(test_send_time_out),
		TEST(test_both_send),
		TEST(test_pump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
