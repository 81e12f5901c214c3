// SPDX-License-Identifier: GPL-2.0-only
/* Commands of /dev/iommu that set how things are done: WEIR_IOMMU_OPTION, and who pays. */
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/slab.h>

#include "ioas/door.h"
#include "uapi/weir/iommufd.h"

/* For all objects that are to come, so that there must be none yet. */
static int option_set_accounting(struct weir_context *context, u64 value)
{
	int rc = 0;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	mutex_lock(&context->lock);
	if (!xa_empty(&context->objects))
		rc = -EBUSY;
	else if (value > 1)
		rc = -EINVAL;
	else
		context->accounting = value ? WEIR_IOAS_CHARGE_PROCESS : WEIR_IOAS_CHARGE_USER;
	mutex_unlock(&context->lock);
	return rc;
}

static int option_accounting(struct weir_call *call)
{
	struct weir_context *context = call->context;
	struct weir_iommu_option *option = call->data;

	if (option->object_id)
		return -EOPNOTSUPP;
	switch (option->op) {
	case WEIR_IOMMU_OPTION_OP_SET:
		return option_set_accounting(context, option->val64);
	case WEIR_IOMMU_OPTION_OP_GET:
		mutex_lock(&context->lock);
		option->val64 = context->accounting == WEIR_IOAS_CHARGE_PROCESS;
		mutex_unlock(&context->lock);
		return weir_call_respond(call);
	default:
		return -EOPNOTSUPP;
	}
}

static int option_huge_pages(struct weir_call *call)
{
	struct weir_iommu_option *option = call->data;
	struct weir_door_ioas *ioas;
	int rc = -EOPNOTSUPP;

	ioas = weir_door_ioas_get(call->context, option->object_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	switch (option->op) {
	case WEIR_IOMMU_OPTION_OP_SET:
		rc = option->val64 > 1 ? -EINVAL
				       : weir_ioas_set_huge_pages(ioas->ioas, option->val64);
		break;
	case WEIR_IOMMU_OPTION_OP_GET:
		option->val64 = weir_ioas_huge_pages(ioas->ioas);
		rc = weir_call_respond(call);
		break;
	}
	weir_door_ioas_put(ioas);
	return rc;
}

int weir_door_option(struct weir_call *call)
{
	const struct weir_iommu_option *option = call->data;

	if (option->__reserved)
		return -EOPNOTSUPP;
	switch (option->option_id) {
	case WEIR_IOMMU_OPTION_RLIMIT_MODE:
		return option_accounting(call);
	case WEIR_IOMMU_OPTION_HUGE_PAGES:
		return option_huge_pages(call);
	default:
		return -EOPNOTSUPP;
	}
}

/* [3a] is held: no address space comes or goes. */
static int change_process(struct weir_context *context)
{
	struct weir_object *object;
	struct weir_ioas **list;
	unsigned int count = 0;
	unsigned long id;
	int rc;

	xa_for_each(&context->objects, id, object)
		count += object->kind == WEIR_OBJECT_IOAS;
	list = kvcalloc(count + 1, sizeof(*list), GFP_KERNEL_ACCOUNT);
	if (!list)
		return -ENOMEM;
	count = 0;
	xa_for_each(&context->objects, id, object)
		if (object->kind == WEIR_OBJECT_IOAS)
			list[count++] = container_of(object, struct weir_door_ioas, object)->ioas;
	rc = weir_ioas_charge_caller(list, count, &context->lock);
	kvfree(list);
	return rc;
}

int weir_door_change_process(struct weir_call *call)
{
	const struct weir_iommu_ioas_change_process *change = call->data;
	struct weir_context *context = call->context;
	int rc;

	if (change->__reserved)
		return -EOPNOTSUPP;
	mutex_lock(&context->lock);
	rc = change_process(context);
	mutex_unlock(&context->lock);
	return rc;
}
