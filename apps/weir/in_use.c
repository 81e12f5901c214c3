/* SPDX-License-Identifier: BSD-3-Clause */
#include "in_use.h"
#include "opened.h"
#include "pci_function.h"
#include "tree.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

bool in_use_below(const char *root, const char *link, const char *folder)
{
	char target[PATH_MAX];
	size_t length = strlen(folder);

	if (!length || !tree_link_target(root, target, sizeof(target), "%s", link))
		return false;
	for (const char *at = target; (at = strstr(at, folder)); at++) {
		if (at > target && at[-1] == '/' && (at[length] == '/' || at[length] == '\0'))
			return true;
	}
	return false;
}

static bool has_virtual_functions(const char *root, const char *address, char *why)
{
	uint64_t nr;

	if (!tree_number(root, &nr, PCI_DEVICES "/%s/sriov_numvfs", address) || !nr)
		return false;
	snprintf(why, IN_USE_TEXT,
		 "it has %" PRIu64 " virtual functions, which end with it: "
		 "'echo 0 > " PCI_DEVICES "/%s/sriov_numvfs' removes them",
		 nr, address);
	return true;
}

bool in_use(const char *root, const char *address, char *why)
{
	return in_use_block(root, address, why) || in_use_net(root, address, why) ||
	       has_virtual_functions(root, address, why);
}

bool in_use_by_vfio(const char *root, const char *address, const char *group, char *why)
{
	char folder[64], path[2][300], by[OPENED_TEXT];
	const char *paths[2];
	unsigned int nr = 0, nr_nodes;
	char **nodes;

	if (*group) {
		snprintf(path[nr], sizeof(path[nr]), "/dev/vfio/%s", group);
		paths[nr] = path[nr];
		nr++;
	}
	snprintf(folder, sizeof(folder), PCI_DEVICES "/%s/vfio-dev", address);
	nodes = tree_names(root, folder, "vfio", &nr_nodes);
	if (nr_nodes) {
		snprintf(path[nr], sizeof(path[nr]), "/dev/vfio/devices/%s", nodes[0]);
		paths[nr] = path[nr];
		nr++;
	}
	tree_free_names(nodes);
	if (!opened(root, paths, nr, by))
		return false;
	snprintf(why, IN_USE_TEXT, "%s", by);
	return true;
}
