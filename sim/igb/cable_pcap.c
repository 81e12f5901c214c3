/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A cable to capture files: the frames of one arrive, as fast as they are taken, and what is sent
 * is recorded in another. The format is pcap's, of Ethernet: a header, and for each frame one of
 * its own, in the byte order of who wrote it. Records have the time in microseconds or nanoseconds,
 * which the magic number says; ours have nanoseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "igb/cable.h"
#include "igb/spec.h"

#define MAGIC_MICROSECONDS 0xa1b2c3d4u
#define MAGIC_NANOSECONDS 0xa1b23c4du
#define VERSION_MAJOR 2
#define VERSION_MINOR 4
#define LINK_ETHERNET 1u
#define BURST 64u

struct pcap_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy;
	uint32_t max_bytes; /* of a record */
	uint32_t link; /* in its lower 16 bits */
};

struct pcap_record {
	uint32_t seconds, fraction;
	uint32_t bytes; /* that follow */
	uint32_t original; /* bytes of the frame */
};

struct pcap_cable {
	struct sim_cable cable;
	FILE *in, *out; /* NULL: none */
	bool swapped; /* in is in the other byte order */
	bool pending; /* a record's header was read */
	struct pcap_record record;
	uint8_t frame[CABLE_MAX_FRAME];
};

static struct pcap_cable *pcap_of(struct sim_cable *cable)
{
	return container_of(cable, struct pcap_cable, cable);
}

static uint8_t *pcap_room(struct sim_cable *cable, uint32_t bytes)
{
	(void)bytes;
	return pcap_of(cable)->frame;
}

static void pcap_send(struct sim_cable *cable, uint32_t bytes, uint32_t flags)
{
	struct pcap_cable *pcap = pcap_of(cable);
	struct pcap_record record = { .bytes = bytes, .original = bytes };
	struct timespec now;

	if (!pcap->out || flags & CABLE_BAD_FCS)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	record.seconds = (uint32_t)now.tv_sec;
	record.fraction = (uint32_t)now.tv_nsec;
	if (fwrite(&record, sizeof(record), 1, pcap->out) != 1 ||
	    fwrite(pcap->frame, bytes, 1, pcap->out) != 1) {
		weir_log_write(&cable->log, WEIR_LOG_ERROR, "igb: the record of frames ends: %s",
			       strerror(errno));
		fclose(pcap->out);
		pcap->out = NULL;
	}
}

static void end_input(struct pcap_cable *pcap, const char *why, uint32_t bytes)
{
	if (why)
		weir_log_write(&pcap->cable.log, WEIR_LOG_WARN,
			       "igb: the frames to play end at one of %u bytes, %s", bytes, why);
	fclose(pcap->in);
	pcap->in = NULL;
}

/* The header of the next frame, once. false: there is none. */
static bool next_record(struct pcap_cable *pcap)
{
	struct pcap_record *record = &pcap->record;
	size_t got;

	if (pcap->pending)
		return true;
	if (!pcap->in)
		return false;
	got = fread(record, 1, sizeof(*record), pcap->in);
	if (got != sizeof(*record)) {
		if (got || ferror(pcap->in))
			weir_log_write(&pcap->cable.log, WEIR_LOG_WARN,
				       "igb: the frames to play end after %zu bytes of a header of "
				       "%zu",
				       got, sizeof(*record));
		end_input(pcap, NULL, 0);
		return false;
	}
	if (pcap->swapped)
		record->bytes = __builtin_bswap32(record->bytes);
	if (!record->bytes || record->bytes > CABLE_MAX_FRAME) {
		end_input(pcap, "which no cable carries", record->bytes);
		return false;
	}
	return pcap->pending = true;
}

static unsigned int pcap_fetch(struct sim_cable *cable)
{
	struct pcap_cable *pcap = pcap_of(cable);
	unsigned int n = 0;

	if (!atomic_load_explicit(&cable->buffer->consumer.listens, memory_order_relaxed))
		return 0;
	while (n < BURST && next_record(pcap)) {
		uint32_t bytes = pcap->record.bytes;
		uint32_t padded = bytes < IGB_MIN_FRAME ? IGB_MIN_FRAME : bytes;
		uint8_t *room = cable_buffer_room(cable->buffer, padded);

		if (!room)
			break;
		pcap->pending = false;
		if (fread(room, bytes, 1, pcap->in) != 1) {
			end_input(pcap, "which is not all there", bytes);
			break;
		}
		memset(room + bytes, 0, padded - bytes);
		cable_buffer_add(cable->buffer, padded, 0);
		n++;
	}
	return n;
}

static void pcap_destroy(struct sim_cable *cable)
{
	struct pcap_cable *pcap = pcap_of(cable);

	if (pcap->in)
		fclose(pcap->in);
	/* What was written last may show only now that it has no place. */
	if (pcap->out && fclose(pcap->out))
		weir_log_write(&cable->log, WEIR_LOG_ERROR,
			       "igb: the record of frames is not complete: %s", strerror(errno));
	free(cable->buffer);
	free(pcap);
}

static const struct cable_ops pcap_ops = {
	.room = pcap_room,
	.send = pcap_send,
	.fetch = pcap_fetch,
	.destroy = pcap_destroy,
};

static int open_input(struct pcap_cable *pcap, const char *path, struct weir_error *err)
{
	struct pcap_header header;
	uint32_t magic, link;

	pcap->in = fopen(path, "rbe");
	if (!pcap->in)
		return weir_error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (fread(&header, sizeof(header), 1, pcap->in) != 1)
		return weir_error_set(err, -EINVAL, "%s is shorter than a pcap file's header",
				      path);
	magic = header.magic;
	pcap->swapped = magic == __builtin_bswap32(MAGIC_MICROSECONDS) ||
			magic == __builtin_bswap32(MAGIC_NANOSECONDS);
	if (!pcap->swapped && magic != MAGIC_MICROSECONDS && magic != MAGIC_NANOSECONDS)
		return weir_error_set(err, -EINVAL, "%s is no pcap file: it begins with %08x", path,
				      magic);
	link = (pcap->swapped ? __builtin_bswap32(header.link) : header.link) & 0xffff;
	if (link != LINK_ETHERNET)
		return weir_error_set(err, -EINVAL,
				      "%s has frames of link type %u, not Ethernet's %u", path,
				      link, LINK_ETHERNET);
	return 0;
}

static int open_output(struct pcap_cable *pcap, const char *path, struct weir_error *err)
{
	const struct pcap_header header = {
		.magic = MAGIC_NANOSECONDS,
		.major = VERSION_MAJOR,
		.minor = VERSION_MINOR,
		.max_bytes = CABLE_MAX_FRAME,
		.link = LINK_ETHERNET,
	};

	pcap->out = fopen(path, "wbe");
	if (!pcap->out)
		return weir_error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (fwrite(&header, sizeof(header), 1, pcap->out) != 1 || fflush(pcap->out))
		return weir_error_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

int sim_cable_pcap(const char *in, const char *out, struct sim_cable **cable,
		   struct weir_error *err)
{
	struct pcap_cable *pcap = calloc(1, sizeof(*pcap));
	int rc = 0;

	if (!pcap)
		return weir_error_set(err, -ENOMEM, "no memory for a cable");
	pcap->cable = (struct sim_cable){ .ops = &pcap_ops, .buffer = cable_buffer_create() };
	if (!pcap->cable.buffer)
		rc = weir_error_set(err, -ENOMEM, "no memory for a cable");
	if (!rc && in)
		rc = open_input(pcap, in, err);
	if (!rc && out)
		rc = open_output(pcap, out, err);
	if (rc) {
		pcap_destroy(&pcap->cable);
		return rc;
	}
	*cable = &pcap->cable;
	return 0;
}
