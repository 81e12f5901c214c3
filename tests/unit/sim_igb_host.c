/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim_igb_host.h"

#define COMMAND_REGISTER 4
#define BUS_MASTER_AND_MEMORY 0x6
#define CONFIG_REGION 7
#define IDLE_TURNS 3
#define RX_DD UINT64_C(1)

static void answer_dma(void *ctx)
{
	struct nic *nic = ctx;
	int answered;

	/* Elsewhere what the server says is a reply. */
	if (!nic->in_turn)
		return;
	answered = sim_client_answer_dma(&nic->client, nic->memory, NIC_IOVA, NIC_BYTES);
	assert_true(answered >= 0);
	nic->dma_messages += (unsigned int)answered;
}

static void map_pages(struct nic *nic)
{
	static const uint32_t offsets[2] = { IGB_RX_QUEUES, IGB_TX_QUEUES };
	struct vfio_user_region_info info = { .argsz = 256, .index = 0 };

	assert_int_equal(sim_client_call(&nic->client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	assert_true(nic->client.reply.bytes >= sizeof(info));
	memcpy(&info, nic->client.reply.payload, sizeof(info));
	assert_int_equal(info.bytes, IGB_BAR_BYTES);
	if (!(info.flags & VFIO_USER_REGION_MMAP))
		return;
	assert_int_equal(nic->client.reply.nr_fds, 1);
	for (unsigned int i = 0; i < 2; i++) {
		void *map = mmap(NULL, IGB_QUEUE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				 nic->client.reply.fds[0], offsets[i]);

		assert_ptr_not_equal(map, MAP_FAILED);
		nic->pages[i] = map;
	}
}

void nic_open(struct nic *nic, const struct sim_igb_options *options, struct sim_cable *cable)
{
	static const struct sim_igb_options defaults;
	const uint16_t command = BUS_MASTER_AND_MEMORY;
	struct weir_error err = { 0 };
	struct wire *end;
	void *map;

	*nic = (struct nic){ .fd = memfd_create("nic", MFD_CLOEXEC) };
	assert_true(nic->fd >= 0);
	assert_int_equal(ftruncate(nic->fd, (off_t)NIC_BYTES), 0);
	map = mmap(NULL, NIC_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, nic->fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	nic->memory = map;
	if (sim_igb_create(options ? options : &defaults, cable, &nic->igb, &err))
		fail_msg("%s", err.text);

	/* As sim_client_open(), with an answer to DMA requests. */
	nic->client = (struct sim_client){ .server = sim_igb_server(nic->igb) };
	assert_int_equal(weir_wire_pair(&nic->client.wire, &end), 0);
	weir_wire_set_pump(end, answer_dma, nic);
	assert_int_equal(sim_server_connect(nic->client.server, end), 0);
	assert_int_equal(sim_client_hello(&nic->client, NULL), 0);
	assert_int_equal(sim_client_write(&nic->client, CONFIG_REGION, COMMAND_REGISTER, &command,
					  sizeof(command)),
			 0);
	assert_int_equal(sim_client_map(&nic->client, NIC_IOVA, NIC_BYTES, 0, 3, nic->fd), 0);
	map_pages(nic);
}

void nic_close(struct nic *nic)
{
	sim_client_close(&nic->client);
	sim_igb_destroy(nic->igb);
	for (unsigned int i = 0; i < 2; i++) {
		if (nic->pages[i])
			munmap(nic->pages[i], IGB_QUEUE_PAGE_BYTES);
	}
	munmap(nic->memory, NIC_BYTES);
	close(nic->fd);
}

void nic_open_pair(struct nic nics[2], const struct sim_igb_options *options, bool lossless)
{
	struct sim_igb_options settings = { 0 };
	struct sim_cable *ends[2];

	if (options)
		settings = *options;
	assert_int_equal(sim_cable_pair(lossless, ends, NULL), 0);
	for (unsigned int i = 0; i < 2; i++) {
		settings.port = i;
		nic_open(&nics[i], &settings, ends[i]);
		nics[i].peer = &nics[!i];
	}
	nic_up(&nics[0]);
	nic_up(&nics[1]);
	nic_turn(&nics[0]);
}

void nic_close_pair(struct nic nics[2])
{
	nic_close(&nics[0]);
	nic_close(&nics[1]);
}

uint32_t nic_read(struct nic *nic, uint32_t offset)
{
	uint32_t value = 0;

	assert_int_equal(sim_client_read(&nic->client, 0, offset, &value, sizeof(value)), 0);
	return value;
}

void nic_write(struct nic *nic, uint32_t offset, uint32_t value)
{
	assert_int_equal(sim_client_write(&nic->client, 0, offset, &value, sizeof(value)), 0);
}

uint32_t nic_queue_read(struct nic *nic, bool transmit, unsigned int queue, uint32_t inside)
{
	uint32_t offset = queue * IGB_QUEUE_STRIDE + inside;

	if (nic->pages[transmit])
		return *(volatile uint32_t *)(nic->pages[transmit] + offset);
	return nic_read(nic, (transmit ? IGB_TX_QUEUES : IGB_RX_QUEUES) + offset);
}

void nic_queue_write(struct nic *nic, bool transmit, unsigned int queue, uint32_t inside,
		     uint32_t value)
{
	uint32_t offset = queue * IGB_QUEUE_STRIDE + inside;

	if (nic->pages[transmit])
		*(volatile uint32_t *)(nic->pages[transmit] + offset) = value;
	else
		nic_write(nic, (transmit ? IGB_TX_QUEUES : IGB_RX_QUEUES) + offset, value);
}

static void set_ring(struct nic *nic, bool transmit, unsigned int queue, uint64_t ring)
{
	memset(nic_at(nic, ring), 0, NIC_ENTRIES * IGB_DESC_BYTES);
	nic_queue_write(nic, transmit, queue, NIC_REG(base_low), (uint32_t)nic_iova(ring));
	nic_queue_write(nic, transmit, queue, NIC_REG(base_high), (uint32_t)(nic_iova(ring) >> 32));
	nic_queue_write(nic, transmit, queue, NIC_REG(bytes), NIC_ENTRIES * IGB_DESC_BYTES);
	nic_queue_write(nic, transmit, queue, NIC_REG(head), 0);
	nic_queue_write(nic, transmit, queue, NIC_REG(tail), 0);
	nic_queue_write(nic, transmit, queue, NIC_REG(control), IGB_DCTL_ENABLE);
	/* It has noticed when it answers. */
	nic_read(nic, IGB_STATUS);
}

void nic_rx_queue(struct nic *nic, unsigned int queue)
{
	uint32_t type = nic->rx_type ? nic->rx_type : IGB_DESC_ONE_BUFFER;

	nic->rx[queue] = (struct nic_queue){ 0 };
	nic_queue_write(nic, false, queue, NIC_REG(srrctl),
			NIC_BUFFER_BYTES >> 10 | 4u << IGB_SRRCTL_HEADER_SHIFT |
				type << IGB_SRRCTL_TYPE_SHIFT);
	set_ring(nic, false, queue, NIC_RX_RING(queue));
}

void nic_tx_queue(struct nic *nic, unsigned int queue)
{
	nic->tx[queue] = (struct nic_queue){ 0 };
	set_ring(nic, true, queue, NIC_TX_RING(queue));
}

void nic_up(struct nic *nic)
{
	uint32_t low, high;

	nic_write(nic, IGB_CTRL, nic_read(nic, IGB_CTRL) | IGB_CTRL_RST);
	assert_false(nic_read(nic, IGB_CTRL) & IGB_CTRL_RST);
	low = nic_read(nic, IGB_RAL);
	high = nic_read(nic, IGB_RAL + 4);
	assert_true(high & IGB_RAH_VALID);
	memcpy(nic->mac, &low, 4);
	memcpy(nic->mac + 4, &high, 2);
	nic_write(nic, IGB_CTRL, nic_read(nic, IGB_CTRL) | IGB_CTRL_SLU);
	nic_rx_queue(nic, 0);
	nic_tx_queue(nic, 0);
	nic_write(nic, IGB_RCTL, IGB_RCTL_RXEN | IGB_RCTL_BAM | IGB_RCTL_SECRC);
	nic_write(nic, IGB_TCTL, IGB_TCTL_EN | IGB_TCTL_PSP);
}

void nic_fill(struct nic *nic, unsigned int queue, unsigned int buffers)
{
	struct nic_queue *rx = &nic->rx[queue];

	for (unsigned int i = 0; i < buffers; i++) {
		uint64_t *desc = nic_at(nic, NIC_RX_RING(queue) + rx->tail * IGB_DESC_BYTES);

		desc[0] = nic_iova(NIC_RX_BUFFER(queue, rx->tail));
		desc[1] = nic_iova(NIC_HEADER_BUFFER(queue, rx->tail));
		if (!nic->rx_type)
			desc[1] = 0;
		rx->tail = (rx->tail + 1) % NIC_ENTRIES;
	}
	nic_queue_write(nic, false, queue, NIC_REG(tail), rx->tail);
}

void nic_turn(struct nic *nic)
{
	nic->in_turn = true;
	if (nic->peer)
		nic->peer->in_turn = true;
	for (int idle = 0; idle < IDLE_TURNS;) {
		unsigned int work = sim_server_turn(nic->client.server);

		if (nic->peer)
			work += sim_server_turn(nic->peer->client.server);
		idle = work ? 0 : idle + 1;
	}
	nic->in_turn = false;
	if (nic->peer)
		nic->peer->in_turn = false;
}

void nic_put(struct nic *nic, unsigned int queue, uint64_t address, uint32_t command,
	     uint32_t options)
{
	struct nic_queue *tx = &nic->tx[queue];
	struct igb_tx_desc *desc = nic_at(nic, NIC_TX_RING(queue) + tx->tail * IGB_DESC_BYTES);

	*desc = (struct igb_tx_desc){ .address = address, .command = command, .options = options };
	tx->tail = (tx->tail + 1) % NIC_ENTRIES;
}

void nic_ring(struct nic *nic, unsigned int queue)
{
	nic_queue_write(nic, true, queue, NIC_REG(tail), nic->tx[queue].tail);
}

void nic_context(struct nic *nic, unsigned int queue, unsigned int index, uint32_t lengths_and_tag,
		 uint32_t types, uint32_t l4_bytes_and_mss)
{
	nic_put(nic, queue, lengths_and_tag,
		IGB_TX_DEXT | IGB_TX_TYPE_CONTEXT << IGB_TX_TYPE_SHIFT | types,
		l4_bytes_and_mss | index << IGB_TX_CONTEXT_SHIFT);
}

bool nic_send(struct nic *nic, const void *frame, uint32_t bytes, uint32_t command,
	      uint32_t options)
{
	const struct igb_tx_desc *desc = nic_at(nic,
						NIC_TX_RING(0) + nic->tx[0].tail * IGB_DESC_BYTES);

	memcpy(nic_at(nic, NIC_SEND), frame, bytes);
	nic_put(nic, 0, nic_iova(NIC_SEND), NIC_SEND_COMMAND | command | bytes,
		options | bytes << IGB_TX_PAYLOAD_SHIFT);
	nic_ring(nic, 0);
	nic_turn(nic);
	return desc->options & IGB_TX_DD;
}

bool nic_receive(struct nic *nic, unsigned int queue, struct nic_frame *frame)
{
	struct nic_queue *rx = &nic->rx[queue];
	bool last = false;

	frame->bytes = frame->header_bytes = frame->descriptors = 0;
	while (!last) {
		const uint64_t *desc = nic_at(nic, NIC_RX_RING(queue) + rx->next * IGB_DESC_BYTES);
		uint32_t bytes = desc[1] >> 32 & 0xffff;

		if (rx->next == rx->tail || !(desc[1] & RX_DD))
			return false;
		last = desc[1] & IGB_RX_EOP;
		assert_true(bytes <= NIC_BUFFER_BYTES);
		if (nic->rx_type && (uint32_t)desc[0] & IGB_RX_SPH) {
			frame->header_bytes = (uint32_t)desc[0] >> IGB_RX_HEADER_SHIFT & 0x3ff;
			memcpy(frame->data, nic_at(nic, NIC_HEADER_BUFFER(queue, rx->next)),
			       frame->header_bytes);
			frame->bytes += frame->header_bytes;
		}
		memcpy(frame->data + frame->bytes, nic_at(nic, NIC_RX_BUFFER(queue, rx->next)),
		       bytes);
		frame->bytes += bytes;
		frame->descriptors++;
		frame->info = (uint32_t)desc[0];
		frame->hash = (uint32_t)(desc[0] >> 32);
		frame->status = (uint32_t)desc[1];
		frame->tag = (uint16_t)(desc[1] >> 48);
		rx->next = (rx->next + 1) % NIC_ENTRIES;
	}
	return true;
}
