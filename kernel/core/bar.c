// SPDX-License-Identifier: GPL-2.0-only
/* Attachment of address spaces to buffers of BARs. */
#include <linux/module.h>

#include "compat/compat.h"
#include "core/bar.h"
#include "core/private.h"

static void bar_notify(struct dma_buf_attachment *attachment)
{
	struct weir_bar_importer *importer = attachment->importer_priv;

	importer->notify(importer, weir_bar_of(attachment->dmabuf));
}

static const struct dma_buf_attach_ops bar_importer_ops = {
	.allow_peer2peer = true,
	.weir_attach_notify = bar_notify,
};

struct weir_bar *weir_bar_of(struct dma_buf *buffer)
{
	return buffer->priv;
}
EXPORT_SYMBOL_GPL(weir_bar_of);

int weir_bar_attach(struct weir_bar_importer *importer, struct dma_buf *buffer)
{
	struct dma_buf_attachment *attachment;

	attachment = dma_buf_dynamic_attach(buffer, weir_container_device(), &bar_importer_ops,
					    importer);
	if (IS_ERR(attachment))
		return PTR_ERR(attachment);
	importer->attachment = attachment;
	return 0;
}
EXPORT_SYMBOL_GPL(weir_bar_attach);

void weir_bar_detach(struct weir_bar_importer *importer)
{
	dma_buf_detach(importer->attachment->dmabuf, importer->attachment);
}
EXPORT_SYMBOL_GPL(weir_bar_detach);

bool weir_bar_is_importer(const struct dma_buf_attachment *attachment)
{
	return attachment->importer_ops == &bar_importer_ops;
}
EXPORT_SYMBOL_GPL(weir_bar_is_importer);
