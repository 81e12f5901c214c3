/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmarks, by what they measure. */
#ifndef WEIR_BENCH_BENCHMARKS_H
#define WEIR_BENCH_BENCHMARKS_H

#include "harness.h"

void bench_arena_alloc(struct bench_state *state); /* memory.c */
void bench_ioas_map(struct bench_state *state); /* ioas.c */
void bench_nvme_read(struct bench_state *state); /* nvme.c */

#endif
