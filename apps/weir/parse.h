/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Strict parsing of what people type: the whole text has to be a value inside its limits, or the
 * error says which text, value and limit. Nothing wraps, no sign or trailing character is ignored.
 */
#ifndef WEIR_APPS_PARSE_H
#define WEIR_APPS_PARSE_H

#include <stdint.h>
#include <weir/error.h>

#define PARSE_MAX_CPUS 1024

/* CPUs in the order they were given. */
struct cpu_list {
	unsigned int nr;
	unsigned int cpus[PARSE_MAX_CPUS];
};

/* Each returns 0, or -EINVAL with a text that begins with `what`. */

/* 17 or 0x11. */
int parse_number(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		 struct weir_error *err);

/* A number with an optional K, M, G or T (powers of 1024; "KiB" and so on too). */
int parse_bytes(const char *what, const char *text, uint64_t min, uint64_t max, uint64_t *value,
		struct weir_error *err);

/* 10 or 0.5, into milliseconds; the limits are in milliseconds as well. */
int parse_seconds(const char *what, const char *text, uint64_t min_ms, uint64_t max_ms,
		  uint64_t *ms, struct weir_error *err);

/* One of a NULL-terminated list, into its index. */
int parse_choice(const char *what, const char *text, const char *const *choices,
		 unsigned int *index, struct weir_error *err);

/* 0,2-5 */
int parse_cpus(const char *what, const char *text, struct cpu_list *list, struct weir_error *err);

#endif
