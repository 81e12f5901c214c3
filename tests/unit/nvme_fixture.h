/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A queue pair of the real driver on rings in plain memory, with the test as its controller: it
 * fetches entries as far as the doorbell says and posts completions, right or wrong ones. There is
 * no device behind it: fake_device.c.
 */
#ifndef WEIR_TEST_NVME_FIXTURE_H
#define WEIR_TEST_NVME_FIXTURE_H

#include "nvme.h"

struct nvme_fixture_shape {
	unsigned int depth;
	uint32_t sq_entries, cq_entries; /* powers of two */
	unsigned int block_shift;
	uint64_t blocks;
	uint32_t max_transfer;
	bool sgl;
};

struct nvme_fixture {
	struct weir_nvme *nvme;
	struct weir_nvme_ns ns;
	struct weir_nvme_qp *qp;
	uint8_t *lists;
	uint32_t sq_doorbell, cq_doorbell;
	uint64_t admin_sq[NVME_ADMIN_ENTRIES][8];
	struct nvme_cqe admin_cq[NVME_ADMIN_ENTRIES];
	/* the controller's view */
	uint32_t sq_head, cq_tail, phase;
	uint32_t admin_head, admin_tail, admin_phase;
	struct weir_error failure; /* of the last log line at level error */
};

/* IOVA that the fixture's lists begin at. */
#define NVME_FIXTURE_LISTS UINT64_C(0x7000000000)

void nvme_fixture_start(struct nvme_fixture *f, const struct nvme_fixture_shape *shape);
void nvme_fixture_stop(struct nvme_fixture *f);

/* Takes the next entry off the submission queue; false when there is none. */
bool nvme_fixture_fetch(struct nvme_fixture *f, uint64_t sqe[8]);

/* Whether the completion queue, as far as the controller was told, has room. */
bool nvme_fixture_cq_room(const struct nvme_fixture *f);

/* Takes the next entry off the admin queue; false when there is none. */
bool nvme_fixture_fetch_admin(struct nvme_fixture *f, struct weir_nvme_command *command);

/* Answers an admin command. */
void nvme_fixture_post_admin(struct nvme_fixture *f, uint16_t cid, uint16_t status,
			     uint32_t result);

/* Posts a completion as it is given, with the right phase. */
void nvme_fixture_post(struct nvme_fixture *f, uint16_t cid, uint16_t sq_id, uint16_t status,
		       uint32_t result);

#endif
