/* SPDX-License-Identifier: BSD-3-Clause */
/* An owner that sleeps: armed queue pairs wake it, masked ones do not. */
#include <errno.h>
#include <poll.h>

#include "nvme_test.h"

#define ROUNDS 100
#define WAKE_MS 10000
#define QUIET_MS 30

static bool readable(int fd, int ms)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, ms) == 1 && (ready.revents & POLLIN);
}

/* As readable(), for something that comes: the device is served meanwhile. */
static bool woken(struct nvme_test *t, int fd)
{
	for (unsigned int ms = 0; ms < WAKE_MS; ms++) {
		if (readable(fd, 1))
			return true;
		nvme_test_idle(t);
	}
	return false;
}

static unsigned int poll_all(struct weir_nvme_qp *qp)
{
	struct weir_nvme_done done[8];
	unsigned int total = 0;
	int n;

	while ((n = weir_nvme_poll(qp, done, 8)) > 0) {
		for (int i = 0; i < n; i++)
			assert_true(weir_nvme_ok(&done[i]));
		total += (unsigned int)n;
	}
	assert_int_equal(n, 0);
	return total;
}

/* Waits without sleeping on the interrupt. */
static void wait_idle(struct nvme_test *t, struct weir_nvme_qp *qp)
{
	while (weir_nvme_qp_inflight(qp)) {
		if (!poll_all(qp))
			nvme_test_idle(t);
	}
}

static void submit(struct nvme_test *t, struct weir_nvme_qp *qp, unsigned int n)
{
	struct weir_nvme_io io = { .opcode = WEIR_NVME_FLUSH };

	for (unsigned int i = 0; i < n; i++)
		assert_int_equal(weir_nvme_submit(qp, t->ns, &io, 1), 1);
}

/* Arm, look once more, sleep: as the header says. */
static void sleep_until_done(struct nvme_test *t, struct weir_nvme_qp *qp)
{
	while (weir_nvme_qp_inflight(qp)) {
		assert_int_equal(weir_nvme_qp_arm(qp), 0);
		if (!poll_all(qp))
			assert_true(woken(t, weir_nvme_qp_fd(qp)));
		assert_int_equal(weir_nvme_qp_disarm(qp), 0);
		poll_all(qp);
	}
}

static void test_wake(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 0);
	unsigned int depth = weir_nvme_qp_depth(qp);

	if (!t->options.interrupts) {
		assert_int_equal(weir_nvme_qp_fd(qp), -1);
		assert_int_equal(weir_nvme_qp_arm(qp), -EOPNOTSUPP);
		assert_int_equal(weir_nvme_qp_disarm(qp), -EOPNOTSUPP);
	}
	for (unsigned int i = 0; t->options.interrupts && i < ROUNDS; i++) {
		submit(t, qp, 1 + i % (depth < 9 ? depth : 9));
		sleep_until_done(t, qp);
	}
	weir_nvme_qp_destroy(qp);
}

static void test_masked(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);

	for (unsigned int i = 0; t->options.interrupts && i < 3; i++) {
		/* never armed, and disarmed again: what was on its way then may still come */
		assert_int_equal(weir_nvme_qp_disarm(qp), 0);
		readable(weir_nvme_qp_fd(qp), QUIET_MS);
		assert_int_equal(weir_nvme_qp_disarm(qp), 0);
		submit(t, qp, 1);
		wait_idle(t, qp);
		assert_false(readable(weir_nvme_qp_fd(qp), QUIET_MS));
		/* one that was completed while masked wakes when it is armed, or was seen */
		submit(t, qp, 1);
		assert_false(readable(weir_nvme_qp_fd(qp), QUIET_MS));
		sleep_until_done(t, qp);
		assert_int_equal(weir_nvme_qp_arm(qp), 0);
		submit(t, qp, 1);
		assert_true(woken(t, weir_nvme_qp_fd(qp)));
		wait_idle(t, qp);
	}
	weir_nvme_qp_destroy(qp);
}

/* Each queue pair's interrupt is its own. */
static void test_two_queues(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *one, *two;

	if (!t->options.interrupts || t->info.queues < 3)
		return;
	one = nvme_test_qp(t, 1); /* its vector may be the admin queue's too */
	two = nvme_test_qp(t, 1);
	assert_int_not_equal(weir_nvme_qp_fd(one), weir_nvme_qp_fd(two));
	/* What the vector's last user left pending comes now. */
	assert_int_equal(weir_nvme_qp_arm(two), 0);
	assert_int_equal(weir_nvme_qp_disarm(two), 0);
	assert_int_equal(weir_nvme_qp_arm(two), 0);
	submit(t, one, 1);
	wait_idle(t, one);
	assert_false(readable(weir_nvme_qp_fd(two), QUIET_MS));
	submit(t, two, 1);
	assert_true(woken(t, weir_nvme_qp_fd(two)));
	wait_idle(t, two);
	weir_nvme_qp_destroy(two);
	weir_nvme_qp_destroy(one);
}

const struct CMUnitTest nvme_test_interrupts[] = {
	cmocka_unit_test(test_wake),
	cmocka_unit_test(test_masked),
	cmocka_unit_test(test_two_queues),
	{ 0 },
};
