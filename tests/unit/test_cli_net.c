/* SPDX-License-Identifier: BSD-3-Clause */
/* What weir net works with beside devices: what people type, rates on a made-up clock, and frames,
 * whose checksums are found anew here from the bytes alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "parse_net.h"
#include "token_bucket.h"

static struct weir_error err;

static void assert_rate(const char *text, enum net_rate_unit unit, uint64_t value)
{
	struct net_rate rate = { .value = 77 };

	assert_int_equal(parse_net_rate("rate", text, &rate, &err), 0);
	assert_int_equal(rate.unit, unit);
	if (unit != NET_RATE_MAX)
		assert_int_equal(rate.value, value);
}

static void assert_no_rate(const char *text, const char *expected)
{
	struct net_rate rate;

	assert_int_equal(parse_net_rate("rate", text, &rate, &err), -EINVAL);
	assert_string_equal(err.text, expected);
}

static void test_rates(void **state)
{
	static const char *const malformed[] = { "",	  "1",	    "pps",     "1000",	  "-1pps",
						 "+1pps", " 1pps",  "1 pps",   "1.pps",	  ".5pps",
						 "1xps",  "1Mpps ", "1e6pps",  "0x10pps", "maxi",
						 "50%%",  "1KKpps", "1.5.5pps" };

	(void)state;
	assert_rate("max", NET_RATE_MAX, 0);
	assert_rate("1pps", NET_RATE_PPS, 1);
	assert_rate("1000pps", NET_RATE_PPS, 1000);
	assert_rate("2.5Mpps", NET_RATE_PPS, 2500000);
	assert_rate("14.880952Mpps", NET_RATE_PPS, 14880952);
	assert_rate("1kPPS", NET_RATE_PPS, 1000);
	assert_rate("100Mbps", NET_RATE_BPS, 100000000);
	assert_rate("1Gbps", NET_RATE_BPS, 1000000000);
	assert_rate("1000Gbps", NET_RATE_BPS, 1000000000000);
	assert_rate("50%", NET_RATE_PERCENT, 5000);
	assert_rate("0.01%", NET_RATE_PERCENT, 1);
	assert_rate("100%", NET_RATE_PERCENT, 10000);
	assert_no_rate("100.01%", "rate 100.01% is over the limit of 100%");
	assert_no_rate("1000.1Gbps", "rate 1000.1Gbps is over the limit of 1000Gbps");
	assert_no_rate("1001Gpps", "rate 1001Gpps is over the limit of 1000Gpps");
	assert_no_rate("0pps", "rate 0pps is nothing at all");
	assert_no_rate("0.5pps", "rate 0.5pps is finer than one of its units");
	assert_no_rate("0.001%", "rate 0.001% is finer than one of its units");
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		struct net_rate rate;

		assert_int_equal(parse_net_rate("rate", malformed[i], &rate, &err), -EINVAL);
		assert_non_null(strstr(err.text, "' is not max nor a rate such as 1000pps"));
	}
	assert_int_equal(
		parse_net_rate("rate", "99999999999999999999pps", &(struct net_rate){ 0 }, &err),
		-EINVAL);
}

static void assert_sizes(const char *text, enum net_size_kind kind, uint32_t min, uint32_t max)
{
	struct net_sizes sizes;

	assert_int_equal(parse_net_sizes("size", text, &sizes, &err), 0);
	assert_int_equal(sizes.kind, kind);
	assert_int_equal(sizes.min, min);
	assert_int_equal(sizes.max, max);
}

static void assert_no_sizes(const char *text, const char *expected)
{
	struct net_sizes sizes;

	assert_int_equal(parse_net_sizes("size", text, &sizes, &err), -EINVAL);
	assert_string_equal(err.text, expected);
}

static void test_sizes(void **state)
{
	(void)state;
	assert_sizes("64", NET_SIZE_FIXED, 64, 64);
	assert_sizes("9728", NET_SIZE_FIXED, 9728, 9728);
	assert_sizes("64-1518", NET_SIZE_RANGE, 64, 1518);
	assert_sizes("100-100", NET_SIZE_FIXED, 100, 100);
	assert_sizes("imix", NET_SIZE_IMIX, 64, 1518);
	assert_no_sizes("63", "size 63 is under the minimum of 64 bytes");
	assert_no_sizes("9729", "size 9729 is over the limit of 9728 bytes");
	assert_no_sizes("64-99999999999999",
			"size 64-99999999999999 is over the limit of 9728 bytes");
	assert_no_sizes("100-99", "size 100-99 ends before it begins");
	assert_no_sizes("64-", "size '64-' is not imix nor a size such as 64 or 64-1518");
	assert_no_sizes("-64", "size '-64' is not imix nor a size such as 64 or 64-1518");
	assert_no_sizes("64x", "size '64x' is not imix nor a size such as 64 or 64-1518");
	assert_no_sizes("", "size '' is not imix nor a size such as 64 or 64-1518");
}

static void test_addresses(void **state)
{
	static const uint8_t expected[6] = { 0x02, 0xab, 0xCD, 0, 0x7f, 0xff };
	static const char *const bad_macs[] = { "",
						"02:ab:cd:00:7f",
						"02:ab:cd:00:7f:ff:",
						"02:ab:cd:00:7f:f",
						"2:ab:cd:0:7f:ff",
						"02-ab-cd-00-7f-ff",
						"02:ab:cd:00:7f:fg" };
	struct net_ip ip;
	uint8_t mac[6];

	(void)state;
	assert_int_equal(parse_net_mac("mac", "02:ab:CD:00:7f:ff", mac, &err), 0);
	assert_memory_equal(mac, expected, 6);
	for (size_t i = 0; i < sizeof(bad_macs) / sizeof(bad_macs[0]); i++)
		assert_int_equal(parse_net_mac("mac", bad_macs[i], mac, &err), -EINVAL);
	assert_int_equal(parse_net_ip("ip", "192.0.2.1", &ip, &err), 0);
	assert_int_equal(ip.bytes, 4);
	assert_int_equal(parse_net_ip("ip", "2001:db8::1", &ip, &err), 0);
	assert_int_equal(ip.bytes, 16);
	assert_int_equal(parse_net_ip("ip", "192.0.2.256", &ip, &err), -EINVAL);
	assert_int_equal(parse_net_ip("ip", "example", &ip, &err), -EINVAL);
	assert_string_equal(err.text,
			    "ip 'example' is not an IP address such as 192.0.2.1 or 2001:db8::1");
}

#define SECOND UINT64_C(1000000000)

/* Takes what there is after irregular steps of a made-up clock, for ten seconds. */
static uint64_t run_bucket(uint64_t rate, uint64_t depth, uint64_t cost)
{
	uint64_t now = 123456789, end = now + 10 * SECOND, taken = 0, step = 1;
	struct token_bucket bucket;

	token_bucket_start(&bucket, rate, depth, now);
	while (now < end) {
		step = (step * 31 + 17) % 9973 + 1;
		now = now + step < end ? now + step : end;
		token_bucket_refill(&bucket, now);
		while (token_bucket_take(&bucket, cost))
			taken += cost;
	}
	return taken;
}

static void test_rate_is_exact(void **state)
{
	(void)state;
	assert_int_equal(run_bucket(1, 2, 1), 10);
	assert_int_equal(run_bucket(3, 2, 1), 30);
	assert_int_equal(run_bucket(1000003, 1000, 1), 10000030);
	/* Costs that the rate is no multiple of: less than one is left over. */
	assert_in_range(run_bucket(100000000, 1000000, 12304), 1000000000 - 12304, 1000000000);
}

static void test_bucket_saves_up_to_its_depth(void **state)
{
	struct token_bucket bucket;
	unsigned int taken = 0;

	(void)state;
	token_bucket_start(&bucket, 1000, 50, 0);
	assert_false(token_bucket_take(&bucket, 1));
	/* A time whose product with the rate is far over 64 bits. */
	token_bucket_refill(&bucket, UINT64_MAX / 2);
	while (token_bucket_take(&bucket, 1))
		taken++;
	assert_int_equal(taken, 50);
	token_bucket_refill(&bucket, UINT64_MAX / 2 + 49 * SECOND / 1000);
	taken = 0;
	while (token_bucket_take(&bucket, 1))
		taken++;
	assert_int_equal(taken, 49);
}

static void test_bucket_says_how_long(void **state)
{
	struct token_bucket bucket;
	uint64_t wait;

	(void)state;
	token_bucket_start(&bucket, 7, 100, SECOND);
	wait = token_bucket_wait_ns(&bucket, 3);
	token_bucket_refill(&bucket, SECOND + wait - 1);
	assert_false(token_bucket_take(&bucket, 3));
	token_bucket_refill(&bucket, SECOND + wait);
	assert_int_equal(token_bucket_wait_ns(&bucket, 3), 0);
	assert_true(token_bucket_take(&bucket, 3));
	/* The deepest bucket at the highest rate neither wraps nor stops. */
	token_bucket_start(&bucket, UINT64_C(1000000000000), UINT64_MAX, 0);
	token_bucket_refill(&bucket, 5 * SECOND);
	assert_true(token_bucket_take(&bucket, TOKEN_BUCKET_MAX_DEPTH));
	assert_false(token_bucket_take(&bucket, 1));
	token_bucket_start(&bucket, 0, 1, 0);
	assert_true(token_bucket_take(&bucket, UINT64_MAX));
	assert_int_equal(token_bucket_wait_ns(&bucket, 1), 0);
}

static const struct flow_options plain = {
	.dst_mac = { 0x02, 0, 0, 0, 0, 0x01 },
	.src_mac = { 0x02, 0, 0, 0, 0, 0x02 },
	.vlan = FLOW_NO_VLAN,
	.src = { 4, { 198, 18, 0, 1 } },
	.dst = { 4, { 198, 18, 0, 2 } },
	.src_port = 49152,
	.dst_port = 9,
	.flows = 1,
	.sizes = { NET_SIZE_FIXED, 64, 64 },
	.seed = 1,
};

static uint32_t number(const uint8_t *at, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | *at++;
	return value;
}

/* The bytes as one number modulo 65535, which is what a checksum in ones' complement makes zero. */
static uint32_t remainder_of(const uint8_t *at, uint32_t bytes, uint32_t carry)
{
	for (uint32_t i = 0; i < bytes; i++)
		carry = (carry * 256 + at[i]) % 65535;
	/* An odd byte is the upper half of its word. */
	return bytes % 2 ? carry * 256 % 65535 : carry;
}

/* What a frame says, after everything in it was found right. */
struct seen {
	uint32_t bytes, flow, src_port, dst_port, src_ip, dst_ip;
	uint64_t sequence;
};

static void check_frame(const uint8_t *frame, uint32_t bytes, const struct flow_options *options,
			struct seen *seen)
{
	const uint8_t *ip = frame + 14, *udp, *payload;
	uint32_t udp_bytes, sum;

	assert_memory_equal(frame, options->dst_mac, 6);
	assert_memory_equal(frame + 6, options->src_mac, 6);
	if (options->vlan != FLOW_NO_VLAN) {
		assert_int_equal(number(frame + 12, 4), 0x81000000u | options->vlan);
		ip += 4;
	}
	if (options->src.bytes == 4) {
		assert_int_equal(number(ip - 2, 2), 0x0800);
		assert_int_equal(ip[0], 0x45);
		assert_int_equal(number(ip + 2, 2), frame + bytes - ip);
		assert_int_equal(ip[9], 17);
		assert_int_equal(remainder_of(ip, 20, 0), 0);
		udp = ip + 20;
		sum = remainder_of(ip + 12, 8, 0);
		seen->src_ip = number(ip + 12, 4);
		seen->dst_ip = number(ip + 16, 4);
	} else {
		assert_int_equal(number(ip - 2, 2), 0x86dd);
		assert_int_equal(number(ip, 4), 0x60000000);
		assert_int_equal(number(ip + 4, 2), frame + bytes - ip - 40);
		assert_int_equal(ip[6], 17);
		udp = ip + 40;
		sum = remainder_of(ip + 8, 32, 0);
		seen->src_ip = number(ip + 20, 4);
		seen->dst_ip = number(ip + 36, 4);
	}
	udp_bytes = (uint32_t)(frame + bytes - udp);
	assert_int_equal(number(udp + 4, 2), udp_bytes);
	assert_int_not_equal(number(udp + 6, 2), 0);
	sum = (sum + 17 + udp_bytes) % 65535;
	assert_int_equal((sum + remainder_of(udp, udp_bytes, 0)) % 65535, 0);
	payload = udp + 8;
	assert_memory_equal(payload, "WEIR", 4);
	for (const uint8_t *at = payload + 16; at < frame + bytes; at++)
		assert_int_equal(*at, 0);
	seen->bytes = bytes;
	seen->src_port = number(udp, 2);
	seen->dst_port = number(udp + 2, 2);
	seen->flow = number(payload + 4, 4);
	seen->sequence = (uint64_t)number(payload + 8, 4) << 32 | number(payload + 12, 4);
}

static void next_frame(struct flow_generator *gen, const struct flow_options *options,
		       struct seen *seen)
{
	uint32_t bytes = flow_next_bytes(gen);
	/* Of exactly that size: a byte too many is seen by the sanitizers. */
	uint8_t *frame = calloc(1, bytes);

	assert_non_null(frame);
	flow_write(gen, frame, bytes);
	check_frame(frame, bytes, options, seen);
	free(frame);
}

static void test_frames(void **state)
{
	struct flow_options options[4] = { plain, plain, plain, plain };
	struct flow_generator gen;
	struct seen seen;

	(void)state;
	options[1].vlan = 4094;
	options[1].sizes = (struct net_sizes){ NET_SIZE_FIXED, 66, 66 };
	options[2].src = (struct net_ip){ 16, { 0x20, 1, 0xd, 0xb8, 15 * 16, 1, [15] = 1 } };
	options[2].dst = (struct net_ip){ 16, { 0x20, 1, 0xd, 0xb8, [14] = 0xff, 0xff } };
	options[2].sizes = (struct net_sizes){ NET_SIZE_FIXED, 82, 82 };
	options[3] = options[2];
	options[3].vlan = 0;
	options[3].sizes = (struct net_sizes){ NET_SIZE_RANGE, 86, 9728 };
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(flow_check(&options[i], &err), 0);
		flow_start(&gen, &options[i], 0, 1);
		for (uint64_t n = 0; n < 3000; n++) {
			next_frame(&gen, &options[i], &seen);
			assert_in_range(seen.bytes + 4, options[i].sizes.min, options[i].sizes.max);
			assert_int_equal(seen.sequence, n);
			assert_int_equal(seen.src_port, 49152);
			assert_int_equal(seen.dst_port, 9);
		}
	}
}

/* Every value of the checksum comes up, the one that would be zero too. */
static void test_checksum_is_never_missing(void **state)
{
	struct flow_options options = plain;
	struct flow_generator gen;
	struct seen seen;
	bool all_ones = false;

	(void)state;
	options.flows = 65536 - 1;
	options.src_port = 1;
	flow_start(&gen, &options, 0, 1);
	for (unsigned int i = 0; i < options.flows; i++) {
		uint8_t frame[60] = { 0 };

		flow_write(&gen, frame, flow_next_bytes(&gen));
		check_frame(frame, sizeof(frame), &options, &seen);
		all_ones |= number(frame + 40, 2) == 0xffff;
	}
	assert_true(all_ones);
}

static void test_flows_take_turns(void **state)
{
	struct flow_options options = plain;
	struct flow_generator gen[3];
	struct seen seen;

	(void)state;
	options.flows = 10;
	options.vary = FLOW_DST_IP;
	for (unsigned int part = 0; part < 3; part++) {
		flow_start(&gen[part], &options, part, 3);
		for (uint64_t sequence = 0; sequence < 4; sequence++) {
			for (uint32_t flow = part; flow < 10; flow += 3) {
				next_frame(&gen[part], &options, &seen);
				assert_int_equal(seen.flow, flow);
				assert_int_equal(seen.sequence, sequence);
				assert_int_equal(seen.dst_ip, 0xc6120002 + flow);
				assert_int_equal(seen.src_ip, 0xc6120001);
			}
		}
	}
	options.vary = FLOW_SRC_IP;
	options.src = (struct net_ip){ 16, { 0x20, 1, [15] = 0xff } };
	options.dst = (struct net_ip){ 16, { 0x20, 2, [15] = 1 } };
	options.sizes = (struct net_sizes){ NET_SIZE_FIXED, 100, 100 };
	flow_start(&gen[0], &options, 0, 1);
	for (uint32_t flow = 0; flow < 10; flow++) {
		next_frame(&gen[0], &options, &seen);
		assert_int_equal(seen.src_ip, 0xff + flow);
		assert_int_equal(seen.dst_ip, 1);
	}
	options.vary = FLOW_DST_PORT;
	flow_start(&gen[0], &options, 0, 1);
	for (uint32_t flow = 0; flow < 10; flow++) {
		next_frame(&gen[0], &options, &seen);
		assert_int_equal(seen.dst_port, 9 + flow);
	}
}

static void count_mix(const struct flow_options *options, const uint32_t sizes[3])
{
	unsigned int counts[3] = { 0 };
	struct flow_generator gen;
	struct seen seen;

	flow_start(&gen, options, 0, 1);
	for (unsigned int n = 0; n < 1200; n++) {
		next_frame(&gen, options, &seen);
		for (unsigned int i = 0; i < 3; i++)
			counts[i] += seen.bytes + 4 == sizes[i];
	}
	assert_int_equal(counts[0], 700);
	assert_int_equal(counts[1], 400);
	assert_int_equal(counts[2], 100);
}

static void test_mix(void **state)
{
	struct flow_options options = plain;

	(void)state;
	options.sizes = (struct net_sizes){ NET_SIZE_IMIX, 64, 1518 };
	count_mix(&options, (const uint32_t[3]){ 64, 594, 1518 });
	assert_int_equal(flow_max_size(&options), 1518);
	options.vlan = 5;
	count_mix(&options, (const uint32_t[3]){ 68, 598, 1522 });
	assert_int_equal(flow_max_size(&options), 1522);
	options.vlan = FLOW_NO_VLAN;
	options.src.bytes = options.dst.bytes = 16;
	count_mix(&options, (const uint32_t[3]){ 82, 594, 1518 });
}

static void test_range_reaches_both_ends(void **state)
{
	struct flow_options options = plain;
	unsigned int counts[8] = { 0 };
	struct flow_generator gen;
	struct seen seen;

	(void)state;
	options.sizes = (struct net_sizes){ NET_SIZE_RANGE, 64, 71 };
	flow_start(&gen, &options, 0, 1);
	for (unsigned int n = 0; n < 8000; n++) {
		next_frame(&gen, &options, &seen);
		counts[seen.bytes + 4 - 64]++;
	}
	for (unsigned int i = 0; i < 8; i++)
		assert_in_range(counts[i], 800, 1200);
}

static void assert_refused(const struct flow_options *options, const char *text)
{
	assert_int_equal(flow_check(options, &err), -EINVAL);
	assert_string_equal(err.text, text);
}

static void test_what_does_not_go_together(void **state)
{
	struct flow_options options = plain;

	(void)state;
	options.src.bytes = 16;
	assert_refused(&options, "one IP address is of version 4 and the other of version 6");
	options.dst.bytes = 16;
	assert_refused(&options, "size 64 is under the 82 bytes that these headers need");
	options = plain;
	options.vlan = 1;
	assert_refused(&options, "size 64 is under the 66 bytes that these headers need");
	options = plain;
	options.flows = 65536 - 49152;
	assert_int_equal(flow_check(&options, &err), 0);
	options.flows++;
	assert_refused(&options, "flows 16385 is over the 16384 ports from the first on");
	options.vary = FLOW_DST_IP;
	assert_int_equal(flow_check(&options, &err), 0);
	memset(options.dst.address, 0xff, 4);
	assert_refused(&options, "flows 16385 is over the 1 addresses from the first on");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_rate_is_exact),
		cmocka_unit_test(test_bucket_saves_up_to_its_depth),
		cmocka_unit_test(test_bucket_says_how_long),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_checksum_is_never_missing),
		cmocka_unit_test(test_flows_take_turns),
		cmocka_unit_test(test_mix),
		cmocka_unit_test(test_range_reaches_both_ends),
		cmocka_unit_test(test_what_does_not_go_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
