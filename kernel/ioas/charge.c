// SPDX-License-Identifier: GPL-2.0-only
/* Charging pinned pages to a process, or to its user. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/user.h>

#include "ioas/charge.h"

void weir_charge_init(struct weir_charge *charge, enum weir_ioas_accounting accounting)
{
	charge->accounting = accounting;
	charge->mm = current->mm;
	mmgrab(charge->mm);
	/* Of the threads it is the one that is there longest. */
	charge->task = get_task_struct(current->group_leader);
	charge->user = get_uid(current_user());
	charge->may_lock = capable(CAP_IPC_LOCK);
}

void weir_charge_end(struct weir_charge *charge)
{
	free_uid(charge->user);
	put_task_struct(charge->task);
	mmdrop(charge->mm);
}

bool weir_charge_is_callers(const struct weir_charge *charge)
{
	return charge->mm == current->mm && charge->user == current_user();
}

static int charge_locked(const struct weir_charge *charge, unsigned long pages)
{
	int rc;

	if (mmap_write_lock_killable(charge->mm))
		return -EINTR;
	rc = __account_locked_vm(charge->mm, pages, true, charge->task, charge->may_lock);
	mmap_write_unlock(charge->mm);
	return rc;
}

static void uncharge_locked(const struct weir_charge *charge, unsigned long pages)
{
	mmap_write_lock(charge->mm);
	__account_locked_vm(charge->mm, pages, false, charge->task, charge->may_lock);
	mmap_write_unlock(charge->mm);
}

static int charge_user(const struct weir_charge *charge, unsigned long pages)
{
	unsigned long limit = task_rlimit(charge->task, RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	atomic_long_t *locked = &charge->user->locked_vm;
	unsigned long now = atomic_long_read(locked);

	do {
		if (now > limit || pages > limit - now)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(locked, (long *)&now, now + pages));
	return 0;
}

/* Whether it is a limit of the API of /dev/iommu, which also counts as pinned what is charged. */
static bool counts_pinned(const struct weir_charge *charge)
{
	return charge->accounting != WEIR_IOAS_CHARGE_LOCKED;
}

/* Who may lock as much as they like is counted by type 1 all the same. */
static bool is_charged(const struct weir_charge *charge)
{
	return charge->accounting == WEIR_IOAS_CHARGE_LOCKED || !charge->may_lock;
}

int weir_charge_pages(const struct weir_charge *charge, unsigned long pages)
{
	int rc = 0;

	if (is_charged(charge))
		rc = charge->accounting == WEIR_IOAS_CHARGE_USER ? charge_user(charge, pages)
								 : charge_locked(charge, pages);
	if (!rc && counts_pinned(charge))
		atomic64_add(pages, &charge->mm->pinned_vm);
	return rc;
}

void weir_uncharge_pages(const struct weir_charge *charge, unsigned long pages)
{
	if (counts_pinned(charge))
		atomic64_sub(pages, &charge->mm->pinned_vm);
	if (!is_charged(charge))
		return;
	if (charge->accounting == WEIR_IOAS_CHARGE_USER)
		atomic_long_sub(pages, &charge->user->locked_vm);
	else
		uncharge_locked(charge, pages);
}
