/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold BDF container|device|context|parked|bound
 *                              opens it, prints "held", and keeps it until it is killed; the last
 *                              two are the device's own node, also bound to a context
 * hold BDF race|race-nodes SECONDS
 *                              opens all of it, or the device's node, again and again, whether that
 *                              works or not; fails when it never did
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "../type1.h"
#include "cdev_calls.h"

/* The device's own node; a negative errno. */
static int open_parked_node(const char *bdf)
{
	char pattern[96], path[64] = "/dev/vfio/devices/none";
	glob_t found;
	int fd;

	snprintf(pattern, sizeof(pattern), "/sys/bus/pci/devices/%s/vfio-dev/vfio*", bdf);
	if (glob(pattern, 0, NULL, &found) == 0) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
			 strrchr(found.gl_pathv[0], '/') + 1);
		globfree(&found);
	}
	fd = open(path, O_RDWR);
	return fd < 0 ? -errno : fd;
}

static int open_bound_node(const char *bdf)
{
	struct device_bind bind = { .argsz = sizeof(bind) };
	int fd = open_parked_node(bdf), error;

	if (fd < 0)
		return fd;
	bind.iommufd = open("/dev/iommu", O_RDWR);
	error = ioctl(fd, DEVICE_BIND, &bind) ? errno : 0;
	/* The device's file holds it. */
	close(bind.iommufd);
	if (!error)
		return fd;
	close(fd);
	return -error;
}

static bool open_and_close(const char *bdf)
{
	struct type1 vfio;
	const char *step;

	if (type1_open(&vfio, bdf, &step))
		return false;
	type1_close(&vfio);
	return true;
}

static bool bind_and_close(const char *bdf)
{
	int fd = open_bound_node(bdf);

	return fd >= 0 && close(fd) == 0;
}

static int race(const char *bdf, int seconds, bool (*open_once)(const char *bdf))
{
	time_t end = time(NULL) + seconds;
	unsigned int opened = 0;

	while (time(NULL) < end)
		opened += open_once(bdf);
	printf("opened %u times\n", opened);
	return opened == 0;
}

/* What is called so; a negative errno, and the step that failed. */
static int hold(const char *bdf, const char *what, const char **step)
{
	static struct type1 vfio;
	int fd;

	*step = what;
	if (strcmp(what, "container") == 0 || strcmp(what, "context") == 0) {
		fd = open(strcmp(what, "context") == 0 ? "/dev/iommu" : "/dev/vfio/vfio", O_RDWR);
		return fd < 0 ? -errno : fd;
	}
	if (strcmp(what, "parked") == 0)
		return open_parked_node(bdf);
	if (strcmp(what, "bound") == 0)
		return open_bound_node(bdf);
	return type1_open(&vfio, bdf, step);
}

int main(int argc, char **argv)
{
	const char *step;
	int ret;

	if (argc == 4 && strcmp(argv[2], "race") == 0)
		return race(argv[1], atoi(argv[3]), open_and_close);
	if (argc == 4 && strcmp(argv[2], "race-nodes") == 0)
		return race(argv[1], atoi(argv[3]), bind_and_close);
	if (argc != 3) {
		fprintf(stderr,
			"usage: %s BDF container|device|context|parked|bound, or %s BDF "
			"race|race-nodes SECONDS\n",
			argv[0], argv[0]);
		return 2;
	}
	ret = hold(argv[1], argv[2], &step);
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", step, strerror(-ret));
		return 1;
	}
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
