/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An emulated Intel 82576 gigabit controller (one port, as the datasheet describes it) behind a
 * vfio-user server.
 *
 * BAR 0 holds the registers, 128 KiB. BAR 3 holds the MSI-X table of 25 vectors, trapped.
 *
 * Two pages of BAR 0 can be mapped by the client and are polled here: 0xc000, the receive queues'
 * registers, and 0xe000, the transmit queues'. All other pages are trapped, among them the second
 * places of queues 0 to 3 (0x2800 and 0x3800). A mapped register is memory, so three things are
 * different there from what a message, or the silicon, does:
 *
 * - RXDCTL and TXDCTL read back what was just written. The device notices at its next turn, and in
 *   any case before it answers a message: a queue that was disabled is quiet once any trapped
 *   register has been read, STATUS for example. Drivers that flush their writes do so anyway.
 * - RDH and TDH are brought up to date once a burst, and what the client writes there is not
 *   looked at but when the queue is enabled.
 * - RQDPC counts on, and only a read by message clears it.
 *
 * With `trap_queues` nothing is mapped and all of it is as the datasheet says; each tail is a
 * message then.
 *
 * Frames come in through a packet buffer, as in the silicon: they wait there for descriptors
 * (RNBC), or are dropped when their queue asks for that (SRRCTL.Drop_En; RQDPC), and when the
 * buffer is full, what arrives is missed (MPC). Between two emulated controllers a frame is missed
 * for no other reason: a sender waits for a receiver that has descriptors and only needs a turn.
 *
 * Not emulated: virtual functions and VMDq pools, the filters that steer by port or EtherType, IEEE
 * 1588, IPsec and MACsec, wake-up, loopback, management, legacy interrupts, flash and I/O BARs. The
 * link is always 1000BASE-T in full duplex.
 */
#ifndef WEIR_SIM_IGB_H
#define WEIR_SIM_IGB_H

#include "server/sim.h"

struct sim_igb;

/* Where a controller's cable leads. One end belongs to one controller. */
struct sim_cable;

/*
 * A cable between two controllers. Each end is used by its controller's thread only, and the two
 * may be different threads.
 *
 * @param lossless  a sender waits, as if the receiver sent pause frames, when the receiver has no
 * descriptors; otherwise frames are missed there
 */
int sim_cable_pair(bool lossless, struct sim_cable *ends[2], struct weir_error *err);

/*
 * A cable to a TAP device: the one of that name, which is made when it is not there, or the one
 * that `fd` is, opened with IFF_TAP | IFF_NO_PI and without IFF_VNET_HDR; exactly one of them, name
 * NULL or fd -1. The descriptor is owned on success. -EINVAL: a bad name, or not such a descriptor;
 * that IFF_NO_PI is missing cannot be seen.
 */
int sim_cable_tap(const char *name, int fd, struct sim_cable **cable, struct weir_error *err);

/*
 * A cable to capture files: the frames of `in` arrive, as fast as they are taken, none of them
 * missed, and what is sent is written to `out`, which is made anew and complete when the cable has
 * ended. Either may be NULL. Files are of the pcap format, of Ethernet, in either byte order, with
 * microseconds or nanoseconds. -EINVAL: not such a file.
 */
int sim_cable_pcap(const char *in, const char *out, struct sim_cable **cable,
		   struct weir_error *err);

/* A cable that leads nowhere: what is sent is gone, nothing comes. */
int sim_cable_null(struct sim_cable **cable, struct weir_error *err);

/* Ends an end. NULL is allowed. The other end of a pair loses its link. */
void sim_cable_destroy(struct sim_cable *cable);

/* What goes wrong on purpose. `every` n: each n-th; 0: never. */
struct sim_igb_faults {
	/* Frames that arrive. */
	uint64_t crc_every; /* has a wrong FCS */
	uint64_t garble_every; /* what is behind its Ethernet header is garbage */
	/* What is written back for one. */
	uint64_t length_every; /* a length over the buffer's */
	uint64_t header_every; /* a header length over the header buffer's */
	uint64_t status_every; /* done, and garbage in the bits beside it */
	uint64_t types_every; /* garbage for the types and the hash */
	uint64_t endless_every; /* as if there was more of it */
	uint64_t skip_every; /* into the second free descriptor; the first stays as it is */
	/* Frames that are sent. */
	uint64_t unreported_every; /* their descriptors never say that they are done */
	uint64_t stuck_after; /* after so many no more is sent */
	/* The rest. */
	uint64_t interrupt_every; /* is not sent */
	uint64_t flap_every; /* with each n-th frame, of either direction, the link goes down */
	uint32_t flap_us; /* for so long; 0: 1000 */
	uint64_t unplug_after; /* after so many frames of either direction the device is pulled */
	bool stuck_reset; /* CTRL.RST stays, and nothing is reset */
	bool stuck_eeprom; /* EERD.DONE does not come */
	bool no_link; /* there never is one */
};

struct sim_igb_options {
	uint8_t mac[6]; /* all zero: 52:45:49:52:00:00 plus `port` */
	unsigned int port; /* makes addresses different */
	bool trap_queues; /* see above */
	struct sim_igb_faults faults;
	struct sim_server_options server;
};

/* Makes a controller and its server. Owns the cable, on success only. -EINVAL: the address is a
 * group's. */
int sim_igb_create(const struct sim_igb_options *options, struct sim_cable *cable,
		   struct sim_igb **igb, struct weir_error *err);
void sim_igb_destroy(struct sim_igb *igb);

/* Its server: listen, run, turn, stop. Owned by the controller. */
struct sim_server *sim_igb_server(struct sim_igb *igb);

/*
 * For tests and `weir sim igb --fault`: parses "NAME[=VALUE][,NAME[=VALUE]...]", such as
 * "skip-every=100,no-link". The names are the members of struct sim_igb_faults and, after
 * "server-", those of struct sim_server_options that begin with fault_, with dashes. -EINVAL; the
 * text names what it did not understand and the names it knows.
 */
int sim_igb_parse_faults(const char *spec, struct sim_igb_options *options, struct weir_error *err);

/* Plugs the cable in or out. From the server's thread. */
void sim_igb_set_link(struct sim_igb *igb, bool up);

#endif
