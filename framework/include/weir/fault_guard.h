/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fault_guard.h
 * The fault guard: what happens when mapped device memory goes away under a load or store.
 *
 * Without it, touching the BAR of an unplugged device, or a shared file that the other side
 * truncated, kills the process with SIGBUS. With it, the pages are replaced by private ones that
 * read all ones, the object they belong to is marked gone, and the program goes on to find -ENODEV
 * from its next call. Writes to them are lost.
 *
 * This is the one place where Weir changes the state of the process: it is opt-in, for programs
 * rather than libraries.
 */
#ifndef WEIR_FAULT_GUARD_H
#define WEIR_FAULT_GUARD_H

#include <weir/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Installs the SIGBUS handler, which stays, with one file descriptor, until the process ends.
 * Faults outside Weir's device mappings go to the handler that was there before, or end the process
 * if there was none. Calling it again does nothing. Thread-safe.
 *
 * @retval -ENOMEM no memory for the pages of ones
 * @retval -EMFILE, -ENFILE no file descriptor left
 */
int weir_fault_guard_enable(struct weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
