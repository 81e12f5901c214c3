/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device is to do with a packet beside sending it: checksums (§7.2.5), segmentation
 * (§7.2.4), a VLAN tag (§7.4.2). Said in a context descriptor, and in bits of the packet's own.
 */
#include "igb.h"

#define L4 (WEIR_FRAME_TCP | WEIR_FRAME_UDP | WEIR_FRAME_SCTP)
#define IP (WEIR_FRAME_IP4 | WEIR_FRAME_IP6)
#define CHECKSUMS (WEIR_FRAME_IP_CSUM | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO)
/* A packet's own flags. */
#define PACKET_FLAGS \
	(L4 | IP | CHECKSUMS | WEIR_FRAME_IP4_OPTIONS | WEIR_FRAME_IP6_EXTENSIONS | WEIR_FRAME_VLAN)
#define MIN_L2 14
#define MAX_L2 127 /* MACLEN, 7 bits */
#define MIN_IP4 20
#define MIN_IP6 40
#define MIN_TCP 20
#define UDP_BYTES 8
#define SCTP_BYTES 12

static bool is_one_of(uint32_t flags, uint32_t set)
{
	flags &= set;
	return flags && !(flags & (flags - 1));
}

/* The headers go together. */
static bool headers_are_good(const struct weir_frame_headers *h, uint32_t flags)
{
	if (!is_one_of(flags, IP))
		return false;
	if ((flags & WEIR_FRAME_IP_CSUM) && !(flags & WEIR_FRAME_IP4))
		return false;
	if ((flags & (WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO)) && !is_one_of(flags, L4))
		return false;
	return h->l2_len >= MIN_L2 && h->l2_len <= MAX_L2 && h->l3_len <= IGB_MAX_IP_HEADER &&
	       h->l3_len >= (flags & WEIR_FRAME_IP4 ? MIN_IP4 : MIN_IP6);
}

static bool segments_are_good(const struct weir_frame *first, uint32_t flags)
{
	const struct weir_frame_headers *h = &first->headers;
	const uint32_t tag = flags & WEIR_FRAME_VLAN ? IGB_TAG_BYTES : 0;

	if (!first->mss || (flags & WEIR_FRAME_SCTP))
		return false;
	if (tag + h->l2_len + h->l3_len + h->l4_len > IGB_MAX_TSO_HEADERS)
		return false;
	return flags & WEIR_FRAME_TCP ? h->l4_len >= MIN_TCP : h->l4_len == UDP_BYTES;
}

/* Of the header that the checksum is in: the device writes there. */
static uint32_t l4_bytes(uint32_t flags)
{
	if (flags & WEIR_FRAME_TCP)
		return MIN_TCP;
	return flags & WEIR_FRAME_UDP ? UDP_BYTES : SCTP_BYTES;
}

static uint32_t type_of(uint32_t flags)
{
	uint32_t type = flags & WEIR_FRAME_IP4 ? IGB_CTX_IPV4 : 0;

	if (flags & WEIR_FRAME_TCP)
		return type | IGB_CTX_TCP;
	return type | (flags & WEIR_FRAME_SCTP ? IGB_CTX_SCTP : IGB_CTX_UDP);
}

bool igb_offload(const struct weir_frame *first, uint32_t flags, struct igb_offload *offload)
{
	const struct weir_frame_headers *h = &first->headers;

	/* What is written is none that a packet may have, until it is complete. */
	*offload = (struct igb_offload){ .flags = UINT32_MAX, .headers = IGB_MIN_PACKET };
	if (flags & ~(uint32_t)PACKET_FLAGS)
		return false;
	if ((flags & CHECKSUMS) && !headers_are_good(h, flags))
		return false;
	if ((flags & WEIR_FRAME_TSO) && !segments_are_good(first, flags))
		return false;
	if (!(flags & (CHECKSUMS | WEIR_FRAME_VLAN)))
		return true;

	offload->context[0] = MIN_L2 << IGB_CTX_MACLEN;
	offload->context[1] = IGB_TXD_CONTEXT | IGB_TXD_DEXT;
	if (flags & CHECKSUMS) {
		offload->headers = (uint32_t)h->l2_len + h->l3_len;
		offload->context[0] = (uint32_t)h->l2_len << IGB_CTX_MACLEN | h->l3_len;
		offload->context[1] |= type_of(flags);
	}
	if (flags & WEIR_FRAME_VLAN) {
		offload->context[0] |= (uint64_t)first->vlan << IGB_CTX_VLAN;
		offload->command |= IGB_TXD_VLE;
		offload->more = IGB_TAG_BYTES;
	}
	if (flags & WEIR_FRAME_IP_CSUM)
		offload->command |= IGB_TXD_IXSM;
	if (flags & WEIR_FRAME_L4_CSUM)
		offload->command |= IGB_TXD_TXSM;
	if ((flags & (WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO)) == WEIR_FRAME_L4_CSUM)
		offload->headers += l4_bytes(flags);
	if (flags & WEIR_FRAME_TSO) {
		offload->headers += h->l4_len;
		offload->more += offload->headers + first->mss;
		offload->context[1] |= (uint64_t)h->l4_len << IGB_CTX_L4LEN |
				       (uint64_t)first->mss << IGB_CTX_MSS;
		offload->command |= IGB_TXD_TSE | IGB_TXD_TXSM;
		if (flags & WEIR_FRAME_IP4)
			offload->command |= IGB_TXD_IXSM;
	}
	return true;
}
