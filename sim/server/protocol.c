/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The commands of a client after the handshake: checks of sizes and counts, and what carries them
 * out.
 */
#include <inttypes.h>
#include <string.h>

#include "base/base.h"
#include "server/server.h"

/* VFIO_DMA_UNMAP_FLAG_ALL of linux/vfio.h, which clients pass on. */
#define DMA_UNMAP_ALL 0x2u

/* One write of "VFIO_USER_REGION_WRITE_MULTI". */
struct multi_write {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	uint8_t data[8];
};
static_assert(sizeof(struct multi_write) == 24, "single device write");

static int dma_map_command(struct sim_server *server, struct request *request)
{
	const struct vfio_user_dma_map *map = (const void *)request->payload;
	const char *name = server->ops->name;
	struct weir_error err;
	int rc;

	if (map->argsz < sizeof(*map) || request->nr_fds > 1)
		return -EINVAL;
	rc = dma_map(&server->dma, map, request->nr_fds ? request->fds[0] : -1, &err);
	if (rc)
		weir_log_write(&server->options.log, WEIR_LOG_WARN, "%s: DMA map: %s", name,
			       err.text);
	return rc;
}

static int dma_unmap_command(struct sim_server *server, struct request *request)
{
	const struct vfio_user_dma_unmap *unmap = (const void *)request->payload;
	int rc = 0;

	if (unmap->argsz < sizeof(*unmap) || unmap->flags & ~DMA_UNMAP_ALL)
		return -EINVAL;
	if (!(unmap->flags & DMA_UNMAP_ALL))
		rc = dma_unmap(&server->dma, unmap->address, unmap->bytes);
	else if (unmap->address || unmap->bytes)
		rc = -EINVAL;
	else
		dma_unmap_all(&server->dma);
	if (rc)
		return rc;
	memcpy(request->reply, unmap, sizeof(*unmap));
	request->reply_bytes = sizeof(*unmap);
	return 0;
}

static int get_info(struct sim_server *server, struct request *request)
{
	const struct vfio_user_device_info *asked = (const void *)request->payload;
	struct vfio_user_device_info *info = (void *)request->reply;

	(void)server;
	if (asked->argsz < sizeof(*info))
		return -EINVAL;
	*info = (struct vfio_user_device_info){
		.argsz = sizeof(*info),
		.flags = VFIO_USER_DEVICE_PCI | VFIO_USER_DEVICE_RESET_SUPPORTED,
		.nr_regions = REGION_NR,
		.nr_irqs = IRQ_NR_KINDS,
	};
	request->reply_bytes = sizeof(*info);
	return 0;
}

static bool can_map(const struct sim_server *server, uint32_t region)
{
	return region < SIM_NR_BARS && server->pci.bars[region].bytes &&
	       server->pci.bars[region].fd >= 0 && server->pci.bars[region].nr_areas &&
	       !server->options.no_mmap_bars && server->session.max_fds > 0;
}

/* Writes the areas behind the region info and says how many bytes that makes in all. */
static uint32_t put_sparse_areas(const struct sim_bar *bar, struct vfio_user_region_info *info)
{
	struct vfio_user_cap_sparse *sparse = (void *)(info + 1);

	info->flags |= VFIO_USER_REGION_CAPS;
	info->cap_offset = sizeof(*info);
	*sparse = (struct vfio_user_cap_sparse){
		.header = { .id = VFIO_USER_CAP_SPARSE_MMAP, .version = 1 },
		.nr_areas = bar->nr_areas,
	};
	for (unsigned int i = 0; i < bar->nr_areas; i++)
		sparse->areas[i] = (struct vfio_user_sparse_area){
			.offset = bar->areas[i].offset,
			.bytes = bar->areas[i].bytes,
		};
	return (uint32_t)(sizeof(*info) + sizeof(*sparse) +
			  bar->nr_areas * sizeof(sparse->areas[0]));
}

/* An answer that does not fit into argsz is cut to the fixed part, which says how much is needed
 * ("Message sizes") and where the rest would be: QEMU refuses an offset of 0 even there. The
 * descriptor comes with a whole one. */
static int get_region_info(struct sim_server *server, struct request *request)
{
	const struct vfio_user_region_info *asked = (const void *)request->payload;
	struct vfio_user_region_info *info = (void *)request->reply;
	uint32_t region = asked->index;

	if (asked->argsz < sizeof(*info) || region >= REGION_NR)
		return -EINVAL;
	*info = (struct vfio_user_region_info){
		.argsz = sizeof(*info),
		.index = region,
		.bytes = region_bytes(server, region),
	};
	if (info->bytes)
		info->flags = VFIO_USER_REGION_READABLE | VFIO_USER_REGION_WRITEABLE;
	if (can_map(server, region)) {
		const struct sim_bar *bar = &server->pci.bars[region];

		info->flags |= VFIO_USER_REGION_MMAP;
		if (bar->areas[0].bytes != bar->bytes)
			info->argsz = put_sparse_areas(bar, info);
		if (info->argsz <= asked->argsz)
			request->reply_fd = bar->fd;
	}
	request->reply_bytes = info->argsz;
	if (info->argsz > asked->argsz)
		request->reply_bytes = sizeof(*info);
	return 0;
}

static int get_irq_info(struct sim_server *server, struct request *request)
{
	const struct vfio_user_irq_info *asked = (const void *)request->payload;
	struct vfio_user_irq_info *info = (void *)request->reply;

	if (asked->argsz < sizeof(*info))
		return -EINVAL;
	info->argsz = sizeof(*info);
	info->index = asked->index;
	request->reply_bytes = sizeof(*info);
	return irqs_info(&server->irqs, asked->index, &info->count, &info->flags);
}

static int set_irqs(struct sim_server *server, struct request *request)
{
	const struct vfio_user_irq_set *set = (const void *)request->payload;

	if (set->argsz < sizeof(*set))
		return -EINVAL;
	return irqs_set(&server->irqs, set, request->payload + sizeof(*set),
			request->bytes - sizeof(*set), request->fds, request->nr_fds);
}

static int read_command(struct sim_server *server, struct request *request)
{
	const struct vfio_user_region_access *access = (const void *)request->payload;
	int rc;

	if (access->count > VFIO_USER_DEFAULT_MAX_TRANSFER)
		return -EINVAL;
	memcpy(request->reply, access, sizeof(*access));
	request->reply_bytes = sizeof(*access) + access->count;
	rc = region_read(server, access->region, access->offset, request->reply + sizeof(*access),
			 access->count);
	return rc;
}

static int write_command(struct sim_server *server, struct request *request)
{
	const struct vfio_user_region_access *access = (const void *)request->payload;

	if (access->count > VFIO_USER_DEFAULT_MAX_TRANSFER ||
	    request->bytes != sizeof(*access) + access->count)
		return -EINVAL;
	memcpy(request->reply, access, sizeof(*access));
	request->reply_bytes = sizeof(*access);
	return region_write(server, access->region, access->offset, access + 1, access->count);
}

/* Stops at the first write that fails; the answer counts those before it. */
static int write_multi_command(struct sim_server *server, struct request *request)
{
	const struct multi_write *writes = (const void *)(request->payload + sizeof(uint64_t));
	uint64_t count, done;

	memcpy(&count, request->payload, sizeof(count));
	if ((request->bytes - sizeof(count)) % sizeof(*writes) ||
	    count != (request->bytes - sizeof(count)) / sizeof(*writes))
		return -EINVAL;
	for (done = 0; done < count; done++) {
		if (writes[done].count > sizeof(writes[done].data) ||
		    region_write(server, writes[done].region, writes[done].offset,
				 writes[done].data, writes[done].count))
			break;
	}
	memcpy(request->reply, &done, sizeof(done));
	request->reply_bytes = sizeof(done);
	return 0;
}

static int reset_command(struct sim_server *server, struct request *request)
{
	(void)request;
	server_reset(server);
	return 0;
}

static const struct {
	int (*handle)(struct sim_server *server, struct request *request);
	size_t least; /* bytes of payload */
} commands[] = {
	[VFIO_USER_DMA_MAP] = { dma_map_command, sizeof(struct vfio_user_dma_map) },
	[VFIO_USER_DMA_UNMAP] = { dma_unmap_command, sizeof(struct vfio_user_dma_unmap) },
	[VFIO_USER_DEVICE_GET_INFO] = { get_info, sizeof(struct vfio_user_device_info) },
	[VFIO_USER_DEVICE_GET_REGION_INFO] = { get_region_info,
					       sizeof(struct vfio_user_region_info) },
	[VFIO_USER_DEVICE_GET_IRQ_INFO] = { get_irq_info, sizeof(struct vfio_user_irq_info) },
	[VFIO_USER_DEVICE_SET_IRQS] = { set_irqs, sizeof(struct vfio_user_irq_set) },
	[VFIO_USER_REGION_READ] = { read_command, sizeof(struct vfio_user_region_access) },
	[VFIO_USER_REGION_WRITE] = { write_command, sizeof(struct vfio_user_region_access) },
	[VFIO_USER_DEVICE_RESET] = { reset_command, 0 },
	[VFIO_USER_REGION_WRITE_MULTI] = { write_multi_command, sizeof(uint64_t) },
};

int protocol_handle(struct sim_server *server, struct request *request)
{
	unsigned int command = request->header.command;

	if (!server->session.agreed)
		return command == VFIO_USER_VERSION ? version_negotiate(server, request) : -EINVAL;
	if (command >= ARRAY_SIZE(commands) || !commands[command].handle)
		return -EOPNOTSUPP;
	if (request->bytes < commands[command].least)
		return -EINVAL;
	return commands[command].handle(server, request);
}
