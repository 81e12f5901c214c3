/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sysfs.h"
#include "type1.h"

int type1_bind(const char *bdf)
{
	char driver[64];
	int ret;

	sysfs_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", bdf);
	if (driver[0]) {
		ret = sysfs_write(bdf, "/sys/bus/pci/drivers/%s/unbind", driver);
		if (ret)
			return ret;
	}
	ret = sysfs_write("vfio-pci", "/sys/bus/pci/devices/%s/driver_override", bdf);
	return ret ? ret : sysfs_write(bdf, "/sys/bus/pci/drivers_probe");
}

static int enable_bus_master(const struct type1 *vfio)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command;
	off_t at;

	if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &config))
		return -errno;
	at = (off_t)config.offset + PCI_COMMAND;
	if (pread(vfio->device, &command, sizeof(command), at) != sizeof(command))
		return -EIO;
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	return pwrite(vfio->device, &command, sizeof(command), at) == sizeof(command) ? 0 : -EIO;
}

static int map_bar0(struct type1 *vfio)
{
	struct vfio_region_info bar0 = { .argsz = sizeof(bar0),
					 .index = VFIO_PCI_BAR0_REGION_INDEX };
	void *address;

	if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &bar0))
		return -errno;
	address = mmap(NULL, bar0.size, PROT_READ | PROT_WRITE, MAP_SHARED, vfio->device,
		       (off_t)bar0.offset);
	if (address == MAP_FAILED)
		return -errno;
	vfio->bar0 = address;
	vfio->bar0_size = bar0.size;
	return 0;
}

static int open_device(struct type1 *vfio, const char *bdf)
{
	vfio->device = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	return vfio->device < 0 ? -errno : 0;
}

static int open_group(struct type1 *vfio, const char *bdf)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char number[16];
	char path[64];

	sysfs_link(number, sizeof(number), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	snprintf(path, sizeof(path), "/dev/vfio/%s", number);
	vfio->group = open(path, O_RDWR | O_CLOEXEC);
	if (vfio->group < 0)
		return -errno;
	if (ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &status))
		return -errno;
	return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : -EPERM;
}

static int open_container(struct type1 *vfio)
{
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vfio->container < 0 || ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container) ||
	    ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	return 0;
}

int type1_open(struct type1 *vfio, const char *bdf, const char **failed_step)
{
	int ret;

	*vfio = (struct type1){ .container = -1, .group = -1, .device = -1 };
	*failed_step = "open the group";
	ret = open_group(vfio, bdf);
	if (!ret) {
		*failed_step = "set up the container";
		ret = open_container(vfio);
	}
	if (!ret) {
		*failed_step = "open the device";
		ret = open_device(vfio, bdf);
	}
	if (!ret) {
		*failed_step = "enable bus mastering";
		ret = enable_bus_master(vfio);
	}
	if (!ret) {
		*failed_step = "map BAR 0";
		ret = map_bar0(vfio);
	}
	if (ret)
		type1_close(vfio);
	return ret;
}

int type1_map(struct type1 *vfio, void *memory, size_t size, uint64_t iova)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = size,
	};

	return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

void type1_close(struct type1 *vfio)
{
	if (vfio->bar0)
		munmap(vfio->bar0, vfio->bar0_size);
	if (vfio->device >= 0)
		close(vfio->device);
	if (vfio->group >= 0)
		close(vfio->group);
	if (vfio->container >= 0)
		close(vfio->container);
	*vfio = (struct type1){ .container = -1, .group = -1, .device = -1 };
}
