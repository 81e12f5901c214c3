// SPDX-License-Identifier: GPL-2.0-only
/* VFIO_DEVICE_FEATURE: no feature is offered yet, and every probe is answered so. */
#include <linux/uaccess.h>

#include "pci/private.h"

long weir_pci_feature(struct weir_pci *pci, void __user *argument)
{
	const u32 actions = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
	struct vfio_device_feature feature;

	if (copy_from_user(&feature, argument, sizeof(feature)))
		return -EFAULT;
	if (feature.argsz < sizeof(feature))
		return -EINVAL;
	if (feature.flags & ~(VFIO_DEVICE_FEATURE_MASK | actions | VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	/* Both can be asked for at once, but not done. */
	if (!(feature.flags & VFIO_DEVICE_FEATURE_PROBE) && (feature.flags & actions) == actions)
		return -EINVAL;
	return -ENOTTY;
}
