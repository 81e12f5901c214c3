/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated device that is plain memory behind BAR 2: a memfd that the client may map, and whose
 * descriptor it may give to another device's server, which then moves data into it. The stand-in
 * for a GPU's memory.
 */
#ifndef WEIR_SIM_MEMBAR_H
#define WEIR_SIM_MEMBAR_H

#include "server/sim.h"

struct sim_membar;

struct sim_membar_options {
	uint64_t bytes; /* power of two, 4 KiB to 64 GiB; 0: 64 MiB */
	struct sim_server_options server;
};

/* Makes the device and its server. -EINVAL bad size; -ENOMEM. */
int sim_membar_create(const struct sim_membar_options *options, struct sim_membar **membar,
		      struct weir_error *err);
void sim_membar_destroy(struct sim_membar *membar);
struct sim_server *sim_membar_server(struct sim_membar *membar);

#endif
