/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of weir p2p send and receive: Ethernet of the type for local experiments, 0x88b5. All that
 * is said about a frame stands in its first P2P_HEADER bytes, so that a port with headers of that
 * size takes them apart: the header into host memory, the payload into a device's.
 *
 * The sender opens a stream, again and again until it is answered. The receiver says up to which
 * byte it has room (READY), the sender sends that far (DATA), in order. When all is written the
 * receiver says so (DONE), and the sender that it knows (CLOSE). Either may give up (FAILED). A
 * frame that is lost is not sent again: the receiver finds that one is missing and gives up.
 *
 * Numbers are in network order. What comes from the wire is checked: anybody can send it.
 */
#ifndef WEIR_APPS_P2P_FRAME_H
#define WEIR_APPS_P2P_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#define P2P_HEADER 192u
#define P2P_ETHERNET 14u
#define P2P_TEXT 148u

enum p2p_kind {
	P2P_OPEN = 1, /* `bytes` in all, `payload` in each frame but the last */
	P2P_READY = 2, /* there is room up to `offset` */
	P2P_DATA = 3, /* `payload` bytes at `offset` */
	P2P_DONE = 4, /* all is written */
	P2P_CLOSE = 5, /* that is known */
	P2P_FAILED = 6, /* for the reason in `text` */
};

struct p2p_frame {
	uint8_t to[6], from[6];
	uint8_t kind; /* enum p2p_kind */
	uint32_t stream; /* the sender's choice */
	uint64_t offset, bytes;
	uint32_t payload;
	char text[P2P_TEXT]; /* printable */
};

/* Writes the P2P_HEADER bytes of a frame. */
void p2p_frame_write(const struct p2p_frame *frame, uint8_t *header);

/* Reads a header of so many bytes. false: it is none. */
bool p2p_frame_read(const uint8_t *header, uint32_t bytes, struct p2p_frame *frame);

#endif
