/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Test Anything Protocol for programs that run in a guest: one line a check, the plan at the end.
 * Output is flushed line by line, so that a guest that dies has told how far it came.
 */
#ifndef WEIR_TESTS_GUEST_TAP_H
#define WEIR_TESTS_GUEST_TAP_H

#include <stdbool.h>
#include <stdio.h>

struct tap {
	unsigned int checks;
	unsigned int failed;
};

/** Reports one check and returns whether it passed. */
#define tap_check(tap, passed, ...) \
	({ \
		bool tap_passed = (passed); \
\
		(tap)->failed += !tap_passed; \
		printf("%s %u - ", tap_passed ? "ok" : "not ok", ++(tap)->checks); \
		printf(__VA_ARGS__); \
		putchar('\n'); \
		fflush(stdout); \
		tap_passed; \
	})

/** Prints the plan; returns the program's exit status. */
static inline int tap_finish(const struct tap *tap)
{
	printf("1..%u\n", tap->checks);
	return tap->failed ? 1 : 0;
}

#endif
