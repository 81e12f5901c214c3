/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access to regions through the kernel, and how a device that is gone shows itself: the kernel does
 * not say so, but its configuration space reads all ones.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device/vfio/vfio.h"

/* Revision and class, which the kernel never makes up, unlike the vendor and device ids. */
#define CONFIG_REVISION 0x08

bool vfio_check_presence(struct vfio_device *vdev)
{
	const struct device_region *config = &vdev->dev->regions[WEIR_REGION_CONFIG];
	uint32_t word;

	if (device_is_gone(vdev->dev))
		return false;
	if (pread(vdev->fd, &word, sizeof(word), (off_t)config->fd_offset + CONFIG_REVISION) ==
		    sizeof(word) &&
	    word != UINT32_MAX)
		return true;
	device_lost(vdev->dev, -ENODEV, "its configuration space reads nothing: unplugged?");
	return false;
}

int vfio_failed(struct vfio_device *vdev, int error, struct weir_error *err, const char *format,
		...)
{
	char what[128];
	va_list args;

	if (!vfio_check_presence(vdev))
		return device_gone_error(vdev->dev, err);
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return weir_error_set(err, -EIO, "%s: %s: %s", vdev->place.address, what, strerror(error));
}

static bool all_ones(const uint8_t *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (data[i] != 0xff)
			return false;
	}
	return true;
}

/* The kernel does 1, 2 and 4 bytes as one access, 8 if it is Linux 6.11 or later. */
int vfio_read(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
	      size_t bytes, struct weir_error *err)
{
	struct vfio_device *vdev = dev->link;
	uint64_t at = dev->regions[region].fd_offset + offset;

	for (size_t done = 0; done < bytes;) {
		ssize_t got = pread(vdev->fd, (uint8_t *)data + done, bytes - done,
				    (off_t)(at + done));

		if (got <= 0)
			return vfio_failed(vdev, got ? errno : EIO, err,
					   "reading %zu bytes at 0x%llx of region %u", bytes,
					   (unsigned long long)offset, region);
		done += (size_t)got;
	}
	/* The kernel makes ones up for a device that is gone, which is then known at once. */
	if (region == WEIR_REGION_CONFIG && all_ones(data, bytes) && !vfio_check_presence(vdev))
		return device_gone_error(dev, err);
	return 0;
}

int vfio_write(struct weir_device *dev, unsigned int region, uint64_t offset, const void *data,
	       size_t bytes, struct weir_error *err)
{
	struct vfio_device *vdev = dev->link;
	uint64_t at = dev->regions[region].fd_offset + offset;

	for (size_t done = 0; done < bytes;) {
		ssize_t put = pwrite(vdev->fd, (const uint8_t *)data + done, bytes - done,
				     (off_t)(at + done));

		if (put <= 0)
			return vfio_failed(vdev, put ? errno : EIO, err,
					   "writing %zu bytes at 0x%llx of region %u", bytes,
					   (unsigned long long)offset, region);
		done += (size_t)put;
	}
	return 0;
}
