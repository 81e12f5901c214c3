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
	char fix[240]; /* for a root shell; "" when no command does it */
};

/* Only the first thing in the way is reported. `address` is of the form that /sys uses. */
void readiness_examine(const char *root, const struct who *who, const char *address,
		       struct readiness *readiness);

#endif
