/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands that serve emulated devices share: options, and serving until a signal comes.
 */
#ifndef WEIR_APPS_SIM_SERVE_H
#define WEIR_APPS_SIM_SERVE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/error.h>

#include "server/sim.h"

#define SIM_NO_CPU UINT64_MAX

/* Options of them all, for a command that defines MEMBER(name) as the place of a member. */
#define SIM_SOCKET_OPTION \
	{ \
		"socket", CLI_TEXT, MEMBER(socket), \
			.argument = "PATH", .help = "the socket to listen on", .required = true \
	}
#define SIM_SPIN_OPTION \
	{ \
		"spin-us", CLI_NUMBER, MEMBER(spin_us), \
			.min = 1, .max = 1000000, .argument = "N", \
			.help = "microseconds of polling without work before it sleeps (default 50)" \
	}
#define SIM_CPU_OPTION \
	{ \
		"cpu", CLI_NUMBER, MEMBER(cpu), .max = CPU_SETSIZE - 1, .argument = "N", \
						.help = "pin the server to this CPU" \
	}
#define SIM_NO_MMAP_DMA_OPTION \
	{ \
		"no-mmap-dma", CLI_FLAG, MEMBER(no_mmap_dma), \
			.help = "move data by message instead of mapping the client's memory" \
	}

/* Listens on the socket, says so on standard output, and serves until SIGINT or SIGTERM. cpu:
 * SIM_NO_CPU, or where the thread is pinned to. */
int sim_serve(struct sim_server *server, const char *socket, uint64_t cpu, struct weir_error *err);

/* The same for several servers, each with its socket: in one thread, or apart, each in one of its
 * own. Those that reach memory by message have to be apart: while one waits for the client's answer
 * the client may wait for another's. */
int sim_serve_several(struct sim_server *const servers[], const char *const sockets[],
		      unsigned int nr, bool apart, uint64_t cpu, struct weir_error *err);

#endif
