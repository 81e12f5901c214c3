// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups and domains of an address space.
 *
 * The IOMMU core's own lock of a group is taken by most of its functions, so these are called with
 * [4] alone, and what concerns areas is done under [5] in between.
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "ioas/private.h"

/* A group that is attached: in a domain. */
struct member {
	struct list_head entry;
	struct weir_domain *domain;
	struct iommu_group *group;
	/* Of struct iommu_resv_region: what the group's devices cannot have translated. */
	struct list_head reserved;
};

static void member_free(struct member *member)
{
	struct iommu_resv_region *region, *next;

	list_for_each_entry_safe(region, next, &member->reserved, list)
		kfree(region);
	kfree(member);
}

static struct member *member_new(struct iommu_group *group)
{
	struct member *member = kzalloc(sizeof(*member), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!member)
		return ERR_PTR(-ENOMEM);
	member->group = group;
	INIT_LIST_HEAD(&member->reserved);
	rc = iommu_get_group_resv_regions(group, &member->reserved);
	if (rc) {
		member_free(member);
		return ERR_PTR(rc);
	}
	return member;
}

/* Direct mappings that firmware wants only while it drives the device are none of ours. */
static bool region_excludes(const struct iommu_resv_region *region)
{
	return region->length && region->type != IOMMU_RESV_DIRECT_RELAXABLE;
}

static u64 region_last(const struct iommu_resv_region *region)
{
	return region->start + region->length - 1;
}

/* Takes out what the domain and the group cannot have. */
static int ranges_narrow(struct weir_ranges *ranges, const struct weir_domain *domain,
			 const struct member *member)
{
	const struct iommu_domain_geometry *geometry = &domain->iommu_domain->geometry;
	const struct iommu_resv_region *region;
	int rc;

	rc = weir_ranges_limit(ranges, geometry->aperture_start, geometry->aperture_end);
	list_for_each_entry(region, &member->reserved, list) {
		if (!rc && region_excludes(region))
			rc = weir_ranges_exclude(ranges, region->start, region_last(region));
	}
	return rc;
}

static u64 page_sizes_of(const struct weir_domain *domain)
{
	u64 sizes = domain->iommu_domain->pgsize_bitmap;

	/* What is smaller than a page of memory serves as such. */
	if (sizes & ~PAGE_MASK)
		sizes = (sizes & PAGE_MASK) | PAGE_SIZE;
	return sizes;
}

static int domain_alloc(struct device *dev, void *data)
{
	struct iommu_domain **domain = data;

	*domain = weir_compat_domain_alloc(dev);
	/* One device speaks for its group. */
	return 1;
}

static void domain_free(struct weir_domain *domain)
{
	iommu_domain_free(domain->iommu_domain);
	kfree(domain);
}

static int msi_window_set(struct weir_domain *domain, const struct member *member)
{
	const struct iommu_resv_region *region;
	int rc;

	list_for_each_entry(region, &member->reserved, list) {
		if (region->type != IOMMU_RESV_SW_MSI)
			continue;
		rc = iommu_get_msi_cookie(domain->iommu_domain, region->start);
		/* The kernel has none: then nobody needs it. */
		if (rc && rc != -ENODEV)
			return rc;
		domain->has_msi_window = true;
		domain->msi_window = region->start;
		break;
	}
	return 0;
}

static bool enforce_coherency(struct iommu_domain *domain)
{
	return domain->ops->enforce_cache_coherency && domain->ops->enforce_cache_coherency(domain);
}

/* A domain of the group's own, attached to it. */
static struct weir_domain *domain_new(const struct member *member)
{
	struct weir_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL_ACCOUNT);
	struct iommu_domain *iommu_domain = ERR_PTR(-ENODEV);
	int rc = -ENOMEM;

	if (!domain)
		return ERR_PTR(rc);
	INIT_LIST_HEAD(&domain->members);
	iommu_group_for_each_dev(member->group, &iommu_domain, domain_alloc);
	if (IS_ERR(iommu_domain)) {
		rc = PTR_ERR(iommu_domain);
		goto free;
	}
	domain->iommu_domain = iommu_domain;
	rc = iommu_attach_group(iommu_domain, member->group);
	if (rc)
		goto free_domain;
	/* Only who is attached counts for it; and nothing is mapped yet that would stay without. */
	domain->enforces_coherency = enforce_coherency(iommu_domain);
	rc = msi_window_set(domain, member);
	if (rc)
		goto detach;
	return domain;

detach:
	iommu_detach_group(iommu_domain, member->group);
free_domain:
	iommu_domain_free(iommu_domain);
free:
	kfree(domain);
	return ERR_PTR(rc);
}

/* Whether a group with a domain such as b can do with a. */
static bool domains_alike(const struct weir_domain *a, const struct weir_domain *b)
{
	return a->iommu_domain->ops == b->iommu_domain->ops &&
	       a->enforces_coherency == b->enforces_coherency &&
	       a->has_msi_window == b->has_msi_window && a->msi_window == b->msi_window;
}

/*
 * The domain that a group gets, attached to it: one that is there and takes the group, or one of
 * its own. [4] is held.
 */
static struct weir_domain *domain_for(struct weir_ioas *ioas, const struct member *member)
{
	struct weir_domain *fresh = domain_new(member), *domain;
	int rc;

	if (IS_ERR(fresh))
		return fresh;
	list_for_each_entry(domain, &ioas->domains, entry) {
		if (!domains_alike(domain, fresh))
			continue;
		iommu_detach_group(fresh->iommu_domain, member->group);
		if (!iommu_attach_group(domain->iommu_domain, member->group)) {
			domain_free(fresh);
			return domain;
		}
		rc = iommu_attach_group(fresh->iommu_domain, member->group);
		if (rc) {
			domain_free(fresh);
			return ERR_PTR(rc);
		}
	}
	return fresh;
}

static int conflict_is(struct weir_ioas_conflict *conflict, const struct weir_area *area,
		       enum weir_ioas_cause cause)
{
	*conflict = (struct weir_ioas_conflict){
		.cause = cause,
		.start = area->node.start,
		.last = area->node.last,
	};
	return -EINVAL;
}

/* Whether an area could be where it is. */
static int area_check(const struct weir_area *area, const struct weir_ranges *ranges,
		      u64 page_sizes, const struct weir_domain *domain,
		      struct weir_ioas_conflict *conflict)
{
	const struct iommu_domain_geometry *geometry = &domain->iommu_domain->geometry;

	if (area->node.start < geometry->aperture_start || area->node.last > geometry->aperture_end)
		return conflict_is(conflict, area, WEIR_IOAS_CAUSE_APERTURE);
	if (!weir_ranges_contain(ranges, area->node.start, area->node.last))
		return conflict_is(conflict, area, WEIR_IOAS_CAUSE_RESERVED);
	if (!IS_ALIGNED(area->node.start | (area->node.last + 1), 1ULL << __ffs64(page_sizes)))
		return conflict_is(conflict, area, WEIR_IOAS_CAUSE_PAGE_SIZE);
	return 0;
}

#define for_each_area(node, ioas) \
	for (node = interval_tree_iter_first(&(ioas)->areas, 0, ULONG_MAX); node; \
	     node = interval_tree_iter_next(node, 0, ULONG_MAX))

/* [5] is held for writing. */
static int areas_check(struct weir_ioas *ioas, const struct weir_ranges *ranges, u64 page_sizes,
		       const struct weir_domain *domain, struct weir_ioas_conflict *conflict)
{
	struct interval_tree_node *node;
	int rc = 0;

	down_read(&ioas->areas_lock);
	for_each_area(node, ioas) {
		rc = area_check(container_of(node, struct weir_area, node), ranges, page_sizes,
				domain, conflict);
		if (rc)
			break;
	}
	up_read(&ioas->areas_lock);
	return rc;
}

/* Takes all areas, before end if there is one, out of the domain. [5] is held for writing. */
static void areas_unmap(struct weir_ioas *ioas, struct weir_domain *domain,
			const struct interval_tree_node *end)
{
	struct interval_tree_node *node;

	for_each_area(node, ioas) {
		if (node == end)
			break;
		weir_area_unmap(container_of(node, struct weir_area, node), domain);
		cond_resched();
	}
}

/* [5] is held for writing. On failure the domain has none. */
static int areas_map(struct weir_ioas *ioas, struct weir_domain *domain)
{
	struct interval_tree_node *node;
	int rc = 0;

	down_read(&ioas->areas_lock);
	for_each_area(node, ioas) {
		struct weir_source *source = container_of(node, struct weir_area, node)->source;

		rc = source->ops->map(source, domain->iommu_domain, node->start);
		if (rc) {
			areas_unmap(ioas, domain, node);
			break;
		}
		cond_resched();
	}
	up_read(&ioas->areas_lock);
	return rc;
}

static void limits_set(struct weir_ioas *ioas, const struct weir_ranges *ranges, u64 page_sizes)
{
	down_write(&ioas->areas_lock);
	weir_ranges_free(&ioas->ranges);
	ioas->ranges = *ranges;
	ioas->page_sizes = page_sizes;
	up_write(&ioas->areas_lock);
}

/* Lets the group have the areas, by a domain it is attached to. [4] and, for writing, [5] held. */
static int admit(struct weir_ioas *ioas, struct weir_domain *domain, struct member *member,
		 struct weir_ioas_conflict *conflict)
{
	u64 page_sizes = ioas->page_sizes & page_sizes_of(domain);
	bool fresh = list_empty(&domain->members);
	struct weir_ranges ranges;
	int rc;

	if (!page_sizes)
		return -EINVAL;
	rc = weir_ranges_copy(&ranges, &ioas->ranges);
	if (rc)
		return rc;
	rc = ranges_narrow(&ranges, domain, member);
	if (rc)
		goto free;
	rc = areas_check(ioas, &ranges, page_sizes, domain, conflict);
	if (rc)
		goto free;
	if (fresh) {
		rc = areas_map(ioas, domain);
		if (rc)
			goto free;
		list_add_tail(&domain->entry, &ioas->domains);
	}
	member->domain = domain;
	list_add_tail(&member->entry, &domain->members);
	limits_set(ioas, &ranges, page_sizes);
	return 0;

free:
	weir_ranges_free(&ranges);
	return rc;
}

/* NULL: the group is not attached. [4] is held. */
static struct member *member_find(struct weir_ioas *ioas, const struct iommu_group *group)
{
	struct weir_domain *domain;
	struct member *member;

	list_for_each_entry(domain, &ioas->domains, entry)
		list_for_each_entry(member, &domain->members, entry)
			if (member->group == group)
				return member;
	return NULL;
}

/* [4] is held. */
static int attach(struct weir_ioas *ioas, struct iommu_group *group,
		  struct weir_ioas_conflict *conflict)
{
	struct weir_domain *domain;
	struct member *member;
	int rc;

	if (member_find(ioas, group))
		return -EBUSY;
	member = member_new(group);
	if (IS_ERR(member))
		return PTR_ERR(member);
	domain = domain_for(ioas, member);
	if (IS_ERR(domain)) {
		member_free(member);
		return PTR_ERR(domain);
	}
	down_write(&ioas->domains_lock);
	rc = admit(ioas, domain, member, conflict);
	up_write(&ioas->domains_lock);
	if (rc) {
		iommu_detach_group(domain->iommu_domain, group);
		if (list_empty(&domain->members))
			domain_free(domain);
		member_free(member);
	}
	return rc;
}

int weir_ioas_attach_group(struct weir_ioas *ioas, struct iommu_group *group,
			   const struct weir_ioas_attach_options *options,
			   struct weir_ioas_conflict *conflict)
{
	int rc;

	*conflict = (struct weir_ioas_conflict){ .cause = WEIR_IOAS_CAUSE_OTHER };
	if (!options->allow_unsafe_interrupts && !weir_compat_isolated_msi(group)) {
		conflict->cause = WEIR_IOAS_CAUSE_INTERRUPTS;
		return -EPERM;
	}
	mutex_lock(&ioas->attach_lock);
	rc = attach(ioas, group, conflict);
	mutex_unlock(&ioas->attach_lock);
	return rc;
}
EXPORT_SYMBOL_GPL(weir_ioas_attach_group);

/* What is possible with the groups that are left. [4] and, for writing, [5] are held. */
static void limits_widen(struct weir_ioas *ioas)
{
	struct weir_domain *domain;
	struct weir_ranges ranges;
	struct member *member;
	u64 page_sizes = PAGE_MASK;

	if (weir_ranges_init(&ranges))
		return;
	list_for_each_entry(domain, &ioas->domains, entry) {
		page_sizes &= page_sizes_of(domain);
		list_for_each_entry(member, &domain->members, entry) {
			if (ranges_narrow(&ranges, domain, member)) {
				/* It stays narrower than it need be. */
				weir_ranges_free(&ranges);
				return;
			}
		}
	}
	limits_set(ioas, &ranges, page_sizes);
}

void weir_ioas_detach_group(struct weir_ioas *ioas, struct iommu_group *group)
{
	struct weir_domain *domain;
	struct member *member;
	bool last;

	mutex_lock(&ioas->attach_lock);
	member = member_find(ioas, group);
	if (WARN_ON(!member))
		goto unlock;
	domain = member->domain;
	iommu_detach_group(domain->iommu_domain, group);

	down_write(&ioas->domains_lock);
	list_del(&member->entry);
	last = list_empty(&domain->members);
	if (last) {
		list_del(&domain->entry);
		down_read(&ioas->areas_lock);
		areas_unmap(ioas, domain, NULL);
		up_read(&ioas->areas_lock);
	}
	limits_widen(ioas);
	up_write(&ioas->domains_lock);

	if (last)
		domain_free(domain);
	member_free(member);
unlock:
	mutex_unlock(&ioas->attach_lock);
}
EXPORT_SYMBOL_GPL(weir_ioas_detach_group);
