/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A fuzzer of VFIO's nodes: what the parts of the program share.
 *
 * The watchdog (fuzz.c) starts a herd (fuzz_herd.c), which keeps a few containers and contexts and
 * starts workers that inherit these. A worker (fuzz_worker.c) is a process of several threads,
 * which make calls at random, and fork children that do so too; after some hundred calls it ends or
 * is killed. What a process has open, has mapped and has been told is in its fuzz_process, without
 * locks: threads may take each other's files away, which is the point. Values there are single
 * words, so that nobody sees half of one.
 *
 * Nothing is written into a device that would make it use memory by itself: DMA faults stay what
 * they are, a finding.
 */
#ifndef WEIR_TESTS_GUEST_KERNEL_FUZZ_H
#define WEIR_TESTS_GUEST_KERNEL_FUZZ_H

#include <setjmp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conform.h"

#define MAX_DEVICES 12
#define MAX_WORKERS 8
#define MAX_THREADS 8
#define MAX_CHILDREN 2 /* of one worker, at a time */
#define MAX_ERRNO 134

/* What is counted, each for itself. */
enum fuzz_counter {
	OPEN_CONTAINER,
	OPEN_CONTEXT,
	OPEN_GROUP,
	OPEN_CDEV,
	CLOSE,
	GET_API_VERSION,
	CHECK_EXTENSION,
	SET_IOMMU,
	IOMMU_GET_INFO,
	MAP_DMA,
	UNMAP_DMA,
	DIRTY_PAGES,
	GROUP_GET_STATUS,
	SET_CONTAINER,
	UNSET_CONTAINER,
	GET_DEVICE_FD,
	BIND,
	ATTACH,
	DETACH,
	DEVICE_GET_INFO,
	GET_REGION_INFO,
	GET_IRQ_INFO,
	SET_IRQS,
	RESET,
	HOT_RESET_INFO,
	HOT_RESET,
	FEATURE,
	DESTROY,
	IOAS_ALLOC,
	ALLOW_IOVAS,
	IOAS_COPY,
	IOVA_RANGES,
	IOAS_MAP,
	IOAS_UNMAP,
	OPTION,
	VFIO_IOAS,
	HWPT_ALLOC,
	GET_HW_INFO,
	IOAS_MAP_FILE,
	CHANGE_PROCESS,
	GARBAGE,
	READ_CONFIG,
	WRITE_CONFIG,
	READ_REGION,
	WRITE_REGION,
	MMAP_REGION,
	TOUCH_REGION,
	MMAP_MEMORY,
	MUNMAP,
	TOUCH_MEMORY,
	MPROTECT,
	MADVISE,
	MREMAP,
	TRUNCATE,
	PUNCH,
	SEAL,
	INTERRUPT,
	DUPLICATE,
	FORK,
	KILL_CHILD,
	KILL_WORKER,
	UNBIND,
	REBIND,
	SYSFS_RESET,
	COUNTERS
};

struct fuzz_count {
	atomic_ulong calls;
	atomic_ulong worked;
	atomic_ulong milliseconds;
	atomic_ulong errors[MAX_ERRNO];
};

/* What a thread is doing, for the watchdog. The last slot is the herd's own. */
struct fuzz_slot {
	_Atomic pid_t process; /* 0: nobody has it */
	_Atomic pid_t thread;
	atomic_uint counter;
	_Atomic int64_t since; /* milliseconds; 0: between calls */
	_Atomic int64_t killed; /* when its process was */
};

#define SLOTS_OF_WORKER (MAX_THREADS + MAX_CHILDREN)
#define SLOTS (MAX_WORKERS * SLOTS_OF_WORKER + 1)

/* Shared by all processes. */
struct fuzz_shared {
	struct fuzz_count counts[COUNTERS];
	struct fuzz_slot slots[SLOTS];
	atomic_bool stop[MAX_WORKERS]; /* asks a worker to end */
	atomic_uint rounds[MAX_WORKERS]; /* what the worker and its children have done */
	atomic_uint wanted; /* the number above that of the device that is taken away; 0: none is */
	atomic_uint workers; /* that were started */
	atomic_uint children;
	atomic_uint crashed; /* of either, by a signal that nobody sent */
	atomic_uint settled; /* workers that had given everything back before they ended */
	atomic_ulong charged; /* kilobytes that they were charged with all the same */
};

enum fuzz_model { MODEL_EDU, MODEL_MEMORY, MODEL_OTHER };

struct fuzz_device {
	char bdf[16];
	char group[32]; /* node */
	enum fuzz_model model;
};

struct fuzz_options {
	uint64_t seed;
	unsigned int seconds;
	unsigned int workers;
	unsigned int threads;
	bool sysfs; /* unbind, bind and reset from outside */
	unsigned int nr_devices;
	struct fuzz_device devices[MAX_DEVICES];
};

extern struct fuzz_options the_options;
extern struct fuzz_shared *the_shared;

enum fuzz_pool { CONTAINERS, CONTEXTS, GROUPS, PARKED, DEVICES, MEMFDS, EVENTFDS, POOLS };

#define POOL_SIZE 6
#define IDS 6
#define AREAS 24
#define CHUNKS 16
#define CHUNK_SIZE (2ull << 20)
/* Most of what is mapped has its IOVA below. */
#define IOVA_SPACE (64ull << 20)

/* Objects of a context. */
enum fuzz_id { ID_IOAS, ID_HWPT, ID_DEVICE, ID_KINDS };

/* What is mapped for devices; id: of the address space in its context, 0 in a container. */
struct fuzz_area {
	uint64_t iova;
	uint64_t length;
	uint32_t id;
};

/* What a chunk of the address space has mapped. */
enum fuzz_chunk { CHUNK_NOTHING, CHUNK_MEMORY, CHUNK_REGION, CHUNK_WRITABLE_REGION };

struct fuzz_process {
	unsigned int worker;
	/* File descriptor, with one byte of what it is of above it: see fuzz_pools.c. -1: none. */
	_Atomic int64_t files[POOLS][POOL_SIZE];
	/* By the context's place in its pool. */
	_Atomic uint32_t ids[POOL_SIZE][ID_KINDS][IDS];
	/* Of containers and of contexts, see fuzz_pools.c. */
	_Atomic uint64_t areas[2][POOL_SIZE][AREAS];
	/* The place of the context that a device was bound to last. */
	atomic_uint bound_to[MAX_DEVICES];
	unsigned char *memory; /* CHUNKS of CHUNK_SIZE, always mapped to something */
	atomic_uint chunks[CHUNKS];
	atomic_uint sizes[CHUNKS];
};

struct fuzz_thread {
	uint64_t random;
	struct fuzz_process *process;
	struct fuzz_slot *slot;
	/* Two pages, and behind them one that cannot be touched. Calls write here, nowhere else. */
	unsigned char *buffer;
	bool careful; /* nothing is mutated */
	bool is_child;
	/* Where an access to memory that fails goes on. */
	volatile bool touching;
	sigjmp_buf escape;
	pid_t children[MAX_CHILDREN];
};

/* fuzz_random.c */
uint64_t fuzz_mix(uint64_t one, uint64_t other);
uint64_t fuzz_random(struct fuzz_thread *thread);
/* 0 to limit - 1 */
uint64_t fuzz_below(struct fuzz_thread *thread, uint64_t limit);
/* True once in so many times. */
bool fuzz_once_in(struct fuzz_thread *thread, uint64_t times);
/* Numbers that mean something somewhere: sizes, ids, flags, addresses and their ends. */
uint64_t fuzz_interesting(struct fuzz_thread *thread);
/* Of pages, mostly few. */
uint64_t fuzz_length(struct fuzz_thread *thread);

/* fuzz_count.c */
int64_t fuzz_now(void);
const char *fuzz_counter_name(enum fuzz_counter counter);
/* Around each call: result is a negative errno, or anything else. Returns the result. */
void fuzz_begin(struct fuzz_thread *thread, enum fuzz_counter counter);
long fuzz_end(struct fuzz_thread *thread, long result);
/* All calls so far; those that worked are in *worked. */
unsigned long fuzz_calls(unsigned long *worked);
/* A table, as lines of Markdown with "# " in front. */
void fuzz_print_table(void);
/* Whether all have worked that have to, and a worker has given everything back. */
bool fuzz_is_deep(void);
/* The first of these, as checks. */
void fuzz_check_depth(struct tap *tap);
/* Counts a process that was waited for, unless it came to its end or was killed. */
void fuzz_note_end(pid_t process, int status);
/* -errno if result is -1. */
long fuzz_errno(long result);

/* fuzz_pools.c */
void fuzz_pools_init(struct fuzz_process *process);
/* A file descriptor of the pool, which stays there; what it is of and its place, if asked for. */
int fuzz_pick(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int *of,
	      unsigned int *place);
/* Of any pool. */
int fuzz_pick_any(struct fuzz_thread *thread);
/* Takes the place of another one, which is closed. Returns where. fd may be an error. */
unsigned int fuzz_keep(struct fuzz_thread *thread, enum fuzz_pool pool, long fd, unsigned int of);
/* Says what a file has become. */
void fuzz_mark(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place, int fd,
	       unsigned int of);
/* Closes all of a device but its group. */
void fuzz_close_device(struct fuzz_thread *thread, unsigned int device);
/* Closes one of any pool. */
void fuzz_close_one(struct fuzz_thread *thread);
/* Closes all, in any order. */
void fuzz_close_all(struct fuzz_thread *thread);
void fuzz_forget_ids(struct fuzz_process *process, unsigned int context);
void fuzz_keep_id(struct fuzz_thread *thread, unsigned int context, enum fuzz_id kind, uint32_t id);
void fuzz_drop_id(struct fuzz_thread *thread, unsigned int context, enum fuzz_id kind, uint32_t id);
/* 0 when none is known. */
uint32_t fuzz_pick_id(struct fuzz_thread *thread, unsigned int context, enum fuzz_id kind);
/* Areas, pool: CONTAINERS or CONTEXTS. One is forgotten when there are many. */
void fuzz_keep_area(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place,
		    const struct fuzz_area *area);
void fuzz_drop_area(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place,
		    const struct fuzz_area *area);
/* One that is mapped, mostly; else one that may be. */
struct fuzz_area fuzz_pick_area(struct fuzz_thread *thread, enum fuzz_pool pool,
				unsigned int place);
/* Where something can be mapped, mostly. */
uint64_t fuzz_pick_iova(struct fuzz_thread *thread, enum fuzz_pool pool, unsigned int place);

/* fuzz_call.c */
/*
 * An ioctl with a structure, a field of which may be changed before, or with another file. What it
 * answers is in the structure.
 */
long fuzz_call(struct fuzz_thread *thread, enum fuzz_counter counter, int fd, unsigned long request,
	       void *argument, size_t size);
/* One whose argument is a number. */
long fuzz_call_number(struct fuzz_thread *thread, enum fuzz_counter counter, int fd,
		      unsigned long request, unsigned long argument);
/* Any number, any argument, any file. */
void fuzz_garbage(struct fuzz_thread *thread);

/* fuzz_memory.c */
/* Memory for an address space: an address in a chunk, aligned, and how much there is behind it. */
uint64_t fuzz_pick_memory(struct fuzz_thread *thread, uint64_t *length);
/* The first memory of a process. */
void fuzz_fill_memory(struct fuzz_thread *thread);
void fuzz_memory(struct fuzz_thread *thread);
/* A region of the device that there is, but configuration space. */
struct vfio_region_info;
bool fuzz_find_region(struct fuzz_thread *thread, int fd, struct vfio_region_info *info);
void fuzz_map_region(struct fuzz_thread *thread);
/* All of them: they keep their devices open. */
void fuzz_unmap_regions(struct fuzz_thread *thread);
void fuzz_touch(struct fuzz_thread *thread);
/* Installs what catches accesses that fail, for all threads of this process. */
void fuzz_catch_signals(void);
void fuzz_set_thread(struct fuzz_thread *thread);

/* fuzz_group.c, fuzz_iommufd.c, fuzz_device.c: each makes one call or a few. */
void fuzz_group_session(struct fuzz_thread *thread);
void fuzz_container(struct fuzz_thread *thread);
void fuzz_group(struct fuzz_thread *thread);
void fuzz_type1(struct fuzz_thread *thread);
void fuzz_cdev_session(struct fuzz_thread *thread);
void fuzz_objects(struct fuzz_thread *thread);
void fuzz_ioas(struct fuzz_thread *thread);
void fuzz_attachment(struct fuzz_thread *thread);
void fuzz_device_info(struct fuzz_thread *thread);
void fuzz_irqs(struct fuzz_thread *thread);
void fuzz_resets(struct fuzz_thread *thread);
void fuzz_config(struct fuzz_thread *thread);
void fuzz_region(struct fuzz_thread *thread);

/* The device's own node; "" if it has none at the moment. */
void fuzz_find_node(char *path, size_t size, const char *bdf);

/* fuzz_worker.c: the whole life of a worker, or of who works from outside by sysfs. */
void fuzz_worker(unsigned int number, uint64_t seed, const int *containers, const int *contexts,
		 unsigned int shared_files) __attribute__((noreturn));
void fuzz_outsider(unsigned int number, uint64_t seed) __attribute__((noreturn));

/* fuzz_charge.c */
/* Leaves this process with a limit of locked memory: root has none. */
void fuzz_limit_memory(uint64_t bytes);
/* Kilobytes that this process is charged with. */
unsigned long fuzz_charged(void);
/* Whether this process' user, by whom the API of /dev/iommu counts, is charged with nothing. */
bool fuzz_user_is_free(void);

/* fuzz_herd.c: the whole life of a herd. */
void fuzz_herd(unsigned int generation, int64_t until) __attribute__((noreturn));
struct fuzz_slot *fuzz_slot_of(unsigned int worker, unsigned int thread);

#endif
