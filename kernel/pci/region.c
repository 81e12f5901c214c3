// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading and writing regions, at any offset and of any size. BARs are accessed by the widest
 * accesses that fit where they are, of 8 bytes at most (4 in I/O space), because that is what
 * registers are made for.
 *
 * Data goes through a buffer, as no user memory may be touched under memory_lock.
 */
#include <linux/io.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "pci/private.h"

#define CHUNK 256
#define ROM_CHUNK SZ_64K

u64 weir_pci_region_size(struct weir_pci *pci, unsigned int index)
{
	if (index < WEIR_PCI_BARS)
		return pci->bars[index].size;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		return pci->pdev->cfg_size;
	/* Of the device's own: rom_read() reads no copy that firmware has left (pdev->rom). */
	if (index == VFIO_PCI_ROM_REGION_INDEX)
		return pci_resource_len(pci->pdev, PCI_ROM_RESOURCE);
	return 0;
}

/* Where the BAR holds the MSI-X table, which is the host's: start == end if it does not. */
static void find_vectors(struct weir_pci *pci, unsigned int index, u64 *start, u64 *end)
{
	*start = *end = U64_MAX;
	if (!pci->pdev->msix_cap || index != pci->msix_bar)
		return;
	*start = pci->msix_offset;
	*end = *start + (u64)pci->nr_irqs[VFIO_PCI_MSIX_IRQ_INDEX] * PCI_MSIX_ENTRY_SIZE;
}

static unsigned int access_width(u64 offset, size_t size, bool io)
{
	if (IS_ENABLED(CONFIG_64BIT) && !io && size >= 8 && IS_ALIGNED(offset, 8))
		return 8;
	if (size >= 4 && IS_ALIGNED(offset, 4))
		return 4;
	if (size >= 2 && IS_ALIGNED(offset, 2))
		return 2;
	return 1;
}

/* One access; data is bytes as they lie in the device, which is little-endian. */
static void read_register(void __iomem *address, void *data, unsigned int width)
{
	switch (width) {
#ifdef CONFIG_64BIT
	case 8:
		*(__le64 *)data = cpu_to_le64(readq(address));
		break;
#endif
	case 4:
		*(__le32 *)data = cpu_to_le32(ioread32(address));
		break;
	case 2:
		*(__le16 *)data = cpu_to_le16(ioread16(address));
		break;
	default:
		*(u8 *)data = ioread8(address);
	}
}

static void write_register(void __iomem *address, const void *data, unsigned int width)
{
	switch (width) {
#ifdef CONFIG_64BIT
	case 8:
		writeq(le64_to_cpu(*(const __le64 *)data), address);
		break;
#endif
	case 4:
		iowrite32(le32_to_cpu(*(const __le32 *)data), address);
		break;
	case 2:
		iowrite16(le16_to_cpu(*(const __le16 *)data), address);
		break;
	default:
		iowrite8(*(const u8 *)data, address);
	}
}

/* Part of a BAR; of the MSI-X table, ones are read and writes are dropped. */
static int bar_access(struct weir_pci *pci, unsigned int index, u64 offset, u8 *data, size_t size,
		      bool write)
{
	struct weir_pci_bar *bar = &pci->bars[index];
	u64 table_start, table_end;
	unsigned int width;
	size_t room;
	int rc = 0;

	if (!bar->map)
		return bar->error;
	find_vectors(pci, index, &table_start, &table_end);

	down_read(&pci->memory_lock);
	if (!bar->io && !weir_pci_memory_accessible(pci)) {
		rc = -EIO;
		size = 0;
	}
	for (; size; offset += width, data += width, size -= width) {
		room = size;
		if (offset < table_start)
			room = min_t(u64, room, table_start - offset);
		else if (offset < table_end)
			room = min_t(u64, room, table_end - offset);
		width = access_width(offset, room, bar->io);
		if (offset >= table_start && offset < table_end) {
			if (!write)
				memset(data, 0xff, width);
		} else if (write) {
			write_register(bar->map + offset, data, width);
		} else {
			read_register(bar->map + offset, data, width);
		}
	}
	up_read(&pci->memory_lock);
	return rc;
}

/* Behind the image, and when there is none, ones are read. */
static int rom_read(struct weir_pci *pci, u64 offset, void *data, size_t size)
{
	size_t rom_size = 0, part = 0;
	void __iomem *rom;
	bool forced;
	int rc = 0;

	down_write(&pci->memory_lock);
	if (pci->pdev->current_state != PCI_D0) {
		rc = -EIO;
		goto unlock;
	}
	forced = weir_pci_memory_force(pci);
	rom = pci_map_rom(pci->pdev, &rom_size);
	if (rom) {
		if (offset < rom_size)
			part = min_t(u64, size, rom_size - offset);
		memcpy_fromio(data, rom + offset, part);
		pci_unmap_rom(pci->pdev, rom);
	}
	weir_pci_memory_unforce(pci, forced);
	memset(data + part, 0xff, size - part);
unlock:
	up_write(&pci->memory_lock);
	return rc;
}

static int region_access(struct weir_pci *pci, unsigned int index, u64 offset, void *data,
			 size_t size, bool write)
{
	if (index < WEIR_PCI_BARS)
		return bar_access(pci, index, offset, data, size, write);
	if (index == VFIO_PCI_ROM_REGION_INDEX)
		return rom_read(pci, offset, data, size);
	return write ? weir_pci_config_write(pci, offset, data, size)
		     : weir_pci_config_read(pci, offset, data, size);
}

/*
 * Cuts a system call down to the region. Returns what is left of size, or a negative errno.
 * Configuration space takes no access that passes its end.
 */
static ssize_t clip(struct weir_pci *pci, unsigned int index, u64 offset, size_t size, bool write)
{
	u64 region_size = weir_pci_region_size(pci, index);

	if (index == VFIO_PCI_CONFIG_REGION_INDEX &&
	    (offset >= region_size || size > region_size - offset))
		return -EFAULT;
	if (offset >= region_size || (write && index == VFIO_PCI_ROM_REGION_INDEX))
		return -EINVAL;
	return min3((u64)size, region_size - offset, (u64)MAX_RW_COUNT);
}

static size_t chunk_of(unsigned int index)
{
	switch (index) {
	case VFIO_PCI_ROM_REGION_INDEX:
		return ROM_CHUNK;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		/* A field is not to be cut. */
		return PCI_CFG_SPACE_EXP_SIZE;
	default:
		return CHUNK;
	}
}

/* user is written to, or, for a write, read. */
static ssize_t transfer(struct weir_pci *pci, char __user *user, size_t size, loff_t *position,
			bool write)
{
	unsigned int index = *position >> WEIR_PCI_REGION_SHIFT;
	u64 offset = *position & (BIT_ULL(WEIR_PCI_REGION_SHIFT) - 1);
	ssize_t left, done = 0;
	size_t chunk;
	void *data;
	int rc = 0;

	if (*position < 0)
		return -EINVAL;
	if (!size)
		return 0;
	left = clip(pci, index, offset, size, write);
	if (left < 0)
		return left;
	chunk = min_t(size_t, left, chunk_of(index));
	data = kvmalloc(chunk, GFP_KERNEL_ACCOUNT);
	if (!data)
		return -ENOMEM;

	while (left) {
		size_t part = left;

		/* The first chunk is a bit shorter, for all others to begin aligned. */
		if (part > chunk)
			part = chunk - (offset + done) % 8;
		if (write && copy_from_user(data, user + done, part))
			rc = -EFAULT;
		else
			rc = region_access(pci, index, offset + done, data, part, write);
		if (!rc && !write && copy_to_user(user + done, data, part))
			rc = -EFAULT;
		if (rc)
			break;
		done += part;
		left -= part;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	kvfree(data);
	*position += done;
	return done ?: rc;
}

ssize_t weir_pci_read(struct weir_device *device, char __user *buffer, size_t size, loff_t *offset)
{
	return transfer(weir_pci_of(device), buffer, size, offset, false);
}

ssize_t weir_pci_write(struct weir_device *device, const char __user *buffer, size_t size,
		       loff_t *offset)
{
	return transfer(weir_pci_of(device), (char __user *)buffer, size, offset, true);
}
