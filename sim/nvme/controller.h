/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the emulated controller. Everything runs in the server's thread.
 *
 * What the client writes while it is looked at: queue entries, lists, doorbells. Each is read once,
 * into a copy or a register, and then checked. A queue or a piece of data that lies in memory
 * mapped here is reached through a pointer, anything else by message; a pointer to it is kept only
 * where ctrl_dma_unmap() finds it. The server handles nothing while a model is in a call, so
 * neither the client's memory nor a queue goes away in the middle of a command.
 */
#ifndef WEIR_SIM_NVME_CONTROLLER_H
#define WEIR_SIM_NVME_CONTROLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "base/base.h"
#include "nvme/sim_nvme.h"
#include "nvme/spec.h"

#define CTRL_BAR_REGISTERS 0
#define CTRL_BAR_CMB 2
#define CTRL_BAR_MSIX 4

#define CTRL_QUEUE_PAIRS (SIM_NVME_MAX_QUEUES + 1) /* with the admin queues */
#define CTRL_ASYNC_REQUESTS 4 /* Identify AERL + 1 */
#define CTRL_EVENTS 16 /* that wait for a request */
#define CTRL_ERROR_ENTRIES 64
#define CTRL_BURST 64 /* commands of one queue in a row */
#define CTRL_MAX_PARTS 64 /* of one call of a backing */

/* Not assigned by the PCI-SIG to anybody: drivers match the class code. */
#define CTRL_PCI_VENDOR 0x5752
#define CTRL_PCI_DEVICE 0x4e56
#define CTRL_MODEL "Weir emulated NVMe controller"
#define CTRL_FIRMWARE "1.0"
#define CTRL_KELVIN 313 /* always */
#define CTRL_WARNING_KELVIN 343
#define CTRL_CRITICAL_KELVIN 353

struct sim_nvme;

/*
 * A completion queue. The first line is what a burst uses; the client touches none of it.
 * Everything is reset when the queue is made.
 */
struct ctrl_cq {
	struct nvme_cqe *entries; /* NULL: by message */
	const volatile uint32_t *doorbell; /* where the client says how far it is */
	uint32_t tail; /* next entry to write */
	uint32_t head; /* what the doorbell said when it was last looked at */
	uint32_t size;
	uint16_t phase; /* of the next entry */
	uint16_t qid;
	uint16_t vector;
	bool interrupts;
	bool live;
	uint32_t nr_sqs;
	uint64_t iova;
	volatile uint32_t *event; /* shadow EventIdx, or NULL */
} __attribute__((aligned(WEIR_CACHE_PAIR)));

/*
 * Memory that the short way finds data in: a window that may be read and written. It holds a page
 * when that begins at most `last` behind its own begin. No page begins at an odd address.
 */
struct ctrl_view {
	uint64_t iova, last;
	uint8_t *base;
};
#define CTRL_NO_VIEW ((struct ctrl_view){ .iova = 1 })

/* A submission queue. As above. */
struct ctrl_sq {
	const struct nvme_sqe *entries; /* NULL: by message */
	const volatile uint32_t *doorbell;
	struct ctrl_cq *cq;
	uint32_t head; /* next entry to take */
	uint32_t size;
	struct ctrl_view view; /* the last one of the short way */
	uint16_t qid;
	uint32_t bad_tail; /* a doorbell value that was refused, so that it is reported once */
	struct sim_window window; /* the last one of the long way */
	bool live;
	uint64_t iova;
	volatile uint32_t *event; /* shadow EventIdx, or NULL */
} __attribute__((aligned(WEIR_CACHE_PAIR)));

/* A namespace. */
struct ctrl_ns {
	uint64_t blocks;
	uint8_t *memory; /* SIM_NVME_MEMORY: its blocks */
	uint64_t memory_bytes; /* as mapped */
	uint64_t file_offset; /* SIM_NVME_FILE: where it begins */
	uint64_t nsid;
};

/* Where blocks are kept. Offsets and lengths are in bytes and lie inside the namespace. */
struct ctrl_backing_ops {
	/* Data goes nowhere: reads leave the client's buffer as it is. */
	bool null;
	/* Makes the storage of all namespaces and sets their sizes. On failure the same as after
	 * close(). */
	int (*open)(struct sim_nvme *nvme, struct weir_error *err);
	void (*close)(struct sim_nvme *nvme);
	/* Move the parts, at most CTRL_MAX_PARTS. A negative errno; some may be moved then. */
	int (*read)(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		    const struct iovec *parts, int nr);
	int (*write)(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		     const struct iovec *parts, int nr);
	/* The range reads as zeroes from now on. */
	int (*zero)(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		    uint64_t bytes);
	/* What was written is durable when it returns. */
	int (*flush)(struct sim_nvme *nvme);
	/* It waits for a disk: the commands of a turn share one. */
	bool flush_waits;
	/* NULL: the size is fixed. */
	int (*resize)(struct sim_nvme *nvme, struct ctrl_ns *ns, uint64_t blocks);
};
extern const struct ctrl_backing_ops ctrl_backing_memory;
extern const struct ctrl_backing_ops ctrl_backing_file;
extern const struct ctrl_backing_ops ctrl_backing_null;

/* A piece of a command's data, as long as it lies together. */
struct ctrl_segment {
	uint8_t *ptr; /* NULL: by message */
	uint64_t iova;
	uint64_t bytes;
};

/* Where the data of the command at hand is. */
struct ctrl_data {
	struct ctrl_segment *segments;
	unsigned int nr, max;
	uint64_t bytes; /* their sum */
};

/* A command that was taken and not completed, by a fault. */
struct ctrl_held {
	TAILQ_ENTRY(ctrl_held) link;
	struct nvme_sqe sqe;
	uint16_t sqid;
	uint64_t due_ns; /* when it is executed; 0: never */
};
TAILQ_HEAD(ctrl_held_list, ctrl_held);

/* A command that is done but for a flush. */
struct ctrl_unsettled {
	struct ctrl_sq *sq;
	struct nvme_sqe sqe;
};
#define CTRL_MAX_UNSETTLED 64

struct ctrl_event {
	uint8_t type, info, log_page;
};

/* Values of features, base §5.27.1: command dword 11. Reset to their defaults with the controller.
 */
struct ctrl_features {
	uint32_t arbitration;
	uint32_t power;
	uint32_t temperature_over, temperature_under; /* kelvin */
	uint32_t error_recovery;
	uint32_t write_cache;
	uint32_t coalescing;
	uint32_t vectors[CTRL_QUEUE_PAIRS]; /* coalescing disabled, by vector */
	uint32_t atomicity;
	uint32_t async_events;
	bool timestamp_set;
	uint64_t timestamp_ms; /* as the host set it */
	uint64_t timestamp_at_ns; /* when */
	uint8_t host_id[16];
};

struct sim_nvme {
	/* What every turn looks at. */
	struct ctrl_sq *active[CTRL_QUEUE_PAIRS]; /* live I/O submission queues */
	unsigned int nr_active;
	unsigned int next_active; /* where look_slowly() goes on */
	bool running; /* ready, and not shut down, fatal or unplugged */
	bool careful; /* no queue takes the short way: faults, a file, read only */
	bool attention; /* events and requests for them may match */
	enum sim_nvme_backing backing_kind;
	unsigned int page_shift; /* CC.MPS */
	unsigned int block_shift;
	uint32_t nr_namespaces;
	uint64_t max_bytes; /* of one transfer, by MDTS */
	uint64_t short_blocks; /* of a command that the short way takes, see poll.c */
	struct sim_server *server;
	struct ctrl_ns namespaces[SIM_NVME_MAX_NAMESPACES];
	struct sim_nvme_stats stats; /* but for what the short way did */
	struct {
		uint64_t commands, blocks;
	} moved[3]; /* by the short way: [NVME_IO_WRITE], [NVME_IO_READ] */
	uint64_t reads, writes, blocks_read, blocks_written; /* by the long way */

	struct ctrl_sq sqs[CTRL_QUEUE_PAIRS];
	struct ctrl_cq cqs[CTRL_QUEUE_PAIRS];

	/* What it is. */
	struct sim_nvme_options options;
	char serial[21];
	char *file; /* copy of options.file */
	uint8_t uuid[16];
	const struct ctrl_backing_ops *backing;
	int backing_fd; /* -1: none */
	struct sim_nvme_faults *faults; /* NULL: none */

	/* Registers. */
	uint8_t *doorbells; /* BAR 0 from NVME_DOORBELLS on; shared with the client */
	uint64_t doorbell_bytes;
	uint32_t doorbell_stride;
	int bar_fd;
	uint8_t *bar; /* all of BAR 0 */
	uint64_t bar_bytes;
	uint8_t *cmb;
	int cmb_fd;
	uint64_t cmb_bar_bytes;
	uint64_t cap;
	uint32_t cc, csts, intms, aqa, cmbsts;
	uint64_t asq, acq, cmbmsc;
	bool was_ready; /* for the fault stuck_disable */

	struct ctrl_features features;

	/* Shadow doorbells, base §5.8: one page each. NULL: none. */
	uint32_t *shadow, *shadow_events;
	uint64_t shadow_iova, shadow_events_iova;
	unsigned int idle_turns;

	/* Asynchronous events. */
	uint16_t async_cids[CTRL_ASYNC_REQUESTS];
	unsigned int nr_async;
	struct ctrl_event events[CTRL_EVENTS];
	unsigned int nr_events;
	uint8_t masked_events; /* by type: reported, and its log page not read since */
	uint8_t event_logs[8]; /* by type: which log page that is */
	uint64_t changed_namespaces; /* by nsid - 1 */
	struct nvme_error_entry errors[CTRL_ERROR_ENTRIES];
	uint64_t nr_errors; /* since creation */
	uint8_t critical_warning;
	uint64_t created_ns;
	uint64_t unsafe_shutdowns;

	/* Faults. */
	uint64_t fault_commands; /* I/O commands counted */
	struct ctrl_held *held_entries;
	struct ctrl_held_list held, held_free;

	/* Commands of this turn that a flush completes; there is room for their completions. */
	struct ctrl_unsettled unsettled[CTRL_MAX_UNSETTLED];
	unsigned int nr_unsettled;

	struct ctrl_data data;
	uint8_t *bounce, *bounce2; /* CTRL_BOUNCE_BYTES each */
};

#define CTRL_BOUNCE_BYTES (64u << 10)

/* controller.c: properties and the states of the controller */
int ctrl_read_bar(void *model, unsigned int bar, uint64_t offset, void *data, size_t bytes);
int ctrl_write_bar(void *model, unsigned int bar, uint64_t offset, const void *data, size_t bytes);
void ctrl_reset(void *model);
void ctrl_fatal(struct sim_nvme *nvme, const char *why);

/* queue.c: making, ending and moving queues */
uint16_t ctrl_create_cq(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
uint16_t ctrl_create_sq(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
uint16_t ctrl_delete_cq(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
uint16_t ctrl_delete_sq(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
void ctrl_open_admin_queues(struct sim_nvme *nvme);
void ctrl_end_queues(struct sim_nvme *nvme);
void ctrl_dma_unmap(void *model, uint64_t iova, uint64_t bytes);
/* How many entries the client has added, at most CTRL_BURST. A wrong doorbell is reported, once. */
unsigned int ctrl_sq_pending(struct sim_nvme *nvme, struct ctrl_sq *sq, uint32_t tail);
/* How many completions there is room for; looks at the doorbell when it may be fewer than wanted.
 */
unsigned int ctrl_cq_room(struct sim_nvme *nvme, struct ctrl_cq *cq, unsigned int wanted);
/* Takes the next entry. false: it cannot be read, the controller is in a fatal state. */
bool ctrl_fetch(struct sim_nvme *nvme, struct ctrl_sq *sq, struct nvme_sqe *sqe);
/* Posts a completion; there is room for it. */
void ctrl_post(struct sim_nvme *nvme, const struct ctrl_sq *sq, uint16_t cid, uint16_t status,
	       uint32_t result);
/* Moves on by `n` entries, at most to the end of the queue. */
static inline void ctrl_sq_advance(struct ctrl_sq *sq, uint32_t n)
{
	sq->head += n;
	if (sq->head == sq->size)
		sq->head = 0;
}

static inline void ctrl_cq_advance(struct ctrl_cq *cq, uint32_t n)
{
	cq->tail += n;
	if (cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase ^= 1;
	}
}

void ctrl_interrupt(struct sim_nvme *nvme, const struct ctrl_cq *cq);

/* doorbell.c: doorbells by message, and shadow doorbells */
void ctrl_doorbell_write(struct sim_nvme *nvme, uint64_t offset, uint32_t value);
volatile uint32_t *ctrl_doorbell(struct sim_nvme *nvme, unsigned int qid, bool cq);
uint16_t ctrl_doorbell_buffer(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
void ctrl_shadow_attach(struct sim_nvme *nvme, unsigned int qid, bool cq);
void ctrl_shadow_end(struct sim_nvme *nvme);
/* Tells the client from which index on it has to ring: never while this side polls. */
void ctrl_shadow_events(struct sim_nvme *nvme, bool ring);

/* admin.c: executes what the doorbell announces. Returns how many commands were taken. */
unsigned int ctrl_admin_turn(struct sim_nvme *nvme, uint32_t tail);

/* identify.c, log_page.c, features.c */
uint16_t ctrl_identify(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
uint16_t ctrl_get_log_page(struct sim_nvme *nvme, const struct nvme_sqe *sqe);
void ctrl_log_error(struct sim_nvme *nvme, uint16_t sqid, const struct nvme_sqe *sqe,
		    uint16_t status);
void ctrl_features_reset(struct sim_nvme *nvme);
uint16_t ctrl_get_features(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint32_t *result);
uint16_t ctrl_set_features(struct sim_nvme *nvme, const struct nvme_sqe *sqe, uint32_t *result);
bool ctrl_write_through(const struct sim_nvme *nvme);

/* events.c: asynchronous events */
uint16_t ctrl_event_request(struct sim_nvme *nvme, uint16_t cid);
/* Forgets a request; the caller completes it. false: there is none with that id. */
bool ctrl_event_abort(struct sim_nvme *nvme, uint16_t cid);
void ctrl_event_add(struct sim_nvme *nvme, uint8_t type, uint8_t info, uint8_t log_page);
void ctrl_event_unmask(struct sim_nvme *nvme, uint8_t log_page);
void ctrl_events_deliver(struct sim_nvme *nvme);
void ctrl_events_reset(struct sim_nvme *nvme);

/* poll.c: the data path */
unsigned int ctrl_poll(void *model);

/* io.c: I/O commands, the long way. */
/* The turn of a controller whose backing's flush waits. */
unsigned int ctrl_poll_and_settle(void *model);
/* Executes a command and completes it, at the latest when the turn ends. */
void ctrl_io_run(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct nvme_sqe *sqe);
void ctrl_io_complete(struct sim_nvme *nvme, const struct ctrl_sq *sq, const struct nvme_sqe *sqe,
		      uint16_t cid, uint16_t status);

/* data.c: data pointers */
/* Whether [iova, iova + bytes) lies in one window with the protection, or in the controller memory
 * buffer. *ptr is NULL when it is to be reached by message. */
bool ctrl_translate(struct sim_nvme *nvme, struct sim_window *cache, uint64_t iova, uint64_t bytes,
		    unsigned int prot, uint8_t **ptr);
/* Checks the data pointer of a command and fills nvme->data. `prot` as in struct sim_window. */
uint16_t ctrl_map_data(struct sim_nvme *nvme, struct sim_window *cache, const struct nvme_sqe *sqe,
		       uint64_t bytes, unsigned int prot);
/* Copies between memory here and nvme->data from `offset` on. */
uint16_t ctrl_data_get(struct sim_nvme *nvme, uint64_t offset, void *to, uint64_t bytes);
uint16_t ctrl_data_put(struct sim_nvme *nvme, uint64_t offset, const void *from, uint64_t bytes);
int ctrl_read_memory(struct sim_nvme *nvme, uint64_t iova, void *to, uint64_t bytes);
int ctrl_write_memory(struct sim_nvme *nvme, uint64_t iova, const void *from, uint64_t bytes);
#define CTRL_PROT_READ 1u /* by the device */
#define CTRL_PROT_WRITE 2u

/* faults.c */
int ctrl_faults_open(struct sim_nvme *nvme, struct weir_error *err);
void ctrl_faults_close(struct sim_nvme *nvme);
/* Does with a command what the faults say, and completes it if they do not say otherwise. */
void ctrl_faults_run(struct sim_nvme *nvme, struct ctrl_sq *sq, const struct nvme_sqe *sqe);
/* Executes the commands that were held back long enough. Returns how many. */
unsigned int ctrl_held_run(struct sim_nvme *nvme);
/* Completes a command that is held back. false: there is none, or no room. */
bool ctrl_held_abort(struct sim_nvme *nvme, uint16_t sqid, uint16_t cid);
void ctrl_held_forget(struct sim_nvme *nvme, uint16_t sqid); /* CTRL_QUEUE_PAIRS: all */

#endif
