/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What bus drivers ask about files of groups (/dev/vfio/NUMBER). The caller holds the file.
 */
#ifndef WEIR_CORE_GROUP_H
#define WEIR_CORE_GROUP_H

#include <linux/types.h>

struct file;
struct weir_device;

/* Whether it is the file of a group. Any context. */
bool weir_file_is_group(const struct file *file);

/*
 * Whether the file proves that its holder owns the device: it is a group's, and the device is in
 * that group. For hot reset: [3] of the device's set is held or not.
 */
bool weir_file_owns_device(const struct file *file, const struct weir_device *device);

#endif
