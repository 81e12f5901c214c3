/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file that is there as a whole or not at all: it is written under another name in the same
 * folder and gets its own at the end.
 */
#ifndef WEIR_APPS_OUTPUT_FILE_H
#define WEIR_APPS_OUTPUT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <weir/error.h>

struct output_file {
	const char *path;
	char *temporary; /* NULL: written in place (standard output, a pipe, a device) */
	int fd;
	bool force;
};

/* Whether the path may be written: -EEXIST when something is there and `force` is not set. "-" is
 * standard output. Nothing is created. */
int output_file_check(const char *path, bool force, struct weir_error *err);

/* Begins. On success end it with output_file_commit() or output_file_discard(). */
int output_file_begin(struct output_file *file, const char *path, bool force,
		      struct weir_error *err);

/* Writes all of it. -EINTR: a signal asked to stop. */
int output_file_write(struct output_file *file, const void *data, size_t bytes,
		      struct weir_error *err);

/* Makes the data durable and gives the file its name. On failure it is discarded. */
int output_file_commit(struct output_file *file, struct weir_error *err);

/* Leaves nothing behind. */
void output_file_discard(struct output_file *file);

#endif
