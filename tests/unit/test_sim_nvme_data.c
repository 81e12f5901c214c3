/* SPDX-License-Identifier: BSD-3-Clause */
/* Data pointers that an emulated NVMe controller gets: PRP lists and SGLs, good and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"
#include "sim_nvme_host.h"

#define PAGE UINT64_C(4096)

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;
static struct host host;

static int setup(void **state)
{
	(void)state;
	host_start(&host, &defaults);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	host_close(&host);
	return 0;
}

static void pattern(uint8_t *at, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

/* Writes `bytes` of pattern that lie together, as many commands as that takes. */
static void write_pattern(uint64_t bytes)
{
	pattern(host_at(&host, HOST_DATA), bytes);
	for (uint64_t at = 0; at < bytes; at += PAGE) {
		struct nvme_sqe sqe = host_rw(NVME_IO_WRITE, at / 512, 8);

		sqe.prp1 = host_iova(HOST_DATA + at);
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	}
	memset(host_at(&host, HOST_DATA), 0xcc, bytes);
}

static uint64_t *list_at(uint64_t offset)
{
	return host_at(&host, offset);
}

static unsigned int read_blocks(uint32_t blocks, uint64_t prp1, uint64_t prp2)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_READ, 0, blocks);

	sqe.prp1 = prp1;
	sqe.prp2 = prp2;
	return host_run(&host, 1, sqe);
}

/* Data in pages that lie backwards, two pages apart. */
static uint64_t page_of(unsigned int i)
{
	return HOST_DATA + (600 - i) * 2 * PAGE;
}

static void expect_pages(unsigned int nr)
{
	uint8_t expected[4096];

	for (unsigned int i = 0; i < nr; i++) {
		for (uint64_t b = 0; b < PAGE; b++) {
			uint64_t at = i * PAGE + b;

			expected[b] = (uint8_t)(at ^ at >> 8 ^ at >> 16);
		}
		assert_memory_equal(host_at(&host, page_of(i)), expected, PAGE);
		assert_int_equal(host.memory[page_of(i) + PAGE], 0);
	}
}

static void clear_pages(void)
{
	memset(host_at(&host, HOST_DATA), 0, HOST_BYTES - HOST_DATA);
}

static void test_prp_list(void **state)
{
	uint64_t *list = list_at(HOST_LIST);

	(void)state;
	write_pattern(64 * PAGE);
	for (unsigned int nr = 3; nr <= 64; nr += 61) {
		clear_pages();
		for (unsigned int i = 1; i < nr; i++)
			list[i - 1] = host_iova(page_of(i));
		list[nr - 1] = UINT64_MAX; /* not looked at */
		assert_int_equal(read_blocks(nr * 8, host_iova(page_of(0)), host_iova(HOST_LIST)),
				 NVME_SUCCESS);
		expect_pages(nr);
	}
}

/* A list that begins near the end of its page goes on in the next; the last entry of a page is data
 * when no more is needed. */
static void test_prp_list_chained(void **state)
{
	uint64_t *list = list_at(HOST_LIST), *second = list_at(HOST_LIST + 3 * PAGE);

	(void)state;
	write_pattern(16 * PAGE);
	for (unsigned int left = 1; left <= 16; left++) {
		uint64_t at = 512 - left;

		clear_pages();
		memset(list, 0xff, PAGE);
		memset(second, 0xff, PAGE);
		for (unsigned int i = 1; i < 16; i++) {
			if (left >= 15 || i < left)
				list[at + i - 1] = host_iova(page_of(i));
			else
				second[i - left] = host_iova(page_of(i));
		}
		if (left < 15)
			list[511] = host_iova(HOST_LIST + 3 * PAGE);
		assert_int_equal(
			read_blocks(128, host_iova(page_of(0)), host_iova(HOST_LIST) + at * 8),
			NVME_SUCCESS);
		expect_pages(16);
	}
}

/* The longest: two full pages of list. */
static void test_prp_list_two_pages(void **state)
{
	struct sim_nvme_options options = defaults;
	uint64_t *list;

	(void)state;
	host_close(&host);
	options.mdts = 10;
	options.backing = SIM_NVME_NULL;
	host_start(&host, &options);
	list = list_at(HOST_LIST);
	for (unsigned int i = 0; i < 1024; i++)
		list[i] = host_iova(HOST_DATA + i * PAGE);
	list[511] = host_iova(HOST_LIST + PAGE);
	assert_int_equal(read_blocks(1024 * 8, host_iova(HOST_DATA), host_iova(HOST_LIST)),
			 NVME_SUCCESS);
	/* The very last entry is one. */
	list[1023] = UINT64_C(0x1000);
	assert_int_equal(read_blocks(1024 * 8, host_iova(HOST_DATA), host_iova(HOST_LIST)),
			 NVME_DATA_TRANSFER_ERROR);
	/* With an offset it is a pointer, to a page of which two entries count. */
	list[1023] = host_iova(HOST_LIST + 2 * PAGE);
	list[1024] = list[1025] = host_iova(HOST_DATA);
	list[1026] = UINT64_MAX;
	assert_int_equal(read_blocks(1024 * 8, host_iova(HOST_DATA) + 4, host_iova(HOST_LIST)),
			 NVME_SUCCESS);
	list[1025] = UINT64_C(0x1000);
	assert_int_equal(read_blocks(1024 * 8, host_iova(HOST_DATA) + 4, host_iova(HOST_LIST)),
			 NVME_DATA_TRANSFER_ERROR);
}

static void test_prp_refused(void **state)
{
	const uint64_t data = host_iova(HOST_DATA), at = host_iova(HOST_LIST);
	const uint64_t end = HOST_IOVA + HOST_BYTES;
	uint64_t *list = list_at(HOST_LIST);

	(void)state;
	for (unsigned int i = 0; i < 512; i++)
		list[i] = data + i * PAGE;
	/* Offsets that may not be. */
	assert_int_equal(read_blocks(8, data + 1, 0), NVME_INVALID_PRP_OFFSET);
	assert_int_equal(read_blocks(16, data, data + PAGE + 4), NVME_INVALID_PRP_OFFSET);
	assert_int_equal(read_blocks(24, data, at + 4), NVME_INVALID_PRP_OFFSET);
	list[1] = data + 8;
	assert_int_equal(read_blocks(32, data, at), NVME_INVALID_PRP_OFFSET);
	list[1] = data;
	list[511] = at + 64;
	assert_int_equal(read_blocks(32, data, at + 510 * 8), NVME_INVALID_PRP_OFFSET);
	/* Places that are not mapped, at either end of what is. */
	assert_int_equal(read_blocks(8, end, 0), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(8, HOST_IOVA - PAGE, 0), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(16, end - PAGE, end), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(8, 0, 0), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(8, UINT64_MAX - 4095, 0), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(8, UINT64_MAX - 3, 0), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(16, data + 2048, UINT64_MAX - 4095), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(24, data, end), NVME_DATA_TRANSFER_ERROR);
	list[1] = end;
	assert_int_equal(read_blocks(32, data, at), NVME_DATA_TRANSFER_ERROR);
	/* The last page of all that is mapped is. */
	assert_int_equal(read_blocks(8, end - PAGE, 0), NVME_SUCCESS);
	assert_int_equal(read_blocks(7, end - PAGE + 512, 0), NVME_SUCCESS);
	assert_int_equal(read_blocks(8, end - PAGE + 512, 0), NVME_DATA_TRANSFER_ERROR);
}

/* A list whose pages point to each other: ends with the data. */
static void test_prp_list_loops(void **state)
{
	uint64_t *list = list_at(HOST_LIST);

	(void)state;
	for (unsigned int i = 0; i < 511; i++)
		list[i] = host_iova(HOST_DATA);
	list[511] = host_iova(HOST_LIST);
	assert_int_equal(read_blocks(4096, host_iova(HOST_DATA), host_iova(HOST_LIST) + 511 * 8),
			 NVME_SUCCESS);
}

/* Nothing is written by a command whose pointer is wrong at its end. */
static void test_nothing_in_part(void **state)
{
	uint64_t *list = list_at(HOST_LIST);
	struct nvme_sqe sqe = host_rw(NVME_IO_WRITE, 0, 32);

	(void)state;
	memset(host_at(&host, HOST_DATA), 0xee, PAGE);
	list[0] = list[1] = host_iova(HOST_DATA);
	list[2] = 0x1000;
	sqe.prp2 = host_iova(HOST_LIST);
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_blocks(8, host_iova(HOST_DATA), 0), NVME_SUCCESS);
	for (unsigned int i = 0; i < PAGE; i++)
		assert_int_equal(host.memory[HOST_DATA + i], 0);
}

/* A window that may not be written is not, one that may not be read is not. */
static void test_protection(void **state)
{
	struct nvme_sqe sqe;

	(void)state;
	assert_int_equal(sim_client_map(&host.client, 0x100000, PAGE, HOST_DATA, 1, host.fd), 0);
	assert_int_equal(sim_client_map(&host.client, 0x200000, PAGE, HOST_DATA, 2, host.fd), 0);
	for (unsigned int i = 0; i < 2; i++) {
		sqe = host_rw(NVME_IO_READ, 0, 8);
		sqe.prp1 = 0x100000;
		assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
		sqe.prp1 = 0x200000;
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
		sqe.opcode = NVME_IO_WRITE;
		assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
		sqe.prp1 = 0x100000;
		assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	}
}

/* Windows that meet: data may lie across them. Once one is gone it may not be touched. */
static void test_across_windows(void **state)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_READ, 0, 16);
	struct nvme_sgl sgl = { .address = 0x300800, .bytes = 8192, .type = NVME_SGL_DATA_BLOCK };

	(void)state;
	write_pattern(2 * PAGE);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(sim_client_map(&host.client, 0x300000 + i * PAGE, PAGE,
						HOST_DATA + i * 5 * PAGE, 3, host.fd),
				 0);
	sqe.flags = NVME_PSDT_SGL << 6;
	memcpy(&sqe.prp1, &sgl, sizeof(sgl));
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	for (uint64_t i = 0; i < 2 * PAGE; i++) {
		uint64_t at = 0x800 + i;

		assert_int_equal(host.memory[HOST_DATA + at / PAGE * 5 * PAGE + at % PAGE],
				 (uint8_t)(i ^ i >> 8));
	}
	sqe = host_rw(NVME_IO_READ, 0, 8);
	sqe.prp1 = 0x301000;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	assert_int_equal(sim_client_unmap(&host.client, 0x301000, PAGE, 0), 0);
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
}

static unsigned int read_sgl(uint32_t blocks, struct nvme_sgl sgl)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_READ, 0, blocks);

	sqe.flags = NVME_PSDT_SGL << 6;
	memcpy(&sqe.prp1, &sgl, sizeof(sgl));
	return host_run(&host, 1, sqe);
}

static struct nvme_sgl sgl(uint8_t type, uint64_t offset, uint32_t bytes)
{
	return (struct nvme_sgl){ .address = host_iova(offset), .bytes = bytes, .type = type };
}

static void test_sgl(void **state)
{
	struct nvme_sgl *first = host_at(&host, HOST_LIST);
	struct nvme_sgl *second = host_at(&host, HOST_LIST + 0x1008);

	(void)state;
	write_pattern(4 * PAGE);
	/* One block, at any address. */
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 3, 4096)), NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA + 3 + 77], 77);
	/* Pieces of odd sizes in two segments; an empty one is possible. */
	memset(host_at(&host, HOST_DATA), 0, 8 * PAGE);
	first[0] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 1, 1);
	first[1] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 8192, 0);
	first[2] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 8, 4000);
	first[3] = sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST + 0x1008, 32);
	second[0] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 8192, 95);
	second[1] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 16384, 4096);
	/* In reserved bytes lies what was in the client's memory. */
	memset(first[0].reserved, 0xa5, sizeof(first[0].reserved));
	memset(first[3].reserved, 0xa5, sizeof(first[3].reserved));
	assert_int_equal(read_sgl(16, sgl(NVME_SGL_SEGMENT, HOST_LIST, 64)), NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA + 1], 0);
	assert_int_equal(host.memory[HOST_DATA + 8], 1);
	assert_int_equal(host.memory[HOST_DATA + 8 + 3999], (uint8_t)(4000 ^ 4000 >> 8));
	assert_int_equal(host.memory[HOST_DATA + 8 + 4000], 0);
	assert_int_equal(host.memory[HOST_DATA + 8192 + 94], (uint8_t)(4095 ^ 4095 >> 8));
	assert_int_equal(host.memory[HOST_DATA + 16384 + 5], 5 ^ 4096 >> 8);
}

/* More descriptors than are read at a time. */
static void test_sgl_many(void **state)
{
	struct nvme_sgl *list = host_at(&host, HOST_LIST);

	(void)state;
	write_pattern(2 * PAGE);
	for (unsigned int i = 0; i < 200; i++)
		list[i] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA + 4 * PAGE + 100 * i,
			      i < 199 ? 40 : 8192 - 199 * 40);
	assert_int_equal(read_sgl(16, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 200 * 16)),
			 NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA + 4 * PAGE + 100 * 150 + 39],
			 (uint8_t)((150 * 40 + 39) ^ (150 * 40 + 39) >> 8));
}

static void test_sgl_refused(void **state)
{
	struct nvme_sgl *list = host_at(&host, HOST_LIST);
	struct nvme_sgl one = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, 4096);

	(void)state;
	/* Lengths that are not the command's. */
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, 4095)),
			 NVME_SGL_LENGTH_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, 4097)),
			 NVME_SGL_LENGTH_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, 0)),
			 NVME_SGL_LENGTH_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, UINT32_MAX)),
			 NVME_SGL_LENGTH_INVALID);
	list[0] = list[1] = one;
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 32)),
			 NVME_SGL_LENGTH_INVALID);
	assert_int_equal(read_sgl(24, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 32)),
			 NVME_SGL_LENGTH_INVALID);
	/* Types: bit bucket, keyed, vendor's, a subtype; in the command and in a list. */
	for (unsigned int type = 1; type < 256; type++) {
		if (type == NVME_SGL_SEGMENT || type == NVME_SGL_LAST_SEGMENT)
			continue;
		assert_int_equal(read_sgl(8, sgl((uint8_t)type, HOST_DATA, 4096)),
				 NVME_SGL_TYPE_INVALID);
		list[0] = sgl((uint8_t)type, HOST_DATA, 4096);
		assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 16)),
				 NVME_SGL_TYPE_INVALID);
	}
	/* Segments: empty, not a number of descriptors, not aligned, a segment that is not last. */
	list[0] = one;
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 0)),
			 NVME_SGL_SEGMENT_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 24)),
			 NVME_SGL_SEGMENT_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST + 4, 16)),
			 NVME_SGL_SEGMENT_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_SEGMENT, HOST_LIST, 16)),
			 NVME_SGL_SEGMENT_INVALID);
	list[0] = sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST + 64, 16);
	list[1] = one;
	list[4] = one;
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_SEGMENT, HOST_LIST, 32)),
			 NVME_SGL_SEGMENT_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 16)),
			 NVME_SGL_SEGMENT_INVALID);
	/* Places that are not there. */
	assert_int_equal(read_sgl(8, (struct nvme_sgl){ .address = 0x1000, .bytes = 4096 }),
			 NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_sgl(8, (struct nvme_sgl){ .address = UINT64_MAX - 9, .bytes = 4096 }),
			 NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_BYTES - 4095, 4096)),
			 NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_BYTES, 16)),
			 NVME_DATA_TRANSFER_ERROR);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_BYTES - 16, 32)),
			 NVME_DATA_TRANSFER_ERROR);
}

/* A chain that comes back to itself, and more descriptors than anybody needs. */
static void test_sgl_endless(void **state)
{
	struct nvme_sgl *list = host_at(&host, HOST_LIST);

	(void)state;
	list[0] = sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, 0);
	list[1] = sgl(NVME_SGL_SEGMENT, HOST_LIST, 32);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_SEGMENT, HOST_LIST, 32)), NVME_SGL_COUNT_INVALID);
	list[0] = sgl(NVME_SGL_SEGMENT, HOST_LIST, 16);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_SEGMENT, HOST_LIST, 16)), NVME_SGL_COUNT_INVALID);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_LAST_SEGMENT, HOST_LIST, 0xfffffff0)),
			 NVME_SGL_COUNT_INVALID);
}

static void test_sgl_not_offered(void **state)
{
	struct sim_nvme_options options = defaults;

	(void)state;
	host_close(&host);
	options.no_sgl = true;
	host_start(&host, &options);
	assert_int_equal(read_sgl(8, sgl(NVME_SGL_DATA_BLOCK, HOST_DATA, 4096)),
			 NVME_INVALID_FIELD);
}

/* Every page size that there can be, at its limits. */
static void test_page_sizes(void **state)
{
	(void)state;
	for (unsigned int mps = 0; mps <= 4; mps++) {
		uint64_t page = PAGE << mps;
		uint32_t blocks = (uint32_t)(page / 512);
		uint64_t *list;

		host_disable(&host);
		host_queue_clear(&host, 0, HOST_ENTRIES);
		host_write32(&host, NVME_CC, NVME_CC_EN | mps << 7 | 6u << 16 | 4u << 20);
		host_queue(&host, 1);
		list = list_at(HOST_LIST);
		list[0] = host_iova(HOST_DATA + 3 * page);
		list[1] = host_iova(HOST_DATA + 5 * page);
		assert_int_equal(read_blocks(blocks, host_iova(HOST_DATA), 1), NVME_SUCCESS);
		assert_int_equal(
			read_blocks(blocks, host_iova(HOST_DATA) + 4, host_iova(HOST_DATA + page)),
			NVME_SUCCESS);
		assert_int_equal(read_blocks(blocks + 1, host_iova(HOST_DATA),
					     host_iova(HOST_DATA + page / 2)),
				 NVME_INVALID_PRP_OFFSET);
		assert_int_equal(
			read_blocks(3 * blocks, host_iova(HOST_DATA), host_iova(HOST_LIST)),
			NVME_SUCCESS);
		list[1] += page / 2;
		assert_int_equal(
			read_blocks(3 * blocks, host_iova(HOST_DATA), host_iova(HOST_LIST)),
			NVME_INVALID_PRP_OFFSET);
	}
}

/* Queue, list and data in the controller memory buffer. */
static void test_controller_memory(void **state)
{
	const uint64_t base = UINT64_C(0x7000000000);
	struct vfio_user_region_info info = { .argsz = 256, .index = 2 };
	struct sim_nvme_options options = defaults;
	struct nvme_sqe sqe = host_rw(NVME_IO_READ, 0, 24);
	uint8_t *cmb;

	(void)state;
	host_close(&host);
	options.cmb_bytes = 256 << 10;
	host_start(&host, &options);
	write_pattern(4 * PAGE);
	assert_int_equal(sim_client_call(&host.client, VFIO_USER_DEVICE_GET_REGION_INFO, &info,
					 sizeof(info)),
			 0);
	assert_int_equal(host.client.reply.nr_fds, 1);
	cmb = mmap(NULL, options.cmb_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   host.client.reply.fds[0], 0);
	assert_ptr_not_equal(cmb, MAP_FAILED);

	/* Before it is enabled the addresses are nobody's. */
	sqe.prp1 = base;
	sqe.prp2 = base + 0x10000;
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
	host_write64(&host, NVME_CMBMSC, base | NVME_CMBMSC_CRE | NVME_CMBMSC_CMSE);
	*(uint64_t *)(cmb + 0x10000) = base + 0x4000;
	*(uint64_t *)(cmb + 0x10008) = host_iova(HOST_DATA);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	for (uint64_t i = 0; i < PAGE; i++) {
		assert_int_equal(cmb[i], (uint8_t)(i ^ i >> 8));
		assert_int_equal(cmb[0x4000 + i], (uint8_t)(i ^ (i + PAGE) >> 8));
		assert_int_equal(host.memory[HOST_DATA + i], (uint8_t)(i ^ (i + 2 * PAGE) >> 8));
	}
	/* Its end. */
	sqe = host_rw(NVME_IO_READ, 0, 8);
	sqe.prp1 = base + options.cmb_bytes - PAGE;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	sqe.prp1 += PAGE;
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);
	sqe.prp1 = base - PAGE;
	assert_int_equal(host_run(&host, 1, sqe), NVME_DATA_TRANSFER_ERROR);

	/* A submission queue in it. */
	host_queue_clear(&host, 2, 16);
	assert_int_equal(host_create_cq(&host, 2, 16), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 0,
				  (struct nvme_sqe){ .opcode = NVME_ADMIN_CREATE_SQ,
						     .prp1 = base + 0x20000,
						     .cdw10 = 15u << 16 | 2,
						     .cdw11 = 2u << 16 | 1 }),
			 NVME_SUCCESS);
	sqe = host_rw(NVME_IO_READ, 0, 8);
	sqe.cid = 99;
	memcpy(cmb + 0x20000, &sqe, sizeof(sqe));
	host_ring_value(&host, 2, false, 1);
	host_turn(&host);
	assert_true(host_take(&host, 2));
	assert_int_equal(host.cqe.cid, 99);
	assert_int_equal(host.cqe.status >> 1, NVME_SUCCESS);
	/* By message too. */
	assert_int_equal(sim_client_write(&host.client, 2, 8, "abcd", 4), 0);
	assert_memory_equal(cmb + 8, "abcd", 4);
	munmap(cmb, options.cmb_bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_prp_list),
		TEST(test_prp_list_chained),
		TEST(test_prp_list_two_pages),
		TEST(test_prp_refused),
		TEST(test_prp_list_loops),
		TEST(test_nothing_in_part),
		TEST(test_protection),
		TEST(test_across_windows),
		TEST(test_sgl),
		TEST(test_sgl_many),
		TEST(test_sgl_refused),
		TEST(test_sgl_endless),
		TEST(test_sgl_not_offered),
		TEST(test_page_sizes),
		TEST(test_controller_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
