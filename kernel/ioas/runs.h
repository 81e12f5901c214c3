/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pinned pages, in the order of the addresses that they are mapped at, as runs of what is
 * contiguous in memory. The lists are kept while the pages are pinned: so a second domain needs no
 * page table walked, and pages go back by runs. A run is 8 bytes: a 4 KiB page alone costs what a
 * pointer to it does.
 *
 * The owner's lock guards a list.
 */
#ifndef WEIR_IOAS_RUNS_H
#define WEIR_IOAS_RUNS_H

#include <linux/list.h>
#include <linux/types.h>

struct iommu_domain;

struct weir_runs {
	struct list_head chunks;
	unsigned long count;
};

/* How pages of a run were pinned. */
enum weir_run_pins {
	/* Each of them. */
	WEIR_RUN_PINS_PAGES,
	/* Any one of each folio, of which the run has all, or all to an end of the run. */
	WEIR_RUN_PINS_FOLIOS,
};

/* The most pages that weir_runs_add() takes in one call. */
#define WEIR_RUN_PAGES_MAX (BIT(23) - 1)

void weir_runs_init(struct weir_runs *runs);

/*
 * Appends pages. Those of WEIR_RUN_PINS_FOLIOS are one folio's. The pins are now the list's.
 * -ENOMEM, and the pins stay the caller's.
 */
int weir_runs_add(struct weir_runs *runs, unsigned long pfn, unsigned long pages,
		  enum weir_run_pins pins);

/* Unpins everything, as dirty or not, and empties the list. The pages are mapped nowhere. */
void weir_runs_unpin(struct weir_runs *runs, bool dirty);

/*
 * Maps pages of the list, from the first on as many as count says, one behind the other from iova
 * on; protection as for iommu_map(). single_pages: no IOMMU entry is larger than a page. On failure
 * nothing is mapped: -ENOMEM, or what the IOMMU's driver says.
 */
int weir_runs_map(const struct weir_runs *runs, unsigned long first, unsigned long count,
		  struct iommu_domain *domain, u64 iova, int protection, bool single_pages);

/* Undoes weir_runs_map(), of the same pages: devices reach none of it when this returns. */
void weir_runs_unmap(const struct weir_runs *runs, unsigned long first, unsigned long count,
		     struct iommu_domain *domain, u64 iova);

/* Where of a range a list is to be cut. */
enum weir_runs_cut { WEIR_RUNS_CUT_LOW, WEIR_RUNS_CUT_HIGH };

/*
 * Cuts a list in two, before one of the pages from low to high, as low or as high as can be: where
 * a pin holds the pages on both sides it cannot. What is behind the cut goes to rest, which is
 * empty before. Returns how many pages stay. 0, all of them, and -ENOMEM: nothing is cut.
 */
long weir_runs_cut(struct weir_runs *runs, unsigned long low, unsigned long high,
		   enum weir_runs_cut cut, struct weir_runs *rest);

#endif
