/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /dev/iommu's commands, with the numbers and layouts of Linux 7.2, which the headers of the lab's
 * systems lack. As in calls.h, each returns what the call did, or a negative errno.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_IOMMUFD_CALLS_H
#define WEIR_TESTS_GUEST_KERNEL_IOMMUFD_CALLS_H

#include "calls.h"

#define IOMMUFD_COMMAND(number) _IO(VFIO_TYPE, number)
#define IOMMUFD_DESTROY IOMMUFD_COMMAND(0x80)
#define IOMMUFD_IOAS_ALLOC IOMMUFD_COMMAND(0x81)
#define IOMMUFD_ALLOW_IOVAS IOMMUFD_COMMAND(0x82)
#define IOMMUFD_COPY IOMMUFD_COMMAND(0x83)
#define IOMMUFD_IOVA_RANGES IOMMUFD_COMMAND(0x84)
#define IOMMUFD_MAP IOMMUFD_COMMAND(0x85)
#define IOMMUFD_UNMAP IOMMUFD_COMMAND(0x86)
#define IOMMUFD_OPTION IOMMUFD_COMMAND(0x87)
#define IOMMUFD_VFIO_IOAS IOMMUFD_COMMAND(0x88)
#define IOMMUFD_HWPT_ALLOC IOMMUFD_COMMAND(0x89)
#define IOMMUFD_HW_INFO IOMMUFD_COMMAND(0x8a)
#define IOMMUFD_MAP_FILE IOMMUFD_COMMAND(0x8f)
#define IOMMUFD_CHANGE_PROCESS IOMMUFD_COMMAND(0x92)

/* Flags of mapping and copying. */
#define IOAS_FIXED 1u
#define IOAS_WRITE 2u
#define IOAS_READ 4u
#define IOAS_READ_WRITE (IOAS_READ | IOAS_WRITE)

struct iommufd_destroy {
	uint32_t size;
	uint32_t id;
};

struct iommufd_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t id;
};

struct iommufd_range {
	uint64_t start;
	uint64_t last;
};

struct iommufd_ranges {
	uint32_t size;
	uint32_t ioas;
	uint32_t count;
	uint32_t reserved;
	uint64_t array;
	uint64_t alignment;
};

struct iommufd_allow {
	uint32_t size;
	uint32_t ioas;
	uint32_t count;
	uint32_t reserved;
	uint64_t array;
};

struct iommufd_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas;
	uint32_t reserved;
	uint64_t address;
	uint64_t length;
	uint64_t iova;
};

struct iommufd_map_file {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas;
	int32_t fd;
	uint64_t start;
	uint64_t length;
	uint64_t iova;
};

struct iommufd_copy {
	uint32_t size;
	uint32_t flags;
	uint32_t to;
	uint32_t from;
	uint64_t length;
	uint64_t to_iova;
	uint64_t from_iova;
};

struct iommufd_unmap {
	uint32_t size;
	uint32_t ioas;
	uint64_t iova;
	uint64_t length;
};

#define OPTION_RLIMIT_MODE 0u
#define OPTION_HUGE_PAGES 1u
#define OPTION_SET 0u
#define OPTION_GET 1u

struct iommufd_option {
	uint32_t size;
	uint32_t option;
	uint16_t op;
	uint16_t reserved;
	uint32_t object;
	uint64_t value;
};

#define VFIO_IOAS_GET 0u
#define VFIO_IOAS_SET 1u
#define VFIO_IOAS_CLEAR 2u

struct iommufd_vfio_ioas {
	uint32_t size;
	uint32_t ioas;
	uint16_t op;
	uint16_t reserved;
};

struct iommufd_hwpt_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t device;
	uint32_t table;
	uint32_t id;
	uint32_t reserved;
	uint32_t data_type;
	uint32_t data_length;
	uint64_t data;
	uint32_t fault_id;
	uint32_t reserved2;
};

struct iommufd_hw_info {
	uint32_t size;
	uint32_t flags;
	uint32_t device;
	uint32_t data_length;
	uint64_t data;
	uint32_t data_type;
	uint8_t pasid_bits;
	uint8_t reserved[3];
	uint64_t capabilities;
};

struct iommufd_change_process {
	uint32_t size;
	uint32_t reserved;
};

/* A new context. */
int must_open_iommufd(void);
/* A new address space of it. */
uint32_t must_ioas(int fd);

long ioas_map_at(int fd, uint32_t ioas, const void *memory, uint64_t length, uint64_t iova);
/* flags other than FIXED; the IOVA that was chosen is in *iova. */
long ioas_map_anywhere(int fd, uint32_t ioas, const void *memory, uint64_t length, uint32_t flags,
		       uint64_t *iova);
/* Readable and, if said so, writable. */
long ioas_map_file_at(int fd, uint32_t ioas, int file, uint64_t start, uint64_t length,
		      uint64_t iova, uint32_t flags);
/* What is at from_iova, of one space, to to_iova of another. */
long ioas_copy_to(int fd, uint32_t to, uint64_t to_iova, uint32_t from, uint64_t from_iova,
		  uint64_t length, uint32_t flags);
/* Bytes that were unmapped. */
long ioas_unmap_range(int fd, uint32_t ioas, uint64_t iova, uint64_t length);
/* The number of ranges; as many as there is room for are in the array. */
long ioas_ranges(int fd, uint32_t ioas, struct iommufd_range *array, uint32_t room);
/* What IOVAs must be multiples of. */
long ioas_alignment(int fd, uint32_t ioas);
long ioas_allow(int fd, uint32_t ioas, const struct iommufd_range *array, uint32_t count);
/* The value, of OPTION_GET; else 0. */
long iommufd_option(int fd, uint32_t option, uint32_t op, uint32_t object, uint64_t value);
/* The id, of VFIO_IOAS_GET; else 0. */
long vfio_ioas(int fd, uint32_t op, uint32_t ioas);
long iommufd_destroy(int fd, uint32_t id);
long iommufd_change_process(int fd);

/* A new page table in the address space, for a device by its id there; the page table's id. */
long hwpt_alloc(int fd, uint32_t device, uint32_t ioas);

/* Kilobytes that this process has pinned for devices, by the kernel's count. */
long pinned_kilobytes(void);

#endif
