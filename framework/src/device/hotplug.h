/* SPDX-License-Identifier: BSD-3-Clause */
/* What a message of the kernel says about a PCI function. */
#ifndef WEIR_DEVICE_HOTPLUG_H
#define WEIR_DEVICE_HOTPLUG_H

#include <stdbool.h>
#include <stddef.h>
#include <weir/hotplug.h>

/* Room for a message: the kernel's own buffer is 2 KiB (linux/kobject.h, UEVENT_BUFFER_SIZE). */
#define HOTPLUG_MESSAGE_BYTES 8192

/*
 * Understands a message: "ACTION@PATH" and then "KEY=VALUE" strings, each with its NUL. The last
 * byte need not be one. false: it is about something else, or not understood.
 */
bool hotplug_parse(const char *message, size_t bytes, struct weir_hotplug_event *event);

#endif
