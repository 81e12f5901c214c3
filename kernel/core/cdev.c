// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices' own nodes, /dev/vfio/devices/vfioN. Whoever may open one has a file that is parked: it
 * can do nothing but VFIO_DEVICE_BIND_IOMMUFD, and keeps neither the group from being opened nor
 * the device from being removed. Bound, it is a file of the device like those from groups, and the
 * only one.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core/device.h"
#include "core/private.h"
#include "uapi/weir/vfio.h"

static dev_t first_devt;

dev_t weir_cdev_number(const struct weir_device *device)
{
	return MKDEV(MAJOR(first_devt), MINOR(first_devt) + device->index);
}

int weir_cdev_open(struct inode *inode, struct file *file)
{
	struct weir_device *device = container_of(inode->i_cdev, struct weir_device, cdev);
	struct weir_device_file *device_file;

	/* Its node has gone, but there are other ways to an inode. */
	if (!refcount_read(&device->users))
		return -ENODEV;
	device_file = kzalloc(sizeof(*device_file), GFP_KERNEL_ACCOUNT);
	if (!device_file)
		return -ENOMEM;
	device_file->device = device;
	file->private_data = device_file;
	/* The file's end comes after that of every mapping. */
	file->f_mapping = device->mapping;
	return 0;
}

/* [1] is held. */
static int bind_to(struct weir_device_file *device_file, struct file *context_file)
{
	struct weir_device *device = device_file->device;
	struct weir_held_context held;
	int rc;

	if (!weir_context_hold(&held, context_file))
		return -EBADFD;
	rc = weir_device_open_by_node(device, &held);
	weir_context_let_go(&held);
	return rc;
}

/* [1] is held. */
static int bind_locked(struct weir_device_file *device_file, int fd)
{
	struct weir_device *device = device_file->device;
	struct file *context_file;
	int rc;

	if (device->going)
		return -ENODEV;
	if (device->group->opened_file)
		return -EBUSY;
	if (device_file->usable)
		return -EINVAL;
	context_file = fget(fd);
	if (!context_file)
		return -EBADF;
	rc = bind_to(device_file, context_file);
	fput(context_file);
	return rc;
}

/*
 * Binds, and says so to the user with no lock held, who may take a while to be told. Nobody can use
 * the file, or close it, before this returns.
 */
static long cdev_bind(struct weir_device_file *device_file, int fd, u32 __user *id)
{
	struct weir_device *device = device_file->device;
	struct weir_group *group = device->group;
	long rc;

	mutex_lock(&group->lock);
	rc = bind_locked(device_file, fd);
	mutex_unlock(&group->lock);
	if (rc)
		return rc;
	if (put_user(device->bond->id, id)) {
		mutex_lock(&group->lock);
		weir_device_close(device);
		mutex_unlock(&group->lock);
		return -EFAULT;
	}
	/* Pairs with the acquire of whoever uses the file. */
	smp_store_release(&device_file->usable, true);
	return 0;
}

long weir_cdev_bind(struct weir_device_file *device_file,
		    struct vfio_device_bind_iommufd __user *argument)
{
	const u32 least = offsetofend(struct vfio_device_bind_iommufd, out_devid);
	struct weir_device *device = device_file->device;
	struct vfio_device_bind_iommufd bind;
	u32 size;
	long rc;

	if (get_user(size, &argument->argsz))
		return -EFAULT;
	if (size < least)
		return -EINVAL;
	rc = copy_struct_from_user(&bind, sizeof(bind), argument, size);
	if (rc)
		return rc;
	if (bind.flags || bind.iommufd < 0 || device_file->group_file)
		return -EINVAL;

	/* From now on it is registered, and its group is there. */
	if (!refcount_inc_not_zero(&device->users))
		return -ENODEV;
	rc = cdev_bind(device_file, bind.iommufd, &argument->out_devid);
	if (rc)
		weir_device_unuse(device);
	return rc;
}

static void detach(struct weir_device *device)
{
	mutex_lock(&device->set->lock);
	weir_bond_detach(device);
	mutex_unlock(&device->set->lock);
}

long weir_cdev_attach(struct weir_device *device,
		      struct vfio_device_attach_iommufd_pt __user *argument)
{
	const size_t least = offsetofend(struct vfio_device_attach_iommufd_pt, pt_id);
	struct vfio_device_attach_iommufd_pt attach;
	int rc;

	if (copy_from_user(&attach, argument, least))
		return -EFAULT;
	if (attach.argsz < least || attach.flags & ~VFIO_DEVICE_ATTACH_PASID)
		return -EINVAL;
	if (attach.flags)
		return -EOPNOTSUPP;
	mutex_lock(&device->set->lock);
	rc = weir_bond_attach(device, &attach.pt_id);
	mutex_unlock(&device->set->lock);
	if (rc)
		return rc;
	if (put_user(attach.pt_id, &argument->pt_id)) {
		detach(device);
		return -EFAULT;
	}
	return 0;
}

long weir_cdev_detach(struct weir_device *device,
		      struct vfio_device_detach_iommufd_pt __user *argument)
{
	const size_t least = offsetofend(struct vfio_device_detach_iommufd_pt, flags);
	struct vfio_device_detach_iommufd_pt request;

	if (copy_from_user(&request, argument, least))
		return -EFAULT;
	if (request.argsz < least || request.flags & ~VFIO_DEVICE_DETACH_PASID)
		return -EINVAL;
	if (request.flags)
		return -EOPNOTSUPP;
	detach(device);
	return 0;
}

int weir_cdevs_init(void)
{
	return alloc_chrdev_region(&first_devt, 0, MINORMASK + 1, "vfio-dev");
}

void weir_cdevs_exit(void)
{
	unregister_chrdev_region(first_devt, MINORMASK + 1);
}
