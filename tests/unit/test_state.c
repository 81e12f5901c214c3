/* SPDX-License-Identifier: BSD-3-Clause */
/* States: what is put comes out in order, limits hold, damaged bytes are refused, no descriptor
 * leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/base.h"
#include "base/state.h"
#include "fd_count.h"

#define TYPE_A STATE_TYPE('T', 'S', 'T', 'A')
#define TYPE_B STATE_TYPE('T', 'S', 'T', 'B')

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

static struct weir_state *make_state(void)
{
	struct weir_state *state;

	assert_int_equal(weir_state_create(&state, NULL), 0);
	return state;
}

/* Two records: 5 bytes with two descriptors, none with none. */
static struct weir_state *make_sample(int fd)
{
	struct weir_state *state = make_state();
	const int fds[] = { fd, fd };

	assert_int_equal(weir_state_put(state, TYPE_A, 3, "abcd", 5, fds, 2, NULL), 0);
	assert_int_equal(weir_state_put(state, TYPE_B, 1, NULL, 0, NULL, 0, NULL), 0);
	return state;
}

static void test_order(void **unused)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *state = make_sample(fd);
	const void *payload;
	unsigned int nr_fds;
	size_t bytes;
	int fds[2];

	(void)unused;
	assert_int_equal(weir_state_bytes(state), 16 + 8 + 16);
	assert_int_equal(weir_state_nr_fds(state), 2);
	assert_int_equal(weir_state_take(state, TYPE_A, 3, &payload, &bytes, fds, 2, &nr_fds, NULL),
			 0);
	assert_int_equal(bytes, 5);
	assert_int_equal((uintptr_t)payload % 8, 0);
	assert_string_equal(payload, "abcd");
	assert_int_equal(nr_fds, 2);
	assert_int_not_equal(fds[0], fd);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(weir_state_nr_fds(state), 0);
	close(fds[0]);
	close(fds[1]);

	/* A record stays where it is while the state grows. */
	for (unsigned int i = 0; i < 1000; i++)
		assert_int_equal(weir_state_put(state, TYPE_A, 1, &i, sizeof(i), NULL, 0, NULL), 0);
	assert_string_equal(payload, "abcd");

	assert_int_equal(weir_state_take(state, TYPE_B, 1, &payload, &bytes, fds, 0, &nr_fds, NULL),
			 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(nr_fds, 0);
	for (unsigned int i = 0; i < 1000; i++) {
		assert_int_equal(
			weir_state_take(state, TYPE_A, 1, &payload, &bytes, fds, 0, &nr_fds, NULL),
			0);
		assert_memory_equal(payload, &i, sizeof(i));
	}
	assert_int_equal(weir_state_bytes(state), 0);
	assert_int_equal(weir_state_take(state, TYPE_A, 1, &payload, &bytes, fds, 2, &nr_fds, NULL),
			 -EINVAL);
	weir_state_destroy(state);
	close(fd);
}

/* A refused take leaves the record for another try. */
static void test_refused_take(void **unused)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *state = make_sample(fd);
	struct weir_error err = { 0 };
	const void *payload;
	unsigned int nr_fds;
	size_t bytes;
	int fds[2];

	(void)unused;
	assert_int_equal(weir_state_take(state, TYPE_B, 3, &payload, &bytes, fds, 2, &nr_fds, &err),
			 -EINVAL);
	assert_string_equal(err.text, "state: the next record is TSTA, not TSTB");
	assert_int_equal(weir_state_take(state, TYPE_A, 2, &payload, &bytes, fds, 2, &nr_fds, &err),
			 -EPROTONOSUPPORT);
	assert_int_equal(weir_state_take(state, TYPE_A, 3, &payload, &bytes, fds, 1, &nr_fds, &err),
			 -EINVAL);
	assert_int_equal(weir_state_nr_fds(state), 2);
	assert_int_equal(weir_state_take(state, TYPE_A, 3, &payload, &bytes, fds, 2, &nr_fds, &err),
			 0);
	close(fds[0]);
	close(fds[1]);
	weir_state_destroy(state);
	close(fd);
}

static void test_bytes_limit(void **unused)
{
	static char payload[WEIR_STATE_MAX_BYTES];
	struct weir_state *state = make_state();

	(void)unused;
	assert_int_equal(weir_state_put(state, TYPE_A, 1, payload, SIZE_MAX, NULL, 0, NULL),
			 -E2BIG);
	assert_int_equal(
		weir_state_put(state, TYPE_A, 1, payload, WEIR_STATE_MAX_BYTES - 15, NULL, 0, NULL),
		-E2BIG);
	assert_int_equal(weir_state_bytes(state), 0);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, payload, WEIR_STATE_MAX_BYTES - 16 - 24,
					NULL, 0, NULL),
			 0);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, payload, 9, NULL, 0, NULL), -E2BIG);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, payload, 7, NULL, 0, NULL), 0);
	assert_int_equal(weir_state_bytes(state), WEIR_STATE_MAX_BYTES);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, NULL, 0, NULL, 0, NULL), -E2BIG);
	weir_state_destroy(state);
}

static void test_fds_limit(void **unused)
{
	struct weir_state *state = make_state();
	struct rlimit old, limit;
	int fds[WEIR_STATE_MAX_FDS + 1];

	(void)unused;
	getrlimit(RLIMIT_NOFILE, &old);
	limit = (struct rlimit){ 4096, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = 0;
	assert_int_equal(
		weir_state_put(state, TYPE_A, 1, NULL, 0, fds, WEIR_STATE_MAX_FDS + 1, NULL),
		-E2BIG);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, NULL, 0, fds, UINT32_MAX, NULL), -E2BIG);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, NULL, 0, fds, WEIR_STATE_MAX_FDS, NULL),
			 0);
	assert_int_equal(weir_state_put(state, TYPE_A, 1, NULL, 0, fds, 1, NULL), -E2BIG);
	assert_int_equal(weir_state_nr_fds(state), WEIR_STATE_MAX_FDS);
	weir_state_destroy(state);
	setrlimit(RLIMIT_NOFILE, &old);
}

/* A descriptor that cannot be duplicated: nothing is added and nothing leaks. */
static void test_bad_fd(void **unused)
{
	struct weir_state *state = make_state();
	const int fds[] = { 0, 0, -1 };

	(void)unused;
	assert_int_equal(weir_state_put(state, TYPE_A, 1, "x", 1, fds, 3, NULL), -EBADF);
	assert_int_equal(weir_state_bytes(state), 0);
	assert_int_equal(weir_state_nr_fds(state), 0);
	weir_state_destroy(state);
}

static void test_raw(void **unused)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *state = make_sample(fd), *copy;
	const void *raw, *payload;
	unsigned int nr_fds;
	const int *raw_fds;
	size_t bytes;
	int fds[2];

	(void)unused;
	raw = weir_state_raw(state, &bytes, &raw_fds, &nr_fds);
	for (unsigned int i = 0; i < 2; i++)
		fds[i] = dup(raw_fds[i]);
	assert_int_equal(weir_state_from_raw(raw, bytes, fds, nr_fds, &copy, NULL), 0);
	weir_state_destroy(state);
	assert_int_equal(weir_state_nr_fds(copy), 2);
	assert_int_equal(weir_state_take(copy, TYPE_A, 3, &payload, &bytes, fds, 2, &nr_fds, NULL),
			 0);
	assert_string_equal(payload, "abcd");
	close(fds[0]);
	close(fds[1]);

	/* What is taken is not handed on. */
	weir_state_raw(copy, &bytes, &raw_fds, &nr_fds);
	assert_int_equal(bytes, 16);
	assert_int_equal(nr_fds, 0);
	weir_state_destroy(copy);
	close(fd);

	assert_int_equal(weir_state_from_raw(NULL, 0, NULL, 0, &copy, NULL), 0);
	weir_state_destroy(copy);
}

/* Takes whatever comes, to see that a state that was accepted can be walked. */
static void drain(struct weir_state *state)
{
	const void *payload;
	unsigned int nr_fds;
	struct state_record record;
	size_t bytes;
	const int *raw_fds;
	int fds[WEIR_STATE_MAX_FDS];

	while (weir_state_bytes(state)) {
		memcpy(&record, weir_state_raw(state, &bytes, &raw_fds, &nr_fds), sizeof(record));
		assert_int_equal(weir_state_take(state, record.type, record.version, &payload,
						 &bytes, fds, WEIR_STATE_MAX_FDS, &nr_fds, NULL),
				 0);
		while (nr_fds)
			close(fds[--nr_fds]);
	}
	assert_int_equal(weir_state_nr_fds(state), 0);
}

/* Every flip of a bit and every truncation of a state's bytes: refused, with the descriptors left
 * to the caller, or taken as the other records that they then are. */
static void test_damaged(void **unused)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct weir_state *sample = make_sample(fd), *state;
	unsigned char bytes[64];
	unsigned int nr_fds, refused = 0, walked = 0;
	const int *raw_fds;
	size_t size;
	const void *raw = weir_state_raw(sample, &size, &raw_fds, &nr_fds);

	(void)unused;
	assert_true(size <= sizeof(bytes));
	for (size_t bit = 0; bit < size * 8; bit++) {
		int fds[2] = { dup(fd), dup(fd) };

		memcpy(bytes, raw, size);
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		if (weir_state_from_raw(bytes, size, fds, 2, &state, NULL)) {
			refused++;
			close(fds[0]);
			close(fds[1]);
		} else {
			walked++;
			drain(state);
			weir_state_destroy(state);
		}
	}
	/* All of two lengths and two counts, less three lengths that round up to what 5 does and
	 * one that takes in the second record. Types, versions and payload are not for here. */
	assert_int_equal(refused, 4 * 32 - 4);
	assert_int_equal(walked, size * 8 - refused);
	/* After 24 bytes the first record, which has the descriptors, is whole. */
	for (size_t cut = 0; cut < size; cut++) {
		if (cut != 24)
			assert_int_equal(weir_state_from_raw(raw, cut, raw_fds, 2, &state, NULL),
					 -EPROTO);
	}
	weir_state_destroy(sample);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, count_fds, same_fds),
		cmocka_unit_test_setup_teardown(test_refused_take, count_fds, same_fds),
		cmocka_unit_test_setup_teardown(test_bytes_limit, count_fds, same_fds),
		cmocka_unit_test_setup_teardown(test_fds_limit, count_fds, same_fds),
		cmocka_unit_test_setup_teardown(test_bad_fd, count_fds, same_fds),
		cmocka_unit_test_setup_teardown(test_raw, count_fds, same_fds),
		cmocka_unit_test_setup_teardown(test_damaged, count_fds, same_fds),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
