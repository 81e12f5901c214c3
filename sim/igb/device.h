/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the emulated 82576. Everything runs in the server's thread, but for the far end of
 * a cable.
 *
 * create.c      options, memory, PCI function, server
 * registers.c   accesses by message, reset
 * nvm.c, phy.c  the EEPROM and the PHY behind their registers; the link
 * queue.c       enabling, disabling and failing queues; their rings in the client's memory
 * transmit.c    descriptors into frames; offload.c: what is inserted and cut on the way
 * receive.c     frames into descriptors; filter.c, parse.c, rss.c: whether, as what and where
 * interrupt.c   causes, masks, vectors
 * statistics.c  counters
 * faults.c      what goes wrong on purpose
 * poll.c        one turn
 *
 * What the client writes while it is looked at: descriptors, frames, the registers of the queues.
 * Each is read once, into a copy, and then checked. A ring or a buffer that lies in memory mapped
 * here is reached through a pointer that is not kept, anything else by message. A bad ring or
 * address stops its queue, until it is enabled anew, and no other.
 */
#ifndef WEIR_SIM_IGB_DEVICE_H
#define WEIR_SIM_IGB_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "igb/cable.h"
#include "igb/sim_igb.h"
#include "igb/spec.h"

#define DEV_BAR_REGISTERS 0
#define DEV_BAR_MSIX 3

#define DEV_BURST 64u /* frames of one queue in a row */
#define DEV_NVM_WORDS 1024u
#define DEV_PHY_REGISTERS 32u
/* Pieces of a frame: a driver that cuts finer has its queue stopped. */
#define DEV_MAX_PIECES 256u
/* The longest that a context and its frame can announce: 127, 511 and 255 bytes of headers, 18 bits
 * of payload. */
#define DEV_MAX_HEADERS (127u + 511u + 255u)
#define DEV_MAX_PAYLOAD ((1u << 18) - 1)
#define DEV_STAGING_BYTES ((size_t)DEV_MAX_HEADERS + DEV_MAX_PAYLOAD)

#define DEV_RSS_BYTES 36u /* two IPv6 addresses and two ports */

#define DEV_PROT_READ 1u /* by the device */
#define DEV_PROT_WRITE 2u

struct sim_igb;

/* What both directions have. */
struct dev_ring {
	volatile struct igb_queue_regs *regs; /* shared with the client */
	unsigned int index;
	bool enabled; /* as the control register said when it was last looked at */
	bool failed; /* nothing is done until it is enabled anew */
	bool bare; /* enabled by a reset, and not given a ring yet */
	bool transmits;
	uint32_t head; /* next descriptor */
	uint32_t size;
	uint32_t bad_tail; /* a tail that was refused, so that it is reported once */
	uint64_t base;
	struct sim_window descriptors, data; /* the last windows they were found in */
};

struct dev_rx_queue {
	struct dev_ring ring;
	uint32_t packet_bytes, header_bytes; /* of a buffer */
	uint32_t threshold; /* fewer descriptors than that are an interrupt cause */
	enum igb_desc_type type;
	uint64_t packets, octets, multicasts;
} __attribute__((aligned(WEIR_CACHE_PAIR)));

/* A piece of a frame, as its descriptor said. */
struct dev_piece {
	uint64_t address;
	uint32_t bytes;
	uint32_t slot; /* the descriptor */
	bool report; /* its completion is asked for */
};

/* What the descriptors of a frame ask for. */
struct dev_work {
	bool vlan, segment, ip_checksum, l4_checksum;
	bool ipv4;
	enum igb_l4 l4;
	uint16_t vlan_tag, mss;
	uint32_t mac_bytes, ip_bytes, l4_bytes; /* header lengths */
	uint32_t checksum_start, checksum_offset; /* legacy: where from, and where to; 0: none */
};

struct dev_tx_queue {
	struct dev_ring ring;
	uint32_t next; /* descriptor to fetch; between it and the head is the frame at hand */
	uint32_t contexts[IGB_CONTEXTS][4];
	struct dev_piece pieces[DEV_MAX_PIECES];
	unsigned int nr_pieces;
	uint32_t first_command, first_options; /* of the frame's first descriptor */
	uint32_t bytes; /* of the pieces */
	bool complete; /* all pieces are there */
	/* The frame is cut: it lies in the staging memory, and so much of its payload is sent. */
	bool cutting;
	uint32_t sent;
	uint8_t *staging; /* DEV_STAGING_BYTES */
	unsigned int burst; /* frames sent in this turn */
	uint64_t packets, octets;
} __attribute__((aligned(WEIR_CACHE_PAIR)));

struct sim_igb {
	struct sim_server *server;
	struct sim_cable *cable;
	struct cable_buffer *buffer; /* the cable's */
	uint32_t rx_enabled, tx_enabled; /* by queue */
	bool receives; /* RCTL.RXEN, and there is a link */
	bool waits; /* the first frame of the buffer waits, and was counted for that */

	struct dev_rx_queue rx[IGB_QUEUES];
	struct dev_tx_queue tx[IGB_QUEUES];
	uint8_t *staging; /* of all queues */
	unsigned int first_tx; /* the queue that may send first */

	struct sim_igb_options options;
	uint8_t *bar; /* BAR 0; only the queues' pages are used of it */
	int bar_fd;
	uint32_t regs[IGB_BAR_BYTES / 4]; /* all others */
	uint16_t nvm[DEV_NVM_WORDS];
	uint16_t phy[DEV_PHY_REGISTERS];
	bool plugged, link;

	/* Interrupts. */
	uint32_t icr, ims, eicr, eims;
	uint32_t sent; /* EICR bits whose message is out, and that are set still */
	uint64_t quiet_until[IGB_VECTORS]; /* ns */

	/* Statistics, by the place of their register. */
	uint64_t stats[(IGB_STATS_END - IGB_STATS) / 4];
	uint64_t missed, missed_octets; /* of the cable's counts: what was added to MPC and TOR */

	/* Faults. */
	bool faulty; /* there are some */
	struct {
		uint64_t frames, arrived, delivered, sent, interrupts; /* so far */
		uint64_t random;
		uint64_t plug_at; /* ns; when the link comes back; 0: it is not away */
	} fault;

	/* RSS: what each value of each byte adds to the hash, for the key at hand. */
	uint32_t rss_table[DEV_RSS_BYTES][256];
	bool rss_stale;
};

/* registers.c */
int igb_read_bar(void *model, unsigned int bar, uint64_t offset, void *data, size_t bytes);
int igb_write_bar(void *model, unsigned int bar, uint64_t offset, const void *data, size_t bytes);
void igb_reset(void *model); /* as after power on */
static inline uint32_t *igb_reg(struct sim_igb *igb, uint32_t offset)
{
	return &igb->regs[offset / 4];
}

/* nvm.c */
void igb_nvm_init(struct sim_igb *igb);
uint32_t igb_nvm_read(const struct sim_igb *igb, uint32_t eerd);

/* phy.c */
void igb_phy_reset(struct sim_igb *igb);
uint32_t igb_phy_access(struct sim_igb *igb, uint32_t mdic);
/* Looks at the cable, the PHY and CTRL, and tells of a change. */
void igb_link_update(struct sim_igb *igb);
uint32_t igb_status(const struct sim_igb *igb);

/* queue.c */
/* Notices what the client wrote into the queues' control registers. */
void igb_queues_notice(struct sim_igb *igb);
/* All queues as after a reset. */
void igb_queues_reset(struct sim_igb *igb);
/* Stops a queue for good and says why. */
void igb_queue_fail(struct sim_igb *igb, struct dev_ring *ring, const char *what, uint64_t value);
/* Descriptors that the client has added from `from` on; 0 when the tail makes no sense. */
uint32_t igb_queue_pending(struct sim_igb *igb, struct dev_ring *ring, uint32_t from);
/* false: it cannot be reached, and the queue has failed. */
bool igb_desc_read(struct sim_igb *igb, struct dev_ring *ring, uint32_t slot, uint64_t desc[2]);
/* The second word, which says that the first is there, is written after it. */
bool igb_desc_write(struct sim_igb *igb, struct dev_ring *ring, uint32_t slot,
		    const uint64_t desc[2]);
bool igb_data_read(struct sim_igb *igb, struct dev_ring *ring, uint64_t iova, void *to,
		   uint32_t bytes);
bool igb_data_write(struct sim_igb *igb, struct dev_ring *ring, uint64_t iova, const void *from,
		    uint32_t bytes);
void igb_dma_unmap(void *model, uint64_t iova, uint64_t bytes);
static inline uint32_t igb_slot_after(const struct dev_ring *ring, uint32_t slot, uint32_t n)
{
	slot += n;
	return slot < ring->size ? slot : slot - ring->size;
}

/* transmit.c. Returns how many descriptors were taken and frames sent. */
unsigned int igb_transmit(struct sim_igb *igb, struct dev_tx_queue *queue);
/* Forgets the frame at hand. */
void igb_transmit_forget(struct dev_tx_queue *queue);

/* offload.c. The lengths are checked: false, when the frame does not hold what the work needs. */
bool igb_offload(const struct dev_work *work, uint8_t *frame, uint32_t bytes);
/* Makes a segment of the headers in `frame` and the payload behind them. `offset`: of the payload
 * in the whole. */
void igb_segment(const struct sim_igb *igb, const struct dev_work *work, uint8_t *frame,
		 uint32_t bytes, uint32_t offset, unsigned int number, bool last);
/* RFC 1071, over bytes in network order; the sum of several parts is folded with igb_fold(). */
uint64_t igb_sum(const uint8_t *data, uint32_t bytes);
uint16_t igb_fold(uint64_t sum);
uint32_t igb_fcs(const uint8_t *data, uint32_t bytes);
/* CRC32c over an SCTP packet, as it lies in its header; what lies there now does not count. */
uint32_t igb_sctp_checksum(uint8_t *data, uint32_t bytes);

/* receive.c. Returns how many frames were taken. */
unsigned int igb_receive(struct sim_igb *igb);

/* filter.c: whether a frame is for this port (§7.1.1). */
bool igb_filter(const struct sim_igb *igb, const uint8_t *frame, uint32_t bytes);

/* parse.c: what a frame is. */
struct dev_packet {
	uint32_t types; /* IGB_RX_TYPE_* */
	uint32_t status; /* checksums: IGB_RX_*CS, IGB_RX_*E */
	uint32_t l3, l4; /* offsets; 0: there is none */
	uint32_t headers; /* bytes up to the payload of the innermost protocol */
	bool fragment;
	uint16_t ip_id, checksum;
};
bool igb_is_tagged(const struct sim_igb *igb, const uint8_t *frame, uint32_t bytes);
/* The frame is the same afterwards. */
void igb_parse(const struct sim_igb *igb, uint8_t *frame, uint32_t bytes,
	       struct dev_packet *packet);

/* rss.c */
/* The queue of a frame, by its hash or the default one. */
unsigned int igb_rss(struct sim_igb *igb, const uint8_t *frame, const struct dev_packet *packet,
		     uint32_t *hash, enum igb_rss_type *type);

/* interrupt.c */
void igb_cause_queue(struct sim_igb *igb, bool transmits, unsigned int queue);
void igb_cause_other(struct sim_igb *igb, uint32_t icr);
/* Sends what is due. Called once a turn, and after each access. */
void igb_interrupts_send(struct sim_igb *igb);
void igb_interrupts_reset(struct sim_igb *igb);
bool igb_interrupt_read(struct sim_igb *igb, uint32_t offset, uint32_t *value);
bool igb_interrupt_write(struct sim_igb *igb, uint32_t offset, uint32_t value);

/* statistics.c */
static inline void igb_count(struct sim_igb *igb, uint32_t reg, uint64_t n)
{
	igb->stats[(reg - IGB_STATS) / 4] += n;
}
void igb_count_sent(struct sim_igb *igb, struct dev_tx_queue *queue, const uint8_t *frame,
		    uint32_t bytes);
void igb_count_received(struct sim_igb *igb, struct dev_rx_queue *queue, const uint8_t *frame,
			uint32_t bytes);
bool igb_stats_read(struct sim_igb *igb, uint32_t offset, uint32_t *value);
void igb_stats_reset(struct sim_igb *igb);

/* faults.c. But for the first, only called when there are faults. */
void igb_faults_open(struct sim_igb *igb);
void igb_fault_turn(struct sim_igb *igb);
/* A frame has come to the front of the buffer. */
void igb_fault_arrived(struct sim_igb *igb, struct cable_frame *frame);
/* Whether the next frame leaves a descriptor out, if it can. */
bool igb_fault_skips(struct sim_igb *igb);
/* The last descriptor of a frame is about to be written. */
void igb_fault_written(struct sim_igb *igb, const struct dev_rx_queue *queue, uint64_t desc[2]);
bool igb_fault_stuck(const struct sim_igb *igb);
/* A frame was sent. Whether its descriptors do not say so. */
bool igb_fault_sent(struct sim_igb *igb);
/* Whether a message is lost. */
bool igb_fault_interrupt(struct sim_igb *igb);

/* poll.c */
unsigned int igb_poll(void *model);

#endif
