// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices without an IOMMU. Whoever has one reaches all memory of the machine by it, and nothing
 * can be done about that: so they are refused, unless the administrator says otherwise by the
 * parameter enable_unsafe_noiommu_mode. Then each is in a group of its own, called
 * /dev/vfio/noiommu-NUMBER, for processes that may harm the machine in any case (CAP_SYS_RAWIO).
 *
 * Nothing is mapped for these devices, which use physical addresses; their containers have a
 * backend for the order of calls, and nothing else. They have no nodes of their own, which are for
 * contexts to bind.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/panic.h>

#include "core/backend.h"
#include "core/context.h"
#include "core/private.h"
#include "uapi/weir/vfio.h"

static bool enable_unsafe_noiommu_mode;
module_param(enable_unsafe_noiommu_mode, bool, 0644);
MODULE_PARM_DESC(enable_unsafe_noiommu_mode,
		 "Take devices without an IOMMU: who has one can then read and write all memory");

bool weir_no_iommu_enabled(void)
{
	return READ_ONCE(enable_unsafe_noiommu_mode);
}
EXPORT_SYMBOL_GPL(weir_no_iommu_enabled);

bool weir_no_iommu_has(unsigned long extension)
{
	return weir_no_iommu_enabled() && extension == VFIO_NOIOMMU_IOMMU;
}

struct iommu_group *weir_no_iommu_group_begin(struct device *parent)
{
	struct iommu_group *iommu_group = iommu_group_alloc();
	int rc;

	if (IS_ERR(iommu_group))
		return iommu_group;
	/* Programs tell such groups by their name. */
	rc = iommu_group_set_name(iommu_group, "vfio-noiommu");
	if (!rc)
		rc = iommu_group_add_device(iommu_group, parent);
	if (rc) {
		iommu_group_put(iommu_group);
		return ERR_PTR(rc);
	}
	return iommu_group;
}

void weir_no_iommu_group_end(struct device *parent)
{
	iommu_group_remove_device(parent);
}

void weir_no_iommu_taint(struct device *parent)
{
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	dev_warn(parent,
		 "taken without an IOMMU, by enable_unsafe_noiommu_mode: taints the kernel\n");
}

int weir_no_iommu_may_open(const struct weir_group *group, bool first)
{
	const struct weir_held_context *held = &group->held;
	u32 id;

	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	/* Whoever has an address space there expects the device to be held to it. */
	if (first && held->context && !held->ops->compatible(held->context, false, &id))
		return -EPERM;
	return 0;
}

static bool no_iommu_check_extension(void *data, unsigned long extension)
{
	return weir_no_iommu_has(extension);
}

static void *no_iommu_open(unsigned long type)
{
	return capable(CAP_SYS_RAWIO) ? NULL : ERR_PTR(-EPERM);
}

static void no_iommu_release(void *data)
{
}

static int no_iommu_attach_group(void *data, struct iommu_group *group)
{
	return 0;
}

static void no_iommu_detach_group(void *data, struct iommu_group *group)
{
}

static long no_iommu_ioctl(void *data, unsigned int command, unsigned long argument)
{
	return -ENOTTY;
}

static const struct weir_backend_ops no_iommu_ops = {
	.name = "no-iommu",
	.owner = THIS_MODULE,
	.check_extension = no_iommu_check_extension,
	.open = no_iommu_open,
	.release = no_iommu_release,
	.attach_group = no_iommu_attach_group,
	.detach_group = no_iommu_detach_group,
	.ioctl = no_iommu_ioctl,
};

/* Not registered: it is for containers of such groups alone, and they can have no other. */
static struct weir_backend no_iommu_backend = {
	.ops = &no_iommu_ops,
};

struct weir_backend *weir_no_iommu_backend_get(unsigned long type)
{
	if (!weir_no_iommu_has(type))
		return NULL;
	/* The container's file holds it, too. */
	__module_get(THIS_MODULE);
	return &no_iommu_backend;
}
