/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device model does with the client's memory: translate an address, read, write. */
#include <string.h>

#include "base/base.h"
#include "server/server.h"

bool sim_dma_lookup(struct sim_server *server, uint64_t iova, uint64_t bytes, unsigned int prot,
		    struct sim_window *window)
{
	const struct sim_window *found = dma_find(&server->dma, iova);

	if (!found || !weir_range_within(iova - found->iova, bytes, found->bytes) ||
	    (found->prot & prot) != prot)
		return false;
	*window = *found;
	return true;
}

/* "VFIO_USER_DMA_READ" and "VFIO_USER_DMA_WRITE" of at most the client's max_data_xfer_size. */
static int access_by_message(struct sim_server *server, uint64_t iova, uint8_t *data,
			     uint64_t bytes, bool write)
{
	while (bytes) {
		uint64_t part = bytes;
		int rc;

		if (part > server->session.max_transfer)
			part = server->session.max_transfer;
		rc = session_dma(server, iova, data, (uint32_t)part, write);
		if (rc)
			return rc;
		iova += part;
		data += part;
		bytes -= part;
	}
	return 0;
}

static int access_dma(struct sim_server *server, uint64_t iova, uint8_t *data, uint64_t bytes,
		      bool write)
{
	unsigned int prot = write ? VFIO_USER_DMA_WRITEABLE : VFIO_USER_DMA_READABLE;

	if (bytes && iova + (bytes - 1) < iova)
		return -EFAULT;
	while (bytes) {
		struct sim_window window;
		uint64_t part = bytes;
		uint64_t offset;
		int rc = 0;

		if (!sim_dma_lookup(server, iova, 1, prot, &window))
			return -EFAULT;
		offset = iova - window.iova;
		if (part > window.bytes - offset)
			part = window.bytes - offset;
		if (!window.base)
			rc = access_by_message(server, iova, data, part, write);
		else if (write)
			memcpy(window.base + offset, data, part);
		else
			memcpy(data, window.base + offset, part);
		if (rc)
			return rc;
		iova += part;
		data += part;
		bytes -= part;
	}
	return 0;
}

int sim_dma_read(struct sim_server *server, uint64_t iova, void *data, uint64_t bytes)
{
	return access_dma(server, iova, data, bytes, false);
}

int sim_dma_write(struct sim_server *server, uint64_t iova, const void *data, uint64_t bytes)
{
	/* Only read from: access_dma() takes one pointer for both directions. */
	return access_dma(server, iova, (uint8_t *)(uintptr_t)data, bytes, true);
}
