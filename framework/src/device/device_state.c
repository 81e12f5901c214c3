/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device for a successor: its description, so that the device is asked nothing, and what its
 * transport needs to go on. Descriptors: the transport's, the eventfds of notifications, then those
 * of the regions.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/state.h"
#include "device/transport.h"

#define DEVICE_RECORD STATE_TYPE('D', 'E', 'V', 'I')
#define DEVICE_RECORD_VERSION 1

#define MAX_NOTIFY_FDS 2
#define MAX_FDS (1 + MAX_NOTIFY_FDS + DEVICE_MAX_REGIONS)

struct saved_area {
	uint64_t offset;
	uint64_t bytes;
};

struct saved_region {
	uint64_t bytes;
	uint64_t fd_offset;
	uint32_t flags; /* 1 readable, 2 writable, 4 has a descriptor */
	uint32_t nr_areas;
	struct saved_area areas[DEVICE_MAX_AREAS];
};

struct saved_device {
	char address[128];
	char transport[16];
	uint8_t link[TRANSPORT_STATE_BYTES];
	struct device_ids ids;
	struct device_msix msix;
	uint32_t irq_counts[DEVICE_MAX_IRQ_KINDS];
	uint32_t nr_irqs;
	uint32_t nr_regions;
	uint32_t can_reset;
	uint32_t notify; /* a bit for each eventfd that is there */
	struct saved_region regions[DEVICE_MAX_REGIONS];
};

static size_t record_bytes(uint32_t nr_regions)
{
	return offsetof(struct saved_device, regions) + nr_regions * sizeof(struct saved_region);
}

static void save_region(const struct device_region *region, struct saved_region *saved, int *fds,
			unsigned int *nr_fds)
{
	saved->bytes = region->bytes;
	saved->fd_offset = region->fd_offset;
	saved->flags = (uint32_t)region->readable | (uint32_t)region->writable << 1;
	if (region->fd >= 0) {
		saved->flags |= 4;
		fds[(*nr_fds)++] = region->fd;
	}
	saved->nr_areas = region->nr_areas;
	for (unsigned int i = 0; i < region->nr_areas; i++)
		saved->areas[i] = (struct saved_area){ region->areas[i].offset,
						       region->areas[i].bytes };
}

WEIR_EXPORT int weir_device_save(struct weir_device *dev, struct weir_state *state,
				 struct weir_error *err)
{
	struct saved_device saved = { 0 };
	struct transport_state link = { .fd = -1 };
	int fds[MAX_FDS];
	unsigned int nr_fds = 0;
	int ret;

	if (device_is_gone(dev))
		return device_gone_error(dev, err);
	if (strlen(dev->address) >= sizeof(saved.address))
		return weir_error_set(err, -E2BIG, "%s: the address is over %zu bytes",
				      dev->address, sizeof(saved.address) - 1);
	ret = dev->transport->save(dev, &link, err);
	if (ret)
		return ret;
	memcpy(saved.address, dev->address, strlen(dev->address));
	snprintf(saved.transport, sizeof(saved.transport), "%s", dev->transport->name);
	memcpy(saved.link, link.bytes, sizeof(saved.link));
	saved.ids = dev->ids;
	saved.msix = dev->msix;
	for (unsigned int i = 0; i < dev->nr_irqs; i++)
		saved.irq_counts[i] = dev->irq_counts[i];
	saved.nr_irqs = dev->nr_irqs;
	saved.nr_regions = dev->nr_regions;
	saved.can_reset = dev->can_reset;
	fds[nr_fds++] = link.fd;
	for (unsigned int i = 0; i < MAX_NOTIFY_FDS; i++) {
		if (dev->notify_fds[i] < 0)
			continue;
		saved.notify |= 1u << i;
		fds[nr_fds++] = dev->notify_fds[i];
	}
	for (unsigned int i = 0; i < dev->nr_regions; i++)
		save_region(&dev->regions[i], &saved.regions[i], fds, &nr_fds);
	return weir_state_put(state, DEVICE_RECORD, DEVICE_RECORD_VERSION, &saved,
			      record_bytes(saved.nr_regions), fds, nr_fds, err);
}

/* The descriptors of a record, taken from the front. */
struct fd_queue {
	int *fds;
	unsigned int nr;
	unsigned int next;
};

static int take_fd(struct fd_queue *queue, int *fd)
{
	if (queue->next == queue->nr)
		return -EINVAL;
	*fd = queue->fds[queue->next];
	queue->fds[queue->next++] = -1;
	return 0;
}

static int check_saved(const struct saved_device *saved, size_t bytes)
{
	if (bytes < offsetof(struct saved_device, regions) ||
	    saved->nr_regions < DEVICE_PCI_REGIONS || saved->nr_regions > DEVICE_MAX_REGIONS ||
	    bytes != record_bytes(saved->nr_regions))
		return -EINVAL;
	if (!memchr(saved->address, 0, sizeof(saved->address)) ||
	    !memchr(saved->transport, 0, sizeof(saved->transport)))
		return -EINVAL;
	if (saved->nr_irqs > DEVICE_MAX_IRQ_KINDS || saved->can_reset > 1 ||
	    saved->notify >> MAX_NOTIFY_FDS)
		return -EINVAL;
	for (unsigned int i = 0; i < saved->nr_irqs; i++) {
		if (saved->irq_counts[i] > DEVICE_MAX_IRQS)
			return -EINVAL;
	}
	return 0;
}

static int adopt_region(struct device_region *region, unsigned int index,
			const struct saved_region *saved, struct fd_queue *queue)
{
	if (saved->nr_areas > DEVICE_MAX_AREAS)
		return -EINVAL;
	region->bytes = saved->bytes;
	region->fd_offset = saved->fd_offset;
	region->readable = saved->flags & 1;
	region->writable = saved->flags & 2;
	if (saved->flags & 4 && take_fd(queue, &region->fd))
		return -EINVAL;
	for (unsigned int i = 0; i < saved->nr_areas; i++) {
		region->areas[i].offset = saved->areas[i].offset;
		region->areas[i].bytes = saved->areas[i].bytes;
	}
	region->nr_areas = saved->nr_areas;
	return region_check_areas(region, index, NULL) ? -EINVAL : 0;
}

/* Describes the device as the record does. -EINVAL: it is damaged. */
static int adopt_description(struct weir_device *dev, const struct saved_device *saved,
			     struct fd_queue *queue)
{
	const struct device_msix *msix = &saved->msix;
	int ret = 0;

	dev->ids = saved->ids;
	dev->can_reset = saved->can_reset;
	dev->nr_irqs = saved->nr_irqs;
	for (unsigned int i = 0; i < saved->nr_irqs; i++)
		dev->irq_counts[i] = saved->irq_counts[i];
	for (unsigned int i = 0; i < MAX_NOTIFY_FDS && !ret; i++) {
		if (saved->notify & 1u << i)
			ret = take_fd(queue, &dev->notify_fds[i]);
	}
	dev->nr_regions = saved->nr_regions;
	for (unsigned int i = 0; i < saved->nr_regions && !ret; i++)
		ret = adopt_region(&dev->regions[i], i, &saved->regions[i], queue);
	if (ret || queue->next != queue->nr)
		return -EINVAL;
	if (msix->nr_vectors &&
	    (msix->nr_vectors > DEVICE_MAX_IRQS || msix->bar > WEIR_REGION_BAR5 ||
	     !weir_range_within(msix->offset, msix->nr_vectors * 16u,
				dev->regions[msix->bar].bytes)))
		return -EINVAL;
	dev->msix = *msix;
	return 0;
}

static int adopt_link(struct weir_device *dev, const struct saved_device *saved,
		      struct fd_queue *queue, struct weir_error *err)
{
	struct transport_state link;
	int ret;

	if (dev->transport != transport_find(saved->transport) || take_fd(queue, &link.fd))
		return weir_error_set(err, -EINVAL, "%s: its record is damaged", dev->address);
	memcpy(link.bytes, saved->link, sizeof(link.bytes));
	ret = dev->transport->adopt(dev, &link, err);
	if (ret)
		close(link.fd);
	return ret;
}

static int adopt(const struct saved_device *saved, struct fd_queue *queue, struct weir_ioas *ioas,
		 const struct weir_device_options *options, struct weir_device **dev,
		 struct weir_error *err)
{
	struct weir_device *d;
	int ret = device_new(saved->address, ioas, options, &d, err);

	if (ret)
		return ret;
	ret = adopt_link(d, saved, queue, err);
	if (ret)
		goto free;
	if (adopt_description(d, saved, queue))
		ret = weir_error_set(err, -EINVAL, "%s: its record is damaged", d->address);
	if (!ret)
		ret = regions_map(d, err);
	if (!ret)
		ret = d->transport->attach(d, true, err);
	if (!ret)
		ret = events_adopt(d, err);
	if (ret)
		goto close;
	*dev = d;
	return 0;

close:
	d->transport->close(d, true);
free:
	device_free(d);
	return ret;
}

WEIR_EXPORT int weir_device_adopt(struct weir_state *state, struct weir_ioas *ioas,
				  const struct weir_device_options *options,
				  struct weir_device **dev, struct weir_error *err)
{
	int fds[MAX_FDS];
	struct fd_queue queue = { .fds = fds };
	const void *payload;
	size_t bytes;
	int ret;

	ret = weir_state_take(state, DEVICE_RECORD, DEVICE_RECORD_VERSION, &payload, &bytes, fds,
			      MAX_FDS, &queue.nr, err);
	if (ret)
		return ret;
	ret = check_saved(payload, bytes);
	if (ret)
		weir_error_set(err, ret, "a device record of %zu bytes is damaged", bytes);
	else
		ret = adopt(payload, &queue, ioas, options, dev, err);
	for (unsigned int i = 0; i < queue.nr; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	return ret;
}
