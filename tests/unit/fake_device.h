/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Stands in for framework/device in tests of a driver's own parts: every call is answered, nothing
 * is behind it. Link it in front of libweir's static library, whose device objects are then not
 * taken.
 */
#ifndef WEIR_TEST_FAKE_DEVICE_H
#define WEIR_TEST_FAKE_DEVICE_H

#include <stdbool.h>
#include <weir/device.h>

struct weir_device *fake_device(void);
void fake_device_reset(void);

/* BAR 0 and configuration space of a test that is the device itself, until the next
 * fake_device_reset(). Without it what is read is 0. */
struct fake_registers {
	uint32_t (*read)(uint64_t offset);
	void (*write)(uint64_t offset, uint32_t value);
	uint32_t (*read_config)(uint64_t offset);
};
void fake_device_registers(const struct fake_registers *registers);

/* What the driver did. */
bool fake_device_bus_master(void);
unsigned int fake_device_resets(void);

#endif
