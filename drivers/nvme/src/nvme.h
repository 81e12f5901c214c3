/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the driver: a controller, its namespaces and its queue pairs.
 *
 * Locks: `lock` of the controller serialises everything but the burst calls: admin commands, making
 * and ending queue pairs, reset, events. An owner's burst calls take no lock. What owners and the
 * control side share is one word per queue pair, `control`, and the namespaces' sizes, which are
 * read once per burst. Blocking calls have a lock of their own, taken before `lock`.
 */
#ifndef WEIR_NVME_NVME_H
#define WEIR_NVME_NVME_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <weir/mmio.h>
#include <weir/nvme.h>

#include "base/base.h"
#include "own.h"
#include "spec.h"

#define NVME_MAX_QUEUES 1024 /* I/O queue pairs, whatever the options say */
#define NVME_ADMIN_ENTRIES 32
#define NVME_ASYNC_EVENTS 4 /* requests kept at the controller */
#define NVME_ADMIN_MAX_BYTES (128u << 10)
#define NVME_MAX_NAMESPACES 1024 /* active ones that the driver looks at */
#define NVME_EVENT_RING 16

/*
 * What a queue pair's owner may do. The control side moves it on and the owner acknowledges; it
 * lies on a line of its own that changes only when the state does.
 */
enum nvme_qp_control {
	NVME_QP_LIVE = 0, /* submit and poll work */
	NVME_QP_QUIESCE = 1, /* the controller is stopped: the owner returns what was in flight */
	NVME_QP_PARKED = 2, /* set by the owner: it has, and does not touch the queues */
	NVME_QP_DEAD = 3, /* as QUIESCE, and then poll says -ENODEV */
};

/* One command in flight, or one that ended on the host and waits for poll. */
struct nvme_tracker {
	uint64_t cookie;
	uint32_t state; /* enum nvme_tracker_state */
	uint32_t tick; /* qp->tick when it was posted; the host status of a refused one */
};
static_assert(sizeof(struct nvme_tracker) == 16, "a tracker is a quarter of a line");

/*
 * A state that a successor process may read. The controller completes what is active, and what is
 * aborted in a slow way: an id is not used again while an Abort is under way, which could hit the
 * command that has it next.
 */
enum nvme_tracker_state {
	NVME_TRACKER_FREE = 0,
	NVME_TRACKER_REFUSED = 1, /* never reached the controller */
	NVME_TRACKER_ACTIVE = 2,
	NVME_TRACKER_ABORTING = 3, /* active, and an Abort command was sent */
	NVME_TRACKER_HELD = 4, /* was returned, but an Abort may be under way to its id */
};

#define NVME_QP_STATE_VERSION 1

/*
 * All of a queue pair that a successor process needs. It lies in the arena's state memory, where no
 * device can write; offsets and indices, never pointers. The trackers and the stacks of ids behind
 * it are the live ones; the cursors are the handle's and are written here by nvme_qp_freeze().
 */
struct nvme_qp_state {
	uint32_t version;
	uint32_t qid;
	uint32_t sq_entries; /* a power of two */
	uint32_t cq_entries; /* a power of two */
	uint32_t depth; /* command ids, less than sq_entries */
	uint32_t list_bytes; /* of one command's PRP or SGL list */
	uint32_t sq_in_cmb;
	uint32_t vector; /* MSI-X vector, or UINT32_MAX */
	uint64_t sq_offset; /* in the arena, or in the controller memory buffer */
	uint64_t cq_offset; /* in the arena */
	uint64_t lists_offset; /* in the arena */
	uint64_t swept_ns; /* the time of the last sweep; 0: none yet */

	uint32_t sq_tail; /* next entry to fill */
	uint32_t sq_rung; /* what the doorbell was told */
	uint32_t cq_head; /* next entry to look at */
	uint32_t cq_acked; /* what the doorbell was told */
	uint32_t phase; /* of new entries: 1 or 0 */
	uint32_t tick; /* coarse time of the last sweep */
	uint32_t nr_free; /* ids on the free stack */
	uint32_t nr_refused; /* ids on the stack of refused ones */
	uint64_t submitted;
	uint64_t host_failed;
	uint64_t aborts;
	uint64_t clock_ns; /* what the sweeps have counted; `tick` is this, in coarse units */
	/*
	 * depth trackers, then the stack of free ids and that of refused ones, depth each, ids as
	 * they stand in command dword 0
	 */
};

/* A queue pair's handle in this process. The first lines are the owner's; nobody else writes them.
 */
struct weir_nvme_qp {
	/* poll */
	const struct nvme_cqe *next_cqe;
	uint64_t expected; /* phase and queue id, where they are in the second half of an entry */
	struct nvme_tracker *trackers;
	uint32_t *free_cids; /* a stack, as they stand in command dword 0 */
	uint32_t nr_free;
	uint32_t nr_refused; /* ids in refused_cids */
	const struct nvme_cqe *cq, *cq_end;
	uint32_t cid_end; /* depth, as it would stand in command dword 0 */
	uint32_t unacked; /* completions that the controller was not told of */
	/* submit */
	uint64_t *next_sqe;
	uint64_t *rung_sqe; /* next_sqe when the doorbell was rung */
	uint64_t *sq_end;
	uint64_t (*sq)[8];
	volatile void *sq_doorbell; /* NULL: ring by nvme_ring_slow() */
	struct weir_nvme *nvme;
	uint64_t page_mask; /* bytes of a controller page, less one */
	uint64_t active_word; /* NVME_TRACKER_ACTIVE and the tick, as a tracker holds them */
	uint64_t submitted;

	/* cold */
	uint32_t ack_after; /* completions that may stay unacknowledged */
	uint32_t list_bytes; /* of one command's PRP or SGL list */
	uint32_t depth;
	uint32_t qid;
	uint32_t nr_held; /* ids that are neither free nor in flight */
	volatile void *cq_doorbell;
	uint64_t host_failed;
	uint32_t *refused_cids;
	struct nvme_qp_state *state;
	uint8_t *lists;
	uint64_t lists_iova;
	uint64_t sq_iova, cq_iova;
	uint32_t *shadow_sq, *shadow_cq; /* shadow doorbells; NULL: none */
	volatile uint32_t *event_sq, *event_cq;
	int fd; /* eventfd, or -1 */
	TAILQ_ENTRY(weir_nvme_qp) link;

	_Alignas(WEIR_CACHE_PAIR) _Atomic uint32_t control; /* enum nvme_qp_control */
	_Alignas(WEIR_CACHE_PAIR) char end[];
};

/* A namespace. The first line is read by every burst and changes only when the namespace does. */
struct weir_nvme_ns {
	struct weir_nvme *nvme;
	/* LBAs from which an I/O of fast_blocks still ends inside; 0: the fast path takes none */
	_Atomic uint64_t fast_lbas;
	uint64_t fast_blocks; /* most blocks that the fast path takes: a page's */
	uint64_t block_bytes; /* without metadata */
	uint64_t nsid_dword; /* the id, as it stands in command dwords 0 and 1 */
	_Atomic uint64_t blocks; /* 0: it is gone */
	uint32_t nsid;
	uint32_t max_blocks; /* most blocks of any I/O */
	/*
	 * Bursts use these at any time, so they never change: a namespace that was formatted anew
	 * is a new one, and the old one is gone for good.
	 */
	uint8_t block_shift;
	uint8_t metadata_inline;
	uint16_t metadata_bytes;
	uint8_t protection;
	bool retired;

	uint8_t read_only;
	uint8_t eui64[8];
	uint8_t nguid[16];
	uint32_t boundary_blocks;
};

/* A slot of the admin queue: whose command id it is. */
enum nvme_admin_use {
	NVME_ADMIN_IDLE = 0,
	NVME_ADMIN_WAITING, /* nvme_admin_run() waits for it */
	NVME_ADMIN_EVENT, /* an Asynchronous Event Request */
	NVME_ADMIN_ABORTING, /* an Abort, for which nobody waits */
	NVME_ADMIN_NOBODY, /* a command that nobody waits for (any more) */
};

struct nvme_admin_queue {
	uint64_t (*sq)[8];
	struct nvme_cqe *cq;
	uint64_t sq_iova, cq_iova;
	uint32_t tail, head, phase;
	uint32_t outstanding; /* commands, asynchronous event requests included */
	enum nvme_admin_use use[NVME_ADMIN_ENTRIES];
	int lost; /* id of a command with data that was not answered: the buffer is its; or -1 */
	unsigned int aborts; /* Abort commands under way */
	bool done; /* the waiting command completed, with: */
	uint16_t status;
	uint32_t result;
	void *buffer; /* NVME_ADMIN_MAX_BYTES and a page for its PRP list */
	uint64_t buffer_iova;
	void *list;
	uint64_t list_iova;
};

/* Whether a queue id may be given to a new queue pair. */
enum nvme_qid_use {
	NVME_QID_FREE = 0,
	NVME_QID_USED,
	NVME_QID_HELD, /* free as soon as no Abort is under way, which may be to the old queue */
};

enum nvme_state {
	NVME_LIVE,
	NVME_RESETTING, /* between reset_begin and reset_finish */
	NVME_FAILED, /* for good */
};

struct nvme_blocking; /* blocking.c */

struct weir_nvme {
	struct weir_device *dev;
	struct weir_arena *arena;
	struct weir_mapping *mapping;
	struct weir_nvme_options options;
	struct weir_log log;
	struct own own; /* what weir_nvme_open() made and weir_nvme_close() ends */

	pthread_mutex_t lock;
	enum nvme_state state;
	_Atomic bool reset_needed; /* any owner may ask */
	bool reset_reported, gone_reported;
	struct weir_error trouble; /* why a reset is needed */
	struct weir_error failure; /* why the controller is failed */

	uint64_t cap;
	uint32_t version;
	uint32_t page_shift;
	uint32_t max_transfer;
	uint32_t queues; /* granted */
	uint32_t shutdown_ms;
	uint32_t doorbell_stride;
	bool use_sgl;
	bool use_shadow;
	unsigned int aer_limit; /* asynchronous event requests to keep at the controller */
	bool rearm_events; /* one was answered and is to be sent again */
	bool namespaces_changed;
	uint32_t event_logs[8]; /* bit n: log page n is to be read, so that its event may come again
				 */
	unsigned int abort_limit; /* Abort commands at a time */
	uint16_t opcodes; /* bit n: I/O opcode n may be used */
	struct weir_nvme_info info;

	struct nvme_admin_queue admin;
	uint32_t *shadow, *shadow_event; /* doorbell buffers, one page each */

	struct weir_nvme_ns **ns; /* ordered by nsid; entries are never freed before close */
	unsigned int nr_ns;

	TAILQ_HEAD(, weir_nvme_qp) qps;
	uint8_t qid_use[NVME_MAX_QUEUES + 1]; /* enum nvme_qid_use */
	int *vector_fds; /* one eventfd for each vector, or NULL */
	unsigned int nr_vectors;

	struct {
		bool looked, present, enabled;
		unsigned int bar;
		uint64_t offset, bytes;
		uint64_t queue_bytes; /* from the start, kept for submission queues */
		uint32_t flags; /* CMBSZ */
		uint64_t base; /* address by which the controller knows it */
	} cmb;

	struct weir_nvme_event events[NVME_EVENT_RING];
	unsigned int events_head, events_tail;

	pthread_mutex_t blocking_lock; /* outside of `lock` */
	struct nvme_blocking *blocking;
};

/* One load of a word that a device may be writing. */
static inline uint64_t nvme_load_once(const void *from)
{
	return *(const volatile uint64_t *)from;
}

/* controller.c: with the lock held, or before anybody else knows the controller */
int nvme_read_status(struct weir_nvme *nvme, uint32_t *csts); /* -ENODEV: it is gone */
int nvme_disable(struct weir_nvme *nvme, struct weir_error *err);
int nvme_enable(struct weir_nvme *nvme, struct weir_error *err);
int nvme_start(struct weir_nvme *nvme, struct weir_error *err); /* enable, features, events */
int nvme_read_caps(struct weir_nvme *nvme, struct weir_error *err);
/* Ends the controller for good: records why (the first time), tells every owner. */
void nvme_fail(struct weir_nvme *nvme, const struct weir_error *why);
int nvme_options_check(struct weir_nvme_options *options, const struct weir_nvme_options *from,
		       struct weir_error *err);
struct weir_nvme *nvme_alloc(struct weir_device *dev, struct weir_arena *arena,
			     const struct weir_nvme_options *options);
void nvme_free(struct weir_nvme *nvme);

/* admin.c: with the lock held */
/* Memory in the arena that begins at a page of the controller's, which may be larger than ours. */
void *nvme_take_pages(struct weir_nvme *nvme, size_t bytes);
int nvme_admin_alloc(struct weir_nvme *nvme, struct weir_error *err);
void nvme_admin_reset(struct weir_nvme *nvme);
void nvme_admin_free(struct weir_nvme *nvme);
int nvme_admin_run(struct weir_nvme *nvme, const struct weir_nvme_command *command, void *data,
		   size_t bytes, enum weir_nvme_direction direction, uint32_t *result,
		   const char *what, struct weir_error *err);
int nvme_admin_abort(struct weir_nvme *nvme, uint16_t sqid, uint16_t cid);
void nvme_admin_request_events(struct weir_nvme *nvme);
void nvme_admin_poll(struct weir_nvme *nvme);
void nvme_pump_device(struct weir_nvme *nvme);
int nvme_usable(struct weir_nvme *nvme, struct weir_error *err);
void nvme_event_add(struct weir_nvme *nvme, enum weir_nvme_event_type type, uint32_t info);

/* identify.c: with the lock held */
int nvme_identify_controller(struct weir_nvme *nvme, struct weir_error *err);
/* Sets the size of a namespace, and what follows from it, the rest of which is filled in. */
void nvme_ns_resize(struct weir_nvme_ns *ns, uint64_t blocks);
int nvme_identify_namespaces(struct weir_nvme *nvme, struct weir_error *err);

/* queue.c: with the lock held */
int nvme_qp_connect(struct weir_nvme_qp *qp, struct weir_error *err); /* tells the controller */
void nvme_qp_attach_state(struct weir_nvme_qp *qp); /* derives the handle from its state */
/* Moves the state word on, and wakes the owner. */
void nvme_qp_set_control(struct weir_nvme_qp *qp, enum nvme_qp_control control);
void nvme_qp_freeze(struct weir_nvme_qp *qp); /* writes the handle's cursors to its state */
int nvme_qp_clear(struct weir_nvme_qp *qp, struct weir_error *err); /* rings and indices as new */
struct weir_nvme_qp *nvme_qp_alloc(struct weir_nvme *nvme);
void nvme_qp_free(struct weir_nvme_qp *qp);
size_t nvme_qp_state_bytes(unsigned int depth);
unsigned int nvme_max_depth(const struct weir_nvme *nvme); /* of any queue pair */
uint64_t nvme_doorbell_offset(const struct weir_nvme *nvme, unsigned int qid, unsigned int cq);
/* interrupts.c: with the lock held */
int nvme_vectors_bind(struct weir_nvme *nvme, struct weir_error *err);
void nvme_vectors_release(struct weir_nvme *nvme);

/* data.c and doorbell.c: the owner's */
int nvme_describe(struct weir_nvme_qp *qp, unsigned int cid, uint64_t sqe[8],
		  const struct weir_nvme_io *io, uint64_t bytes);
void nvme_acknowledge(struct weir_nvme_qp *qp);
void nvme_ring_slow(struct weir_nvme_qp *qp, unsigned int cq, uint32_t value);

/* cmb.c: with the lock held */
int nvme_cmb_find(struct weir_nvme *nvme, struct weir_error *err);
void nvme_cmb_restore(struct weir_nvme *nvme);

/* blocking.c */
void nvme_blocking_end(struct weir_nvme *nvme);
void nvme_blocking_park(struct weir_nvme *nvme);

/* status.c */
const char *nvme_status_words(uint16_t status, char *text, size_t bytes);

/* dump.c */
void nvme_dump(struct weir_nvme *nvme);

#endif
