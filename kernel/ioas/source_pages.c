// SPDX-License-Identifier: GPL-2.0-only
/* Pages as a source: pages.h tells what is pinned when. */
#include <linux/iommu.h>
#include <linux/slab.h>

#include "core/lock.h"
#include "ioas/pages.h"

struct span {
	/* The first and the last page. */
	struct interval_tree_node node;
	struct weir_runs runs;
};

static struct span *span_of(struct interval_tree_node *node)
{
	return node ? container_of(node, struct span, node) : NULL;
}

static unsigned long span_pages(const struct span *span)
{
	return span->node.last - span->node.start + 1;
}

static struct span *span_first(struct weir_pages *pages, unsigned long first, unsigned long last)
{
	return span_of(interval_tree_iter_first(&pages->spans, first, last));
}

static struct span *span_alloc(unsigned long first, unsigned long last)
{
	struct span *span = kzalloc(sizeof(*span), GFP_KERNEL_ACCOUNT);

	if (span) {
		span->node.start = first;
		span->node.last = last;
		weir_runs_init(&span->runs);
	}
	return span;
}

/* Charges and pins. [7] is held. */
static int span_add(struct weir_pages *pages, unsigned long first, unsigned long last)
{
	struct span *span = span_alloc(first, last);
	int rc;

	if (!span)
		return -ENOMEM;
	rc = weir_charge_pages(&pages->charge, span_pages(span));
	if (rc)
		goto free;
	rc = pages->ops->pin(pages, first, span_pages(span), &span->runs);
	if (rc)
		goto unpin;
	pages->pinned += span_pages(span);
	interval_tree_insert(&span->node, &pages->spans);
	return 0;

unpin:
	weir_runs_unpin(&span->runs, false);
	weir_uncharge_pages(&pages->charge, span_pages(span));
free:
	kfree(span);
	return rc;
}

/* Nobody needs the span. [7] is held. */
static void span_remove(struct weir_pages *pages, struct span *span)
{
	interval_tree_remove(&span->node, &pages->spans);
	weir_runs_unpin(&span->runs, pages->source.writable);
	pages->pinned -= span_pages(span);
	weir_uncharge_pages(&pages->charge, span_pages(span));
	kfree(span);
}

/*
 * Makes two spans of one, cut before one of the pages from low to high: what is cut off. NULL if it
 * cannot be cut there, or there is no memory; then it stays one span. [7] is held.
 */
static struct span *span_cut(struct weir_pages *pages, struct span *span, unsigned long low,
			     unsigned long high, enum weir_runs_cut cut)
{
	const unsigned long start = span->node.start;
	struct span *rest = span_alloc(start, span->node.last);
	long stay;

	if (!rest)
		return NULL;
	stay = weir_runs_cut(&span->runs, low - start, high - start, cut, &rest->runs);
	if (stay <= 0 || stay == span_pages(span)) {
		kfree(rest);
		return NULL;
	}
	interval_tree_remove(&span->node, &pages->spans);
	rest->node.start = span->node.start + stay;
	span->node.last = rest->node.start - 1;
	interval_tree_insert(&span->node, &pages->spans);
	interval_tree_insert(&rest->node, &pages->spans);
	return rest;
}

/*
 * Unpins first to last of a span, which nobody needs, but what a pin holds together with pages that
 * are needed: only within these is it cut. Returns the span that has the pages behind last, if
 * there are any. [7] is held.
 */
static struct span *span_take_out(struct weir_pages *pages, struct span *span, unsigned long first,
				  unsigned long last)
{
	struct span *rest = NULL;

	if (first > span->node.start) {
		rest = span_cut(pages, span, first, last + 1, WEIR_RUNS_CUT_LOW);
		if (!rest)
			return span;
		span = rest;
	}
	if (last < span->node.start)
		return span;
	rest = NULL;
	if (last < span->node.last) {
		rest = span_cut(pages, span, span->node.start, last + 1, WEIR_RUNS_CUT_HIGH);
		if (!rest)
			return span;
	}
	span_remove(pages, span);
	return rest;
}

/* Where the pages before first that nobody needs begin, not before low. [7] is held. */
static unsigned long unneeded_from(struct weir_pages *pages, unsigned long low, unsigned long first)
{
	unsigned long high = first, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (interval_tree_iter_first(&pages->parts, middle, first - 1))
			low = middle + 1;
		else
			high = middle;
	}
	return high;
}

/* Where the pages behind last that nobody needs end, not behind high. [7] is held. */
static unsigned long unneeded_to(struct weir_pages *pages, unsigned long last, unsigned long high)
{
	unsigned long low = last, middle;

	while (low < high) {
		middle = high - (high - low) / 2;
		if (interval_tree_iter_first(&pages->parts, last + 1, middle))
			high = middle - 1;
		else
			low = middle;
	}
	return low;
}

/*
 * Unpins what of a span is in no part that is mapped, of the pages from first to last and those
 * beside them that stayed only because a pin holds them together. Parts elsewhere are not looked
 * at: a source can have any number of them. [7] is held.
 */
static void span_trim(struct weir_pages *pages, struct span *span, unsigned long first,
		      unsigned long last)
{
	struct interval_tree_node *part;
	unsigned long next;

	first = unneeded_from(pages, span->node.start, max(first, span->node.start));
	last = unneeded_to(pages, min(last, span->node.last), span->node.last);
	next = first;
	part = interval_tree_iter_first(&pages->parts, first, last);
	for (; part && span && next <= last; part = interval_tree_iter_next(part, first, last)) {
		if (part->start > next)
			span = span_take_out(pages, span, next, part->start - 1);
		next = max(next, part->last + 1);
	}
	if (span && next <= last)
		span_take_out(pages, span, next, last);
}

/* Unpins what is in no part that is mapped, in all spans that have one of the pages. */
static void spans_trim(struct weir_pages *pages, unsigned long first, unsigned long last)
{
	struct span *span;

	while (first <= last && (span = span_first(pages, first, last))) {
		unsigned long next = span->node.last + 1;

		span_trim(pages, span, first, last);
		first = next;
	}
}

/* Spans have all the pages when this returns 0. [7] is held. */
static int spans_fill(struct weir_pages *pages, unsigned long first, unsigned long last)
{
	struct span *span;
	int rc;

	while (first <= last) {
		span = span_first(pages, first, last);
		if (!span || span->node.start > first) {
			unsigned long end = span ? span->node.start - 1 : last;

			rc = span_add(pages, first, end);
			if (rc)
				return rc;
			first = end + 1;
		} else {
			first = span->node.last + 1;
		}
	}
	return 0;
}

static void spans_unmap(struct weir_pages *pages, unsigned long first, unsigned long last,
			struct iommu_domain *domain, u64 iova)
{
	unsigned long count;
	struct span *span;

	while (first <= last) {
		span = span_first(pages, first, last);
		if (WARN_ON_ONCE(!span || span->node.start > first))
			return;
		count = min(last, span->node.last) - first + 1;
		weir_runs_unmap(&span->runs, first - span->node.start, count, domain, iova);
		first += count;
		iova += (u64)count << PAGE_SHIFT;
	}
}

/* The pages are in spans. [7] is held. */
static int spans_map(struct weir_pages *pages, const struct weir_area *area,
		     struct iommu_domain *domain, bool single_pages)
{
	const int protection = weir_iommu_protection(area->protection) | IOMMU_CACHE;
	const struct interval_tree_node *part = &area->part.node;
	unsigned long next = part->start, count;
	u64 iova = area->node.start;
	struct span *span;
	int rc;

	while (next <= part->last) {
		span = span_first(pages, next, part->last);
		count = min(part->last, span->node.last) - next + 1;
		rc = weir_runs_map(&span->runs, next - span->node.start, count, domain, iova,
				   protection, single_pages);
		if (rc) {
			if (next > part->start)
				spans_unmap(pages, part->start, next - 1, domain, area->node.start);
			return rc;
		}
		next += count;
		iova += (u64)count << PAGE_SHIFT;
	}
	return 0;
}

static struct weir_pages *pages_of(struct weir_source *source)
{
	return container_of(source, struct weir_pages, source);
}

static void part_set(struct weir_area *area)
{
	area->part.node.start = area->offset >> PAGE_SHIFT;
	area->part.node.last = area->part.node.start + (weir_area_length(area) >> PAGE_SHIFT) - 1;
}

static int pages_map(struct weir_area *area, struct iommu_domain *domain, bool single_pages)
{
	struct weir_pages *pages = pages_of(area->source);
	struct weir_part *part = &area->part;
	int rc = 0;

	mutex_lock(&pages->lock);
	if (!part->mappings) {
		part_set(area);
		rc = spans_fill(pages, part->node.start, part->node.last);
	}
	if (!rc)
		rc = spans_map(pages, area, domain, single_pages);
	if (rc && !part->mappings)
		spans_trim(pages, part->node.start, part->node.last);
	if (!rc && !part->mappings++)
		interval_tree_insert(&part->node, &pages->parts);
	mutex_unlock(&pages->lock);
	return rc;
}

static void pages_unmap(struct weir_area *area, struct iommu_domain *domain)
{
	struct weir_pages *pages = pages_of(area->source);
	struct weir_part *part = &area->part;

	mutex_lock(&pages->lock);
	spans_unmap(pages, part->node.start, part->node.last, domain, area->node.start);
	if (!--part->mappings) {
		interval_tree_remove(&part->node, &pages->parts);
		spans_trim(pages, part->node.start, part->node.last);
	}
	mutex_unlock(&pages->lock);
}

static void pages_split(struct weir_area *area, struct weir_area *behind)
{
	struct weir_pages *pages = pages_of(area->source);

	mutex_lock(&pages->lock);
	if (area->part.mappings) {
		interval_tree_remove(&area->part.node, &pages->parts);
		part_set(area);
		part_set(behind);
		behind->part.mappings = area->part.mappings;
		interval_tree_insert(&area->part.node, &pages->parts);
		interval_tree_insert(&behind->part.node, &pages->parts);
	}
	mutex_unlock(&pages->lock);
}

static void pages_release(struct weir_source *source)
{
	struct weir_pages *pages = pages_of(source);

	WARN_ON(pages->pinned);
	weir_charge_end(&pages->charge);
	mutex_destroy(&pages->lock);
	pages->ops->release(pages);
}

static const struct weir_source_ops pages_ops = {
	.map = pages_map,
	.unmap = pages_unmap,
	.split = pages_split,
	.release = pages_release,
};

struct weir_pages *weir_source_pages(struct weir_source *source)
{
	return source->ops == &pages_ops ? pages_of(source) : NULL;
}

void weir_pages_init(struct weir_pages *pages, const struct weir_pages_ops *ops, bool writable,
		     enum weir_ioas_accounting accounting)
{
	weir_source_init(&pages->source, &pages_ops, writable);
	pages->ops = ops;
	/* Another class than that of BARs: see kernel/README.md. */
	mutex_init(&pages->lock);
	weir_lock_name(&pages->lock, "weir_pages.lock");
	weir_charge_init(&pages->charge, accounting);
	pages->pinned = 0;
	pages->charged_twice = false;
	pages->spans = RB_ROOT_CACHED;
	pages->parts = RB_ROOT_CACHED;
}

int weir_pages_charge_caller(struct weir_pages *pages)
{
	struct weir_charge charge;
	int rc = 0;

	mutex_lock(&pages->lock);
	if (pages->charged_twice || weir_charge_is_callers(&pages->charge))
		goto unlock;
	weir_charge_init(&charge, pages->charge.accounting);
	rc = weir_charge_pages(&charge, pages->pinned);
	if (rc) {
		weir_charge_end(&charge);
		goto unlock;
	}
	pages->old = pages->charge;
	pages->charge = charge;
	pages->charged_twice = true;
unlock:
	mutex_unlock(&pages->lock);
	return rc;
}

void weir_pages_charge_settle(struct weir_pages *pages, bool keep_new)
{
	mutex_lock(&pages->lock);
	if (pages->charged_twice) {
		if (!keep_new)
			swap(pages->charge, pages->old);
		weir_uncharge_pages(&pages->old, pages->pinned);
		weir_charge_end(&pages->old);
		pages->charged_twice = false;
	}
	mutex_unlock(&pages->lock);
}
