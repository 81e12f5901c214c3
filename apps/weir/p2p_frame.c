/* SPDX-License-Identifier: BSD-3-Clause */
#include "p2p_frame.h"

#include <ctype.h>
#include <endian.h>
#include <string.h>

#define ETHERTYPE 0x88b5
#define MAGIC 0x57503250u /* "WP2P" */
#define VERSION 1

/* As it lies in a frame, behind the addresses; 16 and 32 bits are aligned to two bytes. */
struct wire_header {
	uint16_t type;
	uint32_t magic;
	uint8_t version, kind;
	uint32_t stream;
	uint64_t offset, bytes;
	uint32_t payload;
	char text[P2P_TEXT];
} __attribute__((packed));
_Static_assert(12 + sizeof(struct wire_header) == P2P_HEADER, "the header's size");

void p2p_frame_write(const struct p2p_frame *frame, uint8_t *header)
{
	struct wire_header wire = {
		.type = htobe16(ETHERTYPE),
		.magic = htobe32(MAGIC),
		.version = VERSION,
		.kind = frame->kind,
		.stream = htobe32(frame->stream),
		.offset = htobe64(frame->offset),
		.bytes = htobe64(frame->bytes),
		.payload = htobe32(frame->payload),
	};

	memcpy(wire.text, frame->text, sizeof(wire.text));
	memcpy(header, frame->to, 6);
	memcpy(header + 6, frame->from, 6);
	memcpy(header + 12, &wire, sizeof(wire));
}

bool p2p_frame_read(const uint8_t *header, uint32_t bytes, struct p2p_frame *frame)
{
	struct wire_header wire;

	if (bytes != P2P_HEADER)
		return false;
	memcpy(&wire, header + 12, sizeof(wire));
	if (be16toh(wire.type) != ETHERTYPE || be32toh(wire.magic) != MAGIC ||
	    wire.version != VERSION)
		return false;
	*frame = (struct p2p_frame){
		.kind = wire.kind,
		.stream = be32toh(wire.stream),
		.offset = be64toh(wire.offset),
		.bytes = be64toh(wire.bytes),
		.payload = be32toh(wire.payload),
	};
	memcpy(frame->to, header, 6);
	memcpy(frame->from, header + 6, 6);
	memcpy(frame->text, wire.text, sizeof(frame->text));
	frame->text[P2P_TEXT - 1] = '\0';
	for (char *c = frame->text; *c; c++) {
		if (!isprint((unsigned char)*c))
			*c = '?';
	}
	return true;
}
