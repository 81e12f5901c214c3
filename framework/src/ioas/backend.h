/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an IOAS asks of a transport: the seam between the list of mappings and whatever translates
 * for devices.
 *
 * A backend is one translation: a vfio-user connection is one for its single device; a type1
 * container or an iommufd IOAS is one for all devices that share it, so it attaches with the first
 * of them and detaches after the last.
 */
#ifndef WEIR_IOAS_BACKEND_H
#define WEIR_IOAS_BACKEND_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/ioas.h>

#define IOAS_MAX_RANGES 16

/* Addresses first to last, both included. */
struct ioas_range {
	uint64_t first;
	uint64_t last;
};

/* What a backend can take. */
struct ioas_limits {
	struct ioas_range ranges[IOAS_MAX_RANGES]; /* ascending, apart; a mapping lies in one */
	unsigned int nr_ranges;
	uint64_t
		page_bytes; /* power of two, at least 4096: IOVA, length and offset are multiples */
	uint64_t max_mappings;
	bool needs_fd; /* memory is mapped by a file descriptor, which is given to somebody else */
};

/* Memory to be mapped. The descriptor is lent for the call. */
struct ioas_memory {
	uint64_t iova;
	uint64_t bytes;
	uint32_t prot; /* enum weir_prot */
	int fd; /* -1: none */
	uint64_t offset; /* in fd */
	void *addr; /* where it is in this process, or NULL */
	bool device; /* the memory of a device: a dma-buf, or a BAR of fd, which is the device's */
};

struct ioas_backend_ops {
	/* For messages: "vfio-user". */
	const char *name;

	/*
	 * Says what the backend can take. Called when it attaches, and by ioas_limits_changed().
	 * Guarantees: never fails; the answer stays true until the next call.
	 */
	void (*limits)(const void *backend, struct ioas_limits *limits);

	/*
	 * Maps memory that is within the limits and overlaps nothing mapped before.
	 * Guarantees: when it returns 0 devices can reach all of it; otherwise none of it, or the
	 * backend is dead.
	 */
	int (*map)(void *backend, const struct ioas_memory *memory, struct weir_error *err);

	/*
	 * Unmaps exactly what one map() mapped.
	 * Guarantees: when it returns devices do not reach the range any more, or the backend is
	 * dead and disconnected. With 0, *unmapped is the number of bytes that it says it unmapped.
	 */
	int (*unmap)(void *backend, uint64_t iova, uint64_t bytes, uint64_t *unmapped,
		     struct weir_error *err);

	/*
	 * Whether the backend is lost. It is not called again then.
	 * Guarantees: once true it stays true; takes no lock.
	 */
	bool (*dead)(const void *backend);

	/*
	 * A mapping was revoked: the backend's devices have an event to report, which they get from
	 * ioas_take_dead().
	 * Guarantees: does not block and calls nothing of the IOAS.
	 */
	void (*mapping_died)(void *backend);
};

struct ioas_attachment;

/*
 * Attaches a backend and replays all mappings to it; all or nothing. An adopted one knows them
 * already. The errors are those of weir_ioas_map_arena(). The attachment is ended by ioas_detach(),
 * also when the IOAS stopped using it because it died.
 */
int ioas_attach(struct weir_ioas *ioas, const struct ioas_backend_ops *ops, void *backend,
		bool adopted, struct ioas_attachment **attachment, struct weir_error *err);

/* Asks the backend for its limits anew: a device more shares it. Mappings that are there stay. */
void ioas_limits_changed(struct ioas_attachment *attachment);

/* Ends an attachment without unmapping. After it returns the IOAS does not call the backend. NULL
 * is allowed. */
void ioas_detach(struct ioas_attachment *attachment);

/*
 * Serves a device that reads or writes memory by message. The range must lie in one mapping whose
 * protection allows it: -EFAULT otherwise, also when the memory was revoked or cannot be reached
 * from this process. May be called inside a backend's map() and unmap().
 */
int ioas_access(struct weir_ioas *ioas, uint64_t iova, void *data, uint64_t bytes, bool write);

/* First addresses of mappings that died and were not yet taken through this attachment; returns how
 * many. */
unsigned int ioas_take_dead(struct ioas_attachment *attachment, uint64_t *iovas, unsigned int max);

/* How many mappings have died so far: where a device that shares an attachment begins to count. */
uint64_t ioas_deaths(struct weir_ioas *ioas);
/* The same as ioas_take_dead() for such a device, which keeps count of what it took. */
unsigned int ioas_take_dead_since(struct weir_ioas *ioas, uint64_t *taken, uint64_t *iovas,
				  unsigned int max);

/* Translations that all devices of a transport in an IOAS share. */
enum ioas_shared_kind {
	IOAS_SHARED_TYPE1,
	IOAS_SHARED_IOMMUFD,
	IOAS_NR_SHARED,
};

/*
 * Where such a transport keeps its translation. The transport alone uses it. The lock is held while
 * devices join and leave, and is taken before all locks of the IOAS.
 */
struct ioas_shared {
	pthread_mutex_t lock;
	void *object; /* NULL: no device has joined */
};

struct ioas_shared *ioas_shared(struct weir_ioas *ioas, enum ioas_shared_kind kind);

#endif
