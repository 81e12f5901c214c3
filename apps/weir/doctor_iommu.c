/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRUB_LINE "GRUB_CMDLINE_LINUX"
#define ACPI_TABLES "/sys/firmware/acpi/tables"

/* Whether a kernel parameter NAME=VALUE[,VALUE...] on the command line has a value. */
static bool has_value(const char *cmdline, const char *name, const char *value)
{
	size_t name_length = strlen(name), length = strlen(value);

	for (const char *at = cmdline; (at = strstr(at, name)); at += name_length) {
		const char *each = at + name_length;

		if ((at != cmdline && at[-1] != ' ') || *each != '=')
			continue;
		while (*each == '=' || *each == ',') {
			size_t found = strcspn(++each, ", \n");

			if (found == length && !strncmp(each, value, length))
				return true;
			each += found;
		}
	}
	return false;
}

/* The parameter that keeps the IOMMU off, or NULL. */
static const char *switched_off_by(const char *cmdline)
{
	if (has_value(cmdline, "intel_iommu", "off"))
		return "intel_iommu=off";
	if (has_value(cmdline, "amd_iommu", "off"))
		return "amd_iommu=off";
	return has_value(cmdline, "iommu", "off") ? "iommu=off" : NULL;
}

/* Where firmware or, in a guest, the hypervisor has to offer an IOMMU first. */
static void report_not_offered(struct doctor *doctor, bool guest, const char *name)
{
	if (guest)
		doctor_report(doctor, "iommu-off", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE, "",
			      "this virtual machine has no IOMMU: give it one (QEMU: -device "
			      "intel-iommu,intremap=on) or use emulated devices (weir sim)");
	else
		doctor_report(doctor, "iommu-off", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE, "",
			      "%s is off in the firmware: switch it on in the firmware's setup, "
			      "which 'systemctl reboot --firmware-setup' enters",
			      name);
}

/* On the kernel's command line, or the default, the IOMMU is not asked for. */
static void report_not_asked_for(struct doctor *doctor, const char *more)
{
	doctor_report(doctor, "iommu-off", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE,
		      "sed -i '/intel_iommu=on/!s/^" GRUB_LINE "=\"/&intel_iommu=on /' "
		      "/etc/default/grub && "
		      "update-grub",
		      "the IOMMU is off: start the kernel with intel_iommu=on and reboot%s", more);
}

static void report_off(struct doctor *doctor, const char *cmdline, const char *cpu)
{
	bool guest = strstr(cpu, " hypervisor") != NULL;
	bool intel = strstr(cpu, "GenuineIntel") != NULL;
	bool asked = has_value(cmdline, "intel_iommu", "on");
	struct stat status;
	/* Firmware describes an IOMMU that it offers: a virtual machine may have Intel's on any
	 * CPU. */
	bool dmar = tree_stat(doctor->root, ACPI_TABLES "/DMAR", &status);
	bool ivrs = tree_stat(doctor->root, ACPI_TABLES "/IVRS", &status);
	bool acpi = tree_stat(doctor->root, ACPI_TABLES, &status);
	const char *off = switched_off_by(cmdline);
	char fix[256];

	if (off) {
		snprintf(fix, sizeof(fix),
			 "sed -i '/^" GRUB_LINE "/s/\\b%s\\b//' /etc/default/grub && update-grub",
			 off);
		doctor_report(doctor, "iommu-off", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE, fix,
			      "the IOMMU is off because the kernel was started with %s; remove it "
			      "and reboot",
			      off);
	} else if (dmar && !asked) {
		report_not_asked_for(doctor, "");
	} else if (dmar || ivrs) {
		doctor_report(doctor, "iommu-off", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE, "",
			      "the firmware offers an IOMMU, and the kernel does not use it: "
			      "\"dmesg | grep -e DMAR -e AMD-Vi\" says why");
	} else if (intel && !asked && !acpi) {
		report_not_asked_for(doctor,
				     guest ? " (and give this virtual machine an IOMMU)" : "");
	} else {
		report_not_offered(doctor, guest,
				   intel			 ? "VT-d"
				   : strstr(cpu, "AuthenticAMD") ? "AMD-Vi"
								 : "the IOMMU");
	}
}

bool doctor_check_iommu(struct doctor *doctor)
{
	char *cmdline = tree_file(doctor->root, "/proc/cmdline");
	char *cpu = tree_file(doctor->root, "/proc/cpuinfo");
	unsigned int units, groups;
	bool on;

	tree_free_names(tree_names(doctor->root, "/sys/class/iommu", "", &units));
	tree_free_names(tree_names(doctor->root, "/sys/kernel/iommu_groups", "", &groups));
	on = units && groups;
	if (on)
		doctor_report(doctor, "iommu", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "the IOMMU is on: %u unit%s, %u groups", units, units == 1 ? "" : "s",
			      groups);
	else
		report_off(doctor, cmdline ? cmdline : "", cpu ? cpu : "");
	free(cmdline);
	free(cpu);
	return on;
}
