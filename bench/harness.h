/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Google Benchmark for benchmarks in C. A benchmark is a function that prepares, loops on
 * bench_next(), checks what it did and cleans up; only the loop is timed.
 */
#ifndef WEIR_BENCH_HARNESS_H
#define WEIR_BENCH_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_state;

/* One benchmark, run once for each argument. */
struct bench {
	const char *name;
	void (*run)(struct bench_state *state);
	const char *arg_name;
	int64_t args[4]; /* up to the first zero; none: run once */
};

/* All of them, ended by a NULL name. The program defines it. */
extern const struct bench benchmarks[];

/* Whether to do what is measured once more. After a failure it says no. */
bool bench_next(struct bench_state *state);

/* The argument of this run. */
int64_t bench_arg(const struct bench_state *state);

/* Ends the run as failed. */
void bench_fail(struct bench_state *state, const char *why);

#ifdef __cplusplus
}
#endif

#endif
