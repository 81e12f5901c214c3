/* SPDX-License-Identifier: BSD-3-Clause */
#include "random_packets.h"

#include <string.h>

#define ETHERNET 14u
#define TAG 4u
#define IP4 20u
#define IP6 40u
#define TCP 20u
#define UDP 8u
#define SCTP 12u
#define MIN_PACKET 17u
#define TYPE_TAG 0x8100u
#define TYPE_IP4 0x0800u
#define TYPE_IP6 0x86ddu
#define CHECKSUMS (WEIR_FRAME_IP_CSUM | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO)

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_SCTP = 132, PROTOCOL_NONE = 59 };

uint64_t rng_next(struct rng *rng)
{
	uint64_t value = rng->at += UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
	return (uint32_t)((rng_next(rng) >> 32) * n >> 32);
}

bool rng_chance(struct rng *rng, uint32_t permille)
{
	return rng_below(rng, 1000) < permille;
}

static uint32_t rng_from(struct rng *rng, uint32_t least, uint32_t most)
{
	return least + rng_below(rng, most - least + 1);
}

static void fill(struct rng *rng, uint8_t *data, uint32_t bytes)
{
	uint64_t word;

	for (; bytes >= 8; bytes -= 8, data += 8) {
		word = rng_next(rng);
		memcpy(data, &word, 8);
	}
	word = rng_next(rng);
	memcpy(data, &word, bytes);
}

uint64_t packet_hash(const uint8_t *data, uint32_t bytes)
{
	uint64_t hash = bytes * UINT64_C(0x9e3779b97f4a7c15) + 1, word;

	for (; bytes >= 8; bytes -= 8, data += 8) {
		memcpy(&word, data, 8);
		hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
		hash ^= hash >> 32;
	}
	word = 0;
	memcpy(&word, data, bytes);
	hash = (hash ^ word) * UINT64_C(0xd6e8feb86659fd93);
	return hash ^ hash >> 29;
}

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

/* The sum of RFC 1071 over words in network order, not inverted, folded. */
static uint32_t sum(const uint8_t *data, uint32_t bytes, uint32_t start)
{
	uint64_t total = start;

	for (; bytes >= 4; bytes -= 4, data += 4)
		total += (uint64_t)get16(data) + get16(data + 2);
	if (bytes >= 2)
		total += get16(data);
	if (bytes & 1)
		total += (uint32_t)data[bytes & 2] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

/* CRC-32C, of a packet whose own checksum counts as 0 (RFC 9260 §6.8). */
static uint32_t sctp_checksum(const uint8_t *data, uint32_t bytes)
{
	uint32_t crc = UINT32_MAX;

	for (uint32_t i = 0; i < bytes; i++) {
		crc ^= i >= 8 && i < 12 ? 0 : data[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* What a packet is made of, and where that lies. */
struct layers {
	uint32_t l2; /* bytes, tags included */
	uint32_t l3; /* bytes, options and extensions included; 0: no IP */
	uint32_t l4; /* bytes; 0: nothing that is known */
	uint32_t end; /* of the IP packet */
	bool v6, fragment, options;
	uint8_t protocol;
	unsigned int tags;
};

static uint32_t l4_bytes(uint8_t protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return TCP;
	case PROTOCOL_UDP:
		return UDP;
	case PROTOCOL_SCTP:
		return SCTP;
	default:
		return 0;
	}
}

/* What kind of packet, and how long its headers are. */
static void choose_layers(struct rng *rng, bool tcp_or_udp, struct layers *layers)
{
	static const uint8_t protocols[] = { PROTOCOL_TCP, PROTOCOL_TCP,  PROTOCOL_TCP,
					     PROTOCOL_UDP, PROTOCOL_UDP,  PROTOCOL_UDP,
					     PROTOCOL_UDP, PROTOCOL_SCTP, PROTOCOL_NONE };

	*layers = (struct layers){ .l2 = ETHERNET };
	layers->tags = rng_chance(rng, 120) ? rng_from(rng, 1, 2) : 0;
	if (tcp_or_udp && layers->tags == 2)
		layers->tags = 1;
	layers->l2 += layers->tags * TAG;
	if (!tcp_or_udp && rng_chance(rng, 150))
		return;
	layers->v6 = rng_chance(rng, 400);
	layers->options = rng_chance(rng, 150);
	layers->l3 = layers->v6 ? IP6 : IP4;
	if (layers->options)
		layers->l3 += layers->v6 ? 8 * rng_from(rng, 1, 9) : 4 * rng_from(rng, 1, 10);
	layers->protocol = protocols[rng_below(rng, tcp_or_udp ? 7 : sizeof(protocols))];
	layers->l4 = l4_bytes(layers->protocol);
	if (layers->protocol == PROTOCOL_TCP && rng_chance(rng, 200))
		layers->l4 += 4 * rng_from(rng, 1, 10);
	layers->fragment = !tcp_or_udp && rng_chance(rng, 60);
	if (layers->fragment && layers->v6) {
		layers->l3 += 8;
		layers->options = true;
	}
}

static uint32_t choose_bytes(struct rng *rng, uint32_t least, uint32_t most)
{
	uint32_t small = most < 300 ? most : 300;

	if (least >= most)
		return most;
	if (rng_chance(rng, 60))
		return most - rng_below(rng, most - least < 4 ? most - least : 4);
	if (rng_chance(rng, 60))
		return rng_from(rng, least, most);
	return small > least ? rng_from(rng, least, small) : least;
}

static uint32_t pseudo_sum(const uint8_t *ip, const struct layers *layers, uint32_t bytes)
{
	return layers->v6 ? sum(ip + 8, 32, bytes + layers->protocol)
			  : sum(ip + 12, 8, bytes + layers->protocol);
}

static void put_ip_checksum(uint8_t *ip, uint32_t bytes)
{
	put16(ip + 10, 0);
	put16(ip + 10, ~sum(ip, bytes, 0) & 0xffff);
}

static uint32_t checksum_at(uint8_t protocol)
{
	return protocol == PROTOCOL_TCP ? 16 : 6;
}

/* The checksum of TCP, UDP or SCTP; of TCP and UDP with a part of it in `start`. */
static void put_l4_checksum(uint8_t *l4, uint32_t bytes, uint8_t protocol, uint32_t start)
{
	uint8_t *place = l4 + checksum_at(protocol);
	uint32_t value;

	if (protocol == PROTOCOL_SCTP) {
		value = sctp_checksum(l4, bytes);
		memcpy(l4 + 8, &value, 4);
		return;
	}
	put16(place, 0);
	value = ~sum(l4, bytes, start) & 0xffff;
	put16(place, value || protocol == PROTOCOL_TCP ? value : 0xffff);
}

static void write_ip4(struct rng *rng, uint8_t *ip, const struct layers *layers, uint32_t bytes)
{
	ip[0] = (uint8_t)(0x40 | layers->l3 / 4);
	put16(ip + 2, bytes);
	put16(ip + 6, layers->fragment ? rng_from(rng, 1, 0x3ffe) : 0x4000 * rng_below(rng, 2));
	ip[9] = layers->protocol;
	put_ip_checksum(ip, layers->l3);
}

/* Extensions of random kinds up to the header behind IP; a fragment's stands last. */
static void write_extensions(struct rng *rng, uint8_t *ip, const struct layers *layers)
{
	static const uint8_t kinds[] = { 0, 43, 60 };
	uint32_t at = IP6, left = layers->l3 - IP6 - (layers->fragment ? 8 : 0);
	uint8_t *next = ip + 6;

	while (left) {
		uint32_t bytes = 8 * rng_from(rng, 1, left / 8);

		*next = kinds[rng_below(rng, sizeof(kinds))];
		next = ip + at;
		ip[at + 1] = (uint8_t)(bytes / 8 - 1);
		at += bytes;
		left -= bytes;
	}
	if (layers->fragment) {
		*next = 44;
		next = ip + at;
	}
	*next = layers->protocol;
}

static void write_ip6(struct rng *rng, uint8_t *ip, const struct layers *layers, uint32_t bytes)
{
	ip[0] = 0x60;
	put16(ip + 4, bytes - IP6);
	write_extensions(rng, ip, layers);
}

static void write_l4(struct rng *rng, uint8_t *ip, const struct layers *layers, uint32_t bytes)
{
	uint8_t *l4 = ip + layers->l3;

	bytes -= layers->l3;
	if (layers->protocol == PROTOCOL_TCP) {
		l4[12] = (uint8_t)(layers->l4 / 4 << 4);
		/* Congestion's flags are for the first or last of several segments only. */
		l4[13] &= 0x3f;
	} else if (layers->protocol == PROTOCOL_UDP) {
		put16(l4 + 4, bytes);
	}
	if (layers->protocol == PROTOCOL_UDP && !layers->v6 && rng_chance(rng, 50))
		put16(l4 + 6, 0);
	else
		put_l4_checksum(l4, bytes, layers->protocol, pseudo_sum(ip, layers, bytes));
}

/* Writes the headers around random data; checksums are right. */
static void write_layers(struct rng *rng, struct packet *packet, const struct layers *layers,
			 const uint8_t to[6], const uint8_t from[6])
{
	uint8_t *data = packet->data, *ip = data + layers->l2;
	uint32_t bytes = layers->end - layers->l2;

	fill(rng, data, packet->bytes);
	memcpy(data, to, 6);
	memcpy(data + 6, from, 6);
	for (unsigned int i = 0; i < layers->tags; i++)
		put16(data + 12 + i * TAG, TYPE_TAG);
	/* No tag by chance. */
	put16(ip - 2, layers->l3 ? (layers->v6 ? TYPE_IP6 : TYPE_IP4) : 0x88b5);
	if (!layers->l3)
		return;
	if (layers->v6)
		write_ip6(rng, ip, layers, bytes);
	else
		write_ip4(rng, ip, layers, bytes);
	if (layers->l4 && !layers->fragment)
		write_l4(rng, ip, layers, bytes);
}

/* What a receiver says of a packet with right checksums. */
static void tell(struct packet *packet, const struct layers *layers)
{
	const unsigned int tags = layers->tags + (packet->flags & WEIR_FRAME_VLAN ? 1 : 0);
	const uint8_t *udp = packet->data + layers->l2 + layers->l3;

	packet->told = true;
	packet->rx_flags = 0;
	if (!layers->l3 || tags > 1)
		return;
	packet->rx_flags = layers->v6 ? WEIR_FRAME_IP6 : WEIR_FRAME_IP4 | WEIR_FRAME_IP_CHECKED;
	if (layers->options)
		packet->rx_flags |= layers->v6 ? WEIR_FRAME_IP6_EXTENSIONS : WEIR_FRAME_IP4_OPTIONS;
	if (layers->fragment || !layers->l4)
		return;
	packet->rx_flags |= layers->protocol == PROTOCOL_TCP   ? WEIR_FRAME_TCP
			    : layers->protocol == PROTOCOL_UDP ? WEIR_FRAME_UDP
							       : WEIR_FRAME_SCTP;
	if (layers->protocol != PROTOCOL_UDP || get16(udp + 6))
		packet->rx_flags |= WEIR_FRAME_L4_CHECKED;
}

/* Makes a checksum wrong. */
static void falsify(struct rng *rng, struct packet *packet, const struct layers *layers)
{
	if (packet->rx_flags & WEIR_FRAME_IP_CHECKED && rng_chance(rng, 500)) {
		packet->data[layers->l2 + 8] ^= (uint8_t)(1u << rng_below(rng, 8));
		packet->rx_flags |= WEIR_FRAME_IP_BAD;
	} else if (packet->rx_flags & WEIR_FRAME_L4_CHECKED) {
		packet->data[layers->l2 + layers->l3] ^= (uint8_t)(1u << rng_below(rng, 8));
		packet->rx_flags |= WEIR_FRAME_L4_BAD;
	}
}

/* Makes something else wrong: nobody has to recognise it any more. */
static void damage(struct rng *rng, struct packet *packet, const struct layers *layers)
{
	uint32_t headers = layers->l2 + layers->l3 + layers->l4;

	packet->told = false;
	if (headers > packet->bytes)
		headers = packet->bytes;
	switch (rng_below(rng, 4)) {
	case 0: /* cut short */
		packet->bytes = rng_from(rng, MIN_PACKET, packet->bytes);
		break;
	case 1: /* a length that lies */
		if (layers->l3)
			put16(packet->data + layers->l2 + (layers->v6 ? 4 : 2),
			      (uint32_t)rng_next(rng) & 0xffff);
		break;
	case 2: /* a header length or version that lies */
		packet->data[layers->l2] = (uint8_t)rng_next(rng);
		if (layers->l4 >= TCP)
			packet->data[layers->l2 + layers->l3 + 12] = (uint8_t)rng_next(rng);
		break;
	default:
		for (unsigned int i = rng_from(rng, 1, 8); i; i--)
			packet->data[rng_from(rng, 12, headers - 1)] = (uint8_t)rng_next(rng);
	}
}

static uint32_t types_of(const struct layers *layers)
{
	uint32_t flags = layers->v6 ? WEIR_FRAME_IP6 : WEIR_FRAME_IP4;

	if (layers->protocol == PROTOCOL_TCP)
		return flags | WEIR_FRAME_TCP;
	return flags | (layers->protocol == PROTOCOL_UDP ? WEIR_FRAME_UDP : WEIR_FRAME_SCTP);
}

static void say_headers(struct packet *packet, const struct layers *layers)
{
	packet->flags |= types_of(layers);
	packet->headers = (struct weir_frame_headers){ .l2_len = (uint8_t)layers->l2,
						       .l3_len = (uint16_t)layers->l3,
						       .l4_len = (uint8_t)layers->l4 };
}

/* Leaves checksums to the device, which then makes those that are there now. */
static void ask_for_checksums(struct rng *rng, struct packet *packet, const struct layers *layers)
{
	uint8_t *ip = packet->data + layers->l2, *l4 = ip + layers->l3;

	say_headers(packet, layers);
	if (!layers->v6 && rng_chance(rng, 700)) {
		packet->flags |= WEIR_FRAME_IP_CSUM;
		put16(ip + 10, (uint32_t)rng_next(rng) & 0xffff);
	}
	if (!(packet->flags & WEIR_FRAME_IP_CSUM) || rng_chance(rng, 700)) {
		packet->flags |= WEIR_FRAME_L4_CSUM;
		if (layers->protocol == PROTOCOL_SCTP)
			put32(l4 + 8, (uint32_t)rng_next(rng));
		else
			put16(l4 + checksum_at(layers->protocol),
			      pseudo_sum(ip, layers, layers->end - layers->l2 - layers->l3));
	}
}

/* One of TCP or UDP to be cut. */
static bool make_segments(struct rng *rng, const struct packet_options *options,
			  const uint8_t to[6], const uint8_t from[6], struct packet *packet)
{
	struct layers layers;
	uint32_t headers, tag = packet->flags & WEIR_FRAME_VLAN ? TAG : 0, payload, least, most;
	uint8_t *ip;

	choose_layers(rng, true, &layers);
	headers = layers.l2 + layers.l3 + layers.l4;
	if (headers + tag + 20 > options->max_packet)
		return false;
	most = options->max_packet - headers - tag;
	payload = rng_chance(rng, 50) ? rng_from(rng, 1, 65535) : rng_from(rng, 1, 9000);
	least = (payload + PACKET_SEGMENTS - 1) / PACKET_SEGMENTS;
	if (least > most) {
		least = most;
		payload = most * PACKET_SEGMENTS;
	}
	packet->bytes = headers + payload;
	/* A length that does not fit its field is none that the device looks at. */
	layers.end = packet->bytes;
	write_layers(rng, packet, &layers, to, from);
	tell(packet, &layers);
	packet->rx_flags |= packet->rx_flags & WEIR_FRAME_UDP ? WEIR_FRAME_L4_CHECKED : 0;
	say_headers(packet, &layers);
	packet->flags |= WEIR_FRAME_TSO;
	packet->mss = (uint16_t)rng_from(rng, least, most);
	ip = packet->data + layers.l2;
	put16(ip + layers.l3 + checksum_at(layers.protocol), pseudo_sum(ip, &layers, 0));
	if (!layers.v6)
		put16(ip + 10, 0);
	return true;
}

/* Requests that need not go with the packet. */
static void ask_for_anything(struct rng *rng, struct packet *packet, const struct layers *layers)
{
	static const uint32_t wishes[] = {
		WEIR_FRAME_IP4,	   WEIR_FRAME_IP6,     WEIR_FRAME_TCP,
		WEIR_FRAME_UDP,	   WEIR_FRAME_SCTP,    WEIR_FRAME_IP_CSUM,
		WEIR_FRAME_VLAN,   WEIR_FRAME_L4_CSUM, WEIR_FRAME_TSO,
		1u << 31,	   WEIR_FRAME_IP_BAD,  WEIR_FRAME_L4_CHECKED,
		WEIR_FRAME_HEADER, WEIR_FRAME_UNUSED,  1u,
	};

	packet->verdict = PACKET_ANY;
	if (layers->l3)
		say_headers(packet, layers);
	/* The last ones are none that a packet may have: seldom. */
	for (unsigned int i = rng_from(rng, 1, 4); i; i--)
		packet->flags ^= wishes[rng_below(rng, rng_chance(rng, 100) ? 15 : 9)];
	if (rng_chance(rng, 500))
		packet->headers.l2_len = (uint8_t)rng_next(rng);
	if (rng_chance(rng, 300))
		packet->headers.l3_len = (uint16_t)rng_below(rng,
							     rng_chance(rng, 200) ? 65536 : 80);
	if (rng_chance(rng, 300))
		packet->headers.l4_len = (uint8_t)rng_next(rng);
	packet->vlan = (uint16_t)rng_next(rng);
	packet->mss = (uint16_t)rng_below(rng, rng_chance(rng, 200) ? 65536 : 2000);
	/* so that not too many come of it */
	if (packet->mss && packet->mss < packet->bytes / PACKET_SEGMENTS)
		packet->mss = (uint16_t)packet->bytes;
	packet->exact = !(packet->flags & CHECKSUMS);
	packet->told = false;
}

/* What the driver has to refuse, whatever is in it. */
static void make_malformed(struct rng *rng, const struct packet_options *options,
			   struct packet *packet)
{
	packet->verdict = PACKET_MALFORMED;
	packet->exact = packet->told = false;
	packet->flags &= WEIR_FRAME_VLAN;
	if (rng_chance(rng, 500))
		packet->bytes = rng_from(rng, 1, MIN_PACKET - 1);
	else
		packet->bytes = options->max_packet + rng_from(rng, 1, 500);
}

static void make_whole(struct rng *rng, const struct packet_options *options, const uint8_t to[6],
		       const uint8_t from[6], struct packet *packet)
{
	uint32_t tag = packet->flags & WEIR_FRAME_VLAN ? TAG : 0, headers;
	uint32_t most = options->max_packet - tag;
	struct layers layers;
	bool trailer;

	do {
		choose_layers(rng, false, &layers);
		headers = layers.l2 + layers.l3 + layers.l4;
	} while (headers > most);
	if (layers.protocol == PROTOCOL_SCTP && most > 300)
		most = headers > 300 ? headers : 300; /* its checksum takes long */
	packet->bytes = choose_bytes(rng, headers > MIN_PACKET ? headers : MIN_PACKET, most);
	trailer = layers.l3 && rng_chance(rng, 50);
	layers.end = trailer ? rng_from(rng, headers, packet->bytes) : packet->bytes;
	write_layers(rng, packet, &layers, to, from);
	tell(packet, &layers);
	if (rng_chance(rng, 30))
		falsify(rng, packet, &layers);
	else if (rng_chance(rng, 150))
		damage(rng, packet, &layers);
	else if (!options->certain && rng_chance(rng, 50))
		ask_for_anything(rng, packet, &layers);
	else if (layers.l4 && !layers.fragment && !trailer && rng_chance(rng, 250) &&
		 (layers.protocol != PROTOCOL_UDP || packet->rx_flags & WEIR_FRAME_L4_CHECKED ||
		  packet->rx_flags == 0))
		ask_for_checksums(rng, packet, &layers);
}

void packet_make(struct rng *rng, const struct packet_options *options, const uint8_t to[6],
		 const uint8_t from[6], struct packet *packet)
{
	*packet = (struct packet){ .data = packet->data, .verdict = PACKET_GOOD, .exact = true };
	if (rng_chance(rng, 100)) {
		packet->flags = WEIR_FRAME_VLAN;
		packet->vlan = (uint16_t)rng_next(rng);
	}
	if (!options->certain && rng_chance(rng, 30) &&
	    make_segments(rng, options, to, from, packet))
		return;
	make_whole(rng, options, to, from, packet);
	if (rng_chance(rng, 10))
		make_malformed(rng, options, packet);
}

static uint32_t tso_headers(const struct packet *packet)
{
	return (uint32_t)packet->headers.l2_len + packet->headers.l3_len + packet->headers.l4_len;
}

unsigned int packet_wire_count(const struct packet *packet)
{
	uint32_t headers = tso_headers(packet);

	if (!(packet->flags & WEIR_FRAME_TSO) || !packet->mss || packet->bytes <= headers)
		return 1;
	return (packet->bytes - headers + packet->mss - 1) / packet->mss;
}

/* The headers of the n-th segment (datasheet §7.2.4.7), and its checksums. */
static void write_segment(const struct packet *packet, uint8_t *data, uint32_t bytes,
			  unsigned int n, bool last)
{
	const struct layers layers = {
		.v6 = packet->flags & WEIR_FRAME_IP6,
		.protocol = packet->flags & WEIR_FRAME_TCP ? PROTOCOL_TCP : PROTOCOL_UDP,
	};
	uint8_t *ip = data + packet->headers.l2_len, *l4 = ip + packet->headers.l3_len;
	uint32_t l4_all = bytes - packet->headers.l2_len - packet->headers.l3_len;

	if (layers.v6) {
		put16(ip + 4, packet->headers.l3_len - IP6 + l4_all);
	} else {
		put16(ip + 2, packet->headers.l3_len + l4_all);
		put16(ip + 4, get16(ip + 4) + n);
		put_ip_checksum(ip, packet->headers.l3_len);
	}
	if (layers.protocol == PROTOCOL_UDP) {
		put16(l4 + 4, l4_all);
	} else {
		put32(l4 + 4, (get16(l4 + 4) << 16 | get16(l4 + 6)) + n * packet->mss);
		if (!last)
			l4[13] &= 0xf6; /* FIN and PSH are the last one's */
	}
	put_l4_checksum(l4, l4_all, layers.protocol, pseudo_sum(ip, &layers, l4_all));
}

/* What checksums the device was to fill in. */
static void complete(const struct packet *packet, uint8_t *data, uint32_t bytes)
{
	const struct weir_frame_headers *headers = &packet->headers;
	uint8_t *ip = data + headers->l2_len, *l4 = ip + headers->l3_len;
	struct layers layers = { .v6 = packet->flags & WEIR_FRAME_IP6 };
	uint32_t l4_all = bytes - headers->l2_len - headers->l3_len;

	if (packet->flags & WEIR_FRAME_IP_CSUM)
		put_ip_checksum(ip, headers->l3_len);
	if (!(packet->flags & WEIR_FRAME_L4_CSUM))
		return;
	layers.protocol = packet->flags & WEIR_FRAME_TCP   ? PROTOCOL_TCP
			  : packet->flags & WEIR_FRAME_UDP ? PROTOCOL_UDP
							   : PROTOCOL_SCTP;
	put_l4_checksum(l4, l4_all, layers.protocol,
			layers.protocol == PROTOCOL_SCTP ? 0 : pseudo_sum(ip, &layers, l4_all));
}

/* The tag behind the addresses. */
static uint32_t insert_tag(const struct packet *packet, uint8_t *wire, uint32_t bytes)
{
	if (!(packet->flags & WEIR_FRAME_VLAN) || bytes < ETHERNET)
		return bytes;
	memmove(wire + 12 + TAG, wire + 12, bytes - 12);
	put16(wire + 12, TYPE_TAG);
	put16(wire + 14, packet->vlan);
	return bytes + TAG;
}

static uint32_t segment(const struct packet *packet, unsigned int n, uint8_t *wire)
{
	uint32_t headers = tso_headers(packet), at = n * packet->mss;
	uint32_t left = packet->bytes - headers - at;
	uint32_t part = left < packet->mss ? left : packet->mss;

	memcpy(wire, packet->data, headers);
	memcpy(wire + headers, packet->data + headers + at, part);
	if (packet->exact)
		write_segment(packet, wire, headers + part, n, part == left);
	return headers + part;
}

uint32_t packet_wire(const struct packet *packet, unsigned int n, uint8_t *wire)
{
	uint32_t bytes = packet->bytes;

	if (packet->flags & WEIR_FRAME_TSO && packet->mss && bytes > tso_headers(packet)) {
		bytes = segment(packet, n, wire);
	} else {
		memcpy(wire, packet->data, bytes);
		if (packet->exact)
			complete(packet, wire, bytes);
	}
	bytes = insert_tag(packet, wire, bytes);
	if (bytes < PACKET_MIN_WIRE) {
		memset(wire + bytes, 0, PACKET_MIN_WIRE - bytes);
		bytes = PACKET_MIN_WIRE;
	}
	return bytes;
}
