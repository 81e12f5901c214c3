/* SPDX-License-Identifier: BSD-3-Clause */
/* That the driver refuses bad I/Os, and a device that completes what it was not given. */
#ifndef WEIR_BENCH_REFUSALS_H
#define WEIR_BENCH_REFUSALS_H

#include <stdbool.h>

/* Tries all, on the controller at `address` and on faulty ones that it starts itself; prints what
 * came out. */
bool refusals_all(const char *address);

#endif
