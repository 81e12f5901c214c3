/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host of an emulated 82576, in the same thread: memory, rings that it fills by hand, one
 * register at a time. It knows nothing of Weir's driver.
 */
#ifndef WEIR_TESTS_SIM_IGB_HOST_H
#define WEIR_TESTS_SIM_IGB_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "igb/sim_igb.h"
#include "igb/spec.h"
#include "sim_client.h"

#define NIC_IOVA UINT64_C(0x2000000000)
#define NIC_BYTES (UINT64_C(16) << 20)
#define NIC_ENTRIES 64u /* of a ring */
/* The memory: rings, buffers of 2 KiB for each receive descriptor, and room for frames to send. */
#define NIC_RX_RING(q) (0x1000u * (q))
#define NIC_TX_RING(q) (0x10000u + 0x1000u * (q))
#define NIC_BUFFER_BYTES 2048u
#define NIC_RX_BUFFER(q, slot) (0x100000u + ((q)*NIC_ENTRIES + (slot)) * NIC_BUFFER_BYTES)
#define NIC_HEADER_BUFFER(q, slot) (0x400000u + ((q)*NIC_ENTRIES + (slot)) * 512u)
#define NIC_SEND 0x800000u

struct nic_queue {
	uint32_t tail, next; /* next descriptor to fill, and to look at */
};

/* A frame that came. */
struct nic_frame {
	uint8_t data[16384];
	uint32_t bytes;
	uint32_t status, hash; /* of its last descriptor */
	uint32_t info;
	uint16_t tag;
	uint32_t header_bytes; /* of what lay in the header buffer, which comes first in data */
	unsigned int descriptors;
};

struct nic {
	struct sim_igb *igb;
	struct sim_client client;
	int fd; /* of the memory */
	uint8_t *memory;
	uint8_t *pages[2]; /* mapped registers of the receive and transmit queues, or NULL */
	struct nic_queue rx[IGB_QUEUES], tx[IGB_QUEUES];
	uint8_t mac[6];
	uint32_t rx_type; /* of descriptors; 0: one buffer */
	struct nic *peer;
	unsigned int dma_messages; /* that the server sent */
	bool in_turn; /* the client answers DMA requests */
};

/* A controller at a cable, which it owns, with a client: memory mapped, bus master on. */
void nic_open(struct nic *nic, const struct sim_igb_options *options, struct sim_cable *cable);
void nic_close(struct nic *nic);
/* Two at the ends of one cable, brought up. */
void nic_open_pair(struct nic nics[2], const struct sim_igb_options *options, bool lossless);
void nic_close_pair(struct nic nics[2]);

uint32_t nic_read(struct nic *nic, uint32_t offset);
void nic_write(struct nic *nic, uint32_t offset, uint32_t value);
/* Registers of a queue, through the mapped page when there is one. */
uint32_t nic_queue_read(struct nic *nic, bool transmit, unsigned int queue, uint32_t inside);
void nic_queue_write(struct nic *nic, bool transmit, unsigned int queue, uint32_t inside,
		     uint32_t value);
#define NIC_REG(member) ((uint32_t)offsetof(struct igb_queue_regs, member))

/* CTRL.RST and what a driver does then: link, receiving and sending, queue 0 of each. */
void nic_up(struct nic *nic);
void nic_rx_queue(struct nic *nic, unsigned int queue);
void nic_tx_queue(struct nic *nic, unsigned int queue);
/* Gives so many empty buffers to a queue. */
void nic_fill(struct nic *nic, unsigned int queue, unsigned int buffers);

/* Memory by its offset, and its address for the device. */
static inline void *nic_at(const struct nic *nic, uint64_t offset)
{
	return nic->memory + offset;
}

static inline uint64_t nic_iova(uint64_t offset)
{
	return NIC_IOVA + offset;
}

/* Lets the controller and its peer work until they have nothing to do. */
void nic_turn(struct nic *nic);

/* Puts a descriptor into a transmit ring; nic_ring() tells the controller of it. */
void nic_put(struct nic *nic, unsigned int queue, uint64_t address, uint32_t command,
	     uint32_t options);
void nic_ring(struct nic *nic, unsigned int queue);
/* A context descriptor: lengths of headers, and the rest as its words hold it. */
void nic_context(struct nic *nic, unsigned int queue, unsigned int index, uint32_t lengths_and_tag,
		 uint32_t types, uint32_t l4_bytes_and_mss);
/* One frame in one piece, through queue 0, with more of the command and the options. Whether its
 * descriptor came back. */
bool nic_send(struct nic *nic, const void *frame, uint32_t bytes, uint32_t command,
	      uint32_t options);
#define NIC_SEND_COMMAND \
	(IGB_TX_DEXT | IGB_TX_TYPE_DATA << IGB_TX_TYPE_SHIFT | IGB_TX_EOP | IGB_TX_IFCS | IGB_TX_RS)

/* Takes a frame from a receive queue. false: there is none. */
bool nic_receive(struct nic *nic, unsigned int queue, struct nic_frame *frame);

#endif
