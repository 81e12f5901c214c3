/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_APPS_MEMORY_CHECK_H
#define WEIR_APPS_MEMORY_CHECK_H

#include <stdint.h>
#include <weir/error.h>

/*
 * Whether so much memory can be had without pushing the system into its out-of-memory killer.
 *
 * @param what  the settings that the size comes from, which the text begins with
 * @return 0, CLI_USAGE when it is over any arena's limit, or -ENOMEM
 */
int memory_check(const char *what, uint64_t needed, struct weir_error *err);

#endif
