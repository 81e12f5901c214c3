/* SPDX-License-Identifier: BSD-3-Clause */
#include "refusals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weir/nvme.h>

#include "base/base.h"
#include "device.h"

#define NR_IOS 32u
#define WAIT_NS UINT64_C(10000000000)

/* What is wrong with an I/O, and what has to come back. */
struct bad_io {
	const char *what;
	struct weir_nvme_io io;
	uint16_t expected;
};

/* A good read at the start of the namespace, to be spoiled. */
static struct weir_nvme_io good_read(uint64_t data)
{
	return (struct weir_nvme_io){ .opcode = WEIR_NVME_READ, .blocks = 8, .data = data };
}

/* The next completion. False when none comes. */
static bool next_done(struct weir_nvme_qp *qp, struct weir_nvme_done *done)
{
	uint64_t end = weir_now_ns() + WAIT_NS;
	int n;

	do {
		n = weir_nvme_poll(qp, done, 1);
	} while (!n && weir_now_ns() < end);
	return n == 1;
}

/* Submits a bad I/O between two good ones, which have to succeed. */
static bool try_io(struct weir_nvme_qp *qp, struct weir_nvme_ns *ns, uint64_t data,
		   const struct bad_io *bad)
{
	struct weir_nvme_io ios[3] = { good_read(data), bad->io, good_read(data) };
	struct weir_nvme_done done;
	unsigned int seen = 0;

	for (unsigned int i = 0; i < 3; i++)
		ios[i].cookie = i;
	if (weir_nvme_submit(qp, ns, ios, 3) != 3)
		return false;
	for (unsigned int i = 0; i < 3; i++) {
		if (!next_done(qp, &done) || done.cookie > 2 || (seen & 1u << done.cookie) ||
		    done.host != (done.cookie == 1 ? bad->expected : 0) || done.status)
			return false;
		seen |= 1u << done.cookie;
	}
	return true;
}

static bool try_namespace(struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns, uint64_t data)
{
	struct weir_nvme_io io = good_read(data);
	struct weir_nvme_done done;

	return weir_nvme_submit(qp, ns, &io, 1) == 1 && next_done(qp, &done) &&
	       done.host == WEIR_NVME_HOST_NAMESPACE;
}

static bool say(const char *what, bool ok)
{
	printf("%-58s %s\n", what, ok ? "refused" : "NOT REFUSED AS IT SHOULD BE");
	return ok;
}

/* `other` is another controller. */
static bool bad_ios(struct weir_nvme *nvme, struct weir_nvme *other)
{
	struct weir_nvme_ns *ns = weir_nvme_ns(nvme, 1);
	struct weir_nvme_ns_info ns_info;
	struct weir_nvme_info info;
	struct weir_nvme_qp *qp;
	struct weir_error err;
	bool ok = true;
	uint64_t data;

	if (!ns || weir_nvme_qp_create(nvme, NULL, &qp, &err))
		return false;
	weir_nvme_info(nvme, &info);
	weir_nvme_ns_info(ns, &ns_info);
	data = weir_arena_iova(weir_nvme_arena(nvme));

	const struct weir_nvme_segment short_of[2] = { { data, 2048, 0 },
						       { data + 4096, 1024, 0 } };
	const uint32_t too_many = info.max_transfer / ns_info.block_bytes + 1;
	struct bad_io tries[] = {
		{ "the LBA after the last", good_read(data), WEIR_NVME_HOST_LBA },
		{ "a range that ends one block past the end", good_read(data), WEIR_NVME_HOST_LBA },
		{ "LBA 2^64 - 1", good_read(data), WEIR_NVME_HOST_LBA },
		{ "one block over the maximum transfer", good_read(data), WEIR_NVME_HOST_LENGTH },
		{ "no blocks", good_read(data), WEIR_NVME_HOST_LENGTH },
		{ "segments that are shorter than the blocks", good_read(data),
		  WEIR_NVME_HOST_LENGTH },
		{ "data at an odd address", good_read(data + 1), WEIR_NVME_HOST_ALIGNMENT },
		{ "data two bytes off a dword", good_read(data + 2), WEIR_NVME_HOST_ALIGNMENT },
		{ "an unknown opcode", good_read(data), WEIR_NVME_HOST_OPCODE },
		{ "a reserved member that is not zero", good_read(data), WEIR_NVME_HOST_RESERVED },
	};

	tries[0].io.lba = ns_info.blocks;
	tries[1].io.lba = ns_info.blocks - 7;
	tries[2].io.lba = UINT64_MAX;
	tries[3].io.blocks = too_many;
	tries[4].io.blocks = 0;
	tries[5].io.nr_segments = 2;
	tries[5].io.data = (uintptr_t)short_of;
	tries[8].io.opcode = 0x55;
	tries[9].io.reserved[1] = 1;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++)
		ok = say(tries[i].what, try_io(qp, ns, data, &tries[i])) && ok;
	ok = say("no namespace", try_namespace(qp, NULL, data)) && ok;
	ok = say("another controller's namespace",
		 try_namespace(qp, weir_nvme_ns(other, 1), data)) &&
	     ok;
	weir_nvme_qp_destroy(qp);
	return ok;
}

/*
 * On a controller that spoils a completion among NR_IOS: every cookie has to come back exactly
 * once, then the queue has to be dead, and the reason has to name the command id.
 */
static bool bad_completions(struct weir_nvme *nvme)
{
	struct weir_nvme_done done[NR_IOS];
	struct weir_nvme_io ios[NR_IOS];
	uint64_t end = weir_now_ns() + WAIT_NS;
	uint32_t seen = 0;
	struct weir_nvme_qp *qp;
	struct weir_error err;
	int n;

	if (weir_nvme_qp_create(nvme, NULL, &qp, &err))
		return false;
	for (unsigned int i = 0; i < NR_IOS; i++) {
		ios[i] = good_read(weir_arena_iova(weir_nvme_arena(nvme)));
		ios[i].cookie = i;
	}
	if (weir_nvme_submit(qp, weir_nvme_ns(nvme, 1), ios, NR_IOS) != (int)NR_IOS)
		return false;
	while ((n = weir_nvme_poll(qp, done, NR_IOS)) >= 0 && weir_now_ns() < end) {
		for (int i = 0; i < n; i++) {
			if (done[i].cookie >= NR_IOS || (seen & 1u << done[i].cookie) ||
			    done[i].status || (done[i].host && done[i].host != WEIR_NVME_HOST_GONE))
				return false;
			seen |= 1u << done[i].cookie;
		}
	}
	weir_nvme_failure(nvme, &err);
	return n == -ENODEV && seen == UINT32_MAX && err.code && strstr(err.text, "command id");
}

/* Opens a controller with a fault. */
static bool with_fault(const char *what, const struct sim_nvme_faults *faults)
{
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	struct bench_device *device;
	struct weir_nvme *nvme;
	struct weir_error err;
	bool ok;

	options.backing = SIM_NVME_NULL;
	options.faults = *faults;
	if (bench_device_start(&options, -1, &device, &err)) {
		fprintf(stderr, "%s: %s\n", what, err.text);
		return false;
	}
	if (weir_nvme_open(bench_device_address(device), NULL, &nvme, &err)) {
		fprintf(stderr, "%s: %s\n", what, err.text);
		bench_device_stop(device);
		return false;
	}
	ok = say(what, bad_completions(nvme));
	weir_nvme_close(nvme);
	bench_device_stop(device);
	return ok;
}

bool refusals_all(const char *address)
{
	const struct sim_nvme_faults wrong = { .wrong_cid_every = 7 };
	const struct sim_nvme_faults twice = { .duplicate_cid_every = 7 };
	struct sim_nvme_options options = SIM_NVME_OPTIONS_INIT;
	struct weir_nvme *nvme = NULL, *other = NULL;
	struct bench_device *device = NULL;
	struct weir_error err = { 0 };
	bool ok = false;

	options.backing = SIM_NVME_NULL;
	if (bench_device_start(&options, -1, &device, &err) ||
	    weir_nvme_open(address, NULL, &nvme, &err) ||
	    weir_nvme_open(bench_device_address(device), NULL, &other, &err)) {
		fprintf(stderr, "refusals: %s\n", err.text);
		goto out;
	}
	ok = bad_ios(nvme, other);
	ok = with_fault("a completion with a command id out of range", &wrong) && ok;
	ok = with_fault("a completion that comes twice", &twice) && ok;
out:
	weir_nvme_close(other);
	weir_nvme_close(nvme);
	bench_device_stop(device);
	return ok;
}
