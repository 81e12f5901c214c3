/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads sysfs, in which a function's folder has links to its driver and its group. */
#include "device/vfio/place.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"

#define DEVICES "/sys/bus/pci/devices"

static bool exists(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool exists(const char *format, ...)
{
	char path[PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	return !access(path, F_OK);
}

/* The last part of where a link of a function points; "" when there is none. */
static void read_link(const char *root, const char *address, const char *link,
		      char name[PLACE_NAME])
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t length;

	snprintf(path, sizeof(path), "%s" DEVICES "/%s/%s", root, address, link);
	length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	slash = strrchr(target, '/');
	snprintf(name, PLACE_NAME, "%s", slash ? slash + 1 : target);
}

/* The name of the only entry vfioN of a function's folder vfio-dev. */
static void read_cdev(const char *root, const char *address, char name[PLACE_NAME])
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *folder;

	name[0] = '\0';
	snprintf(path, sizeof(path), "%s" DEVICES "/%s/vfio-dev", root, address);
	folder = opendir(path);
	if (!folder)
		return;
	while (!name[0] && (entry = readdir(folder))) {
		/* "dev" is there only when the kernel makes device nodes of them. */
		if (!strncmp(entry->d_name, "vfio", 4) && strlen(entry->d_name) < PLACE_NAME &&
		    exists("%s/%s/dev", path, entry->d_name))
			strcpy(name, entry->d_name);
	}
	closedir(folder);
}

/* The first characters of a file; "" when there is none. */
static void read_text(const char *path, char *text, size_t bytes)
{
	FILE *file = fopen(path, "re");

	text[0] = '\0';
	if (!file)
		return;
	if (!fgets(text, (int)bytes, file))
		text[0] = '\0';
	fclose(file);
}

static int read_node(const char *root, const char *address)
{
	char path[PATH_MAX], text[16];

	snprintf(path, sizeof(path), "%s" DEVICES "/%s/numa_node", root, address);
	read_text(path, text, sizeof(text));
	return isdigit((unsigned char)text[0]) ? atoi(text) : -1;
}

/* Whether a group is one that VFIO's enable_unsafe_noiommu_mode makes: by its name. */
static bool is_unprotected(const char *root, const char *group)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/name", root, group);
	read_text(path, text, sizeof(text));
	return !strcmp(text, "vfio-noiommu\n");
}

int place_find(const char *root, const char *address, struct vfio_place *place,
	       struct weir_error *err)
{
	*place = (struct vfio_place){ .node = -1 };
	if (strlen(address) >= sizeof(place->address))
		return weir_error_set(err, -ENOENT, "%s: no such PCI function", address);
	for (size_t i = 0; address[i]; i++)
		place->address[i] = (char)tolower((unsigned char)address[i]);
	if (!exists("%s" DEVICES "/%s", root, place->address))
		return weir_error_set(err, -ENOENT, "%s: this machine has no such PCI function",
				      address);
	read_link(root, place->address, "driver", place->driver);
	read_link(root, place->address, "iommu_group", place->group);
	place->unprotected = is_unprotected(root, place->group);
	read_cdev(root, place->address, place->cdev);
	place->node = read_node(root, place->address);
	return 0;
}

void place_group_node(const char *root, const struct vfio_place *place, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/dev/vfio/%s", root, place->group);
}

void place_cdev_node(const char *root, const struct vfio_place *place, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/dev/vfio/devices/%s", root, place->cdev);
}

/* vfio-pci and the variants that vendors make of it. */
static bool is_vfio_driver(const char *driver)
{
	return strstr(driver, "vfio") != NULL;
}

/* What both doors need. */
static int check_bound(const char *root, const struct vfio_place *place, struct weir_error *err)
{
	if (!place->group[0])
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s has no IOMMU group: the IOMMU is off. Enable VT-d or "
				      "AMD-Vi in the firmware, and boot Linux with intel_iommu=on "
				      "on an Intel machine",
				      place->address);
	if (place->unprotected)
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s is /dev/vfio/noiommu-%s: without an IOMMU nothing "
				      "contains its DMA, so Weir refuses it. Enable VT-d or AMD-Vi "
				      "in the firmware, and boot Linux with intel_iommu=on on an "
				      "Intel machine",
				      place->address, place->group);
	if (is_vfio_driver(place->driver))
		return 0;
	if (!exists("%s/sys/bus/pci/drivers/vfio-pci", root))
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: the kernel's module vfio-pci is not loaded: sudo "
				      "modprobe vfio-pci",
				      place->address);
	if (place->driver[0])
		return weir_error_set(err, -EBUSY,
				      "%s is bound to the kernel's driver %s: sudo weir bind %s",
				      place->address, place->driver, place->address);
	return weir_error_set(err, -EOPNOTSUPP, "%s is bound to no driver: sudo weir bind %s",
			      place->address, place->address);
}

static int check_node(const struct vfio_place *place, const char *root, const char *path,
		      struct weir_error *err)
{
	const char *shown = path + strlen(root);
	struct stat stat_node;

	if (stat(path, &stat_node))
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: there is no %s: %s, or it was not handed to this "
				      "container",
				      place->address, shown,
				      strstr(shown, "/vfio/") ? "udev has not made it"
							      : "the kernel has no iommufd");
	if (!faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS))
		return 0;
	return weir_error_set(
		err, -EACCES, "%s: no rights on %s (of user %u, mode %03o): sudo chown $USER %s",
		place->address, shown, stat_node.st_uid, stat_node.st_mode & 0777, shown);
}

static int check_plain_node(const struct vfio_place *place, const char *root, const char *node,
			    struct weir_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", root, node);
	return check_node(place, root, path, err);
}

int place_check_group(const char *root, const struct vfio_place *place, struct weir_error *err)
{
	char path[PATH_MAX];
	int ret = check_bound(root, place, err);

	if (ret)
		return ret;
	place_group_node(root, place, path);
	ret = check_node(place, root, path, err);
	return ret ? ret : check_plain_node(place, root, "/dev/vfio/vfio", err);
}

int place_check_cdev(const char *root, const struct vfio_place *place, struct weir_error *err)
{
	char path[PATH_MAX];
	int ret = check_bound(root, place, err);

	if (ret)
		return ret;
	if (!place->cdev[0])
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s has no device node of its own: this kernel is without "
				      "CONFIG_VFIO_DEVICE_CDEV; transport \"group\" does without",
				      place->address);
	place_cdev_node(root, place, path);
	ret = check_node(place, root, path, err);
	return ret ? ret : check_plain_node(place, root, "/dev/iommu", err);
}

/* All drivers make a group unusable for VFIO but those that do no DMA (kernel's Documentation,
 * vfio). */
static bool is_harmful(const char *driver)
{
	return driver[0] && !is_vfio_driver(driver) && strcmp(driver, "pci-stub") &&
	       strcmp(driver, "pcieport");
}

/* Finds the first function of the group, other than our own, whose driver passes the test. */
static bool find_member(const char *root, const struct vfio_place *place,
			bool (*wanted)(const char *driver), char name[PLACE_NAME],
			char driver[PLACE_NAME])
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *folder;

	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/devices", root, place->group);
	folder = opendir(path);
	if (!folder)
		return false;
	while (!found && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, place->address))
			continue;
		read_link(root, entry->d_name, "driver", driver);
		found = wanted(driver);
		if (found)
			snprintf(name, PLACE_NAME, "%s", entry->d_name);
	}
	closedir(folder);
	return found;
}

bool place_neighbour(const char *root, const struct vfio_place *place, char name[PLACE_NAME])
{
	char driver[PLACE_NAME];

	return find_member(root, place, is_vfio_driver, name, driver);
}

int place_not_viable(const char *root, const struct vfio_place *place, struct weir_error *err)
{
	char culprit[PLACE_NAME], driver[PLACE_NAME];

	if (!find_member(root, place, is_harmful, culprit, driver))
		return weir_error_set(err, -EBUSY,
				      "%s: its IOMMU group %s is not viable: a device of it is in "
				      "use by the kernel",
				      place->address, place->group);
	return weir_error_set(err, -EBUSY,
			      "%s: its IOMMU group %s is not viable: %s of the same group is bound "
			      "to the kernel's driver %s: sudo weir bind %s",
			      place->address, place->group, culprit, driver, culprit);
}

bool place_reserves(const char *root, const struct vfio_place *place, unsigned long long from,
		    unsigned long long to, unsigned long long *first, unsigned long long *last)
{
	char path[PATH_MAX], line[128], type[32];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%s/reserved_regions", root,
		 place->group);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		/* Relaxable regions matter to drivers of the kernel only. */
		found = sscanf(line, "%llx %llx %31s", first, last, type) == 3 &&
			strcmp(type, "direct-relaxable") && *first <= to && from <= *last;
	}
	fclose(file);
	return found;
}
