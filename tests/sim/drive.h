/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated drive and the driver on it, for tests that make the drive, break it and look at what
 * is left.
 */
#ifndef WEIR_TESTS_DRIVE_H
#define WEIR_TESTS_DRIVE_H

#include <stdatomic.h>
#include <stdint.h>
#include <weir/nvme.h>

#include "resources.h"
#include "sim_process.h"

#define DRIVE_MAX_ARGS 24

struct drive {
	struct sim_process sim;
	struct weir_nvme_options options;
	unsigned int device_timeout_ms; /* 0: the default */
	/* the driver, in the parts that a program may make itself */
	struct weir_ioas *ioas;
	struct weir_arena *arena;
	struct weir_mapping *mapping;
	struct weir_device *dev;
	struct weir_nvme *nvme;
	struct weir_nvme_ns *ns; /* the first namespace */
	struct weir_error err; /* of the last failure */
	struct resources before;
};

/* Starts the controller. The arguments are separated by spaces. Fails the test when that fails. */
void drive_start(struct drive *drive, const char *arguments);

/* Ends it in order; fails the test when it does not. */
void drive_stop(struct drive *drive);

/* Opens it, in parts. Returns 0, or a negative errno with everything that was made ended again. */
int drive_open(struct drive *drive);
void drive_close(struct drive *drive);

/* drive_start() and drive_open(), which has to succeed. */
void drive_up(struct drive *drive, const char *arguments);

/* Look at what the process holds, and fail the test when it is not the same afterwards. */
void drive_resources_before(struct drive *drive);
void drive_resources_after(struct drive *drive);

/* Runs what the C library keeps something of: a thread, a heap. Once, before the first look. */
void drive_warm_up(void);

uint64_t drive_now_ms(void);
void drive_sleep_ms(unsigned int ms);

#endif
