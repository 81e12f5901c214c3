/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What sparse 0.6.4 lacks to read the headers of Linux 7.2. Types lose no more by it than their
 * qualifiers, and lengths are of literals.
 */
#define __typeof_unqual__ __typeof__
#define __builtin_strlen(text) (sizeof(text) - 1)
