/* SPDX-License-Identifier: BSD-3-Clause */
/* weir sim nvme, weir sim membar: serve an emulated device until a signal comes. */
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "sim_serve.h"

#include "membar/sim_membar.h"
#include "nvme/sim_nvme.h"

#define MAX_BYTES (UINT64_C(1) << 50)

struct sim_config {
	const char *socket;
	const char *file;
	const char *serial;
	const char *fault;
	uint64_t bytes;
	uint64_t block_bytes;
	uint64_t namespaces;
	uint64_t queues, mqes, dstrd, mpsmin, mdts, noiob, cmb_bytes;
	uint64_t spin_us;
	uint64_t cpu;
	bool null, no_sgl, no_shadow_doorbells, trap_doorbells, write_cache, read_only;
	bool no_mmap_dma;
};

/* MDTS of the default: 2 MiB, whatever the page size. */
#define MDTS_DEFAULT UINT64_MAX

static const struct sim_config defaults = {
	.dstrd = SIM_NVME_DSTRD,
	.mdts = MDTS_DEFAULT,
	.cpu = SIM_NO_CPU,
};

#define MEMBER(name) offsetof(struct sim_config, name)

static const struct cli_option nvme_options[] = {
	SIM_SOCKET_OPTION,
	{ "size", CLI_BYTES, MEMBER(bytes), .min = 4096, .max = MAX_BYTES, .argument = "N",
	  .help = "bytes of all namespaces, kept in memory (default 1G)" },
	{ "file", CLI_TEXT, MEMBER(file), .argument = "F",
	  .help = "keep the blocks in this file or block device" },
	{ "serial", CLI_TEXT, MEMBER(serial), .argument = "TEXT",
	  .help = "serial number, up to 20 characters (default WEIRSIM0)" },
	{ "null", CLI_FLAG, MEMBER(null), .help = "check commands, but move no data" },
	{ "lba-size", CLI_BYTES, MEMBER(block_bytes), .min = 512, .max = 4096, .argument = "N",
	  .help = "bytes of a block (default 512)" },
	{ "namespaces", CLI_NUMBER, MEMBER(namespaces), .min = 1, .max = SIM_NVME_MAX_NAMESPACES,
	  .argument = "N", .help = "how many, of equal size (default 1)" },
	{ "queues", CLI_NUMBER, MEMBER(queues), .min = 1, .max = SIM_NVME_MAX_QUEUES,
	  .argument = "N", .help = "I/O queue pairs granted (default 64)" },
	{ "mqes", CLI_NUMBER, MEMBER(mqes), .min = 2, .max = SIM_NVME_MAX_MQES, .argument = "N",
	  .help = "entries of a queue at most (default 4096)" },
	{ "dstrd", CLI_NUMBER, MEMBER(dstrd), .max = 8, .argument = "N",
	  .help = "doorbell stride, 4 << N bytes (default 5)" },
	{ "mpsmin", CLI_NUMBER, MEMBER(mpsmin), .max = 4, .argument = "N",
	  .help = "smallest memory page, 4096 << N bytes (default 0)" },
	{ "mdts", CLI_NUMBER, MEMBER(mdts), .max = 20, .argument = "N",
	  .help = "largest I/O, 1 << N of the smallest pages; 0: no limit (default 2 MiB)" },
	{ "noiob", CLI_NUMBER, MEMBER(noiob), .max = UINT16_MAX, .argument = "N",
	  .help = "blocks between boundaries that I/Os should not cross (default: none)" },
	{ "cmb", CLI_BYTES, MEMBER(cmb_bytes), .min = 4096, .max = 256 << 20, .argument = "N",
	  .help = "bytes of controller memory buffer (default: none)" },
	{ "no-sgl", CLI_FLAG, MEMBER(no_sgl), .help = "take PRPs only" },
	{ "no-shadow-doorbells", CLI_FLAG, MEMBER(no_shadow_doorbells),
	  .help = "without Doorbell Buffer Config" },
	{ "trap-doorbells", CLI_FLAG, MEMBER(trap_doorbells),
	  .help = "doorbells cannot be mapped: each is a message" },
	{ "write-cache", CLI_FLAG, MEMBER(write_cache),
	  .help = "with a volatile write cache: writes are durable after a flush" },
	{ "read-only", CLI_FLAG, MEMBER(read_only), .help = "namespaces are write protected" },
	SIM_SPIN_OPTION,
	SIM_NO_MMAP_DMA_OPTION,
	SIM_CPU_OPTION,
	{ "fault", CLI_TEXT, MEMBER(fault), .argument = "SPEC",
	  .help = "what goes wrong on purpose: NAME=VALUE[,NAME=VALUE...], see "
		  "weir-sim(1)" },
	{ NULL },
};

static const struct cli_option membar_options[] = {
	SIM_SOCKET_OPTION,
	{ "size", CLI_BYTES, MEMBER(bytes), .min = 4096, .max = UINT64_C(64) << 30, .argument = "N",
	  .help = "bytes of memory, a power of two (default 64M)" },
	SIM_SPIN_OPTION,
	SIM_NO_MMAP_DMA_OPTION,
	SIM_CPU_OPTION,
	{ NULL },
};

static int check_backing(const struct sim_config *config, struct weir_error *err)
{
	if (config->file && config->null)
		return fail(err, CLI_USAGE, "file and null exclude each other");
	if (config->file && config->bytes)
		return fail(err, CLI_USAGE, "size does not go with file, whose size is taken");
	return 0;
}

static int run_nvme(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct sim_config *config = arg;
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	struct sim_nvme *nvme;
	int rc;

	(void)operands;
	rc = check_backing(config, err);
	if (rc)
		return rc;
	options.backing = config->file	 ? SIM_NVME_FILE
			  : config->null ? SIM_NVME_NULL
					 : SIM_NVME_MEMORY;
	options.file = config->file;
	options.bytes = config->bytes;
	options.block_bytes = (uint32_t)config->block_bytes;
	options.namespaces = (unsigned int)config->namespaces;
	options.queues = (unsigned int)config->queues;
	options.mqes = (unsigned int)config->mqes;
	options.dstrd = (int)config->dstrd;
	options.mpsmin = (unsigned int)config->mpsmin;
	if (config->mdts != MDTS_DEFAULT)
		options.mdts = (int)config->mdts;
	options.noiob = (uint32_t)config->noiob;
	options.serial = config->serial;
	options.cmb_bytes = (uint32_t)config->cmb_bytes;
	options.no_sgl = config->no_sgl;
	options.no_shadow_doorbells = config->no_shadow_doorbells;
	options.trap_doorbells = config->trap_doorbells;
	options.write_cache = config->write_cache;
	options.read_only = config->read_only;
	options.spin_us = (unsigned int)config->spin_us;
	options.no_mmap_dma = config->no_mmap_dma;
	options.server.log = notice_log();
	if (config->fault && sim_nvme_parse_faults(config->fault, &options, err))
		return CLI_USAGE;
	rc = sim_nvme_create(&options, &nvme, err);
	if (rc)
		return rc;
	rc = sim_serve(sim_nvme_server(nvme), config->socket, config->cpu, err);
	sim_nvme_destroy(nvme);
	return rc;
}

static int run_membar(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct sim_config *config = arg;
	struct sim_membar_options options = { .bytes = config->bytes };
	struct sim_membar *membar;
	int rc;

	(void)operands;
	options.server.spin_us = (unsigned int)config->spin_us;
	options.server.no_mmap_dma = config->no_mmap_dma;
	options.server.log = notice_log();
	rc = sim_membar_create(&options, &membar, err);
	if (rc)
		return rc;
	rc = sim_serve(sim_membar_server(membar), config->socket, config->cpu, err);
	sim_membar_destroy(membar);
	return rc;
}

const struct cli_command command_sim_nvme = {
	.name = "sim nvme",
	.operands = "",
	.summary = "Serve an emulated NVMe controller over vfio-user.",
	.examples =
		"  weir sim nvme --socket /tmp/nvme.sock --size 4G\n"
		"  weir sim nvme --socket /tmp/nvme.sock --file disk.img --lba-size 4K "
		"--write-cache\n"
		"  weir sim nvme --socket /tmp/nvme.sock --null --cpu 1\n"
		"  weir sim nvme --socket /tmp/nvme.sock --fault status=0x4081,status-every=7\n",
	.options = nvme_options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run_nvme,
};

const struct cli_command command_sim_membar = {
	.name = "sim membar",
	.operands = "",
	.summary = "Serve an emulated device that is plain memory behind a BAR.",
	.examples = "  weir sim membar --socket /tmp/memory.sock --size 256M\n",
	.options = membar_options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run_membar,
};
