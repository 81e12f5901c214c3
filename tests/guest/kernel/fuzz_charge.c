/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is charged for pinned memory, by the kernel's own numbers and by what it then refuses. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cdev_calls.h"
#include "fuzz.h"

void fuzz_limit_memory(uint64_t bytes)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	const struct rlimit limit = { bytes, bytes };

	if (syscall(SYS_capget, &header, data))
		_exit(1);
	data[0].effective &= ~(1u << CAP_IPC_LOCK | 1u << CAP_SYS_RESOURCE);
	data[0].permitted = data[0].effective;
	if (syscall(SYS_capset, &header, data) || setrlimit(RLIMIT_MEMLOCK, &limit))
		_exit(1);
}

unsigned long fuzz_charged(void)
{
	FILE *status = fopen("/proc/self/status", "r");
	unsigned long all = 0, value;
	char line[128];

	while (status && fgets(line, sizeof(line), status)) {
		if (sscanf(line, "VmPin: %lu", &value) == 1 ||
		    sscanf(line, "VmLck: %lu", &value) == 1)
			all += value;
	}
	if (status)
		fclose(status);
	return all;
}

static long step(int fd, unsigned long request, void *argument)
{
	return fuzz_errno(ioctl(fd, request, argument));
}

/* One page, at an IOVA of its own. */
static long map_page(int context, uint32_t ioas, unsigned char *memory, unsigned int page)
{
	struct iommufd_map map = {
		.size = sizeof(map),
		.flags = IOAS_READ_WRITE | IOAS_FIXED,
		.ioas = ioas,
		.address = (uintptr_t)memory + page * PAGE,
		.length = PAGE,
		.iova = page * PAGE,
	};

	return step(context, IOMMUFD_MAP, &map);
}

/* Who may have one page pinned gets one, and no second one. */
static bool can_pin_one_page(void)
{
	struct iommufd_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct device_bind bind = { .argsz = sizeof(bind) };
	struct device_attach attach = { .argsz = sizeof(attach) };
	unsigned char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int context = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	long bound, attached, first, second;
	char node[64];
	int device;

	fuzz_find_node(node, sizeof(node), the_options.devices[0].bdf);
	device = open(node, O_RDWR | O_CLOEXEC);
	step(context, IOMMUFD_IOAS_ALLOC, &ioas);
	bind.iommufd = context;
	bound = step(device, DEVICE_BIND, &bind);
	attach.pt_id = ioas.id;
	attached = step(device, DEVICE_ATTACH, &attach);
	fuzz_limit_memory(PAGE);
	first = map_page(context, ioas.id, memory, 0);
	second = map_page(context, ioas.id, memory, 1);
	if (bound || attached || first || second != -ENOMEM)
		printf("# BIND %ld, ATTACH %ld, a page %ld, one more %ld\n", bound, attached, first,
		       second);
	return bound == 0 && attached == 0 && first == 0 && second == -ENOMEM;
}

bool fuzz_user_is_free(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(can_pin_one_page() ? 0 : 1);
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}
