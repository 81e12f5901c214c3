/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file handoff.h
 * Carries a state (state.h) to another process: the step between the `_save` calls of the old
 * process and the `_adopt` calls of the new one.
 */
#ifndef WEIR_HANDOFF_H
#define WEIR_HANDOFF_H

#include <weir/error.h>
#include <weir/state.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Sends a state over a connected AF_UNIX stream socket. The state keeps its descriptors.
 *
 * @param timeout_ms  for the whole of it
 * @retval -ETIMEDOUT the other side does not read
 * @retval -EPIPE the other side is gone
 * @retval -errno what sendmsg() says; -ETOOMANYREFS: too many descriptors are on their way already
 */
int weir_handoff_send(int socket, const struct weir_state *state, unsigned int timeout_ms,
		      struct weir_error *err);

/**
 * Receives a state. What arrives is checked for its sizes and counts; the `_adopt` calls check the
 * rest.
 *
 * @param[out] state  owned by the caller
 * @retval -EPROTO not a state, or one beyond WEIR_STATE_MAX_BYTES or WEIR_STATE_MAX_FDS
 * @retval -ETIMEDOUT nothing, or not all of it, arrived in time
 * @retval -ECONNRESET the other side closed early
 * @retval -EMFILE RLIMIT_NOFILE has no room for the descriptors
 * @retval -ENOMEM no memory
 */
int weir_handoff_receive(int socket, unsigned int timeout_ms, struct weir_state **state,
			 struct weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
