/* SPDX-License-Identifier: BSD-3-Clause */
#include "readiness.h"
#include "in_use.h"
#include "tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void readiness_set(struct readiness *readiness, enum readiness_state state, const char *format, ...)
{
	va_list args;

	readiness->state = state;
	va_start(args, format);
	vsnprintf(readiness->text, sizeof(readiness->text), format, args);
	va_end(args);
}

void readiness_set_bind_fix(struct readiness *readiness, const struct who *who, const char *others)
{
	const struct pci_function *function = &readiness->function;

	snprintf(readiness->fix, sizeof(readiness->fix), "weir bind %s%s%s%s", function->address,
		 others, who->uid ? " --user " : "", who->uid ? who->name : "");
}

/*
 * The members of the group with a driver in the way, apart from the function itself: the first goes
 * into `first`, all go, as operands, into `others`. Returns false when one can be no operand.
 */
static bool find_others(const char *root, const struct pci_function *function, char *first,
			size_t first_bytes, char *others, size_t others_bytes)
{
	char driver[64], address[PCI_ADDRESS_BYTES];
	bool bindable = true;
	unsigned int nr;
	char **members = pci_group_members(root, function->group, &nr);
	size_t used = 0;

	*first = *others = '\0';
	for (unsigned int i = 0; i < nr; i++) {
		pci_group_member_driver(root, function->group, members[i], driver, sizeof(driver));
		if (!strcmp(members[i], function->address) || !pci_driver_is_in_the_way(driver))
			continue;
		if (!*first)
			snprintf(first, first_bytes, "%.40s is bound to %.40s", members[i], driver);
		bindable = bindable && pci_parse_address(members[i], address) &&
			   used + PCI_ADDRESS_BYTES + 1 < others_bytes;
		if (bindable)
			used += (size_t)snprintf(others + used, others_bytes - used, " %s",
						 address);
	}
	tree_free_names(members);
	return bindable;
}

/* Whether one of the addresses in "ADDRESS ADDRESS" is in use. */
static bool one_in_use(const char *root, const char *addresses, char *address, char *why)
{
	int used;

	for (; sscanf(addresses, " %19s%n", address, &used) == 1; addresses += used) {
		if (in_use(root, address, why))
			return true;
	}
	return false;
}

static void examine_binding(const char *root, const struct who *who, struct readiness *readiness)
{
	const struct pci_function *function = &readiness->function;
	char first[100], others[420], busy[PCI_ADDRESS_BYTES], why[IN_USE_TEXT];
	bool bindable = find_others(root, function, first, sizeof(first), others, sizeof(others));
	bool bound = pci_driver_is_vfio(function->driver);

	if (!bound && in_use(root, function->address, why)) {
		readiness_set(readiness, READINESS_IN_USE, "in use: %s", why);
		return;
	}
	if (*first) {
		readiness_set(readiness, READINESS_GROUP, "IOMMU group %s is not viable: %s",
			      function->group, first);
		if (!bindable)
			return;
		if (one_in_use(root, others, busy, why))
			readiness_set(readiness, READINESS_IN_USE,
				      "IOMMU group %s is not viable: %s is in "
				      "use: %s",
				      function->group, busy, why);
		else
			readiness_set_bind_fix(readiness, who, others);
		return;
	}
	if (!bound) {
		readiness_set(readiness, READINESS_NOT_BOUND, "%s%s",
			      *function->driver ? "bound to " : "",
			      *function->driver ? function->driver : "bound to no driver");
		readiness_set_bind_fix(readiness, who, "");
		return;
	}
	readiness_examine_nodes(root, who, readiness);
}

void readiness_examine(const char *root, const struct who *who, const char *address,
		       struct readiness *readiness)
{
	struct pci_function *function = &readiness->function;

	*readiness = (struct readiness){ 0 };
	if (!pci_function_read(root, address, function))
		readiness_set(readiness, READINESS_MISSING,
			      "there is no such PCI function; 'weir ls' lists them");
	else if (pci_function_is_bridge(function))
		readiness_set(readiness, READINESS_BRIDGE, "a bridge, nothing that Weir can drive");
	else if (!*function->group)
		readiness_set(readiness, READINESS_NO_IOMMU,
			      "in no IOMMU group: the IOMMU is off, or does not reach it");
	else if (function->unprotected)
		readiness_set(readiness, READINESS_NO_IOMMU,
			      "/dev/vfio/noiommu-%s, taken without an IOMMU, which is off, or does "
			      "not reach it: nothing contains its DMA, so Weir refuses it",
			      function->group);
	else
		examine_binding(root, who, readiness);
}
