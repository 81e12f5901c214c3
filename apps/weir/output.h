/* SPDX-License-Identifier: BSD-3-Clause */
/* What commands print on standard output. */
#ifndef WEIR_APPS_OUTPUT_H
#define WEIR_APPS_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>

/* Prints one JSON value and a newline, and gives it up. NULL (no memory) and a failed write are
 * errors. */
int output_json(json_t *value, struct weir_error *err);

/* "1.5 GiB", "512 B": for people. Returns text. */
const char *output_bytes(uint64_t bytes, char *text, size_t room);

#endif
