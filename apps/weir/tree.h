/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /sys, /proc, /dev and /etc below a root folder: "" is this machine, anything else a made-up one.
 */
#ifndef WEIR_APPS_TREE_H
#define WEIR_APPS_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* The first line of a file without its end. false: there is no such file, and text is "". */
bool tree_text(const char *root, char *text, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The whole of a file as a string to free(), or NULL. At most 8 MiB of it. */
char *tree_file(const char *root, const char *path);

/* The number in a file, decimal or 0x; false: none. */
bool tree_number(const char *root, uint64_t *value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The last part of where a symbolic link points. false: no such link, and name is "". */
bool tree_link(const char *root, char *name, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The whole of where a symbolic link points. false: no such link, or it does not fit. */
bool tree_link_target(const char *root, char *target, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Writes text to a file that is there, in one write. 0 or a negative errno. */
int tree_write(const char *root, const char *text, const char *path);

/* Makes the folders above a file. 0 or a negative errno. */
int tree_make_folders(const char *root, const char *path);

/* Makes a file and the folders above it, whole or not at all. 0 or a negative errno. */
int tree_put_file(const char *root, const char *text, const char *path);

/* Removes a file. 0, also when there is none, or a negative errno. */
int tree_remove_file(const char *root, const char *path);

/* The number in a line "NAME:   123 kB" of a meminfo file, times 1024. */
bool tree_meminfo(const char *text, const char *name, uint64_t *bytes);

bool tree_stat(const char *root, const char *path, struct stat *stat);

/* The names in a folder that begin with `prefix`, in the order of their numbers; NULL-terminated,
 * never NULL itself except without memory. End it with tree_free_names(). */
char **tree_names(const char *root, const char *path, const char *prefix, unsigned int *nr);
void tree_free_names(char **names);

#endif
