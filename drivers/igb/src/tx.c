/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transmitting: the burst calls of a queue's owner.
 *
 * Plain packets of one frame are taken in runs that do not wrap: a descriptor is two stores, a
 * cookie one. The last descriptor of a call asks for a report (RS, §7.2.2.3.4), and when that comes
 * all of the call is done: descriptors are executed in order, so one look tells of a whole burst.
 * The tail is written once per call. Packets of several frames and those that want more than to be
 * sent are for take_packet().
 *
 * Memory ordering: descriptors before the tail (weir_dma_wmb). Of what the device writes back, one
 * bit is looked at.
 */
#include <string.h>

#include "igb.h"

#if defined(__GNUC__) && !defined(__clang__)
/* Pairs of 64-bit stores are cheaper as they are than packed into vector registers first. */
#pragma GCC optimize("no-tree-slp-vectorize")
#endif

#define PREFETCH_AHEAD 16 /* descriptors: four lines */

/* What each descriptor of a packet has, and its last one. */
#define DATA (IGB_TXD_DATA | IGB_TXD_DEXT | IGB_TXD_IFCS)
#define LAST_DATA (DATA | IGB_TXD_EOP)

static inline uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t advanced(const struct igb_txq *q, uint32_t at, uint32_t by)
{
	at += by;
	return at == q->entries ? 0 : at;
}

static inline void set_descriptor(igb_pair *desc, uint64_t first, uint64_t second)
{
	((uint64_t *)desc)[0] = first;
	((uint64_t *)desc)[1] = second;
}

/* Fills a descriptor with a plain packet of one frame; false when it is any other. `lengths`: how
 * many a packet may have, from the least on. */
static __attribute__((always_inline)) inline bool put_one(igb_pair *desc, uint64_t *cookie,
							  const struct weir_frame *frame,
							  uint64_t lengths, uint64_t *bytes)
{
	/* len, and above it flags, which are 0: one comparison checks both */
	uint64_t len = *(const uint64_t *)&frame->len;

	if (unlikely(len - IGB_MIN_PACKET >= lengths))
		return false;
	set_descriptor(desc, frame->iova, (len << IGB_TXD_PAYLEN) + len + LAST_DATA);
	*cookie = frame->cookie;
	*bytes += len;
	return true;
}

/* Fills consecutive descriptors with up to n plain packets of one frame; ends before any other. */
static __attribute__((always_inline)) inline uint32_t put_run(igb_pair *ring, uint64_t *cookies,
							      const struct weir_frame *frames,
							      uint32_t n, uint64_t lengths,
							      uint64_t *bytes)
{
	const struct weir_frame *begin = frames, *fours = frames + (n & ~3u), *end = frames + n;

	for (; frames != fours; ring += 4, cookies += 4, frames += 4) {
		weir_prefetch_write(&ring[PREFETCH_AHEAD]);
#pragma GCC unroll 4
		for (int k = 0; k < 4; k++) {
			if (!put_one(&ring[k], &cookies[k], &frames[k], lengths, bytes))
				return (uint32_t)(frames + k - begin);
		}
	}
	while (frames < end && put_one(ring, cookies, frames, lengths, bytes))
		ring++, cookies++, frames++;
	return (uint32_t)(frames - begin);
}

static void add_descriptor(struct igb_txq *q, uint64_t first, uint64_t second)
{
	set_descriptor(&q->ring[q->tail], first, second);
	q->tail = advanced(q, q->tail, 1);
	q->room--;
}

static int refuse(struct igb_txq *q, const struct weir_frame *frames, unsigned int n)
{
	if (n > q->entries - q->nr_refused)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		q->refused[q->nr_refused++] = frames[i].cookie;
	q->nr_malformed += n;
	return (int)n;
}

/* Flags of a frame itself; all others in its packet's first frame are the packet's. */
#define FRAME_FLAGS (WEIR_FRAME_MORE | WEIR_FRAME_DEVICE)

/* What the frames of a packet are together. */
struct packet {
	uint32_t frames;
	uint32_t flags; /* the packet's own */
	uint64_t bytes;
	bool malformed;
};

/* The packet that begins with the first frame. 0: it does not end within `max`; -EINVAL: it has
 * more frames than any may. */
static inline int look_at_packet(const struct igb_txq *q, const struct weir_frame *frames,
				 unsigned int max, struct packet *packet)
{
	uint32_t n = 0, others = 0;
	uint64_t bytes = 0;
	bool bad = false;

	do {
		if (n == q->max_frames)
			return -EINVAL;
		if (n == max)
			return 0;
		bad |= frames[n].len - 1 >= IGB_MAX_FRAME;
		others |= n ? frames[n].flags : 0;
		bytes += frames[n].len;
	} while (frames[n++].flags & WEIR_FRAME_MORE);
	*packet = (struct packet){ .frames = n,
				   .flags = frames[0].flags & ~(uint32_t)FRAME_FLAGS,
				   .bytes = bytes,
				   .malformed = bad || (others & ~(uint32_t)FRAME_FLAGS) };
	return (int)n;
}

/* What is to be done with a packet. Most are to be treated as the one before: what that one wanted
 * is kept, with what it was worked out from. false: it cannot be done. */
static inline bool find_offload(struct igb_txq *q, const struct weir_frame *first,
				const struct packet *packet)
{
	const uint64_t rest = *(const uint64_t *)&first->vlan; /* and mss, and headers */
	struct igb_offload *last = &q->offload;
	uint32_t max_packet = atomic_load_explicit(&q->common.nic->max_packet,
						   memory_order_relaxed);

	if (packet->flags != last->flags || (packet->flags && rest != last->rest)) {
		if (!igb_offload(first, packet->flags, last))
			return false;
		last->flags = packet->flags;
		last->rest = rest;
	}
	if (packet->flags & WEIR_FRAME_TSO)
		return packet->bytes > last->headers && last->more <= max_packet &&
		       packet->bytes - last->headers <= IGB_MAX_TSO;
	return packet->bytes >= last->headers && packet->bytes + last->more <= max_packet;
}

/* Takes one packet of any kind. Returns its frames; 0: it does not end, or there is no room. */
static __attribute__((noinline)) int take_packet(struct igb_txq *q, const struct weir_frame *frames,
						 unsigned int max)
{
	const struct igb_offload *offload = &q->offload;
	struct packet packet;
	uint64_t second;
	bool context;
	int n = look_at_packet(q, frames, max, &packet);

	if (n <= 0)
		return n;
	if (packet.malformed || !find_offload(q, frames, &packet))
		return refuse(q, frames, (unsigned int)n);
	context = offload->context[1] &&
		  (offload->context[0] != q->context[0] || offload->context[1] != q->context[1]);
	if ((uint32_t)n + context > q->room)
		return 0;
	if (context) {
		q->is_context[q->tail] = 1;
		q->nr_contexts++;
		add_descriptor(q, offload->context[0], offload->context[1]);
		memcpy(q->context, offload->context, sizeof(q->context));
	}
	second = DATA | offload->command |
		 (packet.bytes - (packet.flags & WEIR_FRAME_TSO ? offload->headers : 0))
			 << IGB_TXD_PAYLEN;
	for (int i = 0; i < n - 1; i++) {
		q->cookies[q->tail] = frames[i].cookie;
		add_descriptor(q, frames[i].iova, second | frames[i].len);
	}
	q->cookies[q->tail] = frames[n - 1].cookie;
	add_descriptor(q, frames[n - 1].iova, second | frames[n - 1].len | IGB_TXD_EOP);
	q->bytes += packet.bytes;
	q->frames += (unsigned int)n;
	return n;
}

static __attribute__((noinline, cold)) void write_tail_slow(struct igb_txq *q)
{
	/* A device that is gone is found out by the next call of the control side. */
	weir_device_write32(q->common.nic->dev, 0, IGB_TX_QUEUE(q->common.index) + IGB_TAIL,
			    q->tail);
}

/* The last step of a call that filled descriptors: asks for a report on all of it, and tells the
 * device. */
static inline void commit(struct igb_txq *q)
{
	uint32_t last = (q->tail ? q->tail : q->entries) - 1;

	((uint64_t *)&q->ring[last])[1] |= IGB_TXD_RS;
	q->reports[q->report_tail] = last;
	q->report_tail = advanced(q, q->report_tail, 1);
	weir_dma_wmb();
	if (unlikely(!q->tail_register))
		write_tail_slow(q);
	else
		weir_mmio_write32(q->tail_register, q->tail);
}

/* Plain packets, as many as lie in a row. Returns how many. */
static __attribute__((always_inline)) inline uint32_t put_plain(struct igb_txq *q,
								const struct weir_frame *frames,
								uint32_t n)
{
	uint32_t to_end = q->entries - q->tail;
	uint32_t max_packet = atomic_load_explicit(&q->common.nic->max_packet,
						   memory_order_relaxed);
	uint32_t got = put_run(q->ring + q->tail, q->cookies + q->tail, frames,
			       min32(min32(n, q->room), to_end), max_packet - IGB_MIN_PACKET + 1,
			       &q->bytes);

	q->tail = got == to_end ? 0 : q->tail + got;
	q->room -= got;
	q->frames += got;
	return got;
}

/* Takes what is left after `done` frames: behind the end of the ring, or packets of other kinds. */
static __attribute__((noinline)) int tx_rest(struct igb_txq *q, const struct weir_frame *frames,
					     uint32_t done, uint32_t n)
{
	uint32_t room = q->room + done;
	int rc = 0;

	while (done < n) {
		uint32_t got = frames[done].flags ? 0 : put_plain(q, frames + done, n - done);

		done += got;
		if (got)
			continue;
		rc = take_packet(q, frames + done, n - done);
		if (rc <= 0)
			break;
		done += (uint32_t)rc;
	}
	if (q->room != room)
		commit(q);
	return done ? (int)done : rc;
}

int igb_tx(struct weir_nic_txq *txq, const struct weir_frame *frames, unsigned int n)
{
	struct igb_txq *q = (struct igb_txq *)txq;
	uint32_t got = put_plain(q, frames, n);

	if (unlikely(got != n || !n))
		return tx_rest(q, frames, got, n);
	commit(q);
	return (int)n;
}

/* Whether the device has reported what it was told to report next. */
static inline bool is_reported(const struct igb_txq *q)
{
	const volatile uint64_t *desc =
		(const volatile uint64_t *)&q->ring[q->reports[q->report_head]];

	return q->report_head != q->report_tail && (desc[1] & IGB_TXD_DD);
}

/* Takes the report that is there. What it covers is done. */
static inline void take_report(struct igb_txq *q)
{
	uint32_t last = q->reports[q->report_head];

	q->ready = last + 1 - q->head;
	if (last < q->head)
		q->ready += q->entries;
	q->report_head = advanced(q, q->report_head, 1);
}

/* Returns n cookies that lie in a row. */
static inline void copy_cookies(uint64_t *to, const uint64_t *from, uint32_t n)
{
	const uint64_t *eights = from + (n & ~7u), *end = from + n;

	for (; from != eights; from += 8, to += 8) {
#pragma GCC unroll 4
		for (int k = 0; k < 8; k += 2)
			*(igb_pair_unaligned *)&to[k] = *(const igb_pair_unaligned *)&from[k];
	}
	while (from != end)
		*to++ = *from++;
}

static __attribute__((noinline)) uint32_t take_refused(struct igb_txq *q, uint64_t *cookies,
						       uint32_t max)
{
	uint32_t n = min32(q->nr_refused, max);

	memcpy(cookies, q->refused, n * sizeof(*cookies));
	q->nr_refused -= n;
	memmove(q->refused, q->refused + n, q->nr_refused * sizeof(*cookies));
	return n;
}

/* Takes cookies of the first `ready` descriptors, among which contexts may be, until there are max;
 * frees the descriptors. */
static uint32_t take_cookies(struct igb_txq *q, uint64_t *cookies, uint32_t *ready, uint32_t max)
{
	uint32_t n = 0;

	while (*ready && (n < max || q->is_context[q->head])) {
		if (!q->is_context[q->head]) {
			cookies[n++] = q->cookies[q->head];
		} else {
			q->is_context[q->head] = 0;
			q->nr_contexts--;
		}
		q->head = advanced(q, q->head, 1);
		q->room++;
		--*ready;
	}
	return n;
}

/* While there are contexts in the ring, or malformed frames. */
static __attribute__((noinline)) int done_any(struct igb_txq *q, uint64_t *cookies,
					      unsigned int max, unsigned int *unsent)
{
	uint32_t n = take_cookies(q, cookies, &q->ready, max);

	*unsent = take_refused(q, cookies + n, max - n);
	return (int)(n + *unsent);
}

/* Something is there to be returned. */
static __attribute__((noinline)) int done_some(struct igb_txq *q, uint64_t *cookies,
					       unsigned int max, unsigned int *unsent,
					       bool reported)
{
	uint32_t n, to_end = q->entries - q->head;

	while (reported && q->ready < max) {
		take_report(q);
		reported = q->ready < max && is_reported(q);
	}
	if (unlikely(q->nr_contexts | q->nr_refused))
		return done_any(q, cookies, max, unsent);
	n = min32(min32(q->ready, max), to_end);
	copy_cookies(cookies, q->cookies + q->head, n);
	q->head = n == to_end ? 0 : q->head + n;
	q->ready -= n;
	q->room += n;
	return (int)n;
}

int igb_tx_done(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max, unsigned int *unsent)
{
	struct igb_txq *q = (struct igb_txq *)txq;

	bool reported = is_reported(q);

	*unsent = 0;
	if (!(q->ready | q->nr_refused | reported))
		return 0;
	return done_some(q, cookies, max, unsent, reported);
}

unsigned int igb_tx_drain(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max)
{
	struct igb_txq *q = (struct igb_txq *)txq;
	uint32_t taken = q->entries - 1 - q->room;
	uint32_t n = take_cookies(q, cookies, &taken, max);

	q->unsent += n;
	q->ready = 0;
	return n + take_refused(q, cookies + n, max - n);
}

bool igb_tx_is_empty(const struct weir_nic_txq *txq)
{
	const struct igb_txq *q = (const struct igb_txq *)txq;

	return q->room == q->entries - 1 && !q->nr_refused;
}
