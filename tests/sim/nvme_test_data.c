/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads, writes and the other I/O commands, of one range each. */
#include <string.h>

#include "nvme_test.h"

#define STATUS_COMPARE_FAILURE 0x285

static void test_shape(void **state)
{
	struct nvme_test *t = *state;
	const struct weir_nvme_info *info = &t->info;
	const struct weir_nvme_ns_info *ns = &t->ns_info;
	struct weir_nvme_ns_info again;

	nvme_test_expect(t);
	assert_true(strlen(info->serial) > 0 && strlen(info->serial) < sizeof(info->serial));
	assert_true(strlen(info->model) > 0);
	assert_true(info->version >= 0x10000);
	assert_true(info->max_transfer >= info->page_bytes &&
		    info->max_transfer <= WEIR_NVME_MAX_TRANSFER);
	assert_true(info->queues >= 1);
	assert_int_equal(ns->bytes, ns->blocks * ns->block_bytes);
	assert_true(ns->bytes >= 8 << 20);
	assert_ptr_equal(weir_nvme_ns(t->nvme, ns->nsid), t->ns);
	assert_null(weir_nvme_ns(t->nvme, 0));
	assert_null(weir_nvme_ns(t->nvme, UINT32_MAX));
	weir_nvme_ns_info(t->ns, &again);
	assert_memory_equal(&again, ns, sizeof(again));
}

/* Whether all bytes are the one. */
static bool only(const uint8_t *data, size_t bytes, uint8_t byte)
{
	return !bytes || (data[0] == byte && !memcmp(data, data + 1, bytes - 1));
}

/* Writes, spoils the buffer, reads, with neighbours that have to stay as they are. */
static void write_and_read(struct nvme_test *t, struct weir_nvme_qp *qp, uint8_t *buffer,
			   size_t offset, uint64_t lba, uint32_t blocks)
{
	size_t bytes = (size_t)blocks * t->ns_info.block_bytes;
	uint8_t *data = buffer + offset;
	struct weir_nvme_io write = nvme_test_range(t, WEIR_NVME_WRITE, lba, blocks, data);
	struct weir_nvme_io read = nvme_test_range(t, WEIR_NVME_READ, lba, blocks, data);
	uint64_t seed = ++t->seed;

	nvme_test_fill(data, bytes, seed);
	nvme_test_ok(t, qp, t->ns, &write);
	nvme_test_check(t, data, bytes, seed);
	memset(data, 0x11, bytes);
	nvme_test_ok(t, qp, t->ns, &read);
	nvme_test_check(t, data, bytes, seed);
}

static void test_sizes_and_offsets(void **state)
{
	static const size_t offsets[] = { 0, 4, 512, 2044, 4092 };
	struct nvme_test *t = *state;
	uint32_t most = nvme_test_max_blocks(t), page = 4096 / t->ns_info.block_bytes;
	const uint32_t sizes[] = {
		1,
		2,
		3,
		7,
		page,
		page + 1,
		2 * page,
		2 * page + 1,
		3 * page,
		16 * page,
		31 * page + 1,
		most / 2,
		most - 1,
		most,
	};
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	size_t room = t->info.max_transfer + (size_t)4096;
	uint8_t *buffer = nvme_test_buffer(t, room);

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (!sizes[i] || sizes[i] > most)
			continue;
		for (unsigned int j = 0; j < sizeof(offsets) / sizeof(offsets[0]); j++) {
			size_t end = offsets[j] + (size_t)sizes[i] * t->ns_info.block_bytes;

			/* what is behind the I/O in the buffer is its canary */
			memset(buffer, 0xc5, room);
			write_and_read(t, qp, buffer, offsets[j], 5 + i * 3 + j, sizes[i]);
			nvme_test_canaries(buffer, room);
			assert_true(only(buffer, offsets[j], 0xc5) &&
				    only(buffer + end, room - end, 0xc5));
		}
	}
	write_and_read(t, qp, buffer, 0, t->ns_info.blocks - 1, 1);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

/* A write leaves the blocks beside it alone. */
static void test_neighbours(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	size_t block = t->ns_info.block_bytes;
	uint8_t *buffer = nvme_test_buffer(t, 3 * block);
	uint64_t seed = ++t->seed;
	struct weir_nvme_io io;

	for (uint32_t i = 0; i < 3; i++) {
		nvme_test_fill(buffer, block, seed + i);
		io = nvme_test_range(t, WEIR_NVME_WRITE, 1001 + i, 1, buffer);
		nvme_test_ok(t, qp, t->ns, &io);
	}
	nvme_test_fill(buffer, block, seed + 3);
	io = nvme_test_range(t, WEIR_NVME_WRITE, 1002, 1, buffer);
	nvme_test_ok(t, qp, t->ns, &io);
	for (uint32_t i = 0; i < 3; i++) {
		io = nvme_test_range(t, WEIR_NVME_READ, 1001 + i, 1, buffer);
		nvme_test_ok(t, qp, t->ns, &io);
		nvme_test_check(t, buffer, block, i == 1 ? seed + 3 : seed + i);
	}
	t->seed += 3;
	nvme_test_canaries(buffer, 3 * block);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

/* Block by block: the drive may take no more at once. */
static void move_range(struct nvme_test *t, struct weir_nvme_qp *qp, uint8_t opcode,
		       uint8_t *buffer, uint64_t lba, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++) {
		struct weir_nvme_io io = nvme_test_range(t, opcode, lba + i, 1,
							 buffer + i * t->ns_info.block_bytes);

		nvme_test_ok(t, qp, t->ns, &io);
	}
}

static void fill_range(struct nvme_test *t, struct weir_nvme_qp *qp, uint8_t *buffer, uint64_t lba,
		       uint32_t blocks, uint64_t seed)
{
	nvme_test_fill(buffer, (size_t)blocks * t->ns_info.block_bytes, seed);
	move_range(t, qp, WEIR_NVME_WRITE, buffer, lba, blocks);
}

static void read_range(struct nvme_test *t, struct weir_nvme_qp *qp, uint8_t *buffer, uint64_t lba,
		       uint32_t blocks)
{
	memset(buffer, 0x11, (size_t)blocks * t->ns_info.block_bytes);
	move_range(t, qp, WEIR_NVME_READ, buffer, lba, blocks);
}

/* Blocks 1 and 2 of four become zeroes; 0 and 3 stay. `or_unchanged`: that is a hint only. */
static void check_middle(struct nvme_test *t, const uint8_t *data, uint64_t seed, bool or_unchanged)
{
	size_t block = t->ns_info.block_bytes;
	uint8_t *expected = test_malloc(4 * block);

	nvme_test_fill(expected, 4 * block, seed);
	if (!t->no_data) {
		assert_memory_equal(data, expected, block);
		assert_memory_equal(data + 3 * block, expected + 3 * block, block);
		if (!or_unchanged || memcmp(data + block, expected + block, 2 * block))
			assert_true(only(data + block, 2 * block, 0));
	}
	test_free(expected);
}

static void test_write_zeroes(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	uint8_t *buffer = nvme_test_buffer(t, (size_t)4 * 4096);
	struct weir_nvme_io io = { .opcode = WEIR_NVME_WRITE_ZEROES, .blocks = 2, .lba = 601 };

	if (t->info.oncs & 1 << 3) {
		for (unsigned int deac = 0; deac < 2; deac++) {
			fill_range(t, qp, buffer, 600, 4, ++t->seed);
			io.flags = deac ? WEIR_NVME_DEAC : 0;
			nvme_test_ok(t, qp, t->ns, &io);
			read_range(t, qp, buffer, 600, 4);
			check_middle(t, buffer, t->seed, false);
		}
	} else {
		assert_int_equal(nvme_test_io(t, qp, t->ns, &io).host, WEIR_NVME_HOST_OPCODE);
	}
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

/* Dataset Management (nvm §3.2.3): 256 ranges at most, of 16 bytes: attributes, blocks, LBA. */
static void test_deallocate(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	uint8_t *buffer = nvme_test_buffer(t, (size_t)4 * 4096);
	uint8_t *ranges = nvme_test_buffer(t, 4096);
	struct weir_nvme_io io = { .opcode = WEIR_NVME_DEALLOCATE,
				   .data = nvme_test_iova(t, ranges) };

	for (uint32_t nr = 1; nr <= 256; nr += 255) {
		fill_range(t, qp, buffer, 700, 4, ++t->seed);
		memset(ranges, 0, 4096);
		for (uint32_t i = 0; i < nr; i++) {
			uint32_t blocks = i ? 1 : 2;
			uint64_t lba = i ? 1000 + i : 701;

			memcpy(ranges + (size_t)i * 16 + 4, &blocks, 4);
			memcpy(ranges + (size_t)i * 16 + 8, &lba, 8);
		}
		io.blocks = nr;
		if (!(t->info.oncs & 1 << 2)) {
			assert_int_equal(nvme_test_io(t, qp, t->ns, &io).host,
					 WEIR_NVME_HOST_OPCODE);
			continue;
		}
		nvme_test_ok(t, qp, t->ns, &io);
		read_range(t, qp, buffer, 700, 4);
		check_middle(t, buffer, t->seed, true);
	}
	nvme_test_free(t, ranges);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

static void test_compare(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	size_t block = t->ns_info.block_bytes;
	uint8_t *buffer = nvme_test_buffer(t, 2 * block);
	struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_COMPARE, 800, 2, buffer);
	struct weir_nvme_done done;

	if (t->no_data || 2 * block > t->info.max_transfer || !(t->info.oncs & 1)) {
		io.blocks = 1;
		done = nvme_test_io(t, qp, t->ns, &io);
		assert_true((t->info.oncs & 1) ? !done.host : done.host == WEIR_NVME_HOST_OPCODE);
	} else {
		fill_range(t, qp, buffer, 800, 2, ++t->seed);
		nvme_test_ok(t, qp, t->ns, &io);
		buffer[2 * block - 1] ^= 1;
		done = nvme_test_io(t, qp, t->ns, &io);
		assert_int_equal(done.host, WEIR_NVME_HOST_OK);
		assert_int_equal(done.status & 0x7ff, STATUS_COMPARE_FAILURE);
		buffer[2 * block - 1] ^= 1;
		nvme_test_ok(t, qp, t->ns, &io);
	}
	nvme_test_canaries(buffer, 2 * block);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

static void test_flush_fua_verify(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	uint8_t *buffer = nvme_test_buffer(t, 4096);
	struct weir_nvme_io flush = { .opcode = WEIR_NVME_FLUSH, .cookie = 77 };
	struct weir_nvme_io verify = { .opcode = WEIR_NVME_VERIFY, .lba = 900, .blocks = 1 };
	struct weir_nvme_io io = nvme_test_range(t, WEIR_NVME_WRITE, 900, 1, buffer);

	nvme_test_fill(buffer, t->ns_info.block_bytes, ++t->seed);
	io.flags = WEIR_NVME_FUA;
	nvme_test_ok(t, qp, t->ns, &io);
	nvme_test_ok(t, qp, t->ns, &flush);
	io.opcode = WEIR_NVME_READ;
	memset(buffer, 0, t->ns_info.block_bytes);
	nvme_test_ok(t, qp, t->ns, &io);
	nvme_test_check(t, buffer, t->ns_info.block_bytes, t->seed);
	if (t->info.oncs & 1 << 7)
		nvme_test_ok(t, qp, t->ns, &verify);
	else
		assert_int_equal(nvme_test_io(t, qp, t->ns, &verify).host, WEIR_NVME_HOST_OPCODE);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

/* Each namespace has blocks of its own. */
static void test_namespaces(void **state)
{
	struct nvme_test *t = *state;
	struct weir_nvme_qp *qp = nvme_test_qp(t, 1);
	uint8_t *buffer = nvme_test_buffer(t, 4096);
	uint8_t opcode = WEIR_NVME_WRITE;

	for (unsigned int pass = 0; pass < 2; pass++, opcode = WEIR_NVME_READ) {
		struct weir_nvme_ns_info info = { 0 };
		struct weir_nvme_ns *ns;

		while ((ns = weir_nvme_next_ns(t->nvme, info.nsid))) {
			struct weir_nvme_io io;

			weir_nvme_ns_info(ns, &info);
			io = nvme_test_range(t, opcode, info.blocks - 1, 1, buffer);
			if (pass)
				memset(buffer, 0, info.block_bytes);
			else
				nvme_test_fill(buffer, info.block_bytes, 5000 + info.nsid);
			nvme_test_ok(t, qp, ns, &io);
			nvme_test_check(t, buffer, info.block_bytes, 5000 + info.nsid);
		}
	}
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
}

const struct CMUnitTest nvme_test_data[] = {
	cmocka_unit_test(test_shape),
	cmocka_unit_test(test_sizes_and_offsets),
	cmocka_unit_test(test_neighbours),
	cmocka_unit_test(test_write_zeroes),
	cmocka_unit_test(test_deallocate),
	cmocka_unit_test(test_compare),
	cmocka_unit_test(test_flush_fua_verify),
	cmocka_unit_test(test_namespaces),
	{ 0 },
};
