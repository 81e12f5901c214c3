/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>

void doctor_report(struct doctor *doctor, const char *id, enum doctor_severity severity,
		   enum doctor_blocks blocks, const char *fix, const char *format, ...)
{
	static const char *const severities[] = { "ok", "note", "problem" };
	static const char *const blocked[] = { "nothing", "hardware", "all" };
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(doctor->findings,
			      json_pack("{s:s, s:s, s:s, s:s, s:s}", "id", id, "severity",
					severities[severity], "blocks", blocked[blocks], "text",
					text, "fix", fix));
	if (blocks > doctor->worst)
		doctor->worst = blocks;
}

void doctor_run(struct doctor *doctor)
{
	doctor_check_memory(doctor);
	doctor_check_limits(doctor);
	doctor_check_hugepages(doctor);
	doctor_check_iommu(doctor);
	doctor_check_vfio(doctor);
	doctor_check_numa(doctor);
	doctor_check_cpu(doctor);
}
