// SPDX-License-Identifier: GPL-2.0-only
/* Lists of pinned pages. */
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "ioas/runs.h"

/* Physical addresses have up to 52 bits. */
struct run {
	u64 pfn : 40;
	u64 pages : 23;
	u64 pins : 1;
};

struct run_chunk {
	struct list_head entry;
	unsigned int count, capacity;
	struct run runs[];
};

/* The first chunk, and the size up to which each is twice the last one. */
#define CHUNK_RUNS_MIN 4u
#define CHUNK_RUNS_MAX ((PAGE_SIZE - sizeof(struct run_chunk)) / sizeof(struct run))

/* Pages that are unpinned, or unmapped, before others may have the processor. */
#define PAGES_AT_ONCE BIT(18)

/* Runs that are handed to the IOMMU in one call. A scatterlist's lengths have 32 bits. */
#define SEGMENTS_MAX 128u
#define SEGMENT_PAGES_MAX (SZ_2G >> PAGE_SHIFT)

void weir_runs_init(struct weir_runs *runs)
{
	INIT_LIST_HEAD(&runs->chunks);
	runs->count = 0;
}

static struct run_chunk *last_chunk(struct weir_runs *runs)
{
	return list_last_entry(&runs->chunks, struct run_chunk, entry);
}

static struct run *new_run(struct weir_runs *runs)
{
	unsigned int capacity = CHUNK_RUNS_MIN;
	struct run_chunk *chunk;

	if (!list_empty(&runs->chunks)) {
		chunk = last_chunk(runs);
		if (chunk->count < chunk->capacity)
			goto found;
		capacity = min_t(unsigned int, chunk->capacity * 2, CHUNK_RUNS_MAX);
	}
	chunk = kmalloc(struct_size(chunk, runs, capacity), GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	chunk->count = 0;
	chunk->capacity = capacity;
	list_add_tail(&chunk->entry, &runs->chunks);

found:
	runs->count++;
	return &chunk->runs[chunk->count++];
}

int weir_runs_add(struct weir_runs *runs, unsigned long pfn, unsigned long pages,
		  enum weir_run_pins pins)
{
	struct run *run;

	if (runs->count) {
		struct run_chunk *chunk = last_chunk(runs);

		run = &chunk->runs[chunk->count - 1];
		if (run->pins == pins && run->pfn + run->pages == pfn &&
		    run->pages + pages <= WEIR_RUN_PAGES_MAX) {
			run->pages += pages;
			return 0;
		}
	}
	run = new_run(runs);
	if (!run)
		return -ENOMEM;
	*run = (struct run){ .pfn = pfn, .pages = pages, .pins = pins };
	return 0;
}

static void unpin_by_page(unsigned long pfn, unsigned long pages, bool dirty)
{
	while (pages) {
		unsigned long now = min(pages, PAGES_AT_ONCE);

		unpin_user_page_range_dirty_lock(pfn_to_page(pfn), now, dirty);
		pfn += now;
		pages -= now;
		cond_resched();
	}
}

static void unpin_by_folio(unsigned long pfn, unsigned long pages, bool dirty)
{
	unsigned long end = pfn + pages;

	while (pfn < end) {
		struct page *page = pfn_to_page(pfn);
		struct folio *folio = page_folio(page);

		/* The folio may be gone after its pin. */
		pfn += folio_nr_pages(folio) - folio_page_idx(folio, page);
		unpin_user_page_range_dirty_lock(page, 1, dirty);
		cond_resched();
	}
}

void weir_runs_unpin(struct weir_runs *runs, bool dirty)
{
	struct run_chunk *chunk, *next;
	unsigned int i;

	list_for_each_entry_safe(chunk, next, &runs->chunks, entry) {
		for (i = 0; i < chunk->count; i++) {
			const struct run *run = &chunk->runs[i];

			if (run->pins == WEIR_RUN_PINS_FOLIOS)
				unpin_by_folio(run->pfn, run->pages, dirty);
			else
				unpin_by_page(run->pfn, run->pages, dirty);
		}
		list_del(&chunk->entry);
		kfree(chunk);
	}
	runs->count = 0;
}

/* Mapping in progress: segments wait in the table until it is full. */
struct mapper {
	struct iommu_domain *domain;
	int protection;
	/* All before it is mapped. */
	u64 iova;
	struct scatterlist *table;
	unsigned int capacity, count;
	u64 waiting;
};

static int mapper_flush(struct mapper *mapper)
{
	ssize_t mapped;

	if (!mapper->count)
		return 0;
	/* Neighbours in memory become one, and hardware is told once of all. */
	mapped = weir_compat_iommu_map_sg(mapper->domain, mapper->iova, mapper->table,
					  mapper->count, mapper->protection, GFP_KERNEL_ACCOUNT);
	if (mapped < 0)
		return mapped;
	if (mapped != mapper->waiting) {
		iommu_unmap(mapper->domain, mapper->iova, mapped);
		return -EIO;
	}
	mapper->iova += mapper->waiting;
	mapper->waiting = 0;
	mapper->count = 0;
	cond_resched();
	return 0;
}

static int mapper_add(struct mapper *mapper, unsigned long pfn, unsigned long left)
{
	int rc;

	while (left) {
		unsigned long pages = min_t(unsigned long, left, SEGMENT_PAGES_MAX);

		if (mapper->count == mapper->capacity) {
			rc = mapper_flush(mapper);
			if (rc)
				return rc;
		}
		sg_set_page(&mapper->table[mapper->count++], pfn_to_page(pfn), pages << PAGE_SHIFT,
			    0);
		mapper->waiting += (u64)pages << PAGE_SHIFT;
		pfn += pages;
		left -= pages;
	}
	return 0;
}

static int map_single_pages(struct mapper *mapper, unsigned long pfn, unsigned long pages)
{
	unsigned long i;
	int rc;

	for (i = 0; i < pages; i++) {
		rc = weir_compat_iommu_map(mapper->domain, mapper->iova, PFN_PHYS(pfn + i),
					   PAGE_SIZE, mapper->protection, GFP_KERNEL_ACCOUNT);
		if (rc)
			return rc;
		mapper->iova += PAGE_SIZE;
		cond_resched();
	}
	return 0;
}

/* A walk over a part of the pages of a list. */
struct walk {
	const struct weir_runs *runs;
	const struct run_chunk *chunk;
	unsigned int index;
	/* Pages before the next one that is wanted, and those that are. */
	unsigned long skip, left;
};

static void walk_begin(struct walk *walk, const struct weir_runs *runs, unsigned long first,
		       unsigned long count)
{
	*walk = (struct walk){
		.runs = runs,
		.chunk = list_first_entry(&runs->chunks, struct run_chunk, entry),
		.skip = first,
		.left = count,
	};
}

/* The next pages, contiguous in memory. False at the end. */
static bool walk_next(struct walk *walk, unsigned long *pfn, unsigned long *pages)
{
	while (walk->left && !list_entry_is_head(walk->chunk, &walk->runs->chunks, entry)) {
		const struct run *run = &walk->chunk->runs[walk->index];

		if (++walk->index == walk->chunk->count) {
			walk->chunk = list_next_entry(walk->chunk, entry);
			walk->index = 0;
		}
		if (walk->skip >= run->pages) {
			walk->skip -= run->pages;
			continue;
		}
		*pfn = run->pfn + walk->skip;
		*pages = min_t(unsigned long, run->pages - walk->skip, walk->left);
		walk->skip = 0;
		walk->left -= *pages;
		return true;
	}
	return false;
}

int weir_runs_map(const struct weir_runs *runs, unsigned long first, unsigned long count,
		  struct iommu_domain *domain, u64 iova, int protection, bool single_pages)
{
	struct mapper mapper = { .domain = domain, .protection = protection, .iova = iova };
	unsigned long pfn, pages;
	struct walk walk;
	int rc = 0;

	mapper.capacity = min3(runs->count, count, (unsigned long)SEGMENTS_MAX);
	mapper.table = kmalloc_array(mapper.capacity, sizeof(*mapper.table), GFP_KERNEL);
	if (!mapper.table)
		return -ENOMEM;
	sg_init_table(mapper.table, mapper.capacity);

	walk_begin(&walk, runs, first, count);
	while (!rc && walk_next(&walk, &pfn, &pages))
		rc = single_pages ? map_single_pages(&mapper, pfn, pages)
				  : mapper_add(&mapper, pfn, pages);
	if (!rc)
		rc = mapper_flush(&mapper);
	if (rc && mapper.iova > iova)
		iommu_unmap(domain, iova, mapper.iova - iova);
	kfree(mapper.table);
	return rc;
}

static void unmap_pages(struct iommu_domain *domain, u64 iova, unsigned long pages)
{
	u64 length = (u64)pages << PAGE_SHIFT;

	WARN_ON_ONCE(iommu_unmap(domain, iova, length) < length);
	cond_resched();
}

void weir_runs_unmap(const struct weir_runs *runs, unsigned long first, unsigned long count,
		     struct iommu_domain *domain, u64 iova)
{
	unsigned long waiting = 0, end_pfn = 0, pfn, pages;
	struct walk walk;

	walk_begin(&walk, runs, first, count);
	while (walk_next(&walk, &pfn, &pages)) {
		/* Between neighbours in memory there may be an IOMMU entry. */
		if (waiting >= PAGES_AT_ONCE && pfn != end_pfn) {
			unmap_pages(domain, iova, waiting);
			iova += (u64)waiting << PAGE_SHIFT;
			waiting = 0;
		}
		waiting += pages;
		end_pfn = pfn + pages;
	}
	if (waiting)
		unmap_pages(domain, iova, waiting);
}

/* How many pages of a run stay before a cut that is wanted after some of them. */
static unsigned long cut_run(const struct run *run, unsigned long pages, enum weir_runs_cut cut)
{
	unsigned long in_folio, behind;
	struct folio *folio;
	struct page *page;

	if (run->pins == WEIR_RUN_PINS_PAGES || !pages)
		return pages;
	page = pfn_to_page(run->pfn + pages);
	folio = page_folio(page);
	in_folio = folio_page_idx(folio, page);
	if (!in_folio)
		return pages;
	if (cut == WEIR_RUNS_CUT_HIGH)
		return pages - min(in_folio, pages);
	behind = pages + folio_nr_pages(folio) - in_folio;
	return min_t(unsigned long, behind, run->pages);
}

/* The rest of a chunk, from the pages of its run index on, becomes a chunk of its own. */
static int cut_chunk(struct run_chunk *chunk, unsigned int index, unsigned long pages,
		     struct weir_runs *rest)
{
	unsigned int count = chunk->count - index;
	struct run_chunk *behind;

	behind = kmalloc(struct_size(behind, runs, count), GFP_KERNEL_ACCOUNT);
	if (!behind)
		return -ENOMEM;
	behind->count = count;
	behind->capacity = count;
	memcpy(behind->runs, &chunk->runs[index], count * sizeof(*behind->runs));
	behind->runs[0].pfn += pages;
	behind->runs[0].pages -= pages;
	chunk->runs[index].pages = pages;
	chunk->count = index + (pages > 0);
	list_add(&behind->entry, &rest->chunks);
	return 0;
}

static unsigned long count_runs(const struct weir_runs *runs)
{
	const struct run_chunk *chunk;
	unsigned long count = 0;

	list_for_each_entry(chunk, &runs->chunks, entry)
		count += chunk->count;
	return count;
}

long weir_runs_cut(struct weir_runs *runs, unsigned long low, unsigned long high,
		   enum weir_runs_cut cut, struct weir_runs *rest)
{
	const unsigned long at = cut == WEIR_RUNS_CUT_LOW ? low : high;
	unsigned long before = 0, stay;
	struct run_chunk *chunk;
	LIST_HEAD(staying);
	unsigned int i;
	int rc;

	list_for_each_entry(chunk, &runs->chunks, entry) {
		for (i = 0; i < chunk->count; i++) {
			if (at - before < chunk->runs[i].pages)
				goto found;
			before += chunk->runs[i].pages;
		}
	}
	return before;

found:
	stay = cut_run(&chunk->runs[i], at - before, cut);
	before += stay;
	if (!before || before < low || before > high)
		return 0;
	if (stay == chunk->runs[i].pages) {
		/* Behind the whole run; perhaps there is nothing more. */
		i++;
		stay = 0;
	}
	list_cut_position(&staying, &runs->chunks, &chunk->entry);
	list_splice_init(&runs->chunks, &rest->chunks);
	list_splice(&staying, &runs->chunks);
	if (i < chunk->count) {
		rc = cut_chunk(chunk, i, stay, rest);
		if (rc) {
			list_splice_tail_init(&rest->chunks, &runs->chunks);
			return rc;
		}
		if (!chunk->count) {
			list_del(&chunk->entry);
			kfree(chunk);
		}
	}
	rest->count = count_runs(rest);
	runs->count = count_runs(runs);
	return before;
}
