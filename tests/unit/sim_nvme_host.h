/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host of an emulated NVMe controller, in the same thread: memory, hand-built queues, one
 * command at a time. It says exactly what a test wants said, wrong things included.
 */
#ifndef WEIR_TESTS_SIM_NVME_HOST_H
#define WEIR_TESTS_SIM_NVME_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "nvme/sim_nvme.h"
#include "nvme/spec.h"
#include "sim_client.h"

#define HOST_IOVA UINT64_C(0x1000000000)
#define HOST_BYTES (UINT64_C(32) << 20)
#define HOST_QUEUES 4
#define HOST_ENTRIES 64 /* of a queue that host_queue() makes */
/* The memory: queues below, for tests to use above. */
#define HOST_SQ(qid) (0x100000u + 0x80000u * (qid))
#define HOST_CQ(qid) (HOST_SQ(qid) + 0x40000u)
#define HOST_DATA 0x800000u
#define HOST_LIST 0x400000u

#define HOST_NOTHING 0xffffu /* instead of a status: no completion came */

struct host_queue {
	unsigned int qid;
	uint32_t size, sq_tail, cq_head, phase;
	uint64_t sq, cq; /* offsets in memory */
};

struct host {
	struct sim_nvme *nvme;
	struct sim_client client;
	bool in_turn; /* the client answers DMA requests */
	uint8_t *memory;
	int fd; /* of the memory */
	uint8_t *doorbells; /* NULL: by message */
	uint64_t doorbell_bytes;
	uint32_t stride;
	struct host_queue queues[HOST_QUEUES];
	uint16_t next_cid;
	unsigned int dma_messages; /* that the server sent */
	struct nvme_cqe cqe; /* the last completion */
};

/* A controller with memory mapped and its admin queue made; bus master on. */
void host_open(struct host *host, const struct sim_nvme_options *options);
void host_close(struct host *host);
/* Another client, after sim_client_close(). */
void host_connect(struct host *host);
/* The same, and a queue pair 1. */
void host_start(struct host *host, const struct sim_nvme_options *options);

uint32_t host_read32(struct host *host, uint64_t offset);
uint64_t host_read64(struct host *host, uint64_t offset);
void host_write32(struct host *host, uint64_t offset, uint32_t value);
void host_write64(struct host *host, uint64_t offset, uint64_t value);

/* CC.EN with an admin queue of HOST_ENTRIES. */
void host_enable(struct host *host);
void host_disable(struct host *host);

/* Memory by its offset, and its address for the device. */
static inline void *host_at(const struct host *host, uint64_t offset)
{
	return host->memory + offset;
}

static inline uint64_t host_iova(uint64_t offset)
{
	return HOST_IOVA + offset;
}

/* Lets the controller work until it has nothing to do. */
void host_turn(struct host *host);

/* Puts an entry into a queue, with a command id of its own, without ringing. Returns the id. */
uint16_t host_put(struct host *host, unsigned int qid, struct nvme_sqe sqe);
void host_ring(struct host *host, unsigned int qid);
void host_ring_value(struct host *host, unsigned int qid, bool cq, uint32_t value);
/* Takes a completion into host->cqe. false: there is none. */
bool host_take(struct host *host, unsigned int qid);
/* Tells the controller what was taken. */
void host_acknowledge(struct host *host, unsigned int qid);

/* One command from submission to completion. Its status without the phase and without DNR, or
 * HOST_NOTHING. */
unsigned int host_run(struct host *host, unsigned int qid, struct nvme_sqe sqe);

/* Forgets what was in a queue of this size: before it is made. */
void host_queue_clear(struct host *host, unsigned int qid, uint32_t size);

/* Admin commands. Their status. */
unsigned int host_create_cq(struct host *host, unsigned int qid, uint32_t entries);
unsigned int host_create_sq(struct host *host, unsigned int qid, uint32_t entries);
/* Makes a pair of HOST_ENTRIES, which has to succeed. */
void host_queue(struct host *host, unsigned int qid);
unsigned int host_identify(struct host *host, uint32_t nsid, uint32_t cns, void *page);
unsigned int host_log(struct host *host, uint8_t id, uint32_t bytes, void *page);

/* An entry for a read, write or compare at HOST_DATA by PRPs, up to two pages. */
struct nvme_sqe host_rw(uint8_t opcode, uint64_t lba, uint32_t blocks);

#endif
