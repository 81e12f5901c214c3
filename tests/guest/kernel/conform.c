/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * conform --modules NAME [--files FOLDER] [--deviations FILE] PART...
 *
 * Holds VFIO's modules, which are loaded, to what Linux 7.2 does, in a guest of the lab, as root.
 * Binds the devices it needs to vfio-pci. NAME says whose modules they are ("in-tree-6.1"), FOLDER
 * where their files are. FILE lists checks that fail with some of them, for a reason: such a
 * failure is reported as TODO, and one that is no more fails. A kernel's lockdep must be on still
 * at the end. Prints TAP; exit status 0 when nothing failed.
 */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sysfs.h"
#include "../type1.h"
#include "conform.h"

#define CASE_SECONDS 600 /* the debug kernel is slow, the more so beside others */
#define MAX_DEVIATIONS 128

struct deviation {
	char pattern[160];
	char reason[160];
	bool seen;
};

/* Shared by the processes of the cases. */
struct shared {
	struct tap tap;
	size_t nr_deviations;
	struct deviation deviations[MAX_DEVIATIONS];
};

static struct shared *shared;
static const char *part_name = "devices";
static char subject[64];
const char *the_modules;

struct conform_device the_devices[KINDS] = {
	[EDU] = { .kind = "edu" }, [MEMORY] = { .kind = "memory" }, [NVME] = { .kind = "nvme" },
	[NIC] = { .kind = "nic" }, [PF] = { .kind = "pf" },
};

static const struct {
	long vendor;
	long device;
} ids[KINDS] = {
	[EDU] = { 0x1234, 0x11e8 }, [MEMORY] = { 0x1af4, 0x1110 }, [NVME] = { 0x1b36, 0x0010 },
	[NIC] = { 0x8086, 0x10d3 }, [PF] = { 0x8086, 0x10c9 },
};

static const struct conform_part *const parts[] = {
	&part_container, &part_group,	     &part_type1,	  &part_info,
	&part_irqs,	 &part_config,	     &part_bar,		  &part_reset,
	&part_threads,	 &part_vectors,	     &part_isolation,	  &part_memory,
	&part_paths,	 &part_iommufd,	     &part_iommufd_areas, &part_iommufd_device,
	&part_cdev,	 &part_cdev_life,    &part_cdev_threads,  &part_neighbours,
	&part_contexts,	 &part_unsafe,	     &part_32bit,	  &part_cdev_memory,
	&part_noiommu,	 &part_noiommu_life, &part_mixed,
};

static struct deviation *deviation_of(const char *name)
{
	for (size_t i = 0; i < shared->nr_deviations; i++) {
		if (fnmatch(shared->deviations[i].pattern, name, 0) == 0)
			return &shared->deviations[i];
	}
	return NULL;
}

/* details follow the name, and are no part of it. */
static bool report(bool passed, const char *name, const char *details)
{
	struct deviation *known = passed ? NULL : deviation_of(name);

	if (known) {
		known->seen = true;
		printf("not ok %u - %s%s # TODO %s\n", ++shared->tap.checks, name, details,
		       known->reason);
		fflush(stdout);
		return false;
	}
	return tap_check(&shared->tap, passed, "%s%s", name, details);
}

static void make_name(char *name, size_t size, const char *format, va_list arguments)
{
	int used = snprintf(name, size, "%s: %s%s", part_name, subject, subject[0] ? ": " : "");

	vsnprintf(name + used, size - used, format, arguments);
}

#define MAKE_NAME(name, format) \
	do { \
		va_list arguments; \
\
		va_start(arguments, format); \
		make_name(name, sizeof(name), format, arguments); \
		va_end(arguments); \
	} while (0)

void about(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(subject, sizeof(subject), format, arguments);
	va_end(arguments);
}

bool check(bool passed, const char *format, ...)
{
	char name[256];

	MAKE_NAME(name, format);
	return report(passed, name, "");
}

static void describe(char *text, size_t size, long result)
{
	const char *error = result < 0 ? strerrorname_np((int)-result) : NULL;

	if (error)
		snprintf(text, size, "-%s", error);
	else
		snprintf(text, size, "%ld", result);
}

bool expect(long got, long wanted, const char *format, ...)
{
	char is[32], should_be[32], name[256], details[96] = "";

	MAKE_NAME(name, format);
	describe(is, sizeof(is), got);
	describe(should_be, sizeof(should_be), wanted);
	if (got != wanted)
		snprintf(details, sizeof(details), ": is %s, should be %s", is, should_be);
	return report(got == wanted, name, details);
}

long must(long got, const char *format, ...)
{
	char is[32], name[256], details[64];

	if (got >= 0)
		return got;
	MAKE_NAME(name, format);
	describe(is, sizeof(is), got);
	snprintf(details, sizeof(details), ": %s, the case cannot go on", is);
	report(false, name, details);
	exit(0);
}

static void run_case(const struct conform_case *test)
{
	pid_t child;
	int status;

	printf("# %s: %s\n", part_name, test->name);
	fflush(stdout);
	child = fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		alarm(CASE_SECONDS);
		test->run();
		exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		;
	subject[0] = '\0';
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		check(false, "%s: ended by signal %d, status %d", test->name,
		      WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		      WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

static void find_devices(void)
{
	DIR *folder = opendir("/sys/bus/pci/devices");
	const struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		long vendor = sysfs_number("/sys/bus/pci/devices/%s/vendor", entry->d_name);
		long device = sysfs_number("/sys/bus/pci/devices/%s/device", entry->d_name);

		for (int kind = 0; kind < KINDS; kind++) {
			struct conform_device *found = &the_devices[kind];

			if (vendor == ids[kind].vendor && device == ids[kind].device &&
			    (!found->bdf[0] || strcmp(entry->d_name, found->bdf) < 0))
				snprintf(found->bdf, sizeof(found->bdf), "%s", entry->d_name);
		}
	}
	if (folder)
		closedir(folder);
}

/* The node of its group, which says so in its name when there is no IOMMU. */
static void find_node(struct conform_device *device)
{
	char group[16], name[32];

	sysfs_link(group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group", device->bdf);
	sysfs_read(name, sizeof(name), "/sys/kernel/iommu_groups/%s/name", group);
	snprintf(device->node, sizeof(device->node), "/dev/vfio/%s%s",
		 strcmp(name, "vfio-noiommu") == 0 ? "noiommu-" : "", group);
}

static bool bind_devices(void)
{
	bool all = true;

	for (int kind = 0; kind < KINDS; kind++) {
		struct conform_device *found = &the_devices[kind];
		char driver[64];

		if (!check(found->bdf[0], "there is a %s (%04lx:%04lx)", found->kind,
			   ids[kind].vendor, ids[kind].device)) {
			all = false;
			continue;
		}
		sysfs_link(driver, sizeof(driver), "/sys/bus/pci/devices/%s/driver", found->bdf);
		if (strcmp(driver, "vfio-pci") != 0)
			all &= expect(type1_bind(found->bdf), 0, "vfio-pci binds the %s",
				      found->kind);
		find_node(found);
	}
	return all;
}

static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strcspn(text, "\n");
	while (length && strchr(" \t", text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

/* Lines of MODULES | PATTERN OF A CHECK | REASON; false when the file is wrong. */
static bool read_deviations(const char *path, const char *modules)
{
	FILE *file = fopen(path, "r");
	char line[512];

	if (!file) {
		perror(path);
		return false;
	}
	for (unsigned int number = 1; fgets(line, sizeof(line), file); number++) {
		char *rest = line;
		char *whose = strsep(&rest, "|");
		char *pattern = strsep(&rest, "|");
		struct deviation *entry = &shared->deviations[shared->nr_deviations];

		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (!pattern || !rest || shared->nr_deviations == MAX_DEVIATIONS) {
			fprintf(stderr, "%s:%u: not MODULES | CHECK | REASON, or over %d lines\n",
				path, number, MAX_DEVIATIONS);
			fclose(file);
			return false;
		}
		if (fnmatch(trim(whose), modules, 0) != 0)
			continue;
		snprintf(entry->pattern, sizeof(entry->pattern), "%s", trim(pattern));
		snprintf(entry->reason, sizeof(entry->reason), "%s", trim(rest));
		shared->nr_deviations++;
	}
	fclose(file);
	return true;
}

static void run_part(const struct conform_part *part)
{
	size_t length = strlen(part->name);

	part_name = part->name;
	for (size_t i = 0; i < part->count; i++)
		run_case(&part->cases[i]);
	for (size_t i = 0; i < shared->nr_deviations; i++) {
		const struct deviation *known = &shared->deviations[i];

		if (strncmp(known->pattern, part->name, length) == 0 &&
		    known->pattern[length] == ':')
			check(known->seen, "the deviation '%s' is still there", known->pattern);
	}
}

static bool prepare(const struct conform_part *part)
{
	const char *before = part_name;
	bool ready;

	part_name = part->name;
	ready = !part->prepare || part->prepare();
	part_name = before;
	return ready;
}

static const struct conform_part *part_called(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (strcmp(parts[i]->name, name) == 0)
			return parts[i];
	}
	return NULL;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s --modules NAME [--files FOLDER] [--deviations FILE] PART...\nparts:",
		program);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		fprintf(stderr, " %s", parts[i]->name);
	fputc('\n', stderr);
	return 2;
}

/* A kernel that has lockdep, and no more once it has reported something, or has run full. */
static void check_lockdep(void)
{
	FILE *stats = fopen("/proc/lockdep_stats", "r");
	char line[128], value;
	bool on = false;

	if (!stats)
		return;
	while (fgets(line, sizeof(line), stats))
		on |= sscanf(line, " debug_locks: %c", &value) == 1 && value == '1';
	fclose(stats);
	part_name = "lockdep";
	check(on, "it has looked until the end");
}

int main(int argc, char **argv)
{
	const char *modules = NULL, *deviations = NULL;
	bool ready = true;
	int first = 1;

	for (; first + 1 < argc && argv[first][0] == '-'; first += 2) {
		if (strcmp(argv[first], "--modules") == 0)
			modules = argv[first + 1];
		else if (strcmp(argv[first], "--deviations") == 0)
			deviations = argv[first + 1];
		else if (strcmp(argv[first], "--files") == 0)
			the_modules = argv[first + 1];
		else
			return usage(argv[0]);
	}
	if (!modules || first >= argc)
		return usage(argv[0]);
	for (int i = first; i < argc; i++) {
		if (!part_called(argv[i]))
			return usage(argv[0]);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		return 2;
	if (deviations && !read_deviations(deviations, modules))
		return 2;
	find_devices();
	for (int i = first; i < argc; i++)
		ready = ready && prepare(part_called(argv[i]));
	if (!ready || !bind_devices())
		return tap_finish(&shared->tap);
	for (int i = first; i < argc; i++)
		run_part(part_called(argv[i]));
	check_lockdep();
	return tap_finish(&shared->tap);
}
