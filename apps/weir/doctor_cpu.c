/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "tree.h"

#include <stdio.h>
#include <string.h>

#define CPUS "/sys/devices/system/cpu"

/* CPUs that do not run at full clock. */
static void check_governor(struct doctor *doctor)
{
	unsigned int nr, slow = 0, known = 0;
	char **cpus = tree_names(doctor->root, CPUS, "cpu", &nr);
	char governor[64], seen[64] = "";

	for (unsigned int i = 0; i < nr; i++) {
		if (!tree_text(doctor->root, governor, sizeof(governor),
			       CPUS "/%s/cpufreq/scaling_governor", cpus[i]))
			continue;
		known++;
		if (strcmp(governor, "performance")) {
			slow++;
			snprintf(seen, sizeof(seen), "%s", governor);
		}
	}
	tree_free_names(cpus);
	if (slow)
		doctor_report(doctor, "cpu-governor", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING,
			      "for f in " CPUS
			      "/cpu*/cpufreq/scaling_governor; do echo performance "
			      "> $f; done",
			      "the frequency governor of %u of %u CPUs is %s: latencies vary with "
			      "the clock",
			      slow, known, seen);
	else
		doctor_report(doctor, "cpu", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      known ? "all CPUs run at full clock (governor performance)"
				    : "the kernel does not scale the CPUs' clock");
}

void doctor_check_cpu(struct doctor *doctor)
{
	check_governor(doctor);
}
