/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_APPS_CLOCK_H
#define WEIR_APPS_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC, or CLOCK_MONOTONIC_COARSE of the same time base, in nanoseconds. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
