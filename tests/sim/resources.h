/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a process holds: descriptors, mappings, locked memory. A test looks before and after, and
 * both have to be the same.
 */
#ifndef WEIR_TESTS_RESOURCES_H
#define WEIR_TESTS_RESOURCES_H

#include <stdbool.h>

#define RESOURCES_TEXT 65536

struct resources {
	/* Each descriptor with what it is, each mapping that is shared or of a file, locked and
	 * pinned memory: one line each. */
	char text[RESOURCES_TEXT];
	/* Private memory, which the C library keeps some of. */
	unsigned long private_kib;
};

void resources_look(struct resources *resources);

/* Whether they are the same; says on standard error which lines are not. Private memory may have
 * grown by the C library's own. */
bool resources_same(const struct resources *before, const struct resources *after);

#endif
