/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device is ("VFIO_USER_DEVICE_GET_INFO", "..._GET_REGION_INFO", "..._GET_IRQ_INFO"). The
 * server may say anything; what does not fit together is -EPROTO.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "device/vfio_user/client.h"

/* Steps of a capability list: more than 4096 bytes have room for in sensible ones. */
#define MAX_CAPABILITIES 16

static int get_device(struct vfio_user_client *client, struct weir_error *err)
{
	struct weir_device *dev = client->dev;
	struct vfio_user_device_info ask = { .argsz = sizeof(ask) }, info;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_GET_INFO,
		.parts = { { &ask, sizeof(ask) } },
		.nr_parts = 1,
		.reply = &info,
		.min_reply = sizeof(info),
		.max_reply = sizeof(info),
	};
	int ret = client_call(client, &call, err);

	if (ret)
		return ret;
	if (call.reply_fd >= 0)
		close(call.reply_fd);
	if (!(info.flags & VFIO_USER_DEVICE_PCI))
		return weir_error_set(err, -EPROTO, "%s is no PCI device", dev->address);
	if (info.nr_regions < DEVICE_PCI_REGIONS || info.nr_regions > DEVICE_MAX_REGIONS)
		return weir_error_set(err, -EPROTO, "%s claims %u regions, not %u to %u",
				      dev->address, info.nr_regions, DEVICE_PCI_REGIONS,
				      DEVICE_MAX_REGIONS);
	if (info.nr_irqs > DEVICE_MAX_IRQ_KINDS)
		return weir_error_set(err, -EPROTO, "%s claims %u kinds of interrupts, over %u",
				      dev->address, info.nr_irqs, DEVICE_MAX_IRQ_KINDS);
	dev->nr_regions = info.nr_regions;
	dev->nr_irqs = info.nr_irqs;
	dev->can_reset = info.flags & VFIO_USER_DEVICE_RESET_SUPPORTED;
	return 0;
}

/* A region's description, and how much of it is valid. */
struct region_reply {
	_Alignas(8) uint8_t bytes[CLIENT_MAX_REGION_INFO];
	size_t length;
};

/* Copies out what lies at an offset that the server named. */
static bool copy_at(const struct region_reply *reply, uint64_t offset, void *to, size_t bytes)
{
	if (!weir_range_within(offset, bytes, reply->length))
		return false;
	memcpy(to, reply->bytes + offset, bytes);
	return true;
}

static int take_areas(struct device_region *region, unsigned int index,
		      const struct region_reply *reply, uint64_t offset, struct weir_error *err)
{
	struct vfio_user_cap_sparse sparse;
	struct vfio_user_sparse_area area;

	if (!copy_at(reply, offset, &sparse, sizeof(sparse)))
		return weir_error_set(err, -EPROTO, "region %u: its list of areas is cut off",
				      index);
	if (sparse.nr_areas > DEVICE_MAX_AREAS)
		return weir_error_set(err, -EPROTO, "region %u has %u mappable areas, over %d",
				      index, sparse.nr_areas, DEVICE_MAX_AREAS);
	for (unsigned int i = 0; i < sparse.nr_areas; i++) {
		if (!copy_at(reply, offset + sizeof(sparse) + i * sizeof(area), &area,
			     sizeof(area)))
			return weir_error_set(err, -EPROTO,
					      "region %u: its list of areas is cut off", index);
		region->areas[i].offset = area.offset;
		region->areas[i].bytes = area.bytes;
	}
	region->nr_areas = sparse.nr_areas;
	return 0;
}

/* Follows the capability list. *sparse tells whether it names the areas that can be mapped. */
static int take_capabilities(struct device_region *region, unsigned int index,
			     const struct region_reply *reply, uint32_t offset, bool *sparse,
			     struct weir_error *err)
{
	struct vfio_user_cap_header cap;

	for (unsigned int step = 0; offset; step++, offset = cap.next) {
		if (step == MAX_CAPABILITIES)
			return weir_error_set(err, -EPROTO,
					      "region %u: its capabilities do not end after %d",
					      index, MAX_CAPABILITIES);
		if (offset < sizeof(struct vfio_user_region_info) ||
		    !copy_at(reply, offset, &cap, sizeof(cap)))
			return weir_error_set(err, -EPROTO,
					      "region %u: capability at %u of %zu bytes", index,
					      offset, reply->length);
		if (cap.id != VFIO_USER_CAP_SPARSE_MMAP)
			continue;
		if (*sparse)
			return weir_error_set(err, -EPROTO,
					      "region %u has two lists of mappable areas", index);
		*sparse = true;
		if (take_areas(region, index, reply, offset, err))
			return -EPROTO;
	}
	return 0;
}

/* A description that is there; the region has its descriptor already. */
static int take_region(struct device_region *region, unsigned int index,
		       const struct region_reply *reply, struct weir_error *err)
{
	struct vfio_user_region_info info;
	bool sparse = false;
	int ret;

	memcpy(&info, reply->bytes, sizeof(info));
	if (info.index != index)
		return weir_error_set(err, -EPROTO, "region %u came instead of %u", info.index,
				      index);
	if (info.argsz > reply->length)
		return weir_error_set(err, -EPROTO,
				      "region %u is described in %u bytes, of which %zu came",
				      index, info.argsz, reply->length);
	region->bytes = info.bytes;
	region->fd_offset = info.offset;
	region->readable = info.flags & VFIO_USER_REGION_READABLE;
	region->writable = info.flags & VFIO_USER_REGION_WRITEABLE;
	/* Of the rest nothing is accessed through a mapping. */
	if (index > WEIR_REGION_BAR5 || !(info.flags & VFIO_USER_REGION_MMAP) || !info.bytes)
		return 0;
	if (info.flags & VFIO_USER_REGION_CAPS) {
		ret = take_capabilities(region, index, reply, info.cap_offset, &sparse, err);
		if (ret)
			return ret;
	}
	if (!sparse) {
		region->areas[0] = (struct device_area){ .bytes = info.bytes };
		region->nr_areas = 1;
	}
	return region_check_areas(region, index, err);
}

static int get_region(struct vfio_user_client *client, unsigned int index, struct weir_error *err)
{
	struct device_region *region = &client->dev->regions[index];
	struct vfio_user_region_info ask = { .argsz = CLIENT_MAX_REGION_INFO, .index = index };
	struct region_reply reply;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_GET_REGION_INFO,
		.parts = { { &ask, sizeof(ask) } },
		.nr_parts = 1,
		.reply = reply.bytes,
		.min_reply = sizeof(ask),
		.max_reply = sizeof(reply.bytes),
	};
	int ret = client_call(client, &call, err);

	if (ret)
		return ret;
	reply.length = call.reply_bytes;
	region->fd = call.reply_fd;
	ret = take_region(region, index, &reply, err);
	if (ret) {
		region->nr_areas = 0;
		return weir_error_prefix(err, ret, "%s", client->dev->address);
	}
	/* Nothing of it is mapped: the descriptor has no use. */
	if (!region->nr_areas && region->fd >= 0) {
		close(region->fd);
		region->fd = -1;
	}
	return 0;
}

static int get_irq(struct vfio_user_client *client, unsigned int index, struct weir_error *err)
{
	struct weir_device *dev = client->dev;
	struct vfio_user_irq_info ask = { .argsz = sizeof(ask), .index = index }, info;
	struct vfio_user_call call = {
		.command = VFIO_USER_DEVICE_GET_IRQ_INFO,
		.parts = { { &ask, sizeof(ask) } },
		.nr_parts = 1,
		.reply = &info,
		.min_reply = sizeof(info),
		.max_reply = sizeof(info),
	};
	int ret = client_call(client, &call, err);

	if (ret)
		return ret;
	if (call.reply_fd >= 0)
		close(call.reply_fd);
	if (info.index != index || info.count > DEVICE_MAX_IRQS)
		return weir_error_set(err, -EPROTO,
				      "%s claims %u interrupts of kind %u (asked: %u), over %d",
				      dev->address, info.count, info.index, index, DEVICE_MAX_IRQS);
	/* A kind that cannot signal an eventfd cannot be bound. */
	dev->irq_counts[index] = info.flags & VFIO_USER_IRQ_EVENTFD ? info.count : 0;
	return 0;
}

int client_describe(struct vfio_user_client *client, struct weir_error *err)
{
	int ret = get_device(client, err);

	for (unsigned int i = 0; i < client->dev->nr_regions && !ret; i++)
		ret = get_region(client, i, err);
	for (unsigned int i = 0; i < client->dev->nr_irqs && !ret; i++)
		ret = get_irq(client, i, err);
	return ret;
}
