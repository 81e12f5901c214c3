// SPDX-License-Identifier: GPL-2.0-only
/*
 * Type 1: what containers do with an I/O address space.
 *
 * It has no lock of its own: the container's [2] keeps the address space there during a call, and
 * the address space has what it needs.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>
#include <linux/slab.h>

#include "core/backend.h"
#include "ioas/ioas.h"
#include "ioas/type1.h"
#include "uapi/weir/vfio.h"

static bool allow_unsafe_interrupts;
module_param(allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Take devices whose interrupts are not isolated: who has one can then raise any");

static unsigned int dma_entry_limit = U16_MAX;
module_param(dma_entry_limit, uint, 0644);
MODULE_PARM_DESC(dma_entry_limit, "Mappings that a container can have (default 65535)");

static bool disable_hugepages;
module_param(disable_hugepages, bool, 0644);
MODULE_PARM_DESC(disable_hugepages, "Map by the smallest pages only");

struct type1 {
	struct weir_ioas *ioas;
	/* Of the two versions the first unmaps by its own rule. */
	enum weir_ioas_unmap_rule unmap_rule;
};

static bool type1_check_extension(void *data, unsigned long extension)
{
	struct type1 *type1 = data;

	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return true;
	case VFIO_DMA_CC_IOMMU:
		return type1 && weir_ioas_enforces_coherency(type1->ioas);
	default:
		return false;
	}
}

static void *type1_open(unsigned long type)
{
	const struct weir_ioas_options options = {
		.entry_limit = dma_entry_limit,
		.no_huge_pages = disable_hugepages,
	};
	struct type1 *type1;
	int rc;

	if (type != VFIO_TYPE1_IOMMU && type != VFIO_TYPE1v2_IOMMU)
		return ERR_PTR(-EINVAL);
	type1 = kzalloc(sizeof(*type1), GFP_KERNEL_ACCOUNT);
	if (!type1)
		return ERR_PTR(-ENOMEM);
	type1->unmap_rule = type == VFIO_TYPE1_IOMMU ? WEIR_IOAS_UNMAP_V1 : WEIR_IOAS_UNMAP_V2;
	type1->ioas = weir_ioas_create(&options);
	if (IS_ERR(type1->ioas)) {
		rc = PTR_ERR(type1->ioas);
		kfree(type1);
		return ERR_PTR(rc);
	}
	return type1;
}

static void type1_release(void *data)
{
	struct type1 *type1 = data;

	weir_ioas_destroy(type1->ioas);
	kfree(type1);
}

/* Not more often than the log bears: who has a group can try as often as they like. */
static void report_conflict(const struct weir_ioas_conflict *conflict, int group)
{
	switch (conflict->cause) {
	case WEIR_IOAS_CAUSE_OTHER:
		break;
	case WEIR_IOAS_CAUSE_INTERRUPTS:
		pr_warn_ratelimited(
			"group %d: its interrupts are not isolated, see the parameter allow_unsafe_interrupts\n",
			group);
		break;
	case WEIR_IOAS_CAUSE_APERTURE:
		pr_warn_ratelimited("group %d: its devices do not reach the mapping %#llx-%#llx\n",
				    group, conflict->start, conflict->last);
		break;
	case WEIR_IOAS_CAUSE_RESERVED:
		pr_warn_ratelimited(
			"group %d: the mapping %#llx-%#llx lies in a range reserved for its devices\n",
			group, conflict->start, conflict->last);
		break;
	case WEIR_IOAS_CAUSE_PAGE_SIZE:
		pr_warn_ratelimited(
			"group %d: the mapping %#llx-%#llx is not of whole pages of its IOMMU\n",
			group, conflict->start, conflict->last);
		break;
	case WEIR_IOAS_CAUSE_ALLOWED:
		/* Containers have no such ranges. */
		break;
	}
}

static int type1_attach_group(void *data, struct iommu_group *group)
{
	const struct weir_ioas_attach_options options = {
		.allow_unsafe_interrupts = allow_unsafe_interrupts,
	};
	struct weir_ioas_conflict conflict;
	struct type1 *type1 = data;
	int rc;

	rc = weir_ioas_attach_group(type1->ioas, group, &options, &conflict);
	if (rc)
		report_conflict(&conflict, iommu_group_id(group));
	return rc;
}

static void type1_detach_group(void *data, struct iommu_group *group)
{
	struct type1 *type1 = data;

	weir_ioas_detach_group(type1->ioas, group);
}

static long type1_ioctl(void *data, unsigned int command, unsigned long argument)
{
	struct type1 *type1 = data;
	void __user *user = (void __user *)argument;

	switch (command) {
	case VFIO_IOMMU_GET_INFO:
		return weir_type1_get_info(type1->ioas, user);
	case VFIO_IOMMU_MAP_DMA:
		return weir_type1_map(type1->ioas, user, WEIR_IOAS_MAP_BARS);
	case VFIO_IOMMU_UNMAP_DMA:
		return weir_type1_unmap(type1->ioas, user, type1->unmap_rule);
	default:
		return -ENOTTY;
	}
}

static const struct weir_backend_ops type1_ops = {
	.name = "type1",
	.owner = THIS_MODULE,
	.check_extension = type1_check_extension,
	.open = type1_open,
	.release = type1_release,
	.attach_group = type1_attach_group,
	.detach_group = type1_detach_group,
	.ioctl = type1_ioctl,
};

static struct weir_backend type1_backend = {
	.ops = &type1_ops,
};

static int __init type1_init(void)
{
	weir_backend_register(&type1_backend);
	return 0;
}
module_init(type1_init);

static void __exit type1_exit(void)
{
	weir_backend_unregister(&type1_backend);
}
module_exit(type1_exit);

MODULE_DESCRIPTION("Weir: VFIO containers of type 1");
MODULE_AUTHOR("The Weir authors");
MODULE_LICENSE("GPL");
