/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Included before each source that clang-tidy reads. Its analyzer does not look into variadic
 * functions; without this it follows paths on which a failing call returned 0.
 */
#if !defined(__cplusplus) && __has_include(<weir/error.h>)
#include "../../framework/src/base/base.h"
int analyzer_use(const char *format, ...);
static inline int analyzer_error(int code)
{
	if (code >= 0)
		__builtin_unreachable();
	return code;
}
#define weir_error_set(err, code, ...) \
	((void)(err), (void)analyzer_use(__VA_ARGS__), analyzer_error(code))
#define weir_error_prefix weir_error_set
#endif
