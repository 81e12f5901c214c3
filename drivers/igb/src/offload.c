/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device is to do with a packet beside sending it: checksums (§7.2.5), segmentation
 * (§7.2.4), a VLAN tag (§7.4.2). Said in a context descriptor, and in bits of the packet's own.
 */
#include "igb.h"

#define L4 (WEIR_FRAME_TCP | WEIR_FRAME_UDP | WEIR_FRAME_SCTP)
#define IP (WEIR_FRAME_IP4 | WEIR_FRAME_IP6)
#define CHECKSUMS (WEIR_FRAME_IP_CSUM | WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO)
/* A packet's own flags that may be in its first frame. */
#define FIRST_FLAGS \
	(L4 | IP | CHECKSUMS | WEIR_FRAME_IP4_OPTIONS | WEIR_FRAME_IP6_EXTENSIONS | \
	 WEIR_FRAME_VLAN | WEIR_FRAME_MORE | WEIR_FRAME_DEVICE)
#define OTHER_FLAGS (WEIR_FRAME_MORE | WEIR_FRAME_DEVICE)
#define MIN_L2 14
#define MAX_L2 127 /* MACLEN, 7 bits */
#define MIN_IP4 20
#define MIN_IP6 40
#define MIN_TCP 20
#define UDP_BYTES 8

static bool is_one_of(uint32_t flags, uint32_t set)
{
	flags &= set;
	return flags && !(flags & (flags - 1));
}

/* The headers go together, and lie in the packet's first `bytes`. */
static bool headers_fit(const struct weir_frame *first, uint64_t bytes)
{
	const struct weir_frame_headers *h = &first->headers;
	uint32_t flags = first->flags, l4 = first->flags & WEIR_FRAME_TSO ? h->l4_len : 0;

	if (!is_one_of(flags, IP))
		return false;
	if ((flags & WEIR_FRAME_IP_CSUM) && !(flags & WEIR_FRAME_IP4))
		return false;
	if ((flags & (WEIR_FRAME_L4_CSUM | WEIR_FRAME_TSO)) && !is_one_of(flags, L4))
		return false;
	if (h->l2_len < MIN_L2 || h->l2_len > MAX_L2 || h->l3_len > IGB_MAX_HEADERS ||
	    h->l3_len < (flags & WEIR_FRAME_IP4 ? MIN_IP4 : MIN_IP6))
		return false;
	return (uint64_t)h->l2_len + h->l3_len + l4 <= bytes;
}

static bool segments_fit(const struct igb_txq *q, const struct weir_frame *first, uint64_t bytes)
{
	const struct weir_frame_headers *h = &first->headers;
	uint32_t headers = (uint32_t)h->l2_len + h->l3_len + h->l4_len;
	uint32_t most = atomic_load_explicit(&q->common.nic->max_packet, memory_order_relaxed);

	if (first->flags & WEIR_FRAME_SCTP)
		return false;
	if (first->flags & WEIR_FRAME_TCP ? h->l4_len < MIN_TCP : h->l4_len != UDP_BYTES)
		return false;
	return first->mss && headers + first->mss <= most && bytes > headers &&
	       bytes - headers <= IGB_MAX_TSO;
}

static void compose(const struct weir_frame *first, struct igb_offload *offload)
{
	const struct weir_frame_headers *h = &first->headers;
	uint32_t flags = first->flags, type = IGB_TXD_CONTEXT | IGB_TXD_DEXT;
	uint32_t lengths = MIN_L2 << IGB_CTX_MACLEN;

	if (flags & CHECKSUMS)
		lengths = (uint32_t)h->l2_len << IGB_CTX_MACLEN | h->l3_len;
	if (flags & WEIR_FRAME_VLAN) {
		lengths |= (uint32_t)first->vlan << IGB_CTX_VLAN;
		offload->command |= IGB_TXD_VLE;
	}
	offload->context[0] = lengths;
	if (flags & CHECKSUMS) {
		type |= flags & WEIR_FRAME_IP4 ? IGB_CTX_IPV4 : 0;
		type |= flags & WEIR_FRAME_TCP	  ? IGB_CTX_TCP
			: flags & WEIR_FRAME_SCTP ? IGB_CTX_SCTP
						  : IGB_CTX_UDP;
	}
	offload->context[1] = type;
	if (flags & WEIR_FRAME_IP_CSUM)
		offload->command |= IGB_TXD_IXSM;
	if (flags & WEIR_FRAME_L4_CSUM)
		offload->command |= IGB_TXD_TXSM;
	if (flags & WEIR_FRAME_TSO) {
		offload->context[1] |= (uint64_t)h->l4_len << IGB_CTX_L4LEN |
				       (uint64_t)first->mss << IGB_CTX_MSS;
		offload->command |= IGB_TXD_TSE | IGB_TXD_TXSM;
		if (flags & WEIR_FRAME_IP4)
			offload->command |= IGB_TXD_IXSM;
		offload->payload -= (uint32_t)h->l2_len + h->l3_len + h->l4_len;
	}
}

bool igb_offload(const struct igb_txq *q, const struct weir_frame *frames, unsigned int n,
		 struct igb_offload *offload)
{
	const uint32_t flags = frames[0].flags;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (!frames[i].len || frames[i].len > IGB_MAX_FRAME ||
		    (frames[i].flags & ~(uint32_t)(i ? OTHER_FLAGS : FIRST_FLAGS)))
			return false;
		bytes += frames[i].len;
	}
	*offload = (struct igb_offload){ .payload = (uint32_t)bytes };
	if ((flags & CHECKSUMS) && !headers_fit(&frames[0], bytes))
		return false;
	if (flags & WEIR_FRAME_TSO) {
		if (!segments_fit(q, &frames[0], bytes))
			return false;
	} else if (bytes > atomic_load_explicit(&q->common.nic->max_packet, memory_order_relaxed)) {
		return false;
	}
	if (flags & (CHECKSUMS | WEIR_FRAME_VLAN))
		compose(&frames[0], offload);
	return true;
}
