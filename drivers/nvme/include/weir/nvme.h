/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file nvme.h
 * The NVMe driver: PCIe controllers from NVMe 1.0 to 2.0, driven by polling.
 *
 * Three layers, from the simple to the fast:
 *
 *  - weir_nvme_open(), weir_nvme_read(), weir_nvme_write(): a device by its address, blocking
 * calls, any memory.
 *  - weir_nvme_create() on a device, IOAS and arena of the caller's own.
 *  - queue pairs with burst calls: weir_nvme_submit() and weir_nvme_poll(). No lock, allocation or
 * system call per I/O.
 *
 * Section numbers refer to the NVM Express Base Specification 2.0 unless the NVM Command Set
 * Specification 1.0 is named.
 *
 * Threads: a queue pair belongs to one thread, which alone makes its burst calls. Everything else
 * on a controller (admin commands, events, reset, making and ending queue pairs) may be called from
 * any thread and is serialised inside.
 */
#ifndef WEIR_NVME_H
#define WEIR_NVME_H

#include <stddef.h>
#include <stdint.h>
#include <weir/device.h>
#include <weir/error.h>
#include <weir/ioas.h>
#include <weir/log.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_nvme;
struct weir_nvme_ns;
struct weir_nvme_qp;

/** Most I/Os in flight on one queue pair, whatever the controller offers. */
#define WEIR_NVME_MAX_DEPTH 4095u
/** Most bytes of one I/O: what one page of PRP entries describes at any offset, or MDTS when that
 * is less. */
#define WEIR_NVME_MAX_TRANSFER (2u << 20)
/** Most segments of one I/O. */
#define WEIR_NVME_MAX_SEGMENTS 256u

/** How to run a controller. Zero means the default of each member. */
struct weir_nvme_options {
	/** sizeof(struct weir_nvme_options). */
	size_t size;
	/** Memory for queues and buffers of weir_nvme_open(), in bytes; 0: 64 MiB. Ignored by
	 * weir_nvme_create(). */
	uint64_t arena_bytes;
	/** Virtual address less IOVA of the arena that weir_nvme_open() makes, see
	 * weir_arena_options::iova_delta. */
	uint64_t iova_delta;
	/** Longest wait for one admin command, in ms; 0: 10000. Enabling and disabling wait as long
	 * as CAP.TO says. */
	unsigned int admin_timeout_ms;
	/** An I/O older than this is aborted by weir_nvme_sweep(), in ms; 0: 30000. */
	unsigned int io_timeout_ms;
	/** I/O queue pairs to ask the controller for; 0: 64. Fewer may be granted. */
	unsigned int max_queues;
	/** 1: describe data by PRPs even where the controller takes SGLs. */
	uint8_t no_sgl;
	/** 1: use shadow doorbells wherever the controller has them; 0: only where its doorbells
	 * cannot be mapped. */
	uint8_t shadow_doorbells;
	/** 1: put submission queues into the controller memory buffer, as long as they fit in its
	 * first half, if it has one that allows it (NVMe 1.4 on). */
	uint8_t cmb_queues;
	/** 1: bind an MSI-X vector to each queue pair so that its owner can sleep, see
	 * weir_nvme_qp_arm(). */
	uint8_t interrupts;
	/** Must be zero. */
	uint32_t reserved;
	/** "vfio-user", "group" or "cdev" for weir_nvme_open(); NULL: automatic. */
	const char *transport;
	/** Where messages go, register dumps of a failed controller among them. */
	struct weir_log log;
};

/** Defaults. */
#define WEIR_NVME_OPTIONS_INIT \
	{ \
		sizeof(struct weir_nvme_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, \
		{ \
			NULL, NULL, WEIR_LOG_WARN \
		} \
	}

/**
 * Opens a device by its address, with an IOAS and an arena of its own, and brings its controller
 * up.
 *
 * @param address    see device.h
 * @param options    NULL for the defaults
 * @param[out] nvme  owned by the caller; end it with weir_nvme_close()
 * @retval -errno those of weir_arena_create(), weir_ioas_create(), weir_device_open() and
 * weir_nvme_create()
 */
int weir_nvme_open(const char *address, const struct weir_nvme_options *options,
		   struct weir_nvme **nvme, struct weir_error *err);

/**
 * Brings a controller up (§3.5.1): disables it, sets up the admin queue, enables it, identifies it
 * and its active namespaces, asks for queues and for asynchronous events.
 *
 * @param dev        open; outlives the controller
 * @param arena      mapped in the device's IOAS; queues and PRP lists are taken from it; outlives
 * the controller
 * @param options    NULL for the defaults
 * @param[out] nvme  owned by the caller; end it with weir_nvme_close()
 * @retval -EINVAL not an NVMe controller (class code), the arena is not mapped, or an option is out
 * of range
 * @retval -EOPNOTSUPP the controller has no NVM command set, or needs pages larger than the
 * driver's 64 KiB
 * @retval -ETIMEDOUT the controller did not become ready within CAP.TO, or an admin command was not
 * answered
 * @retval -EIO the controller reports a fatal status or fails an admin command; the text has its
 * status
 * @retval -EPROTO the controller says something impossible; the text says what
 * @retval -ENOMEM no memory or no room in the arena
 * @retval -ENODEV the device is gone
 */
int weir_nvme_create(struct weir_device *dev, struct weir_arena *arena,
		     const struct weir_nvme_options *options, struct weir_nvme **nvme,
		     struct weir_error *err);

/**
 * Shuts a controller down in order (§3.6.1): ends its queue pairs, deletes their queues, asks for a
 * normal shutdown and waits as long as RTD3E says. What weir_nvme_open() opened is closed. NULL is
 * allowed. No owner is inside a call on a queue pair.
 */
void weir_nvme_close(struct weir_nvme *nvme);

/** What a controller is (Identify Controller, §5.17.2.1; CAP, §3.1.3.1). Strings are trimmed and
 * printable ASCII. */
struct weir_nvme_info {
	char serial[21]; /**< serial number */
	char model[41]; /**< model number */
	char firmware[9]; /**< firmware revision */
	char subnqn[257]; /**< subsystem NQN; "" when not reported */
	uint16_t vendor_id; /**< PCI vendor */
	uint16_t controller_id; /**< CNTLID */
	uint32_t version; /**< VS: major << 16 | minor << 8 | tertiary */
	uint32_t max_namespaces; /**< NN: highest valid namespace id */
	uint32_t max_transfer; /**< bytes of one I/O at most, WEIR_NVME_MAX_TRANSFER included */
	uint32_t max_queue_entries; /**< CAP.MQES + 1 */
	uint32_t queues; /**< I/O queue pairs that the controller granted */
	uint32_t doorbell_stride; /**< bytes from one doorbell to the next */
	uint32_t page_bytes; /**< memory page size in use, from CAP.MPSMIN */
	uint16_t oncs; /**< optional commands, as the controller reports them */
	uint16_t oacs; /**< optional admin commands */
	uint8_t sgl; /**< 1: SGLs are in use */
	uint8_t volatile_write_cache; /**< 1: a flush is needed before data is safe */
	uint8_t shadow_doorbells; /**< 1: in use */
	uint8_t doorbells_mapped; /**< 0: each doorbell is a message or system call */
	uint64_t cmb_bytes; /**< of the controller memory buffer; 0: none, or weir_nvme_cmb() not
			       yet called */
	/** Where what weir_nvme_cmb() gives begins for I/Os of this controller itself; 0: not
	 * known. */
	uint64_t cmb_address;
};

/** Fills `info`. */
void weir_nvme_info(const struct weir_nvme *nvme, struct weir_nvme_info *info);

/** The device that the controller runs on. */
struct weir_device *weir_nvme_device(const struct weir_nvme *nvme);

/** The arena that its queues lie in; also where buffers for it may be taken. */
struct weir_arena *weir_nvme_arena(const struct weir_nvme *nvme);

/**
 * Finds an active namespace by its id. Valid until the controller is closed, also when the
 * namespace goes away or is formatted with other blocks: I/O to it then ends with
 * WEIR_NVME_HOST_NAMESPACE, and what has its id now is found anew.
 *
 * @return the namespace, or NULL when there is none with that id
 */
struct weir_nvme_ns *weir_nvme_ns(struct weir_nvme *nvme, uint32_t nsid);

/** The active namespace with the lowest id above `nsid`, or NULL. Begin with 0. */
struct weir_nvme_ns *weir_nvme_next_ns(struct weir_nvme *nvme, uint32_t nsid);

/** What a namespace is (Identify Namespace, NVM Command Set §4.1.5.1). */
struct weir_nvme_ns_info {
	uint32_t nsid; /**< its id */
	uint32_t block_bytes; /**< bytes of a logical block, 512 to 64 KiB, without metadata */
	uint64_t blocks; /**< how many */
	uint64_t bytes; /**< blocks * block_bytes */
	uint32_t boundary_blocks; /**< NOIOB: I/Os should not cross a multiple of it; 0: none */
	uint16_t metadata_bytes; /**< per block */
	uint8_t metadata_inline; /**< 1: metadata follows each block in the data buffer */
	uint8_t protection; /**< protection information type, 0 to 3 */
	uint8_t eui64[8]; /**< zero when not reported */
	uint8_t nguid[16]; /**< zero when not reported */
	uint8_t read_only; /**< 1: write protected */
	uint8_t reserved[7]; /**< zero */
};

/** Fills `info`. */
void weir_nvme_ns_info(const struct weir_nvme_ns *ns, struct weir_nvme_ns_info *info);

/** I/O commands (NVM Command Set §3.2). */
enum weir_nvme_opcode {
	WEIR_NVME_FLUSH =
		0x00, /**< no LBA, no data: what was acknowledged before becomes durable */
	WEIR_NVME_WRITE = 0x01,
	WEIR_NVME_READ = 0x02,
	WEIR_NVME_COMPARE = 0x05, /**< the data is compared with what is stored */
	WEIR_NVME_WRITE_ZEROES = 0x08, /**< no data */
	WEIR_NVME_DEALLOCATE =
		0x09, /**< Dataset Management: `blocks` ranges (1 to 256) of 16 bytes at `data` */
	WEIR_NVME_VERIFY = 0x0c, /**< no data */
};

/** weir_nvme_io::flags: bits 31 to 24 of command dword 12. */
enum weir_nvme_io_flags {
	WEIR_NVME_LIMITED_RETRY = 0x80, /**< LR */
	WEIR_NVME_FUA = 0x40, /**< durable before it completes */
	WEIR_NVME_PRACT = 0x20, /**< the controller inserts or strips protection information */
	WEIR_NVME_PRCHK_GUARD = 0x10, /**< check the guard */
	WEIR_NVME_PRCHK_APP = 0x08, /**< check the application tag */
	WEIR_NVME_PRCHK_REF = 0x04, /**< check the reference tag */
	WEIR_NVME_DEAC = 0x02, /**< write zeroes: may deallocate */
};

/** One piece of an I/O's data. */
struct weir_nvme_segment {
	uint64_t iova; /**< dword aligned */
	uint32_t bytes; /**< multiple of 4, not 0 */
	uint32_t reserved; /**< zero */
};

/** One I/O. Fixed layout of 64 bytes; it is copied by submit. */
struct weir_nvme_io {
	uint8_t opcode; /**< enum weir_nvme_opcode */
	uint8_t flags; /**< enum weir_nvme_io_flags */
	/** 0: the data is one range at IOVA `data`; else `data` is the address of that many struct
	 * weir_nvme_segment. */
	uint16_t nr_segments;
	uint32_t blocks; /**< logical blocks, 1 to 65536; 0 for a flush */
	uint64_t lba; /**< first block */
	uint64_t data; /**< see nr_segments; dword aligned; 0 for commands without data */
	uint64_t metadata; /**< IOVA of separate metadata, dword aligned; 0: none */
	uint64_t cookie; /**< the caller's; comes back in weir_nvme_done */
	uint32_t ref_tag; /**< initial logical block reference tag */
	uint16_t app_tag; /**< application tag */
	uint16_t app_mask; /**< application tag mask */
	uint64_t reserved[2]; /**< must be zero */
};

/** weir_nvme_done::host: why an I/O ended without, or in spite of, the controller. 0: `status` is
 * the controller's. */
enum weir_nvme_host_status {
	WEIR_NVME_HOST_OK = 0,
	WEIR_NVME_HOST_NAMESPACE =
		1, /**< no namespace, another controller's, or one that is gone */
	WEIR_NVME_HOST_OPCODE = 2, /**< unknown, or not supported by the controller */
	WEIR_NVME_HOST_LBA = 3, /**< past the end of the namespace */
	WEIR_NVME_HOST_LENGTH =
		4, /**< no blocks, over the maximum transfer, or segments that do not add up */
	WEIR_NVME_HOST_ALIGNMENT =
		5, /**< data not dword aligned, or segments that PRPs cannot describe */
	WEIR_NVME_HOST_RESERVED = 6, /**< a reserved member is not zero */
	WEIR_NVME_HOST_RESET =
		7, /**< the controller was reset; the I/O may or may not have been done */
	WEIR_NVME_HOST_GONE =
		8, /**< the device is gone or failed; the I/O may or may not have been done */
};

/** One completed I/O. Fixed layout of 32 bytes. */
struct weir_nvme_done {
	uint64_t cookie; /**< of the I/O */
	uint64_t result; /**< completion dwords 0 and 1 */
	/** Status field without the phase (§4.2.1 figure 89): code in bits 7:0, type in 10:8, more
	 * in 13, do not retry in 14. */
	uint16_t status;
	uint16_t host; /**< enum weir_nvme_host_status */
	uint32_t reserved; /**< zero */
	uint64_t reserved2; /**< zero */
};

/** 1 when the I/O succeeded. */
static inline int weir_nvme_ok(const struct weir_nvme_done *done)
{
	return (done->status | done->host) == 0;
}

/** Status code: the lowest bits of weir_nvme_done::status. */
#define WEIR_NVME_STATUS_CODE(status) ((status)&0xffu)
/** Status code type, in weir_nvme_done::status. */
#define WEIR_NVME_STATUS_TYPE(status) ((status) >> 8 & 0x7u)
/** In weir_nvme_done::status: the error log page says more. */
#define WEIR_NVME_STATUS_MORE 0x2000u
/** In weir_nvme_done::status: do not retry. */
#define WEIR_NVME_STATUS_DNR 0x4000u

/**
 * Says in words how an I/O ended: "LBA out of range (generic 80h), do not retry".
 *
 * @param text   where to, always terminated
 * @param bytes  room in `text`
 * @return text
 */
const char *weir_nvme_status_text(const struct weir_nvme_done *done, char *text, size_t bytes);

/** How to make a queue pair. Zero means the default of each member. */
struct weir_nvme_qp_options {
	/** sizeof(struct weir_nvme_qp_options). */
	size_t size;
	/** I/Os in flight at most; 1 to WEIR_NVME_MAX_DEPTH and CAP.MQES; 0: 128, or less where the
	 * controller has less. */
	unsigned int depth;
	/** Must be zero. */
	unsigned int reserved;
};

/** Defaults. */
#define WEIR_NVME_QP_OPTIONS_INIT \
	{ \
		sizeof(struct weir_nvme_qp_options), 0, 0 \
	}

/**
 * Makes an I/O queue pair (§5.4, §5.5). Any thread may then be its owner.
 *
 * @param options  NULL for the defaults
 * @param[out] qp  end it with weir_nvme_qp_destroy(), or with the controller
 * @retval -EINVAL depth out of range; the text names the value and the limit
 * @retval -ENOSPC all queues that the controller granted are in use
 * @retval -ENOMEM no memory or no room in the arena
 * @retval -EIO, -EAGAIN, -ETIMEDOUT, -ENODEV as for weir_nvme_admin()
 */
int weir_nvme_qp_create(struct weir_nvme *nvme, const struct weir_nvme_qp_options *options,
			struct weir_nvme_qp **qp, struct weir_error *err);

/**
 * Ends a queue pair: deletes its queues and frees them. I/Os still in flight are not reported any
 * more; the owner is not inside a call. NULL is allowed.
 */
void weir_nvme_qp_destroy(struct weir_nvme_qp *qp);

/** I/Os in flight at most. */
unsigned int weir_nvme_qp_depth(const struct weir_nvme_qp *qp);

/** Id of its queues, from 1. */
unsigned int weir_nvme_qp_id(const struct weir_nvme_qp *qp);

/** I/Os taken and not yet returned by poll. Owner only. */
unsigned int weir_nvme_qp_inflight(const struct weir_nvme_qp *qp);

/**
 * Takes I/Os and rings the doorbell once. Owner only.
 *
 * A malformed I/O is taken too and comes back from the next poll with a host status; the burst goes
 *on.
 *
 * @param ns   checked once per burst
 * @param ios  n of them
 * @return how many were taken, from the front; fewer than n only when the queue is full or a reset
 *is under way. The place of an I/O that was aborted is free when the controller has answered the
 *abort and a sweep has seen it. Negative: -ENODEV, the queue is dead; none was taken. Poll until it
 *says so too.
 */
int weir_nvme_submit(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
		     const struct weir_nvme_io *ios, unsigned int n);

/**
 * The first half of submit, for callers that have I/Os one at a time: takes one I/O without
 * ringing. Owner only.
 *
 * @return 1 taken, 0 queue full or reset under way, -ENODEV dead
 */
int weir_nvme_post(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
		   const struct weir_nvme_io *io);

/** The second half: rings the doorbell for what was posted since; does nothing when nothing was.
 * Owner only. */
void weir_nvme_ring(struct weir_nvme_qp *qp);

/**
 * Returns completed I/Os. Owner only. This is also where the owner takes part in a reset, so it has
 *to be called regularly even with nothing in flight.
 *
 * @param done  room for `max`
 * @return how many were written, 0 to max; only 0 says that no more were there. Negative: -ENODEV,
 *the queue is dead, and every cookie that was taken has been returned exactly once.
 */
int weir_nvme_poll(struct weir_nvme_qp *qp, struct weir_nvme_done *done, unsigned int max);

/**
 * Looks for I/Os that have taken too long. The owner must call it, about ten times a second is
 * enough; ages are counted in sweeps' time. An I/O over weir_nvme_options::io_timeout_ms is aborted
 * (§5.1); if it, or the controller's answer to the abort, is still missing after as long again, the
 * controller is marked for reset, see WEIR_NVME_EVENT_RESET_NEEDED. Owner only.
 *
 * @param now_ns  a monotonic clock in nanoseconds
 * @return how many I/Os are over their time, or -ENODEV
 */
int weir_nvme_sweep(struct weir_nvme_qp *qp, uint64_t now_ns);

/**
 * The eventfd that is signalled when completions arrive on an armed queue pair, and when a reset or
 * the end of the controller wants its owner to poll; -1 without weir_nvme_options::interrupts, or
 * when the device has fewer vectors than queues. Owned by the queue pair.
 */
int weir_nvme_qp_fd(const struct weir_nvme_qp *qp);

/** Lets the queue pair's interrupt through. Arm, poll once more, then sleep on the descriptor.
 * Owner only. */
int weir_nvme_qp_arm(struct weir_nvme_qp *qp);

/** Keeps the queue pair's interrupt back and empties the descriptor. One that is on its way
 * meanwhile may still signal it: the owner then finds nothing to poll. Owner only. */
int weir_nvme_qp_disarm(struct weir_nvme_qp *qp);

/** A submission queue entry as the controller reads it (§4.2), in host byte order. The driver fills
 * cid and the data pointer. */
struct weir_nvme_command {
	uint8_t opcode; /**< admin or I/O opcode */
	uint8_t flags; /**< must be zero */
	uint16_t cid; /**< filled in */
	uint32_t nsid; /**< namespace id */
	uint32_t cdw2; /**< dword 2 */
	uint32_t cdw3; /**< dword 3 */
	uint64_t metadata; /**< metadata pointer */
	uint64_t prp1; /**< filled in */
	uint64_t prp2; /**< filled in */
	uint32_t cdw10; /**< dword 10 */
	uint32_t cdw11; /**< dword 11 */
	uint32_t cdw12; /**< dword 12 */
	uint32_t cdw13; /**< dword 13 */
	uint32_t cdw14; /**< dword 14 */
	uint32_t cdw15; /**< dword 15 */
};

/** Direction of an admin command's data. */
enum weir_nvme_direction {
	WEIR_NVME_NO_DATA = 0,
	WEIR_NVME_TO_DEVICE = 1,
	WEIR_NVME_FROM_DEVICE = 2,
};

/**
 * Runs an admin command and waits for it. Data is copied through the driver's own memory.
 *
 * @param command  opcode, nsid and dwords; not changed
 * @param data     `bytes` bytes; at most 128 KiB and the controller's maximum transfer
 * @param[out] result  completion dword 0; may be NULL
 * @retval -EINVAL bytes over the limit, flags not zero, or a command that the driver owns (create
 *and delete queue, asynchronous event request, doorbell buffer config)
 * @retval -EIO the controller failed it; the text has its status
 * @retval -ETIMEDOUT not answered in weir_nvme_options::admin_timeout_ms; a reset is needed
 * @retval -EAGAIN a reset is under way
 * @retval -ENODEV the device is gone
 */
int weir_nvme_admin(struct weir_nvme *nvme, const struct weir_nvme_command *command, void *data,
		    size_t bytes, enum weir_nvme_direction direction, uint32_t *result,
		    struct weir_error *err);

/**
 * Reads a log page (§5.16).
 *
 * @param lid     log page identifier
 * @param offset  in bytes, a multiple of 4
 * @param bytes   a multiple of 4, at most 128 KiB
 * and the errors of weir_nvme_admin()
 */
int weir_nvme_log_page(struct weir_nvme *nvme, uint32_t nsid, uint8_t lid, uint64_t offset,
		       void *data, size_t bytes, struct weir_error *err);

/** What weir_nvme_events() reports. */
enum weir_nvme_event_type {
	WEIR_NVME_EVENT_ASYNC =
		1, /**< the controller reports something: `info` is completion dword 0 (§5.2) */
	WEIR_NVME_EVENT_NAMESPACES = 2, /**< the namespaces changed and were identified anew */
	WEIR_NVME_EVENT_RESET_NEEDED =
		3, /**< it does not answer or is in a fatal state: call weir_nvme_reset() */
	WEIR_NVME_EVENT_REMOVE_REQUEST = 4, /**< somebody wants the device back */
	WEIR_NVME_EVENT_GONE = 5, /**< the device is lost; queue pairs return what they took and
				     then say -ENODEV */
	WEIR_NVME_EVENT_MAPPING_DEAD = 6, /**< memory was revoked, see weir_mapping_state() */
};

/** An event of a controller. */
struct weir_nvme_event {
	uint32_t type; /**< enum weir_nvme_event_type */
	uint32_t info; /**< see the type */
};

/**
 * Takes what has happened to the controller and its device, and serves the device's transport. Some
 * thread has to call it about ten times a second, and may sleep on weir_device_event_fd()
 * meanwhile, which tells at once of a server that died; what the controller says is found by the
 * calls alone. Does not block, except for the admin commands that follow an event: reading its log
 * page, identifying namespaces that changed. The controller owns weir_device_events() of its
 * device: nobody else calls it.
 *
 * @return how many events were written, at most `max`
 */
int weir_nvme_events(struct weir_nvme *nvme, struct weir_nvme_event *events, unsigned int max);

/** Why the controller failed, for WEIR_NVME_EVENT_RESET_NEEDED and _GONE; `err->code` is 0 when it
 * has not. */
void weir_nvme_failure(const struct weir_nvme *nvme, struct weir_error *err);

/**
 * Resets the controller: begin, wait for every owner, finish. Owners take part by calling poll in
 * their own threads; a thread that owns queue pairs itself uses the two halves. A reset that was
 * begun before is gone on with.
 *
 * @retval -ETIMEDOUT an owner did not poll within `timeout_ms`, the text names its queue: call it
 * again
 * and the errors of the halves, after which the device is gone
 */
int weir_nvme_reset(struct weir_nvme *nvme, unsigned int timeout_ms, struct weir_error *err);

/**
 * Stops the controller (CC.EN, then a function reset if it does not stop) and tells the owners.
 * From now on submit takes nothing, and poll returns what was in flight with WEIR_NVME_HOST_RESET.
 *
 * @retval -EALREADY a reset is under way
 * @retval -EIO it did not stop within CAP.TO, by a function reset neither; the device is gone
 * @retval -ENODEV the device is gone
 */
int weir_nvme_reset_begin(struct weir_nvme *nvme, struct weir_error *err);

/**
 * Brings the controller up again once every owner has returned its I/Os, and makes the queues anew.
 *
 * @retval -EAGAIN an owner still has to poll; the text names its queue
 * @retval -EINVAL weir_nvme_reset_begin() was not called
 * @retval -EIO it did not become ready within CAP.TO, did not answer or failed an admin command, or
 * grants fewer queues than are in use; the text says which; the device is gone
 * @retval -EPROTO the controller says something impossible; the device is gone
 * @retval -ENODEV the device is gone
 */
int weir_nvme_reset_finish(struct weir_nvme *nvme, struct weir_error *err);

/**
 * The controller memory buffer (§8.5), enabled on first use: device memory that this and, through
 * its dma-buf, other devices can use for data. With weir_nvme_options::cmb_queues the first half
 * of it is kept for queues, and this is the second.
 *
 * @param[out] bar     the BAR it lies in
 * @param[out] offset  where in the BAR
 * @param[out] bytes   how large
 * @retval -ENOENT the controller has none for data
 */
int weir_nvme_cmb(struct weir_nvme *nvme, unsigned int *bar, uint64_t *offset, uint64_t *bytes,
		  struct weir_error *err);

/**
 * Reads into any memory and waits. Any length and number of blocks; split at the controller's
 * limits and boundaries. May be called from any thread; calls are serialised on a queue pair of the
 * controller's own, made at the first.
 *
 * @param lba    first block
 * @param data   `bytes` bytes; copied through the arena unless it lies in it
 * @param bytes  a multiple of the block size
 * @retval -EINVAL unknown namespace, unaligned size, or past the end; the text names the value and
 * the limit
 * @retval -EIO the controller failed it; the text has its status
 * @retval -EOPNOTSUPP the namespace has metadata
 * @retval -ENOSPC, -ENOMEM no queue left for it, or no room in the arena
 * @retval -EAGAIN a reset is under way
 * @retval -ETIMEDOUT it was not completed, nor aborted. When no other queue pair is there the
 * controller was reset; else somebody has to, and if nobody does so for as long as the time-out the
 * controller is failed for all
 * @retval -ENODEV the device is gone
 */
int weir_nvme_read(struct weir_nvme *nvme, uint32_t nsid, uint64_t lba, void *data, size_t bytes,
		   struct weir_error *err);

/** Writes from any memory and waits. Parameters and errors are those of weir_nvme_read(). */
int weir_nvme_write(struct weir_nvme *nvme, uint32_t nsid, uint64_t lba, const void *data,
		    size_t bytes, struct weir_error *err);

/** Makes everything that was written and acknowledged durable. Errors as weir_nvme_read(). */
int weir_nvme_flush(struct weir_nvme *nvme, uint32_t nsid, struct weir_error *err);

/** Counters of one queue pair, since it was made. Owner only. */
struct weir_nvme_qp_stats {
	uint64_t submitted; /**< I/Os taken */
	uint64_t completed; /**< I/Os returned */
	uint64_t host_failed; /**< of those, with a host status */
	uint64_t aborts; /**< Abort commands sent for it */
};

/** Fills `stats`. */
void weir_nvme_qp_stats(const struct weir_nvme_qp *qp, struct weir_nvme_qp_stats *stats);

/**
 * Adds the controller and its queue pairs to a state. Owners have stopped calling; I/Os may be in
 * flight.
 *
 * @retval -EBUSY a reset or an admin command is under way
 * @retval -E2BIG the state is full
 * @retval -ENODEV the device is gone
 */
int weir_nvme_save(struct weir_nvme *nvme, struct weir_state *state, struct weir_error *err);

/**
 * Makes the next record of a state a controller again, without telling it. I/Os that were in flight
 * are returned by poll.
 *
 * @param dev    the adopted device
 * @param arena  the adopted arena with its queues
 * @retval -EINVAL no such record, or a damaged one: every index and offset is checked
 * @retval -EPROTONOSUPPORT saved by a version that this one does not know
 */
int weir_nvme_adopt(struct weir_state *state, struct weir_device *dev, struct weir_arena *arena,
		    const struct weir_nvme_options *options, struct weir_nvme **nvme,
		    struct weir_error *err);

/** The queue pair with an id, or NULL. For a process that adopted the controller. */
struct weir_nvme_qp *weir_nvme_qp_by_id(struct weir_nvme *nvme, unsigned int id);

/** Ends the handle and leaves the controller running for a successor. */
void weir_nvme_abandon(struct weir_nvme *nvme);

#ifdef __cplusplus
}
#endif

#endif
