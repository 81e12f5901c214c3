/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the drivers' open calls make and their close calls end: an I/O address space, one device in
 * it, and one arena that is mapped there. And how a reset waits for the owners of queues. Part of
 * each driver's library, and hidden there.
 */
#ifndef DRIVERS_COMMON_OWN_H
#define DRIVERS_COMMON_OWN_H

#include <stdint.h>

#include "weir/device.h"
#include "weir/error.h"
#include "weir/ioas.h"
#include "weir/log.h"
#include "weir/memory.h"

struct own_options {
	const char *name; /* of the arena */
	const char *transport; /* as in struct weir_device_options */
	uint64_t arena_bytes;
	int64_t iova_delta; /* as in struct weir_arena_options */
	struct weir_log log;
};

/* All NULL: nothing is owned. */
struct own {
	struct weir_ioas *ioas;
	struct weir_device *dev;
	struct weir_arena *arena;
};

/*
 * Opens the device at address. Returns 0, with all three of *own, or what weir_ioas_create(),
 * weir_device_open(), weir_arena_create() or weir_ioas_map_arena() returned, with *err and nothing
 * left behind.
 */
int own_open(const char *address, const struct own_options *options, struct own *own,
	     struct weir_error *err);

/* Ends what own_open() made, or nothing. No driver may use the device any more. */
void own_close(const struct own *own);

/*
 * A reset of a device whose queues have owners: begin(), where -EALREADY says that one was begun
 * and given up, and then finish() until it returns something other than -EAGAIN, which says that an
 * owner has not polled yet. Returns what the last of them returned, or -ETIMEDOUT, with its text
 * behind "no reset within", when timeout_ms have passed since the call; call again to go on.
 */
struct own_reset {
	int (*begin)(void *object, struct weir_error *err);
	int (*finish)(void *object, struct weir_error *err);
};

int own_reset(const struct own_reset *how, void *object, unsigned int timeout_ms,
	      struct weir_error *err);

#endif
