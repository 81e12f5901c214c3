// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups: /dev/vfio/NUMBER, the smallest set of devices that the IOMMU can keep apart from others.
 * Who opens a group and puts it into a container owns the DMA of all its devices; the driver core
 * keeps host drivers away from then on (iommu_group_claim_dma_owner), so that nobody has to judge
 * drivers. A device without an IOMMU can be made a group, too: no_iommu.c.
 *
 * A group is in a container, or, in the same way, on a context; or its devices are bound to
 * contexts by their own nodes, and then the group cannot be opened.
 *
 * A file of a device holds its group's file. Files can thus be closed in any order, and the end of
 * a group's file comes when all its devices are quiet.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "core/context.h"
#include "core/device.h"
#include "core/group.h"
#include "core/lock.h"
#include "core/private.h"
#include "uapi/weir/vfio.h"

/*
 * All groups, and how many devices each has; held while a group's node comes and goes, so that no
 * two have one name. [1] is taken in it only when a node could not be made.
 */
static DEFINE_MUTEX(groups_lock);
static LIST_HEAD(groups);

static DEFINE_IDA(minors);
static dev_t first_devt;

static char *group_devnode(weir_devnode_device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vfio/%s", dev_name(dev));
}

static struct class group_class = {
	.name = "vfio",
	.devnode = group_devnode,
};

static int group_open(struct inode *inode, struct file *file)
{
	struct weir_group *group = container_of(inode->i_cdev, struct weir_group, cdev);
	int rc = 0;

	mutex_lock(&group->lock);
	if (!group->iommu_group) {
		rc = -ENODEV;
	} else if (group->no_iommu && !capable(CAP_SYS_RAWIO)) {
		rc = -EPERM;
	} else if (group->opened_file || group->bonds) {
		rc = -EBUSY;
	} else {
		group->opened_file = file;
		file->private_data = group;
	}
	mutex_unlock(&group->lock);
	return rc;
}

/* Whether it has a container, or a context in the place of one. [1] is held. */
static bool group_has_container(const struct weir_group *group)
{
	return group->container || group->held.context;
}

/* [1] is held. */
static void group_leave_container(struct weir_group *group)
{
	if (group->container)
		weir_container_remove_group(group);
	if (group->held.context)
		weir_context_let_go(&group->held);
}

static int group_close(struct inode *inode, struct file *file)
{
	struct weir_group *group = file->private_data;

	mutex_lock(&group->lock);
	group_leave_container(group);
	group->opened_file = NULL;
	mutex_unlock(&group->lock);
	return 0;
}

static long group_get_status(struct weir_group *group, void __user *argument)
{
	struct vfio_group_status status;
	long rc = 0;

	if (copy_from_user(&status, argument, sizeof(status)))
		return -EFAULT;
	if (status.argsz < sizeof(status))
		return -EINVAL;

	status.flags = 0;
	mutex_lock(&group->lock);
	if (!group->iommu_group)
		rc = -ENODEV;
	else if (group_has_container(group))
		status.flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
	else if (!iommu_group_dma_owner_claimed(group->iommu_group))
		status.flags = VFIO_GROUP_FLAGS_VIABLE;
	mutex_unlock(&group->lock);
	if (rc)
		return rc;
	return copy_to_user(argument, &status, sizeof(status)) ? -EFAULT : 0;
}

/*
 * Puts the group into the container, or onto the context, that file is. A context owns the group's
 * DMA only when a device is bound to it. [1] is held.
 */
static long group_join_container(struct weir_group *group, struct file *file)
{
	const struct weir_held_context *held = &group->held;
	long rc;
	u32 id;

	if (!weir_context_hold(&group->held, file))
		return weir_container_add_group(file, group);
	if (group->no_iommu)
		rc = held->ops->set_no_iommu(held->context);
	else
		rc = held->ops->compatible(held->context, true, &id);
	if (rc)
		weir_context_let_go(&group->held);
	return rc;
}

static long group_set_container(struct weir_group *group, int __user *argument)
{
	struct file *file;
	long rc;
	int fd;

	if (get_user(fd, argument))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;

	mutex_lock(&group->lock);
	if (!group->iommu_group)
		rc = -ENODEV;
	else if (group_has_container(group))
		rc = -EINVAL;
	else
		rc = group_join_container(group, file);
	mutex_unlock(&group->lock);
	fput(file);
	return rc;
}

static long group_unset_container(struct weir_group *group)
{
	long rc = 0;

	mutex_lock(&group->lock);
	if (!group_has_container(group))
		rc = -EINVAL;
	else if (group->container && group->device_files)
		rc = -EBUSY;
	else
		group_leave_container(group);
	mutex_unlock(&group->lock);
	return rc;
}

/* A new file of the device called name. What is wrong with the name is said first. [1] is held. */
static struct file *group_open_device(struct weir_group *group, const char *name)
{
	struct weir_device *device = weir_device_use(group, name);
	struct file *file = ERR_PTR(-EINVAL);

	if (IS_ERR(device))
		return ERR_CAST(device);
	if (group->held.context ||
	    (group->container && weir_container_has_backend(group->container)))
		file = weir_device_file_open(device);
	if (IS_ERR(file))
		weir_device_unuse(device);
	return file;
}

static long group_get_device_fd(struct weir_group *group, char __user *argument)
{
	char *name = strndup_user(argument, PAGE_SIZE);
	struct file *file;
	int fd;

	if (IS_ERR(name))
		return PTR_ERR(name);
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		goto free_name;

	mutex_lock(&group->lock);
	file = group_open_device(group, name);
	mutex_unlock(&group->lock);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		fd = PTR_ERR(file);
	} else {
		fd_install(fd, file);
	}
free_name:
	kfree(name);
	return fd;
}

static long group_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct weir_group *group = file->private_data;
	void __user *pointer = (void __user *)argument;

	switch (command) {
	case VFIO_GROUP_GET_STATUS:
		return group_get_status(group, pointer);
	case VFIO_GROUP_SET_CONTAINER:
		return group_set_container(group, pointer);
	case VFIO_GROUP_UNSET_CONTAINER:
		return group_unset_container(group);
	case VFIO_GROUP_GET_DEVICE_FD:
		return group_get_device_fd(group, pointer);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations group_fops = {
	.owner = THIS_MODULE,
	.open = group_open,
	.release = group_close,
	.unlocked_ioctl = group_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

bool weir_file_is_group(const struct file *file)
{
	return file->f_op == &group_fops;
}
EXPORT_SYMBOL_GPL(weir_file_is_group);

bool weir_file_owns_device(const struct file *file, const struct weir_device *device)
{
	return weir_file_is_group(file) && file->private_data == device->group;
}
EXPORT_SYMBOL_GPL(weir_file_owns_device);

static void group_release(struct device *dev)
{
	struct weir_group *group = container_of(dev, struct weir_group, dev);

	ida_free(&minors, MINOR(dev->devt) - MINOR(first_devt));
	mutex_destroy(&group->devices_lock);
	mutex_destroy(&group->lock);
	kfree(group);
}

/*
 * The group has no devices any more. Its file may be open still: what is left to it is to be
 * closed. The reference to the IOMMU group is the caller's to put.
 */
static struct iommu_group *group_end(struct weir_group *group)
{
	struct iommu_group *iommu_group;

	mutex_lock(&group->lock);
	group_leave_container(group);
	iommu_group = group->iommu_group;
	group->iommu_group = NULL;
	mutex_unlock(&group->lock);
	return iommu_group;
}

/* Takes the reference to iommu_group over, if it succeeds. */
static struct weir_group *group_create(struct iommu_group *iommu_group, bool no_iommu)
{
	struct weir_group *group = kzalloc(sizeof(*group), GFP_KERNEL);
	int minor, rc;

	if (!group)
		return ERR_PTR(-ENOMEM);
	minor = ida_alloc_max(&minors, MINORMASK, GFP_KERNEL);
	if (minor < 0) {
		kfree(group);
		return ERR_PTR(minor);
	}
	group->id = iommu_group_id(iommu_group);
	group->no_iommu = no_iommu;
	mutex_init(&group->lock);
	weir_lock_name(&group->lock, "weir_group.lock");
	mutex_init(&group->devices_lock);
	weir_lock_name(&group->devices_lock, "weir_group.devices_lock");
	INIT_LIST_HEAD(&group->devices);
	device_initialize(&group->dev);
	group->dev.devt = MKDEV(MAJOR(first_devt), MINOR(first_devt) + minor);
	group->dev.class = &group_class;
	group->dev.release = group_release;
	cdev_init(&group->cdev, &group_fops);
	group->cdev.owner = THIS_MODULE;

	rc = dev_set_name(&group->dev, "%s%d", no_iommu ? "noiommu-" : "", group->id);
	if (rc)
		goto put;
	/* It can be opened before this returns. */
	group->iommu_group = iommu_group;
	rc = cdev_device_add(&group->cdev, &group->dev);
	if (rc) {
		/* Who opened it by its number meanwhile has nothing. */
		group_end(group);
		goto put;
	}
	return group;

put:
	put_device(&group->dev);
	return ERR_PTR(rc);
}

static struct weir_group *group_find(const struct iommu_group *iommu_group)
{
	struct weir_group *group;

	list_for_each_entry(group, &groups, entry) {
		if (group->iommu_group == iommu_group)
			return group;
	}
	return NULL;
}

/* Takes the reference to iommu_group over. */
static struct weir_group *join(struct iommu_group *iommu_group, bool no_iommu)
{
	struct weir_group *group;

	mutex_lock(&groups_lock);
	group = group_find(iommu_group);
	if (group) {
		iommu_group_put(iommu_group);
	} else {
		group = group_create(iommu_group, no_iommu);
		if (IS_ERR(group)) {
			iommu_group_put(iommu_group);
			goto unlock;
		}
		list_add_tail(&group->entry, &groups);
	}
	group->members++;
unlock:
	mutex_unlock(&groups_lock);
	return group;
}

static struct weir_group *join_without_iommu(struct device *parent)
{
	struct iommu_group *iommu_group;
	struct weir_group *group;

	if (!weir_no_iommu_enabled())
		return ERR_PTR(-EINVAL);
	iommu_group = weir_no_iommu_group_begin(parent);
	if (IS_ERR(iommu_group))
		return ERR_CAST(iommu_group);
	group = join(iommu_group, true);
	if (IS_ERR(group))
		weir_no_iommu_group_end(parent);
	else
		weir_no_iommu_taint(parent);
	return group;
}

struct weir_group *weir_group_join(struct device *parent)
{
	struct iommu_group *iommu_group = iommu_group_get(parent);

	if (!iommu_group)
		return join_without_iommu(parent);
	/* User space does not know how to flush caches for a device. */
	if (!device_iommu_capable(parent, IOMMU_CAP_CACHE_COHERENCY)) {
		iommu_group_put(iommu_group);
		return ERR_PTR(-EINVAL);
	}
	return join(iommu_group, false);
}

void weir_group_leave(struct weir_group *group, struct device *parent)
{
	struct iommu_group *iommu_group;

	mutex_lock(&groups_lock);
	if (--group->members) {
		mutex_unlock(&groups_lock);
		return;
	}
	list_del(&group->entry);
	/* The name is free before another group can be made. */
	cdev_device_del(&group->cdev, &group->dev);
	mutex_unlock(&groups_lock);

	/*
	 * This may take long. A device that joins meanwhile gets a group of its own, whose DMA is
	 * claimed until this is done.
	 */
	iommu_group = group_end(group);
	if (group->no_iommu)
		weir_no_iommu_group_end(parent);
	iommu_group_put(iommu_group);
	put_device(&group->dev);
}

int weir_groups_init(void)
{
	int rc = class_register(&group_class);

	if (rc)
		return rc;
	rc = alloc_chrdev_region(&first_devt, 0, MINORMASK + 1, "vfio");
	if (rc)
		class_unregister(&group_class);
	return rc;
}

void weir_groups_exit(void)
{
	unregister_chrdev_region(first_devt, MINORMASK + 1);
	class_unregister(&group_class);
	ida_destroy(&minors);
}
