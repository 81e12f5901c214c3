/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and ending a controller: its options, memory, PCI function and server. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "igb/device.h"

static const struct sim_model_ops model_ops = {
	.name = "igb",
	.read = igb_read_bar,
	.write = igb_write_bar,
	.reset = igb_reset,
	.poll = igb_poll,
	.dma_unmap = igb_dma_unmap,
};

/* A locally administered address, unless one was given. */
static int choose_address(struct sim_igb_options *options, struct weir_error *err)
{
	static const uint8_t none[6], prefix[4] = { 0x52, 0x45, 0x49, 0x52 };

	if (!memcmp(options->mac, none, sizeof(none))) {
		memcpy(options->mac, prefix, sizeof(prefix));
		options->mac[4] = (uint8_t)(options->port >> 8);
		options->mac[5] = (uint8_t)options->port;
	}
	if (options->mac[0] & 1)
		return weir_error_set(err, -EINVAL,
				      "address %02x:%02x:%02x:%02x:%02x:%02x is a group's",
				      options->mac[0], options->mac[1], options->mac[2],
				      options->mac[3], options->mac[4], options->mac[5]);
	return 0;
}

/* The client gets its descriptor: nobody can shrink the file under this side's mapping. */
static int create_bar(struct sim_igb *igb, struct weir_error *err)
{
	void *base;

	igb->bar_fd = memfd_create("igb registers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (igb->bar_fd < 0)
		return weir_error_set(err, -errno, "memory file for registers: %s",
				      strerror(errno));
	if (ftruncate(igb->bar_fd, IGB_BAR_BYTES) < 0 ||
	    fcntl(igb->bar_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return weir_error_set(err, -errno, "memory file of %u bytes: %s", IGB_BAR_BYTES,
				      strerror(errno));
	base = mmap(NULL, IGB_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, igb->bar_fd, 0);
	if (base == MAP_FAILED)
		return weir_error_set(err, -errno, "mapping registers of %u bytes: %s",
				      IGB_BAR_BYTES, strerror(errno));
	igb->bar = base;
	return 0;
}

static void create_queues(struct sim_igb *igb)
{
	for (unsigned int i = 0; i < IGB_QUEUES; i++) {
		struct dev_ring *rx = &igb->rx[i].ring, *tx = &igb->tx[i].ring;
		size_t offset = (size_t)i * IGB_QUEUE_STRIDE;

		rx->index = tx->index = i;
		rx->regs = (void *)(igb->bar + IGB_RX_QUEUES + offset);
		tx->regs = (void *)(igb->bar + IGB_TX_QUEUES + offset);
		tx->transmits = true;
		igb->tx[i].staging = igb->staging + i * DEV_STAGING_BYTES;
	}
}

static int create_server(struct sim_igb *igb, struct weir_error *err)
{
	const struct sim_igb_options *options = &igb->options;
	struct sim_pci pci = {
		.vendor_id = IGB_VENDOR_ID,
		.device_id = IGB_DEVICE_ID,
		.subsystem_vendor_id = IGB_VENDOR_ID,
		.class_code = IGB_CLASS_CODE,
		.revision = 1,
		.nr_vectors = IGB_VECTORS,
		.msix_bar = DEV_BAR_MSIX,
		.msix_table = 0,
		.msix_pba = IGB_MSIX_PBA,
		.bars = {
			[DEV_BAR_REGISTERS] = { .bytes = IGB_BAR_BYTES, .fd = igb->bar_fd,
				.areas = { { IGB_RX_QUEUES, IGB_QUEUE_PAGE_BYTES },
					   { IGB_TX_QUEUES, IGB_QUEUE_PAGE_BYTES } },
				.nr_areas = options->trap_queues ? 0 : 2 },
			[1] = { .fd = -1 },
			[2] = { .fd = -1 },
			[DEV_BAR_MSIX] = { .bytes = IGB_MSIX_BAR_BYTES, .fd = -1 },
			[4] = { .fd = -1 },
			[5] = { .fd = -1 },
		},
	};

	return sim_server_create(&pci, &model_ops, igb, &options->server, &igb->server, err);
}

int sim_igb_create(const struct sim_igb_options *options, struct sim_cable *cable,
		   struct sim_igb **result, struct weir_error *err)
{
	struct sim_igb *igb = aligned_alloc(WEIR_CACHE_PAIR, sizeof(*igb));
	int error;

	if (!igb)
		return weir_error_set(err, -ENOMEM, "no memory for a controller");
	memset(igb, 0, sizeof(*igb));
	igb->options = *options;
	igb->bar_fd = -1;
	igb->plugged = true;
	error = choose_address(&igb->options, err);
	if (error)
		goto fail;
	error = create_bar(igb, err);
	if (error)
		goto fail;
	/* What no queue ever writes to is not there. */
	igb->staging = malloc(IGB_QUEUES * DEV_STAGING_BYTES);
	if (!igb->staging) {
		error = weir_error_set(err, -ENOMEM, "no memory for the controller's buffers");
		goto fail;
	}
	create_queues(igb);
	error = create_server(igb, err);
	if (error)
		goto fail;
	igb->cable = cable;
	igb->buffer = cable->buffer;
	cable->log = igb->options.server.log;
	igb_nvm_init(igb);
	igb_faults_open(igb);
	atomic_store(&cable->unplugged, !igb->plugged);
	igb_reset(igb);
	*result = igb;
	return 0;

fail:
	sim_igb_destroy(igb);
	return error;
}

void sim_igb_destroy(struct sim_igb *igb)
{
	if (!igb)
		return;
	/* Ends the connection, and with it the last use of everything below. */
	sim_server_destroy(igb->server);
	sim_cable_destroy(igb->cable);
	if (igb->bar)
		munmap(igb->bar, IGB_BAR_BYTES);
	if (igb->bar_fd >= 0)
		close(igb->bar_fd);
	free(igb->staging);
	free(igb);
}

struct sim_server *sim_igb_server(struct sim_igb *igb)
{
	return igb->server;
}
