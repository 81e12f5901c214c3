/* SPDX-License-Identifier: BSD-3-Clause */
#include "capture.h"
#include "fail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* pcap-savefile(5): the number that says that times are in nanoseconds. */
#define MAGIC_NANOSECONDS 0xa1b23c4du
#define BUFFER_BYTES ((size_t)1 << 20)
#define NS_PER_S UINT64_C(1000000000)

/* A record's header, in the byte order of whoever writes the file. */
struct record {
	uint32_t seconds;
	uint32_t nanoseconds;
	uint32_t kept;
	uint32_t bytes;
};

int capture_begin(struct capture *capture, const char *path, bool force, uint32_t snaplen,
		  struct weir_error *err)
{
	struct pcap_file_header header = {
		.magic = MAGIC_NANOSECONDS,
		.version_major = PCAP_VERSION_MAJOR,
		.version_minor = PCAP_VERSION_MINOR,
		.snaplen = snaplen,
		.linktype = DLT_EN10MB,
	};
	int rc;

	*capture = (struct capture){ .snaplen = snaplen };
	capture->buffer = malloc(BUFFER_BYTES);
	if (!capture->buffer)
		return fail(err, -ENOMEM, "no memory for frames on their way to %s", path);
	rc = output_file_begin(&capture->file, path, force, err);
	if (rc) {
		free(capture->buffer);
		return rc;
	}
	memcpy(capture->buffer, &header, sizeof(header));
	capture->used = sizeof(header);
	return 0;
}

int capture_flush(struct capture *capture, struct weir_error *err)
{
	size_t used = capture->used;

	capture->used = 0;
	return used ? output_file_write(&capture->file, capture->buffer, used, err) : 0;
}

int capture_add(struct capture *capture, uint64_t realtime_ns, const void *frame, uint32_t bytes,
		struct weir_error *err)
{
	struct record record = {
		.seconds = (uint32_t)(realtime_ns / NS_PER_S),
		.nanoseconds = (uint32_t)(realtime_ns % NS_PER_S),
		.kept = bytes < capture->snaplen ? bytes : capture->snaplen,
		.bytes = bytes,
	};
	int rc;

	if (BUFFER_BYTES - capture->used < sizeof(record) + record.kept) {
		rc = capture_flush(capture, err);
		if (rc)
			return rc;
	}
	memcpy(capture->buffer + capture->used, &record, sizeof(record));
	memcpy(capture->buffer + capture->used + sizeof(record), frame, record.kept);
	capture->used += sizeof(record) + record.kept;
	capture->frames++;
	capture->bytes += record.kept;
	return 0;
}

int capture_commit(struct capture *capture, struct weir_error *err)
{
	int rc = capture_flush(capture, err);

	free(capture->buffer);
	if (!rc)
		return output_file_commit(&capture->file, err);
	output_file_discard(&capture->file);
	return rc;
}

void capture_discard(struct capture *capture)
{
	free(capture->buffer);
	output_file_discard(&capture->file);
}

int capture_filter_make(struct capture_filter *filter, const char *text, struct weir_error *err)
{
	pcap_t *dead;
	int rc = 0;

	*filter = (struct capture_filter){ 0 };
	if (!text)
		return 0;
	dead = pcap_open_dead(DLT_EN10MB, CAPTURE_SNAPLEN);
	if (!dead)
		return fail(err, -ENOMEM, "no memory for a filter");
	if (pcap_compile(dead, &filter->program, text, 1, PCAP_NETMASK_UNKNOWN))
		rc = fail(err, -EINVAL, "filter '%s': %s", text, pcap_geterr(dead));
	pcap_close(dead);
	return rc;
}

void capture_filter_end(struct capture_filter *filter)
{
	pcap_freecode(&filter->program);
}

bool capture_filter_wants(const struct capture_filter *filter, const void *frame, uint32_t bytes)
{
	struct pcap_pkthdr header = { .caplen = bytes, .len = bytes };

	return !filter->program.bf_insns ||
	       pcap_offline_filter(&filter->program, &header, frame) != 0;
}
