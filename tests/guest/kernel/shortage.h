/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that runs out in the kernel: fault injection (Documentation/fault-injection of Linux), by
 * which one allocation of this thread's next calls fails, of slabs or of whole pages.
 *
 * Allocations are counted when code of a module is on the stack. In the calls that are looked at
 * this is Weir's: what it allocates itself, and what the kernel allocates for it. Calls of user
 * space that never reach it have none.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_SHORTAGE_H
#define WEIR_TESTS_GUEST_KERNEL_SHORTAGE_H

#include <stdbool.h>
#include <stddef.h>

/* Once in a process, before the next two. The case ends when the kernel has no fault injection. */
void must_prepare_shortage(void);

/* The n-th allocation from here on fails. */
void shortage_begin(unsigned int n);
/* None does any more. Returns whether one has failed. */
bool shortage_end(void);

/*
 * Functions of the kernel that no allocation fails in, nor in what they call: these two, and what
 * is between them in the kernel's code.
 */
struct shortage_spared {
	const char *one;
	const char *other;
};

/*
 * A call, which may be several; before it, with memory, what it needs; after it what undoes both.
 * It returns 0 or what the call says.
 */
struct shortage_step {
	const char *name;
	void (*prepare)(void);
	long (*run)(void);
	void (*undo)(void);
	const struct shortage_spared *spared;
	/* An error that it may have besides -ENOMEM. */
	long also;
	/* A number above 0: there could be so many vectors. */
	bool fewer;
	/* It works whatever fails. */
	bool cannot_fail;
	/* It may not need any memory. */
	bool may_need_none;
};

/*
 * Checks each step with each of its allocations failing: that it fails for lack of memory or not at
 * all, works at once afterwards, and leaves nothing charged; that ACPI has been spared, which
 * memory that was short once makes use what is freed; and that there is still a leak detector,
 * which is asked when the guest ends.
 */
void shortage_run(const struct shortage_step *steps, size_t count);

#endif
