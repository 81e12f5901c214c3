/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BARs through the device's file: reads and writes of any width, mappings, and what becomes of them
 * when memory is not accessible.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

#define DATA_BAR 2 /* of the memory device */

static long read_at(int device, uint64_t offset, void *buffer, size_t size)
{
	ssize_t got = pread(device, buffer, size, (off_t)offset);

	return got < 0 ? -errno : got;
}

static long write_at(int device, uint64_t offset, const void *buffer, size_t size)
{
	ssize_t put = pwrite(device, buffer, size, (off_t)offset);

	return put < 0 ? -errno : put;
}

/* Pieces of every size at every alignment, judged by a mapping. */
static void check_widths(void)
{
	struct session session = must_open(MEMORY, VFIO_TYPE1v2_IOMMU);
	struct vfio_region_info info;
	unsigned char piece[80], back[80];
	unsigned char *bar;

	set_command(session.device, true, false);
	info = must_region(session.device, DATA_BAR);
	bar = must_map_region(session.device, DATA_BAR);
	for (size_t size = 1; size <= 67; size += size < 9 ? 1 : 29) {
		bool read_right = true, write_right = true;

		for (unsigned int at = PAGE; at < PAGE + 8; at++) {
			memset(bar + PAGE - 16, 0xee, 128);
			for (size_t i = 0; i < size; i++)
				piece[i] = (unsigned char)(size + i + at);
			write_right &= write_at(session.device, info.offset + at, piece, size) ==
					       (long)size &&
				       memcmp(bar + at, piece, size) == 0 && bar[at - 1] == 0xee &&
				       bar[at + size] == 0xee;
			memset(back, 0, sizeof(back));
			read_right &= read_at(session.device, info.offset + at, back, size) ==
					      (long)size &&
				      memcmp(back, piece, size) == 0;
		}
		check(write_right, "write() of %zu bytes at any alignment, and no byte more", size);
		check(read_right, "read() of %zu bytes at any alignment", size);
	}
	expect(read_at(session.device, info.offset + info.size, back, 4), -EINVAL,
	       "read() behind the end");
	expect(write_at(session.device, info.offset + info.size, back, 4), -EINVAL,
	       "write() behind the end");
	expect(read_at(session.device, info.offset + info.size - 4, back, 16), 4,
	       "read() across the end is cut short");
	expect(read_at(session.device, info.offset, no_address(), 4), -EFAULT,
	       "read() to no address");
	expect(write_at(session.device, info.offset, no_address(), 4), -EFAULT,
	       "write() from no address");
}

static void check_absent(void)
{
	struct session session = must_open(EDU, VFIO_TYPE1v2_IOMMU);
	uint64_t bar0 = must_region(session.device, 0).offset, bar1;
	unsigned char byte = 0;

	bar1 = must_region(session.device, 1).offset;
	expect(read_at(session.device, bar1, &byte, 1), -EINVAL,
	       "read() of a BAR that is not there");
	expect(write_at(session.device, bar1, &byte, 1), -EINVAL,
	       "write() of a BAR that is not there");
	expect(read_at(session.device, 1ull << 62, &byte, 1), -EINVAL,
	       "read() of a region that is not there");
	set_command(session.device, false, false);
	expect(read_at(session.device, bar0, &byte, 1), -EIO, "read() with memory switched off");
	expect(write_at(session.device, bar0 + 4, "abcd", 4), -EIO,
	       "write() with memory switched off");
	set_command(session.device, true, false);
	expect(read_at(session.device, bar0, &byte, 1), 1, "read() with memory switched on again");
	expect(read_at(session.device, bar0, &byte, 0), 0, "read() of nothing");
}

/* The table of MSI-X is the kernel's: nobody reads or writes it by the file. */
static void check_msix_table(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	unsigned int msix = capability(session.device, PCI_CAP_ID_MSIX);
	uint32_t table = config_read(session.device, msix + PCI_MSIX_TABLE, 4);
	struct vfio_region_info info = must_region(session.device, table & PCI_MSIX_TABLE_BIR);
	uint64_t at = info.offset + (table & PCI_MSIX_TABLE_OFFSET);
	const volatile uint32_t *mapped;
	uint32_t value = 0, before;

	set_command(session.device, true, false);
	mapped = (const volatile uint32_t *)((char *)must_map_region(session.device,
								     table & PCI_MSIX_TABLE_BIR) +
					     (table & PCI_MSIX_TABLE_OFFSET));
	before = mapped[2];
	expect(read_at(session.device, at + 8, &value, 4), 4, "read() of the table");
	check(value == ~0u, "tells nothing");
	value = 0x12345678;
	expect(write_at(session.device, at + 8, &value, 4), 4, "write() of the table");
	check(mapped[2] == before, "changes nothing");
}

static void check_io(void)
{
	struct session session = must_open(NIC, VFIO_TYPE1v2_IOMMU);
	unsigned int io = 6;
	struct vfio_region_info info;
	uint32_t value = 0, address = 0x8; /* 82574 datasheet §10.2.1: IOADDR 0, IODATA 4; STATUS */

	for (unsigned int bar = 0; bar < 6; bar++) {
		if (hardware_config(NIC, PCI_BASE_ADDRESS_0 + 4 * bar, 4) &
		    PCI_BASE_ADDRESS_SPACE_IO)
			io = bar;
	}
	must(io < 6 ? 0 : -ENOENT, "find an I/O BAR");
	info = must_region(session.device, io);
	check(!(info.flags & VFIO_REGION_INFO_FLAG_MMAP), "an I/O BAR cannot be mapped");
	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, session.device, (off_t)info.offset) ==
			       MAP_FAILED
		       ? -errno
		       : 0,
	       -EINVAL, "mmap() of an I/O BAR");
	config_write(session.device, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	expect(write_at(session.device, info.offset, &address, 4), 4, "write() of an I/O BAR");
	expect(read_at(session.device, info.offset, &value, 4), 4, "read() of an I/O BAR");
	expect(value, address, "what was written is read back");
	expect(read_at(session.device, info.offset + 4, &value, 4), 4,
	       "read() of a register by it");
	config_write(session.device, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	value = 0;
	expect(write_at(session.device, info.offset + info.size, &value, 4), -EINVAL,
	       "write() behind the end of an I/O BAR");
}

static void expect_mmap(long result, const char *what, size_t size, int protection, int flags,
			int fd, uint64_t offset)
{
	void *address = mmap(NULL, size, protection, flags, fd, (off_t)offset);

	expect(address == MAP_FAILED ? -errno : 0, result, "mmap() of %s", what);
	if (address != MAP_FAILED)
		munmap(address, size);
}

static void check_mmap(void)
{
	struct session session = must_open(MEMORY, VFIO_TYPE1v2_IOMMU);
	struct vfio_region_info info = must_region(session.device, DATA_BAR);
	struct vfio_region_info config = must_region(session.device, VFIO_PCI_CONFIG_REGION_INDEX);
	int fd = session.device, both = PROT_READ | PROT_WRITE;

	expect_mmap(0, "a BAR", info.size, both, MAP_SHARED, fd, info.offset);
	expect_mmap(0, "a BAR for reading", info.size, PROT_READ, MAP_SHARED, fd, info.offset);
	expect_mmap(0, "its last page", PAGE, both, MAP_SHARED, fd, info.offset + info.size - PAGE);
	expect_mmap(-EINVAL, "a page behind it", PAGE, both, MAP_SHARED, fd,
		    info.offset + info.size);
	expect_mmap(-EINVAL, "more than it", info.size + PAGE, both, MAP_SHARED, fd, info.offset);
	expect_mmap(-EINVAL, "its last page and more", 2 * PAGE, both, MAP_SHARED, fd,
		    info.offset + info.size - PAGE);
	expect_mmap(-EINVAL, "a BAR, private", PAGE, both, MAP_PRIVATE, fd, info.offset);
	expect_mmap(-EINVAL, "configuration space", PAGE, PROT_READ, MAP_SHARED, fd, config.offset);
	expect_mmap(-EINVAL, "a BAR that is not there", PAGE, PROT_READ, MAP_SHARED, fd,
		    must_region(fd, 5).offset);
	expect_mmap(-EINVAL, "the ROM", PAGE, PROT_READ, MAP_SHARED, fd,
		    must_region(fd, VFIO_PCI_ROM_REGION_INDEX).offset);
	expect_mmap(-EINVAL, "a region that is not there", PAGE, PROT_READ, MAP_SHARED, fd,
		    1ull << 62);
}

/* Touches every page of a mapping, which makes large entries where they are possible. */
static void check_whole(void)
{
	struct session session = must_open(MEMORY, VFIO_TYPE1v2_IOMMU);
	struct vfio_region_info info = must_region(session.device, DATA_BAR);
	volatile uint32_t *bar, *again;
	bool right = true;

	set_command(session.device, true, false);
	bar = must_map_region(session.device, DATA_BAR);
	for (uint32_t page = 0; page < info.size / PAGE; page++)
		bar[page * PAGE / 4 + 3] = page ^ 0x5a5a5a5a;
	again = must_map_region(session.device, DATA_BAR);
	for (uint32_t page = 0; page < info.size / PAGE; page++) {
		uint32_t value = 0;

		right &= again[page * PAGE / 4 + 3] == (page ^ 0x5a5a5a5a);
		if (page % 64 == 0)
			right &= read_at(session.device, info.offset + page * PAGE + 12, &value,
					 4) == 4 &&
				 value == (page ^ 0x5a5a5a5a);
	}
	check(right, "every page of a mapping is the BAR's page");
}

/* How memory stops being accessible, and comes back. */
static void memory_off(int device)
{
	set_command(device, false, false);
}

static void memory_on(int device)
{
	set_command(device, true, false);
}

static void power_off(int device)
{
	set_power_state(device, 3);
}

static void power_on(int device)
{
	set_power_state(device, 0);
	set_command(device, true, false);
}

static void enter_low_power(int device)
{
	must(device_feature(device, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY, NULL, 0),
	     "LOW_POWER_ENTRY");
}

static void exit_low_power(int device)
{
	must(device_feature(device, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_EXIT, NULL, 0),
	     "LOW_POWER_EXIT");
}

static const struct {
	const char *name;
	void (*lose)(int device);
	void (*regain)(int device);
} losses[] = {
	{ "memory off", memory_off, memory_on },
	{ "D3hot", power_off, power_on },
	{ "low power", enter_low_power, exit_low_power },
};

/* A child has the mapping from its parent: it loses it, too. */
static void check_child(const volatile void *bar)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0)
		_exit(readable(bar) ? 1 : 0);
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "nor can a process that was forked");
}

static void check_loss(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(losses); i++) {
		struct session session;
		struct vfio_region_info info;
		const volatile uint32_t *bar;
		uint32_t version;
		int ends[2];

		about("%s", losses[i].name);
		session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
		info = must_region(session.device, 0);
		memory_on(session.device);
		bar = must_map_region(session.device, 0);
		version = bar[2]; /* NVMe 2.0 §3.1.3.3: VS */
		check(version != 0 && version != ~0u, "a register is read by the mapping");
		losses[i].lose(session.device);
		check(!readable(bar), "the mapping cannot be read");
		check(!readable(bar + info.size / 8), "nor a page of it never touched before");
		check_child(bar);
		must(pipe(ends) ? -errno : 0, "pipe()");
		expect(write(ends[1], (const void *)bar, 4) < 0 ? -errno : 0, -EFAULT,
		       "the kernel cannot read it for a write()");
		expect_mmap(0, "the BAR meanwhile", PAGE, PROT_READ, MAP_SHARED, session.device,
			    info.offset);
		losses[i].regain(session.device);
		check(readable(bar) && bar[2] == version,
		      "when access is back, so is the register");
		munmap((void *)bar, info.size);
		close(ends[0]);
		close(ends[1]);
		close_session(&session);
	}
}

static void check_low_power_twice(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	uint32_t entry = VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY;
	uint32_t leave = VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_EXIT;

	expect(device_feature(session.device, leave, NULL, 0), 0, "exit without entry");
	expect(device_feature(session.device, entry, NULL, 0), 0, "entry");
	expect(device_feature(session.device, entry, NULL, 0), -EINVAL, "entry again");
	expect(device_feature(session.device, leave, NULL, 0), 0, "exit");
	expect(device_feature(session.device, leave, NULL, 0), 0, "exit again");
	must(device_feature(session.device, entry, NULL, 0), "entry");
	close_session(&session);
	session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	memory_on(session.device);
	check(readable(must_map_region(session.device, 0)),
	      "closed in low power and opened, it is accessible");
}

/* The last holder of a device is a mapping. */
static void check_mapping_alone(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	size_t size = must_region(session.device, 0).size;
	const volatile uint32_t *bar;

	memory_on(session.device);
	bar = must_map_region(session.device, 0);
	close_session(&session);
	check(readable(bar), "all files closed, the mapping works");
	expect(open_group(NVME), -EBUSY, "and the group is in use");
	munmap((void *)bar, size);
	session.group = open_group(NVME);
	expect(session.group < 0 ? session.group : 0, 0, "unmapped, the group can be opened");
}

static const struct conform_case cases[] = {
	{ "widths", check_widths },
	{ "what is not there", check_absent },
	{ "the MSI-X table", check_msix_table },
	{ "an I/O BAR", check_io },
	{ "mmap()", check_mmap },
	{ "a whole BAR", check_whole },
	{ "loss of access", check_loss },
	{ "low power", check_low_power_twice },
	{ "a mapping alone", check_mapping_alone },
};

const struct conform_part part_bar = { "bar", cases, ARRAY_SIZE(cases) };
