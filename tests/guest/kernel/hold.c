/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold BDF container|device    opens it, prints "held", and keeps it until it is killed
 * hold BDF race SECONDS        opens all of it again and again, whether that works or not; fails
 *                              when it never did
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../type1.h"

static int race(const char *bdf, int seconds)
{
	time_t end = time(NULL) + seconds;
	unsigned int opened = 0;
	struct type1 vfio;
	const char *step;

	while (time(NULL) < end) {
		if (type1_open(&vfio, bdf, &step) == 0) {
			opened++;
			type1_close(&vfio);
		}
	}
	printf("opened %u times\n", opened);
	return opened == 0;
}

int main(int argc, char **argv)
{
	struct type1 vfio;
	const char *step = "open /dev/vfio/vfio";
	int ret;

	if (argc == 4 && strcmp(argv[2], "race") == 0)
		return race(argv[1], atoi(argv[3]));
	if (argc != 3) {
		fprintf(stderr, "usage: %s BDF container|device, or %s BDF race SECONDS\n", argv[0],
			argv[0]);
		return 2;
	}
	if (strcmp(argv[2], "container") == 0)
		ret = open("/dev/vfio/vfio", O_RDWR);
	else
		ret = type1_open(&vfio, argv[1], &step);
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", step, strerror(-ret));
		return 1;
	}
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
