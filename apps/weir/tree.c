/* SPDX-License-Identifier: BSD-3-Clause */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE (8u << 20)

static bool make_path(char *path, const char *root, const char *format, va_list args)
{
	int used = snprintf(path, PATH_MAX, "%s", root);

	if (used >= PATH_MAX)
		return false;
	return vsnprintf(path + used, (size_t)(PATH_MAX - used), format, args) < PATH_MAX - used;
}

static bool read_line(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");
	bool found;

	text[0] = '\0';
	if (!file)
		return false;
	found = fgets(text, (int)bytes, file) != NULL;
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	return found;
}

bool tree_text(const char *root, char *text, size_t bytes, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	bool fits;

	va_start(args, format);
	fits = make_path(path, root, format, args);
	va_end(args);
	text[0] = '\0';
	return fits && read_line(path, text, bytes);
}

char *tree_file(const char *root, const char *path)
{
	char whole[PATH_MAX], *text;
	size_t used;
	FILE *file;

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= PATH_MAX)
		return NULL;
	file = fopen(whole, "re");
	if (!file)
		return NULL;
	text = malloc(MAX_FILE + 1);
	if (text) {
		used = fread(text, 1, MAX_FILE, file);
		text[used] = '\0';
	}
	fclose(file);
	return text;
}

bool tree_number(const char *root, uint64_t *value, const char *format, ...)
{
	char path[PATH_MAX], text[64], *end;
	va_list args;
	bool fits;

	va_start(args, format);
	fits = make_path(path, root, format, args);
	va_end(args);
	if (!fits || !read_line(path, text, sizeof(text)))
		return false;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return end != text && !errno && text[0] != '-';
}

static bool read_link(const char *path, char *target, size_t bytes)
{
	ssize_t length = readlink(path, target, bytes - 1);

	target[length > 0 ? length : 0] = '\0';
	return length > 0 && (size_t)length < bytes - 1;
}

bool tree_link(const char *root, char *name, size_t bytes, const char *format, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	va_list args;
	bool fits;

	va_start(args, format);
	fits = make_path(path, root, format, args);
	va_end(args);
	name[0] = '\0';
	if (!fits || !read_link(path, target, sizeof(target)))
		return false;
	slash = strrchr(target, '/');
	snprintf(name, bytes, "%s", slash ? slash + 1 : target);
	return true;
}

bool tree_link_target(const char *root, char *target, size_t bytes, const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;
	bool fits;

	va_start(args, format);
	fits = make_path(path, root, format, args);
	va_end(args);
	target[0] = '\0';
	return fits && read_link(path, target, bytes);
}

int tree_write(const char *root, const char *text, const char *path)
{
	char whole[PATH_MAX];
	size_t length = strlen(text);
	ssize_t written;
	int fd, rc = 0;

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(whole, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	written = write(fd, text, length);
	if (written < 0)
		rc = -errno;
	else if ((size_t)written != length)
		rc = -EIO;
	if (close(fd) && !rc)
		rc = -errno;
	return rc;
}

int tree_make_folders(const char *root, const char *path)
{
	char whole[PATH_MAX];

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(whole, 0755) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

static int fill_file(int fd, const char *text)
{
	size_t length = strlen(text);
	ssize_t written = write(fd, text, length);

	if (written < 0)
		return -errno;
	if ((size_t)written != length)
		return -ENOSPC;
	return fchmod(fd, 0644) || fsync(fd) ? -errno : 0;
}

int tree_put_file(const char *root, const char *text, const char *path)
{
	char whole[PATH_MAX], temporary[PATH_MAX + 8];
	int fd, rc;

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	rc = tree_make_folders(root, path);
	if (rc)
		return rc;
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", whole);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = fill_file(fd, text);
	close(fd);
	if (!rc && rename(temporary, whole))
		rc = -errno;
	if (rc)
		unlink(temporary);
	return rc;
}

int tree_remove_file(const char *root, const char *path)
{
	char whole[PATH_MAX];

	if (snprintf(whole, sizeof(whole), "%s%s", root, path) >= PATH_MAX)
		return -ENAMETOOLONG;
	return unlink(whole) && errno != ENOENT ? -errno : 0;
}

bool tree_meminfo(const char *text, const char *name, uint64_t *bytes)
{
	const char *at = strstr(text, name);
	uint64_t kib;

	if (!at || sscanf(at + strlen(name), ": %" SCNu64, &kib) != 1)
		return false;
	*bytes = kib << 10;
	return true;
}

bool tree_stat(const char *root, const char *path, struct stat *status)
{
	char whole[PATH_MAX];

	return snprintf(whole, sizeof(whole), "%s%s", root, path) < PATH_MAX &&
	       !stat(whole, status);
}

static int compare_names(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

/* Room for one more name and the end. */
static bool grow(char ***names, unsigned int nr)
{
	char **larger = reallocarray(*names, nr + 2, sizeof(char *));

	if (!larger)
		return false;
	*names = larger;
	return true;
}

char **tree_names(const char *root, const char *path, const char *prefix, unsigned int *nr)
{
	char whole[PATH_MAX];
	char **names = calloc(1, sizeof(char *));
	struct dirent *entry;
	DIR *folder;

	*nr = 0;
	if (!names || snprintf(whole, sizeof(whole), "%s%s", root, path) >= PATH_MAX)
		return names;
	folder = opendir(whole);
	while (folder && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		if (!grow(&names, *nr))
			break;
		names[*nr] = strdup(entry->d_name);
		if (!names[*nr])
			break;
		names[++*nr] = NULL;
	}
	if (folder)
		closedir(folder);
	qsort(names, *nr, sizeof(char *), compare_names);
	return names;
}

void tree_free_names(char **names)
{
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
}
