// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a process as a source.
 *
 * It belongs to the process that mapped it, whatever becomes of that one. Its mm is held as a
 * structure (mmgrab()): pages stay pinned, and can be uncharged, when the process has gone or runs
 * another program; and no memory is kept alive but what is pinned.
 */
#include <linux/capability.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "core/lock.h"
#include "ioas/private.h"
#include "ioas/runs.h"

struct user_source {
	struct weir_source source;

	/* Constant. */
	struct mm_struct *mm;
	/* Whose limit counts. */
	struct task_struct *task;
	bool may_lock;
	bool no_huge_pages;
	unsigned long address;
	unsigned long pages;
	unsigned int protection;

	/* [7] guards what follows: pages are pinned while it is mapped somewhere. */
	struct mutex lock;
	unsigned int mappings;
	struct weir_runs runs;
};

/* Pages that are pinned by one call: as many as a page holds pointers to. */
#define BATCH_PAGES (PAGE_SIZE / sizeof(struct page *))

/* Huge pages that are pinned before who waits for the mmap_lock gets it. */
#define BATCH_FOLIOS 32

struct pinner {
	struct user_source *source;
	unsigned int flags;
	/* Not the caller's memory. */
	bool remote;
	unsigned long address;
	/* Pages that are not pinned yet. */
	unsigned long left;
	/* No hugetlb mapping was seen before this address. */
	unsigned long plain_until;
	struct page **batch;
};

static void pinner_advance(struct pinner *pinner, unsigned long pages)
{
	pinner->address += pages << PAGE_SHIFT;
	pinner->left -= pages;
}

/*
 * Of a hugetlb mapping one page is pinned for each huge page: the page tables cannot have anything
 * else beside it. Returns when something is in the way, and leaves it to the plain path to say what
 * that is. The mmap_lock is held.
 */
static int pin_folios(struct pinner *pinner, struct vm_area_struct *vma)
{
	unsigned int i;

	for (i = 0; i < BATCH_FOLIOS && pinner->left && pinner->address < vma->vm_end; i++) {
		struct folio *folio;
		struct page *page;
		unsigned long pages;
		int rc;

		if (weir_compat_pin_remote(pinner->source->mm, pinner->address, 1, pinner->flags,
					   &page) != 1) {
			pinner->plain_until = pinner->address + PAGE_SIZE;
			return 0;
		}
		folio = page_folio(page);
		pages = folio_nr_pages(folio) - folio_page_idx(folio, page);
		pages = min(pages, pinner->left);
		rc = weir_runs_add(&pinner->source->runs, page_to_pfn(page), pages,
				   WEIR_RUN_PINS_FOLIOS);
		if (rc) {
			unpin_user_page(page);
			return rc;
		}
		pinner_advance(pinner, pages);
	}
	return 0;
}

/* Pins what is at the address, if it is of hugetlb. Else it notes how far it is not. */
static int pin_huge_pages(struct pinner *pinner)
{
	struct mm_struct *mm = pinner->source->mm;
	struct vm_area_struct *vma;
	int rc = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, pinner->address);
	if (!vma)
		pinner->plain_until = ULONG_MAX;
	else if (pinner->address < vma->vm_start)
		pinner->plain_until = vma->vm_start;
	else if (!is_vm_hugetlb_page(vma))
		pinner->plain_until = vma->vm_end;
	else
		rc = pin_folios(pinner, vma);
	mmap_read_unlock(mm);
	return rc;
}

static int add_batch(struct pinner *pinner, unsigned long count)
{
	unsigned long i, run;

	for (i = 0; i < count; i += run) {
		unsigned long pfn = page_to_pfn(pinner->batch[i]);
		int rc;

		for (run = 1; i + run < count; run++)
			if (page_to_pfn(pinner->batch[i + run]) != pfn + run)
				break;
		rc = weir_runs_add(&pinner->source->runs, pfn, run, WEIR_RUN_PINS_PAGES);
		if (rc) {
			unpin_user_pages(pinner->batch + i, count - i);
			return rc;
		}
	}
	pinner_advance(pinner, count);
	return 0;
}

static int pin_pages(struct pinner *pinner)
{
	unsigned long end = pinner->plain_until & PAGE_MASK;
	unsigned long count = min_t(unsigned long, pinner->left, BATCH_PAGES);
	struct mm_struct *mm = pinner->source->mm;
	long pinned;

	/* Before a hugetlb mapping, perhaps. */
	count = min(count, (end - pinner->address) >> PAGE_SHIFT);
	if (pinner->remote) {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		pinned = weir_compat_pin_remote(mm, pinner->address, count, pinner->flags,
						pinner->batch);
		mmap_read_unlock(mm);
	} else {
		pinned = pin_user_pages_fast(pinner->address, count, pinner->flags, pinner->batch);
	}
	if (pinned < 0)
		return pinned;
	if (!pinned)
		return -EFAULT;
	return add_batch(pinner, pinned);
}

static int pin_all(struct pinner *pinner)
{
	int rc;

	while (pinner->left) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (pinner->address >= pinner->plain_until)
			rc = pin_huge_pages(pinner);
		else
			rc = pin_pages(pinner);
		if (rc)
			return rc;
		cond_resched();
	}
	return 0;
}

/* [7] is held. */
static int source_pin(struct user_source *source)
{
	struct pinner pinner = {
		.source = source,
		.flags = FOLL_LONGTERM | (source->protection & WEIR_IOAS_WRITE ? FOLL_WRITE : 0),
		.remote = source->mm != current->mm,
		.address = source->address,
		.left = source->pages,
	};
	int rc;

	pinner.batch = (struct page **)__get_free_page(GFP_KERNEL);
	if (!pinner.batch)
		return -ENOMEM;
	rc = -EFAULT;
	if (pinner.remote && !mmget_not_zero(source->mm))
		goto free;
	rc = pin_all(&pinner);
	if (rc)
		weir_runs_unpin(&source->runs, false);
	if (pinner.remote)
		/* Not here, if this is the last: it could take long. */
		mmput_async(source->mm);

free:
	free_page((unsigned long)pinner.batch);
	return rc;
}

static int source_charge(struct user_source *source)
{
	int rc;

	if (mmap_write_lock_killable(source->mm))
		return -EINTR;
	rc = __account_locked_vm(source->mm, source->pages, true, source->task, source->may_lock);
	mmap_write_unlock(source->mm);
	return rc;
}

static void source_uncharge(struct user_source *source)
{
	mmap_write_lock(source->mm);
	__account_locked_vm(source->mm, source->pages, false, source->task, source->may_lock);
	mmap_write_unlock(source->mm);
}

static void source_give_back(struct user_source *source)
{
	weir_runs_unpin(&source->runs, source->protection & WEIR_IOAS_WRITE);
	source_uncharge(source);
}

static int user_map(struct weir_source *base, struct iommu_domain *domain, u64 iova)
{
	struct user_source *source = container_of(base, struct user_source, source);
	int rc = 0;

	mutex_lock(&source->lock);
	if (!source->mappings) {
		rc = source_charge(source);
		if (rc)
			goto unlock;
		rc = source_pin(source);
		if (rc) {
			source_uncharge(source);
			goto unlock;
		}
	}
	rc = weir_runs_map(&source->runs, domain, iova,
			   weir_iommu_protection(source->protection) | IOMMU_CACHE,
			   source->no_huge_pages);
	if (!rc)
		source->mappings++;
	else if (!source->mappings)
		source_give_back(source);

unlock:
	mutex_unlock(&source->lock);
	return rc;
}

static void user_unmap(struct weir_source *base, struct iommu_domain *domain, u64 iova)
{
	struct user_source *source = container_of(base, struct user_source, source);

	mutex_lock(&source->lock);
	weir_runs_unmap(&source->runs, domain, iova);
	if (!--source->mappings)
		source_give_back(source);
	mutex_unlock(&source->lock);
}

static void user_release(struct weir_source *base)
{
	struct user_source *source = container_of(base, struct user_source, source);

	WARN_ON(source->mappings);
	put_task_struct(source->task);
	mmdrop(source->mm);
	mutex_destroy(&source->lock);
	kfree(source);
}

static const struct weir_source_ops user_ops = {
	.map = user_map,
	.unmap = user_unmap,
	.release = user_release,
};

struct weir_source *weir_source_user(unsigned long address, u64 length, unsigned int protection,
				     bool no_huge_pages)
{
	struct user_source *source = kzalloc(sizeof(*source), GFP_KERNEL_ACCOUNT);

	if (!source)
		return ERR_PTR(-ENOMEM);
	source->source.ops = &user_ops;
	source->mm = current->mm;
	mmgrab(source->mm);
	/* Of the threads it is the one that is there longest. */
	source->task = get_task_struct(current->group_leader);
	source->may_lock = capable(CAP_IPC_LOCK);
	source->no_huge_pages = no_huge_pages;
	source->address = untagged_addr(address);
	source->pages = length >> PAGE_SHIFT;
	source->protection = protection;
	/* Another class than that of BARs: see kernel/README.md. */
	mutex_init(&source->lock);
	weir_lock_name(&source->lock, "user_source.lock");
	weir_runs_init(&source->runs);
	return &source->source;
}
