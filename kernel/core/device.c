// SPDX-License-Identifier: GPL-2.0-only
/* Life of a device: allocated, registered, in use, unregistered, released. */
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "core/device.h"
#include "core/private.h"

/* How often who has a device that is to go is asked for it. */
#define REQUEST_INTERVAL (10 * HZ)

static DEFINE_IDA(indexes);

static struct class device_class = {
	.name = "vfio-dev",
};

static void device_release(struct device *dev)
{
	struct weir_device *device = container_of(dev, struct weir_device, dev);

	if (device->ops->release)
		device->ops->release(device);
	weir_device_leave_set(device);
	weir_inode_free(device->inode);
	ida_free(&indexes, device->index);
	put_device(device->parent);
	kfree(device);
}

void *weir_device_alloc_size(size_t size, struct device *parent, const struct weir_device_ops *ops)
{
	struct weir_device *device = kzalloc(size, GFP_KERNEL);
	int rc;

	if (!device)
		return ERR_PTR(-ENOMEM);
	device->parent = parent;
	device->ops = ops;
	init_completion(&device->unused);

	device->index = ida_alloc(&indexes, GFP_KERNEL);
	if (device->index < 0) {
		rc = device->index;
		goto free_device;
	}
	device->inode = weir_inode_new();
	if (IS_ERR(device->inode)) {
		rc = PTR_ERR(device->inode);
		goto free_index;
	}
	device->mapping = device->inode->i_mapping;
	if (ops->init) {
		rc = ops->init(device);
		if (rc)
			goto free_inode;
	}
	get_device(parent);
	device_initialize(&device->dev);
	device->dev.parent = parent;
	device->dev.class = &device_class;
	device->dev.release = device_release;
	return device;

free_inode:
	weir_inode_free(device->inode);
free_index:
	ida_free(&indexes, device->index);
free_device:
	kfree(device);
	return ERR_PTR(rc);
}
EXPORT_SYMBOL_GPL(weir_device_alloc_size);

int weir_device_register(struct weir_device *device)
{
	struct weir_group *group;
	int rc;

	/* User space does not know how to flush caches for a device. */
	if (!device_iommu_capable(device->parent, IOMMU_CAP_CACHE_COHERENCY))
		return -EINVAL;
	if (!device->set) {
		rc = weir_device_join_set(device, device);
		if (rc)
			return rc;
	}
	rc = dev_set_name(&device->dev, "vfio%d", device->index);
	if (rc)
		return rc;
	group = weir_group_join(device->parent);
	if (IS_ERR(group))
		return PTR_ERR(group);
	rc = device_add(&device->dev);
	if (rc) {
		weir_group_leave(group);
		return rc;
	}

	device->group = group;
	refcount_set(&device->users, 1);
	mutex_lock(&group->devices_lock);
	list_add_tail(&device->group_entry, &group->devices);
	mutex_unlock(&group->devices_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(weir_device_register);

struct weir_device *weir_device_use(struct weir_group *group, const char *name)
{
	struct weir_device *device, *found = ERR_PTR(-ENODEV);
	int match;

	mutex_lock(&group->devices_lock);
	list_for_each_entry(device, &group->devices, group_entry) {
		match = device->ops->match(device, name);
		if (match < 0) {
			found = ERR_PTR(match);
			break;
		}
		if (match) {
			/* It has one user, its registration, for as long as it is in the list. */
			refcount_inc(&device->users);
			found = device;
			break;
		}
	}
	mutex_unlock(&group->devices_lock);
	return found;
}

void weir_device_unuse(struct weir_device *device)
{
	if (refcount_dec_and_test(&device->users))
		complete(&device->unused);
}

/* Waits until nobody has the device open, and asks whoever has. */
static void device_reclaim(struct weir_device *device)
{
	unsigned int count;

	weir_device_unuse(device);
	for (count = 0; !try_wait_for_completion(&device->unused); count++) {
		if (device->ops->request)
			device->ops->request(device, count);
		if (wait_for_completion_timeout(&device->unused, REQUEST_INTERVAL))
			return;
		mutex_lock(&device->set->lock);
		dev_warn_ratelimited(device->parent,
				     "%s: in use by %s (process %d), asked to give it back\n",
				     device->ops->name, device->holder, device->holder_pid);
		mutex_unlock(&device->set->lock);
	}
}

void weir_device_unregister(struct weir_device *device)
{
	struct weir_group *group = device->group;

	mutex_lock(&group->devices_lock);
	list_del(&device->group_entry);
	mutex_unlock(&group->devices_lock);

	device_reclaim(device);
	device_del(&device->dev);
	weir_device_leave_set(device);
	weir_group_leave(group);
}
EXPORT_SYMBOL_GPL(weir_device_unregister);

int weir_devices_init(void)
{
	return class_register(&device_class);
}

void weir_devices_exit(void)
{
	class_unregister(&device_class);
	ida_destroy(&indexes);
}
