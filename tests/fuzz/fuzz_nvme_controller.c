/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hostile driver of the emulated NVMe controller: the input is a sequence of commands in its
 * queues, lists in its memory, doorbells, registers, and memory that comes and goes. It knows
 * enough of the layout to reach what lies behind the first check. Whatever comes, the controller
 * completes no more than it took, and serves an honest driver afterwards. The messages themselves
 * are fuzz_server.c's.
 *
 * Input: two bytes of options, then steps, each a byte that says what and the fields that it takes.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "device/vfio_user/wire.h"
#include "input.h"
#include "messages.h"
#include "nvme/sim_nvme.h"
#include "nvme/spec.h"
#include "server/sim.h"

#define PAGE 4096u
#define DISK_BYTES (UINT64_C(1) << 20)
#define MAX_STEPS 128
#define QUEUES 4 /* with the admin queue */
#define ENTRIES 32

/* The driver's memory, and where the controller sees it: to read and write, and parts of it twice
 * more, to read and to write. */
#define SHARED_BYTES (128 * PAGE)
#define IOVA UINT64_C(0x100000)
#define READ_IOVA UINT64_C(0x10000000)
#define WRITE_IOVA UINT64_C(0x20000000)
#define PART_BYTES (16 * PAGE)
/* The largest page that is used here is two of ours. */
#define SQ_PAGE(qid) (4 * (qid))
#define CQ_PAGE(qid) (4 * (qid) + 2)
#define QUEUE_PAGES (4 * QUEUES)
#define LIST_PAGE 16u
#define LIST_PAGES 16u
#define DATA_PAGE 32u
#define DATA_PAGES 96u

#define CC_ENABLE (NVME_CC_EN | 6u << 16 | 4u << 20)
#define READ_WRITE (VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITEABLE)

enum {
	OPTION_NULL = 1,
	OPTION_NO_SGL = 2,
	OPTION_NO_MMAP = 4, /* memory is reached by message */
	OPTION_TRAP = 8, /* doorbells too */
	OPTION_BLOCK_4K = 16,
	OPTION_PAGE_8K = 32,
	OPTION_CMB = 64,
	OPTION_OFF = 128, /* the input enables the controller, or does not */
	/* in the second byte */
	OPTION_FAULTS = 1,
	OPTION_READ_ONLY = 2,
	OPTION_NAMESPACES = 4,
	OPTION_SMALL_MDTS = 8,
	OPTION_FILE = 16, /* unless there is no disk at all */
	OPTION_CACHE = 32,
};

struct fuzz {
	struct fuzz_input input;
	struct sim_nvme *nvme;
	struct sim_server *server;
	struct wire *client;
	int memory;
	int disk; /* behind a controller of a file */
	uint8_t *shared;
	uint8_t *doorbells; /* NULL: by message */
	uint64_t doorbell_bytes;
	uint32_t cc; /* what enables the controller */
	uint32_t tails[QUEUES];
	uint16_t cid;
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
	case 1:
	case 2: /* a list, anywhere in a page */
		return IOVA + (LIST_PAGE + page % LIST_PAGES) * PAGE + (page / LIST_PAGES) * 16;
	case 3: /* the end of the memory */
		return IOVA + SHARED_BYTES - page;
	case 4:
		return READ_IOVA + page % 17 * PAGE;
	case 5:
		return WRITE_IOVA + page % 17 * PAGE;
	case 6: /* the queues themselves */
		return IOVA + page % QUEUE_PAGES * PAGE;
	case 7:
		return 0;
	case 8:
	case 9: /* anywhere in a page */
		return IOVA + (DATA_PAGE + page % DATA_PAGES) * PAGE + take(input, 2) % PAGE;
	default:
		return IOVA + (DATA_PAGE + page % DATA_PAGES) * PAGE;
	}
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
	if (weir_range_within(access.address - IOVA, access.count, SHARED_BYTES)) {
		memory = fuzz->shared + (access.address - IOVA);
	} else if (message.header.command == VFIO_USER_DMA_READ) {
		require(weir_range_within(access.address - READ_IOVA, access.count, PART_BYTES));
		memory = fuzz->shared + (access.address - READ_IOVA);
	} else {
		require(weir_range_within(access.address - WRITE_IOVA, access.count, PART_BYTES));
		memory = fuzz->shared + (access.address - WRITE_IOVA);
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

static void map_doorbells(struct fuzz *fuzz)
{
	struct vfio_user_region_info info = { .argsz = 256 };
	struct wire_message message;
	void *doorbells;

	send_message(fuzz->client, VFIO_USER_DEVICE_GET_REGION_INFO, 0, &info, sizeof(info), NULL,
		     0);
	sim_server_turn(fuzz->server);
	require(!weir_wire_receive(fuzz->client, &message, 0, NULL) &&
		message.bytes >= sizeof(info));
	memcpy(&info, message.payload, sizeof(info));
	if (message.nr_fds) {
		fuzz->doorbell_bytes = info.bytes - NVME_DOORBELLS;
		doorbells = mmap(NULL, fuzz->doorbell_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				 message.fds[0], NVME_DOORBELLS);
		require(doorbells != MAP_FAILED);
		fuzz->doorbells = doorbells;
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
	map_doorbells(fuzz);
	/* From here on nothing is a reply. */
	weir_wire_set_pump(server_end, answer, fuzz);
	send_map(fuzz->client, fuzz->memory, IOVA, 0, SHARED_BYTES, READ_WRITE);
	send_map(fuzz->client, fuzz->memory, READ_IOVA, 0, PART_BYTES, VFIO_USER_DMA_READABLE);
	send_map(fuzz->client, fuzz->memory, WRITE_IOVA, 0, PART_BYTES, VFIO_USER_DMA_WRITEABLE);
	write_region(fuzz->client, 7, 4, 6, 2); /* memory decoding, bus master */
	sim_server_turn(fuzz->server);
}

static void disconnect_driver(struct fuzz *fuzz)
{
	weir_wire_close(fuzz->client);
	/* It handles what is still on its way, some messages a turn, and then sees the end. */
	for (int i = 0; i < MAX_STEPS; i++)
		sim_server_turn(fuzz->server);
	if (fuzz->doorbells)
		munmap(fuzz->doorbells, fuzz->doorbell_bytes);
	fuzz->doorbells = NULL;
}

/* Doorbells are four bytes apart. */
static void ring(struct fuzz *fuzz, unsigned int doorbell, uint32_t value)
{
	if (fuzz->doorbells && doorbell * 4 < fuzz->doorbell_bytes)
		*(volatile uint32_t *)(fuzz->doorbells + doorbell * 4) = value;
	else
		write_region(fuzz->client, 0, NVME_DOORBELLS + doorbell * 4, value, 4);
}

static void put(struct fuzz *fuzz, unsigned int qid, struct nvme_sqe sqe)
{
	struct nvme_sqe *entries = (void *)(fuzz->shared + SQ_PAGE(qid) * PAGE);

	sqe.cid = fuzz->cid++;
	memcpy(&entries[fuzz->tails[qid]], &sqe, sizeof(sqe));
	fuzz->tails[qid] = (fuzz->tails[qid] + 1) % ENTRIES;
}

/* A command that an honest driver gives, to its end. Returns its status. */
static unsigned int run(struct fuzz *fuzz, unsigned int qid, struct nvme_sqe sqe)
{
	const struct nvme_cqe *cqe = (void *)(fuzz->shared + CQ_PAGE(qid) * PAGE);

	cqe += fuzz->tails[qid];
	put(fuzz, qid, sqe);
	ring(fuzz, 2 * qid, fuzz->tails[qid]);
	for (int i = 0; i < 4 && !(cqe->status & 1); i++)
		sim_server_turn(fuzz->server);
	if (!(cqe->status & 1) || cqe->cid != (uint16_t)(fuzz->cid - 1) || cqe->sq_id != qid)
		return UINT16_MAX;
	return cqe->status >> 1 & 0x7ff;
}

static struct nvme_sqe create_queue(uint8_t opcode, unsigned int qid, unsigned int page)
{
	return (struct nvme_sqe){
		.opcode = opcode,
		.prp1 = IOVA + page * PAGE,
		.cdw10 = (ENTRIES - 1) << 16 | qid,
		.cdw11 = (opcode == NVME_ADMIN_CREATE_SQ ? qid << 16 : 0) | NVME_QUEUE_CONTIGUOUS,
	};
}

/* A running controller with its queues. Returns whether all of them could be made. */
static bool bring_up(struct fuzz *fuzz)
{
	bool ok = true;

	memset(fuzz->shared, 0, QUEUE_PAGES * PAGE);
	memset(fuzz->tails, 0, sizeof(fuzz->tails));
	write_region(fuzz->client, 0, NVME_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1), 4);
	write_region(fuzz->client, 0, NVME_ASQ, IOVA + SQ_PAGE(0) * PAGE, 8);
	write_region(fuzz->client, 0, NVME_ACQ, IOVA + CQ_PAGE(0) * PAGE, 8);
	write_region(fuzz->client, 0, NVME_CC, fuzz->cc, 4);
	sim_server_turn(fuzz->server);
	for (unsigned int qid = 1; qid < QUEUES; qid++) {
		ok &= !run(fuzz, 0, create_queue(NVME_ADMIN_CREATE_CQ, qid, CQ_PAGE(qid)));
		ok &= !run(fuzz, 0, create_queue(NVME_ADMIN_CREATE_SQ, qid, SQ_PAGE(qid)));
	}
	return ok;
}

static void put_command(struct fuzz *fuzz, unsigned int qid)
{
	static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06,
					 0x08, 0x09, 0x0a, 0x0c, 0x7c };
	static const uint8_t io[] = { 0x00, 0x01, 0x02, 0x05, 0x08, 0x09, 0x0c };
	unsigned int opcode = (unsigned int)take(&fuzz->input, 1);
	struct nvme_sqe sqe = { .flags = (uint8_t)take(&fuzz->input, 1) };

	if (opcode & 0x80)
		sqe.opcode = opcode & 0x7f;
	else
		sqe.opcode = qid ? io[opcode % sizeof(io)] : admin[opcode % sizeof(admin)];
	sqe.nsid = take_dword(&fuzz->input);
	sqe.prp1 = take_address(&fuzz->input);
	/* An SGL descriptor has a length and a type there. */
	sqe.prp2 = sqe.flags & 0xc0 ? take(&fuzz->input, 1) << 60 | take_dword(&fuzz->input)
				    : take_address(&fuzz->input);
	sqe.cdw10 = take_dword(&fuzz->input);
	sqe.cdw11 = take_dword(&fuzz->input);
	sqe.cdw12 = take_dword(&fuzz->input);
	sqe.cdw13 = take_dword(&fuzz->input);
	put(fuzz, qid, sqe);
}

/* Entries of a list, by PRPs or SGL descriptors, or any bytes. */
static void fill_list(struct fuzz *fuzz)
{
	unsigned int kind = (unsigned int)take(&fuzz->input, 1),
		     place = (unsigned int)take(&fuzz->input, 1);
	uint64_t *entry = (void *)(fuzz->shared + LIST_PAGE * PAGE + place * 256);
	unsigned int n = (unsigned int)take(&fuzz->input, 1) % 16 + 1;

	for (unsigned int i = 0; i < n; i++) {
		*entry++ = kind % 4 == 3 ? take(&fuzz->input, 8) : take_address(&fuzz->input);
		if (kind % 4 == 1)
			*entry++ = take(&fuzz->input, 1) << 60 | take_dword(&fuzz->input);
	}
}

static void write_register(struct fuzz *fuzz)
{
	static const uint16_t offsets[] = { NVME_CC, NVME_AQA, NVME_ASQ, NVME_ACQ, NVME_CSTS, 0x0c,
					    0x10,    0x20,     0x50,	 0x58,	   0x1000,    0 };
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);
	uint64_t offset = offsets[choice % ARRAY_SIZE(offsets)], value;

	if (!offset)
		offset = take(&fuzz->input, 2);
	value = choice & 0x80	? take_address(&fuzz->input)
		: choice & 0x40 ? fuzz->cc
				: take(&fuzz->input, 4);
	write_region(fuzz->client, 0, offset, value, choice & 0x20 ? 8 : 4);
}

static void change_memory(struct fuzz *fuzz)
{
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);

	switch (choice % 6) {
	case 0:
		send_unmap(fuzz->client, IOVA, SHARED_BYTES);
		break;
	case 1:
		send_map(fuzz->client, fuzz->memory, IOVA, 0, SHARED_BYTES, READ_WRITE);
		break;
	case 2: /* in pieces, which lie together or do not */
		send_unmap(fuzz->client, IOVA, SHARED_BYTES);
		for (uint64_t at = 0; at < SHARED_BYTES; at += SHARED_BYTES / 4)
			send_map(fuzz->client, fuzz->memory, IOVA + at,
				 choice & 0x80 ? at : SHARED_BYTES / 4 * 3 - at, SHARED_BYTES / 4,
				 READ_WRITE);
		break;
	case 3:
		send_unmap(fuzz->client, READ_IOVA, PART_BYTES);
		send_unmap(fuzz->client, WRITE_IOVA, PART_BYTES);
		break;
	default:
		send_unmap(fuzz->client, IOVA + take(&fuzz->input, 1) * PAGE,
			   take(&fuzz->input, 1) * PAGE);
		break;
	}
}

static void disturb(struct fuzz *fuzz)
{
	unsigned int choice = (unsigned int)take(&fuzz->input, 1);

	switch (choice % 5) {
	case 0:
		write_region(fuzz->client, 7, 4, take(&fuzz->input, 1), 2);
		break;
	case 1:
		sim_nvme_resize(fuzz->nvme, 1, take(&fuzz->input, 1) * 64);
		break;
	case 2:
		sim_nvme_async_event(fuzz->nvme, choice >> 4 & 3, (uint8_t)take(&fuzz->input, 1),
				     (uint8_t)take(&fuzz->input, 1));
		break;
	case 3:
		send_message(fuzz->client, VFIO_USER_DEVICE_RESET, VFIO_USER_NO_REPLY, NULL, 0,
			     NULL, 0);
		break;
	default: /* the controller memory buffer, or what is not there */
		write_region(fuzz->client, 2, take(&fuzz->input, 2), take(&fuzz->input, 8), 8);
		break;
	}
}

static void step(struct fuzz *fuzz)
{
	unsigned int what = (unsigned int)take(&fuzz->input, 1), qid = what >> 4 & 3;

	switch (what & 15) {
	case 0:
	case 1:
	case 2:
		qid = 0;
		put_command(fuzz, qid);
		break;
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		put_command(fuzz, qid);
		break;
	case 8:
	case 9:
		fill_list(fuzz);
		return;
	case 10: /* any doorbell, any value */
		ring(fuzz, (unsigned int)take(&fuzz->input, 1), take_dword(&fuzz->input));
		break;
	case 11: /* completions were taken */
		ring(fuzz, 2 * qid + 1, take_dword(&fuzz->input) % ENTRIES);
		return;
	case 12:
		write_register(fuzz);
		break;
	case 13:
		change_memory(fuzz);
		break;
	case 14:
		disturb(fuzz);
		break;
	default:
		break;
	}
	if ((what & 15) < 8 && what & 0x80)
		return; /* rung with the next one */
	if ((what & 15) < 8)
		ring(fuzz, 2 * qid, fuzz->tails[qid]);
	sim_server_turn(fuzz->server);
}

static void make_controller(struct fuzz *fuzz, unsigned int first, unsigned int second)
{
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	char path[32];

	options.backing = first & OPTION_NULL ? SIM_NVME_NULL : SIM_NVME_MEMORY;
	if (second & OPTION_FILE && !(first & OPTION_NULL)) {
		options.backing = SIM_NVME_FILE;
		options.file = path;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fuzz->disk);
	}
	options.write_cache = second & OPTION_CACHE;
	options.bytes = DISK_BYTES;
	options.queues = QUEUES - 1;
	options.mqes = 64;
	options.dstrd = 0;
	options.no_sgl = first & OPTION_NO_SGL;
	options.no_mmap_dma = first & OPTION_NO_MMAP;
	options.trap_doorbells = first & OPTION_TRAP;
	options.block_bytes = first & OPTION_BLOCK_4K ? 4096 : 512;
	options.mpsmin = first & OPTION_PAGE_8K ? 1 : 0;
	options.cmb_bytes = first & OPTION_CMB ? 64 << 10 : 0;
	options.read_only = second & OPTION_READ_ONLY;
	options.namespaces = second & OPTION_NAMESPACES ? 3 : 1;
	options.mdts = second & OPTION_SMALL_MDTS ? 1 : -1;
	if (second & OPTION_FAULTS)
		options.faults = (struct sim_nvme_faults){
			.drop_every = 5,
			.delay_every = 3,
			.status_every = 7,
			.status = 0x2,
			.wrong_cid_every = 11,
			.duplicate_cid_every = 4,
		};
	require(!sim_nvme_create(&options, &fuzz->nvme, NULL));
	fuzz->server = sim_nvme_server(fuzz->nvme);
	fuzz->cc = CC_ENABLE | options.mpsmin << 7;
}

/* After a hostile driver, an honest one finds what it wrote. */
static void check_controller(struct fuzz *fuzz, bool keeps_data)
{
	uint8_t *data = fuzz->shared + DATA_PAGE * PAGE;
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE,
				.nsid = 1,
				.prp1 = IOVA + DATA_PAGE * PAGE };

	sim_nvme_resize(fuzz->nvme, 1, 64);
	connect_driver(fuzz);
	require(bring_up(fuzz));
	if (keeps_data) {
		memset(data, 0x5a, PAGE);
		require(!run(fuzz, 1, sqe));
		memset(data, 0, PAGE);
	}
	sqe.opcode = NVME_IO_READ;
	require(!run(fuzz, 1, sqe));
	require(!keeps_data || (data[0] == 0x5a && data[511] == 0x5a));
	disconnect_driver(fuzz);
}

static void make_memory(struct fuzz *fuzz)
{
	fuzz->memory = memfd_create("fuzz", MFD_CLOEXEC);
	fuzz->disk = memfd_create("disk", MFD_CLOEXEC);
	require(fuzz->memory >= 0 && !ftruncate(fuzz->memory, SHARED_BYTES));
	require(fuzz->disk >= 0 && !ftruncate(fuzz->disk, DISK_BYTES));
	fuzz->shared = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fuzz->memory,
			    0);
	require(fuzz->shared != MAP_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct fuzz fuzz = { .input = { .at = data, .end = data + bytes } };
	unsigned int first = (unsigned int)take(&fuzz.input, 1),
		     second = (unsigned int)take(&fuzz.input, 1);
	struct sim_nvme_stats stats;

	make_memory(&fuzz);
	make_controller(&fuzz, first, second);
	connect_driver(&fuzz);
	if (!(first & OPTION_OFF))
		require(bring_up(&fuzz));
	for (int i = 0; i < MAX_STEPS && fuzz.input.at < fuzz.input.end; i++)
		step(&fuzz);
	for (int i = 0; i < 4; i++)
		sim_server_turn(fuzz.server);
	sim_nvme_stats(fuzz.nvme, &stats);
	require(stats.completions <= stats.commands * (second & OPTION_FAULTS ? 2 : 1));
	require(stats.errors <= stats.completions);
	disconnect_driver(&fuzz);
	if (!(second & OPTION_FAULTS))
		check_controller(&fuzz, !(first & OPTION_NULL) && !(second & OPTION_READ_ONLY));
	sim_nvme_destroy(fuzz.nvme);
	munmap(fuzz.shared, SHARED_BYTES);
	close(fuzz.memory);
	close(fuzz.disk);
	return 0;
}
