/* SPDX-License-Identifier: BSD-3-Clause */
/* What Weir can do with a PCI function now, or what is in the way and the command that removes it.
 */
#ifndef WEIR_APPS_READINESS_H
#define WEIR_APPS_READINESS_H

#include "pci_function.h"
#include "who.h"

enum readiness_state {
	READINESS_READY,
	READINESS_MISSING, /* no such function */
	READINESS_BRIDGE, /* no device to drive */
	READINESS_NO_IOMMU,
	READINESS_IN_USE,
	READINESS_NOT_BOUND,
	READINESS_GROUP, /* not viable */
	READINESS_NO_NODE,
	READINESS_NO_PERMISSION,
};

struct readiness {
	enum readiness_state state;
	struct pci_function function;
	char text[240]; /* without the address: "bound to nvme" */
	char fix[512]; /* for a root shell; "" when no command does it */
};

/* Only the first thing in the way is reported. `address` is of the form that /sys uses. */
void readiness_examine(const char *root, const struct who *who, const char *address,
		       struct readiness *readiness);

/*
 * What makes a node that the kernel has and /dev lacks: its numbers are in /sys.
 *
 * @param numbers  file of /sys with them: "/sys/class/misc/vfio/dev"
 * @param[out] fix  for a root shell; "" when the kernel has no such node either
 */
void readiness_make_node_fix(const char *root, const char *node, const char *numbers, mode_t mode,
			     char *fix, size_t bytes);

/* readiness.c and readiness_nodes.c between themselves. */
void readiness_set(struct readiness *readiness, enum readiness_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "weir bind ADDRESS OTHER... --user NAME": without the user where root is asked about. */
void readiness_set_bind_fix(struct readiness *readiness, const struct who *who, const char *others);
/* Of a function that is bound, in a group that is viable. */
void readiness_examine_nodes(const char *root, const struct who *who, struct readiness *readiness);

#endif
