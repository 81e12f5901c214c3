/* SPDX-License-Identifier: BSD-3-Clause */
#include "benchmarks.h"

#include <stddef.h>

const struct bench benchmarks[] = {
	{ "arena_alloc", bench_arena_alloc, "bytes", { 64, 4096, 65536 } },
	{ "ioas_map", bench_ioas_map, "mappings", { 1, 1000, 30000 } },
	{ "nvme_read_4k", bench_nvme_read, "depth", { 1, 32, 128 } },
	{ NULL, NULL, NULL, { 0 } },
};
