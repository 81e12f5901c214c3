/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one piece of process-wide state: a table of ranges that is always there, and a SIGBUS handler
 * that is installed on request.
 *
 * What replaces a range is a file of ones, one chunk long, mapped privately. The first fault maps
 * it over the whole range with one mmap(), which is atomic and takes no memory. Beyond the file's
 * end, that mapping raises SIGBUS too, and each of those faults maps the file's only chunk over the
 * piece that was touched. So the largest BAR costs as little as the smallest, and nothing but
 * system calls happens in the handler. The whole range comes first because a mapping of huge pages
 * cannot be replaced in smaller pieces.
 *
 * The table has as many parts as were ever needed at once: they are added at its end, and stay, as
 * a handler may be looking at any of them at any time.
 *
 * Entries of the table are claimed and released by compare-and-swap on their word, which holds
 * their phase and how many handlers are inside. A handler pins an entry before it trusts what it
 * says. A remover ends the phase LIVE, after which nobody pins, and waits for the handlers that are
 * inside, each of which is at most two system calls from its end. It cannot wait for itself: a
 * synchronous SIGBUS comes from touching memory, which add and remove do not.
 */
#include "memory/fault_guard.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weir/fault_guard.h>

#include "base/base.h"

#define PAGE_BYTES 4096u
#define CHUNK_BYTES ((size_t)1 << 21)

/* guarded::word: the phase in the upper bits, handlers inside in the lower ones. */
#define PHASE_FREE 0u
#define PHASE_FILLING (1u << 24)
#define PHASE_LIVE (2u << 24)
#define PHASE_ENDING (3u << 24)
#define PHASE_MASK (0xffu << 24)

struct guarded {
	_Atomic uint32_t word;
	atomic_bool replaced;
	_Atomic uintptr_t base;
	_Atomic size_t bytes;
	_Atomic(_Atomic int *) gone;
	atomic_int wake;
};

#define PART_RANGES 1024u

struct part {
	struct guarded ranges[PART_RANGES];
	_Atomic(struct part *) next;
};

static struct part first_part;

/* A walk over all entries. */
struct walk {
	struct part *part;
	unsigned int at;
};
#define WALK_START ((struct walk){ .part = &first_part })

static pthread_mutex_t enable_lock = PTHREAD_MUTEX_INITIALIZER;
/* Written before the handler is installed, except for `previous`, see install(). */
static bool enabled;
static int ones_fd = -1;
static struct sigaction previous;
static atomic_bool previous_spent;

/* The next entry, or NULL behind the last one. */
static struct guarded *walk_on(struct walk *walk)
{
	struct part *next;

	if (walk->at == PART_RANGES) {
		next = atomic_load(&walk->part->next);
		if (!next)
			return NULL;
		*walk = (struct walk){ .part = next };
	}
	return &walk->part->ranges[walk->at++];
}

/* Adds a part behind the last one, unless another thread has. false: no memory. */
static bool add_part(struct part *last)
{
	struct part *none = NULL, *part = calloc(1, sizeof(*part));

	if (!part)
		return false;
	if (!atomic_compare_exchange_strong(&last->next, &none, part))
		free(part);
	return true;
}

static bool claim(struct guarded *range)
{
	uint32_t word = atomic_load_explicit(&range->word, memory_order_relaxed);

	return word == PHASE_FREE &&
	       atomic_compare_exchange_strong(&range->word, &word, PHASE_FILLING);
}

/* An entry of one's own, or NULL. */
static struct guarded *claim_any(void)
{
	struct walk walk = WALK_START;
	struct guarded *range;

	for (;;) {
		range = walk_on(&walk);
		if (range && claim(range))
			return range;
		if (!range && !add_part(walk.part))
			return NULL;
	}
}

static bool pin(struct guarded *range)
{
	uint32_t word = atomic_load(&range->word);

	while ((word & PHASE_MASK) == PHASE_LIVE) {
		if (atomic_compare_exchange_weak(&range->word, &word, word + 1))
			return true;
	}
	return false;
}

static void unpin(struct guarded *range)
{
	atomic_fetch_sub(&range->word, 1);
}

static bool holds(const struct guarded *range, uintptr_t address)
{
	return address - atomic_load(&range->base) < atomic_load(&range->bytes);
}

WEIR_EXPORT int weir_fault_guard_add(void *base, size_t bytes, _Atomic int *gone, int wake)
{
	struct guarded *range;

	if (bytes == 0 || !weir_is_aligned((uintptr_t)base, PAGE_BYTES))
		return -EINVAL;
	range = claim_any();
	if (!range)
		return -ENOMEM;
	atomic_store(&range->replaced, false);
	atomic_store(&range->base, (uintptr_t)base);
	atomic_store(&range->bytes, weir_align_up(bytes, PAGE_BYTES));
	atomic_store(&range->gone, gone);
	atomic_store(&range->wake, wake);
	atomic_store(&range->word, PHASE_LIVE);
	return 0;
}

/* Ends the phase LIVE. false: it is over, or another thread ended it. */
static bool end_live(struct guarded *range)
{
	uint32_t word = atomic_load(&range->word);

	while ((word & PHASE_MASK) == PHASE_LIVE) {
		uint32_t ending = (word & ~PHASE_MASK) | PHASE_ENDING;

		if (atomic_compare_exchange_weak(&range->word, &word, ending))
			return true;
	}
	return false;
}

WEIR_EXPORT void weir_fault_guard_remove(void *base, size_t bytes)
{
	struct walk walk = WALK_START;
	struct guarded *range;

	bytes = weir_align_up(bytes, PAGE_BYTES);
	while ((range = walk_on(&walk))) {
		if (atomic_load(&range->base) != (uintptr_t)base ||
		    atomic_load(&range->bytes) != bytes || !end_live(range))
			continue;
		while (atomic_load(&range->word) != PHASE_ENDING)
			sched_yield();
		atomic_store(&range->bytes, 0);
		atomic_store(&range->word, PHASE_FREE);
		return;
	}
}

static bool map_ones(uintptr_t base, size_t bytes)
{
	return mmap((void *)base, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, ones_fd, 0) != MAP_FAILED;
}

/* Says that the range is gone, and wakes who sleeps on it. */
static void tell(struct guarded *range)
{
	const uint64_t one = 1;
	int wake = atomic_load(&range->wake);

	if (atomic_exchange(atomic_load(&range->gone), 1) || wake < 0)
		return;
	/* It fails only when the counter is full, and then the descriptor is readable anyway. */
	if (write(wake, &one, sizeof(one)) < 0)
		return;
}

/* Puts ones where the fault was. Two threads may do it at once: at worst one faults once more. */
static bool replace(struct guarded *range, uintptr_t address)
{
	uintptr_t base = atomic_load(&range->base);
	size_t bytes = atomic_load(&range->bytes);
	size_t chunk = weir_align_down(address - base, CHUNK_BYTES);

	tell(range);
	if (!atomic_load(&range->replaced)) {
		if (!map_ones(base, bytes))
			return false;
		atomic_store(&range->replaced, true);
	}
	bytes -= chunk;
	return map_ones(base + chunk, bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES);
}

/* Whether the address was in a guarded range, which reads ones now. */
static bool guard(uintptr_t address)
{
	struct walk walk = WALK_START;
	struct guarded *range;

	while ((range = walk_on(&walk))) {
		bool done;

		if (!holds(range, address) || !pin(range))
			continue;
		done = holds(range, address) && replace(range, address);
		unpin(range);
		if (done)
			return true;
	}
	return false;
}

/* Lets the signal do what it does without a handler. */
static void die(const siginfo_t *info)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	sigaction(SIGBUS, &action, NULL);
	/* A faulting instruction is executed again on return; a signal that was sent is sent again.
	 */
	if (info->si_code <= 0)
		raise(SIGBUS);
}

/*
 * Does what would have happened without us. Ours has the flags and mask of the handler before it,
 * so that one runs as it was meant to, except that SA_RESETHAND is acted out here.
 */
static void chain(int signal_number, siginfo_t *info, void *context)
{
	bool spent = (previous.sa_flags & SA_RESETHAND) && atomic_exchange(&previous_spent, true);

	if (previous.sa_handler == SIG_DFL || spent)
		die(info);
	else if (previous.sa_handler == SIG_IGN && info->si_code > 0)
		die(info); /* the kernel does not let a fault be ignored either */
	else if (previous.sa_handler == SIG_IGN)
		return;
	else if (previous.sa_flags & SA_SIGINFO)
		previous.sa_sigaction(signal_number, info, context);
	else
		previous.sa_handler(signal_number);
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	/* Poisoned memory (BUS_MCEERR_*) is not a device that went away. */
	if (info->si_code != BUS_ADRERR || !guard((uintptr_t)info->si_addr))
		chain(signal_number, info, context);
	errno = saved_errno;
}

/* The file of ones; it stays for the life of the process. */
static int make_ones(struct weir_error *err)
{
	unsigned char ones[PAGE_BYTES];
	int rc;

	ones_fd = memfd_create("weir-fault-guard", MFD_CLOEXEC);
	if (ones_fd < 0)
		return weir_error_set(err, -errno, "fault guard: memfd_create: %s",
				      strerror(errno));
	memset(ones, 0xff, sizeof(ones));
	for (size_t at = 0; at < CHUNK_BYTES; at += sizeof(ones)) {
		if (pwrite(ones_fd, ones, sizeof(ones), (off_t)at) == (ssize_t)sizeof(ones))
			continue;
		rc = weir_error_set(err, -ENOMEM, "fault guard: no memory for %zu bytes of ones",
				    CHUNK_BYTES);
		close(ones_fd);
		ones_fd = -1;
		return rc;
	}
	return 0;
}

static int install(struct weir_error *err)
{
	struct sigaction action;

	/* `previous` has to be right before the handler can run. */
	if (sigaction(SIGBUS, NULL, &previous))
		goto fail;
	action = previous;
	action.sa_sigaction = on_sigbus;
	action.sa_flags &= ~SA_RESETHAND;
	action.sa_flags |= SA_SIGINFO | SA_ONSTACK;
	if (sigaction(SIGBUS, &action, NULL))
		goto fail;
	return 0;

fail:
	return weir_error_set(err, -errno, "fault guard: sigaction: %s", strerror(errno));
}

WEIR_EXPORT int weir_fault_guard_enable(struct weir_error *err)
{
	int rc = 0;

	pthread_mutex_lock(&enable_lock);
	if (!enabled)
		rc = ones_fd < 0 ? make_ones(err) : 0;
	if (!enabled && !rc) {
		rc = install(err);
		enabled = !rc;
	}
	pthread_mutex_unlock(&enable_lock);
	return rc;
}
