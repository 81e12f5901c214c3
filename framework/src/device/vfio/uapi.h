/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The part of the kernel's VFIO and iommufd interfaces that Weir uses: numbers and layouts. Defined
 * here because the headers of the system that Weir is built on may be older than the kernel that it
 * runs on; uapi_check.c compares them with those headers, as far as they go.
 *
 * Every structure begins with its size (argsz, size), which tells the kernel which version of it
 * the caller knows.
 */
#ifndef WEIR_VFIO_UAPI_H
#define WEIR_VFIO_UAPI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define UAPI_TYPE ';'
#define UAPI_VFIO(n) _IO(UAPI_TYPE, 100 + (n))
#define UAPI_IOMMUFD(n) _IO(UAPI_TYPE, 0x80 + (n))

/* Containers (/dev/vfio/vfio). */

#define UAPI_VFIO_GET_API_VERSION UAPI_VFIO(0)
#define UAPI_VFIO_API_VERSION 0
#define UAPI_VFIO_CHECK_EXTENSION UAPI_VFIO(1)
#define UAPI_VFIO_SET_IOMMU UAPI_VFIO(2)
#define UAPI_VFIO_TYPE1 1
#define UAPI_VFIO_TYPE1V2 3

/* Groups (/dev/vfio/N). */

#define UAPI_VFIO_GROUP_GET_STATUS UAPI_VFIO(3)
#define UAPI_VFIO_GROUP_SET_CONTAINER UAPI_VFIO(4) /* int *container */
#define UAPI_VFIO_GROUP_UNSET_CONTAINER UAPI_VFIO(5)
#define UAPI_VFIO_GROUP_GET_DEVICE_FD UAPI_VFIO(6) /* const char *name */

struct uapi_vfio_group_status {
	uint32_t argsz;
	uint32_t flags;
};
#define UAPI_VFIO_GROUP_VIABLE (1u << 0)

/* Capabilities in what regions and containers say about themselves: a chain by offsets from the
 * start of the whole answer. */
struct uapi_vfio_cap {
	uint16_t id;
	uint16_t version;
	uint32_t next; /* 0: the last */
};

/* Devices. */

#define UAPI_VFIO_DEVICE_GET_INFO UAPI_VFIO(7)

struct uapi_vfio_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};
#define UAPI_VFIO_DEVICE_RESET_WORKS (1u << 0)
#define UAPI_VFIO_DEVICE_PCI (1u << 1)

#define UAPI_VFIO_DEVICE_GET_REGION_INFO UAPI_VFIO(8)

struct uapi_vfio_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset; /* in the device's descriptor */
};
#define UAPI_VFIO_REGION_READ (1u << 0)
#define UAPI_VFIO_REGION_WRITE (1u << 1)
#define UAPI_VFIO_REGION_MMAP (1u << 2)
#define UAPI_VFIO_REGION_CAPS (1u << 3)

#define UAPI_VFIO_REGION_CAP_SPARSE_MMAP 1
#define UAPI_VFIO_REGION_CAP_MSIX_MAPPABLE 3

struct uapi_vfio_sparse_area {
	uint64_t offset;
	uint64_t size;
};

struct uapi_vfio_cap_sparse {
	struct uapi_vfio_cap header;
	uint32_t nr_areas;
	uint32_t reserved;
	struct uapi_vfio_sparse_area areas[];
};

#define UAPI_VFIO_DEVICE_GET_IRQ_INFO UAPI_VFIO(9)

struct uapi_vfio_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};
#define UAPI_VFIO_IRQ_EVENTFD (1u << 0)
#define UAPI_VFIO_IRQ_MASKABLE (1u << 1)
#define UAPI_VFIO_IRQ_AUTOMASKED (1u << 2)
#define UAPI_VFIO_IRQ_NORESIZE (1u << 3)

#define UAPI_VFIO_DEVICE_SET_IRQS UAPI_VFIO(10)

struct uapi_vfio_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	uint8_t data[]; /* with DATA_EVENTFD: int32_t of each */
};
#define UAPI_VFIO_IRQ_DATA_NONE (1u << 0)
#define UAPI_VFIO_IRQ_DATA_EVENTFD (1u << 2)
#define UAPI_VFIO_IRQ_ACTION_MASK (1u << 3)
#define UAPI_VFIO_IRQ_ACTION_UNMASK (1u << 4)
#define UAPI_VFIO_IRQ_ACTION_TRIGGER (1u << 5)

#define UAPI_VFIO_DEVICE_RESET UAPI_VFIO(11)
#define UAPI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO UAPI_VFIO(12)

struct uapi_vfio_dependent_device {
	uint32_t id; /* its group, or (FLAG_DEV_ID) its number in our iommufd */
	uint16_t segment;
	uint8_t bus;
	uint8_t devfn;
};

struct uapi_vfio_hot_reset_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	struct uapi_vfio_dependent_device devices[];
};
#define UAPI_VFIO_HOT_RESET_DEV_ID (1u << 0)
#define UAPI_VFIO_HOT_RESET_DEV_ID_OWNED (1u << 1)
#define UAPI_VFIO_DEVID_NOT_OWNED UINT32_MAX

#define UAPI_VFIO_DEVICE_PCI_HOT_RESET UAPI_VFIO(13)

struct uapi_vfio_hot_reset {
	uint32_t argsz;
	uint32_t flags;
	uint32_t count;
	int32_t group_fds[];
};

#define UAPI_VFIO_DEVICE_FEATURE UAPI_VFIO(17)

struct uapi_vfio_device_feature {
	uint32_t argsz;
	uint32_t flags; /* the feature's number, and what to do with it */
	uint8_t data[];
};
#define UAPI_VFIO_FEATURE_GET (1u << 16)
#define UAPI_VFIO_FEATURE_DMA_BUF 11u

struct uapi_vfio_dma_range {
	uint64_t offset;
	uint64_t length;
};

struct uapi_vfio_feature_dma_buf {
	uint32_t region_index;
	uint32_t open_flags;
	uint32_t flags;
	uint32_t nr_ranges;
	struct uapi_vfio_dma_range ranges[];
};

/* Devices that are opened by themselves (/dev/vfio/devices/vfioN). */

#define UAPI_VFIO_DEVICE_BIND_IOMMUFD UAPI_VFIO(18)

/* As Linux 6.6 has it; later ones know a token for virtual functions behind it. */
struct uapi_vfio_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};

#define UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT UAPI_VFIO(19)

struct uapi_vfio_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
};

/* The type1 IOMMU of a container. */

#define UAPI_VFIO_IOMMU_GET_INFO UAPI_VFIO(12)

struct uapi_vfio_iommu_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova_pgsizes;
	uint32_t cap_offset;
	uint32_t pad;
};
#define UAPI_VFIO_IOMMU_INFO_PGSIZES (1u << 0)
#define UAPI_VFIO_IOMMU_INFO_CAPS (1u << 1)

#define UAPI_VFIO_IOMMU_CAP_IOVA_RANGE 1
#define UAPI_VFIO_IOMMU_CAP_DMA_AVAIL 3

/* Also iommufd's struct iommu_iova_range. */
struct uapi_iova_range {
	uint64_t start;
	uint64_t last;
};

struct uapi_vfio_cap_iova_range {
	struct uapi_vfio_cap header;
	uint32_t nr_ranges;
	uint32_t reserved;
	struct uapi_iova_range ranges[];
};

struct uapi_vfio_cap_dma_avail {
	struct uapi_vfio_cap header;
	uint32_t avail;
};

#define UAPI_VFIO_IOMMU_MAP_DMA UAPI_VFIO(13)

struct uapi_vfio_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
};
#define UAPI_VFIO_DMA_MAP_READ (1u << 0)
#define UAPI_VFIO_DMA_MAP_WRITE (1u << 1)

#define UAPI_VFIO_IOMMU_UNMAP_DMA UAPI_VFIO(14)

struct uapi_vfio_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t size; /* the kernel says how much it was */
};

/* iommufd (/dev/iommu). */

#define UAPI_IOMMU_IOAS_ALLOC UAPI_IOMMUFD(1)

struct uapi_iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

#define UAPI_IOMMU_IOAS_IOVA_RANGES UAPI_IOMMUFD(4)

struct uapi_iommu_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas; /* room; the kernel says how many there are, with -EMSGSIZE when more */
	uint32_t reserved;
	uint64_t allowed_iovas; /* address of struct uapi_iova_range[] */
	uint64_t out_iova_alignment;
};

#define UAPI_IOMMU_IOAS_MAP UAPI_IOMMUFD(5)

struct uapi_iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};
#define UAPI_IOMMU_MAP_FIXED_IOVA (1u << 0)
#define UAPI_IOMMU_MAP_WRITEABLE (1u << 1)
#define UAPI_IOMMU_MAP_READABLE (1u << 2)

#define UAPI_IOMMU_IOAS_UNMAP UAPI_IOMMUFD(6)

struct uapi_iommu_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length; /* the kernel says how much it was */
};

#define UAPI_IOMMU_IOAS_MAP_FILE UAPI_IOMMUFD(15)

struct uapi_iommu_ioas_map_file {
	uint32_t size;
	uint32_t flags; /* as of IOAS_MAP */
	uint32_t ioas_id;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};

#endif
