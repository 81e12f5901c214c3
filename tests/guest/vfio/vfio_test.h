/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the parts of test_vfio share: the functions under test, by the command line, and NVMe drives
 * on them. Everything on the drives may be overwritten.
 */
#ifndef WEIR_TESTS_VFIO_TEST_H
#define WEIR_TESTS_VFIO_TEST_H

#include "../../sim/nvme_test.h"

struct vfio_test {
	const char *transport;
	const char *nvme[2]; /* addresses of two NVMe controllers */
	const char *memory; /* of a device that is memory behind BAR 2 */
	const char *unbound; /* of a function without a driver */
	const char *forbidden; /* of one whose node this user, unless it is root, may not open */
};

extern struct vfio_test the_vfio_test;

/* An IOAS with an arena in it. */
struct space {
	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct weir_mapping *mapping;
};

void space_open(struct space *space);
void space_close(struct space *space);

struct weir_device *device_open(const char *address, struct weir_ioas *ioas);

/* A drive with a queue pair, opened into a space. */
struct drive {
	struct nvme_test t;
	struct weir_device *dev;
	struct weir_nvme_qp *qp;
};

void drive_open(struct drive *drive, const char *address, struct space *space);
void drive_close(struct drive *drive);

/* Moves blocks from LBA 0 on between the drive and an IOVA. */
void drive_write(struct drive *drive, uint64_t iova, size_t bytes);
void drive_read(struct drive *drive, uint64_t iova, size_t bytes);

/* Writes a pattern and reads it back, through the space's arena. */
void drive_check(struct drive *drive, uint64_t seed);

extern const struct CMUnitTest vfio_test_device[], vfio_test_ioas[], vfio_test_p2p[],
	vfio_test_no_p2p[];

#endif
