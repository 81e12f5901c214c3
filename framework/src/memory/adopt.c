/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An arena for a successor process: its shape as a record, its two files as descriptors. What the
 * allocators know lies in the second file, and is checked before it is used.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "base/state.h"
#include "memory/arena.h"
#include "memory/populate.h"

#define RECORD_TYPE STATE_TYPE('A', 'R', 'E', 'N')
#define RECORD_VERSION 1
/* No system has more; a record that says so is damaged. */
#define MAX_NODE 1023

struct arena_record {
	uint64_t iova;
	uint64_t delta;
	uint64_t bytes;
	uint64_t page_bytes;
	uint64_t state_bytes;
	int32_t node;
	uint32_t reserved;
	char name[ARENA_NAME_BYTES];
};

enum { MEMORY_FD, STATE_FD, NR_FDS };

WEIR_EXPORT int weir_arena_save(const struct weir_arena *arena, struct weir_state *state,
				struct weir_error *err)
{
	struct arena_record record = {
		.iova = weir_arena_iova(arena),
		.delta = arena->delta,
		.bytes = arena->memory.bytes,
		.page_bytes = arena->memory.page_bytes,
		.state_bytes = arena->state_bytes,
		.node = arena->memory.node,
	};
	const int fds[NR_FDS] = { arena->memory.fd, arena->state.fd };

	memcpy(record.name, arena->name, sizeof(record.name));
	return weir_state_put(state, RECORD_TYPE, RECORD_VERSION, &record, sizeof(record), fds,
			      NR_FDS, err);
}

static int damaged(const char *what, uint64_t value, struct weir_error *err)
{
	return weir_error_set(err, -EINVAL, "arena record: impossible %s 0x%" PRIx64, what, value);
}

static int check_record(const struct arena_record *record, struct weir_error *err)
{
	uint64_t page = record->page_bytes;

	if (memchr(record->name, '\0', sizeof(record->name)) == NULL)
		return damaged("name, beginning", (unsigned char)record->name[0], err);
	if (page != UINT64_C(1) << WEIR_PAGE_4K && page != UINT64_C(1) << WEIR_PAGE_2M &&
	    page != UINT64_C(1) << WEIR_PAGE_1G)
		return damaged("page size", page, err);
	if (record->bytes < ARENA_MIN_BYTES || record->bytes > ARENA_MAX_BYTES ||
	    !weir_is_aligned(record->bytes, page))
		return damaged("bytes", record->bytes, err);
	if (record->state_bytes < ARENA_MIN_BYTES || record->state_bytes > ARENA_MAX_BYTES ||
	    !weir_is_aligned(record->state_bytes, ARENA_MIN_BYTES))
		return damaged("bytes of state", record->state_bytes, err);
	if (record->delta >= ARENA_MAX_DELTA || !weir_is_aligned(record->delta, ARENA_DELTA_ALIGN))
		return damaged("IOVA delta", record->delta, err);
	if (record->iova < WEIR_ARENA_WINDOW_BASE || !weir_is_aligned(record->iova, page) ||
	    !weir_range_within(record->iova, record->bytes, WEIR_ARENA_WINDOW_END))
		return damaged("IOVA", record->iova, err);
	if (record->node < WEIR_NODE_ANY || record->node > MAX_NODE)
		return damaged("node", (uint32_t)record->node, err);
	if (record->reserved)
		return damaged("reserved word", record->reserved, err);
	return 0;
}

/* Takes the record and its descriptors, which the caller then owns. */
static int take_record(struct weir_state *state, struct arena_record *record, int *fds,
		       struct weir_error *err)
{
	const void *payload;
	unsigned int nr_fds;
	size_t bytes;
	int rc;

	rc = weir_state_take(state, RECORD_TYPE, RECORD_VERSION, &payload, &bytes, fds, NR_FDS,
			     &nr_fds, err);
	if (rc)
		return rc;
	if (nr_fds == NR_FDS && bytes == sizeof(*record)) {
		memcpy(record, payload, sizeof(*record));
		rc = check_record(record, err);
	} else {
		rc = weir_error_set(err, -EINVAL,
				    "arena record: %zu bytes and %u descriptors, not %zu and %u",
				    bytes, nr_fds, sizeof(*record), (unsigned int)NR_FDS);
	}
	while (rc && nr_fds)
		close(fds[--nr_fds]);
	return rc;
}

/* Goes on with the allocators' records in the mapped state file. */
static int adopt_records(struct weir_arena *arena, struct weir_error *err)
{
	int rc;

	buddy_attach(&arena->state_blocks, arena_state_records(arena),
		     arena->state_bytes >> ARENA_STATE_SHIFT);
	if (!buddy_check(&arena->state_blocks))
		return weir_error_set(err, -EINVAL,
				      "arena %s: the records of its state memory are damaged",
				      arena->name);
	rc = blocks_adopt(&arena->blocks, arena_block_records(arena), arena->memory.bytes);
	if (rc)
		weir_error_set(err, rc, "arena %s: %s", arena->name,
			       rc == -ENOMEM ? "no memory for slab lists"
					     : "the records of its blocks are damaged");
	return rc;
}

/* Maps both files and takes up what is in them. On failure nothing is left mapped. */
static int adopt_files(struct weir_arena *arena, uint64_t iova, struct weir_error *err)
{
	int rc = populate_adopted(arena->name, iova + arena->delta, &arena->memory, err);

	if (rc)
		return rc;
	rc = populate_adopted(arena->name, 0, &arena->state, err);
	if (rc)
		goto unmap_memory;
	rc = adopt_records(arena, err);
	if (rc)
		goto unmap_state;
	return 0;

unmap_state:
	munmap(arena->state.base, arena->state.bytes);
unmap_memory:
	munmap(arena->memory.base, arena->memory.bytes);
	return rc;
}

WEIR_EXPORT int weir_arena_adopt(struct weir_state *state, const struct weir_log *log,
				 struct weir_arena **arena, struct weir_error *err)
{
	struct arena_record record;
	struct weir_arena *made;
	int fds[NR_FDS];
	int rc;

	rc = take_record(state, &record, fds, err);
	if (rc)
		return rc;
	made = calloc(1, sizeof(*made));
	if (!made) {
		rc = weir_error_set(err, -ENOMEM, "arena %s: no memory for its handle",
				    record.name);
		goto close_fds;
	}
	pthread_mutex_init(&made->lock, NULL);
	memcpy(made->name, record.name, sizeof(made->name));
	made->delta = record.delta;
	made->state_bytes = record.state_bytes;
	made->memory = (struct populated){ NULL, record.bytes, record.page_bytes, record.node,
					   fds[MEMORY_FD] };
	made->state = (struct populated){ NULL,
					  arena_state_file_bytes(record.bytes, record.state_bytes),
					  ARENA_MIN_BYTES, record.node, fds[STATE_FD] };
	if (log)
		made->log = *log;
	rc = adopt_files(made, record.iova, err);
	if (rc)
		goto free_handle;
	*arena = made;
	return 0;

free_handle:
	pthread_mutex_destroy(&made->lock);
	free(made);
close_fds:
	close(fds[MEMORY_FD]);
	close(fds[STATE_FD]);
	return rc;
}
