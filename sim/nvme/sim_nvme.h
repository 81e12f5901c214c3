/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated NVMe controller (NVM Express Base Specification 2.0, PCIe transport) behind a
 * vfio-user server.
 *
 * BAR 0 holds the registers, which are trapped, and from 0x1000 on the doorbells, which the client
 * maps and this side polls. BAR 2 is the controller memory buffer, when there is one. BAR 4 holds
 * the MSI-X table, trapped.
 */
#ifndef WEIR_SIM_NVME_H
#define WEIR_SIM_NVME_H

#include "server/sim.h"

#define SIM_NVME_MAX_NAMESPACES 64
#define SIM_NVME_MAX_QUEUES 64 /* I/O queue pairs */
#define SIM_NVME_MAX_MQES 4096

/* Where a namespace's blocks are kept. */
enum sim_nvme_backing {
	SIM_NVME_MEMORY, /* anonymous memory, zero at first */
	SIM_NVME_FILE, /* a file or block device; its size is the namespace's, rounded down to
			  blocks */
	SIM_NVME_NULL, /* nowhere: commands and addresses are checked in full, data is not moved */
};

/* What goes wrong on purpose, in I/O commands. `every` n: each n-th command; 0: never. */
struct sim_nvme_faults {
	uint64_t drop_every; /* takes a command and never completes it */
	uint64_t delay_every; /* completes it only after delay_us */
	uint32_t delay_us;
	uint64_t status_every; /* completes it with `status` and does nothing */
	uint16_t status; /* status field without the phase */
	uint64_t wrong_cid_every; /* completes it with a command id that is out of range */
	uint64_t duplicate_cid_every; /* completes it twice */
	uint64_t unplug_after; /* after so many commands the device is pulled */
	uint64_t
		truncate_after; /* after so many commands the file behind BAR 0 is cut to nothing */
	uint64_t fatal_after; /* after so many commands CSTS.CFS is set and nothing is completed */
	bool stuck_ready; /* CSTS.RDY never becomes 1 */
	bool stuck_disable; /* CSTS.RDY never becomes 0 again */
	bool ignore_abort; /* Abort succeeds and does not abort */
};

/* What the controller looks like. Zero means the default of each member. */
struct sim_nvme_options {
	enum sim_nvme_backing backing;
	const char *file; /* for SIM_NVME_FILE: one path; with several namespaces each takes an
			     equal part of it */
	uint64_t bytes; /* of all namespaces, for memory and null; 0: 1 GiB */
	uint32_t block_bytes; /* 512 to 4096; 0: 512 */
	unsigned int namespaces; /* 0: 1 */
	const char *serial; /* 0: "WEIRSIM0" */
	unsigned int queues; /* I/O queue pairs granted; 0: SIM_NVME_MAX_QUEUES */
	unsigned int
		mqes; /* entries of a queue at most, 2 to SIM_NVME_MAX_MQES; 0: SIM_NVME_MAX_MQES */
	int dstrd; /* CAP.DSTRD, 0 to 8; the default, SIM_NVME_DSTRD, gives each doorbell a pair of
		      lines */
	unsigned int mpsmin; /* CAP.MPSMIN, 0 to 4 */
	int mdts; /* Identify MDTS in powers of CAP.MPSMIN pages; 0: no limit; -1: the default, 2
		     MiB */
	uint32_t noiob; /* blocks; 0: no boundary */
	uint32_t cmb_bytes; /* controller memory buffer; multiple of 4 KiB, at most 256 MiB; 0: none
			     */
	bool no_sgl;
	bool no_shadow_doorbells;
	bool trap_doorbells; /* doorbells cannot be mapped: each is a message */
	bool write_cache; /* volatile write cache: writes are durable after a flush or with FUA only
			   */
	bool read_only;
	unsigned int spin_us; /* see sim_server_options */
	bool no_mmap_dma; /* see sim_server_options */
	struct sim_nvme_faults faults;
	struct sim_server_options
		server; /* for its faults and log; spin_us and no_mmap_dma from above */
};

#define SIM_NVME_DSTRD 5
#define SIM_NVME_OPTIONS_INIT \
	{ \
		.dstrd = SIM_NVME_DSTRD, .mdts = -1 \
	}

struct sim_nvme;

/* Counters since creation, for tests. */
struct sim_nvme_stats {
	uint64_t commands; /* I/O commands fetched */
	uint64_t completions; /* I/O completions posted */
	uint64_t errors; /* of those, with an error status */
	uint64_t doorbell_traps; /* doorbell writes by message */
	uint64_t aborted; /* commands aborted */
};

/*
 * Makes a controller and its server. Bad options: -EINVAL, the text names the value and the limit;
 * a file that is missing, unreadable or too small: what open() says, or -EINVAL.
 */
int sim_nvme_create(const struct sim_nvme_options *options, struct sim_nvme **nvme,
		    struct weir_error *err);
void sim_nvme_destroy(struct sim_nvme *nvme);

/* Its server: listen, run, turn, stop. Owned by the controller. */
struct sim_server *sim_nvme_server(struct sim_nvme *nvme);

void sim_nvme_stats(const struct sim_nvme *nvme, struct sim_nvme_stats *stats);

/*
 * For tests and `weir sim nvme --fault`: parses "NAME[=VALUE][,NAME[=VALUE]...]", such as
 * "drop-every=1000,stuck-ready" or "status=0x4081,status-every=7". The names are the members of
 * struct sim_nvme_faults and, after "server-", those of struct sim_server_options that begin with
 * fault_, with dashes. -EINVAL; the text names what it did not understand and the names it knows.
 */
int sim_nvme_parse_faults(const char *spec, struct sim_nvme_options *options,
			  struct weir_error *err);

/* Reports an asynchronous event to the client, as the controller would: `type` and `info` as in
 * completion dword 0. */
void sim_nvme_async_event(struct sim_nvme *nvme, uint8_t type, uint8_t info, uint8_t log_page);

/* Grows or shrinks a namespace and tells the client (Namespace Attribute Changed). Not for
 * SIM_NVME_FILE. */
int sim_nvme_resize(struct sim_nvme *nvme, uint32_t nsid, uint64_t blocks);

#endif
