/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file state.h
 * A bag of bytes and file descriptors: what an object needs to go on in another process (live
 * update).
 *
 * Objects save themselves into a state with their `_save` call and are made again from it with
 * their `_adopt` call, in the same order. A record is versioned and holds no pointers. handoff.h
 * carries a state to another process.
 *
 * A state is used by one thread at a time.
 */
#ifndef WEIR_STATE_H
#define WEIR_STATE_H

#include <stddef.h>
#include <weir/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_state;

/** Most bytes that a state holds; a save beyond it fails with -E2BIG. */
#define WEIR_STATE_MAX_BYTES (1u << 20)
/** Most file descriptors that a state holds; a save beyond it fails with -E2BIG. */
#define WEIR_STATE_MAX_FDS 1024u

/**
 * Makes an empty state.
 *
 * @param[out] state  owned by the caller; end it with weir_state_destroy()
 * @param[out] err    may be NULL
 * @retval -ENOMEM no memory
 */
int weir_state_create(struct weir_state **state, struct weir_error *err);

/** Frees a state and closes the file descriptors that are still in it. NULL is allowed. */
void weir_state_destroy(struct weir_state *state);

/** Bytes that the records take that no `_adopt` call has taken yet. */
size_t weir_state_bytes(const struct weir_state *state);

/** File descriptors that the state holds: duplicates, owned by the state until an `_adopt` call
 * takes them. */
unsigned int weir_state_nr_fds(const struct weir_state *state);

#ifdef __cplusplus
}
#endif

#endif
