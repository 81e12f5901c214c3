/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who may open the nodes of a bound function. /dev/vfio/GROUP and /dev/vfio/devices/vfioN go to one
 * user or group. With them goes a node that all functions share, /dev/vfio/vfio or /dev/iommu; by
 * itself it gives no access to any device, so it is opened to all. The kernel does so with the
 * first.
 */
#include "bind.h"
#include "fail.h"
#include "tree.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns whether text is a whole number that can be an id. */
static bool parse_id(const char *text, unsigned int *id)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	*id = (unsigned int)value;
	return !*end && !errno && value < UINT_MAX;
}

/* udev's rules and shells read the name later. */
static bool is_plain(const char *name)
{
	return name[strspn(name,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] ==
	       '\0';
}

int bind_find_access(const char *user, const char *group, struct bind_access *access,
		     struct weir_error *err)
{
	const struct passwd *user_entry;
	const struct group *group_entry;
	const char *name = user ? user : group;

	*access = (struct bind_access){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (user && group)
		return fail(err, -EINVAL, "--user and --group exclude each other");
	if (!name)
		return 0;
	if (!is_plain(name) ||
	    snprintf(access->option, sizeof(access->option), "--%s %s", user ? "user" : "group",
		     name) >= (int)sizeof(access->option))
		return fail(err, -EINVAL,
			    "'%s' is no name that a udev rule could carry; give its "
			    "number",
			    name);
	if (user) {
		user_entry = getpwnam(user);
		if (!user_entry && !parse_id(user, &access->uid))
			return fail(err, -ENOENT, "there is no user '%s'", user);
		if (user_entry)
			access->uid = user_entry->pw_uid;
		access->mode = 0600;
	} else {
		group_entry = getgrnam(group);
		if (!group_entry && !parse_id(group, &access->gid))
			return fail(err, -ENOENT, "there is no group '%s'", group);
		if (group_entry)
			access->gid = group_entry->gr_gid;
		access->mode = 0660;
	}
	return 0;
}

/* Through a descriptor, so that what is checked is what is changed. */
static int change_node(const struct bind *bind, const char *path, uid_t uid, gid_t gid, mode_t mode,
		       struct weir_error *err)
{
	char whole[PATH_MAX];
	struct stat status;
	int fd, rc = 0;

	if (snprintf(whole, sizeof(whole), "%s%s", bind->root, path) >= PATH_MAX)
		return fail(err, -ENAMETOOLONG, "%s is too long a path", path);
	fd = open(whole, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(err, -errno, "cannot open %s: %s", path, strerror(errno));
	snprintf(whole, sizeof(whole), "/proc/self/fd/%d", fd);
	if (chown(whole, uid, gid) || chmod(whole, mode) || stat(whole, &status))
		rc = -errno;
	else if ((uid != (uid_t)-1 && status.st_uid != uid) ||
		 (gid != (gid_t)-1 && status.st_gid != gid) || (status.st_mode & 0777) != mode)
		rc = -EIO;
	close(fd);
	if (rc)
		return fail(err, rc, "cannot give access to %s: %s", path, strerror(-rc));
	return 0;
}

static int give(const struct bind *bind, const char *path, struct weir_error *err)
{
	const struct bind_access *access = &bind->access;
	int rc = change_node(bind, path, access->uid, access->gid, access->mode, err);

	if (!rc)
		fprintf(bind->out, "%s: open to %s\n", path, access->option + strlen("--"));
	return rc;
}

/* The wider access of a node of all devices is never narrowed. */
static int give_shared(const struct bind *bind, const char *path, struct weir_error *err)
{
	struct stat status;
	int rc;

	if (!tree_stat(bind->root, path, &status) || (status.st_mode & 0666) == 0666)
		return 0;
	rc = change_node(bind, path, (uid_t)-1, (gid_t)-1, 0666, err);
	if (!rc)
		fprintf(bind->out, "%s: open to all; it gives access to no device\n", path);
	return rc;
}

int bind_give_access(const struct bind *bind, const struct pci_function *function,
		     struct weir_error *err)
{
	char folder[64], group[64], path[300];
	unsigned int nr, given = 0;
	struct stat status;
	char **nodes;
	int rc = 0;

	if (!bind->access.mode)
		return 0;
	snprintf(group, sizeof(group), "/dev/vfio/%s", function->group);
	snprintf(folder, sizeof(folder), PCI_DEVICES "/%s/vfio-dev", function->address);
	if (tree_stat(bind->root, group, &status)) {
		rc = give(bind, group, err);
		if (!rc)
			rc = give_shared(bind, "/dev/vfio/vfio", err);
		given++;
	}
	nodes = tree_names(bind->root, folder, "vfio", &nr);
	for (unsigned int i = 0; !rc && i < nr; i++) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", nodes[i]);
		if (!tree_stat(bind->root, path, &status))
			continue;
		rc = give(bind, path, err);
		if (!rc)
			rc = give_shared(bind, "/dev/iommu", err);
		given++;
	}
	tree_free_names(nodes);
	if (!rc && !given)
		return fail(err, -ENOENT, "%s is bound, but %s is not there to give access to",
			    function->address, group);
	return rc;
}
