/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The door `group`: a container that has the groups of all its devices, and a type1 IOMMU.
 *
 * A container gets its IOMMU with the first group and loses it with the last. The kernel opens a
 * group once, so devices of one group are in one IOAS.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/holder.h"
#include "device/vfio/type1.h"
#include "device/vfio/uapi.h"

#define CONTAINER "/dev/vfio/vfio"

static int container_open(struct vfio_space *space, struct weir_error *err)
{
	int version;

	space->fd = open(CONTAINER, O_RDWR | O_CLOEXEC);
	if (space->fd < 0)
		return weir_error_set(err, -errno, "cannot open " CONTAINER ": %s",
				      strerror(errno));
	version = ioctl(space->fd, UAPI_VFIO_GET_API_VERSION);
	if (version == UAPI_VFIO_API_VERSION)
		return 0;
	close(space->fd);
	space->fd = -1;
	return weir_error_set(err, -EOPNOTSUPP, CONTAINER " speaks version %d, not %d", version,
			      UAPI_VFIO_API_VERSION);
}

static int open_failed(const struct vfio_device *vdev, const char *path, int error,
		       struct weir_error *err)
{
	char holder[HOLDER_TEXT];

	if (error != EBUSY)
		return weir_error_set(err, -error, "%s: cannot open %s: %s", vdev->place.address,
				      path, strerror(error));
	holder_of_link(path, holder);
	return weir_error_set(err, -EBUSY, "%s is held by %s, which has %s open",
			      vdev->place.address, holder, path);
}

static int open_group_fd(const struct vfio_device *vdev, int *fd, struct weir_error *err)
{
	struct uapi_vfio_group_status status = { .argsz = sizeof(status) };
	char path[PATH_MAX];
	int ret;

	place_group_node("", &vdev->place, path);
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return open_failed(vdev, path, errno, err);
	if (ioctl(*fd, UAPI_VFIO_GROUP_GET_STATUS, &status))
		ret = weir_error_set(err, -errno, "%s: %s says no status: %s", vdev->place.address,
				     path, strerror(errno));
	else if (!(status.flags & UAPI_VFIO_GROUP_VIABLE))
		ret = place_not_viable("", &vdev->place, err);
	else
		return 0;
	close(*fd);
	return ret;
}

/* Names the mapping that is in a place which the new group keeps for itself. */
static int conflict(const struct vfio_space *space, const struct vfio_device *vdev,
		    struct weir_error *err)
{
	unsigned int nr = weir_ioas_list(space->ioas, NULL, 0);
	struct weir_mapping_info *infos = calloc(nr ? nr : 1, sizeof(*infos));
	unsigned long long first, last;
	bool found = false;

	if (infos && weir_ioas_list(space->ioas, infos, nr) < nr)
		nr = 0;
	for (unsigned int i = 0; infos && i < nr && !found; i++) {
		uint64_t end = infos[i].iova + infos[i].bytes - 1;

		found = place_reserves("", &vdev->place, infos[i].iova, end, &first, &last);
		if (found)
			weir_error_set(err, -ERANGE,
				       "the %s mapping at 0x%" PRIx64 " to 0x%" PRIx64
				       " is in what IOMMU group %s of %s reserves, 0x%llx to "
				       "0x%llx",
				       infos[i].kind, infos[i].iova, end, vdev->place.group,
				       vdev->place.address, first, last);
	}
	free(infos);
	if (found)
		return -ERANGE;
	return weir_error_set(err, -ERANGE,
			      "%s cannot address all that is mapped in its IOAS, or its IOMMU "
			      "differs from that of the devices there",
			      vdev->place.address);
}

/* v2 unmaps what was mapped; v1 may leave more mapped than it says. */
static int choose_type1(struct vfio_space *space, const struct vfio_device *vdev,
			struct weir_error *err)
{
	static const int types[] = { UAPI_VFIO_TYPE1V2, UAPI_VFIO_TYPE1 };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (ioctl(space->fd, UAPI_VFIO_CHECK_EXTENSION, types[i]) <= 0)
			continue;
		if (!ioctl(space->fd, UAPI_VFIO_SET_IOMMU, types[i])) {
			space->type = types[i];
			return 0;
		}
		if (errno == EPERM)
			return weir_error_set(
				err, -EOPNOTSUPP,
				"%s: this machine does not keep the interrupts of devices apart "
				"(no interrupt remapping); boot with intremap=on, or accept it: "
				"sudo modprobe vfio_iommu_type1 allow_unsafe_interrupts=1",
				vdev->place.address);
		return weir_error_set(err, -errno, "%s: its container gets no type1 IOMMU: %s",
				      vdev->place.address, strerror(errno));
	}
	return weir_error_set(err, -EOPNOTSUPP,
			      "%s: the kernel has no type1 IOMMU: sudo modprobe vfio_iommu_type1",
			      vdev->place.address);
}

static int enter_container(struct vfio_space *space, const struct vfio_device *vdev, int group,
			   struct weir_error *err)
{
	int ret;

	if (ioctl(group, UAPI_VFIO_GROUP_SET_CONTAINER, &space->fd)) {
		ret = -errno;
		if (ret == -EINVAL && space->type)
			return conflict(space, vdev, err);
		return weir_error_set(err, ret, "%s: its group %s does not enter the container: %s",
				      vdev->place.address, vdev->place.group, strerror(-ret));
	}
	if (space->type)
		return 0;
	ret = choose_type1(space, vdev, err);
	if (ret)
		ioctl(group, UAPI_VFIO_GROUP_UNSET_CONTAINER);
	return ret;
}

static int group_get(struct vfio_space *space, struct vfio_device *vdev, struct weir_error *err)
{
	struct vfio_group *group;
	int ret;

	LIST_FOREACH (group, &space->groups, link) {
		if (strcmp(group->number, vdev->place.group))
			continue;
		group->users++;
		vdev->group = group;
		return 0;
	}
	group = calloc(1, sizeof(*group));
	if (!group)
		return weir_error_set(err, -ENOMEM, "%s: no memory", vdev->place.address);
	ret = open_group_fd(vdev, &group->fd, err);
	if (ret)
		goto free;
	ret = enter_container(space, vdev, group->fd, err);
	if (ret)
		goto close;
	memcpy(group->number, vdev->place.group, sizeof(group->number));
	group->users = 1;
	LIST_INSERT_HEAD(&space->groups, group, link);
	vdev->group = group;
	return 0;

close:
	close(group->fd);
free:
	free(group);
	return ret;
}

static void group_put(struct vfio_space *space, struct vfio_group *group)
{
	if (--group->users)
		return;
	LIST_REMOVE(group, link);
	close(group->fd);
	free(group);
	if (LIST_EMPTY(&space->groups))
		space->type = 0;
}

static int group_join(struct vfio_space *space, struct vfio_device *vdev, struct weir_error *err)
{
	int ret = group_get(space, vdev, err);

	if (ret)
		return ret;
	vdev->fd = ioctl(vdev->group->fd, UAPI_VFIO_GROUP_GET_DEVICE_FD, vdev->place.address);
	if (vdev->fd >= 0)
		return 0;
	ret = weir_error_set(err, -errno, "%s: its group %s does not give it: %s",
			     vdev->place.address, vdev->place.group, strerror(errno));
	group_put(space, vdev->group);
	vdev->group = NULL;
	return ret;
}

static void group_leave(struct vfio_space *space, struct vfio_device *vdev)
{
	close(vdev->fd);
	vdev->fd = -1;
	group_put(space, vdev->group);
	vdev->group = NULL;
}

/* Adds a group to those that the kernel is shown. -ENOENT: it is not ours. */
static int add_group(struct vfio_space *space, uint32_t number, struct uapi_vfio_hot_reset *reset)
{
	struct vfio_group *group;
	char text[PLACE_NAME];

	snprintf(text, sizeof(text), "%" PRIu32, number);
	LIST_FOREACH (group, &space->groups, link) {
		if (strcmp(group->number, text))
			continue;
		for (uint32_t i = 0; i < reset->count; i++) {
			if (reset->group_fds[i] == group->fd)
				return 0;
		}
		reset->group_fds[reset->count++] = group->fd;
		return 0;
	}
	return -ENOENT;
}

static int group_hot_reset(struct vfio_device *vdev, const struct uapi_vfio_hot_reset_info *info,
			   struct weir_error *err)
{
	const struct uapi_vfio_dependent_device *missing = NULL;
	struct uapi_vfio_hot_reset *reset;
	size_t bytes = sizeof(*reset) + info->count * sizeof(reset->group_fds[0]);
	int error = 0;

	reset = calloc(1, bytes);
	if (!reset)
		return weir_error_set(err, -ENOMEM, "%s: no memory", vdev->place.address);
	reset->argsz = (uint32_t)bytes;
	for (uint32_t i = 0; i < info->count; i++) {
		if (add_group(vdev->space, info->devices[i].id, reset))
			missing = &info->devices[i];
	}
	/* Newer kernels do not mind devices that nobody has open. */
	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_PCI_HOT_RESET, reset))
		error = errno;
	free(reset);
	if (!error)
		return 0;
	if (missing && (error == EINVAL || error == EPERM))
		return vfio_reset_would_hit(vdev, missing, err);
	return vfio_failed(vdev, error, err, "hot reset");
}

/*
 * The device's own descriptor stands for its BAR: mapping it from there maps the BAR, and what this
 * process has mapped type1 can map for other devices.
 */
static int group_export(struct vfio_device *vdev, unsigned int bar, const struct weir_range *ranges,
			unsigned int nr, struct weir_dmabuf *dmabuf, struct weir_error *err)
{
	const struct device_region *region = &vdev->dev->regions[bar];
	int fd;

	if (nr > 1)
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: one range of a BAR can be exported over a group, not %u",
				      vdev->place.address, nr);
	if (!weir_device_bar(vdev->dev, bar, ranges->offset, ranges->bytes))
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: 0x%" PRIx64 " bytes at 0x%" PRIx64
				      " of BAR %u cannot be mapped",
				      vdev->place.address, ranges->bytes, ranges->offset, bar);
	fd = fcntl(vdev->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return weir_error_set(err, -errno, "%s: cannot duplicate its descriptor: %s",
				      vdev->place.address, strerror(errno));
	*dmabuf = (struct weir_dmabuf){
		.fd = fd,
		.offset = region->fd_offset + ranges->offset,
		.bytes = ranges->bytes,
	};
	return 0;
}

const struct vfio_door vfio_group_door = {
	.kind = IOAS_SHARED_TYPE1,
	.backend = &type1_backend,
	.check = place_check_group,
	.open = container_open,
	.join = group_join,
	.ask_limits = type1_ask_limits,
	.leave = group_leave,
	.hot_reset = group_hot_reset,
	.export = group_export,
};
