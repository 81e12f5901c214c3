/* SPDX-License-Identifier: BSD-3-Clause */
/* Containers, groups, and type 1 of both doors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

#define MAX_INFO 1024

static unsigned int pick_device(struct fuzz_thread *thread)
{
	return (unsigned int)fuzz_below(thread, the_options.nr_devices);
}

static int open_group(struct fuzz_thread *thread, unsigned int device)
{
	long fd;

	fuzz_begin(thread, OPEN_GROUP);
	fd = fuzz_end(thread,
		      fuzz_errno(open(the_options.devices[device].group, O_RDWR | O_CLOEXEC)));
	fuzz_keep(thread, GROUPS, fd, device);
	return (int)fd;
}

/* A context serves as one, too. */
struct container {
	enum fuzz_pool pool;
	unsigned int place;
	int fd;
	unsigned int has_iommu;
};

static struct container open_container(struct fuzz_thread *thread)
{
	struct container container = { .pool = CONTAINERS };
	long fd;

	fuzz_begin(thread, OPEN_CONTAINER);
	fd = fuzz_end(thread, fuzz_errno(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)));
	container.fd = (int)fd;
	container.place = fuzz_keep(thread, CONTAINERS, fd, 0);
	return container;
}

/* Mostly one with an IOMMU, if there is one. */
static struct container pick_container(struct fuzz_thread *thread)
{
	struct container container = { .pool = fuzz_once_in(thread, 4) ? CONTEXTS : CONTAINERS };

	for (unsigned int tries = 0; tries < 6 && !container.has_iommu; tries++)
		container.fd = fuzz_pick(thread, container.pool, &container.has_iommu,
					 &container.place);
	return container;
}

static void set_container(struct fuzz_thread *thread, int group)
{
	int32_t fd = pick_container(thread).fd;

	fuzz_call(thread, SET_CONTAINER, group, VFIO_GROUP_SET_CONTAINER, &fd, sizeof(fd));
}

static void set_iommu(struct fuzz_thread *thread, const struct container *container)
{
	if (fuzz_call_number(thread, SET_IOMMU, container->fd, VFIO_SET_IOMMU,
			     fuzz_once_in(thread, 3) ? VFIO_TYPE1_IOMMU : VFIO_TYPE1v2_IOMMU) == 0)
		fuzz_mark(thread, container->pool, container->place, container->fd, 1);
}

static void get_device(struct fuzz_thread *thread, int group, unsigned int device)
{
	char name[sizeof(the_options.devices[0].bdf)];
	long fd;

	memcpy(name, the_options.devices[device].bdf, sizeof(name));
	fd = fuzz_call(thread, GET_DEVICE_FD, group, VFIO_GROUP_GET_DEVICE_FD, name, sizeof(name));
	fuzz_keep(thread, DEVICES, fd, device);
}

static void unset_container(struct fuzz_thread *thread, int group)
{
	fuzz_call_number(thread, UNSET_CONTAINER, group, VFIO_GROUP_UNSET_CONTAINER, 0);
}

/* All the way to a device, or almost, if there is one that nobody else has. */
void fuzz_group_session(struct fuzz_thread *thread)
{
	struct container container = pick_container(thread);
	unsigned int device = 0;
	int group = -1;

	thread->careful = true;
	for (unsigned int tries = 0; tries < 4 && group < 0; tries++) {
		device = pick_device(thread);
		group = open_group(thread, device);
	}
	if (group >= 0) {
		if (container.fd < 0 || fuzz_once_in(thread, 3))
			container = open_container(thread);
		fuzz_call(thread, SET_CONTAINER, group, VFIO_GROUP_SET_CONTAINER, &container.fd,
			  sizeof(container.fd));
		set_iommu(thread, &container);
		if (fuzz_once_in(thread, 5))
			unset_container(thread, group);
		else
			get_device(thread, group, device);
	}
	thread->careful = false;
}

static void get_info(struct fuzz_thread *thread)
{
	unsigned char bytes[MAX_INFO] = { 0 };
	struct vfio_iommu_type1_info info = {
		.argsz = (uint32_t)(fuzz_once_in(thread, 2) ? sizeof(bytes)
							    : fuzz_below(thread, 256)),
	};

	memcpy(bytes, &info, sizeof(info));
	fuzz_call(thread, IOMMU_GET_INFO, pick_container(thread).fd, VFIO_IOMMU_GET_INFO, bytes,
		  sizeof(bytes));
}

void fuzz_container(struct fuzz_thread *thread)
{
	unsigned char bytes[64] = { 0 };
	struct container container = pick_container(thread);

	switch (fuzz_below(thread, 8)) {
	case 0:
		if (fuzz_once_in(thread, 4))
			open_container(thread);
		break;
	case 1:
		fuzz_call_number(thread, GET_API_VERSION, container.fd, VFIO_GET_API_VERSION, 0);
		break;
	case 2:
		fuzz_call_number(thread, CHECK_EXTENSION, container.fd, VFIO_CHECK_EXTENSION,
				 fuzz_below(thread, 16));
		break;
	case 3:
		bytes[0] = sizeof(bytes);
		fuzz_call(thread, DIRTY_PAGES, container.fd, VFIO_IOMMU_DIRTY_PAGES, bytes,
			  sizeof(bytes));
		break;
	case 4:
	case 5:
		get_info(thread);
		break;
	default:
		set_iommu(thread, &container);
	}
}

void fuzz_group(struct fuzz_thread *thread)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	unsigned int device;
	int group = fuzz_pick(thread, GROUPS, &device, NULL);

	switch (fuzz_below(thread, 8)) {
	case 0:
		open_group(thread, pick_device(thread));
		break;
	case 1:
		fuzz_call(thread, GROUP_GET_STATUS, group, VFIO_GROUP_GET_STATUS, &status,
			  sizeof(status));
		break;
	case 2:
	case 3:
		set_container(thread, group);
		break;
	case 4:
		unset_container(thread, group);
		break;
	default:
		get_device(thread, group, fuzz_once_in(thread, 8) ? pick_device(thread) : device);
	}
}

static void map(struct fuzz_thread *thread, const struct container *container)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map) };
	uint64_t length;

	map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	if (fuzz_once_in(thread, 16))
		map.flags = (uint32_t)fuzz_below(thread, 4);
	map.vaddr = fuzz_pick_memory(thread, &length);
	map.size = length;
	map.iova = fuzz_pick_iova(thread, container->pool, container->place);
	/* A new address for memory whose old one was taken away. */
	if (fuzz_once_in(thread, 16)) {
		const struct fuzz_area area = fuzz_pick_area(thread, container->pool,
							     container->place);

		map.flags = VFIO_DMA_MAP_FLAG_VADDR;
		map.size = area.length;
		map.iova = area.iova;
	}
	if (fuzz_call(thread, MAP_DMA, container->fd, VFIO_IOMMU_MAP_DMA, &map, sizeof(map)) == 0) {
		const struct fuzz_area area = { map.iova, map.size, 0 };

		fuzz_keep_area(thread, container->pool, container->place, &area);
		/* It was somebody else who gave it one. */
		fuzz_mark(thread, container->pool, container->place, container->fd, 1);
	}
}

static void unmap(struct fuzz_thread *thread, const struct container *container)
{
	const struct fuzz_area area = fuzz_pick_area(thread, container->pool, container->place);
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = area.iova,
		.size = area.length,
	};

	switch (fuzz_below(thread, 16)) {
	case 0:
		unmap.iova = 0;
		unmap.size = 0;
		unmap.flags = VFIO_DMA_UNMAP_FLAG_ALL;
		break;
	case 1:
		unmap.flags = VFIO_DMA_UNMAP_FLAG_VADDR;
		break;
	case 2:
		unmap.iova = 0;
		unmap.size = IOVA_SPACE;
		break;
	case 3:
		unmap.size = fuzz_length(thread);
		break;
	default:
		break;
	}
	if (fuzz_call(thread, UNMAP_DMA, container->fd, VFIO_IOMMU_UNMAP_DMA, &unmap,
		      sizeof(unmap)) == 0 &&
	    unmap.flags != VFIO_DMA_UNMAP_FLAG_VADDR)
		fuzz_drop_area(thread, container->pool, container->place, &area);
}

void fuzz_type1(struct fuzz_thread *thread)
{
	struct container container = pick_container(thread);

	/* Not that anybody knew; but others have it, too. */
	if (!container.has_iommu && !fuzz_once_in(thread, 4))
		return;
	if (fuzz_once_in(thread, 3))
		unmap(thread, &container);
	else
		map(thread, &container);
}
