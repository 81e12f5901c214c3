/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file nic.h
 * The network drivers: Ethernet controllers driven by polling. They know frames and IOVAs; they
 * need no DPDK and no particular packet structure.
 *
 * From opening to packets:
 *
 *  1. weir_nic_open() opens a device by its address, with an IOAS and an arena of its own; or
 *     weir_nic_create() runs on a device and an arena of the caller's, which is how several ports
 *     share buffers.
 *  2. weir_nic_configure() makes the queues.
 *  3. weir_nic_start() starts the port. A receive queue has nothing to receive into until its owner
 *     posts buffers with weir_nic_rx_post().
 *  4. weir_nic_rx(), weir_nic_tx() and weir_nic_tx_done() move bursts of frames. No lock,
 *     allocation or system call in them.
 *  5. weir_nic_stop() or weir_nic_close(); or weir_nic_reset(), and on with 4.
 *
 * Frames. A frame is one contiguous piece of memory at an IOVA, and a packet is one frame or
 * several in a row, all but the last with WEIR_FRAME_MORE. A frame that is given to a queue belongs
 * to the queue until it comes back, and every frame that was taken comes back exactly once, also
 * after a reset and from a device that is gone: frames for receiving from weir_nic_rx(), the
 * cookies of sent ones from weir_nic_tx_done(), each in the order in which they were given.
 * The driver never reads or writes the memory of a frame: it may lie behind a dma-buf, or be
 * nothing that a CPU can reach.
 *
 * States of a port: stopped (from the beginning), started, broken (something went wrong that a
 * reset may mend: WEIR_NIC_EVENT_RESET_NEEDED), gone. A stop and a reset need every queue's owner:
 * the owner finds out in its next call of weir_nic_rx() or weir_nic_tx_done(), takes back its
 * frames there, and with the last of them its queue is parked: not touched any more until the port
 * is started. So owners have to go on calling while their port is stopped or reset.
 *
 * Threads: a queue belongs to one thread at a time, which alone makes its burst calls; a receive
 * queue and a transmit queue of one number may have different owners. Everything else on a port may
 * be called from any thread and is serialised inside, except weir_nic_close() and
 * weir_nic_configure(), during which no owner is inside a call on a queue.
 *
 * Devices are not trusted: what they write back is checked against what they were given. A queue
 * whose device says something impossible ends there with an error, and the rest goes on.
 *
 * Section numbers refer to the Intel 82576EB Gigabit Ethernet Controller Datasheet, revision 2.87.
 */
#ifndef WEIR_NIC_H
#define WEIR_NIC_H

#include <stddef.h>
#include <stdint.h>
#include <weir/device.h>
#include <weir/error.h>
#include <weir/ioas.h>
#include <weir/log.h>
#include <weir/memory.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_nic;
struct weir_nic_rxq;
struct weir_nic_txq;

/** Bytes of an Ethernet address. */
#define WEIR_NIC_MAC_BYTES 6
/** Bytes of the Toeplitz key of receive side scaling. */
#define WEIR_NIC_RSS_KEY_BYTES 40
/** Most entries of the table that receive side scaling looks a queue up in. */
#define WEIR_NIC_RSS_TABLE_MAX 128
/** Bytes that a packet of the MTU's size has more, at most: Ethernet header and one VLAN tag. The
 * frame check sequence is never part of a frame. */
#define WEIR_NIC_OVERHEAD 18

/** weir_frame::flags. */
enum weir_frame_flags {
	/**
	 * Received: which fields the hash was made of, enum weir_nic_hash; 0: there is no hash, and
	 * weir_frame::hash is undefined.
	 */
	WEIR_FRAME_HASH_TYPE = 0xf,

	/* What a packet is. Received: as the device recognised it. To be sent: see
	 * WEIR_FRAME_IP_CSUM. */
	WEIR_FRAME_IP4 = 1 << 4, /**< IPv4 */
	WEIR_FRAME_IP4_OPTIONS = 1 << 5, /**< IPv4 with options; ignored for sending */
	WEIR_FRAME_IP6 = 1 << 6, /**< IPv6 */
	WEIR_FRAME_IP6_EXTENSIONS = 1 << 7, /**< IPv6 with extensions; ignored for sending */
	WEIR_FRAME_TCP = 1 << 8, /**< TCP */
	WEIR_FRAME_UDP = 1 << 9, /**< UDP */
	WEIR_FRAME_SCTP = 1 << 10, /**< SCTP */

	/* Received: checksums that the device looked at, and what it found. */
	WEIR_FRAME_L4_BAD = 1 << 11, /**< with WEIR_FRAME_L4_CHECKED: it is wrong */
	WEIR_FRAME_IP_BAD = 1 << 12, /**< with WEIR_FRAME_IP_CHECKED: it is wrong */
	/** Received: the packet is damaged (a symbol error, or cut off). */
	WEIR_FRAME_ERROR = 1 << 13,
	/** Received: a VLAN tag was taken off and is in weir_frame::vlan. To be sent: insert the
	 * tag of weir_frame::vlan; its 4 bytes count to what the MTU allows. */
	WEIR_FRAME_VLAN = 1 << 17,
	WEIR_FRAME_L4_CHECKED = 1 << 19, /**< that of TCP, UDP or SCTP; right unless _L4_BAD */
	WEIR_FRAME_IP_CHECKED = 1 << 20, /**< that of the IPv4 header; right unless _IP_BAD */

	/** The next frame is part of the same packet. */
	WEIR_FRAME_MORE = 1 << 22,
	/** Received: no packet; the frame comes back unused because the port is stopped, reset or
	 * gone. `len` is 0. */
	WEIR_FRAME_UNUSED = 1 << 23,
	/** Header split: this is the frame for headers; with WEIR_FRAME_MORE, and the next is its
	 * frame for payload. */
	WEIR_FRAME_HEADER = 1 << 24,
	/**
	 * The memory belongs to a device: no CPU may touch it. Received: set on the frames for
	 * payload of a port with weir_nic_config::rx_device_memory. To be sent: for the layers
	 * above, the driver does not look at it.
	 */
	WEIR_FRAME_DEVICE = 1 << 25,

	/** To be sent: fill in the IPv4 header checksum; with WEIR_FRAME_IP4, l2_len and l3_len. */
	WEIR_FRAME_IP_CSUM = 1 << 26,
	/**
	 * To be sent: fill in the checksum of TCP, UDP or SCTP; with exactly one of WEIR_FRAME_TCP,
	 * _UDP and _SCTP, exactly one of WEIR_FRAME_IP4 and _IP6, l2_len and l3_len. For TCP and
	 * UDP the checksum of the pseudo header is in the packet's checksum field already
	 * (§7.2.5.3).
	 */
	WEIR_FRAME_L4_CSUM = 1 << 27,
	/**
	 * To be sent: cut the payload into packets of weir_frame::mss bytes each, with the headers
	 * in front of each of them (§7.2.4). As WEIR_FRAME_L4_CSUM, which it implies, for TCP and
	 * UDP; with l4_len. The pseudo header's checksum is made with a length of 0; for IPv4 the
	 * header checksum is filled in and has to be 0.
	 */
	WEIR_FRAME_TSO = 1 << 28,
};

/** The fields that a hash was made of (§7.1.1.7.1); in WEIR_FRAME_HASH_TYPE. */
enum weir_nic_hash {
	WEIR_NIC_HASH_NONE = 0, /**< no hash */
	WEIR_NIC_HASH_TCP4 = 1, /**< IPv4 addresses and TCP ports */
	WEIR_NIC_HASH_IP4 = 2, /**< IPv4 addresses */
	WEIR_NIC_HASH_TCP6 = 3, /**< IPv6 addresses and TCP ports */
	WEIR_NIC_HASH_IP6_EXT = 4, /**< IPv6 addresses, extensions considered */
	WEIR_NIC_HASH_IP6 = 5, /**< IPv6 addresses */
	WEIR_NIC_HASH_TCP6_EXT = 6, /**< IPv6 addresses and TCP ports, extensions considered */
	WEIR_NIC_HASH_UDP4 = 7, /**< IPv4 addresses and UDP ports */
	WEIR_NIC_HASH_UDP6 = 8, /**< IPv6 addresses and UDP ports */
	WEIR_NIC_HASH_UDP6_EXT = 9, /**< IPv6 addresses and UDP ports, extensions considered */
};

/** A bit of weir_nic_config::rss_types and weir_nic_info::rss_types. */
#define WEIR_NIC_HASH_BIT(hash) (1u << (hash))

/** Bytes of a packet's headers. */
struct weir_frame_headers {
	uint8_t l2_len; /**< Ethernet header, tags in the packet included */
	uint8_t l4_len; /**< TCP header, or 8 for UDP; with WEIR_FRAME_TSO */
	uint16_t l3_len; /**< IP header, options and extensions included */
};

/**
 * One piece of memory that is to be sent, to be received into, or that was received. Fixed layout
 * of 32 bytes; copied by every call.
 *
 * What describes a packet as a whole stands in its first frame when it is to be sent, and in its
 * last frame, the one without WEIR_FRAME_MORE, when it was received: flags except
 * WEIR_FRAME_MORE, _HEADER, _DEVICE and _UNUSED, which are each frame's own, vlan, hash, mss and
 * the lengths of headers.
 */
struct weir_frame {
	/** Where it is, for the device. Any alignment; that of a frame for headers is even. */
	uint64_t iova;
	/** The caller's; comes back with the frame. */
	uint64_t cookie;
	/**
	 * Bytes. To be sent: 1 to weir_nic_info::max_frame_bytes, and 17 at least in a packet. To
	 * be received into: the room, at least the queue's buffer size. Received: what is in it, 0
	 * for one that nothing came into.
	 */
	uint32_t len;
	/** enum weir_frame_flags. To be received into: 0, or WEIR_FRAME_HEADER | WEIR_FRAME_MORE
	 * for a frame for headers. */
	uint32_t flags;
	/** The tag, priority included, in host byte order; with WEIR_FRAME_VLAN. */
	uint16_t vlan;
	/** To be sent, with WEIR_FRAME_TSO: bytes of payload in each packet, at least 1. */
	uint16_t mss;
	union {
		/** Received: the Toeplitz hash; with WEIR_FRAME_HASH_TYPE. */
		uint32_t hash;
		/** To be sent: with WEIR_FRAME_IP_CSUM, _L4_CSUM or _TSO. */
		struct weir_frame_headers headers;
	};
};

/** How to run a port. Zero means the default of each member. */
struct weir_nic_options {
	/** sizeof(struct weir_nic_options). */
	size_t size;
	/** Memory for rings and buffers of weir_nic_open(), in bytes; 0: 64 MiB. Ignored by
	 * weir_nic_create(). */
	uint64_t arena_bytes;
	/** Virtual address less IOVA of the arena that weir_nic_open() makes, see
	 * weir_arena_options::iova_delta. */
	uint64_t iova_delta;
	/** 1: bind interrupts: the link's, so that weir_nic_event_fd() tells of changes, and one to
	 * each receive queue, see weir_nic_rxq_arm(). */
	uint8_t interrupts;
	/** Must be zero. */
	uint8_t reserved[7];
	/** "vfio-user", "group" or "cdev" for weir_nic_open(); NULL: automatic. */
	const char *transport;
	/** Where messages go, a register dump of a broken port among them. */
	struct weir_log log;
};

/** Defaults. */
#define WEIR_NIC_OPTIONS_INIT \
	{ \
		sizeof(struct weir_nic_options), 0, 0, 0, { 0 }, NULL, \
		{ \
			NULL, NULL, WEIR_LOG_WARN \
		} \
	}

/**
 * Opens a device by its address, with an IOAS and an arena of its own, and makes it ready to be
 * configured.
 *
 * @param address   see device.h
 * @param options   NULL for the defaults
 * @param[out] nic  owned by the caller; end it with weir_nic_close()
 * @retval -errno those of weir_arena_create(), weir_ioas_create(), weir_device_open() and
 * weir_nic_create()
 */
int weir_nic_open(const char *address, const struct weir_nic_options *options,
		  struct weir_nic **nic, struct weir_error *err);

/**
 * Makes a port of a device: finds the driver, resets the device, reads its Ethernet address and
 * lets the link come up. The port is stopped.
 *
 * @param dev       open; outlives the port
 * @param arena     mapped in the device's IOAS; rings are taken from it; outlives the port
 * @param options   NULL for the defaults
 * @param[out] nic  owned by the caller; end it with weir_nic_close()
 * @retval -EINVAL the arena is not mapped, or an option is out of range
 * @retval -EOPNOTSUPP no driver for this device; the text names its ids
 * @retval -ETIMEDOUT the device did not come out of its reset, or did not read its EEPROM
 * @retval -EPROTO the device says something impossible; the text says what
 * @retval -EIO the device has no BAR that can be used, or no valid Ethernet address
 * @retval -ENOMEM no memory
 * @retval -ENODEV the device is gone
 */
int weir_nic_create(struct weir_device *dev, struct weir_arena *arena,
		    const struct weir_nic_options *options, struct weir_nic **nic,
		    struct weir_error *err);

/**
 * Stops the device and ends the port and its queues; frames that are still in a queue are not
 * reported any more, and the device does not use them any more. What weir_nic_open() opened is
 * closed. NULL is allowed. No owner is inside a call on a queue.
 */
void weir_nic_close(struct weir_nic *nic);

/** What a driver and a device can do: weir_nic_info::capabilities. */
enum weir_nic_capability {
	WEIR_NIC_CAN_RX_CSUM = 1 << 0, /**< WEIR_FRAME_IP_CHECKED and _L4_CHECKED */
	WEIR_NIC_CAN_TX_IP_CSUM = 1 << 1, /**< WEIR_FRAME_IP_CSUM */
	WEIR_NIC_CAN_TX_L4_CSUM = 1 << 2, /**< WEIR_FRAME_L4_CSUM for TCP and UDP */
	WEIR_NIC_CAN_TX_SCTP_CSUM = 1 << 3, /**< WEIR_FRAME_L4_CSUM for SCTP */
	WEIR_NIC_CAN_TSO = 1 << 4, /**< WEIR_FRAME_TSO for TCP */
	WEIR_NIC_CAN_USO = 1 << 5, /**< WEIR_FRAME_TSO for UDP */
	WEIR_NIC_CAN_VLAN_INSERT = 1 << 6, /**< WEIR_FRAME_VLAN for sending */
	WEIR_NIC_CAN_VLAN_STRIP = 1 << 7, /**< weir_nic_config::vlan_strip */
	WEIR_NIC_CAN_VLAN_FILTER = 1 << 8, /**< weir_nic_vlan_filter() */
	WEIR_NIC_CAN_RSS = 1 << 9, /**< several receive queues, weir_nic_config::rss_types */
	WEIR_NIC_CAN_HEADER_SPLIT = 1 << 10, /**< weir_nic_config::header_bytes */
	WEIR_NIC_CAN_LINK_INTERRUPT = 1 << 11, /**< weir_nic_event_fd() tells of the link */
	WEIR_NIC_CAN_RX_INTERRUPT = 1 << 12, /**< weir_nic_rxq_arm() */
};

/** What a port is. The strings live as long as the port. */
struct weir_nic_info {
	const char *address; /**< of its device */
	const char *driver; /**< "igb" */
	const char *model; /**< "Intel 82576" */
	uint8_t mac[WEIR_NIC_MAC_BYTES]; /**< its Ethernet address, that of the EEPROM at first */
	uint8_t interrupts; /**< 1: in use */
	uint8_t reserved; /**< zero */
	uint32_t capabilities; /**< enum weir_nic_capability */
	uint32_t max_rx_queues; /**< receive queues at most */
	uint32_t max_tx_queues; /**< transmit queues at most */
	uint32_t min_entries; /**< of a ring */
	uint32_t max_entries; /**< of a ring */
	uint32_t entries_multiple; /**< a ring's entries are a multiple of it */
	uint32_t min_mtu; /**< bytes */
	uint32_t max_mtu; /**< bytes */
	uint32_t max_frame_bytes; /**< of one frame that is to be sent */
	uint32_t max_packet_frames; /**< frames of one packet that is to be sent; once the port is
				       configured, as many as its transmit rings have room for */
	uint32_t max_tso_bytes; /**< payload of one packet with WEIR_FRAME_TSO */
	uint32_t rx_buffer_multiple; /**< weir_nic_config::rx_buffer_bytes is a multiple of it */
	uint32_t max_rx_buffer_bytes; /**< of a frame for receiving */
	uint32_t header_multiple; /**< weir_nic_config::header_bytes is a multiple of it; 0: no
				     header split */
	uint32_t max_header_bytes; /**< of a frame for headers */
	uint32_t rss_types; /**< WEIR_NIC_HASH_BIT() of each hash that may be asked for */
	uint32_t rss_table_entries; /**< of the table that receive side scaling looks up */
	uint32_t unicast_filters; /**< addresses that the device tells apart, its own included */
	/* as configured; zero before */
	uint32_t rx_queues; /**< receive queues */
	uint32_t tx_queues; /**< transmit queues */
	uint32_t rx_entries; /**< of each receive ring */
	uint32_t tx_entries; /**< of each transmit ring */
	uint32_t mtu; /**< bytes */
	uint32_t rx_buffer_bytes; /**< of a frame for receiving */
	uint32_t header_bytes; /**< of a frame for headers; 0: no header split */
};

/** Fills `info`. */
void weir_nic_info(const struct weir_nic *nic, struct weir_nic_info *info);

/** The device that the port runs on. */
struct weir_device *weir_nic_device(const struct weir_nic *nic);

/** The arena that its rings lie in; also where frames for it may be taken. */
struct weir_arena *weir_nic_arena(const struct weir_nic *nic);

/** What a port lets in beyond its own address and its filters. */
enum weir_nic_receive {
	WEIR_NIC_ALL_UNICAST = 1 << 0, /**< every unicast packet */
	WEIR_NIC_ALL_MULTICAST = 1 << 1, /**< every multicast packet */
	WEIR_NIC_PROMISCUOUS = 3, /**< both */
	WEIR_NIC_NO_BROADCAST = 1 << 2, /**< no broadcast packet */
};

/** Queues and what goes with them. Zero means the default of each member. */
struct weir_nic_config {
	/** sizeof(struct weir_nic_config). */
	size_t size;
	unsigned int rx_queues; /**< receive queues, 1 to weir_nic_info::max_rx_queues; 0: 1 */
	unsigned int tx_queues; /**< transmit queues, 1 to weir_nic_info::max_tx_queues; 0: 1 */
	/** Entries of each receive ring, see weir_nic_info; 0: 512. One frame or pair of frames
	 * less can be posted. */
	unsigned int rx_entries;
	/** Entries of each transmit ring, see weir_nic_info; 0: 512. */
	unsigned int tx_entries;
	/** Bytes of the largest packet without its Ethernet header and tag; 0: 1500. */
	unsigned int mtu;
	/**
	 * Bytes of each frame for receiving, a multiple of weir_nic_info::rx_buffer_multiple; 0:
	 * 2048. A longer packet is received into several frames.
	 */
	unsigned int rx_buffer_bytes;
	/**
	 * Header split: bytes of each frame for headers, a multiple of
	 * weir_nic_info::header_multiple; 0: no header split.
	 *
	 * Frames for receiving are then posted in pairs, the one for headers first, and come back
	 * in pairs. The headers of IP packets, TCP's and UDP's included, go into the first frame
	 * and the payload into the second (§7.1.10). Of a packet whose headers are not recognised,
	 * or are longer, the first header_bytes go into the first frame: no payload frame ever
	 * holds the beginning of a packet. A packet of several pairs has headers in the first
	 * only. Either frame of a pair may come back with a `len` of 0.
	 */
	unsigned int header_bytes;
	/**
	 * WEIR_NIC_HASH_BIT() of the hashes to make, of those in weir_nic_info::rss_types, to
	 * spread packets over the receive queues and to report in weir_frame::hash. 0: those of IP
	 * and TCP when there are several receive queues, else none. A packet that goes with none
	 * goes to queue 0. With both kinds for TCP over IPv6, or for UDP, a packet without
	 * extensions has the same hash by either name; ask for both, since an emulated device may
	 * know one only.
	 */
	uint32_t rss_types;
	/** Entries of rss_table; 0: spread evenly over the receive queues; else
	 * weir_nic_info::rss_table_entries. */
	uint32_t rss_table_entries;
	/** Which receive queue gets the hashes whose low bits are the index. Copied. */
	const uint8_t *rss_table;
	/** WEIR_NIC_RSS_KEY_BYTES of key in the order of the Toeplitz hash's definition; NULL: one
	 * that is good for all. Copied. */
	const uint8_t *rss_key;
	/** enum weir_nic_receive. */
	uint32_t receive;
	/** 1: take VLAN tags off and report them with WEIR_FRAME_VLAN. */
	uint8_t vlan_strip;
	/** 1: frames for receiving (those for payload, with header split) lie in memory of a device
	 * and come back with WEIR_FRAME_DEVICE. */
	uint8_t rx_device_memory;
	/** Must be zero. */
	uint8_t reserved[2];
};

/** Defaults. */
#define WEIR_NIC_CONFIG_INIT \
	{ \
		sizeof(struct weir_nic_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0, 0, \
		{ \
			0 \
		} \
	}

/**
 * Makes the queues of a stopped port, in place of those that it had: their handles end. MTU,
 * filters and what else was set by calls of their own since the last configuration are set as
 * `config` says, filters to none.
 *
 * @param config  NULL for the defaults
 * @retval -EINVAL a member is out of range; the text names it, its value and the limit
 * @retval -EOPNOTSUPP the device cannot do what is asked for
 * @retval -EBUSY the port is started
 * @retval -EAGAIN it is stopped, but an owner has not taken its frames back; the text names its
 * queue
 * @retval -ENOMEM no memory or no room in the arena
 * @retval -ENODEV the device is gone
 */
int weir_nic_configure(struct weir_nic *nic, const struct weir_nic_config *config,
		       struct weir_error *err);

/** Receive queue `index`, or NULL when there is none. Valid until the port is configured anew or
 * closed. */
struct weir_nic_rxq *weir_nic_rxq(struct weir_nic *nic, unsigned int index);

/** Transmit queue `index`, or NULL when there is none. Valid as a receive queue is. */
struct weir_nic_txq *weir_nic_txq(struct weir_nic *nic, unsigned int index);

/**
 * Starts a stopped port: resets the device, sets it up as configured, and lets its queues work.
 * Does not wait for the link: what is sent before it is up waits in the queues.
 *
 * @retval -EINVAL weir_nic_configure() was not called
 * @retval -EALREADY it is started
 * @retval -EAGAIN an owner has not taken its frames back since the port was stopped; the text names
 * its queue
 * @retval -ETIMEDOUT, -EIO the device did not come out of its reset, or does not enable a queue; it
 * stays stopped
 * @retval -ENODEV the device is gone
 */
int weir_nic_start(struct weir_nic *nic, struct weir_error *err);

/**
 * Stops a started port: the device does no DMA any more when this returns. Does not wait for
 * owners: they get their frames back from weir_nic_rx(), unused, and from weir_nic_tx_done(), as
 * unsent ones where they were. A port that is stopped, or broken, may be stopped.
 *
 * @retval -EIO the device did not stop, not by its function reset either; it is gone
 * @retval -ENODEV the device is gone
 */
int weir_nic_stop(struct weir_nic *nic, struct weir_error *err);

/**
 * Stops a port, waits for its owners, and starts it again. A thread that owns queues itself calls
 * weir_nic_stop(), takes its frames back, and calls weir_nic_start().
 *
 * @retval -ETIMEDOUT an owner did not take its frames back within `timeout_ms`, the text names its
 * queue: call it again, or weir_nic_start()
 * and the errors of the two
 */
int weir_nic_reset(struct weir_nic *nic, unsigned int timeout_ms, struct weir_error *err);

/**
 * Gives a receive queue frames to receive into. Owner only.
 *
 * @param frames  n of them, each with iova, cookie, len and flags; with header split in pairs, of
 * which an incomplete one at the end is not taken
 * @return how many were taken, from the front: fewer when the ring is full or the port is not
 * started; none of those from the first malformed one on (too short, wrong flags). -EINVAL: the
 * first one is malformed. -EIO, -ENODEV as for weir_nic_rx()
 */
int weir_nic_rx_post(struct weir_nic_rxq *rxq, const struct weir_frame *frames, unsigned int n);

/**
 * Returns frames that something was received into, and unused ones after a stop. Owner only. This
 * is where the owner takes part in a stop and a reset.
 *
 * The frames of a packet may come in two calls. A stop may cut a packet: the rest of its frames
 * then comes back unused, and WEIR_FRAME_UNUSED, which is in all frames from there on, ends it.
 *
 * @param frames  room for `max`, at least 2 with header split
 * @return how many were written, 0 to max. Negative:
 * -EIO the device wrote something impossible for this queue, see weir_nic_failure(): the frames
 * in it come back when the port is stopped;
 * -ENODEV the device is gone, and every frame that was taken has come back
 */
int weir_nic_rx(struct weir_nic_rxq *rxq, struct weir_frame *frames, unsigned int max);

/**
 * Takes packets to be sent and tells the device once. Owner only.
 *
 * A malformed packet (of fewer than 17 bytes, over the limits of weir_nic_info, flags that do not
 * go together, headers that are longer than the packet) is taken too and comes back from
 * weir_nic_tx_done() as unsent; the burst goes on. A packet of fewer bytes than Ethernet's least,
 * 60, is padded by the device.
 *
 * @param frames  n of them: whole packets; one that does not end in `frames` is not taken
 * @return how many frames were taken, from the front, always whole packets: fewer when the ring is
 * full or the port is not started. -EINVAL: the first packet has more frames than any may have.
 * -EIO, -ENODEV as for weir_nic_tx_done()
 */
int weir_nic_tx(struct weir_nic_txq *txq, const struct weir_frame *frames, unsigned int n);

/**
 * Returns the cookies of frames that were taken and that the device does not use any more. Owner
 * only. This is where the owner takes part in a stop and a reset.
 *
 * @param cookies      room for `max`
 * @param[out] unsent  how many of those returned, the last ones, were not sent: malformed, or the
 * port was stopped, reset or is gone, when a packet may also have been sent; may be NULL
 * @return how many were written, 0 to max. Negative:
 * -EIO the device wrote something impossible for this queue, see weir_nic_failure(): what is in it
 * comes back when the port is stopped;
 * -ENODEV the device is gone, and every cookie has come back
 */
int weir_nic_tx_done(struct weir_nic_txq *txq, uint64_t *cookies, unsigned int max,
		     unsigned int *unsent);

/** Frames, or pairs of them with header split, that can be posted now: 0 while the port is not
 * started. Owner only. */
unsigned int weir_nic_rx_room(const struct weir_nic_rxq *rxq);

/** Frames without offloads that can be taken now, 0 while the port is not started; a packet with
 * offloads takes one more. Owner only. */
unsigned int weir_nic_tx_room(const struct weir_nic_txq *txq);

/** Counters of a receive queue since it was made. */
struct weir_nic_rxq_stats {
	uint64_t packets; /**< packets returned */
	uint64_t bytes; /**< of them */
	uint64_t unused; /**< frames that came back unused */
};

/** Counters of a transmit queue since it was made. */
struct weir_nic_txq_stats {
	uint64_t frames; /**< frames given to the device */
	uint64_t bytes; /**< of them; with WEIR_FRAME_TSO before they are cut */
	uint64_t refused; /**< frames that were malformed */
	uint64_t unsent; /**< frames that came back from a stop */
};

/** Fills `stats`. Owner only. */
void weir_nic_rxq_stats(const struct weir_nic_rxq *rxq, struct weir_nic_rxq_stats *stats);

/** Fills `stats`. Owner only. */
void weir_nic_txq_stats(const struct weir_nic_txq *txq, struct weir_nic_txq_stats *stats);

/**
 * The eventfd that is signalled when packets arrive on an armed queue, and when a stop or the end
 * of the port wants its owner to call; -1 without weir_nic_options::interrupts, or when the device
 * has fewer vectors than queues. Owned by the queue.
 */
int weir_nic_rxq_fd(const struct weir_nic_rxq *rxq);

/** Lets the queue's interrupt through. Arm, call weir_nic_rx() once more, then sleep on the
 * descriptor. Owner only. @retval -EOPNOTSUPP it has none @retval -ENODEV the device is gone */
int weir_nic_rxq_arm(struct weir_nic_rxq *rxq);

/** Keeps the queue's interrupt back and empties the descriptor. One that is on its way meanwhile
 * may still signal it. Owner only. Errors as weir_nic_rxq_arm(). */
int weir_nic_rxq_disarm(struct weir_nic_rxq *rxq);

/** The link of a port. */
struct weir_nic_link {
	uint8_t up; /**< 1: packets can pass */
	uint8_t full_duplex; /**< 1: both ways at once; when up */
	uint8_t rx_pause; /**< 1: the port stops sending when the other side asks for it */
	uint8_t tx_pause; /**< 1: the port asks the other side to stop */
	uint32_t speed_mbps; /**< 10, 100 or 1000; 0 when down or not known */
};

/**
 * Reads the state of the link from the device.
 *
 * @retval -ENODEV the device is gone
 * @retval -EIO it is there, but its registers do not answer: nothing is known of the link
 */
int weir_nic_link(struct weir_nic *nic, struct weir_nic_link *link, struct weir_error *err);

/**
 * Sets the MTU of a port; started or stopped. Larger packets are not received, and are not taken
 * for sending.
 *
 * @retval -EINVAL out of range; the text names the value and the limit
 * @retval -ENODEV the device is gone
 */
int weir_nic_set_mtu(struct weir_nic *nic, unsigned int mtu, struct weir_error *err);

/** Sets what the port lets in: `receive` is of enum weir_nic_receive. Started or stopped.
 * @retval -EINVAL unknown bits @retval -ENODEV the device is gone */
int weir_nic_set_receive(struct weir_nic *nic, uint32_t receive, struct weir_error *err);

/**
 * Sets the port's Ethernet address, until it is closed. Started or stopped.
 *
 * @retval -EINVAL a multicast address, or all zeroes
 * @retval -ENODEV the device is gone
 */
int weir_nic_set_mac(struct weir_nic *nic, const uint8_t mac[WEIR_NIC_MAC_BYTES],
		     struct weir_error *err);

/**
 * Sets which further addresses the port lets in, in place of those that were set before. Started or
 * stopped. Multicast addresses beyond what the device tells apart are matched by a hash, so that
 * others may come in too.
 *
 * @param macs  n addresses, unicast and multicast
 * @retval -ENOSPC more unicast addresses than weir_nic_info::unicast_filters less one
 * @retval -EINVAL one is all zeroes, or n is over 4096
 * @retval -ENODEV the device is gone
 */
int weir_nic_set_filters(struct weir_nic *nic, const uint8_t (*macs)[WEIR_NIC_MAC_BYTES],
			 unsigned int n, struct weir_error *err);

/**
 * Filters packets by their VLAN id. Started or stopped. Without filters all tagged packets are let
 * in; with them those of the ids in it, and untagged ones.
 *
 * @param ids  bit `id % 64` of word `id / 64` for each id that is let in; NULL: no filters
 * @retval -ENODEV the device is gone
 */
int weir_nic_vlan_filter(struct weir_nic *nic, const uint64_t ids[64], struct weir_error *err);

/**
 * Counters of a port since it was created, kept by the device (§8.18) and added up here: they go on
 * over stops and resets. Packets and bytes are those of the wire, bytes with the frame check
 * sequence.
 */
struct weir_nic_stats {
	uint64_t rx_packets; /**< good packets received (GPRC) */
	uint64_t rx_bytes; /**< of them (GORC) */
	uint64_t tx_packets; /**< good packets sent (GPTC) */
	uint64_t tx_bytes; /**< of them (GOTC) */
	uint64_t rx_multicast; /**< of rx_packets (MPRC) */
	uint64_t rx_broadcast; /**< of rx_packets (BPRC) */
	uint64_t tx_multicast; /**< of tx_packets (MPTC) */
	uint64_t tx_broadcast; /**< of tx_packets (BPTC) */
	/** Packets lost because the device's own buffer was full: frames were not taken or posted
	 * fast enough (MPC). */
	uint64_t rx_missed;
	/** Packets that found no posted frame when they came; they are lost only if rx_missed
	 * counts them too (RNBC). */
	uint64_t rx_no_buffers;
	/** Packets lost because a queue that drops had no posted frame (RQDPC). */
	uint64_t rx_dropped;
	uint64_t rx_crc_errors; /**< with a wrong frame check sequence (CRCERRS) */
	uint64_t rx_align_errors; /**< with an alignment error, 10 and 100 Mb/s (ALGNERRC) */
	uint64_t rx_symbol_errors; /**< symbol errors (SYMERRS) */
	uint64_t rx_errors; /**< packets that the PHY said were bad (RXERRC) */
	uint64_t rx_length_errors; /**< length field and packet differ (RLEC) */
	uint64_t rx_undersize; /**< under 64 bytes, else good (RUC) */
	uint64_t rx_fragments; /**< under 64 bytes, and damaged (RFC) */
	uint64_t rx_oversize; /**< over the MTU, else good (ROC) */
	uint64_t rx_jabber; /**< over the MTU, and damaged (RJC) */
	uint64_t rx_pause; /**< requests to stop sending (XOFFRXC) */
	uint64_t tx_pause; /**< requests sent (XOFFTXC) */
	uint64_t tx_collisions; /**< half duplex (COLC) */
	uint64_t tx_aborted; /**< not sent after 16 collisions (ECOL) and late ones (LATECOL) */
	uint64_t tx_deferred; /**< that had to wait for the wire (DC) */
	uint64_t tx_tso; /**< packets with WEIR_FRAME_TSO (TSCTC) */
};

/**
 * Reads the counters. Call it often enough for the device's 32-bit ones not to overflow: at 1 Gb/s
 * a minute is safe; weir_nic_events() does it too, once a second at most.
 *
 * @param stats  filled in
 * @param bytes  sizeof(*stats)
 * @retval -ENODEV the device is gone: `stats` has what was known last
 * @retval -EIO it is there, but its registers do not answer: the same
 */
int weir_nic_stats(struct weir_nic *nic, struct weir_nic_stats *stats, size_t bytes);

/** What weir_nic_events() reports. */
enum weir_nic_event_type {
	WEIR_NIC_EVENT_LINK = 1, /**< the link changed: `info` is 1 when it is up, else 0 */
	/** A queue, or the port, cannot go on: call weir_nic_reset(). weir_nic_failure() says why.
	 */
	WEIR_NIC_EVENT_RESET_NEEDED = 2,
	WEIR_NIC_EVENT_REMOVE_REQUEST = 3, /**< somebody wants the device back */
	WEIR_NIC_EVENT_GONE = 4, /**< the device is lost; queues return what they took and then say
				    -ENODEV */
	/** Memory was revoked, see weir_mapping_state(). Frames in it are lost: reset the port if
	 * any may be in a queue. */
	WEIR_NIC_EVENT_MAPPING_DEAD = 5,
};

/** An event of a port. */
struct weir_nic_event {
	uint32_t type; /**< enum weir_nic_event_type */
	uint32_t info; /**< see the type */
};

/**
 * Takes what has happened to the port and its device, looks at the link, and serves the device's
 * transport. Some thread has to call it about ten times a second, or sleep on weir_nic_event_fd()
 * meanwhile and call it at least once a minute. The port owns weir_device_events() of its device:
 * nobody else calls it.
 *
 * @return how many events were written, at most `max`
 */
int weir_nic_events(struct weir_nic *nic, struct weir_nic_event *events, unsigned int max);

/** A descriptor that polls readable when weir_nic_events() has work: that of the device, and with
 * weir_nic_options::interrupts when the link changes. A queue's failure is told by its owner's
 * calls, not by this. Owned by the port. */
int weir_nic_event_fd(const struct weir_nic *nic);

/** Why the port, or one of its queues, failed; `err->code` is 0 when none has since the last
 * start. */
void weir_nic_failure(const struct weir_nic *nic, struct weir_error *err);

#ifdef __cplusplus
}
#endif

#endif
