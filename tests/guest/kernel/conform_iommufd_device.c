/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /dev/iommu with a device: attaching, page tables, what is pinned and who is charged. Data that
 * edu's engine copies are what tells where areas are.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../edu.h"
#include "cdev_calls.h"

#define MSI_WINDOW 0xfee00000ull
#define BEYOND (1ull << 60)
#define LAST_PAGE (~0ull - PAGE + 1)
#define HUGE (2ull << 20)
#define KIB 1024

/* edu, and what its engine is told by. */
struct engine {
	struct cdev_session edu;
	void *bar;
};

static struct engine must_have_engine(void)
{
	struct engine engine = { .edu = must_bind_only(EDU, must_open_iommufd()) };

	set_command(engine.edu.device, true, true);
	engine.bar = must_map_region(engine.edu.device, 0);
	return engine;
}

static unsigned char *must_map_memory(size_t size, int flags, int file)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, file, 0);

	must(memory == MAP_FAILED ? -errno : 0, "mmap");
	return memory;
}

/* Whether the device reads at iova what is in the page, and writes it at another one. */
static bool copies(const struct engine *engine, uint64_t from, unsigned char *source, uint64_t to,
		   unsigned char *target)
{
	static unsigned char value;

	memset(source, ++value, PAGE);
	memset(target, 0, PAGE);
	return edu_copy(engine->bar, from, PAGE, EDU_FROM_MEMORY) &&
	       edu_copy(engine->bar, to, PAGE, EDU_TO_MEMORY) && memcmp(source, target, PAGE) == 0;
}

static void check_objects(void)
{
	struct cdev_session edu = must_bind_only(EDU, must_open_iommufd());
	struct iommufd_hw_info info = { .size = sizeof(info), .device = edu.id };
	unsigned char data[64];
	uint32_t ioas = must_ioas(edu.iommufd);
	struct iommufd_hwpt_alloc flag = {
		.size = sizeof(flag),
		.flags = 1u << 31,
		.device = edu.id,
		.table = ioas,
	};
	long table, again;

	expect(iommufd_destroy(edu.iommufd, edu.id), -EBUSY, "DESTROY of a bound device");
	expect(call(edu.iommufd, IOMMUFD_HW_INFO, &info), 0, "GET_HW_INFO");
	info = (struct iommufd_hw_info){
		.size = sizeof(info),
		.device = edu.id,
		.data = (uintptr_t)data,
		.data_length = sizeof(data),
	};
	memset(data, 0xff, sizeof(data));
	expect(call(edu.iommufd, IOMMUFD_HW_INFO, &info), 0, "GET_HW_INFO with room");
	check(data[sizeof(data) - 1] == 0, "room that is not needed is zero");
	info.flags = 2;
	expect(call(edu.iommufd, IOMMUFD_HW_INFO, &info), -EOPNOTSUPP,
	       "GET_HW_INFO, an unknown flag");
	info = (struct iommufd_hw_info){ .size = sizeof(info),
					 .device = edu.id,
					 .reserved = { 1 } };
	expect(call(edu.iommufd, IOMMUFD_HW_INFO, &info), -EOPNOTSUPP, "GET_HW_INFO, reserved");

	expect(attach_device(edu.device, 9999), -ENOENT, "attach to no object");
	expect(attach_device(edu.device, edu.id), -EINVAL, "attach to the device itself");
	table = attach_device(edu.device, ioas);
	check(table > 0 && table != ioas, "attach to an address space gives a page table");
	expect(attach_device(edu.device, ioas), table, "attach to it again");
	expect(attach_device(edu.device, (uint32_t)table), table, "attach to the page table");
	expect(iommufd_destroy(edu.iommufd, ioas), -EBUSY, "DESTROY of the address space");
	expect(iommufd_destroy(edu.iommufd, (uint32_t)table), -EBUSY, "DESTROY of the page table");
	expect(detach_device(edu.device), 0, "detach");
	expect(iommufd_destroy(edu.iommufd, (uint32_t)table), -ENOENT,
	       "the page table has gone with it");
	expect(detach_device(edu.device), 0, "detach again");

	again = hwpt_alloc(edu.iommufd, edu.id, ioas);
	check(again > 0, "HWPT_ALLOC");
	expect(hwpt_alloc(edu.iommufd, edu.id, 9999), -EINVAL, "HWPT_ALLOC of no address space");
	expect(hwpt_alloc(edu.iommufd, edu.id, (uint32_t)again), -EOPNOTSUPP,
	       "HWPT_ALLOC of a page table");
	expect(call(edu.iommufd, IOMMUFD_HWPT_ALLOC, &flag), -EOPNOTSUPP,
	       "HWPT_ALLOC, an unknown flag");
	expect(hwpt_alloc(edu.iommufd, edu.id, edu.id), -EINVAL, "HWPT_ALLOC of a device");
	expect(iommufd_destroy(edu.iommufd, ioas), -EBUSY, "DESTROY of an address space with it");
	expect(attach_device(edu.device, (uint32_t)again), again, "attach to it");
	expect(iommufd_destroy(edu.iommufd, (uint32_t)again), -EBUSY, "DESTROY of it, attached");
	expect(detach_device(edu.device), 0, "detach from it");
	expect(iommufd_destroy(edu.iommufd, (uint32_t)again), 0, "DESTROY of it");
	expect(iommufd_destroy(edu.iommufd, ioas), 0, "DESTROY of the address space then");
}

/* Areas that no device can have, and what they do to attaching. */
static void check_conflicts(void)
{
	const struct iommufd_range window = { MSI_WINDOW, MSI_WINDOW + PAGE - 1 };
	struct cdev_session edu = must_bind_only(EDU, must_open_iommufd());
	unsigned char *memory = must_allocate(4 * PAGE);
	uint32_t ioas = must_ioas(edu.iommufd);
	struct iommufd_range ranges[16];
	const struct {
		const char *what;
		const void *address;
		uint64_t iova;
		uint64_t length;
		long result;
	} areas[] = {
		{ "within a page", memory + 1, PAGE, 10, -EADDRINUSE },
		{ "of memory that begins within a page", memory + 8, PAGE, PAGE, -EADDRINUSE },
		{ "in the window of interrupts", memory, MSI_WINDOW, PAGE, -EADDRINUSE },
		{ "beyond what the IOMMU maps", memory, BEYOND, PAGE, -EADDRINUSE },
		{ "of no memory", NULL, PAGE, PAGE, -EFAULT },
	};
	long count;

	for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
		must(ioas_map_at(edu.iommufd, ioas, areas[i].address, areas[i].length,
				 areas[i].iova),
		     "MAP");
		expect(attach_device(edu.device, ioas), areas[i].result, "attach, an area %s",
		       areas[i].what);
		must(ioas_unmap_range(edu.iommufd, ioas, 0, UINT64_MAX), "UNMAP");
	}
	must(ioas_allow(edu.iommufd, ioas, &window, 1), "ALLOW_IOVAS");
	expect(attach_device(edu.device, ioas), -EADDRINUSE, "attach, what is allowed is reserved");
	must(ioas_allow(edu.iommufd, ioas, NULL, 0), "ALLOW_IOVAS of none");
	must(attach_device(edu.device, ioas), "attach");

	expect(ioas_allow(edu.iommufd, ioas, &window, 1), -EADDRINUSE,
	       "ALLOW_IOVAS of what is reserved");
	count = ioas_ranges(edu.iommufd, ioas, ranges, ARRAY_SIZE(ranges));
	check(count > 1 && ranges[count - 1].last < BEYOND, "IOVA_RANGES of a device");
	expect(ioas_alignment(edu.iommufd, ioas), PAGE, "pages are what can be mapped");
	expect(ioas_map_at(edu.iommufd, ioas, memory, PAGE, MSI_WINDOW), -EINVAL,
	       "MAP in the window of interrupts");
	expect(ioas_map_at(edu.iommufd, ioas, memory, PAGE, BEYOND), -EINVAL,
	       "MAP beyond what the IOMMU maps");
	expect(ioas_map_at(edu.iommufd, ioas, memory, PAGE, LAST_PAGE), -EINVAL,
	       "MAP at the last page");
	expect(ioas_map_at(edu.iommufd, ioas, memory, 2 * PAGE, LAST_PAGE), -EOVERFLOW,
	       "MAP that wraps");
	expect(ioas_map_at(edu.iommufd, ioas, memory, 100, 0), -EINVAL, "MAP of a part of a page");
	expect(ioas_map_at(edu.iommufd, ioas, memory + 8, PAGE, 0), -EINVAL,
	       "MAP of an odd address");
	expect(ioas_map_at(edu.iommufd, ioas, memory, PAGE, 8), -EINVAL, "MAP at an odd IOVA");
	expect(ioas_map_at(edu.iommufd, ioas, NULL, PAGE, 0), -EFAULT, "MAP of no memory");
	expect(ioas_unmap_range(edu.iommufd, ioas, 0, UINT64_MAX), 0, "nothing is mapped of these");
}

/* BARs cannot be mapped here, neither by the one command nor by the other. */
static void check_bar(void)
{
	struct engine engine = must_have_engine();
	uint32_t ioas = must_ioas(engine.edu.iommufd);

	must(vfio_ioas(engine.edu.iommufd, VFIO_IOAS_SET, ioas), "VFIO_IOAS");
	must(attach_device(engine.edu.device, ioas), "attach");
	expect(ioas_map_at(engine.edu.iommufd, ioas, engine.bar, PAGE, 0), -EFAULT, "MAP of a BAR");
	expect(map_dma(engine.edu.iommufd, engine.bar, 0, PAGE, READ_WRITE), -EFAULT,
	       "MAP_DMA of a BAR");
}

static void check_dma(void)
{
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t first = must_ioas(fd), second = must_ioas(fd);
	unsigned char *memory = must_allocate(8 * PAGE), *other = must_allocate(8 * PAGE);
	long before = pinned_kilobytes(), table;

	must(ioas_map_at(fd, first, memory, 8 * PAGE, 0), "MAP before attaching");
	expect(pinned_kilobytes() - before, 0, "nothing is pinned with no device");
	must(attach_device(engine.edu.device, first), "attach");
	expect(pinned_kilobytes() - before, 8 * PAGE / KIB, "everything is pinned with a device");
	check(copies(&engine, 0, memory, 7 * PAGE, memory + 7 * PAGE),
	      "the device copies what was mapped before");
	must(ioas_map_at(fd, first, other, 8 * PAGE, 16 * PAGE), "MAP after attaching");
	check(copies(&engine, 16 * PAGE, other, 23 * PAGE, other + 7 * PAGE),
	      "the device copies what is mapped after");
	must(ioas_copy_to(fd, second, 64 * PAGE, first, 2 * PAGE, 4 * PAGE, IOAS_READ_WRITE),
	     "COPY of a part");
	expect(attach_device(engine.edu.device, second) > 0, 1, "attach to another address space");
	check(copies(&engine, 64 * PAGE, memory + 2 * PAGE, 67 * PAGE, memory + 5 * PAGE),
	      "the device copies what was copied there");
	expect(pinned_kilobytes() - before, 4 * PAGE / KIB, "only that is pinned");

	table = must(hwpt_alloc(engine.edu.iommufd, engine.edu.id, first), "HWPT_ALLOC");
	expect(pinned_kilobytes() - before, 16 * PAGE / KIB,
	       "a page table pins, what two have is pinned once");
	expect(attach_device(engine.edu.device, (uint32_t)table), table, "attach to a page table");
	check(copies(&engine, 0, memory, 23 * PAGE, other + 7 * PAGE),
	      "the device copies what is behind it");
	must(ioas_unmap_range(fd, first, 0, 8 * PAGE), "UNMAP");
	check(copies(&engine, 16 * PAGE, other, 17 * PAGE, other + PAGE),
	      "the device copies what is left");
	expect(pinned_kilobytes() - before, 8 * PAGE / KIB, "what was unmapped is not pinned");
	must(detach_device(engine.edu.device), "detach");
	must(iommufd_destroy(fd, (uint32_t)table), "DESTROY of the page table");
	expect(pinned_kilobytes() - before, 0, "with the last page table nothing is pinned");
}

/* Copies of pages of one area, which overlap or do not touch, go one after the other. */
static void check_copies(void)
{
	static const struct {
		unsigned int first, count;
		long left; /* pages that are pinned when it and those before have gone */
	} pieces[] = { { 5, 5, 6 }, { 12, 1, 5 }, { 2, 5, 0 } };
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t ioas = must_ioas(fd);
	unsigned char *memory = must_allocate(16 * PAGE);
	long before = pinned_kilobytes();

	must(attach_device(engine.edu.device, ioas), "attach");
	must(ioas_map_at(fd, ioas, memory, 16 * PAGE, 0), "MAP");
	for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++)
		must(ioas_copy_to(fd, ioas, (i + 1) * 16 * PAGE, ioas, pieces[i].first * PAGE,
				  pieces[i].count * PAGE, IOAS_READ_WRITE),
		     "COPY");
	expect(pinned_kilobytes() - before, 16 * PAGE / KIB, "copies pin nothing more");
	must(ioas_unmap_range(fd, ioas, 0, 16 * PAGE), "UNMAP");
	expect(pinned_kilobytes() - before, 9 * PAGE / KIB, "what copies have stays pinned");
	check(copies(&engine, 49 * PAGE, memory + 3 * PAGE, 18 * PAGE, memory + 7 * PAGE),
	      "and the device reaches it by the copies");
	for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++) {
		must(ioas_unmap_range(fd, ioas, (i + 1) * 16 * PAGE, pieces[i].count * PAGE),
		     "UNMAP of a copy");
		expect(pinned_kilobytes() - before, pieces[i].left * PAGE / KIB,
		       "what is pinned without copy %u", i);
	}
}

/* What a device only reads is the process's memory, also where nothing was written before. */
static void check_reading(void)
{
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t ioas = must_ioas(fd);
	unsigned char *target = must_allocate(PAGE), *memory;
	volatile unsigned char *byte;
	uint64_t iova;

	memory = must_map_memory(3 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	byte = memory + PAGE;
	check(*byte == 0, "a page that was read and not written");
	must(attach_device(engine.edu.device, ioas), "attach");
	must(ioas_map_at(fd, ioas, target, PAGE, 0), "MAP");
	must(ioas_map_anywhere(fd, ioas, memory, 3 * PAGE, IOAS_READ, &iova), "MAP for reading");
	for (unsigned int i = 0; i < 3; i++) {
		memset(memory + i * PAGE, 0x5a, PAGE);
		memset(target, 0, PAGE);
		check(edu_copy(engine.bar, iova + i * PAGE, PAGE, EDU_FROM_MEMORY) &&
			      edu_copy(engine.bar, 0, PAGE, EDU_TO_MEMORY) &&
			      memcmp(memory + i * PAGE, target, PAGE) == 0,
		      "the device reads what was written to page %u", i);
	}
}

/* What type 1 cuts out is given back; what is beside it stays where it is. */
static void check_cut(void)
{
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t ioas = must_ioas(fd);
	unsigned char *memory = must_allocate(16 * PAGE);
	long before = pinned_kilobytes();

	must(vfio_ioas(fd, VFIO_IOAS_SET, ioas), "VFIO_IOAS");
	must(attach_device(engine.edu.device, ioas), "attach");
	must(call_number(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), "SET_IOMMU");
	must(map_dma(fd, memory, 0, 16 * PAGE, READ_WRITE), "MAP_DMA");
	expect(call_number(fd, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), 0, "SET_IOMMU of the same again");
	expect(unmap_dma(fd, 4 * PAGE, 4 * PAGE, 0), 4 * PAGE, "UNMAP_DMA in the middle");
	expect(pinned_kilobytes() - before, 12 * PAGE / KIB, "what was cut out is not pinned");
	check(copies(&engine, 3 * PAGE, memory + 3 * PAGE, 8 * PAGE, memory + 8 * PAGE),
	      "the pages beside it are where they were");
	expect(unmap_dma(fd, 0, PAGE, 0), PAGE, "UNMAP_DMA at the start");
	expect(unmap_dma(fd, 15 * PAGE, PAGE, 0), PAGE, "UNMAP_DMA at the end");
	expect(pinned_kilobytes() - before, 10 * PAGE / KIB, "these are not pinned either");
	check(copies(&engine, PAGE, memory + PAGE, 14 * PAGE, memory + 14 * PAGE),
	      "the others are where they were");
	must(map_dma(fd, memory, 4 * PAGE, 4 * PAGE, READ_WRITE), "MAP_DMA into the gap");
	check(copies(&engine, 4 * PAGE, memory, 3 * PAGE, memory + 3 * PAGE),
	      "the gap has what was mapped there");
	expect(unmap_dma(fd, 2 * PAGE, 8 * PAGE, 0), 8 * PAGE, "UNMAP_DMA across areas");
	expect(unmap_dma(fd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 6 * PAGE, "UNMAP_DMA ALL");
	expect(pinned_kilobytes() - before, 0, "nothing is pinned");
}

/* A huge page is pinned by one of its pages, and stays as long as one of them is mapped. */
static void check_huge(void)
{
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t first = must_ioas(fd), second = must_ioas(fd);
	unsigned char *memory;
	long before = pinned_kilobytes();

	memory = must_map_memory(2 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	must(ioas_map_at(fd, first, memory, 2 * HUGE, 0), "MAP of huge pages");
	must(ioas_copy_to(fd, second, 0, first, HUGE - PAGE, 2 * PAGE, IOAS_READ_WRITE),
	     "COPY of a page of each");
	must(attach_device(engine.edu.device, first), "attach");
	check(copies(&engine, PAGE, memory + PAGE, 2 * HUGE - PAGE, memory + 2 * HUGE - PAGE),
	      "the device copies between huge pages");
	expect(pinned_kilobytes() - before, 2 * (long)HUGE / KIB, "both are pinned");
	must(hwpt_alloc(engine.edu.iommufd, engine.edu.id, second), "HWPT_ALLOC");
	must(ioas_unmap_range(fd, first, 0, UINT64_MAX), "UNMAP");
	must(attach_device(engine.edu.device, second), "attach to the other");
	check(copies(&engine, 0, memory + HUGE - PAGE, PAGE, memory + HUGE),
	      "the device copies between the two pages that are left");
	must(ioas_unmap_range(fd, second, 0, UINT64_MAX), "UNMAP");
	expect(pinned_kilobytes() - before, 0, "nothing is pinned");
}

static void check_file_of(const char *what, int file, size_t size)
{
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t ioas = must_ioas(fd), copy = must_ioas(fd);
	unsigned char *memory = must_map_memory(size, MAP_SHARED, file);
	long before = pinned_kilobytes();

	about("%s", what);
	must(attach_device(engine.edu.device, ioas), "attach");
	expect(ioas_map_file_at(fd, ioas, file, 0, size, 0, IOAS_READ_WRITE), 0, "MAP_FILE");
	expect(pinned_kilobytes() - before, (long)size / KIB, "the file is pinned");
	check(copies(&engine, PAGE, memory + PAGE, size - PAGE, memory + size - PAGE),
	      "the device copies within the file");
	expect(ioas_map_file_at(fd, ioas, file, size - PAGE, PAGE, 64 << 20, IOAS_READ_WRITE), 0,
	       "MAP_FILE of the last page");
	check(copies(&engine, 64 << 20, memory + size - PAGE, 0, memory),
	      "the device copies from the last page");
	expect(ioas_map_file_at(fd, ioas, file, size - PAGE, 2 * PAGE, 80 << 20, IOAS_READ_WRITE),
	       -EINVAL, "MAP_FILE beyond the end");
	expect(ioas_map_file_at(fd, ioas, fd, 0, PAGE, 80 << 20, IOAS_READ), -EINVAL,
	       "MAP_FILE of the context itself");
	expect(ioas_copy_to(fd, copy, 16 * PAGE, ioas, PAGE, 2 * PAGE, IOAS_READ_WRITE), 0,
	       "COPY of two pages");
	expect(iommufd_change_process(fd), 0, "CHANGE_PROCESS of the same");
	close(file);
	must(attach_device(engine.edu.device, copy), "attach to the copy");
	check(copies(&engine, 16 * PAGE, memory + PAGE, 17 * PAGE, memory + 2 * PAGE),
	      "the device copies in the copy");
	must(ioas_unmap_range(fd, ioas, 0, UINT64_MAX), "UNMAP");
	must(ioas_unmap_range(fd, copy, 0, UINT64_MAX), "UNMAP of the copy");
	expect(pinned_kilobytes() - before, 0, "nothing is pinned");
	/* A mapping keeps the device open as well as a descriptor. */
	munmap(engine.bar, must_region(engine.edu.device, 0).size);
	close(engine.edu.device);
	close(fd);
}

static void check_files(void)
{
	int small = memfd_create("weir", MFD_CLOEXEC);
	int huge = memfd_create("weir", MFD_CLOEXEC | MFD_HUGETLB);

	must(ftruncate(small, 16 * PAGE) ? -errno : 0, "ftruncate");
	check_file_of("memfd", small, 16 * PAGE);
	must(ftruncate(huge, 2 * HUGE) ? -errno : 0, "ftruncate of huge pages");
	check_file_of("hugetlb", huge, 2 * HUGE);
}

/* What the process has locked, besides what is pinned. */
static long only_locked_kilobytes(void)
{
	return locked_kilobytes() - pinned_kilobytes();
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	must(syscall(SYS_capget, &header, data), "capget");
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	must(syscall(SYS_capset, &header, data), "capset");
}

static void set_limit(size_t bytes)
{
	struct rlimit limit = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	must(setrlimit(RLIMIT_MEMLOCK, &limit) ? -errno : 0, "setrlimit");
}

/* The charge of a file moves to a child, and only if that may lock as much. */
static void check_child(int fd, long kilobytes)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		long pinned = pinned_kilobytes();

		set_limit(PAGE);
		expect(iommufd_change_process(fd), -ENOMEM, "CHANGE_PROCESS beyond the limit");
		expect(pinned_kilobytes() - pinned, 0, "the child is not charged");
		set_limit(1024 * PAGE);
		expect(iommufd_change_process(fd), 0, "CHANGE_PROCESS");
		expect(pinned_kilobytes() - pinned, kilobytes, "the child is charged");
		_exit(0);
	}
	must(child, "fork");
	while (waitpid(child, &status, 0) < 0)
		;
}

static void check_limit(bool by_process)
{
	int fd = must_open_iommufd(), file = memfd_create("weir", MFD_CLOEXEC);
	unsigned char *memory = must_allocate(64 * PAGE);
	struct cdev_session edu;
	long locked = only_locked_kilobytes(), before = pinned_kilobytes();
	uint32_t ioas;

	about("%s", by_process ? "by process" : "by user");
	must(iommufd_option(fd, OPTION_RLIMIT_MODE, OPTION_SET, 0, by_process), "RLIMIT_MODE");
	edu = must_bind_only(EDU, fd);
	must(ftruncate(file, 8 * PAGE) ? -errno : 0, "ftruncate");
	drop_ipc_lock();
	set_limit(32 * PAGE);
	ioas = must_ioas(fd);
	must(attach_device(edu.device, ioas), "attach");
	expect(ioas_map_at(fd, ioas, memory, 33 * PAGE, 0), -ENOMEM, "MAP beyond the limit");
	expect(ioas_map_at(fd, ioas, memory, 32 * PAGE, 0), 0, "MAP up to the limit");
	expect(ioas_map_at(fd, ioas, memory, PAGE, 64 * PAGE), -ENOMEM, "MAP of one more");
	expect(ioas_copy_to(fd, ioas, 64 * PAGE, ioas, 0, 32 * PAGE, IOAS_READ), 0,
	       "COPY costs nothing");
	expect(pinned_kilobytes() - before, 32 * PAGE / KIB, "what is pinned is counted once");
	expect(only_locked_kilobytes() - locked, by_process ? 32 * PAGE / KIB : 0,
	       "what the process has locked");
	must(ioas_unmap_range(fd, ioas, 0, 32 * PAGE), "UNMAP");
	expect(pinned_kilobytes() - before, 32 * PAGE / KIB, "the copy has it still");
	must(ioas_unmap_range(fd, ioas, 0, UINT64_MAX), "UNMAP of the copy");
	expect(pinned_kilobytes() - before, 0, "nothing is pinned");
	expect(only_locked_kilobytes() - locked, 0, "nothing is locked");

	must(ioas_map_file_at(fd, ioas, file, 0, 8 * PAGE, 0, IOAS_READ_WRITE), "MAP_FILE");
	set_limit(8 * PAGE);
	expect(iommufd_change_process(fd), 0, "CHANGE_PROCESS of who is charged, at the limit");
	set_limit(32 * PAGE);
	check_child(fd, 8 * PAGE / KIB);
	expect(pinned_kilobytes() - before, 0, "the parent is not charged any more");
	expect(ioas_map_at(fd, ioas, memory, 24 * PAGE, 1024 * PAGE), 0, "MAP of what fits");
	close(edu.device);
	close(fd);
	expect(pinned_kilobytes() - before, 0, "closing gives everything back");
}

static void check_limits(void)
{
	pid_t child = fork();

	/* Capabilities do not come back. */
	if (child == 0) {
		check_limit(false);
		_exit(0);
	}
	must(child, "fork");
	while (waitpid(child, NULL, 0) < 0)
		;
	check_limit(true);
}

static void check_huge_pages(void)
{
	struct engine engine = must_have_engine();
	int fd = engine.edu.iommufd;
	uint32_t ioas = must_ioas(fd);
	unsigned char *memory = must_allocate(PAGE);

	must(attach_device(engine.edu.device, ioas), "attach");
	must(ioas_map_at(fd, ioas, memory, PAGE, 0), "MAP");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 0), -EINVAL,
	       "HUGE_PAGES off when something is mapped for a device");
	must(ioas_unmap_range(fd, ioas, 0, PAGE), "UNMAP");
	expect(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 0), 0,
	       "HUGE_PAGES off when nothing is");
}

static const struct conform_case cases[] = {
	{ "objects", check_objects },
	{ "conflicts", check_conflicts },
	{ "BARs", check_bar },
	{ "DMA", check_dma },
	{ "copies", check_copies },
	{ "reading", check_reading },
	{ "cutting", check_cut },
	{ "huge pages", check_huge },
	{ "files", check_files },
	{ "limits", check_limits },
	{ "HUGE_PAGES", check_huge_pages },
};

const struct conform_part part_iommufd_device = { "iommufd-device", cases, ARRAY_SIZE(cases) };
