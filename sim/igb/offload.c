/* SPDX-License-Identifier: BSD-3-Clause */
/* What is computed for the driver while a frame is sent: checksums, segments, the FCS (datasheet
 * §7.2.4, §7.2.5). */
#include <string.h>

#include "igb/device.h"

#define IPV4_MIN 20u
#define IPV6_BYTES 40u
#define TCP_MIN 20u
#define UDP_BYTES 8u
#define TCP_CHECKSUM 16u
#define UDP_CHECKSUM 6u
#define IP_CHECKSUM 10u
#define TCP_SEQUENCE 4u
#define TCP_FLAGS 13u
#define SCTP_CHECKSUM 8u
#define FCS_POLYNOMIAL 0xedb88320u
#define SCTP_POLYNOMIAL 0x82f63b78u

static uint32_t get16(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 8 | bytes[1];
}

static void put16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *bytes)
{
	return get16(bytes) << 16 | get16(bytes + 2);
}

static void put32(uint8_t *bytes, uint32_t value)
{
	put16(bytes, value >> 16);
	put16(bytes + 2, value & 0xffff);
}

uint64_t igb_sum(const uint8_t *data, uint32_t bytes)
{
	uint64_t sum = 0;

	/* Sums of words in the machine's order are the swapped sum of words in the other order, so
	 * four bytes are taken at once and the result is swapped if it has to be (RFC 1071 §2). */
	for (; bytes >= 4; bytes -= 4, data += 4) {
		uint32_t word;

		memcpy(&word, data, 4);
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	sum = (sum & 0xff) << 8 | sum >> 8;
#endif
	if (bytes >= 2) {
		sum += get16(data);
		data += 2;
		bytes -= 2;
	}
	return bytes ? sum + ((uint32_t)data[0] << 8) : sum;
}

uint16_t igb_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t crc(uint32_t polynomial, const uint8_t *data, uint32_t bytes)
{
	uint32_t value = UINT32_MAX;

	for (uint32_t i = 0; i < bytes; i++) {
		value ^= data[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? polynomial : 0);
	}
	return ~value;
}

uint32_t igb_fcs(const uint8_t *data, uint32_t bytes)
{
	return crc(FCS_POLYNOMIAL, data, bytes);
}

uint32_t igb_sctp_checksum(uint8_t *data, uint32_t bytes)
{
	uint32_t saved, value;

	memcpy(&saved, data + SCTP_CHECKSUM, sizeof(saved));
	memset(data + SCTP_CHECKSUM, 0, sizeof(saved));
	value = crc(SCTP_POLYNOMIAL, data, bytes);
	memcpy(data + SCTP_CHECKSUM, &saved, sizeof(saved));
	return value;
}

/* Puts the complement of the sum of what begins at `start`, and is there already, to `place`. */
static void put_checksum(uint8_t *place, uint64_t sum, bool udp)
{
	uint32_t checksum = (uint16_t)~igb_fold(sum);

	/* Zero says that there is none. */
	put16(place, udp && !checksum ? 0xffff : checksum);
}

static void put_ip_checksum(uint8_t *ip, uint32_t bytes)
{
	put16(ip + IP_CHECKSUM, 0);
	put_checksum(ip + IP_CHECKSUM, igb_sum(ip, bytes), false);
}

/* Where the checksum lies in the header of that protocol. */
static uint32_t l4_checksum_at(enum igb_l4 l4)
{
	return l4 == IGB_L4_TCP ? TCP_CHECKSUM : UDP_CHECKSUM;
}

static bool put_sctp_checksum(uint8_t *sctp, uint32_t bytes)
{
	uint32_t checksum;

	if (bytes < SCTP_CHECKSUM + sizeof(checksum))
		return false;
	checksum = igb_sctp_checksum(sctp, bytes);
	memcpy(sctp + SCTP_CHECKSUM, &checksum, sizeof(checksum));
	return true;
}

bool igb_offload(const struct dev_work *work, uint8_t *frame, uint32_t bytes)
{
	uint32_t l3 = work->mac_bytes, l4 = l3 + work->ip_bytes;

	if (work->checksum_offset) {
		if (work->checksum_start >= bytes || work->checksum_offset + 2 > bytes)
			return false;
		put_checksum(frame + work->checksum_offset,
			     igb_sum(frame + work->checksum_start, bytes - work->checksum_start),
			     false);
	}
	if (work->ip_checksum && work->ipv4) {
		if (work->ip_bytes < IPV4_MIN || l4 > bytes)
			return false;
		put_ip_checksum(frame + l3, work->ip_bytes);
	}
	if (work->l4_checksum) {
		uint32_t at = l4 + l4_checksum_at(work->l4);

		if (work->l4 > IGB_L4_SCTP || at + 2 > bytes)
			return false;
		if (work->l4 == IGB_L4_SCTP)
			return put_sctp_checksum(frame + l4, bytes - l4);
		/* The driver left the sum of the pseudo header there. */
		put_checksum(frame + at, igb_sum(frame + l4, bytes - l4), work->l4 == IGB_L4_UDP);
	}
	return true;
}

/* Flags that a segment keeps: DTXTCPFLGL and DTXTCPFLGH, for the first, middle and last. */
static uint32_t flags_kept(const struct sim_igb *igb, unsigned int number, bool last)
{
	uint32_t low = igb->regs[IGB_DTXTCPFLGL / 4];

	if (last)
		return igb->regs[IGB_DTXTCPFLGH / 4] & 0xfff;
	return number ? low >> 16 & 0xfff : low & 0xfff;
}

void igb_segment(const struct sim_igb *igb, const struct dev_work *work, uint8_t *frame,
		 uint32_t bytes, uint32_t offset, unsigned int number, bool last)
{
	uint8_t *ip = frame + work->mac_bytes, *l4 = ip + work->ip_bytes;
	uint32_t l4_bytes = bytes - work->mac_bytes - work->ip_bytes;
	uint8_t *checksum = l4 + l4_checksum_at(work->l4);

	if (work->ipv4) {
		put16(ip + 2, work->ip_bytes + l4_bytes);
		put16(ip + 4, get16(ip + 4) + number);
		put_ip_checksum(ip, work->ip_bytes);
	} else {
		put16(ip + 4, work->ip_bytes - IPV6_BYTES + l4_bytes);
	}
	if (work->l4 == IGB_L4_TCP) {
		put32(l4 + TCP_SEQUENCE, get32(l4 + TCP_SEQUENCE) + offset);
		l4[TCP_FLAGS] &= (uint8_t)flags_kept(igb, number, last);
	} else {
		put16(l4 + 4, l4_bytes);
	}
	/* The driver left the sum of the pseudo header there, without the length. */
	put_checksum(checksum, igb_sum(l4, l4_bytes) + l4_bytes, work->l4 == IGB_L4_UDP);
}
