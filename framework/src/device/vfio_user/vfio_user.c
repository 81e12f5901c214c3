/* SPDX-License-Identifier: BSD-3-Clause */
/* The vfio-user transport: devices that another process serves on a socket. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/transport.h"
#include "device/vfio_user/client.h"

#define PREFIX "vfio-user:"
/* How long a closing device waits for its server to let go. */
#define CLOSE_PATIENCE_MS 1000u

static bool vfio_user_matches(const char *address)
{
	return !strncmp(address, PREFIX, strlen(PREFIX));
}

const char *client_path(const struct weir_device *dev)
{
	return dev->address + strlen(PREFIX);
}

int client_new(struct weir_device *dev, struct wire *wire, struct vfio_user_client **client)
{
	struct vfio_user_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	c->dev = dev;
	c->wire = wire;
	c->socket = weir_wire_fd(wire);
	c->max_fds = VFIO_USER_DEFAULT_MAX_FDS;
	c->max_transfer = VFIO_USER_DEFAULT_MAX_TRANSFER;
	c->max_dma_maps = VFIO_USER_DEFAULT_MAX_DMA_MAPS;
	c->page_bytes = VFIO_USER_DEFAULT_PGSIZES;
	*client = c;
	return 0;
}

void client_free(struct vfio_user_client *client)
{
	weir_wire_close(client->wire);
	pthread_mutex_destroy(&client->lock);
	free(client->scratch);
	free(client);
}

int client_start(struct vfio_user_client *client, struct weir_error *err)
{
	int ret = client_negotiate(client, err);

	return ret ? ret : client_describe(client, err);
}

/* Makes a client of a socket, which it owns on success. */
static int client_of_socket(struct weir_device *dev, int fd, struct vfio_user_client **client,
			    struct weir_error *err)
{
	struct wire *wire;
	int ret = weir_wire_from_socket(fd, &wire);

	if (ret)
		return weir_error_set(err, ret, "%s: cannot use its socket: %s", dev->address,
				      strerror(-ret));
	ret = client_new(dev, wire, client);
	if (!ret)
		return 0;
	weir_wire_release_socket(wire, &fd);
	return weir_error_set(err, ret, "%s: no memory", dev->address);
}

static int vfio_user_open(struct weir_device *dev, struct weir_error *err)
{
	struct vfio_user_client *client;
	int fd, ret;

	ret = client_connect(dev, &fd, err);
	if (ret)
		return ret;
	ret = client_of_socket(dev, fd, &client, err);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = client_start(client, err);
	if (ret) {
		client_free(client);
		return ret;
	}
	dev->link = client;
	return 0;
}

static int vfio_user_attach(struct weir_device *dev, bool adopted, struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	int ret;

	/* A server may read a mapping as soon as it is told of it. */
	atomic_store(&client->serving, 1);
	ret = ioas_attach(dev->ioas, &client_backend, client, adopted, &client->attachment, err);
	if (ret)
		atomic_store(&client->serving, 0);
	return ret;
}

/*
 * Says good-bye and waits for the server's end of the connection: by then it has let go of our
 * memory, which the program is about to use for something else.
 */
static void disconnect(struct vfio_user_client *client)
{
	unsigned int patience = client->dev->timeout_ms;
	struct wire_message message;
	uint64_t deadline;
	int ret;

	if (client->socket < 0 || shutdown(client->socket, SHUT_WR))
		return;
	if (patience > CLOSE_PATIENCE_MS)
		patience = CLOSE_PATIENCE_MS;
	deadline = weir_now_ns() + (uint64_t)patience * 1000000u;
	do {
		ret = weir_wire_receive(client->wire, &message, client_ms_left(deadline), NULL);
		weir_wire_message_release(&message);
	} while (!ret);
	if (ret == -ETIMEDOUT || ret == -EAGAIN)
		weir_log_write(&client->dev->log, WEIR_LOG_WARN,
			       "%s: its server did not close the connection in %u ms",
			       client->dev->address, patience);
}

static void vfio_user_close(struct weir_device *dev, bool for_successor)
{
	struct vfio_user_client *client = dev->link;

	/* In this order, so that an unmap by another thread does not overlook the server meanwhile:
	 * it waits for the lock, and then finds the device gone. */
	if (!for_successor && !device_is_gone(dev)) {
		pthread_mutex_lock(&client->lock);
		disconnect(client);
		atomic_store(&dev->gone, 1);
		pthread_mutex_unlock(&client->lock);
	}
	ioas_detach(client->attachment);
	client_free(client);
	dev->link = NULL;
}

static void vfio_user_serve(struct weir_device *dev)
{
	client_serve(dev->link);
}

static int vfio_user_event_fd(const struct weir_device *dev)
{
	const struct vfio_user_client *client = dev->link;

	return client->socket;
}

static unsigned int vfio_user_take_dead(struct weir_device *dev, uint64_t *iovas, unsigned int max)
{
	struct vfio_user_client *client = dev->link;

	return ioas_take_dead(client->attachment, iovas, max);
}

static int vfio_user_export(struct weir_device *dev, unsigned int bar,
			    const struct weir_range *ranges, unsigned int nr,
			    struct weir_dmabuf *dmabuf, struct weir_error *err)
{
	const struct device_region *region = &dev->regions[bar];
	int fd, ret;

	if (nr > 1)
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: one range of a BAR can be exported over vfio-user, "
				      "not %u",
				      dev->address, nr);
	if (!weir_device_bar(dev, bar, ranges->offset, ranges->bytes))
		return weir_error_set(err, -EOPNOTSUPP,
				      "%s: its server does not share 0x%" PRIx64
				      " bytes at 0x%" PRIx64 " of BAR %u",
				      dev->address, ranges->bytes, ranges->offset, bar);
	fd = fcntl(region->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		ret = -errno;
		return weir_error_set(err, ret, "%s: cannot duplicate BAR %u's descriptor: %s",
				      dev->address, bar, strerror(-ret));
	}
	*dmabuf = (struct weir_dmabuf){
		.fd = fd,
		.offset = region->fd_offset + ranges->offset,
		.bytes = ranges->bytes,
	};
	return 0;
}

struct saved_client {
	uint32_t next_id;
	uint32_t max_fds;
	uint32_t max_transfer;
	uint32_t msix_bound;
	uint64_t max_dma_maps;
	uint64_t page_bytes;
};
static_assert(sizeof(struct saved_client) <= TRANSPORT_STATE_BYTES, "fits");

static int vfio_user_save(struct weir_device *dev, struct transport_state *state,
			  struct weir_error *err)
{
	struct vfio_user_client *client = dev->link;
	struct saved_client saved;
	int ret = 0;

	if (pthread_mutex_trylock(&client->lock))
		return weir_error_set(err, -EBUSY, "%s: a call waits for an answer", dev->address);
	if (weir_wire_pending(client->wire)) {
		ret = weir_error_set(err, -EBUSY, "%s: a message is arriving", dev->address);
		goto unlock;
	}
	saved = (struct saved_client){
		.next_id = client->next_id,
		.max_fds = client->max_fds,
		.max_transfer = client->max_transfer,
		.msix_bound = client->msix_bound,
		.max_dma_maps = client->max_dma_maps,
		.page_bytes = client->page_bytes,
	};
	memset(state, 0, sizeof(*state));
	memcpy(state->bytes, &saved, sizeof(saved));
	state->fd = client->socket;
unlock:
	pthread_mutex_unlock(&client->lock);
	return ret;
}

static bool is_socket(int fd)
{
	int type = 0;
	socklen_t bytes = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) && type == SOCK_STREAM;
}

static int vfio_user_adopt(struct weir_device *dev, const struct transport_state *state,
			   struct weir_error *err)
{
	struct vfio_user_client *client;
	struct saved_client saved;
	int ret;

	memcpy(&saved, state->bytes, sizeof(saved));
	if (saved.next_id > UINT16_MAX || !saved.max_fds || saved.max_fds > WIRE_MAX_FDS ||
	    saved.max_transfer < 8 || saved.max_transfer > VFIO_USER_DEFAULT_MAX_TRANSFER ||
	    saved.msix_bound > 1 || !saved.max_dma_maps || saved.page_bytes < 4096 ||
	    !weir_is_power_of_two(saved.page_bytes) || !is_socket(state->fd))
		return weir_error_set(err, -EINVAL, "%s: its connection's record is damaged",
				      dev->address);
	ret = client_of_socket(dev, state->fd, &client, err);
	if (ret)
		return ret;
	client->next_id = (uint16_t)saved.next_id;
	client->max_fds = saved.max_fds;
	client->max_transfer = saved.max_transfer;
	client->max_dma_maps = saved.max_dma_maps;
	client->page_bytes = saved.page_bytes;
	client->msix_bound = saved.msix_bound;
	dev->link = client;
	return 0;
}

const struct transport_ops vfio_user_transport = {
	.name = "vfio-user",
	.matches = vfio_user_matches,
	.open = vfio_user_open,
	.attach = vfio_user_attach,
	.close = vfio_user_close,
	.read = client_read,
	.write = client_write,
	.bind_irqs = client_bind_irqs,
	.unbind_irqs = client_unbind_irqs,
	.reset = client_reset,
	.serve = vfio_user_serve,
	.event_fd = vfio_user_event_fd,
	.take_dead = vfio_user_take_dead,
	.export = vfio_user_export,
	.save = vfio_user_save,
	.adopt = vfio_user_adopt,
};
