/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes latencies vary on the CPUs. */
#include "doctor.h"
#include "parse.h"
#include "tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS "/sys/devices/system/cpu"
/* Time to leave an idle state that a device's own latency hides, in microseconds. */
#define SHORT_IDLE_US 20
#define SHORT_IDLE_TEXT "20"
#define IRQ_MASK "/proc/irq/default_smp_affinity"
/* The mask is printed in words of 32 CPUs. */
#define MASK_WORDS (PARSE_MAX_CPUS / 32)

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

/* The idle state of a CPU that takes longest to leave, of those that are not switched off. */
static void find_slow_state(const struct doctor *doctor, const char *cpu, uint64_t *latency,
			    char *name, size_t bytes)
{
	char folder[300];
	unsigned int nr;
	char **states;

	snprintf(folder, sizeof(folder), CPUS "/%s/cpuidle", cpu);
	states = tree_names(doctor->root, folder, "state", &nr);
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t off = 0, us = 0;

		tree_number(doctor->root, &off, "%s/%s/disable", folder, states[i]);
		tree_number(doctor->root, &us, "%s/%s/latency", folder, states[i]);
		if (off || us <= *latency)
			continue;
		*latency = us;
		tree_text(doctor->root, name, bytes, "%s/%s/name", folder, states[i]);
	}
	tree_free_names(states);
}

/* Does not concern a thread that polls: its CPU never idles. */
static void check_idle(struct doctor *doctor)
{
	unsigned int nr;
	char **cpus = tree_names(doctor->root, CPUS, "cpu", &nr);
	uint64_t latency = 0;
	char name[32] = "";

	for (unsigned int i = 0; i < nr; i++)
		find_slow_state(doctor, cpus[i], &latency, name, sizeof(name));
	tree_free_names(cpus);
	if (latency > SHORT_IDLE_US)
		doctor_report(doctor, "cpu-idle", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING,
			      "for d in " CPUS
			      "/cpu*/cpuidle/state*; do [ $(cat $d/latency) -le " SHORT_IDLE_TEXT
			      " ] || echo 1 > $d/disable; done",
			      "a CPU takes up to %" PRIu64 " us to leave its idle state %s: a "
			      "program that waits for interrupts is late by that",
			      latency, name);
	else
		doctor_report(doctor, "cpu-idle", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "CPUs leave idle states in %" PRIu64 " us at most", latency);
}

/* "ff,ffffffff": words of 32 CPUs, the highest first. Returns how many; 0: makes no sense. */
static unsigned int read_mask(const struct doctor *doctor, uint32_t *words)
{
	char text[MASK_WORDS * 9 + 2], *at = text;
	unsigned int nr = 0;

	if (!tree_text(doctor->root, text, sizeof(text), "%s", IRQ_MASK))
		return 0;
	for (char *end; nr < MASK_WORDS; at = end + 1) {
		words[nr++] = (uint32_t)strtoul(at, &end, 16);
		if (end == at || (*end && *end != ','))
			return 0;
		if (!*end)
			return nr;
	}
	return 0;
}

/* Takes CPUs out of a mask; returns how many of them were in it. */
static unsigned int mask_clear(uint32_t *words, unsigned int nr, const struct cpu_list *cpus)
{
	unsigned int cleared = 0;

	for (unsigned int i = 0; i < cpus->nr; i++) {
		unsigned int word = cpus->cpus[i] / 32;
		uint32_t bit = UINT32_C(1) << cpus->cpus[i] % 32;

		if (word >= nr || !(words[nr - 1 - word] & bit))
			continue;
		words[nr - 1 - word] &= ~bit;
		cleared++;
	}
	return cleared;
}

/* A command that gives interrupts, those to come and all that can be moved, to the CPUs in a mask;
 * "" when it is empty. */
static void interrupts_fix(const uint32_t *words, unsigned int nr, char *fix, size_t bytes)
{
	char mask[MASK_WORDS * 9 + 1];
	uint32_t any = 0;
	size_t used = 0;

	for (unsigned int i = 0; i < nr; i++) {
		any |= words[i];
		used += (size_t)snprintf(mask + used, sizeof(mask) - used, "%s%08" PRIx32,
					 i ? "," : "", words[i]);
	}
	fix[0] = '\0';
	if (any)
		snprintf(fix, bytes,
			 "for f in " IRQ_MASK " /proc/irq/*/smp_affinity; do echo %s > $f; done "
			 "2>/dev/null; true",
			 mask);
}

/* CPUs that the kernel keeps free of other threads, and interrupts that are served there. */
static void check_isolated(struct doctor *doctor)
{
	char isolated[256], fix[MASK_WORDS * 9 + 128];
	uint32_t words[MASK_WORDS];
	struct cpu_list cpus;
	unsigned int nr = read_mask(doctor, words);

	tree_text(doctor->root, isolated, sizeof(isolated), CPUS "/isolated");
	if (!*isolated || parse_cpus("isolated", isolated, &cpus, NULL)) {
		doctor_report(doctor, "cpu-isolated", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "no CPU is isolated: isolcpus= and nohz_full= on the kernel's "
			      "command line would keep other threads off one that polls");
	} else if (mask_clear(words, nr, &cpus)) {
		interrupts_fix(words, nr, fix, sizeof(fix));
		doctor_report(doctor, "cpu-interrupts", DOCTOR_NOTE, DOCTOR_BLOCKS_NOTHING, fix,
			      "interrupts may be served on the isolated CPUs %s", isolated);
	} else {
		doctor_report(doctor, "cpu-isolated", DOCTOR_OK, DOCTOR_BLOCKS_NOTHING, "",
			      "CPUs %s are isolated, from interrupts, too", isolated);
	}
}

void doctor_check_cpu(struct doctor *doctor)
{
	check_governor(doctor);
	check_idle(doctor);
	check_isolated(doctor);
}
