/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every module of the libraries uses: errors, log lines, option structs, small macros. No
 * state.
 *
 * The functions here are exported to Weir's own driver libraries only (version node WEIR_INTERNAL).
 */
#ifndef WEIR_BASE_BASE_H
#define WEIR_BASE_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>
#include <weir/log.h>

#define WEIR_EXPORT __attribute__((visibility("default")))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* A line of its own, and the pair of lines that x86 prefetches together. */
#define WEIR_CACHE_LINE 64
#define WEIR_CACHE_PAIR 128

static inline uint64_t weir_align_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline uint64_t weir_align_down(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

static inline int weir_is_aligned(uint64_t value, uint64_t align)
{
	return (value & (align - 1)) == 0;
}

static inline int weir_is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* 1 when [offset, offset + bytes) lies in [0, limit), without overflow. */
static inline int weir_range_within(uint64_t offset, uint64_t bytes, uint64_t limit)
{
	return bytes <= limit && offset <= limit - bytes;
}

/* Fills err (which may be NULL) and returns code, so that a failing function ends with one
 * statement. */
int weir_error_set(struct weir_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of a text that a callee left in err, cutting it at the end. Returns
 * err's code, or code without err. */
int weir_error_prefix(struct weir_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Sends one line to a log hook, if it wants lines of that level. */
void weir_log_write(const struct weir_log *log, enum weir_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Copies a caller's option struct into ours of `bytes` bytes, whose defaults the caller of this has
 * already set. NULL leaves the defaults. An older, shorter struct leaves our newer members at their
 * defaults; of a newer, longer one the members that we do not know must be zero. -EINVAL otherwise.
 */
int weir_options_copy(void *to, size_t bytes, const void *from, const char *what,
		      struct weir_error *err);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t weir_now_ns(void);

/* The smallest power of two that is at least value; value is at most 2^63. */
static inline uint64_t weir_round_up_power_of_two(uint64_t value)
{
	return value <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(value - 1));
}

#endif
