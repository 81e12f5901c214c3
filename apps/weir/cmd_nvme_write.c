/* SPDX-License-Identifier: BSD-3-Clause */
/* weir nvme write: a file onto blocks of a namespace. Everything is checked before the first write.
 */
#include "buffers.h"
#include "commands.h"
#include "fail.h"
#include "notice.h"
#include "stop.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long to wait for a pipe before the device is looked after again. */
#define PIPE_WAIT_MS 10

struct write_config {
	const char *from;
	uint64_t lba;
	uint64_t bytes; /* 0: all of the file */
	uint64_t nsid;
	uint64_t depth;
	bool yes;
};

static const struct write_config defaults = { 0 };

static const struct cli_option options[] = {
	{ "from", CLI_TEXT, offsetof(struct write_config, from), .argument = "FILE",
	  .help = "the file to write; - is standard input and needs --bytes", .required = true },
	{ "lba", CLI_NUMBER, offsetof(struct write_config, lba), .max = UINT64_MAX, .argument = "N",
	  .help = "first block (default 0)" },
	{ "bytes", CLI_BYTES, offsetof(struct write_config, bytes), .min = 1, .max = UINT64_MAX,
	  .argument = "N",
	  .help = "how much, a multiple of the block size (default: all of the file)" },
	{ "namespace", CLI_NUMBER, offsetof(struct write_config, nsid), .min = 1,
	  .max = UINT32_MAX - 1, .argument = "N", .help = "namespace id (default: the first)" },
	{ "queue-depth", CLI_NUMBER, offsetof(struct write_config, depth), .min = 1,
	  .max = WEIR_NVME_MAX_DEPTH, .argument = "N",
	  .help = "I/Os of up to 128 KiB in flight (default 32, or what the controller allows)" },
	{ "yes", CLI_FLAG, offsetof(struct write_config, yes),
	  .help = "overwrite what is on these blocks" },
	{ NULL },
};

struct source {
	struct buffers buffers;
	const char *path;
	int fd;
	uint64_t bytes; /* to write */
	uint32_t filled; /* bytes of the piece that is being prepared */
};

/* Reads on until the piece is full or the file has nothing for now. */
static int prepare(void *ctx, struct transfer_piece *piece, struct weir_error *err)
{
	struct source *source = ctx;
	struct pollfd ready = { .fd = source->fd, .events = POLLIN };
	char *data = source->buffers.data[piece->slot];

	piece->iova = buffers_iova(&source->buffers, piece->slot);
	while (source->filled < piece->bytes) {
		ssize_t got;

		if (poll(&ready, 1, PIPE_WAIT_MS) <= 0)
			return 1;
		got = read(source->fd, data + source->filled, piece->bytes - source->filled);
		if (got < 0 && errno == EINTR)
			return 1;
		if (got < 0)
			return fail(err, -errno, "cannot read %s: %s", source->path,
				    strerror(errno));
		if (!got)
			return fail(err, -ENODATA,
				    "%s ended after %" PRIu64 " of %" PRIu64 " bytes", source->path,
				    piece->offset + source->filled, source->bytes);
		source->filled += (uint32_t)got;
	}
	source->filled = 0;
	return 0;
}

static int finish(void *ctx, const struct transfer_piece *piece, struct weir_error *err)
{
	(void)ctx;
	(void)piece;
	(void)err;
	return 0;
}

static const struct transfer_ops write_ops = { .prepare = prepare, .finish = finish };

/* How many bytes there are to write: those of the file, or what was asked for. */
static int find_size(struct source *source, uint64_t asked, struct weir_error *err)
{
	struct stat status;
	off_t size;

	if (fstat(source->fd, &status))
		return fail(err, -errno, "%s: %s", source->path, strerror(errno));
	if (S_ISDIR(status.st_mode))
		return fail(err, -EISDIR, "%s is a folder", source->path);
	source->bytes = asked;
	if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
		return asked ? 0
			     : fail(err, CLI_USAGE,
				    "%s has no size of its own: --bytes N is needed", source->path);
	size = lseek(source->fd, 0, SEEK_END);
	if (size < 0 || lseek(source->fd, 0, SEEK_SET) < 0)
		return fail(err, -errno, "%s: %s", source->path, strerror(errno));
	if (!size)
		return fail(err, -EINVAL, "%s is empty", source->path);
	if (asked > (uint64_t)size)
		return fail(err, -EINVAL, "bytes %" PRIu64 " is over the %jd bytes of %s", asked,
			    (intmax_t)size, source->path);
	if (!asked)
		source->bytes = (uint64_t)size;
	return 0;
}

static int open_source(struct source *source, const struct write_config *config,
		       struct weir_error *err)
{
	int rc;

	*source = (struct source){ .path = config->from };
	if (!strcmp(config->from, "-")) {
		source->path = "standard input";
		source->fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	} else {
		source->fd = open(config->from, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (source->fd < 0)
		return fail(err, -errno, "cannot open %s: %s", source->path, strerror(errno));
	rc = find_size(source, config->bytes, err);
	if (rc)
		close(source->fd);
	return rc;
}

static int check(const struct write_config *config, const struct source *source,
		 const struct target *target, struct weir_error *err)
{
	char what[WEIR_ERROR_TEXT / 2];
	uint64_t blocks;
	int rc;

	snprintf(what, sizeof(what), "%s: size", source->path);
	rc = target_check_plain(target, err);
	if (!rc)
		rc = target_check_writable(target, err);
	if (!rc)
		rc = target_blocks(target, config->bytes ? "bytes" : what, source->bytes, &blocks,
				   err);
	if (!rc)
		rc = target_check_range(target, config->lba, blocks, err);
	if (!rc && !config->yes)
		rc = fail(err, CLI_USAGE,
			  "this overwrites %" PRIu64 " blocks from LBA %" PRIu64
			  " of namespace %" PRIu32 " of %s (%s, serial %s); --yes does it",
			  blocks, config->lba, target->ns_info.nsid, target->address,
			  target->info.model, target->info.serial);
	return rc;
}

static int write_from_file(const struct write_config *config, struct source *source,
			   const struct target *target, struct weir_error *err)
{
	struct transfer transfer = {
		.target = target,
		.opcode = WEIR_NVME_WRITE,
		.lba = config->lba,
		.bytes = source->bytes,
		.depth = (unsigned int)config->depth,
		.ops = &write_ops,
		.ctx = source,
	};
	int rc;

	rc = transfer_begin(&transfer, err);
	if (rc)
		return rc;
	rc = buffers_take(&source->buffers, target, transfer.depth, err);
	if (rc)
		goto end;
	stop_on_signals(NULL, NULL);
	notice_show();
	printf("writing %" PRIu64 " bytes at LBA %" PRIu64 " of namespace %" PRIu32
	       " of %s (%s, serial %s)\n",
	       source->bytes, config->lba, target->ns_info.nsid, target->address,
	       target->info.model, target->info.serial);
	fflush(stdout);
	rc = transfer_run(&transfer, err);
	buffers_give(&source->buffers);
end:
	transfer_end(&transfer);
	return rc;
}

static int run(const void *arg, char *const *operands, struct weir_error *err)
{
	const struct write_config *config = arg;
	struct target_options target_options = {
		.nsid = config->nsid,
		.arena_bytes = transfer_arena_bytes(config->depth),
		.queues = 1,
	};
	struct source source;
	struct target target;
	int rc;

	rc = open_source(&source, config, err);
	if (rc)
		return rc;
	rc = target_open(&target, operands[0], &target_options, err);
	if (!rc) {
		rc = check(config, &source, &target, err);
		if (!rc)
			rc = write_from_file(config, &source, &target, err);
		target_close(&target);
	}
	close(source.fd);
	return rc;
}

const struct cli_command command_nvme_write = {
	.name = "nvme write",
	.operands = "DEV",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Write a file onto blocks of an NVMe namespace.",
	.examples = "  weir nvme write 0000:3b:00.0 --from backup.img --yes\n"
		    "  weir nvme write vfio-user:/tmp/nvme.sock --from part.bin --lba 2048 --yes\n"
		    "  zcat image.gz | weir nvme write 0000:3b:00.0 --from - --bytes 8G --yes\n",
	.options = options,
	.defaults = &defaults,
	.config_bytes = sizeof(defaults),
	.run = run,
};
