/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the network drivers: what all ports have in common, and the seam behind which a
 * driver lies.
 *
 * Locks: `lock` of a port serialises everything but the burst calls. An owner's burst calls take no
 * lock, but when the device did something impossible. What owners and the control side share is one
 * word per queue, `control`, and the longest packet, which is read once per burst.
 */
#ifndef WEIR_NIC_NIC_H
#define WEIR_NIC_NIC_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <weir/mmio.h>
#include <weir/nic.h>

#include "base/base.h"
#include "own.h"

static_assert(sizeof(struct weir_frame) == 32, "a frame is half of a line");

#define NIC_EVENT_RING 16
#define NIC_MAX_FILTERS 4096

/*
 * What a queue's owner may do. The control side moves it on and the owner acknowledges; it lies on
 * a line of its own that changes only when the state does.
 */
enum nic_control {
	NIC_LIVE = 0, /* the burst calls work */
	NIC_QUIESCE = 1, /* the device is halted: the owner takes its frames back */
	NIC_PARKED = 2, /* set by the owner: it has, and does not touch the queue */
	NIC_DEAD = 3, /* as QUIESCE, and then the calls say -ENODEV */
	NIC_BROKEN = 4, /* set by the owner: the device said something impossible */
};

/* What a driver's queue begins with. */
struct nic_queue {
	struct weir_nic *nic;
	unsigned int index;
	bool receives;
	bool drains; /* the owner's: it has begun to take back what was not completed */
	unsigned int ignored; /* a count that the owner does not want */
	int fd; /* eventfd, or -1 */
	unsigned int vector; /* MSI-X vector; with fd */
	_Alignas(WEIR_CACHE_PAIR) _Atomic uint32_t control; /* enum nic_control */
	_Alignas(WEIR_CACHE_PAIR) char end[];
};

/*
 * A driver's calls on queues: the owner's. The state of the queue was looked at. The first frame of
 * a queue that cannot go on is answered with nic_queue_break().
 */
struct nic_queue_ops {
	int (*rx_post)(struct weir_nic_rxq *rxq, const struct weir_frame *frames, unsigned int n);
	/* As weir_nic_rx(); also when the device is stopped: then what was received before; not
	 * after rx_drain(). */
	int (*rx)(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max);
	/* Gives back what was posted, unused. The device is stopped or gone. */
	unsigned int (*rx_drain)(struct weir_nic_rxq *rxq, struct weir_frame *frames,
				 unsigned int max);
	/* Whether everything that was taken has come back. */
	bool (*rx_is_empty)(const struct weir_nic_rxq *rxq);
	int (*tx)(struct weir_nic_txq *txq, const struct weir_frame *frames, unsigned int n);
	/* As weir_nic_tx_done(); also when the device is stopped: then what was sent before; not
	 * after tx_drain(). */
	int (*tx_done)(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max,
		       unsigned int *unsent);
	/* Gives back what was taken, all of it unsent. The device is stopped or gone. */
	unsigned int (*tx_drain)(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max);
	/* Whether everything that was taken has come back. */
	bool (*tx_is_empty)(const struct weir_nic_txq *txq);
	unsigned int (*rx_room)(const struct weir_nic_rxq *rxq);
	unsigned int (*tx_room)(const struct weir_nic_txq *txq);
	void (*rx_stats)(const struct weir_nic_rxq *rxq, struct weir_nic_rxq_stats *stats);
	void (*tx_stats)(const struct weir_nic_txq *txq, struct weir_nic_txq_stats *stats);
};

/*
 * A driver. Calls are made with the port's lock held, or before anybody else knows the port. A call
 * that fails because the device is gone says -ENODEV.
 */
struct nic_driver {
	const char *name;
	size_t port_bytes; /* of its port, which begins with struct weir_nic */
	/* Whether this device is for it. */
	bool (*matches)(const struct weir_device_info *device);
	/* Resets the device, begins to bring the link up, fills info and mac. Undone by detach().
	 */
	int (*attach)(struct weir_nic *nic, struct weir_error *err);
	/* Stops the device for good and frees what attach() made. */
	void (*detach)(struct weir_nic *nic);
	/* Memory of a queue as `config` says: it holds nothing. The queue's common part is filled
	 * in by the caller. */
	struct nic_queue *(*queue_create)(struct weir_nic *nic, bool receives, unsigned int index,
					  struct weir_error *err);
	void (*queue_destroy)(struct nic_queue *queue);
	/* Sets the device up as configured, with empty queues, and lets it run. What it did on
	 * failure is undone by stop(). */
	int (*start)(struct weir_nic *nic, struct weir_error *err);
	/* When it returns 0, the device does no DMA any more, whatever the owners of queues may
	 * still tell it. What it has counted is kept. stop() follows. */
	int (*halt)(struct weir_nic *nic, struct weir_error *err);
	/* Resets a device that was halted, or that start() failed on: it does no DMA when this
	 * returns 0. The link begins to come up again. */
	int (*stop)(struct weir_nic *nic, struct weir_error *err);
	int (*link)(struct weir_nic *nic, struct weir_nic_link *link, struct weir_error *err);
	/* Tells the device of mtu, receive, mac, filters and vlan_ids. */
	int (*apply)(struct weir_nic *nic);
	/* Adds what the device has counted since the last call to `stats`. */
	int (*count)(struct weir_nic *nic);
	/* The link's interrupt came, or may have: clears its cause and lets the next one come. */
	int (*link_interrupt)(struct weir_nic *nic);
	/* Lets an unmasked receive vector's next interrupt come, of a device that runs; start()
	 * does so for all. NULL: nothing is to be done. */
	int (*arm)(struct nic_queue *queue);
	/* Registers, through the log hook. */
	void (*dump)(struct weir_nic *nic);
	struct nic_queue_ops queue;
};

enum nic_state {
	NIC_STOPPED,
	NIC_STARTED,
	NIC_GONE, /* for good */
};

struct weir_nic {
	const struct nic_driver *driver;
	struct nic_queue_ops queue_ops; /* of the driver: one load less in each burst */
	struct weir_device *dev;
	struct weir_arena *arena;
	struct weir_log log;
	struct weir_nic_options options;
	struct own own; /* what weir_nic_open() made and weir_nic_close() ends */

	/* Bytes of the longest packet, without the frame check sequence. */
	_Alignas(WEIR_CACHE_PAIR) _Atomic uint32_t max_packet;

	_Alignas(WEIR_CACHE_PAIR) pthread_mutex_t lock;
	enum nic_state state;
	_Atomic bool reset_needed; /* any owner may ask */
	bool reset_reported, gone_reported;
	struct weir_error trouble; /* why a reset is needed */
	struct weir_error failure; /* why the port is gone */

	struct weir_nic_info info;
	bool configured;
	struct weir_nic_config config; /* no default in it; rss_table and rss_key point below */
	uint8_t rss_table[WEIR_NIC_RSS_TABLE_MAX];
	uint8_t rss_key[WEIR_NIC_RSS_KEY_BYTES];
	uint32_t rss_types;

	/* what the device lets in */
	uint32_t receive; /* enum weir_nic_receive */
	uint8_t (*filters)[WEIR_NIC_MAC_BYTES]; /* unicast ones first */
	unsigned int nr_filters, nr_unicast;
	bool vlan_filter;
	uint64_t vlan_ids[64];

	struct nic_queue **rxqs, **txqs; /* as many as info says */
	struct weir_nic_stats stats;
	uint64_t counted_ns; /* when they were read last */
	bool link_up; /* as last reported */

	/* With interrupts: vector 0 is the link's, the others are those of receive queues. */
	int *vector_fds;
	unsigned int nr_vectors;
	int event_fd; /* epoll: the device's, and the link's */

	struct weir_nic_event events[NIC_EVENT_RING];
	unsigned int events_head, events_tail;
};

extern const struct nic_driver igb_driver;

static inline struct nic_queue *nic_rx_queue(struct weir_nic_rxq *rxq)
{
	return (struct nic_queue *)rxq;
}

static inline struct nic_queue *nic_tx_queue(struct weir_nic_txq *txq)
{
	return (struct nic_queue *)txq;
}

/* Bytes of the longest packet that goes with an MTU. */
static inline uint32_t nic_packet_bytes(uint32_t mtu)
{
	return mtu + WEIR_NIC_OVERHEAD;
}

/* port.c: with the lock held */
/* The port is lost: records why (the first time), tells every owner. */
void nic_fail(struct weir_nic *nic, const struct weir_error *why);
/* -ENODEV, with the reason, when the port is gone. A device that was found gone is made so. */
int nic_usable(struct weir_nic *nic, struct weir_error *err);
/* Passes on what a driver's call returned; the port of a device that is gone is, too. */
int nic_result(struct weir_nic *nic, int rc, struct weir_error *err);
void nic_wake(struct nic_queue *queue);
int nic_options_check(struct weir_nic_options *options, const struct weir_nic_options *from,
		      struct weir_error *err);

/* configure.c: with the lock held */
void nic_queues_destroy(struct weir_nic *nic);
/* -EAGAIN while an owner has not taken its frames back. */
int nic_all_parked(struct weir_nic *nic, struct weir_error *err);

/* run.c: with the lock held */
void nic_set_control(struct weir_nic *nic, enum nic_control control);

/* events.c: with the lock held. The device was reset, and its link with it: that is told also when
 * the link comes again before somebody looks, and nothing else would wake those who wait for it. */
void nic_link_lost(struct weir_nic *nic);

/* queue.c: the owner's */
/* The device said something impossible: the queue is broken, with this text. */
int nic_queue_break(struct nic_queue *queue, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* interrupts.c */
int nic_vectors_bind(struct weir_nic *nic, struct weir_error *err);
void nic_vectors_release(struct weir_nic *nic);

#endif
