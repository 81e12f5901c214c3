/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ranges that the fault guard (weir/fault_guard.h) watches: mappings whose pages somebody else
 * can take away. Whoever makes such a mapping adds it, and removes it before the munmap(), whether
 * the guard is enabled or not: it may be enabled later.
 *
 * Exported to Weir's own libraries only (version node WEIR_INTERNAL).
 */
#ifndef WEIR_MEMORY_FAULT_GUARD_H
#define WEIR_MEMORY_FAULT_GUARD_H

#include <stdatomic.h>
#include <stddef.h>

/*
 * Watches [base, base + bytes), whole pages. After a fault in it, the range reads all ones, what is
 * written to it goes nowhere, and *gone is 1; several ranges may share one. The first fault that
 * makes it 1 adds to the eventfd `wake`, unless that is -1. As many ranges as there is memory for.
 * Thread-safe. -EINVAL when base is not page aligned or bytes is 0, -ENOMEM.
 */
int weir_fault_guard_add(void *base, size_t bytes, _Atomic int *gone, int wake);

/*
 * Ends it, with the same values. When it returns no handler is at work on the range, in any thread,
 * and the range, its `gone` and its `wake` may be reused. The range must not be touched at the same
 * time; a range that was not added is ignored. Thread-safe.
 */
void weir_fault_guard_remove(void *base, size_t bytes);

#endif
