// SPDX-License-Identifier: GPL-2.0-only
/*
 * A part of a BAR as a source: a buffer of its own (core/bar.h), which the device's driver revokes
 * and allows again. Meanwhile the source stays, and knows where it is to be mapped.
 */
#include <linux/dma-buf.h>
#include <linux/dma-resv.h>
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat/compat.h"
#include "core/bar.h"
#include "core/device.h"
#include "core/lock.h"
#include "ioas/private.h"

/* A domain that the source is mapped in, or will be when access comes back. */
struct bar_mapping {
	struct list_head entry;
	struct iommu_domain *domain;
	u64 iova;
	bool mapped;
};

struct bar_source {
	struct weir_source source;
	struct weir_bar_importer importer;

	/* Constant. */
	struct dma_buf *buffer;
	int protection;

	/* [12] guards what follows. */
	struct mutex lock;
	bool revoked;
	struct list_head mappings;
};

static void bar_unmap_from(const struct weir_bar *bar, struct bar_mapping *mapping)
{
	u64 length = 0;
	unsigned int i;

	if (!mapping->mapped)
		return;
	for (i = 0; i < bar->nr_ranges; i++)
		length += bar->ranges[i].length;
	WARN_ON_ONCE(iommu_unmap(mapping->domain, mapping->iova, length) < length);
	mapping->mapped = false;
}

static int bar_map_to(const struct weir_bar *bar, struct bar_mapping *mapping, int protection)
{
	u64 done = 0;
	unsigned int i;
	int rc;

	for (i = 0; i < bar->nr_ranges; i++) {
		rc = weir_compat_iommu_map(mapping->domain, mapping->iova + done,
					   bar->ranges[i].address, bar->ranges[i].length,
					   protection, GFP_KERNEL_ACCOUNT);
		if (rc) {
			if (done)
				iommu_unmap(mapping->domain, mapping->iova, done);
			return rc;
		}
		done += bar->ranges[i].length;
	}
	mapping->mapped = true;
	return 0;
}

static void bar_report_lost(const struct weir_bar *bar, const struct bar_mapping *mapping)
{
	dev_warn_ratelimited(bar->device->parent,
			     "a BAR cannot be mapped at %#llx again after a reset\n",
			     mapping->iova);
}

/* The buffer's dma_resv [11] is held, and [10] of the device for writing when something changes. */
static void bar_notify(struct weir_bar_importer *importer, const struct weir_bar *bar)
{
	struct bar_source *source = container_of(importer, struct bar_source, importer);
	struct bar_mapping *mapping;

	mutex_lock(&source->lock);
	source->revoked = bar->revoked;
	list_for_each_entry(mapping, &source->mappings, entry) {
		if (source->revoked)
			bar_unmap_from(bar, mapping);
		else if (!mapping->mapped && bar_map_to(bar, mapping, source->protection))
			bar_report_lost(bar, mapping);
	}
	mutex_unlock(&source->lock);
}

static int bar_map(struct weir_area *area, struct iommu_domain *domain, bool single_pages)
{
	struct bar_source *source = container_of(area->source, struct bar_source, source);
	struct bar_mapping *mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	int rc = 0;

	if (!mapping)
		return -ENOMEM;
	mapping->domain = domain;
	mapping->iova = area->node.start;

	mutex_lock(&source->lock);
	if (!source->revoked)
		rc = bar_map_to(weir_bar_of(source->buffer), mapping, source->protection);
	if (!rc)
		list_add(&mapping->entry, &source->mappings);
	mutex_unlock(&source->lock);
	if (rc)
		kfree(mapping);
	return rc;
}

static void bar_unmap(struct weir_area *area, struct iommu_domain *domain)
{
	struct bar_source *source = container_of(area->source, struct bar_source, source);
	struct bar_mapping *mapping;

	mutex_lock(&source->lock);
	list_for_each_entry(mapping, &source->mappings, entry) {
		if (mapping->domain == domain && mapping->iova == area->node.start) {
			bar_unmap_from(weir_bar_of(source->buffer), mapping);
			list_del(&mapping->entry);
			kfree(mapping);
			break;
		}
	}
	mutex_unlock(&source->lock);
}

static void bar_release(struct weir_source *base)
{
	struct bar_source *source = container_of(base, struct bar_source, source);

	WARN_ON(!list_empty(&source->mappings));
	weir_bar_detach(&source->importer);
	dma_buf_put(source->buffer);
	mutex_destroy(&source->lock);
	kfree(source);
}

static const struct weir_source_ops bar_ops = {
	.map = bar_map,
	.unmap = bar_unmap,
	.release = bar_release,
};

/* Takes the buffer over, also on failure. */
static struct weir_source *source_of_buffer(struct dma_buf *buffer, unsigned int protection)
{
	struct bar_source *source = kzalloc(sizeof(*source), GFP_KERNEL_ACCOUNT);
	int rc;

	if (!source) {
		dma_buf_put(buffer);
		return ERR_PTR(-ENOMEM);
	}
	weir_source_init(&source->source, &bar_ops, protection & WEIR_IOAS_WRITE);
	source->importer.notify = bar_notify;
	source->buffer = buffer;
	source->protection = weir_iommu_protection(protection) | IOMMU_MMIO;
	/* Another class than that of user memory: see kernel/README.md. */
	mutex_init(&source->lock);
	weir_lock_name(&source->lock, "bar_source.lock");
	INIT_LIST_HEAD(&source->mappings);

	rc = weir_bar_attach(&source->importer, buffer);
	if (rc) {
		dma_buf_put(buffer);
		mutex_destroy(&source->lock);
		kfree(source);
		return ERR_PTR(rc);
	}
	/* From here on every change is told; what it was before is not. */
	dma_resv_lock(buffer->resv, NULL);
	bar_notify(&source->importer, weir_bar_of(buffer));
	dma_resv_unlock(buffer->resv);
	return &source->source;
}

/* What a process has mapped of a device, whose file is held. */
struct bar_view {
	struct file *file;
	u64 offset;
};

/* 1 if it is a device's, 0 if it is something else, -EFAULT. */
static int bar_view_find(struct bar_view *view, unsigned long address, u64 length,
			 unsigned int protection)
{
	const struct vm_area_struct *vma;
	int rc = 0;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	vma = find_vma(current->mm, address);
	if (!vma || address < vma->vm_start || !vma->vm_file || !weir_device_of_file(vma->vm_file))
		goto unlock;
	rc = -EFAULT;
	if (length > vma->vm_end - address)
		goto unlock;
	if (protection & WEIR_IOAS_READ && !(vma->vm_flags & VM_READ))
		goto unlock;
	if (protection & WEIR_IOAS_WRITE && !(vma->vm_flags & VM_WRITE))
		goto unlock;
	view->file = get_file(vma->vm_file);
	view->offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + (address - vma->vm_start);
	rc = 1;

unlock:
	mmap_read_unlock(current->mm);
	return rc;
}

struct weir_source *weir_source_bar(unsigned long address, u64 length, unsigned int protection)
{
	struct weir_device *device;
	struct dma_buf *buffer;
	struct bar_view view;
	int rc;

	rc = bar_view_find(&view, untagged_addr(address), length, protection);
	if (rc <= 0)
		return rc ? ERR_PTR(rc) : NULL;
	device = weir_device_of_file(view.file);
	if (device->ops->bar_buffer)
		buffer = device->ops->bar_buffer(device, view.offset, length);
	else
		buffer = ERR_PTR(-EFAULT);
	fput(view.file);
	if (IS_ERR(buffer))
		return ERR_CAST(buffer);
	return source_of_buffer(buffer, protection);
}
