/* SPDX-License-Identifier: BSD-3-Clause */
#include "stepper.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child is a fork: addresses are the same in both. */
struct tracer {
	pid_t pid;
	uintptr_t functions[STEPPER_FUNCTIONS];
	struct stepper_count *count; /* where the stretch under way is counted */
};

static __attribute__((noinline)) void trap(volatile struct stepper_count *count)
{
	/* The tracer takes the argument from rdi. */
	__asm__ volatile("int3" : : "D"(count) : "memory");
}

void stepper_begin(struct stepper_count *count)
{
	if (count)
		trap(count);
}

/* The tracer stops counting when it sees this address. */
__attribute__((noinline)) void stepper_end(void)
{
	__asm__ volatile("" ::: "memory");
}

static uintptr_t peek_register(const struct tracer *t, size_t offset)
{
	return (uintptr_t)ptrace(PTRACE_PEEKUSER, t->pid, offset, NULL);
}

static uintptr_t program_counter(const struct tracer *t)
{
	return peek_register(t, offsetof(struct user_regs_struct, rip));
}

/* One instruction. False when the child is gone or got a signal. */
static int step(const struct tracer *t)
{
	int status;

	return !ptrace(PTRACE_SINGLESTEP, t->pid, NULL, NULL) &&
	       waitpid(t->pid, &status, 0) == t->pid && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTRAP;
}

/* Steps to the end of a function at whose first instruction the child is. */
static int count_call(const struct tracer *t, unsigned int function)
{
	uintptr_t stack = peek_register(t, offsetof(struct user_regs_struct, rsp));
	uintptr_t back = (uintptr_t)ptrace(PTRACE_PEEKDATA, t->pid, stack, NULL);

	t->count->calls[function]++;
	do {
		if (!step(t))
			return 0;
		t->count->instructions[function]++;
	} while (program_counter(t) != back);
	return 1;
}

static int count_stretch(const struct tracer *t)
{
	uintptr_t at;
	unsigned int i;

	while ((at = program_counter(t)) != (uintptr_t)stepper_end) {
		for (i = 0; i < STEPPER_FUNCTIONS && at != t->functions[i]; i++)
			;
		if (!(i < STEPPER_FUNCTIONS ? count_call(t, i) : step(t)))
			return 0;
	}
	return 1;
}

static int follow(struct tracer *t)
{
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_CONT, t->pid, NULL, signal) ||
		    waitpid(t->pid, &status, 0) != t->pid)
			return -errno;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return -EINTR;
		signal = WSTOPSIG(status);
		if (signal != SIGTRAP)
			continue;
		signal = 0;
		t->count = (struct stepper_count *)peek_register(
			t, offsetof(struct user_regs_struct, rdi));
		if (!count_stretch(t))
			return -EIO;
	}
}

/* A step is two switches between the processes: they are cheapest on one core. */
static void share_core(cpu_set_t *before)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_getaffinity(0, sizeof(*before), before);
	sched_setaffinity(0, sizeof(one), &one);
}

int stepper_run(const char *const names[STEPPER_FUNCTIONS], int (*work)(void *ctx), void *ctx)
{
	struct tracer t = { 0 };
	cpu_set_t before;
	int status, rc;

	for (unsigned int i = 0; i < STEPPER_FUNCTIONS; i++) {
		t.functions[i] = (uintptr_t)dlsym(RTLD_DEFAULT, names[i]);
		if (!t.functions[i]) {
			fprintf(stderr, "no function %s\n", names[i]);
			return -ENOENT;
		}
	}
	fflush(NULL);
	share_core(&before);
	t.pid = fork();
	if (t.pid < 0)
		return -errno;
	if (!t.pid) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
			_exit(127);
		rc = work(ctx);
		fflush(NULL);
		_exit(rc);
	}
	if (waitpid(t.pid, &status, 0) != t.pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, t.pid, NULL, PTRACE_O_EXITKILL)) {
		fprintf(stderr, "cannot trace a process: %s\n", strerror(errno));
		return -EPERM;
	}
	rc = follow(&t);
	sched_setaffinity(0, sizeof(before), &before);
	if (rc < 0 && rc != -EINTR) { /* -EINTR: it is gone */
		kill(t.pid, SIGKILL);
		waitpid(t.pid, &status, 0);
	}
	return rc;
}
