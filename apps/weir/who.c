/* SPDX-License-Identifier: BSD-3-Clause */
#include "who.h"
#include "fail.h"
#include "tree.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What every shell and configuration file takes as one plain word. */
static bool is_plain(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	size_t length = strlen(name);

	return length && length < sizeof(((struct who *)NULL)->name) &&
	       strchr(letters, name[0]) != NULL &&
	       strspn(name + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789._-") == length - 1;
}

static void set_name(struct who *who, const char *name)
{
	if (name && is_plain(name))
		snprintf(who->name, sizeof(who->name), "%s", name);
	else
		snprintf(who->name, sizeof(who->name), "%u", (unsigned int)who->uid);
}

int who_self(struct who *who, struct weir_error *err)
{
	struct passwd *entry = getpwuid(geteuid());
	int room = getgroups(0, NULL);
	struct rlimit limit;
	int found;

	*who = (struct who){ .uid = geteuid(), .memlock = UINT64_MAX, .is_self = true };
	set_name(who, entry ? entry->pw_name : NULL);
	if (!getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
		who->memlock = limit.rlim_cur;
	who->groups = calloc(room > 0 ? (size_t)room + 1 : 1, sizeof(gid_t));
	if (!who->groups)
		return fail(err, -ENOMEM, "no memory for %s's groups", who->name);
	who->groups[who->nr_groups++] = getegid();
	found = room > 0 ? getgroups(room, who->groups + 1) : 0;
	if (found > 0)
		who->nr_groups += (unsigned int)found;
	return 0;
}

/* What pam_limits gives a new session of the user, in bytes. */
static uint64_t session_memlock(const struct who *who)
{
	uint64_t kib = UINT64_MAX;
	char command[128], text[64] = "";
	FILE *session;

	if (!isalpha((unsigned char)who->name[0]))
		return UINT64_MAX;
	snprintf(command, sizeof(command), "su -s /bin/sh -c 'ulimit -Sl' %s </dev/null 2>&1",
		 who->name);
	session = popen(command, "re");
	if (!session)
		return UINT64_MAX;
	if (fgets(text, sizeof(text), session) && isdigit((unsigned char)text[0]))
		kib = strtoull(text, NULL, 10);
	pclose(session);
	return kib > UINT64_MAX >> 10 ? UINT64_MAX : kib << 10;
}

static const struct passwd *find_user(const char *name)
{
	const struct passwd *entry = getpwnam(name);
	unsigned long number;
	char *end;

	if (entry || !isdigit((unsigned char)name[0]))
		return entry;
	errno = 0;
	number = strtoul(name, &end, 10);
	return *end || errno || number >= UINT32_MAX ? NULL : getpwuid((uid_t)number);
}

int who_named(struct who *who, const char *name, struct weir_error *err)
{
	const struct passwd *entry = find_user(name);
	int nr = 0;

	*who = (struct who){ .memlock = UINT64_MAX };
	if (!entry)
		return fail(err, -ENOENT, "there is no user '%s'", name);
	who->uid = entry->pw_uid;
	set_name(who, entry->pw_name);
	/* The first call says how many there are. */
	getgrouplist(entry->pw_name, entry->pw_gid, NULL, &nr);
	who->groups = calloc((size_t)nr + 1, sizeof(gid_t));
	if (!who->groups)
		return fail(err, -ENOMEM, "no memory for %s's groups", who->name);
	if (getgrouplist(entry->pw_name, entry->pw_gid, who->groups, &nr) > 0)
		who->nr_groups = (unsigned int)nr;
	if (who->uid)
		who->memlock = session_memlock(who);
	return 0;
}

void who_end(struct who *who)
{
	free(who->groups);
	who->groups = NULL;
}

bool who_may_open(const struct who *who, const char *root, const char *path)
{
	struct stat status;

	if (who->is_self && !*root)
		return !faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS);
	if (!tree_stat(root, path, &status))
		return false;
	if (who->uid == 0)
		return true;
	if (status.st_uid == who->uid)
		return (status.st_mode & 0600) == 0600;
	for (unsigned int i = 0; i < who->nr_groups; i++) {
		if (status.st_gid == who->groups[i])
			return (status.st_mode & 0060) == 0060;
	}
	return (status.st_mode & 0006) == 0006;
}
