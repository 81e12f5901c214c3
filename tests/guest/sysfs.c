/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sysfs.h"

static ssize_t read_file(char *text, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	text[0] = '\0';
	if (fd < 0)
		return -1;
	length = read(fd, text, size - 1);
	close(fd);
	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return length;
}

#define FORMAT_PATH(path, format) \
	do { \
		va_list arguments; \
\
		va_start(arguments, format); \
		vsnprintf(path, sizeof(path), format, arguments); \
		va_end(arguments); \
	} while (0)

void sysfs_read(char *text, size_t size, const char *format, ...)
{
	char path[PATH_MAX];

	FORMAT_PATH(path, format);
	read_file(text, size, path);
}

long sysfs_number(const char *format, ...)
{
	char path[PATH_MAX];
	char text[64];

	FORMAT_PATH(path, format);
	return read_file(text, sizeof(text), path) > 0 ? strtol(text, NULL, 0) : -2;
}

int sysfs_write(const char *text, const char *format, ...)
{
	char path[PATH_MAX];
	int ret = 0;
	int fd;

	FORMAT_PATH(path, format);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

bool sysfs_exists(const char *format, ...)
{
	char path[PATH_MAX];

	FORMAT_PATH(path, format);
	return access(path, F_OK) == 0;
}

void sysfs_link(char *text, size_t size, const char *format, ...)
{
	char target[PATH_MAX];
	char path[PATH_MAX];
	ssize_t length;

	FORMAT_PATH(path, format);
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = '\0';
	snprintf(text, size, "%s", strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
}
