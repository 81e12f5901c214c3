/* SPDX-License-Identifier: BSD-3-Clause */
#include "flow.h"
#include "fail.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_UDP 17
#define HOP_LIMIT 64
#define UDP_BYTES 8
/* Where an IPv4 header has its length and checksum, and both kinds their addresses (RFC 791 section
 * 3.1, RFC 8200 section 3). */
#define IPV4_BYTES 20
#define IPV4_LENGTH 2
#define IPV4_CHECKSUM 10
#define IPV4_SRC 12
#define IPV6_BYTES 40
#define IPV6_LENGTH 4
#define IPV6_SRC 8
#define UDP_LENGTH 4
#define UDP_CHECKSUM 6

/* 7 : 4 : 1, in an order that spreads them. */
static const uint16_t imix_sizes[] = {
	64, 594, 64, 64, 594, 64, NET_IMIX_MAX, 64, 594, 64, 594, 64
};

#define NR_IMIX (sizeof(imix_sizes) / sizeof(imix_sizes[0]))

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static bool is_tagged(const struct flow_options *options)
{
	return options->vlan != FLOW_NO_VLAN;
}

uint32_t flow_min_size(const struct flow_options *options)
{
	uint32_t size = 14 + (is_tagged(options) ? 4 : 0) +
			(options->src.bytes == 4 ? IPV4_BYTES : IPV6_BYTES) + UDP_BYTES +
			FLOW_PAYLOAD + NET_FCS;

	return size < NET_MIN_SIZE ? NET_MIN_SIZE : size;
}

uint32_t flow_max_size(const struct flow_options *options)
{
	bool mix = options->sizes.kind == NET_SIZE_IMIX;

	return options->sizes.max + (mix && is_tagged(options) ? 4 : 0);
}

/* The number that differs between flows, in flow 0. */
static uint32_t vary_base(const struct flow_options *options)
{
	switch (options->vary) {
	case FLOW_SRC_PORT:
		return options->src_port;
	case FLOW_DST_PORT:
		return options->dst_port;
	case FLOW_SRC_IP:
		return get32(options->src.address + options->src.bytes - 4);
	case FLOW_DST_IP:
		return get32(options->dst.address + options->dst.bytes - 4);
	}
	return 0;
}

int flow_check(const struct flow_options *options, struct weir_error *err)
{
	bool is_port = options->vary == FLOW_SRC_PORT || options->vary == FLOW_DST_PORT;
	uint64_t room = (is_port ? UINT64_C(1) << 16 : UINT64_C(1) << 32) - vary_base(options);
	uint32_t min = flow_min_size(options);

	if (options->src.bytes != options->dst.bytes)
		return fail(err, -EINVAL,
			    "one IP address is of version 4 and the other of version 6");
	if (options->sizes.kind != NET_SIZE_IMIX && options->sizes.min < min)
		return fail(err, -EINVAL,
			    "size %" PRIu32 " is under the %" PRIu32
			    " bytes that these headers need",
			    options->sizes.min, min);
	if (options->flows > room)
		return fail(err, -EINVAL,
			    "flows %" PRIu32 " is over the %" PRIu64 " %s from the first on",
			    options->flows, room, is_port ? "ports" : "addresses");
	return 0;
}

static uint32_t write_ethernet(uint8_t *at, const struct flow_options *options)
{
	uint32_t type = options->src.bytes == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6, bytes = 12;

	memcpy(at, options->dst_mac, 6);
	memcpy(at + 6, options->src_mac, 6);
	if (is_tagged(options)) {
		put16(at + bytes, ETHERTYPE_VLAN);
		put16(at + bytes + 2, options->vlan);
		bytes += 4;
	}
	put16(at + bytes, type);
	return bytes + 2;
}

static uint32_t write_ip(uint8_t *at, const struct flow_options *options)
{
	if (options->src.bytes == 4) {
		at[0] = 4 << 4 | IPV4_BYTES / 4;
		at[6] = 0x40; /* do not fragment */
		at[8] = HOP_LIMIT;
		at[9] = PROTOCOL_UDP;
		memcpy(at + IPV4_SRC, options->src.address, 4);
		memcpy(at + IPV4_SRC + 4, options->dst.address, 4);
		return IPV4_BYTES;
	}
	at[0] = 6 << 4;
	at[6] = PROTOCOL_UDP;
	at[7] = HOP_LIMIT;
	memcpy(at + IPV6_SRC, options->src.address, 16);
	memcpy(at + IPV6_SRC + 16, options->dst.address, 16);
	return IPV6_BYTES;
}

/* Where in the headers the flows differ. */
static void place_vary(struct flow_generator *gen, const struct flow_options *options)
{
	uint32_t src_end = gen->udp_at - options->dst.bytes;

	gen->vary_base = vary_base(options);
	gen->vary_bytes = 4;
	switch (options->vary) {
	case FLOW_SRC_PORT:
		gen->vary_bytes = 2;
		gen->vary_at = gen->udp_at;
		break;
	case FLOW_DST_PORT:
		gen->vary_bytes = 2;
		gen->vary_at = gen->udp_at + 2;
		break;
	case FLOW_SRC_IP:
		gen->vary_at = src_end - 4;
		break;
	case FLOW_DST_IP:
		gen->vary_at = gen->udp_at - 4;
		break;
	}
}

void flow_start(struct flow_generator *gen, const struct flow_options *options, unsigned int part,
		unsigned int parts)
{
	*gen = (struct flow_generator){
		.first = part,
		.step = parts,
		.end = options->flows,
		.flow = part,
		.sizes = options->sizes,
		.tag_bytes = is_tagged(options) ? 4 : 0,
		/* Never 0, and neighbouring seeds do not walk in step. */
		.random = (options->seed + part + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1,
	};
	if (gen->sizes.kind == NET_SIZE_IMIX)
		gen->sizes.min = flow_min_size(options);
	gen->ip_at = write_ethernet(gen->headers, options);
	gen->udp_at = gen->ip_at + write_ip(gen->headers + gen->ip_at, options);
	put16(gen->headers + gen->udp_at, options->src_port);
	put16(gen->headers + gen->udp_at + 2, options->dst_port);
	put32(gen->headers + gen->udp_at + UDP_BYTES, FLOW_MAGIC);
	gen->header_bytes = gen->udp_at + UDP_BYTES + FLOW_PAYLOAD;
	place_vary(gen, options);
}

/* xorshift64 (Marsaglia 2003), scaled by the high bits of a product. */
static uint32_t random_below(struct flow_generator *gen, uint32_t end)
{
	gen->random ^= gen->random << 13;
	gen->random ^= gen->random >> 7;
	gen->random ^= gen->random << 17;
	return (uint32_t)((gen->random >> 32) * end >> 32);
}

uint32_t flow_next_bytes(struct flow_generator *gen)
{
	uint32_t size = gen->sizes.min;

	if (gen->sizes.kind == NET_SIZE_RANGE) {
		size += random_below(gen, gen->sizes.max - gen->sizes.min + 1);
	} else if (gen->sizes.kind == NET_SIZE_IMIX) {
		uint32_t next = imix_sizes[gen->imix] + gen->tag_bytes;

		gen->imix = gen->imix + 1 < NR_IMIX ? gen->imix + 1 : 0;
		if (next > size)
			size = next;
	}
	return size - NET_FCS;
}

/* The sum of big-endian words of RFC 1071; an even number of bytes. */
static uint32_t sum_words(const uint8_t *at, uint32_t bytes)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < bytes; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

static uint32_t checksum(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* The lengths, and the checksums over what is not zero. */
static void finish_headers(const struct flow_generator *gen, uint8_t *frame, uint32_t bytes)
{
	uint8_t *ip = frame + gen->ip_at, *udp = frame + gen->udp_at;
	uint32_t udp_bytes = bytes - gen->udp_at, addresses, sum;
	bool is_ipv4 = gen->udp_at - gen->ip_at == IPV4_BYTES;

	if (is_ipv4) {
		put16(ip + IPV4_LENGTH, udp_bytes + IPV4_BYTES);
		put16(ip + IPV4_CHECKSUM, checksum(sum_words(ip, IPV4_BYTES)));
	} else {
		put16(ip + IPV6_LENGTH, udp_bytes);
	}
	put16(udp + UDP_LENGTH, udp_bytes);
	addresses = is_ipv4 ? IPV4_SRC : IPV6_SRC;
	sum = sum_words(ip + addresses, gen->udp_at - gen->ip_at - addresses) + PROTOCOL_UDP +
	      udp_bytes + sum_words(udp, UDP_BYTES + FLOW_PAYLOAD);
	sum = checksum(sum);
	/* A sum of zero would say that there is none (RFC 768). */
	put16(udp + UDP_CHECKSUM, sum ? sum : 0xffff);
}

void flow_write(struct flow_generator *gen, uint8_t *frame, uint32_t bytes)
{
	uint8_t *payload = frame + gen->udp_at + UDP_BYTES;
	uint32_t value = gen->vary_base + gen->flow;

	memcpy(frame, gen->headers, gen->header_bytes);
	if (gen->vary_bytes == 2)
		put16(frame + gen->vary_at, value);
	else
		put32(frame + gen->vary_at, value);
	put32(payload + 4, gen->flow);
	put32(payload + 8, (uint32_t)(gen->sequence >> 32));
	put32(payload + 12, (uint32_t)gen->sequence);
	finish_headers(gen, frame, bytes);
	gen->flow += gen->step;
	if (gen->flow >= gen->end) {
		gen->flow = gen->first;
		gen->sequence++;
	}
}
