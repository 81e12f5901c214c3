/* SPDX-License-Identifier: BSD-3-Clause */
/* weir net info: what a network port is and can do, its link and its counters. */
#include "commands.h"
#include "net_run.h"
#include "output.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct info_config {
	uint64_t link_wait_ms;
	bool json;
};

static const struct info_config defaults = { .link_wait_ms = 0 };

static const struct cli_option options[] = {
	{ "link-wait", CLI_SECONDS, offsetof(struct info_config, link_wait_ms),
	  .max = NET_MAX_TIME_MS, .argument = "S",
	  .help = "seconds that the link may take to come up (default 0)" },
	{ "json", CLI_FLAG, offsetof(struct info_config, json), .help = "print one JSON object" },
	{ NULL },
};

static const struct {
	uint32_t bit;
	const char *name; /* in JSON */
	const char *text;
} capabilities[] = {
	{ WEIR_NIC_CAN_RX_CSUM, "rx_checksum", "checks checksums" },
	{ WEIR_NIC_CAN_TX_IP_CSUM, "tx_ip_checksum", "makes IP checksums" },
	{ WEIR_NIC_CAN_TX_L4_CSUM, "tx_l4_checksum", "makes TCP and UDP checksums" },
	{ WEIR_NIC_CAN_TX_SCTP_CSUM, "tx_sctp_checksum", "makes SCTP checksums" },
	{ WEIR_NIC_CAN_TSO, "tso", "cuts TCP into segments" },
	{ WEIR_NIC_CAN_USO, "uso", "cuts UDP into datagrams" },
	{ WEIR_NIC_CAN_VLAN_INSERT, "vlan_insert", "inserts VLAN tags" },
	{ WEIR_NIC_CAN_VLAN_STRIP, "vlan_strip", "takes VLAN tags off" },
	{ WEIR_NIC_CAN_VLAN_FILTER, "vlan_filter", "filters by VLAN" },
	{ WEIR_NIC_CAN_RSS, "rss", "spreads packets over receive queues" },
	{ WEIR_NIC_CAN_HEADER_SPLIT, "header_split", "splits headers from payload" },
	{ WEIR_NIC_CAN_LINK_INTERRUPT, "link_interrupt", "tells of the link by interrupt" },
	{ WEIR_NIC_CAN_RX_INTERRUPT, "rx_interrupt", "tells of packets by interrupt" },
};

#define NR_CAPABILITIES (sizeof(capabilities) / sizeof(capabilities[0]))

static json_t *info_json(const struct port *port, const struct weir_nic_stats *stats)
{
	const struct weir_nic_info *info = &port->info;
	json_t *object = net_port_json(port), *able = json_object(), *limits;

	for (unsigned int i = 0; i < NR_CAPABILITIES; i++)
		json_object_set_new(able, capabilities[i].name,
				    json_boolean(info->capabilities & capabilities[i].bit));
	limits = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rx_queues",
		(json_int_t)info->max_rx_queues, "tx_queues", (json_int_t)info->max_tx_queues,
		"min_ring", (json_int_t)info->min_entries, "max_ring",
		(json_int_t)info->max_entries, "ring_multiple", (json_int_t)info->entries_multiple,
		"min_mtu", (json_int_t)info->min_mtu, "max_mtu", (json_int_t)info->max_mtu,
		"frame_bytes", (json_int_t)info->max_frame_bytes, "packet_frames",
		(json_int_t)info->max_packet_frames, "tso_bytes", (json_int_t)info->max_tso_bytes,
		"rx_buffer_bytes", (json_int_t)info->max_rx_buffer_bytes, "unicast_filters",
		(json_int_t)info->unicast_filters);
	json_object_set_new(object, "capabilities", able);
	json_object_set_new(object, "limits", limits);
	json_object_set_new(object, "statistics", net_stats_json(stats));
	return object;
}

static void print_capabilities(uint32_t able)
{
	const char *label = "can";

	for (unsigned int i = 0; i < NR_CAPABILITIES; i++) {
		if (!(able & capabilities[i].bit))
			continue;
		printf("  %-20s %s\n", label, capabilities[i].text);
		label = "";
	}
}

static void print_info(const struct port *port)
{
	const struct weir_nic_info *info = &port->info;
	char mac[PORT_MAC_TEXT], link[PORT_LINK_TEXT];

	printf("%s\n", port->address);
	printf("  %-20s %s (driver %s)\n", "model", info->model, info->driver);
	printf("  %-20s %s\n", "Ethernet address", port_mac_text(info->mac, mac));
	printf("  %-20s %s\n", "link", port_link_text(&port->link, link));
	printf("  %-20s %" PRIu32 " to receive, %" PRIu32 " to send\n", "queues",
	       info->max_rx_queues, info->max_tx_queues);
	printf("  %-20s %" PRIu32 " to %" PRIu32 ", a multiple of %" PRIu32 "\n", "ring entries",
	       info->min_entries, info->max_entries, info->entries_multiple);
	printf("  %-20s %" PRIu32 " to %" PRIu32 "\n", "MTU", info->min_mtu, info->max_mtu);
	print_capabilities(info->capabilities);
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct info_config *config = arg;
	struct weir_nic_stats stats = { 0 };
	struct ports ports;
	int rc;

	rc = ports_open(&ports, operands, 1, UINT64_C(4) << 20, err);
	if (rc)
		return rc;
	stop_on_signals(NULL, NULL);
	rc = ports_wait_link(&ports, config->link_wait_ms, err);
	/* It is what the command is asked about. */
	if (rc == -ENETDOWN)
		rc = 0;
	if (!rc && weir_nic_stats(ports.port[0].nic, &stats, sizeof(stats)))
		rc = port_failure(&ports.port[0], err);
	if (!rc && config->json)
		rc = output_json(info_json(&ports.port[0], &stats), err);
	else if (!rc)
		print_info(&ports.port[0]);
	ports_close(&ports);
	return rc;
}

const struct cli_command command_net_info = {
	.name = "net info",
	.operands = "PORT",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Show a network port, its link and what it can do.",
	.examples = "  weir net info 0000:3b:00.0\n"
		    "  weir net info vfio-user:/tmp/a.sock --link-wait 5 --json\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
