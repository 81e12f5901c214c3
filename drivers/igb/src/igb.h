/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the driver for the Intel 82576.
 *
 * port.c        reset, start, stop
 * phy.c         the PHY, the EEPROM and the link
 * setup.c       registers for receiving and transmitting
 * ring.c        memory of queues
 * rx.c, tx.c    the burst calls; offload.c: packets that want more than to be sent
 * statistics.c  counters
 *
 * What a device can write is its descriptor rings, nothing else that the driver looks at: cookies
 * and addresses of what was posted lie in memory of the driver's own.
 */
#ifndef WEIR_IGB_IGB_H
#define WEIR_IGB_IGB_H

#include <assert.h>

#include "nic.h"
#include "spec.h"

/* Two words at once: a descriptor, or the first or second half of a frame. */
typedef uint64_t igb_pair __attribute__((vector_size(16), aligned(16)));
typedef uint64_t igb_pair_unaligned __attribute__((vector_size(16), aligned(8)));

struct igb {
	struct weir_nic nic;
	unsigned int port; /* 0 or 1: which of the controller's */
	bool copper; /* the internal PHY; else the PCS makes the link */
};

/* What the driver remembers of a posted frame. */
struct igb_rx_slot {
	uint64_t iova;
	uint64_t cookie;
};
static_assert(sizeof(struct igb_rx_slot) == 16, "a slot is as large as a descriptor");

struct igb_rxq {
	struct nic_queue common;
	/* The owner's; positions are indices of the ring. */
	igb_pair *ring; /* in the arena */
	igb_pair *slots; /* struct igb_rx_slot each */
	uint32_t next; /* to be received */
	uint32_t tail; /* to be posted */
	uint32_t posted;
	uint32_t entries;
	uint32_t buffer_bytes;
	uint32_t header_bytes; /* 0: no header split */
	uint32_t payload_flags; /* WEIR_FRAME_DEVICE, or 0 */
	uint32_t packet_bytes; /* of the packet that is received in part; 0: none is */
	volatile void *tail_register; /* NULL: by message */
	igb_pair *header_slots; /* with header split */
	uint64_t packets, bytes, unused;
	bool half_drained; /* a pair's frame for headers has come back unused, its other has not */
};

/* What packets want beside being sent, and what it was worked out from. */
struct igb_offload {
	uint32_t flags; /* the packets' own; 0: nothing is wanted */
	uint32_t headers; /* bytes that the packets have at least; with TSO: of the headers */
	uint32_t more; /* bytes on the wire beyond the packet's; with TSO: all, of the longest */
	uint64_t rest; /* weir_frame::vlan, mss and headers, as they lie there */
	uint64_t context[2]; /* context descriptor; 0: none is needed */
	uint64_t command; /* bits for their descriptors */
};

struct igb_txq {
	struct nic_queue common;
	/* The owner's; positions are indices of the ring. */
	igb_pair *ring; /* in the arena */
	uint64_t *cookies; /* of each descriptor */
	uint32_t tail; /* descriptor to be filled */
	uint32_t room; /* descriptors that may be filled */
	uint32_t head; /* descriptor whose cookie is returned next */
	uint32_t ready; /* descriptors from there on that are done */
	uint32_t entries;
	/* A ring, of as many entries again, of the descriptors that were told to report. */
	uint32_t report_head, report_tail;
	uint32_t *reports;
	volatile void *tail_register; /* NULL: by message */
	uint64_t bytes;
	/* What is unusual: context descriptors, which have no cookie, and malformed frames. */
	uint32_t nr_contexts; /* between head and tail */
	uint32_t nr_refused;
	uint8_t *is_context; /* of each descriptor */
	uint64_t *refused; /* cookies */
	uint64_t context[2]; /* what the device has; 0: nothing */
	struct igb_offload offload; /* of the last packet that was not plain */
	uint32_t max_frames; /* of a packet */
	uint64_t frames, nr_malformed, unsent;
};

static inline struct igb *igb_of(struct weir_nic *nic)
{
	return (struct igb *)nic;
}

/* A register; what fails is kept in *rc, the first error. */
uint32_t igb_read(struct weir_nic *nic, uint32_t reg, int *rc);

/* Whether a device that `value` was read from is there. 0, or -ENODEV. */
int igb_is_there(struct weir_nic *nic, uint32_t value);

/* STATUS; -EIO when the device's registers do not answer, although it is there. */
uint32_t igb_read_status(struct weir_nic *nic, int *rc);

/* Register writes go on after one that failed: the first error is kept. */
static inline void igb_write(struct weir_nic *nic, uint32_t reg, uint32_t value, int *rc)
{
	int ret = weir_device_write32(nic->dev, 0, reg, value);

	if (ret && !*rc)
		*rc = ret;
}

void igb_sleep_us(unsigned int us);

/* phy.c */
int igb_read_mac(struct weir_nic *nic, uint8_t mac[WEIR_NIC_MAC_BYTES], struct weir_error *err);
/* Begins to bring the link up. */
int igb_link_begin(struct weir_nic *nic, struct weir_error *err);
int igb_link(struct weir_nic *nic, struct weir_nic_link *link, struct weir_error *err);

/* setup.c */
int igb_apply(struct weir_nic *nic);
int igb_setup(struct weir_nic *nic, struct weir_error *err);
int igb_link_interrupt(struct weir_nic *nic);
int igb_arm(struct nic_queue *queue);

/* ring.c */
struct nic_queue *igb_queue_create(struct weir_nic *nic, bool receives, unsigned int index,
				   struct weir_error *err);
void igb_queue_destroy(struct nic_queue *queue);
/* As new, for a device that was reset. */
void igb_queue_clear(struct nic_queue *queue);

/* rx.c: the owner's */
int igb_rx_post(struct weir_nic_rxq *rxq, const struct weir_frame *frames, unsigned int n);
int igb_rx(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max);
unsigned int igb_rx_drain(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max);
bool igb_rx_is_empty(const struct weir_nic_rxq *rxq);

/* tx.c: the owner's */
int igb_tx(struct weir_nic_txq *txq, const struct weir_frame *frames, unsigned int n);
int igb_tx_done(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max,
		unsigned int *unsent);
unsigned int igb_tx_drain(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max);
bool igb_tx_is_empty(const struct weir_nic_txq *txq);

/* offload.c: what a packet with these flags of its own wants, by its first frame. false: they, or
 * the headers, do not go together. */
bool igb_offload(const struct weir_frame *first, uint32_t flags, struct igb_offload *offload);

/* statistics.c */
int igb_count(struct weir_nic *nic);

#endif
