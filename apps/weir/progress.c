/* SPDX-License-Identifier: BSD-3-Clause */
#include "progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define INTERVAL_NS 500000000u
/* ECMA-48: to the first column, erase to the end of the line. */
#define CLEAR_LINE "\r\033[K"

void progress_begin(struct progress *progress)
{
	*progress = (struct progress){ .terminal = isatty(STDERR_FILENO) };
}

bool progress_due(struct progress *progress, uint64_t now_ns)
{
	if (!progress->terminal || now_ns - progress->shown_ns < INTERVAL_NS)
		return false;
	progress->shown_ns = now_ns;
	return true;
}

void progress_show(struct progress *progress, const char *format, ...)
{
	va_list args;

	progress->shown = true;
	fputs(CLEAR_LINE, stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->shown)
		fputs(CLEAR_LINE, stderr);
	progress->shown = false;
}
