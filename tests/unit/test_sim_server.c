/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a server on a socket: listening, one client at a time, faults on purpose, stopping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/base.h"
#include "fd_count.h"
#include "server/server.h"
#include "sim_client.h"
#include "sim_model.h"

struct fixture {
	struct sim_model model;
	char directory[64], path[96];
	unsigned int fds_before;
};

static struct fixture fixture;

static int open_with(const struct sim_server_options *options)
{
	memset(&fixture, 0, sizeof(fixture));
	fixture.fds_before = fd_count();
	strcpy(fixture.directory, "/tmp/weir-test-server-XXXXXX");
	if (!mkdtemp(fixture.directory))
		return -1;
	snprintf(fixture.path, sizeof(fixture.path), "%s/socket", fixture.directory);
	return sim_model_create(&fixture.model, options);
}

static int setup(void **state)
{
	(void)state;
	return open_with(NULL);
}

static int setup_listening(void **state)
{
	return setup(state) || sim_server_listen(fixture.model.server, fixture.path, NULL);
}

static int teardown(void **state)
{
	(void)state;
	sim_model_destroy(&fixture.model);
	unlink(fixture.path);
	return rmdir(fixture.directory) || fd_count() != fixture.fds_before;
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

/* Returns a connected socket or a negative errno. */
static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	assert_true(fd >= 0);
	memcpy(address.sun_path, path, strlen(path));
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void open_client(struct sim_client *client)
{
	int fd = dial(fixture.path);

	assert_true(fd >= 0);
	*client = (struct sim_client){ .server = fixture.model.server };
	assert_int_equal(weir_wire_from_socket(fd, &client->wire), 0);
}

/* What a dead server leaves behind. */
static void leave_stale_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	close(fd);
	assert_true(exists(path));
}

static void test_socket_mode(void **state)
{
	mode_t before = umask(0);
	struct stat st;

	(void)state;
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), 0);
	umask(before);
	assert_int_equal(stat(fixture.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), -EBUSY);
}

static void test_stale_socket_is_replaced(void **state)
{
	int fd;

	(void)state;
	leave_stale_socket(fixture.path);
	assert_int_equal(dial(fixture.path), -ECONNREFUSED);
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), 0);
	fd = dial(fixture.path);
	assert_true(fd >= 0);
	close(fd);
}

static void test_served_socket_stays(void **state)
{
	struct sim_model second;
	struct weir_error err;
	int fd;

	(void)state;
	assert_int_equal(sim_model_create(&second, NULL), 0);
	assert_int_equal(sim_server_listen(second.server, fixture.path, &err), -EADDRINUSE);
	assert_int_equal(err.code, -EADDRINUSE);
	assert_non_null(strstr(err.text, fixture.path));
	sim_model_destroy(&second);
	assert_true(exists(fixture.path));
	fd = dial(fixture.path);
	assert_true(fd >= 0);
	close(fd);
}

/* A server whose backlog is full is alive too. */
static void test_busy_socket_stays(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting;

	(void)state;
	memcpy(address.sun_path, fixture.path, strlen(fixture.path));
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 0), 0);
	waiting = dial(fixture.path);
	assert_true(waiting >= 0);
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), -EADDRINUSE);
	close(waiting);
	close(listening);
}

static void test_other_files_stay(void **state)
{
	char target[128];
	int fd;

	(void)state;
	fd = open(fixture.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), -EEXIST);
	assert_true(exists(fixture.path));
	unlink(fixture.path);

	/* A link is not followed, even to a stale socket. */
	snprintf(target, sizeof(target), "%s/target", fixture.directory);
	leave_stale_socket(target);
	assert_int_equal(symlink(target, fixture.path), 0);
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), -EEXIST);
	assert_true(exists(target));
	unlink(target);
}

static void test_bad_paths(void **state)
{
	char path[256];

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	memcpy(path, "/tmp/", 5);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(sim_server_listen(fixture.model.server, path, NULL), -ENAMETOOLONG);
	path[107] = 0; /* the longest that fits, with its NUL */
	assert_int_equal(sim_server_listen(fixture.model.server, path, NULL), 0);
	assert_true(exists(path));
	sim_server_destroy(fixture.model.server);
	assert_false(exists(path));
	close(fixture.model.bar0_fd);
	assert_int_equal(sim_model_create(&fixture.model, NULL), 0);
	assert_int_equal(sim_server_listen(fixture.model.server, "", NULL), -EINVAL);
	assert_int_equal(sim_server_listen(fixture.model.server, "/no/such/directory", NULL),
			 -ENOENT);
}

/* Only our own socket is removed at the end. */
static void test_replaced_socket_stays(void **state)
{
	(void)state;
	assert_int_equal(unlink(fixture.path), 0);
	leave_stale_socket(fixture.path);
	sim_server_destroy(fixture.model.server);
	fixture.model.server = NULL;
	assert_true(exists(fixture.path));
}

static void test_own_socket_goes(void **state)
{
	(void)state;
	assert_true(exists(fixture.path));
	sim_server_destroy(fixture.model.server);
	fixture.model.server = NULL;
	assert_false(exists(fixture.path));
}

/* Somebody else holds the lock of the directory. */
static void test_locked_directory(void **state)
{
	int lock = open(fixture.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct weir_error err;

	(void)state;
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, &err), -EBUSY);
	assert_false(exists(fixture.path));
	close(lock);
	assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), 0);
}

static void test_second_client_is_told(void **state)
{
	struct sim_client first, second;
	uint32_t id;

	(void)state;
	open_client(&first);
	assert_int_equal(sim_client_hello(&first, NULL), 0);
	open_client(&second);
	assert_int_equal(sim_client_hello(&second, NULL), -EBUSY);
	assert_int_equal(sim_client_receive(&second), -ECONNRESET);
	sim_client_close(&second);
	assert_int_equal(sim_client_read(&first, REGION_CONFIG, 0, &id, 4), 0);
	assert_int_equal(fixture.model.resets, 0);
	sim_client_close(&first);

	open_client(&second);
	assert_int_equal(sim_client_hello(&second, NULL), 0);
	sim_client_close(&second);
}

/* Connections that say nothing do not pile up, and disturb nobody. */
static void test_silent_connections(void **state)
{
	struct sim_client first;
	int silent[3 * MAX_TURNED_AWAY];
	unsigned int open_fds;
	uint32_t id;

	(void)state;
	open_client(&first);
	assert_int_equal(sim_client_hello(&first, NULL), 0);
	open_fds = fd_count();
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
		silent[i] = dial(fixture.path);
		assert_true(silent[i] >= 0);
		sim_server_turn(fixture.model.server);
		assert_int_equal(sim_client_read(&first, REGION_CONFIG, 0, &id, 4), 0);
	}
	assert_int_equal(fd_count(), open_fds + ARRAY_SIZE(silent) + MAX_TURNED_AWAY);
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		close(silent[i]);
	sim_server_turn(fixture.model.server);
	assert_int_equal(fd_count(), open_fds);
	sim_client_close(&first);
}

/* Who connects and says nothing does not keep the place. */
static void test_silent_client_loses_its_place(void **state)
{
	struct sim_server *server = fixture.model.server;
	struct sim_client client;
	int silent = dial(fixture.path), waiting;
	char byte;

	(void)state;
	assert_true(silent >= 0);
	sim_server_turn(server);
	assert_non_null(server->session.wire);
	waiting = dial(fixture.path);
	assert_true(waiting >= 0);
	sim_server_turn(server);
	server->session.hello_deadline = 0;
	for (int i = 0; i < MAX_TURNED_AWAY; i++)
		server->turned_away[i].deadline = 0;
	sim_server_turn(server);
	assert_int_equal(recv(silent, &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(waiting, &byte, 1, MSG_DONTWAIT), 0);
	close(silent);
	close(waiting);
	open_client(&client);
	assert_int_equal(sim_client_hello(&client, NULL), 0);
	sim_client_close(&client);
}

static void test_client_vanishes(void **state)
{
	struct sim_client client;
	struct vfio_user_header header = { .command = VFIO_USER_DEVICE_RESET, .bytes = 4096 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		open_client(&client);
		assert_int_equal(sim_client_hello(&client, NULL), 0);
		assert_int_equal(
			sim_client_map(&client, 0x1000, 0x1000, 0, 3, fixture.model.bar0_fd), 0);
		/* Half of a header, or half of a message. */
		assert_int_equal(send(weir_wire_fd(client.wire), &header, i ? 16 : 7, 0),
				 i ? 16 : 7);
		sim_server_turn(fixture.model.server);
		sim_client_close(&client);
		assert_int_equal(fixture.model.unmaps, i + 1);
		assert_int_equal(fixture.model.resets, i + 1);
	}
}

static void test_unplug(void **state)
{
	struct sim_client client;

	(void)state;
	open_client(&client);
	assert_int_equal(sim_client_hello(&client, NULL), 0);
	sim_server_unplug(fixture.model.server);
	assert_int_equal(sim_client_receive(&client), -ECONNRESET);
	assert_int_equal(dial(fixture.path), -ENOENT);
	sim_client_close(&client);
}

/* Two messages go well, the third does not. */
static void test_faults(void **state)
{
	static const struct {
		struct sim_server_options options;
		int expected;
	} rows[] = {
		{ { .fault_stall_after = 2 }, -EAGAIN },
		{ { .fault_close_after = 2 }, -ECONNRESET },
		{ { .fault_short_after = 2 }, -ECONNRESET },
		{ { .fault_oversize_after = 2 }, -EPROTO },
		{ { .fault_wrong_id_after = 2 }, -EBADMSG },
		{ { .fault_error_after = 2 }, -EIO },
	};
	struct vfio_user_device_info info = { .argsz = sizeof(info) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sim_client client;

		assert_int_equal(open_with(&rows[i].options), 0);
		assert_int_equal(sim_server_listen(fixture.model.server, fixture.path, NULL), 0);
		open_client(&client);
		assert_int_equal(sim_client_hello(&client, NULL), 0);
		assert_int_equal(
			sim_client_call(&client, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)),
			0);
		assert_int_equal(
			sim_client_call(&client, VFIO_USER_DEVICE_GET_INFO, &info, sizeof(info)),
			rows[i].expected);
		sim_client_close(&client);
		assert_int_equal(teardown(NULL), 0);
	}
}

static struct sim_server *to_stop;

static void stop_from_signal(int number)
{
	(void)number;
	sim_server_stop(to_stop);
}

static void *serve(void *ctx)
{
	(void)ctx;
	return sim_server_run(fixture.model.server, NULL) ? &fixture : NULL;
}

/* The server in a thread of its own: the client only talks to its socket. */
static void test_run_and_stop(void **state)
{
	struct sigaction action = { .sa_handler = stop_from_signal }, before;
	struct vfio_user_version version = { .major = 0, .minor = 1 };
	struct iovec part = { .iov_base = &version, .iov_len = sizeof(version) };
	struct vfio_user_header header = { .id = 7, .command = VFIO_USER_VERSION };
	struct wire_message reply;
	struct wire *wire;
	pthread_t thread;
	void *result;

	(void)state;
	to_stop = fixture.model.server;
	assert_int_equal(sigaction(SIGTERM, &action, &before), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	assert_int_equal(weir_wire_from_socket(dial(fixture.path), &wire), 0);
	assert_int_equal(weir_wire_send(wire, &header, &part, 1, NULL, 0, 5000, NULL), 0);
	assert_int_equal(weir_wire_receive(wire, &reply, 5000, NULL), 0);
	assert_int_equal(reply.header.id, 7);
	assert_int_equal(reply.header.flags, VFIO_USER_TYPE_REPLY);
	weir_wire_message_release(&reply);
	/* Long enough to sleep; then a message still gets its answer. */
	usleep(20000);
	header.command = 99;
	assert_int_equal(weir_wire_send(wire, &header, NULL, 0, NULL, 0, 5000, NULL), 0);
	assert_int_equal(weir_wire_receive(wire, &reply, 5000, NULL), 0);
	assert_int_equal(reply.header.error, EOPNOTSUPP);
	weir_wire_message_release(&reply);
	assert_int_equal(pthread_kill(thread, SIGTERM), 0);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	assert_true(fixture.model.polls > 1);
	assert_int_equal(sigaction(SIGTERM, &before, NULL), 0);
	weir_wire_close(wire);
}

/* Processor time of the server's thread while nothing happens, in parts of a thousand. */
static unsigned int idle_load(void)
{
	struct timespec spent;
	pthread_t thread;
	clockid_t clock;
	uint64_t before, start;

	assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
	assert_int_equal(pthread_getcpuclockid(thread, &clock), 0);
	usleep(50000);
	clock_gettime(clock, &spent);
	before = (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec;
	start = weir_now_ns();
	usleep(400000);
	clock_gettime(clock, &spent);
	before = (uint64_t)spent.tv_sec * 1000000000 + (uint64_t)spent.tv_nsec - before;
	start = weir_now_ns() - start;
	sim_server_stop(fixture.model.server);
	pthread_join(thread, NULL);
	return (unsigned int)(before * 1000 / start);
}

static void test_idle_server_sleeps(void **state)
{
	struct sim_client client;

	(void)state;
	open_client(&client);
	assert_int_equal(sim_client_hello(&client, NULL), 0);
	assert_true(idle_load() < 200);
	sim_client_close(&client);
}

static int work_slowly(struct sim_model *model)
{
	usleep(1000);
	model->on_poll = work_slowly;
	sim_server_stop(model->server);
	return 0;
}

/* Polls that took no time when there was nothing to do: when there is, messages and the stop are
 * looked at nevertheless. Alone, and together with another. */
static void test_slow_polls(void **state)
{
	struct sim_client client, in_memory;
	struct sim_server *servers[2];
	struct sim_model other;

	(void)state;
	for (unsigned int nr = 1; nr <= 2; nr++) {
		assert_int_equal(setup_listening(NULL), 0);
		assert_int_equal(sim_model_create(&other, NULL), 0);
		assert_int_equal(sim_client_open(&in_memory, other.server), 0);
		open_client(&client);
		assert_int_equal(sim_client_hello(&client, NULL), 0);
		servers[0] = fixture.model.server;
		servers[1] = other.server;
		fixture.model.polls = 0;
		fixture.model.on_poll = work_slowly;
		servers[0]->polls = servers[1]->polls = 4096;
		assert_int_equal(sim_servers_run(servers, nr, NULL), 0);
		assert_true(fixture.model.polls > 0 && fixture.model.polls < 100);
		sim_client_close(&in_memory);
		sim_client_close(&client);
		sim_model_destroy(&other);
		assert_int_equal(teardown(NULL), 0);
	}
}

static void test_run_without_anything_to_serve(void **state)
{
	(void)state;
	assert_int_equal(sim_server_run(fixture.model.server, NULL), -EINVAL);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define LISTENING(test) cmocka_unit_test_setup_teardown(test, setup_listening, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_socket_mode),
		TEST(test_stale_socket_is_replaced),
		LISTENING(test_served_socket_stays),
		TEST(test_busy_socket_stays),
		TEST(test_other_files_stay),
		TEST(test_bad_paths),
		LISTENING(test_replaced_socket_stays),
		LISTENING(test_own_socket_goes),
		TEST(test_locked_directory),
		LISTENING(test_second_client_is_told),
		LISTENING(test_silent_connections),
		LISTENING(test_silent_client_loses_its_place),
		LISTENING(test_client_vanishes),
		LISTENING(test_unplug),
		cmocka_unit_test(test_faults),
		LISTENING(test_run_and_stop),
		LISTENING(test_idle_server_sleeps),
		cmocka_unit_test(test_slow_polls),
		TEST(test_run_without_anything_to_serve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
