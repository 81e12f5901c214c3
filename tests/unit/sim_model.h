/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device model for tests of the server: BAR 0 is 64 KiB of which the page at 0x1000 may be
 * mapped, BAR 4 holds the MSI-X structures and bytes of its own around them. It counts what it is
 * told.
 */
#ifndef WEIR_TESTS_SIM_MODEL_H
#define WEIR_TESTS_SIM_MODEL_H

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server/sim.h"

#define SIM_MODEL_BAR0_BYTES 0x10000u
#define SIM_MODEL_BAR4_BYTES 0x1000u
#define SIM_MODEL_TABLE 0x100u
#define SIM_MODEL_PBA 0x800u
#define SIM_MODEL_VECTORS 20u
#define SIM_MODEL_REFUSED 0xff8u /* an offset in BAR 0 that answers -EIO */

struct sim_model {
	struct sim_server *server;
	int bar0_fd;
	uint8_t bar0[SIM_MODEL_BAR0_BYTES];
	uint8_t bar4[SIM_MODEL_BAR4_BYTES];
	unsigned int resets, polls, unmaps;
	uint64_t unmapped_iova, unmapped_bytes;
	/* What the next poll does: reads or writes DMA memory. */
	int (*on_poll)(struct sim_model *model);
	int poll_result;
};

static inline uint8_t *sim_model_bar(struct sim_model *model, unsigned int bar)
{
	return bar == 0 ? model->bar0 : model->bar4;
}

static inline int sim_model_read(void *ctx, unsigned int bar, uint64_t offset, void *data,
				 size_t bytes)
{
	if (bar == 0 && offset == SIM_MODEL_REFUSED)
		return -EIO;
	memcpy(data, sim_model_bar(ctx, bar) + offset, bytes);
	return 0;
}

static inline int sim_model_write(void *ctx, unsigned int bar, uint64_t offset, const void *data,
				  size_t bytes)
{
	if (bar == 0 && offset == SIM_MODEL_REFUSED)
		return -EIO;
	memcpy(sim_model_bar(ctx, bar) + offset, data, bytes);
	return 0;
}

static inline void sim_model_reset(void *ctx)
{
	struct sim_model *model = ctx;

	model->resets++;
}

static inline unsigned int sim_model_poll(void *ctx)
{
	struct sim_model *model = ctx;
	int (*on_poll)(struct sim_model * model) = model->on_poll;

	model->polls++;
	if (!on_poll)
		return 0;
	model->on_poll = NULL;
	model->poll_result = on_poll(model);
	return 1;
}

static inline void sim_model_dma_unmap(void *ctx, uint64_t iova, uint64_t bytes)
{
	struct sim_model *model = ctx;

	model->unmaps++;
	model->unmapped_iova = iova;
	model->unmapped_bytes = bytes;
}

static const struct sim_model_ops sim_model_ops = {
	.name = "test",
	.read = sim_model_read,
	.write = sim_model_write,
	.reset = sim_model_reset,
	.poll = sim_model_poll,
	.dma_unmap = sim_model_dma_unmap,
};

static inline struct sim_pci sim_model_pci(int bar0_fd)
{
	struct sim_pci pci = {
		.vendor_id = 0x1234,
		.device_id = 0x5678,
		.subsystem_vendor_id = 0x9abc,
		.subsystem_id = 0xdef0,
		.class_code = 0x010802,
		.revision = 3,
		.nr_vectors = SIM_MODEL_VECTORS,
		.msix_bar = 4,
		.msix_table = SIM_MODEL_TABLE,
		.msix_pba = SIM_MODEL_PBA,
	};

	for (unsigned int i = 0; i < SIM_NR_BARS; i++)
		pci.bars[i].fd = -1;
	pci.bars[0] = (struct sim_bar){
		.bytes = SIM_MODEL_BAR0_BYTES,
		.fd = bar0_fd,
		.areas = { { 0x1000, 0x1000 }, { 0x4000, 0x2000 } },
		.nr_areas = 2,
		.is64 = true,
	};
	pci.bars[4].bytes = SIM_MODEL_BAR4_BYTES;
	return pci;
}

/* Ended by sim_model_destroy(). */
static inline int sim_model_create(struct sim_model *model,
				   const struct sim_server_options *options)
{
	struct sim_pci pci;
	int rc;

	memset(model, 0, sizeof(*model));
	model->bar0_fd = memfd_create("bar0", MFD_CLOEXEC);
	if (model->bar0_fd < 0)
		return -errno;
	if (ftruncate(model->bar0_fd, SIM_MODEL_BAR0_BYTES))
		return -errno;
	pci = sim_model_pci(model->bar0_fd);
	rc = sim_server_create(&pci, &sim_model_ops, model, options, &model->server, NULL);
	if (rc)
		close(model->bar0_fd);
	return rc;
}

static inline void sim_model_destroy(struct sim_model *model)
{
	sim_server_destroy(model->server);
	close(model->bar0_fd);
}

#endif
