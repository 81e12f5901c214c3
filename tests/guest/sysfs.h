/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PCI devices and kernel attributes as text, the little that the lab's checks need.
 */
#ifndef WEIR_TESTS_GUEST_SYSFS_H
#define WEIR_TESTS_GUEST_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

/** Reads the first line of a file, without its newline; "" when there is no such file. */
void sysfs_read(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** A file's number, decimal or 0x-hexadecimal; -2 when there is none. */
long sysfs_number(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Writes text into a file; 0 or a negative errno. */
int sysfs_write(const char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool sysfs_exists(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The last component of a symbolic link's target; "" when there is no such link. */
void sysfs_link(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
