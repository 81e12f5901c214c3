/* SPDX-License-Identifier: BSD-3-Clause */
#include "nvme_test.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CANARY_BYTE 0xc5
#define IO_SECONDS 30

static int open_drive(struct nvme_test *t)
{
	struct weir_error err;
	unsigned int bar;
	uint64_t offset, bytes;

	if (weir_nvme_open(t->address, &t->options, &t->nvme, &err)) {
		fprintf(stderr, "%s: %s\n", t->address, err.text);
		return -1;
	}
	/* The driver looks for it when it is asked. */
	weir_nvme_cmb(t->nvme, &bar, &offset, &bytes, NULL);
	return 0;
}

int nvme_test_open(struct nvme_test *t)
{
	/* Once for what the C library keeps. */
	if (open_drive(t))
		return -1;
	weir_nvme_close(t->nvme);
	resources_look(&t->before);
	if (open_drive(t))
		return -1;
	t->arena = weir_nvme_arena(t->nvme);
	t->ns = t->nsid ? weir_nvme_ns(t->nvme, t->nsid) : weir_nvme_next_ns(t->nvme, 0);
	if (!t->ns) {
		fprintf(stderr, "%s: no namespace of id %u\n", t->address, t->nsid);
		return -1;
	}
	weir_nvme_info(t->nvme, &t->info);
	weir_nvme_ns_info(t->ns, &t->ns_info);
	t->is_sim = !strncmp(t->address, "vfio-user:", 10);
	return 0;
}

int nvme_test_close(struct nvme_test *t)
{
	weir_nvme_close(t->nvme);
	resources_look(&t->after);
	/* Threads were run meanwhile: their stacks and heaps are kept. */
	t->after.private_kib = t->before.private_kib;
	return resources_same(&t->before, &t->after) ? 0 : -1;
}

static uint64_t namespaces(const struct nvme_test *t)
{
	uint64_t nr = 0;
	struct weir_nvme_ns_info info;

	for (struct weir_nvme_ns *ns = weir_nvme_next_ns(t->nvme, 0); ns;
	     ns = weir_nvme_next_ns(t->nvme, info.nsid)) {
		weir_nvme_ns_info(ns, &info);
		nr++;
	}
	return nr;
}

static struct weir_device_info device_info(const struct nvme_test *t)
{
	struct weir_device_info info;

	weir_device_info(weir_nvme_device(t->nvme), &info);
	return info;
}

void nvme_test_expect(struct nvme_test *t)
{
	const struct weir_device_info device = device_info(t);
	const struct {
		const char *name;
		uint64_t value;
	} known[] = {
		{ "max_transfer", t->info.max_transfer },
		{ "entries", t->info.max_queue_entries },
		{ "queues", t->info.queues },
		{ "stride", t->info.doorbell_stride },
		{ "page", t->info.page_bytes },
		{ "sgl", t->info.sgl },
		{ "shadow", t->info.shadow_doorbells },
		{ "mapped", t->info.doorbells_mapped },
		{ "cache", t->info.volatile_write_cache },
		{ "cmb", t->info.cmb_bytes },
		{ "block", t->ns_info.block_bytes },
		{ "boundary", t->ns_info.boundary_blocks },
		{ "namespaces", namespaces(t) },
		{ "node", (uint64_t)device.node },
	};

	for (unsigned int i = 0; i < t->nr_expectations; i++) {
		const char *equals = strchr(t->expectations[i], '=');
		size_t length, at = 0;

		assert_non_null(equals);
		length = (size_t)(equals - t->expectations[i]);
		while (at < sizeof(known) / sizeof(known[0]) &&
		       (strlen(known[at].name) != length ||
			memcmp(known[at].name, t->expectations[i], length)))
			at++;
		if (at == sizeof(known) / sizeof(known[0]))
			fail_msg("unknown expectation %s", t->expectations[i]);
		else if (known[at].value != strtoull(equals + 1, NULL, 0))
			fail_msg("%s expected, it is %llu", t->expectations[i],
				 (unsigned long long)known[at].value);
	}
}

struct weir_nvme_qp *nvme_test_qp(struct nvme_test *t, unsigned int depth)
{
	struct weir_nvme_qp_options options = WEIR_NVME_QP_OPTIONS_INIT;
	struct weir_nvme_qp *qp;
	struct weir_error err;

	options.depth = depth;
	if (weir_nvme_qp_create(t->nvme, &options, &qp, &err))
		fail_msg("%s", err.text);
	return qp;
}

uint8_t *nvme_test_buffer(struct nvme_test *t, size_t bytes)
{
	uint8_t *memory = weir_arena_alloc(t->arena, bytes + 2 * (size_t)NVME_TEST_CANARY, 4096);

	assert_non_null(memory);
	memset(memory, CANARY_BYTE, bytes + 2 * (size_t)NVME_TEST_CANARY);
	return memory + NVME_TEST_CANARY;
}

void nvme_test_free(struct nvme_test *t, uint8_t *buffer)
{
	weir_arena_free(t->arena, buffer - NVME_TEST_CANARY);
}

void nvme_test_canaries(const uint8_t *buffer, size_t bytes)
{
	for (size_t i = 0; i < NVME_TEST_CANARY; i++) {
		if (buffer[-1 - (ptrdiff_t)i] != CANARY_BYTE)
			fail_msg("the byte %zu before the buffer was written", i + 1);
		if (buffer[bytes + i] != CANARY_BYTE)
			fail_msg("the byte %zu after the buffer was written", i + 1);
	}
}

uint64_t nvme_test_iova(const struct nvme_test *t, const void *ptr)
{
	return weir_arena_ptr_iova(t->arena, ptr);
}

static uint64_t next_word(uint64_t *at)
{
	uint64_t word = *at += UINT64_C(0x9e3779b97f4a7c15);

	word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return word ^ word >> 27;
}

void nvme_test_fill(void *data, size_t bytes, uint64_t seed)
{
	uint64_t at = seed * UINT64_C(0xd1342543de82ef95);

	for (size_t done = 0; done < bytes; done += sizeof(at)) {
		uint64_t word = next_word(&at);

		memcpy((uint8_t *)data + done, &word,
		       bytes - done < sizeof(word) ? bytes - done : sizeof(word));
	}
}

void nvme_test_check(const struct nvme_test *t, const void *data, size_t bytes, uint64_t seed)
{
	uint64_t at = seed * UINT64_C(0xd1342543de82ef95);

	for (size_t done = 0; !t->no_data && done < bytes; done += sizeof(at)) {
		uint64_t word = next_word(&at);

		if (memcmp((const uint8_t *)data + done, &word,
			   bytes - done < sizeof(word) ? bytes - done : sizeof(word)))
			fail_msg("wrong data from byte %zu of %zu on", done, bytes);
	}
}

void nvme_test_idle(struct nvme_test *t)
{
	struct weir_nvme_event event;

	sched_yield(); /* the drive may need this core */
	weir_nvme_events(t->nvme, &event, 1);
}

struct weir_nvme_done nvme_test_io(struct nvme_test *t, struct weir_nvme_qp *qp,
				   const struct weir_nvme_ns *ns, const struct weir_nvme_io *io)
{
	struct weir_nvme_done done[2];
	time_t deadline = time(NULL) + IO_SECONDS;
	int n;

	assert_int_equal(weir_nvme_submit(qp, ns, io, 1), 1);
	while (!(n = weir_nvme_poll(qp, done, 2)) && time(NULL) <= deadline)
		nvme_test_idle(t);
	assert_int_equal(n, 1);
	assert_int_equal(done[0].cookie, io->cookie);
	assert_int_equal(done[0].reserved | done[0].reserved2, 0);
	assert_int_equal(weir_nvme_qp_inflight(qp), 0);
	return done[0];
}

void nvme_test_ok(struct nvme_test *t, struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
		  const struct weir_nvme_io *io)
{
	struct weir_nvme_done done = nvme_test_io(t, qp, ns, io);
	char text[128];

	if (!weir_nvme_ok(&done))
		fail_msg("opcode %02x, %u blocks at %llu: %s", io->opcode, io->blocks,
			 (unsigned long long)io->lba,
			 weir_nvme_status_text(&done, text, sizeof(text)));
}

struct weir_nvme_io nvme_test_range(const struct nvme_test *t, uint8_t opcode, uint64_t lba,
				    uint32_t blocks, const void *data)
{
	return (struct weir_nvme_io){ .opcode = opcode,
				      .blocks = blocks,
				      .lba = lba,
				      .data = nvme_test_iova(t, data),
				      .cookie = lba << 20 | blocks };
}

uint32_t nvme_test_max_blocks(const struct nvme_test *t)
{
	return t->info.max_transfer / t->ns_info.block_bytes;
}
