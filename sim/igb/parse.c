/* SPDX-License-Identifier: BSD-3-Clause */
/* What a frame is: its protocols, where they begin, and whether their checksums are right
 * (datasheet §7.1.5.2, §7.1.11). */
#include <string.h>

#include "igb/device.h"

#define ETHERNET_BYTES 14u
#define TAG_BYTES 4u
#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86ddu
#define IPV4_MIN 20u
#define IPV4_FRAGMENT 0x3fffu /* offset, and more fragments */
#define IPV6_BYTES 40u
#define IPV6_MAX_EXTENSIONS 8u
#define TCP_MIN 20u
#define UDP_BYTES 8u
#define SCTP_BYTES 12u

enum {
	IP_HOP_BY_HOP = 0,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_ROUTING = 43,
	IP_FRAGMENT = 44,
	IP_DESTINATION = 60,
	IP_SCTP = 132,
};

static uint32_t get16(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

bool igb_is_tagged(const struct sim_igb *igb, const uint8_t *frame, uint32_t bytes)
{
	return bytes >= ETHERNET_BYTES + TAG_BYTES &&
	       get16(frame + 12) == (igb->regs[IGB_VET / 4] & 0xffff);
}

/* `sum` is that of the pseudo header. */
static void check_l4(struct dev_packet *packet, const uint8_t *l4, uint32_t bytes, uint64_t sum)
{
	bool udp = packet->types & IGB_RX_TYPE_UDP;

	if (udp && !get16(l4 + 6))
		return; /* the sender made none */
	packet->status |= udp ? IGB_RX_L4CS | IGB_RX_UDPCS : IGB_RX_L4CS;
	if (igb_fold(sum + igb_sum(l4, bytes)) != 0xffff)
		packet->status |= IGB_RX_L4E;
}

static void check_sctp(const struct sim_igb *igb, struct dev_packet *packet, uint8_t *sctp,
		       uint32_t bytes)
{
	uint32_t checksum;

	if (!(igb->regs[IGB_RXCSUM / 4] & IGB_RXCSUM_CRCOFL))
		return;
	memcpy(&checksum, sctp + 8, sizeof(checksum));
	packet->status |= IGB_RX_L4CS;
	if (checksum != igb_sctp_checksum(sctp, bytes))
		packet->status |= IGB_RX_L4E;
}

/* The layer behind IP, of that protocol, in `bytes` bytes. */
static void parse_l4(const struct sim_igb *igb, struct dev_packet *packet, uint8_t *frame,
		     uint32_t protocol, uint32_t bytes, uint64_t pseudo)
{
	uint8_t *l4 = frame + packet->headers;
	uint32_t headers;

	packet->l4 = packet->headers;
	if (protocol == IP_TCP && bytes >= TCP_MIN) {
		headers = (l4[12] >> 4) * 4u;
		packet->types |= IGB_RX_TYPE_TCP;
	} else if (protocol == IP_UDP && bytes >= UDP_BYTES) {
		headers = UDP_BYTES;
		packet->types |= IGB_RX_TYPE_UDP;
	} else if (protocol == IP_SCTP && bytes >= SCTP_BYTES) {
		packet->types |= IGB_RX_TYPE_SCTP;
		packet->headers += SCTP_BYTES;
		check_sctp(igb, packet, l4, bytes);
		return;
	} else {
		packet->l4 = 0;
		return;
	}
	if (headers >= UDP_BYTES && headers <= bytes)
		packet->headers += headers;
	if (igb->regs[IGB_RXCSUM / 4] & IGB_RXCSUM_TUOFLD)
		check_l4(packet, l4, bytes, pseudo + protocol + bytes);
}

static void parse_ipv4(const struct sim_igb *igb, struct dev_packet *packet, uint8_t *frame,
		       uint32_t bytes)
{
	const uint8_t *ip = frame + packet->l3;
	uint32_t left = bytes - packet->l3, headers, total;

	headers = left >= IPV4_MIN ? (ip[0] & 0xf) * 4u : 0;
	if (headers < IPV4_MIN || ip[0] >> 4 != 4)
		return;
	total = get16(ip + 2);
	if (total < headers || total > left)
		return;
	packet->types |= IGB_RX_TYPE_IPV4;
	if (headers > IPV4_MIN)
		packet->types |= IGB_RX_TYPE_IPV4_OPTIONS;
	packet->headers += headers;
	packet->ip_id = (uint16_t)get16(ip + 4);
	if (igb->regs[IGB_RXCSUM / 4] & IGB_RXCSUM_IPOFLD) {
		packet->status |= IGB_RX_IPCS;
		if (igb_fold(igb_sum(ip, headers)) != 0xffff)
			packet->status |= IGB_RX_IPE;
	}
	if (get16(ip + 6) & IPV4_FRAGMENT) {
		packet->fragment = true;
		return;
	}
	parse_l4(igb, packet, frame, ip[9], total - headers, igb_sum(ip + 12, 8));
}

static void parse_ipv6(const struct sim_igb *igb, struct dev_packet *packet, uint8_t *frame,
		       uint32_t bytes)
{
	const uint8_t *ip = frame + packet->l3;
	uint32_t left = bytes - packet->l3, at = IPV6_BYTES, end, next;

	if (left < IPV6_BYTES || ip[0] >> 4 != 6)
		return;
	end = IPV6_BYTES + get16(ip + 4);
	if (end > left)
		return;
	packet->types |= IGB_RX_TYPE_IPV6;
	next = ip[6];
	for (unsigned int i = 0; i < IPV6_MAX_EXTENSIONS; i++) {
		uint32_t length;

		if (next != IP_HOP_BY_HOP && next != IP_ROUTING && next != IP_DESTINATION &&
		    next != IP_FRAGMENT)
			break;
		if (end - at < 8)
			break;
		length = next == IP_FRAGMENT ? 8 : 8u + ip[at + 1] * 8u;
		if (length > end - at)
			break;
		packet->types |= IGB_RX_TYPE_IPV6_EXTENSIONS;
		packet->fragment |= next == IP_FRAGMENT;
		next = ip[at];
		at += length;
	}
	packet->headers += at;
	if (!packet->fragment)
		parse_l4(igb, packet, frame, next, end - at, igb_sum(ip + 8, 32));
}

void igb_parse(const struct sim_igb *igb, uint8_t *frame, uint32_t bytes, struct dev_packet *packet)
{
	uint32_t at = 12;

	memset(packet, 0, sizeof(*packet));
	if (igb_is_tagged(igb, frame, bytes))
		at += TAG_BYTES;
	packet->headers = at + 2;
	packet->l3 = at + 2;
	if (get16(frame + at) == TYPE_IPV4)
		parse_ipv4(igb, packet, frame, bytes);
	else if (get16(frame + at) == TYPE_IPV6)
		parse_ipv6(igb, packet, frame, bytes);
}
