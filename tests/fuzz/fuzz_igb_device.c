/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile driver of the emulated 82576: the input is a sequence of descriptors in its rings,
 * frames that arrive, tails, registers, by message and in the mapped pages, and memory that comes
 * and goes. It knows enough of the layout to reach what lies behind the first check. Whatever
 * comes, the controller writes nothing that it was not given for writing, sends nothing that is no
 * frame, and serves an honest driver afterwards. The messages themselves are fuzz_server.c's.
 *
 * Frames come from this side of the cable, and what is sent arrives there.
 *
 * Input: two bytes of options, then steps, each a byte that says what and the fields that it takes.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "device/vfio_user/wire.h"
#include "igb/cable.h"
#include "igb/sim_igb.h"
#include "igb/spec.h"
#include "input.h"
#include "messages.h"
#include "server/sim.h"

#define PAGE 4096u
#define MAX_STEPS 128
#define QUEUES 4u
#define ENTRIES 32u
#define FRAME_BYTES 2048u

/* The driver's memory, and where the controller sees it: to read and write, and a part of it once
 * more, only to read, in which nothing may change. */
#define SHARED_BYTES (96 * PAGE)
#define IOVA UINT64_C(0x100000)
#define READ_IOVA UINT64_C(0x10000000)
#define READ_BYTES (16 * PAGE)
#define READ_PAGE 80u /* where that part begins */
#define RX_PAGE(q) (q)
#define TX_PAGE(q) (QUEUES + (q))
#define DATA_PAGE 16u
#define DATA_PAGES 64u

#define READ_WRITE (VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE)
#define GUARD 0xa5
#define DATA_COMMAND \
	(IGB_TX_DEXT | IGB_TX_TYPE_DATA << IGB_TX_TYPE_SHIFT | IGB_TX_EOP | IGB_TX_IFCS | IGB_TX_RS)

enum {
	OPTION_NO_MMAP = 1, /* memory is reached by message */
	OPTION_TRAP = 2, /* registers too */
	OPTION_FAULTS = 4,
	OPTION_LOSSLESS = 8,
	OPTION_OFF = 16, /* the input enables the controller, or does not */
	OPTION_JUMBO = 32,
};

struct fuzz {
	struct fuzz_input input;
	struct sim_igb *igb;
	struct sim_server *server;
	struct sim_cable *far; /* the other end */
	struct wire *client;
	int memory;
	uint8_t *shared;
	uint8_t *pages[2]; /* mapped registers; NULL: by message */
	uint32_t tails[2][QUEUES];
	uint32_t type; /* of receive descriptors */
};

/* Small numbers are a byte. */
static uint32_t take_dword(struct fuzz_input *input)
{
	uint32_t value = (uint32_t)take(input, 1);

	return value < 0xc0 ? value : (uint32_t)take(input, value < 0xf0 ? 2 : 4);
}

/* An address that may well be mapped. */
static uint64_t take_address(struct fuzz_input *input)
{
	uint32_t choice = (uint32_t)take(input, 2), page = choice >> 4;

	switch (choice & 15) {
	case 0:
		return take(input, 8);
	case 1: /* the end of the memory */
		return IOVA + SHARED_BYTES - page;
	case 2:
		return READ_IOVA + page % 17 * PAGE;
	case 3: /* the rings themselves */
		return IOVA + page % (2 * QUEUES) * PAGE;
	case 4:
		return 0;
	case 5:
	case 6: /* anywhere in a page */
		return IOVA + (DATA_PAGE + page % DATA_PAGES) * PAGE + take(input, 2) % PAGE;
	default:
		return IOVA + (DATA_PAGE + page % DATA_PAGES) * PAGE;
	}
}

static void map_memory(struct fuzz *fuzz)
{
	send_map(fuzz->client, fuzz->memory, IOVA, 0, READ_PAGE * PAGE, READ_WRITE);
	send_map(fuzz->client, fuzz->memory, READ_IOVA, READ_PAGE * PAGE, READ_BYTES,
		 VFIO_USER_DMA_READABLE);
}

/* The controller reaches memory by message: an honest answer. */
static void answer(void *ctx)
{
	static uint8_t
		payload[sizeof(struct vfio_user_dma_access) + VFIO_USER_DEFAULT_MAX_TRANSFER];
	struct iovec part = { .iov_base = payload, .iov_len = sizeof(struct vfio_user_dma_access) };
	struct vfio_user_dma_access access;
	struct fuzz *fuzz = ctx;
	struct wire_message message;
	uint8_t *memory;

	if (weir_wire_receive(fuzz->client, &message, 0, NULL))
		return;
	require((message.header.flags & VFIO_USER_TYPE_MASK) == VFIO_USER_TYPE_COMMAND);
	require(message.bytes >= sizeof(access));
	memcpy(&access, message.payload, sizeof(access));
	memcpy(payload, &access, sizeof(access));
	/* Nothing is asked for that was not mapped. */
	require(access.count <= VFIO_USER_DEFAULT_MAX_TRANSFER);
	if (weir_range_within(access.address - IOVA, access.count, READ_PAGE * PAGE)) {
		memory = fuzz->shared + (access.address - IOVA);
	} else {
		require(message.header.command == VFIO_USER_DMA_READ);
		require(weir_range_within(access.address - READ_IOVA, access.count, READ_BYTES));
		memory = fuzz->shared + READ_PAGE * PAGE + (access.address - READ_IOVA);
	}
	if (message.header.command == VFIO_USER_DMA_READ) {
		memcpy(payload + sizeof(access), memory, access.count);
		part.iov_len += access.count;
	} else {
		require(message.header.command == VFIO_USER_DMA_WRITE);
		require(message.bytes == sizeof(access) + access.count);
		memcpy(memory, (const uint8_t *)message.payload + sizeof(access), access.count);
	}
	message.header.flags = VFIO_USER_TYPE_REPLY;
	weir_wire_send(fuzz->client, &message.header, &part, 1, NULL, 0, 0, NULL);
	weir_wire_message_release(&message);
}

static void map_pages(struct fuzz *fuzz)
{
	static const uint32_t offsets[] = { IGB_RX_QUEUES, IGB_TX_QUEUES };
	struct vfio_user_region_info info = { .argsz = 256 };
	struct wire_message message;

	send_message(fuzz->client, VFIO_USER_DEVICE_GET_REGION_INFO, 0, &info, sizeof(info), NULL,
		     0);
	sim_server_turn(fuzz->server);
	require(!weir_wire_receive(fuzz->client, &message, 0, NULL) &&
		message.bytes >= sizeof(info));
	for (unsigned int i = 0; message.nr_fds && i < ARRAY_SIZE(offsets); i++) {
		fuzz->pages[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				      message.fds[0], offsets[i]);
		require(fuzz->pages[i] != MAP_FAILED);
	}
	weir_wire_message_release(&message);
}

static void connect_driver(struct fuzz *fuzz)
{
	static const uint8_t version[] = { 0, 0, 1, 0 };
	struct wire_message message;
	struct wire *server_end;

	require(!weir_wire_pair(&fuzz->client, &server_end));
	require(!sim_server_connect(fuzz->server, server_end));
	send_message(fuzz->client, VFIO_USER_VERSION, 0, version, sizeof(version), NULL, 0);
	sim_server_turn(fuzz->server);
	require(!weir_wire_receive(fuzz->client, &message, 0, NULL));
	weir_wire_message_release(&message);
	map_pages(fuzz);
	/* From here on nothing is a reply. */
	weir_wire_set_pump(server_end, answer, fuzz);
	map_memory(fuzz);
	write_region(fuzz->client, 7, 4, 6, 2); /* memory decoding, bus master */
	sim_server_turn(fuzz->server);
}

static void disconnect_driver(struct fuzz *fuzz)
{
	weir_wire_close(fuzz->client);
	/* It handles what is still on its way, some messages a turn, and then sees the end. */
	for (int i = 0; i < MAX_STEPS; i++)
		sim_server_turn(fuzz->server);
	for (unsigned int i = 0; i < ARRAY_SIZE(fuzz->pages); i++) {
		if (fuzz->pages[i])
			munmap(fuzz->pages[i], PAGE);
		fuzz->pages[i] = NULL;
	}
}

static void write_register(struct fuzz *fuzz, uint32_t offset, uint32_t value)
{
	write_region(fuzz->client, 0, offset, value, 4);
}

/* A register of a queue, where it is mapped if it is. */
static void write_queue(struct fuzz *fuzz, bool transmit, unsigned int queue, uint32_t inside,
			uint32_t value)
{
	uint32_t offset = queue * IGB_QUEUE_STRIDE + inside;

	if (fuzz->pages[transmit])
		*(volatile uint32_t *)(fuzz->pages[transmit] + offset) = value;
	else
		write_register(fuzz, (transmit ? IGB_TX_QUEUES : IGB_RX_QUEUES) + offset, value);
}

#define REG(member) ((uint32_t)offsetof(struct igb_queue_regs, member))

static void start_queue(struct fuzz *fuzz, bool transmit, unsigned int queue)
{
	uint64_t ring = IOVA + (transmit ? TX_PAGE(queue) : RX_PAGE(queue)) * PAGE;

	fuzz->tails[transmit][queue] = 0;
	write_queue(fuzz, transmit, queue, REG(base_low), (uint32_t)ring);
	write_queue(fuzz, transmit, queue, REG(base_high), (uint32_t)(ring >> 32));
	write_queue(fuzz, transmit, queue, REG(bytes), ENTRIES * IGB_DESC_BYTES);
	if (!transmit)
		write_queue(fuzz, transmit, queue, REG(srrctl),
			    2u | 2u << IGB_SRRCTL_HEADER_SHIFT |
				    fuzz->type << IGB_SRRCTL_TYPE_SHIFT);
	write_queue(fuzz, transmit, queue, REG(head), 0);
	write_queue(fuzz, transmit, queue, REG(tail), 0);
	write_queue(fuzz, transmit, queue, REG(control), IGB_DCTL_ENABLE);
	sim_server_turn(fuzz->server);
}

static void bring_up(struct fuzz *fuzz, bool jumbo)
{
	write_register(fuzz, IGB_CTRL, IGB_CTRL_RST);
	write_register(fuzz, IGB_CTRL, IGB_CTRL_SLU);
	sim_server_turn(fuzz->server);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		start_queue(fuzz, false, queue);
		start_queue(fuzz, true, queue);
	}
	write_register(fuzz, IGB_RXCSUM, 0x0b00);
	write_register(fuzz, IGB_PSRTYPE, 0x7effe);
	write_register(fuzz, IGB_RCTL,
		       IGB_RCTL_RXEN | IGB_RCTL_UPE | IGB_RCTL_MPE | IGB_RCTL_SECRC |
			       (jumbo ? IGB_RCTL_LPE : 0));
	write_register(fuzz, IGB_TCTL, IGB_TCTL_EN | IGB_TCTL_PSP);
	sim_server_turn(fuzz->server);
}

static void put(struct fuzz *fuzz, bool transmit, unsigned int queue, uint64_t first,
		uint64_t second)
{
	uint32_t *tail = &fuzz->tails[transmit][queue];
	uint64_t *desc = (void *)(fuzz->shared +
				  (transmit ? TX_PAGE(queue) : RX_PAGE(queue)) * PAGE +
				  *tail * IGB_DESC_BYTES);

	desc[0] = first;
	desc[1] = second;
	*tail = (*tail + 1) % ENTRIES;
	write_queue(fuzz, transmit, queue, REG(tail), *tail);
}

/* A data or context descriptor, or any other. */
static void put_transmit(struct fuzz *fuzz, unsigned int queue)
{
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);
	uint64_t address, command, options;

	if (choice & 1) {
		/* Lengths that go together, now and then. */
		address = choice & 0x10 ? take(&fuzz->input, 4) : 14u << 9 | 20u;
		command = (uint32_t)take_dword(&fuzz->input) << 9 | IGB_TX_DEXT |
			  IGB_TX_TYPE_CONTEXT << IGB_TX_TYPE_SHIFT;
		options = choice & 0x10 ? take(&fuzz->input, 4)
					: 20u << 8 | take_dword(&fuzz->input) << 16;
	} else {
		address = take_address(&fuzz->input);
		command = DATA_COMMAND ^ (uint32_t)take(&fuzz->input, 1) << 24;
		command ^= choice & 0x40 ? take(&fuzz->input, 1) << 16 : 0;
		command |= take_dword(&fuzz->input) & IGB_TX_LENGTH;
		options = (uint64_t)take_dword(&fuzz->input) << IGB_TX_PAYLOAD_SHIFT |
			  (choice & 0x8e) << 7;
	}
	put(fuzz, true, queue, address, command | options << 32);
}

/* A frame comes over the cable: plausible up to the third layer, or not. */
static void arrive(struct fuzz *fuzz)
{
	static const uint8_t types[][2] = { { 8, 0 }, { 0x86, 0xdd }, { 0x81, 0 }, { 0x88, 0xb5 } };
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);
	uint32_t bytes = (uint32_t)take(&fuzz->input, 2) % 16000 + 14;
	uint8_t *room;

	if (!(choice & 0x80))
		bytes = bytes % 1500 + 14;
	room = fuzz->far->ops->room(fuzz->far, bytes);
	if (!room)
		return;
	memset(room, (int)take(&fuzz->input, 1), bytes);
	memcpy(room + 12, types[choice & 3], 2);
	if (bytes > 80) {
		room[14] = choice & 1 ? 0x60 : 0x45;
		room[16] = (uint8_t)((bytes - 14) >> 8);
		room[17] = (uint8_t)(bytes - 14);
		take_bytes(&fuzz->input, room + 14, choice >> 2 & 31);
	}
	fuzz->far->ops->send(fuzz->far, bytes, (choice & 0x83) == 0x83 ? CABLE_BAD_FCS : 0);
}

/* What was sent is looked at and taken, some of it. */
static void depart(struct fuzz *fuzz, unsigned int most)
{
	struct cable_frame frame;

	while (most-- && cable_buffer_first(fuzz->far->buffer, &frame)) {
		require(frame.bytes >= 10 && frame.bytes <= IGB_MAX_FRAME);
		cable_buffer_drop(fuzz->far->buffer, &frame);
	}
}

/* What it says is not looked at. */
static void read_register(struct fuzz *fuzz, uint32_t offset, uint32_t bytes)
{
	struct vfio_user_region_access access = { .offset = offset, .count = bytes };

	send_message(fuzz->client, VFIO_USER_REGION_READ, VFIO_USER_NO_REPLY, &access,
		     sizeof(access), NULL, 0);
}

static void change_register(struct fuzz *fuzz)
{
	static const uint32_t offsets[] = {
		IGB_CTRL,  IGB_RCTL,   IGB_TCTL, IGB_MRQC,	 IGB_RETA,   IGB_RSSRK,
		IGB_EIMS,  IGB_EICS,   IGB_IMS,	 IGB_ICS,	 IGB_IVAR,   IGB_IVAR_MISC,
		IGB_GPIE,  IGB_EITR,   IGB_EIAC, IGB_EIAM,	 IGB_MDIC,   IGB_EERD,
		IGB_RLPML, IGB_RXCSUM, IGB_VET,	 IGB_PSRTYPE,	 0x2818,     0x3828,
		IGB_GPRC,  IGB_MPC,    IGB_ICR,	 IGB_DTXTCPFLGL, IGB_STATUS, 0,
	};
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);
	uint32_t offset = offsets[choice % ARRAY_SIZE(offsets)];

	if (!offset)
		offset = (uint32_t)take(&fuzz->input, 3) & 0x1fffc;
	if (choice & 0x40)
		read_register(fuzz, offset, choice & 0x80 ? 8 : 4);
	else
		write_region(fuzz->client, 0, offset, take(&fuzz->input, 4), choice & 0x80 ? 8 : 4);
}

/* Registers of a queue that works, or while it starts anew. */
static void change_queue(struct fuzz *fuzz, unsigned int queue)
{
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);
	bool transmit = choice & 0x80;

	if (choice & 0x40) {
		write_queue(fuzz, transmit, queue, REG(control), 0);
		sim_server_turn(fuzz->server);
		fuzz->type = choice & 7;
		start_queue(fuzz, transmit, queue);
		return;
	}
	write_queue(fuzz, transmit, queue + (choice & 8), (choice & 15) * 4,
		    choice & 0x20 ? take_dword(&fuzz->input) : (uint32_t)take(&fuzz->input, 4));
}

static void change_memory(struct fuzz *fuzz)
{
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);

	switch (choice % 4) {
	case 0:
		send_unmap(fuzz->client, IOVA, READ_PAGE * PAGE);
		break;
	case 1:
		map_memory(fuzz);
		break;
	case 2: /* in pieces */
		send_unmap(fuzz->client, IOVA, READ_PAGE * PAGE);
		for (uint64_t at = 0; at < READ_PAGE * PAGE; at += 16 * PAGE)
			send_map(fuzz->client, fuzz->memory, IOVA + at, at, 16 * PAGE, READ_WRITE);
		break;
	default:
		write_region(fuzz->client, 7, 4, choice >> 4, 2);
		break;
	}
}

/* Nothing that is sent has room from here on. */
static void fill(struct cable_buffer *buffer)
{
	uint8_t *room;

	while ((room = cable_buffer_room(buffer, 9000))) {
		memset(room, 0, 9000);
		cable_buffer_add(buffer, 9000, 0);
	}
}

static void disturb(struct fuzz *fuzz)
{
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);

	if (choice & 1)
		sim_igb_set_link(fuzz->igb, choice & 2);
	else if (choice & 4)
		send_message(fuzz->client, VFIO_USER_DEVICE_RESET, VFIO_USER_NO_REPLY, NULL, 0,
			     NULL, 0);
	else if (choice & 8)
		fill(fuzz->far->buffer);
	else
		atomic_store(&fuzz->far->buffer->consumer.starved, choice & 2);
}

static void step(struct fuzz *fuzz)
{
	unsigned int what = (unsigned int)take(&fuzz->input, 1), queue = what >> 4 & 3;

	switch (what & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		put_transmit(fuzz, queue);
		break;
	case 5:
	case 6:
		for (unsigned int n = what >> 6 ? 8 : 1; n; n--) {
			uint64_t packet = take_address(&fuzz->input);

			put(fuzz, false, queue, packet, take_address(&fuzz->input));
		}
		break;
	case 7:
	case 8:
	case 9:
		arrive(fuzz);
		break;
	case 10:
		depart(fuzz, what >> 4);
		break;
	case 11: /* any tail */
		write_queue(fuzz, what & 0x80, queue, REG(tail), take_dword(&fuzz->input));
		break;
	case 12:
		change_register(fuzz);
		break;
	case 13:
		change_queue(fuzz, queue);
		break;
	case 14:
		change_memory(fuzz);
		break;
	default:
		disturb(fuzz);
		break;
	}
	if (!(what & 0x80) || (what & 15) > 6)
		sim_server_turn(fuzz->server);
}

static void make_controller(struct fuzz *fuzz, unsigned int first)
{
	struct sim_igb_options options = { 0 };
	struct sim_cable *ends[2];

	options.trap_queues = first & OPTION_TRAP;
	options.server.no_mmap_dma = first & OPTION_NO_MMAP;
	if (first & OPTION_FAULTS)
		options.faults = (struct sim_igb_faults){
			.crc_every = 5,
			.garble_every = 3,
			.length_every = 4,
			.header_every = 7,
			.status_every = 6,
			.types_every = 2,
			.endless_every = 9,
			.skip_every = 5,
			.unreported_every = 3,
			.interrupt_every = 2,
		};
	require(!sim_cable_pair(first & OPTION_LOSSLESS, ends, NULL));
	require(!sim_igb_create(&options, ends[0], &fuzz->igb, NULL));
	fuzz->server = sim_igb_server(fuzz->igb);
	fuzz->far = ends[1];
	atomic_store(&fuzz->far->buffer->consumer.listens, true);
}

/* After a hostile driver, an honest one sends a frame and receives one. */
static void check_controller(struct fuzz *fuzz)
{
	uint8_t *data = fuzz->shared + DATA_PAGE * PAGE, *room;
	const uint64_t *desc = (void *)(fuzz->shared + RX_PAGE(0) * PAGE);
	struct cable_frame frame;

	sim_igb_set_link(fuzz->igb, true);
	cable_buffer_clear(fuzz->far->buffer);
	connect_driver(fuzz);
	fuzz->type = IGB_DESC_ONE_BUFFER;
	bring_up(fuzz, false);
	memset(data, 0x5a, FRAME_BYTES);
	put(fuzz, true, 0, IOVA + DATA_PAGE * PAGE, DATA_COMMAND | 100u);
	put(fuzz, false, 0, IOVA + (DATA_PAGE + 1) * PAGE, 0);
	for (int i = 0; i < 4; i++)
		sim_server_turn(fuzz->server);
	require(cable_buffer_first(fuzz->far->buffer, &frame) && frame.bytes == 100);
	require(frame.data[99] == 0x5a);
	cable_buffer_drop(fuzz->far->buffer, &frame);
	room = fuzz->far->ops->room(fuzz->far, 100);
	require(room);
	memset(room, 0x3c, 100);
	fuzz->far->ops->send(fuzz->far, 100, 0);
	for (int i = 0; i < 4; i++)
		sim_server_turn(fuzz->server);
	require(desc[1] & IGB_RX_DD && (desc[1] >> 32 & 0xffff) == 100);
	require(data[PAGE] == 0x3c && data[PAGE + 99] == 0x3c);
	disconnect_driver(fuzz);
}

static void check_guard(const struct fuzz *fuzz)
{
	const uint8_t *guard = fuzz->shared + READ_PAGE * PAGE;

	require(guard[0] == GUARD && !memcmp(guard, guard + 1, READ_BYTES - 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz fuzz = { .input = { .at = data, .end = data + bytes } };
	unsigned int first = (unsigned int)take(&fuzz.input, 1),
		     type = (unsigned int)take(&fuzz.input, 1);

	fuzz.memory = memfd_create("fuzz", MFD_CLOEXEC);
	require(fuzz.memory >= 0 && !ftruncate(fuzz.memory, SHARED_BYTES));
	fuzz.shared = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fuzz.memory, 0);
	require(fuzz.shared != MAP_FAILED);
	memset(fuzz.shared + READ_PAGE * PAGE, GUARD, READ_BYTES);
	make_controller(&fuzz, first);
	connect_driver(&fuzz);
	fuzz.type = type % 8;
	if (!(first & OPTION_OFF))
		bring_up(&fuzz, first & OPTION_JUMBO);
	for (int i = 0; i < MAX_STEPS && fuzz.input.at < fuzz.input.end; i++)
		step(&fuzz);
	for (int i = 0; i < 4; i++)
		sim_server_turn(fuzz.server);
	disconnect_driver(&fuzz);
	check_guard(&fuzz);
	if (!(first & OPTION_FAULTS))
		check_controller(&fuzz);
	sim_igb_destroy(fuzz.igb);
	sim_cable_destroy(fuzz.far);
	munmap(fuzz.shared, SHARED_BYTES);
	close(fuzz.memory);
	return 0;
}
