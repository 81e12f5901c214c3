// SPDX-License-Identifier: GPL-2.0-only
/* The file of /dev/iommu, and which command is for whom. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "core/context.h"
#include "core/lock.h"
#include "ioas/door.h"
#include "uapi/weir/iommufd.h"

struct command {
	unsigned int number;
	size_t size, shortest;
	int (*run)(struct weir_call *call);
};

#define COMMAND(command, structure, last, function) \
	{ \
		.number = (command), .size = sizeof(struct structure), \
		.shortest = offsetofend(struct structure, last), .run = (function), \
	}

/* The largest of the structures. */
#define SIZE_MAX_OF_COMMANDS sizeof(struct weir_iommu_hwpt_alloc)

static int door_destroy(struct weir_call *call);

static const struct command commands[] = {
	COMMAND(WEIR_IOMMU_DESTROY, weir_iommu_destroy, id, door_destroy),
	COMMAND(WEIR_IOMMU_IOAS_ALLOC, weir_iommu_ioas_alloc, out_ioas_id, weir_door_ioas_alloc),
	COMMAND(WEIR_IOMMU_IOAS_ALLOW_IOVAS, weir_iommu_ioas_allow_iovas, allowed_iovas,
		weir_door_allow),
	COMMAND(WEIR_IOMMU_IOAS_COPY, weir_iommu_ioas_copy, src_iova, weir_door_copy),
	COMMAND(WEIR_IOMMU_IOAS_IOVA_RANGES, weir_iommu_ioas_iova_ranges, out_iova_alignment,
		weir_door_ranges),
	COMMAND(WEIR_IOMMU_IOAS_MAP, weir_iommu_ioas_map, iova, weir_door_map),
	COMMAND(WEIR_IOMMU_IOAS_UNMAP, weir_iommu_ioas_unmap, length, weir_door_unmap),
	COMMAND(WEIR_IOMMU_OPTION, weir_iommu_option, val64, weir_door_option),
	COMMAND(WEIR_IOMMU_VFIO_IOAS, weir_iommu_vfio_ioas, __reserved, weir_door_vfio_ioas),
	COMMAND(WEIR_IOMMU_HWPT_ALLOC, weir_iommu_hwpt_alloc, __reserved, weir_door_hwpt_alloc),
	COMMAND(WEIR_IOMMU_GET_HW_INFO, weir_iommu_hw_info, __reserved, weir_door_hw_info),
	COMMAND(WEIR_IOMMU_IOAS_MAP_FILE, weir_iommu_ioas_map_file, iova, weir_door_map_file),
	COMMAND(WEIR_IOMMU_IOAS_CHANGE_PROCESS, weir_iommu_ioas_change_process, __reserved,
		weir_door_change_process),
};

int weir_call_respond(const struct weir_call *call)
{
	return copy_to_user(call->user, call->data, min_t(size_t, call->size, call->user_size))
		       ? -EFAULT
		       : 0;
}

static int door_destroy(struct weir_call *call)
{
	const struct weir_iommu_destroy *destroy = call->data;
	struct weir_context *context = call->context;
	struct weir_door_ioas *ioas = NULL;
	struct weir_object *object;
	int rc = 0;

	mutex_lock(&context->lock);
	object = weir_object_find(context, destroy->id);
	if (!object)
		rc = -ENOENT;
	else if (object->users || object->kind == WEIR_OBJECT_DEVICE)
		rc = -EBUSY;
	if (rc)
		goto unlock;
	weir_object_withdraw(context, object);
	if (object->kind == WEIR_OBJECT_HWPT) {
		weir_hwpt_free(container_of(object, struct weir_hwpt, object));
	} else {
		ioas = container_of(object, struct weir_door_ioas, object);
		if (context->compatible == ioas)
			context->compatible = NULL;
	}
unlock:
	mutex_unlock(&context->lock);
	if (ioas) {
		weir_object_drain(&ioas->object);
		weir_door_ioas_free(ioas);
	}
	return rc;
}

static const struct command *command_find(unsigned int number)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].number == number)
			return &commands[i];
	return NULL;
}

static long door_ioctl(struct file *file, unsigned int number, unsigned long argument)
{
	const struct command *command = command_find(number);
	u8 data[SIZE_MAX_OF_COMMANDS] __aligned(8);
	struct weir_call call = {
		.context = file->private_data,
		.user = (void __user *)argument,
		.data = data,
	};
	int rc;

	if (!command)
		return weir_compatible_ioctl(call.context, number, argument);
	if (get_user(call.user_size, (u32 __user *)call.user))
		return -EFAULT;
	if (call.user_size < command->shortest)
		return -EINVAL;
	call.size = command->size;
	rc = copy_struct_from_user(data, call.size, call.user, call.user_size);
	if (rc)
		return rc;
	return command->run(&call);
}

static int door_open(struct inode *inode, struct file *file)
{
	struct weir_context *context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);

	if (!context)
		return -ENOMEM;
	/* 0 is no object's id. */
	xa_init_flags(&context->objects, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
	mutex_init(&context->lock);
	weir_lock_name(&context->lock, "weir_context.lock");
	INIT_LIST_HEAD(&context->groups);
	context->accounting = WEIR_IOAS_CHARGE_USER;
	file->private_data = context;
	return 0;
}

/* Devices hold the file: what is left needs nothing but one another. */
static int door_close(struct inode *inode, struct file *file)
{
	struct weir_context *context = file->private_data;
	struct weir_object *object;
	unsigned long id;

	mutex_lock(&context->lock);
	xa_for_each(&context->objects, id, object) {
		if (object->kind != WEIR_OBJECT_HWPT)
			continue;
		weir_object_withdraw(context, object);
		weir_hwpt_free(container_of(object, struct weir_hwpt, object));
	}
	mutex_unlock(&context->lock);
	xa_for_each(&context->objects, id, object) {
		weir_object_withdraw(context, object);
		weir_door_ioas_free(container_of(object, struct weir_door_ioas, object));
	}
	WARN_ON(!list_empty(&context->groups));
	xa_destroy(&context->objects);
	mutex_destroy(&context->lock);
	kfree(context);
	return 0;
}

static const struct file_operations door_fops = {
	.owner = THIS_MODULE,
	.open = door_open,
	.release = door_close,
	.unlocked_ioctl = door_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

struct weir_context *weir_context_of_file(const struct file *file)
{
	return file->f_op == &door_fops ? file->private_data : NULL;
}

static struct miscdevice door_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "iommu",
	.nodename = "iommu",
	.mode = 0660,
	.fops = &door_fops,
};

static int __init door_init(void)
{
	int rc = misc_register(&door_device);

	if (rc)
		return rc;
	weir_contexts_register(&weir_door_ops);
	return 0;
}
module_init(door_init);

static void __exit door_exit(void)
{
	weir_contexts_unregister(&weir_door_ops);
	misc_deregister(&door_device);
}
module_exit(door_exit);

MODULE_DESCRIPTION("Weir: I/O address spaces");
MODULE_AUTHOR("The Weir authors");
MODULE_LICENSE("GPL");
MODULE_ALIAS("devname:iommu");
WEIR_IMPORT_NS(DMA_BUF);
