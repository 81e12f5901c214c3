// SPDX-License-Identifier: GPL-2.0-only
/* Registration of backends. */
#include <linux/module.h>
#include <linux/mutex.h>

#include "core/backend.h"
#include "core/private.h"

/* Inside of [2]; nothing is taken in it. */
static DEFINE_MUTEX(backends_lock);
static LIST_HEAD(backends);

void weir_backend_register(struct weir_backend *backend)
{
	mutex_lock(&backends_lock);
	list_add_tail(&backend->entry, &backends);
	mutex_unlock(&backends_lock);
}
EXPORT_SYMBOL_GPL(weir_backend_register);

void weir_backend_unregister(struct weir_backend *backend)
{
	mutex_lock(&backends_lock);
	list_del(&backend->entry);
	mutex_unlock(&backends_lock);
}
EXPORT_SYMBOL_GPL(weir_backend_unregister);

bool weir_backends_have(unsigned long extension)
{
	struct weir_backend *backend;
	bool found = false;

	mutex_lock(&backends_lock);
	list_for_each_entry(backend, &backends, entry)
		found = found || backend->ops->check_extension(NULL, extension);
	mutex_unlock(&backends_lock);
	return found;
}

struct weir_backend *weir_backend_get(unsigned long type)
{
	struct weir_backend *backend, *found = NULL;

	mutex_lock(&backends_lock);
	list_for_each_entry(backend, &backends, entry) {
		if (backend->ops->check_extension(NULL, type) &&
		    try_module_get(backend->ops->owner)) {
			found = backend;
			break;
		}
	}
	mutex_unlock(&backends_lock);
	return found;
}

void weir_backend_put(struct weir_backend *backend)
{
	module_put(backend->ops->owner);
}
