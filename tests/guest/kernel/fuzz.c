/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz [--seed N] [--seconds N] [--workers N] [--threads N] [--no-sysfs] BDF=MODEL...
 *
 * Throws calls at all nodes of VFIO's modules and at files of the devices, which are bound to
 * vfio-pci, in a guest of the lab, as root. A MODEL is "edu", "memory" or "other". Passes when all
 * that counts has worked at least once, no process crashed or hung, and nothing is pinned or
 * charged any more; the kernel's log is the lab's to judge. The same seed starts the same processes
 * with the same numbers; with one worker of one thread these make the same calls until the kernel's
 * answers differ. Prints TAP, with a table of all calls.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../sysfs.h"
#include "fuzz.h"

#define HERD_LIFE 60000
/*
 * The longest wait there may be is that of a driver that goes, for a worker: LONGEST_LIFE and GRACE
 * of the herd, and as long again on a machine that has other things to do.
 */
#define HANG 300000
#define TURN_US 200000
#define PATIENCE 4
#define SETTLE_TRIES 50

struct fuzz_options the_options = { .seconds = 60, .workers = 3, .threads = 3, .sysfs = true };
struct fuzz_shared *the_shared;

/* Numbers of the whole system that have to be what they were. */
struct books {
	long acquired; /* pages that were ever pinned, and how many of them are no more */
	long released;
	long huge_pages; /* free ones */
};

static long counter_of(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	size_t length = strlen(name);
	long value = -1;
	char line[128];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) == 0 && strchr(" :", line[length]))
			value = strtol(line + length + 1, NULL, 10);
	}
	if (file)
		fclose(file);
	return value;
}

static struct books take_books(void)
{
	/* Counters of the processors are added up from time to time, or now. */
	sysfs_write("1", "/proc/sys/vm/stat_refresh");
	return (struct books){
		.acquired = counter_of("/proc/vmstat", "nr_foll_pin_acquired"),
		.released = counter_of("/proc/vmstat", "nr_foll_pin_released"),
		.huge_pages = counter_of("/proc/meminfo", "HugePages_Free"),
	};
}

static long pinned(const struct books *books)
{
	return books->acquired - books->released;
}

/* What others write into files of the guest's shares is pinned for a moment. */
static struct books open_books(void)
{
	struct books books = take_books();

	for (int tries = 0; tries < SETTLE_TRIES / 5; tries++) {
		struct books now;

		usleep(TURN_US);
		now = take_books();
		if (pinned(&now) < pinned(&books))
			books = now;
	}
	return books;
}

/* The last files are closed after their processes are gone. */
static struct books settle_books(const struct books *before)
{
	struct books now = take_books();

	for (int tries = 0; tries < SETTLE_TRIES && (pinned(&now) != pinned(before) ||
						     now.huge_pages != before->huge_pages);
	     tries++) {
		usleep(TURN_US);
		now = take_books();
	}
	return now;
}

/* What the kernel says about a thread, as comments. */
static void print_stack(pid_t process, pid_t thread)
{
	char path[64], line[256];
	FILE *stack;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", process, thread);
	stack = fopen(path, "r");
	while (stack && fgets(line, sizeof(line), stack))
		printf("#   %s", line);
	if (stack)
		fclose(stack);
}

/* Whoever is in a call for too long, or does not die. */
static unsigned int find_hangs(void)
{
	int64_t now = fuzz_now();
	unsigned int hangs = 0;

	for (unsigned int i = 0; i < SLOTS; i++) {
		struct fuzz_slot *slot = &the_shared->slots[i];
		pid_t process = atomic_load(&slot->process);
		int64_t since = atomic_load(&slot->since), killed = atomic_load(&slot->killed);

		if (!process ||
		    ((!since || now - since < HANG) && (!killed || now - killed < HANG)))
			continue;
		printf("# process %d, thread %d hangs: %s%s\n", process, slot->thread,
		       since ? fuzz_counter_name(slot->counter) : "between calls",
		       killed ? ", and was killed" : "");
		print_stack(process, slot->thread);
		hangs++;
	}
	/* Not every kernel has this; the stacks of all that are blocked go into its log. */
	if (hangs)
		sysfs_write("w", "/proc/sysrq-trigger");
	return hangs;
}

static void print_progress(int64_t start)
{
	unsigned long worked, calls = fuzz_calls(&worked);

	printf("# after %lld s: %lu calls, %lu worked\n", (long long)(fuzz_now() - start) / 1000,
	       calls, worked);
}

/* Herds, one after the other. Returns how many hung or crashed. */
static unsigned int run_herds(void)
{
	int64_t life = (int64_t)the_options.seconds * 1000, start = fuzz_now(), end = start + life;
	unsigned int generation = 0;

	/* A slow machine gets more time to get everywhere. */
	while (fuzz_now() < end || (!fuzz_is_deep() && fuzz_now() < end + PATIENCE * life)) {
		int64_t until = fuzz_now() + HERD_LIFE;
		unsigned int hangs = 0;
		pid_t herd = fork();
		int status = 0;

		if (herd < 0)
			return 1;
		if (herd == 0)
			fuzz_herd(generation, fuzz_now() < end && end < until ? end : until);
		generation++;
		while (!hangs && waitpid(herd, &status, WNOHANG) == 0) {
			usleep(TURN_US);
			hangs = find_hangs();
		}
		if (hangs)
			kill(herd, SIGKILL);
		if (hangs || !WIFEXITED(status) || WEXITSTATUS(status)) {
			printf("# herd %u: %u hangs, status %#x\n", generation, hangs, status);
			return hangs + 1;
		}
		print_progress(start);
	}
	return 0;
}

static void report(unsigned int failures, const struct books *before, int64_t start)
{
	long long seconds = (fuzz_now() - start) / 1000;
	struct books after = settle_books(before);
	struct tap tap = { 0 };

	fuzz_print_table();
	printf("# %u processes, of which %u are children of others, in %lld s\n",
	       the_shared->workers + the_shared->children, the_shared->children, seconds);
	tap_check(&tap, failures == 0, "nothing hung or ended early");
	tap_check(&tap, the_shared->crashed == 0, "no process crashed (%u did)",
		  the_shared->crashed);
	tap_check(&tap, the_shared->settled > 0, "%u workers gave back what they had",
		  the_shared->settled);
	tap_check(&tap, the_shared->charged == 0, "they were charged with nothing (%lu kB)",
		  the_shared->charged);
	tap_check(&tap, failures == 0 && fuzz_user_is_free(), "nor is their user");
	tap_check(&tap, before->acquired >= 0 && after.acquired > before->acquired,
		  "%ld pages were pinned", after.acquired - before->acquired);
	tap_check(&tap, pinned(&after) == pinned(before), "none is any more (%ld are)",
		  pinned(&after) - pinned(before));
	tap_check(&tap, before->huge_pages > 0 && after.huge_pages == before->huge_pages,
		  "all huge pages are free (%ld are not)", before->huge_pages - after.huge_pages);
	fuzz_check_depth(&tap);
	exit(tap_finish(&tap));
}

static uint64_t number(const char *what, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || value < least || value > most) {
		fprintf(stderr, "fuzz: %s %s is not between %" PRIu64 " and %" PRIu64 "\n", what,
			text, least, most);
		exit(2);
	}
	return value;
}

static void add_device(const char *text)
{
	struct fuzz_device *device = &the_options.devices[the_options.nr_devices];
	const char *model = strchr(text, '=');
	char group[16];

	if (the_options.nr_devices == MAX_DEVICES || !model ||
	    (size_t)(model - text) >= sizeof(device->bdf)) {
		fprintf(stderr, "fuzz: %s is not a device and its model, or one more than %u\n",
			text, MAX_DEVICES);
		exit(2);
	}
	snprintf(device->bdf, sizeof(device->bdf), "%.*s", (int)(model - text), text);
	sysfs_link(group, sizeof(group), "/sys/bus/pci/devices/%s/iommu_group", device->bdf);
	if (!group[0]) {
		fprintf(stderr, "fuzz: %s is in no IOMMU group\n", device->bdf);
		exit(2);
	}
	snprintf(device->group, sizeof(device->group), "/dev/vfio/%s", group);
	device->model = strcmp(model, "=edu") == 0	? MODEL_EDU
			: strcmp(model, "=memory") == 0 ? MODEL_MEMORY
							: MODEL_OTHER;
	the_options.nr_devices++;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 'e' },
		{ "seconds", required_argument, NULL, 's' },
		{ "workers", required_argument, NULL, 'w' },
		{ "threads", required_argument, NULL, 't' },
		{ "no-sysfs", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	if (getrandom(&the_options.seed, sizeof(the_options.seed), 0) < 0)
		the_options.seed = (uint64_t)fuzz_now();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'e')
			the_options.seed = number("seed", optarg, 0, UINT64_MAX);
		else if (option == 's')
			the_options.seconds = (unsigned int)number("seconds", optarg, 1, 86400);
		else if (option == 'w')
			the_options.workers = (unsigned int)number("workers", optarg, 1,
								   MAX_WORKERS - 1);
		else if (option == 't')
			the_options.threads = (unsigned int)number("threads", optarg, 1,
								   MAX_THREADS);
		else if (option == 'n')
			the_options.sysfs = false;
		else
			exit(2);
	}
	for (; optind < argc; optind++)
		add_device(argv[optind]);
	if (!the_options.nr_devices) {
		fprintf(stderr, "usage: fuzz [--seed N] [--seconds N] [--workers N] [--threads N] "
				"[--no-sysfs] BDF=MODEL...\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct utsname kernel;
	struct books before;
	int64_t start;

	read_options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	the_shared = mmap(NULL, sizeof(*the_shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (the_shared == MAP_FAILED || uname(&kernel)) {
		fprintf(stderr, "fuzz: there is no memory: %s\n", strerror(errno));
		return 2;
	}
	printf("# Linux %s, seed %#" PRIx64 ", %u s, %u workers of %u threads, %u devices%s\n",
	       kernel.release, the_options.seed, the_options.seconds, the_options.workers,
	       the_options.threads, the_options.nr_devices,
	       the_options.sysfs ? "" : ", without sysfs");
	before = open_books();
	start = fuzz_now();
	report(run_herds(), &before, start);
}
