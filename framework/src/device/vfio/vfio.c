/* SPDX-License-Identifier: BSD-3-Clause */
/* The transports `group` and `cdev`, which are the same but for their door. */
#include "device/vfio/vfio.h"

#include <stdlib.h>
#include <string.h>

/* How often serve() looks whether the device is still there. */
#define CHECK_INTERVAL_NS 100000000u

static void vdev_free(struct vfio_device *vdev)
{
	vfio_vectors_free(vdev);
	pthread_mutex_destroy(&vdev->irq_lock);
	free(vdev);
}

static int open_through(const struct vfio_door *door, struct weir_device *dev,
			struct weir_error *err)
{
	struct vfio_device *vdev = calloc(1, sizeof(*vdev));
	int ret;

	if (!vdev)
		return weir_error_set(err, -ENOMEM, "%s: no memory", dev->address);
	pthread_mutex_init(&vdev->irq_lock, NULL);
	vdev->dev = dev;
	vdev->door = door;
	vdev->fd = -1;
	ret = place_find("", dev->address, &vdev->place, err);
	if (!ret)
		ret = door->check("", &vdev->place, err);
	if (!ret)
		ret = vfio_join(vdev, err);
	if (ret)
		goto free;
	ret = vfio_describe(vdev, err);
	if (ret)
		goto leave;
	dev->link = vdev;
	return 0;

leave:
	regions_release(dev);
	vfio_leave(vdev);
free:
	vdev_free(vdev);
	return ret;
}

static int group_open(struct weir_device *dev, struct weir_error *err)
{
	return open_through(&vfio_group_door, dev, err);
}

static int cdev_open(struct weir_device *dev, struct weir_error *err)
{
	return open_through(&vfio_cdev_door, dev, err);
}

static int attach(struct weir_device *dev, bool adopted, struct weir_error *err)
{
	(void)adopted;
	return vfio_attach(dev->link, err);
}

/* There is no device for a successor: save() refuses. */
static void vfio_close(struct weir_device *dev, bool for_successor)
{
	struct vfio_device *vdev = dev->link;

	(void)for_successor;
	/* A mapping of a BAR keeps the device open. */
	regions_release(dev);
	vfio_leave(vdev);
	vdev_free(vdev);
	dev->link = NULL;
}

static void serve(struct weir_device *dev)
{
	struct vfio_device *vdev = dev->link;
	uint64_t now = weir_now_ns();

	if (now < vdev->next_check)
		return;
	vdev->next_check = now + CHECK_INTERVAL_NS;
	vfio_check_presence(vdev);
}

/* The eventfds of interrupts tell everything. */
static int event_fd(const struct weir_device *dev)
{
	(void)dev;
	return -1;
}

static unsigned int take_dead(struct weir_device *dev, uint64_t *iovas, unsigned int max)
{
	struct vfio_device *vdev = dev->link;

	return ioas_take_dead_since(dev->ioas, &vdev->deaths_taken, iovas, max);
}

static int export(struct weir_device *dev, unsigned int bar, const struct weir_range *ranges,
		  unsigned int nr, struct weir_dmabuf *dmabuf, struct weir_error *err)
{
	struct vfio_device *vdev = dev->link;

	return vdev->door->export(vdev, bar, ranges, nr, dmabuf, err);
}

static int save(struct weir_device *dev, struct transport_state *state, struct weir_error *err)
{
	(void)state;
	return weir_error_set(err, -EOPNOTSUPP, "%s: a device behind VFIO cannot be handed over",
			      dev->address);
}

static int adopt(struct weir_device *dev, const struct transport_state *state,
		 struct weir_error *err)
{
	(void)state;
	return weir_error_set(err, -EINVAL, "%s: a device behind VFIO cannot be adopted",
			      dev->address);
}

/* Whether this process could open it so. */
static bool cdev_offered(const char *address)
{
	struct vfio_place place;

	return !place_find("", address, &place, NULL) && !place_check_cdev("", &place, NULL);
}

const struct transport_ops vfio_cdev_transport = {
	.name = "cdev",
	.matches = transport_is_pci,
	.offered = cdev_offered,
	.open = cdev_open,
	.attach = attach,
	.close = vfio_close,
	.read = vfio_read,
	.write = vfio_write,
	.bind_irqs = vfio_bind_irqs,
	.unbind_irqs = vfio_unbind_irqs,
	.mask_irq = vfio_mask_irq,
	.reset = vfio_reset,
	.serve = serve,
	.event_fd = event_fd,
	.take_dead = take_dead,
	.export = export,
	.save = save,
	.adopt = adopt,
};

const struct transport_ops vfio_group_transport = {
	.name = "group",
	.matches = transport_is_pci,
	.open = group_open,
	.attach = attach,
	.close = vfio_close,
	.read = vfio_read,
	.write = vfio_write,
	.bind_irqs = vfio_bind_irqs,
	.unbind_irqs = vfio_unbind_irqs,
	.mask_irq = vfio_mask_irq,
	.reset = vfio_reset,
	.serve = serve,
	.event_fd = event_fd,
	.take_dead = take_dead,
	.export = export,
	.save = save,
	.adopt = adopt,
};
