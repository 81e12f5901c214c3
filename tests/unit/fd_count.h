/* SPDX-License-Identifier: BSD-3-Clause */
/* How many descriptors this process has open: a test compares before and after. */
#ifndef WEIR_TESTS_FD_COUNT_H
#define WEIR_TESTS_FD_COUNT_H

#include <dirent.h>

static inline unsigned int fd_count(void)
{
	unsigned int count = 0;
	DIR *dir = opendir("/proc/self/fd");

	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
