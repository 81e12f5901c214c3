// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers of BARs (core/bar.h). They are dma-bufs that never get a file descriptor, and whose only
 * importers are Weir's address spaces; the DMA API is not involved.
 */
#include <linux/dma-resv.h>
#include <linux/slab.h>

#include "compat/compat.h"
#include "core/bar.h"
#include "pci/private.h"

struct buffer {
	struct weir_bar bar;
	struct weir_bar_range range;
	struct dma_buf *dma_buf;
	/* In weir_pci.buffers, until the device is closed; under [10]. */
	struct list_head entry;
};

static struct buffer *buffer_of(struct dma_buf *dma_buf)
{
	return container_of(weir_bar_of(dma_buf), struct buffer, bar);
}

static int buffer_attach(struct dma_buf *dma_buf, struct dma_buf_attachment *attachment)
{
	return weir_bar_is_importer(attachment) ? 0 : -EOPNOTSUPP;
}

/* Importers take physical addresses: they neither map nor pin. */
static struct sg_table *buffer_map(struct dma_buf_attachment *attachment,
				   enum dma_data_direction direction)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void buffer_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			 enum dma_data_direction direction)
{
}

static int __maybe_unused buffer_pin(struct dma_buf_attachment *attachment)
{
	return -EOPNOTSUPP;
}

static void __maybe_unused buffer_unpin(struct dma_buf_attachment *attachment)
{
}

/* Comes with the end of the dma-buf's file, which is put off until no lock is held. */
static void buffer_release(struct dma_buf *dma_buf)
{
	struct buffer *buffer = buffer_of(dma_buf);
	struct weir_pci *pci = weir_pci_of(buffer->bar.device);

	down_write(&pci->memory_lock);
	list_del(&buffer->entry);
	up_write(&pci->memory_lock);
	weir_device_put(buffer->bar.device);
	kfree(buffer);
}

static const struct dma_buf_ops buffer_ops = {
	WEIR_DMA_BUF_ATTACH(buffer_attach, buffer_pin, buffer_unpin),
	.map_dma_buf = buffer_map,
	.unmap_dma_buf = buffer_unmap,
	.release = buffer_release,
};

void weir_pci_buffers_set(struct weir_pci *pci, bool revoked)
{
	struct buffer *buffer;

	lockdep_assert_held_write(&pci->memory_lock);
	/* One that nobody holds any more is still whole: it is taken out of the list before. */
	list_for_each_entry(buffer, &pci->buffers, entry) {
		dma_resv_lock(buffer->dma_buf->resv, NULL);
		if (buffer->bar.revoked != revoked) {
			buffer->bar.revoked = revoked;
			weir_compat_dma_buf_notify(buffer->dma_buf);
		}
		dma_resv_unlock(buffer->dma_buf->resv);
	}
}

void weir_pci_buffers_forget(struct weir_pci *pci)
{
	struct buffer *buffer, *next;

	lockdep_assert_held_write(&pci->memory_lock);
	list_for_each_entry_safe(buffer, next, &pci->buffers, entry)
		list_del_init(&buffer->entry);
}

struct dma_buf *weir_pci_bar_buffer(struct weir_device *device, u64 offset, u64 length)
{
	DEFINE_DMA_BUF_EXPORT_INFO(export);
	struct weir_pci *pci = weir_pci_of(device);
	struct buffer *buffer;
	phys_addr_t address;
	int rc;

	rc = weir_pci_bar_range(pci, offset, length, &address);
	if (rc)
		return ERR_PTR(rc);
	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return ERR_PTR(-ENOMEM);
	buffer->range.address = address;
	buffer->range.length = length;
	buffer->bar.ranges = &buffer->range;
	buffer->bar.nr_ranges = 1;
	buffer->bar.device = weir_device_get(device);
	INIT_LIST_HEAD(&buffer->entry);

	export.ops = &buffer_ops;
	export.size = length;
	export.flags = O_CLOEXEC | O_RDWR;
	export.priv = &buffer->bar;
	buffer->dma_buf = dma_buf_export(&export);
	if (IS_ERR(buffer->dma_buf)) {
		struct dma_buf *error = buffer->dma_buf;

		weir_device_put(device);
		kfree(buffer);
		return error;
	}

	down_write(&pci->memory_lock);
	buffer->bar.revoked = !weir_pci_memory_accessible(pci);
	list_add(&buffer->entry, &pci->buffers);
	up_write(&pci->memory_lock);
	return buffer->dma_buf;
}
