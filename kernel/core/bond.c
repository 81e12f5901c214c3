// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bonds of devices and contexts. A device has one from its first open to its last close, unless its
 * group is in a container.
 */
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "core/context.h"
#include "core/device.h"
#include "core/private.h"

static void assert_locked(const struct weir_device *device)
{
	lockdep_assert_held(&device->group->lock);
	lockdep_assert_held(&device->set->lock);
}

int weir_bond_make(struct weir_device *device, const struct weir_held_context *held, bool own_node)
{
	struct weir_bond *bond = kzalloc(sizeof(*bond), GFP_KERNEL_ACCOUNT);
	struct weir_group *group = device->group;
	int rc;

	assert_locked(device);
	if (!bond)
		return -ENOMEM;
	bond->binding = held->ops->bind(held->context, device, &bond->id);
	if (IS_ERR(bond->binding)) {
		rc = PTR_ERR(bond->binding);
		kfree(bond);
		return rc;
	}
	weir_context_hold_again(&bond->held, held);
	bond->own_node = own_node;
	device->bond = bond;
	/* All of a group are bound to one context, for its DMA has one owner. */
	group->bonds++;
	WRITE_ONCE(group->owner, held->context);
	return 0;
}

void weir_bond_end(struct weir_device *device)
{
	struct weir_bond *bond = device->bond;
	struct weir_group *group = device->group;

	assert_locked(device);
	bond->held.ops->detach(bond->binding);
	bond->held.ops->unbind(bond->binding);
	if (!--group->bonds)
		WRITE_ONCE(group->owner, NULL);
	device->bond = NULL;
	weir_context_let_go(&bond->held);
	kfree(bond);
}

int weir_bond_attach(struct weir_device *device, u32 *id)
{
	struct weir_bond *bond = device->bond;

	lockdep_assert_held(&device->set->lock);
	return bond->held.ops->attach(bond->binding, id);
}

int weir_bond_attach_compatible(struct weir_device *device)
{
	const struct weir_held_context *held = &device->bond->held;
	u32 id;
	int rc = held->ops->compatible(held->context, false, &id);

	return rc ? rc : weir_bond_attach(device, &id);
}

void weir_bond_detach(struct weir_device *device)
{
	struct weir_bond *bond = device->bond;

	lockdep_assert_held(&device->set->lock);
	bond->held.ops->detach(bond->binding);
}

struct weir_context *weir_device_context(const struct weir_device *device)
{
	const struct weir_bond *bond = device->bond;

	return bond && bond->own_node ? bond->held.context : NULL;
}
EXPORT_SYMBOL_GPL(weir_device_context);

bool weir_context_owns_device(const struct weir_context *context, const struct weir_device *device,
			      u32 *id)
{
	const struct weir_bond *bond = device->bond;

	lockdep_assert_held(&device->set->lock);
	*id = 0;
	if (bond && bond->held.context == context) {
		*id = bond->id;
		return true;
	}
	/* Not bound itself: it is nobody else's if another one of its group is. */
	return device->group && READ_ONCE(device->group->owner) == context;
}
EXPORT_SYMBOL_GPL(weir_context_owns_device);
