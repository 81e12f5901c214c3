/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /dev/iommu with no device: every command, what it refuses, sizes of structures, objects, options,
 * and type 1's ioctls in the place of a container.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iommufd_calls.h"

/* No object has it. */
#define NO_ID 9999u
#define LAST_PAGE (~0ull - PAGE + 1)

/* Sizes that a command takes: from its first version's to its own, and more if that is zero. */
static const struct sizes {
	const char *name;
	unsigned long command;
	uint32_t least;
	uint32_t own;
} sizes[] = {
	{ "DESTROY", IOMMUFD_DESTROY, 8, sizeof(struct iommufd_destroy) },
	{ "IOAS_ALLOC", IOMMUFD_IOAS_ALLOC, 12, sizeof(struct iommufd_ioas_alloc) },
	{ "IOAS_ALLOW_IOVAS", IOMMUFD_ALLOW_IOVAS, 24, sizeof(struct iommufd_allow) },
	{ "IOAS_COPY", IOMMUFD_COPY, 40, sizeof(struct iommufd_copy) },
	{ "IOAS_IOVA_RANGES", IOMMUFD_IOVA_RANGES, 32, sizeof(struct iommufd_ranges) },
	{ "IOAS_MAP", IOMMUFD_MAP, 40, sizeof(struct iommufd_map) },
	{ "IOAS_UNMAP", IOMMUFD_UNMAP, 24, sizeof(struct iommufd_unmap) },
	{ "OPTION", IOMMUFD_OPTION, 24, sizeof(struct iommufd_option) },
	{ "VFIO_IOAS", IOMMUFD_VFIO_IOAS, 12, sizeof(struct iommufd_vfio_ioas) },
	{ "HWPT_ALLOC", IOMMUFD_HWPT_ALLOC, 24, sizeof(struct iommufd_hwpt_alloc) },
	{ "GET_HW_INFO", IOMMUFD_HW_INFO, 32, sizeof(struct iommufd_hw_info) },
	{ "IOAS_MAP_FILE", IOMMUFD_MAP_FILE, 40, sizeof(struct iommufd_map_file) },
	{ "IOAS_CHANGE_PROCESS", IOMMUFD_CHANGE_PROCESS, 8, sizeof(struct iommufd_change_process) },
};

static void check_sizes_of(int fd, const struct sizes *command)
{
	unsigned char buffer[256] = { 0 };
	uint32_t size = command->least - 1;
	long result;

	memcpy(buffer, &size, sizeof(size));
	expect(call(fd, command->command, buffer), -EINVAL, "%s, one byte short", command->name);
	size = 0;
	memcpy(buffer, &size, sizeof(size));
	expect(call(fd, command->command, buffer), -EINVAL, "%s, size 0", command->name);
	expect(call(fd, command->command, NULL), -EFAULT, "%s, no address", command->name);

	size = sizeof(buffer);
	memcpy(buffer, &size, sizeof(size));
	buffer[sizeof(buffer) - 1] = 1;
	expect(call(fd, command->command, buffer), -E2BIG, "%s, longer and not zero",
	       command->name);
	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, &command->own, sizeof(size));
	result = call(fd, command->command, buffer);
	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, &size, sizeof(size));
	expect(call(fd, command->command, buffer), result, "%s, longer and zero", command->name);
	size = 0x80000000u;
	memset(buffer, 0, sizeof(buffer));
	memcpy(buffer, &size, sizeof(size));
	result = call(fd, command->command, buffer);
	check(result == -EFAULT || result == -E2BIG, "%s, longer than memory", command->name);
}

static void check_sizes(void)
{
	int fd = must_open_iommufd();

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		check_sizes_of(fd, &sizes[i]);
}

static void check_commands(void)
{
	uint32_t word[64] = { sizeof(word) };
	int fd = must_open_iommufd();
	char byte;

	expect(call(fd, IOMMUFD_COMMAND(0xfe), word), -ENOTTY, "a command there is not");
	expect(call(fd, IOMMUFD_COMMAND(0x7f), word), -ENOTTY, "a command below the first");
	expect(call(fd, IOMMUFD_COMMAND(0xfe), NULL), -ENOTTY,
	       "a command there is not, no address");
	expect(call(fd, _IO('x', 0x81), word), -ENOTTY, "a command of another type");
	expect(call(fd, _IOR(VFIO_TYPE, 0x81, int), word), -ENOTTY, "a command with a direction");
	expect(read(fd, &byte, 1) < 0 ? -errno : 0, -EINVAL, "read");
	expect(write(fd, &byte, 1) < 0 ? -errno : 0, -EINVAL, "write");
	check(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED, "mmap fails");
}

/* Values of fields that must be 0, or are not known. */
static void check_reserved(void)
{
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	char *memory = must_allocate(PAGE);
	struct iommufd_ioas_alloc alloc = { .size = sizeof(alloc), .flags = 1 };
	struct iommufd_ranges ranges = { .size = sizeof(ranges), .ioas = ioas, .reserved = 1 };
	struct iommufd_allow allow = { .size = sizeof(allow), .ioas = ioas, .reserved = 1 };
	struct iommufd_map map = { .size = sizeof(map),
				   .flags = IOAS_FIXED | IOAS_READ,
				   .ioas = ioas,
				   .reserved = 1,
				   .address = (uintptr_t)memory,
				   .length = PAGE };
	struct iommufd_option option = { .size = sizeof(option), .op = OPTION_GET, .reserved = 1 };
	struct iommufd_vfio_ioas compatible = { .size = sizeof(compatible), .reserved = 1 };
	struct iommufd_change_process change = { .size = sizeof(change), .reserved = 1 };

	expect(call(fd, IOMMUFD_IOAS_ALLOC, &alloc), -EOPNOTSUPP, "IOAS_ALLOC, a flag");
	expect(call(fd, IOMMUFD_IOVA_RANGES, &ranges), -EOPNOTSUPP, "IOVA_RANGES, reserved");
	expect(call(fd, IOMMUFD_ALLOW_IOVAS, &allow), -EOPNOTSUPP, "ALLOW_IOVAS, reserved");
	expect(call(fd, IOMMUFD_MAP, &map), -EOPNOTSUPP, "MAP, reserved");
	map.reserved = 0;
	map.flags |= 8;
	expect(call(fd, IOMMUFD_MAP, &map), -EOPNOTSUPP, "MAP, an unknown flag");
	map.flags = 1u << 31;
	expect(call(fd, IOMMUFD_MAP, &map), -EOPNOTSUPP, "MAP, the highest flag");
	expect(ioas_map_file_at(fd, ioas, -1, 0, PAGE, 0, 8), -EOPNOTSUPP,
	       "MAP_FILE, an unknown flag");
	expect(ioas_copy_to(fd, ioas, 0, ioas, 0, PAGE, 8), -EOPNOTSUPP, "COPY, an unknown flag");
	expect(call(fd, IOMMUFD_OPTION, &option), -EOPNOTSUPP, "OPTION, reserved");
	expect(call(fd, IOMMUFD_VFIO_IOAS, &compatible), -EOPNOTSUPP, "VFIO_IOAS, reserved");
	expect(vfio_ioas(fd, 3, ioas), -EOPNOTSUPP, "VFIO_IOAS, an unknown op");
	expect(call(fd, IOMMUFD_CHANGE_PROCESS, &change), -EOPNOTSUPP, "CHANGE_PROCESS, reserved");
}

static void check_objects(void)
{
	int fd = must_open_iommufd(), other = must_open_iommufd();
	struct iommufd_hw_info info = { .size = sizeof(info), .device = NO_ID };
	struct iommufd_hwpt_alloc hwpt = { .size = sizeof(hwpt), .device = NO_ID };
	char *memory = must_allocate(PAGE);
	uint32_t first = must_ioas(fd), second = must_ioas(fd);

	check(first && second && first != second, "ids differ and are not 0");
	expect(iommufd_destroy(fd, 0), -ENOENT, "DESTROY of 0");
	expect(iommufd_destroy(fd, NO_ID), -ENOENT, "DESTROY of no object");
	expect(iommufd_destroy(fd, UINT32_MAX), -ENOENT, "DESTROY of the highest id");
	expect(iommufd_destroy(other, first), -ENOENT, "DESTROY of another context's object");
	expect(ioas_map_at(other, first, memory, PAGE, 0), -ENOENT,
	       "MAP into another context's object");
	expect(ioas_map_at(fd, second, memory, PAGE, 0), 0, "MAP");
	expect(iommufd_destroy(fd, second), 0, "DESTROY of an address space with an area");
	expect(iommufd_destroy(fd, second), -ENOENT, "DESTROY of it again");
	expect(ioas_map_at(fd, second, memory, PAGE, 0), -ENOENT, "MAP into it");
	expect(ioas_unmap_range(fd, NO_ID, 0, PAGE), -ENOENT, "UNMAP of no object");
	expect(ioas_ranges(fd, NO_ID, NULL, 0), -ENOENT, "IOVA_RANGES of no object");
	expect(ioas_allow(fd, NO_ID, NULL, 0), -ENOENT, "ALLOW_IOVAS of no object");
	expect(ioas_copy_to(fd, first, 0, NO_ID, 0, PAGE, IOAS_READ), -ENOENT,
	       "COPY from no object");
	expect(ioas_copy_to(fd, NO_ID, 0, first, 0, PAGE, IOAS_READ), -ENOENT, "COPY to no object");
	expect(call(fd, IOMMUFD_HW_INFO, &info), -ENOENT, "GET_HW_INFO of no object");
	info.device = first;
	expect(call(fd, IOMMUFD_HW_INFO, &info), -ENOENT, "GET_HW_INFO of an address space");
	hwpt.table = first;
	expect(call(fd, IOMMUFD_HWPT_ALLOC, &hwpt), -ENOENT, "HWPT_ALLOC for no device");
	hwpt.device = first;
	expect(call(fd, IOMMUFD_HWPT_ALLOC, &hwpt), -ENOENT, "HWPT_ALLOC for an address space");
	expect(must_ioas(fd), second, "a free id is given again");
}

static void drop_capability(unsigned int number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	must(syscall(SYS_capget, &header, data), "capget");
	data[number / 32].effective &= ~(1u << number % 32);
	must(syscall(SYS_capset, &header, data), "capset");
}

static void check_rlimit_mode(void)
{
	int fd = must_open_iommufd();

	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_GET, 0, 7), 0, "RLIMIT_MODE at first");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_GET, 1, 0), -EOPNOTSUPP,
	       "RLIMIT_MODE of an object");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, 2, 0, 0), -EOPNOTSUPP,
	       "RLIMIT_MODE, an unknown op");
	expect(iommufd_option(fd, 2, OPTION_GET, 0, 0), -EOPNOTSUPP, "an unknown option");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_SET, 0, 2), -EINVAL,
	       "RLIMIT_MODE set to 2");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_SET, 0, 1), 0, "RLIMIT_MODE set to 1");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_GET, 0, 7), 1, "RLIMIT_MODE then");
	must_ioas(fd);
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_SET, 0, 0), -EBUSY,
	       "RLIMIT_MODE set when there is an object");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_GET, 0, 7), 1, "RLIMIT_MODE after it");
	drop_capability(CAP_SYS_RESOURCE);
	fd = must_open_iommufd();
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_SET, 0, 1), -EPERM,
	       "RLIMIT_MODE set without the capability");
	expect(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_GET, 0, 7), 0,
	       "RLIMIT_MODE can be read without it");
}

static void check_huge_pages(void)
{
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	char *memory = must_allocate(4 * PAGE);

	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_GET, 0, 0), -ENOENT,
	       "HUGE_PAGES of no object");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_GET, ioas, 7), 1,
	       "HUGE_PAGES at first");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 2), -EINVAL,
	       "HUGE_PAGES set to 2");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, 2, ioas, 0), -EOPNOTSUPP,
	       "HUGE_PAGES, an unknown op");
	expect(ioas_alignment(fd, ioas), 1, "with no device any byte is good");
	must(ioas_map_at(fd, ioas, memory + 1, PAGE, PAGE), "MAP of an odd address");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 0), -EADDRINUSE,
	       "HUGE_PAGES off, an odd area");
	must(ioas_unmap_range(fd, ioas, PAGE, PAGE), "UNMAP");
	must(ioas_map_at(fd, ioas, memory, PAGE, PAGE), "MAP of a page");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 0), 0, "HUGE_PAGES off");
	expect(ioas_alignment(fd, ioas), PAGE, "without huge pages it must be pages");
	expect(ioas_map_at(fd, ioas, memory, PAGE - 1, 4 * PAGE), -EINVAL, "MAP of an odd length");
	expect(ioas_map_at(fd, ioas, memory + 8, PAGE, 4 * PAGE), -EINVAL,
	       "MAP of an odd address, without huge pages");
	expect(ioas_map_at(fd, ioas, memory, PAGE, 4 * PAGE + 8), -EINVAL, "MAP at an odd IOVA");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 1), 0, "HUGE_PAGES on");
}

static void check_vfio_ioas(void)
{
	int fd = must_open_iommufd();
	uint32_t first = must_ioas(fd), second = must_ioas(fd);

	expect(vfio_ioas(fd, VFIO_IOAS_GET, 0), -ENODEV, "VFIO_IOAS GET when there is none");
	expect(vfio_ioas(fd, VFIO_IOAS_SET, NO_ID), -ENOENT, "VFIO_IOAS SET of no object");
	expect(vfio_ioas(fd, VFIO_IOAS_CLEAR, 0), 0, "VFIO_IOAS CLEAR when there is none");
	expect(vfio_ioas(fd, VFIO_IOAS_SET, first), 0, "VFIO_IOAS SET");
	expect(vfio_ioas(fd, VFIO_IOAS_GET, 0), first, "VFIO_IOAS GET");
	expect(vfio_ioas(fd, VFIO_IOAS_SET, second), 0, "VFIO_IOAS SET of another");
	expect(vfio_ioas(fd, VFIO_IOAS_GET, 0), second, "VFIO_IOAS GET of another");
	expect(iommufd_destroy(fd, second), 0, "DESTROY of it");
	expect(vfio_ioas(fd, VFIO_IOAS_GET, 0), -ENODEV, "VFIO_IOAS GET after that");
	expect(vfio_ioas(fd, VFIO_IOAS_SET, first), 0, "VFIO_IOAS SET again");
	expect(vfio_ioas(fd, VFIO_IOAS_CLEAR, 0), 0, "VFIO_IOAS CLEAR");
	expect(vfio_ioas(fd, VFIO_IOAS_GET, 0), -ENODEV, "VFIO_IOAS GET after CLEAR");
	expect(iommufd_destroy(fd, first), 0, "CLEAR destroys nothing");
}

static long dma_info(int fd, uint32_t argsz)
{
	struct vfio_iommu_type1_info info = { .argsz = argsz };

	return call(fd, VFIO_IOMMU_GET_INFO, &info);
}

/* What type 1's ioctls do on a context with no address space for them. */
static void check_no_container(void)
{
	static const struct {
		const char *name;
		unsigned long extension;
		long result;
	} extensions[] = {
		{ "TYPE1", VFIO_TYPE1_IOMMU, 1 },	  { "TYPE1v2", VFIO_TYPE1v2_IOMMU, 1 },
		{ "UNMAP_ALL", VFIO_UNMAP_ALL, 1 },	  { "UPDATE_VADDR", VFIO_UPDATE_VADDR, 0 },
		{ "DMA_CC", VFIO_DMA_CC_IOMMU, -ENODEV }, { "9999", 9999, 0 },
	};
	int fd = must_open_iommufd();
	char *memory = must_allocate(PAGE);

	expect(call_number(fd, VFIO_GET_API_VERSION, 0), VFIO_API_VERSION, "GET_API_VERSION");
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		expect(call_number(fd, VFIO_CHECK_EXTENSION, extensions[i].extension),
		       extensions[i].result, "CHECK_EXTENSION %s", extensions[i].name);
	expect(call_number(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -ENODEV, "SET_IOMMU TYPE1");
	expect(call_number(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -ENODEV, "SET_IOMMU TYPE1v2");
	expect(call_number(fd, VFIO_SET_IOMMU, 2), -EINVAL, "SET_IOMMU of another type");
	expect(map_dma(fd, memory, 0, PAGE, READ_WRITE), -ENODEV, "MAP_DMA");
	expect(map_dma(fd, memory, 0, PAGE, READ_WRITE | 1u << 31), -EINVAL,
	       "MAP_DMA, an unknown flag");
	expect(unmap_dma(fd, 0, PAGE, 0), -ENODEV, "UNMAP_DMA");
	expect(unmap_dma(fd, 0, PAGE, 1u << 31), -EINVAL, "UNMAP_DMA, an unknown flag");
	expect(dma_info(fd, 15), -EINVAL, "GET_INFO, argsz 15");
	expect(dma_info(fd, 16), -ENODEV, "GET_INFO");
	expect(call(fd, VFIO_IOMMU_MAP_DMA, no_address()), -EFAULT, "MAP_DMA of no address");
}

/* The same with one, which no device is attached to. */
static void check_container(void)
{
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	char *memory = must_allocate(8 * PAGE);

	must(vfio_ioas(fd, VFIO_IOAS_SET, ioas), "VFIO_IOAS SET");
	expect(call_number(fd, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 1,
	       "CHECK_EXTENSION DMA_CC, no device");
	expect(map_dma(fd, memory, 0, 4 * PAGE, READ_WRITE), 0, "MAP_DMA");
	expect(map_dma(fd, memory, 0, 4 * PAGE, READ_WRITE), -EEXIST, "MAP_DMA of it again");
	expect(map_dma(fd, memory, LAST_PAGE, 2 * PAGE, READ_WRITE), -EOVERFLOW,
	       "MAP_DMA, iova + size wraps");
	expect(map_dma(fd, memory, 16 * PAGE, 0, READ_WRITE), -EINVAL, "MAP_DMA, size 0");
	expect(unmap_dma(fd, LAST_PAGE, 2 * PAGE, 0), -EOVERFLOW, "UNMAP_DMA, iova + size wraps");
	expect(unmap_dma(fd, 0, PAGE, 0), -ENOENT, "UNMAP_DMA of a part, with huge pages");
	expect(unmap_dma(fd, 0, 4 * PAGE, 0), 4 * PAGE, "UNMAP_DMA");
	expect(unmap_dma(fd, 0, 4 * PAGE, 0), 0, "UNMAP_DMA of nothing");
	expect(unmap_dma(fd, 0, 0, 0), -EINVAL, "UNMAP_DMA, size 0");
	expect(unmap_dma(fd, 0, PAGE, VFIO_DMA_UNMAP_FLAG_ALL), -EINVAL,
	       "UNMAP_DMA ALL of a range");
	must(map_dma(fd, memory, 0, 4 * PAGE, READ_WRITE), "MAP_DMA");
	expect(unmap_dma(fd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 4 * PAGE, "UNMAP_DMA ALL");
	expect(unmap_dma(fd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0, "UNMAP_DMA ALL of nothing");
	expect(call(fd, VFIO_IOMMU_DIRTY_PAGES, NULL), -ENOTTY, "DIRTY_PAGES is not there");
}

static const struct conform_case cases[] = {
	{ "sizes of structures", check_sizes }, { "commands", check_commands },
	{ "reserved fields", check_reserved },	{ "objects", check_objects },
	{ "RLIMIT_MODE", check_rlimit_mode },	{ "HUGE_PAGES", check_huge_pages },
	{ "VFIO_IOAS", check_vfio_ioas },	{ "no container", check_no_container },
	{ "a container", check_container },
};

const struct conform_part part_iommufd = { "iommufd", cases, ARRAY_SIZE(cases) };
