/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An I/O address space of /dev/iommu as a backend of an IOAS. Files and dma-bufs are mapped by
 * descriptor: such mappings can be handed to another process, and dma-bufs cannot be mapped
 * otherwise. Kernels that cannot do it get the address at which this process has the file.
 */
#include "device/vfio/iommufd.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "device/vfio/answer.h"

#define NODE "/dev/iommu"
/* Far more than any IOMMU has. */
#define MAX_RANGES 512

int iommufd_open(struct vfio_space *space, struct weir_error *err)
{
	struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret;

	space->fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (space->fd < 0)
		return weir_error_set(err, -errno, "cannot open " NODE ": %s", strerror(errno));
	if (!ioctl(space->fd, UAPI_IOMMU_IOAS_ALLOC, &alloc)) {
		space->ioas_id = alloc.out_ioas_id;
		return 0;
	}
	ret = weir_error_set(err, -errno, NODE " gives no address space: %s", strerror(errno));
	close(space->fd);
	space->fd = -1;
	return ret;
}

int iommufd_ask_limits(struct vfio_space *space, struct weir_error *err)
{
	struct uapi_iova_range ranges[MAX_RANGES];
	struct uapi_iommu_iova_ranges ask = {
		.size = sizeof(ask),
		.ioas_id = space->ioas_id,
		.num_iovas = MAX_RANGES,
		.allowed_iovas = (uintptr_t)ranges,
	};

	if (ioctl(space->fd, UAPI_IOMMU_IOAS_IOVA_RANGES, &ask))
		return weir_error_set(err, -errno, NODE " does not say what it can map: %s",
				      strerror(errno));
	if (ask.num_iovas > MAX_RANGES || !weir_is_power_of_two(ask.out_iova_alignment))
		return weir_error_set(err, -EPROTO,
				      NODE " names %u address ranges, aligned to 0x%" PRIx64,
				      ask.num_iovas, ask.out_iova_alignment);
	space->limits.page_bytes = ask.out_iova_alignment > 4096 ? ask.out_iova_alignment : 4096;
	space->limits.max_mappings = UINT64_MAX;
	return vfio_take_ranges(ranges, ask.num_iovas, &space->limits, err);
}

static uint32_t map_flags(const struct ioas_memory *memory)
{
	return UAPI_IOMMU_MAP_FIXED_IOVA |
	       (memory->prot & WEIR_PROT_READ ? UAPI_IOMMU_MAP_READABLE : 0) |
	       (memory->prot & WEIR_PROT_WRITE ? UAPI_IOMMU_MAP_WRITEABLE : 0);
}

/* Returns 0 or a positive errno, as map_address() does. */
static int map_file(struct vfio_space *space, const struct ioas_memory *memory)
{
	struct uapi_iommu_ioas_map_file map = {
		.size = sizeof(map),
		.flags = map_flags(memory),
		.ioas_id = space->ioas_id,
		.fd = memory->fd,
		.start = memory->offset,
		.length = memory->bytes,
		.iova = memory->iova,
	};

	return ioctl(space->fd, UAPI_IOMMU_IOAS_MAP_FILE, &map) ? errno : 0;
}

static int map_address(struct vfio_space *space, const struct ioas_memory *memory)
{
	struct uapi_iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = map_flags(memory),
		.ioas_id = space->ioas_id,
		.user_va = (uintptr_t)memory->addr,
		.length = memory->bytes,
		.iova = memory->iova,
	};

	return ioctl(space->fd, UAPI_IOMMU_IOAS_MAP, &map) ? errno : 0;
}

static int map_failed(const struct ioas_memory *memory, int error, struct weir_error *err)
{
	if (error == ENOMEM)
		return vfio_no_memory(memory->bytes, err);
	if (memory->device)
		return weir_error_set(err, -EOPNOTSUPP,
				      NODE
				      " cannot map this device memory (%s): it takes dma-bufs "
				      "of devices opened over \"cdev\", on kernels that have them; "
				      "\"group\" on both sides does without",
				      strerror(error));
	return weir_error_set(err, error == EEXIST ? -EEXIST : -EIO,
			      NODE " refuses to map 0x%" PRIx64 " bytes at 0x%" PRIx64 ": %s",
			      memory->bytes, memory->iova, strerror(error));
}

static int iommufd_map(void *backend, const struct ioas_memory *memory, struct weir_error *err)
{
	struct vfio_space *space = backend;
	int error = ENOTTY;

	if (memory->fd >= 0 && !atomic_load(&space->no_map_file))
		error = map_file(space, memory);
	if (error == ENOTTY && memory->fd >= 0)
		atomic_store(&space->no_map_file, true);
	if (error == ENOTTY && memory->addr)
		error = map_address(space, memory);
	return error ? map_failed(memory, error, err) : 0;
}

static int iommufd_unmap(void *backend, uint64_t iova, uint64_t bytes, uint64_t *unmapped,
			 struct weir_error *err)
{
	struct vfio_space *space = backend;
	struct uapi_iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = space->ioas_id,
		.iova = iova,
		.length = bytes,
	};

	if (ioctl(space->fd, UAPI_IOMMU_IOAS_UNMAP, &unmap))
		return weir_error_set(err, -EIO,
				      NODE " refuses to unmap 0x%" PRIx64 " bytes at 0x%" PRIx64
					   ": %s",
				      bytes, iova, strerror(errno));
	*unmapped = unmap.length;
	return 0;
}

const struct ioas_backend_ops iommufd_backend = {
	.name = "cdev",
	.limits = vfio_backend_limits,
	.map = iommufd_map,
	.unmap = iommufd_unmap,
	.dead = vfio_backend_dead,
	.mapping_died = vfio_backend_mapping_died,
};
