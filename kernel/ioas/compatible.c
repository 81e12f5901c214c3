// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of /dev/iommu in the place of a container: type 1's ioctls work on one address space of the
 * context. Type 1 of the first version cuts what it unmaps anywhere, and so has no huge pages.
 */
#include <linux/capability.h>
#include <linux/err.h>

#include "core/context.h"
#include "ioas/door.h"
#include "ioas/type1.h"
#include "uapi/weir/iommufd.h"
#include "uapi/weir/vfio.h"

int weir_door_vfio_ioas(struct weir_call *call)
{
	struct weir_iommu_vfio_ioas *command = call->data;
	struct weir_context *context = call->context;
	struct weir_object *object;
	int rc = 0;

	if (command->__reserved || command->op > WEIR_IOMMU_VFIO_IOAS_CLEAR)
		return -EOPNOTSUPP;
	mutex_lock(&context->lock);
	switch (command->op) {
	case WEIR_IOMMU_VFIO_IOAS_GET:
		if (context->compatible)
			command->ioas_id = context->compatible->object.id;
		else
			rc = -ENODEV;
		break;
	case WEIR_IOMMU_VFIO_IOAS_SET:
		object = weir_object_find(context, command->ioas_id);
		if (object && object->kind == WEIR_OBJECT_IOAS)
			context->compatible = container_of(object, struct weir_door_ioas, object);
		else
			rc = -ENOENT;
		break;
	case WEIR_IOMMU_VFIO_IOAS_CLEAR:
		context->compatible = NULL;
		break;
	}
	mutex_unlock(&context->lock);
	if (!rc && command->op == WEIR_IOMMU_VFIO_IOAS_GET)
		rc = weir_call_respond(call);
	return rc;
}

/* For a call, as weir_door_ioas_get(); NULL if there is none. */
static struct weir_door_ioas *compatible_get(struct weir_context *context)
{
	struct weir_door_ioas *ioas;

	mutex_lock(&context->lock);
	ioas = context->compatible;
	if (ioas)
		refcount_inc(&ioas->object.calls);
	mutex_unlock(&context->lock);
	return ioas;
}

static long check_coherency(struct weir_context *context)
{
	struct weir_door_ioas *ioas = compatible_get(context);
	long enforces;

	if (!ioas)
		return -ENODEV;
	enforces = weir_ioas_enforces_coherency(ioas->ioas);
	weir_door_ioas_put(ioas);
	return enforces;
}

static long check_extension(struct weir_context *context, unsigned long extension)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return !READ_ONCE(context->no_iommu);
	case VFIO_NOIOMMU_IOMMU:
		return weir_no_iommu_enabled();
	case VFIO_DMA_CC_IOMMU:
		return check_coherency(context);
	default:
		return 0;
	}
}

static long set_type(struct weir_ioas *ioas, unsigned long type)
{
	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return -EINVAL;
	if (!ioas)
		return -ENODEV;
	return type == VFIO_TYPE1_IOMMU ? weir_ioas_set_huge_pages(ioas, false) : 0;
}

static long set_no_iommu_type(unsigned long type)
{
	if (type != VFIO_NOIOMMU_IOMMU)
		return -EINVAL;
	return capable(CAP_SYS_RAWIO) ? 0 : -EPERM;
}

static long unmap(struct weir_ioas *ioas, void __user *argument)
{
	enum weir_ioas_unmap_rule rule = WEIR_IOAS_UNMAP_WHOLE;

	if (ioas && !weir_ioas_huge_pages(ioas))
		rule = WEIR_IOAS_UNMAP_CUT;
	return weir_type1_unmap(ioas, argument, rule);
}

/* ioas: NULL if there is none. */
static long ioas_ioctl(struct weir_ioas *ioas, unsigned int command, unsigned long argument)
{
	void __user *pointer = (void __user *)argument;

	switch (command) {
	case VFIO_SET_IOMMU:
		return set_type(ioas, argument);
	case VFIO_IOMMU_GET_INFO:
		return weir_type1_get_info(ioas, pointer);
	case VFIO_IOMMU_MAP_DMA:
		return weir_type1_map(ioas, pointer, 0);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap(ioas, pointer);
	default:
		return -ENOTTY;
	}
}

long weir_compatible_ioctl(struct weir_context *context, unsigned int command,
			   unsigned long argument)
{
	struct weir_door_ioas *ioas;
	long rc;

	switch (command) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return check_extension(context, argument);
	case VFIO_SET_IOMMU:
		if (READ_ONCE(context->no_iommu))
			return set_no_iommu_type(argument);
		break;
	}
	ioas = compatible_get(context);
	rc = ioas_ioctl(ioas ? ioas->ioas : NULL, command, argument);
	if (ioas)
		weir_door_ioas_put(ioas);
	return rc;
}
