/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is there: mapped from a memfd, bound to a NUMA node, populated. */
#ifndef WEIR_MEMORY_POPULATE_H
#define WEIR_MEMORY_POPULATE_H

#include <stdint.h>
#include <weir/error.h>
#include <weir/log.h>
#include <weir/memory.h>

/* What is asked for. */
struct populate_request {
	const char *name;
	uint64_t bytes;
	uint64_t delta;
	int node; /* or WEIR_NODE_ANY when there is no NUMA */
	enum weir_page_size page_size;
	const struct weir_log *log;
};

/* What was got. */
struct populated {
	void *base;
	uint64_t bytes;
	uint64_t page_bytes;
	int node; /* WEIR_NODE_ANY: not bound */
	int fd;
};

/* Takes memory in the arena window from the best pages that the request allows, see
 * weir_arena_create(). Errors are weir_arena_create()'s. */
int populate_window(const struct populate_request *request, struct populated *got,
		    struct weir_error *err);

/* Takes ordinary pages at any address, on the node if that is possible. */
int populate_anywhere(const char *name, uint64_t bytes, int node, const struct weir_log *log,
		      struct populated *got, struct weir_error *err);

/*
 * Maps a file from elsewhere, whose bytes, page_bytes and fd are set, after checking that it is
 * what they say: at an address (-EEXIST when something is there), or with 0 anywhere. On failure
 * the descriptor is still the caller's. -EINVAL, -ENOMEM.
 */
int populate_adopted(const char *name, uint64_t address, struct populated *file,
		     struct weir_error *err);

/* Unmaps and closes. */
void populate_undo(const struct populated *got);

/* The node that `wanted`, a number or WEIR_NODE_ANY, means; WEIR_NODE_ANY when the system has no
 * NUMA. -EINVAL when there is no such node. */
int populate_node(int wanted, int *node, struct weir_error *err);

#endif
