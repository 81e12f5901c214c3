/* SPDX-License-Identifier: BSD-3-Clause */
/* What the counts of instructions may not rise over, and the file that they are written to. */
#ifndef WEIR_BENCH_CEILINGS_H
#define WEIR_BENCH_CEILINGS_H

#include <jansson.h>
#include <stdbool.h>

/* The ceiling of a name in a file of names and numbers, or a negative number when there is none. */
double ceilings_find(const char *path, const char *name);

/* Writes the rows to the file, unless `path` is NULL, and lets them go. False, with a line on
 * standard error, when it cannot be written. */
bool ceilings_write(json_t *rows, const char *path);

#endif
