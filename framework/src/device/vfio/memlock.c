/* SPDX-License-Identifier: BSD-3-Clause */
/* What to say when the kernel has no memory for a mapping: mostly it is a limit of locked memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "device/vfio/vfio.h"

#define MIB (1024.0 * 1024.0)

/* What counts against the limit: locked by a container, pinned by an iommufd. */
static uint64_t locked_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t kib, sum = 0;
	char line[128];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1 ||
		    sscanf(line, "VmPin: %" SCNu64, &kib) == 1)
			sum += kib * 1024;
	}
	fclose(file);
	return sum;
}

int vfio_no_memory(uint64_t bytes, struct weir_error *err)
{
	uint64_t used = locked_bytes(), need;
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY ||
	    weir_range_within(used, bytes, limit.rlim_cur))
		return weir_error_set(err, -ENOMEM,
				      "the kernel has no memory to map 0x%" PRIx64 " bytes", bytes);
	need = (used + bytes + 1023) / 1024;
	return weir_error_set(
		err, -ENOMEM,
		"mapping needs %.1f MiB of locked memory; %.1f MiB are allowed, of "
		"which %.1f are used (RLIMIT_MEMLOCK). In the shell: sudo prlimit --pid "
		"$$ --memlock=%" PRIu64 "; for good: a memlock line in "
		"/etc/security/limits.d",
		(double)bytes / MIB, (double)limit.rlim_cur / MIB, (double)used / MIB, need * 1024);
}
