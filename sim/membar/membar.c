/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "membar/sim_membar.h"

#define BAR 2
#define MIN_BYTES UINT64_C(4096)
#define MAX_BYTES (UINT64_C(64) << 30)
#define DEFAULT_BYTES (UINT64_C(64) << 20)

/* PCI ids of drivers/membar, and the class of a memory controller for RAM. */
#define VENDOR_ID 0x1b36
#define DEVICE_ID 0x57e1
#define CLASS_RAM 0x050000

struct sim_membar {
	struct sim_server *server;
	uint64_t bytes;
	int fd;
	uint8_t *memory;
};

static int membar_read(void *model, unsigned int bar, uint64_t offset, void *data, size_t bytes)
{
	const struct sim_membar *membar = model;

	(void)bar;
	memcpy(data, membar->memory + offset, bytes);
	return 0;
}

static int membar_write(void *model, unsigned int bar, uint64_t offset, const void *data,
			size_t bytes)
{
	struct sim_membar *membar = model;

	(void)bar;
	memcpy(membar->memory + offset, data, bytes);
	return 0;
}

/* The next client must not find the last one's data. Everybody who maps the file sees the zeroes.
 */
static void membar_reset(void *model)
{
	struct sim_membar *membar = model;

	if (fallocate(membar->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
		      (off_t)membar->bytes))
		memset(membar->memory, 0, membar->bytes);
}

static unsigned int membar_poll(void *model)
{
	(void)model;
	return 0;
}

static void membar_dma_unmap(void *model, uint64_t iova, uint64_t bytes)
{
	(void)model;
	(void)iova;
	(void)bytes;
}

static const struct sim_model_ops membar_ops = {
	.name = "membar",
	.read = membar_read,
	.write = membar_write,
	.reset = membar_reset,
	.poll = membar_poll,
	.dma_unmap = membar_dma_unmap,
};

/* Sealed, so that a client that maps it cannot take it from under the others. */
static int make_memory(struct sim_membar *membar, struct weir_error *err)
{
	membar->fd = memfd_create("weir-membar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (membar->fd < 0)
		return weir_error_set(err, -errno, "memfd_create: %m");
	if (ftruncate(membar->fd, (off_t)membar->bytes) ||
	    fcntl(membar->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return weir_error_set(err, -errno, "memfd of 0x%" PRIx64 " bytes: %m",
				      membar->bytes);
	membar->memory = mmap(NULL, membar->bytes, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_NORESERVE, membar->fd, 0);
	if (membar->memory == MAP_FAILED) {
		membar->memory = NULL;
		return weir_error_set(err, -errno, "mmap of 0x%" PRIx64 " bytes: %m",
				      membar->bytes);
	}
	return 0;
}

int sim_membar_create(const struct sim_membar_options *options, struct sim_membar **membar,
		      struct weir_error *err)
{
	uint64_t bytes = options && options->bytes ? options->bytes : DEFAULT_BYTES;
	struct sim_pci pci = {
		.vendor_id = VENDOR_ID,
		.device_id = DEVICE_ID,
		.subsystem_vendor_id = VENDOR_ID,
		.class_code = CLASS_RAM,
	};
	struct sim_membar *made;
	int rc;

	if (!weir_is_power_of_two(bytes) || bytes < MIN_BYTES || bytes > MAX_BYTES)
		return weir_error_set(err, -EINVAL,
				      "membar: %" PRIu64
				      " bytes are no power of two from 4 KiB to 64 GiB",
				      bytes);
	made = calloc(1, sizeof(*made));
	if (!made)
		return weir_error_set(err, -ENOMEM, "membar: no memory");
	made->bytes = bytes;
	made->fd = -1;
	rc = make_memory(made, err);
	if (rc)
		goto destroy;
	for (unsigned int i = 0; i < SIM_NR_BARS; i++)
		pci.bars[i].fd = -1;
	pci.bars[BAR] = (struct sim_bar){
		.bytes = bytes,
		.fd = made->fd,
		.areas = { { .offset = 0, .bytes = bytes } },
		.nr_areas = 1,
		.is64 = true,
		.prefetchable = true,
	};
	rc = sim_server_create(&pci, &membar_ops, made, options ? &options->server : NULL,
			       &made->server, err);
	if (rc)
		goto destroy;
	*membar = made;
	return 0;

destroy:
	sim_membar_destroy(made);
	return rc;
}

void sim_membar_destroy(struct sim_membar *membar)
{
	if (!membar)
		return;
	sim_server_destroy(membar->server);
	if (membar->memory)
		munmap(membar->memory, membar->bytes);
	if (membar->fd >= 0)
		close(membar->fd);
	free(membar);
}

struct sim_server *sim_membar_server(struct sim_membar *membar)
{
	return membar->server;
}
