/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file memory.h
 * Arenas: memory that devices can reach.
 *
 * An arena is one memfd, mapped shared and populated when it is created, on one NUMA node. Its
 * address lies in a window that every 39-bit IOMMU can translate, chosen before any device is known
 * and the same from run to run, so the IOVA of a byte in an arena is its virtual address (or that
 * address less a constant, see weir_arena_options::iova_delta).
 *
 * Memory inside an arena is handed out by weir_arena_alloc(). The allocator's own records, and the
 * state that drivers keep for live update (weir_arena_alloc_state()), lie in a second memfd that no
 * device is ever given: a device that writes where it should not can spoil data, but not make the
 * host follow a wrong index.
 *
 * Everything here is for the set-up path. Memory may be taken and given back by any thread; an
 * arena is made, saved and ended by one thread while no other is in a call on it.
 */
#ifndef WEIR_MEMORY_H
#define WEIR_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>
#include <weir/log.h>
#include <weir/state.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_arena;

/** No particular NUMA node. */
#define WEIR_NODE_ANY (-1)

/** First IOVA of the window that arenas live in: 4 GiB. */
#define WEIR_ARENA_WINDOW_BASE (UINT64_C(1) << 32)
/** The end of that window: 2^38. */
#define WEIR_ARENA_WINDOW_END (UINT64_C(1) << 38)

/** The delta that builds with AddressSanitizer use by default, because it owns the low addresses.
 */
#define WEIR_ASAN_IOVA_DELTA (UINT64_C(0x200000000000))

/** Which pages back an arena. */
enum weir_page_size {
	WEIR_PAGE_AUTO = 0, /**< the largest that fit and are free, see weir_arena_create() */
	WEIR_PAGE_4K = 12, /**< ordinary pages only */
	WEIR_PAGE_2M = 21, /**< 2 MiB hugetlb pages or failure */
	WEIR_PAGE_1G = 30, /**< 1 GiB hugetlb pages or failure */
};

/** How to make an arena. Zero means the default of each member. */
struct weir_arena_options {
	/** sizeof(struct weir_arena_options). */
	size_t size;
	/** Bytes for devices; rounded up to the page size. From 4 KiB to 64 GiB. */
	uint64_t bytes;
	/** Bytes for weir_arena_alloc_state(); rounded up to 4 KiB. 0: 1/64 of `bytes`, at least 1
	 * MiB. */
	uint64_t state_bytes;
	/**
	 * Virtual address less IOVA, a multiple of 1 GiB below 2^46. 0: they are equal, except in
	 * builds with AddressSanitizer, where it is WEIR_ASAN_IOVA_DELTA. All arenas of an IOAS
	 * should have the same.
	 */
	uint64_t iova_delta;
	/** The NUMA node, or WEIR_NODE_ANY for the node of the calling thread.
	 * WEIR_ARENA_OPTIONS_INIT says any. */
	int node;
	/** Which pages. */
	enum weir_page_size page_size;
	/** Shown in /proc/PID/maps; at most 63 bytes are used; NULL: "weir". */
	const char *name;
	/** Where notices go: memory that is not on the node or not in huge pages, with the command
	 * that mends it. */
	struct weir_log log;
};

/** Defaults: any node, automatic page size. */
#define WEIR_ARENA_OPTIONS_INIT \
	{ \
		sizeof(struct weir_arena_options), 0, 0, 0, WEIR_NODE_ANY, WEIR_PAGE_AUTO, NULL, \
		{ \
			NULL, NULL, WEIR_LOG_WARN \
		} \
	}

/**
 * Makes an arena and populates it.
 *
 * With WEIR_PAGE_AUTO the pages come from the first of these that has enough: the node's 1 GiB
 * pages (when `bytes` is a multiple of 1 GiB), the node's 2 MiB pages (when `bytes` is at least 2
 * MiB), the node's 4 KiB pages, 4 KiB pages of another node. The last two are noted through the log
 * hook with what to run to do better. Nothing is first touched later.
 *
 * @param options     size set; copied
 * @param[out] arena  owned by the caller; end it with weir_arena_destroy()
 * @param[out] err    may be NULL
 * @retval -EINVAL bytes out of range, a node that does not exist, a delta that is no multiple of 1
 * GiB, a wrong size
 * @retval -ENOMEM not enough memory or free huge pages of the demanded size on the node, or a
 * cgroup limit; the text names who has too little, or the command that reserves huge pages
 * @retval -ENOSPC no room for it in the window
 * @retval -EFBIG over RLIMIT_FSIZE
 * @retval -EOPNOTSUPP the kernel is older than Linux 5.14
 * @retval -EMFILE, -ENFILE no file descriptor left
 */
int weir_arena_create(const struct weir_arena_options *options, struct weir_arena **arena,
		      struct weir_error *err);

/**
 * Ends an arena: unmaps it and closes its file descriptors. NULL is allowed. The caller has
 * unmapped it from every IOAS and stopped every queue that uses it.
 */
void weir_arena_destroy(struct weir_arena *arena);

/** First byte of the arena's memory, page aligned. */
void *weir_arena_base(const struct weir_arena *arena);

/** Bytes of the arena's memory, a multiple of its page size. */
uint64_t weir_arena_bytes(const struct weir_arena *arena);

/** IOVA of the first byte; the same in every IOAS that the arena enters. */
uint64_t weir_arena_iova(const struct weir_arena *arena);

/** The memfd behind the arena, owned by it; sealed against shrinking and growing. */
int weir_arena_fd(const struct weir_arena *arena);

/** Bytes of one page: 4096, 2 MiB or 1 GiB. */
uint64_t weir_arena_page_bytes(const struct weir_arena *arena);

/** NUMA node that the memory was bound to, or WEIR_NODE_ANY when it is bound to none: the system
 * has no NUMA support, does not let this process bind memory, or the node had too little. */
int weir_arena_node(const struct weir_arena *arena);

/** IOVA of a pointer into the arena. One subtraction; the pointer is not checked. */
uint64_t weir_arena_ptr_iova(const struct weir_arena *arena, const void *ptr);

/**
 * Takes zeroed memory that devices can reach.
 *
 * Blocks up to 2 KiB come from slabs of one size, at least 64 bytes, larger ones are powers of two
 * of 4 KiB pages; both are aligned to their size rounded up to a power of two, up to 1 GiB, so a
 * block of up to 4 KiB never crosses a page.
 *
 * @param bytes  at least 1
 * @param align  a power of two, or 0 for the natural alignment above; at most the arena's page size
 * @return the memory, or NULL when the arena has no such block left or the arguments are out of
 * range
 */
void *weir_arena_alloc(struct weir_arena *arena, size_t bytes, size_t align);

/** Gives back what weir_arena_alloc() returned. NULL is allowed. Anything else is ignored and
 * logged as an error. */
void weir_arena_free(struct weir_arena *arena, void *ptr);

/**
 * Takes zeroed memory that no device can reach and that a successor process adopts with the arena:
 * a driver's queue state. Aligned to 64 bytes; blocks are powers of two. Same rules as
 * weir_arena_alloc().
 *
 * @return the memory, or NULL when weir_arena_options::state_bytes is used up
 */
void *weir_arena_alloc_state(struct weir_arena *arena, size_t bytes);

/** Gives back what weir_arena_alloc_state() returned. NULL is allowed. */
void weir_arena_free_state(struct weir_arena *arena, void *ptr);

/** Offset of a pointer into state memory, to be stored instead of the pointer. */
uint64_t weir_arena_state_offset(const struct weir_arena *arena, const void *ptr);

/** The pointer at an offset into state memory, or NULL when [offset, offset + bytes) is not inside
 * it. */
void *weir_arena_state_ptr(const struct weir_arena *arena, uint64_t offset, size_t bytes);

/**
 * Adds the arena to a state: its shape and duplicates of its file descriptors.
 *
 * @retval -E2BIG the state is full
 * @retval -EMFILE no file descriptor left
 */
int weir_arena_save(const struct weir_arena *arena, struct weir_state *state,
		    struct weir_error *err);

/**
 * Makes the next record of a state an arena again, at the same addresses, with everything that was
 * allocated in it.
 *
 * @retval -EINVAL the next record is no arena, or is damaged: every length and offset is checked
 * @retval -EEXIST something is mapped at those addresses in this process
 * @retval -EPROTONOSUPPORT saved by a version of the library that this one does not know
 */
int weir_arena_adopt(struct weir_state *state, const struct weir_log *log,
		     struct weir_arena **arena, struct weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
