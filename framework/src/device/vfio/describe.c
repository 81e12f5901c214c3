/* SPDX-License-Identifier: BSD-3-Clause */
/* Asks the kernel what the device is. */
#include <string.h>

#include "device/vfio/answer.h"
#include "device/vfio/vfio.h"

static int describe_device(struct vfio_device *vdev, struct weir_error *err)
{
	struct uapi_vfio_device_info info = { .argsz = sizeof(info) };
	struct weir_device *dev = vdev->dev;

	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_GET_INFO, &info))
		return weir_error_set(err, -errno, "%s does not say what it is: %s",
				      vdev->place.address, strerror(errno));
	if (!(info.flags & UAPI_VFIO_DEVICE_PCI) || info.num_regions < DEVICE_PCI_REGIONS ||
	    info.num_irqs < DEVICE_PCI_IRQS)
		return weir_error_set(err, -EPROTO,
				      "%s: flags 0x%x, %u regions and %u kinds of interrupts are "
				      "not what a PCI device has",
				      vdev->place.address, info.flags, info.num_regions,
				      info.num_irqs);
	/* What vendors add behind that is of no use here. */
	dev->nr_regions = info.num_regions < DEVICE_MAX_REGIONS ? info.num_regions
								: DEVICE_MAX_REGIONS;
	dev->nr_irqs = info.num_irqs < DEVICE_MAX_IRQ_KINDS ? info.num_irqs : DEVICE_MAX_IRQ_KINDS;
	vdev->function_reset = info.flags & UAPI_VFIO_DEVICE_RESET_WORKS;
	dev->can_reset = vdev->function_reset || vfio_has_hot_reset(vdev);
	return 0;
}

static int describe_region(struct vfio_device *vdev, unsigned int index, struct weir_error *err)
{
	struct device_region *region = &vdev->dev->regions[index];
	struct vfio_answer answer = { 0 };
	struct uapi_vfio_region_info ask = { .argsz = sizeof(answer.bytes), .index = index };
	int ret;

	memcpy(answer.bytes, &ask, sizeof(ask));
	/* Regions that a device does not have, such as VGA, are refused. */
	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_GET_REGION_INFO, answer.bytes))
		return 0;
	region->fd = vdev->fd;
	region->fd_lent = true;
	ret = vfio_take_region(&answer, index, region, err);
	return ret ? weir_error_prefix(err, ret, "%s", vdev->place.address) : 0;
}

static int describe_irq(struct vfio_device *vdev, unsigned int kind, struct weir_error *err)
{
	struct uapi_vfio_irq_info info = { .argsz = sizeof(info), .index = kind };

	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_GET_IRQ_INFO, &info))
		return 0;
	if (info.count > DEVICE_MAX_IRQS)
		return weir_error_set(err, -EPROTO, "%s: %u interrupts of kind %u are over %d",
				      vdev->place.address, info.count, kind, DEVICE_MAX_IRQS);
	vdev->irq_flags[kind] = info.flags;
	vdev->dev->irq_counts[kind] = info.flags & UAPI_VFIO_IRQ_EVENTFD ? info.count : 0;
	return 0;
}

int vfio_describe(struct vfio_device *vdev, struct weir_error *err)
{
	int ret = describe_device(vdev, err);

	for (unsigned int i = 0; i < vdev->dev->nr_regions && !ret; i++)
		ret = describe_region(vdev, i, err);
	for (unsigned int i = 0; i < vdev->dev->nr_irqs && !ret; i++)
		ret = describe_irq(vdev, i, err);
	if (!ret && vfio_vectors_init(vdev))
		ret = weir_error_set(err, -ENOMEM, "%s: no memory", vdev->place.address);
	vdev->dev->node = vdev->place.node < 0 ? WEIR_NODE_ANY : vdev->place.node;
	return ret;
}
