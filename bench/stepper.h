/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts the instructions of chosen functions, and of everything that they call, by running a
 * process one instruction at a time. The counts do not depend on the machine's load, and they are
 * those of the library as it was built.
 */
#ifndef WEIR_BENCH_STEPPER_H
#define WEIR_BENCH_STEPPER_H

#include <stdint.h>

#define STEPPER_FUNCTIONS 4

/* Instructions by function, in the order of the names. */
struct stepper_count {
	uint64_t instructions[STEPPER_FUNCTIONS];
	uint64_t calls[STEPPER_FUNCTIONS];
};

/*
 * Runs work(ctx) in a child process. Its return value is the child's exit status and ours; negative
 * when it could not be traced or was killed. `names` are exported functions.
 */
int stepper_run(const char *const names[STEPPER_FUNCTIONS], int (*work)(void *ctx), void *ctx);

/*
 * For the child: what runs between these two is stepped through, and added to `count`, which lies
 * in memory that parent and child share.
 */
void stepper_begin(struct stepper_count *count);
void stepper_end(void);

#endif
