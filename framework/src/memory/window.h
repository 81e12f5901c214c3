/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses for arenas: IOVAs of [WEIR_ARENA_WINDOW_BASE, WEIR_ARENA_WINDOW_END), at virtual
 * addresses that are a constant higher.
 */
#ifndef WEIR_MEMORY_WINDOW_H
#define WEIR_MEMORY_WINDOW_H

#include <stdint.h>

/*
 * Maps a file, shared, at the lowest free multiple of `align` in the window; *base is the virtual
 * address. -ENOSPC when there is no room, or what mmap() says.
 */
int window_map(int fd, uint64_t bytes, uint64_t align, uint64_t delta, void **base);

/* Maps a file, shared, at one address, replacing nothing. -EEXIST when something is there. */
int window_map_at(int fd, uint64_t bytes, uint64_t address, void **base);

#endif
