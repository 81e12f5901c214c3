/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_device.h"

#include <errno.h>
#include <string.h>

struct weir_device {
	bool bus_master;
	bool gone;
	unsigned int resets;
	const struct fake_registers *registers;
};

static struct weir_device the_device;

struct weir_device *fake_device(void)
{
	return &the_device;
}

void fake_device_reset(void)
{
	the_device = (struct weir_device){ .bus_master = true };
}

void fake_device_registers(const struct fake_registers *registers)
{
	the_device.registers = registers;
}

bool fake_device_bus_master(void)
{
	return the_device.bus_master;
}

unsigned int fake_device_resets(void)
{
	return the_device.resets;
}

int weir_device_open(const char *address, struct weir_ioas *ioas,
		     const struct weir_device_options *options, struct weir_device **dev,
		     struct weir_error *err)
{
	(void)address, (void)ioas, (void)options, (void)dev, (void)err;
	return -ENOENT;
}

void weir_device_close(struct weir_device *dev)
{
	dev->gone = true;
}

void weir_device_info(const struct weir_device *dev, struct weir_device_info *info)
{
	(void)dev;
	memset(info, 0, sizeof(*info));
}

struct weir_ioas *weir_device_ioas(const struct weir_device *dev)
{
	(void)dev;
	return NULL;
}

int weir_device_gone(const struct weir_device *dev)
{
	return dev->gone;
}

uint64_t weir_device_region_bytes(const struct weir_device *dev, unsigned int region)
{
	(void)dev;
	return region ? 0 : 8192;
}

volatile void *weir_device_bar(const struct weir_device *dev, unsigned int bar, uint64_t offset,
			       uint64_t bytes)
{
	(void)dev, (void)bar, (void)offset, (void)bytes;
	return NULL;
}

int weir_device_read(struct weir_device *dev, unsigned int region, uint64_t offset, void *data,
		     size_t bytes, struct weir_error *err)
{
	const struct fake_registers *registers = dev->registers;
	uint32_t value = 0;

	(void)err;
	if (registers && region == WEIR_REGION_BAR0)
		value = registers->read(offset);
	else if (registers && region == WEIR_REGION_CONFIG)
		value = registers->read_config(offset);
	memset(data, 0, bytes);
	memcpy(data, &value, bytes < sizeof(value) ? bytes : sizeof(value));
	return dev->gone ? -ENODEV : 0;
}

int weir_device_read32(struct weir_device *dev, unsigned int bar, uint64_t offset, uint32_t *value)
{
	(void)bar;
	*value = dev->registers ? dev->registers->read(offset) : 0;
	return dev->gone ? -ENODEV : 0;
}

int weir_device_read64(struct weir_device *dev, unsigned int bar, uint64_t offset, uint64_t *value)
{
	(void)bar, (void)offset;
	*value = 0;
	return dev->gone ? -ENODEV : 0;
}

int weir_device_write32(struct weir_device *dev, unsigned int bar, uint64_t offset, uint32_t value)
{
	(void)bar;
	if (dev->registers)
		dev->registers->write(offset, value);
	return dev->gone ? -ENODEV : 0;
}

int weir_device_write64(struct weir_device *dev, unsigned int bar, uint64_t offset, uint64_t value)
{
	(void)bar, (void)offset, (void)value;
	return dev->gone ? -ENODEV : 0;
}

int weir_device_bus_master(struct weir_device *dev, int enable, struct weir_error *err)
{
	(void)err;
	dev->bus_master = enable;
	return 0;
}

int weir_device_reset(struct weir_device *dev, struct weir_error *err)
{
	(void)err;
	dev->resets++;
	return 0;
}

int weir_device_events(struct weir_device *dev, struct weir_event *events, unsigned int max)
{
	(void)events, (void)max;
	return dev->gone ? -ENODEV : 0;
}

int weir_device_event_fd(const struct weir_device *dev)
{
	(void)dev;
	return -1;
}

unsigned int weir_irq_count(const struct weir_device *dev, enum weir_irq kind)
{
	(void)dev, (void)kind;
	return 0;
}

int weir_irq_bind(struct weir_device *dev, enum weir_irq kind, unsigned int first,
		  unsigned int count, const int *eventfds, struct weir_error *err)
{
	(void)dev, (void)kind, (void)first, (void)count, (void)eventfds, (void)err;
	return 0;
}

int weir_irq_unbind(struct weir_device *dev, enum weir_irq kind, struct weir_error *err)
{
	(void)dev, (void)kind, (void)err;
	return 0;
}

int weir_irq_arm(struct weir_device *dev, unsigned int vector)
{
	(void)dev, (void)vector;
	return 0;
}

int weir_irq_disarm(struct weir_device *dev, unsigned int vector)
{
	(void)dev, (void)vector;
	return 0;
}
