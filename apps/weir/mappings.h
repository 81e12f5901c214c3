/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device can reach, as a table for a person. */
#ifndef WEIR_APPS_MAPPINGS_H
#define WEIR_APPS_MAPPINGS_H

#include <weir/error.h>
#include <weir/ioas.h>

/*
 * Prints a line for each mapping that the device has: "ADDRESS: 0x4000000000-0x40000fffff rw host
 * memory", or "device memory".
 */
int mappings_print(const char *address, struct weir_ioas *ioas, struct weir_error *err);

#endif
