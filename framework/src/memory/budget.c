/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's own figures, as files: /proc/meminfo, a node's meminfo, and the memory controller of
 * each control group (v2) that the process is in. A file that is not there sets no limit. The
 * figures are a moment's: they make a plain error of a request that cannot succeed, no more.
 */
#include "memory/budget.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/memory.h>

#include "base/base.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* The number after a key, a word of its line, in a file of "key number" lines; false: no such file
 * or key. */
static bool read_key(const char *path, const char *key, uint64_t *value)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, key);

		found = at && (at == line || at[-1] == ' ') &&
			sscanf(at + strlen(key), "%" SCNu64, value) == 1;
	}
	fclose(file);
	return found;
}

static uint64_t read_key_or(const char *path, const char *key, uint64_t otherwise)
{
	uint64_t value;

	return read_key(path, key, &value) ? value : otherwise;
}

static uint64_t budget_of_system(void)
{
	uint64_t kib;

	return read_key("/proc/meminfo", "MemAvailable:", &kib) ? kib << 10 : UINT64_MAX;
}

/* Free memory and what can be dropped: the node's share of what MemAvailable counts. */
static uint64_t budget_of_node(int node)
{
	static const char *const dropped[] = { "Active(file):", "Inactive(file):",
					       "SReclaimable:" };
	char path[64];
	uint64_t kib;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	if (!read_key(path, "MemFree:", &kib))
		return UINT64_MAX;
	for (unsigned int i = 0; i < ARRAY_SIZE(dropped); i++)
		kib += read_key_or(path, dropped[i], 0);
	return kib << 10;
}

/* What one group allows; its page cache counts as given back. */
static uint64_t budget_of_group(const char *group)
{
	char path[PATH_MAX];
	uint64_t limit, used, dropped;

	snprintf(path, sizeof(path), "%s/memory.max", group);
	if (!read_key(path, "", &limit))
		return UINT64_MAX;
	snprintf(path, sizeof(path), "%s/memory.current", group);
	used = read_key_or(path, "", 0);
	snprintf(path, sizeof(path), "%s/memory.stat", group);
	dropped = read_key_or(path, "inactive_file ", 0) + read_key_or(path, "active_file ", 0);
	used -= dropped < used ? dropped : used;
	return used < limit ? limit - used : 0;
}

uint64_t budget_of_cgroup(const char *root, const char *path, char *group, size_t room)
{
	char at[PATH_MAX];
	uint64_t least = UINT64_MAX;
	size_t root_length = strlen(root);

	group[0] = '\0';
	if ((size_t)snprintf(at, sizeof(at), "%s%s", root, path) >= sizeof(at))
		return UINT64_MAX;
	for (;;) {
		uint64_t allowed = budget_of_group(at);
		char *slash = strrchr(at, '/');

		if (allowed < least) {
			least = allowed;
			snprintf(group, room, "%s", at);
		}
		if (!slash || slash < at + root_length)
			return least;
		*slash = '\0';
	}
}

/* The process's path in the cgroup v2 tree: the line "0::/path". */
static bool own_cgroup(char *path, size_t room)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, "0::", 3) == 0;
	}
	fclose(file);
	if (found)
		snprintf(path, room, "%s", line + 3);
	return found;
}

static int over(const char *name, uint64_t bytes, const char *who, uint64_t available,
		struct weir_error *err)
{
	return weir_error_set(err, -ENOMEM,
			      "arena %s: %" PRIu64 " KiB is over the %" PRIu64
			      " KiB that %s can give",
			      name, bytes >> 10, available >> 10, who);
}

int budget_check(const char *name, uint64_t bytes, int node, struct weir_error *err)
{
	char path[PATH_MAX], group[128], who[160];
	uint64_t available = budget_of_system();

	if (bytes > available)
		return over(name, bytes, "the system (MemAvailable)", available, err);
	if (own_cgroup(path, sizeof(path))) {
		available = budget_of_cgroup(CGROUP_ROOT, path, group, sizeof(group));
		snprintf(who, sizeof(who), "memory.max of %s", group);
		if (bytes > available)
			return over(name, bytes, who, available, err);
	}
	if (node == WEIR_NODE_ANY)
		return 0;
	available = budget_of_node(node);
	snprintf(who, sizeof(who), "node %d", node);
	return bytes > available ? over(name, bytes, who, available, err) : 0;
}
