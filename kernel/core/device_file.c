// SPDX-License-Identifier: GPL-2.0-only
/* Files of devices, from groups and of their own nodes. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "core/device.h"
#include "core/private.h"
#include "uapi/weir/vfio.h"

/* The one gate: the file's device, NULL as long as the file is parked. */
static struct weir_device *usable_device(const struct file *file)
{
	const struct weir_device_file *device_file = file->private_data;

	/* Pairs with the release when it was bound: the device is open. */
	return smp_load_acquire(&device_file->usable) ? device_file->device : NULL;
}

static void note_holder(struct weir_device *device)
{
	get_task_comm(device->holder, current);
	device->holder_pid = task_tgid_nr(current);
}

/*
 * The device is made ready before it is attached to a context's address space: what a driver before
 * has left running reaches nothing. [1] and [3] are held.
 */
static int first_open(struct weir_device *device, const struct weir_held_context *held,
		      bool own_node)
{
	int rc;

	if (held) {
		rc = weir_bond_make(device, held, own_node);
		if (rc)
			return rc;
	}
	rc = device->ops->open(device);
	if (rc)
		goto end_bond;
	if (held && !own_node) {
		rc = weir_bond_attach_compatible(device);
		if (rc)
			goto close;
	}
	return 0;

close:
	device->ops->close(device);
end_bond:
	if (held)
		weir_bond_end(device);
	return rc;
}

/* A context has nothing to do with a device without an IOMMU. [1] and [3] are held. */
static int first_open_by_group(struct weir_device *device)
{
	const struct weir_group *group = device->group;
	bool bind = group->held.context && !group->no_iommu;

	return first_open(device, bind ? &group->held : NULL, false);
}

/* One more file from the group; the first one opens the device. [1] is held. */
static int open_by_group(struct weir_device *device)
{
	int rc = 0;

	mutex_lock(&device->set->lock);
	if (device->group->no_iommu)
		rc = weir_no_iommu_may_open(device->group, !device->open_count);
	if (!rc && !device->open_count)
		rc = first_open_by_group(device);
	if (!rc) {
		device->open_count++;
		note_holder(device);
	}
	mutex_unlock(&device->set->lock);
	return rc;
}

int weir_device_open_by_node(struct weir_device *device, const struct weir_held_context *held)
{
	int rc = -EINVAL;

	mutex_lock(&device->set->lock);
	if (!device->open_count)
		rc = first_open(device, held, true);
	if (!rc) {
		device->open_count++;
		note_holder(device);
	}
	mutex_unlock(&device->set->lock);
	return rc;
}

void weir_device_close(struct weir_device *device)
{
	mutex_lock(&device->set->lock);
	if (!--device->open_count) {
		device->ops->close(device);
		if (device->bond)
			weir_bond_end(device);
	}
	mutex_unlock(&device->set->lock);
}

/* The device was open by this file. The group lives with its own file, or its devices. */
static void file_close(struct weir_device_file *device_file)
{
	struct weir_device *device = device_file->device;
	struct weir_group *group = device->group;

	mutex_lock(&group->lock);
	weir_device_close(device);
	if (device_file->group_file)
		group->device_files--;
	mutex_unlock(&group->lock);
	/* The device goes when nobody uses it. */
	weir_device_unuse(device);
}

static int device_file_release(struct inode *inode, struct file *file)
{
	struct weir_device_file *device_file = file->private_data;
	struct module *owner = device_file->device->ops->owner;

	if (device_file->usable)
		file_close(device_file);
	/* A node's file holds the module by the node. */
	if (device_file->group_file) {
		fput(device_file->group_file);
		module_put(owner);
	}
	kfree(device_file);
	return 0;
}

static long device_file_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct weir_device_file *device_file = file->private_data;
	void __user *pointer = (void __user *)argument;
	struct weir_device *device = usable_device(file);

	if (command == VFIO_DEVICE_BIND_IOMMUFD)
		return weir_cdev_bind(device_file, pointer);
	if (!device)
		return -EINVAL;
	if (!device_file->group_file) {
		switch (command) {
		case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
			return weir_cdev_attach(device, pointer);
		case VFIO_DEVICE_DETACH_IOMMUFD_PT:
			return weir_cdev_detach(device, pointer);
		}
	}
	return device->ops->ioctl(device, command, argument);
}

static ssize_t device_file_read(struct file *file, char __user *buffer, size_t size, loff_t *offset)
{
	struct weir_device *device = usable_device(file);

	return device && device->ops->read ? device->ops->read(device, buffer, size, offset)
					   : -EINVAL;
}

static ssize_t device_file_write(struct file *file, const char __user *buffer, size_t size,
				 loff_t *offset)
{
	struct weir_device *device = usable_device(file);

	return device && device->ops->write ? device->ops->write(device, buffer, size, offset)
					    : -EINVAL;
}

static int device_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct weir_device *device = usable_device(file);

	return device && device->ops->mmap ? device->ops->mmap(device, vma) : -EINVAL;
}

const struct file_operations weir_device_fops = {
	.owner = THIS_MODULE,
	.open = weir_cdev_open,
	.release = device_file_release,
	.unlocked_ioctl = device_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.read = device_file_read,
	.write = device_file_write,
	.mmap = device_file_mmap,
};

struct weir_device *weir_device_of_file(const struct file *file)
{
	return file->f_op == &weir_device_fops ? usable_device(file) : NULL;
}
EXPORT_SYMBOL_GPL(weir_device_of_file);

struct file *weir_device_file_open(struct weir_device *device)
{
	struct weir_device_file *device_file = kzalloc(sizeof(*device_file), GFP_KERNEL_ACCOUNT);
	struct weir_group *group = device->group;
	struct file *file;
	int rc;

	if (!device_file)
		return ERR_PTR(-ENOMEM);
	device_file->device = device;
	if (!try_module_get(device->ops->owner)) {
		rc = -ENODEV;
		goto free_file;
	}
	rc = open_by_group(device);
	if (rc)
		goto put_module;
	file = anon_inode_getfile("[vfio-device]", &weir_device_fops, device_file, O_RDWR);
	if (IS_ERR(file)) {
		rc = PTR_ERR(file);
		goto close;
	}

	/* Before anyone can map it: zapping the anonymous inode's would hit everybody's files. */
	file->f_mapping = device->mapping;
	file->f_mode |= FMODE_PREAD | FMODE_PWRITE;
	device_file->group_file = get_file(group->opened_file);
	device_file->usable = true;
	group->device_files++;
	if (group->no_iommu)
		dev_warn(device->parent, "%s: opened without an IOMMU by %s (process %d)\n",
			 device->ops->name, current->comm, task_tgid_nr(current));
	return file;

close:
	weir_device_close(device);
put_module:
	module_put(device->ops->owner);
free_file:
	kfree(device_file);
	return ERR_PTR(rc);
}
