/* SPDX-License-Identifier: BSD-3-Clause */
/* The controller memory buffer as a place for data: exported and mapped like any device memory. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <weir/p2p.h>

#include "nvme_test.h"

/* Blocks go from the drive into the buffer and from there to the drive, and nowhere else. */
static void test_cmb_data(void **state)
{
	struct nvme_test *t = *state;
	struct weir_ioas *ioas = weir_device_ioas(weir_nvme_device(t->nvme));
	size_t block = t->ns_info.block_bytes;
	uint64_t offset, bytes, seed = ++t->seed;
	unsigned int bar;
	struct weir_range range;
	struct weir_dmabuf dmabuf;
	struct weir_mapping *mapping;
	struct weir_nvme_qp *qp;
	struct weir_error err;
	struct weir_nvme_io io;
	uint8_t *buffer, *there;

	if (!t->info.cmb_bytes) {
		assert_int_equal(weir_nvme_cmb(t->nvme, &bar, &offset, &bytes, &err), -ENOENT);
		return;
	}
	assert_int_equal(weir_nvme_cmb(t->nvme, &bar, &offset, &bytes, &err), 0);
	assert_true(bytes >= 2 << 12);
	range = (struct weir_range){ .offset = offset + bytes - 4096, .bytes = 4096 };
	if (t->no_export) {
		assert_int_equal(weir_dmabuf_export(weir_nvme_device(t->nvme), bar, &range, 1,
						    &dmabuf, &err),
				 -EOPNOTSUPP);
		return;
	}
	if (weir_dmabuf_export(weir_nvme_device(t->nvme), bar, &range, 1, &dmabuf, &err))
		fail_msg("%s", err.text);
	if (weir_ioas_map_dmabuf(ioas, dmabuf.fd, dmabuf.offset, dmabuf.bytes, WEIR_PROT_RW,
				 &mapping, &err))
		fail_msg("%s", err.text);
	close(dmabuf.fd);
	there = (uint8_t *)(uintptr_t)weir_device_bar(weir_nvme_device(t->nvme), bar, range.offset,
						      4096);
	assert_non_null(there);

	qp = nvme_test_qp(t, 1);
	buffer = nvme_test_buffer(t, block);
	nvme_test_fill(buffer, block, seed);
	io = nvme_test_range(t, WEIR_NVME_WRITE, 50, 1, buffer);
	nvme_test_ok(t, qp, t->ns, &io);
	memset(there, 0x33, 4096);
	io.opcode = WEIR_NVME_READ;
	io.data = weir_mapping_iova(mapping, NULL);
	nvme_test_ok(t, qp, t->ns, &io);
	nvme_test_check(t, there, block, seed);
	for (size_t i = block; i < 4096; i++)
		assert_int_equal(there[i], 0x33);

	/* By the address that the controller itself knows, without any mapping. */
	weir_nvme_info(t->nvme, &t->info);
	assert_true(t->info.cmb_address != 0);
	memset(there, 0x44, 4096);
	io.data = t->info.cmb_address + bytes - 4096;
	nvme_test_ok(t, qp, t->ns, &io);
	nvme_test_check(t, there, block, seed);

	io.opcode = WEIR_NVME_WRITE;
	io.lba = 52;
	nvme_test_ok(t, qp, t->ns, &io);
	io = nvme_test_range(t, WEIR_NVME_READ, 52, 1, buffer);
	memset(buffer, 0, block);
	nvme_test_ok(t, qp, t->ns, &io);
	nvme_test_check(t, buffer, block, seed);
	nvme_test_canaries(buffer, block);
	nvme_test_free(t, buffer);
	weir_nvme_qp_destroy(qp);
	assert_int_equal(weir_ioas_unmap(ioas, mapping, &err), 0);
}

const struct CMUnitTest nvme_test_cmb[] = {
	cmocka_unit_test(test_cmb_data),
	{ 0 },
};
