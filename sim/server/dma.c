/* SPDX-License-Identifier: BSD-3-Clause */
#include "server/dma.h"

#include <inttypes.h>
#include <linux/magic.h>
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/base.h"
#include "memory/fault_guard.h"

struct dma_window {
	struct sim_window window; /* first: what dma_find() hands out */
	void *map; /* what munmap() is called with, or NULL */
	size_t map_bytes;
};

/* Windows that share a byte compare equal, so the tree itself keeps them disjoint. */
static int compare(const void *left, const void *right)
{
	const struct sim_window *a = left, *b = right;

	if (a->iova + (a->bytes - 1) < b->iova)
		return -1;
	return a->iova > b->iova + (b->bytes - 1);
}

static struct dma_window *find_overlap(const struct dma_table *table, uint64_t iova, uint64_t bytes)
{
	struct sim_window key = { .iova = iova, .bytes = bytes };
	void *node = tfind(&key, &table->root, compare);

	return node ? *(struct dma_window **)node : NULL;
}

const struct sim_window *dma_find(const struct dma_table *table, uint64_t iova)
{
	struct dma_window *entry = find_overlap(table, iova, 1);

	return entry ? &entry->window : NULL;
}

static int check(const struct dma_table *table, const struct vfio_user_dma_map *map,
		 struct weir_error *err)
{
	if (!map->flags || map->flags & ~(VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE))
		return weir_error_set(err, -EINVAL, "flags 0x%x are not a protection", map->flags);
	if (!map->bytes ||
	    !weir_is_aligned(map->address | map->bytes | map->offset, DMA_PAGE_BYTES))
		return weir_error_set(err, -EINVAL,
				      "0x%" PRIx64 " bytes at 0x%" PRIx64 ", file offset 0x%" PRIx64
				      ", are not whole pages of %u bytes",
				      map->bytes, map->address, map->offset, DMA_PAGE_BYTES);
	if (map->address + (map->bytes - 1) < map->address ||
	    map->offset + map->bytes < map->offset)
		return weir_error_set(err, -EINVAL,
				      "0x%" PRIx64 " bytes at 0x%" PRIx64 ", file offset 0x%" PRIx64
				      ", wrap around",
				      map->bytes, map->address, map->offset);
	if (find_overlap(table, map->address, map->bytes))
		return weir_error_set(err, -EEXIST,
				      "0x%" PRIx64 " bytes at 0x%" PRIx64
				      " overlap memory that is mapped",
				      map->bytes, map->address);
	if (table->nr_windows == DMA_MAX_WINDOWS)
		return weir_error_set(err, -ENOSPC, "%u windows are mapped, the limit",
				      DMA_MAX_WINDOWS);
	return 0;
}

/* Bytes of a regular file, or of a dma-buf, whose size fstat() does not tell; negative: neither. */
static off_t file_size(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	return S_ISREG(st.st_mode) ? st.st_size : lseek(fd, 0, SEEK_END);
}

/* The unit in which the file can be mapped: a huge page on hugetlbfs. */
static uint64_t file_page_bytes(int fd)
{
	struct statfs fs;

	if (!fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0 &&
	    weir_is_power_of_two((uint64_t)fs.f_bsize))
		return (uint64_t)fs.f_bsize;
	return DMA_PAGE_BYTES;
}

static int map_file(struct dma_table *table, struct dma_window *entry,
		    const struct vfio_user_dma_map *map, int fd, struct weir_error *err)
{
	int prot = (map->flags & VFIO_USER_DMA_READABLE ? PROT_READ : 0) |
		   (map->flags & VFIO_USER_DMA_WRITEABLE ? PROT_WRITE : 0);
	uint64_t page = file_page_bytes(fd);
	uint64_t start = weir_align_down(map->offset, page);
	off_t size = file_size(fd);
	void *base;

	if (size < 0)
		return weir_error_set(err, -EINVAL, "the descriptor is no file or dma-buf");
	if (!weir_range_within(map->offset, map->bytes, (uint64_t)size))
		return weir_error_set(err, -EINVAL,
				      "0x%" PRIx64 " bytes from 0x%" PRIx64
				      " on are past the end of a file of 0x%" PRIx64,
				      map->bytes, map->offset, (uint64_t)size);
	entry->map_bytes = weir_align_up(map->offset + map->bytes, page) - start;
	base = mmap(NULL, entry->map_bytes, prot, MAP_SHARED, fd, (off_t)start);
	if (base == MAP_FAILED)
		return weir_error_set(err, -errno, "mmap of 0x%zx bytes: %m", entry->map_bytes);
	if (weir_fault_guard_add(base, entry->map_bytes, &table->truncated, -1)) {
		munmap(base, entry->map_bytes);
		return weir_error_set(err, -ENOMEM, "no memory to guard a window");
	}
	entry->map = base;
	entry->window.base = (uint8_t *)base + (map->offset - start);
	return 0;
}

static void free_window(struct dma_window *entry)
{
	if (entry->map) {
		weir_fault_guard_remove(entry->map, entry->map_bytes);
		munmap(entry->map, entry->map_bytes);
	}
	free(entry);
}

int dma_map(struct dma_table *table, const struct vfio_user_dma_map *map, int fd,
	    struct weir_error *err)
{
	struct dma_window *entry;
	int rc = check(table, map, err);

	if (rc)
		return rc;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return weir_error_set(err, -ENOMEM, "no memory");
	entry->window = (struct sim_window){
		.iova = map->address,
		.bytes = map->bytes,
		.prot = map->flags,
	};
	if (fd >= 0 && !table->no_mmap) {
		rc = map_file(table, entry, map, fd, err);
		if (rc)
			goto free_entry;
	}
	if (!tsearch(entry, &table->root, compare)) {
		rc = weir_error_set(err, -ENOMEM, "no memory");
		goto free_entry;
	}
	table->nr_windows++;
	return 0;

free_entry:
	free_window(entry);
	return rc;
}

static void remove_window(struct dma_table *table, struct dma_window *entry)
{
	table->unmap(table->ctx, entry->window.iova, entry->window.bytes);
	tdelete(entry, &table->root, compare);
	table->nr_windows--;
	free_window(entry);
}

int dma_unmap(struct dma_table *table, uint64_t iova, uint64_t bytes)
{
	struct dma_window *entry = find_overlap(table, iova, 1);

	if (!entry || entry->window.iova != iova || entry->window.bytes != bytes)
		return -ENOENT;
	remove_window(table, entry);
	return 0;
}

void dma_unmap_all(struct dma_table *table)
{
	while (table->root)
		remove_window(table, *(struct dma_window **)table->root);
}
