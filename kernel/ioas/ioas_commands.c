// SPDX-License-Identifier: GPL-2.0-only
/* Commands of /dev/iommu that are about address spaces. */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioas/door.h"
#include "uapi/weir/iommufd.h"

/* Ranges that a call may give. */
#define ALLOWED_MAX BIT(20)

/* Ranges are copied as they are. */
static_assert(sizeof(struct weir_ioas_range) == sizeof(struct weir_iommu_iova_range));
static_assert(offsetof(struct weir_ioas_range, last) ==
	      offsetof(struct weir_iommu_iova_range, last));

struct weir_door_ioas *weir_door_ioas_new(struct weir_context *context)
{
	const struct weir_ioas_options options = {
		.entry_limit = UINT_MAX,
		.any_alignment = true,
		.accounting = context->accounting,
	};
	struct weir_door_ioas *ioas;
	int rc = -ENOMEM;

	ioas = kzalloc(sizeof(*ioas), GFP_KERNEL_ACCOUNT);
	if (!ioas)
		return ERR_PTR(rc);
	INIT_LIST_HEAD(&ioas->hwpts);
	ioas->ioas = weir_ioas_create(&options);
	if (IS_ERR(ioas->ioas)) {
		rc = PTR_ERR(ioas->ioas);
		goto free;
	}
	rc = weir_object_init(context, &ioas->object, WEIR_OBJECT_IOAS);
	if (rc)
		goto destroy;
	return ioas;

destroy:
	weir_ioas_destroy(ioas->ioas);
free:
	kfree(ioas);
	return ERR_PTR(rc);
}

void weir_door_ioas_free(struct weir_door_ioas *ioas)
{
	weir_ioas_destroy(ioas->ioas);
	kfree(ioas);
}

int weir_door_ioas_alloc(struct weir_call *call)
{
	struct weir_context *context = call->context;
	struct weir_iommu_ioas_alloc *alloc = call->data;
	struct weir_door_ioas *ioas;
	int rc;

	if (alloc->flags)
		return -EOPNOTSUPP;
	mutex_lock(&context->lock);
	ioas = weir_door_ioas_new(context);
	mutex_unlock(&context->lock);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	alloc->out_ioas_id = ioas->object.id;
	rc = weir_call_respond(call);
	if (rc) {
		weir_object_withdraw(context, &ioas->object);
		weir_door_ioas_free(ioas);
		return rc;
	}
	mutex_lock(&context->lock);
	weir_object_publish(context, &ioas->object);
	mutex_unlock(&context->lock);
	return 0;
}

int weir_door_ranges(struct weir_call *call)
{
	struct weir_iommu_ioas_iova_ranges *command = call->data;
	struct weir_ioas_range *ranges;
	struct weir_door_ioas *ioas;
	unsigned int count, room;
	int rc;

	if (command->__reserved)
		return -EOPNOTSUPP;
	ioas = weir_door_ioas_get(call->context, command->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = weir_ioas_ranges(ioas->ioas, &ranges, &count);
	command->out_iova_alignment = weir_ioas_alignment(ioas->ioas);
	weir_door_ioas_put(ioas);
	if (rc)
		return rc;
	room = min(command->num_iovas, count);
	command->num_iovas = count;
	if (copy_to_user(u64_to_user_ptr(command->allowed_iovas), ranges, room * sizeof(*ranges)))
		rc = -EFAULT;
	kvfree(ranges);
	if (!rc)
		rc = weir_call_respond(call);
	if (!rc && room < count)
		rc = -EMSGSIZE;
	return rc;
}

int weir_door_allow(struct weir_call *call)
{
	const struct weir_iommu_ioas_allow_iovas *command = call->data;
	struct weir_ioas_range *list;
	struct weir_door_ioas *ioas;
	size_t size;
	int rc;

	if (command->__reserved)
		return -EOPNOTSUPP;
	ioas = weir_door_ioas_get(call->context, command->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = -ENOMEM;
	if (command->num_iovas > ALLOWED_MAX)
		goto put;
	size = (size_t)command->num_iovas * sizeof(*list);
	list = kvmalloc(max_t(size_t, size, 1), GFP_KERNEL_ACCOUNT);
	if (!list)
		goto put;
	rc = -EFAULT;
	if (!copy_from_user(list, u64_to_user_ptr(command->allowed_iovas), size))
		rc = weir_ioas_allow(ioas->ioas, list, command->num_iovas);
	kvfree(list);
put:
	weir_door_ioas_put(ioas);
	return rc;
}

/* The engine's flags for those of a mapping command, or -EOPNOTSUPP. */
static int flags_of(u32 flags)
{
	const u32 known = WEIR_IOMMU_IOAS_MAP_FIXED_IOVA | WEIR_IOMMU_IOAS_MAP_WRITEABLE |
			  WEIR_IOMMU_IOAS_MAP_READABLE;

	if (flags & ~known)
		return -EOPNOTSUPP;
	return (flags & WEIR_IOMMU_IOAS_MAP_FIXED_IOVA ? 0 : WEIR_IOAS_CHOOSE) |
	       (flags & WEIR_IOMMU_IOAS_MAP_WRITEABLE ? WEIR_IOAS_WRITE : 0) |
	       (flags & WEIR_IOMMU_IOAS_MAP_READABLE ? WEIR_IOAS_READ : 0);
}

/*
 * Numbers that nothing can end at, though the sums that the engine checks do not wrap: the API has
 * the byte behind the end be a number, too, for lengths and addresses.
 */
static int numbers_check(u64 iova, u64 length, u64 address)
{
	u64 end;

	if (iova == U64_MAX || length > S64_MAX || check_add_overflow(address, length, &end))
		return -EOVERFLOW;
	return 0;
}

/* The caller is told where it is, or it is not there. */
static int respond_mapped(const struct weir_call *call, struct weir_door_ioas *ioas, u64 iova,
			  u64 length)
{
	u64 unmapped;

	if (!weir_call_respond(call))
		return 0;
	weir_ioas_unmap(ioas->ioas, iova, length, WEIR_IOAS_UNMAP_WHOLE, &unmapped);
	return -EFAULT;
}

int weir_door_map(struct weir_call *call)
{
	struct weir_iommu_ioas_map *map = call->data;
	int flags = flags_of(map->flags);
	struct weir_door_ioas *ioas;
	u64 iova = map->iova;
	int rc;

	if (flags < 0)
		return flags;
	if (map->__reserved)
		return -EOPNOTSUPP;
	ioas = weir_door_ioas_get(call->context, map->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = numbers_check(iova, map->length, map->user_va);
	if (!rc)
		rc = weir_ioas_map_user(ioas->ioas, &iova, map->length, map->user_va, flags);
	if (!rc) {
		map->iova = iova;
		rc = respond_mapped(call, ioas, iova, map->length);
	}
	weir_door_ioas_put(ioas);
	return rc;
}

static int map_file(struct weir_door_ioas *ioas, const struct weir_iommu_ioas_map_file *map,
		    u64 *iova, int flags)
{
	int rc = numbers_check(*iova, map->length, map->start);
	struct file *file;

	if (rc)
		return rc;
	file = fget(map->fd);
	if (!file)
		return -EBADF;
	/* As for who maps it into memory: to write it, it must be open for reading, too. */
	if (!(file->f_mode & FMODE_READ) ||
	    (flags & WEIR_IOAS_WRITE && !(file->f_mode & FMODE_WRITE)))
		rc = -EPERM;
	else
		rc = weir_ioas_map_file(ioas->ioas, iova, map->length, file, map->start, flags);
	fput(file);
	return rc;
}

int weir_door_map_file(struct weir_call *call)
{
	struct weir_iommu_ioas_map_file *map = call->data;
	int flags = flags_of(map->flags);
	struct weir_door_ioas *ioas;
	u64 iova = map->iova;
	int rc;

	if (flags < 0)
		return flags;
	ioas = weir_door_ioas_get(call->context, map->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	rc = map_file(ioas, map, &iova, flags);
	if (!rc) {
		map->iova = iova;
		rc = respond_mapped(call, ioas, iova, map->length);
	}
	weir_door_ioas_put(ioas);
	return rc;
}

static int copy_between(const struct weir_call *call, struct weir_door_ioas *to,
			struct weir_door_ioas *from, int flags)
{
	struct weir_iommu_ioas_copy *copy = call->data;
	u64 iova = copy->dst_iova;
	int rc;

	rc = weir_ioas_copy(to->ioas, &iova, copy->length, from->ioas, copy->src_iova, flags);
	if (rc)
		return rc;
	copy->dst_iova = iova;
	return respond_mapped(call, to, iova, copy->length);
}

int weir_door_copy(struct weir_call *call)
{
	const struct weir_iommu_ioas_copy *copy = call->data;
	int flags = flags_of(copy->flags);
	struct weir_door_ioas *from, *to;
	int rc;

	if (flags < 0)
		return flags;
	from = weir_door_ioas_get(call->context, copy->src_ioas_id);
	if (IS_ERR(from))
		return PTR_ERR(from);
	to = weir_door_ioas_get(call->context, copy->dst_ioas_id);
	rc = PTR_ERR_OR_ZERO(to);
	if (!rc) {
		rc = copy_between(call, to, from, flags);
		weir_door_ioas_put(to);
	}
	weir_door_ioas_put(from);
	return rc;
}

int weir_door_unmap(struct weir_call *call)
{
	struct weir_iommu_ioas_unmap *unmap = call->data;
	enum weir_ioas_unmap_rule rule = WEIR_IOAS_UNMAP_WHOLE;
	struct weir_door_ioas *ioas;
	u64 unmapped = 0;
	int rc;

	ioas = weir_door_ioas_get(call->context, unmap->ioas_id);
	if (IS_ERR(ioas))
		return PTR_ERR(ioas);
	if (!unmap->iova && unmap->length == U64_MAX)
		rule = WEIR_IOAS_UNMAP_ALL;
	rc = -EOVERFLOW;
	if (rule == WEIR_IOAS_UNMAP_ALL || (unmap->iova != U64_MAX && unmap->length != U64_MAX))
		rc = weir_ioas_unmap(ioas->ioas, unmap->iova, unmap->length, rule, &unmapped);
	weir_door_ioas_put(ioas);
	if (!rc && !unmapped && rule == WEIR_IOAS_UNMAP_WHOLE)
		rc = -ENOENT;
	if (rc)
		return rc;
	unmap->length = unmapped;
	return weir_call_respond(call);
}
