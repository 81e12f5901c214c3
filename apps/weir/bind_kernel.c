/* SPDX-License-Identifier: BSD-3-Clause */
#include "bind.h"
#include "tree.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs a helper of the system; its own messages go to standard error. */
static int run(const char *const *argv)
{
	int rc, status;
	pid_t pid;

	rc = posix_spawn(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
	if (rc)
		return -rc;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

static int kernel_write(void *ctx, const char *root, const char *path, const char *text)
{
	(void)ctx;
	return tree_write(root, text, path);
}

static int kernel_load(void *ctx, const char *module)
{
	/* Quiet about a module that is not there: the caller says so. */
	const char *const argv[] = { "/sbin/modprobe", "-q", "--", module, NULL };

	(void)ctx;
	return run(argv);
}

/* Without udev the kernel has made the nodes already. Below udev, which sets SEQNUM for what its
 * rules run, waiting for it would be waiting for ourselves. */
static int kernel_settle(void *ctx)
{
	static const char *const argv[] = { "/bin/udevadm", "settle", "--timeout=10", NULL };

	(void)ctx;
	if (access("/run/udev/control", F_OK) || getenv("SEQNUM"))
		return 0;
	return run(argv);
}

const struct bind_kernel bind_this_kernel = {
	.write = kernel_write,
	.load = kernel_load,
	.settle = kernel_settle,
};
