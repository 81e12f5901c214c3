/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of captured frames, as libpcap reads them back, and filters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"

#define NR_FRAMES 2000
#define FRAME_BYTES 1514
#define START_NS UINT64_C(1700000000999999000)

static struct weir_error err;
static char folder[] = "/tmp/weir-capture-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file.pcap", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static uint32_t bytes_of(unsigned int n)
{
	return 14 + n * 7 % (FRAME_BYTES - 13);
}

static void fill(uint8_t *frame, unsigned int n)
{
	for (unsigned int i = 0; i < FRAME_BYTES; i++)
		frame[i] = (uint8_t)(n * 13 + i);
}

static void write_file(struct capture *capture, uint32_t snaplen)
{
	uint8_t frame[FRAME_BYTES];

	assert_int_equal(capture_begin(capture, path, false, snaplen, &err), 0);
	for (unsigned int n = 0; n < NR_FRAMES; n++) {
		fill(frame, n);
		assert_int_equal(capture_add(capture, START_NS + n, frame, bytes_of(n), &err), 0);
	}
}

static void read_file(uint32_t snaplen)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	pcap_t *file = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO,
							       why);
	struct pcap_pkthdr *header;
	uint8_t frame[FRAME_BYTES];
	const u_char *data;

	assert_string_equal(why, "");
	assert_non_null(file);
	assert_int_equal(pcap_datalink(file), DLT_EN10MB);
	assert_int_equal(pcap_snapshot(file), snaplen);
	for (unsigned int n = 0; n < NR_FRAMES; n++) {
		uint32_t bytes = bytes_of(n), kept = bytes < snaplen ? bytes : snaplen;

		assert_int_equal(pcap_next_ex(file, &header, &data), 1);
		assert_int_equal(header->ts.tv_sec, (START_NS + n) / 1000000000);
		assert_int_equal(header->ts.tv_usec, (START_NS + n) % 1000000000);
		assert_int_equal(header->len, bytes);
		assert_int_equal(header->caplen, kept);
		fill(frame, n);
		assert_memory_equal(data, frame, kept);
	}
	assert_int_equal(pcap_next_ex(file, &header, &data), PCAP_ERROR_BREAK);
	pcap_close(file);
}

static void test_round_trip(void **state)
{
	static const uint32_t snaplens[] = { CAPTURE_SNAPLEN, 64, 1 };
	struct capture capture;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		write_file(&capture, snaplens[i]);
		assert_int_equal(capture.frames, NR_FRAMES);
		/* Only now is it there under its name. */
		assert_int_not_equal(access(path, F_OK), 0);
		assert_int_equal(capture_commit(&capture, &err), 0);
		read_file(snaplens[i]);
		unlink(path);
	}
}

static void test_empty_file(void **state)
{
	char why[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	struct capture capture;
	const u_char *data;
	pcap_t *file;

	(void)state;
	assert_int_equal(capture_begin(&capture, path, false, 64, &err), 0);
	assert_int_equal(capture_commit(&capture, &err), 0);
	file = pcap_open_offline(path, why);
	assert_non_null(file);
	assert_int_equal(pcap_next_ex(file, &header, &data), PCAP_ERROR_BREAK);
	pcap_close(file);
	unlink(path);
}

static void test_nothing_is_left_behind(void **state)
{
	struct capture capture;

	(void)state;
	write_file(&capture, 64);
	capture_discard(&capture);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_full_disk(void **state)
{
	uint8_t frame[FRAME_BYTES] = { 0 };
	struct capture capture;
	int rc = 0;

	(void)state;
	assert_int_equal(capture_begin(&capture, "/dev/full", true, CAPTURE_SNAPLEN, &err), 0);
	for (unsigned int n = 0; !rc && n < NR_FRAMES; n++)
		rc = capture_add(&capture, START_NS, frame, sizeof(frame), &err);
	assert_int_equal(rc, -ENOSPC);
	assert_string_equal(err.text, "cannot write to /dev/full: No space left on device");
	capture_discard(&capture);
	assert_int_equal(capture_begin(&capture, "/dev/full", true, CAPTURE_SNAPLEN, &err), 0);
	assert_int_equal(capture_commit(&capture, &err), -ENOSPC);
}

/* An IPv4 packet of UDP to port 53, and one of ARP. */
static const uint8_t dns[60] = { [12] = 0x08, 0x00, 0x45, [17] = 46, [23] = 17, [37] = 53 };
static const uint8_t arp[60] = { [12] = 0x08, 0x06 };

static void test_filters(void **state)
{
	struct capture_filter filter;

	(void)state;
	assert_int_equal(capture_filter_make(&filter, NULL, &err), 0);
	assert_true(capture_filter_wants(&filter, dns, sizeof(dns)));
	assert_true(capture_filter_wants(&filter, arp, sizeof(arp)));
	capture_filter_end(&filter);
	assert_int_equal(capture_filter_make(&filter, "udp port 53", &err), 0);
	assert_true(capture_filter_wants(&filter, dns, sizeof(dns)));
	assert_false(capture_filter_wants(&filter, arp, sizeof(arp)));
	/* Cut off before the ports. */
	assert_false(capture_filter_wants(&filter, dns, 36));
	capture_filter_end(&filter);
	assert_int_equal(capture_filter_make(&filter, "not arp", &err), 0);
	assert_true(capture_filter_wants(&filter, dns, sizeof(dns)));
	assert_false(capture_filter_wants(&filter, arp, sizeof(arp)));
	capture_filter_end(&filter);
}

static void test_bad_filters(void **state)
{
	struct capture_filter filter;

	(void)state;
	assert_int_equal(capture_filter_make(&filter, "udp prot 53", &err), -EINVAL);
	assert_non_null(strstr(err.text, "filter 'udp prot 53': "));
	capture_filter_end(&filter);
	assert_int_equal(capture_filter_make(&filter, "port 70000", &err), -EINVAL);
	capture_filter_end(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty_file),
		cmocka_unit_test(test_nothing_is_left_behind),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_bad_filters),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
