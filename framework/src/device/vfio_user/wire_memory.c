/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wire in memory: each end has a queue of chunks that the other end, or weir_wire_inject(),
 * fills. Everything above it, the assembly of messages included, is the same as over a socket.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "device/vfio_user/wire_private.h"

static struct wire_chunk *chunk_new(size_t bytes, unsigned int nr_fds)
{
	struct wire_chunk *chunk = malloc(sizeof(*chunk) + bytes);

	if (!chunk)
		return NULL;
	*chunk = (struct wire_chunk){ .bytes = bytes };
	if (!nr_fds)
		return chunk;
	chunk->fds = malloc(nr_fds * sizeof(int));
	if (!chunk->fds) {
		free(chunk);
		return NULL;
	}
	return chunk;
}

static void chunk_free(struct wire_chunk *chunk)
{
	for (unsigned int i = 0; i < chunk->nr_fds; i++)
		close(chunk->fds[i]);
	free(chunk->fds);
	free(chunk);
}

WEIR_EXPORT int weir_wire_pair(struct wire **a, struct wire **b)
{
	struct wire *one = wire_new(-1);
	struct wire *two = wire_new(-1);

	if (!one || !two) {
		free(one);
		free(two);
		return -ENOMEM;
	}
	one->peer = two;
	two->peer = one;
	*a = one;
	*b = two;
	return 0;
}

WEIR_EXPORT void weir_wire_set_pump(struct wire *wire, void (*pump)(void *ctx), void *ctx)
{
	wire->pump = pump;
	wire->pump_ctx = ctx;
}

bool wire_memory_pump(struct wire *wire)
{
	if (!wire->pump || wire->pumping)
		return false;
	wire->pumping = true;
	wire->pump(wire->pump_ctx);
	wire->pumping = false;
	return true;
}

ssize_t wire_memory_pull(struct wire *wire, void *to, size_t bytes)
{
	struct wire_chunk *chunk = STAILQ_FIRST(&wire->queue);
	int ret;

	if (!chunk)
		return wire->peer ? -EAGAIN : -ECONNRESET;
	if (chunk->nr_fds) {
		ret = wire_take_fds(wire, chunk->fds, chunk->nr_fds);
		chunk->nr_fds = 0;
		if (ret)
			return ret;
	}
	if (bytes > chunk->bytes - chunk->taken)
		bytes = chunk->bytes - chunk->taken;
	memcpy(to, chunk->data + chunk->taken, bytes);
	chunk->taken += bytes;
	if (chunk->taken == chunk->bytes) {
		STAILQ_REMOVE_HEAD(&wire->queue, link);
		chunk_free(chunk);
	}
	return (ssize_t)bytes;
}

int wire_memory_push(struct wire *wire, const struct iovec *parts, unsigned int nr_parts,
		     const int *fds, unsigned int nr_fds)
{
	struct wire_chunk *chunk;
	size_t bytes = 0;
	int ret;

	if (!wire->peer)
		return -EPIPE;
	for (unsigned int i = 0; i < nr_parts; i++)
		bytes += parts[i].iov_len;
	chunk = chunk_new(bytes, nr_fds);
	if (!chunk)
		return -ENOMEM;
	bytes = 0;
	for (unsigned int i = 0; i < nr_parts; i++) {
		if (!parts[i].iov_len)
			continue;
		memcpy(chunk->data + bytes, parts[i].iov_base, parts[i].iov_len);
		bytes += parts[i].iov_len;
	}
	for (unsigned int i = 0; i < nr_fds; i++) {
		chunk->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (chunk->fds[i] < 0) {
			ret = -errno;
			chunk_free(chunk);
			return ret;
		}
		chunk->nr_fds++;
	}
	STAILQ_INSERT_TAIL(&wire->peer->queue, chunk, link);
	return 0;
}

WEIR_EXPORT int weir_wire_inject(struct wire *wire, const void *bytes, size_t nr_bytes,
				 const int *fds, unsigned int nr_fds)
{
	struct wire_chunk *chunk;

	if (wire->fd >= 0 || !nr_bytes)
		return -EINVAL;
	chunk = chunk_new(nr_bytes, nr_fds);
	if (!chunk)
		return -ENOMEM;
	memcpy(chunk->data, bytes, nr_bytes);
	if (nr_fds)
		memcpy(chunk->fds, fds, nr_fds * sizeof(int));
	chunk->nr_fds = nr_fds;
	STAILQ_INSERT_TAIL(&wire->queue, chunk, link);
	return 0;
}

void wire_memory_close(struct wire *wire)
{
	struct wire_chunk *chunk;

	if (wire->peer)
		wire->peer->peer = NULL;
	while ((chunk = STAILQ_FIRST(&wire->queue))) {
		STAILQ_REMOVE_HEAD(&wire->queue, link);
		chunk_free(chunk);
	}
}
