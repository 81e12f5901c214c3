// SPDX-License-Identifier: GPL-2.0-only
/* Registration of contexts, and how the core holds one. */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>

#include "core/context.h"
#include "core/private.h"

/* Inside of [1]; nothing is taken in it. */
static DEFINE_MUTEX(contexts_lock);
static const struct weir_context_ops *contexts;

void weir_contexts_register(const struct weir_context_ops *ops)
{
	mutex_lock(&contexts_lock);
	contexts = ops;
	mutex_unlock(&contexts_lock);
}
EXPORT_SYMBOL_GPL(weir_contexts_register);

void weir_contexts_unregister(const struct weir_context_ops *ops)
{
	mutex_lock(&contexts_lock);
	if (!WARN_ON(contexts != ops))
		contexts = NULL;
	mutex_unlock(&contexts_lock);
}
EXPORT_SYMBOL_GPL(weir_contexts_unregister);

bool weir_context_hold(struct weir_held_context *held, struct file *file)
{
	struct weir_context *context = NULL;

	mutex_lock(&contexts_lock);
	if (contexts && try_module_get(contexts->owner)) {
		context = contexts->of_file(file);
		if (context)
			*held = (struct weir_held_context){
				.ops = contexts,
				.context = context,
				.file = get_file(file),
			};
		else
			module_put(contexts->owner);
	}
	mutex_unlock(&contexts_lock);
	return context;
}

void weir_context_hold_again(struct weir_held_context *held, const struct weir_held_context *other)
{
	*held = *other;
	__module_get(held->ops->owner);
	get_file(held->file);
}

void weir_context_let_go(struct weir_held_context *held)
{
	const struct weir_context_ops *ops = held->ops;

	fput(held->file);
	module_put(ops->owner);
	*held = (struct weir_held_context){};
}
