/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of the client's DMA memory: disjoint windows in a tree ordered by address. A window
 * whose descriptor could be mapped is memory here; any other is reached by messages (dma_access.c).
 */
#ifndef WEIR_SIM_DMA_H
#define WEIR_SIM_DMA_H

#include "device/vfio_user/protocol.h"
#include "server/sim.h"

/* Windows at most; told to the client as max_dma_maps. */
#define DMA_MAX_WINDOWS 16384u
/* The only page size; told to the client as pgsizes. */
#define DMA_PAGE_BYTES 4096u

struct dma_table {
	void *root;
	unsigned int nr_windows;
	bool no_mmap; /* reach everything by message */
	/* Told before a window goes. */
	void (*unmap)(void *ctx, uint64_t iova, uint64_t bytes);
	void *ctx;
	_Atomic int truncated; /* the client cut a file short under a mapping */
};

/*
 * "VFIO_USER_DMA_MAP". fd is -1 when none came; it stays the caller's.
 *
 * -EINVAL unaligned, empty, past the end of the address space or of the file, no or unknown
 * protection; -EEXIST it overlaps another; -ENOSPC too many; what mmap() says.
 */
int dma_map(struct dma_table *table, const struct vfio_user_dma_map *map, int fd,
	    struct weir_error *err);

/* "VFIO_USER_DMA_UNMAP": exactly one window. -ENOENT: there is no such window. */
int dma_unmap(struct dma_table *table, uint64_t iova, uint64_t bytes);
void dma_unmap_all(struct dma_table *table);

/* The window that holds iova, or NULL. Valid until the table changes. */
const struct sim_window *dma_find(const struct dma_table *table, uint64_t iova);

#endif
