/* SPDX-License-Identifier: BSD-3-Clause */
/* Configuration space (PCI 3.0 §6.1): identity, command register, capabilities. */
#include <inttypes.h>

#include "device/transport.h"

#define CONFIG_COMMAND 0x04
#define COMMAND_MEMORY 0x0002
#define COMMAND_BUS_MASTER 0x0004
#define CONFIG_STATUS 0x06
#define STATUS_CAPABILITIES 0x0010
#define CONFIG_CLASS 0x08
#define CONFIG_SUBSYSTEM 0x2c
#define CONFIG_CAPABILITIES 0x34
#define CONFIG_HEADER_END 0x40

#define CAPABILITY_MSIX 0x11
/* 192 bytes behind the header hold no more capabilities of 4 bytes. */
#define MAX_CAPABILITIES 48

#define MSIX_CONTROL 2
#define MSIX_CONTROL_SIZE 0x07ff
#define MSIX_TABLE 4
#define MSIX_TABLE_BAR 0x7u
#define MSIX_ENTRY_BYTES 16

int config_read16(struct weir_device *dev, uint64_t offset, uint16_t *value, struct weir_error *err)
{
	return weir_device_read(dev, WEIR_REGION_CONFIG, offset, value, sizeof(*value), err);
}

static int read32(struct weir_device *dev, uint64_t offset, uint32_t *value, struct weir_error *err)
{
	return weir_device_read(dev, WEIR_REGION_CONFIG, offset, value, sizeof(*value), err);
}

int config_update16(struct weir_device *dev, uint64_t offset, uint16_t clear, uint16_t set,
		    struct weir_error *err)
{
	uint16_t old, new;
	int ret;

	pthread_mutex_lock(&dev->config_lock);
	ret = config_read16(dev, offset, &old, err);
	if (ret)
		goto unlock;
	new = (uint16_t)((old & ~clear) | set);
	if (new != old)
		ret = weir_device_write(dev, WEIR_REGION_CONFIG, offset, &new, sizeof(new), err);
unlock:
	pthread_mutex_unlock(&dev->config_lock);
	return ret;
}

WEIR_EXPORT int weir_device_bus_master(struct weir_device *dev, int enable, struct weir_error *err)
{
	if (enable)
		return config_update16(dev, CONFIG_COMMAND, 0, COMMAND_MEMORY | COMMAND_BUS_MASTER,
				       err);
	return config_update16(dev, CONFIG_COMMAND, COMMAND_BUS_MASTER, 0, err);
}

WEIR_EXPORT int weir_device_find_capability(struct weir_device *dev, uint8_t id)
{
	uint8_t at;
	uint16_t status, header;
	int ret = config_read16(dev, CONFIG_STATUS, &status, NULL);

	if (ret)
		return ret;
	if (!(status & STATUS_CAPABILITIES))
		return -ENOENT;
	ret = weir_device_read(dev, WEIR_REGION_CONFIG, CONFIG_CAPABILITIES, &at, 1, NULL);
	if (ret)
		return ret;
	for (unsigned int step = 0; step < MAX_CAPABILITIES; step++) {
		at &= 0xfc;
		if (at < CONFIG_HEADER_END)
			break;
		ret = config_read16(dev, at, &header, NULL);
		if (ret)
			return ret;
		if ((header & 0xff) == id)
			return at;
		at = (uint8_t)(header >> 8);
	}
	return -ENOENT;
}

/* A table that does not fit its BAR is not used; the device can still be polled. */
static int find_msix(struct weir_device *dev, struct weir_error *err)
{
	struct device_msix *msix = &dev->msix;
	int at = weir_device_find_capability(dev, CAPABILITY_MSIX);
	uint32_t table, bytes;
	uint16_t control;
	int ret;

	if (at == -ENOENT || dev->irq_counts[WEIR_IRQ_MSIX] == 0)
		return 0;
	if (at < 0)
		return weir_error_set(err, at, "%s: cannot read its capabilities", dev->address);
	ret = config_read16(dev, (uint64_t)at + MSIX_CONTROL, &control, err);
	if (!ret)
		ret = read32(dev, (uint64_t)at + MSIX_TABLE, &table, err);
	if (ret)
		return ret;
	msix->capability = (uint32_t)at;
	msix->bar = table & MSIX_TABLE_BAR;
	msix->offset = table & ~MSIX_TABLE_BAR;
	msix->nr_vectors = (control & MSIX_CONTROL_SIZE) + 1u;
	if (msix->nr_vectors > dev->irq_counts[WEIR_IRQ_MSIX])
		msix->nr_vectors = dev->irq_counts[WEIR_IRQ_MSIX];
	bytes = msix->nr_vectors * MSIX_ENTRY_BYTES;
	if (msix->bar > WEIR_REGION_BAR5 ||
	    !weir_range_within(msix->offset, bytes, dev->regions[msix->bar].bytes)) {
		weir_log_write(&dev->log, WEIR_LOG_WARN,
			       "%s: its MSI-X table, 0x%x bytes at 0x%x of BAR %u, is outside "
			       "that BAR: vectors cannot be armed",
			       dev->address, bytes, msix->offset, msix->bar);
		msix->nr_vectors = 0;
	}
	return 0;
}

int config_describe(struct weir_device *dev, struct weir_error *err)
{
	struct device_ids *ids = &dev->ids;
	uint32_t id, class_code, subsystem;
	int ret;

	if (dev->regions[WEIR_REGION_CONFIG].bytes < 256)
		return weir_error_set(err, -EPROTO,
				      "%s: its configuration space has %" PRIu64
				      " bytes, fewer than 256",
				      dev->address, dev->regions[WEIR_REGION_CONFIG].bytes);
	ret = read32(dev, 0, &id, err);
	if (!ret)
		ret = read32(dev, CONFIG_CLASS, &class_code, err);
	if (!ret)
		ret = read32(dev, CONFIG_SUBSYSTEM, &subsystem, err);
	if (ret)
		return ret;
	ids->vendor_id = (uint16_t)id;
	ids->device_id = (uint16_t)(id >> 16);
	ids->revision = class_code & 0xff;
	ids->class_code = class_code >> 8;
	ids->subsystem_vendor_id = (uint16_t)subsystem;
	ids->subsystem_id = (uint16_t)(subsystem >> 16);
	return find_msix(dev, err);
}
