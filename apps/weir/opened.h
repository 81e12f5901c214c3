/* SPDX-License-Identifier: BSD-3-Clause */
/* Which process has a file open. */
#ifndef WEIR_APPS_OPENED_H
#define WEIR_APPS_OPENED_H

#include <stdbool.h>

#define OPENED_TEXT 128

/*
 * Looks through /proc below root for a process that has one of the files open. The processes of
 * others show to root only.
 *
 * @param paths  without root
 * @param[out] text  OPENED_TEXT bytes: "PATH is open in PROGRAM (process 123)"
 */
bool opened(const char *root, const char *const *paths, unsigned int nr, char *text);

#endif
