/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the running kernel has a driver. */
enum module_state { MODULE_ABSENT, MODULE_AVAILABLE, MODULE_LOADED };

/* Whether one of a kernel's lists of modules names vfio-pci. */
static bool list_has_vfio_pci(const struct doctor *doctor, const char *release, const char *list)
{
	char path[256];
	bool found;
	char *text;

	snprintf(path, sizeof(path), "/lib/modules/%s/%s", release, list);
	text = tree_file(doctor->root, path);
	found = text && strstr(text, "/vfio-pci.ko");
	free(text);
	return found;
}

static enum module_state find_vfio_pci(const struct doctor *doctor, const char *release)
{
	struct stat status;

	if (tree_stat(doctor->root, "/sys/bus/pci/drivers/vfio-pci", &status) ||
	    tree_stat(doctor->root, "/sys/module/vfio_pci", &status))
		return MODULE_LOADED;
	if (list_has_vfio_pci(doctor, release, "modules.builtin"))
		return MODULE_LOADED;
	return list_has_vfio_pci(doctor, release, "modules.dep") ? MODULE_AVAILABLE : MODULE_ABSENT;
}

/* Returns whether the driver is there, without which there are no nodes either. */
static bool check_module(struct doctor *doctor)
{
	char release[128];

	tree_text(doctor->root, release, sizeof(release), "/proc/sys/kernel/osrelease");
	switch (find_vfio_pci(doctor, release)) {
	case MODULE_LOADED:
		doctor_report(doctor, "vfio-pci", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "the vfio-pci driver is loaded");
		return true;
	case MODULE_AVAILABLE:
		doctor_report(doctor, "vfio-pci-not-loaded", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE,
			      "modprobe vfio-pci && echo vfio-pci > "
			      "/etc/modules-load.d/weir.conf",
			      "the vfio-pci driver is not loaded; the fix also loads it at boot");
		break;
	case MODULE_ABSENT:
		doctor_report(
			doctor, "vfio-pci-missing", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE,
			"apt-get install -y linux-image-amd64",
			"kernel %s comes without the vfio-pci driver; install one that has it "
			"and reboot into it",
			*release ? release : "(unknown)");
		break;
	}
	return false;
}

/* Which transports the device nodes offer. */
static void check_nodes(struct doctor *doctor)
{
	struct stat status;
	bool type1 = tree_stat(doctor->root, "/dev/vfio/vfio", &status);
	bool iommufd = tree_stat(doctor->root, "/dev/iommu", &status);

	if (type1 || iommufd)
		doctor_report(doctor, "vfio-nodes", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "VFIO is there through %s%s%s", type1 ? "/dev/vfio/vfio" : "",
			      type1 && iommufd ? " and " : "", iommufd ? "/dev/iommu" : "");
	else
		doctor_report(
			doctor, "vfio-nodes-missing", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE,
			"modprobe vfio",
			"neither /dev/vfio/vfio nor /dev/iommu is there: the kernel's VFIO is "
			"not loaded, or not passed into this container");
}

/* Whether the mode of a file lets the user read and write it. */
static bool may_open(const struct doctor *doctor, const struct stat *status)
{
	if (doctor->uid == 0)
		return true;
	if (status->st_uid == doctor->uid)
		return (status->st_mode & 0600) == 0600;
	for (unsigned int i = 0; i < doctor->nr_groups; i++) {
		if (status->st_gid == doctor->groups[i])
			return (status->st_mode & 0060) == 0060;
	}
	return (status->st_mode & 0006) == 0006;
}

/* Group nodes (/dev/vfio/12) that the user may not open. */
static void check_permissions(struct doctor *doctor)
{
	char path[300], fix[512];
	unsigned int nr, denied = 0;
	char **names = tree_names(doctor->root, "/dev/vfio", "", &nr);
	const char *first = NULL;
	struct stat status;

	for (unsigned int i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "/dev/vfio/%s", names[i]);
		if (names[i][strspn(names[i], "0123456789")] ||
		    !tree_stat(doctor->root, path, &status) || may_open(doctor, &status))
			continue;
		if (!denied++)
			first = names[i];
	}
	if (denied) {
		snprintf(fix, sizeof(fix),
			 "groupadd -f vfio && usermod -aG vfio %s && "
			 "echo 'SUBSYSTEM==\"vfio\", GROUP=\"vfio\", MODE=\"0660\"' > "
			 "/etc/udev/rules.d/80-weir.rules && udevadm control --reload && "
			 "udevadm trigger --subsystem-match=vfio",
			 doctor->user);
		doctor_report(doctor, "vfio-permission", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE,
			      fix,
			      "user %s may not open %u of the VFIO groups, /dev/vfio/%s first; "
			      "log in again after the fix",
			      doctor->user, denied, first);
	}
	tree_free_names(names);
}

/* A mode in which devices may write anywhere in memory. */
static void check_unsafe_mode(struct doctor *doctor)
{
	char text[8];

	tree_text(doctor->root, text, sizeof(text),
		  "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	if (text[0] == 'Y' || text[0] == '1')
		doctor_report(doctor, "vfio-noiommu", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING,
			      "echo N > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
			      "VFIO's unsafe mode without an IOMMU is on: devices can write to all "
			      "of memory");
}

void doctor_check_vfio(struct doctor *doctor)
{
	if (check_module(doctor))
		check_nodes(doctor);
	check_permissions(doctor);
	check_unsafe_mode(doctor);
}
