/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much ordinary memory can be had. Asked before memory is populated, because the kernel answers
 * a shortage of ordinary pages by killing a process, not by an error.
 */
#ifndef WEIR_MEMORY_BUDGET_H
#define WEIR_MEMORY_BUDGET_H

#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>

/* -ENOMEM when the system, the node (unless WEIR_NODE_ANY) or the process's control group has less
 * than `bytes` to give. */
int budget_check(const char *name, uint64_t bytes, int node, struct weir_error *err);

/*
 * Bytes that the control groups on a path, such as "/user.slice/app", still allow; UINT64_MAX
 * without a limit. `root` is where the cgroup v2 tree is mounted. *group says which group's limit
 * it is; it is cut at `room`.
 */
uint64_t budget_of_cgroup(const char *root, const char *path, char *group, size_t room);

#endif
