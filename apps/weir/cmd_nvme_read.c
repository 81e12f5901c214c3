/* SPDX-License-Identifier: BSD-3-Clause */
/* weir nvme read: blocks of a namespace into a file. */
#include "buffers.h"
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "output_file.h"
#include "stop.h"
#include "transfer.h"

#include <errno.h>

struct read_config {
	const char *to;
	uint64_t lba;
	uint64_t bytes; /* 0: to the end of the namespace */
	uint64_t nsid;
	uint64_t depth;
	bool force;
};

static const struct read_config defaults = { 0 };

static const struct cli_option options[] = {
	{ "to", CLI_TEXT, offsetof(struct read_config, to), .argument = "FILE",
	  .help = "the file to make; - is standard output", .required = true },
	{ "lba", CLI_NUMBER, offsetof(struct read_config, lba), .max = UINT64_MAX, .argument = "N",
	  .help = "first block (default 0)" },
	{ "bytes", CLI_BYTES, offsetof(struct read_config, bytes), .min = 1, .max = UINT64_MAX,
	  .argument = "N", .help = "how much, a multiple of the block size (default: to the end)" },
	{ "namespace", CLI_NUMBER, offsetof(struct read_config, nsid), .min = 1,
	  .max = UINT32_MAX - 1, .argument = "N", .help = "namespace id (default: the first)" },
	{ "queue-depth", CLI_NUMBER, offsetof(struct read_config, depth), .min = 1,
	  .max = WEIR_NVME_MAX_DEPTH, .argument = "N",
	  .help = "I/Os of up to 128 KiB in flight (default 32, or what the controller allows)" },
	{ "force", CLI_FLAG, offsetof(struct read_config, force),
	  .help = "replace FILE if it is there" },
	{ NULL },
};

struct sink {
	struct buffers buffers;
	struct output_file file;
};

static int prepare(void *ctx, struct transfer_piece *piece, struct weir_error *err)
{
	const struct sink *sink = ctx;

	(void)err;
	piece->iova = buffers_iova(&sink->buffers, piece->slot);
	return 0;
}

static int finish(void *ctx, const struct transfer_piece *piece, struct weir_error *err)
{
	struct sink *sink = ctx;

	return output_file_write(&sink->file, sink->buffers.data[piece->slot], piece->bytes, err);
}

static const struct transfer_ops read_ops = { .prepare = prepare, .finish = finish };

static int check(const struct read_config *config, const struct target *target, uint64_t *bytes,
		 struct weir_error *err)
{
	uint64_t blocks = 1;
	int rc;

	rc = target_check_plain(target, err);
	if (!rc && config->bytes)
		rc = target_blocks(target, "bytes", config->bytes, &blocks, err);
	if (!rc)
		rc = target_check_range(target, config->lba, blocks, err);
	*bytes = config->bytes;
	if (!rc && !*bytes)
		*bytes = target->ns_info.bytes - config->lba * target->ns_info.block_bytes;
	return rc;
}

static int read_to_file(const struct read_config *config, const struct target *target,
			uint64_t bytes, struct weir_error *err)
{
	struct sink sink;
	struct transfer transfer = {
		.target = target,
		.opcode = WEIR_NVME_READ,
		.lba = config->lba,
		.bytes = bytes,
		.depth = (unsigned int)config->depth,
		.ops = &read_ops,
		.ctx = &sink,
	};
	int rc;

	rc = transfer_begin(&transfer, err);
	if (rc)
		return rc;
	rc = buffers_take(&sink.buffers, target, transfer.depth, err);
	if (rc)
		goto end;
	stop_on_signals(NULL, NULL);
	rc = output_file_begin(&sink.file, config->to, config->force, err);
	if (rc)
		goto give;
	notice_show();
	rc = transfer_run(&transfer, err);
	if (rc)
		output_file_discard(&sink.file);
	else
		rc = output_file_commit(&sink.file, err);
give:
	buffers_give(&sink.buffers);
end:
	transfer_end(&transfer);
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct read_config *config = arg;
	struct target_options target_options = {
		.nsid = config->nsid,
		.arena_bytes = transfer_arena_bytes(config->depth),
		.queues = 1,
	};
	struct target target;
	uint64_t bytes;
	int rc;

	rc = output_file_check(config->to, config->force, err);
	if (!rc)
		rc = target_open(&target, operands[0], &target_options, err);
	if (rc)
		return rc;
	rc = check(config, &target, &bytes, err);
	if (!rc)
		rc = read_to_file(config, &target, bytes, err);
	target_close(&target);
	return rc;
}

const struct cli_command command_nvme_read = {
	.name = "nvme read",
	.operands = "DEV",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Read blocks of an NVMe namespace into a file.",
	.examples =
		"  weir nvme read 0000:3b:00.0 --to backup.img\n"
		"  weir nvme read vfio-user:/tmp/nvme.sock --to part.bin --lba 2048 --bytes 1M\n"
		"  weir nvme read 0000:3b:00.0 --to - --bytes 4K | xxd | head\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
