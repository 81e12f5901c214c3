// SPDX-License-Identifier: GPL-2.0-only
/* Areas coming and going: private.h tells how threads keep out of each other's way. */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioas/private.h"

static_assert(sizeof(unsigned long) == sizeof(u64), "an IOVA does not fit into an unsigned long");

int weir_iommu_protection(unsigned int protection)
{
	return (protection & WEIR_IOAS_READ ? IOMMU_READ : 0) |
	       (protection & WEIR_IOAS_WRITE ? IOMMU_WRITE : 0);
}

void weir_area_unmap(struct weir_area *area, struct weir_domain *domain)
{
	area->source->ops->unmap(area->source, domain->iommu_domain, area->node.start);
}

static void area_free(struct weir_area *area)
{
	if (area->source)
		area->source->ops->release(area->source);
	kfree(area);
}

/* The low bits that must be 0 in everything that is mapped. [5] or [6] is held. */
static u64 granule_mask(const struct weir_ioas *ioas)
{
	return (1ULL << __ffs64(ioas->page_sizes)) - 1;
}

/* A new area goes into the tree, busy. [5] is held for reading. */
static int area_insert(struct weir_ioas *ioas, struct weir_area *area, unsigned long address)
{
	int rc = 0;

	down_write(&ioas->areas_lock);
	if ((area->node.start | (area->node.last + 1) | address) & granule_mask(ioas))
		rc = -EINVAL;
	else if (interval_tree_iter_first(&ioas->areas, area->node.start, area->node.last))
		rc = -EEXIST;
	else if (ioas->nr_areas >= ioas->options.entry_limit)
		rc = -ENOSPC;
	else if (!weir_ranges_contain(&ioas->ranges, area->node.start, area->node.last))
		rc = -EINVAL;
	if (!rc) {
		area->busy = true;
		interval_tree_insert(&area->node, &ioas->areas);
		ioas->nr_areas++;
	}
	up_write(&ioas->areas_lock);
	return rc;
}

/* [6] is held for writing. */
static void area_remove(struct weir_ioas *ioas, struct weir_area *area)
{
	interval_tree_remove(&area->node, &ioas->areas);
	ioas->nr_areas--;
}

/* Areas have ceased to be busy. [6] is held for writing. */
static void settle(struct weir_ioas *ioas)
{
	WRITE_ONCE(ioas->settled, ioas->settled + 1);
	wake_up_all(&ioas->settle_wait);
}

static struct weir_source *source_new(struct weir_ioas *ioas, unsigned long address, u64 length,
				      unsigned int flags)
{
	unsigned int protection = flags & (WEIR_IOAS_READ | WEIR_IOAS_WRITE);
	struct weir_source *source;

	if (flags & WEIR_IOAS_MAP_BARS) {
		source = weir_source_bar(address, length, protection);
		if (source)
			return source;
	}
	return weir_source_user(address, length, protection, ioas->options.no_huge_pages);
}

/* Into every domain, or none. [5] is held for reading, the area is busy. */
static int area_map(struct weir_ioas *ioas, struct weir_area *area)
{
	struct weir_source *source = area->source;
	struct weir_domain *domain;
	int rc;

	list_for_each_entry(domain, &ioas->domains, entry) {
		rc = source->ops->map(source, domain->iommu_domain, area->node.start);
		if (rc)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(domain, &ioas->domains, entry)
		weir_area_unmap(area, domain);
	return rc;
}

/* Gives a busy area its source, and maps it. [5] is held for reading. */
static int area_fill(struct weir_ioas *ioas, struct weir_area *area, unsigned long address,
		     unsigned int flags)
{
	struct weir_source *source = source_new(ioas, address, weir_area_length(area), flags);

	if (IS_ERR(source))
		return PTR_ERR(source);
	area->source = source;
	return area_map(ioas, area);
}

int weir_ioas_map_user(struct weir_ioas *ioas, u64 iova, u64 length, unsigned long address,
		       unsigned int flags)
{
	unsigned long last_address;
	struct weir_area *area;
	u64 last;
	int rc;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(iova, length - 1, &last) ||
	    check_add_overflow(address, (unsigned long)length - 1, &last_address))
		return -EOVERFLOW;
	if (!(flags & (WEIR_IOAS_READ | WEIR_IOAS_WRITE)))
		return -EINVAL;

	area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);
	if (!area)
		return -ENOMEM;
	area->node.start = iova;
	area->node.last = last;

	down_read(&ioas->domains_lock);
	rc = area_insert(ioas, area, address);
	if (rc)
		goto unlock;
	rc = area_fill(ioas, area, address, flags);
	down_write(&ioas->areas_lock);
	area->busy = false;
	if (rc)
		area_remove(ioas, area);
	settle(ioas);
	up_write(&ioas->areas_lock);

unlock:
	up_read(&ioas->domains_lock);
	if (rc)
		area_free(area);
	return rc;
}
EXPORT_SYMBOL_GPL(weir_ioas_map_user);

/* What an unmapping is about. */
struct unmapping {
	unsigned long start, last;
	enum weir_ioas_unmap_rule rule;
	struct list_head areas;
	u64 unmapped;
};

static struct weir_area *area_of(struct interval_tree_node *node)
{
	return node ? container_of(node, struct weir_area, node) : NULL;
}

#define for_each_area_of(area, ioas, unmapping) \
	for (area = area_of(interval_tree_iter_first(&(ioas)->areas, (unmapping)->start, \
						     (unmapping)->last)); \
	     area; area = area_of(interval_tree_iter_next(&(area)->node, (unmapping)->start, \
							  (unmapping)->last)))

/* [6] is held for writing. -EAGAIN: another thread is busy with an area. */
static int unmapping_choose(struct weir_ioas *ioas, struct unmapping *unmapping)
{
	struct weir_area *area;
	bool cut = false;

	for_each_area_of(area, ioas, unmapping) {
		if (area->busy)
			return -EAGAIN;
		if (area->node.start < unmapping->start)
			cut = true;
		if (unmapping->rule == WEIR_IOAS_UNMAP_V2 && area->node.last > unmapping->last)
			cut = true;
	}
	if (cut)
		return unmapping->rule == WEIR_IOAS_UNMAP_V1 ? 0 : -EINVAL;

	for_each_area_of(area, ioas, unmapping) {
		area->busy = true;
		unmapping->unmapped += weir_area_length(area);
		list_add_tail(&area->unmap_entry, &unmapping->areas);
	}
	return 0;
}

/*
 * Chooses areas and waits until no other thread has one of them. [5] is held for reading, and is
 * let go meanwhile.
 */
static int unmapping_begin(struct weir_ioas *ioas, struct unmapping *unmapping)
{
	unsigned int settled;
	int rc;

	for (;;) {
		down_write(&ioas->areas_lock);
		rc = unmapping_choose(ioas, unmapping);
		settled = ioas->settled;
		up_write(&ioas->areas_lock);
		if (rc != -EAGAIN)
			return rc;

		up_read(&ioas->domains_lock);
		rc = wait_event_killable(ioas->settle_wait, READ_ONCE(ioas->settled) != settled);
		down_read(&ioas->domains_lock);
		if (rc)
			return -EINTR;
	}
}

/* [5] is held for reading. */
static void unmapping_finish(struct weir_ioas *ioas, struct unmapping *unmapping)
{
	struct weir_domain *domain;
	struct weir_area *area;

	list_for_each_entry(area, &unmapping->areas, unmap_entry) {
		list_for_each_entry(domain, &ioas->domains, entry)
			weir_area_unmap(area, domain);
		cond_resched();
	}

	down_write(&ioas->areas_lock);
	list_for_each_entry(area, &unmapping->areas, unmap_entry)
		area_remove(ioas, area);
	settle(ioas);
	up_write(&ioas->areas_lock);
}

static int unmapping_run(struct weir_ioas *ioas, struct unmapping *unmapping)
{
	struct weir_area *area, *next;
	int rc;

	down_read(&ioas->domains_lock);
	rc = unmapping_begin(ioas, unmapping);
	if (!rc && !list_empty(&unmapping->areas))
		unmapping_finish(ioas, unmapping);
	up_read(&ioas->domains_lock);

	list_for_each_entry_safe(area, next, &unmapping->areas, unmap_entry)
		area_free(area);
	return rc;
}

int weir_ioas_unmap(struct weir_ioas *ioas, u64 iova, u64 length, enum weir_ioas_unmap_rule rule,
		    u64 *unmapped)
{
	struct unmapping unmapping = {
		.start = iova,
		.rule = rule,
		.areas = LIST_HEAD_INIT(unmapping.areas),
	};
	u64 mask;
	int rc;

	if (rule == WEIR_IOAS_UNMAP_ALL) {
		unmapping.start = 0;
		unmapping.last = ULONG_MAX;
	} else {
		down_read(&ioas->areas_lock);
		mask = granule_mask(ioas);
		up_read(&ioas->areas_lock);
		if (!length || (iova | length) & mask)
			return -EINVAL;
		if (check_add_overflow(unmapping.start, (unsigned long)length - 1, &unmapping.last))
			return -EOVERFLOW;
	}

	rc = unmapping_run(ioas, &unmapping);
	*unmapped = rc ? 0 : unmapping.unmapped;
	return rc;
}
EXPORT_SYMBOL_GPL(weir_ioas_unmap);
