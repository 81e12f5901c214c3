/* SPDX-License-Identifier: BSD-3-Clause */
/* Handing a state over: it arrives whole; peers that are slow, gone or lying harm nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/handoff.h>

#include "base/base.h"
#include "base/state.h"
#include "fd_count.h"

#define TYPE STATE_TYPE('T', 'E', 'S', 'T')
#define LONG_MS 20000

/* The frame that handoff.c describes, as a peer would write it. */
struct header {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes;
	uint32_t nr_fds;
	uint32_t reserved;
};

static const struct header good_header = { UINT64_C(0x444e414852494557), 1, 0, 0, 0 };

static unsigned int fds_before;
static struct rlimit nofile_before;

static int setup(void **state)
{
	struct rlimit limit;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &nofile_before);
	limit = (struct rlimit){ 8192, nofile_before.rlim_max };
	fds_before = fd_count();
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static int teardown(void **state)
{
	(void)state;
	setrlimit(RLIMIT_NOFILE, &nofile_before);
	return fd_count() == fds_before ? 0 : -1;
}

static void open_pair(int sockets[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
}

static void close_pair(int sockets[2])
{
	close(sockets[0]);
	close(sockets[1]);
}

/* `records` records with `nr_fds` descriptors each, all of them for one file, and `bytes` bytes. */
static struct weir_state *make_state(unsigned int records, size_t bytes, unsigned int nr_fds,
				     int fd)
{
	unsigned char *payload = malloc(bytes + 1);
	struct weir_state *state;
	int fds[WEIR_STATE_MAX_FDS];

	assert_non_null(payload);
	for (unsigned int i = 0; i < nr_fds; i++)
		fds[i] = fd;
	assert_int_equal(weir_state_create(&state, NULL), 0);
	for (unsigned int i = 0; i < records; i++) {
		memset(payload, (int)i, bytes);
		assert_int_equal(weir_state_put(state, TYPE, i, payload, bytes, fds, nr_fds, NULL),
				 0);
	}
	free(payload);
	return state;
}

static void check_fd(int fd, const struct stat *wanted)
{
	struct stat status;

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &status), 0);
	assert_true(status.st_ino == wanted->st_ino && status.st_dev == wanted->st_dev);
	close(fd);
}

static void check_state(struct weir_state *state, unsigned int records, size_t bytes,
			unsigned int nr_fds, int fd)
{
	int fds[WEIR_STATE_MAX_FDS];
	const unsigned char *payload;
	const void *taken;
	unsigned int nr_taken;
	struct stat wanted;
	size_t size;

	assert_int_equal(fstat(fd, &wanted), 0);
	for (unsigned int i = 0; i < records; i++) {
		assert_int_equal(weir_state_take(state, TYPE, i, &taken, &size, fds,
						 WEIR_STATE_MAX_FDS, &nr_taken, NULL),
				 0);
		payload = taken;
		assert_int_equal(size, bytes);
		assert_int_equal(nr_taken, nr_fds);
		for (size_t at = 0; at < bytes; at++)
			assert_int_equal(payload[at], (unsigned char)i);
		while (nr_taken)
			check_fd(fds[--nr_taken], &wanted);
	}
	assert_int_equal(weir_state_bytes(state), 0);
	assert_int_equal(weir_state_nr_fds(state), 0);
}

struct sender {
	int socket;
	const struct weir_state *state;
	int rc;
	struct weir_error err;
};

static void *send_state(void *arg)
{
	struct sender *sender = arg;

	sender->rc = weir_handoff_send(sender->socket, sender->state, LONG_MS, &sender->err);
	return NULL;
}

static void carry(unsigned int records, size_t bytes, unsigned int nr_fds)
{
	int fd = memfd_create("carried", MFD_CLOEXEC);
	struct weir_state *state = make_state(records, bytes, nr_fds, fd), *copy;
	struct sender sender = { .state = state };
	struct weir_error err = { 0 };
	pthread_t thread;
	int sockets[2];
	char after;
	int rc;

	open_pair(sockets);
	sender.socket = sockets[0];
	assert_int_equal(pthread_create(&thread, NULL, send_state, &sender), 0);
	rc = weir_handoff_receive(sockets[1], LONG_MS, &copy, &err);
	pthread_join(thread, NULL);
	assert_string_equal(err.text, "");
	assert_string_equal(sender.err.text, "");
	assert_int_equal(rc, 0);
	assert_int_equal(sender.rc, 0);
	assert_int_equal(weir_state_nr_fds(state), records * nr_fds);
	weir_state_destroy(state);

	/* What follows a state on the socket is not touched. */
	assert_int_equal(write(sockets[0], "!", 1), 1);
	assert_int_equal(read(sockets[1], &after, 1), 1);
	assert_int_equal(after, '!');

	check_state(copy, records, bytes, nr_fds, fd);
	weir_state_destroy(copy);
	close_pair(sockets);
	close(fd);
}

static void test_carries(void **state)
{
	(void)state;
	carry(0, 0, 0);
	carry(1, 0, 0);
	carry(3, 100, 2);
	carry(1, 1, 127);
	carry(1, 1, 128);
	carry(2, 7, 128);
	carry(1, 1, 129);
	carry(1, 0, WEIR_STATE_MAX_FDS);
	carry(1, WEIR_STATE_MAX_BYTES - 16, 0);
	carry(64, 16368, 16);
}

/* In another process the descriptors are as good as here. */
static void test_other_process(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *sent = make_state(1, 8, 1, fd), *got;
	eventfd_t value = 0;
	int sockets[2], status;
	pid_t child;

	(void)state;
	open_pair(sockets);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		const void *payload;
		unsigned int nr_fds;
		size_t bytes;
		int got_fd;

		close(fd);
		if (weir_handoff_receive(sockets[1], LONG_MS, &got, NULL) ||
		    weir_state_take(got, TYPE, 0, &payload, &bytes, &got_fd, 1, &nr_fds, NULL) ||
		    nr_fds != 1 || eventfd_write(got_fd, 42))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(weir_handoff_send(sockets[0], sent, LONG_MS, NULL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(eventfd_read(fd, &value), 0);
	assert_int_equal(value, 42);
	weir_state_destroy(sent);
	close_pair(sockets);
	close(fd);
}

static void test_timeouts(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *large = make_state(1, WEIR_STATE_MAX_BYTES - 16, 1, fd), *got;
	struct header header = good_header;
	struct weir_error err = { 0 };
	uint64_t begin = weir_now_ns();
	int sockets[2];

	(void)state;
	open_pair(sockets);
	assert_int_equal(weir_handoff_receive(sockets[1], 0, &got, &err), -ETIMEDOUT);
	assert_int_equal(weir_handoff_receive(sockets[1], 50, &got, &err), -ETIMEDOUT);
	assert_true(weir_now_ns() - begin >= 50000000);
	header.nr_fds = 1;
	assert_int_equal(write(sockets[0], &header, sizeof(header)), sizeof(header));
	assert_int_equal(weir_handoff_receive(sockets[1], 20, &got, &err), -ETIMEDOUT);
	/* Nobody reads: the socket's buffer is smaller than the state. */
	begin = weir_now_ns();
	assert_int_equal(weir_handoff_send(sockets[0], large, 50, &err), -ETIMEDOUT);
	assert_true(weir_now_ns() - begin >= 50000000);
	weir_state_destroy(large);
	close_pair(sockets);
	close(fd);
}

static void test_gone(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *sent = make_state(1, 4000, 3, fd), *got;
	struct weir_error err = { 0 };
	int sockets[2];

	(void)state;
	open_pair(sockets);
	close(sockets[1]);
	assert_int_equal(weir_handoff_send(sockets[0], sent, LONG_MS, &err), -EPIPE);
	assert_int_equal(weir_handoff_receive(sockets[0], LONG_MS, &got, &err), -ECONNRESET);
	close(sockets[0]);
	assert_int_equal(weir_handoff_send(sockets[0], sent, LONG_MS, &err), -EBADF);
	assert_int_equal(weir_handoff_receive(sockets[0], LONG_MS, &got, &err), -EBADF);
	weir_state_destroy(sent);
	close(fd);
}

/* Copies all that a sender wrote for a small state, and cuts it at every byte. */
static void test_truncated(void **state)
{
	struct weir_state *sent = make_state(2, 20, 0, -1), *got;
	unsigned char frame[256];
	int sockets[2];
	ssize_t size;

	(void)state;
	open_pair(sockets);
	assert_int_equal(weir_handoff_send(sockets[0], sent, LONG_MS, NULL), 0);
	size = read(sockets[1], frame, sizeof(frame));
	assert_int_equal(size, 24 + 2 * (16 + 24));
	close_pair(sockets);
	for (ssize_t cut = 0; cut < size; cut++) {
		open_pair(sockets);
		assert_int_equal(write(sockets[0], frame, (size_t)cut), cut);
		close(sockets[0]);
		assert_int_equal(weir_handoff_receive(sockets[1], LONG_MS, &got, NULL),
				 -ECONNRESET);
		close(sockets[1]);
	}
	weir_state_destroy(sent);
}

/* Sends bytes with copies of a descriptor, past all rules. */
static void send_raw(int socket, const void *data, size_t bytes, unsigned int nr_fds, int fd)
{
	union {
		char bytes[CMSG_SPACE(253 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec part = { (void *)(uintptr_t)data, bytes };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (nr_fds) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		for (unsigned int i = 0; i < nr_fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(socket, &message, 0), bytes);
}

static void assert_refused(int sockets[2], int code, const char *text)
{
	struct weir_error err = { 0 };
	struct weir_state *got;
	unsigned int before = fd_count();

	assert_int_equal(weir_handoff_receive(sockets[1], 200, &got, &err), code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_int_equal(fd_count(), before);
	close_pair(sockets);
}

static void refuse_header(struct header header, const char *text)
{
	int sockets[2];

	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 0, -1);
	assert_refused(sockets, -EPROTO, text);
}

static void test_bad_headers(void **state)
{
	struct header header = good_header;

	(void)state;
	header.magic++;
	refuse_header(header, "no state");
	header = good_header;
	header.version = 2;
	refuse_header(header, "version 2");
	header = good_header;
	header.bytes = WEIR_STATE_MAX_BYTES + 1;
	refuse_header(header, "1048577 bytes");
	header.bytes = UINT32_MAX;
	refuse_header(header, "4294967295 bytes");
	header = good_header;
	header.nr_fds = WEIR_STATE_MAX_FDS + 1;
	refuse_header(header, "1025 descriptors");
	header.nr_fds = UINT32_MAX;
	refuse_header(header, "4294967295 descriptors");
	header = good_header;
	header.reserved = 1;
	refuse_header(header, "no state");
}

/* Descriptors where none belong, too many, too few, at the wrong byte. */
static void test_bad_descriptors(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct header header = good_header;
	struct state_record record = { TYPE, 1, 0, 200 };
	int sockets[2];

	(void)state;
	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 253, fd);
	assert_refused(sockets, -EPROTO, "253 descriptors came where 0 belong");

	header.nr_fds = 200;
	header.bytes = sizeof(record);
	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 0, -1);
	send_raw(sockets[0], "", 1, 129, fd);
	assert_refused(sockets, -EPROTO, "129 descriptors came where 128 belong");

	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 0, -1);
	send_raw(sockets[0], "", 1, 128, fd);
	send_raw(sockets[0], "", 1, 71, fd);
	assert_refused(sockets, -EPROTO, "71 descriptors came where 72 belong");

	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 0, -1);
	send_raw(sockets[0], "", 1, 128, fd);
	send_raw(sockets[0], "", 1, 72, fd);
	send_raw(sockets[0], &record, sizeof(record), 1, fd);
	assert_refused(sockets, -EPROTO, "1 descriptors came where 0 belong");

	/* The frame is right, the records in it are not. */
	record.nr_fds = 199;
	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 0, -1);
	send_raw(sockets[0], "", 1, 128, fd);
	send_raw(sockets[0], "", 1, 72, fd);
	send_raw(sockets[0], &record, sizeof(record), 0, -1);
	assert_refused(sockets, -EPROTO, "1 descriptors belong to no record");

	/* All of the descriptors and then nothing. */
	open_pair(sockets);
	send_raw(sockets[0], &header, sizeof(header), 0, -1);
	send_raw(sockets[0], "", 1, 128, fd);
	send_raw(sockets[0], "", 1, 72, fd);
	assert_refused(sockets, -ETIMEDOUT, "in time");
	close(fd);
}

/* Our own limit of descriptors in the middle of a batch. */
static void test_no_room(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *sent;
	struct rlimit limit;
	int sockets[2];

	(void)state;
	open_pair(sockets);
	sent = make_state(1, 4, 100, fd);
	assert_int_equal(weir_handoff_send(sockets[0], sent, LONG_MS, NULL), 0);
	weir_state_destroy(sent);
	getrlimit(RLIMIT_NOFILE, &limit);
	/* Beyond what is open, and fd_count()'s own. */
	limit.rlim_cur = (rlim_t)sockets[1] + 20;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_refused(sockets, -EMFILE, "RLIMIT_NOFILE");
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_carries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timeouts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	return cmocka_run_group_tests_name("handoff", tests, NULL, NULL);
}
