/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks that are kept nowhere, to measure everything else. */
#include "nvme/controller.h"

static int null_open(struct sim_nvme *nvme, struct weir_error *err)
{
	(void)err;
	for (uint32_t i = 0; i < nvme->nr_namespaces; i++)
		nvme->namespaces[i].blocks = nvme->options.bytes / nvme->nr_namespaces >>
					     nvme->block_shift;
	return 0;
}

static void null_close(struct sim_nvme *nvme)
{
	(void)nvme;
}

static int null_move(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		     const struct iovec *parts, int nr)
{
	(void)nvme, (void)ns, (void)offset, (void)parts, (void)nr;
	return 0;
}

static int null_zero(struct sim_nvme *nvme, const struct ctrl_ns *ns, uint64_t offset,
		     uint64_t bytes)
{
	(void)nvme, (void)ns, (void)offset, (void)bytes;
	return 0;
}

static int null_flush(struct sim_nvme *nvme)
{
	(void)nvme;
	return 0;
}

static int null_resize(struct sim_nvme *nvme, struct ctrl_ns *ns, uint64_t blocks)
{
	(void)nvme, (void)ns, (void)blocks;
	return 0;
}

const struct ctrl_backing_ops ctrl_backing_null = {
	.null = true,
	.open = null_open,
	.close = null_close,
	.read = null_move,
	.write = null_move,
	.zero = null_zero,
	.flush = null_flush,
	.resize = null_resize,
};
