/* SPDX-License-Identifier: BSD-3-Clause */
#include "opened.h"
#include "tree.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The first of the files that a process has open, or NULL. */
static const char *opened_in(const char *root, const char *process, const char *const *paths,
			     unsigned int nr)
{
	char folder[300], target[PATH_MAX];
	const char *found = NULL;
	unsigned int nr_files;
	char **files;

	snprintf(folder, sizeof(folder), "/proc/%s/fd", process);
	files = tree_names(root, folder, "", &nr_files);
	for (unsigned int i = 0; !found && i < nr_files; i++) {
		if (!tree_link_target(root, target, sizeof(target), "%s/%s", folder, files[i]))
			continue;
		for (unsigned int j = 0; !found && j < nr; j++)
			found = strcmp(target, paths[j]) ? NULL : paths[j];
	}
	tree_free_names(files);
	return found;
}

bool opened(const char *root, const char *const *paths, unsigned int nr, char *text)
{
	unsigned int nr_processes;
	char **processes;
	const char *path = NULL;
	char program[64];

	if (!nr)
		return false;
	processes = tree_names(root, "/proc", "", &nr_processes);
	for (unsigned int i = 0; !path && i < nr_processes; i++) {
		if (processes[i][strspn(processes[i], "0123456789")])
			continue;
		path = opened_in(root, processes[i], paths, nr);
		if (!path)
			continue;
		tree_text(root, program, sizeof(program), "/proc/%s/comm", processes[i]);
		snprintf(text, OPENED_TEXT, "%.60s is open in %.32s (process %.12s)", path, program,
			 processes[i]);
	}
	tree_free_names(processes);
	return path != NULL;
}
