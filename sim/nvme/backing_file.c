/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks in a file or block device. Its lock keeps a second controller from serving the same
 * blocks, one that only reads them excepted.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nvme/controller.h"

/* Bytes of a regular file or block device; -EINVAL when it is neither. */
static int file_size(int fd, uint64_t *bytes)
{
	struct stat status;
	uint64_t size;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (S_ISREG(status.st_mode))
		size = (uint64_t)status.st_size;
	else if (!S_ISBLK(status.st_mode))
		return -EINVAL;
	else if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return -errno;
	*bytes = size;
	return 0;
}

static void file_close(struct sim_nvme *nvme)
{
	if (nvme->backing_fd >= 0)
		close(nvme->backing_fd);
	nvme->backing_fd = -1;
}

static int lock_and_measure(struct sim_nvme *nvme, uint64_t *result, struct weir_error *err)
{
	const struct sim_nvme_options *options = &nvme->options;
	uint64_t bytes = 0;
	int error;

	if (flock(nvme->backing_fd, (options->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
		error = -errno;
		if (error == -EWOULDBLOCK)
			return weir_error_set(err, -EBUSY, "%s: somebody else serves it",
					      options->file);
		return weir_error_set(err, error, "%s: locking it: %s", options->file,
				      strerror(-error));
	}
	error = file_size(nvme->backing_fd, &bytes);
	if (error == -EINVAL)
		return weir_error_set(err, error, "%s: neither a file nor a block device",
				      options->file);
	if (error)
		return weir_error_set(err, error, "%s: its size: %s", options->file,
				      strerror(-error));
	if (bytes / nvme->nr_namespaces < options->block_bytes)
		return weir_error_set(err, -EINVAL,
				      "%s: %llu bytes are less than one block of %u for each of "
				      "%u namespaces",
				      options->file, (unsigned long long)bytes,
				      options->block_bytes, nvme->nr_namespaces);
	*result = bytes;
	return 0;
}

/* A block device that is mounted, or otherwise in use, is not opened. */
static int open_flags(const struct sim_nvme_options *options)
{
	int flags = (options->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
	struct stat status;

	if (stat(options->file, &status) == 0 && S_ISBLK(status.st_mode))
		flags |= O_EXCL;
	return flags;
}

static int file_open(struct sim_nvme *nvme, struct weir_error *err)
{
	const struct sim_nvme_options *options = &nvme->options;
	uint64_t bytes = 0, blocks;
	int error;

	nvme->backing_fd = open(options->file, open_flags(options));
	if (nvme->backing_fd < 0) {
		error = -errno;
		return weir_error_set(err, error, "%s: %s", options->file, strerror(-error));
	}
	error = lock_and_measure(nvme, &bytes, err);
	if (error) {
		file_close(nvme);
		return error;
	}
	blocks = bytes / nvme->nr_namespaces >> nvme->block_shift;
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++) {
		nvme->namespaces[i].blocks = blocks;
		nvme->namespaces[i].file_offset = i * (blocks << nvme->block_shift);
	}
	return 0;
}

/* Moves all of the parts; a file that somebody cut meanwhile is an error. */
static int file_move(const struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		     const struct iovec *from, int nr, bool write)
{
	struct iovec parts[CTRL_MAX_PARTS], *part = parts;

	memcpy(parts, from, (size_t)nr * sizeof(*parts));
	offset += ns->file_offset;
	while (nr) {
		ssize_t n = write ? pwritev(nvme->backing_fd, part, nr, (off_t)offset)
				  : preadv(nvme->backing_fd, part, nr, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		offset += (uint64_t)n;
		while (nr && (size_t)n >= part->iov_len) {
			n -= (ssize_t)part->iov_len;
			part++;
			nr--;
		}
		if (nr) {
			part->iov_base = (uint8_t *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int file_read(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		     const struct iovec *parts, int nr)
{
	return file_move(nvme, ns, offset, parts, nr, false);
}

static int file_write(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		      const struct iovec *parts, int nr)
{
	return file_move(nvme, ns, offset, parts, nr, true);
}

/* A hole where there can be one, zeroes written where not. */
static int file_zero(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		     uint64_t bytes)
{
	static const uint8_t zeroes[64 << 10];

	if (!bytes)
		return 0;
	if (fallocate(nvme->backing_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(ns->file_offset + offset), (off_t)bytes) == 0)
		return 0;
	while (bytes) {
		uint64_t n = bytes < sizeof(zeroes) ? bytes : sizeof(zeroes);
		struct iovec part = { (void *)(uintptr_t)zeroes, n };
		int error = file_move(nvme, ns, offset, &part, 1, true);

		if (error)
			return error;
		offset += n;
		bytes -= n;
	}
	return 0;
}

static int file_flush(struct sim_nvme *nvme)
{
	if (nvme->options.read_only)
		return 0;
	return fdatasync(nvme->backing_fd) < 0 ? -errno : 0;
}

const struct ctrl_backing_ops ctrl_backing_file = {
	.open = file_open,
	.close = file_close,
	.read = file_read,
	.write = file_write,
	.zero = file_zero,
	.flush = file_flush,
	.flush_waits = true,
};
