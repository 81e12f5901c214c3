/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nodes through which a bound function is opened. There are two ways, each with a node of the
 * function's and one that all functions share.
 */
#include "readiness.h"
#include "tree.h"

#include <stdio.h>
#include <string.h>

struct way {
	const char *name;
	char own[300], own_numbers[320]; /* "": the kernel does not offer this way */
	const char *shared, *shared_numbers;
};

static bool is_there(const char *root, const char *path)
{
	struct stat status;

	return *path && tree_stat(root, path, &status);
}

void readiness_make_node_fix(const char *root, const char *node, const char *numbers, mode_t mode,
			     char *fix, size_t bytes)
{
	unsigned int major, minor;
	char text[32];

	fix[0] = '\0';
	if (!tree_text(root, text, sizeof(text), "%s", numbers) ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		return;
	snprintf(fix, bytes, "mkdir -p %.*s && mknod -m %o %s c %u %u",
		 (int)(strrchr(node, '/') - node), node, (unsigned int)mode, node, major, minor);
}

/* /dev/vfio/GROUP */
static struct way group_way(const struct pci_function *function)
{
	struct way way = { .name = "group",
			   .shared = "/dev/vfio/vfio",
			   .shared_numbers = "/sys/class/misc/vfio/dev" };

	snprintf(way.own, sizeof(way.own), "/dev/vfio/%s", function->group);
	snprintf(way.own_numbers, sizeof(way.own_numbers), "/sys/class/vfio/%s/dev",
		 function->group);
	return way;
}

/* /dev/vfio/devices/vfioN, where the kernel has such. */
static struct way cdev_way(const char *root, const struct pci_function *function)
{
	struct way way = { .name = "cdev",
			   .shared = "/dev/iommu",
			   .shared_numbers = "/sys/class/misc/iommu/dev" };
	char folder[64];
	unsigned int nr;
	char **names;

	snprintf(folder, sizeof(folder), PCI_DEVICES "/%s/vfio-dev", function->address);
	names = tree_names(root, folder, "vfio", &nr);
	if (nr) {
		snprintf(way.own, sizeof(way.own), "/dev/vfio/devices/%s", names[0]);
		snprintf(way.own_numbers, sizeof(way.own_numbers), "%s/%s/dev", folder, names[0]);
	}
	tree_free_names(names);
	return way;
}

static bool way_is_there(const struct way *way, const char *root)
{
	return is_there(root, way->own) && is_there(root, way->shared);
}

static bool may_go(const struct way *way, const char *root, const struct who *who)
{
	return way_is_there(way, root) && who_may_open(who, root, way->own) &&
	       who_may_open(who, root, way->shared);
}

/* Where neither can be gone: the group's, unless only the other's nodes are there, or can be. */
static const struct way *way_to_mend(const struct way *group, const struct way *cdev,
				     const char *root)
{
	if (way_is_there(group, root))
		return group;
	if (way_is_there(cdev, root))
		return cdev;
	return is_there(root, group->own_numbers) || !is_there(root, cdev->own_numbers) ? group
											: cdev;
}

static void report_missing(const struct way *way, const char *root, struct readiness *readiness)
{
	bool own = !is_there(root, way->own);
	const char *node = own ? way->own : way->shared;

	readiness_set(readiness, READINESS_NO_NODE,
		      "bound to %s, but %s is not there: udev has not made it, or it is not passed "
		      "into this container",
		      readiness->function.driver, node);
	readiness_make_node_fix(root, node, own ? way->own_numbers : way->shared_numbers,
				own ? 0600 : 0666, readiness->fix, sizeof(readiness->fix));
}

void readiness_examine_nodes(const char *root, const struct who *who, struct readiness *readiness)
{
	struct way group = group_way(&readiness->function);
	struct way cdev = cdev_way(root, &readiness->function);
	bool may_group = may_go(&group, root, who), may_cdev = may_go(&cdev, root, who);
	const struct way *way;

	if (may_group || may_cdev) {
		readiness_set(readiness, READINESS_READY, "ready: %s%s%s",
			      may_cdev ? cdev.name : "", may_cdev && may_group ? ", " : "",
			      may_group ? group.name : "");
		return;
	}
	way = way_to_mend(&group, &cdev, root);
	if (!way_is_there(way, root)) {
		report_missing(way, root, readiness);
		return;
	}
	readiness_set(readiness, READINESS_NO_PERMISSION, "user %s may not open %s", who->name,
		      who_may_open(who, root, way->own) ? way->shared : way->own);
	readiness_set_bind_fix(readiness, who, "");
}
