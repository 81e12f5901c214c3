/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile vfio-user server: the input says what is wrong with each of its replies, what it asks
 * of the client meanwhile, and what the client does once the device is open. Whatever comes, the
 * client neither crashes nor hangs, keeps no descriptor, and says that a lost device is lost.
 *
 * Input: for each reply a byte that says how it is spoiled, and what that takes; then, for each
 * step of the client, a byte. An input that has ended means an honest server and a client that is
 * done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "fd_count.h"
#include "input.h"
#include "scripted_server.h"

#define MAX_STEPS 64
#define MEMORY_BYTES 8192

enum {
	SPOIL_NOTHING, /* and all even values above the others */
	SPOIL_BYTES, /* of the payload: where and with what */
	SPOIL_HEADER, /* other bytes in its place */
	SPOIL_LENGTH,
	SPOIL_PAYLOAD, /* another one */
	SPOIL_ASK, /* a command first */
	SPOIL_RAW, /* bytes that need be no message, and then the reply */
	SPOIL_DESCRIPTORS,
	SPOIL_SILENCE,
	SPOIL_END,
	NR_SPOILS,
};

struct fuzz {
	struct fuzz_input input;
	struct scripted server;
	struct weir_ioas *ioas;
	struct weir_mapping *mapping;
	struct weir_device *dev;
	int memory;
	int event;
};

/* DMA, usually near the mapping, or any other command. */
static void ask(struct fuzz *fuzz, struct scripted *server)
{
	struct vfio_user_header header = { .id = (uint16_t)take(&fuzz->input, 1),
					   .command = (uint16_t)take(&fuzz->input, 1),
					   .flags = (uint32_t)take(&fuzz->input, 1) & ~1u };
	struct {
		struct vfio_user_dma_access access;
		uint8_t data[256];
	} request;
	struct iovec part = { &request, sizeof(request.access) };

	request.access.address = WEIR_IOVA_WINDOW_BASE + take(&fuzz->input, 2) - 256;
	request.access.count = take(&fuzz->input, 3);
	part.iov_len += take_bytes(&fuzz->input, request.data, take(&fuzz->input, 1));
	weir_wire_send(server->wire, &header, &part, 1, NULL, 0, 0, NULL);
}

static void send_raw(struct fuzz *fuzz, struct scripted *server)
{
	uint8_t bytes[256];
	size_t nr = take_bytes(&fuzz->input, bytes, take(&fuzz->input, 1));

	if (nr)
		require(!weir_wire_inject(server->client, bytes, nr, NULL, 0));
}

static bool tamper(struct scripted *server, struct scripted_reply *reply, void *ctx)
{
	struct fuzz *fuzz = ctx;
	size_t at;

	switch (take(&fuzz->input, 1)) {
	case SPOIL_BYTES:
		at = take(&fuzz->input, 1);
		if (at < reply->bytes)
			take_bytes(&fuzz->input, reply->payload + at,
				   (size_t)take(&fuzz->input, 1) % (reply->bytes - at + 1));
		return false;
	case SPOIL_HEADER:
		take_bytes(&fuzz->input, &reply->header, sizeof(reply->header));
		return false;
	case SPOIL_LENGTH:
		reply->bytes = take(&fuzz->input, 2) % sizeof(reply->payload);
		return false;
	case SPOIL_PAYLOAD:
		reply->bytes = take_bytes(&fuzz->input, reply->payload, take(&fuzz->input, 1));
		return false;
	case SPOIL_ASK:
		ask(fuzz, server);
		return false;
	case SPOIL_RAW:
		send_raw(fuzz, server);
		return false;
	case SPOIL_DESCRIPTORS:
		reply->nr_fds = (unsigned int)take(&fuzz->input, 1) % (WIRE_MAX_FDS + 1);
		for (unsigned int i = 0; i < reply->nr_fds; i++)
			reply->fds[i] = i % 2 ? fuzz->event : server->bar_fd;
		return false;
	case SPOIL_SILENCE:
		return true;
	case SPOIL_END:
		scripted_hang_up(server);
		return true;
	default:
		return false;
	}
}

static void access_region(struct fuzz *fuzz)
{
	uint8_t data[9000];
	unsigned int region = (unsigned int)take(&fuzz->input, 1);
	uint64_t offset = take(&fuzz->input, 2);
	size_t bytes = take(&fuzz->input, 2) % sizeof(data);

	memset(data, 0, sizeof(data));
	if (region & 0x80)
		weir_device_write(fuzz->dev, region & 0x7f, offset, data, bytes, NULL);
	else
		weir_device_read(fuzz->dev, region, offset, data, bytes, NULL);
}

static void bind_irqs(struct fuzz *fuzz)
{
	unsigned int kind = (unsigned int)take(&fuzz->input, 1),
		     first = (unsigned int)take(&fuzz->input, 1);
	unsigned int count = (unsigned int)take(&fuzz->input, 1);
	uint8_t unbound = (uint8_t)take(&fuzz->input, 1);
	int fds[256];

	for (unsigned int i = 0; i < 256; i++)
		fds[i] = unbound >> (i % 8) & 1 ? -1 : fuzz->event;
	weir_irq_bind(fuzz->dev, kind, first, count, fds, NULL);
}

static void map_again(struct fuzz *fuzz)
{
	weir_ioas_unmap(fuzz->ioas, fuzz->mapping, NULL);
	if (weir_ioas_map_fd(fuzz->ioas, fuzz->memory, 0, MEMORY_BYTES, WEIR_PROT_RW,
			     &fuzz->mapping, NULL))
		fuzz->mapping = NULL;
}

static void take_events(struct fuzz *fuzz)
{
	struct weir_event events[4];
	int lost = weir_device_gone(fuzz->dev);
	int n = weir_device_events(fuzz->dev, events, 4);

	require(n <= 4 && (n >= 0 || (n == -ENODEV && lost)));
}

static void step(struct fuzz *fuzz)
{
	uint64_t value;

	switch (take(&fuzz->input, 1) % 9) {
	case 0:
		access_region(fuzz);
		break;
	case 1:
		bind_irqs(fuzz);
		break;
	case 2:
		weir_irq_unbind(fuzz->dev, (enum weir_irq)take(&fuzz->input, 1), NULL);
		break;
	case 3:
		weir_device_reset(fuzz->dev, NULL);
		break;
	case 4:
		map_again(fuzz);
		break;
	case 5:
		take_events(fuzz);
		break;
	case 6:
		weir_irq_arm(fuzz->dev, (unsigned int)take(&fuzz->input, 2));
		break;
	case 7:
		weir_device_find_capability(fuzz->dev, (uint8_t)take(&fuzz->input, 1));
		break;
	default:
		weir_device_read64(fuzz->dev, (unsigned int)take(&fuzz->input, 1),
				   take(&fuzz->input, 2), &value);
		break;
	}
}

/* A device that is gone says so from every call, and once as an event. */
static void check_end(struct fuzz *fuzz)
{
	struct weir_event events[4];
	bool gone = weir_device_gone(fuzz->dev);
	uint32_t value;

	if (!gone)
		return;
	require(weir_device_read(fuzz->dev, WEIR_REGION_CONFIG, 0, &value, 4, NULL) == -ENODEV);
	while (weir_device_events(fuzz->dev, events, 4) >= 0)
		;
	require(weir_device_events(fuzz->dev, events, 4) == -ENODEV);
}

static void make_memory(struct fuzz *fuzz)
{
	fuzz->memory = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	require(fuzz->memory >= 0 && fuzz->event >= 0 && !ftruncate(fuzz->memory, MEMORY_BYTES));
	require(!weir_ioas_create(NULL, &fuzz->ioas, NULL));
	require(!weir_ioas_map_fd(fuzz->ioas, fuzz->memory, 0, MEMORY_BYTES, WEIR_PROT_RW,
				  &fuzz->mapping, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	unsigned int fds_before = fd_count();
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));

	require(fuzz);
	fuzz->input = (struct fuzz_input){ .at = data, .end = data + bytes };
	make_memory(fuzz);
	scripted_init(&fuzz->server);
	fuzz->server.tamper = tamper;
	fuzz->server.tamper_ctx = fuzz;
	if (!scripted_open(&fuzz->server, fuzz->ioas, NULL, &fuzz->dev, NULL)) {
		for (int i = 0; i < MAX_STEPS && fuzz->input.at < fuzz->input.end; i++)
			step(fuzz);
		check_end(fuzz);
		weir_device_close(fuzz->dev);
	}
	require(!weir_ioas_destroy(fuzz->ioas));
	scripted_destroy(&fuzz->server);
	close(fuzz->memory);
	close(fuzz->event);
	free(fuzz);
	require(fd_count() == fds_before);
	return 0;
}
