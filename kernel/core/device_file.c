// SPDX-License-Identifier: GPL-2.0-only
/* Files of devices. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "core/device.h"
#include "core/private.h"

struct device_file {
	struct weir_device *device;
	/* Held, so that the group stays in its container until the device is quiet. */
	struct file *group_file;
};

static struct weir_device *device_of(const struct file *file)
{
	const struct device_file *device_file = file->private_data;

	return device_file->device;
}

/* One more file: the first one opens the device. */
static int device_open(struct weir_device *device)
{
	int rc = 0;

	mutex_lock(&device->set->lock);
	if (!device->open_count)
		rc = device->ops->open(device);
	if (!rc) {
		device->open_count++;
		get_task_comm(device->holder, current);
		device->holder_pid = task_tgid_nr(current);
	}
	mutex_unlock(&device->set->lock);
	return rc;
}

static void device_close(struct weir_device *device)
{
	mutex_lock(&device->set->lock);
	if (!--device->open_count)
		device->ops->close(device);
	mutex_unlock(&device->set->lock);
}

static int device_file_release(struct inode *inode, struct file *file)
{
	struct device_file *device_file = file->private_data;
	struct weir_device *device = device_file->device;
	struct weir_group *group = device->group;
	struct module *owner = device->ops->owner;

	mutex_lock(&group->lock);
	device_close(device);
	group->device_files--;
	mutex_unlock(&group->lock);

	/* The group lives with its file; the device goes when nobody uses it, its code after that.
	 */
	weir_device_unuse(device);
	fput(device_file->group_file);
	kfree(device_file);
	module_put(owner);
	return 0;
}

static long device_file_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct weir_device *device = device_of(file);

	return device->ops->ioctl(device, command, argument);
}

static ssize_t device_file_read(struct file *file, char __user *buffer, size_t size, loff_t *offset)
{
	struct weir_device *device = device_of(file);

	return device->ops->read ? device->ops->read(device, buffer, size, offset) : -EINVAL;
}

static ssize_t device_file_write(struct file *file, const char __user *buffer, size_t size,
				 loff_t *offset)
{
	struct weir_device *device = device_of(file);

	return device->ops->write ? device->ops->write(device, buffer, size, offset) : -EINVAL;
}

static int device_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct weir_device *device = device_of(file);

	return device->ops->mmap ? device->ops->mmap(device, vma) : -EINVAL;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.release = device_file_release,
	.unlocked_ioctl = device_file_ioctl,
	.read = device_file_read,
	.write = device_file_write,
	.mmap = device_file_mmap,
};

struct weir_device *weir_device_of_file(const struct file *file)
{
	return file->f_op == &device_fops ? device_of(file) : NULL;
}
EXPORT_SYMBOL_GPL(weir_device_of_file);

struct file *weir_device_file_open(struct weir_device *device)
{
	struct device_file *device_file = kzalloc(sizeof(*device_file), GFP_KERNEL_ACCOUNT);
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
	rc = device_open(device);
	if (rc)
		goto put_module;
	file = anon_inode_getfile("[vfio-device]", &device_fops, device_file, O_RDWR);
	if (IS_ERR(file)) {
		rc = PTR_ERR(file);
		goto close;
	}

	/* Before anyone can map it: zapping the anonymous inode's would hit everybody's files. */
	file->f_mapping = device->mapping;
	file->f_mode |= FMODE_PREAD | FMODE_PWRITE;
	device_file->group_file = get_file(group->opened_file);
	group->device_files++;
	return file;

close:
	device_close(device);
put_module:
	module_put(device->ops->owner);
free_file:
	kfree(device_file);
	return ERR_PTR(rc);
}
