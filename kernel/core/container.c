// SPDX-License-Identifier: GPL-2.0-only
/*
 * Containers: /dev/vfio/vfio. A container is groups and, after VFIO_SET_IOMMU, a backend. With the
 * last group the backend goes, and whatever was mapped with it: a container has no powers but those
 * of its groups' owner.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommu.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "core/backend.h"
#include "core/lock.h"
#include "core/private.h"
#include "uapi/weir/vfio.h"

static void container_release(struct kref *kref)
{
	kfree(container_of(kref, struct weir_container, kref));
}

static int container_open(struct inode *inode, struct file *file)
{
	struct weir_container *container = kzalloc(sizeof(*container), GFP_KERNEL_ACCOUNT);

	if (!container)
		return -ENOMEM;
	kref_init(&container->kref);
	init_rwsem(&container->sem);
	weir_lock_name(&container->sem, "weir_container.sem");
	INIT_LIST_HEAD(&container->groups);
	file->private_data = container;
	return 0;
}

static int container_close(struct inode *inode, struct file *file)
{
	struct weir_container *container = file->private_data;

	kref_put(&container->kref, container_release);
	return 0;
}

static long container_check_extension(struct weir_container *container, unsigned long extension)
{
	if (container->backend)
		return container->backend->ops->check_extension(container->data, extension);
	if (list_empty(&container->groups))
		return weir_backends_have(extension) || weir_no_iommu_has(extension);
	return container->no_iommu ? weir_no_iommu_has(extension) : weir_backends_have(extension);
}

/* Attaches all groups, or none. */
static int container_attach_groups(struct weir_container *container,
				   const struct weir_backend_ops *ops, void *data)
{
	struct weir_group *group;
	int rc;

	list_for_each_entry(group, &container->groups, container_entry) {
		rc = ops->attach_group(data, group->iommu_group);
		if (rc)
			goto undo;
	}
	return 0;

undo:
	list_for_each_entry_continue_reverse(group, &container->groups, container_entry)
		ops->detach_group(data, group->iommu_group);
	return rc;
}

static int container_set_backend(struct weir_container *container, unsigned long type)
{
	struct weir_backend *backend;
	void *data;
	int rc;

	if (list_empty(&container->groups) || container->backend)
		return -EINVAL;
	backend = container->no_iommu ? weir_no_iommu_backend_get(type) : weir_backend_get(type);
	if (!backend)
		return -ENODEV;
	data = backend->ops->open(type);
	if (IS_ERR(data)) {
		rc = PTR_ERR(data);
		goto put;
	}
	rc = container_attach_groups(container, backend->ops, data);
	if (rc)
		goto release;
	container->backend = backend;
	container->data = data;
	return 0;

release:
	backend->ops->release(data);
put:
	weir_backend_put(backend);
	return rc;
}

static long container_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct weir_container *container = file->private_data;
	long rc;

	switch (command) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_SET_IOMMU:
		down_write(&container->sem);
		rc = container_set_backend(container, argument);
		up_write(&container->sem);
		return rc;
	}

	down_read(&container->sem);
	if (command == VFIO_CHECK_EXTENSION)
		rc = container_check_extension(container, argument);
	else if (container->backend)
		rc = container->backend->ops->ioctl(container->data, command, argument);
	else
		rc = -EINVAL;
	up_read(&container->sem);
	return rc;
}

static const struct file_operations container_fops = {
	.owner = THIS_MODULE,
	.open = container_open,
	.release = container_close,
	.unlocked_ioctl = container_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* A group without an IOMMU is one device, whose driver's user has its DMA. */
static int claim_dma(struct weir_group *group)
{
	return group->no_iommu ? 0 : iommu_group_claim_dma_owner(group->iommu_group, group);
}

static void release_dma(struct weir_group *group)
{
	if (!group->no_iommu)
		iommu_group_release_dma_owner(group->iommu_group);
}

int weir_container_add_group(struct file *file, struct weir_group *group)
{
	struct weir_container *container = file->private_data;
	int rc;

	if (file->f_op != &container_fops)
		return -EBADFD;
	if (group->no_iommu && !capable(CAP_SYS_RAWIO))
		return -EPERM;

	down_write(&container->sem);
	if (!list_empty(&container->groups) && container->no_iommu != group->no_iommu)
		rc = -EPERM;
	else
		rc = claim_dma(group);
	if (rc)
		goto unlock;
	if (container->backend) {
		rc = container->backend->ops->attach_group(container->data, group->iommu_group);
		if (rc)
			goto release_owner;
	}
	container->no_iommu = group->no_iommu;
	list_add_tail(&group->container_entry, &container->groups);
	kref_get(&container->kref);
	group->container = container;
	up_write(&container->sem);
	return 0;

release_owner:
	release_dma(group);
unlock:
	up_write(&container->sem);
	return rc;
}

void weir_container_remove_group(struct weir_group *group)
{
	struct weir_container *container = group->container;
	struct weir_backend *backend;

	down_write(&container->sem);
	backend = container->backend;
	list_del(&group->container_entry);
	if (backend)
		backend->ops->detach_group(container->data, group->iommu_group);
	release_dma(group);
	if (backend && list_empty(&container->groups)) {
		backend->ops->release(container->data);
		container->backend = NULL;
		container->data = NULL;
		weir_backend_put(backend);
	}
	up_write(&container->sem);
	group->container = NULL;
	kref_put(&container->kref, container_release);
}

bool weir_container_has_backend(struct weir_container *container)
{
	bool has;

	down_read(&container->sem);
	has = container->backend;
	up_read(&container->sem);
	return has;
}

static struct miscdevice container_device = {
	.minor = VFIO_MINOR,
	.name = "vfio",
	.nodename = "vfio/vfio",
	.mode = 0666,
	.fops = &container_fops,
};

struct device *weir_container_device(void)
{
	return container_device.this_device;
}

int weir_container_init(void)
{
	return misc_register(&container_device);
}

void weir_container_exit(void)
{
	misc_deregister(&container_device);
}
