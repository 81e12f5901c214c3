// SPDX-License-Identifier: GPL-2.0-only
/*
 * Areas coming, and what all have in common: private.h tells how threads keep out of each other's
 * way.
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ioas/private.h"

static_assert(sizeof(unsigned long) == sizeof(u64), "an IOVA does not fit into an unsigned long");

int weir_iommu_protection(unsigned int protection)
{
	return (protection & WEIR_IOAS_READ ? IOMMU_READ : 0) |
	       (protection & WEIR_IOAS_WRITE ? IOMMU_WRITE : 0);
}

void weir_area_unmap(struct weir_area *area, struct weir_domain *domain)
{
	area->source->ops->unmap(area, domain->iommu_domain);
}

void weir_area_free(struct weir_area *area)
{
	if (area->source)
		weir_source_put(area->source);
	kfree(area);
}

u64 weir_granule_mask(const struct weir_ioas *ioas)
{
	if (ioas->options.any_alignment && !ioas->options.no_huge_pages && !ioas->nr_domains)
		return 0;
	return (1ULL << __ffs64(ioas->page_sizes)) - 1;
}

void weir_areas_settle(struct weir_ioas *ioas)
{
	WRITE_ONCE(ioas->settled, ioas->settled + 1);
	wake_up_all(&ioas->settle_wait);
}

int weir_areas_wait(struct weir_ioas *ioas, unsigned int settled)
{
	if (wait_event_killable(ioas->settle_wait, READ_ONCE(ioas->settled) != settled))
		return -EINTR;
	return 0;
}

/* Areas that are to come, one behind the other, in the order of their list. */
struct arrival {
	struct weir_ioas *ioas;
	u64 length;
	/* Of the source, to be aligned as the IOVA. */
	u64 address;
	bool choose;
	struct list_head areas;
};

static void arrival_free(struct arrival *arrival)
{
	struct weir_area *area, *next;

	list_for_each_entry_safe(area, next, &arrival->areas, entry)
		weir_area_free(area);
}

/* Adds an area of that length, with no source yet. */
static struct weir_area *arrival_add(struct arrival *arrival, u64 length, unsigned int protection)
{
	struct weir_area *area = kzalloc(sizeof(*area), GFP_KERNEL_ACCOUNT);

	if (!area)
		return NULL;
	/* From 0 on, until it is known where. */
	area->node.last = length - 1;
	area->protection = protection & (WEIR_IOAS_READ | WEIR_IOAS_WRITE);
	list_add_tail(&area->entry, &arrival->areas);
	return area;
}

/* Whether the areas can be at iova. [6] is held. */
static int arrival_check(const struct arrival *arrival, u64 iova)
{
	const u64 last = iova + arrival->length - 1;
	struct weir_ioas *ioas = arrival->ioas;
	const u64 mask = weir_granule_mask(ioas);
	const struct weir_area *area;
	unsigned int count = 0;

	if ((iova | arrival->address | arrival->length) & mask)
		return -EINVAL;
	list_for_each_entry(area, &arrival->areas, entry) {
		/* Of a copy, each has its own place in its source. */
		if ((area->offset | weir_area_length(area)) & mask)
			return -EINVAL;
		count++;
	}
	if (arrival->choose)
		return 0;
	if (interval_tree_iter_first(&ioas->areas, iova, last))
		return -EEXIST;
	if (count > ioas->options.entry_limit - ioas->nr_areas)
		return -ENOSPC;
	return weir_ranges_contain(&ioas->ranges, iova, last) ? 0 : -EINVAL;
}

/* They go into the tree, busy. [5] is held for reading. */
static int arrival_insert(struct arrival *arrival, u64 *iova)
{
	struct weir_ioas *ioas = arrival->ioas;
	struct weir_area *area;
	u64 next;
	int rc;

	down_write(&ioas->areas_lock);
	if (arrival->choose)
		*iova = 0;
	rc = arrival_check(arrival, *iova);
	if (!rc && arrival->choose)
		rc = weir_iova_choose(ioas, arrival->length, offset_in_page(arrival->address),
				      iova);
	next = *iova;
	list_for_each_entry(area, &arrival->areas, entry) {
		if (rc)
			break;
		area->node.last += next;
		area->node.start = next;
		next = area->node.last + 1;
		area->busy = true;
		interval_tree_insert(&area->node, &ioas->areas);
		ioas->nr_areas++;
	}
	up_write(&ioas->areas_lock);
	return rc;
}

/* They are settled, or, if they could not be mapped, gone. [5] is held for reading. */
static void arrival_settle(struct arrival *arrival, bool keep)
{
	struct weir_ioas *ioas = arrival->ioas;
	struct weir_area *area;

	down_write(&ioas->areas_lock);
	list_for_each_entry(area, &arrival->areas, entry) {
		area->busy = false;
		if (!keep) {
			interval_tree_remove(&area->node, &ioas->areas);
			ioas->nr_areas--;
		}
	}
	weir_areas_settle(ioas);
	up_write(&ioas->areas_lock);
	if (keep)
		INIT_LIST_HEAD(&arrival->areas);
}

/* Into every domain, or none. [5] is held for reading, the area is busy. */
static int area_map(struct weir_ioas *ioas, struct weir_area *area)
{
	struct weir_domain *domain;
	int rc;

	list_for_each_entry(domain, &ioas->domains, entry) {
		rc = area->source->ops->map(area, domain->iommu_domain,
					    ioas->options.no_huge_pages);
		if (rc)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(domain, &ioas->domains, entry)
		weir_area_unmap(area, domain);
	return rc;
}

static void area_unmap_all(struct weir_ioas *ioas, struct weir_area *area)
{
	struct weir_domain *domain;

	list_for_each_entry(domain, &ioas->domains, entry)
		weir_area_unmap(area, domain);
}

/* All areas, which have their sources, or none. [5] is held for reading. */
static int arrival_map(struct arrival *arrival)
{
	struct weir_area *area;
	int rc;

	list_for_each_entry(area, &arrival->areas, entry) {
		rc = area_map(arrival->ioas, area);
		if (rc)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(area, &arrival->areas, entry)
		area_unmap_all(arrival->ioas, area);
	return rc;
}

/* What the source of a single area is made of. */
struct origin {
	/* NULL: the calling process's memory at address. */
	struct file *file;
	u64 address;
	unsigned int flags;
};

static struct weir_source *source_new(const struct weir_ioas *ioas, const struct origin *origin,
				      u64 length)
{
	const unsigned int protection = origin->flags & (WEIR_IOAS_READ | WEIR_IOAS_WRITE);
	const bool writable = origin->flags & WEIR_IOAS_WRITE;
	struct weir_source *source;

	if (origin->file)
		return weir_source_file(origin->file, origin->address, writable,
					ioas->options.accounting);
	if (origin->flags & WEIR_IOAS_MAP_BARS) {
		source = weir_source_bar(origin->address, length, protection);
		if (source)
			return source;
	}
	return weir_source_user(origin->address, writable, ioas->options.accounting);
}

static int map_one(struct weir_ioas *ioas, u64 *iova, u64 length, const struct origin *origin)
{
	struct arrival arrival = {
		.ioas = ioas,
		.length = length,
		.address = origin->address,
		.choose = origin->flags & WEIR_IOAS_CHOOSE,
		.areas = LIST_HEAD_INIT(arrival.areas),
	};
	struct weir_source *source;
	struct weir_area *area;
	u64 end;
	int rc;

	if (!length)
		return -EINVAL;
	if ((!arrival.choose && check_add_overflow(*iova, length - 1, &end)) ||
	    check_add_overflow(origin->address, length - 1, &end))
		return -EOVERFLOW;
	if (!(origin->flags & (WEIR_IOAS_READ | WEIR_IOAS_WRITE)))
		return -EINVAL;
	area = arrival_add(&arrival, length, origin->flags);
	if (!area)
		return -ENOMEM;
	area->offset = offset_in_page(origin->address);

	down_read(&ioas->domains_lock);
	rc = arrival_insert(&arrival, iova);
	if (rc)
		goto unlock;
	source = source_new(ioas, origin, length);
	rc = PTR_ERR_OR_ZERO(source);
	if (!rc) {
		area->source = source;
		rc = arrival_map(&arrival);
	}
	arrival_settle(&arrival, !rc);

unlock:
	up_read(&ioas->domains_lock);
	arrival_free(&arrival);
	return rc;
}

int weir_ioas_map_user(struct weir_ioas *ioas, u64 *iova, u64 length, unsigned long address,
		       unsigned int flags)
{
	const struct origin origin = { .address = address, .flags = flags };

	return map_one(ioas, iova, length, &origin);
}
EXPORT_SYMBOL_GPL(weir_ioas_map_user);

int weir_ioas_map_file(struct weir_ioas *ioas, u64 *iova, u64 length, struct file *file, u64 start,
		       unsigned int flags)
{
	const struct origin origin = { .file = file, .address = start, .flags = flags };

	return map_one(ioas, iova, length, &origin);
}

/* Areas like those from start to last, and at most as much of them, are to come. -EAGAIN: busy. */
static int copy_choose(struct weir_ioas *from, u64 start, u64 last, unsigned int flags,
		       struct arrival *arrival)
{
	struct weir_area *area, *copy;
	u64 next = start, end;

	weir_for_each_area(area, from, start, last) {
		if (area->node.start > next)
			return -ENOENT;
		if (area->busy)
			return -EAGAIN;
		if (flags & WEIR_IOAS_WRITE && !area->source->writable)
			return -EPERM;
		end = min_t(u64, area->node.last, last);
		copy = arrival_add(arrival, end - next + 1, flags);
		if (!copy)
			return -ENOMEM;
		copy->source = weir_source_get(area->source);
		copy->offset = area->offset + (next - area->node.start);
		if (end == last)
			return 0;
		next = end + 1;
	}
	return -ENOENT;
}

/* Finds out what is to be copied, when nobody is busy with it. */
static int copy_begin(struct weir_ioas *from, u64 start, u64 last, unsigned int flags,
		      struct arrival *arrival)
{
	unsigned int settled;
	int rc;

	for (;;) {
		down_read(&from->areas_lock);
		rc = copy_choose(from, start, last, flags, arrival);
		settled = from->settled;
		up_read(&from->areas_lock);
		if (rc != -EAGAIN)
			return rc;
		arrival_free(arrival);
		INIT_LIST_HEAD(&arrival->areas);
		rc = weir_areas_wait(from, settled);
		if (rc)
			return rc;
	}
}

int weir_ioas_copy(struct weir_ioas *ioas, u64 *iova, u64 length, struct weir_ioas *from,
		   u64 from_iova, unsigned int flags)
{
	struct arrival arrival = {
		.ioas = ioas,
		.length = length,
		.choose = flags & WEIR_IOAS_CHOOSE,
		.areas = LIST_HEAD_INIT(arrival.areas),
	};
	u64 last, end;
	int rc;

	if (!length)
		return -EINVAL;
	if (check_add_overflow(from_iova, length - 1, &last) ||
	    (!arrival.choose && check_add_overflow(*iova, length - 1, &end)))
		return -EOVERFLOW;
	if (!(flags & (WEIR_IOAS_READ | WEIR_IOAS_WRITE)))
		return -EINVAL;
	rc = copy_begin(from, from_iova, last, flags, &arrival);
	if (rc)
		goto free;
	arrival.address = list_first_entry(&arrival.areas, struct weir_area, entry)->offset;

	down_read(&ioas->domains_lock);
	rc = arrival_insert(&arrival, iova);
	if (!rc) {
		rc = arrival_map(&arrival);
		arrival_settle(&arrival, !rc);
	}
	up_read(&ioas->domains_lock);
free:
	arrival_free(&arrival);
	return rc;
}
