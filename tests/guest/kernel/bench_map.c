/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_map BDF: how long type 1 takes to map and unmap 1 GiB of memory, of 2 MiB pages in one
 * call, and of 4 KiB pages in one call and in calls of 2 MiB. Prints lines of NAME MILLISECONDS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/vfio.h>

#include "../type1.h"

#define GIB (1ull << 30)
#define MIB2 (2ull << 20)
#define IOVA 0x100000000ull

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void unmap(struct type1 *vfio, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap request = {
		.argsz = sizeof(request),
		.iova = iova,
		.size = size,
	};

	if (ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &request) || request.size != size)
		fail("VFIO_IOMMU_UNMAP_DMA");
}

static void measure(struct type1 *vfio, const char *name, int flags, uint64_t step)
{
	char *memory = mmap(NULL, GIB + MIB2, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	char *start;
	double begin;

	if (memory == MAP_FAILED)
		fail(name);
	start = memory + (MIB2 - (uintptr_t)memory % MIB2) % MIB2;
	if (!flags && madvise(memory, GIB + MIB2, MADV_NOHUGEPAGE))
		fail("madvise");
	memset(start, 1, GIB);
	begin = now_ms();
	for (uint64_t at = 0; at < GIB; at += step) {
		if (type1_map(vfio, start + at, step, IOVA + at))
			fail("VFIO_IOMMU_MAP_DMA");
	}
	printf("map-%s %.1f\n", name, now_ms() - begin);
	begin = now_ms();
	for (uint64_t at = 0; at < GIB; at += step)
		unmap(vfio, IOVA + at, step);
	printf("unmap-%s %.1f\n", name, now_ms() - begin);
	munmap(memory, GIB + MIB2);
}

int main(int argc, char **argv)
{
	struct type1 vfio;
	const char *step;
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: %s BDF\n", argv[0]);
		return 2;
	}
	ret = type1_bind(argv[1]);
	if (!ret)
		ret = type1_open(&vfio, argv[1], &step);
	if (ret) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	measure(&vfio, "1-GiB-of-2-MiB-pages", MAP_HUGETLB, GIB);
	measure(&vfio, "1-GiB-of-4-KiB-pages", 0, GIB);
	measure(&vfio, "512-times-2-MiB-of-4-KiB-pages", 0, MIB2);
	type1_close(&vfio);
	return 0;
}
