// SPDX-License-Identifier: GPL-2.0-only
/* The module vfio: groups, containers and devices. What is where is told in kernel/README.md. */
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "compat/compat.h"
#include "core/private.h"

static int __init weir_core_init(void)
{
	int rc = weir_devices_init();

	if (rc)
		return rc;
	rc = weir_groups_init();
	if (rc)
		goto no_groups;
	rc = weir_container_init();
	if (rc)
		goto no_container;
	return 0;

no_container:
	weir_groups_exit();
no_groups:
	weir_devices_exit();
	return rc;
}

static void __exit weir_core_exit(void)
{
	weir_container_exit();
	weir_groups_exit();
	weir_devices_exit();
}

module_init(weir_core_init);
module_exit(weir_core_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Weir: VFIO groups, containers and devices");
MODULE_ALIAS_MISCDEV(VFIO_MINOR);
MODULE_ALIAS("devname:vfio/vfio");
/* Without a backend VFIO_CHECK_EXTENSION knows nothing, and programs give up. */
MODULE_SOFTDEP("post: vfio_iommu_type1");
WEIR_IMPORT_NS(DMA_BUF);
