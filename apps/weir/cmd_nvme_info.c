/* SPDX-License-Identifier: BSD-3-Clause */
/* weir nvme info: what a controller and its namespaces are. */
#include "commands.h"
#include "fail.h"
#include "output.h"
#include "target.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct info_config {
	bool json;
};

static const struct info_config defaults = { 0 };

static const struct cli_option options[] = {
	{ "json", CLI_FLAG, offsetof(struct info_config, json), .help = "print one JSON object" },
	{ NULL },
};

static void version_text(uint32_t version, char *text, size_t bytes)
{
	snprintf(text, bytes, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
}

/* An identifier in hexadecimal, "" when the controller reports none. */
static void id_text(const uint8_t *id, unsigned int bytes, char *text)
{
	uint8_t any = 0;

	text[0] = '\0';
	for (unsigned int i = 0; i < bytes; i++)
		any |= id[i];
	for (unsigned int i = 0; any && i < bytes; i++)
		sprintf(text + 2 * i, "%02x", id[i]);
}

static json_t *namespace_json(const struct weir_nvme_ns_info *ns)
{
	char eui64[17], nguid[33];

	id_text(ns->eui64, sizeof(ns->eui64), eui64);
	id_text(ns->nguid, sizeof(ns->nguid), nguid);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:b, s:s, s:s}", "id",
			 (json_int_t)ns->nsid, "block_size", (json_int_t)ns->block_bytes, "blocks",
			 (json_int_t)ns->blocks, "bytes", (json_int_t)ns->bytes, "boundary_blocks",
			 (json_int_t)ns->boundary_blocks, "metadata_bytes", ns->metadata_bytes,
			 "protection", ns->protection, "read_only", ns->read_only, "eui64", eui64,
			 "nguid", nguid);
}

static json_t *controller_json(const struct target *target)
{
	const struct weir_nvme_info *info = &target->info;
	struct weir_nvme_ns_info ns_info;
	json_t *namespaces = json_array();
	struct weir_nvme_ns *ns;
	char version[32];

	version_text(info->version, version, sizeof(version));
	for (ns = weir_nvme_next_ns(target->nvme, 0); ns;
	     ns = weir_nvme_next_ns(target->nvme, ns_info.nsid)) {
		weir_nvme_ns_info(ns, &ns_info);
		json_array_append_new(namespaces, namespace_json(&ns_info));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:b, "
			 "s:b, s:b, s:b, s:I, s:o}",
			 "address", target->address, "model", info->model, "serial", info->serial,
			 "firmware", info->firmware, "subnqn", info->subnqn, "vendor",
			 info->vendor_id, "controller_id", info->controller_id, "version", version,
			 "max_transfer", (json_int_t)info->max_transfer, "max_queue_entries",
			 (json_int_t)info->max_queue_entries, "queues", (json_int_t)info->queues,
			 "doorbell_stride", (json_int_t)info->doorbell_stride, "page_size",
			 (json_int_t)info->page_bytes, "sgl", info->sgl, "volatile_write_cache",
			 info->volatile_write_cache, "shadow_doorbells", info->shadow_doorbells,
			 "doorbells_mapped", info->doorbells_mapped, "cmb_bytes",
			 (json_int_t)info->cmb_bytes, "namespaces", namespaces);
}

static const char *yes_no(int value)
{
	return value ? "yes" : "no";
}

static void print_controller(const struct target *target)
{
	const struct weir_nvme_info *info = &target->info;
	char version[32], size[32];

	version_text(info->version, version, sizeof(version));
	printf("%s\n", target->address);
	printf("  model                %s\n", info->model);
	printf("  serial               %s\n", info->serial);
	printf("  firmware             %s\n", info->firmware);
	printf("  subsystem            %s\n", *info->subnqn ? info->subnqn : "-");
	printf("  NVMe version         %s\n", version);
	printf("  largest I/O          %s\n", output_bytes(info->max_transfer, size, sizeof(size)));
	printf("  queues               %" PRIu32 " granted, of up to %" PRIu32 " entries\n",
	       info->queues, info->max_queue_entries);
	printf("  doorbells            %" PRIu32 " bytes apart, %s%s\n", info->doorbell_stride,
	       info->doorbells_mapped ? "mapped" : "by message",
	       info->shadow_doorbells ? ", shadowed" : "");
	printf("  volatile write cache %s\n", yes_no(info->volatile_write_cache));
	printf("  SGLs in use          %s\n", yes_no(info->sgl));
	printf("  memory buffer        %s\n",
	       info->cmb_bytes ? output_bytes(info->cmb_bytes, size, sizeof(size)) : "none");
}

static void print_namespaces(const struct target *target)
{
	struct weir_nvme_ns_info info;
	struct weir_nvme_ns *ns;
	char size[32];

	printf("%10s %12s %20s %10s %9s %s\n", "namespace", "size", "blocks", "block", "metadata",
	       "notes");
	for (ns = weir_nvme_next_ns(target->nvme, 0); ns;
	     ns = weir_nvme_next_ns(target->nvme, info.nsid)) {
		weir_nvme_ns_info(ns, &info);
		printf("%10" PRIu32 " %12s %20" PRIu64 " %10" PRIu32 " %9u %s\n", info.nsid,
		       output_bytes(info.bytes, size, sizeof(size)), info.blocks, info.block_bytes,
		       info.metadata_bytes, info.read_only ? "read-only" : "");
	}
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct info_config *config = arg;
	struct target_options target_options = { .arena_bytes = UINT64_C(8) << 20, .queues = 0 };
	struct target target;
	int rc;

	rc = target_open_controller(&target, operands[0], &target_options, err);
	if (rc)
		return rc;
	if (config->json) {
		rc = output_json(controller_json(&target), err);
	} else {
		print_controller(&target);
		print_namespaces(&target);
	}
	target_close(&target);
	return rc;
}

const struct cli_command command_nvme_info = {
	.name = "nvme info",
	.operands = "DEV",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Show an NVMe controller and its namespaces.",
	.examples = "  weir nvme info 0000:3b:00.0\n"
		    "  weir nvme info vfio-user:/tmp/nvme.sock --json\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
