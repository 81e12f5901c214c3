// SPDX-License-Identifier: GPL-2.0-only
/* Address spaces as such: their begin, their end, and what can be asked of them. */
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "core/lock.h"
#include "ioas/private.h"

struct weir_ioas *weir_ioas_create(const struct weir_ioas_options *options)
{
	struct weir_ioas *ioas = kzalloc(sizeof(*ioas), GFP_KERNEL_ACCOUNT);

	if (!ioas)
		return ERR_PTR(-ENOMEM);
	if (weir_ranges_init(&ioas->ranges)) {
		kfree(ioas);
		return ERR_PTR(-ENOMEM);
	}
	ioas->options = *options;
	mutex_init(&ioas->attach_lock);
	weir_lock_name(&ioas->attach_lock, "weir_ioas.attach_lock");
	init_rwsem(&ioas->domains_lock);
	weir_lock_name(&ioas->domains_lock, "weir_ioas.domains_lock");
	INIT_LIST_HEAD(&ioas->domains);
	init_rwsem(&ioas->areas_lock);
	weir_lock_name(&ioas->areas_lock, "weir_ioas.areas_lock");
	ioas->areas = RB_ROOT_CACHED;
	ioas->page_sizes = PAGE_MASK;
	init_waitqueue_head(&ioas->settle_wait);
	return ioas;
}
EXPORT_SYMBOL_GPL(weir_ioas_create);

void weir_ioas_destroy(struct weir_ioas *ioas)
{
	u64 unmapped;

	WARN_ON(!list_empty(&ioas->domains));
	weir_ioas_unmap(ioas, 0, 0, WEIR_IOAS_UNMAP_ALL, &unmapped);
	weir_ranges_free(&ioas->ranges);
	weir_ranges_free(&ioas->allowed);
	mutex_destroy(&ioas->attach_lock);
	kfree(ioas);
}
EXPORT_SYMBOL_GPL(weir_ioas_destroy);

int weir_ioas_ranges(struct weir_ioas *ioas, struct weir_ioas_range **ranges, unsigned int *count)
{
	struct weir_ranges copy;
	int rc;

	down_read(&ioas->areas_lock);
	rc = weir_ranges_copy(&copy, &ioas->ranges);
	up_read(&ioas->areas_lock);
	if (rc)
		return rc;
	*ranges = copy.range;
	*count = copy.count;
	return 0;
}
EXPORT_SYMBOL_GPL(weir_ioas_ranges);

u64 weir_ioas_page_sizes(struct weir_ioas *ioas)
{
	u64 sizes;

	down_read(&ioas->areas_lock);
	sizes = ioas->page_sizes;
	up_read(&ioas->areas_lock);
	return sizes;
}
EXPORT_SYMBOL_GPL(weir_ioas_page_sizes);

unsigned int weir_ioas_entries_left(struct weir_ioas *ioas)
{
	unsigned int left;

	down_read(&ioas->areas_lock);
	left = ioas->options.entry_limit - ioas->nr_areas;
	up_read(&ioas->areas_lock);
	return left;
}
EXPORT_SYMBOL_GPL(weir_ioas_entries_left);

bool weir_ioas_enforces_coherency(struct weir_ioas *ioas)
{
	struct weir_domain *domain;
	bool enforces = true;

	down_read(&ioas->domains_lock);
	list_for_each_entry(domain, &ioas->domains, entry)
		enforces = enforces && domain->enforces_coherency;
	up_read(&ioas->domains_lock);
	return enforces;
}
EXPORT_SYMBOL_GPL(weir_ioas_enforces_coherency);

u64 weir_ioas_alignment(struct weir_ioas *ioas)
{
	u64 alignment;

	down_read(&ioas->areas_lock);
	alignment = weir_granule_mask(ioas) + 1;
	up_read(&ioas->areas_lock);
	return alignment;
}

int weir_ioas_allow(struct weir_ioas *ioas, const struct weir_ioas_range *list, unsigned int count)
{
	struct weir_ranges allowed;
	unsigned int i;
	int rc = 0;

	rc = weir_ranges_sort(&allowed, list, count);
	if (rc)
		return rc;
	/* Nothing is attached meanwhile, so that the one knows of the other. */
	down_read(&ioas->domains_lock);
	down_write(&ioas->areas_lock);
	for (i = 0; i < count; i++)
		if (!weir_ranges_contain(&ioas->ranges, list[i].start, list[i].last))
			rc = -EADDRINUSE;
	if (!rc)
		swap(ioas->allowed, allowed);
	up_write(&ioas->areas_lock);
	up_read(&ioas->domains_lock);
	weir_ranges_free(&allowed);
	return rc;
}

bool weir_ioas_huge_pages(struct weir_ioas *ioas)
{
	bool huge;

	down_read(&ioas->areas_lock);
	huge = !ioas->options.no_huge_pages;
	up_read(&ioas->areas_lock);
	return huge;
}

/* Whether all areas begin and end with pages, and their memory. [6] is held. */
static bool areas_are_pages(struct weir_ioas *ioas)
{
	struct weir_area *area;

	weir_for_each_area(area, ioas, 0, ULONG_MAX)
		if (offset_in_page(area->node.start | (area->node.last + 1) | area->offset))
			return false;
	return true;
}

int weir_ioas_set_huge_pages(struct weir_ioas *ioas, bool huge)
{
	int rc = 0;

	down_write(&ioas->domains_lock);
	down_write(&ioas->areas_lock);
	if (huge == !ioas->options.no_huge_pages)
		goto unlock;
	/* What is mapped is by large entries perhaps, and cannot be cut. */
	if (!huge && ioas->nr_domains && ioas->nr_areas)
		rc = -EINVAL;
	else if (!huge && !areas_are_pages(ioas))
		rc = -EADDRINUSE;
	else
		ioas->options.no_huge_pages = !huge;
unlock:
	up_write(&ioas->areas_lock);
	up_write(&ioas->domains_lock);
	return rc;
}
