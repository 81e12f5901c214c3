/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor.h"
#include "pci_function.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
	bool iommu, vfio;

	doctor_check_memory(doctor);
	doctor_check_memlock(doctor);
	doctor_check_limits(doctor);
	doctor_check_hugepages(doctor);
	iommu = doctor_check_iommu(doctor);
	vfio = doctor_check_vfio(doctor);
	/* Without these none can be opened, for a reason that has been told. */
	if (iommu && vfio)
		doctor_check_bound(doctor);
	doctor_check_numa(doctor);
	doctor_check_cpu(doctor);
}

void doctor_run_device(struct doctor *doctor, const char *address)
{
	struct pci_function function;

	if (!pci_function_read(doctor->root, address, &function)) {
		doctor_check_device(doctor, address);
		return;
	}
	if (doctor_check_iommu(doctor))
		doctor_check_device(doctor, address);
	doctor_check_memlock(doctor);
}

/* The first finding that keeps PCI devices from working, or NULL. */
static const json_t *first_obstacle(const json_t *findings)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
	{
		if (strcmp(json_string_value(json_object_get(finding, "blocks")), "nothing"))
			return finding;
	}
	return NULL;
}

/* A command that is cut would be worse than none. */
static void put_in_front(const char *address, const json_t *finding, struct weir_error *err)
{
	const char *text = json_string_value(json_object_get(finding, "text"));
	const char *fix = json_string_value(json_object_get(finding, "fix"));
	char before[WEIR_ERROR_TEXT], mend[WEIR_ERROR_TEXT] = "";

	memcpy(before, err->text, sizeof(before));
	if (*fix && strlen(text) + strlen("; as root: ") + strlen(fix) < sizeof(err->text))
		snprintf(mend, sizeof(mend), "; as root: %s", fix);
	else if (*fix)
		snprintf(mend, sizeof(mend), "; 'weir doctor %s' says what mends it", address);
	snprintf(err->text, sizeof(err->text), "%.*s%s (%s)",
		 (int)(sizeof(err->text) - 1 - strlen(mend)), text, mend, before);
}

void doctor_explain(const char *root, const char *address, struct weir_error *err)
{
	char plain[PCI_ADDRESS_BYTES];
	struct doctor doctor = { .root = root };
	const json_t *finding;
	struct who who;

	if (!pci_parse_address(address, plain) || who_self(&who, NULL))
		return;
	doctor.who = &who;
	doctor.findings = json_array();
	doctor_run_device(&doctor, plain);
	finding = first_obstacle(doctor.findings);
	if (finding)
		put_in_front(plain, finding, err);
	json_decref(doctor.findings);
	who_end(&who);
}
