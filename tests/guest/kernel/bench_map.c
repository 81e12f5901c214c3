/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench_map BDF: how long type 1 takes to map and unmap 1 GiB of memory, of 2 MiB pages in one
 * call, and of 4 KiB pages in one call and in calls of 2 MiB; and where there is /dev/iommu, how
 * long it takes for a file of 2 MiB pages. Prints lines of NAME MILLISECONDS.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/memfd.h>
#include <linux/vfio.h>

#include "../type1.h"
#include "cdev_calls.h"

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

static int memory_file(void)
{
	int file = memfd_create("bench", MFD_HUGETLB | MFD_HUGE_2MB);
	char *memory;

	if (file < 0 || ftruncate(file, GIB))
		fail("memfd_create");
	memory = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	memset(memory, 1, GIB);
	munmap(memory, GIB);
	return file;
}

/* The device by its own node, attached to a new address space of the context. */
static int attach_to(int context, const char *bdf, uint32_t *ioas)
{
	struct device_bind bind = { .argsz = sizeof(bind), .iommufd = context };
	struct iommufd_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct device_attach attach = { .argsz = sizeof(attach) };
	char path[64];
	glob_t found;
	int device;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev/*", bdf);
	if (glob(path, 0, NULL, &found))
		fail(path);
	snprintf(path, sizeof(path), "/dev/vfio/devices%s", strrchr(found.gl_pathv[0], '/'));
	globfree(&found);
	device = open(path, O_RDWR | O_CLOEXEC);
	if (device < 0 || ioctl(device, DEVICE_BIND, &bind) ||
	    ioctl(context, IOMMUFD_IOAS_ALLOC, &alloc))
		fail(path);
	attach.pt_id = alloc.id;
	if (ioctl(device, DEVICE_ATTACH, &attach))
		fail("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	*ioas = alloc.id;
	return device;
}

static void measure_file(int context, const char *bdf)
{
	struct iommufd_map_file map = {
		.size = sizeof(map),
		.flags = IOAS_FIXED | IOAS_READ_WRITE,
		.length = GIB,
		.iova = IOVA,
	};
	struct iommufd_unmap unmapping = { .size = sizeof(unmapping), .iova = IOVA, .length = GIB };
	int device = attach_to(context, bdf, &map.ioas);
	double begin;

	map.fd = memory_file();
	unmapping.ioas = map.ioas;
	begin = now_ms();
	if (ioctl(context, IOMMUFD_MAP_FILE, &map))
		fail("IOMMU_IOAS_MAP_FILE");
	printf("map-file-1-GiB-of-2-MiB-pages %.1f\n", now_ms() - begin);
	begin = now_ms();
	if (ioctl(context, IOMMUFD_UNMAP, &unmapping) || unmapping.length != GIB)
		fail("IOMMU_IOAS_UNMAP");
	printf("unmap-file-1-GiB-of-2-MiB-pages %.1f\n", now_ms() - begin);
	close(map.fd);
	close(device);
}

int main(int argc, char **argv)
{
	struct type1 vfio;
	const char *step;
	int ret, context;

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
	context = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (context < 0 && errno != ENOENT)
		fail("/dev/iommu");
	if (context >= 0) {
		measure_file(context, argv[1]);
		close(context);
	}
	return 0;
}
