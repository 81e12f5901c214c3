/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mapping a page and unmapping it, in an IOAS that has so many mappings already. Its cost is not to
 * depend on their number.
 */
#include "benchmarks.h"

#include <stddef.h>
#include <sys/mman.h>
#include <weir/ioas.h>

#define PAGE 4096u

static bool map(struct weir_ioas *ioas, void *page, struct weir_mapping **mapping,
		struct weir_error *err)
{
	return !weir_ioas_map_user(ioas, page, PAGE, WEIR_PROT_READ, mapping, err);
}

static void map_loop(struct bench_state *state, struct weir_ioas *ioas, void *page)
{
	struct weir_mapping *mapping;
	struct weir_error err;

	for (int64_t i = 1; i < bench_arg(state); i++) {
		if (!map(ioas, page, &mapping, &err)) {
			bench_fail(state, err.text);
			return;
		}
	}
	while (bench_next(state)) {
		if (!map(ioas, page, &mapping, &err) || weir_ioas_unmap(ioas, mapping, &err))
			bench_fail(state, err.text);
	}
}

void bench_ioas_map(struct bench_state *state)
{
	struct weir_error err;
	struct weir_ioas *ioas;
	void *page;

	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		bench_fail(state, "no page");
		return;
	}
	if (weir_ioas_create(NULL, &ioas, &err)) {
		bench_fail(state, err.text);
	} else {
		map_loop(state, ioas, page);
		weir_ioas_destroy(ioas);
	}
	munmap(page, PAGE);
}
