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

/* A group that is attached: in a domain. Or it was, and may be again. */
struct member {
	struct list_head entry;
	struct weir_domain *domain;
	struct iommu_group *group;
	bool suspended;
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

/* Takes out what the domain and, if there is one, the group cannot have. */
static int ranges_narrow(struct weir_ranges *ranges, const struct weir_domain *domain,
			 const struct member *member)
{
	const struct iommu_domain_geometry *geometry = &domain->iommu_domain->geometry;
	const struct iommu_resv_region *region;
	int rc;

	rc = weir_ranges_limit(ranges, geometry->aperture_start, geometry->aperture_end);
	if (!member)
		return rc;
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

/*
 * A domain that the group can have. It is attached to the group, unless like is given: the one that
 * the group is in, by which is known what can be had.
 */
static struct weir_domain *domain_new(const struct member *member, const struct weir_domain *like)
{
	struct weir_domain *domain = kzalloc(sizeof(*domain), GFP_KERNEL_ACCOUNT);
	struct iommu_domain *iommu_domain = ERR_PTR(-ENODEV);
	int rc = -ENOMEM;

	if (!domain)
		return ERR_PTR(rc);
	INIT_LIST_HEAD(&domain->entry);
	INIT_LIST_HEAD(&domain->members);
	iommu_group_for_each_dev(member->group, &iommu_domain, domain_alloc);
	if (IS_ERR(iommu_domain)) {
		rc = PTR_ERR(iommu_domain);
		goto free;
	}
	domain->iommu_domain = iommu_domain;
	if (!like) {
		rc = iommu_attach_group(iommu_domain, member->group);
		if (rc)
			goto free_domain;
	}
	/* Only who is attached counts for it; and nothing is mapped yet that would stay without. */
	if (!like || like->enforces_coherency)
		domain->enforces_coherency = enforce_coherency(iommu_domain);
	rc = msi_window_set(domain, member);
	if (rc)
		goto detach;
	return domain;

detach:
	if (!like)
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
	struct weir_domain *fresh = domain_new(member, NULL), *domain;
	int rc;

	if (IS_ERR(fresh))
		return fresh;
	fresh->shared = true;
	list_for_each_entry(domain, &ioas->domains, entry) {
		if (!domain->shared || !domains_alike(domain, fresh))
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
	/* What it maps begins as it does itself: with a page. */
	if (!IS_ALIGNED(area->node.start | (area->node.last + 1) | area->offset,
			1ULL << __ffs64(page_sizes)))
		return conflict_is(conflict, area, WEIR_IOAS_CAUSE_PAGE_SIZE);
	return 0;
}

/* [5] is held for writing. */
static int areas_check(struct weir_ioas *ioas, const struct weir_ranges *ranges, u64 page_sizes,
		       const struct weir_domain *domain, struct weir_ioas_conflict *conflict)
{
	struct weir_area *area;
	int rc = 0;

	down_read(&ioas->areas_lock);
	weir_for_each_area(area, ioas, 0, ULONG_MAX) {
		rc = area_check(area, ranges, page_sizes, domain, conflict);
		if (rc)
			break;
	}
	up_read(&ioas->areas_lock);
	return rc;
}

/* What must stay possible is within the ranges. [5] is held for writing. */
static int allowed_check(struct weir_ioas *ioas, const struct weir_ranges *ranges,
			 struct weir_ioas_conflict *conflict)
{
	const struct weir_ioas_range *allowed;
	unsigned int i;

	for (i = 0; i < ioas->allowed.count; i++) {
		allowed = &ioas->allowed.range[i];
		if (!weir_ranges_contain(ranges, allowed->start, allowed->last)) {
			*conflict = (struct weir_ioas_conflict){
				.cause = WEIR_IOAS_CAUSE_ALLOWED,
				.start = allowed->start,
				.last = allowed->last,
			};
			return -EINVAL;
		}
	}
	return 0;
}

/* Takes all areas, before end if there is one, out of the domain. [5] is held for writing. */
static void areas_unmap(struct weir_ioas *ioas, struct weir_domain *domain,
			const struct weir_area *end)
{
	struct weir_area *area;

	weir_for_each_area(area, ioas, 0, ULONG_MAX) {
		if (area == end)
			break;
		weir_area_unmap(area, domain);
		cond_resched();
	}
}

/* [5] is held for writing. On failure the domain has none. */
static int areas_map(struct weir_ioas *ioas, struct weir_domain *domain)
{
	struct weir_area *area;
	int rc = 0;

	down_read(&ioas->areas_lock);
	weir_for_each_area(area, ioas, 0, ULONG_MAX) {
		rc = area->source->ops->map(area, domain->iommu_domain,
					    ioas->options.no_huge_pages);
		if (rc) {
			areas_unmap(ioas, domain, area);
			break;
		}
		cond_resched();
	}
	up_read(&ioas->areas_lock);
	return rc;
}

/* What was found out holds from now on; ranges are taken over. [5] is held for writing. */
static void limits_set(struct weir_ioas *ioas, const struct weir_ranges *ranges, u64 page_sizes)
{
	down_write(&ioas->areas_lock);
	weir_ranges_free(&ioas->ranges);
	ioas->ranges = *ranges;
	ioas->page_sizes = page_sizes;
	up_write(&ioas->areas_lock);
}

/* [5] is held for writing. */
static void domain_list(struct weir_ioas *ioas, struct weir_domain *domain)
{
	list_add_tail(&domain->entry, &ioas->domains);
	down_write(&ioas->areas_lock);
	ioas->nr_domains++;
	up_write(&ioas->areas_lock);
}

/* [5] is held for writing. */
static void domain_unlist(struct weir_ioas *ioas, struct weir_domain *domain)
{
	list_del(&domain->entry);
	down_write(&ioas->areas_lock);
	ioas->nr_domains--;
	up_write(&ioas->areas_lock);
}

/* Adds a domain with all areas mapped, if it is a new one. [4] and, for writing, [5] are held. */
static int domain_fill(struct weir_ioas *ioas, struct weir_domain *domain)
{
	int rc;

	if (!list_empty(&domain->entry))
		return 0;
	rc = areas_map(ioas, domain);
	if (!rc)
		domain_list(ioas, domain);
	return rc;
}

/*
 * Lets the group, if there is one, have the areas by a domain it is attached to. [4] and, for
 * writing, [5] are held.
 */
static int admit(struct weir_ioas *ioas, struct weir_domain *domain, struct member *member,
		 struct weir_ioas_conflict *conflict)
{
	u64 page_sizes = ioas->page_sizes & page_sizes_of(domain);
	struct weir_ranges ranges;
	int rc;

	if (!page_sizes)
		return -EINVAL;
	rc = weir_ranges_copy(&ranges, &ioas->ranges);
	if (rc)
		return rc;
	rc = ranges_narrow(&ranges, domain, member);
	if (!rc)
		rc = areas_check(ioas, &ranges, page_sizes, domain, conflict);
	if (!rc)
		rc = allowed_check(ioas, &ranges, conflict);
	if (!rc)
		rc = domain_fill(ioas, domain);
	if (rc) {
		weir_ranges_free(&ranges);
		return rc;
	}
	if (member) {
		member->domain = domain;
		list_add_tail(&member->entry, &domain->members);
	}
	limits_set(ioas, &ranges, page_sizes);
	return 0;
}

/* NULL: the group is not attached, or suspended. [4] is held. */
static struct member *member_find(struct weir_ioas *ioas, const struct iommu_group *group,
				  bool suspended)
{
	struct weir_domain *domain;
	struct member *member;

	list_for_each_entry(domain, &ioas->domains, entry)
		list_for_each_entry(member, &domain->members, entry)
			if (member->group == group && member->suspended == suspended)
				return member;
	return NULL;
}

/* The domain that is to be had, attached to the group. [4] is held. */
static struct weir_domain *domain_find(struct weir_ioas *ioas, const struct member *member,
				       struct weir_domain *wanted)
{
	int rc;

	if (!wanted)
		return domain_for(ioas, member);
	rc = iommu_attach_group(wanted->iommu_domain, member->group);
	return rc ? ERR_PTR(rc) : wanted;
}

/* Nobody has it any more. [4] is held. */
static bool domain_is_unused(const struct weir_domain *domain)
{
	return list_empty(&domain->members) && !domain->holders;
}

/* [4] is held. */
static int attach(struct weir_ioas *ioas, struct iommu_group *group, struct weir_domain **domain,
		  struct weir_ioas_conflict *conflict)
{
	struct member *member;
	int rc;

	if (member_find(ioas, group, false))
		return -EBUSY;
	member = member_new(group);
	if (IS_ERR(member))
		return PTR_ERR(member);
	*domain = domain_find(ioas, member, *domain);
	if (IS_ERR(*domain)) {
		member_free(member);
		return PTR_ERR(*domain);
	}
	down_write(&ioas->domains_lock);
	rc = admit(ioas, *domain, member, conflict);
	up_write(&ioas->domains_lock);
	if (rc) {
		iommu_detach_group((*domain)->iommu_domain, group);
		if (domain_is_unused(*domain))
			domain_free(*domain);
		member_free(member);
	}
	return rc;
}

static bool is_isolated(struct iommu_group *group, const struct weir_ioas_attach_options *options)
{
	return options->allow_unsafe_interrupts || weir_compat_isolated_msi(group);
}

int weir_ioas_attach_group(struct weir_ioas *ioas, struct iommu_group *group,
			   const struct weir_ioas_attach_options *options,
			   struct weir_ioas_conflict *conflict)
{
	struct weir_domain *domain = NULL;
	int rc;

	*conflict = (struct weir_ioas_conflict){ .cause = WEIR_IOAS_CAUSE_OTHER };
	if (!is_isolated(group, options)) {
		conflict->cause = WEIR_IOAS_CAUSE_INTERRUPTS;
		return -EPERM;
	}
	mutex_lock(&ioas->attach_lock);
	rc = attach(ioas, group, &domain, conflict);
	mutex_unlock(&ioas->attach_lock);
	return rc;
}
EXPORT_SYMBOL_GPL(weir_ioas_attach_group);

int weir_ioas_attach_domain(struct weir_ioas *ioas, struct iommu_group *group,
			    struct weir_domain **domain, struct weir_ioas_conflict *conflict)
{
	int rc;

	*conflict = (struct weir_ioas_conflict){ .cause = WEIR_IOAS_CAUSE_OTHER };
	mutex_lock(&ioas->attach_lock);
	rc = attach(ioas, group, domain, conflict);
	if (!rc)
		(*domain)->holders++;
	mutex_unlock(&ioas->attach_lock);
	return rc;
}

/* What is possible with the groups that are left. [4] and, for writing, [5] are held. */
static void limits_widen(struct weir_ioas *ioas)
{
	struct weir_domain *domain;
	struct weir_ranges ranges;
	struct member *member;
	u64 page_sizes = PAGE_MASK;
	int rc;

	rc = weir_ranges_init(&ranges);
	list_for_each_entry(domain, &ioas->domains, entry) {
		page_sizes &= page_sizes_of(domain);
		if (!rc)
			rc = ranges_narrow(&ranges, domain, NULL);
		list_for_each_entry(member, &domain->members, entry)
			if (!rc)
				rc = ranges_narrow(&ranges, domain, member);
	}
	if (rc) {
		/* They stay narrower than they need be. */
		weir_ranges_free(&ranges);
		return;
	}
	limits_set(ioas, &ranges, page_sizes);
}

/* The domain goes, if nobody has it any more. [4] is held. */
static void domain_give_up(struct weir_ioas *ioas, struct weir_domain *domain)
{
	if (!domain_is_unused(domain))
		return;
	down_write(&ioas->domains_lock);
	domain_unlist(ioas, domain);
	down_read(&ioas->areas_lock);
	areas_unmap(ioas, domain, NULL);
	up_read(&ioas->areas_lock);
	limits_widen(ioas);
	up_write(&ioas->domains_lock);
	domain_free(domain);
}

/* The end of a member whose group is not attached any more. [4] is held. */
static void member_remove(struct weir_ioas *ioas, struct member *member)
{
	struct weir_domain *domain = member->domain;

	down_write(&ioas->domains_lock);
	list_del(&member->entry);
	limits_widen(ioas);
	up_write(&ioas->domains_lock);
	domain_give_up(ioas, domain);
	member_free(member);
}

void weir_ioas_detach_group(struct weir_ioas *ioas, struct iommu_group *group)
{
	struct member *member;

	mutex_lock(&ioas->attach_lock);
	member = member_find(ioas, group, false);
	if (!WARN_ON(!member)) {
		iommu_detach_group(member->domain->iommu_domain, group);
		member_remove(ioas, member);
	}
	mutex_unlock(&ioas->attach_lock);
}
EXPORT_SYMBOL_GPL(weir_ioas_detach_group);

void weir_ioas_suspend_group(struct weir_ioas *ioas, struct iommu_group *group)
{
	struct member *member;

	mutex_lock(&ioas->attach_lock);
	member = member_find(ioas, group, false);
	if (!WARN_ON(!member)) {
		iommu_detach_group(member->domain->iommu_domain, group);
		member->suspended = true;
	}
	mutex_unlock(&ioas->attach_lock);
}

int weir_ioas_resume_group(struct weir_ioas *ioas, struct iommu_group *group)
{
	struct member *member;
	int rc = -EINVAL;

	mutex_lock(&ioas->attach_lock);
	member = member_find(ioas, group, true);
	if (!WARN_ON(!member))
		rc = iommu_attach_group(member->domain->iommu_domain, group);
	if (!rc)
		member->suspended = false;
	mutex_unlock(&ioas->attach_lock);
	return rc;
}

void weir_ioas_forget_group(struct weir_ioas *ioas, struct iommu_group *group)
{
	struct member *member;

	mutex_lock(&ioas->attach_lock);
	member = member_find(ioas, group, true);
	if (!WARN_ON(!member))
		member_remove(ioas, member);
	mutex_unlock(&ioas->attach_lock);
}

/* [4] is held. */
static struct weir_domain *domain_create(struct weir_ioas *ioas, struct iommu_group *group,
					 const struct weir_domain *like,
					 struct weir_ioas_conflict *conflict)
{
	struct member *member = member_new(group);
	struct weir_domain *domain;
	int rc;

	if (IS_ERR(member))
		return ERR_CAST(member);
	domain = domain_new(member, like);
	member_free(member);
	if (IS_ERR(domain))
		return domain;
	if (!like)
		iommu_detach_group(domain->iommu_domain, group);
	domain->holders = 1;
	down_write(&ioas->domains_lock);
	rc = admit(ioas, domain, NULL, conflict);
	up_write(&ioas->domains_lock);
	if (rc) {
		domain_free(domain);
		return ERR_PTR(rc);
	}
	return domain;
}

struct weir_domain *weir_ioas_domain_create(struct weir_ioas *ioas, struct iommu_group *group,
					    const struct weir_domain *like,
					    struct weir_ioas_conflict *conflict)
{
	struct weir_domain *domain;

	*conflict = (struct weir_ioas_conflict){ .cause = WEIR_IOAS_CAUSE_OTHER };
	mutex_lock(&ioas->attach_lock);
	domain = domain_create(ioas, group, like, conflict);
	mutex_unlock(&ioas->attach_lock);
	return domain;
}

void weir_ioas_domain_put(struct weir_ioas *ioas, struct weir_domain *domain)
{
	mutex_lock(&ioas->attach_lock);
	domain->holders--;
	domain_give_up(ioas, domain);
	mutex_unlock(&ioas->attach_lock);
}
