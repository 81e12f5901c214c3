/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Type 1: information, MAP_DMA and UNMAP_DMA of both versions, limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define MSI_WINDOW 0xfee00000ull
#define ENTRY_LIMIT "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit"
#define LAST_PAGE (~0ull - PAGE + 1)
#define MIB (1ull << 20)

/* Runs the test over both versions. */
static void each_version(void (*test)(int container, bool v2))
{
	for (int v2 = 0; v2 < 2; v2++) {
		struct session session;

		about("v%d", v2 + 1);
		session = must_open(EDU, v2 ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU);
		test(session.container, v2);
		close_session(&session);
	}
}

struct answer {
	struct vfio_iommu_type1_info info;
	unsigned char rest[4096];
};

static void check_ranges(const struct vfio_iommu_type1_info_cap_iova_range *ranges)
{
	bool rising = true, msi = false;

	for (uint32_t i = 0; i < ranges->nr_iovas; i++) {
		const struct vfio_iova_range *range = &ranges->iova_ranges[i];

		rising &= range->start <= range->end &&
			  (i == 0 || ranges->iova_ranges[i - 1].end < range->start);
		msi |= range->start < MSI_WINDOW + MIB && range->end >= MSI_WINDOW;
	}
	check(ranges->nr_iovas > 0 && rising, "ranges of IOVAs do not overlap and rise");
	check(ranges->nr_iovas > 0 && !msi, "the window of interrupts is in none of them");
}

/* Walks the capabilities as a program would that does not trust the kernel. */
static void check_capabilities(const struct answer *answer)
{
	const unsigned char *bytes = (const unsigned char *)answer;
	const struct vfio_iommu_type1_info_cap_iova_range *ranges = NULL;
	const struct vfio_iommu_type1_info_dma_avail *available = NULL;
	uint32_t at = answer->info.cap_offset;
	bool migration = false, inside = true;

	for (int hops = 0; at && hops < 16; hops++) {
		const struct vfio_info_cap_header *header = (const void *)(bytes + at);

		inside = at >= sizeof(answer->info) && at < answer->info.argsz && at % 4 == 0;
		if (!inside)
			break;
		if (header->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE && header->version == 1)
			ranges = (const void *)header;
		if (header->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL && header->version == 1)
			available = (const void *)header;
		migration |= header->id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION;
		at = header->next;
	}
	check(inside, "every capability is within the answer");
	if (check(ranges, "there are ranges of IOVAs"))
		check_ranges(ranges);
	check(!migration, "there is no migration capability");
	if (check(available, "there is a count of areas"))
		expect(available->avail, 65535, "areas that can be mapped at first");
}

static void check_info_of(int container, bool v2)
{
	static const uint32_t short_sizes[] = { 0, 4, 8, 15 };
	struct answer answer;
	uint32_t whole;

	(void)v2;
	for (size_t i = 0; i < ARRAY_SIZE(short_sizes); i++) {
		answer = (struct answer){ .info.argsz = short_sizes[i] };
		expect(call(container, VFIO_IOMMU_GET_INFO, &answer), -EINVAL,
		       "GET_INFO with argsz %u", short_sizes[i]);
	}
	answer = (struct answer){ .info.argsz = 16, .info.cap_offset = 77 };
	expect(call(container, VFIO_IOMMU_GET_INFO, &answer), 0, "GET_INFO with argsz 16");
	check(answer.info.cap_offset == 77, "GET_INFO with argsz 16 writes no further");
	answer = (struct answer){ .info.argsz = sizeof(answer.info) };
	expect(call(container, VFIO_IOMMU_GET_INFO, &answer), 0, "GET_INFO without capabilities");
	whole = answer.info.argsz;
	check(answer.info.flags == (VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS) &&
		      answer.info.cap_offset == 0 && whole > sizeof(answer.info) &&
		      whole <= sizeof(answer),
	      "it says that there are some, and how large the answer is");
	check(answer.info.iova_pgsizes & PAGE, "pages of 4 KiB can be mapped");
	answer = (struct answer){ .info.argsz = whole - 1 };
	must(call(container, VFIO_IOMMU_GET_INFO, &answer), "GET_INFO one byte short");
	check(answer.info.cap_offset == 0 && answer.info.argsz == whole,
	      "one byte short is too short for any capability");
	answer = (struct answer){ .info.argsz = whole };
	must(call(container, VFIO_IOMMU_GET_INFO, &answer), "GET_INFO of the right size");
	check_capabilities(&answer);
	answer = (struct answer){ .info.argsz = sizeof(answer) };
	expect(call(container, VFIO_IOMMU_GET_INFO, &answer), 0, "GET_INFO with room to spare");
	expect(call(container, VFIO_IOMMU_GET_INFO, NULL), -EFAULT, "GET_INFO of no address");
}

static void check_info(void)
{
	each_version(check_info_of);
}

/* Addresses in the table are relative to two pages of memory that are there. */
static const struct bad_map {
	const char *what;
	uint32_t argsz;
	uint32_t flags;
	uint64_t address;
	uint64_t iova;
	uint64_t size;
	long result;
} bad_maps[] = {
	{ "argsz 0", 0, READ_WRITE, 0, 0, PAGE, -EINVAL },
	{ "argsz one short", 31, READ_WRITE, 0, 0, PAGE, -EINVAL },
	{ "an unknown flag", 32, READ_WRITE | 1u << 3, 0, 0, PAGE, -EINVAL },
	{ "the highest flag", 32, READ_WRITE | 1u << 31, 0, 0, PAGE, -EINVAL },
	{ "no protection", 32, 0, 0, 0, PAGE, -EINVAL },
	{ "size 0", 32, READ_WRITE, 0, 0, 0, -EINVAL },
	{ "half a page", 32, READ_WRITE, 0, 0, PAGE / 2, -EINVAL },
	{ "an iova within a page", 32, READ_WRITE, 0, 16, PAGE, -EINVAL },
	{ "an address within a page", 32, READ_WRITE, 16, 0, PAGE, -EINVAL },
	{ "iova + size wraps", 32, READ_WRITE, 0, LAST_PAGE, 2 * PAGE, -EOVERFLOW },
	{ "iova + size wraps, with no protection", 32, 0, 0, LAST_PAGE, 2 * PAGE, -EOVERFLOW },
	{ "address + size wraps", 32, READ_WRITE, 0, 0, ~0ull - PAGE + 1, -EOVERFLOW },
	{ "the last page of all", 32, READ_WRITE, 0, LAST_PAGE, PAGE, -EINVAL },
	{ "an iova beyond the IOMMU's", 32, READ_WRITE, 0, 1ull << 57, PAGE, -EINVAL },
	{ "the window of interrupts", 32, READ_WRITE, 0, MSI_WINDOW, PAGE, -EINVAL },
	{ "the page before that window, and its first", 32, READ_WRITE, 0, MSI_WINDOW - PAGE,
	  2 * PAGE, -EINVAL },
};

static void check_bad_maps(int container, char *memory)
{
	long before = dma_available(container);

	for (size_t i = 0; i < ARRAY_SIZE(bad_maps); i++) {
		const struct bad_map *bad = &bad_maps[i];
		struct vfio_iommu_type1_dma_map map = {
			.argsz = bad->argsz,
			.flags = bad->flags,
			.vaddr = (uintptr_t)memory + bad->address,
			.iova = bad->iova,
			.size = bad->size,
		};

		expect(call(container, VFIO_IOMMU_MAP_DMA, &map), bad->result, "MAP_DMA, %s",
		       bad->what);
	}
	expect(call(container, VFIO_IOMMU_MAP_DMA, NULL), -EFAULT, "MAP_DMA of no address");
	expect(dma_available(container), before, "none of these takes an area");
}

static void check_overlaps(int container, char *memory)
{
	static const struct {
		const char *what;
		uint64_t iova;
		uint64_t size;
		long result;
	} maps[] = {
		{ "just before", 3 * PAGE, PAGE, 0 },
		{ "just behind", 8 * PAGE, PAGE, 0 },
		{ "the same", 4 * PAGE, 4 * PAGE, -EEXIST },
		{ "its first page", 4 * PAGE, PAGE, -EEXIST },
		{ "its last page", 7 * PAGE, PAGE, -EEXIST },
		{ "pages within", 5 * PAGE, 2 * PAGE, -EEXIST },
		{ "across its end", 7 * PAGE, 4 * PAGE, -EEXIST },
		{ "all of it and more", 2 * PAGE, 8 * PAGE, -EEXIST },
	};

	must(map_dma(container, memory, 4 * PAGE, 4 * PAGE, READ_WRITE), "MAP_DMA of 4 pages");
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		expect(map_dma(container, memory, maps[i].iova, maps[i].size, READ_WRITE),
		       maps[i].result, "MAP_DMA beside an area: %s", maps[i].what);
	/* Size is checked before existence, range after it. */
	expect(map_dma(container, memory, 4 * PAGE, PAGE / 2, READ_WRITE), -EINVAL,
	       "MAP_DMA of half a page where an area is");
	expect(unmap_dma(container, 0, 16 * PAGE, 0), 6 * PAGE, "UNMAP_DMA of all of them");
}

static void check_memory_kinds(int container)
{
	char *memory = must_allocate(4 * PAGE);
	long before = locked_kilobytes();

	munmap(memory + 2 * PAGE, PAGE);
	expect(map_dma(container, memory, 0, 4 * PAGE, READ_WRITE), -EFAULT,
	       "MAP_DMA of memory with a hole");
	expect(unmap_dma(container, 0, 4 * PAGE, 0), 0, "and nothing of it is mapped");
	expect(locked_kilobytes() - before, 0, "nor charged");
	expect(map_dma(container, memory + 2 * PAGE, 0, PAGE, READ_WRITE), -EFAULT,
	       "MAP_DMA of no memory");
	expect(map_dma(container, NULL, 0, PAGE, VFIO_DMA_MAP_FLAG_READ), -EFAULT,
	       "MAP_DMA of address 0");
	mprotect(memory, PAGE, PROT_READ);
	expect(map_dma(container, memory, 0, PAGE, READ_WRITE), -EFAULT,
	       "MAP_DMA for writing of memory that is read-only");
	expect(map_dma(container, memory, 0, PAGE, VFIO_DMA_MAP_FLAG_READ), 0,
	       "MAP_DMA for reading of memory that is read-only");
	expect(map_dma(container, memory + PAGE, PAGE, PAGE, VFIO_DMA_MAP_FLAG_WRITE), 0,
	       "MAP_DMA for writing only");
	expect(map_dma(container, memory + PAGE, 2 * PAGE, PAGE, READ_WRITE), 0,
	       "MAP_DMA of memory that is mapped elsewhere");
	munmap(memory + PAGE, PAGE);
	expect(unmap_dma(container, 0, 16 * PAGE, 0), 3 * PAGE,
	       "UNMAP_DMA of memory that its process has no more");
	expect(locked_kilobytes() - before, 0, "after which nothing is charged");
	munmap(memory, 4 * PAGE);
}

static void check_map_of(int container, bool v2)
{
	char *memory = must_allocate(16 * PAGE);
	struct vfio_iommu_type1_dma_map longer[2] = { {
		.argsz = sizeof(longer),
		.flags = READ_WRITE,
		.vaddr = (uintptr_t)memory,
		.size = PAGE,
	} };

	(void)v2;
	check_bad_maps(container, memory);
	check_overlaps(container, memory);
	check_memory_kinds(container);
	expect(call(container, VFIO_IOMMU_MAP_DMA, longer), 0, "MAP_DMA with a larger argsz");
	munmap(memory, 16 * PAGE);
}

static void check_map(void)
{
	each_version(check_map_of);
}

static void check_bad_unmaps(int container)
{
	static const struct {
		const char *what;
		uint32_t argsz;
		uint32_t flags;
		uint64_t iova;
		uint64_t size;
		long result;
	} unmaps[] = {
		{ "argsz 0", 0, 0, 0, PAGE, -EINVAL },
		{ "argsz one short", 23, 0, 0, PAGE, -EINVAL },
		{ "an unknown flag", 24, 1u << 3, 0, PAGE, -EINVAL },
		{ "a dirty bitmap", 24, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, 0, PAGE, -EINVAL },
		{ "a dirty bitmap and ALL", 24,
		  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, -EINVAL },
		{ "a dirty bitmap and VADDR", 24,
		  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR, 0, PAGE,
		  -EINVAL },
		{ "size 0", 24, 0, 0, 0, -EINVAL },
		{ "half a page", 24, 0, 0, PAGE / 2, -EINVAL },
		{ "an iova within a page", 24, 0, 16, PAGE, -EINVAL },
		{ "iova + size wraps", 24, 0, LAST_PAGE, 2 * PAGE, -EOVERFLOW },
		{ "ALL with an iova", 24, VFIO_DMA_UNMAP_FLAG_ALL, PAGE, 0, -EINVAL },
		{ "ALL with a size", 24, VFIO_DMA_UNMAP_FLAG_ALL, 0, PAGE, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(unmaps); i++) {
		struct vfio_iommu_type1_dma_unmap unmap = {
			.argsz = unmaps[i].argsz,
			.flags = unmaps[i].flags,
			.iova = unmaps[i].iova,
			.size = unmaps[i].size,
		};

		expect(call(container, VFIO_IOMMU_UNMAP_DMA, &unmap), unmaps[i].result,
		       "UNMAP_DMA, %s", unmaps[i].what);
	}
	expect(call(container, VFIO_IOMMU_UNMAP_DMA, NULL), -EFAULT, "UNMAP_DMA of no address");
}

/* Areas of 2 pages at 4, 1 page at 6, 4 pages at 8: nothing at 7. */
static void check_unmaps(int container, bool v2, char *memory)
{
	static const struct {
		const char *what;
		uint64_t first;
		uint64_t pages;
		long v1; /* pages taken, or an error */
		long v2;
	} unmaps[] = {
		{ "where nothing is", 0, 4, 0, 0 },
		{ "the hole", 7, 1, 0, 0 },
		{ "an area", 4, 2, 2, 2 },
		{ "the first page of an area", 4, 1, 2, -EINVAL },
		{ "the last page of an area", 5, 1, 0, -EINVAL },
		{ "pages within an area", 9, 2, 0, -EINVAL },
		{ "two areas", 4, 3, 3, 3 },
		{ "two areas and the hole before the third", 3, 5, 3, 3 },
		{ "an area, and half of the next", 6, 4, 5, -EINVAL },
		{ "the end of an area, and the next", 5, 2, 0, -EINVAL },
		{ "all and more", 0, 64, 7, 7 },
		{ "all there can be", 0, LAST_PAGE / PAGE, 7, 7 },
	};
	static const uint64_t areas[][2] = { { 4, 2 }, { 6, 1 }, { 8, 4 } };

	for (size_t i = 0; i < ARRAY_SIZE(unmaps); i++) {
		long pages = v2 ? unmaps[i].v2 : unmaps[i].v1;

		for (size_t area = 0; area < ARRAY_SIZE(areas); area++)
			must(map_dma(container, memory, areas[area][0] * PAGE,
				     areas[area][1] * PAGE, READ_WRITE),
			     "MAP_DMA of %u pages", (unsigned int)areas[area][1]);
		expect(unmap_dma(container, unmaps[i].first * PAGE, unmaps[i].pages * PAGE, 0),
		       pages < 0 ? pages : pages * (long)PAGE, "UNMAP_DMA of %s", unmaps[i].what);
		expect(unmap_dma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL),
		       (7 - (pages < 0 ? 0 : pages)) * (long)PAGE,
		       "after UNMAP_DMA of %s, ALL takes the rest", unmaps[i].what);
	}
	expect(unmap_dma(container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0, "ALL of nothing");
}

static void check_unmap_of(int container, bool v2)
{
	char *memory = must_allocate(16 * PAGE);
	long available = dma_available(container), locked = locked_kilobytes();

	check_bad_unmaps(container);
	check_unmaps(container, v2, memory);
	expect(dma_available(container), available, "all areas have been given back");
	expect(locked_kilobytes() - locked, 0, "nothing is charged any more");
	munmap(memory, 16 * PAGE);
}

static void check_unmap(void)
{
	each_version(check_unmap_of);
}

static void check_entry_limit(void)
{
	char *memory = must_allocate(PAGE);
	struct session session;
	char before[16];

	sysfs_read(before, sizeof(before), ENTRY_LIMIT);
	must(sysfs_write("3", ENTRY_LIMIT), "set dma_entry_limit to 3");
	session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	must(sysfs_write(before, ENTRY_LIMIT), "set dma_entry_limit to %s", before);
	expect(dma_available(session.container), 3, "areas that can be mapped with a limit of 3");
	for (unsigned int i = 0; i < 3; i++)
		must(map_dma(session.container, memory, i * PAGE, PAGE, READ_WRITE), "MAP_DMA");
	expect(dma_available(session.container), 0, "areas that can be mapped at the limit");
	expect(map_dma(session.container, memory, 3 * PAGE, PAGE, READ_WRITE), -ENOSPC,
	       "MAP_DMA beyond the limit");
	expect(map_dma(session.container, memory, PAGE, PAGE, READ_WRITE), -EEXIST,
	       "MAP_DMA of what exists, at the limit");
	expect(map_dma(session.container, memory, MSI_WINDOW, PAGE, READ_WRITE), -ENOSPC,
	       "MAP_DMA out of range, at the limit");
	must(unmap_dma(session.container, 0, PAGE, 0), "UNMAP_DMA");
	expect(map_dma(session.container, memory, 3 * PAGE, PAGE, READ_WRITE), 0,
	       "MAP_DMA after one was taken out");
}

/* Drops all capabilities: locking memory beyond the limit is one of them. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	must(syscall(SYS_capset, &header, none) ? -errno : 0, "drop capabilities");
}

static void check_memlock(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	struct rlimit limit = { 16 * PAGE, 16 * PAGE };
	long locked = locked_kilobytes();
	char *memory = must_allocate(32 * PAGE);

	must(setrlimit(RLIMIT_MEMLOCK, &limit), "set RLIMIT_MEMLOCK");
	drop_capabilities();
	expect(map_dma(session.container, memory, 0, 17 * PAGE, READ_WRITE), -ENOMEM,
	       "MAP_DMA of more than RLIMIT_MEMLOCK");
	expect(locked_kilobytes() - locked, 0, "leaves nothing charged");
	expect(map_dma(session.container, memory, 0, 16 * PAGE, READ_WRITE), 0,
	       "MAP_DMA of as much as RLIMIT_MEMLOCK");
	expect(map_dma(session.container, memory + 16 * PAGE, 16 * PAGE, PAGE, READ_WRITE), -ENOMEM,
	       "MAP_DMA of one page more");
	must(unmap_dma(session.container, 0, 16 * PAGE, 0), "UNMAP_DMA");
	expect(map_dma(session.container, memory, 0, 16 * PAGE, READ_WRITE), 0,
	       "MAP_DMA of as much again, after UNMAP_DMA");
}

static void check_bar_of(int container, bool v2)
{
	struct session session = { container, -1, -1 };
	struct session memory = must_join(&session, MEMORY);
	uint64_t size = must_region(memory.device, 2).size;
	long available = dma_available(container), locked = locked_kilobytes();
	char *bar;

	(void)v2;
	set_command(memory.device, true, false);
	bar = must_map_region(memory.device, 2);
	expect(map_dma(container, bar, 64 * MIB, size, READ_WRITE), 0, "MAP_DMA of a BAR");
	expect(locked_kilobytes() - locked, 0, "a BAR is not charged");
	expect(dma_available(container), available - 1, "it is one area");
	expect(map_dma(container, bar, 64 * MIB, PAGE, READ_WRITE), -EEXIST,
	       "MAP_DMA where the BAR is");
	expect(map_dma(container, bar + 3 * PAGE, 0, 2 * PAGE, READ_WRITE), 0,
	       "MAP_DMA of pages of a BAR");
	munmap(bar, size);
	expect(unmap_dma(container, 64 * MIB, size, 0), (long)size,
	       "UNMAP_DMA of a BAR that its process has no more");
	expect(unmap_dma(container, 0, 2 * PAGE, 0), 2 * PAGE, "UNMAP_DMA of pages of a BAR");
	expect(dma_available(container), available, "all areas have been given back");
	close_session(&memory);
}

static void check_bar(void)
{
	each_version(check_bar_of);
}

static const struct conform_case cases[] = {
	{ "information", check_info },	     { "MAP_DMA", check_map },
	{ "UNMAP_DMA", check_unmap },	     { "the limit of areas", check_entry_limit },
	{ "RLIMIT_MEMLOCK", check_memlock }, { "a BAR", check_bar },
};

const struct conform_part part_type1 = { "type1", cases, ARRAY_SIZE(cases) };
