/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"
#include "clock.h"
#include "doctor.h"
#include "fail.h"
#include "notice.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A frame of the default MTU in blocks of the arena. */
#define FRAME_STEP 2048
/* What one entry of a ring takes, less than so much for any device. */
#define ENTRY_BYTES 64
#define LINK_TURN_US 10000
#define NS_PER_MS UINT64_C(1000000)

static int open_device(struct ports *ports, struct port *port, struct weir_error *err)
{
	struct weir_device_options options = WEIR_DEVICE_OPTIONS_INIT;
	int rc;

	options.log = notice_log();
	rc = weir_device_open(port->address, ports->ioas, &options, &port->dev, err);
	if (rc)
		doctor_explain("", port->address, err);
	return rc;
}

/* Memory on the node of the first port. */
static int make_arena(struct ports *ports, uint64_t bytes, struct weir_error *err)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_device_info info;
	int rc;

	weir_device_info(ports->port[0].dev, &info);
	options.bytes = bytes;
	options.node = info.node;
	options.name = "weir-net";
	options.log = notice_log();
	rc = weir_arena_create(&options, &ports->arena, err);
	if (!rc)
		rc = weir_ioas_map_arena(ports->ioas, ports->arena, &ports->mapping, err);
	return rc;
}

static int make_nic(struct ports *ports, struct port *port, struct weir_error *err)
{
	struct weir_nic_options options = WEIR_NIC_OPTIONS_INIT;
	int rc;

	options.log = notice_log();
	options.interrupts = 1;
	rc = weir_nic_create(port->dev, ports->arena, &options, &port->nic, err);
	if (!rc)
		weir_nic_info(port->nic, &port->info);
	return rc;
}

int ports_open(struct ports *ports, char *const *addresses, unsigned int nr, uint64_t arena_bytes,
	       struct weir_error *err)
{
	int rc;

	*ports = (struct ports){ .nr = nr };
	rc = weir_ioas_create(NULL, &ports->ioas, err);
	for (unsigned int i = 0; !rc && i < nr; i++) {
		ports->port[i].address = addresses[i];
		rc = open_device(ports, &ports->port[i], err);
	}
	if (!rc)
		rc = make_arena(ports, arena_bytes, err);
	for (unsigned int i = 0; !rc && i < nr; i++)
		rc = make_nic(ports, &ports->port[i], err);
	if (rc)
		ports_close(ports);
	return rc;
}

void ports_close(struct ports *ports)
{
	for (unsigned int i = 0; i < ports->nr; i++) {
		weir_nic_close(ports->port[i].nic);
		weir_device_close(ports->port[i].dev);
	}
	if (ports->mapping)
		weir_ioas_unmap(ports->ioas, ports->mapping, NULL);
	weir_ioas_destroy(ports->ioas);
	weir_arena_destroy(ports->arena);
}

uint32_t port_frame_bytes(uint64_t mtu)
{
	return (uint32_t)((mtu + WEIR_NIC_OVERHEAD + FRAME_STEP - 1) / FRAME_STEP * FRAME_STEP);
}

uint64_t port_ring_bytes(const struct net_config *config)
{
	return 2 * config->queues * config->ring * ENTRY_BYTES;
}

int port_start(struct port *port, const struct net_config *config, uint32_t receive,
	       struct weir_error *err)
{
	struct weir_nic_config nic_config = WEIR_NIC_CONFIG_INIT;
	int rc;

	nic_config.rx_queues = (unsigned int)config->queues;
	nic_config.tx_queues = (unsigned int)config->queues;
	nic_config.rx_entries = (unsigned int)config->ring;
	nic_config.tx_entries = (unsigned int)config->ring;
	nic_config.mtu = (unsigned int)config->mtu;
	nic_config.rx_buffer_bytes = port_frame_bytes(config->mtu);
	nic_config.receive = receive;
	rc = weir_nic_configure(port->nic, &nic_config, err);
	if (!rc)
		rc = weir_nic_start(port->nic, err);
	if (!rc)
		weir_nic_info(port->nic, &port->info);
	return rc;
}

/* Looks at the link of a port. */
static int look_at_link(struct port *port, struct weir_error *err)
{
	int rc = port_events(port, err);

	return rc ? rc : weir_nic_link(port->nic, &port->link, err);
}

int ports_wait_link(struct ports *ports, uint64_t limit_ms, struct weir_error *err)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	unsigned int up = 0;
	int rc;

	while (true) {
		rc = look_at_link(&ports->port[up], err);
		if (rc)
			return rc;
		if (ports->port[up].link.up) {
			if (++up == ports->nr)
				return 0;
			continue;
		}
		if (stop_requested())
			return fail(err, -EINTR, "interrupted while the link of %s was down",
				    ports->port[up].address);
		if (clock_ns(CLOCK_MONOTONIC) - start >= limit_ms * NS_PER_MS)
			return fail(err, -ENETDOWN,
				    "the link of %s is down, and did not come up within %.1f s",
				    ports->port[up].address, (double)limit_ms / 1e3);
		usleep(LINK_TURN_US);
	}
}

int port_failure(const struct port *port, struct weir_error *err)
{
	struct weir_error why = { 0 };

	weir_nic_failure(port->nic, &why);
	if (why.code)
		return fail(err, why.code, "%s: %s", port->address, why.text);
	return fail(err, -ENODEV, "%s is gone", port->address);
}

int port_events(struct port *port, struct weir_error *err)
{
	struct weir_nic_event events[8];
	unsigned int nr;

	nr = (unsigned int)weir_nic_events(port->nic, events, 8);
	for (unsigned int i = 0; i < nr; i++) {
		switch (events[i].type) {
		case WEIR_NIC_EVENT_LINK:
			port->link.up = events[i].info == 1;
			break;
		case WEIR_NIC_EVENT_RESET_NEEDED:
		case WEIR_NIC_EVENT_GONE:
			return port_failure(port, err);
		case WEIR_NIC_EVENT_REMOVE_REQUEST:
			return fail(err, -ENODEV, "%s is wanted back by the system", port->address);
		default:
			break;
		}
	}
	return 0;
}

const char *port_mac_text(const uint8_t mac[6], char text[PORT_MAC_TEXT])
{
	snprintf(text, PORT_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return text;
}

const char *port_link_text(const struct weir_nic_link *link, char text[PORT_LINK_TEXT])
{
	if (!link->up)
		snprintf(text, PORT_LINK_TEXT, "down");
	else
		snprintf(text, PORT_LINK_TEXT, "%" PRIu32 " Mb/s, %s duplex", link->speed_mbps,
			 link->full_duplex ? "full" : "half");
	return text;
}
