// SPDX-License-Identifier: GPL-2.0-only
/* Device sets: found by an address that stands for what is reset together. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "core/device.h"
#include "core/lock.h"
#include "core/private.h"

/* Which sets there are, and how many devices each has. Outside of [3]. */
static DEFINE_MUTEX(sets_lock);
static DEFINE_XARRAY(sets);

/* The set of that name with one more member. NULL when memory is short. */
static struct weir_device_set *set_get(const void *id)
{
	struct weir_device_set *set = xa_load(&sets, (unsigned long)id);

	if (!set) {
		set = kzalloc(sizeof(*set), GFP_KERNEL);
		if (!set)
			return NULL;
		mutex_init(&set->lock);
		weir_lock_name(&set->lock, "weir_device_set.lock");
		INIT_LIST_HEAD(&set->devices);
		set->id = id;
		if (xa_err(xa_store(&sets, (unsigned long)id, set, GFP_KERNEL))) {
			kfree(set);
			return NULL;
		}
	}
	set->members++;
	return set;
}

static void set_put(struct weir_device_set *set)
{
	if (--set->members)
		return;
	xa_erase(&sets, (unsigned long)set->id);
	mutex_destroy(&set->lock);
	kfree(set);
}

int weir_device_join_set(struct weir_device *device, const void *id)
{
	struct weir_device_set *set;

	mutex_lock(&sets_lock);
	set = set_get(id);
	mutex_unlock(&sets_lock);
	if (!set)
		return -ENOMEM;

	device->set = set;
	mutex_lock(&set->lock);
	list_add_tail(&device->set_entry, &set->devices);
	mutex_unlock(&set->lock);
	return 0;
}
EXPORT_SYMBOL_GPL(weir_device_join_set);

void weir_device_leave_set(struct weir_device *device)
{
	struct weir_device_set *set = device->set;

	if (!set)
		return;
	mutex_lock(&set->lock);
	list_del(&device->set_entry);
	mutex_unlock(&set->lock);
	device->set = NULL;

	mutex_lock(&sets_lock);
	set_put(set);
	mutex_unlock(&sets_lock);
}
