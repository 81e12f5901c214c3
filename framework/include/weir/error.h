/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file error.h
 * How Weir reports errors.
 *
 * Every function that can fail returns 0 (or a count) on success and a negative errno on failure.
 * Set-up calls take a `struct weir_error *` as their last parameter and, on failure only, write the
 * same errno and one line of text to it: which object, which value, which limit. The parameter may
 * be NULL. Nothing is allocated, printed or aborted.
 */
#ifndef WEIR_ERROR_H
#define WEIR_ERROR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of weir_error::text, terminating NUL included. Longer texts are cut. */
#define WEIR_ERROR_TEXT 256

/** Why a call failed. Owned by the caller; written only when the call fails. */
struct weir_error {
	/** The negative errno that the call returned. */
	int code;
	/** One line for a person, without a trailing newline; always terminated. */
	char text[WEIR_ERROR_TEXT];
};

#ifdef __cplusplus
}
#endif

#endif
