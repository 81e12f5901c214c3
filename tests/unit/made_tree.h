/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder with a made-up /sys, /proc and /dev. */
#ifndef WEIR_TESTS_MADE_TREE_H
#define WEIR_TESTS_MADE_TREE_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char tree_root[64];

static inline int tree_make(void **state)
{
	(void)state;
	snprintf(tree_root, sizeof(tree_root), "/tmp/weir-tree-XXXXXX");
	return mkdtemp(tree_root) ? 0 : -1;
}

static inline int tree_remove_one(const char *path, const struct stat *status, int flag,
				  struct FTW *ftw)
{
	(void)status;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline int tree_remove(void **state)
{
	(void)state;
	return nftw(tree_root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The whole path of a file, whose folders are made. */
static inline const char *tree_path(const char *path)
{
	static char whole[PATH_MAX];

	snprintf(whole, sizeof(whole), "%s%s", tree_root, path);
	for (char *slash = whole + strlen(tree_root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(whole, 0755);
		*slash = '/';
	}
	return whole;
}

static inline void tree_put(const char *path, const char *text)
{
	FILE *file = fopen(tree_path(path), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline void tree_put_link(const char *path, const char *target)
{
	assert_int_equal(symlink(target, tree_path(path)), 0);
}

static inline void tree_take(const char *path)
{
	assert_int_equal(remove(tree_path(path)), 0);
}

#endif
