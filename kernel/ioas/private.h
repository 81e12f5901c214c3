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
#include <linux/rwsem.h>
#include <linux/wait.h>

#include "ioas/ioas.h"
#include "ioas/ranges.h"

struct iommu_domain;
struct weir_source;

struct weir_ioas {
	struct weir_ioas_options options;

	/* [4] */
	struct mutex attach_lock;

	/* [5] guards the list of domains; it is changed with [4] held, too. */
	struct rw_semaphore domains_lock;
	struct list_head domains;

	/* [6] guards all that follows; ranges and page_sizes change with [5] for writing. */
	struct rw_semaphore areas_lock;
	struct rb_root_cached areas;
	unsigned int nr_areas;
	struct weir_ranges ranges;
	u64 page_sizes;
	/* Counts times when areas have ceased to be busy, for who waits for one. */
	unsigned int settled;
	struct wait_queue_head settle_wait;
};

struct weir_area {
	/* Of unsigned long: only 64-bit kernels can have all IOVAs. */
	struct interval_tree_node node;
	bool busy;
	struct weir_source *source;
	/* Of the thread that unmaps it. */
	struct list_head unmap_entry;
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
};

/* What areas map. The functions may be called at the same time for one source. */
struct weir_source_ops {
	/* All of it at iova, or nothing. Takes [7] or [12]. */
	int (*map)(struct weir_source *source, struct iommu_domain *domain, u64 iova);
	/* Devices of the domain reach nothing of it when this returns. Takes [7] or [12]. */
	void (*unmap)(struct weir_source *source, struct iommu_domain *domain, u64 iova);
	/* The end; it is mapped nowhere. No lock of the ioas is held. */
	void (*release)(struct weir_source *source);
};

struct weir_source {
	const struct weir_source_ops *ops;
};

/*
 * source_user.c: memory of the calling process; protection is that of WEIR_IOAS_READ and WRITE.
 * Nothing is pinned or charged before it is mapped. An ERR_PTR: -ENOMEM.
 */
struct weir_source *weir_source_user(unsigned long address, u64 length, unsigned int protection,
				     bool no_huge_pages);

/*
 * source_bar.c: the part of a BAR that the calling process has mapped at address. NULL if something
 * else is there. An ERR_PTR: -EFAULT when the mapping ends within, or does not allow what the
 * protection says.
 */
struct weir_source *weir_source_bar(unsigned long address, u64 length, unsigned int protection);

/* area.c: of a busy area, or with [5] held for writing. */
void weir_area_unmap(struct weir_area *area, struct weir_domain *domain);

/* The IOMMU API's protection for that of WEIR_IOAS_READ and WRITE. */
int weir_iommu_protection(unsigned int protection);

#endif
