// SPDX-License-Identifier: GPL-2.0-only
/* Objects of a context: door.h tells how they are kept. */
#include <linux/err.h>

#include "ioas/door.h"

struct weir_object *weir_object_get(struct weir_context *context, u32 id,
				    enum weir_object_kind kind)
{
	struct weir_object *object;

	xa_lock(&context->objects);
	object = xa_load(&context->objects, id);
	if (!object || object->kind != kind)
		object = ERR_PTR(-ENOENT);
	else
		refcount_inc(&object->calls);
	xa_unlock(&context->objects);
	return object;
}

void weir_object_put(struct weir_object *object)
{
	if (refcount_dec_and_test(&object->calls))
		complete(&object->idle);
}

struct weir_object *weir_object_find(struct weir_context *context, u32 id)
{
	lockdep_assert_held(&context->lock);
	return xa_load(&context->objects, id);
}

int weir_object_init(struct weir_context *context, struct weir_object *object,
		     enum weir_object_kind kind)
{
	int rc;

	object->kind = kind;
	object->users = 0;
	refcount_set(&object->calls, 1);
	init_completion(&object->idle);
	/* Not with the object: it is not to be found before user space knows its id. */
	rc = xa_alloc(&context->objects, &object->id, NULL, xa_limit_31b, GFP_KERNEL_ACCOUNT);
	return rc ? -ENOMEM : 0;
}

void weir_object_publish(struct weir_context *context, struct weir_object *object)
{
	/* Its place is there, so that nothing need be allocated. */
	WARN_ON(xa_err(xa_store(&context->objects, object->id, object, GFP_KERNEL)));
}

void weir_object_withdraw(struct weir_context *context, struct weir_object *object)
{
	xa_erase(&context->objects, object->id);
}

void weir_object_drain(struct weir_object *object)
{
	weir_object_put(object);
	wait_for_completion(&object->idle);
}
