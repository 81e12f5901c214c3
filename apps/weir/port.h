/* SPDX-License-Identifier: BSD-3-Clause */
/* The network ports that a command works on: one or two, in one IOAS and with one arena, so that a
 * frame that one received can be sent by the other as it is. */
#ifndef WEIR_APPS_PORT_H
#define WEIR_APPS_PORT_H

#include "net_config.h"

#include <weir/ioas.h>
#include <weir/nic.h>

#define PORTS_MAX 2

struct port {
	const char *address;
	struct weir_device *dev;
	struct weir_nic *nic;
	struct weir_nic_info info;
	struct weir_nic_link link; /* when last looked at */
};

struct ports {
	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct weir_mapping *mapping;
	unsigned int nr;
	struct port port[PORTS_MAX];
};

/* Opens one device of each address. On failure nothing is left open. */
int ports_open(struct ports *ports, char *const *addresses, unsigned int nr, uint64_t arena_bytes,
	       struct weir_error *err);
void ports_close(struct ports *ports);

/* Bytes of a frame for receiving with an MTU: every packet fits into one. */
uint32_t port_frame_bytes(uint64_t mtu);

/* Bytes of an arena that the rings of a port take. */
uint64_t port_ring_bytes(const struct net_config *config);

/* Makes a port's queues as the configuration says and starts it. `receive` is of enum
 * weir_nic_receive. */
int port_start(struct port *port, const struct net_config *config, uint32_t receive,
	       struct weir_error *err);

/* Waits until all links are up. -ENETDOWN: one is not; -EINTR: a signal came. */
int ports_wait_link(struct ports *ports, uint64_t limit_ms, struct weir_error *err);

/* Serves a port and looks at what happened to it. -EIO, -ENODEV: it failed; err says why. */
int port_events(struct port *port, struct weir_error *err);

/* Why a port failed, for a command that finds a queue dead. */
int port_failure(const struct port *port, struct weir_error *err);

/* "52:45:49:52:00:00". Returns text. */
#define PORT_MAC_TEXT 18
const char *port_mac_text(const uint8_t mac[6], char text[PORT_MAC_TEXT]);

/* "1000 Mb/s, full duplex" or "down". Returns text. */
#define PORT_LINK_TEXT 40
const char *port_link_text(const struct weir_nic_link *link, char text[PORT_LINK_TEXT]);

#endif
