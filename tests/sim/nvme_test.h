/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of test_nvme_basic share: the drive under test, by the command line, and small
 * steps on it. Everything on the drive may be overwritten.
 */
#ifndef WEIR_TESTS_NVME_TEST_H
#define WEIR_TESTS_NVME_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <weir/nvme.h>

#include "resources.h"

struct nvme_test {
	/* from the command line */
	const char *address;
	struct weir_nvme_options options;
	uint32_t nsid; /* 0: the first namespace */
	bool no_data; /* the drive keeps nothing */
	bool no_export; /* its BARs cannot be exported */
	bool is_sim; /* an address that nobody mapped may be tried without harm */
	const char *expectations[16];
	unsigned int nr_expectations;

	struct weir_nvme *nvme;
	struct weir_arena *arena;
	struct weir_nvme_info info;
	struct weir_nvme_ns *ns; /* the one under test */
	struct weir_nvme_ns_info ns_info;
	uint64_t seed;
	struct resources before, after;
};

/* Bytes on each side of a buffer that nobody may touch. */
#define NVME_TEST_CANARY 4096u

/* Opens the drive, and closes it. -1, with a line on standard error, when that fails or leaves
 * something behind. */
int nvme_test_open(struct nvme_test *t);
int nvme_test_close(struct nvme_test *t);

/* Whether what the driver says of the drive is as the command line says. */
void nvme_test_expect(struct nvme_test *t);

struct weir_nvme_qp *nvme_test_qp(struct nvme_test *t, unsigned int depth);

/* Memory in the arena between two canaries. */
uint8_t *nvme_test_buffer(struct nvme_test *t, size_t bytes);
void nvme_test_free(struct nvme_test *t, uint8_t *buffer);
/* Fails the test when a canary of the buffer was touched; `bytes` as it was asked for. */
void nvme_test_canaries(const uint8_t *buffer, size_t bytes);

uint64_t nvme_test_iova(const struct nvme_test *t, const void *ptr);

/* A pattern that no other seed has. */
void nvme_test_fill(void *data, size_t bytes, uint64_t seed);
/* Fails the test when it is not there; does nothing for a drive that keeps nothing. */
void nvme_test_check(const struct nvme_test *t, const void *data, size_t bytes, uint64_t seed);

/* To be called while nothing comes: a device that moves data by message is served here. */
void nvme_test_idle(struct nvme_test *t);

/* One I/O to its end, alone on the queue pair. */
struct weir_nvme_done nvme_test_io(struct nvme_test *t, struct weir_nvme_qp *qp,
				   const struct weir_nvme_ns *ns, const struct weir_nvme_io *io);
/* The same, and it has to succeed. */
void nvme_test_ok(struct nvme_test *t, struct weir_nvme_qp *qp, const struct weir_nvme_ns *ns,
		  const struct weir_nvme_io *io);

/* A read or write of one range. */
struct weir_nvme_io nvme_test_range(const struct nvme_test *t, uint8_t opcode, uint64_t lba,
				    uint32_t blocks, const void *data);

/* The most blocks of one I/O of the namespace under test. */
uint32_t nvme_test_max_blocks(const struct nvme_test *t);

/* The parts: lists of tests that end with an empty one. */
extern const struct CMUnitTest nvme_test_data[], nvme_test_segments[], nvme_test_refused[],
	nvme_test_queues[], nvme_test_admin[], nvme_test_blocking[], nvme_test_interrupts[],
	nvme_test_cmb[];

#endif
