/* SPDX-License-Identifier: BSD-3-Clause */
#include "resources.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRIVATE_SLACK_KIB 1024u /* a thread's stack that is kept, a heap's top */

static void add(struct resources *resources, const char *line)
{
	size_t used = strlen(resources->text);

	snprintf(resources->text + used, sizeof(resources->text) - used, "%s\n", line);
}

static void look_at_fds(struct resources *resources)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[200], line[512];

	if (!dir)
		abort();
	while ((entry = readdir(dir))) {
		ssize_t n;

		if (atoi(entry->d_name) == dirfd(dir))
			continue;
		n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		/* The numbers in socket:[1] and pipe:[1] are never the same again. */
		if (strchr(target, '['))
			*strchr(target, '[') = '\0';
		snprintf(line, sizeof(line), "fd %s", target);
		if (entry->d_name[0] != '.')
			add(resources, line);
	}
	closedir(dir);
}

static void look_at_maps(struct resources *resources)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	if (!maps)
		abort();
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to, offset;
		char prot[8], device[16], name[256] = "", text[512];
		unsigned long inode;

		if (sscanf(line, "%lx-%lx %7s %lx %15s %lu %255[^\n]", &from, &to, prot, &offset,
			   device, &inode, name) < 6)
			continue;
		if (prot[3] == 's' || inode) {
			snprintf(text, sizeof(text), "map %lu KiB %s %s", (to - from) >> 10, prot,
				 name);
			add(resources, text);
		} else {
			resources->private_kib += (to - from) >> 10;
		}
	}
	fclose(maps);
}

static void look_at_locked(struct resources *resources)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];

	if (!status)
		abort();
	while (fgets(line, sizeof(line), status)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "VmLck", 5) || !strncmp(line, "VmPin", 5))
			add(resources, line);
	}
	fclose(status);
}

void resources_look(struct resources *resources)
{
	*resources = (struct resources){ 0 };
	look_at_fds(resources);
	look_at_maps(resources);
	look_at_locked(resources);
}

/* How often a line is in a text. */
static unsigned int count(const char *text, const char *line, size_t length)
{
	unsigned int nr = 0;

	for (; *text; text += strcspn(text, "\n") + 1)
		nr += strcspn(text, "\n") == length && !strncmp(text, line, length);
	return nr;
}

/* Names the lines that are more often in `more` than in `less`. */
static bool has_more(const struct resources *more, const struct resources *less, const char *what)
{
	bool any = false;

	for (const char *line = more->text; *line; line += strcspn(line, "\n") + 1) {
		size_t length = strcspn(line, "\n");
		unsigned int here = count(more->text, line, length);
		unsigned int there = count(less->text, line, length);

		if (here <= there)
			continue;
		fprintf(stderr, "%s: %.*s (%u instead of %u)\n", what, (int)length, line, here,
			there);
		any = true;
	}
	return any;
}

bool resources_same(const struct resources *before, const struct resources *after)
{
	bool more = has_more(after, before, "left behind");
	bool less = has_more(before, after, "missing");

#ifndef __SANITIZE_ADDRESS__ /* it keeps freed memory for a while */
	if (after->private_kib > before->private_kib + PRIVATE_SLACK_KIB) {
		fprintf(stderr, "private memory grew from %lu to %lu KiB\n", before->private_kib,
			after->private_kib);
		more = true;
	}
#endif
	return !more && !less;
}
