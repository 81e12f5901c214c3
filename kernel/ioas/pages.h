/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sources that are pages of memory, numbered from 0: of a process, or of a file.
 *
 * Any number of areas may map parts of a source, which may overlap. A page is pinned, once, and
 * charged, while it is in a part that is mapped into some domain. What is pinned are spans, which
 * do not overlap; a span is made of what is missing when a part is mapped for the first time, and
 * what nobody needs is cut out of spans when a part is mapped no more. So no span ever ends within
 * a part that is mapped but where it has ended when the part was mapped: an IOMMU entry is always
 * of one span, and unmapping meets whole entries.
 */
#ifndef WEIR_IOAS_PAGES_H
#define WEIR_IOAS_PAGES_H

#include <linux/interval_tree.h>
#include <linux/mutex.h>

#include "ioas/charge.h"
#include "ioas/private.h"
#include "ioas/runs.h"

struct weir_pages;

struct weir_pages_ops {
	/*
	 * Pins count pages from first on, and appends them. On failure some may be there, which the
	 * caller unpins: -EFAULT, -ENOMEM, -EINTR and whatever else prevents it. [7] is held; takes
	 * the mmap_lock [8].
	 */
	int (*pin)(struct weir_pages *pages, unsigned long first, unsigned long count,
		   struct weir_runs *runs);
	/* The end; nothing is pinned. No lock is held. */
	void (*release)(struct weir_pages *pages);
};

struct weir_pages {
	struct weir_source source;
	const struct weir_pages_ops *ops;

	/* [7] guards what follows. */
	struct mutex lock;
	struct weir_charge charge;
	/* Pages in all spans: what is charged. */
	unsigned long pinned;
	/* While weir_ioas_charge_caller() runs: who was charged before, and that there is one. */
	struct weir_charge old;
	bool charged_twice;
	struct rb_root_cached spans;
	/* The struct weir_part of areas that are mapped. */
	struct rb_root_cached parts;
};

/* The pages that a source is; NULL if it is no source of pages. */
struct weir_pages *weir_source_pages(struct weir_source *source);

/* Fills in what all such sources have; the caller is the first user, and who is charged. */
void weir_pages_init(struct weir_pages *pages, const struct weir_pages_ops *ops, bool writable,
		     enum weir_ioas_accounting accounting);

/*
 * Charges the calling process for what is pinned, besides who is charged already. Does nothing when
 * that was done, or when both are the same. -ENOMEM: over its limit, nothing has changed; -EINTR.
 * weir_pages_charge_settle() is to follow, with nothing pinned or unpinned in between.
 */
int weir_pages_charge_caller(struct weir_pages *pages);
/* Ends one of both charges, the old or the new one. Does nothing when there is only one. */
void weir_pages_charge_settle(struct weir_pages *pages, bool keep_new);

#endif
