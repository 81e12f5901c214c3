/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Areas of /dev/iommu's address spaces, with no device: mapping of memory and files, copying,
 * unmapping, ranges, the ends of the address space, and many threads at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iommufd_calls.h"

#define LAST_PAGE (~0ull - PAGE + 1)
#define TERA (1ull << 40)
#define THREADS 8
#define ROUNDS 100

static void check_map(void)
{
	static const struct {
		const char *what;
		uint64_t iova;
		uint64_t length;
		long result;
	} maps[] = {
		{ "length 0", 0, 0, -EINVAL },
		{ "iova + length wraps", LAST_PAGE, 2 * PAGE, -EOVERFLOW },
		{ "the last page", LAST_PAGE, PAGE, 0 },
		{ "the last page again", LAST_PAGE, PAGE, -EEXIST },
		{ "page 4 and 5", 4 * PAGE, 2 * PAGE, 0 },
		{ "page 4 again", 4 * PAGE, PAGE, -EEXIST },
		{ "page 5 again", 5 * PAGE, PAGE, -EEXIST },
		{ "across its start", 3 * PAGE, 2 * PAGE, -EEXIST },
		{ "across its end", 5 * PAGE, 2 * PAGE, -EEXIST },
		{ "all of it and more", 3 * PAGE, 4 * PAGE, -EEXIST },
		{ "one byte of it", 5 * PAGE + 5, 1, -EEXIST },
		{ "just before", 3 * PAGE, PAGE, 0 },
		{ "just behind", 6 * PAGE, PAGE, 0 },
		{ "a byte", 0, 1, 0 },
		{ "the byte behind it", 1, 1, 0 },
	};
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	char *memory = must_allocate(8 * PAGE);
	uint64_t iova;

	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		expect(ioas_map_at(fd, ioas, memory, maps[i].length, maps[i].iova), maps[i].result,
		       "MAP of %s", maps[i].what);
	expect(ioas_map_at(fd, ioas, (void *)(uintptr_t)LAST_PAGE, 2 * PAGE, TERA), -EOVERFLOW,
	       "MAP, address + length wraps");
	expect(ioas_map_at(fd, ioas, (void *)(uintptr_t)LAST_PAGE, PAGE, TERA), -EOVERFLOW,
	       "MAP of the last address");
	expect(ioas_map_anywhere(fd, ioas, memory, PAGE, 0, &iova), -EINVAL,
	       "MAP with no protection");
	expect(ioas_map_anywhere(fd, ioas, memory, PAGE, IOAS_WRITE, &iova), 0,
	       "MAP for writing only");
	expect(ioas_map_at(fd, ioas, NULL, PAGE, TERA), 0,
	       "memory that is not there can be mapped before a device is");
	expect(ioas_unmap_range(fd, ioas, LAST_PAGE, PAGE), PAGE, "UNMAP of the last page");
	/* Pages 3 to 6, one anywhere, one far away, and two bytes. */
	expect(ioas_unmap_range(fd, ioas, 0, UINT64_MAX), 6 * (long)PAGE + 2,
	       "UNMAP of everything");
}

static void check_unmap(void)
{
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	char *memory = must_allocate(8 * PAGE);

	expect(ioas_unmap_range(fd, ioas, 0, UINT64_MAX), 0, "UNMAP of everything, of nothing");
	expect(ioas_unmap_range(fd, ioas, 0, PAGE), -ENOENT, "UNMAP of a page, of nothing");
	expect(ioas_unmap_range(fd, ioas, 0, UINT64_MAX - 1), -ENOENT,
	       "UNMAP of almost everything, of nothing");
	expect(ioas_unmap_range(fd, ioas, 0, 0), -EINVAL, "UNMAP, length 0");
	expect(ioas_unmap_range(fd, ioas, LAST_PAGE, 2 * PAGE), -EOVERFLOW,
	       "UNMAP, iova + length wraps");
	expect(ioas_unmap_range(fd, ioas, 1, UINT64_MAX), -EOVERFLOW, "UNMAP of everything but 0");

	must(ioas_map_at(fd, ioas, memory, 2 * PAGE, 4 * PAGE), "MAP");
	expect(ioas_unmap_range(fd, ioas, 4 * PAGE, PAGE), -ENOENT, "UNMAP of the first half");
	expect(ioas_unmap_range(fd, ioas, 5 * PAGE, PAGE), -ENOENT, "UNMAP of the second half");
	expect(ioas_unmap_range(fd, ioas, 3 * PAGE, 2 * PAGE), -ENOENT, "UNMAP across its start");
	expect(ioas_unmap_range(fd, ioas, 5 * PAGE, 2 * PAGE), -ENOENT, "UNMAP across its end");
	expect(ioas_unmap_range(fd, ioas, 5 * PAGE + 1, 1), -ENOENT, "UNMAP of a byte of it");
	expect(ioas_unmap_range(fd, ioas, 1, 7 * PAGE + 5), 2 * PAGE,
	       "UNMAP of more, beginning and ending anywhere");
	for (uint64_t i = 0; i < 4; i++)
		must(ioas_map_at(fd, ioas, memory, PAGE, 2 * i * PAGE), "MAP");
	expect(ioas_unmap_range(fd, ioas, PAGE, 4 * PAGE), 2 * PAGE, "UNMAP of two of four");
	expect(ioas_unmap_range(fd, ioas, 0, UINT64_MAX), 2 * PAGE, "UNMAP of the others");
}

/* Whether an IOVA is a multiple of the largest power of two that the length is, up to 1 GiB. */
static bool is_aligned(uint64_t iova, uint64_t length)
{
	uint64_t alignment = length & -length;

	return iova % (alignment > 1u << 30 ? 1u << 30 : alignment) == 0;
}

static void check_choice(void)
{
	static const uint64_t lengths[] = {
		PAGE, 2 * PAGE, 3 * PAGE, 16 * PAGE, 1u << 21, 5 * PAGE
	};
	const struct iommufd_range narrow = { 200 * PAGE, 204 * PAGE - 1 };
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	/* There is nothing, but it is as aligned as any address can be. */
	const char *memory = (const char *)(1ull << 40);
	uint64_t iova;

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		expect(ioas_map_anywhere(fd, ioas, memory, lengths[i], IOAS_READ_WRITE, &iova), 0,
		       "MAP of 0x%lx bytes anywhere", (unsigned long)lengths[i]);
		check(is_aligned(iova, lengths[i]), "0x%lx bytes are aligned by their length",
		      (unsigned long)lengths[i]);
		check(iova != 0, "0x%lx bytes are not at 0", (unsigned long)lengths[i]);
	}
	expect(ioas_map_anywhere(fd, ioas, memory, 100, IOAS_READ, &iova), 0,
	       "MAP of 100 bytes anywhere");
	expect(ioas_unmap_range(fd, ioas, iova, 100), 100, "UNMAP of 100 bytes");
	expect(ioas_map_anywhere(fd, ioas, NULL, 1ull << 63, IOAS_READ, &iova), -EOVERFLOW,
	       "MAP of half of the address space");
	expect(ioas_map_anywhere(fd, ioas, NULL, UINT64_MAX, IOAS_READ, &iova), -EOVERFLOW,
	       "MAP of all of the address space");
	must(ioas_unmap_range(fd, ioas, 0, UINT64_MAX), "UNMAP");

	expect(ioas_allow(fd, ioas, &narrow, 1), 0, "ALLOW_IOVAS of four pages");
	for (int i = 0; i < 4; i++) {
		expect(ioas_map_anywhere(fd, ioas, memory, PAGE, IOAS_READ, &iova), 0,
		       "MAP into them, page %d", i);
		check(iova >= narrow.start && iova + PAGE - 1 <= narrow.last,
		      "page %d is one of them", i);
	}
	expect(ioas_map_anywhere(fd, ioas, memory, PAGE, IOAS_READ, &iova), -ENOSPC,
	       "MAP of a fifth page");
	expect(ioas_map_at(fd, ioas, memory, PAGE, 1000 * PAGE), 0, "MAP elsewhere by IOVA");
	expect(ioas_allow(fd, ioas, NULL, 0), 0, "ALLOW_IOVAS of none");
	expect(ioas_map_anywhere(fd, ioas, memory, PAGE, IOAS_READ, &iova), 0,
	       "MAP of a fifth page then");
}

static void check_ranges(void)
{
	const struct iommufd_range overlap[] = { { 0, 9 }, { 9, 20 } };
	const struct iommufd_range touching[] = { { 10, 19 }, { 0, 9 } };
	const struct iommufd_range backwards = { 9, 8 };
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	struct iommufd_range range[2] = { { 7, 7 }, { 7, 7 } };
	struct iommufd_ranges query = { .size = sizeof(query), .ioas = ioas };

	expect(call(fd, IOMMUFD_IOVA_RANGES, &query), -EMSGSIZE, "IOVA_RANGES with no room");
	expect(query.count, 1, "it says how many there are");
	expect(ioas_ranges(fd, ioas, range, 2), 1, "IOVA_RANGES");
	check(range[0].start == 0 && range[0].last == UINT64_MAX, "everything is possible");
	check(range[1].start == 7 || range[1].start == 0, "behind the ranges there is nothing");
	expect(ioas_ranges(fd, ioas, NULL, 1), -EFAULT, "IOVA_RANGES, no address");
	expect(ioas_allow(fd, ioas, overlap, 2), -EINVAL, "ALLOW_IOVAS, two overlap");
	expect(ioas_allow(fd, ioas, &backwards, 1), -EINVAL, "ALLOW_IOVAS, one is backwards");
	expect(ioas_allow(fd, ioas, touching, 2), 0, "ALLOW_IOVAS, two that touch, in any order");
	expect(ioas_allow(fd, ioas, NULL, 1), -EFAULT, "ALLOW_IOVAS, no address");
	expect(ioas_ranges(fd, ioas, range, 2), 1, "what is allowed narrows nothing");
	check(range[0].start == 0 && range[0].last == UINT64_MAX, "everything is still possible");
}

static void check_copy(void)
{
	int fd = must_open_iommufd();
	uint32_t from = must_ioas(fd), to = must_ioas(fd);
	char *memory = must_allocate(8 * PAGE);
	struct iommufd_copy whole = {
		.size = sizeof(whole),
		.flags = IOAS_READ,
		.to = to,
		.from = from,
		.length = 8 * PAGE,
		.from_iova = 16 * PAGE,
	};
	struct iommufd_map reading = {
		.size = sizeof(reading),
		.flags = IOAS_FIXED | IOAS_READ,
		.ioas = from,
		.address = (uintptr_t)memory,
		.length = 4 * PAGE,
		.iova = 16 * PAGE,
	};

	must(call(fd, IOMMUFD_MAP, &reading), "MAP for reading");
	must(ioas_map_at(fd, from, memory, 4 * PAGE, 20 * PAGE), "MAP for both");
	expect(ioas_copy_to(fd, to, 0, from, 16 * PAGE, PAGE, IOAS_READ), 0, "COPY of a page");
	expect(ioas_copy_to(fd, to, PAGE, from, 16 * PAGE, PAGE, IOAS_READ_WRITE), -EPERM,
	       "COPY, writable, of what is not");
	expect(ioas_copy_to(fd, to, 0, from, 16 * PAGE, PAGE, IOAS_READ), -EEXIST,
	       "COPY to where an area is");
	expect(ioas_copy_to(fd, to, 2 * PAGE, from, 21 * PAGE, 2 * PAGE, IOAS_READ_WRITE), 0,
	       "COPY from within an area");
	expect(ioas_copy_to(fd, to, 4 * PAGE + 1, from, 21 * PAGE + 3, 5, IOAS_READ), 0,
	       "COPY of five bytes");
	expect(ioas_copy_to(fd, to, 32 * PAGE, from, 18 * PAGE, 4 * PAGE, IOAS_READ), 0,
	       "COPY across two areas");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, 18 * PAGE, 4 * PAGE, IOAS_READ_WRITE), -EPERM,
	       "COPY, writable, across two areas, of which one is not");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, 22 * PAGE, 4 * PAGE, IOAS_READ), -ENOENT,
	       "COPY of more than there is");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, 15 * PAGE, 2 * PAGE, IOAS_READ), -ENOENT,
	       "COPY from before an area");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, TERA, PAGE, IOAS_READ), -ENOENT,
	       "COPY of nothing");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, 16 * PAGE, 0, IOAS_READ), -EINVAL,
	       "COPY, length 0");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, 16 * PAGE, PAGE, 0), -EINVAL,
	       "COPY with no protection");
	expect(ioas_copy_to(fd, to, 64 * PAGE, from, LAST_PAGE, 2 * PAGE, IOAS_READ), -EOVERFLOW,
	       "COPY, the source wraps");
	expect(ioas_copy_to(fd, to, LAST_PAGE, from, 16 * PAGE, 2 * PAGE, IOAS_READ), -EOVERFLOW,
	       "COPY, the destination wraps");
	expect(ioas_copy_to(fd, from, 64 * PAGE, from, 16 * PAGE, 8 * PAGE, IOAS_READ), 0,
	       "COPY within an address space");
	expect(call(fd, IOMMUFD_COPY, &whole), 0, "COPY anywhere");
	expect(ioas_unmap_range(fd, to, whole.to_iova, 4 * PAGE), 4 * PAGE,
	       "a copy of two areas is two areas");
	expect(ioas_unmap_range(fd, from, 16 * PAGE, 8 * PAGE), 8 * PAGE,
	       "what was copied can be unmapped");
	expect(ioas_copy_to(fd, from, 16 * PAGE, to, 2 * PAGE, 2 * PAGE, IOAS_READ_WRITE), 0,
	       "COPY of a copy, back");
	expect(iommufd_destroy(fd, to), 0, "DESTROY of copies");
	expect(ioas_unmap_range(fd, from, 0, UINT64_MAX), 10 * PAGE, "UNMAP of copies");
}

static int must_memfd(size_t size)
{
	int file = memfd_create("weir", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(file < 0 ? -errno : 0, "memfd_create");
	must(ftruncate(file, (off_t)size) ? -errno : 0, "ftruncate");
	return file;
}

static int must_reopen(int file, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	again = open(path, flags | O_CLOEXEC);
	return (int)must(again < 0 ? -errno : again, "open a file again");
}

static void check_file(void)
{
	int fd = must_open_iommufd(), file = must_memfd(16 * PAGE);
	int reading = must_reopen(file, O_RDONLY), writing = must_reopen(file, O_WRONLY);
	int sealed = must_memfd(PAGE);
	uint32_t ioas = must_ioas(fd);

	expect(ioas_map_file_at(fd, ioas, file, 0, 16 * PAGE, 0, IOAS_READ_WRITE), 0, "MAP_FILE");
	expect(ioas_map_file_at(fd, ioas, file, 0, 16 * PAGE, 0, IOAS_READ_WRITE), -EEXIST,
	       "MAP_FILE again");
	expect(ioas_map_file_at(fd, ioas, file, 0, 0, TERA, IOAS_READ_WRITE), -EINVAL,
	       "MAP_FILE, length 0");
	expect(ioas_map_file_at(fd, ioas, file, 0, PAGE, TERA, 0), -EINVAL,
	       "MAP_FILE with no protection");
	expect(ioas_map_file_at(fd, ioas, -1, 0, PAGE, TERA, IOAS_READ), -EBADF,
	       "MAP_FILE of no file");
	expect(ioas_map_file_at(fd, ioas, file, LAST_PAGE, 2 * PAGE, TERA, IOAS_READ), -EOVERFLOW,
	       "MAP_FILE, start + length wraps");
	expect(ioas_map_file_at(fd, ioas, reading, 0, PAGE, 2 * TERA, IOAS_READ), 0,
	       "MAP_FILE of a file opened for reading");
	check(ioas_map_file_at(fd, ioas, reading, 0, PAGE, 3 * TERA, IOAS_READ_WRITE) < 0,
	      "MAP_FILE, writable, of a file opened for reading");
	check(ioas_map_file_at(fd, ioas, writing, 0, PAGE, 4 * TERA, IOAS_READ) < 0,
	      "MAP_FILE of a file opened for writing only");
	must(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE) ? -errno : 0, "seal a file");
	expect(ioas_map_file_at(fd, ioas, sealed, 0, PAGE, 7 * TERA, IOAS_READ_WRITE), -EPERM,
	       "MAP_FILE, writable, of a file sealed against writing");
	expect(ioas_map_file_at(fd, ioas, sealed, 0, PAGE, 8 * TERA, IOAS_READ), 0,
	       "MAP_FILE of a file sealed against writing");
	expect(iommufd_change_process(fd), 0, "CHANGE_PROCESS with files only");
	expect(ioas_copy_to(fd, ioas, 5 * TERA, ioas, PAGE, PAGE, IOAS_READ_WRITE), 0,
	       "COPY of a page of a file");
	expect(iommufd_change_process(fd), 0, "CHANGE_PROCESS with copies of files");
	must(ioas_map_at(fd, ioas, must_allocate(PAGE), PAGE, 6 * TERA), "MAP");
	expect(iommufd_change_process(fd), -EINVAL, "CHANGE_PROCESS with memory of a process");
	close(file);
	expect(ioas_unmap_range(fd, ioas, 0, 16 * PAGE), 16 * PAGE, "UNMAP of a closed file");
}

struct crew {
	int fd;
	uint32_t spaces[2];
	char *memory;
	atomic_uint worked;
	atomic_uint wrong;
};

struct worker {
	struct crew *crew;
	unsigned int number;
	pthread_t thread;
};

/* EBUSY: another call is at work there. */
static void judge(struct crew *crew, long got, long other, long another)
{
	if (got >= 0)
		atomic_fetch_add(&crew->worked, 1);
	else if (got != other && got != another && got != -EBUSY)
		atomic_fetch_add(&crew->wrong, 1);
}

static void run_crew(struct crew *crew, void *(*work)(void *))
{
	struct worker workers[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .crew = crew, .number = i };
		must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) ? -EAGAIN : 0,
		     "start a thread");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

/* Half of them map and copy one way, the others the other way; all unmap. */
static void *copy_both_ways(void *argument)
{
	const struct worker *worker = argument;
	struct crew *crew = worker->crew;
	uint32_t from = crew->spaces[worker->number % 2];
	uint32_t to = crew->spaces[(worker->number + 1) % 2];

	for (int round = 0; round < ROUNDS; round++) {
		judge(crew, ioas_map_at(crew->fd, from, crew->memory, 4 * PAGE, 0), -EEXIST, 0);
		judge(crew, ioas_copy_to(crew->fd, to, 0, from, 0, 4 * PAGE, IOAS_READ), -EEXIST,
		      -ENOENT);
		judge(crew, ioas_copy_to(crew->fd, from, 8 * PAGE, to, PAGE, PAGE, IOAS_READ),
		      -EEXIST, -ENOENT);
		judge(crew, ioas_unmap_range(crew->fd, to, 0, 4 * PAGE), -ENOENT, 0);
		judge(crew, ioas_unmap_range(crew->fd, from, 8 * PAGE, PAGE), -ENOENT, 0);
	}
	return NULL;
}

/* Everybody's objects are the same few: destroyed while others work with them. */
static void *destroy_in_use(void *argument)
{
	const struct worker *worker = argument;
	struct crew *crew = worker->crew;

	for (int round = 0; round < ROUNDS; round++) {
		struct iommufd_ioas_alloc alloc = { .size = sizeof(alloc) };
		uint32_t id = 1 + (uint32_t)(round + (int)worker->number) % 4;

		judge(crew, call(crew->fd, IOMMUFD_IOAS_ALLOC, &alloc), 0, 0);
		judge(crew, ioas_map_at(crew->fd, id, crew->memory, 4 * PAGE, 0), -ENOENT, -EEXIST);
		judge(crew, ioas_copy_to(crew->fd, id % 4 + 1, 0, id, 0, PAGE, IOAS_READ), -ENOENT,
		      -EEXIST);
		judge(crew, vfio_ioas(crew->fd, VFIO_IOAS_SET, id), -ENOENT, 0);
		judge(crew, map_dma(crew->fd, crew->memory, 16 * PAGE, PAGE, READ_WRITE), -ENODEV,
		      -EEXIST);
		judge(crew, ioas_unmap_range(crew->fd, id, 0, UINT64_MAX), -ENOENT, 0);
		judge(crew, iommufd_change_process(crew->fd), -EINVAL, 0);
		judge(crew, iommufd_destroy(crew->fd, id), -ENOENT, 0);
	}
	return NULL;
}

/* Cuts what others map, as type 1 does. */
static void *cut_the_same(void *argument)
{
	const struct worker *worker = argument;
	struct crew *crew = worker->crew;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t page = (uint64_t)(round + (int)worker->number) % 16;

		judge(crew, map_dma(crew->fd, crew->memory, 0, 16 * PAGE, READ_WRITE), -EEXIST, 0);
		judge(crew, unmap_dma(crew->fd, page * PAGE, PAGE, 0), -ENOENT, 0);
		judge(crew, unmap_dma(crew->fd, 8 * PAGE, 4 * PAGE, 0), -ENOENT, 0);
		judge(crew, map_dma(crew->fd, crew->memory, page * PAGE, PAGE, READ_WRITE), -EEXIST,
		      0);
	}
	return NULL;
}

static void check_threads(void)
{
	struct crew crew = { .fd = must_open_iommufd(), .memory = must_allocate(16 * PAGE) };
	uint32_t compatible;

	crew.spaces[0] = must_ioas(crew.fd);
	crew.spaces[1] = must_ioas(crew.fd);
	run_crew(&crew, copy_both_ways);
	check(crew.worked > 0 && crew.wrong == 0, "MAP, COPY and UNMAP of one area");
	crew.worked = crew.wrong = 0;
	run_crew(&crew, destroy_in_use);
	check(crew.worked > 0 && crew.wrong == 0, "DESTROY of objects that others work with");

	close(crew.fd);
	crew.fd = must_open_iommufd();
	compatible = must_ioas(crew.fd);
	must(iommufd_option(crew.fd, OPTION_HUGE_PAGES, OPTION_SET, compatible, 0), "HUGE_PAGES");
	must(vfio_ioas(crew.fd, VFIO_IOAS_SET, compatible), "VFIO_IOAS");
	crew.worked = crew.wrong = 0;
	run_crew(&crew, cut_the_same);
	check(crew.worked > 0 && crew.wrong == 0, "UNMAP_DMA that cuts one area");
}

/* Type 1 of the first version takes out exactly what it is told. */
static void check_cut(void)
{
	int fd = must_open_iommufd();
	uint32_t ioas = must_ioas(fd);
	char *memory = must_allocate(16 * PAGE);

	must(vfio_ioas(fd, VFIO_IOAS_SET, ioas), "VFIO_IOAS");
	must(iommufd_option(fd, OPTION_HUGE_PAGES, OPTION_SET, ioas, 0), "HUGE_PAGES off");
	must(map_dma(fd, memory, 0, 16 * PAGE, READ_WRITE), "MAP_DMA");
	expect(unmap_dma(fd, 4 * PAGE, 2 * PAGE, 0), 2 * PAGE, "UNMAP_DMA in the middle");
	expect(map_dma(fd, memory, 3 * PAGE, PAGE, READ_WRITE), -EEXIST, "before it there is some");
	expect(map_dma(fd, memory, 6 * PAGE, PAGE, READ_WRITE), -EEXIST, "behind it there is some");
	expect(map_dma(fd, memory, 5 * PAGE, PAGE, READ_WRITE), 0, "there is room");
	expect(unmap_dma(fd, 0, PAGE, 0), PAGE, "UNMAP_DMA at the start");
	expect(unmap_dma(fd, 15 * PAGE, PAGE, 0), PAGE, "UNMAP_DMA at the end");
	expect(ioas_unmap_range(fd, ioas, PAGE, PAGE), -ENOENT, "IOAS_UNMAP does not cut");
	expect(unmap_dma(fd, 3 * PAGE, 5 * PAGE, 0), 4 * PAGE, "UNMAP_DMA across three areas");
	expect(unmap_dma(fd, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 9 * PAGE, "UNMAP_DMA ALL");
}

static const struct conform_case cases[] = {
	{ "MAP", check_map },	    { "UNMAP", check_unmap },	  { "choice", check_choice },
	{ "ranges", check_ranges }, { "COPY", check_copy },	  { "MAP_FILE", check_file },
	{ "cutting", check_cut },   { "threads", check_threads },
};

const struct conform_part part_iommufd_areas = { "iommufd-areas", cases, ARRAY_SIZE(cases) };
