/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A container's type1 IOMMU as a backend of an IOAS. It maps what this process has mapped, BARs of
 * other devices included, which makes peer-to-peer transfers possible on any kernel with VFIO.
 */
#include "device/vfio/type1.h"

#include <inttypes.h>
#include <string.h>

#include "device/vfio/answer.h"

int type1_ask_limits(struct vfio_space *space, struct weir_error *err)
{
	struct vfio_answer answer = { 0 };
	const uint32_t room = sizeof(answer.bytes);
	uint64_t avail, mapped;
	int ret;

	memcpy(answer.bytes, &room, sizeof(room));
	if (ioctl(space->fd, UAPI_VFIO_IOMMU_GET_INFO, answer.bytes))
		return weir_error_set(err, -errno, "type1 does not say what it can map: %s",
				      strerror(errno));
	ret = vfio_take_type1(&answer, &space->limits, &avail, err);
	if (ret)
		return ret;
	mapped = atomic_load(&space->nr_mapped);
	space->limits.max_mappings = avail > UINT64_MAX - mapped ? UINT64_MAX : avail + mapped;
	return 0;
}

static int map_failed(const struct ioas_memory *memory, int error, struct weir_error *err)
{
	int code = error == ENOSPC || error == EEXIST ? -error : -EIO;

	if (error == ENOMEM)
		return vfio_no_memory(memory->bytes, err);
	if (error == ENOSPC)
		return weir_error_set(err, code,
				      "type1 has no room for one more mapping: see the limit in "
				      "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit");
	return weir_error_set(err, code,
			      "type1 refuses to map 0x%" PRIx64 " bytes at 0x%" PRIx64 ": %s",
			      memory->bytes, memory->iova, strerror(error));
}

static int type1_map(void *backend, const struct ioas_memory *memory, struct weir_error *err)
{
	struct vfio_space *space = backend;
	struct uapi_vfio_dma_map map = {
		.argsz = sizeof(map),
		.flags = (memory->prot & WEIR_PROT_READ ? UAPI_VFIO_DMA_MAP_READ : 0) |
			 (memory->prot & WEIR_PROT_WRITE ? UAPI_VFIO_DMA_MAP_WRITE : 0),
		.vaddr = (uintptr_t)memory->addr,
		.iova = memory->iova,
		.size = memory->bytes,
	};

	if (!memory->addr)
		return weir_error_set(err, -EOPNOTSUPP,
				      "type1 maps what this process can map, and this dma-buf "
				      "cannot be; export it over \"group\", or open the device "
				      "over \"cdev\"");
	if (ioctl(space->fd, UAPI_VFIO_IOMMU_MAP_DMA, &map))
		return map_failed(memory, errno, err);
	atomic_fetch_add(&space->nr_mapped, 1);
	return 0;
}

static int type1_unmap(void *backend, uint64_t iova, uint64_t bytes, uint64_t *unmapped,
		       struct weir_error *err)
{
	struct vfio_space *space = backend;
	struct uapi_vfio_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = bytes,
	};

	if (ioctl(space->fd, UAPI_VFIO_IOMMU_UNMAP_DMA, &unmap))
		return weir_error_set(err, -EIO,
				      "type1 refuses to unmap 0x%" PRIx64 " bytes at 0x%" PRIx64
				      ": %s",
				      bytes, iova, strerror(errno));
	atomic_fetch_sub(&space->nr_mapped, 1);
	*unmapped = unmap.size;
	return 0;
}

const struct ioas_backend_ops type1_backend = {
	.name = "group",
	.limits = vfio_backend_limits,
	.map = type1_map,
	.unmap = type1_unmap,
	.dead = vfio_backend_dead,
	.mapping_died = vfio_backend_mapping_died,
};
