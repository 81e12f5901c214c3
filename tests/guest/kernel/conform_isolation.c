/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DMA that must not arrive. edu's engine copies to and from where it is told; success that it
 * reports proves nothing, so that every target is poison between canaries, and is compared. The
 * IOMMU reports the faults: the guest is run with --expect-dmar-fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../edu.h"
#include "../sysfs.h"
#include "../type1.h"
#include "calls.h"

#define USER "lab" /* of the lab's roots */
#define IOVA 0x400000u /* edu reaches the first 256 MiB */
#define BAR_IOVA 0x8000000u
#define BYTES 2048u /* of a copy, in the middle of a page */
#define MARGIN ((PAGE - BYTES) / 2)
#define POISON 0xa5
#define CANARY 0x3c
#define DATA 0x5a
#define LATE_US (500 * 1000) /* edu starts a copy 100 ms after it was told to */
#define MEMORY_BAR 2

/* A target is the middle of a page; the rest of it, and the pages beside it, are canaries. */
static void poison(unsigned char *page)
{
	memset(page - PAGE, CANARY, 3 * PAGE);
	memset(page + MARGIN, POISON, BYTES);
}

/* Whether the middle holds only bytes of this value, and everything around it canaries. */
static bool holds(const unsigned char *page, unsigned char value)
{
	for (size_t i = 0; i < 3 * PAGE; i++) {
		size_t inside = i - PAGE - MARGIN;

		if (page[i - PAGE] != (inside < BYTES ? value : CANARY))
			return false;
	}
	return true;
}

static unsigned char *must_have_target(void)
{
	unsigned char *page = (unsigned char *)must_allocate(3 * PAGE) + PAGE;

	poison(page);
	return page;
}

/* Fills the engine's buffer with DATA, from memory at an IOVA of its own. */
static void load_engine(struct session *edu, void *bar)
{
	unsigned char *source = must_allocate(PAGE), *back = must_allocate(PAGE);

	memset(source, DATA, PAGE);
	must(map_dma(edu->container, source, 0, PAGE, READ_WRITE), "MAP_DMA of the source");
	must(map_dma(edu->container, back, PAGE, PAGE, READ_WRITE), "MAP_DMA to read it back");
	must(edu_copy(bar, 0, PAGE, EDU_FROM_MEMORY) && edu_copy(bar, PAGE, PAGE, EDU_TO_MEMORY)
		     ? 0
		     : -EIO,
	     "load the engine");
	must(memcmp(source, back, PAGE) == 0 ? 0 : -EIO, "have the data in the engine");
}

static struct session must_open_edu(void **bar)
{
	struct session edu = must_open(EDU, VFIO_TYPE1v2_IOMMU);

	set_command(edu.device, true, true);
	*bar = must_map_region(edu.device, 0);
	load_engine(&edu, *bar);
	return edu;
}

static void check_unmapped(void)
{
	void *bar;
	struct session edu = must_open_edu(&bar);
	unsigned char *page = must_have_target();

	must(map_dma(edu.container, page - PAGE, IOVA, 3 * PAGE, READ_WRITE), "MAP_DMA");
	edu_copy(bar, IOVA + PAGE + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, DATA), "what is mapped is written, and nothing else");
	poison(page);
	expect(unmap_dma(edu.container, IOVA, 3 * PAGE, 0), 3 * PAGE, "UNMAP_DMA");
	edu_copy(bar, IOVA + PAGE + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, POISON), "what was unmapped is not written");
	must(map_dma(edu.container, page - PAGE, IOVA, 3 * PAGE, VFIO_DMA_MAP_FLAG_READ),
	     "MAP_DMA for reading");
	edu_copy(bar, IOVA + PAGE + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, POISON), "what is mapped for reading is not written");
	must(unmap_dma(edu.container, IOVA, 3 * PAGE, 0), "UNMAP_DMA");
	must(map_dma(edu.container, page, IOVA, PAGE, READ_WRITE), "MAP_DMA of one page");
	edu_copy(bar, IOVA + PAGE + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, POISON), "the page behind one that is mapped is not written");
	edu_copy(bar, IOVA - PAGE + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, POISON), "the page before one that is mapped is not written");
	edu_copy(bar, IOVA + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, DATA), "the page itself is");
}

/* Pages of a large area that is taken out together, one of them aimed at. */
static void check_large(void)
{
	const size_t size = 4u << 20;
	void *bar;
	struct session edu = must_open_edu(&bar);
	unsigned char *memory = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *page;

	must(memory == MAP_FAILED ? -errno : 0, "allocate memory");
	memory += size - (uintptr_t)memory % size;
	madvise(memory, size, MADV_HUGEPAGE);
	memset(memory, 0, size);
	page = memory + size / 2 + 5 * PAGE;
	poison(page);
	must(map_dma(edu.container, memory, IOVA, size, READ_WRITE), "MAP_DMA of 4 MiB");
	edu_copy(bar, IOVA + (page - memory) + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, DATA), "a page of 4 MiB is written");
	poison(page);
	expect(unmap_dma(edu.container, IOVA, size, 0), (long)size, "UNMAP_DMA of 4 MiB");
	edu_copy(bar, IOVA + (page - memory) + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, POISON), "a page of 4 MiB that were unmapped is not written");
}

/* Tells the engine to copy, and does not wait. */
static void start_copy(void *bar, uint64_t iova)
{
	volatile uint64_t *dma = (volatile uint64_t *)((char *)bar + 0x80);

	dma[0] = 0x40000; /* the engine's buffer */
	dma[1] = iova;
	dma[2] = BYTES;
	dma[3] = 3; /* start, to memory */
}

/* The copy is under way when its files are closed: device, group, container, or the other way. */
static void check_closed(void)
{
	for (int order = 0; order < 2; order++) {
		void *bar;
		struct session edu;
		unsigned char *page = must_have_target();

		about(order ? "container first" : "device first");
		edu = must_open_edu(&bar);
		must(map_dma(edu.container, page - PAGE, IOVA, 3 * PAGE, READ_WRITE), "MAP_DMA");
		start_copy(bar, IOVA + PAGE + MARGIN);
		munmap(bar, must_region(edu.device, 0).size);
		if (order) {
			close(edu.container);
			close(edu.group);
			close(edu.device);
		} else {
			close_session(&edu);
		}
		poison(page);
		usleep(LATE_US);
		check(holds(page, POISON), "a copy that was under way at close() writes nothing");
	}
}

/* A device that left the container reaches nothing in it, while another one does. */
static void check_left(void)
{
	void *bar;
	struct session edu = must_open_edu(&bar);
	struct session nvme = must_join(&edu, NVME); /* which keeps what is mapped */
	unsigned char *page = must_have_target();

	must(map_dma(edu.container, page - PAGE, IOVA, 3 * PAGE, READ_WRITE), "MAP_DMA");
	start_copy(bar, IOVA + PAGE + MARGIN);
	munmap(bar, must_region(edu.device, 0).size);
	close(edu.device);
	close(edu.group);
	usleep(LATE_US);
	check(holds(page, POISON), "a device whose group left writes nothing");
	close_session(&nvme);
}

static void fill(volatile unsigned char *bytes, size_t size, unsigned char value)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = value;
}

/* As holds(), of memory behind a BAR. */
static bool bar_holds(const volatile unsigned char *bytes, unsigned char value)
{
	for (size_t i = 0; i < PAGE; i++) {
		size_t inside = i - MARGIN;

		if (bytes[i] != (inside < BYTES ? value : CANARY))
			return false;
	}
	return true;
}

static void poison_bar(volatile unsigned char *bytes)
{
	fill(bytes, PAGE, CANARY);
	fill(bytes + MARGIN, BYTES, POISON);
}

struct pair {
	struct session edu;
	void *engine;
	struct session memory;
	unsigned char *bar; /* all of the memory device's, mapped at BAR_IOVA */
	size_t size;
};

static struct pair must_open_pair(void)
{
	struct pair pair;

	pair.edu = must_open_edu(&pair.engine);
	pair.memory = must_join(&pair.edu, MEMORY);
	set_command(pair.memory.device, true, false);
	pair.bar = must_map_region(pair.memory.device, MEMORY_BAR);
	pair.size = must_region(pair.memory.device, MEMORY_BAR).size;
	must(map_dma(pair.edu.container, pair.bar, BAR_IOVA, pair.size, READ_WRITE),
	     "MAP_DMA of a BAR");
	poison_bar(pair.bar + PAGE);
	return pair;
}

static void copy_to_bar(struct pair *pair)
{
	edu_copy(pair->engine, BAR_IOVA + PAGE + MARGIN, BYTES, EDU_TO_MEMORY);
}

static void check_bar_off(void)
{
	struct pair pair = must_open_pair();

	copy_to_bar(&pair);
	check(bar_holds(pair.bar + PAGE, DATA), "one device writes into another's BAR");
	poison_bar(pair.bar + PAGE);
	set_command(pair.memory.device, false, false);
	copy_to_bar(&pair);
	set_command(pair.memory.device, true, false);
	check(bar_holds(pair.bar + PAGE, POISON), "not while that one's memory is off");
	copy_to_bar(&pair);
	check(bar_holds(pair.bar + PAGE, DATA), "and again when it is back on");
	poison_bar(pair.bar + PAGE);
	expect(unmap_dma(pair.edu.container, BAR_IOVA, pair.size, 0), (long)pair.size,
	       "UNMAP_DMA of the BAR");
	copy_to_bar(&pair);
	check(bar_holds(pair.bar + PAGE, POISON), "not when the BAR was unmapped");
}

/* The host's view of the memory device's BAR, without any driver. */
static unsigned char *must_map_resource(size_t size)
{
	char path[96];
	void *address;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", the_devices[MEMORY].bdf,
		 MEMORY_BAR);
	file = fopen(path, "r+");
	must(file ? 0 : -errno, "open %s", path);
	address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
	must(address == MAP_FAILED ? -errno : 0, "map %s", path);
	fclose(file);
	return address;
}

static void check_bar_closed(void)
{
	struct pair pair = must_open_pair();
	struct session again;
	unsigned char *bar;

	munmap(pair.bar, pair.size);
	close(pair.memory.device);

	again = pair.memory;
	again.device = (int)must(get_device(again.group, the_devices[MEMORY].bdf), "open it again");
	set_command(again.device, true, false);
	bar = must_map_region(again.device, MEMORY_BAR);
	poison_bar(bar + PAGE);
	copy_to_bar(&pair);
	check(bar_holds(bar + PAGE, POISON),
	      "a BAR that was mapped before the device was closed and opened is not written");
	munmap(bar, pair.size);
	close(again.device);
	close(again.group);

	must(sysfs_write(the_devices[MEMORY].bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"),
	     "unbind");
	must(sysfs_write("1", "/sys/bus/pci/devices/%s/enable", the_devices[MEMORY].bdf),
	     "switch its memory on");
	bar = must_map_resource(pair.size);
	poison_bar(bar + PAGE);
	copy_to_bar(&pair);
	check(bar_holds(bar + PAGE, POISON), "nor is it when the device is the host's again");
	expect(unmap_dma(pair.edu.container, BAR_IOVA, pair.size, 0), (long)pair.size,
	       "UNMAP_DMA of a BAR that is gone takes all of it");
	must(type1_bind(the_devices[MEMORY].bdf), "bind it again");
}

/* Whether the kernel's NVMe driver gets its controller going, in ten seconds, and reads a block. */
static bool host_driver_reads(const char *bdf)
{
	for (int waited = 0; waited < 100; waited++) {
		for (int i = 0; i < 8; i++) {
			char path[64];
			int fd;

			if (!sysfs_exists("/sys/bus/pci/devices/%s/nvme/nvme%d/nvme%dn1", bdf, i,
					  i))
				continue;
			snprintf(path, sizeof(path), "/dev/nvme%dn1", i);
			fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
			if (fd >= 0) {
				ssize_t got = pread(fd, must_allocate(PAGE), PAGE, 0);

				close(fd);
				return got == PAGE;
			}
		}
		usleep(100 * 1000);
	}
	return false;
}

/* The closed device is one that the kernel's own driver uses meanwhile. */
static void check_host_driver(void)
{
	void *engine;
	struct session edu = must_open_edu(&engine);
	struct session nvme = must_join(&edu, NVME);
	const uint64_t controller = 0x14; /* NVMe 2.0 §3.1.3.5: CC, and CSTS behind it */
	size_t size = must_region(nvme.device, 0).size;
	const char *bdf = the_devices[NVME].bdf;
	void *bar;
	int log;

	set_command(nvme.device, true, false);
	bar = must_map_region(nvme.device, 0);
	must(map_dma(edu.container, bar, BAR_IOVA, size, READ_WRITE), "MAP_DMA of a BAR");
	munmap(bar, size);
	close(nvme.device);
	close(nvme.group);
	must(system("modprobe nvme") == 0 ? 0 : -ENOENT, "load the kernel's NVMe driver");
	must(sysfs_write(bdf, "/sys/bus/pci/drivers/vfio-pci/unbind"), "unbind");
	must(sysfs_write("\n", "/sys/bus/pci/devices/%s/driver_override", bdf),
	     "no driver_override");
	must(sysfs_write(bdf, "/sys/bus/pci/drivers/nvme/bind"), "bind the kernel's NVMe driver");
	check(host_driver_reads(bdf), "the kernel's driver reads a block");
	/* What arrived there would take the controller down: the driver would bring it up again,
	 * and say so. */
	log = must_open_log();
	edu_copy(engine, BAR_IOVA + controller, 4, EDU_TO_MEMORY);
	check(host_driver_reads(bdf) && !log_has(log, "nvme"),
	      "and reads it still after a copy to its registers");
	must(type1_bind(bdf), "bind it to vfio-pci again");
}

/* Runs as an ordinary user who has been given edu's group. */
static void be_user(void)
{
	void *bar;
	struct session edu = must_open_edu(&bar);
	unsigned char *page = must_have_target();
	int32_t own = edu.group;
	struct {
		struct vfio_pci_hot_reset header;
		int32_t groups[1];
	} reset = { .header = { .argsz = sizeof(reset), .count = 1 }, .groups = { own } };

	check(getuid() != 0, "an ordinary user opens the group that is theirs");
	expect(open_group(NVME), -EACCES, "another group's node");
	expect(get_device(edu.group, the_devices[NVME].bdf), -ENODEV, "another group's device");
	expect(call(edu.device, VFIO_DEVICE_PCI_HOT_RESET, &reset), -ENODEV, "a reset of more");
	must(map_dma(edu.container, page, IOVA, PAGE, READ_WRITE), "MAP_DMA");
	edu_copy(bar, IOVA + MARGIN, BYTES, EDU_TO_MEMORY);
	check(holds(page, DATA), "DMA to what is mapped arrives");
	poison(page);
	for (uint64_t iova = IOVA + PAGE; iova < 0x10000000; iova += 0x3000000)
		edu_copy(bar, iova, BYTES, EDU_TO_MEMORY);
	check(holds(page, POISON), "DMA to anything else changes nothing");
	expect(map_dma(edu.container, (void *)0xffff888000000000ull, IOVA * 2, PAGE, READ_WRITE),
	       -EFAULT, "MAP_DMA of the kernel's memory");
}

static void check_user(void)
{
	const struct passwd *user = getpwnam(USER);
	uid_t uid = user ? user->pw_uid : 0;

	must(user ? 0 : -ENOENT, "find the user %s", USER);
	must(chown(the_devices[EDU].node, uid, user->pw_gid) ? -errno : 0, "give the node away");
	must(chmod(the_devices[NVME].node, 0600) ? -errno : 0, "keep the other to ourselves");
	must(setgid(user->pw_gid) || setuid(uid) ? -errno : 0, "become %s", USER);
	be_user();
}

static const struct conform_case cases[] = {
	{ "memory that was unmapped", check_unmapped },
	{ "a large area", check_large },
	{ "files that were closed", check_closed },
	{ "a group that left", check_left },
	{ "a BAR that is off", check_bar_off },
	{ "a BAR whose device was closed", check_bar_closed },
	{ "a BAR that the kernel's driver has", check_host_driver },
	{ "an ordinary user", check_user },
};

const struct conform_part part_isolation = { "isolation", cases, ARRAY_SIZE(cases) };
