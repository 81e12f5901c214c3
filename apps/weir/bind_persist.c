/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The files that bind a function at every boot: a udev rule for each function, and one line that
 * loads vfio-pci. The rule sets driver_override before udev loads the driver of the device. Where
 * another driver had it earlier (from the initramfs), the rule runs weir bind, with all its checks.
 * The number of the group may be another at the next boot, so access to the nodes is given by weir
 * bind as well, after udev has made them.
 */
#include "bind.h"
#include "fail.h"
#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RULES_FOLDER "/etc/udev/rules.d"
#define RULES_PREFIX "80-weir-"
#define MODULES_FILE "/etc/modules-load.d/weir-bind.conf"

static void rules_path(char *path, size_t bytes, const char *address)
{
	snprintf(path, bytes, RULES_FOLDER "/" RULES_PREFIX "%s.rules", address);
}

static int write_shown(const struct bind *bind, const char *path, const char *text,
		       struct weir_error *err)
{
	int rc = bind->dry_run ? 0 : tree_put_file(bind->root, text, path);

	if (rc)
		return fail(err, rc, "cannot write %s: %s", path, strerror(-rc));
	fprintf(bind->out, "%s %s:\n", bind->dry_run ? "would write" : "wrote", path);
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");

		fprintf(bind->out, "  %.*s\n", (int)length, line);
		line += length + (line[length] == '\n');
	}
	return 0;
}

/* What rules run: this program. Its path stands in a rule, which has its own idea of % and ". */
static int find_program(char *path, size_t bytes, struct weir_error *err)
{
	ssize_t length = readlink("/proc/self/exe", path, bytes - 1);

	if (length < 0)
		return fail(err, -errno, "cannot read /proc/self/exe: %s", strerror(errno));
	path[length] = '\0';
	if (strpbrk(path, "%\"'\\$ \n"))
		return fail(err, -EINVAL, "a udev rule cannot carry the path '%s'", path);
	return 0;
}

/* Only the device that was here is bound, not another that has its place after a rebuild. Returns
 * text to free, or NULL without memory. */
static char *make_rules(const struct bind *bind, const struct pci_function *function,
			const char *program)
{
	const char *option = bind->access.option;
	char *text = NULL;
	size_t bytes;
	FILE *rules = open_memstream(&text, &bytes);

	if (!rules)
		return NULL;
	fprintf(rules,
		"# Written by weir bind --persist; weir unbind --persist removes it.\n"
		"ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"%s\", "
		"ATTR{vendor}==\"0x%04" PRIx64 "\", ATTR{device}==\"0x%04" PRIx64 "\", "
		"ATTR{driver_override}=\"" PCI_VFIO_DRIVER "\", RUN+=\"%s bind --boot %s%s%s\"\n",
		function->address, function->vendor, function->device, program, function->address,
		*option ? " " : "", option);
	if (*option)
		fprintf(rules,
			"ACTION==\"add\", SUBSYSTEM==\"vfio|vfio-dev\", "
			"RUN+=\"%s bind --nodes %s %s\"\n",
			program, function->address, option);
	if (ferror(rules) | fclose(rules)) {
		free(text);
		return NULL;
	}
	return text;
}

int bind_persist(const struct bind *bind, const struct pci_function *function,
		 struct weir_error *err)
{
	char program[PATH_MAX], path[96], *text;
	int rc;

	rc = find_program(program, sizeof(program), err);
	if (rc)
		return rc;
	text = make_rules(bind, function, program);
	if (!text)
		return fail(err, -ENOMEM, "no memory for the udev rule");
	rules_path(path, sizeof(path), function->address);
	rc = write_shown(bind, path, text, err);
	free(text);
	return rc ? rc : write_shown(bind, MODULES_FILE, PCI_VFIO_DRIVER "\n", err);
}

static int remove_shown(const struct bind *bind, const char *path, struct weir_error *err)
{
	struct stat status;
	int rc;

	if (!tree_stat(bind->root, path, &status))
		return 0;
	rc = bind->dry_run ? 0 : tree_remove_file(bind->root, path);
	if (rc)
		return fail(err, rc, "cannot remove %s: %s", path, strerror(-rc));
	fprintf(bind->out, "%s %s\n", bind->dry_run ? "would remove" : "removed", path);
	return 0;
}

int bind_unpersist(const struct bind *bind, const char *address, struct weir_error *err)
{
	char path[96];
	unsigned int nr;
	int rc;

	rules_path(path, sizeof(path), address);
	rc = remove_shown(bind, path, err);
	if (rc)
		return rc;
	tree_free_names(tree_names(bind->root, RULES_FOLDER, RULES_PREFIX, &nr));
	return nr ? 0 : remove_shown(bind, MODULES_FILE, err);
}

bool bind_is_persistent(const char *root, const char *address)
{
	struct stat status;
	char path[96];

	rules_path(path, sizeof(path), address);
	return tree_stat(root, path, &status);
}
