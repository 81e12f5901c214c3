/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for the queues of igb_fixture.h, each told by a number: its address and its cookie follow
 * from it. What does not hold fails the test.
 */
#ifndef WEIR_TEST_IGB_FRAMES_H
#define WEIR_TEST_IGB_FRAMES_H

#include "igb_fixture.h"

#define ENTRIES 32u /* of a ring */
#define MOST (ENTRIES - 1) /* descriptors that can be in it */
#define BUFFER 2048u /* bytes to receive into */
#define HEADER 128u /* bytes for headers, with header split */
#define DONE (IGB_RXD_DD | IGB_RXD_EOP) /* a packet that ends */
#define IOVA(n) (UINT64_C(0x100000000) + (n) * (uint64_t)4096)
#define COOKIE(n) (UINT64_C(0xc000) + (n))

/* To receive into. */
struct weir_frame igb_buffer(unsigned int n);

/* The same with header split: the frame for headers is an odd one. */
void igb_buffer_pair(unsigned int n, struct weir_frame frames[2]);

/* Posts n buffers, or pairs if the queue splits headers; all have to be taken. */
void igb_post(struct igb_fixture *f, unsigned int first, unsigned int n);

/* To send: a packet of one frame. */
struct weir_frame igb_plain(unsigned int n);

void igb_check_frame(const struct weir_frame *frame, unsigned int n, uint32_t len, uint32_t flags);

/* All n posted buffers, or pairs, come back unused, once each, and then the queue is parked. */
void igb_check_drained(struct igb_fixture *f, unsigned int first, unsigned int n);

#endif
