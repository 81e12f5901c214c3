/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the server.
 *
 * server.c     life, run loop, idle policy
 * listen.c     the socket's place in the file system
 * session.c    one client: receive, reply, DMA by message, faults on purpose
 * version.c    the handshake
 * protocol.c   every other command: checks and dispatch
 * region.c     accesses to BARs, MSI-X structures and configuration space
 * config_space.c, irq.c, dma.c   the state behind them, which know nothing of messages
 */
#ifndef WEIR_SIM_SERVER_H
#define WEIR_SIM_SERVER_H

#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/un.h>

#include "device/vfio_user/protocol.h"
#include "device/vfio_user/wire.h"
#include "server/config_space.h"
#include "server/dma.h"
#include "server/irq.h"
#include "server/sim.h"

/* How long a client may take to say hello, to accept a reply, to answer a DMA request. */
#define CLIENT_TIMEOUT_MS 2000u
/* Connections that wait for their -EBUSY. */
#define MAX_TURNED_AWAY 4

/* Regions as VFIO numbers them (linux/vfio.h, VFIO_PCI_*_REGION_INDEX). */
enum {
	REGION_CONFIG = 7,
	REGION_NR = 9,
};

/* A command, in the server's own memory, and its answer. */
struct request {
	struct vfio_user_header header;
	const uint8_t *payload; /* aligned for any request struct */
	size_t bytes; /* of payload */
	int *fds; /* set one to -1 to take it */
	unsigned int nr_fds;
	uint8_t *reply; /* room for WIRE_MAX_BYTES less a header */
	size_t reply_bytes;
	int reply_fd; /* stays its owner's; -1: none */
};

/* A command that came while the server waited for the answer to one of its own. */
struct deferred {
	TAILQ_ENTRY(deferred) link;
	struct wire_message message; /* its payload is copied to data[] */
	uint8_t data[];
};

/* The client that is served. */
struct session {
	struct wire *wire; /* NULL: none */
	bool agreed; /* the versions were exchanged */
	bool attention; /* a message may be there */
	int broken; /* why it has to end, a negative errno; 0: it is well */
	uint64_t hello_deadline; /* ns */
	uint32_t max_transfer, max_fds; /* what the client takes */
	uint16_t next_id;
	unsigned int nr_messages;
	TAILQ_HEAD(, deferred) deferred;
	size_t deferred_bytes;
	unsigned int deferred_fds;
	uint8_t *request, *reply; /* WIRE_MAX_BYTES each */
};

struct listener {
	int fd; /* -1: not listening */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev; /* which file the socket is, so that only ours is removed */
	ino_t ino;
};

struct turned_away {
	struct wire *wire;
	uint64_t deadline; /* ns */
};

struct sim_server {
	const struct sim_model_ops *ops;
	void *model;
	struct sim_pci pci;
	struct sim_server_options options;

	atomic_bool stop, unplugged;
	/* Those that run in this thread, itself among them, while they run. */
	struct sim_server *const *together;
	unsigned int nr_together;
	bool in_turn;
	uint64_t idle_since; /* ns; 0: busy */
	bool resting; /* idle for so long that others may have the core */
	unsigned int polls; /* of the model, between two looks at the sockets */

	struct config_space config;
	struct irqs irqs;
	struct dma_table dma;
	struct session session;
	struct listener listener;
	struct turned_away turned_away[MAX_TURNED_AWAY];
};

/* Whether it, or one that runs together with it, was stopped. */
bool server_stopping(const struct sim_server *server);

/* Function level reset. */
void server_reset(struct sim_server *server);

/* listen.c. The errors are those of sim_server_listen(). */
int listener_open(struct listener *listener, const char *path, struct weir_error *err);
void listener_close(struct listener *listener);

/* session.c */
int session_init(struct session *session);
void session_destroy(struct session *session);
void session_start(struct sim_server *server, struct wire *wire);
void session_end(struct sim_server *server);
/* One turn: handles messages that are there, checks the rest. Returns how many messages. */
unsigned int session_serve(struct sim_server *server);
/* Moves data by message. -EIO when the client fails or refuses; what was received is in data. */
int session_dma(struct sim_server *server, uint64_t iova, uint8_t *data, uint32_t bytes,
		bool write);
/* Sends an error reply that does not wait for room. */
void reply_error(struct wire *wire, const struct vfio_user_header *request, int error);

/* version.c: checks the client's proposal and writes the answer. */
int version_negotiate(struct sim_server *server, struct request *request);

/* protocol.c: carries out a command; 0 or the negative errno to answer with. */
int protocol_handle(struct sim_server *server, struct request *request);

/* region.c. -EINVAL outside of the region, or what the model says. */
int region_read(struct sim_server *server, uint32_t region, uint64_t offset, void *data,
		size_t bytes);
int region_write(struct sim_server *server, uint32_t region, uint64_t offset, const void *data,
		 size_t bytes);
/* 0: absent. */
uint64_t region_bytes(const struct sim_server *server, uint32_t region);

/* pci.c: whether a description makes sense. -EINVAL. */
int pci_check(const struct sim_pci *pci, struct weir_error *err);

#endif
