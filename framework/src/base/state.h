/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of weir_state: a sequence of records {type, version, bytes, descriptors}. Writers
 * append, readers take records from the front in the same order. A reader checks everything: a
 * state may come from another process.
 */
#ifndef WEIR_BASE_STATE_H
#define WEIR_BASE_STATE_H

#include <stdint.h>
#include <weir/state.h>

/* Record types: four letters, so that a dump can be read. */
#define STATE_TYPE(a, b, c, d) \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Precedes each record's payload in the bytes of a state. */
struct state_record {
	uint32_t type;
	uint32_t version;
	uint32_t bytes; /* of payload */
	uint32_t nr_fds;
};

/*
 * Appends a record. The descriptors are duplicated (close on exec). -E2BIG over the limits of
 * weir/state.h, -ENOMEM, or what fcntl() says; nothing was added then.
 */
int weir_state_put(struct weir_state *state, uint32_t type, uint32_t version, const void *payload,
		   size_t bytes, const int *fds, unsigned int nr_fds, struct weir_error *err);

/*
 * Takes the next record, which must be of the type (-EINVAL) and version (-EPROTONOSUPPORT).
 * *payload points into the state and is valid until it is destroyed; its alignment is 8. The caller
 * owns the descriptors written to fds; their number must be at most max_fds (-EINVAL, the record
 * stays).
 */
int weir_state_take(struct weir_state *state, uint32_t type, uint32_t version, const void **payload,
		    size_t *bytes, int *fds, unsigned int max_fds, unsigned int *nr_fds,
		    struct weir_error *err);

/* The raw parts, for handoff: what is not yet taken. */
const void *weir_state_raw(const struct weir_state *state, size_t *bytes, const int **fds,
			   unsigned int *nr_fds);

/* Makes a state of raw parts after checking its records; owns the descriptors on success only.
 * -EPROTO when they do not fit together. */
int weir_state_from_raw(const void *bytes, size_t nr_bytes, const int *fds, unsigned int nr_fds,
			struct weir_state **state, struct weir_error *err);

#endif
