// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file of memory as a source: of a tmpfs (memfd is one) or of hugetlbfs. Its pages are pinned
 * without any process having them mapped.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat/pin_file.h"
#include "ioas/pages.h"

struct file_pages {
	struct weir_pages pages;
	/* Constant. */
	struct file *file;
	/* The file's page that is page 0. */
	pgoff_t start;
};

/* Folios that are pinned by one call. */
#define BATCH_FOLIOS (PAGE_SIZE / sizeof(struct folio *))

/* Appends folios, of which pages are wanted, from a page of the first on. Takes their pins. */
static int add_folios(struct weir_runs *runs, struct folio **folios, long count, unsigned long skip,
		      unsigned long *pages)
{
	unsigned long left = *pages, now;
	long i;
	int rc;

	for (i = 0; i < count; i++) {
		now = min_t(unsigned long, folio_nr_pages(folios[i]) - skip, left);
		rc = now ? weir_runs_add(runs, folio_pfn(folios[i]) + skip, now,
					 WEIR_RUN_PINS_FOLIOS)
			 : -EFAULT;
		if (rc)
			goto unpin;
		left -= now;
		skip = 0;
	}
	*pages -= left;
	return 0;

unpin:
	for (; i < count; i++)
		unpin_user_page(&folios[i]->page);
	return rc;
}

static int file_pin_batch(struct file_pages *source, pgoff_t index, unsigned long *pages,
			  struct weir_runs *runs, struct folio **folios)
{
	unsigned long skip;
	long count;

	count = weir_compat_pin_file(source->file, index, *pages, source->pages.source.writable,
				     folios, BATCH_FOLIOS, &skip);
	if (count <= 0)
		return count ? count : -EFAULT;
	return add_folios(runs, folios, count, skip, pages);
}

static int file_pin(struct weir_pages *pages, unsigned long first, unsigned long count,
		    struct weir_runs *runs)
{
	struct file_pages *source = container_of(pages, struct file_pages, pages);
	pgoff_t index = source->start + first;
	struct folio **folios;
	unsigned long now;
	int rc = 0;

	folios = (struct folio **)__get_free_page(GFP_KERNEL);
	if (!folios)
		return -ENOMEM;
	for (; count && !rc; index += now, count -= now) {
		now = count;
		rc = fatal_signal_pending(current)
			     ? -EINTR
			     : file_pin_batch(source, index, &now, runs, folios);
		cond_resched();
	}
	free_page((unsigned long)folios);
	return rc;
}

static void file_release(struct weir_pages *pages)
{
	struct file_pages *source = container_of(pages, struct file_pages, pages);

	fput(source->file);
	kfree(source);
}

static const struct weir_pages_ops file_ops = {
	.pin = file_pin,
	.release = file_release,
};

static bool is_of_memory(const struct file *file)
{
	const struct inode *inode = file_inode(file);
	unsigned long magic = inode->i_sb->s_magic;

	return S_ISREG(inode->i_mode) && (magic == TMPFS_MAGIC || magic == HUGETLBFS_MAGIC);
}

struct weir_source *weir_source_file(struct file *file, u64 start, bool writable,
				     enum weir_ioas_accounting accounting)
{
	struct file_pages *source;

	if (!is_of_memory(file))
		return ERR_PTR(-EINVAL);
	/* It may also be sealed later, as long as nothing is pinned. */
	if (writable && weir_compat_is_sealed(file))
		return ERR_PTR(-EPERM);
	source = kzalloc(sizeof(*source), GFP_KERNEL_ACCOUNT);
	if (!source)
		return ERR_PTR(-ENOMEM);
	weir_pages_init(&source->pages, &file_ops, writable, accounting);
	source->file = get_file(file);
	source->start = start >> PAGE_SHIFT;
	return &source->pages.source;
}

struct weir_pages *weir_source_file_pages(struct weir_source *source)
{
	struct weir_pages *pages = weir_source_pages(source);

	return pages && pages->ops == &file_ops ? pages : NULL;
}
