/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRUB_LINE "GRUB_CMDLINE_LINUX"

/* Whether a kernel parameter is on the command line, as a whole word. */
static bool has_parameter(const char *cmdline, const char *parameter)
{
	size_t length = strlen(parameter);

	for (const char *at = cmdline; (at = strstr(at, parameter)); at += length) {
		bool starts = at == cmdline || at[-1] == ' ';
		bool ends = at[length] == '\0' || at[length] == ' ' || at[length] == '\n';

		if (starts && ends)
			return true;
	}
	return false;
}

/* The parameter that keeps the IOMMU off, or NULL. */
static const char *switched_off_by(const char *cmdline)
{
	static const char *const parameters[] = { "intel_iommu=off", "amd_iommu=off", "iommu=off" };

	for (unsigned int i = 0; i < 3; i++) {
		if (has_parameter(cmdline, parameters[i]))
			return parameters[i];
	}
	return NULL;
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

static void report_off(struct doctor *doctor, const char *cmdline, const char *cpu)
{
	bool intel = strstr(cpu, "GenuineIntel") != NULL;
	bool guest = strstr(cpu, " hypervisor") != NULL;
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
		return;
	}
	if (!intel || has_parameter(cmdline, "intel_iommu=on")) {
		report_not_offered(doctor, guest,
				   intel			 ? "VT-d"
				   : strstr(cpu, "AuthenticAMD") ? "AMD-Vi"
								 : "the IOMMU");
		return;
	}
	doctor_report(doctor, "iommu-off", DOCTOR_PROBLEM, DOCTOR_BLOCKS_HARDWARE,
		      "sed -i '/intel_iommu=on/!s/^" GRUB_LINE "=\"/&intel_iommu=on /' "
		      "/etc/default/grub && "
		      "update-grub",
		      "the IOMMU is off: start the kernel with intel_iommu=on and reboot%s",
		      guest ? " (and give this virtual machine an IOMMU)" : "");
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
