/* SPDX-License-Identifier: BSD-3-Clause */
/* Compares uapi.h with the system's headers, as far as these go. Compiles to nothing. */
#include "device/vfio/uapi.h"

#include <assert.h>
#include <linux/vfio.h>
#include <stddef.h>
#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#endif

#define SAME_NUMBER(ours, theirs) static_assert((ours) == (theirs), #theirs)
#define SAME_SIZE(ours, theirs) static_assert(sizeof(ours) == sizeof(theirs), #theirs)
#define SAME_PLACE(ours, member, theirs, theirs_member) \
	static_assert(offsetof(ours, member) == offsetof(theirs, theirs_member) && \
			      sizeof(((ours *)0)->member) == sizeof(((theirs *)0)->theirs_member), \
		      #theirs "." #theirs_member)

SAME_NUMBER(UAPI_VFIO_GET_API_VERSION, VFIO_GET_API_VERSION);
SAME_NUMBER(UAPI_VFIO_API_VERSION, VFIO_API_VERSION);
SAME_NUMBER(UAPI_VFIO_CHECK_EXTENSION, VFIO_CHECK_EXTENSION);
SAME_NUMBER(UAPI_VFIO_SET_IOMMU, VFIO_SET_IOMMU);
SAME_NUMBER(UAPI_VFIO_TYPE1, VFIO_TYPE1_IOMMU);
SAME_NUMBER(UAPI_VFIO_TYPE1V2, VFIO_TYPE1v2_IOMMU);

SAME_NUMBER(UAPI_VFIO_GROUP_GET_STATUS, VFIO_GROUP_GET_STATUS);
SAME_NUMBER(UAPI_VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_SET_CONTAINER);
SAME_NUMBER(UAPI_VFIO_GROUP_UNSET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER);
SAME_NUMBER(UAPI_VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_DEVICE_FD);
SAME_NUMBER(UAPI_VFIO_GROUP_VIABLE, VFIO_GROUP_FLAGS_VIABLE);
SAME_SIZE(struct uapi_vfio_group_status, struct vfio_group_status);
SAME_PLACE(struct uapi_vfio_group_status, flags, struct vfio_group_status, flags);

SAME_SIZE(struct uapi_vfio_cap, struct vfio_info_cap_header);
SAME_PLACE(struct uapi_vfio_cap, next, struct vfio_info_cap_header, next);

SAME_NUMBER(UAPI_VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_INFO);
SAME_NUMBER(UAPI_VFIO_DEVICE_RESET_WORKS, VFIO_DEVICE_FLAGS_RESET);
SAME_NUMBER(UAPI_VFIO_DEVICE_PCI, VFIO_DEVICE_FLAGS_PCI);
SAME_PLACE(struct uapi_vfio_device_info, num_regions, struct vfio_device_info, num_regions);
SAME_PLACE(struct uapi_vfio_device_info, num_irqs, struct vfio_device_info, num_irqs);

SAME_NUMBER(UAPI_VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_REGION_INFO);
SAME_NUMBER(UAPI_VFIO_REGION_READ, VFIO_REGION_INFO_FLAG_READ);
SAME_NUMBER(UAPI_VFIO_REGION_WRITE, VFIO_REGION_INFO_FLAG_WRITE);
SAME_NUMBER(UAPI_VFIO_REGION_MMAP, VFIO_REGION_INFO_FLAG_MMAP);
SAME_NUMBER(UAPI_VFIO_REGION_CAPS, VFIO_REGION_INFO_FLAG_CAPS);
SAME_NUMBER(UAPI_VFIO_REGION_CAP_SPARSE_MMAP, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
SAME_NUMBER(UAPI_VFIO_REGION_CAP_MSIX_MAPPABLE, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
SAME_SIZE(struct uapi_vfio_region_info, struct vfio_region_info);
SAME_PLACE(struct uapi_vfio_region_info, index, struct vfio_region_info, index);
SAME_PLACE(struct uapi_vfio_region_info, cap_offset, struct vfio_region_info, cap_offset);
SAME_PLACE(struct uapi_vfio_region_info, size, struct vfio_region_info, size);
SAME_PLACE(struct uapi_vfio_region_info, offset, struct vfio_region_info, offset);
SAME_SIZE(struct uapi_vfio_sparse_area, struct vfio_region_sparse_mmap_area);
SAME_SIZE(struct uapi_vfio_cap_sparse, struct vfio_region_info_cap_sparse_mmap);
SAME_PLACE(struct uapi_vfio_cap_sparse, nr_areas, struct vfio_region_info_cap_sparse_mmap,
	   nr_areas);

SAME_NUMBER(UAPI_VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_IRQ_INFO);
SAME_NUMBER(UAPI_VFIO_IRQ_EVENTFD, VFIO_IRQ_INFO_EVENTFD);
SAME_NUMBER(UAPI_VFIO_IRQ_MASKABLE, VFIO_IRQ_INFO_MASKABLE);
SAME_NUMBER(UAPI_VFIO_IRQ_AUTOMASKED, VFIO_IRQ_INFO_AUTOMASKED);
SAME_NUMBER(UAPI_VFIO_IRQ_NORESIZE, VFIO_IRQ_INFO_NORESIZE);
SAME_SIZE(struct uapi_vfio_irq_info, struct vfio_irq_info);
SAME_PLACE(struct uapi_vfio_irq_info, count, struct vfio_irq_info, count);
SAME_NUMBER(UAPI_VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_SET_IRQS);
SAME_NUMBER(UAPI_VFIO_IRQ_DATA_NONE, VFIO_IRQ_SET_DATA_NONE);
SAME_NUMBER(UAPI_VFIO_IRQ_DATA_EVENTFD, VFIO_IRQ_SET_DATA_EVENTFD);
SAME_NUMBER(UAPI_VFIO_IRQ_ACTION_MASK, VFIO_IRQ_SET_ACTION_MASK);
SAME_NUMBER(UAPI_VFIO_IRQ_ACTION_UNMASK, VFIO_IRQ_SET_ACTION_UNMASK);
SAME_NUMBER(UAPI_VFIO_IRQ_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_TRIGGER);
SAME_SIZE(struct uapi_vfio_irq_set, struct vfio_irq_set);
SAME_PLACE(struct uapi_vfio_irq_set, count, struct vfio_irq_set, count);

SAME_NUMBER(UAPI_VFIO_DEVICE_RESET, VFIO_DEVICE_RESET);
SAME_NUMBER(UAPI_VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO);
SAME_SIZE(struct uapi_vfio_dependent_device, struct vfio_pci_dependent_device);
SAME_PLACE(struct uapi_vfio_dependent_device, devfn, struct vfio_pci_dependent_device, devfn);
SAME_SIZE(struct uapi_vfio_hot_reset_info, struct vfio_pci_hot_reset_info);
SAME_NUMBER(UAPI_VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_PCI_HOT_RESET);
SAME_SIZE(struct uapi_vfio_hot_reset, struct vfio_pci_hot_reset);
SAME_NUMBER(UAPI_VFIO_DEVICE_FEATURE, VFIO_DEVICE_FEATURE);
SAME_NUMBER(UAPI_VFIO_FEATURE_GET, VFIO_DEVICE_FEATURE_GET);
SAME_SIZE(struct uapi_vfio_device_feature, struct vfio_device_feature);
#ifdef VFIO_DEVICE_FEATURE_DMA_BUF
SAME_NUMBER(UAPI_VFIO_FEATURE_DMA_BUF, VFIO_DEVICE_FEATURE_DMA_BUF);
SAME_SIZE(struct uapi_vfio_feature_dma_buf, struct vfio_device_feature_dma_buf);
SAME_SIZE(struct uapi_vfio_dma_range, struct vfio_region_dma_range);
#endif

#ifdef VFIO_DEVICE_BIND_IOMMUFD
SAME_NUMBER(UAPI_VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_BIND_IOMMUFD);
SAME_PLACE(struct uapi_vfio_bind_iommufd, iommufd, struct vfio_device_bind_iommufd, iommufd);
SAME_PLACE(struct uapi_vfio_bind_iommufd, out_devid, struct vfio_device_bind_iommufd, out_devid);
SAME_NUMBER(UAPI_VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_ATTACH_IOMMUFD_PT);
SAME_PLACE(struct uapi_vfio_attach_iommufd_pt, pt_id, struct vfio_device_attach_iommufd_pt, pt_id);
#endif

SAME_NUMBER(UAPI_VFIO_IOMMU_GET_INFO, VFIO_IOMMU_GET_INFO);
SAME_NUMBER(UAPI_VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_INFO_PGSIZES);
SAME_NUMBER(UAPI_VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_INFO_CAPS);
SAME_PLACE(struct uapi_vfio_iommu_info, iova_pgsizes, struct vfio_iommu_type1_info, iova_pgsizes);
SAME_PLACE(struct uapi_vfio_iommu_info, cap_offset, struct vfio_iommu_type1_info, cap_offset);
SAME_NUMBER(UAPI_VFIO_IOMMU_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
SAME_NUMBER(UAPI_VFIO_IOMMU_CAP_DMA_AVAIL, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL);
SAME_SIZE(struct uapi_iova_range, struct vfio_iova_range);
SAME_SIZE(struct uapi_vfio_cap_iova_range, struct vfio_iommu_type1_info_cap_iova_range);
SAME_PLACE(struct uapi_vfio_cap_iova_range, nr_ranges, struct vfio_iommu_type1_info_cap_iova_range,
	   nr_iovas);
SAME_SIZE(struct uapi_vfio_cap_dma_avail, struct vfio_iommu_type1_info_dma_avail);
SAME_NUMBER(UAPI_VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_MAP_DMA);
SAME_NUMBER(UAPI_VFIO_DMA_MAP_READ, VFIO_DMA_MAP_FLAG_READ);
SAME_NUMBER(UAPI_VFIO_DMA_MAP_WRITE, VFIO_DMA_MAP_FLAG_WRITE);
SAME_SIZE(struct uapi_vfio_dma_map, struct vfio_iommu_type1_dma_map);
SAME_PLACE(struct uapi_vfio_dma_map, iova, struct vfio_iommu_type1_dma_map, iova);
SAME_NUMBER(UAPI_VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_UNMAP_DMA);
SAME_SIZE(struct uapi_vfio_dma_unmap, struct vfio_iommu_type1_dma_unmap);
SAME_PLACE(struct uapi_vfio_dma_unmap, size, struct vfio_iommu_type1_dma_unmap, size);

#ifdef IOMMU_IOAS_ALLOC
SAME_NUMBER(UAPI_IOMMU_IOAS_ALLOC, IOMMU_IOAS_ALLOC);
SAME_SIZE(struct uapi_iommu_ioas_alloc, struct iommu_ioas_alloc);
SAME_NUMBER(UAPI_IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_IOVA_RANGES);
SAME_SIZE(struct uapi_iommu_iova_ranges, struct iommu_ioas_iova_ranges);
SAME_SIZE(struct uapi_iova_range, struct iommu_iova_range);
SAME_NUMBER(UAPI_IOMMU_IOAS_MAP, IOMMU_IOAS_MAP);
SAME_NUMBER(UAPI_IOMMU_MAP_FIXED_IOVA, IOMMU_IOAS_MAP_FIXED_IOVA);
SAME_NUMBER(UAPI_IOMMU_MAP_WRITEABLE, IOMMU_IOAS_MAP_WRITEABLE);
SAME_NUMBER(UAPI_IOMMU_MAP_READABLE, IOMMU_IOAS_MAP_READABLE);
SAME_SIZE(struct uapi_iommu_ioas_map, struct iommu_ioas_map);
SAME_NUMBER(UAPI_IOMMU_IOAS_UNMAP, IOMMU_IOAS_UNMAP);
SAME_SIZE(struct uapi_iommu_ioas_unmap, struct iommu_ioas_unmap);
#endif
#ifdef IOMMU_IOAS_MAP_FILE
SAME_NUMBER(UAPI_IOMMU_IOAS_MAP_FILE, IOMMU_IOAS_MAP_FILE);
SAME_SIZE(struct uapi_iommu_ioas_map_file, struct iommu_ioas_map_file);
#endif
