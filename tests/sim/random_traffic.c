/* SPDX-License-Identifier: BSD-3-Clause */
#include "random_traffic.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES (96u << 20)

static void require_ok(int rc, const struct weir_error *err)
{
	traffic_require(!rc, "%s", err->text);
}

void traffic_create(struct traffic *w, uint64_t seed)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_mapping *mapping;
	struct weir_error err;

	w->rng.at = seed;
	options.bytes = ARENA_BYTES;
	require_ok(weir_arena_create(&options, &w->arena, &err), &err);
	require_ok(weir_ioas_create(NULL, &w->ioas, &err), &err);
	require_ok(weir_ioas_map_arena(w->ioas, w->arena, &mapping, &err), &err);
	for (unsigned int i = 0; i < 2; i++) {
		struct traffic_port *port = &w->port[i];

		port->traffic = w;
		port->index = i;
		port->tx_memory = weir_arena_alloc(w->arena, TRAFFIC_SLOTS * PACKET_ROOM, 0);
		port->rx_memory = weir_arena_alloc(w->arena, TRAFFIC_RX_BYTES, 0);
		port->headers = weir_arena_alloc(w->arena, TRAFFIC_BUFFERS * TRAFFIC_HEADER_ROOM,
						 0);
		port->entries = calloc(TRAFFIC_ENTRIES, sizeof(*port->entries));
		traffic_require(port->tx_memory && port->rx_memory && port->headers &&
					port->entries,
				"no memory");
	}
}

void traffic_destroy(struct traffic *w)
{
	for (unsigned int i = 0; i < 2; i++)
		free(w->port[i].entries);
	traffic_require(!weir_ioas_destroy(w->ioas), "a device is still in the IOAS");
	weir_arena_destroy(w->arena);
}

void traffic_open(struct traffic *w, const char *const addresses[2], bool interrupts)
{
	struct weir_nic_options options = WEIR_NIC_OPTIONS_INIT;
	struct weir_error err;

	options.interrupts = interrupts;
	for (unsigned int i = 0; i < 2; i++) {
		struct traffic_port *port = &w->port[i];

		require_ok(weir_device_open(addresses[i], w->ioas, NULL, &port->dev, &err), &err);
		require_ok(weir_nic_create(port->dev, w->arena, &options, &port->nic, &err), &err);
	}
}

void traffic_close(struct traffic *w)
{
	for (unsigned int i = 0; i < 2; i++) {
		weir_nic_close(w->port[i].nic);
		weir_device_close(w->port[i].dev);
	}
}

void traffic_begin(struct traffic *w)
{
	w->stopping = false;
	for (unsigned int i = 0; i < 2; i++) {
		struct traffic_port *port = &w->port[i];

		weir_nic_info(port->nic, &port->info);
		memset(&port->sums, 0, sizeof(port->sums));
		memset(port->txq, 0, sizeof(port->txq));
		for (unsigned int q = 0; q < TRAFFIC_QUEUES; q++) {
			port->rxq[q].next_posted = port->rxq[q].next_back = 0;
			port->rxq[q].failed = false;
			port->rxq[q].bytes = port->rxq[q].frames = 0;
		}
		memset(port->entries, 0, TRAFFIC_ENTRIES * sizeof(*port->entries));
		port->nr_free_slots = 0;
		for (unsigned int s = 0; s < TRAFFIC_SLOTS; s++)
			port->free_slots[port->nr_free_slots++] = s;
		port->rx_unused = 0;
		traffic_lay_out(port);
	}
}

bool traffic_turn(struct traffic *w)
{
	bool busy = false;

	for (unsigned int i = 0; i < 2; i++) {
		busy |= traffic_send(&w->port[i]);
		busy |= traffic_finish_sending(&w->port[i]);
		busy |= traffic_receive(&w->port[i]);
	}
	return busy;
}
