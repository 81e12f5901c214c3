/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The door `cdev`: the device's own node, bound to an iommufd and attached to its one address
 * space. Closing the device undoes both.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/holder.h"
#include "device/vfio/iommufd.h"
#include "device/vfio/uapi.h"

/* A bound device cannot be bound again, nor while its group is open. */
static int bind_failed(struct vfio_device *vdev, const char *path, int error,
		       struct weir_error *err)
{
	char group[PATH_MAX], holder[HOLDER_TEXT], neighbour[PLACE_NAME];

	/* Our own descriptor is no holder. */
	close(vdev->fd);
	vdev->fd = -1;
	/* All of a group are in one address space. */
	if (error == EPERM && place_neighbour("", &vdev->place, neighbour))
		return weir_error_set(err, -EBUSY,
				      "%s is in the same IOMMU group as %s, which is open in "
				      "another IOAS or process",
				      vdev->place.address, neighbour);
	if (error == EPERM)
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: this machine does not keep the interrupts of devices "
				      "apart (no interrupt remapping); boot with intremap=on",
				      vdev->place.address);
	place_group_node("", &vdev->place, group);
	if ((error == EINVAL && holder_of_link(path, holder)) ||
	    (error == EBUSY && (holder_of_link(group, holder) || holder_of_link(path, holder))) ||
	    error == EBUSY)
		return weir_error_set(err, -EBUSY, "%s is held by %s", vdev->place.address, holder);
	return weir_error_set(err, -error, "%s: %s cannot be bound: %s", vdev->place.address, path,
			      strerror(error));
}

static int attach_failed(const struct vfio_device *vdev, int error, struct weir_error *err)
{
	/* What the device's group reserves, or its IOMMU lacks, is mapped already. */
	if (error == EADDRINUSE || error == EADDRNOTAVAIL || error == EINVAL)
		return weir_error_set(err, -ERANGE,
				      "%s cannot address all that is mapped in its IOAS (%s)",
				      vdev->place.address, strerror(error));
	return weir_error_set(err, -error, "%s: its address space cannot be attached: %s",
			      vdev->place.address, strerror(error));
}

static int cdev_join(struct vfio_space *space, struct vfio_device *vdev, struct weir_error *err)
{
	struct uapi_vfio_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = space->fd };
	struct uapi_vfio_attach_iommufd_pt attach = { .argsz = sizeof(attach),
						      .pt_id = space->ioas_id };
	char path[PATH_MAX];
	int ret;

	place_cdev_node("", &vdev->place, path);
	vdev->fd = open(path, O_RDWR | O_CLOEXEC);
	if (vdev->fd < 0)
		return weir_error_set(err, -errno, "%s: cannot open %s: %s", vdev->place.address,
				      path, strerror(errno));
	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return bind_failed(vdev, path, errno, err);
	if (!ioctl(vdev->fd, UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return 0;
	ret = attach_failed(vdev, errno, err);
	close(vdev->fd);
	vdev->fd = -1;
	return ret;
}

static void cdev_leave(struct vfio_space *space, struct vfio_device *vdev)
{
	(void)space;
	close(vdev->fd);
	vdev->fd = -1;
}

/* The iommufd proves which devices are ours. */
static int cdev_hot_reset(struct vfio_device *vdev, const struct uapi_vfio_hot_reset_info *info,
			  struct weir_error *err)
{
	struct uapi_vfio_hot_reset reset = { .argsz = sizeof(reset) };

	for (uint32_t i = 0; i < info->count; i++) {
		const struct uapi_vfio_dependent_device *other = &info->devices[i];

		if (info->flags & UAPI_VFIO_HOT_RESET_DEV_ID &&
		    other->id == UAPI_VFIO_DEVID_NOT_OWNED)
			return vfio_reset_would_hit(vdev, other, err);
	}
	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_PCI_HOT_RESET, &reset))
		return vfio_failed(vdev, errno, err, "hot reset");
	return 0;
}

static int cdev_export(struct vfio_device *vdev, unsigned int bar, const struct weir_range *ranges,
		       unsigned int nr, struct weir_dmabuf *dmabuf, struct weir_error *err)
{
	struct uapi_vfio_device_feature *feature;
	struct uapi_vfio_feature_dma_buf *get;
	size_t bytes = sizeof(*feature) + sizeof(*get) + nr * sizeof(get->ranges[0]);
	uint64_t sum = 0;
	int fd, ret;

	if (bytes > UINT32_MAX)
		return weir_error_set(err, -EINVAL, "%u ranges are too many", nr);
	feature = calloc(1, bytes);
	if (!feature)
		return weir_error_set(err, -ENOMEM, "no memory for %u ranges", nr);
	feature->argsz = (uint32_t)bytes;
	feature->flags = UAPI_VFIO_FEATURE_GET | UAPI_VFIO_FEATURE_DMA_BUF;
	get = (struct uapi_vfio_feature_dma_buf *)feature->data;
	get->region_index = bar;
	get->open_flags = O_RDWR | O_CLOEXEC;
	get->nr_ranges = nr;
	for (unsigned int i = 0; i < nr; i++) {
		get->ranges[i].offset = ranges[i].offset;
		get->ranges[i].length = ranges[i].bytes;
		sum += ranges[i].bytes;
	}
	fd = ioctl(vdev->fd, UAPI_VFIO_DEVICE_FEATURE, feature);
	ret = fd < 0 ? -errno : 0;
	free(feature);
	if (ret == -ENOTTY || ret == -EOPNOTSUPP)
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: this kernel does not export BARs as dma-bufs; over "
				      "\"group\", on both sides, they can be mapped without",
				      vdev->place.address);
	if (ret)
		return vfio_failed(vdev, -ret, err, "exporting BAR %u", bar);
	*dmabuf = (struct weir_dmabuf){ .fd = fd, .bytes = sum };
	return 0;
}

const struct vfio_door vfio_cdev_door = {
	.kind = IOAS_SHARED_IOMMUFD,
	.backend = &iommufd_backend,
	.check = place_check_cdev,
	.open = iommufd_open,
	.join = cdev_join,
	.ask_limits = iommufd_ask_limits,
	.leave = cdev_leave,
	.hot_reset = cdev_hot_reset,
	.export = cdev_export,
};
