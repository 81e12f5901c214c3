/* SPDX-License-Identifier: BSD-3-Clause */
#include "output_file.h"
#include "fail.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int output_file_check(const char *path, bool force, struct weir_error *err)
{
	struct stat status;

	if (!strcmp(path, "-") || force)
		return 0;
	if (!lstat(path, &status))
		return fail(err, -EEXIST, "%s is there already; --force replaces it", path);
	if (errno != ENOENT)
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* Whether the path is something whose contents are not replaced by a new file: a pipe, a device. */
static bool is_special(const char *path)
{
	struct stat status;

	return !stat(path, &status) && !S_ISREG(status.st_mode);
}

/* Makes the temporary file, with the permissions that a new file would have. */
static int make_temporary(struct output_file *file, struct weir_error *err)
{
	mode_t mask;

	if (asprintf(&file->temporary, "%s.XXXXXX", file->path) < 0)
		return fail(err, -ENOMEM, "no memory for a file name");
	file->fd = mkostemp(file->temporary, O_CLOEXEC);
	if (file->fd < 0) {
		int rc = fail(err, -errno, "cannot create %s: %s", file->path, strerror(errno));

		free(file->temporary);
		return rc;
	}
	mask = umask(0);
	umask(mask);
	fchmod(file->fd, 0666 & ~mask);
	return 0;
}

int output_file_begin(struct output_file *file, const char *path, bool force,
		      struct weir_error *err)
{
	*file = (struct output_file){ .path = path, .force = force, .fd = -1 };
	if (!strcmp(path, "-")) {
		file->path = "standard output";
		file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	} else if (is_special(path)) {
		file->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	} else {
		return make_temporary(file, err);
	}
	if (file->fd < 0)
		return fail(err, -errno, "cannot write to %s: %s", file->path, strerror(errno));
	return 0;
}

int output_file_write(struct output_file *file, const void *data, size_t bytes,
		      struct weir_error *err)
{
	const char *at = data;

	while (bytes) {
		ssize_t written = write(file->fd, at, bytes);

		if (written < 0 && (errno != EINTR || stop_requested()))
			return fail(err, -errno, "cannot write to %s: %s", file->path,
				    strerror(errno));
		if (written > 0) {
			at += written;
			bytes -= (size_t)written;
		}
	}
	return 0;
}

/* Gives the temporary file its name, over an old file only with `force`. */
static int rename_temporary(const struct output_file *file)
{
	if (file->force)
		return rename(file->temporary, file->path);
	if (!renameat2(AT_FDCWD, file->temporary, AT_FDCWD, file->path, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL)
		return -1;
	/* A file system that does not know the flag. */
	if (link(file->temporary, file->path))
		return -1;
	return unlink(file->temporary);
}

int output_file_commit(struct output_file *file, struct weir_error *err)
{
	int rc = 0;

	if (file->temporary && fsync(file->fd))
		rc = fail(err, -errno, "cannot write to %s: %s", file->path, strerror(errno));
	if (close(file->fd) && !rc)
		rc = fail(err, -errno, "cannot write to %s: %s", file->path, strerror(errno));
	file->fd = -1;
	if (!rc && file->temporary && rename_temporary(file))
		rc = fail(err, -errno, "cannot create %s: %s", file->path, strerror(errno));
	if (rc) {
		output_file_discard(file);
		return rc;
	}
	free(file->temporary);
	return 0;
}

void output_file_discard(struct output_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	if (file->temporary)
		unlink(file->temporary);
	free(file->temporary);
}
