// SPDX-License-Identifier: GPL-2.0-only
/* Life of a device: allocated, registered, in use, unregistered, released. */
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "core/device.h"
#include "core/private.h"

/* How often who has a device that is to go is asked for it. */
#define REQUEST_INTERVAL (10 * HZ)

static DEFINE_IDA(indexes);

static char *device_devnode(weir_devnode_device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vfio/devices/%s", dev_name(dev));
}

static struct class device_class = {
	.name = "vfio-dev",
	.devnode = device_devnode,
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

	device->index = ida_alloc_max(&indexes, MINORMASK, GFP_KERNEL);
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
	device->dev.devt = weir_cdev_number(device);
	device->dev.release = device_release;
	cdev_init(&device->cdev, &weir_device_fops);
	/* A file of the node can be what holds the device last. */
	device->cdev.owner = ops->owner;
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

/* Lets nobody open the device by its node, waits until nobody has it open, asks whoever has. */
static void device_reclaim(struct weir_device *device)
{
	unsigned int count;

	mutex_lock(&device->group->lock);
	device->going = true;
	mutex_unlock(&device->group->lock);
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

int weir_device_register(struct weir_device *device)
{
	struct weir_group *group;
	int rc;

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

	mutex_lock(&device->set->lock);
	device->group = group;
	mutex_unlock(&device->set->lock);
	refcount_set(&device->users, 1);
	/* A node is there to be bound to a context, for which this is nothing. */
	if (group->no_iommu)
		device->dev.devt = 0;
	/* It can be opened before this returns. */
	rc = cdev_device_add(&device->cdev, &device->dev);
	if (rc) {
		device_reclaim(device);
		weir_device_leave_set(device);
		weir_group_leave(group, device->parent);
		return rc;
	}
	mutex_lock(&group->devices_lock);
	list_add_tail(&device->group_entry, &group->devices);
	mutex_unlock(&group->devices_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(weir_device_register);

void weir_device_unregister(struct weir_device *device)
{
	struct weir_group *group = device->group;

	mutex_lock(&group->devices_lock);
	list_del(&device->group_entry);
	mutex_unlock(&group->devices_lock);
	cdev_device_del(&device->cdev, &device->dev);

	device_reclaim(device);
	weir_device_leave_set(device);
	weir_group_leave(group, device->parent);
}
EXPORT_SYMBOL_GPL(weir_device_unregister);

int weir_devices_init(void)
{
	int rc = class_register(&device_class);

	if (rc)
		return rc;
	rc = weir_cdevs_init();
	if (rc)
		class_unregister(&device_class);
	return rc;
}

void weir_devices_exit(void)
{
	weir_cdevs_exit();
	class_unregister(&device_class);
	ida_destroy(&indexes);
}
