/* SPDX-License-Identifier: BSD-3-Clause */
#include "bind.h"
#include "fail.h"
#include "in_use.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The functions of one command line. */
struct set {
	struct pci_function *functions;
	unsigned int nr;
};

/* One command at a time changes bindings. */
static int lock(const struct bind *bind, int *fd, struct weir_error *err)
{
	static const char path[] = BIND_STATE_FOLDER "/lock";
	char whole[PATH_MAX];
	int rc;

	*fd = -1;
	if (bind->dry_run)
		return 0;
	if (snprintf(whole, sizeof(whole), "%s%s", bind->root, path) >= PATH_MAX)
		return fail(err, -ENAMETOOLONG, "%s is too long a path", bind->root);
	rc = tree_make_folders(bind->root, path);
	if (!rc) {
		*fd = open(whole, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (*fd < 0 || flock(*fd, LOCK_EX))
			rc = -errno;
	}
	return rc ? fail(err, rc, "cannot lock %s: %s", path, strerror(-rc)) : 0;
}

static void unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

static bool set_has(const struct set *set, const char *address)
{
	for (unsigned int i = 0; i < set->nr; i++) {
		if (!strcmp(set->functions[i].address, address))
			return true;
	}
	return false;
}

static int read_one(const struct bind *bind, const char *text, struct set *set,
		    struct weir_error *err)
{
	char address[PCI_ADDRESS_BYTES];

	if (!pci_parse_address(text, address))
		return fail(err, -EINVAL,
			    "'%s' is no PCI address, such as 0000:3b:00.0; 'weir ls' lists them",
			    text);
	if (set_has(set, address))
		return 0;
	if (!pci_function_read(bind->root, address, &set->functions[set->nr]))
		return fail(err, -ENODEV, "there is no PCI function %s; 'weir ls' lists them",
			    address);
	set->nr++;
	return 0;
}

/* End it by freeing set->functions. */
static int read_set(const struct bind *bind, char *const *addresses, struct set *set,
		    struct weir_error *err)
{
	unsigned int nr = 0;

	while (addresses[nr])
		nr++;
	*set = (struct set){ .functions = calloc(nr + 1, sizeof(struct pci_function)) };
	if (!set->functions)
		return fail(err, -ENOMEM, "no memory for %u functions", nr);
	for (unsigned int i = 0; i < nr; i++) {
		int rc = read_one(bind, addresses[i], set, err);

		if (rc) {
			free(set->functions);
			set->functions = NULL;
			return rc;
		}
	}
	return 0;
}

static int check_function(const struct bind *bind, const struct pci_function *function,
			  struct weir_error *err)
{
	char why[IN_USE_TEXT];

	if (pci_function_is_bridge(function))
		return fail(err, -EINVAL, "%s is a bridge, nothing that Weir can drive",
			    function->address);
	if (!*function->group)
		return fail(err, -ENODEV,
			    "%s is in no IOMMU group: the IOMMU is off, or does not reach it; "
			    "'weir doctor' says how to switch it on",
			    function->address);
	if (function->unprotected)
		return fail(err, -ENODEV,
			    "%s is /dev/vfio/noiommu-%s, taken without an IOMMU: nothing contains "
			    "its DMA, so Weir refuses it; 'weir unbind %s' gives it back, and "
			    "'weir doctor' says how to switch the IOMMU on",
			    function->address, function->group, function->address);
	if (!pci_driver_is_vfio(function->driver) && in_use(bind->root, function->address, why))
		return fail(err, -EBUSY, "%s is in use: %s", function->address, why);
	return 0;
}

static const char *member_role(const struct set *set, const char *member, const char *driver)
{
	if (set_has(set, member))
		return pci_driver_is_vfio(driver) ? "bound already" : "to be bound";
	if (pci_driver_is_vfio(driver))
		return "bound already";
	if (!*driver)
		return "in nobody's way without a driver";
	if (!pci_driver_is_in_the_way(driver))
		return "in nobody's way";
	return "IN THE WAY";
}

/* The members of a group that keep it from being viable, for a message. */
struct blockers {
	unsigned int nr;
	char first[100];
	char operands[104]; /* their addresses, each with a blank in front */
	bool all; /* they are all there */
};

static void add_blocker(struct blockers *blockers, const char *member, const char *driver)
{
	char address[PCI_ADDRESS_BYTES];
	size_t used = strlen(blockers->operands);

	if (!blockers->nr++)
		snprintf(blockers->first, sizeof(blockers->first), "%.40s is bound to %.40s",
			 member, driver);
	/* A member can be of another bus. */
	if (pci_parse_address(member, address) &&
	    used + 1 + strlen(address) < sizeof(blockers->operands))
		snprintf(blockers->operands + used, sizeof(blockers->operands) - used, " %s",
			 address);
	else
		blockers->all = false;
}

/* Shows all members of a function's group. */
static void show_group(const struct bind *bind, const struct set *set, const char *group,
		       struct blockers *blockers)
{
	unsigned int nr;
	char **members = pci_group_members(bind->root, group, &nr);
	char driver[64];

	*blockers = (struct blockers){ .all = true };
	fprintf(bind->out, "IOMMU group %s:\n", group);
	for (unsigned int i = 0; i < nr; i++) {
		pci_group_member_driver(bind->root, group, members[i], driver, sizeof(driver));
		fprintf(bind->out, "  %-14s %-12s %s\n", members[i], *driver ? driver : "-",
			member_role(set, members[i], driver));
		if (!set_has(set, members[i]) && pci_driver_is_in_the_way(driver))
			add_blocker(blockers, members[i], driver);
	}
	tree_free_names(members);
}

static int check_groups(const struct bind *bind, const struct set *set, struct weir_error *err)
{
	struct blockers blockers;

	for (unsigned int i = 0; i < set->nr; i++) {
		const struct pci_function *function = &set->functions[i];
		bool shown = false;

		for (unsigned int j = 0; j < i; j++)
			shown = shown || !strcmp(set->functions[j].group, function->group);
		if (shown)
			continue;
		show_group(bind, set, function->group, &blockers);
		if (!blockers.nr)
			continue;
		if (!blockers.all)
			return fail(err, -EPERM,
				    "IOMMU group %s would not be viable: %s; all %u that are in "
				    "the way, shown above, have to leave their drivers",
				    function->group, blockers.first, blockers.nr);
		return fail(err, -EPERM,
			    "IOMMU group %s would not be viable: %s; bind all of it with "
			    "'weir bind %s%s'",
			    function->group, blockers.first, function->address, blockers.operands);
	}
	return 0;
}

static int load_vfio(const struct bind *bind, struct weir_error *err)
{
	struct stat status;
	int rc;

	if (tree_stat(bind->root, PCI_DRIVERS "/" PCI_VFIO_DRIVER, &status))
		return 0;
	if (bind->dry_run) {
		fprintf(bind->out, "would load " PCI_VFIO_DRIVER "\n");
		return 0;
	}
	rc = bind->kernel->load(bind->kernel->ctx, PCI_VFIO_DRIVER);
	if (rc || !tree_stat(bind->root, PCI_DRIVERS "/" PCI_VFIO_DRIVER, &status))
		return fail(err, rc ? rc : -ENODEV,
			    "cannot load the " PCI_VFIO_DRIVER " module: 'weir doctor' says what "
			    "is missing");
	fprintf(bind->out, "loaded " PCI_VFIO_DRIVER "\n");
	return 0;
}

/* The first `nr` functions of the set get their old drivers back; those that were bound before the
 * command stay. */
static void undo(const struct bind *bind, const struct set *set, unsigned int nr)
{
	struct weir_error err;

	while (nr--) {
		const struct pci_function *function = &set->functions[nr];

		if (pci_driver_is_vfio(function->driver))
			continue;
		if (bind_driver_give_back(bind, function->address, &err))
			fprintf(bind->out, "%s: cannot be restored: %s\n", function->address,
				err.text);
		else
			fprintf(bind->out, "%s: back at %s\n", function->address,
				*function->driver ? function->driver : "no driver");
	}
}

static int take_one(const struct bind *bind, const struct pci_function *function,
		    struct weir_error *err)
{
	const char *old = *function->driver ? function->driver : "no driver";
	int rc;

	if (pci_driver_is_vfio(function->driver)) {
		fprintf(bind->out, "%s: bound to %s already\n", function->address,
			function->driver);
		return 0;
	}
	if (bind->dry_run) {
		fprintf(bind->out, "%s: would go from %s to " PCI_VFIO_DRIVER "\n",
			function->address, old);
		return 0;
	}
	rc = bind_driver_take(bind, function, err);
	if (!rc)
		fprintf(bind->out, "%s: bound to " PCI_VFIO_DRIVER ", was %s\n", function->address,
			old);
	return rc;
}

static int give_access(const struct bind *bind, const struct set *set, struct weir_error *err)
{
	int rc = 0;

	if (!bind->access.mode)
		return 0;
	if (bind->dry_run) {
		fprintf(bind->out, "would give the nodes to %s\n",
			bind->access.option + strlen("--"));
		return 0;
	}
	bind->kernel->settle(bind->kernel->ctx);
	for (unsigned int i = 0; !rc && i < set->nr; i++)
		rc = bind_give_access(bind, &set->functions[i], err);
	return rc;
}

/* Writes the files of all functions, or of none. */
static int persist(const struct bind *bind, const struct set *set, struct weir_error *err)
{
	int rc;

	for (unsigned int i = 0; bind->persist && i < set->nr; i++) {
		rc = bind_persist(bind, &set->functions[i], err);
		if (!rc)
			continue;
		for (unsigned int j = 0; j <= i; j++)
			bind_unpersist(bind, set->functions[j].address, NULL);
		return rc;
	}
	return 0;
}

static int bind_set(const struct bind *bind, const struct set *set, struct weir_error *err)
{
	unsigned int taken;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < set->nr; i++)
		rc = check_function(bind, &set->functions[i], err);
	if (!rc && !bind->boot)
		rc = check_groups(bind, set, err);
	if (!rc)
		rc = load_vfio(bind, err);
	if (rc)
		return rc;
	for (taken = 0; taken < set->nr; taken++) {
		rc = take_one(bind, &set->functions[taken], err);
		if (rc)
			break;
	}
	if (!rc)
		rc = give_access(bind, set, err);
	if (!rc)
		rc = persist(bind, set, err);
	if (rc)
		undo(bind, set, taken);
	return rc;
}

int bind_functions(const struct bind *bind, char *const *addresses, struct weir_error *err)
{
	struct set set = { 0 };
	int fd, rc;

	rc = lock(bind, &fd, err);
	if (!rc)
		rc = read_set(bind, addresses, &set, err);
	if (!rc) {
		rc = bind_set(bind, &set, err);
		free(set.functions);
	}
	unlock(fd);
	return rc;
}

int bind_nodes(const struct bind *bind, char *const *addresses, struct weir_error *err)
{
	struct set set = { 0 };
	int rc;

	rc = read_set(bind, addresses, &set, err);
	if (rc)
		return rc;
	for (unsigned int i = 0; !rc && i < set.nr; i++) {
		if (pci_driver_is_vfio(set.functions[i].driver))
			rc = bind_give_access(bind, &set.functions[i], err);
	}
	free(set.functions);
	return rc;
}

static int give_back(const struct bind *bind, const struct pci_function *function,
		     struct weir_error *err)
{
	char why[IN_USE_TEXT], driver[64], group[32];
	int rc;

	if (!pci_driver_is_vfio(function->driver)) {
		if (!bind->persist)
			return fail(err, -EINVAL, "%s is bound to %s, not to " PCI_VFIO_DRIVER,
				    function->address,
				    *function->driver ? function->driver : "no driver");
		if (!bind->dry_run)
			bind_state_forget(bind->root, function->address);
		return 0;
	}
	/* The kernel would wait for as long as the process likes. */
	snprintf(group, sizeof(group), "%s%s", function->unprotected ? "noiommu-" : "",
		 function->group);
	if (in_use_by_vfio(bind->root, function->address, group, why))
		return fail(err, -EBUSY, "%s is in use: %s", function->address, why);
	if (bind->dry_run) {
		struct bind_state before;
		bool known = bind_state_load(bind->root, function->address, &before);

		fprintf(bind->out, "%s: would go from %s to %s\n", function->address,
			function->driver,
			!known		 ? "the driver that the kernel finds"
			: *before.driver ? before.driver
					 : "no driver");
		return 0;
	}
	rc = bind_driver_give_back(bind, function->address, err);
	if (rc)
		return rc;
	tree_link(bind->root, driver, sizeof(driver), PCI_DEVICES "/%s/driver", function->address);
	fprintf(bind->out, "%s: bound to %s, was %s\n", function->address,
		*driver ? driver : "no driver", function->driver);
	return 0;
}

int unbind_functions(const struct bind *bind, char *const *addresses, struct weir_error *err)
{
	struct set set = { 0 };
	int fd, rc;

	rc = lock(bind, &fd, err);
	if (!rc)
		rc = read_set(bind, addresses, &set, err);
	if (rc)
		goto out;
	for (unsigned int i = 0; !rc && i < set.nr; i++) {
		const struct pci_function *function = &set.functions[i];

		rc = give_back(bind, function, err);
		if (!rc && bind->persist)
			rc = bind_unpersist(bind, function->address, err);
		else if (!rc && bind_is_persistent(bind->root, function->address))
			fprintf(bind->out,
				"%s: bound again at the next boot; 'weir unbind --persist' ends "
				"that\n",
				function->address);
	}
	free(set.functions);
out:
	unlock(fd);
	return rc;
}
