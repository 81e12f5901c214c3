/* SPDX-License-Identifier: BSD-3-Clause */
/* What receiving and sending have in common. */
#ifndef WEIR_NET_SRC_NET_H
#define WEIR_NET_SRC_NET_H

#include <stdbool.h>
#include <weir/net.h>

#include "base/base.h"

/* Frames that are handed on at once. */
#define NET_BURST 64u

/* The memory of a port's arena: what its device can reach. */
struct net_span {
	uintptr_t base;
	uint64_t bytes;
	uint64_t delta; /* address less IOVA */
};

static inline void net_span_init(struct net_span *span, const struct weir_nic *nic)
{
	const struct weir_arena *arena = weir_nic_arena(nic);

	span->base = (uintptr_t)weir_arena_base(arena);
	span->bytes = weir_arena_bytes(arena);
	span->delta = span->base - weir_arena_iova(arena);
}

static inline bool net_span_holds(const struct net_span *span, const void *data, uint32_t bytes)
{
	uint64_t offset = (uintptr_t)data - span->base;

	return offset < span->bytes && bytes <= span->bytes - offset;
}

#endif
