/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fault guard: memory that goes away reads all ones, and every other SIGBUS takes its old way.
 *
 * Each case runs in a child of its own, because the guard stays in a process for good and because
 * some cases end it. A child exits with 0, or with 1 after it said which check failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/fault_guard.h>

#include "memory/fault_guard.h"

#define PAGE 4096u
#define CHUNK ((size_t)2 << 20)
/* Two chunks of ones and part of a third. */
#define BYTES (2 * CHUNK + 5 * PAGE)

#define check(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

/* Runs a body in a child; returns what waitpid() says of it. */
static int run(void (*body)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		alarm(20);
		signal(SIGBUS, SIG_DFL);
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void assert_passes(void (*body)(void))
{
	int status = run(body);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_killed(void (*body)(void))
{
	int status = run(body);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

/* A shared mapping of a file that has been truncated under it. */
static volatile uint8_t *map_gone(size_t bytes, int prot)
{
	int fd = memfd_create("gone", MFD_CLOEXEC);
	void *base;

	check(fd >= 0 && !ftruncate(fd, (off_t)bytes));
	base = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	check(base != MAP_FAILED);
	check(!ftruncate(fd, 0));
	close(fd);
	return base;
}

static void guard_whole_range(void)
{
	volatile uint8_t *base = map_gone(BYTES, PROT_READ | PROT_WRITE);
	_Atomic int gone = 0;

	check(!weir_fault_guard_enable(NULL));
	check(!weir_fault_guard_add((void *)base, BYTES, &gone, -1));
	check(!gone);
	check(base[BYTES - 1] == 0xff);
	check(gone == 1);
	for (size_t at = 0; at < BYTES; at += PAGE)
		check(base[at] == 0xff && base[at + PAGE - 1] == 0xff);
	base[CHUNK + 7] = 1; /* goes nowhere, hurts nobody */
	weir_fault_guard_remove((void *)base, BYTES);
	check(!munmap((void *)base, BYTES));
}

static void test_whole_range(void **state)
{
	(void)state;
	assert_passes(guard_whole_range);
}

/* Writes fault as reads do, and a read-only mapping is guarded too; enabling may come last. */
static void guard_first_write(void)
{
	volatile uint8_t *base = map_gone(PAGE, PROT_READ | PROT_WRITE);
	volatile uint8_t *readable = map_gone(PAGE, PROT_READ);
	_Atomic int gone = 0, other = 0;

	check(!weir_fault_guard_add((void *)base, PAGE, &gone, -1));
	check(!weir_fault_guard_add((void *)readable, PAGE, &other, -1));
	check(!weir_fault_guard_enable(NULL));
	check(!weir_fault_guard_enable(NULL));
	base[3] = 1;
	check(gone == 1 && other == 0);
	check(base[4] == 0xff);
	check(readable[0] == 0xff && other == 1);
}

static void test_first_write(void **state)
{
	(void)state;
	assert_passes(guard_first_write);
}

/* What lies right beside a guarded range is not touched. */
static void guard_neighbours(void)
{
	uint8_t *area = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);
	volatile uint8_t *gone_page = map_gone(PAGE, PROT_READ);
	_Atomic int gone = 0;

	check(area != MAP_FAILED);
	area[PAGE - 1] = 0x5a;
	area[2 * PAGE] = 0xa5;
	check(mremap((void *)gone_page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area + PAGE) !=
	      MAP_FAILED);
	check(!weir_fault_guard_add(area + PAGE, PAGE - 1, &gone,
				    -1)); /* a part of a page is the page */
	check(!weir_fault_guard_enable(NULL));
	check(((volatile uint8_t *)area)[2 * PAGE - 1] == 0xff);
	check(area[PAGE - 1] == 0x5a && area[2 * PAGE] == 0xa5);
}

static void test_neighbours(void **state)
{
	(void)state;
	assert_passes(guard_neighbours);
}

static void touch_unguarded(void)
{
	volatile uint8_t *base = map_gone(PAGE, PROT_READ);

	check(!weir_fault_guard_enable(NULL));
	check(base[0] == 0); /* not reached */
}

static void touch_removed(void)
{
	volatile uint8_t *base = map_gone(PAGE, PROT_READ);
	_Atomic int gone = 0;

	check(!weir_fault_guard_enable(NULL));
	check(!weir_fault_guard_add((void *)base, PAGE, &gone, -1));
	weir_fault_guard_remove((void *)base, PAGE);
	check(base[0] == 0); /* not reached */
}

static void send_default(void)
{
	check(!weir_fault_guard_enable(NULL));
	raise(SIGBUS);
	check(false);
}

/* Without a handler before ours, a SIGBUS that is not ours kills, whether it is a fault or sent. */
static void test_chain_default(void **state)
{
	(void)state;
	assert_killed(touch_unguarded);
	assert_killed(touch_removed);
	assert_killed(send_default);
}

static void ignore_sent(void)
{
	signal(SIGBUS, SIG_IGN);
	check(!weir_fault_guard_enable(NULL));
	raise(SIGBUS);
	raise(SIGBUS);
}

static void ignore_fault(void)
{
	signal(SIGBUS, SIG_IGN);
	touch_unguarded();
}

static void test_chain_ignored(void **state)
{
	(void)state;
	assert_passes(ignore_sent);
	assert_killed(ignore_fault);
}

static sigjmp_buf after_fault;
static volatile sig_atomic_t seen_signal;
static void *volatile seen_address;
static volatile sig_atomic_t seen_usr1_blocked;

static void old_siginfo(int signal_number, siginfo_t *info, void *context)
{
	sigset_t blocked;

	(void)context;
	seen_signal = signal_number;
	seen_address = info->si_addr;
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	seen_usr1_blocked = sigismember(&blocked, SIGUSR1);
	siglongjmp(after_fault, 1);
}

/* The handler before ours gets the address and its own mask, and may leave with a jump; the guard
 * still works afterwards. */
static void chain_siginfo(void)
{
	struct sigaction action = { .sa_sigaction = old_siginfo, .sa_flags = SA_SIGINFO };
	volatile uint8_t *stranger = map_gone(PAGE, PROT_READ);
	volatile uint8_t *base = map_gone(PAGE, PROT_READ);
	_Atomic int gone = 0;

	sigaddset(&action.sa_mask, SIGUSR1);
	check(!sigaction(SIGBUS, &action, NULL));
	check(!weir_fault_guard_enable(NULL));
	check(!weir_fault_guard_add((void *)base, PAGE, &gone, -1));
	for (unsigned int i = 0; i < 2; i++) {
		seen_signal = 0;
		if (!sigsetjmp(after_fault, 1))
			check(stranger[5] == 0);
		check(seen_signal == SIGBUS && seen_address == (void *)(stranger + 5));
		check(seen_usr1_blocked == 1);
	}
	check(!gone);
	check(base[0] == 0xff && gone == 1);
}

static void old_plain(int signal_number)
{
	seen_signal = signal_number;
}

static void chain_plain(void)
{
	signal(SIGBUS, old_plain);
	check(!weir_fault_guard_enable(NULL));
	raise(SIGBUS);
	check(seen_signal == SIGBUS);
}

static void chain_once(void)
{
	struct sigaction action = { .sa_handler = old_plain, .sa_flags = SA_RESETHAND };

	check(!sigaction(SIGBUS, &action, NULL));
	check(!weir_fault_guard_enable(NULL));
	raise(SIGBUS);
	check(seen_signal == SIGBUS);
	raise(SIGBUS);
	check(false);
}

static void test_chain_handler(void **state)
{
	(void)state;
	assert_passes(chain_siginfo);
	assert_passes(chain_plain);
	assert_killed(chain_once);
}

/* Twice what a vfio-user server of ours maps for its client. */
#define MANY 32768u

static void guard_many(void)
{
	static _Atomic int gone[MANY];
	uint8_t *base = (uint8_t *)map_gone(MANY * (size_t)PAGE, PROT_READ);
	const unsigned int some[] = { 0, 1, 4095, 4096, 16384, MANY - 1 };

	check(!weir_fault_guard_enable(NULL));
	check(weir_fault_guard_add(base, 0, &gone[0], -1) == -EINVAL);
	check(weir_fault_guard_add(base + 1, PAGE, &gone[0], -1) == -EINVAL);
	weir_fault_guard_remove(base, PAGE); /* was not added */
	for (unsigned int i = 0; i < MANY; i++)
		check(!weir_fault_guard_add(base + i * PAGE, PAGE, &gone[i], -1));
	/* Places are used again. */
	for (unsigned int i = 0; i < MANY; i += 2)
		weir_fault_guard_remove(base + i * PAGE, PAGE);
	for (unsigned int i = 0; i < MANY; i += 2)
		check(!weir_fault_guard_add(base + i * PAGE, PAGE, &gone[i], -1));
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
		check(((volatile uint8_t *)base)[some[i] * PAGE] == 0xff);
	for (unsigned int i = 0, n = 0; i < MANY; i++) {
		check(gone[i] == (i == some[n]));
		n += gone[i];
	}
	for (unsigned int i = 0; i < MANY; i++)
		weir_fault_guard_remove(base + i * PAGE, PAGE);
}

static void test_many(void **state)
{
	(void)state;
	assert_passes(guard_many);
}

struct shared_range {
	volatile uint8_t *base;
	_Atomic int gone;
};

static void *sweep(void *arg)
{
	struct shared_range *range = arg;

	for (size_t at = 0; at < BYTES; at += PAGE / 2)
		check(range->base[at] == 0xff);
	return NULL;
}

static void fault_together(void)
{
	pthread_t threads[4];

	check(!weir_fault_guard_enable(NULL));
	for (unsigned int round = 0; round < 50; round++) {
		struct shared_range range = { map_gone(BYTES, PROT_READ), 0 };

		check(!weir_fault_guard_add((void *)range.base, BYTES, &range.gone, -1));
		for (unsigned int i = 0; i < 4; i++)
			check(!pthread_create(&threads[i], NULL, sweep, &range));
		for (unsigned int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		check(range.gone == 1);
		weir_fault_guard_remove((void *)range.base, BYTES);
		munmap((void *)range.base, BYTES);
	}
}

/* Adds, faults in and removes ranges of its own; `gone` is freed at once, so that a handler that
 * came late would be noticed by AddressSanitizer. */
static void *churn(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 500; i++) {
		_Atomic int *gone = calloc(1, sizeof(*gone));
		volatile uint8_t *base = map_gone(PAGE, PROT_READ);

		check(!weir_fault_guard_add((void *)base, PAGE, gone, -1));
		check(base[0] == 0xff && *gone == 1);
		weir_fault_guard_remove((void *)base, PAGE);
		munmap((void *)base, PAGE);
		free((void *)gone);
	}
	return NULL;
}

static void churn_together(void)
{
	pthread_t threads[4];

	check(!weir_fault_guard_enable(NULL));
	for (unsigned int i = 0; i < 4; i++)
		check(!pthread_create(&threads[i], NULL, churn, NULL));
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void test_threads(void **state)
{
	(void)state;
	assert_passes(fault_together);
	assert_passes(churn_together);
}

/* Huge pages cannot be replaced piece by piece: the whole range has to go first. */
static void guard_huge_pages(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | 21 << MAP_HUGE_SHIFT);
	volatile uint8_t *base;
	_Atomic int gone = 0;

	if (fd < 0 || ftruncate(fd, 2 * CHUNK))
		_exit(77);
	base = mmap(NULL, 2 * CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		_exit(77);
	check(!ftruncate(fd, 0));
	check(!weir_fault_guard_enable(NULL));
	check(!weir_fault_guard_add((void *)base, 2 * CHUNK, &gone, -1));
	check(base[2 * CHUNK - 1] == 0xff && gone == 1 && base[0] == 0xff);
}

static void test_huge_pages(void **state)
{
	int status = run(guard_huge_pages);

	(void)state;
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message(
			"skipped: no two free 2 MiB pages (hugeadm --pool-pages-min 2MB:+2)\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_range),   cmocka_unit_test(test_first_write),
		cmocka_unit_test(test_neighbours),    cmocka_unit_test(test_chain_default),
		cmocka_unit_test(test_chain_ignored), cmocka_unit_test(test_chain_handler),
		cmocka_unit_test(test_many),	      cmocka_unit_test(test_threads),
		cmocka_unit_test(test_huge_pages),
	};

	return cmocka_run_group_tests_name("fault_guard", tests, NULL, NULL);
}
