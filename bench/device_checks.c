/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device_checks ADDRESS: gives an NVMe controller commands that no driver of ours would send (a
 * wrong LBA, wrong data pointers, a wrong namespace) and says how it answers. A device whose rate
 * is quoted has to check what it is told: this is run on the one that was measured.
 *
 * A driver of the smallest kind: one admin queue and one I/O queue pair, one command at a time.
 * Section numbers are those of the NVM Express Base Specification 2.0.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <weir/device.h>
#include <weir/mmio.h>

#define ENTRIES 8u
#define PAGE 4096u
#define WAIT_MS 5000

/* Registers (§3.1.3). */
#define REG_CAP 0x00
#define REG_CC 0x14
#define REG_CSTS 0x1c
#define REG_AQA 0x24
#define REG_ASQ 0x28
#define REG_ACQ 0x30
#define REG_DOORBELLS 0x1000

/* Commands (§5, NVM Command Set 1.0 §3.2). */
#define ADMIN_CREATE_SQ 0x01
#define ADMIN_CREATE_CQ 0x05
#define ADMIN_IDENTIFY 0x06
#define IO_WRITE 0x01
#define IO_READ 0x02

/* Status field: type in bits 10:8, code in bits 7:0 (§4.2.3). */
#define STATUS_NO_ANSWER (-1)
#define STATUS_CODE(status) ((status)&0x7ff)

struct sqe {
	uint32_t opcode_cid;
	uint32_t nsid;
	uint64_t reserved, metadata;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct cqe {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, cid;
	volatile uint16_t status; /* the phase in bit 0 */
};

struct queue {
	struct sqe *sq;
	struct cqe *cq;
	uint32_t tail, head, phase, id;
};

struct checker {
	struct weir_arena *arena;
	struct weir_ioas *ioas;
	struct weir_device *dev;
	struct weir_error err;
	struct queue admin, io;
	uint32_t stride; /* bytes from doorbell to doorbell */
	void *data; /* two pages */
	uint64_t blocks;
	uint32_t block_bytes;
};

static uint64_t iova(const struct checker *c, const void *ptr)
{
	return weir_arena_ptr_iova(c->arena, ptr);
}

static bool queue_alloc(struct checker *c, struct queue *queue, uint32_t id)
{
	*queue = (struct queue){
		.sq = weir_arena_alloc(c->arena, PAGE, PAGE),
		.cq = weir_arena_alloc(c->arena, PAGE, PAGE),
		.phase = 1,
		.id = id,
	};
	return queue->sq && queue->cq;
}

static int ring(struct checker *c, const struct queue *queue, bool cq, uint32_t value)
{
	return weir_device_write32(c->dev, WEIR_REGION_BAR0,
				   REG_DOORBELLS + (queue->id * 2 + cq) * c->stride, value);
}

static void sleep_ms(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* Sends a command and waits. Its status field without the phase, or STATUS_NO_ANSWER. */
static int command(struct checker *c, struct queue *queue, const struct sqe *sqe)
{
	struct cqe *cqe = &queue->cq[queue->head];
	int status;

	queue->sq[queue->tail] = *sqe;
	queue->tail = (queue->tail + 1) % ENTRIES;
	weir_dma_wmb();
	if (ring(c, queue, false, queue->tail))
		return STATUS_NO_ANSWER;
	for (unsigned int ms = 0; (cqe->status & 1u) != queue->phase; ms++) {
		if (ms == WAIT_MS)
			return STATUS_NO_ANSWER;
		sleep_ms();
	}
	weir_dma_rmb();
	status = cqe->status >> 1;
	queue->head = (queue->head + 1) % ENTRIES;
	queue->phase ^= !queue->head;
	return ring(c, queue, true, queue->head) ? STATUS_NO_ANSWER : status;
}

static bool wait_ready(struct checker *c, uint32_t ready)
{
	uint32_t csts = 0;

	for (unsigned int ms = 0; ms < WAIT_MS; ms++) {
		if (weir_device_read32(c->dev, WEIR_REGION_BAR0, REG_CSTS, &csts))
			return false;
		if ((csts & 1) == ready)
			return true;
		sleep_ms();
	}
	return false;
}

/* §3.5.1: disable, admin queue, enable with 4 KiB pages and entries of 64 and 16 bytes. */
static bool enable(struct checker *c)
{
	const unsigned int bar = WEIR_REGION_BAR0;
	uint64_t cap;

	if (weir_device_bus_master(c->dev, 1, &c->err) ||
	    weir_device_read64(c->dev, bar, REG_CAP, &cap))
		return false;
	c->stride = 4u << (cap >> 32 & 0xf);
	return !weir_device_write32(c->dev, bar, REG_CC, 0) && wait_ready(c, 0) &&
	       !weir_device_write32(c->dev, bar, REG_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1)) &&
	       !weir_device_write64(c->dev, bar, REG_ASQ, iova(c, c->admin.sq)) &&
	       !weir_device_write64(c->dev, bar, REG_ACQ, iova(c, c->admin.cq)) &&
	       !weir_device_write32(c->dev, bar, REG_CC, 4u << 20 | 6u << 16 | 1) &&
	       wait_ready(c, 1);
}

/* Identify Namespace: its size and the size of its blocks (NVM Command Set §4.1.5.1). */
static bool identify(struct checker *c)
{
	struct sqe sqe = { .opcode_cid = ADMIN_IDENTIFY, .nsid = 1, .prp1 = iova(c, c->data) };
	uint8_t *page = c->data;
	uint32_t format;

	if (command(c, &c->admin, &sqe))
		return false;
	memcpy(&c->blocks, page, sizeof(c->blocks));
	memcpy(&format, page + 128 + 4 * (page[26] & 0xf), sizeof(format));
	c->block_bytes = 1u << (format >> 16 & 0xff);
	return c->blocks && c->block_bytes >= 512 && c->block_bytes <= PAGE;
}

/* §5.4, §5.5: physically contiguous. */
static bool create_queues(struct checker *c)
{
	struct sqe cq = { .opcode_cid = ADMIN_CREATE_CQ,
			  .prp1 = iova(c, c->io.cq),
			  .cdw10 = (ENTRIES - 1) << 16 | c->io.id,
			  .cdw11 = 1 };
	struct sqe sq = { .opcode_cid = ADMIN_CREATE_SQ,
			  .prp1 = iova(c, c->io.sq),
			  .cdw10 = (ENTRIES - 1) << 16 | c->io.id,
			  .cdw11 = c->io.id << 16 | 1 };

	return !command(c, &c->admin, &cq) && !command(c, &c->admin, &sq);
}

static bool bring_up(struct checker *c, const char *address)
{
	struct weir_arena_options options = WEIR_ARENA_OPTIONS_INIT;
	struct weir_mapping *mapping;

	options.bytes = 1u << 20;
	if (weir_arena_create(&options, &c->arena, &c->err) ||
	    weir_ioas_create(NULL, &c->ioas, &c->err) ||
	    weir_ioas_map_arena(c->ioas, c->arena, &mapping, &c->err) ||
	    weir_device_open(address, c->ioas, NULL, &c->dev, &c->err))
		return false;
	c->data = weir_arena_alloc(c->arena, 2 * PAGE, PAGE);
	if (c->data && queue_alloc(c, &c->admin, 0) && queue_alloc(c, &c->io, 1) && enable(c) &&
	    identify(c) && create_queues(c))
		return true;
	if (!c->err.code)
		snprintf(c->err.text, sizeof(c->err.text), "the controller does not come up");
	return false;
}

/* One page of I/O at an LBA. */
static struct sqe page_io(const struct checker *c, uint8_t opcode, uint64_t lba)
{
	return (struct sqe){
		.opcode_cid = opcode,
		.nsid = 1,
		.prp1 = iova(c, c->data),
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = PAGE / c->block_bytes - 1,
	};
}

/* Sends a command, whose status has to be `expected`. */
static bool try(struct checker *c, const char *what, const struct sqe *sqe, int expected)
{
	int status = command(c, &c->io, sqe);
	bool ok = status >= 0 && STATUS_CODE(status) == expected;

	if (status < 0)
		printf("%-40s no answer\n", what);
	else
		printf("%-40s status %03xh%s\n", what, (unsigned int)STATUS_CODE(status),
		       ok ? "" : ": NOT AS IT SHOULD BE");
	return ok;
}

/* Status codes: §4.2.3.1 figure 94, NVM Command Set §4.1.1. */
static bool check(struct checker *c)
{
	const uint64_t outside = UINT64_C(1) << 44; /* mapped by nobody */
	struct sqe good = page_io(c, IO_READ, 0), bad;
	bool ok = try(c, "a read that is right", &good, 0x000);

	bad = page_io(c, IO_READ, c->blocks);
	ok = try(c, "a read after the last LBA", &bad, 0x080) && ok;
	bad = page_io(c, IO_WRITE, UINT64_MAX);
	ok = try(c, "a write at LBA 2^64 - 1", &bad, 0x080) && ok;
	bad = good;
	bad.prp1 = outside;
	ok = try(c, "a read into memory that is not mapped", &bad, 0x004) && ok;
	bad = page_io(c, IO_WRITE, 0);
	bad.prp1 = outside;
	ok = try(c, "a write from memory that is not mapped", &bad, 0x004) && ok;
	bad = good;
	bad.prp1 += 512;
	bad.prp2 = iova(c, c->data) + PAGE + 8;
	ok = try(c, "a second PRP that is not page aligned", &bad, 0x013) && ok;
	bad = good;
	bad.nsid = 77;
	ok = try(c, "a namespace that is not there", &bad, 0x00b) && ok;
	return try(c, "a read that is right, after all that", &good, 0x000) && ok;
}

int main(int argc, char **argv)
{
	struct checker c = { 0 };
	bool ok = false;

	if (argc != 2) {
		fprintf(stderr, "Usage: device_checks ADDRESS\n");
		return 2;
	}
	if (bring_up(&c, argv[1]))
		ok = check(&c);
	else
		fprintf(stderr, "device_checks: %s\n", c.err.text);
	weir_device_close(c.dev);
	if (c.ioas)
		weir_ioas_destroy(c.ioas);
	weir_arena_destroy(c.arena);
	return ok ? 0 : 1;
}
