/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration space: reads of every width, and writes that must not reach the hardware. What the
 * hardware has is read from sysfs.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "calls.h"

static const enum conform_kind looked_at[] = { EDU, NVME, NIC, PF };

static void each_device(void (*test)(int device, enum conform_kind kind))
{
	for (size_t i = 0; i < ARRAY_SIZE(looked_at); i++) {
		struct session session;

		about("%s", the_devices[looked_at[i]].kind);
		session = must_open(looked_at[i], VFIO_TYPE1v2_IOMMU);
		test(session.device, looked_at[i]);
		close_session(&session);
	}
}

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

static void check_reads_of(int device, enum conform_kind kind)
{
	struct vfio_region_info info = must_region(device, VFIO_PCI_CONFIG_REGION_INDEX);
	unsigned char whole[4096], piece[16];

	(void)kind;
	expect(read_at(device, info.offset, whole, info.size), (long)info.size, "read() of all");
	for (size_t size = 1; size <= 8; size++) {
		bool same = true;

		for (unsigned int at = 0; at < 64; at++)
			same &= read_at(device, info.offset + at, piece, size) == (long)size &&
				memcmp(piece, whole + at, size) == 0;
		check(same, "read() of %zu bytes at any alignment", size);
	}
	expect(read_at(device, info.offset + info.size, piece, 4), -EFAULT,
	       "read() behind the end");
	expect(read_at(device, info.offset + info.size - 2, piece, 4), -EFAULT,
	       "read() across the end");
	expect(read_at(device, info.offset + info.size - 4, piece, 4), 4, "read() up to the end");
	expect(read_at(device, info.offset, no_address(), 4), -EFAULT, "read() to no address");
	expect(write_at(device, info.offset, no_address(), 4), -EFAULT, "write() from no address");
}

static void check_reads(void)
{
	each_device(check_reads_of);
}

/* Writes every bit the other way; what is read is as before, and so is the hardware. */
static void expect_constant(int device, enum conform_kind kind, const char *what, unsigned int at,
			    unsigned int width)
{
	uint32_t shown = config_read(device, at, width), has = hardware_config(kind, at, width);

	config_write(device, at, width, ~shown);
	expect(config_read(device, at, width), shown, "%s reads as before it was written", what);
	expect(hardware_config(kind, at, width), has, "%s of the hardware is as before", what);
	config_write(device, at, width, shown);
}

/* Writes every bit the other way; the hardware is as before. */
static void expect_kept(int device, enum conform_kind kind, const char *what, unsigned int at,
			unsigned int width)
{
	uint32_t shown = config_read(device, at, width), has = hardware_config(kind, at, width);

	config_write(device, at, width, ~shown);
	expect(hardware_config(kind, at, width), has, "%s of the hardware is as before", what);
	config_write(device, at, width, shown);
}

static void check_header_of(int device, enum conform_kind kind)
{
	static const struct {
		const char *what;
		unsigned int at;
		unsigned int width;
	} constants[] = {
		{ "vendor", PCI_VENDOR_ID, 2 },
		{ "device", PCI_DEVICE_ID, 2 },
		{ "revision", PCI_REVISION_ID, 1 },
		{ "class", PCI_CLASS_PROG, 1 },
		{ "sub-class", PCI_CLASS_DEVICE, 2 },
		{ "header type", PCI_HEADER_TYPE, 1 },
		{ "sub-system vendor", PCI_SUBSYSTEM_VENDOR_ID, 2 },
		{ "sub-system", PCI_SUBSYSTEM_ID, 2 },
		{ "capability pointer", PCI_CAPABILITY_LIST, 1 },
		{ "interrupt pin", PCI_INTERRUPT_PIN, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(constants); i++)
		expect_constant(device, kind, constants[i].what, constants[i].at,
				constants[i].width);
	expect_kept(device, kind, "interrupt line", PCI_INTERRUPT_LINE, 1);
	expect_kept(device, kind, "ROM address", PCI_ROM_ADDRESS, 4);
}

static void check_header(void)
{
	each_device(check_header_of);
}

/* A driver that asks a BAR for its size does not move it. */
static void check_bars_of(int device, enum conform_kind kind)
{
	for (unsigned int bar = 0; bar < 6; bar++) {
		unsigned int at = PCI_BASE_ADDRESS_0 + 4 * bar;
		uint64_t size = must_region(device, bar).size;
		uint32_t shown = config_read(device, at, 4), has = hardware_config(kind, at, 4);
		uint32_t kind_bits, mask;

		kind_bits = shown & (shown & PCI_BASE_ADDRESS_SPACE_IO ? 3u : 15u);
		config_write(device, at, 4, ~0u);
		mask = config_read(device, at, 4);
		expect(hardware_config(kind, at, 4), has, "BAR %u of the hardware stays", bar);
		if (size)
			expect(mask, ((uint32_t) ~(size - 1) | kind_bits), "BAR %u tells its size",
			       bar);
		config_write(device, at, 4, 0x10000000);
		expect(hardware_config(kind, at, 4), has, "BAR %u of the hardware is not moved",
		       bar);
		if (size)
			expect(config_read(device, at, 4),
			       (0x10000000u & (uint32_t) ~(size - 1)) | kind_bits,
			       "BAR %u keeps an address for its user", bar);
		config_write(device, at, 4, shown);
		expect(config_read(device, at, 4), shown, "BAR %u takes its address back", bar);
	}
}

static void check_bars(void)
{
	each_device(check_bars_of);
}

static void check_command_of(int device, enum conform_kind kind)
{
	const uint32_t bits = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	for (unsigned int value = 0; value < 4; value++) {
		uint32_t wanted = (value & 1 ? PCI_COMMAND_MEMORY : 0) |
				  (value & 2 ? PCI_COMMAND_MASTER : 0);

		set_command(device, value & 1, value & 2);
		expect(config_read(device, PCI_COMMAND, 2) & bits, wanted,
		       "memory and bus mastering %u are read back", value);
		expect(hardware_config(kind, PCI_COMMAND, 2) & bits, wanted,
		       "memory and bus mastering %u reach the hardware", value);
	}
	set_command(device, false, false);
	config_write(device, PCI_COMMAND, 1, bits);
	expect(hardware_config(kind, PCI_COMMAND, 2) & bits, bits, "written as a byte, too");
}

static void check_command(void)
{
	each_device(check_command_of);
}

static void check_msi_of(int device, enum conform_kind kind)
{
	unsigned int msi = capability(device, PCI_CAP_ID_MSI);
	unsigned int msix = capability(device, PCI_CAP_ID_MSIX);

	if (msi) {
		expect_constant(device, kind, "header of MSI", msi, 2);
		expect_kept(device, kind, "control of MSI", msi + PCI_MSI_FLAGS, 2);
		expect_kept(device, kind, "address of MSI", msi + PCI_MSI_ADDRESS_LO, 4);
		expect_kept(device, kind, "upper address or data of MSI", msi + PCI_MSI_ADDRESS_HI,
			    4);
	}
	if (msix) {
		expect_constant(device, kind, "header of MSI-X", msix, 2);
		expect_kept(device, kind, "control of MSI-X", msix + PCI_MSIX_FLAGS, 2);
		expect_constant(device, kind, "table of MSI-X", msix + PCI_MSIX_TABLE, 4);
		expect_constant(device, kind, "pending bits of MSI-X", msix + PCI_MSIX_PBA, 4);
	}
	check(msi || msix, "it has MSI or MSI-X");
}

static void check_msi(void)
{
	each_device(check_msi_of);
}

/* Capabilities that would let a device around the IOMMU, or make it several. */
static void check_capabilities_of(int device, enum conform_kind kind)
{
	static const struct {
		const char *what;
		unsigned int id;
		unsigned int control; /* two bytes */
	} never[] = {
		{ "control of SR-IOV", PCI_EXT_CAP_ID_SRIOV, PCI_SRIOV_CTRL },
		{ "VFs of SR-IOV", PCI_EXT_CAP_ID_SRIOV, PCI_SRIOV_NUM_VF },
		{ "control of ACS", PCI_EXT_CAP_ID_ACS, PCI_ACS_CTRL },
		{ "control of ATS", PCI_EXT_CAP_ID_ATS, PCI_ATS_CTRL },
		{ "control of PRI", PCI_EXT_CAP_ID_PRI, PCI_PRI_CTRL },
		{ "control of PASID", PCI_EXT_CAP_ID_PASID, PCI_PASID_CTRL },
	};
	unsigned int express = capability(device, PCI_CAP_ID_EXP);
	unsigned int power = capability(device, PCI_CAP_ID_PM);

	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		unsigned int at = extended_capability(device, never[i].id);

		if (at)
			expect_kept(device, kind, never[i].what, at + never[i].control, 2);
	}
	if (express) {
		expect_constant(device, kind, "header of PCI Express", express, 2);
		expect_constant(device, kind, "capabilities of PCI Express",
				express + PCI_EXP_FLAGS, 2);
	}
	if (power) {
		expect_constant(device, kind, "header of power management", power, 2);
		expect_constant(device, kind, "capabilities of power management",
				power + PCI_PM_PMC, 2);
	}
	if (kind == PF)
		check(hardware_config(PF, 0x100, 4) != 0, "the PF has extended capabilities");
}

static void check_capabilities(void)
{
	each_device(check_capabilities_of);
}

static void check_level(int device, unsigned int state, const char *name)
{
	unsigned int at = capability(device, PCI_CAP_ID_PM) + PCI_PM_CTRL;

	set_power_state(device, state);
	expect(config_read(device, at, 2) & PCI_PM_CTRL_STATE_MASK, state,
	       "power state %s is read back", name);
	expect(hardware_config(NVME, at, 2) & PCI_PM_CTRL_STATE_MASK, state,
	       "power state %s reaches the hardware", name);
}

static void check_power(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);

	check_level(session.device, 3, "D3hot");
	check_level(session.device, 0, "D0");
	set_power_state(session.device, 3);
	close_session(&session);
	session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	expect(config_read(session.device, capability(session.device, PCI_CAP_ID_PM) + PCI_PM_CTRL,
			   2) &
		       PCI_PM_CTRL_STATE_MASK,
	       0, "opened after it was closed in D3hot, it is in D0");
}

/* A function reset by its bit in configuration space: what the device was told is forgotten. */
static void check_flr(void)
{
	struct session session = must_open(NVME, VFIO_TYPE1v2_IOMMU);
	unsigned int express = capability(session.device, PCI_CAP_ID_EXP);
	const unsigned int configuration = 0x14; /* NVMe 2.0 §3.1.3.5: CC */
	volatile uint32_t *bar;
	uint32_t address = config_read(session.device, PCI_BASE_ADDRESS_0, 4);

	must(express && config_read(session.device, express + PCI_EXP_DEVCAP, 4) &
				     PCI_EXP_DEVCAP_FLR
		     ? 0
		     : -ENOENT,
	     "find function level reset");
	set_command(session.device, true, true);
	bar = must_map_region(session.device, 0);
	bar[configuration / 4] = 0x460000; /* sizes of queue entries, not enabled */
	check(bar[configuration / 4] == 0x460000, "a register can be written");
	config_write(session.device, express + PCI_EXP_DEVCTL, 2,
		     config_read(session.device, express + PCI_EXP_DEVCTL, 2) |
			     PCI_EXP_DEVCTL_BCR_FLR);
	set_command(session.device, true, true);
	check(readable(bar), "after a function reset, memory can be switched on again");
	expect(bar[configuration / 4], 0, "the register is as it was after power on");
	expect(config_read(session.device, PCI_BASE_ADDRESS_0, 4), address,
	       "the BAR is where it was");
	check(!(config_read(session.device, express + PCI_EXP_DEVCTL, 2) & PCI_EXP_DEVCTL_BCR_FLR),
	      "the bit reads as 0");
}

static const struct conform_case cases[] = {
	{ "reads", check_reads },	 { "header", check_header },
	{ "BARs", check_bars },		 { "command", check_command },
	{ "MSI and MSI-X", check_msi },	 { "capabilities", check_capabilities },
	{ "power states", check_power }, { "function reset by its bit", check_flr },
};

const struct conform_part part_config = { "config", cases, ARRAY_SIZE(cases) };
