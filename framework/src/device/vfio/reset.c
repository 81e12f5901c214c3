/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Resets: of the function, or, when it has none, of its slot or bus with everything on it (hot
 * reset). The kernel restores configuration space and MSI-X afterwards; it does not know of vectors
 * that were masked through the mapped table, so these are masked again here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/mmio.h>

#include "device/vfio/vfio.h"

/* PCI 3.0 §6.8.2. */
#define MSIX_ENTRY_BYTES 16u
#define MSIX_VECTOR_CONTROL 12u
#define MSIX_VECTOR_MASKED 0x1u

/* What a bus with all its functions holds at most. */
#define MAX_DEPENDENT 256

struct dependent {
	struct uapi_vfio_hot_reset_info info;
	struct uapi_vfio_dependent_device devices[MAX_DEPENDENT];
};

static int ask_dependent(const struct vfio_device *vdev, struct dependent *dependent)
{
	*dependent = (struct dependent){ .info.argsz = sizeof(*dependent) };
	if (ioctl(vdev->fd, UAPI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &dependent->info))
		return -errno;
	return dependent->info.count <= MAX_DEPENDENT ? 0 : -EPROTO;
}

bool vfio_has_hot_reset(const struct vfio_device *vdev)
{
	struct dependent dependent;

	return !ask_dependent(vdev, &dependent);
}

static void format_address(const struct uapi_vfio_dependent_device *device, char text[24])
{
	snprintf(text, 24, "%04x:%02x:%02x.%x", device->segment, device->bus, device->devfn >> 3,
		 device->devfn & 7);
}

int vfio_reset_would_hit(const struct vfio_device *vdev,
			 const struct uapi_vfio_dependent_device *other, struct weir_error *err)
{
	char address[24];

	format_address(other, address);
	return weir_error_set(err, -EBUSY,
			      "%s has no reset of its own, and a reset of its bus would hit %s, "
			      "which is not open in the same IOAS",
			      vdev->place.address, address);
}

/* The others on the bus find themselves reset. */
static void tell_others(const struct vfio_device *vdev, const struct dependent *dependent)
{
	const uint64_t one = 1;

	for (uint32_t i = 0; i < dependent->info.count; i++) {
		struct vfio_device *other;
		char address[24];

		format_address(&dependent->devices[i], address);
		other = vfio_find(vdev->space, address);
		if (other && other != vdev && other->dev->notify_fds[0] >= 0 &&
		    write(other->dev->notify_fds[0], &one, sizeof(one)) < 0)
			continue;
	}
}

/* With ioas_shared.lock. */
static int hot_reset(struct vfio_device *vdev, struct weir_error *err)
{
	struct dependent dependent;
	int ret = ask_dependent(vdev, &dependent);

	if (ret)
		return vfio_failed(vdev, -ret, err, "asking what a hot reset hits");
	ret = vdev->door->hot_reset(vdev, &dependent.info, err);
	if (!ret)
		tell_others(vdev, &dependent);
	return ret;
}

static int function_reset(struct vfio_device *vdev, struct weir_error *err)
{
	if (!ioctl(vdev->fd, UAPI_VFIO_DEVICE_RESET))
		return 0;
	return vfio_failed(vdev, errno, err, "reset");
}

/* The mapped vector control word, or NULL. */
static volatile void *vector_control(const struct weir_device *dev, unsigned int vector)
{
	const struct device_msix *msix = &dev->msix;

	return weir_device_bar(dev, msix->bar,
			       msix->offset + (uint64_t)vector * MSIX_ENTRY_BYTES +
				       MSIX_VECTOR_CONTROL,
			       sizeof(uint32_t));
}

static void note_masks(const struct weir_device *dev, bool *masked)
{
	for (unsigned int i = 0; i < dev->msix.nr_vectors; i++) {
		volatile void *control = vector_control(dev, i);

		masked[i] = control && weir_mmio_read32(control) & MSIX_VECTOR_MASKED;
	}
}

static void mask_again(const struct weir_device *dev, const bool *masked)
{
	for (unsigned int i = 0; i < dev->msix.nr_vectors; i++) {
		volatile void *control = vector_control(dev, i);

		if (control && masked[i])
			weir_mmio_write32(control, weir_mmio_read32(control) | MSIX_VECTOR_MASKED);
	}
}

/* Masks stay as they are meanwhile: the lock keeps them from being changed. */
static int reset_masked(struct vfio_device *vdev,
			int (*reset)(struct vfio_device *vdev, struct weir_error *err),
			struct weir_error *err)
{
	struct weir_device *dev = vdev->dev;
	bool masked[DEVICE_MAX_IRQS];
	int ret;

	pthread_mutex_lock(&dev->config_lock);
	note_masks(dev, masked);
	ret = reset(vdev, err);
	if (!ret)
		mask_again(dev, masked);
	pthread_mutex_unlock(&dev->config_lock);
	return ret;
}

int vfio_reset(struct weir_device *dev, struct weir_error *err)
{
	struct vfio_device *vdev = dev->link;
	struct ioas_shared *shared = ioas_shared(dev->ioas, vdev->door->kind);
	int ret;

	if (vdev->function_reset)
		return reset_masked(vdev, function_reset, err);
	pthread_mutex_lock(&shared->lock);
	ret = reset_masked(vdev, hot_reset, err);
	pthread_mutex_unlock(&shared->lock);
	return ret;
}
