/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_APPS_FAIL_H
#define WEIR_APPS_FAIL_H

#include <weir/error.h>

/* Fills err (which may be NULL) and returns code. */
int fail(struct weir_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
