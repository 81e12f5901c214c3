/* SPDX-License-Identifier: BSD-3-Clause */
/* The user whose rights count: the one who runs the command, or another. */
#ifndef WEIR_APPS_WHO_H
#define WEIR_APPS_WHO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <weir/error.h>

struct who {
	char name[64]; /* fit to stand in a shell's command; the number when the name is not */
	uid_t uid;
	gid_t *groups; /* all of them */
	unsigned int nr_groups;
	uint64_t memlock; /* RLIMIT_MEMLOCK in bytes; UINT64_MAX: unlimited */
	bool is_self;
};

/* Who runs this process, with its limits. End each with who_end(). */
int who_self(struct who *who, struct weir_error *err);

/* A user by name or number, with the limits that a new session of theirs gets. -ENOENT: there is
 * none. */
int who_named(struct who *who, const char *name, struct weir_error *err);

void who_end(struct who *who);

/* Whether the user may read and write a file below root; false also when it is not there. Access
 * control lists count for who_self() only. */
bool who_may_open(const struct who *who, const char *root, const char *path);

#endif
