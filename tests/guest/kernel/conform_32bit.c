/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls of 32-bit programs on a 64-bit kernel. What they give has the layout it has for others, and
 * lies in the lower 4 GiB. For a kernel that runs such programs.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "calls.h"

#ifdef __x86_64__
/* Where such a program's system calls go in. */
static long call_32(int fd, unsigned int request, uintptr_t argument)
{
	const long ioctl_32 = 54;
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(ioctl_32), "b"((long)fd), "c"((long)request), "d"(argument)
			 : "memory", "cc", "r8", "r9", "r10", "r11");
	return (int)result;
}

static void *must_allocate_low(void)
{
	void *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	must(low == MAP_FAILED ? -errno : 0, "memory below 4 GiB");
	return low;
}
#else
static long call_32(int fd, unsigned int request, uintptr_t argument)
{
	(void)fd;
	(void)request;
	(void)argument;
	return -ENOSYS;
}

static void *must_allocate_low(void)
{
	return must_allocate(PAGE);
}
#endif

static void check_files(void)
{
	int container = (int)must(open_container(), "open /dev/vfio/vfio");
	int group = (int)must(open_group(EDU), "open the group");
	char *low = must_allocate_low();
	struct vfio_group_status *status = (void *)low;
	struct vfio_device_info *info = (void *)low;
	struct vfio_iommu_type1_dma_map *map = (void *)low;
	long device;

	expect(call_32(container, VFIO_GET_API_VERSION, 0), VFIO_API_VERSION, "GET_API_VERSION");
	expect(call_32(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1, "CHECK_EXTENSION");
	memcpy(low, &container, sizeof(container));
	expect(call_32(group, VFIO_GROUP_SET_CONTAINER, (uintptr_t)low), 0, "SET_CONTAINER");
	expect(call_32(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0, "SET_IOMMU");
	*status = (struct vfio_group_status){ .argsz = sizeof(*status) };
	expect(call_32(group, VFIO_GROUP_GET_STATUS, (uintptr_t)low), 0, "GET_STATUS");
	expect(status->flags, VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET, "status");
	strcpy(low, the_devices[EDU].bdf);
	device = must(call_32(group, VFIO_GROUP_GET_DEVICE_FD, (uintptr_t)low), "GET_DEVICE_FD");
	*info = (struct vfio_device_info){ .argsz = sizeof(*info) };
	expect(call_32((int)device, VFIO_DEVICE_GET_INFO, (uintptr_t)low), 0, "GET_INFO");
	check(info->num_regions >= VFIO_PCI_CONFIG_REGION_INDEX, "which tells of regions");
	*map = (struct vfio_iommu_type1_dma_map){
		.argsz = sizeof(*map), .flags = READ_WRITE, .vaddr = (uintptr_t)low, .size = PAGE
	};
	expect(call_32(container, VFIO_IOMMU_MAP_DMA, (uintptr_t)low), 0, "MAP_DMA");
	expect(call_32((int)device, VFIO_DEVICE_GET_INFO, 16), -EFAULT, "GET_INFO of no address");
}

static const struct conform_case cases[] = {
	{ "files", check_files },
};

const struct conform_part part_32bit = { "32-bit", cases, ARRAY_SIZE(cases) };
