/* SPDX-License-Identifier: BSD-3-Clause */
/* How the network commands show what they did. */
#include "net_run.h"
#include "output.h"

#include <inttypes.h>
#include <stdio.h>

/* Rows between two headers of the table. */
#define HEADER_ROWS 20

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
#define COUNTER(name) \
	{ \
#name, offsetof(struct weir_nic_stats, name) \
	}
	COUNTER(rx_packets),	   COUNTER(rx_bytes),	      COUNTER(tx_packets),
	COUNTER(tx_bytes),	   COUNTER(rx_multicast),     COUNTER(rx_broadcast),
	COUNTER(tx_multicast),	   COUNTER(tx_broadcast),     COUNTER(rx_missed),
	COUNTER(rx_no_buffers),	   COUNTER(rx_dropped),	      COUNTER(rx_crc_errors),
	COUNTER(rx_align_errors),  COUNTER(rx_symbol_errors), COUNTER(rx_errors),
	COUNTER(rx_length_errors), COUNTER(rx_undersize),     COUNTER(rx_fragments),
	COUNTER(rx_oversize),	   COUNTER(rx_jabber),	      COUNTER(rx_pause),
	COUNTER(tx_pause),	   COUNTER(tx_collisions),    COUNTER(tx_aborted),
	COUNTER(tx_deferred),	   COUNTER(tx_tso),
#undef COUNTER
};

json_t *net_stats_json(const struct weir_nic_stats *stats)
{
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		const uint64_t *value = (const void *)((const char *)stats + counters[i].offset);

		json_object_set_new(object, counters[i].name, json_integer((json_int_t)*value));
	}
	return object;
}

static json_t *link_json(const struct weir_nic_link *link)
{
	return json_pack("{s:b, s:I, s:b, s:b, s:b}", "up", link->up, "speed_mbps",
			 (json_int_t)link->speed_mbps, "full_duplex", link->full_duplex, "rx_pause",
			 link->rx_pause, "tx_pause", link->tx_pause);
}

json_t *net_port_json(const struct port *port)
{
	char mac[PORT_MAC_TEXT];

	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "address", port->address, "driver",
			 port->info.driver, "model", port->info.model, "mac",
			 port_mac_text(port->info.mac, mac), "link", link_json(&port->link));
}

json_t *net_parameters_json(const struct net_config *config)
{
	json_t *cpus = json_array();

	for (unsigned int i = 0; i < config->cpus.nr; i++)
		json_array_append_new(cpus, json_integer(config->cpus.cpus[i]));
	return json_pack("{s:I, s:I, s:I, s:f, s:f, s:o}", "queues", (json_int_t)config->queues,
			 "ring", (json_int_t)config->ring, "mtu", (json_int_t)config->mtu,
			 "time_seconds", (double)config->time_ms / 1e3, "interval_seconds",
			 (double)config->interval_ms / 1e3, "cpus", cpus);
}

/* What is lost at a port: it came, and there was nothing to receive it into. */
static uint64_t lost(const struct weir_nic_stats *stats)
{
	return stats->rx_missed + stats->rx_dropped;
}

void net_print_ports(const struct ports *ports)
{
	char mac[PORT_MAC_TEXT], link[PORT_LINK_TEXT];

	for (unsigned int i = 0; i < ports->nr; i++)
		printf("port %u: %s, %s, %s, %s\n", i, ports->port[i].address,
		       ports->port[i].info.model, port_mac_text(ports->port[i].info.mac, mac),
		       port_link_text(&ports->port[i].link, link));
}

static void print_header(void)
{
	printf("%9s %4s %12s %10s %12s %10s %10s\n", "seconds", "port", "rx pps", "rx Mb/s",
	       "tx pps", "tx Mb/s", "lost");
}

void net_print_row(const struct net_run *run, const struct net_sample *from,
		   const struct net_sample *to)
{
	double seconds = (double)(to->ns - from->ns) / 1e9;

	if (run->nr_rows % HEADER_ROWS == 0)
		print_header();
	for (unsigned int i = 0; i < run->ports->nr; i++) {
		const struct weir_nic_stats *a = &from->stats[i], *b = &to->stats[i];

		printf("%9.1f %4u %12.0f %10.1f %12.0f %10.1f %10" PRIu64 "\n",
		       (double)to->ns / 1e9, i, (double)(b->rx_packets - a->rx_packets) / seconds,
		       (double)(b->rx_bytes - a->rx_bytes) * 8 / 1e6 / seconds,
		       (double)(b->tx_packets - a->tx_packets) / seconds,
		       (double)(b->tx_bytes - a->tx_bytes) * 8 / 1e6 / seconds, lost(b) - lost(a));
	}
	fflush(stdout);
}

void net_print_result(const struct net_run *run)
{
	const struct net_sample *end = &run->end;

	printf("after %.2f s%s:\n", (double)run->elapsed_ns / 1e9,
	       run->ended_early	  ? ", ended early"
	       : run->interrupted ? ", interrupted"
				  : "");
	for (unsigned int i = 0; i < run->ports->nr; i++) {
		const struct weir_nic_stats *stats = &end->stats[i];

		printf("port %u: received %" PRIu64 " packets, %" PRIu64 " bytes; sent %" PRIu64
		       " packets, %" PRIu64 " bytes; %" PRIu64 " lost\n",
		       i, stats->rx_packets, stats->rx_bytes, stats->tx_packets, stats->tx_bytes,
		       lost(stats));
	}
}

/* What happened in each interval. */
static json_t *intervals_json(const struct net_run *run)
{
	static const struct net_sample zero;
	json_t *array = json_array();

	for (size_t n = 0; n < run->nr_samples; n++) {
		const struct net_sample *from = n ? &run->samples[n - 1] : &zero;
		const struct net_sample *to = &run->samples[n];
		json_t *ports = json_array();

		for (unsigned int i = 0; i < run->ports->nr; i++) {
			const struct weir_nic_stats *a = &from->stats[i], *b = &to->stats[i];

			json_array_append_new(
				ports,
				json_pack("{s:I, s:I, s:I, s:I, s:I}", "rx_packets",
					  (json_int_t)(b->rx_packets - a->rx_packets), "rx_bytes",
					  (json_int_t)(b->rx_bytes - a->rx_bytes), "tx_packets",
					  (json_int_t)(b->tx_packets - a->tx_packets), "tx_bytes",
					  (json_int_t)(b->tx_bytes - a->tx_bytes), "lost",
					  (json_int_t)(lost(b) - lost(a))));
		}
		json_array_append_new(array,
				      json_pack("{s:f, s:f, s:o}", "start", (double)from->ns / 1e9,
						"end", (double)to->ns / 1e9, "ports", ports));
	}
	return array;
}

int net_print_json(const struct net_run *run, json_t *parameters, json_t *own, const char *failure,
		   struct weir_error *err)
{
	json_t *ports = json_array(), *stats = json_array(), *result;

	for (unsigned int i = 0; i < run->ports->nr; i++) {
		json_array_append_new(ports, net_port_json(&run->ports->port[i]));
		json_array_append_new(stats, net_stats_json(&run->end.stats[i]));
	}
	result = json_pack("{s:f, s:b, s:s?, s:o, s:o}", "seconds", (double)run->elapsed_ns / 1e9,
			   "interrupted", (int)run->interrupted, "error", failure, "ports", stats,
			   "intervals", intervals_json(run));
	json_object_update(result, own);
	json_decref(own);
	return output_json(json_pack("{s:o, s:o, s:o}", "ports", ports, "parameters", parameters,
				     "result", result),
			   err);
}
