/* SPDX-License-Identifier: BSD-3-Clause */
/* How faults are asked for by name: a model lists its names, and the members that they set. */
#ifndef WEIR_SIM_FAULTS_H
#define WEIR_SIM_FAULTS_H

#include <stddef.h>

#include "server/sim.h"

enum sim_fault_type {
	SIM_FAULT_FLAG, /* bool; takes no value */
	SIM_FAULT_U15, /* uint16_t, without its highest bit */
	SIM_FAULT_U32,
	SIM_FAULT_U64,
};

struct sim_fault {
	const char *name; /* those of the server begin with "server-" */
	size_t offset; /* of the member in the model's options */
	enum sim_fault_type type;
};

#define SIM_SERVER_FAULT(name, base, member) \
	{ \
		name, (base) + offsetof(struct sim_server_options, member), SIM_FAULT_U32 \
	}

/* The faults of the server, in a model's list. `base`: where the server's options begin in the
 * model's. */
#define SIM_SERVER_FAULTS(base) \
	SIM_SERVER_FAULT("server-stall-after", base, fault_stall_after), \
		SIM_SERVER_FAULT("server-close-after", base, fault_close_after), \
		SIM_SERVER_FAULT("server-short-after", base, fault_short_after), \
		SIM_SERVER_FAULT("server-oversize-after", base, fault_oversize_after), \
		SIM_SERVER_FAULT("server-wrong-id-after", base, fault_wrong_id_after), \
		SIM_SERVER_FAULT("server-error-after", base, fault_error_after)

/*
 * Parses "NAME[=VALUE][,NAME[=VALUE]...]" into a model's options. -EINVAL; the text names what it
 * did not understand, and the names that there are.
 */
int sim_faults_parse(const char *spec, const struct sim_fault *faults, unsigned int nr,
		     void *options, struct weir_error *err);

#endif
