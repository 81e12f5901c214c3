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

/* What the driver did. */
bool fake_device_bus_master(void);

#endif
