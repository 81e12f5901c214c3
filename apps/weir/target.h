/* SPDX-License-Identifier: BSD-3-Clause */
/* The NVMe device and namespace that a command works on. */
#ifndef WEIR_APPS_TARGET_H
#define WEIR_APPS_TARGET_H

#include <stdint.h>
#include <weir/nvme.h>

struct target {
	const char *address;
	struct weir_nvme *nvme;
	struct weir_nvme_ns *ns;
	struct weir_nvme_info info;
	struct weir_nvme_ns_info ns_info;
};

struct target_options {
	uint64_t nsid; /* 0: the first namespace */
	uint64_t arena_bytes; /* for queues and buffers */
	unsigned int queues; /* to ask for; 0: as many as the library does */
};

/* Opens a device, without looking for a namespace. */
int target_open_controller(struct target *target, const char *address,
			   const struct target_options *options, struct weir_error *err);

/* Opens a device and finds a namespace. On failure nothing is left open. */
int target_open(struct target *target, const char *address, const struct target_options *options,
		struct weir_error *err);
void target_close(struct target *target);

/* Whether a namespace's blocks can be moved as they are, without metadata. */
int target_check_plain(const struct target *target, struct weir_error *err);

/* Whether it may be written. */
int target_check_writable(const struct target *target, struct weir_error *err);

/* Whether [lba, lba + blocks) is inside the namespace. */
int target_check_range(const struct target *target, uint64_t lba, uint64_t blocks,
		       struct weir_error *err);

/* Turns bytes into blocks; they have to be a multiple. `what` begins the text otherwise. */
int target_blocks(const struct target *target, const char *what, uint64_t bytes, uint64_t *blocks,
		  struct weir_error *err);

/* Why the controller failed, for a command that finds its queue dead. */
int target_failure(const struct target *target, struct weir_error *err);

/* Serves the device and looks at what happened to it. -EIO, -ENODEV: it failed; err says why. */
int target_events(const struct target *target, struct weir_error *err);

#endif
