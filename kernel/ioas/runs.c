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

static int mapper_add(struct mapper *mapper, const struct run *run)
{
	unsigned long pfn = run->pfn, left = run->pages;
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

static int map_single_pages(struct mapper *mapper, const struct run *run)
{
	unsigned long i;
	int rc;

	for (i = 0; i < run->pages; i++) {
		rc = weir_compat_iommu_map(mapper->domain, mapper->iova, PFN_PHYS(run->pfn + i),
					   PAGE_SIZE, mapper->protection, GFP_KERNEL_ACCOUNT);
		if (rc)
			return rc;
		mapper->iova += PAGE_SIZE;
		cond_resched();
	}
	return 0;
}

int weir_runs_map(const struct weir_runs *runs, struct iommu_domain *domain, u64 iova,
		  int protection, bool single_pages)
{
	struct mapper mapper = { .domain = domain, .protection = protection, .iova = iova };
	const struct run_chunk *chunk;
	unsigned int i;
	int rc = 0;

	mapper.capacity = min_t(unsigned long, runs->count, SEGMENTS_MAX);
	mapper.table = kmalloc_array(mapper.capacity, sizeof(*mapper.table), GFP_KERNEL);
	if (!mapper.table)
		return -ENOMEM;
	sg_init_table(mapper.table, mapper.capacity);

	list_for_each_entry(chunk, &runs->chunks, entry) {
		for (i = 0; i < chunk->count && !rc; i++)
			rc = single_pages ? map_single_pages(&mapper, &chunk->runs[i])
					  : mapper_add(&mapper, &chunk->runs[i]);
		if (rc)
			break;
	}
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

void weir_runs_unmap(const struct weir_runs *runs, struct iommu_domain *domain, u64 iova)
{
	unsigned long pages = 0, end_pfn = 0;
	const struct run_chunk *chunk;
	unsigned int i;

	list_for_each_entry(chunk, &runs->chunks, entry) {
		for (i = 0; i < chunk->count; i++) {
			const struct run *run = &chunk->runs[i];

			/* Between neighbours in memory there may be an IOMMU entry. */
			if (pages >= PAGES_AT_ONCE && run->pfn != end_pfn) {
				unmap_pages(domain, iova, pages);
				iova += (u64)pages << PAGE_SHIFT;
				pages = 0;
			}
			pages += run->pages;
			end_pfn = run->pfn + run->pages;
		}
	}
	if (pages)
		unmap_pages(domain, iova, pages);
}
