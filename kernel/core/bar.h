/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Buffers of BARs: parts of a device's memory that others may reach, for as long as the device lets
 * them. A buffer is a dma-buf. Its exporter is a bus driver; here is what an I/O address space
 * needs of it, which maps physical addresses and has no use for the DMA API.
 *
 * dma_buf->priv points at a struct weir_bar. Only weir_device_ops.bar_buffer gives such a dma-buf.
 *
 * There is one way in which access is lost and comes back:
 *
 *	exporter				importer (address space)
 *	dma_resv of the buffer locked		weir_bar_attach()
 *	bar->revoked = true			dma_resv locked: revoked? if not, maps bar->ranges
 *	weir_compat_dma_buf_notify() ---------> notify(): unmaps, before it returns
 *	dma_resv unlocked
 *	...reset, power down, disable...
 *	dma_resv locked, revoked = false
 *	weir_compat_dma_buf_notify() ---------> notify(): may map again
 *	dma_resv unlocked
 *
 * An importer has all of its mappings gone when notify() returns, so that the exporter has nothing
 * to wait for: dma_buf_map_attachment() is not used, and no buffer is pinned.
 *
 * Closing the device revokes for good: the next user of the device gets new buffers.
 */
#ifndef WEIR_CORE_BAR_H
#define WEIR_CORE_BAR_H

#include <linux/types.h>

struct dma_buf;
struct dma_buf_attachment;
struct weir_device;

struct weir_bar_range {
	phys_addr_t address;
	u64 length;
};

/* Of the exporter, which may embed it. Ranges are whole pages and never change. */
struct weir_bar {
	/* A reference is held. */
	struct weir_device *device;
	/* Under the buffer's dma_resv [11]. */
	bool revoked;
	unsigned int nr_ranges;
	const struct weir_bar_range *ranges;
};

/*
 * To be embedded by the importer; it lives from weir_bar_attach() to weir_bar_detach().
 *
 * notify() is called with the buffer's dma_resv [11] held, and, when access is being lost or comes
 * back, with [10] of its device held for writing: nothing above [12] may be taken, and no memory of
 * user space touched. It looks at bar->revoked, and can be called with nothing changed. It cannot
 * fail: what cannot be mapped again stays unmapped.
 */
struct weir_bar_importer {
	void (*notify)(struct weir_bar_importer *importer, const struct weir_bar *bar);
	struct dma_buf_attachment *attachment;
};

/* What a buffer is about. buffer must be one of weir_device_ops.bar_buffer. */
struct weir_bar *weir_bar_of(struct dma_buf *buffer);

/*
 * weir_bar_attach - notify() is called from now on.
 *
 * The importer has its own reference to the buffer, and keeps it until after weir_bar_detach().
 * Both take the dma_resv [11]. It may be called with [4] to [7] held and with none of [8] to [12].
 * -ENOMEM, -ENODEV: the device is going.
 */
int weir_bar_attach(struct weir_bar_importer *importer, struct dma_buf *buffer);

/* notify() is not running, and will not be called, when this returns. */
void weir_bar_detach(struct weir_bar_importer *importer);

/*
 * For exporters, in dma_buf_ops.attach: whether the attachment is one of weir_bar_attach(). No
 * other may be let in as long as nothing makes it let go.
 */
bool weir_bar_is_importer(const struct dma_buf_attachment *attachment);

#endif
