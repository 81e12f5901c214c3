/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "readiness.h"
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
			      "modprobe vfio-pci && mkdir -p /etc/modules-load.d && "
			      "echo vfio-pci > /etc/modules-load.d/weir.conf",
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

bool doctor_vfio_is_available(const struct doctor *doctor)
{
	char release[128];

	tree_text(doctor->root, release, sizeof(release), "/proc/sys/kernel/osrelease");
	return find_vfio_pci(doctor, release) != MODULE_ABSENT;
}

/* Neither way into VFIO is there: makes the first that the kernel has. */
static void report_no_nodes(struct doctor *doctor)
{
	char fix[120];

	readiness_make_node_fix(doctor->root, "/dev/vfio/vfio", "/sys/class/misc/vfio/dev", 0666,
				fix, sizeof(fix));
	if (!*fix)
		readiness_make_node_fix(doctor->root, "/dev/iommu", "/sys/class/misc/iommu/dev",
					0666, fix, sizeof(fix));
	doctor_report(doctor, "vfio-nodes-missing", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE, fix,
		      "neither /dev/vfio/vfio nor /dev/iommu is there: %s",
		      *fix ? "udev has not made them, or they are not passed into this container"
			   : "the kernel offers VFIO by neither");
}

/* Which transports the device nodes offer. */
static bool check_nodes(struct doctor *doctor)
{
	struct stat status;
	bool type1 = tree_stat(doctor->root, "/dev/vfio/vfio", &status);
	bool iommufd = tree_stat(doctor->root, "/dev/iommu", &status);

	if (type1 || iommufd)
		doctor_report(doctor, "vfio-nodes", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "VFIO is there through %s%s%s", type1 ? "/dev/vfio/vfio" : "",
			      type1 && iommufd ? " and " : "", iommufd ? "/dev/iommu" : "");
	else
		report_no_nodes(doctor);
	return type1 || iommufd;
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

bool doctor_check_vfio(struct doctor *doctor)
{
	bool there = check_module(doctor) && check_nodes(doctor);

	check_unsafe_mode(doctor);
	return there;
}
