/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for tests of the emulated 82576, and what is right about them, computed here byte by byte
 * and by nothing that the device uses.
 */
#ifndef WEIR_TESTS_SIM_IGB_FRAMES_H
#define WEIR_TESTS_SIM_IGB_FRAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FRAME_TCP 6
#define FRAME_UDP 17
#define FRAME_SCTP 132

/* What a frame is made of. */
struct frame_kind {
	bool v6;
	uint8_t protocol;
	uint16_t tag; /* 0: none */
	uint32_t options; /* bytes of IPv4 options or IPv6 destination options, multiple of 8 */
	uint32_t payload;
	uint8_t source[16], destination[16];
	uint16_t source_port, destination_port;
	uint16_t fragment; /* of IPv4 */
};

static inline void frame_put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint32_t frame_get16(const uint8_t *at)
{
	return (uint32_t)(at[0] << 8 | at[1]);
}

static inline uint32_t frame_get32(const uint8_t *at)
{
	return frame_get16(at) << 16 | frame_get16(at + 2);
}

static inline uint32_t frame_l3(const struct frame_kind *kind)
{
	return kind->tag ? 18 : 14;
}

static inline uint32_t frame_l4(const struct frame_kind *kind)
{
	return frame_l3(kind) + (kind->v6 ? 40 : 20) + kind->options;
}

static inline uint32_t frame_l4_bytes(const struct frame_kind *kind)
{
	return kind->protocol == FRAME_TCP ? 20 : kind->protocol == FRAME_UDP ? 8 : 12;
}

/* The ones' complement sum of 16-bit words, the last one padded. */
static inline uint32_t frame_sum(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Of the pseudo header, with the length that it is to have. */
static inline uint32_t frame_pseudo(const struct frame_kind *kind, uint32_t length)
{
	uint8_t words[4] = { 0, kind->protocol, (uint8_t)(length >> 8), (uint8_t)length };
	uint32_t bytes = kind->v6 ? 16 : 4;

	return frame_sum(frame_sum(frame_sum(0, words, 4), kind->source, bytes), kind->destination,
			 bytes);
}

/* Makes a frame without any checksum. Returns its length. */
static inline uint32_t frame_make(const struct frame_kind *kind, const uint8_t *to,
				  const uint8_t *from, uint8_t *frame)
{
	uint32_t l3 = frame_l3(kind), l4 = frame_l4(kind), address = kind->v6 ? 16 : 4;
	uint32_t l4_bytes = frame_l4_bytes(kind) + kind->payload;
	uint8_t *ip = frame + l3;

	memset(frame, 0, l4 + frame_l4_bytes(kind));
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	if (kind->tag) {
		frame_put16(frame + 12, 0x8100);
		frame_put16(frame + 14, kind->tag);
	}
	frame_put16(frame + l3 - 2, kind->v6 ? 0x86dd : 0x0800);
	if (kind->v6) {
		ip[0] = 0x60;
		frame_put16(ip + 4, kind->options + l4_bytes);
		ip[6] = kind->options ? 60 : kind->protocol;
		if (kind->options) {
			ip[40] = kind->protocol;
			ip[41] = (uint8_t)(kind->options / 8 - 1);
		}
		ip[7] = 64;
	} else {
		ip[0] = (uint8_t)(0x45 + kind->options / 4);
		memset(ip + 20, 1, kind->options);
		frame_put16(ip + 2, 20 + kind->options + l4_bytes);
		frame_put16(ip + 4, 0x1234);
		frame_put16(ip + 6, kind->fragment);
		ip[8] = 64;
		ip[9] = kind->protocol;
	}
	memcpy(ip + (kind->v6 ? 8 : 12), kind->source, address);
	memcpy(ip + (kind->v6 ? 24 : 16), kind->destination, address);
	frame_put16(frame + l4, kind->source_port);
	frame_put16(frame + l4 + 2, kind->destination_port);
	if (kind->protocol == FRAME_TCP) {
		memcpy(frame + l4 + 4, "\xff\xff\xff\x00", 4); /* a sequence that wraps */
		frame[l4 + 12] = 0x50;
		frame[l4 + 13] = 0x19; /* FIN, PSH, ACK */
	} else if (kind->protocol == FRAME_UDP) {
		frame_put16(frame + l4 + 4, l4_bytes);
	}
	for (uint32_t i = 0; i < kind->payload; i++)
		frame[l4 + frame_l4_bytes(kind) + i] = (uint8_t)(i * 7 + i / 256);
	return l4 + l4_bytes;
}

static inline uint32_t frame_checksum_at(const struct frame_kind *kind)
{
	return frame_l4(kind) + (kind->protocol == FRAME_TCP ? 16 : 6);
}

/* Puts the right checksums in. */
static inline void frame_finish(const struct frame_kind *kind, uint8_t *frame, uint32_t bytes)
{
	uint32_t l3 = frame_l3(kind), l4 = frame_l4(kind), sum;

	if (!kind->v6)
		frame_put16(frame + l3 + 10, ~frame_sum(0, frame + l3, l4 - l3) & 0xffff);
	sum = frame_sum(frame_pseudo(kind, bytes - l4), frame + l4, bytes - l4);
	frame_put16(frame + frame_checksum_at(kind), ~sum & 0xffff);
}

/* Whether the checksums of IP and of what it carries are right. */
static inline bool frame_ip_right(const struct frame_kind *kind, const uint8_t *frame)
{
	uint32_t l3 = frame_l3(kind);

	return kind->v6 || frame_sum(0, frame + l3, frame_l4(kind) - l3) == 0xffff;
}

static inline bool frame_l4_right(const struct frame_kind *kind, const uint8_t *frame,
				  uint32_t bytes)
{
	uint32_t l4 = frame_l4(kind);

	return frame_sum(frame_pseudo(kind, bytes - l4), frame + l4, bytes - l4) == 0xffff;
}

#endif
