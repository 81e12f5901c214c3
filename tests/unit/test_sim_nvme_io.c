/* SPDX-License-Identifier: BSD-3-Clause */
/* I/O commands of the emulated NVMe controller: ranges, data, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "sim_nvme_host.h"

#define MIB (UINT64_C(1) << 20)

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;

static void fill(struct host *host, uint64_t offset, uint64_t bytes, uint32_t seed)
{
	uint8_t *at = host_at(host, offset);

	for (uint64_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)((i * 31 + i / 251 + seed) & 0xff);
}

static void expect_filled(struct host *host, uint64_t offset, uint64_t bytes, uint32_t seed)
{
	const uint8_t *at = host_at(host, offset);

	for (uint64_t i = 0; i < bytes; i++)
		assert_int_equal(at[i], (uint8_t)((i * 31 + i / 251 + seed) & 0xff));
}

static void expect_byte(struct host *host, uint64_t offset, uint64_t bytes, uint8_t value)
{
	const uint8_t *at = host_at(host, offset);

	for (uint64_t i = 0; i < bytes; i++)
		assert_int_equal(at[i], value);
}

/* The last block is there, the next is not; sums that wrap are not fooled by. For each command that
 * has a range, on a namespace of which the short way takes commands and on one that is too small
 * for that. */
static void test_ranges(void **state)
{
	static const uint8_t opcodes[] = { NVME_IO_WRITE, NVME_IO_READ, NVME_IO_COMPARE,
					   NVME_IO_WRITE_ZEROES, NVME_IO_VERIFY };
	static const uint64_t sizes[] = { MIB, 5 * 512 };

	(void)state;
	for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct sim_nvme_options options = defaults;
		uint64_t blocks = sizes[s] / 512;
		struct host host;

		options.bytes = sizes[s];
		host_start(&host, &options);
		for (unsigned int i = 0; i < ARRAY_SIZE(opcodes); i++) {
			const struct {
				uint64_t lba;
				uint32_t blocks;
				unsigned int status;
			} cases[] = {
				{ 0, 1, NVME_SUCCESS },
				{ 0, 5, NVME_SUCCESS },
				{ blocks - 1, 1, NVME_SUCCESS },
				{ blocks - 2, 2, NVME_SUCCESS },
				{ blocks - 1, 2, NVME_LBA_OUT_OF_RANGE },
				{ blocks, 1, NVME_LBA_OUT_OF_RANGE },
				{ UINT64_MAX, 1, NVME_LBA_OUT_OF_RANGE },
				{ UINT64_MAX, 2, NVME_LBA_OUT_OF_RANGE },
				{ UINT64_MAX - 7, 8, NVME_LBA_OUT_OF_RANGE },
				{ UINT64_MAX - 7, 16, NVME_LBA_OUT_OF_RANGE },
				{ UINT64_C(1) << 55, 8, NVME_LBA_OUT_OF_RANGE },
				{ UINT64_C(1) << 32, 1, NVME_LBA_OUT_OF_RANGE },
			};

			for (unsigned int c = 0; c < ARRAY_SIZE(cases); c++) {
				struct nvme_sqe sqe = host_rw(opcodes[i], cases[c].lba,
							      cases[c].blocks);

				assert_int_equal(host_run(&host, 1, sqe), cases[c].status);
			}
		}
		host_close(&host);
	}
}

static void test_namespace_ids(void **state)
{
	static const uint32_t bad[] = { 0, 3, 64, 65, 0x80000001, 0xfffffffe, NVME_NSID_ALL };
	static const uint8_t opcodes[] = { NVME_IO_WRITE,
					   NVME_IO_READ,
					   NVME_IO_COMPARE,
					   NVME_IO_WRITE_ZEROES,
					   NVME_IO_DATASET_MANAGEMENT,
					   NVME_IO_VERIFY,
					   NVME_IO_FLUSH };
	struct sim_nvme_options options = defaults;
	struct nvme_sqe sqe;
	struct host host;

	(void)state;
	options.namespaces = 2;
	host_start(&host, &options);
	for (unsigned int i = 0; i < ARRAY_SIZE(opcodes); i++) {
		for (unsigned int b = 0; b < ARRAY_SIZE(bad); b++) {
			sqe = host_rw(opcodes[i], 0, 1);
			sqe.nsid = bad[b];
			/* A flush may be for all of them. */
			assert_int_equal(host_run(&host, 1, sqe),
					 opcodes[i] == NVME_IO_FLUSH && bad[b] == NVME_NSID_ALL
						 ? NVME_SUCCESS
						 : NVME_INVALID_NAMESPACE);
		}
	}
	/* Two of them share nothing. */
	fill(&host, HOST_DATA, 4096, 1);
	sqe = host_rw(NVME_IO_WRITE, 0, 8);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	fill(&host, HOST_DATA, 4096, 2);
	sqe.nsid = 2;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	expect_filled(&host, HOST_DATA, 4096, 1);
	sqe = host_rw(NVME_IO_READ, 0, 8);
	sqe.nsid = 2;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	expect_filled(&host, HOST_DATA, 4096, 2);
	host_close(&host);
}

/* Both in one burst: the short way changes its target. */
static void test_namespaces_in_turn(void **state)
{
	struct sim_nvme_options options = defaults;
	struct host host;

	(void)state;
	options.namespaces = 4;
	host_start(&host, &options);
	for (uint32_t i = 0; i < 16; i++) {
		struct nvme_sqe sqe = host_rw(NVME_IO_WRITE, 10 + i, 1);

		sqe.nsid = 1 + i % 5; /* the fifth is not there */
		sqe.prp1 += i * 512ull;
		fill(&host, HOST_DATA + i * 512ull, 512, i);
		host_put(&host, 1, sqe);
	}
	host_ring(&host, 1);
	host_turn(&host);
	for (uint32_t i = 0; i < 16; i++) {
		assert_true(host_take(&host, 1));
		assert_int_equal(host.cqe.status >> 1 & 0x7ff,
				 i % 5 == 4 ? NVME_INVALID_NAMESPACE : NVME_SUCCESS);
	}
	host_acknowledge(&host, 1);
	for (uint32_t i = 0; i < 16; i++) {
		struct nvme_sqe sqe = host_rw(NVME_IO_READ, 10 + i, 1);

		if (i % 5 == 4)
			continue;
		sqe.nsid = 1 + i % 5;
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
		expect_filled(&host, HOST_DATA, 512, i);
	}
	host_close(&host);
}

static void test_opcodes_and_flags(void **state)
{
	static const uint8_t known[] = { 0, 1, 2, 5, 8, 9, 0x0c };
	struct nvme_sqe sqe;
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	for (unsigned int opcode = 0; opcode < 256; opcode++) {
		unsigned int status = host_run(&host, 1, host_rw((uint8_t)opcode, 0, 1));

		if (memchr(known, (int)opcode, sizeof(known)))
			assert_int_not_equal(status, NVME_INVALID_OPCODE);
		else
			assert_int_equal(status, NVME_INVALID_OPCODE);
	}
	/* Fused, reserved, both bits of PSDT. */
	for (unsigned int bit = 0; bit < 6; bit++) {
		sqe = host_rw(NVME_IO_READ, 0, 1);
		sqe.flags = (uint8_t)(1u << bit);
		assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_FIELD);
	}
	sqe.flags = 0xc0;
	assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_FIELD);
	/* Directives. */
	sqe = host_rw(NVME_IO_WRITE, 0, 1);
	sqe.cdw12 |= 1u << 20;
	assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_FIELD);
	/* FUA, limited retry. */
	sqe = host_rw(NVME_IO_WRITE, 0, 1);
	sqe.cdw12 |= 3u << 30;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	sqe.opcode = NVME_IO_READ;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	host_close(&host);
}

/* MDTS, exactly and one block over it, both where it limits the short way and where not. */
static void test_mdts(void **state)
{
	(void)state;
	for (int mdts = 1; mdts <= 3; mdts++) {
		struct sim_nvme_options options = defaults;
		uint32_t blocks = (4096u << mdts) / 512;
		struct nvme_sqe sqe;
		uint64_t *list;
		struct host host;

		options.mdts = mdts;
		host_start(&host, &options);
		list = host_at(&host, HOST_LIST);
		for (unsigned int i = 0; i < 16; i++)
			list[i] = host_iova(HOST_DATA + 4096 + 4096ull * i);
		sqe = host_rw(NVME_IO_READ, 0, blocks);
		if (blocks > 16)
			sqe.prp2 = host_iova(HOST_LIST);
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
		sqe.cdw12++;
		sqe.prp2 = host_iova(HOST_LIST);
		assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_FIELD);
		sqe.cdw12 = 0xffff;
		assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_FIELD);
		/* Not for what moves no data. */
		sqe.opcode = NVME_IO_WRITE_ZEROES;
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
		sqe.opcode = NVME_IO_VERIFY;
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
		host_close(&host);
	}
}

/* With pages of 64 KiB two of them are more than MDTS allows. */
static void test_mdts_below_two_pages(void **state)
{
	struct sim_nvme_options options = defaults;
	struct nvme_sqe sqe;
	struct host host;

	(void)state;
	options.mdts = 1;
	host_open(&host, &options);
	host_write32(&host, NVME_AQA, 31u << 16 | 31);
	host_write64(&host, NVME_ASQ, host_iova(HOST_SQ(0)));
	host_write64(&host, NVME_ACQ, host_iova(HOST_CQ(0)));
	host_write32(&host, NVME_CC, NVME_CC_EN | 4u << 7 | 6u << 16 | 4u << 20);
	host_queue_clear(&host, 0, 32);
	host_queue(&host, 1);
	sqe = host_rw(NVME_IO_READ, 0, 16);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	sqe = host_rw(NVME_IO_READ, 0, 17);
	assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_FIELD);
	host_close(&host);
}

/* Any place in the memory page, any length, both block sizes: against a copy. */
static void test_data_against_model(void **state)
{
	static const uint32_t block_sizes[] = { 512, 4096 };
	uint8_t *model = malloc(MIB);

	(void)state;
	assert_non_null(model);
	srand(1);
	for (unsigned int s = 0; s < ARRAY_SIZE(block_sizes); s++) {
		struct sim_nvme_options options = defaults;
		struct host host;

		options.block_bytes = block_sizes[s];
		options.bytes = MIB;
		host_start(&host, &options);
		memset(model, 0, MIB);
		for (unsigned int round = 0; round < 3000; round++) {
			uint32_t offset = ((uint32_t)rand() & 1023) * 4;
			uint32_t most = (8192 - offset) / block_sizes[s];
			uint32_t blocks = 1 + (uint32_t)rand() % most;
			uint64_t lba = (uint64_t)rand() % (MIB / block_sizes[s] - blocks + 1);
			uint64_t bytes = (uint64_t)blocks * block_sizes[s];
			uint64_t first = offset + bytes > 4096 ? 4096 - offset : bytes;
			bool write = rand() & 1;
			struct nvme_sqe sqe = host_rw(write ? NVME_IO_WRITE : NVME_IO_READ, lba,
						      blocks);
			uint8_t *stored = model + lba * block_sizes[s];
			uint8_t *data = host_at(&host, HOST_DATA + offset);
			/* Pages that do not follow each other. */
			uint8_t *rest = host_at(&host, HOST_DATA + 12288);

			sqe.prp1 += offset;
			sqe.prp2 = host_iova(HOST_DATA + 12288);
			memset(host_at(&host, HOST_DATA), 0xcc, 20480);
			if (write) {
				fill(&host, HOST_DATA + offset, first, round);
				fill(&host, HOST_DATA + 12288, bytes - first, round + 7);
				memcpy(stored, data, first);
				memcpy(stored + first, rest, bytes - first);
			}
			assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
			assert_memory_equal(data, stored, first);
			if (bytes > first)
				assert_memory_equal(rest, stored + first, bytes - first);
			/* Nothing around it. */
			expect_byte(&host, HOST_DATA, offset, 0xcc);
			expect_byte(&host, HOST_DATA + offset + first, 12288 - offset - first,
				    0xcc);
			expect_byte(&host, HOST_DATA + 12288 + bytes - first, 4096, 0xcc);
		}
		host_close(&host);
	}
	free(model);
}

static void test_compare(void **state)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_COMPARE, 4, 16);
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	fill(&host, HOST_DATA, 8192, 3);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 4, 16)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	host.memory[HOST_DATA + 8191] ^= 1;
	assert_int_equal(host_run(&host, 1, sqe), NVME_COMPARE_FAILURE);
	sqe.cdw12--;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	host_close(&host);
}

static void test_write_zeroes(void **state)
{
	struct nvme_sqe zeroes = host_rw(NVME_IO_WRITE_ZEROES, 3, 10);
	struct host host;

	(void)state;
	host_start(&host, &defaults);
	memset(host_at(&host, HOST_DATA), 0xff, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 16)), NVME_SUCCESS);
	zeroes.cdw12 |= NVME_IO_DEAC;
	assert_int_equal(host_run(&host, 1, zeroes), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 16)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 3 * 512, 0xff);
	expect_byte(&host, HOST_DATA + 3 * 512, 10 * 512, 0);
	expect_byte(&host, HOST_DATA + 13 * 512, 3 * 512, 0xff);
	host_close(&host);
}

static struct nvme_sqe deallocate(struct host *host, unsigned int nr)
{
	(void)host;
	return (struct nvme_sqe){ .opcode = NVME_IO_DATASET_MANAGEMENT,
				  .nsid = 1,
				  .prp1 = host_iova(HOST_LIST),
				  .prp2 = host_iova(HOST_LIST + 4096),
				  .cdw10 = nr - 1,
				  .cdw11 = NVME_DSM_DEALLOCATE };
}

static void test_dataset_management(void **state)
{
	struct sim_nvme_options options = defaults;
	struct nvme_dsm_range *ranges;
	struct nvme_sqe sqe;
	struct host host;

	(void)state;
	options.bytes = MIB;
	host_start(&host, &options);
	ranges = host_at(&host, HOST_LIST);
	memset(host_at(&host, HOST_DATA), 0xff, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 16)), NVME_SUCCESS);
	ranges[0] = (struct nvme_dsm_range){ .lba = 1, .blocks = 2 };
	ranges[1] = (struct nvme_dsm_range){ .lba = 8, .blocks = 8 };
	ranges[2] = (struct nvme_dsm_range){ .lba = 2047, .blocks = 2 };
	/* The third is out of range: the first two do not happen either. */
	assert_int_equal(host_run(&host, 1, deallocate(&host, 3)), NVME_LBA_OUT_OF_RANGE);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 16)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 8192, 0xff);
	/* Hints alone change nothing. */
	sqe = deallocate(&host, 2);
	sqe.cdw11 = 3;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 16)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 8192, 0xff);
	assert_int_equal(host_run(&host, 1, deallocate(&host, 2)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 16)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 512, 0xff);
	expect_byte(&host, HOST_DATA + 512, 1024, 0);
	expect_byte(&host, HOST_DATA + 3 * 512, 5 * 512, 0xff);
	expect_byte(&host, HOST_DATA + 8 * 512, 8 * 512, 0);
	/* As many as there can be; empty ones; a length that wraps. */
	for (unsigned int i = 0; i < 256; i++)
		ranges[i] = (struct nvme_dsm_range){ .lba = i, .blocks = i % 2 };
	assert_int_equal(host_run(&host, 1, deallocate(&host, 256)), NVME_SUCCESS);
	ranges[255] = (struct nvme_dsm_range){ .lba = UINT64_MAX, .blocks = 2 };
	assert_int_equal(host_run(&host, 1, deallocate(&host, 256)), NVME_LBA_OUT_OF_RANGE);
	ranges[0] = (struct nvme_dsm_range){ .lba = 0, .blocks = UINT32_MAX };
	assert_int_equal(host_run(&host, 1, deallocate(&host, 1)), NVME_LBA_OUT_OF_RANGE);
	host_close(&host);
}

static void test_read_only(void **state)
{
	struct sim_nvme_options options = defaults;
	struct nvme_dsm_range *ranges;
	struct host host;

	(void)state;
	options.read_only = true;
	host_start(&host, &options);
	ranges = host_at(&host, HOST_LIST);
	ranges[0] = (struct nvme_dsm_range){ .lba = 0, .blocks = 1 };
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 1)), NVME_WRITE_PROTECTED);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE_ZEROES, 0, 1)),
			 NVME_WRITE_PROTECTED);
	assert_int_equal(host_run(&host, 1, deallocate(&host, 1)), NVME_WRITE_PROTECTED);
	memset(host_at(&host, HOST_DATA), 0xff, 512);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 1)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 512, 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_FLUSH, 0, 1)), NVME_SUCCESS);
	host_close(&host);
}

/* The null backing moves nothing and refuses what every other refuses. */
static void test_null(void **state)
{
	struct sim_nvme_options options = defaults;
	struct sim_nvme_stats stats;
	struct nvme_sqe sqe;
	struct host host;

	(void)state;
	options.backing = SIM_NVME_NULL;
	options.bytes = MIB;
	host_start(&host, &options);
	memset(host_at(&host, HOST_DATA), 0x3c, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 16)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 16)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_COMPARE, 0, 16)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_VERIFY, 0, 16)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE_ZEROES, 0, 16)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 8192, 0x3c);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 2048, 1)), NVME_LBA_OUT_OF_RANGE);
	sqe = host_rw(NVME_IO_READ, 0, 8);
	sqe.prp1 = HOST_IOVA + HOST_BYTES;
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
	sqe.prp1 = HOST_IOVA - 4096;
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
	sqe.prp1 = host_iova(HOST_DATA) + 2;
	assert_int_equal(host_run(&host, 1, sqe), NVME_INVALID_PRP_OFFSET);
	sim_nvme_stats(host.nvme, &stats);
	assert_int_equal(stats.commands, 9);
	assert_int_equal(stats.completions, 9);
	assert_int_equal(stats.errors, 4);
	host_close(&host);
}

/* A namespace that shrinks under a client, and grows again. */
static void test_resize(void **state)
{
	struct sim_nvme_options options = defaults;
	struct host host;

	(void)state;
	options.bytes = MIB;
	host_start(&host, &options);
	memset(host_at(&host, HOST_DATA), 0xff, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 16)), NVME_SUCCESS);
	assert_int_equal(sim_nvme_resize(host.nvme, 1, 2), 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 2)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 1024, 0xff);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 3)), NVME_LBA_OUT_OF_RANGE);
	assert_int_equal(sim_nvme_resize(host.nvme, 1, 4096), 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 16)), NVME_SUCCESS);
	expect_byte(&host, HOST_DATA, 1024, 0xff);
	expect_byte(&host, HOST_DATA + 1024, 7168, 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 4080, 16)), NVME_SUCCESS);
	host_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_namespace_ids),
		cmocka_unit_test(test_namespaces_in_turn),
		cmocka_unit_test(test_opcodes_and_flags),
		cmocka_unit_test(test_mdts),
		cmocka_unit_test(test_mdts_below_two_pages),
		cmocka_unit_test(test_data_against_model),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_write_zeroes),
		cmocka_unit_test(test_dataset_management),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_resize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
