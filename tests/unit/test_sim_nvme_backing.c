/* SPDX-License-Identifier: BSD-3-Clause */
/* The emulated NVMe controller's files: what is kept, who else may use it, when it is durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd_count.h"
#include "sim_nvme_host.h"

#define MIB (1u << 20)

static const struct sim_nvme_options defaults = SIM_NVME_OPTIONS_INIT;
static char path[] = "/tmp/weir-test-XXXXXX";
static struct sim_nvme_options options;

/* Instead of the C library's: how often data was made durable, and whether that works. */
static unsigned int nr_syncs;
static int sync_error;
/* The host whose queue pairs must have no completion that it has not taken, before the sync. */
static const struct host *watched;
static unsigned int too_early;

static unsigned int untaken(const struct host *host)
{
	unsigned int n = 0;

	for (unsigned int qid = 1; qid < HOST_QUEUES; qid++) {
		const struct host_queue *queue = &host->queues[qid];
		const struct nvme_cqe *entries = host_at(host, queue->cq);

		n += queue->size && (entries[queue->cq_head].status & 1) == queue->phase;
	}
	return n;
}

int fdatasync(int fd)
{
	(void)fd;
	nr_syncs++;
	if (watched)
		too_early += untaken(watched);
	errno = sync_error;
	return sync_error ? -1 : 0;
}

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 4 * MIB) < 0)
		return -1;
	close(fd);
	options = defaults;
	options.backing = SIM_NVME_FILE;
	options.file = path;
	nr_syncs = 0;
	sync_error = 0;
	watched = NULL;
	too_early = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void test_kept(void **state)
{
	struct nvme_id_ns id;
	struct host host;
	uint8_t block[512];
	int fd;

	(void)state;
	host_start(&host, &options);
	assert_int_equal(host_identify(&host, 1, NVME_CNS_NAMESPACE, &id), NVME_SUCCESS);
	assert_int_equal(id.nsze, 4 * MIB / 512);
	memset(host_at(&host, HOST_DATA), 0x61, 8192);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 100, 16)), NVME_SUCCESS);
	host_close(&host);

	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, block, 512, 100 * 512), 512);
	assert_int_equal(block[511], 0x61);
	assert_int_equal(pread(fd, block, 512, 116 * 512), 512);
	assert_int_equal(block[0], 0);
	close(fd);

	host_start(&host, &options);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 100, 16)), NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA + 8191], 0x61);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_COMPARE, 100, 16)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_VERIFY, 0, 1000)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE_ZEROES, 101, 3)), NVME_SUCCESS);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 100, 16)), NVME_SUCCESS);
	assert_int_equal(host.memory[HOST_DATA + 511], 0x61);
	assert_int_equal(host.memory[HOST_DATA + 512], 0);
	assert_int_equal(host.memory[HOST_DATA + 4 * 512 - 1], 0);
	assert_int_equal(host.memory[HOST_DATA + 4 * 512], 0x61);
	host_close(&host);
}

/* Scattered over more pages than one call of the system takes pieces. */
static void test_scattered(void **state)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_WRITE, 0, 200 * 8);
	struct host host;
	uint64_t *list;

	(void)state;
	host_start(&host, &options);
	list = host_at(&host, HOST_LIST);
	for (unsigned int i = 0; i < 199; i++)
		list[i] = host_iova(HOST_DATA + 0x2000 + i * 0x2000);
	for (unsigned int i = 0; i < 200; i++)
		memset(host_at(&host, HOST_DATA + i * 0x2000), (int)i, 4096);
	sqe.prp2 = host_iova(HOST_LIST);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	memset(host_at(&host, HOST_DATA), 0xff, 400 * 4096);
	sqe.opcode = NVME_IO_READ;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	for (unsigned int i = 0; i < 200; i++) {
		assert_int_equal(host.memory[HOST_DATA + i * 0x2000], (uint8_t)i);
		assert_int_equal(host.memory[HOST_DATA + i * 0x2000 + 4095], (uint8_t)i);
		assert_int_equal(host.memory[HOST_DATA + i * 0x2000 + 4096], 0xff);
	}
	host_close(&host);
}

static void test_namespaces(void **state)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_WRITE, 0, 1);
	struct nvme_id_ns id;
	struct host host;
	uint8_t byte;
	int fd;

	(void)state;
	options.namespaces = 3;
	host_start(&host, &options);
	assert_int_equal(host_identify(&host, 3, NVME_CNS_NAMESPACE, &id), NVME_SUCCESS);
	assert_int_equal(id.nsze, 2730); /* a third, in whole blocks */
	sqe.nsid = 3;
	sqe.cdw10 = 2729;
	memset(host_at(&host, HOST_DATA), 0x33, 512);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	sqe.cdw10 = 2730;
	assert_int_equal(host_run(&host, 1, sqe), NVME_LBA_OUT_OF_RANGE);
	host_close(&host);
	fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, &byte, 1, (3 * 2730 - 1) * 512), 1);
	assert_int_equal(byte, 0x33);
	close(fd);
}

static void expect_refused(int code, const char *text)
{
	struct sim_nvme *nvme = NULL;
	struct weir_error err = { 0 };

	assert_int_equal(sim_nvme_create(&options, &nvme, &err), code);
	assert_null(nvme);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" does not say \"%s\"", err.text, text);
}

static void test_refused(void **state)
{
	unsigned int fds = fd_count();
	int fd = open(path, O_RDWR);

	(void)state;
	/* Served by somebody else; two that only read are no problem. */
	assert_int_equal(flock(fd, LOCK_SH), 0);
	expect_refused(-EBUSY, path);
	options.read_only = true;
	{
		struct host host;

		host_start(&host, &options);
		assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 1)), NVME_SUCCESS);
		host_close(&host);
	}
	assert_int_equal(flock(fd, LOCK_EX), 0);
	expect_refused(-EBUSY, path);
	close(fd);
	options.read_only = false;

	options.file = "/tmp/weir-test-there-is-no-such-file";
	expect_refused(-ENOENT, "no-such-file");
	options.file = "/tmp";
	expect_refused(-EISDIR, "/tmp");
	options.file = "/dev/null";
	expect_refused(-EINVAL, "neither a file nor a block device");
	options.file = path;
	assert_int_equal(truncate(path, 1000), 0);
	options.namespaces = 2;
	expect_refused(-EINVAL, "less than one block");
	assert_int_equal(fd_count(), fds);
}

/* Cut while it is served: an error for what is gone, not a crash. */
static void test_cut(void **state)
{
	struct host host;

	(void)state;
	host_start(&host, &options);
	assert_int_equal(truncate(path, 4096), 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 8, 8)), NVME_READ_ERROR);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 4, 8)), NVME_READ_ERROR);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_VERIFY, 8, 8)), NVME_READ_ERROR);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_COMPARE, 8, 8)), NVME_READ_ERROR);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	host_close(&host);
	assert_int_equal(sim_nvme_create(&options, &host.nvme, NULL), 0);
	assert_int_equal(sim_nvme_resize(host.nvme, 1, 1), -EOPNOTSUPP);
	sim_nvme_destroy(host.nvme);
}

/* Without a cache every write is durable when it completes. */
static void test_write_through(void **state)
{
	struct nvme_dsm_range *range;
	struct host host;

	(void)state;
	host_start(&host, &options);
	range = host_at(&host, HOST_LIST);
	*range = (struct nvme_dsm_range){ .lba = 5, .blocks = 1 };
	assert_int_equal(nr_syncs, 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_READ, 0, 8)), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 8)), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 1);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE_ZEROES, 0, 8)), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 2);
	assert_int_equal(host_run(&host, 1,
				  (struct nvme_sqe){ .opcode = NVME_IO_DATASET_MANAGEMENT,
						     .nsid = 1,
						     .prp1 = host_iova(HOST_LIST),
						     .cdw11 = NVME_DSM_DEALLOCATE }),
			 NVME_SUCCESS);
	assert_int_equal(nr_syncs, 3);
	sync_error = EIO;
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 8)), NVME_WRITE_FAULT);
	host_close(&host);
}

/* With one, after a flush or with FUA; and the client may turn it off. */
static void test_write_cache(void **state)
{
	struct nvme_sqe fua = host_rw(NVME_IO_WRITE, 0, 8);
	struct nvme_sqe off = { .opcode = NVME_ADMIN_SET_FEATURES,
				.cdw10 = NVME_FEATURE_WRITE_CACHE };
	struct host host;

	(void)state;
	options.write_cache = true;
	host_start(&host, &options);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 8)), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 0);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_FLUSH, 0, 1)), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 1);
	fua.cdw12 |= NVME_IO_FUA;
	assert_int_equal(host_run(&host, 1, fua), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 2);
	fua.opcode = NVME_IO_READ;
	assert_int_equal(host_run(&host, 1, fua), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 3);
	assert_int_equal(host_run(&host, 0, off), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 4);
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_WRITE, 0, 8)), NVME_SUCCESS);
	assert_int_equal(nr_syncs, 5);
	/* A shutdown leaves nothing behind. */
	host_write32(&host, NVME_CC, NVME_CC_EN | 6u << 16 | 4u << 20 | 1u << 14);
	assert_int_equal(nr_syncs, 6);
	host_close(&host);
}

/* Puts n commands and rings. */
static void put_burst(struct host *host, unsigned int qid, struct nvme_sqe sqe, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		host_put(host, qid, sqe);
	host_ring(host, qid);
}

/* Takes what was completed, each with the status. Returns how many. */
static unsigned int take_all(struct host *host, unsigned int qid, unsigned int status)
{
	unsigned int n = 0;

	for (; host_take(host, qid); n++)
		assert_int_equal(host->cqe.status >> 1 & 0x7ff, status);
	host_acknowledge(host, qid);
	return n;
}

/* Whatever says that data is durable comes after the sync, and those of a turn share one. */
static void test_one_sync_for_a_turn(void **state)
{
	struct nvme_sqe fua = host_rw(NVME_IO_WRITE, 0, 8);
	struct sim_server *server;
	struct host host;

	(void)state;
	for (unsigned int cache = 0; cache < 2; cache++) {
		options.write_cache = cache;
		host_start(&host, &options);
		host_queue(&host, 2);
		server = sim_nvme_server(host.nvme);
		watched = &host;
		nr_syncs = 0;

		fua.cdw12 |= cache ? NVME_IO_FUA : 0;
		put_burst(&host, 1, fua, 4);
		put_burst(&host, 2, fua, 4);
		sim_server_turn(server);
		assert_int_equal(nr_syncs, 1);
		assert_int_equal(take_all(&host, 1, NVME_SUCCESS), 4);
		assert_int_equal(take_all(&host, 2, NVME_SUCCESS), 4);

		put_burst(&host, 1, host_rw(NVME_IO_FLUSH, 0, 1), 1);
		put_burst(&host, 2, host_rw(NVME_IO_WRITE_ZEROES, 0, 8), cache ? 0 : 2);
		sim_server_turn(server);
		assert_int_equal(nr_syncs, 2);
		assert_int_equal(take_all(&host, 1, NVME_SUCCESS), 1);
		assert_int_equal(take_all(&host, 2, NVME_SUCCESS), cache ? 0 : 2);
		assert_int_equal(too_early, 0);

		/* One that fails is that of all. */
		sync_error = EIO;
		put_burst(&host, 1, fua, 3);
		sim_server_turn(server);
		assert_int_equal(take_all(&host, 1, NVME_WRITE_FAULT), 3);
		assert_int_equal(nr_syncs, 3);
		assert_int_equal(too_early, 0);
		sync_error = 0;

		/* Reads do not wait; what has no part in it is not synced. */
		watched = NULL;
		put_burst(&host, 1, host_rw(NVME_IO_READ, 0, 8), 4);
		sim_server_turn(server);
		assert_int_equal(take_all(&host, 1, NVME_SUCCESS), 4);
		assert_int_equal(nr_syncs, 3);
		host_close(&host);
	}
}

/* Two submission queues whose completion queue has hardly room, with reads between the writes: it
 * is not overrun. */
static void test_little_room(void **state)
{
	struct nvme_sqe second = {
		.opcode = NVME_ADMIN_CREATE_SQ,
		.prp1 = host_iova(HOST_SQ(2)),
		.cdw10 = (HOST_ENTRIES - 1) << 16 | 2,
		.cdw11 = 1 << 16 | NVME_QUEUE_CONTIGUOUS,
	};
	struct host host;

	(void)state;
	for (uint32_t entries = 2; entries <= 12; entries++) {
		unsigned int back = 0;
		uint64_t seen = 0;
		uint16_t first;

		host_open(&host, &options);
		host_enable(&host);
		host_queue_clear(&host, 1, HOST_ENTRIES);
		host_queue_clear(&host, 2, HOST_ENTRIES);
		assert_int_equal(host_create_cq(&host, 1, entries), NVME_SUCCESS);
		assert_int_equal(host_create_sq(&host, 1, HOST_ENTRIES), NVME_SUCCESS);
		assert_int_equal(host_run(&host, 0, second), NVME_SUCCESS);
		first = host.next_cid;
		for (unsigned int i = 0; i < 40; i++)
			host_put(&host, 1 + i % 2,
				 host_rw(i % 3 == 1 ? NVME_IO_READ : NVME_IO_WRITE, i, 1));
		host_ring(&host, 1);
		host_ring(&host, 2);
		host.queues[1].size = entries; /* from here on of the completion queue */
		for (unsigned int turn = 0; turn < 200; turn++) {
			sim_server_turn(sim_nvme_server(host.nvme));
			for (; host_take(&host, 1); back++) {
				uint64_t bit = UINT64_C(1) << ((host.cqe.cid - first) & 63);

				assert_int_equal(host.cqe.status >> 1, NVME_SUCCESS);
				assert_false(seen & bit);
				seen |= bit;
			}
			/* Not always at once. */
			if (turn % 3)
				host_acknowledge(&host, 1);
		}
		assert_int_equal(back, 40);
		host_close(&host);
	}
}

static void test_flush_fails(void **state)
{
	struct host host;

	(void)state;
	options.write_cache = true;
	host_start(&host, &options);
	sync_error = EIO;
	assert_int_equal(host_run(&host, 1, host_rw(NVME_IO_FLUSH, 0, 1)), NVME_WRITE_FAULT);
	host_write32(&host, NVME_CC, NVME_CC_EN | 6u << 16 | 4u << 20 | 1u << 14);
	assert_true(host_read32(&host, NVME_CSTS) & NVME_CSTS_CFS);
	host_close(&host);
}

/* Memory that is reached by message goes through a buffer, in pieces. */
static void test_by_message(void **state)
{
	struct nvme_sqe sqe = host_rw(NVME_IO_WRITE, 0, 512);
	struct nvme_sgl sgl = { .address = host_iova(HOST_DATA), .bytes = 512 * 512 };
	struct host host;

	(void)state;
	options.no_mmap_dma = true;
	host_start(&host, &options);
	sqe.flags = NVME_PSDT_SGL << 6;
	memcpy(&sqe.prp1, &sgl, sizeof(sgl));
	for (uint32_t i = 0; i < 512; i++)
		memset(host_at(&host, HOST_DATA + i * 512), (int)(i & 0xff), 512);
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	memset(host_at(&host, HOST_DATA), 0, sgl.bytes);
	sqe.opcode = NVME_IO_READ;
	assert_int_equal(host_run(&host, 1, sqe), NVME_SUCCESS);
	for (uint32_t i = 0; i < 512; i++)
		assert_int_equal(host.memory[HOST_DATA + i * 512 + 511], i & 0xff);
	host_close(&host);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kept),	TEST(test_scattered),
		TEST(test_namespaces),	TEST(test_refused),
		TEST(test_cut),		TEST(test_write_through),
		TEST(test_write_cache), TEST(test_flush_fails),
		TEST(test_by_message),	TEST(test_one_sync_for_a_turn),
		TEST(test_little_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
