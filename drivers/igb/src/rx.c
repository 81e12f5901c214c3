/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving: the burst calls of a queue's owner.
 *
 * What makes it short: a ring is gone through in runs that do not wrap; a descriptor that is posted
 * is one store of 16 bytes, and what is remembered of it another, as it stands in the frame; the
 * device's flags are ours, turned; the tail is written once per burst. Packets of several
 * descriptors, split headers and what looks wrong are for rx_any().
 *
 * Memory ordering: descriptors before the tail (weir_dma_wmb), the status before the rest of a
 * descriptor (weir_dma_rmb). What the device wrote is checked in the copy that is used, and nothing
 * of it leads anywhere: addresses and cookies come from the slots.
 */
#include "igb.h"

#if defined(__GNUC__) && !defined(__clang__)
/* Pairs of 64-bit stores are cheaper as they are than packed into vector registers first. */
#pragma GCC optimize("no-tree-slp-vectorize")
#endif

#define PREFETCH_AHEAD 16 /* descriptors: four lines */

/* The status, turned by so much, has its flags where those of a frame are (§7.1.5.2): */
#define STATUS_TURN 14
#define STATUS_FLAGS \
	(WEIR_FRAME_L4_BAD | WEIR_FRAME_IP_BAD | WEIR_FRAME_ERROR | WEIR_FRAME_VLAN | \
	 WEIR_FRAME_L4_CHECKED | WEIR_FRAME_IP_CHECKED)
#define TURNED(bit) (1u << ((bit) + STATUS_TURN) % 32)
static_assert(TURNED(3) == WEIR_FRAME_VLAN, "VP");
static_assert(TURNED(5) == WEIR_FRAME_L4_CHECKED, "L4I");
static_assert(TURNED(6) == WEIR_FRAME_IP_CHECKED, "IPCS");
static_assert(TURNED(29) == WEIR_FRAME_L4_BAD, "L4E");
static_assert(TURNED(30) == WEIR_FRAME_IP_BAD, "IPE");
static_assert(TURNED(31) == WEIR_FRAME_ERROR, "RXE");

static inline uint32_t load32(const void *from)
{
	return *(const volatile uint32_t *)from;
}

static inline uint64_t load64(const void *from)
{
	return *(const volatile uint64_t *)from;
}

static inline uint16_t load16(const void *from)
{
	return *(const volatile uint16_t *)from;
}

static inline uint32_t min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t status_flags(uint32_t status)
{
	return (status << STATUS_TURN | status >> (32 - STATUS_TURN)) & STATUS_FLAGS;
}

static __attribute__((noinline, cold)) void write_tail_slow(struct igb_rxq *q)
{
	/* A device that is gone is found out by the next call of the control side. */
	weir_device_write32(q->common.nic->dev, 0, IGB_RX_QUEUE(q->common.index) + IGB_TAIL,
			    q->tail);
}

static inline void write_tail(struct igb_rxq *q)
{
	weir_dma_wmb();
	if (unlikely(!q->tail_register))
		write_tail_slow(q);
	else
		weir_mmio_write32(q->tail_register, q->tail);
}

static inline uint32_t advanced(const struct igb_rxq *q, uint32_t at, uint32_t by)
{
	at += by;
	return at == q->entries ? 0 : at;
}

/* Posts one frame; false when it is malformed. */
static __attribute__((always_inline)) inline bool post_one(igb_pair *desc, igb_pair *slot,
							   const struct weir_frame *frame,
							   uint64_t buffer)
{
	/* len, and above it flags, which are 0: one comparison checks both */
	uint64_t len = *(const uint64_t *)&frame->len;
	igb_pair ids;

	if (unlikely(len - buffer > UINT32_MAX - buffer))
		return false;
	ids = *(const igb_pair_unaligned *)&frame->iova;
	*slot = ids;
	*desc = (igb_pair){ ids[0], 0 };
	return true;
}

/* Posts up to n frames to consecutive descriptors; ends before one that is malformed. */
static __attribute__((always_inline)) inline uint32_t post_run(igb_pair *ring, igb_pair *slots,
							       const struct weir_frame *frames,
							       uint32_t n, uint64_t buffer)
{
	const struct weir_frame *begin = frames, *fours = frames + (n & ~3u), *end = frames + n;

	for (; frames != fours; ring += 4, slots += 4, frames += 4) {
		weir_prefetch_write(&ring[PREFETCH_AHEAD]);
#pragma GCC unroll 4
		for (int k = 0; k < 4; k++) {
			if (!post_one(&ring[k], &slots[k], &frames[k], buffer))
				return (uint32_t)(frames + k - begin);
		}
	}
	while (frames < end && post_one(ring, slots, frames, buffer))
		ring++, slots++, frames++;
	return (uint32_t)(frames - begin);
}

static bool pair_is_good(const struct igb_rxq *q, const struct weir_frame *pair)
{
	return pair[0].flags == (WEIR_FRAME_HEADER | WEIR_FRAME_MORE) &&
	       pair[0].len >= q->header_bytes && !(pair[0].iova & 1) && !pair[1].flags &&
	       pair[1].len >= q->buffer_bytes;
}

static __attribute__((noinline)) int post_pairs(struct igb_rxq *q, const struct weir_frame *frames,
						unsigned int n)
{
	uint32_t pairs = min32(n / 2, q->entries - 1 - q->posted), i;

	for (i = 0; i < pairs; i++, frames += 2) {
		if (!pair_is_good(q, frames))
			break;
		q->header_slots[q->tail] = (igb_pair){ frames[0].iova, frames[0].cookie };
		q->slots[q->tail] = (igb_pair){ frames[1].iova, frames[1].cookie };
		q->ring[q->tail] = (igb_pair){ frames[1].iova, frames[0].iova };
		q->tail = advanced(q, q->tail, 1);
	}
	if (!i)
		return pairs ? -EINVAL : 0;
	q->posted += i;
	write_tail(q);
	return (int)(2 * i);
}

/* Posts what is left of n frames after `done`: behind the ring's end, or malformed. */
static __attribute__((noinline)) uint32_t post_rest(struct igb_rxq *q,
						    const struct weir_frame *frames, uint32_t done,
						    uint32_t n)
{
	uint32_t got;

	if (q->tail)
		return done;
	got = post_run(q->ring, q->slots, frames + done, n - done, q->buffer_bytes);
	q->tail = got;
	return done + got;
}

int igb_rx_post(struct weir_nic_rxq *rxq, const struct weir_frame *frames, unsigned int n)
{
	struct igb_rxq *q = (struct igb_rxq *)rxq;
	uint32_t done, to_end = q->entries - q->tail;

	if (unlikely(q->header_bytes))
		return post_pairs(q, frames, n);
	n = min32(n, q->entries - 1 - q->posted);
	done = post_run(q->ring + q->tail, q->slots + q->tail, frames, min32(n, to_end),
			q->buffer_bytes);
	q->tail = done == to_end ? 0 : q->tail + done;
	if (unlikely(done < n))
		done = post_rest(q, frames, done, n);
	if (unlikely(!done))
		return n ? -EINVAL : 0;
	q->posted += done;
	write_tail(q);
	return (int)done;
}

/* Whether the device has written the next descriptor back. */
static inline bool is_done(const struct igb_rxq *q)
{
	return load32((const char *)&q->ring[q->next] + 8) & IGB_RXD_DD;
}

/* Takes a packet of one descriptor; false when there is none, or anything else. */
static __attribute__((always_inline)) inline bool take_one(const igb_pair *at, const igb_pair *slot,
							   struct weir_frame *frame,
							   uint64_t buffer, uint64_t *bytes)
{
	const char *desc = (const char *)at;
	uint32_t status = load32(desc + 8);
	uint64_t len;

	/* The lowest two bits are both there when one more carries out of them. */
	static_assert((IGB_RXD_DD | IGB_RXD_EOP) == 3, "the lowest bits");
	if ((status + 1) & 3)
		return false;
	weir_dma_rmb();
	len = load16(desc + 12);
	if (unlikely(len - 1 >= buffer))
		return false;
	*(igb_pair_unaligned *)&frame->iova = *slot;
	frame->len = (uint32_t)len;
	frame->flags = (load32(desc) & IGB_RXD_TYPES) | status_flags(status);
	*(uint32_t *)&frame->vlan = load16(desc + 14); /* and mss, which is 0 */
	frame->hash = load32(desc + 4);
	*bytes += len;
	return true;
}

/* Takes up to n packets of one descriptor each from consecutive descriptors; ends before anything
 * else. */
static __attribute__((always_inline)) inline uint32_t take_run(const igb_pair *ring,
							       const igb_pair *slots,
							       struct weir_frame *frames,
							       uint32_t n, uint64_t buffer,
							       uint64_t *bytes)
{
	const struct weir_frame *begin = frames, *fours = frames + (n & ~3u), *end = frames + n;

	for (; frames != fours; ring += 4, slots += 4, frames += 4) {
		__builtin_prefetch(&ring[PREFETCH_AHEAD]);
#pragma GCC unroll 4
		for (int k = 0; k < 4; k++) {
			if (!take_one(&ring[k], &slots[k], &frames[k], buffer, bytes))
				return (uint32_t)(frames + k - begin);
		}
	}
	while (frames < end && take_one(ring, slots, frames, buffer, bytes))
		ring++, slots++, frames++;
	return (uint32_t)(frames - begin);
}

/* What is wrong with a descriptor of `header` and `len` bytes, or NULL. */
static const char *what_is_wrong(const struct igb_rxq *q, bool last, uint32_t header, uint32_t len)
{
	if (header > q->header_bytes)
		return "more header than its buffer holds";
	if (len > q->buffer_bytes)
		return "more bytes than its buffer holds";
	if (!last && len != q->buffer_bytes)
		return "a packet that goes on behind a buffer that is not full";
	if (!q->packet_bytes && !header && !len)
		return "an empty packet";
	if (q->packet_bytes + header + len > IGB_MAX_PACKET)
		return "a packet that is longer than any may be";
	return NULL;
}

/* One descriptor of any kind into one frame, or two with header split. 1, 0: nothing is there, or
 * -EIO. */
static int rx_one(struct igb_rxq *q, struct weir_frame *frames)
{
	const char *desc = (const char *)&q->ring[q->next], *wrong;
	uint32_t status = load32(desc + 8), header = 0, len;
	bool last = (status & IGB_RXD_EOP) != 0;
	uint64_t types;

	if (!(status & IGB_RXD_DD))
		return 0;
	weir_dma_rmb();
	types = load64(desc);
	len = load16(desc + 12);
	/* The device repeats the header's length in the rest of its packet's descriptors. An
	 * overflow leaves what fits in the buffer (§7.1.10), and only the last descriptor has the
	 * flag that says so. */
	if (q->header_bytes && !q->packet_bytes) {
		header = status & IGB_RXD_HBO ? q->header_bytes : IGB_RXD_HEADER(types);
		if (!last)
			header = min32(header, q->header_bytes);
	}
	wrong = what_is_wrong(q, last, header, len);
	if (unlikely(wrong != NULL))
		return nic_queue_break(&q->common,
				       "the device wrote %s: descriptor %u, header %u, length %u, "
				       "status %08x",
				       wrong, q->next, header, len, status);
	if (q->header_bytes) {
		*frames++ = (struct weir_frame){ .iova = q->header_slots[q->next][0],
						 .cookie = q->header_slots[q->next][1],
						 .len = header,
						 .flags = WEIR_FRAME_HEADER | WEIR_FRAME_MORE };
	}
	*frames = (struct weir_frame){ .iova = q->slots[q->next][0],
				       .cookie = q->slots[q->next][1],
				       .len = len,
				       .flags = q->payload_flags };
	q->bytes += header + len;
	if (last) {
		frames->flags |= ((uint32_t)types & IGB_RXD_TYPES) | status_flags(status);
		frames->hash = (uint32_t)(types >> 32);
		frames->vlan = load16(desc + 14);
		q->packets++;
		q->packet_bytes = 0;
	} else {
		frames->flags |= WEIR_FRAME_MORE;
		q->packet_bytes += header + len;
	}
	q->next = advanced(q, q->next, 1);
	q->posted--;
	return 1;
}

/* Descriptors of any kind, after `done` frames were written. */
static __attribute__((noinline)) int rx_any(struct igb_rxq *q, struct weir_frame *frames,
					    uint32_t done, uint32_t max)
{
	const uint32_t each = q->header_bytes ? 2 : 1;

	while (q->posted && done + each <= max) {
		int rc = rx_one(q, frames + done);

		if (rc < 0 && !done)
			return rc;
		if (rc <= 0)
			break;
		done += each;
	}
	return (int)done;
}

/* Takes a packet of one pair; false when there is none, or anything else. */
static __attribute__((always_inline)) inline bool take_one_pair(const struct igb_rxq *q,
								struct weir_frame *pair)
{
	const char *desc = (const char *)&q->ring[q->next];
	uint32_t status = load32(desc + 8), types, header, len;

	if (((status + 1) & 3) | (status & IGB_RXD_HBO))
		return false;
	weir_dma_rmb();
	types = load32(desc);
	header = IGB_RXD_HEADER(types);
	len = load16(desc + 12);
	if (unlikely(header > q->header_bytes || len > q->buffer_bytes || !(header | len)))
		return false;
	*(igb_pair_unaligned *)&pair[0].iova = q->header_slots[q->next];
	*(uint64_t *)&pair[0].len = (uint64_t)(WEIR_FRAME_HEADER | WEIR_FRAME_MORE) << 32 | header;
	*(uint64_t *)&pair[0].vlan = 0;
	*(igb_pair_unaligned *)&pair[1].iova = q->slots[q->next];
	pair[1].len = len;
	pair[1].flags = (types & IGB_RXD_TYPES) | status_flags(status) | q->payload_flags;
	*(uint32_t *)&pair[1].vlan = load16(desc + 14); /* and mss, which is 0 */
	pair[1].hash = load32(desc + 4);
	return true;
}

/* With header split: packets of one pair each, then any. */
static __attribute__((noinline)) int take_pairs(struct igb_rxq *q, struct weir_frame *frames,
						uint32_t max)
{
	uint32_t done = 0;

	while (q->posted && done + 2 <= max && !q->packet_bytes &&
	       take_one_pair(q, frames + done)) {
		q->bytes += frames[done].len + frames[done + 1].len;
		q->packets++;
		q->next = advanced(q, q->next, 1);
		q->posted--;
		done += 2;
	}
	return is_done(q) ? rx_any(q, frames, done, max) : (int)done;
}

/* After `done` packets of one descriptor: what lies behind the ring's end, or is unusual. */
static __attribute__((noinline)) int take_rest(struct igb_rxq *q, struct weir_frame *frames,
					       uint32_t done, uint32_t max)
{
	uint32_t got;

	if (!q->next) {
		got = take_run(q->ring, q->slots, frames + done, min32(max - done, q->posted),
			       q->buffer_bytes, &q->bytes);
		q->next = got;
		q->posted -= got;
		q->packets += got;
		done += got;
	}
	return rx_any(q, frames, done, max);
}

int igb_rx(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max)
{
	struct igb_rxq *q = (struct igb_rxq *)rxq;
	uint32_t n = min32(max, q->posted), next = q->next, to_end = q->entries - next, got;

	if (!n || !is_done(q))
		return 0;
	if (unlikely(q->header_bytes))
		return take_pairs(q, frames, max);
	if (unlikely(q->packet_bytes | q->payload_flags))
		return rx_any(q, frames, 0, max);
	got = take_run(q->ring + next, q->slots + next, frames, min32(n, to_end), q->buffer_bytes,
		       &q->bytes);
	q->next = got == to_end ? 0 : next + got;
	q->posted -= got;
	q->packets += got;
	if (got == n || !is_done(q))
		return (int)got;
	return take_rest(q, frames, got, max);
}

unsigned int igb_rx_drain(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max)
{
	struct igb_rxq *q = (struct igb_rxq *)rxq;
	unsigned int n;

	for (n = 0; n < max && q->posted; n++) {
		bool header = q->header_bytes && !q->half_drained;
		igb_pair ids = header ? q->header_slots[q->next] : q->slots[q->next];

		frames[n] = (struct weir_frame){
			.iova = ids[0],
			.cookie = ids[1],
			.flags = WEIR_FRAME_UNUSED |
				 (header ? WEIR_FRAME_HEADER | WEIR_FRAME_MORE : q->payload_flags)
		};
		q->half_drained = header;
		if (!header) {
			q->next = advanced(q, q->next, 1);
			q->posted--;
		}
	}
	q->unused += n;
	return n;
}

bool igb_rx_is_empty(const struct weir_nic_rxq *rxq)
{
	return !((const struct igb_rxq *)rxq)->posted;
}
