/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir doctor: what on this machine stands in the way, and the command that removes it.
 *
 * Everything is read below a root folder, and what belongs to the process is in `struct doctor`, so
 * that a test can make any machine up. Each check reports at least one finding.
 */
#ifndef WEIR_APPS_DOCTOR_H
#define WEIR_APPS_DOCTOR_H

#include "who.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/error.h>

/* How much a finding matters. */
enum doctor_severity {
	DOCTOR_OK, /* as it should be */
	DOCTOR_NOTE, /* works, but could be better */
	DOCTOR_PROBLEM, /* something does not work */
};

/* What a problem keeps from working. */
enum doctor_blocks {
	DOCTOR_BLOCKS_NOTHING,
	DOCTOR_BLOCKS_HARDWARE, /* PCI devices of this machine */
	DOCTOR_BLOCKS_ALL, /* emulated devices too */
};

struct doctor {
	const char *root; /* "" for this machine */
	const struct who *who; /* whose rights and limits count */
	uint64_t nofile; /* RLIMIT_NOFILE */
	json_t *findings; /* array of {id, severity, blocks, text, fix} */
	enum doctor_blocks worst;
};

/*
 * Adds a finding. `fix` is a line for a root shell that mends it as it stands and can be run
 * without being watched, or "" when there is no such line.
 */
void doctor_report(struct doctor *doctor, const char *id, enum doctor_severity severity,
		   enum doctor_blocks blocks, const char *fix, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* Runs all checks: the machine's, and those of each function that is bound to VFIO. */
void doctor_run(struct doctor *doctor);

/* Runs the checks that decide whether the user can open one PCI function, and finds the first thing
 * in the way. `address` is of the form that /sys uses. */
void doctor_run_device(struct doctor *doctor, const char *address);

/*
 * For a command that could not open a device: puts in front of err what doctor finds for a PCI
 * address, with the command that mends it. Does nothing when doctor finds nothing.
 */
void doctor_explain(const char *root, const char *address, struct weir_error *err);

/* Runs the fixes of findings that are not in `done` yet, in their order, and adds what came of
 * each: {id, fix, status}, where status is the shell's. */
void doctor_fix(const json_t *findings, json_t *done);

/* doctor_iommu.c, doctor_vfio.c, doctor_device.c, doctor_memory.c, doctor_cpu.c. The first two say
 * whether all is well. */
bool doctor_check_iommu(struct doctor *doctor);
bool doctor_check_vfio(struct doctor *doctor);
bool doctor_vfio_is_available(const struct doctor *doctor);
void doctor_check_device(struct doctor *doctor, const char *address);
void doctor_check_bound(struct doctor *doctor);
void doctor_check_memlock(struct doctor *doctor);
void doctor_check_memory(struct doctor *doctor);
void doctor_check_hugepages(struct doctor *doctor);
void doctor_check_limits(struct doctor *doctor);
void doctor_check_numa(struct doctor *doctor);
void doctor_check_cpu(struct doctor *doctor);

#endif
