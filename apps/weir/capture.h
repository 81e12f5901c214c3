/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A file of captured frames in the format of libpcap, with times in nanoseconds, that tcpdump and
 * Wireshark read.
 *
 * The records are collected and written many at a time; nothing of one is written before all of it
 * is there, so a file that ends early can be read as far as it goes.
 */
#ifndef WEIR_APPS_CAPTURE_H
#define WEIR_APPS_CAPTURE_H

#include "output_file.h"

#include <pcap/pcap.h>
#include <stdint.h>

/* What tcpdump keeps of a frame by default. */
#define CAPTURE_SNAPLEN 262144

struct capture {
	struct output_file file;
	uint8_t *buffer;
	size_t used;
	uint32_t snaplen;
	uint64_t frames, bytes; /* records, and what the file has of their frames */
};

/*
 * Begins a file, as output_file_begin() does.
 *
 * @param snaplen  bytes that are kept of a frame at most; up to CAPTURE_SNAPLEN
 */
int capture_begin(struct capture *capture, const char *path, bool force, uint32_t snaplen,
		  struct weir_error *err);

/* Adds a frame of `bytes`. `realtime_ns` is when it came, in nanoseconds since 1970. */
int capture_add(struct capture *capture, uint64_t realtime_ns, const void *frame, uint32_t bytes,
		struct weir_error *err);

/* Writes what is collected, for somebody who reads along. */
int capture_flush(struct capture *capture, struct weir_error *err);

/* Ends the file, and keeps it or leaves nothing behind. */
int capture_commit(struct capture *capture, struct weir_error *err);
void capture_discard(struct capture *capture);

/* A filter in the language of pcap-filter(7). */
struct capture_filter {
	struct bpf_program program;
};

/*
 * Compiles.
 *
 * @param text  NULL: all frames
 * @retval -EINVAL libpcap's words on what is wrong with it
 */
int capture_filter_make(struct capture_filter *filter, const char *text, struct weir_error *err);
void capture_filter_end(struct capture_filter *filter);

/* Whether a frame is wanted. */
bool capture_filter_wants(const struct capture_filter *filter, const void *frame, uint32_t bytes);

#endif
