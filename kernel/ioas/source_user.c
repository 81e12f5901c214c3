// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a process as a source.
 *
 * It belongs to the process that mapped it, whatever becomes of that one. Its mm is held as a
 * structure (by the charge): pages stay pinned, and can be uncharged, when the process has gone or
 * runs another program; and no memory is kept alive but what is pinned.
 */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "ioas/pages.h"

struct user_pages {
	struct weir_pages pages;
	/* Of page 0; constant. */
	unsigned long address;
};

/* Pages that are pinned by one call: as many as a page holds pointers to. */
#define BATCH_PAGES (PAGE_SIZE / sizeof(struct page *))

/* Huge pages that are pinned before who waits for the mmap_lock gets it. */
#define BATCH_FOLIOS 32

struct pinner {
	struct mm_struct *mm;
	struct weir_runs *runs;
	bool writable;
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

		if (weir_compat_pin_remote(pinner->mm, pinner->address, 1, pinner->flags, &page) !=
		    1) {
			pinner->plain_until = pinner->address + PAGE_SIZE;
			return 0;
		}
		folio = page_folio(page);
		pages = folio_nr_pages(folio) - folio_page_idx(folio, page);
		pages = min(pages, pinner->left);
		rc = weir_runs_add(pinner->runs, page_to_pfn(page), pages, WEIR_RUN_PINS_FOLIOS);
		if (rc) {
			unpin_user_page(page);
			return rc;
		}
		pinner_advance(pinner, pages);
	}
	return 0;
}

/*
 * Finds out how what is at the address is pinned, and pins it, if it is of hugetlb. Else it notes
 * how far it is not.
 */
static int pin_huge_pages(struct pinner *pinner)
{
	struct mm_struct *mm = pinner->mm;
	struct vm_area_struct *vma;
	int rc = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, pinner->address);
	if (vma && !pinner->writable)
		pinner->flags = FOLL_LONGTERM | weir_compat_pin_to_read(vma);
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
		rc = weir_runs_add(pinner->runs, pfn, run, WEIR_RUN_PINS_PAGES);
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
	struct mm_struct *mm = pinner->mm;
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

static int user_pin(struct weir_pages *pages, unsigned long first, unsigned long count,
		    struct weir_runs *runs)
{
	struct user_pages *user = container_of(pages, struct user_pages, pages);
	struct mm_struct *mm = pages->charge.mm;
	struct pinner pinner = {
		.mm = mm,
		.runs = runs,
		.writable = pages->source.writable,
		.flags = FOLL_LONGTERM | (pages->source.writable ? FOLL_WRITE : 0),
		.remote = mm != current->mm,
		.address = user->address + (first << PAGE_SHIFT),
		.left = count,
	};
	int rc = -EFAULT;

	pinner.batch = (struct page **)__get_free_page(GFP_KERNEL);
	if (!pinner.batch)
		return -ENOMEM;
	if (pinner.remote && !mmget_not_zero(mm))
		goto free;
	rc = pin_all(&pinner);
	if (pinner.remote)
		/* Not here, if this is the last: it could take long. */
		mmput_async(mm);

free:
	free_page((unsigned long)pinner.batch);
	return rc;
}

static void user_release(struct weir_pages *pages)
{
	kfree(container_of(pages, struct user_pages, pages));
}

static const struct weir_pages_ops user_ops = {
	.pin = user_pin,
	.release = user_release,
};

struct weir_source *weir_source_user(unsigned long address, bool writable,
				     enum weir_ioas_accounting accounting)
{
	struct user_pages *user = kzalloc(sizeof(*user), GFP_KERNEL_ACCOUNT);

	if (!user)
		return ERR_PTR(-ENOMEM);
	weir_pages_init(&user->pages, &user_ops, writable, accounting);
	user->address = untagged_addr(address) & PAGE_MASK;
	return &user->pages.source;
}
