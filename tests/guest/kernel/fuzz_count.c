/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tap.h"
#include "fuzz.h"

#define MOST_ERRORS 7 /* shown of one call */

/* Those that have to have worked: without them nothing that is behind has been reached. */
static const struct {
	const char *name;
	bool must_work;
} counters[COUNTERS] = {
	[OPEN_CONTAINER] = { "open /dev/vfio/vfio", true },
	[OPEN_CONTEXT] = { "open /dev/iommu", true },
	[OPEN_GROUP] = { "open a group", true },
	[OPEN_CDEV] = { "open a device's node", true },
	[CLOSE] = { "close", true },
	[GET_API_VERSION] = { "VFIO_GET_API_VERSION", true },
	[CHECK_EXTENSION] = { "VFIO_CHECK_EXTENSION", true },
	[SET_IOMMU] = { "VFIO_SET_IOMMU", true },
	[IOMMU_GET_INFO] = { "VFIO_IOMMU_GET_INFO", true },
	[MAP_DMA] = { "VFIO_IOMMU_MAP_DMA", true },
	[UNMAP_DMA] = { "VFIO_IOMMU_UNMAP_DMA", true },
	[DIRTY_PAGES] = { "VFIO_IOMMU_DIRTY_PAGES", false },
	[GROUP_GET_STATUS] = { "VFIO_GROUP_GET_STATUS", true },
	[SET_CONTAINER] = { "VFIO_GROUP_SET_CONTAINER", true },
	[UNSET_CONTAINER] = { "VFIO_GROUP_UNSET_CONTAINER", true },
	[GET_DEVICE_FD] = { "VFIO_GROUP_GET_DEVICE_FD", true },
	[BIND] = { "VFIO_DEVICE_BIND_IOMMUFD", true },
	[ATTACH] = { "VFIO_DEVICE_ATTACH_IOMMUFD_PT", true },
	[DETACH] = { "VFIO_DEVICE_DETACH_IOMMUFD_PT", true },
	[DEVICE_GET_INFO] = { "VFIO_DEVICE_GET_INFO", true },
	[GET_REGION_INFO] = { "VFIO_DEVICE_GET_REGION_INFO", true },
	[GET_IRQ_INFO] = { "VFIO_DEVICE_GET_IRQ_INFO", true },
	[SET_IRQS] = { "VFIO_DEVICE_SET_IRQS", true },
	[RESET] = { "VFIO_DEVICE_RESET", true },
	[HOT_RESET_INFO] = { "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", true },
	[HOT_RESET] = { "VFIO_DEVICE_PCI_HOT_RESET", true },
	[FEATURE] = { "VFIO_DEVICE_FEATURE", false },
	[DESTROY] = { "IOMMU_DESTROY", true },
	[IOAS_ALLOC] = { "IOMMU_IOAS_ALLOC", true },
	[ALLOW_IOVAS] = { "IOMMU_IOAS_ALLOW_IOVAS", true },
	[IOAS_COPY] = { "IOMMU_IOAS_COPY", true },
	[IOVA_RANGES] = { "IOMMU_IOAS_IOVA_RANGES", true },
	[IOAS_MAP] = { "IOMMU_IOAS_MAP", true },
	[IOAS_UNMAP] = { "IOMMU_IOAS_UNMAP", true },
	[OPTION] = { "IOMMU_OPTION", true },
	[VFIO_IOAS] = { "IOMMU_VFIO_IOAS", true },
	[HWPT_ALLOC] = { "IOMMU_HWPT_ALLOC", true },
	[GET_HW_INFO] = { "IOMMU_GET_HW_INFO", true },
	[IOAS_MAP_FILE] = { "IOMMU_IOAS_MAP_FILE", true },
	[CHANGE_PROCESS] = { "IOMMU_IOAS_CHANGE_PROCESS", true },
	[GARBAGE] = { "any ioctl", false },
	[READ_CONFIG] = { "read configuration space", true },
	[WRITE_CONFIG] = { "write configuration space", true },
	[READ_REGION] = { "read a region", true },
	[WRITE_REGION] = { "write a region", true },
	[MMAP_REGION] = { "mmap a region", true },
	[TOUCH_REGION] = { "touch a mapped region", true },
	[MMAP_MEMORY] = { "mmap memory", true },
	[MUNMAP] = { "munmap", true },
	[TOUCH_MEMORY] = { "touch memory", true },
	[MPROTECT] = { "mprotect", true },
	[MADVISE] = { "madvise", true },
	[MREMAP] = { "mremap", true },
	[TRUNCATE] = { "ftruncate", true },
	[PUNCH] = { "punch a hole", true },
	[SEAL] = { "seal", true },
	[INTERRUPT] = { "a device's interrupt", true },
	[DUPLICATE] = { "dup", true },
	[FORK] = { "fork", true },
	[KILL_CHILD] = { "kill a child", true },
	[KILL_WORKER] = { "kill a worker", true },
	[UNBIND] = { "unbind the driver", true },
	[REBIND] = { "bind the driver", true },
	[SYSFS_RESET] = { "reset by sysfs", true },
};

void fuzz_note_end(pid_t process, int status)
{
	if (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0)
		return;
	printf("# process %d: %s %d\n", process, WIFSIGNALED(status) ? "signal" : "exit status",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	atomic_fetch_add(&the_shared->crashed, 1);
}

int64_t fuzz_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *fuzz_counter_name(enum fuzz_counter counter)
{
	return counters[counter].name;
}

long fuzz_errno(long result)
{
	return result == -1 ? -errno : result;
}

void fuzz_begin(struct fuzz_thread *thread, enum fuzz_counter counter)
{
	atomic_store(&thread->slot->counter, counter);
	atomic_store(&thread->slot->since, fuzz_now());
}

long fuzz_end(struct fuzz_thread *thread, long result)
{
	struct fuzz_count *count = &the_shared->counts[atomic_load(&thread->slot->counter)];

	atomic_fetch_add(&count->milliseconds,
			 (unsigned long)(fuzz_now() - atomic_load(&thread->slot->since)));
	atomic_store(&thread->slot->since, 0);
	atomic_fetch_add(&count->calls, 1);
	if (result >= 0)
		atomic_fetch_add(&count->worked, 1);
	else
		atomic_fetch_add(&count->errors[-result < MAX_ERRNO ? -result : 0], 1);
	return result;
}

/* The most frequent error below what was shown last; 0 when there is none. */
static int next_error(const struct fuzz_count *count, const bool *shown)
{
	int most = 0;

	for (int i = 1; i < MAX_ERRNO; i++) {
		if (!shown[i] && count->errors[i] > (most ? count->errors[most] : 0))
			most = i;
	}
	return most;
}

static void print_errors(const struct fuzz_count *count)
{
	bool shown[MAX_ERRNO] = { false };
	unsigned long rest = count->calls - count->worked;

	for (int i = 0; i < MOST_ERRORS; i++) {
		int error = next_error(count, shown);

		if (!error)
			break;
		shown[error] = true;
		rest -= count->errors[error];
		printf("%s%s %lu", i ? ", " : "", strerrorname_np(error), count->errors[error]);
	}
	if (rest)
		printf(", others %lu", rest);
}

unsigned long fuzz_calls(unsigned long *worked)
{
	unsigned long calls = 0;

	*worked = 0;
	for (unsigned int i = 0; i < COUNTERS; i++) {
		calls += the_shared->counts[i].calls;
		*worked += the_shared->counts[i].worked;
	}
	return calls;
}

void fuzz_print_table(void)
{
	unsigned long calls, worked;

	printf("# | call | calls | worked | ms each | errors |\n# |---|--:|--:|--:|---|\n");
	for (unsigned int i = 0; i < COUNTERS; i++) {
		const struct fuzz_count *count = &the_shared->counts[i];

		printf("# | %s | %lu | %lu | %lu | ", counters[i].name, count->calls, count->worked,
		       count->milliseconds / (count->calls ? count->calls : 1));
		print_errors(count);
		puts(" |");
	}
	calls = fuzz_calls(&worked);
	printf("# | all | %lu | %lu | | |\n", calls, worked);
}

static bool has_to_work(enum fuzz_counter counter)
{
	bool is_outside = counter == UNBIND || counter == REBIND || counter == SYSFS_RESET;

	return counters[counter].must_work && (the_options.sysfs || !is_outside);
}

bool fuzz_is_deep(void)
{
	for (enum fuzz_counter i = 0; i < COUNTERS; i++) {
		if (has_to_work(i) && !the_shared->counts[i].worked)
			return false;
	}
	return the_shared->settled > 0;
}

void fuzz_check_depth(struct tap *tap)
{
	for (enum fuzz_counter i = 0; i < COUNTERS; i++) {
		if (has_to_work(i))
			tap_check(tap, the_shared->counts[i].worked > 0, "%s has worked",
				  counters[i].name);
	}
}
