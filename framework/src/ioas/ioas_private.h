/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of an IOAS.
 *
 * Locks, in the order in which they are taken:
 *
 *   0. weir_ioas.shared      a translation that devices share: while one joins or leaves
 *   1. weir_ioas.setup       one set-up call at a time; held while a backend maps or unmaps
 *   2. a backend's own lock  (the mutex of a vfio-user connection)
 *   3. weir_ioas.lock        the tree and the list of mappings
 *
 * A connection that waits for the answer to a map serves the server's reads and writes meanwhile:
 * ioas_access() therefore takes the third lock alone, and nothing waits for a device while it holds
 * that. Mappings and attachments change only with both setup and lock held for writing, so either
 * is enough to look at them.
 */
#ifndef WEIR_IOAS_PRIVATE_H
#define WEIR_IOAS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/base.h"
#include "ioas/backend.h"

#define IOAS_PAGE UINT64_C(4096)

enum mapping_kind {
	MAPPING_ARENA,
	MAPPING_USER,
	MAPPING_FD,
	MAPPING_DMABUF,
};

struct weir_mapping {
	TAILQ_ENTRY(weir_mapping) link;
	uint64_t iova;
	uint64_t last; /* last address, included: a mapping may end at 2^64 */
	uint64_t delta; /* added to a pointer it gives the IOVA */
	enum mapping_kind kind;
	uint32_t prot;
	int fd; /* -1: none; an arena's is its own, others are ours */
	uint64_t offset;
	uint8_t *addr; /* in this process, or NULL; of fd and dmabuf mappings ours */
	const struct weir_arena *arena;
	bool device_fd; /* fd is a VFIO device's own, not to be given away */
	_Atomic int gone; /* set by the fault guard */
	uint64_t died; /* weir_ioas.deaths when it was noticed, 0: alive */
};

struct ioas_attachment {
	TAILQ_ENTRY(ioas_attachment) link;
	struct weir_ioas *ioas;
	const struct ioas_backend_ops *ops;
	void *backend;
	struct ioas_limits limits;
	uint64_t deaths_taken;
	bool dropped; /* it died: no calls any more */
};

TAILQ_HEAD(mapping_list, weir_mapping);
TAILQ_HEAD(attachment_list, ioas_attachment);

struct weir_ioas {
	pthread_mutex_t setup;
	pthread_rwlock_t lock;
	struct weir_log log;
	unsigned int iova_bits;
	void *tree; /* tsearch() of mappings; overlapping ones compare equal */
	struct mapping_list mappings;
	uint64_t nr_mappings;
	struct attachment_list attachments;
	uint64_t next_iova; /* where the search for a free range goes on */
	uint64_t deaths;
	struct ioas_shared shared[IOAS_NR_SHARED];
};

static inline uint64_t mapping_bytes(const struct weir_mapping *mapping)
{
	return mapping->last - mapping->iova + 1;
}

/* ioas.c */
int ioas_new(unsigned int iova_bits, const struct weir_log *log, struct weir_ioas **ioas,
	     struct weir_error *err);
void ioas_free(struct weir_ioas *ioas);

/* iova.c: with setup held. */

/* The mapping that holds or overlaps [iova, last], or NULL; lock alone is enough. */
struct weir_mapping *iova_find(const struct weir_ioas *ioas, uint64_t iova, uint64_t last);
/* Checks [iova, iova + bytes) against the address width. */
int iova_check(const struct weir_ioas *ioas, uint64_t iova, uint64_t bytes, struct weir_error *err);
/* Finds a free range that all attachments can address. -ENOSPC. */
int iova_alloc(struct weir_ioas *ioas, uint64_t bytes, uint64_t *iova, struct weir_error *err);
/* Enters a mapping; -EEXIST names both ranges. */
int iova_insert(struct weir_ioas *ioas, struct weir_mapping *mapping, struct weir_error *err);
void iova_remove(struct weir_ioas *ioas, struct weir_mapping *mapping);
/* Calls visit() for each mapping in the order of addresses. */
void iova_walk(const struct weir_ioas *ioas,
	       void (*visit)(const struct weir_mapping *mapping, void *ctx), void *ctx);

/* attach.c: with setup held. */

/* Stops using attachments that have died. */
void attachments_drop_dead(struct weir_ioas *ioas);
/* Gives a mapping to all live attachments, or to none. */
int attachments_map(struct weir_ioas *ioas, const struct weir_mapping *mapping,
		    struct weir_error *err);
/* Takes it from all of them. -EIO when one says that it unmapped less; it goes on all the same. */
int attachments_unmap(struct weir_ioas *ioas, const struct weir_mapping *mapping,
		      struct weir_error *err);

/* mapping.c */
int mapping_open_file(struct weir_mapping *mapping, int fd, uint64_t offset, uint64_t bytes,
		      struct weir_error *err);
void mapping_free(struct weir_mapping *mapping);
const char *mapping_kind_name(enum mapping_kind kind);

#endif
