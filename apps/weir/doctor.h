/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir doctor: what on this machine stands in the way, and the command that removes it.
 *
 * Everything is read below a root folder, and what belongs to the process is in `struct doctor`, so
 * that a test can make any machine up. Each check reports at least one finding.
 */
#ifndef WEIR_APPS_DOCTOR_H
#define WEIR_APPS_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

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
	const char *user; /* name, for fixes */
	uid_t uid; /* effective */
	const gid_t *groups; /* all of the process's */
	unsigned int nr_groups;
	uint64_t memlock; /* RLIMIT_MEMLOCK in bytes; UINT64_MAX: unlimited */
	uint64_t nofile; /* RLIMIT_NOFILE */
	json_t *findings; /* array of {id, severity, blocks, text, fix} */
	enum doctor_blocks worst;
};

/*
 * Adds a finding. `fix` is a line for a root shell that mends it as it stands, or "" when there is
 * nothing to run.
 */
void doctor_report(struct doctor *doctor, const char *id, enum doctor_severity severity,
		   enum doctor_blocks blocks, const char *fix, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/* Runs all checks. */
void doctor_run(struct doctor *doctor);

/* doctor_iommu.c, doctor_vfio.c, doctor_memory.c, doctor_cpu.c */
void doctor_check_iommu(struct doctor *doctor);
void doctor_check_vfio(struct doctor *doctor);
void doctor_check_memory(struct doctor *doctor);
void doctor_check_hugepages(struct doctor *doctor);
void doctor_check_limits(struct doctor *doctor);
void doctor_check_numa(struct doctor *doctor);
void doctor_check_cpu(struct doctor *doctor);

#endif
