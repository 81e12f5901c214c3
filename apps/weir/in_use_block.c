/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The block devices of a function and of the NVMe subsystem that it leads to (with native multipath
 * they are the subsystem's, not the controller's): mounted or swapped on, themselves or through
 * partitions and what device-mapper, md and the like have made of them, or open in a process.
 */
#include "in_use.h"
#include "opened.h"
#include "pci_function.h"
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK "/sys/class/block"
#define SUBSYSTEMS "/sys/class/nvme-subsystem"
/* Devices stacked on each other; the kernel itself stops at about eight. */
#define MAX_DEPTH 16
#define MAX_PATHS 256

/* What the checks look at, read once. */
struct usage {
	const char *root;
	char *mounts[2]; /* of the first process, whose mounts are the system's, and of this one */
	char *swaps;
};

/*
 * Where a device is mounted: by its number, or by name, since a file system that spans devices has
 * a number of its own (btrfs). proc(5): "36 35 98:0 /root /point options fields - type source ..."
 */
static bool find_mount(const char *table, const char *number, const char *name, char *point,
		       size_t bytes)
{
	const char *line = table;

	while (line && *line) {
		char text[3 * PATH_MAX], at_number[32], at_point[PATH_MAX], source[PATH_MAX] = "";
		size_t length = strcspn(line, "\n");
		const char *dash;

		snprintf(text, sizeof(text), "%.*s", (int)(length < INT_MAX ? length : INT_MAX),
			 line);
		line += length + (line[length] == '\n');
		if (sscanf(text, "%*s %*s %31s %*s %4095s", at_number, at_point) != 2)
			continue;
		dash = strstr(text, " - ");
		if (dash)
			sscanf(dash, " - %*s /dev/%4095s", source);
		if (strcmp(at_number, number) && strcmp(source, name))
			continue;
		snprintf(point, bytes, "%s", at_point);
		return true;
	}
	return false;
}

/* proc(5): the first column of each line of /proc/swaps is a path. */
static bool find_swap(const char *table, const char *name)
{
	const char *line = table;
	char path[PATH_MAX];

	while (line && *line) {
		const char *base;

		if (sscanf(line, "%4095s", path) == 1) {
			base = strrchr(path, '/');
			if (base && !strcmp(base + 1, name))
				return true;
		}
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return false;
}

/* "dm-0 (vg-data)", "md0" */
static void show_name(const char *root, const char *name, char *text, size_t bytes)
{
	char label[64];

	if (tree_text(root, label, sizeof(label), BLOCK "/%s/dm/name", name))
		snprintf(text, bytes, "%.40s (%.60s)", name, label);
	else
		snprintf(text, bytes, "%.40s", name);
}

/* The end of "nvme0n1p1 is ..." when a file system or swap is on the device itself. */
static bool used_directly(const struct usage *usage, const char *name, char *how, size_t bytes)
{
	char number[32], label[80], mapped[100], point[80];

	tree_text(usage->root, number, sizeof(number), BLOCK "/%s/dev", name);
	snprintf(mapped, sizeof(mapped), "%.79s", name);
	if (tree_text(usage->root, label, sizeof(label), BLOCK "/%s/dm/name", name))
		snprintf(mapped, sizeof(mapped), "mapper/%.79s", label);
	for (unsigned int i = 0; i < 2; i++) {
		if (find_mount(usage->mounts[i], number, mapped, point, sizeof(point))) {
			snprintf(how, bytes, "mounted on %s: 'umount %s' frees it", point, point);
			return true;
		}
	}
	if (find_swap(usage->swaps, name) ||
	    find_swap(usage->swaps, strrchr(mapped, '/') ? strrchr(mapped, '/') + 1 : mapped)) {
		snprintf(how, bytes, "used as swap: 'swapoff /dev/%.80s' frees it", mapped);
		return true;
	}
	return false;
}

/* The same for what is stacked on the device: names the end of the chain. */
static bool used_by_holder(const struct usage *usage, const char *name, unsigned int depth,
			   char *how, size_t bytes)
{
	char path[300], label[120], end[120];
	unsigned int nr;
	char **holders;

	snprintf(path, sizeof(path), BLOCK "/%s/holders", name);
	holders = tree_names(usage->root, path, "", &nr);
	for (unsigned int i = 0; i < nr; i++) {
		show_name(usage->root, holders[i], label, sizeof(label));
		/* Any holder is a use; one that is mounted tells more. */
		snprintf(how, bytes, "part of %s", label);
		if (used_directly(usage, holders[i], end, sizeof(end)) ||
		    (depth < MAX_DEPTH &&
		     used_by_holder(usage, holders[i], depth + 1, end, sizeof(end)))) {
			snprintf(how, bytes, "part of %s, %s", label, end);
			break;
		}
	}
	tree_free_names(holders);
	return nr > 0;
}

/* The kernel refuses this while a file system, a container or another has claimed the device. */
static bool is_claimed(const char *root, const char *name)
{
	char path[PATH_MAX];
	struct stat status;
	bool claimed;
	int fd;

	snprintf(path, sizeof(path), "/dev/%.255s", name);
	if (!tree_stat(root, path, &status) || !S_ISBLK(status.st_mode))
		return false;
	snprintf(path, sizeof(path), "%s/dev/%.255s", root, name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	claimed = fd < 0 && errno == EBUSY;
	if (fd >= 0)
		close(fd);
	return claimed;
}

/* A name below /sys/class/nvme-subsystem whose folder has one of the function's controllers. */
static bool find_subsystem(const char *root, const char *address, char *subsystem, size_t bytes)
{
	char path[300], link[600];
	unsigned int nr_controllers, nr;
	char **controllers, **names;
	bool found = false;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/nvme", address);
	controllers = tree_names(root, path, "nvme", &nr_controllers);
	names = tree_names(root, SUBSYSTEMS, "nvme-subsys", &nr);
	for (unsigned int i = 0; !found && i < nr * nr_controllers; i++) {
		struct stat status;

		snprintf(link, sizeof(link), SUBSYSTEMS "/%s/%s", names[i / nr_controllers],
			 controllers[i % nr_controllers]);
		found = tree_stat(root, link, &status);
		if (found)
			snprintf(subsystem, bytes, "%s", names[i / nr_controllers]);
	}
	tree_free_names(controllers);
	tree_free_names(names);
	return found;
}

/* The names below /sys/class/block that lead to the function. */
static char **function_blocks(const char *root, const char *address, unsigned int *nr)
{
	char **names = tree_names(root, BLOCK, "", nr);
	char path[300], subsystem[64] = "";
	unsigned int kept = 0;

	find_subsystem(root, address, subsystem, sizeof(subsystem));
	for (unsigned int i = 0; i < *nr; i++) {
		snprintf(path, sizeof(path), BLOCK "/%s", names[i]);
		if (in_use_below(root, path, address) || in_use_below(root, path, subsystem))
			names[kept++] = names[i];
		else
			free(names[i]);
	}
	if (*nr)
		names[kept] = NULL;
	*nr = kept;
	return names;
}

/* The block devices and the nodes for administration commands (nvme0, ng0n1). */
static bool is_open(const char *root, const char *address, char **blocks, unsigned int nr,
		    char *text)
{
	char path[MAX_PATHS][64], folder[300];
	const char *paths[MAX_PATHS];
	unsigned int used = 0, nr_controllers;
	char **controllers;

	snprintf(folder, sizeof(folder), PCI_DEVICES "/%s/nvme", address);
	controllers = tree_names(root, folder, "nvme", &nr_controllers);
	for (unsigned int i = 0; i < nr_controllers && used < MAX_PATHS; i++)
		snprintf(path[used++], sizeof(path[0]), "/dev/%.50s", controllers[i]);
	tree_free_names(controllers);
	for (unsigned int i = 0; i < nr && used + 1 < MAX_PATHS; i++) {
		snprintf(path[used++], sizeof(path[0]), "/dev/%.50s", blocks[i]);
		if (!strncmp(blocks[i], "nvme", 4))
			snprintf(path[used++], sizeof(path[0]), "/dev/ng%.50s", blocks[i] + 4);
	}
	for (unsigned int i = 0; i < used; i++)
		paths[i] = path[i];
	return opened(root, paths, used, text);
}

static bool check_blocks(const struct usage *usage, const char *address, char **names,
			 unsigned int nr, char *why)
{
	char how[IN_USE_TEXT - 48], by[OPENED_TEXT];

	for (unsigned int i = 0; i < nr; i++) {
		if (used_directly(usage, names[i], how, sizeof(how)) ||
		    used_by_holder(usage, names[i], 0, how, sizeof(how))) {
			snprintf(why, IN_USE_TEXT, "%.40s is %s", names[i], how);
			return true;
		}
	}
	if (is_open(usage->root, address, names, nr, by)) {
		snprintf(why, IN_USE_TEXT, "%s", by);
		return true;
	}
	for (unsigned int i = 0; i < nr; i++) {
		if (is_claimed(usage->root, names[i])) {
			snprintf(why, IN_USE_TEXT,
				 "%.40s is claimed by the kernel: mounted in another mount "
				 "namespace, or part of a file system or volume of several devices",
				 names[i]);
			return true;
		}
	}
	return false;
}

bool in_use_block(const char *root, const char *address, char *why)
{
	unsigned int nr;
	char **names = function_blocks(root, address, &nr);
	struct usage usage = {
		.root = root,
		.mounts = { tree_file(root, "/proc/1/mountinfo"),
			    tree_file(root, "/proc/self/mountinfo") },
		.swaps = tree_file(root, "/proc/swaps"),
	};
	bool found = check_blocks(&usage, address, names, nr, why);

	free(usage.mounts[0]);
	free(usage.mounts[1]);
	free(usage.swaps);
	tree_free_names(names);
	return found;
}
