/* SPDX-License-Identifier: BSD-3-Clause */
#include "readiness.h"
#include "in_use.h"
#include "tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set(struct readiness *readiness, enum readiness_state state, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void set(struct readiness *readiness, enum readiness_state state, const char *format, ...)
{
	va_list args;

	readiness->state = state;
	va_start(args, format);
	vsnprintf(readiness->text, sizeof(readiness->text), format, args);
	va_end(args);
}

/* "weir bind ADDRESS OTHER... --user NAME": without the user where root is asked about. */
static void set_bind_fix(struct readiness *readiness, const struct who *who, const char *others)
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

static bool has_node(const char *root, const char *path)
{
	struct stat status;

	return tree_stat(root, path, &status);
}

/* /dev/vfio/devices/vfioN of a bound function; false without one. */
static bool find_cdev(const char *root, const char *address, char *path, size_t bytes)
{
	char folder[64];
	unsigned int nr;
	char **names;

	snprintf(folder, sizeof(folder), PCI_DEVICES "/%s/vfio-dev", address);
	names = tree_names(root, folder, "vfio", &nr);
	snprintf(path, bytes, "/dev/vfio/devices/%s", nr ? names[0] : "");
	tree_free_names(names);
	return nr && has_node(root, path);
}

static void examine_nodes(const char *root, const struct who *who, struct readiness *readiness)
{
	const struct pci_function *function = &readiness->function;
	char group_node[64], cdev_node[300];
	bool group, cdev, may_group, may_cdev;

	snprintf(group_node, sizeof(group_node), "/dev/vfio/%s", function->group);
	group = has_node(root, group_node) && has_node(root, "/dev/vfio/vfio");
	cdev = find_cdev(root, function->address, cdev_node, sizeof(cdev_node)) &&
	       has_node(root, "/dev/iommu");
	may_group = group && who_may_open(who, root, group_node) &&
		    who_may_open(who, root, "/dev/vfio/vfio");
	may_cdev = cdev && who_may_open(who, root, cdev_node) &&
		   who_may_open(who, root, "/dev/iommu");
	if (may_group || may_cdev) {
		set(readiness, READINESS_READY, "ready: %s%s%s", may_cdev ? "cdev" : "",
		    may_cdev && may_group ? ", " : "", may_group ? "group" : "");
		return;
	}
	if (!group && !cdev) {
		set(readiness, READINESS_NO_NODE,
		    "bound to %s, but %s is not there: udev has not made it, or it is not passed "
		    "into this container",
		    function->driver, group_node);
		return;
	}
	set(readiness, READINESS_NO_PERMISSION, "user %s may not open %s", who->name,
	    group ? group_node : cdev_node);
	set_bind_fix(readiness, who, "");
}

static void examine_binding(const char *root, const struct who *who, struct readiness *readiness)
{
	const struct pci_function *function = &readiness->function;
	char first[100], others[160], busy[PCI_ADDRESS_BYTES], why[IN_USE_TEXT];
	bool bindable = find_others(root, function, first, sizeof(first), others, sizeof(others));
	bool bound = pci_driver_is_vfio(function->driver);

	if (!bound && in_use(root, function->address, why)) {
		set(readiness, READINESS_IN_USE, "in use: %s", why);
		return;
	}
	if (*first) {
		set(readiness, READINESS_GROUP, "IOMMU group %s is not viable: %s", function->group,
		    first);
		if (!bindable)
			return;
		if (one_in_use(root, others, busy, why))
			set(readiness, READINESS_IN_USE,
			    "IOMMU group %s is not viable: %s is in "
			    "use: %s",
			    function->group, busy, why);
		else
			set_bind_fix(readiness, who, others);
		return;
	}
	if (!bound) {
		set(readiness, READINESS_NOT_BOUND, "%s%s", *function->driver ? "bound to " : "",
		    *function->driver ? function->driver : "bound to no driver");
		set_bind_fix(readiness, who, "");
		return;
	}
	examine_nodes(root, who, readiness);
}

void readiness_examine(const char *root, const struct who *who, const char *address,
		       struct readiness *readiness)
{
	struct pci_function *function = &readiness->function;

	*readiness = (struct readiness){ 0 };
	if (!pci_function_read(root, address, function))
		set(readiness, READINESS_MISSING,
		    "there is no such PCI function; 'weir ls' lists them");
	else if (pci_function_is_bridge(function))
		set(readiness, READINESS_BRIDGE, "a bridge, nothing that Weir can drive");
	else if (!*function->group)
		set(readiness, READINESS_NO_IOMMU,
		    "in no IOMMU group: the IOMMU is off, or does not reach it");
	else
		examine_binding(root, who, readiness);
}
