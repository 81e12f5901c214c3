/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks the guest lab from inside a guest: devices, IOMMU groups, NUMA nodes, huge pages, the
 * kernel's own VFIO with DMA through the IOMMU, hot-unplug by request, and the debug kernel's
 * checkers. Prints TAP. With "fault" it does one thing: let a device write where nothing is mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "edu.h"
#include "sysfs.h"
#include "tap.h"
#include "type1.h"

#define DEVICES "/sys/bus/pci/devices"
#define EDU "0000:00:17.0"
#define NVME_CMB "0000:03:00.0"
#define NVME_NS "0000:06:00.0"
#define NVME_NODE1 "0000:81:00.0"

#define IOVA 0x100000u
#define UNMAPPED_IOVA 0x200000u
#define HUGE_PAGE (2u << 20)
#define NVME_VS 0x08 /* NVMe 2.0 §3.1.3: version */

struct expected_device {
	const char *id;
	const char *bdf;
	long vendor;
	long device;
	long node;
	const char *group_neighbour; /* the one other device in its IOMMU group */
};

static const struct expected_device expected_devices[] = {
	{ "edu0", EDU, 0x1234, 0x11e8, -1, NULL },
	{ "nvme0", NVME_CMB, 0x1b36, 0x0010, -1, "0000:02:00.0" },
	{ "ivshmem0", "0000:04:00.0", 0x1af4, 0x1110, -1, "0000:02:01.0" },
	{ "nvme1", NVME_NS, 0x1b36, 0x0010, -1, NULL },
	{ "igb0", "0000:07:00.0", 0x8086, 0x10c9, -1, NULL },
	{ "igb1", "0000:08:00.0", 0x8086, 0x10c9, -1, NULL },
	{ "e1000e0", "0000:09:00.0", 0x8086, 0x10d3, -1, NULL },
	{ "virtio0", "0000:0a:00.0", 0x1af4, 0x1041, -1, NULL },
	{ "nvme2", NVME_NODE1, 0x1b36, 0x0010, 1, NULL },
};

static void check_kernel(struct tap *tap, const char *name)
{
	bool debug = strstr(name, "-debug");
	struct utsname uts;
	char text[128];

	uname(&uts);
	tap_check(tap,
		  strncmp(uts.release, name, strcspn(name, "-")) == 0 &&
			  debug == !!strstr(uts.release, "-weir-debug"),
		  "kernel %s is a %s", uts.release, name);
	tap_check(tap,
		  sysfs_exists("/sys/kernel/debug/kmemleak") == debug &&
			  sysfs_exists("/proc/lockdep") == debug &&
			  sysfs_exists("/sys/kernel/debug/failslab") == debug,
		  "kmemleak, lockdep and failslab are %s", debug ? "on" : "off");
	tap_check(tap, (system("modprobe -q iommufd") == 0 && sysfs_exists("/dev/iommu")) == debug,
		  "the kernel's own iommufd is %s", debug ? "there" : "not there");
	sysfs_read(text, sizeof(text), "/sys/devices/system/node/online");
	tap_check(tap, strcmp(text, "0-1") == 0, "NUMA nodes online: %s", text);
}

static bool in_group(const char *bdf, const char *other)
{
	return sysfs_exists(DEVICES "/%s/iommu_group/devices/%s", bdf, other);
}

static int group_size(const char *bdf)
{
	char command[128];
	char text[16] = "";
	FILE *pipe;

	snprintf(command, sizeof(command), "ls " DEVICES "/%s/iommu_group/devices/ | wc -l", bdf);
	pipe = popen(command, "r");
	if (!pipe)
		return -1;
	if (!fgets(text, sizeof(text), pipe))
		text[0] = '\0';
	pclose(pipe);
	return atoi(text);
}

static void check_devices(struct tap *tap)
{
	for (size_t i = 0; i < sizeof(expected_devices) / sizeof(expected_devices[0]); i++) {
		const struct expected_device *want = &expected_devices[i];
		long vendor = sysfs_number(DEVICES "/%s/vendor", want->bdf);
		long device = sysfs_number(DEVICES "/%s/device", want->bdf);
		long node = sysfs_number(DEVICES "/%s/numa_node", want->bdf);
		int members = group_size(want->bdf);

		tap_check(tap, vendor == want->vendor && device == want->device,
			  "%s is %04lx:%04lx at %s", want->id, vendor, device, want->bdf);
		tap_check(tap, node == want->node, "%s is on NUMA node %ld", want->id, node);
		tap_check(tap,
			  want->group_neighbour
				  ? members == 2 && in_group(want->bdf, want->group_neighbour)
				  : members == 1,
			  "%s has an IOMMU group of %d", want->id, members);
	}
}

static void check_huge_pages(struct tap *tap, int node)
{
	const char *pages =
		"/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages";
	void *memory;

	sysfs_write("80", pages, node);
	tap_check(tap, sysfs_number(pages, node) == 80, "80 huge pages can be reserved on node %d",
		  node);
	memory = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (!tap_check(tap, memory != MAP_FAILED, "a huge page can be mapped"))
		return;
	memset(memory, 1, HUGE_PAGE);
	munmap(memory, HUGE_PAGE);
}

static void check_vfio_nvme(struct tap *tap)
{
	struct type1 vfio;
	const char *step;
	int ret = type1_bind(NVME_CMB);

	tap_check(tap, ret == 0, "vfio-pci binds nvme0 by driver_override: %s", strerror(-ret));
	ret = type1_open(&vfio, NVME_CMB, &step);
	if (!tap_check(tap, ret == 0, "nvme0 opens by group, container, device (%s: %s)", step,
		       strerror(-ret)))
		return;
	tap_check(tap, *(volatile uint32_t *)((char *)vfio.bar0 + NVME_VS) >= 0x10400,
		  "nvme0's BAR 0 is mapped and holds a version of NVMe");
	type1_close(&vfio);
}

static uint8_t *map_huge_page(void)
{
	void *memory = mmap(NULL, HUGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void check_dma(struct tap *tap)
{
	uint8_t *memory = map_huge_page();
	struct type1 vfio;
	const char *step;
	int ret = type1_bind(EDU);

	if (!ret)
		ret = type1_open(&vfio, EDU, &step);
	if (!tap_check(tap, memory && ret == 0, "edu0 opens through VFIO: %s", strerror(-ret)))
		return;
	ret = type1_map(&vfio, memory, HUGE_PAGE, IOVA * 2);
	tap_check(tap, ret == 0, "type1 maps a huge page: %s", strerror(-ret));

	memset(memory, 0x5a, EDU_BUFFER_SIZE);
	tap_check(tap, edu_copy(vfio.bar0, IOVA * 2, EDU_BUFFER_SIZE, EDU_FROM_MEMORY),
		  "edu0 reads memory by DMA");
	memset(memory, 0, 3 * EDU_BUFFER_SIZE);
	tap_check(tap,
		  edu_copy(vfio.bar0, IOVA * 2 + EDU_BUFFER_SIZE, EDU_BUFFER_SIZE, EDU_TO_MEMORY),
		  "edu0 writes memory by DMA");
	tap_check(tap,
		  memory[EDU_BUFFER_SIZE - 1] == 0 && memory[EDU_BUFFER_SIZE] == 0x5a &&
			  memory[2 * EDU_BUFFER_SIZE - 1] == 0x5a &&
			  memory[2 * EDU_BUFFER_SIZE] == 0,
		  "its data came through the IOMMU to the address asked for, and no further");
	type1_close(&vfio);
	munmap(memory, HUGE_PAGE);
}

static bool is_namespace(const char *name, unsigned int nsid)
{
	char serial[32];

	sysfs_read(serial, sizeof(serial), "/sys/block/%s/device/serial", name);
	return strncmp(serial, "weir-nvme1", strlen("weir-nvme1")) == 0 &&
	       sysfs_number("/sys/block/%s/nsid", name) == nsid;
}

/*
 * The block device of nvme1's namespace, once the kernel's driver has found it. Namespaces are
 * looked for at the same time: the number in the name says which was found first.
 */
static bool find_namespace(char *name, size_t size, unsigned int nsid)
{
	for (int waited = 0; waited < 50; waited++) {
		for (int i = 0; i < 16; i++) {
			snprintf(name, size, "nvme%dn%d", i / 2, i % 2 + 1);
			if (is_namespace(name, nsid))
				return true;
		}
		usleep(200 * 1000);
	}
	return false;
}

static bool write_block(const char *name, const char *text)
{
	char path[64];
	bool written;
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fsync(fd) == 0;
	close(fd);
	return written;
}

static void check_namespaces(struct tap *tap)
{
	static const long block_sizes[] = { 512, 4096 };
	char name[32];

	tap_check(tap, system("modprobe nvme") == 0, "the kernel's NVMe driver loads");
	for (unsigned int nsid = 1; nsid <= 2; nsid++) {
		long size = block_sizes[nsid - 1];

		tap_check(tap,
			  find_namespace(name, sizeof(name), nsid) &&
				  sysfs_number("/sys/block/%s/queue/logical_block_size", name) ==
					  size,
			  "nvme1's namespace %u has blocks of %ld bytes", nsid, size);
		if (nsid == 1)
			tap_check(tap, write_block(name, "written by lab_check"),
				  "it can be written");
	}
}

static bool device_appears(const char *bdf, bool there)
{
	for (int waited = 0; waited < 150; waited++) {
		if (sysfs_exists(DEVICES "/%s", bdf) == there)
			return true;
		usleep(200 * 1000);
	}
	return false;
}

/* QEMU forgets an id only some time after the guest has let go of the device. */
static bool plug_in_again(void)
{
	for (int tries = 0; tries < 20; tries++) {
		if (system("guest-request device_add driver=nvme id=nvme2 serial=weir-nvme2 "
			   "drive=disk3 bus=rp3") == 0)
			return true;
		usleep(500 * 1000);
	}
	return false;
}

static void check_requests(struct tap *tap)
{
	tap_check(tap, system("guest-request device_del id=nvme2") == 0, "device_del is accepted");
	tap_check(tap, device_appears(NVME_NODE1, false), "nvme2 is gone");
	tap_check(tap, plug_in_again(), "device_add is accepted");
	tap_check(tap, device_appears(NVME_NODE1, true), "nvme2 is back");
	tap_check(tap, system("guest-request device_del id=nobody") != 0,
		  "device_del of what is not there is refused");
}

static int provoke_fault(void)
{
	struct type1 vfio;
	const char *step = "bind";
	int ret = type1_bind(EDU);

	if (!ret)
		ret = type1_open(&vfio, EDU, &step);
	if (ret) {
		fprintf(stderr, "edu0: %s: %s\n", step, strerror(-ret));
		return 1;
	}
	edu_copy(vfio.bar0, UNMAPPED_IOVA, EDU_BUFFER_SIZE, EDU_TO_MEMORY);
	type1_close(&vfio);
	return 0;
}

int main(int argc, char **argv)
{
	struct tap tap = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: %s KERNEL|fault\n", argv[0]);
		return 2;
	}
	if (system("modprobe vfio-pci") != 0)
		return 1;
	if (strcmp(argv[1], "fault") == 0)
		return provoke_fault();
	check_kernel(&tap, argv[1]);
	check_devices(&tap);
	check_huge_pages(&tap, 0);
	check_huge_pages(&tap, 1);
	check_vfio_nvme(&tap);
	check_dma(&tap);
	check_namespaces(&tap);
	check_requests(&tap);
	tap_check(&tap, system("touch /etc/left-by-lab_check") == 0, "the root can be written");
	return tap_finish(&tap);
}
