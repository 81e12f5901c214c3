/* SPDX-License-Identifier: BSD-3-Clause */
/* Spaces: how devices come to share one, and how the IOAS sees it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/vfio/vfio.h"

static int space_new(const struct vfio_door *door, struct weir_ioas *ioas,
		     struct vfio_space **space, struct weir_error *err)
{
	struct vfio_space *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return weir_error_set(err, -ENOMEM, "no memory");
	new->door = door;
	new->ioas = ioas;
	new->fd = -1;
	pthread_mutex_init(&new->list_lock, NULL);
	ret = door->open(new, err);
	if (ret) {
		pthread_mutex_destroy(&new->list_lock);
		free(new);
		return ret;
	}
	*space = new;
	return 0;
}

static void space_free(struct vfio_space *space)
{
	close(space->fd);
	pthread_mutex_destroy(&space->list_lock);
	free(space);
}

struct vfio_device *vfio_find(struct vfio_space *space, const char *address)
{
	struct vfio_device *vdev;

	LIST_FOREACH (vdev, &space->devices, link) {
		if (!strcmp(vdev->place.address, address))
			return vdev;
	}
	return NULL;
}

static void list_add(struct vfio_space *space, struct vfio_device *vdev)
{
	pthread_mutex_lock(&space->list_lock);
	LIST_INSERT_HEAD(&space->devices, vdev, link);
	pthread_mutex_unlock(&space->list_lock);
	vdev->space = space;
}

static void list_remove(struct vfio_space *space, struct vfio_device *vdev)
{
	pthread_mutex_lock(&space->list_lock);
	LIST_REMOVE(vdev, link);
	pthread_mutex_unlock(&space->list_lock);
	vdev->space = NULL;
}

static int join(struct vfio_space *space, struct vfio_device *vdev, struct weir_error *err)
{
	int ret;

	if (vfio_find(space, vdev->place.address))
		return weir_error_set(err, -EBUSY, "%s is held by this process",
				      vdev->place.address);
	ret = space->door->join(space, vdev, err);
	if (ret)
		return ret;
	ret = space->door->ask_limits(space, err);
	if (ret) {
		space->door->leave(space, vdev);
		return weir_error_prefix(err, ret, "%s", vdev->place.address);
	}
	list_add(space, vdev);
	if (space->attachment)
		ioas_limits_changed(space->attachment);
	return 0;
}

int vfio_join(struct vfio_device *vdev, struct weir_error *err)
{
	struct weir_ioas *ioas = vdev->dev->ioas;
	struct ioas_shared *shared = ioas_shared(ioas, vdev->door->kind);
	struct vfio_space *space;
	int ret = 0;

	pthread_mutex_lock(&shared->lock);
	space = shared->object;
	if (!space)
		ret = space_new(vdev->door, ioas, &space, err);
	if (ret)
		goto unlock;
	ret = join(space, vdev, err);
	if (!ret)
		shared->object = space;
	else if (!shared->object)
		space_free(space);
unlock:
	pthread_mutex_unlock(&shared->lock);
	return ret;
}

int vfio_attach(struct vfio_device *vdev, struct weir_error *err)
{
	struct ioas_shared *shared = ioas_shared(vdev->dev->ioas, vdev->door->kind);
	struct vfio_space *space = vdev->space;
	int ret = 0;

	pthread_mutex_lock(&shared->lock);
	if (!space->attachment)
		ret = ioas_attach(space->ioas, space->door->backend, space, false,
				  &space->attachment, err);
	vdev->deaths_taken = ioas_deaths(space->ioas);
	pthread_mutex_unlock(&shared->lock);
	return ret;
}

void vfio_leave(struct vfio_device *vdev)
{
	struct ioas_shared *shared = ioas_shared(vdev->dev->ioas, vdev->door->kind);
	struct vfio_space *space = vdev->space;

	pthread_mutex_lock(&shared->lock);
	list_remove(space, vdev);
	if (LIST_EMPTY(&space->devices)) {
		/* The IOAS must not call a container that has lost its last group. */
		ioas_detach(space->attachment);
		shared->object = NULL;
	}
	space->door->leave(space, vdev);
	if (!shared->object)
		space_free(space);
	pthread_mutex_unlock(&shared->lock);
}

void vfio_backend_limits(const void *backend, struct ioas_limits *limits)
{
	const struct vfio_space *space = backend;

	*limits = space->limits;
}

/* Devices come and go; the kernel's translation does not. */
bool vfio_backend_dead(const void *backend)
{
	(void)backend;
	return false;
}

void vfio_backend_mapping_died(void *backend)
{
	struct vfio_space *space = backend;
	struct vfio_device *vdev;

	pthread_mutex_lock(&space->list_lock);
	LIST_FOREACH (vdev, &space->devices, link)
		device_kick(vdev->dev);
	pthread_mutex_unlock(&space->list_lock);
}
