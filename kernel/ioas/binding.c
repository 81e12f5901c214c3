// SPDX-License-Identifier: GPL-2.0-only
/* Devices that are bound to a context: what the core asks for. */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "core/context.h"
#include "core/device.h"
#include "ioas/door.h"
#include "uapi/weir/iommufd.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Take devices whose interrupts are not isolated: who has one can then raise any");

/* [3a] is held. */
static struct weir_door_group *group_find(struct weir_context *context,
					  const struct iommu_group *iommu_group)
{
	struct weir_door_group *group;

	list_for_each_entry(group, &context->groups, entry)
		if (group->iommu_group == iommu_group)
			return group;
	return NULL;
}

/* Claims its DMA, and takes the reference over. [3a] is held. */
static struct weir_door_group *group_new(struct weir_context *context,
					 struct iommu_group *iommu_group)
{
	struct weir_door_group *group;
	int rc;

	if (!allow_unsafe_interrupts && !weir_compat_isolated_msi(iommu_group)) {
		pr_warn_ratelimited(
			"group %d: its interrupts are not isolated, see the parameter allow_unsafe_interrupts\n",
			iommu_group_id(iommu_group));
		return ERR_PTR(-EPERM);
	}
	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return ERR_PTR(-ENOMEM);
	rc = iommu_group_claim_dma_owner(iommu_group, context);
	if (rc) {
		kfree(group);
		return ERR_PTR(rc);
	}
	group->iommu_group = iommu_group;
	list_add(&group->entry, &context->groups);
	return group;
}

/* One more of its devices is bound. [3a] is held. */
static struct weir_door_group *group_get(struct weir_context *context, struct device *device)
{
	struct iommu_group *iommu_group = iommu_group_get(device);
	struct weir_door_group *group;

	/* A registered device has one. */
	if (!iommu_group)
		return ERR_PTR(-EINVAL);
	group = group_find(context, iommu_group);
	if (!group)
		group = group_new(context, iommu_group);
	else
		iommu_group_put(iommu_group);
	if (IS_ERR(group))
		iommu_group_put(iommu_group);
	else
		group->bound++;
	return group;
}

/* [3a] is held. */
static void group_put(struct weir_door_group *group)
{
	if (--group->bound)
		return;
	list_del(&group->entry);
	iommu_group_release_dma_owner(group->iommu_group);
	iommu_group_put(group->iommu_group);
	kfree(group);
}

static struct weir_binding *door_bind(struct weir_context *context, struct weir_device *device,
				      u32 *id)
{
	struct weir_binding *binding = kzalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!binding)
		return ERR_PTR(-ENOMEM);
	binding->context = context;

	mutex_lock(&context->lock);
	binding->group = group_get(context, device->parent);
	rc = PTR_ERR_OR_ZERO(binding->group);
	if (rc)
		goto unlock;
	rc = weir_object_init(context, &binding->object, WEIR_OBJECT_DEVICE);
	if (rc) {
		group_put(binding->group);
		goto unlock;
	}
	*id = binding->object.id;
	weir_object_publish(context, &binding->object);
unlock:
	mutex_unlock(&context->lock);
	if (rc) {
		kfree(binding);
		return ERR_PTR(rc);
	}
	return binding;
}

static void door_unbind(struct weir_binding *binding)
{
	struct weir_context *context = binding->context;

	mutex_lock(&context->lock);
	weir_object_withdraw(context, &binding->object);
	group_put(binding->group);
	mutex_unlock(&context->lock);
	weir_object_drain(&binding->object);
	kfree(binding);
}

/* Whether the group is where it is to go: by the page table, or one made for the address space. */
static bool is_there(const struct weir_door_group *group, const struct weir_door_ioas *ioas,
		     const struct weir_hwpt *hwpt)
{
	if (hwpt)
		return group->hwpt == hwpt;
	return group->hwpt->automatic && group->hwpt->ioas == ioas;
}

/* [3a] is held. */
static int attach(struct weir_context *context, struct weir_binding *binding,
		  struct weir_door_ioas *ioas, struct weir_hwpt *hwpt)
{
	struct weir_door_group *group = binding->group;
	int rc;

	if (!group->attached) {
		rc = weir_hwpt_attach(context, group, ioas, hwpt);
	} else if (is_there(group, ioas, hwpt)) {
		rc = 0;
	} else if (binding->attached && group->attached == 1) {
		rc = weir_hwpt_move(context, group, ioas, hwpt);
		if (!group->hwpt) {
			binding->attached = false;
			group->attached = 0;
		}
	} else {
		/* The devices of a group reach the same. */
		return -EINVAL;
	}
	if (!rc && !binding->attached) {
		binding->attached = true;
		group->attached++;
	}
	return rc;
}

static int door_attach(struct weir_binding *binding, u32 *id)
{
	struct weir_context *context = binding->context;
	struct weir_object *object;
	int rc = -EINVAL;

	mutex_lock(&context->lock);
	object = weir_object_find(context, *id);
	if (!object)
		rc = -ENOENT;
	else if (object->kind == WEIR_OBJECT_IOAS)
		rc = attach(context, binding, container_of(object, struct weir_door_ioas, object),
			    NULL);
	else if (object->kind == WEIR_OBJECT_HWPT)
		rc = attach(context, binding, NULL, container_of(object, struct weir_hwpt, object));
	if (!rc)
		*id = binding->group->hwpt->object.id;
	mutex_unlock(&context->lock);
	return rc;
}

static void door_detach(struct weir_binding *binding)
{
	struct weir_context *context = binding->context;
	struct weir_door_group *group = binding->group;

	mutex_lock(&context->lock);
	if (binding->attached) {
		binding->attached = false;
		if (!--group->attached)
			weir_hwpt_detach(context, group);
	}
	mutex_unlock(&context->lock);
}

static int door_set_no_iommu(struct weir_context *context)
{
	int rc = 0;

	mutex_lock(&context->lock);
	if (context->compatible)
		rc = -EINVAL;
	else
		WRITE_ONCE(context->no_iommu, true);
	mutex_unlock(&context->lock);
	return rc;
}

static int door_compatible(struct weir_context *context, bool make, u32 *id)
{
	struct weir_door_ioas *ioas;
	int rc = 0;

	mutex_lock(&context->lock);
	if (context->no_iommu && make) {
		rc = -EINVAL;
	} else if (!context->compatible && !make) {
		rc = -ENODEV;
	} else if (!context->compatible) {
		ioas = weir_door_ioas_new(context);
		rc = PTR_ERR_OR_ZERO(ioas);
		if (!rc) {
			weir_object_publish(context, &ioas->object);
			context->compatible = ioas;
		}
	}
	if (!rc)
		*id = context->compatible->object.id;
	mutex_unlock(&context->lock);
	return rc;
}

const struct weir_context_ops weir_door_ops = {
	.owner = THIS_MODULE,
	.of_file = weir_context_of_file,
	.bind = door_bind,
	.unbind = door_unbind,
	.attach = door_attach,
	.detach = door_detach,
	.set_no_iommu = door_set_no_iommu,
	.compatible = door_compatible,
};

/* Nothing is told of any IOMMU's own: there is nothing to be done with it here. */
int weir_door_hw_info(struct weir_call *call)
{
	struct weir_iommu_hw_info *info = call->data;
	struct weir_object *device;

	if (info->flags & ~WEIR_IOMMU_HW_INFO_FLAG_INPUT_TYPE || info->__reserved[0] ||
	    info->__reserved[1] || info->__reserved[2])
		return -EOPNOTSUPP;
	if (info->flags & WEIR_IOMMU_HW_INFO_FLAG_INPUT_TYPE &&
	    info->data_type != WEIR_IOMMU_HW_INFO_TYPE_NONE)
		return -EOPNOTSUPP;
	device = weir_object_get(call->context, info->dev_id, WEIR_OBJECT_DEVICE);
	if (IS_ERR(device))
		return PTR_ERR(device);
	weir_object_put(device);
	if (clear_user(u64_to_user_ptr(info->data_uptr), info->data_len))
		return -EFAULT;
	info->data_len = 0;
	info->data_type = WEIR_IOMMU_HW_INFO_TYPE_NONE;
	info->out_max_pasid_log2 = 0;
	info->out_capabilities = 0;
	return weir_call_respond(call);
}
