/* SPDX-License-Identifier: BSD-3-Clause */
#include "gen.h"

#include <inttypes.h>
#include <stdio.h>

const char *const gen_vary_choices[] = { "src-port", "dst-port", "src-ip", "dst-ip", NULL };

struct gen_result {
	uint64_t sent, bytes, unsent, received;
	double pps, bps; /* of what was sent, bits as on the wire */
};

static void collect(const struct gen *gen, struct gen_result *result)
{
	*result = (struct gen_result){ 0 };
	for (unsigned int i = 0; i < gen->net.queues; i++) {
		const struct gen_worker *generator = &gen->workers[i];
		double seconds = (double)generator->elapsed_ns / 1e9;

		result->sent += generator->sent - generator->unsent;
		result->bytes += generator->sent_bytes;
		result->unsent += generator->unsent;
		result->received += generator->received;
		if (seconds <= 0)
			continue;
		result->pps += (double)generator->sent / seconds;
		result->bps += (double)(generator->sent_bytes +
					generator->sent * NET_WIRE_OVERHEAD) *
			       8 / seconds;
	}
}

void gen_print_header(const struct gen *gen)
{
	const struct gen_config *config = gen->config;

	net_print_ports(&gen->ports);
	printf("%s to %s, %" PRIu64 " flow%s, size %s, rate %s\n", config->src_ip, config->dst_ip,
	       config->flows, config->flows == 1 ? "" : "s", config->size, config->rate);
	fflush(stdout);
}

void gen_print_result(const struct gen *gen)
{
	struct gen_result sums, *result = &sums;

	collect(gen, result);
	net_print_result(&gen->run);
	printf("%" PRIu64 " packets sent, %.0f pps, %.1f Mb/s on the wire", result->sent,
	       result->pps, result->bps / 1e6);
	if (result->unsent)
		printf("; %" PRIu64 " not sent", result->unsent);
	printf("; %" PRIu64 " received\n", result->received);
}

static json_t *parameters_json(const struct gen *gen)
{
	const struct gen_config *config = gen->config;
	json_t *object = net_parameters_json(&gen->net), *own;
	char src[PORT_MAC_TEXT];

	own = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "rate",
			config->rate, "size", config->size, "count", (json_int_t)config->count,
			"flows", (json_int_t)config->flows, "vary", gen_vary_choices[config->vary],
			"src_mac", port_mac_text(gen->flow.src_mac, src), "dst_mac",
			config->dst_mac, "src_ip", config->src_ip, "dst_ip", config->dst_ip,
			"src_port", (json_int_t)config->src_port, "dst_port",
			(json_int_t)config->dst_port, "seed", (json_int_t)config->seed);
	json_object_update(object, own);
	json_decref(own);
	json_object_set_new(object, "vlan",
			    config->vlan == GEN_NO_VLAN ? json_null()
							: json_integer((json_int_t)config->vlan));
	return object;
}

static json_t *result_json(const struct gen_result *result)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)result->sent,
			 "sent_bytes", (json_int_t)result->bytes, "unsent",
			 (json_int_t)result->unsent, "received", (json_int_t)result->received,
			 "pps", (json_int_t)(result->pps + 0.5), "bps",
			 (json_int_t)(result->bps + 0.5));
}

int gen_print_json(const struct gen *gen, const char *failure, struct weir_error *err)
{
	struct gen_result result;

	collect(gen, &result);
	return net_print_json(&gen->run, parameters_json(gen), result_json(&result), failure, err);
}
