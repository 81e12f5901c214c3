/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions: which parts are mapped, and accesses to them. */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weir/mmio.h>

#include "device/transport.h"
#include "memory/fault_guard.h"

#define PAGE UINT64_C(4096)

static int check_file_size(const struct device_region *region, unsigned int index,
			   struct weir_error *err)
{
	uint64_t need = 0, size;
	struct stat stat;
	off_t end;

	for (unsigned int i = 0; i < region->nr_areas; i++) {
		uint64_t area_end = region->areas[i].offset + region->areas[i].bytes;

		if (area_end > need)
			need = area_end;
	}
	if (fstat(region->fd, &stat))
		return weir_error_set(err, -EPROTO, "region %u: its descriptor is no file: %s",
				      index, strerror(errno));
	end = S_ISREG(stat.st_mode) ? stat.st_size : lseek(region->fd, 0, SEEK_END);
	if (end < 0)
		return weir_error_set(err, -EPROTO, "region %u: its file has no size", index);
	size = (uint64_t)end;
	if (!weir_range_within(region->fd_offset, need, size))
		return weir_error_set(err, -EPROTO,
				      "region %u: 0x%" PRIx64 " bytes from 0x%" PRIx64
				      " are past the end of its file at 0x%" PRIx64,
				      index, need, region->fd_offset, size);
	return 0;
}

int region_check_areas(const struct device_region *region, unsigned int index,
		       struct weir_error *err)
{
	if (!region->nr_areas)
		return 0;
	if (region->fd < 0)
		return weir_error_set(err, -EPROTO, "region %u can be mapped but has no descriptor",
				      index);
	/* Drivers store through the mapping without asking again. */
	if (!region->readable || !region->writable)
		return weir_error_set(err, -EPROTO, "region %u can be mapped but not %s", index,
				      region->readable ? "written" : "read");
	if (!weir_is_aligned(region->fd_offset, PAGE))
		return weir_error_set(err, -EPROTO,
				      "region %u begins at 0x%" PRIx64
				      " of its file, which is no multiple of 4096",
				      index, region->fd_offset);
	for (unsigned int i = 0; i < region->nr_areas; i++) {
		const struct device_area *area = &region->areas[i];

		if (!area->bytes || !weir_is_aligned(area->offset | area->bytes, PAGE) ||
		    !weir_range_within(area->offset, area->bytes, region->bytes))
			return weir_error_set(err, -EPROTO,
					      "region %u: mappable area of 0x%" PRIx64
					      " bytes at 0x%" PRIx64 " is empty, unaligned or past "
					      "the region's 0x%" PRIx64 " bytes",
					      index, area->bytes, area->offset, region->bytes);
		for (unsigned int j = 0; j < i; j++) {
			const struct device_area *other = &region->areas[j];

			if (area->offset < other->offset + other->bytes &&
			    other->offset < area->offset + area->bytes)
				return weir_error_set(err, -EPROTO,
						      "region %u: mappable areas at 0x%" PRIx64
						      " and 0x%" PRIx64 " overlap",
						      index, other->offset, area->offset);
		}
	}
	return region->fd_lent ? 0 : check_file_size(region, index, err);
}

static int map_area(struct weir_device *dev, unsigned int index, struct device_area *area,
		    struct weir_error *err)
{
	const struct device_region *region = &dev->regions[index];
	void *base = mmap(NULL, area->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd,
			  (off_t)(region->fd_offset + area->offset));
	int ret;

	if (base == MAP_FAILED) {
		ret = -errno;
		return weir_error_set(
			err, ret,
			"%s: cannot map 0x%" PRIx64 " bytes at 0x%" PRIx64 " of region %u: %s",
			dev->address, area->bytes, area->offset, index, strerror(-ret));
	}
	ret = weir_fault_guard_add(base, area->bytes, &dev->gone, dev->kick_fd);
	if (ret) {
		munmap(base, area->bytes);
		return weir_error_set(err, ret, "%s: no memory to guard region %u", dev->address,
				      index);
	}
	area->base = base;
	return 0;
}

int regions_map(struct weir_device *dev, struct weir_error *err)
{
	for (unsigned int i = 0; i < dev->nr_regions; i++) {
		struct device_region *region = &dev->regions[i];

		for (unsigned int j = 0; j < region->nr_areas; j++) {
			int ret = map_area(dev, i, &region->areas[j], err);

			if (ret)
				return ret;
		}
	}
	return 0;
}

void regions_release(struct weir_device *dev)
{
	for (unsigned int i = 0; i < DEVICE_MAX_REGIONS; i++) {
		struct device_region *region = &dev->regions[i];

		for (unsigned int j = 0; j < region->nr_areas; j++) {
			struct device_area *area = &region->areas[j];

			if (!area->base)
				continue;
			weir_fault_guard_remove(area->base, area->bytes);
			munmap(area->base, area->bytes);
		}
		if (region->fd >= 0 && !region->fd_lent)
			close(region->fd);
		region->fd = -1;
		region->nr_areas = 0;
	}
}

WEIR_EXPORT uint64_t weir_device_region_bytes(const struct weir_device *dev, unsigned int region)
{
	return region < dev->nr_regions ? dev->regions[region].bytes : 0;
}

WEIR_EXPORT volatile void *weir_device_bar(const struct weir_device *dev, unsigned int bar,
					   uint64_t offset, uint64_t bytes)
{
	const struct device_region *region;

	if (bar > WEIR_REGION_BAR5 || bar >= dev->nr_regions)
		return NULL;
	region = &dev->regions[bar];
	for (unsigned int i = 0; i < region->nr_areas; i++) {
		const struct device_area *area = &region->areas[i];

		if (offset >= area->offset &&
		    weir_range_within(offset - area->offset, bytes, area->bytes))
			return area->base + (offset - area->offset);
	}
	return NULL;
}

static int check_access(const struct weir_device *dev, unsigned int region, uint64_t offset,
			size_t bytes, struct weir_error *err)
{
	uint64_t limit = weir_device_region_bytes(dev, region);

	if (!weir_range_within(offset, bytes, limit))
		return weir_error_set(err, -EINVAL,
				      "%s: %zu bytes at 0x%" PRIx64
				      " are past region %u, which has 0x%" PRIx64,
				      dev->address, bytes, offset, region, limit);
	if (device_is_gone(dev))
		return device_gone_error(dev, err);
	return 0;
}

WEIR_EXPORT int weir_device_read(struct weir_device *dev, unsigned int region, uint64_t offset,
				 void *data, size_t bytes, struct weir_error *err)
{
	int ret = check_access(dev, region, offset, bytes, err);

	return ret || !bytes ? ret : dev->transport->read(dev, region, offset, data, bytes, err);
}

WEIR_EXPORT int weir_device_write(struct weir_device *dev, unsigned int region, uint64_t offset,
				  const void *data, size_t bytes, struct weir_error *err)
{
	int ret = check_access(dev, region, offset, bytes, err);

	return ret || !bytes ? ret : dev->transport->write(dev, region, offset, data, bytes, err);
}

/* Where a naturally aligned register is mapped, or NULL: by message. */
static int find_register(const struct weir_device *dev, unsigned int bar, uint64_t offset,
			 size_t bytes, volatile void **reg)
{
	if (bar > WEIR_REGION_BAR5 || !weir_is_aligned(offset, bytes))
		return -EINVAL;
	if (device_is_gone(dev))
		return -ENODEV;
	*reg = weir_device_bar(dev, bar, offset, bytes);
	return 0;
}

/* A register of a device that vanished meanwhile reads as something that nobody wrote. */
static int still_there(struct weir_device *dev)
{
	if (likely(!device_is_gone(dev)))
		return 0;
	device_lost(dev, -ENODEV, "its registers were taken away");
	return -ENODEV;
}

WEIR_EXPORT int weir_device_read32(struct weir_device *dev, unsigned int bar, uint64_t offset,
				   uint32_t *value)
{
	volatile void *reg;
	int ret = find_register(dev, bar, offset, sizeof(*value), &reg);

	if (ret)
		return ret;
	if (!reg)
		return weir_device_read(dev, bar, offset, value, sizeof(*value), NULL);
	*value = weir_mmio_read32(reg);
	return still_there(dev);
}

WEIR_EXPORT int weir_device_write32(struct weir_device *dev, unsigned int bar, uint64_t offset,
				    uint32_t value)
{
	volatile void *reg;
	int ret = find_register(dev, bar, offset, sizeof(value), &reg);

	if (ret)
		return ret;
	if (!reg)
		return weir_device_write(dev, bar, offset, &value, sizeof(value), NULL);
	weir_mmio_write32(reg, value);
	return still_there(dev);
}

WEIR_EXPORT int weir_device_read64(struct weir_device *dev, unsigned int bar, uint64_t offset,
				   uint64_t *value)
{
	volatile void *reg;
	int ret = find_register(dev, bar, offset, sizeof(*value), &reg);

	if (ret)
		return ret;
	if (!reg)
		return weir_device_read(dev, bar, offset, value, sizeof(*value), NULL);
	*value = weir_mmio_read64(reg);
	return still_there(dev);
}

WEIR_EXPORT int weir_device_write64(struct weir_device *dev, unsigned int bar, uint64_t offset,
				    uint64_t value)
{
	volatile void *reg;
	int ret = find_register(dev, bar, offset, sizeof(value), &reg);

	if (ret)
		return ret;
	if (!reg)
		return weir_device_write(dev, bar, offset, &value, sizeof(value), NULL);
	weir_mmio_write64(reg, value);
	return still_there(dev);
}
