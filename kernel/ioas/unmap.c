// SPDX-License-Identifier: GPL-2.0-only
/* Areas going, whole or cut: private.h tells how threads keep out of each other's way. */
#include <linux/export.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "ioas/private.h"

/* What an unmapping is about. */
struct unmapping {
	unsigned long start, last;
	enum weir_ioas_unmap_rule rule;
	struct list_head areas;
	u64 unmapped;
	/* What is behind each end that cuts an area, if ends may. */
	struct weir_area *pieces[2];
};

/* Whether the range's ends cut areas. -EAGAIN: another thread is busy with one. [6] is held. */
static int unmapping_look(struct weir_ioas *ioas, const struct unmapping *unmapping,
			  bool *cuts_start, bool *cuts_last)
{
	struct weir_area *area;

	*cuts_start = false;
	*cuts_last = false;
	weir_for_each_area(area, ioas, unmapping->start, unmapping->last) {
		if (area->busy)
			return -EAGAIN;
		if (area->node.start < unmapping->start)
			*cuts_start = true;
		if (area->node.last > unmapping->last)
			*cuts_last = true;
	}
	return 0;
}

/* Whether the rule allows the cuts. 1: it does, but nothing is to be done. */
static int unmapping_judge(const struct unmapping *unmapping, bool cuts_start, bool cuts_last)
{
	switch (unmapping->rule) {
	case WEIR_IOAS_UNMAP_V1:
		return cuts_start;
	case WEIR_IOAS_UNMAP_V2:
		return cuts_start || cuts_last ? -EINVAL : 0;
	case WEIR_IOAS_UNMAP_WHOLE:
		return cuts_start || cuts_last ? -ENOENT : 0;
	case WEIR_IOAS_UNMAP_CUT:
	case WEIR_IOAS_UNMAP_ALL:
		break;
	}
	return 0;
}

/* Makes two areas of the one that has the IOVA before at and at. [6] is held for writing. */
static int area_split(struct weir_ioas *ioas, unsigned long at, struct weir_area **piece)
{
	struct weir_area *area = weir_area_of(interval_tree_iter_first(&ioas->areas, at, at));
	struct weir_area *behind = *piece;

	if (!area->source->ops->split || !ioas->options.no_huge_pages ||
	    at & weir_granule_mask(ioas))
		return -EINVAL;
	if (ioas->nr_areas >= ioas->options.entry_limit)
		return -ENOSPC;
	*piece = NULL;
	interval_tree_remove(&area->node, &ioas->areas);
	behind->node.start = at;
	behind->node.last = area->node.last;
	behind->protection = area->protection;
	behind->source = weir_source_get(area->source);
	behind->offset = area->offset + (at - area->node.start);
	area->node.last = at - 1;
	area->source->ops->split(area, behind);
	interval_tree_insert(&area->node, &ioas->areas);
	interval_tree_insert(&behind->node, &ioas->areas);
	ioas->nr_areas++;
	return 0;
}

/* [6] is held for writing. -EAGAIN: another thread is busy with an area. */
static int unmapping_choose(struct weir_ioas *ioas, struct unmapping *unmapping)
{
	bool cuts_start, cuts_last;
	struct weir_area *area;
	int rc;

	rc = unmapping_look(ioas, unmapping, &cuts_start, &cuts_last);
	if (!rc)
		rc = unmapping_judge(unmapping, cuts_start, cuts_last);
	if (rc)
		return min(rc, 0);
	if (unmapping->rule == WEIR_IOAS_UNMAP_CUT) {
		if (cuts_start)
			rc = area_split(ioas, unmapping->start, &unmapping->pieces[0]);
		if (!rc && cuts_last)
			rc = area_split(ioas, unmapping->last + 1, &unmapping->pieces[1]);
		if (rc)
			return rc;
	}
	weir_for_each_area(area, ioas, unmapping->start, unmapping->last) {
		area->busy = true;
		unmapping->unmapped += weir_area_length(area);
		list_add_tail(&area->entry, &unmapping->areas);
	}
	return 0;
}

/* Chooses areas, when no other thread has one of them. [5] is held for reading, but to wait. */
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
		rc = weir_areas_wait(ioas, settled);
		down_read(&ioas->domains_lock);
		if (rc)
			return rc;
	}
}

/* [5] is held for reading. */
static void unmapping_finish(struct weir_ioas *ioas, struct unmapping *unmapping)
{
	struct weir_domain *domain;
	struct weir_area *area;

	list_for_each_entry(area, &unmapping->areas, entry) {
		list_for_each_entry(domain, &ioas->domains, entry)
			weir_area_unmap(area, domain);
		cond_resched();
	}

	down_write(&ioas->areas_lock);
	list_for_each_entry(area, &unmapping->areas, entry) {
		interval_tree_remove(&area->node, &ioas->areas);
		ioas->nr_areas--;
	}
	weir_areas_settle(ioas);
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

	list_for_each_entry_safe(area, next, &unmapping->areas, entry)
		weir_area_free(area);
	return rc;
}

/* Type 1 checks first what the range begins and ends at. */
static int range_check(struct weir_ioas *ioas, u64 iova, u64 length, enum weir_ioas_unmap_rule rule)
{
	u64 mask = 0;

	if (rule == WEIR_IOAS_UNMAP_V1 || rule == WEIR_IOAS_UNMAP_V2) {
		down_read(&ioas->areas_lock);
		mask = weir_granule_mask(ioas);
		up_read(&ioas->areas_lock);
	}
	return !length || (iova | length) & mask ? -EINVAL : 0;
}

static int pieces_alloc(struct unmapping *unmapping)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unmapping->pieces); i++) {
		unmapping->pieces[i] = kzalloc(sizeof(*unmapping->pieces[i]), GFP_KERNEL_ACCOUNT);
		if (!unmapping->pieces[i])
			return -ENOMEM;
	}
	return 0;
}

int weir_ioas_unmap(struct weir_ioas *ioas, u64 iova, u64 length, enum weir_ioas_unmap_rule rule,
		    u64 *unmapped)
{
	struct unmapping unmapping = {
		.start = iova,
		.rule = rule,
		.areas = LIST_HEAD_INIT(unmapping.areas),
	};
	int rc = 0;

	*unmapped = 0;
	if (rule == WEIR_IOAS_UNMAP_ALL) {
		unmapping.start = 0;
		unmapping.last = ULONG_MAX;
	} else {
		rc = range_check(ioas, iova, length, rule);
		if (rc)
			return rc;
		if (check_add_overflow(unmapping.start, (unsigned long)length - 1, &unmapping.last))
			return -EOVERFLOW;
	}
	if (rule == WEIR_IOAS_UNMAP_CUT)
		rc = pieces_alloc(&unmapping);
	if (!rc)
		rc = unmapping_run(ioas, &unmapping);
	if (!rc)
		*unmapped = unmapping.unmapped;
	kfree(unmapping.pieces[0]);
	kfree(unmapping.pieces[1]);
	return rc;
}
EXPORT_SYMBOL_GPL(weir_ioas_unmap);
