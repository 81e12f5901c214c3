/* SPDX-License-Identifier: BSD-3-Clause */
/* An emulated NVMe controller in a process of its own, which the benchmark can hold still. */
#ifndef WEIR_BENCH_DEVICE_H
#define WEIR_BENCH_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <weir/error.h>

#include "nvme/sim_nvme.h"

struct bench_device;

/* Starts it, on a core or (-1) any. It ends with bench_device_stop(), or with the caller's process.
 */
int bench_device_start(const struct sim_nvme_options *options, int cpu,
		       struct bench_device **device, struct weir_error *err);
void bench_device_stop(struct bench_device *device);

/* Puts the calling process on a core. -1: any; false: it may not run there. */
bool bench_pin(int cpu);

/* For weir_nvme_open(). */
const char *bench_device_address(const struct bench_device *device);

/* I/O completions that it has posted since it was started. */
uint64_t bench_device_completions(const struct bench_device *device);

/* Waits until it has posted so many. False when it does not within ten seconds. */
bool bench_device_wait(const struct bench_device *device, uint64_t completions);

/* Makes it stop looking at its queues, and go on. Returns once it does. */
void bench_device_hold(struct bench_device *device, bool hold);

#endif
