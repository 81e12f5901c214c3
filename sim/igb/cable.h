/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cables: what a controller sees of where its frames go and where they come from.
 *
 * Each end has a packet buffer for the frames that arrive there: a ring of bytes with one producer
 * (the other controller's thread, or this one's for a TAP device) and one consumer, the controller.
 * A frame lies in one piece, so that it can be written in place and looked at in place. Positions
 * only grow; each side publishes its own with a release and reads the other's with an acquire, and
 * keeps a copy of what it read last, so that the line is fetched only when the copy does not do.
 */
#ifndef WEIR_SIM_IGB_CABLE_H
#define WEIR_SIM_IGB_CABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"
#include "igb/sim_igb.h"

#define CABLE_BUFFER_BYTES (256u << 10)
#define CABLE_MAX_FRAME 16384u /* more than any controller takes */

/* What is wrong with a frame on the wire. */
#define CABLE_BAD_FCS 1u

struct cable_frame {
	uint8_t *data; /* without the FCS, for which there is room behind it */
	uint32_t bytes;
	uint32_t flags;
};

struct cable_buffer {
	struct {
		_Atomic uint64_t position;
		uint64_t consumer; /* what its position was */
		uint32_t skip; /* in front of the room at hand */
		_Atomic uint64_t missed, missed_octets; /* frames that there was no room for */
	} producer __attribute__((aligned(WEIR_CACHE_PAIR)));
	struct {
		_Atomic uint64_t position;
		uint64_t producer; /* what its position was */
		atomic_bool listens; /* frames are wanted at all */
		atomic_bool starved; /* the first one waits for descriptors */
	} consumer __attribute__((aligned(WEIR_CACHE_PAIR)));
	uint8_t bytes[CABLE_BUFFER_BYTES] __attribute__((aligned(WEIR_CACHE_PAIR)));
};

struct cable_ops {
	/* Where a frame of that length, at most CABLE_MAX_FRAME, can be put. NULL: there is no room
	 * now, and the frame has to wait. */
	uint8_t *(*room)(struct sim_cable *cable, uint32_t bytes);
	/* What lies in the last room is sent. */
	void (*send)(struct sim_cable *cable, uint32_t bytes, uint32_t flags);
	/* Moves what has arrived into the buffer. Returns how many frames. NULL: they come by
	 * themselves. */
	unsigned int (*fetch)(struct sim_cable *cable);
	/* Whether there is a signal at this end. NULL: always. */
	bool (*signal)(struct sim_cable *cable);
	void (*destroy)(struct sim_cable *cable);
};

struct sim_cable {
	const struct cable_ops *ops;
	struct cable_buffer *buffer; /* of this end */
	struct weir_log log; /* its controller's */
	atomic_bool unplugged; /* by this end's controller */
};

/* Memory for a buffer, empty. NULL: there is none. Freed with free(). */
struct cable_buffer *cable_buffer_create(void);

/* Producer: where a frame of at most that length can be put, or NULL. Nothing is taken before
 * cable_buffer_add(), which says how long it became. */
uint8_t *cable_buffer_room(struct cable_buffer *buffer, uint32_t bytes);
void cable_buffer_add(struct cable_buffer *buffer, uint32_t bytes, uint32_t flags);

/* Producer: there is no room. Whether the frame is missed; false: the consumer only needs a turn.
 */
bool cable_buffer_misses(const struct cable_buffer *buffer, bool lossless);
/* Producer: counts a frame that is missed, of so many bytes without the FCS. */
void cable_buffer_miss(struct cable_buffer *buffer, uint32_t bytes);

/* Consumer: the first frame, which stays until cable_buffer_drop(). false: there is none. */
bool cable_buffer_first(struct cable_buffer *buffer, struct cable_frame *frame);
void cable_buffer_drop(struct cable_buffer *buffer, const struct cable_frame *frame);
/* Drops all. */
void cable_buffer_clear(struct cable_buffer *buffer);

#endif
