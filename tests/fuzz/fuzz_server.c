/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile vfio-user client: the input is a sequence of messages to an emulated device, with
 * descriptors, of answers to what the device asks, and of bytes in the memory that they share.
 * Whatever comes, the server neither crashes nor hangs, and serves an honest client afterwards.
 *
 * Input: a byte of options, then records. Each record is a byte that says which message, a byte of
 * flags, two bytes of length and as many of payload, cut at the input's end.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "device/vfio_user/wire.h"
#include "input.h"
#include "membar/sim_membar.h"
#include "messages.h"
#include "nvme/sim_nvme.h"
#include "server/sim.h"

#define DEVICE_BYTES (UINT64_C(1) << 20)
#define SHARED_BYTES (UINT64_C(1) << 18)
#define MAX_RECORDS 64

enum {
	OPTION_NVME = 1,
	OPTION_NO_MMAP = 2,
	OPTION_SILENT = 4, /* the input says hello itself, or does not */
	OPTION_BARE = 8, /* nothing is mapped and the controller is off */
};

/* Records that are no command. */
enum {
	RECORD_MEMORY = 0xfe, /* into shared memory; the flags say where, in units of 64 bytes */
	RECORD_RAW = 0xff, /* bytes that need not be a message */
};

enum {
	FLAG_NO_REPLY = 1,
	FLAG_REPLY = 2,
	FLAG_ERROR = 4,
	FLAG_MEMFD = 8,
	FLAG_EVENTFD = 16,
	FLAG_TWO = 32, /* of each descriptor */
};

struct fuzz {
	struct fuzz_input input;
	struct sim_membar *membar;
	struct sim_nvme *nvme;
	struct sim_server *server;
	struct wire *client;
	struct wire *server_end; /* the server's own; valid while the connection is up */
	int memory, event;
	uint8_t *shared; /* mapping of memory */
};

static void make_device(struct fuzz *fuzz, unsigned int options)
{
	bool no_mmap = options & OPTION_NO_MMAP;

	if (options & OPTION_NVME) {
		struct sim_nvme_options nvme = SIM_NVME_OPTIONS_INIT;

		nvme.bytes = DEVICE_BYTES;
		nvme.queues = 4;
		nvme.no_mmap_dma = no_mmap;
		require(!sim_nvme_create(&nvme, &fuzz->nvme, NULL));
		fuzz->server = sim_nvme_server(fuzz->nvme);
	} else {
		struct sim_membar_options membar = {
			.bytes = DEVICE_BYTES,
			.server.no_mmap_dma = no_mmap,
		};

		require(!sim_membar_create(&membar, &fuzz->membar, NULL));
		fuzz->server = sim_membar_server(fuzz->membar);
	}
}

static void make_memory(struct fuzz *fuzz)
{
	fuzz->memory = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	require(fuzz->memory >= 0 && fuzz->event >= 0 && !ftruncate(fuzz->memory, SHARED_BYTES));
	fuzz->shared = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fuzz->memory,
			    0);
	require(fuzz->shared != MAP_FAILED);
}

static void free_all(struct fuzz *fuzz)
{
	sim_nvme_destroy(fuzz->nvme);
	sim_membar_destroy(fuzz->membar);
	munmap(fuzz->shared, SHARED_BYTES);
	close(fuzz->memory);
	close(fuzz->event);
}

static unsigned int pick_fds(const struct fuzz *fuzz, unsigned int flags, int *fds)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < (flags & FLAG_TWO ? 2 : 1); i++) {
		if (flags & FLAG_MEMFD)
			fds[nr++] = fuzz->memory;
		if (flags & FLAG_EVENTFD)
			fds[nr++] = fuzz->event;
	}
	return nr;
}

static void send_command(struct fuzz *fuzz, unsigned int command, unsigned int flags,
			 const void *payload, size_t bytes)
{
	uint32_t header_flags = (flags & FLAG_NO_REPLY ? VFIO_USER_NO_REPLY : 0) |
				(flags & FLAG_REPLY ? VFIO_USER_TYPE_REPLY : 0) |
				(flags & FLAG_ERROR ? VFIO_USER_ERROR : 0);
	int fds[4];

	send_message(fuzz->client, command, header_flags, payload, bytes, fds,
		     pick_fds(fuzz, flags, fds));
}

static void send_record(struct fuzz *fuzz)
{
	unsigned int command = (unsigned int)take(&fuzz->input, 1);
	unsigned int flags = (unsigned int)take(&fuzz->input, 1);
	size_t bytes = take(&fuzz->input, 2), offset = flags * 64;

	if (bytes > (size_t)(fuzz->input.end - fuzz->input.at))
		bytes = (size_t)(fuzz->input.end - fuzz->input.at);
	if (command == RECORD_RAW)
		weir_wire_inject(fuzz->server_end, fuzz->input.at, bytes, NULL, 0);
	else if (command == RECORD_MEMORY)
		memcpy(fuzz->shared + offset, fuzz->input.at, bytes);
	else
		send_command(fuzz, command, flags, fuzz->input.at, bytes);
	fuzz->input.at += bytes;
}

/* The server waits for an answer: what it asked for, or the next record. */
static void answer(void *ctx)
{
	static uint8_t
		payload[sizeof(struct vfio_user_dma_access) + VFIO_USER_DEFAULT_MAX_TRANSFER];
	struct vfio_user_dma_access access;
	struct fuzz *fuzz = ctx;
	struct wire_message message;
	struct iovec part = { .iov_base = payload, .iov_len = sizeof(access) };

	if (weir_wire_receive(fuzz->client, &message, 0, NULL))
		return;
	if ((message.header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_COMMAND) {
		require(message.bytes >= sizeof(access));
		memcpy(&access, message.payload, sizeof(access));
		require(access.count && access.count <= VFIO_USER_DEFAULT_MAX_TRANSFER);
		memcpy(payload, &access, sizeof(access));
		if (message.header.command == VFIO_USER_DMA_READ) {
			memset(payload + sizeof(access), (int)take(&fuzz->input, 1), access.count);
			part.iov_len += access.count;
		}
		message.header.flags = VFIO_USER_TYPE_REPLY;
		if (take(&fuzz->input, 1) % 4 == 3)
			send_record(fuzz);
		else
			weir_wire_send(fuzz->client, &message.header, &part, 1, NULL, 0, 0, NULL);
	}
	weir_wire_message_release(&message);
}

static void connect_client(struct fuzz *fuzz)
{
	require(!weir_wire_pair(&fuzz->client, &fuzz->server_end));
	require(!sim_server_connect(fuzz->server, fuzz->server_end));
	weir_wire_set_pump(fuzz->server_end, answer, fuzz);
}

/* Takes what the server said. Returns false when the connection is over. */
static bool drain(struct fuzz *fuzz)
{
	struct wire_message message;
	int rc;

	while (!(rc = weir_wire_receive(fuzz->client, &message, 0, NULL)))
		weir_wire_message_release(&message);
	return rc == -EAGAIN;
}

static void hello(struct fuzz *fuzz)
{
	static const uint8_t version[] = { 0, 0, 1, 0 };

	send_command(fuzz, VFIO_USER_VERSION, 0, version, sizeof(version));
	sim_server_turn(fuzz->server);
}

/* What an input would seldom find: memory at IOVA 0, with the queues of a running controller. */
static void set_up(struct fuzz *fuzz)
{
	struct vfio_user_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE,
		.bytes = SHARED_BYTES,
	};

	send_command(fuzz, VFIO_USER_DMA_MAP, FLAG_NO_REPLY | FLAG_MEMFD, &map, sizeof(map));
	write_region(fuzz->client, 7, 4, 6, 2); /* memory decoding, bus master */
	if (fuzz->nvme) {
		write_region(fuzz->client, 0, 0x24, 0x001f001f, 4); /* AQA */
		write_region(fuzz->client, 0, 0x28, 0x0, 8); /* ASQ: where RECORD_MEMORY writes */
		write_region(fuzz->client, 0, 0x30, 0x8000, 8); /* ACQ */
		write_region(fuzz->client, 0, 0x14, 0x00460001, 4); /* CC: entry sizes, enable */
	}
	sim_server_turn(fuzz->server);
}

/* After a hostile client, an honest one is served. */
static void check_server(struct fuzz *fuzz)
{
	struct vfio_user_region_access access = { .region = 7, .count = 4 };
	struct wire_message message;

	connect_client(fuzz);
	weir_wire_set_pump(fuzz->server_end, NULL, NULL); /* it would take the replies */
	hello(fuzz);
	require(drain(fuzz));
	send_command(fuzz, VFIO_USER_REGION_READ, 0, &access, sizeof(access));
	sim_server_turn(fuzz->server);
	require(!weir_wire_receive(fuzz->client, &message, 0, NULL));
	require(message.header.flags == VFIO_USER_TYPE_REPLY);
	require(message.bytes == sizeof(access) + 4);
	weir_wire_message_release(&message);
	weir_wire_close(fuzz->client);
	sim_server_turn(fuzz->server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz fuzz = { .input = { .at = data, .end = data + bytes } };
	unsigned int options = (unsigned int)take(&fuzz.input, 1);

	make_memory(&fuzz);
	make_device(&fuzz, options);
	connect_client(&fuzz);
	if (!(options & OPTION_SILENT)) {
		hello(&fuzz);
		if (!(options & OPTION_BARE))
			set_up(&fuzz);
	}
	for (int i = 0; i < MAX_RECORDS && fuzz.input.at < fuzz.input.end && drain(&fuzz); i++) {
		send_record(&fuzz);
		sim_server_turn(fuzz.server);
	}
	weir_wire_close(fuzz.client);
	sim_server_turn(fuzz.server);
	check_server(&fuzz);
	free_all(&fuzz);
	return 0;
}
