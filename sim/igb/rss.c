/* SPDX-License-Identifier: BSD-3-Clause */
/* Which queue a frame goes to: the Toeplitz hash over its addresses and ports, and the redirection
 * table (datasheet §7.1.2.8). */
#include <string.h>

#include "igb/device.h"

/* For each byte of the input: the XOR of the key's windows at the bits that are set in it. */
static void make_table(struct sim_igb *igb)
{
	uint8_t key[IGB_RSS_KEY_BYTES];

	memcpy(key, igb_reg(igb, IGB_RSSRK), sizeof(key));
	for (unsigned int at = 0; at < DEV_RSS_BYTES; at++) {
		uint64_t window = 0;

		for (unsigned int i = 0; i < 5; i++)
			window = window << 8 | (at + i < sizeof(key) ? key[at + i] : 0);
		for (unsigned int value = 0; value < 256; value++) {
			uint32_t hash = 0;

			for (unsigned int bit = 0; bit < 8; bit++) {
				if (value & 0x80u >> bit)
					hash ^= (uint32_t)(window >> (8 - bit));
			}
			igb->rss_table[at][value] = hash;
		}
	}
	igb->rss_stale = false;
}

static uint32_t toeplitz(struct sim_igb *igb, const uint8_t *addresses, unsigned int address_bytes,
			 const uint8_t *ports)
{
	uint32_t hash = 0;
	unsigned int at = 0;

	if (igb->rss_stale)
		make_table(igb);
	for (; at < address_bytes; at++)
		hash ^= igb->rss_table[at][addresses[at]];
	for (unsigned int i = 0; ports && i < 4; i++)
		hash ^= igb->rss_table[at + i][ports[i]];
	return hash;
}

/* What MRQC allows for a frame; the most of it is taken. */
static enum igb_rss_type choose(uint32_t mrqc, const struct dev_packet *packet)
{
	uint32_t types = packet->types;
	bool v6 = types & IGB_RX_TYPE_IPV6;
	bool extensions = types & IGB_RX_TYPE_IPV6_EXTENSIONS;

	if (types & IGB_RX_TYPE_TCP) {
		if (!v6 && mrqc & IGB_MRQC_TCP_IPV4)
			return IGB_RSS_TCP_IPV4;
		if (v6 && extensions && mrqc & IGB_MRQC_TCP_IPV6_EX)
			return IGB_RSS_TCP_IPV6_EX;
		if (v6 && mrqc & IGB_MRQC_TCP_IPV6)
			return IGB_RSS_TCP_IPV6;
	}
	if (types & IGB_RX_TYPE_UDP) {
		if (!v6 && mrqc & IGB_MRQC_UDP_IPV4)
			return IGB_RSS_UDP_IPV4;
		if (v6 && extensions && mrqc & IGB_MRQC_UDP_IPV6_EX)
			return IGB_RSS_UDP_IPV6_EX;
		if (v6 && mrqc & IGB_MRQC_UDP_IPV6)
			return IGB_RSS_UDP_IPV6;
	}
	if (types & IGB_RX_TYPE_IPV4 && mrqc & IGB_MRQC_IPV4)
		return IGB_RSS_IPV4;
	if (v6 && extensions && mrqc & IGB_MRQC_IPV6_EX)
		return IGB_RSS_IPV6_EX;
	if (v6 && mrqc & IGB_MRQC_IPV6)
		return IGB_RSS_IPV6;
	return IGB_RSS_NONE;
}

static bool has_ports(enum igb_rss_type type)
{
	return type != IGB_RSS_IPV4 && type != IGB_RSS_IPV6 && type != IGB_RSS_IPV6_EX;
}

unsigned int igb_rss(struct sim_igb *igb, const uint8_t *frame, const struct dev_packet *packet,
		     uint32_t *hash, enum igb_rss_type *type)
{
	uint32_t mrqc = *igb_reg(igb, IGB_MRQC);
	bool v6 = packet->types & IGB_RX_TYPE_IPV6;
	uint8_t entry;

	*hash = 0;
	*type = (mrqc & IGB_MRQC_MODE) == IGB_MRQC_RSS ? choose(mrqc, packet) : IGB_RSS_NONE;
	if (*type == IGB_RSS_NONE)
		return mrqc >> IGB_MRQC_DEFAULT_QUEUE_SHIFT & 7;
	*hash = toeplitz(igb, frame + packet->l3 + (v6 ? 8 : 12), v6 ? 32 : 8,
			 has_ports(*type) ? frame + packet->l4 : NULL);
	memcpy(&entry, (uint8_t *)igb_reg(igb, IGB_RETA) + *hash % IGB_RETA_ENTRIES, 1);
	return entry & (IGB_QUEUES - 1);
}
