/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of locks, as lockdep's reports and /proc/lockdep have them: those of kernel/README.md. By
 * itself lockdep calls a lock after the expression by which it was initialised, and several have
 * the same one.
 */
#ifndef WEIR_CORE_LOCK_H
#define WEIR_CORE_LOCK_H

#include <linux/lockdep.h>

/* Right after the lock's initialisation. Every place where it is written makes a class of locks. */
#define weir_lock_name(lock, name) \
	do { \
		static struct lock_class_key key; \
\
		lockdep_set_class_and_name(lock, &key, name); \
	} while (0)

#endif
