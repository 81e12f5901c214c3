/* SPDX-License-Identifier: BSD-3-Clause */
/* The port of weir p2p send and receive: frames whose headers lie in host memory and whose payload,
 * if they have one, in a device's. */
#ifndef WEIR_APPS_P2P_LINK_H
#define WEIR_APPS_P2P_LINK_H

#include "device_memory.h"
#include "p2p_frame.h"
#include "port.h"

#define P2P_MAX_PAYLOAD 8192u
#define P2P_MIN_PAYLOAD 512u
#define P2P_DEFAULT_PAYLOAD 4096u
/* Headers that may be on their way out. */
#define P2P_TX_HEADERS 128u
/* Frames that are there for receiving, at most. */
#define P2P_RX_FRAMES 256u
/* Of those, for frames without payload. */
#define P2P_RX_RESERVE 16u

struct p2p_link {
	struct ports ports;
	struct port *port; /* the only one */
	struct weir_nic_rxq *rxq;
	struct weir_nic_txq *txq;
	uint32_t payload; /* bytes of each frame's */
	/* Device memory, as the port sees it. */
	struct weir_mapping *mapping;
	uint64_t memory;

	uint8_t *tx_headers; /* P2P_TX_HEADERS of P2P_HEADER bytes */
	uint64_t sent; /* payload given to the port, */
	uint64_t left; /* and so much of that is no longer used by it */
	uint32_t tx_payload[P2P_TX_HEADERS]; /* of each header's frame; 0: it is one without */
	unsigned int tx_first, tx_busy; /* headers: a ring */

	uint8_t *rx_headers; /* P2P_RX_FRAMES of them */
	unsigned int rx_frames; /* as many */
	uint32_t rx_room; /* device memory of each */
	bool in_packet; /* one of several frames is being received: none of ours */

	uint8_t peer[6];
	uint32_t stream;
	uint64_t served_ns;
};

/* What came in: a frame, and which of the rx_frames it lies in. */
struct p2p_received {
	struct p2p_frame frame;
	uint32_t payload; /* bytes that lie in the device's memory */
	unsigned int slot;
};

/*
 * Opens a port, maps device memory for it, and waits for the link.
 *
 * @param receives  the memory is to be received into: P2P_RX_FRAMES places of link.rx_room bytes,
 * or as many as fit; otherwise it is sent from
 */
int p2p_link_open(struct p2p_link *link, const char *address, const struct device_memory *memory,
		  uint32_t payload, bool receives, uint64_t link_wait_ms, struct weir_error *err);
void p2p_link_close(struct p2p_link *link);

/* Whether a frame can be sent now. */
bool p2p_link_has_room(const struct p2p_link *link);

/* Sends a frame without payload, or with that of so many bytes at `iova`. There is room. */
int p2p_link_send(struct p2p_link *link, const struct p2p_frame *frame, uint64_t iova,
		  struct weir_error *err);

/* Takes the next frame of this protocol for this port. 1: there was one; its slot is the caller's
 * until p2p_link_post(). 0: none. */
int p2p_link_receive(struct p2p_link *link, struct p2p_received *received, struct weir_error *err);

/* Gives a slot back to be received into. */
int p2p_link_post(struct p2p_link *link, unsigned int slot, struct weir_error *err);

/* What has to be done now and then, and takes back what was sent. */
int p2p_link_serve(struct p2p_link *link, struct weir_error *err);

/* Sends a last frame, and lets it go out. */
void p2p_link_say(struct p2p_link *link, const struct p2p_frame *frame);

/* Tells the peer that it is over, and why, and lets that go out. */
void p2p_link_fail(struct p2p_link *link, const struct weir_error *why);

#endif
