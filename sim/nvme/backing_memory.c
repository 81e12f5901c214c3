/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks in anonymous memory: zero at first, gone with the controller. Each namespace has its own
 * mapping, so that it can change its size. */
#include <string.h>
#include <sys/mman.h>

#include "nvme/controller.h"

#define PAGE_BYTES 4096u

static uint64_t mapping_bytes(const struct sim_nvme *nvme, uint64_t blocks)
{
	return weir_align_up(blocks << nvme->block_shift, PAGE_BYTES);
}

static void memory_close(struct sim_nvme *nvme)
{
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++) {
		struct ctrl_ns *ns = &nvme->namespaces[i];

		if (ns->memory)
			munmap(ns->memory, ns->memory_bytes);
		ns->memory = NULL;
	}
}

static int memory_open(struct sim_nvme *nvme, struct weir_error *err)
{
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++) {
		struct ctrl_ns *ns = &nvme->namespaces[i];
		void *memory;

		ns->blocks = nvme->options.bytes / nvme->nr_namespaces >> nvme->block_shift;
		ns->memory_bytes = mapping_bytes(nvme, ns->blocks);
		memory = mmap(NULL, ns->memory_bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (memory == MAP_FAILED) {
			int error = -errno;

			memory_close(nvme);
			return weir_error_set(err, error, "namespace %u: %llu bytes of memory: %s",
					      i + 1, (unsigned long long)ns->memory_bytes,
					      strerror(-error));
		}
		ns->memory = memory;
		/* Fewer TLB misses; without it, it works as well. */
		madvise(memory, ns->memory_bytes, MADV_HUGEPAGE);
	}
	return 0;
}

static int memory_read(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		       const struct iovec *parts, int nr)
{
	(void)nvme;
	for (int i = 0; i < nr; i++) {
		memcpy(parts[i].iov_base, ns->memory + offset, parts[i].iov_len);
		offset += parts[i].iov_len;
	}
	return 0;
}

static int memory_write(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
			const struct iovec *parts, int nr)
{
	(void)nvme;
	for (int i = 0; i < nr; i++) {
		memcpy(ns->memory + offset, parts[i].iov_base, parts[i].iov_len);
		offset += parts[i].iov_len;
	}
	return 0;
}

/* Whole pages go back to the system; anonymous memory reads as zeroes then. */
static int memory_zero(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		       uint64_t bytes)
{
	uint64_t first = weir_align_up(offset, PAGE_BYTES), end = offset + bytes;
	uint64_t last = weir_align_down(end, PAGE_BYTES);

	(void)nvme;
	if (first >= last || madvise(ns->memory + first, last - first, MADV_DONTNEED) < 0) {
		memset(ns->memory + offset, 0, bytes);
		return 0;
	}
	memset(ns->memory + offset, 0, first - offset);
	memset(ns->memory + last, 0, end - last);
	return 0;
}

static int memory_flush(struct sim_nvme *nvme)
{
	(void)nvme;
	return 0;
}

static int memory_resize(struct sim_nvme *nvme, struct ctrl_ns *ns, uint64_t blocks)
{
	uint64_t bytes = mapping_bytes(nvme, blocks);
	void *memory;

	/* What is cut off does not come back when it grows again inside its last page. */
	if (blocks < ns->blocks)
		memory_zero(nvme, ns, blocks << nvme->block_shift,
			    (ns->blocks - blocks) << nvme->block_shift);
	memory = mremap(ns->memory, ns->memory_bytes, bytes, MREMAP_MAYMOVE);
	if (memory == MAP_FAILED)
		return -errno;
	ns->memory = memory;
	ns->memory_bytes = bytes;
	return 0;
}

const struct ctrl_backing_ops ctrl_backing_memory = {
	.open = memory_open,
	.close = memory_close,
	.read = memory_read,
	.write = memory_write,
	.zero = memory_zero,
	.flush = memory_flush,
	.resize = memory_resize,
};
