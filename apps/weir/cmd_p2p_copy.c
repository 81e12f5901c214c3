/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir p2p copy: between an NVMe namespace and the memory of another device, which the controller
 * reads and writes itself. The data does not pass through this process.
 */
#include "commands.h"
#include "device_memory.h"
#include "fail.h"
#include "notice.h"
#include "stop.h"
#include "transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum direction { TO_MEMORY, FROM_MEMORY };

struct copy_config {
	const char *nvme, *memory, *to_nvme;
	uint64_t nsid, lba;
	uint64_t to_nsid, to_lba;
	uint64_t offset, bytes;
	uint64_t depth;
	unsigned int direction;
	bool yes;
};

static const struct copy_config defaults = { 0 };

static const char *const directions[] = { "to-memory", "from-memory", NULL };

#define MEMBER(name) offsetof(struct copy_config, name)

static const struct cli_option options[] = {
	{ "nvme", CLI_TEXT, MEMBER(nvme), .argument = "DEV", .help = "the NVMe device",
	  .required = true },
	{ "namespace", CLI_NUMBER, MEMBER(nsid), .min = 1, .max = UINT32_MAX - 1, .argument = "N",
	  .help = "its namespace (default: the first)" },
	{ "lba", CLI_NUMBER, MEMBER(lba), .max = UINT64_MAX, .argument = "N",
	  .help = "first block there (default 0)" },
	{ "memory", CLI_TEXT, MEMBER(memory), .argument = "DEV",
	  .help = "the device whose memory is used: weir sim membar, or QEMU's ivshmem-plain",
	  .required = true },
	{ "offset", CLI_BYTES, MEMBER(offset), .max = UINT64_MAX, .argument = "N",
	  .help = "first byte there, a multiple of 4 (default 0)" },
	{ "bytes", CLI_BYTES, MEMBER(bytes), .min = 1, .max = UINT64_MAX, .argument = "N",
	  .help = "how much, a multiple of the block size", .required = true },
	{ "direction", CLI_CHOICE, MEMBER(direction), .choices = directions, .argument = "WHICH",
	  .help = "to-memory (default) or from-memory" },
	{ "to-nvme", CLI_TEXT, MEMBER(to_nvme), .argument = "DEV",
	  .help = "with to-memory: a second NVMe device, which then writes the data from the "
		  "memory to its own blocks" },
	{ "to-namespace", CLI_NUMBER, MEMBER(to_nsid), .min = 1, .max = UINT32_MAX - 1,
	  .argument = "N", .help = "its namespace (default: the first)" },
	{ "to-lba", CLI_NUMBER, MEMBER(to_lba), .max = UINT64_MAX, .argument = "N",
	  .help = "first block there (default 0)" },
	{ "queue-depth", CLI_NUMBER, MEMBER(depth), .min = 1, .max = WEIR_NVME_MAX_DEPTH,
	  .argument = "N",
	  .help = "I/Os of up to 128 KiB in flight (default 32, or what the controller allows)" },
	{ "yes", CLI_FLAG, MEMBER(yes), .help = "overwrite what is on the blocks written to" },
	{ NULL },
};

/* One NVMe device of the copy, and where the memory is in its address space. */
struct side {
	struct target target;
	struct weir_ioas *ioas;
	struct weir_mapping *mapping;
	uint64_t iova; /* of the first byte to move */
	struct transfer transfer;
};

/* What of the command line is about it. */
struct side_config {
	const char *address;
	uint64_t nsid, lba;
	bool writes; /* from the memory to the blocks */
};

static int prepare(void *ctx, struct transfer_piece *piece, struct weir_error *err)
{
	const struct side *side = ctx;

	piece->iova = side->iova + piece->offset;
	return device_memory_check(side->mapping, err);
}

static int finish(void *ctx, const struct transfer_piece *piece, struct weir_error *err)
{
	(void)ctx;
	(void)piece;
	(void)err;
	return 0;
}

static const struct transfer_ops copy_ops = { .prepare = prepare, .finish = finish };

static int side_check(const struct side *side, const struct side_config *side_config,
		      uint64_t bytes, struct weir_error *err)
{
	uint64_t blocks;
	int rc;

	rc = target_check_plain(&side->target, err);
	if (!rc && side_config->writes)
		rc = target_check_writable(&side->target, err);
	if (!rc)
		rc = target_blocks(&side->target, "bytes", bytes, &blocks, err);
	return rc ? rc : target_check_range(&side->target, side_config->lba, blocks, err);
}

static int side_map(struct side *side, const struct device_memory *memory, bool writes,
		    struct weir_error *err)
{
	side->ioas = weir_device_ioas(weir_nvme_device(side->target.nvme));
	return device_memory_map(memory, side->ioas, writes ? WEIR_PROT_READ : WEIR_PROT_WRITE,
				 &side->mapping, &side->iova, err);
}

/* Does everything but moving data. */
static int side_open(struct side *side, const struct side_config *side_config,
		     const struct copy_config *config, const struct device_memory *memory,
		     struct weir_error *err)
{
	struct target_options target_options = {
		.nsid = side_config->nsid,
		.arena_bytes = transfer_arena_bytes(config->depth),
		.queues = 1,
	};
	int rc;

	*side = (struct side){ 0 };
	rc = target_open(&side->target, side_config->address, &target_options, err);
	if (rc)
		return rc;
	rc = side_check(side, side_config, config->bytes, err);
	if (rc)
		goto close;
	side->transfer = (struct transfer){
		.target = &side->target,
		.opcode = side_config->writes ? WEIR_NVME_WRITE : WEIR_NVME_READ,
		.lba = side_config->lba,
		.bytes = config->bytes,
		.depth = (unsigned int)config->depth,
		.ops = &copy_ops,
		.ctx = side,
	};
	rc = transfer_begin(&side->transfer, err);
	if (rc)
		goto close;
	rc = side_map(side, memory, side_config->writes, err);
	if (!rc)
		return 0;
	transfer_end(&side->transfer);
close:
	target_close(&side->target);
	return rc;
}

static void side_close(struct side *side)
{
	transfer_end(&side->transfer);
	weir_ioas_unmap(side->ioas, side->mapping, NULL);
	target_close(&side->target);
}

static int side_move(const struct side *side, const struct copy_config *config,
		     struct weir_error *err)
{
	const struct target *target = &side->target;
	bool writes = side->transfer.opcode == WEIR_NVME_WRITE;

	printf("%s %" PRIu64 " bytes at LBA %" PRIu64 " of namespace %" PRIu32
	       " of %s (%s, serial %s), %s offset %" PRIu64 " of %s\n",
	       writes ? "writing" : "reading", config->bytes, side->transfer.lba,
	       target->ns_info.nsid, target->address, target->info.model, target->info.serial,
	       writes ? "from" : "to", config->offset, config->memory);
	fflush(stdout);
	return transfer_run(&side->transfer, err);
}

static int confirm(const struct copy_config *config, const struct side *written,
		   struct weir_error *err)
{
	const struct target *target = &written->target;

	if (config->yes)
		return 0;
	return fail(err, CLI_USAGE,
		    "this overwrites %" PRIu64 " bytes from LBA %" PRIu64 " of namespace %" PRIu32
		    " of %s (%s, serial %s); --yes does it",
		    config->bytes, written->transfer.lba, target->ns_info.nsid, target->address,
		    target->info.model, target->info.serial);
}

/* From or to one NVMe device. */
static int copy_single(const struct copy_config *config, const struct device_memory *memory,
		       struct weir_error *err)
{
	const struct side_config side_config = {
		.address = config->nvme,
		.nsid = config->nsid,
		.lba = config->lba,
		.writes = config->direction == FROM_MEMORY,
	};
	struct side side;
	int rc;

	rc = side_open(&side, &side_config, config, memory, err);
	if (rc)
		return rc;
	if (side_config.writes)
		rc = confirm(config, &side, err);
	if (!rc) {
		stop_on_signals(NULL, NULL);
		notice_show();
		rc = side_move(&side, config, err);
	}
	side_close(&side);
	return rc;
}

/* From one NVMe device through the memory to another. */
static int copy_through(const struct copy_config *config, const struct device_memory *memory,
			struct weir_error *err)
{
	const struct side_config from_config = {
		.address = config->nvme,
		.nsid = config->nsid,
		.lba = config->lba,
	};
	const struct side_config to_config = {
		.address = config->to_nvme,
		.nsid = config->to_nsid,
		.lba = config->to_lba,
		.writes = true,
	};
	struct side from, to;
	int rc;

	rc = side_open(&from, &from_config, config, memory, err);
	if (rc)
		return rc;
	rc = side_open(&to, &to_config, config, memory, err);
	if (rc)
		goto close_from;
	rc = confirm(config, &to, err);
	if (!rc) {
		stop_on_signals(NULL, NULL);
		notice_show();
		rc = side_move(&from, config, err);
	}
	if (!rc)
		rc = side_move(&to, config, err);
	side_close(&to);
close_from:
	side_close(&from);
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct copy_config *config = arg;
	struct device_memory memory;
	int rc;

	(void)operands;
	if (config->offset % 4)
		return fail(err, CLI_USAGE, "offset %" PRIu64 " is no multiple of 4",
			    config->offset);
	if (config->to_nvme && config->direction != TO_MEMORY)
		return fail(err, CLI_USAGE, "to-nvme goes with direction to-memory only");
	rc = device_memory_open(&memory, config->memory, config->offset, config->bytes, err);
	if (rc)
		return rc;
	rc = config->to_nvme ? copy_through(config, &memory, err)
			     : copy_single(config, &memory, err);
	device_memory_close(&memory);
	return rc;
}

const struct cli_command command_p2p_copy = {
	.name = "p2p copy",
	.operands = "",
	.summary = "Copy between an NVMe namespace and another device's memory, directly.",
	.examples =
		"  weir p2p copy --nvme 0000:3b:00.0 --memory 0000:3c:00.0 --bytes 64M\n"
		"  weir p2p copy --nvme vfio-user:/tmp/nvme.sock --lba 2048 "
		"--memory vfio-user:/tmp/memory.sock \\\n"
		"      --offset 1M --bytes 1M --direction from-memory --yes\n"
		"  weir p2p copy --nvme vfio-user:/tmp/a.sock --memory vfio-user:/tmp/memory.sock "
		"\\\n      --to-nvme vfio-user:/tmp/b.sock --bytes 16M --yes\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
