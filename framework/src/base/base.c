/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

WEIR_EXPORT int weir_error_set(struct weir_error *err, int code, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return code;
}

WEIR_EXPORT int weir_error_prefix(struct weir_error *err, int code, const char *format, ...)
{
	char text[WEIR_ERROR_TEXT];
	va_list args;
	size_t used;

	if (!err)
		return code;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	used = strlen(text);
	snprintf(text + used, sizeof(text) - used, ": %s", err->text);
	memcpy(err->text, text, sizeof(text));
	err->code = code;
	return code;
}

WEIR_EXPORT void weir_log_write(const struct weir_log *log, enum weir_log_level level,
				const char *format, ...)
{
	char text[512];
	va_list args;

	if (!log->write || level > log->level)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log->write(log->ctx, level, text);
}

WEIR_EXPORT int weir_options_copy(void *to, size_t bytes, const void *from, const char *what,
				  struct weir_error *err)
{
	const unsigned char *options = from;
	size_t size;

	if (!from)
		return 0;
	memcpy(&size, from, sizeof(size));
	if (size < sizeof(size) || size > 4096)
		return weir_error_set(err, -EINVAL, "%s: size %zu is not a struct's (%zu here)",
				      what, size, bytes);
	for (size_t i = bytes; i < size; i++) {
		if (options[i])
			return weir_error_set(err, -EINVAL,
					      "%s: byte %zu is set, but only %zu bytes are known",
					      what, i, bytes);
	}
	memcpy(to, from, size < bytes ? size : bytes);
	memcpy(to, &bytes, sizeof(bytes));
	return 0;
}

WEIR_EXPORT uint64_t weir_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
