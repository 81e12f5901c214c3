/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who pays for pinned pages, and by which limit (RLIMIT_MEMLOCK). The owner's lock guards a charge;
 * its own counters are guarded by themselves.
 */
#ifndef WEIR_IOAS_CHARGE_H
#define WEIR_IOAS_CHARGE_H

#include <linux/types.h>

#include "ioas/ioas.h"

struct mm_struct;
struct task_struct;
struct user_struct;

struct weir_charge {
	enum weir_ioas_accounting accounting;
	/* Held as a structure; no memory is kept alive by it. */
	struct mm_struct *mm;
	/* Whose limit counts. */
	struct task_struct *task;
	struct user_struct *user;
	/* No limit counts. */
	bool may_lock;
};

/* The calling process is who pays. Nothing is charged yet. */
void weir_charge_init(struct weir_charge *charge, enum weir_ioas_accounting accounting);
/* Nothing is charged any more. */
void weir_charge_end(struct weir_charge *charge);

/* Whether the calling process is who pays. */
bool weir_charge_is_callers(const struct weir_charge *charge);

/* Takes the mmap_lock [8]. -ENOMEM: over the limit; -EINTR: the caller is being killed. */
int weir_charge_pages(const struct weir_charge *charge, unsigned long pages);
/* Takes the mmap_lock [8]. Cannot fail. */
void weir_uncharge_pages(const struct weir_charge *charge, unsigned long pages);

#endif
