/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file ioas.h
 * An I/O address space: what devices may reach, and at which address.
 *
 * An IOAS is a list of mappings. It replays the list to every device that attaches later and hands
 * every new mapping to all devices attached now, so set-up may happen in any order. Devices of
 * different transports may share one.
 *
 * A map is all or nothing over the attached devices. An unmap returns after every attached device
 * has acknowledged it; it is legal only when no I/O is outstanding on the range.
 *
 * While a call waits for a vfio-user server's answer about one device, it serves what the server
 * reads and writes by message for that device, and for no other. A server that has several devices
 * in one thread, and asks there for memory by message, can so wait for the client, which waits for
 * it, until weir_device_options::timeout_ms disconnects the device that was asked about. Such a
 * server needs a thread for each device, or has to map the memory that it is given; those of
 * `weir sim` do.
 *
 * All calls may be made from any thread.
 */
#ifndef WEIR_IOAS_H
#define WEIR_IOAS_H

#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>
#include <weir/log.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_ioas;
struct weir_mapping;

/** First IOVA of the range from which mappings without an address of their own get one: 2^38. */
#define WEIR_IOVA_WINDOW_BASE (UINT64_C(1) << 38)
/** The end of that range: 2^39. */
#define WEIR_IOVA_WINDOW_END (UINT64_C(1) << 39)

/** What devices may do with a mapping. */
enum weir_prot {
	WEIR_PROT_READ = 1, /**< devices read it */
	WEIR_PROT_WRITE = 2, /**< devices write it */
	WEIR_PROT_RW = 3,
};

/** What a mapping is good for now. */
enum weir_mapping_state {
	WEIR_MAPPING_LIVE = 0, /**< devices can reach it */
	WEIR_MAPPING_DEAD = 1, /**< the exporter took its memory back; unmap it and map it anew */
};

/** How to make an IOAS. */
struct weir_ioas_options {
	/** sizeof(struct weir_ioas_options). */
	size_t size;
	/** Addresses at or above 2^iova_bits are refused; 32 to 64; 0: 39. */
	unsigned int iova_bits;
	/** Must be zero. */
	unsigned int reserved;
	/** Where its messages go. */
	struct weir_log log;
};

/** Defaults: 39 bits, silent. */
#define WEIR_IOAS_OPTIONS_INIT \
	{ \
		sizeof(struct weir_ioas_options), 0, 0, \
		{ \
			NULL, NULL, WEIR_LOG_WARN \
		} \
	}

/**
 * Makes an empty IOAS.
 *
 * @param options    NULL for the defaults
 * @param[out] ioas  owned by the caller; end it with weir_ioas_destroy()
 * @retval -EINVAL iova_bits out of range or a wrong size
 * @retval -ENOMEM no memory
 */
int weir_ioas_create(const struct weir_ioas_options *options, struct weir_ioas **ioas,
		     struct weir_error *err);

/**
 * Ends an IOAS and the mappings that are left in it. NULL is allowed.
 *
 * @retval -EBUSY a device is still attached; nothing was done
 */
int weir_ioas_destroy(struct weir_ioas *ioas);

/**
 * Maps an arena, read and write, at the arena's own IOVA.
 *
 * @param[out] mapping  owned by the IOAS until weir_ioas_unmap(); the arena must outlive it
 * @retval -EEXIST something is mapped there; the text names both ranges
 * @retval -ERANGE beyond iova_bits or outside what an attached device can address; the text names
 * both
 * @retval -ENOSPC an attached device has no room for one more mapping, or (where the IOAS chooses
 * the address) no free range is left that all of them can reach
 * @retval -EIO an attached vfio-user server refused
 * @retval -ENOMEM no memory, or RLIMIT_MEMLOCK: the text says how much was needed and allowed
 * @retval -ENODEV an attached device is gone
 * @retval -ETIMEDOUT an attached vfio-user server did not answer; it was disconnected
 */
int weir_ioas_map_arena(struct weir_ioas *ioas, const struct weir_arena *arena,
			struct weir_mapping **mapping, struct weir_error *err);

/**
 * Maps the caller's own memory, which has no file descriptor, at an IOVA of the IOAS's choice.
 *
 * @param addr   page aligned; stays mapped and in place until the unmap
 * @param bytes  a multiple of 4 KiB
 * @retval -EINVAL not page aligned, zero bytes, or an unknown protection
 * @retval -EOPNOTSUPP an attached device is behind vfio-user, which needs a file descriptor
 * and the errors of weir_ioas_map_arena()
 */
int weir_ioas_map_user(struct weir_ioas *ioas, void *addr, uint64_t bytes, enum weir_prot prot,
		       struct weir_mapping **mapping, struct weir_error *err);

/**
 * Maps part of a file (a memfd or a hugetlbfs file) at an IOVA of the IOAS's choice.
 *
 * The IOAS keeps a duplicate of `fd` and a mapping of the range of its own, with which it answers a
 * vfio-user server that asks for the memory by message. A file that is cut off under it does no
 * harm when the fault guard (fault_guard.h) is on: the mapping is then WEIR_MAPPING_DEAD.
 *
 * A vfio-user server is given a descriptor of the file, and with it all of the file, not the range
 * alone. For WEIR_PROT_READ it is one that is open for reading only, unless the file cannot be
 * opened anew (it is no regular file, or its permissions do not let this process read it): then it
 * is as `fd` is. A server that may open the file by itself can write to it all the same, a memfd of
 * its own user for one: seal what must not change (F_SEAL_FUTURE_WRITE).
 *
 * @param fd      readable; writable too for WEIR_PROT_WRITE
 * @param offset  multiple of 4 KiB
 * @param bytes   multiple of 4 KiB
 * @retval -EINVAL unaligned or zero, an unknown protection, or past the end of the file
 * @retval -EBADF, -EACCES the descriptor is not open as needed
 * and the errors of weir_ioas_map_arena()
 */
int weir_ioas_map_fd(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t bytes,
		     enum weir_prot prot, struct weir_mapping **mapping, struct weir_error *err);

/**
 * Maps device memory that weir_dmabuf_export(), another process or a GPU driver exported (see
 * p2p.h).
 *
 * Parameters and errors are those of weir_ioas_map_fd(), and -EOPNOTSUPP when an attached device
 * cannot be given that memory; the text says why and what to do. The memory may be revoked by its
 * exporter: the mapping is then WEIR_MAPPING_DEAD, and a WEIR_EVENT_MAPPING_DEAD is reported by
 * each attached device.
 */
int weir_ioas_map_dmabuf(struct weir_ioas *ioas, int fd, uint64_t offset, uint64_t bytes,
			 enum weir_prot prot, struct weir_mapping **mapping,
			 struct weir_error *err);

/**
 * Unmaps. Returns after every attached device has acknowledged; one that does not is disconnected
 * first and reports WEIR_EVENT_GONE. The mapping is gone afterwards whatever the result. NULL is
 * allowed.
 *
 * @retval -EIO a device says that it unmapped fewer bytes than were mapped
 */
int weir_ioas_unmap(struct weir_ioas *ioas, struct weir_mapping *mapping, struct weir_error *err);

/**
 * IOVA of `ptr`, which lies in the mapping: one addition, not checked. For mappings made of a file
 * descriptor `ptr` is an offset into the mapping, cast to a pointer.
 */
uint64_t weir_mapping_iova(const struct weir_mapping *mapping, const void *ptr);

/** Bytes of the mapping. */
uint64_t weir_mapping_bytes(const struct weir_mapping *mapping);

/** Whether devices can still reach it. */
enum weir_mapping_state weir_mapping_state(const struct weir_mapping *mapping);

/** One row of weir_ioas_list(). */
struct weir_mapping_info {
	uint64_t iova; /**< first address */
	uint64_t bytes; /**< length */
	uint32_t prot; /**< enum weir_prot */
	uint32_t state; /**< enum weir_mapping_state */
	char kind[8]; /**< "arena", "user", "fd" or "dmabuf" */
};

/**
 * Lists the mappings in the order of their addresses.
 *
 * @return how many there are; at most `max` were written to `info`
 */
unsigned int weir_ioas_list(struct weir_ioas *ioas, struct weir_mapping_info *info,
			    unsigned int max);

/**
 * Adds the IOAS and its mappings to a state.
 *
 * @retval -E2BIG the state is full
 * @retval -EOPNOTSUPP a mapping has no file descriptor (weir_ioas_map_user())
 */
int weir_ioas_save(struct weir_ioas *ioas, struct weir_state *state, struct weir_error *err);

/**
 * Makes the next record of a state an IOAS again. Devices adopted into it are not told of the
 * mappings: they know them.
 *
 * @param arenas     the adopted arenas that the saved mappings refer to, in any order
 * @param nr_arenas  how many
 * @retval -EINVAL no such record, a damaged one, or an arena that is missing
 */
int weir_ioas_adopt(struct weir_state *state, struct weir_arena *const *arenas,
		    unsigned int nr_arenas, const struct weir_log *log, struct weir_ioas **ioas,
		    struct weir_error *err);

/** The mapping of an arena, or NULL when the arena is not mapped. For a process that adopted the
 * IOAS. */
struct weir_mapping *weir_ioas_find_arena(struct weir_ioas *ioas, const struct weir_arena *arena);

/** Ends the handle and leaves every attached device's mappings as they are, for a successor.
 * Devices were abandoned before. */
void weir_ioas_abandon(struct weir_ioas *ioas);

#ifdef __cplusplus
}
#endif

#endif
