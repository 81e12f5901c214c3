/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_APPS_CPUS_H
#define WEIR_APPS_CPUS_H

#include "parse.h"

/* Whether a list, unless it is empty, has a CPU that this process may use for each queue's thread.
 * CLI_USAGE: it does not, and the text says which. */
int cpus_check(const struct cpu_list *list, uint64_t queues, struct weir_error *err);

#endif
