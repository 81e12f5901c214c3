/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated PCI device behind a vfio-user server: what a device model (sim/nvme, sim/membar) sees
 * of its server.
 *
 * The server owns the socket, the configuration space, the table of the client's DMA memory and the
 * interrupt eventfds; the model owns its BARs and what they mean. Everything runs in one thread:
 * sim_server_run(), or sim_server_turn() called by a test. Several servers of one client share a
 * thread only when their DMA memory is mapped: a client that waits for the one does not serve the
 * other's reads and writes by message (weir/ioas.h).
 *
 * The client is not trusted. The server checks every message; the model checks every register
 * write, queue entry and address, and reads each entry that lies in shared memory exactly once
 * before it checks it.
 */
#ifndef WEIR_SIM_SIM_H
#define WEIR_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>
#include <weir/log.h>

#define SIM_NR_BARS 6
#define SIM_MAX_AREAS 4
#define SIM_MAX_VECTORS 128
#define SIM_MAX_TOGETHER 8

struct sim_server;
struct wire;

/* A stretch of a BAR that the client may map. Page aligned. */
struct sim_area {
	uint64_t offset;
	uint64_t bytes;
};

/* A BAR. The model fills it before it makes the server. */
struct sim_bar {
	uint64_t bytes; /* power of two, at least 4 KiB; 0: absent */
	int fd; /* memfd of the BAR's size that backs it, or -1: trapped as a whole. Owned by the
		   model. */
	struct sim_area areas[SIM_MAX_AREAS]; /* what of it may be mapped */
	unsigned int nr_areas;
	bool is64; /* takes the next BAR's place too */
	bool prefetchable;
};

/* What the PCI function looks like. */
struct sim_pci {
	uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
	uint32_t class_code; /* 24 bits */
	uint8_t revision;
	unsigned int nr_vectors; /* MSI-X, at most SIM_MAX_VECTORS; 0: none */
	uint8_t msix_bar; /* BAR that holds the table and the pending bits; must not be mappable
			     there */
	uint32_t msix_table, msix_pba; /* offsets in it; the server serves accesses to both */
	struct sim_bar bars[SIM_NR_BARS];
};

/* A device model. All calls come from the server's thread. */
struct sim_model_ops {
	const char *name;

	/*
	 * An access to a BAR by message, outside the MSI-X table: inside the BAR, 1 to 8 bytes for
	 * registers or any length. A negative errno is sent back to the client.
	 */
	int (*read)(void *model, unsigned int bar, uint64_t offset, void *data, size_t bytes);
	int (*write)(void *model, unsigned int bar, uint64_t offset, const void *data,
		     size_t bytes);

	/* Function level reset: all registers as after power on. Also called when a client goes. */
	void (*reset)(void *model);

	/*
	 * One turn of the data path: looks at the doorbells, does some work. Returns how much was
	 * done, 0 when idle. Called again and again while there is work, with pauses while there is
	 * none.
	 */
	unsigned int (*poll)(void *model);

	/*
	 * The client's DMA memory [iova, iova + bytes) is about to go. The model has finished with
	 * it when this returns: no pointer into it may be kept.
	 */
	void (*dma_unmap)(void *model, uint64_t iova, uint64_t bytes);
};

/* How the server behaves. */
struct sim_server_options {
	struct weir_log log;
	unsigned int spin_us; /* idle: spin this long, then sleep in between; 0: 50 */
	bool no_mmap_dma; /* ignore the descriptors of DMA maps and move data by message */
	bool no_mmap_bars; /* offer no BAR for mapping */
	/* Faults, for tests of clients; each names what the server does wrong, and counts from the
	 * connection on. 0: never. */
	unsigned int fault_stall_after; /* answers nothing after so many messages */
	unsigned int fault_close_after; /* closes the connection after so many messages */
	unsigned int
		fault_short_after; /* sends half of a reply after so many messages, then closes */
	unsigned int fault_oversize_after; /* claims a reply larger than allowed */
	unsigned int fault_wrong_id_after; /* answers with another message id */
	unsigned int fault_error_after; /* answers everything with EIO */
};

/* Makes a server for a model. The pci description is copied; BAR descriptors stay the model's. */
int sim_server_create(const struct sim_pci *pci, const struct sim_model_ops *ops, void *model,
		      const struct sim_server_options *options, struct sim_server **server,
		      struct weir_error *err);

/* Ends it: disconnects the client, removes the socket that it made. NULL is allowed. */
void sim_server_destroy(struct sim_server *server);

/*
 * Listens on a path. The socket has mode 0600. A socket that is there is removed only when nobody
 * serves it: -EADDRINUSE otherwise; -EEXIST when the path is something else than a socket;
 * -ENAMETOOLONG.
 */
int sim_server_listen(struct sim_server *server, const char *path, struct weir_error *err);

/* Serves one end of an in-memory connection instead of a socket. Owns the wire, on success only.
 * -EBUSY: there is a client; -ENODEV: unplugged. */
int sim_server_connect(struct sim_server *server, struct wire *wire);

/* Serves until sim_server_stop(), which may be called from a signal handler. */
int sim_server_run(struct sim_server *server, struct weir_error *err);
void sim_server_stop(struct sim_server *server);

/*
 * The same for several servers in one thread, at most SIM_MAX_TOGETHER, until one of them is
 * stopped. Each of them gets its turns whatever the others do, but for this: while one waits for
 * the client's answer to a DMA request, the others wait too.
 */
int sim_servers_run(struct sim_server *const servers[], unsigned int nr, struct weir_error *err);

/* One turn without waiting: messages that are there, then one poll of the model. Returns how much
 * was done. */
unsigned int sim_server_turn(struct sim_server *server);

/* Behaves as if the device were pulled: closes the connection and refuses new ones. */
void sim_server_unplug(struct sim_server *server);

/* For a model whose poll took long: the client's messages are looked at before the next one. */
void sim_server_look(struct sim_server *server);

/* Whether the client allowed DMA (PCI command register, bus master). */
bool sim_bus_master(const struct sim_server *server);

/*
 * DMA memory that the client has mapped.
 *
 * The table holds disjoint windows. A model translates each address that the client gives it, and
 * keeps the last window it hit in a cache of its own, one per queue, so that the usual case is two
 * compares.
 */
struct sim_window {
	uint64_t iova;
	uint64_t bytes; /* 0: no window */
	uint8_t *base; /* where it is mapped here; NULL: by message only */
	unsigned int prot; /* 1 readable by the device, 2 writeable */
};

/* Finds the window that holds all of [iova, iova + bytes) with the protection. false: there is
 * none. */
bool sim_dma_lookup(struct sim_server *server, uint64_t iova, uint64_t bytes, unsigned int prot,
		    struct sim_window *window);

/*
 * A pointer to [iova, iova + bytes), or NULL when not all of it lies in one window with the
 * protection that is mapped here. `cache` is the caller's; zero it at first and in dma_unmap().
 */
static inline void *sim_dma_ptr(struct sim_server *server, struct sim_window *cache, uint64_t iova,
				uint64_t bytes, unsigned int prot)
{
	uint64_t offset = iova - cache->iova;

	if (__builtin_expect(bytes > cache->bytes || offset > cache->bytes - bytes ||
				     (cache->prot & prot) != prot,
			     0)) {
		if (!sim_dma_lookup(server, iova, bytes, prot, cache) || !cache->base)
			return NULL;
		offset = iova - cache->iova;
	}
	return cache->base ? cache->base + offset : NULL;
}

/* Reads or writes the client's memory, over any number of windows, mapped or by message. -EFAULT
 * when part of it is not mapped. */
int sim_dma_read(struct sim_server *server, uint64_t iova, void *data, uint64_t bytes);
int sim_dma_write(struct sim_server *server, uint64_t iova, const void *data, uint64_t bytes);

/* Raises MSI-X vector: signals its eventfd, or sets its pending bit while it is masked. */
void sim_irq_raise(struct sim_server *server, unsigned int vector);

#endif
