/* SPDX-License-Identifier: BSD-3-Clause */
#include "scripted_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/transport.h"
#include "device/vfio_user/client.h"

#define MSIX_AT 0x40

static void put16(uint8_t *at, uint16_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

void scripted_set_areas(struct scripted_region *region, const struct vfio_user_sparse_area *areas,
			unsigned int nr)
{
	const struct vfio_user_cap_sparse sparse = {
		.header = { .id = VFIO_USER_CAP_SPARSE_MMAP, .version = 1 },
		.nr_areas = nr,
	};

	memcpy(region->caps, &sparse, sizeof(sparse));
	if (nr)
		memcpy(region->caps + sizeof(sparse), areas, nr * sizeof(*areas));
	region->caps_bytes = sizeof(sparse) + nr * sizeof(*areas);
	region->info.argsz = (uint32_t)(sizeof(region->info) + region->caps_bytes);
	region->info.cap_offset = sizeof(region->info);
	region->info.flags |= VFIO_USER_REGION_CAPS | VFIO_USER_REGION_MMAP;
}

static void make_config(uint8_t *config)
{
	put16(config, 0x1af4);
	put16(config + 2, 0x1234);
	put16(config + 6, 0x0010);
	put32(config + 8, 0x01080205);
	put16(config + 0x2c, 0xabcd);
	put16(config + 0x2e, 0xef01);
	config[0x34] = MSIX_AT;
	config[MSIX_AT] = 0x11;
	put16(config + MSIX_AT + 2, SCRIPTED_VECTORS - 1);
	put32(config + MSIX_AT + 4, 0x1000 | 2);
}

void scripted_init(struct scripted *server)
{
	const struct vfio_user_sparse_area area = { 4096, 4096 };

	memset(server, 0, sizeof(*server));
	server->json = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}";
	server->device = (struct vfio_user_device_info){
		.argsz = sizeof(server->device),
		.flags = VFIO_USER_DEVICE_PCI | VFIO_USER_DEVICE_RESET_SUPPORTED,
		.nr_regions = 9,
		.nr_irqs = 5,
	};
	server->bar_fd = memfd_create("bar", MFD_CLOEXEC);
	if (server->bar_fd < 0 || ftruncate(server->bar_fd, SCRIPTED_BAR_BYTES))
		abort();
	server->bar = mmap(NULL, SCRIPTED_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			   server->bar_fd, 0);
	if (server->bar == MAP_FAILED)
		abort();
	for (unsigned int i = 0; i < SCRIPTED_MAX_REGIONS; i++) {
		server->regions[i].fd = -1;
		server->regions[i].info.argsz = sizeof(struct vfio_user_region_info);
		server->regions[i].info.index = i;
		server->regions[i].info.flags = VFIO_USER_REGION_READABLE |
						VFIO_USER_REGION_WRITEABLE;
	}
	server->regions[0].info.bytes = SCRIPTED_BAR_BYTES;
	server->regions[0].fd = server->bar_fd;
	scripted_set_areas(&server->regions[0], &area, 1);
	server->regions[2].info.bytes = SCRIPTED_BAR_BYTES;
	server->regions[7].info.bytes = sizeof(server->config);
	make_config(server->config);
	for (unsigned int i = 0; i < 16; i++) {
		server->irqs[i] = (struct vfio_user_irq_info){
			.argsz = sizeof(server->irqs[i]),
			.flags = VFIO_USER_IRQ_EVENTFD,
			.index = i,
			.count = i == WEIR_IRQ_MSIX ? SCRIPTED_VECTORS : 1,
		};
		for (unsigned int j = 0; j < SCRIPTED_VECTORS; j++)
			server->irq_fds[i][j] = -1;
	}
}

void scripted_destroy(struct scripted *server)
{
	if (server->thread) {
		atomic_store(&server->stop, true);
		pthread_join(server->thread, NULL);
	}
	weir_wire_close(server->wire);
	for (unsigned int i = 0; i < 16; i++) {
		for (unsigned int j = 0; j < SCRIPTED_VECTORS; j++) {
			if (server->irq_fds[i][j] >= 0)
				close(server->irq_fds[i][j]);
		}
	}
	munmap(server->bar, SCRIPTED_BAR_BYTES);
	close(server->bar_fd);
}

static void append(struct scripted_reply *reply, const void *data, size_t bytes)
{
	memcpy(reply->payload + reply->bytes, data, bytes);
	reply->bytes += bytes;
}

static void refuse(struct scripted_reply *reply, int error)
{
	reply->header.flags |= VFIO_USER_ERROR;
	reply->header.error = (uint32_t)error;
	reply->bytes = 0;
}

static uint8_t *region_memory(struct scripted *server, uint32_t region, uint64_t offset,
			      uint64_t bytes)
{
	if (region == 7 && offset + bytes <= sizeof(server->config))
		return server->config + offset;
	if (region == 2 && offset + bytes <= SCRIPTED_BAR_BYTES)
		return server->table + offset;
	if (region == 0 && offset + bytes <= 4096)
		return server->trapped + offset;
	if (region == 0 && offset + bytes <= SCRIPTED_BAR_BYTES)
		return server->bar + offset;
	return NULL;
}

static void access_region(struct scripted *server, const struct wire_message *message,
			  struct scripted_reply *reply)
{
	struct vfio_user_region_access access;
	uint8_t *memory;

	memcpy(&access, message->payload, sizeof(access));
	memory = region_memory(server, access.region, access.offset, access.count);
	server->accesses++;
	if (!memory || access.count > 4096) {
		refuse(reply, EINVAL);
		return;
	}
	append(reply, &access, sizeof(access));
	if (message->header.command == VFIO_USER_REGION_READ)
		append(reply, memory, access.count);
	else
		memcpy(memory, (const uint8_t *)message->payload + sizeof(access), access.count);
}

static void map_dma(struct scripted *server, const struct wire_message *message,
		    struct scripted_reply *reply)
{
	if (server->nr_maps == SCRIPTED_MAX_MAPS || message->nr_fds != 1) {
		refuse(reply, ENOSPC);
		return;
	}
	memcpy(&server->maps[server->nr_maps++], message->payload, sizeof(server->maps[0]));
}

static void unmap_dma(struct scripted *server, const struct wire_message *message,
		      struct scripted_reply *reply)
{
	struct vfio_user_dma_unmap unmap;

	memcpy(&unmap, message->payload, sizeof(unmap));
	for (unsigned int i = 0; i < server->nr_maps; i++) {
		if (server->maps[i].address != unmap.address ||
		    server->maps[i].bytes != unmap.bytes)
			continue;
		server->maps[i] = server->maps[--server->nr_maps];
		unmap.bytes -= server->unmap_less;
		append(reply, &unmap, sizeof(unmap));
		return;
	}
	refuse(reply, ENOENT);
}

static void set_irqs(struct scripted *server, struct wire_message *message,
		     struct scripted_reply *reply)
{
	struct vfio_user_irq_set set;

	memcpy(&set, message->payload, sizeof(set));
	server->set_irqs++;
	if (message->nr_fds > server->most_fds)
		server->most_fds = message->nr_fds;
	if (set.index >= 16 || set.start > SCRIPTED_VECTORS ||
	    set.count > SCRIPTED_VECTORS - set.start ||
	    (message->nr_fds && message->nr_fds != set.count)) {
		refuse(reply, EINVAL);
		return;
	}
	if (set.flags & VFIO_USER_IRQ_DATA_NONE && !set.count)
		set.count = SCRIPTED_VECTORS;
	for (unsigned int i = 0; i < set.count; i++) {
		int *fd = &server->irq_fds[set.index][set.start + i];

		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		if (message->nr_fds) {
			*fd = message->fds[i];
			message->fds[i] = -1;
		}
	}
}

static void answer_command(struct scripted *server, struct wire_message *message,
			   struct scripted_reply *reply)
{
	const struct vfio_user_version version = { server->major, server->minor };
	const uint32_t *payload = message->payload;
	const struct scripted_region *region;

	if (message->header.command == VFIO_USER_VERSION)
		server->minor = server->minor ? server->minor : 1;
	switch (message->header.command) {
	case VFIO_USER_VERSION:
		append(reply, &(struct vfio_user_version){ version.major, server->minor },
		       sizeof(version));
		if (server->json)
			append(reply, server->json,
			       server->json_bytes ? server->json_bytes : strlen(server->json) + 1);
		break;
	case VFIO_USER_DEVICE_GET_INFO:
		append(reply, &server->device, sizeof(server->device));
		break;
	case VFIO_USER_DEVICE_GET_REGION_INFO:
		region = &server->regions[payload[2] % SCRIPTED_MAX_REGIONS];
		append(reply, &region->info, sizeof(region->info));
		append(reply, region->caps, region->caps_bytes);
		if (region->fd >= 0)
			reply->fds[reply->nr_fds++] = region->fd;
		break;
	case VFIO_USER_DEVICE_GET_IRQ_INFO:
		append(reply, &server->irqs[payload[2] % 16], sizeof(server->irqs[0]));
		break;
	case VFIO_USER_DEVICE_SET_IRQS:
		set_irqs(server, message, reply);
		break;
	case VFIO_USER_REGION_READ:
	case VFIO_USER_REGION_WRITE:
		access_region(server, message, reply);
		break;
	case VFIO_USER_DMA_MAP:
		map_dma(server, message, reply);
		break;
	case VFIO_USER_DMA_UNMAP:
		unmap_dma(server, message, reply);
		break;
	case VFIO_USER_DEVICE_RESET:
		server->resets++;
		memset(server->config + MSIX_AT + 2, 0, 2);
		break;
	default:
		refuse(reply, ENOTSUP);
	}
}

void scripted_hang_up(struct scripted *server)
{
	weir_wire_close(server->wire);
	server->wire = NULL;
}

/* Bytes that are no message, on their way to the client. */
static void send_raw(struct scripted *server, const void *bytes, size_t nr, const int *fds,
		     unsigned int nr_fds)
{
	int copies[64];

	if (!nr)
		return;
	if (!server->client) {
		/* A client that has left meanwhile is none of our business. */
		(void)!send(weir_wire_fd(server->wire), bytes, nr, MSG_NOSIGNAL);
		return;
	}
	for (unsigned int i = 0; i < nr_fds; i++)
		copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	if (weir_wire_inject(server->client, bytes, nr, copies, nr_fds))
		abort();
}

/* Makes a reply wrong, or sends it itself. true: there is nothing left to send. */
static bool spoil(struct scripted *server, struct scripted_reply *reply)
{
	struct vfio_user_header *header = &reply->header;

	switch (server->lie) {
	case LIE_ERROR:
		refuse(reply, EIO);
		return false;
	case LIE_ERROR_ZERO:
		refuse(reply, 0);
		return false;
	case LIE_ERROR_HUGE:
		refuse(reply, INT32_MIN);
		return false;
	case LIE_SHORT:
		reply->bytes -= reply->bytes > 0;
		return false;
	case LIE_LONG:
		reply->bytes += 8000;
		return false;
	case LIE_ID:
		header->id++;
		return false;
	case LIE_COMMAND:
		header->command++;
		return false;
	case LIE_TYPE:
		header->flags = 2;
		return false;
	case LIE_DESCRIPTORS:
		while (reply->nr_fds < WIRE_MAX_FDS)
			reply->fds[reply->nr_fds++] = server->bar_fd;
		return false;
	case LIE_HUGE:
		header->bytes = UINT32_MAX;
		send_raw(server, header, sizeof(*header), NULL, 0);
		return true;
	case LIE_TINY:
		header->bytes = 15;
		send_raw(server, header, sizeof(*header), NULL, 0);
		return true;
	case LIE_MANY_DESCRIPTORS:
		for (unsigned int i = 0; i < 64; i++)
			reply->fds[i] = server->bar_fd;
		header->bytes = (uint32_t)(sizeof(*header) + reply->bytes);
		send_raw(server, header, sizeof(*header), reply->fds, 64);
		send_raw(server, reply->payload, reply->bytes, NULL, 0);
		return true;
	case LIE_HALF:
		header->bytes = (uint32_t)(sizeof(*header) + 8);
		send_raw(server, header, sizeof(*header), NULL, 0);
		scripted_hang_up(server);
		return true;
	case LIE_CLOSE:
		scripted_hang_up(server);
		return true;
	case LIE_SILENT:
		return true;
	default:
		return false;
	}
}

/* Asks the client something before it gets its own answer. */
static void ask_client(struct scripted *server)
{
	const struct iovec part = { server->ask.payload, server->ask.bytes };

	weir_wire_send(server->wire, &server->ask.header, &part, 1, NULL, 0, 1000, NULL);
	server->ask.header.command = 0;
}

static void handle(struct scripted *server, struct wire_message *message)
{
	struct scripted_reply reply = {
		.header = { .id = message->header.id,
			    .command = message->header.command,
			    .flags = VFIO_USER_TYPE_REPLY },
	};
	struct iovec part;

	if ((message->header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_REPLY) {
		server->answer = message->header;
		server->answer_bytes = message->bytes;
		memcpy(server->answer_payload, message->payload,
		       message->bytes < 64 ? message->bytes : 64);
		server->nr_answers++;
		return;
	}
	if (server->delay_ms)
		usleep(server->delay_ms * 1000);
	answer_command(server, message, &reply);
	if (server->ask.header.command && message->header.command == VFIO_USER_REGION_READ)
		ask_client(server);
	if (server->lie && message->header.command == server->lie_command &&
	    ++server->seen == server->lie_turn && spoil(server, &reply))
		return;
	if (server->tamper && server->tamper(server, &reply, server->tamper_ctx))
		return;
	part = (struct iovec){ reply.payload, reply.bytes };
	weir_wire_send(server->wire, &reply.header, &part, 1, reply.fds, reply.nr_fds, 1000, NULL);
}

void scripted_pump(void *ctx)
{
	struct scripted *server = ctx;
	struct wire_message message;

	while (server->wire && !weir_wire_receive(server->wire, &message, 0, NULL)) {
		handle(server, &message);
		weir_wire_message_release(&message);
	}
}

static void *serve(void *ctx)
{
	struct scripted *server = ctx;
	struct wire_message message;
	int ret = 0;

	while (!atomic_load(&server->stop) && server->wire && ret != -ECONNRESET) {
		ret = weir_wire_receive(server->wire, &message, 10, NULL);
		if (ret)
			continue;
		handle(server, &message);
		weir_wire_message_release(&message);
	}
	/* The client's end waits for this. */
	if (server->wire && ret == -ECONNRESET)
		scripted_hang_up(server);
	return NULL;
}

void scripted_run(struct scripted *server)
{
	if (pthread_create(&server->thread, NULL, serve, server))
		abort();
}

static int open_device(struct wire *wire, struct weir_ioas *ioas,
		       const struct weir_device_options *options, struct weir_device **dev,
		       struct weir_error *err)
{
	struct vfio_user_client *client;
	struct weir_device *d;
	int ret = device_new("vfio-user:/scripted", ioas, options, &d, err);

	if (ret) {
		weir_wire_close(wire);
		return ret;
	}
	if (client_new(d, wire, &client))
		abort();
	ret = client_start(client, err);
	if (ret) {
		client_free(client);
		device_free(d);
		return ret;
	}
	d->link = client;
	ret = device_start(d, err);
	if (ret) {
		weir_device_close(d);
		return ret;
	}
	*dev = d;
	return 0;
}

int scripted_open(struct scripted *server, struct weir_ioas *ioas,
		  const struct weir_device_options *options, struct weir_device **dev,
		  struct weir_error *err)
{
	if (weir_wire_pair(&server->wire, &server->client))
		abort();
	weir_wire_set_pump(server->client, scripted_pump, server);
	return open_device(server->client, ioas, options, dev, err);
}

int scripted_open_socket(struct scripted *server, struct weir_ioas *ioas,
			 const struct weir_device_options *options, struct weir_device **dev,
			 struct weir_error *err)
{
	struct wire *client;
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) ||
	    weir_wire_from_socket(sockets[0], &server->wire) ||
	    weir_wire_from_socket(sockets[1], &client))
		abort();
	scripted_run(server);
	return open_device(client, ioas, options, dev, err);
}
