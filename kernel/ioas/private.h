/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the engine share. Numbers in brackets are rows of the lock order in
 * kernel/README.md.
 *
 * An area is busy while one thread maps or unmaps it: from its insertion to the end of mapping, and
 * from its choice by an unmapping until it is out of the tree. Nobody else touches it then; an
 * unmapping that meets it waits. Areas become busy and cease to be under [6], all work on them is
 * done under [5] for reading without [6], so that many threads map and unmap at the same time.
 * Attaching has [5] for writing: no area is busy then.
 */
#ifndef WEIR_IOAS_PRIVATE_H
#define WEIR_IOAS_PRIVATE_H

#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/wait.h>

#include "ioas/ioas.h"
#include "ioas/ranges.h"

struct file;
struct iommu_domain;
struct weir_pages;
struct weir_source;

struct weir_ioas {
	/* Constant, but no_huge_pages, which changes with [5] and [6] held for writing. */
	struct weir_ioas_options options;

	/* [4] */
	struct mutex attach_lock;

	/* [5] guards the list of domains; it is changed with [4] held, too. */
	struct rw_semaphore domains_lock;
	struct list_head domains;

	/*
	 * [6] guards all that follows; nr_domains, ranges and page_sizes change with [5]
	 * for writing, allowed with [5] for reading.
	 */
	struct rw_semaphore areas_lock;
	struct rb_root_cached areas;
	unsigned int nr_areas;
	/* Those in the list. */
	unsigned int nr_domains;
	struct weir_ranges ranges;
	/* What no attachment may take away, and IOVAs are chosen from; there is perhaps nothing. */
	struct weir_ranges allowed;
	u64 page_sizes;
	/* Counts times when areas have ceased to be busy, for who waits for one. */
	unsigned int settled;
	struct wait_queue_head settle_wait;
};

/* What a source of pages knows of an area; under its lock [7]. */
struct weir_part {
	/* In the source's tree while it is mapped. */
	struct interval_tree_node node;
	/* Domains that it is mapped in. */
	unsigned int mappings;
};

struct weir_area {
	/* Of unsigned long: only 64-bit kernels can have all IOVAs. */
	struct interval_tree_node node;
	bool busy;
	/* Of WEIR_IOAS_READ and WRITE. */
	unsigned int protection;
	/* Where the part of the source begins that it maps. Others may map others, or the same. */
	struct weir_source *source;
	u64 offset;
	struct weir_part part;
	/* In a list of the thread that maps or unmaps it. */
	struct list_head entry;
};

static inline u64 weir_area_length(const struct weir_area *area)
{
	return area->node.last - area->node.start + 1;
}

struct weir_domain {
	struct list_head entry;
	struct iommu_domain *iommu_domain;
	bool enforces_coherency;
	/* Where interrupts are written to, when the IOMMU maps that by software. */
	bool has_msi_window;
	phys_addr_t msi_window;
	struct list_head members;
	/*
	 * Groups that come get it by themselves; else only by who has it from
	 * weir_ioas_domain_create().
	 */
	bool shared;
	/* Those outside of the engine who want it to stay; under [4]. */
	unsigned int holders;
};

/* What areas map. The functions may be called at the same time for one source. */
struct weir_source_ops {
	/* All of the area, or nothing. single_pages: by the smallest entries. Takes [7] or [12]. */
	int (*map)(struct weir_area *area, struct iommu_domain *domain, bool single_pages);
	/* Devices of the domain reach nothing of it when this returns. Takes [7] or [12]. */
	void (*unmap)(struct weir_area *area, struct iommu_domain *domain);
	/*
	 * What was one area, perhaps mapped in domains, by single pages, is now two: area has
	 * become shorter already, and behind has all it needs but its part. Cannot fail. Takes [7].
	 * NULL if the source's areas are never split.
	 */
	void (*split)(struct weir_area *area, struct weir_area *behind);
	/* The end; no area has it. No lock of the ioas is held. */
	void (*release)(struct weir_source *source);
};

struct weir_source {
	const struct weir_source_ops *ops;
	/* By areas, and who is about to make one. */
	refcount_t users;
	/* Constant: whether areas may be writable. */
	bool writable;
};

static inline void weir_source_init(struct weir_source *source, const struct weir_source_ops *ops,
				    bool writable)
{
	source->ops = ops;
	refcount_set(&source->users, 1);
	source->writable = writable;
}

static inline struct weir_source *weir_source_get(struct weir_source *source)
{
	refcount_inc(&source->users);
	return source;
}

/* No lock of the ioas is held. */
static inline void weir_source_put(struct weir_source *source)
{
	if (refcount_dec_and_test(&source->users))
		source->ops->release(source);
}

/*
 * source_user.c: memory of the calling process from the page on that address is in. Nothing is
 * pinned or charged before it is mapped. An ERR_PTR: -ENOMEM.
 */
struct weir_source *weir_source_user(unsigned long address, bool writable,
				     enum weir_ioas_accounting accounting);

/*
 * source_file.c: a file from the page on that start is in; it holds the file. Nothing is pinned or
 * charged before it is mapped. An ERR_PTR: -EINVAL, it is no file of memory; -EPERM, writable, and
 * it is sealed against that; -ENOMEM.
 */
struct weir_source *weir_source_file(struct file *file, u64 start, bool writable,
				     enum weir_ioas_accounting accounting);

/* The pages of a source that weir_source_file() made; NULL for others. */
struct weir_pages *weir_source_file_pages(struct weir_source *source);

/*
 * source_bar.c: the part of a BAR that the calling process has mapped at address. NULL if something
 * else is there. An ERR_PTR: -EFAULT when the mapping ends within, or does not allow what the
 * protection says.
 */
struct weir_source *weir_source_bar(unsigned long address, u64 length, unsigned int protection);

/* The area at a node of the tree of areas; NULL for NULL. */
static inline struct weir_area *weir_area_of(struct interval_tree_node *node)
{
	return node ? container_of(node, struct weir_area, node) : NULL;
}

/* Areas from start to last, in rising order. [5] or [6] is held. */
#define weir_for_each_area(area, ioas, start, last) \
	for (area = weir_area_of(interval_tree_iter_first(&(ioas)->areas, start, last)); area; \
	     area = weir_area_of(interval_tree_iter_next(&(area)->node, start, last)))

/* area.c: of a busy area, or with [5] held for writing. */
void weir_area_unmap(struct weir_area *area, struct weir_domain *domain);

/* area.c: the end of an area that is in no tree. No lock of the ioas is held. */
void weir_area_free(struct weir_area *area);

/* area.c: areas have ceased to be busy. [6] is held for writing. */
void weir_areas_settle(struct weir_ioas *ioas);

/*
 * area.c: waits until areas have settled once more than the caller has seen, with none of [5] and
 * [6] held. -EINTR: the process is being killed.
 */
int weir_areas_wait(struct weir_ioas *ioas, unsigned int settled);

/* area.c: the low bits that must be 0 in everything that is mapped. [5] or [6] is held. */
u64 weir_granule_mask(const struct weir_ioas *ioas);

/*
 * iova.c: the lowest IOVA where length bytes fit, of which remainder is that modulo the page size.
 * [6] is held. -ENOSPC: there is none.
 */
int weir_iova_choose(struct weir_ioas *ioas, u64 length, u64 remainder, u64 *iova);

/* The IOMMU API's protection for that of WEIR_IOAS_READ and WRITE. */
int weir_iommu_protection(unsigned int protection);

#endif
