/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file log.h
 * The log hook. It belongs to an object (an arena, an IOAS, a device, a controller), never to the
 * process: an object without a hook is silent.
 */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

/** How much a message matters; lower is more severe. */
enum weir_log_level {
	WEIR_LOG_ERROR = 0, /**< something failed; the object may be unusable */
	WEIR_LOG_WARN = 1, /**< it works, but not as well as it could; the text says what to do */
	WEIR_LOG_INFO = 2, /**< a decision worth knowing, such as which transport was chosen */
	WEIR_LOG_DEBUG = 3, /**< register dumps and protocol details */
};

/**
 * Where an object's messages go. Copied into the object at creation; `ctx` must outlive the object.
 *
 * `write` is called from whichever thread is inside a call on the object, possibly with the
 * object's locks held: it must not call back into Weir. The text is one line without a newline and
 * valid only during the call.
 */
struct weir_log {
	/** The sink, or NULL for silence. */
	void (*write)(void *ctx, enum weir_log_level level, const char *text);
	/** Passed to `write` as it is. */
	void *ctx;
	/** Messages less severe than this are not formatted at all. */
	enum weir_log_level level;
};

#ifdef __cplusplus
}
#endif

#endif
