/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim_nvme_host.h"

#define COMMAND_REGISTER 4
#define BUS_MASTER_AND_MEMORY 0x6
#define CONFIG_REGION 7
#define CC_ENABLE (NVME_CC_EN | 6u << 16 | 4u << 20)
#define IDLE_TURNS 3

static void map_doorbells(struct host *host)
{
	struct vfio_user_region_info info = { .argsz = 256, .index = 0 };
	void *map;

	assert_int_equal(sim_client_call(&host->client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	assert_true(host->client.reply.bytes >= sizeof(info));
	memcpy(&info, host->client.reply.payload, sizeof(info));
	if (!(info.flags & VFIO_USER_REGION_MMAP))
		return;
	assert_int_equal(host->client.reply.nr_fds, 1);
	host->doorbell_bytes = info.bytes - NVME_DOORBELLS;
	map = mmap(NULL, host->doorbell_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   host->client.reply.fds[0], NVME_DOORBELLS);
	assert_ptr_not_equal(map, MAP_FAILED);
	host->doorbells = map;
}

static void answer_dma(void *ctx)
{
	struct host *host = ctx;
	int answered;

	/* Elsewhere what the server says is a reply. */
	if (!host->in_turn)
		return;
	answered = sim_client_answer_dma(&host->client, host->memory, HOST_IOVA, HOST_BYTES);
	assert_true(answered >= 0);
	host->dma_messages += (unsigned int)answered;
}

void host_connect(struct host *host)
{
	struct sim_server *server = sim_nvme_server(host->nvme);
	const uint16_t command = BUS_MASTER_AND_MEMORY;
	struct wire *end;

	/* As sim_client_open(), with an answer to DMA requests. */
	host->client = (struct sim_client){ .server = server };
	assert_int_equal(weir_wire_pair(&host->client.wire, &end), 0);
	weir_wire_set_pump(end, answer_dma, host);
	assert_int_equal(sim_server_connect(server, end), 0);
	assert_int_equal(sim_client_hello(&host->client, NULL), 0);
	assert_int_equal(sim_client_write(&host->client, CONFIG_REGION, COMMAND_REGISTER, &command,
					  sizeof(command)),
			 0);
	assert_int_equal(sim_client_map(&host->client, HOST_IOVA, HOST_BYTES, 0, 3, host->fd), 0);
}

void host_open(struct host *host, const struct sim_nvme_options *options)
{
	struct weir_error err = { 0 };
	void *map;

	*host = (struct host){ .fd = memfd_create("host", MFD_CLOEXEC) };
	assert_true(host->fd >= 0);
	assert_int_equal(ftruncate(host->fd, (off_t)HOST_BYTES), 0);
	map = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, host->fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	host->memory = map;

	if (sim_nvme_create(options, &host->nvme, &err))
		fail_msg("%s", err.text);
	host_connect(host);
	host->stride = 4u << (host_read64(host, NVME_CAP) >> NVME_CAP_DSTRD_SHIFT & 0xf);
	map_doorbells(host);
}

void host_close(struct host *host)
{
	sim_client_close(&host->client);
	sim_nvme_destroy(host->nvme);
	if (host->doorbells)
		munmap(host->doorbells, host->doorbell_bytes);
	munmap(host->memory, HOST_BYTES);
	close(host->fd);
}

void host_start(struct host *host, const struct sim_nvme_options *options)
{
	host_open(host, options);
	host_enable(host);
	host_queue(host, 1);
}

uint32_t host_read32(struct host *host, uint64_t offset)
{
	uint32_t value = 0;

	assert_int_equal(sim_client_read(&host->client, 0, offset, &value, sizeof(value)), 0);
	return value;
}

uint64_t host_read64(struct host *host, uint64_t offset)
{
	uint64_t value = 0;

	assert_int_equal(sim_client_read(&host->client, 0, offset, &value, sizeof(value)), 0);
	return value;
}

void host_write32(struct host *host, uint64_t offset, uint32_t value)
{
	assert_int_equal(sim_client_write(&host->client, 0, offset, &value, sizeof(value)), 0);
}

void host_write64(struct host *host, uint64_t offset, uint64_t value)
{
	assert_int_equal(sim_client_write(&host->client, 0, offset, &value, sizeof(value)), 0);
}

void host_enable(struct host *host)
{
	host_queue_clear(host, 0, HOST_ENTRIES);
	host_write32(host, NVME_AQA, (HOST_ENTRIES - 1) << 16 | (HOST_ENTRIES - 1));
	host_write64(host, NVME_ASQ, host_iova(HOST_SQ(0)));
	host_write64(host, NVME_ACQ, host_iova(HOST_CQ(0)));
	host_write32(host, NVME_CC, CC_ENABLE);
	assert_int_equal(host_read32(host, NVME_CSTS), NVME_CSTS_RDY);
}

void host_disable(struct host *host)
{
	host_write32(host, NVME_CC, 0);
	assert_int_equal(host_read32(host, NVME_CSTS), 0);
}

void host_turn(struct host *host)
{
	struct sim_server *server = sim_nvme_server(host->nvme);

	host->in_turn = true;
	for (int idle = 0; idle < IDLE_TURNS;)
		idle = sim_server_turn(server) ? 0 : idle + 1;
	host->in_turn = false;
}

uint16_t host_put(struct host *host, unsigned int qid, struct nvme_sqe sqe)
{
	struct host_queue *queue = &host->queues[qid];
	struct nvme_sqe *entries = host_at(host, queue->sq);

	sqe.cid = host->next_cid++;
	entries[queue->sq_tail] = sqe;
	queue->sq_tail = (queue->sq_tail + 1) % queue->size;
	return sqe.cid;
}

void host_ring_value(struct host *host, unsigned int qid, bool cq, uint32_t value)
{
	uint64_t offset = (2ull * qid + cq) * host->stride;

	if (host->doorbells)
		*(volatile uint32_t *)(host->doorbells + offset) = value;
	else
		host_write32(host, NVME_DOORBELLS + offset, value);
}

void host_ring(struct host *host, unsigned int qid)
{
	host_ring_value(host, qid, false, host->queues[qid].sq_tail);
}

bool host_take(struct host *host, unsigned int qid)
{
	struct host_queue *queue = &host->queues[qid];
	const struct nvme_cqe *entries = host_at(host, queue->cq);

	host->cqe = entries[queue->cq_head];
	if ((host->cqe.status & 1) != queue->phase)
		return false;
	if (++queue->cq_head == queue->size) {
		queue->cq_head = 0;
		queue->phase ^= 1;
	}
	return true;
}

void host_acknowledge(struct host *host, unsigned int qid)
{
	host_ring_value(host, qid, true, host->queues[qid].cq_head);
}

unsigned int host_run(struct host *host, unsigned int qid, struct nvme_sqe sqe)
{
	uint16_t cid = host_put(host, qid, sqe);

	host_ring(host, qid);
	host_turn(host);
	if (!host_take(host, qid))
		return HOST_NOTHING;
	host_acknowledge(host, qid);
	assert_int_equal(host->cqe.cid, cid);
	assert_int_equal(host->cqe.sq_id, qid);
	assert_int_equal(host->cqe.sq_head, host->queues[qid].sq_tail);
	return host->cqe.status >> 1 & 0x7ff;
}

void host_queue_clear(struct host *host, unsigned int qid, uint32_t size)
{
	host->queues[qid] = (struct host_queue){
		.qid = qid,
		.size = size,
		.phase = 1,
		.sq = HOST_SQ(qid),
		.cq = HOST_CQ(qid),
	};
	memset(host_at(host, HOST_CQ(qid)), 0, size * sizeof(struct nvme_cqe));
}

unsigned int host_create_cq(struct host *host, unsigned int qid, uint32_t entries)
{
	return host_run(host, 0,
			(struct nvme_sqe){
				.opcode = NVME_ADMIN_CREATE_CQ,
				.prp1 = host_iova(HOST_CQ(qid)),
				.cdw10 = (entries - 1) << 16 | qid,
				.cdw11 = NVME_QUEUE_CONTIGUOUS,
			});
}

unsigned int host_create_sq(struct host *host, unsigned int qid, uint32_t entries)
{
	return host_run(host, 0,
			(struct nvme_sqe){
				.opcode = NVME_ADMIN_CREATE_SQ,
				.prp1 = host_iova(HOST_SQ(qid)),
				.cdw10 = (entries - 1) << 16 | qid,
				.cdw11 = qid << 16 | NVME_QUEUE_CONTIGUOUS,
			});
}

void host_queue(struct host *host, unsigned int qid)
{
	host_queue_clear(host, qid, HOST_ENTRIES);
	assert_int_equal(host_create_cq(host, qid, HOST_ENTRIES), NVME_SUCCESS);
	assert_int_equal(host_create_sq(host, qid, HOST_ENTRIES), NVME_SUCCESS);
}

unsigned int host_identify(struct host *host, uint32_t nsid, uint32_t cns, void *page)
{
	unsigned int status = host_run(host, 0,
				       (struct nvme_sqe){
					       .opcode = NVME_ADMIN_IDENTIFY,
					       .nsid = nsid,
					       .prp1 = host_iova(HOST_DATA),
					       .cdw10 = cns,
				       });

	memcpy(page, host_at(host, HOST_DATA), NVME_IDENTIFY_BYTES);
	return status;
}

unsigned int host_log(struct host *host, uint8_t id, uint32_t bytes, void *page)
{
	unsigned int status = host_run(host, 0,
				       (struct nvme_sqe){
					       .opcode = NVME_ADMIN_GET_LOG_PAGE,
					       .nsid = NVME_NSID_ALL,
					       .prp1 = host_iova(HOST_DATA),
					       .cdw10 = (bytes / 4 - 1) << 16 | id,
				       });

	memcpy(page, host_at(host, HOST_DATA), bytes);
	return status;
}

struct nvme_sqe host_rw(uint8_t opcode, uint64_t lba, uint32_t blocks)
{
	return (struct nvme_sqe){
		.opcode = opcode,
		.nsid = 1,
		.prp1 = host_iova(HOST_DATA),
		.prp2 = host_iova(HOST_DATA + 4096),
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = blocks - 1,
	};
}
