/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/iommu's ioctls: numbers and layouts as user space knows them. A copy of our own, because the
 * oldest kernels that Weir's modules are built for know none of them. Headers of newer ones include
 * <linux/iommufd.h>, so that all names here have WEIR or weir in front.
 *
 * Every structure begins with its size as the caller sees it. It may be longer than here, if what
 * is behind is zero, and shorter, if what is left out is of a later version. Here are those of the
 * API that the module implements, and no others.
 */
#ifndef WEIR_UAPI_IOMMUFD_H
#define WEIR_UAPI_IOMMUFD_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define WEIR_IOMMUFD_TYPE (';')
#define WEIR_IOMMUFD_CMD_BASE 0x80

#define WEIR_IOMMU_DESTROY _IO(WEIR_IOMMUFD_TYPE, 0x80)
#define WEIR_IOMMU_IOAS_ALLOC _IO(WEIR_IOMMUFD_TYPE, 0x81)
#define WEIR_IOMMU_IOAS_ALLOW_IOVAS _IO(WEIR_IOMMUFD_TYPE, 0x82)
#define WEIR_IOMMU_IOAS_COPY _IO(WEIR_IOMMUFD_TYPE, 0x83)
#define WEIR_IOMMU_IOAS_IOVA_RANGES _IO(WEIR_IOMMUFD_TYPE, 0x84)
#define WEIR_IOMMU_IOAS_MAP _IO(WEIR_IOMMUFD_TYPE, 0x85)
#define WEIR_IOMMU_IOAS_UNMAP _IO(WEIR_IOMMUFD_TYPE, 0x86)
#define WEIR_IOMMU_OPTION _IO(WEIR_IOMMUFD_TYPE, 0x87)
#define WEIR_IOMMU_VFIO_IOAS _IO(WEIR_IOMMUFD_TYPE, 0x88)
#define WEIR_IOMMU_HWPT_ALLOC _IO(WEIR_IOMMUFD_TYPE, 0x89)
#define WEIR_IOMMU_GET_HW_INFO _IO(WEIR_IOMMUFD_TYPE, 0x8a)
#define WEIR_IOMMU_IOAS_MAP_FILE _IO(WEIR_IOMMUFD_TYPE, 0x8f)
#define WEIR_IOMMU_IOAS_CHANGE_PROCESS _IO(WEIR_IOMMUFD_TYPE, 0x92)

struct weir_iommu_destroy {
	__u32 size;
	__u32 id;
};

struct weir_iommu_ioas_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_ioas_id;
};

/* Both ends belong to the range. */
struct weir_iommu_iova_range {
	__aligned_u64 start;
	__aligned_u64 last;
};

struct weir_iommu_ioas_iova_ranges {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;
	__u32 __reserved;
	__aligned_u64 allowed_iovas;
	__aligned_u64 out_iova_alignment;
};

struct weir_iommu_ioas_allow_iovas {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;
	__u32 __reserved;
	__aligned_u64 allowed_iovas;
};

/* Of WEIR_IOMMU_IOAS_MAP, WEIR_IOMMU_IOAS_MAP_FILE and WEIR_IOMMU_IOAS_COPY. */
#define WEIR_IOMMU_IOAS_MAP_FIXED_IOVA (1 << 0)
#define WEIR_IOMMU_IOAS_MAP_WRITEABLE (1 << 1)
#define WEIR_IOMMU_IOAS_MAP_READABLE (1 << 2)

struct weir_iommu_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};

struct weir_iommu_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};

struct weir_iommu_ioas_copy {
	__u32 size;
	__u32 flags;
	__u32 dst_ioas_id;
	__u32 src_ioas_id;
	__aligned_u64 length;
	__aligned_u64 dst_iova;
	__aligned_u64 src_iova;
};

struct weir_iommu_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;
};

#define WEIR_IOMMU_OPTION_RLIMIT_MODE 0
#define WEIR_IOMMU_OPTION_HUGE_PAGES 1

#define WEIR_IOMMU_OPTION_OP_SET 0
#define WEIR_IOMMU_OPTION_OP_GET 1

struct weir_iommu_option {
	__u32 size;
	__u32 option_id;
	__u16 op;
	__u16 __reserved;
	__u32 object_id;
	__aligned_u64 val64;
};

#define WEIR_IOMMU_VFIO_IOAS_GET 0
#define WEIR_IOMMU_VFIO_IOAS_SET 1
#define WEIR_IOMMU_VFIO_IOAS_CLEAR 2

struct weir_iommu_vfio_ioas {
	__u32 size;
	__u32 ioas_id;
	__u16 op;
	__u16 __reserved;
};

#define WEIR_IOMMU_HWPT_DATA_NONE 0

struct weir_iommu_hwpt_alloc {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 pt_id;
	__u32 out_hwpt_id;
	__u32 __reserved;
	__u32 data_type;
	__u32 data_len;
	__aligned_u64 data_uptr;
	__u32 fault_id;
	__u32 __reserved2;
};

#define WEIR_IOMMU_HW_INFO_FLAG_INPUT_TYPE (1 << 0)

/* Also what stands for the IOMMU's own type in a question. */
#define WEIR_IOMMU_HW_INFO_TYPE_NONE 0

struct weir_iommu_hw_info {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 data_len;
	__aligned_u64 data_uptr;
	/* In and out. */
	__u32 data_type;
	__u8 out_max_pasid_log2;
	__u8 __reserved[3];
	__aligned_u64 out_capabilities;
};

struct weir_iommu_ioas_change_process {
	__u32 size;
	__u32 __reserved;
};

#endif
