/* SPDX-License-Identifier: BSD-3-Clause */
#include "shortage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sysfs.h"
#include "calls.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define DEBUG "/sys/kernel/debug"

/* Where x86-64 has modules (Documentation/arch/x86/x86_64/mm.rst). */
#define MODULES_START "0xffffffffa0000000"
#define MODULES_END "0xffffffffff000000"

/* As deep as the kernel can look for one of them. */
#define STACK_DEPTH "32"

#define MOST_ALLOCATIONS 2000

static const char *const kinds[] = { "failslab", "fail_page_alloc" };
static int fail_nth = -1;

static void must_set(const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		must(sysfs_write(value, DEBUG "/%s/%s", kinds[i], name), "write %s into %s/%s",
		     value, kinds[i], name);
}

static void must_write_nth(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	must(pwrite(fail_nth, text, length, 0) == length ? 0 : -errno, "write %s", FAIL_NTH);
}

/* Where a function of the kernel begins, and where the next one does; false: there is none. */
static bool find_function(const char *name, uint64_t *start, uint64_t *end)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	bool found = false;
	char line[512];

	*start = 0;
	*end = UINT64_MAX;
	/* They are sorted by address. */
	while (symbols && *end == UINT64_MAX && fgets(line, sizeof(line), symbols)) {
		char symbol[256], type;
		uint64_t address;

		if (sscanf(line, "%" SCNx64 " %c %255s", &address, &type, symbol) != 3)
			continue;
		if (found && address > *start)
			*end = address;
		if (!found && strcmp(symbol, name) == 0 && strchr("tT", type)) {
			*start = address;
			found = true;
		}
	}
	if (symbols)
		fclose(symbols);
	return found && *end != UINT64_MAX;
}

/* Replaces what was spared before; NULL: nothing is. */
static void must_spare(const struct shortage_spared *spared)
{
	uint64_t starts[2] = { 0 }, ends[2] = { 0 };
	char text[32];

	if (spared) {
		must(find_function(spared->one, &starts[0], &ends[0]) ? 0 : -ENOENT,
		     "find the kernel's %s()", spared->one);
		must(find_function(spared->other, &starts[1], &ends[1]) ? 0 : -ENOENT,
		     "find the kernel's %s()", spared->other);
	}
	snprintf(text, sizeof(text), "%#" PRIx64, starts[0] < starts[1] ? starts[0] : starts[1]);
	must_set("reject-start", text);
	snprintf(text, sizeof(text), "%#" PRIx64, ends[0] > ends[1] ? ends[0] : ends[1]);
	must_set("reject-end", text);
}

void must_prepare_shortage(void)
{
	must_set("ignore-gfp-wait", "N");
	must(sysfs_write("N", DEBUG "/fail_page_alloc/ignore-gfp-highmem"), "fail user pages, too");
	must(sysfs_write("0", DEBUG "/fail_page_alloc/min-order"), "fail single pages, too");
	must_set("verbose", "0");
	must_set("stacktrace-depth", STACK_DEPTH);
	must_set("require-start", MODULES_START);
	must_set("require-end", MODULES_END);
	must_spare(NULL);
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	must(fail_nth < 0 ? -errno : 0, "open %s", FAIL_NTH);
}

void shortage_begin(unsigned int n)
{
	must_write_nth(n);
}

bool shortage_end(void)
{
	char text[16] = "";

	must(pread(fail_nth, text, sizeof(text) - 1, 0) < 0 ? -errno : 0, "read %s", FAIL_NTH);
	must_write_nth(0);
	/* It counts down to the failure. */
	return atoi(text) == 0;
}

/* What a step has done over all its failures. */
struct tally {
	unsigned int met; /* allocations that failed */
	unsigned int failed; /* calls that failed of it */
	unsigned int fewer; /* by saying how many there could be */
	unsigned int other; /* with an error that is not one of memory */
	unsigned int stuck; /* that did not work at once afterwards */
	unsigned int charged; /* after which something was charged */
};

static void judge(const struct shortage_step *step, unsigned int n, long result,
		  struct tally *tally)
{
	bool fewer = step->fewer && result > 0;

	tally->failed++;
	tally->fewer += fewer;
	if (!step->cannot_fail && (result == -ENOMEM || result == step->also || fewer))
		return;
	tally->other++;
	printf("# %s: allocation %u fails: %ld\n", step->name, n, result);
}

/* Returns whether an allocation failed. */
static bool run_once(const struct shortage_step *step, unsigned int n, struct tally *tally)
{
	long locked = locked_kilobytes(), before = locked, result;
	bool met;

	if (step->prepare) {
		step->prepare();
		before = locked_kilobytes();
	}
	shortage_begin(n);
	result = step->run();
	met = shortage_end();
	tally->met += met;
	if (result != 0) {
		judge(step, n, result, tally);
		tally->charged += locked_kilobytes() != before;
		result = step->run();
		tally->stuck += result != 0;
		if (result != 0)
			printf("# %s: after allocation %u: %ld\n", step->name, n, result);
	}
	if (step->undo)
		step->undo();
	tally->charged += locked_kilobytes() != locked;
	return met;
}

static void run_step(const struct shortage_step *step)
{
	struct tally tally = { 0 };
	unsigned int n = 1;

	must_spare(step->spared);
	while (n < MOST_ALLOCATIONS && run_once(step, n, &tally))
		n++;
	printf("# %s: %u allocations, %u calls failed, %u of them for fewer vectors\n", step->name,
	       tally.met, tally.failed, tally.fewer);
	check(n < MOST_ALLOCATIONS, "%s: every allocation has failed once", step->name);
	if (!step->cannot_fail && !step->may_need_none)
		check(tally.failed > 0, "%s: it needs some of them", step->name);
	expect(tally.other, 0, "%s: calls that failed otherwise than they may", step->name);
	expect(tally.stuck, 0, "%s: calls that did not work at once afterwards", step->name);
	expect(tally.charged, 0, "%s: calls that left something charged", step->name);
}

void shortage_run(const struct shortage_step *steps, size_t count)
{
	int log;

	must_prepare_shortage();
	log = must_open_log();
	for (size_t i = 0; i < count; i++)
		run_step(&steps[i]);
	check(!log_has(log, "ACPI Error"), "the kernel's interpreter of ACPI has been spared");
	expect(sysfs_write("scan", DEBUG "/kmemleak"), 0, "the kernel still looks for leaks");
}
