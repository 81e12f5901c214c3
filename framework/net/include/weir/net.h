/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file net.h
 * weir-net: DPDK's packets (rte_mbuf) over Weir's network drivers (nic.h).
 *
 * For programs that work with mbufs. The drivers themselves know frames and IOVAs and need no DPDK;
 * a program that wants nothing of mbufs uses nic.h alone.
 *
 * From the start to packets:
 *
 *  1. The program starts EAL as it likes, without PCI devices of DPDK's own: `--no-pci`. Huge pages
 *     are not needed (`--no-huge`), and where they are used, EAL has to leave the addresses below
 *     2^38 to Weir's arenas: `--base-virtaddr=0x8000000000`.
 *  2. weir_net_heap_create() gives a part of an arena to EAL as a heap of its own, with a socket
 *     id. rte_pktmbuf_pool_create() with that socket id then makes mbufs that devices can reach.
 *  3. weir_nic_configure() and weir_nic_start() as in nic.h.
 *  4. weir_net_rxq_create() and weir_net_txq_create() over the port's queues, and
 *     weir_net_rx_burst() and weir_net_tx_burst() on them.
 *  5. weir_nic_stop(); weir_net_rxq_destroy() and weir_net_txq_destroy() take the mbufs back;
 *     weir_nic_configure() or weir_nic_close(); rte_mempool_free(); weir_net_heap_destroy().
 *
 * Threads: those of nic.h. A queue here is used by the owner of the queue below it, which may make
 * no burst calls of nic.h on that one itself.
 *
 * The data path has no lock, allocation or system call besides those of the mempool, which has none
 * on an EAL thread with a cache.
 */
#ifndef WEIR_NET_H
#define WEIR_NET_H

#include <stddef.h>
#include <stdint.h>
#include <weir/error.h>
#include <weir/memory.h>
#include <weir/nic.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;
struct rte_mempool;
struct weir_net_heap;
struct weir_net_rxq;
struct weir_net_txq;

/**
 * Gives a part of an arena to EAL as a heap.
 *
 * The arena has to be mapped in the IOAS of each port that uses its mbufs. EAL is running.
 *
 * @param arena      outlives the heap
 * @param bytes      rounded up to a power of two; up to 1 GiB. About 1/8 more than what the
 * mempools need: EAL and the mempools have records of their own there
 * @param name       1 to 31 bytes, unlike that of any other heap of the process
 * @param[out] heap  owned by the caller; end it with weir_net_heap_destroy()
 * @retval -EINVAL bytes or name out of range
 * @retval -ENOMEM the arena has no such block left, or no memory
 * @retval -EEXIST EAL has a heap of that name
 * @retval -EIO EAL does not take it; the text has its reason
 */
int weir_net_heap_create(struct weir_arena *arena, uint64_t bytes, const char *name,
			 struct weir_net_heap **heap, struct weir_error *err);

/**
 * Takes a heap back from EAL. NULL is allowed.
 *
 * @retval -EBUSY something that was made in it is still there; nothing was done
 */
int weir_net_heap_destroy(struct weir_net_heap *heap);

/** The socket id to make mempools and other things of EAL in the heap with; 256 or above. */
int weir_net_heap_socket(const struct weir_net_heap *heap);

/** The NUMA node that its memory is on, or WEIR_NODE_ANY: the socket id does not tell it. */
int weir_net_heap_node(const struct weir_net_heap *heap);

/**
 * Makes a receive queue of mbufs over a receive queue of a port, without header split. The port is
 * configured; when it is started the queue is filled at once, else by the first
 * weir_net_rx_burst().
 *
 * @param nic       outlives the queue, and is not configured anew while it is there
 * @param queue     number of the port's receive queue
 * @param pool      of mbufs in an arena that the device can reach, see weir_net_heap_create(), with
 * room for weir_nic_info::rx_buffer_bytes behind the headroom
 * @param port      number for rte_mbuf::port
 * @param[out] rxq  owned by the caller; end it with weir_net_rxq_destroy()
 * @retval -EINVAL no such queue, header split, or mbufs that are too small; the text has both sizes
 * @retval -EFAULT the pool's memory is not in the port's arena
 * @retval -ENOMEM no memory
 */
int weir_net_rxq_create(struct weir_nic *nic, unsigned int queue, struct rte_mempool *pool,
			uint16_t port, struct weir_net_rxq **rxq, struct weir_error *err);

/**
 * Ends a receive queue and frees the mbufs that are in it. NULL is allowed. The port is stopped or
 * gone: otherwise the mbufs that the device still writes to are left as they are, and are lost.
 */
void weir_net_rxq_destroy(struct weir_net_rxq *rxq);

/**
 * Receives packets. Owner only.
 *
 * Each is a chain of mbufs with data_len, pkt_len, nb_segs and port, and as the device found them
 * packet_type, the flags of checksums, hash.rss and vlan_tci. Packets that the device reports as
 * damaged are freed and counted. Takes new mbufs from the pool for those that were received; when
 * the pool is empty the ring runs dry, and is filled again when there are some.
 *
 * @return how many packets were written, 0 to max. -EIO, -ENODEV as weir_nic_rx()
 */
int weir_net_rx_burst(struct weir_net_rxq *rxq, struct rte_mbuf **packets, unsigned int max);

/** Counters of a receive queue since it was made. */
struct weir_net_rxq_stats {
	uint64_t packets; /**< packets returned */
	uint64_t bytes; /**< of them */
	uint64_t damaged; /**< packets that were damaged, and were freed */
	uint64_t no_mbufs; /**< times that the pool had not enough */
};

/** Fills `stats`. Owner only. */
void weir_net_rxq_stats(const struct weir_net_rxq *rxq, struct weir_net_rxq_stats *stats);

/**
 * Makes a transmit queue of mbufs over a transmit queue of a port.
 *
 * @param nic       outlives the queue, and is not configured anew while it is there
 * @param queue     number of the port's transmit queue
 * @param[out] txq  owned by the caller; end it with weir_net_txq_destroy()
 * @retval -EINVAL no such queue
 * @retval -ENOMEM no memory
 */
int weir_net_txq_create(struct weir_nic *nic, unsigned int queue, struct weir_net_txq **txq,
			struct weir_error *err);

/** Ends a transmit queue and frees the mbufs that are in it. NULL is allowed. As for
 * weir_net_rxq_destroy(), the port is stopped or gone. */
void weir_net_txq_destroy(struct weir_net_txq *txq);

/**
 * Sends packets, and frees those that were sent. Owner only.
 *
 * Of ol_flags RTE_MBUF_F_TX_IP_CKSUM, _TCP_CKSUM, _UDP_CKSUM, _SCTP_CKSUM, _TCP_SEG, _UDP_SEG and
 * _VLAN are done by the device, with l2_len and so on as DPDK wants them; the packet is as
 * weir_net_tx_prepare() leaves it. A packet that cannot be sent (memory outside the port's arena,
 * more segments than weir_nic_info::max_packet_frames, a segment without data, flags of other
 * offloads) is taken, freed and counted as refused; the burst goes on.
 *
 * @return how many packets were taken, from the front, and belong to the queue: fewer when it is
 * full or the port is not started. -EIO, -ENODEV as weir_nic_tx()
 */
int weir_net_tx_burst(struct weir_net_txq *txq, struct rte_mbuf **packets, unsigned int n);

/**
 * Writes into packets with offloads what the device expects to be there: checksums of the pseudo
 * header, and an IPv4 header checksum of zero. For programs that leave it to rte_eth_tx_prepare()
 * elsewhere.
 *
 * @return how many packets are ready, from the front; the one behind them is malformed when that is
 * less than n
 */
unsigned int weir_net_tx_prepare(struct rte_mbuf **packets, unsigned int n);

/**
 * Frees the mbufs that were sent, as weir_net_tx_burst() does, for an owner that has nothing to
 * send. Owner only.
 *
 * @return how many mbufs still belong to the queue. -EIO, -ENODEV as weir_nic_tx_done()
 */
int weir_net_tx_clean(struct weir_net_txq *txq);

/** Counters of a transmit queue since it was made. */
struct weir_net_txq_stats {
	uint64_t packets; /**< packets given to the device */
	uint64_t bytes; /**< of them */
	uint64_t refused; /**< packets that cannot be sent, and were freed */
	uint64_t unsent; /**< mbufs that came back from a stop */
};

/** Fills `stats`. Owner only. */
void weir_net_txq_stats(const struct weir_net_txq *txq, struct weir_net_txq_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
