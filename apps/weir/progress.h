/* SPDX-License-Identifier: BSD-3-Clause */
/* A line on a terminal that says how far long work has come. Elsewhere nothing is printed. */
#ifndef WEIR_APPS_PROGRESS_H
#define WEIR_APPS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool terminal;
	bool shown;
	uint64_t shown_ns; /* when the line was last written */
};

void progress_begin(struct progress *progress);

/* Whether it is time for a new line; then call progress_show(). */
bool progress_due(struct progress *progress, uint64_t now_ns);
void progress_show(struct progress *progress, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Removes the line. */
void progress_end(struct progress *progress);

#endif
