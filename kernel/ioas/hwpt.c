// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of /dev/iommu: domains of an address space, by which groups are attached to it. Who
 * attaches to the address space gets one that is there already, or a new one, which goes with the
 * last group; user space can also make one, which stays.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "ioas/door.h"
#include "uapi/weir/iommufd.h"

/* With its id reserved; without a domain. [3a] is held. -ENOMEM, an ERR_PTR. */
static struct weir_hwpt *hwpt_new(struct weir_context *context, struct weir_door_ioas *ioas)
{
	struct weir_hwpt *hwpt = kzalloc(sizeof(*hwpt), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!hwpt)
		return ERR_PTR(-ENOMEM);
	rc = weir_object_init(context, &hwpt->object, WEIR_OBJECT_HWPT);
	if (rc) {
		kfree(hwpt);
		return ERR_PTR(rc);
	}
	hwpt->ioas = ioas;
	return hwpt;
}

/* The domain, which is held, becomes its own. [3a] is held. */
static void hwpt_give(struct weir_hwpt *hwpt, struct weir_domain *domain)
{
	hwpt->domain = domain;
	list_add_tail(&hwpt->entry, &hwpt->ioas->hwpts);
	hwpt->ioas->object.users++;
}

/* Of one that was given no domain. [3a] is held. */
static void hwpt_cancel(struct weir_context *context, struct weir_hwpt *hwpt)
{
	weir_object_withdraw(context, &hwpt->object);
	kfree(hwpt);
}

void weir_hwpt_free(struct weir_hwpt *hwpt)
{
	weir_ioas_domain_put(hwpt->ioas->ioas, hwpt->domain);
	list_del(&hwpt->entry);
	hwpt->ioas->object.users--;
	kfree(hwpt);
}

/* [3a] is held. */
static struct weir_hwpt *hwpt_of_domain(struct weir_door_ioas *ioas,
					const struct weir_domain *domain)
{
	struct weir_hwpt *hwpt;

	list_for_each_entry(hwpt, &ioas->hwpts, entry)
		if (hwpt->domain == domain)
			return hwpt;
	return NULL;
}

/* Areas in the way are something that user space can do something about. */
static int attach_error(int rc, const struct weir_ioas_conflict *conflict)
{
	switch (conflict->cause) {
	case WEIR_IOAS_CAUSE_APERTURE:
	case WEIR_IOAS_CAUSE_RESERVED:
	case WEIR_IOAS_CAUSE_PAGE_SIZE:
	case WEIR_IOAS_CAUSE_ALLOWED:
		return -EADDRINUSE;
	case WEIR_IOAS_CAUSE_OTHER:
	case WEIR_IOAS_CAUSE_INTERRUPTS:
		break;
	}
	return rc;
}

/* By any domain of the address space. [3a] is held. */
static struct weir_hwpt *attach_any(struct weir_context *context, struct weir_door_group *group,
				    struct weir_door_ioas *ioas)
{
	struct weir_hwpt *fresh = hwpt_new(context, ioas), *found;
	struct weir_ioas_conflict conflict;
	struct weir_domain *domain = NULL;
	int rc;

	if (IS_ERR(fresh))
		return fresh;
	rc = weir_ioas_attach_domain(ioas->ioas, group->iommu_group, &domain, &conflict);
	if (rc) {
		hwpt_cancel(context, fresh);
		return ERR_PTR(attach_error(rc, &conflict));
	}
	found = hwpt_of_domain(ioas, domain);
	if (found) {
		weir_ioas_domain_put(ioas->ioas, domain);
		hwpt_cancel(context, fresh);
		return found;
	}
	fresh->automatic = true;
	hwpt_give(fresh, domain);
	weir_object_publish(context, &fresh->object);
	return fresh;
}

/* By its domain. [3a] is held. */
static int attach_this(struct weir_door_group *group, struct weir_hwpt *hwpt)
{
	struct weir_domain *domain = hwpt->domain;
	struct weir_ioas_conflict conflict;
	int rc;

	rc = weir_ioas_attach_domain(hwpt->ioas->ioas, group->iommu_group, &domain, &conflict);
	if (rc)
		return attach_error(rc, &conflict);
	/* The page table holds it already. */
	weir_ioas_domain_put(hwpt->ioas->ioas, domain);
	return 0;
}

int weir_hwpt_attach(struct weir_context *context, struct weir_door_group *group,
		     struct weir_door_ioas *ioas, struct weir_hwpt *hwpt)
{
	int rc = 0;

	lockdep_assert_held(&context->lock);
	if (hwpt) {
		rc = attach_this(group, hwpt);
	} else {
		hwpt = attach_any(context, group, ioas);
		rc = PTR_ERR_OR_ZERO(hwpt);
	}
	if (rc)
		return rc;
	hwpt->object.users++;
	group->hwpt = hwpt;
	return 0;
}

/* One group less is attached by it. [3a] is held. */
static void hwpt_let_go(struct weir_context *context, struct weir_hwpt *hwpt)
{
	if (--hwpt->object.users || !hwpt->automatic)
		return;
	weir_object_withdraw(context, &hwpt->object);
	weir_hwpt_free(hwpt);
}

void weir_hwpt_detach(struct weir_context *context, struct weir_door_group *group)
{
	struct weir_hwpt *hwpt = group->hwpt;

	lockdep_assert_held(&context->lock);
	weir_ioas_detach_group(hwpt->ioas->ioas, group->iommu_group);
	group->hwpt = NULL;
	hwpt_let_go(context, hwpt);
}

int weir_hwpt_move(struct weir_context *context, struct weir_door_group *group,
		   struct weir_door_ioas *ioas, struct weir_hwpt *hwpt)
{
	struct weir_hwpt *old = group->hwpt;
	int rc;

	lockdep_assert_held(&context->lock);
	weir_ioas_suspend_group(old->ioas->ioas, group->iommu_group);
	rc = weir_hwpt_attach(context, group, ioas, hwpt);
	if (rc && !weir_ioas_resume_group(old->ioas->ioas, group->iommu_group))
		return rc;
	if (rc)
		group->hwpt = NULL;
	weir_ioas_forget_group(old->ioas->ioas, group->iommu_group);
	hwpt_let_go(context, old);
	return rc;
}

/* A page table for the device's group, in the address space. [3a] is held. */
static struct weir_hwpt *hwpt_make(struct weir_context *context, struct weir_door_group *group,
				   struct weir_door_ioas *ioas)
{
	const struct weir_domain *like = group->hwpt ? group->hwpt->domain : NULL;
	struct weir_hwpt *hwpt = hwpt_new(context, ioas);
	struct weir_ioas_conflict conflict;
	struct weir_domain *domain;

	if (IS_ERR(hwpt))
		return hwpt;
	domain = weir_ioas_domain_create(ioas->ioas, group->iommu_group, like, &conflict);
	if (IS_ERR(domain)) {
		hwpt_cancel(context, hwpt);
		return ERR_PTR(attach_error(PTR_ERR(domain), &conflict));
	}
	hwpt_give(hwpt, domain);
	return hwpt;
}

/* [3a] is held. */
static struct weir_hwpt *hwpt_alloc(struct weir_context *context,
				    const struct weir_iommu_hwpt_alloc *command)
{
	struct weir_object *device = weir_object_find(context, command->dev_id);
	struct weir_object *table = weir_object_find(context, command->pt_id);

	if (!device || device->kind != WEIR_OBJECT_DEVICE)
		return ERR_PTR(-ENOENT);
	if (!table || table->kind == WEIR_OBJECT_DEVICE)
		return ERR_PTR(-EINVAL);
	/* Page tables of user space's own, within one of these, are not there. */
	if (command->flags || table->kind == WEIR_OBJECT_HWPT ||
	    command->data_type != WEIR_IOMMU_HWPT_DATA_NONE)
		return ERR_PTR(-EOPNOTSUPP);
	return hwpt_make(context, container_of(device, struct weir_binding, object)->group,
			 container_of(table, struct weir_door_ioas, object));
}

int weir_door_hwpt_alloc(struct weir_call *call)
{
	struct weir_context *context = call->context;
	struct weir_iommu_hwpt_alloc *command = call->data;
	struct weir_hwpt *hwpt;
	bool has_data;
	int rc;

	if (command->__reserved || command->__reserved2)
		return -EOPNOTSUPP;
	has_data = command->data_type != WEIR_IOMMU_HWPT_DATA_NONE;
	if (has_data != !!command->data_len)
		return -EINVAL;
	mutex_lock(&context->lock);
	hwpt = hwpt_alloc(context, command);
	mutex_unlock(&context->lock);
	if (IS_ERR(hwpt))
		return PTR_ERR(hwpt);
	command->out_hwpt_id = hwpt->object.id;
	rc = weir_call_respond(call);
	mutex_lock(&context->lock);
	if (rc) {
		weir_object_withdraw(context, &hwpt->object);
		weir_hwpt_free(hwpt);
	} else {
		weir_object_publish(context, &hwpt->object);
	}
	mutex_unlock(&context->lock);
	return rc;
}
