/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vfio-user server for tests of the client: a small device that behaves, until it is told to lie.
 *
 * Region 0 is a BAR of two pages, the first trapped, the second mapped (memory behind it in a
 * memfd); region 2 a BAR that is trapped and holds the MSI-X table; region 7 configuration space
 * with one MSI-X capability at 0x40.
 */
#ifndef WEIR_TESTS_SCRIPTED_SERVER_H
#define WEIR_TESTS_SCRIPTED_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <weir/device.h>

#include "device/vfio_user/wire.h"

#define SCRIPTED_BAR_BYTES 8192u
#define SCRIPTED_VECTORS 40u
#define SCRIPTED_MAX_REGIONS 64
#define SCRIPTED_MAX_MAPS 16

/* What is wrong with a reply. */
enum lie {
	LIE_NONE,
	LIE_ERROR, /* refuses with EIO */
	LIE_ERROR_ZERO, /* refuses with no errno */
	LIE_ERROR_HUGE, /* refuses with a number that is no errno */
	LIE_SHORT, /* a byte less than there should be */
	LIE_LONG, /* 8000 bytes more */
	LIE_ID, /* another message's */
	LIE_COMMAND, /* another command's */
	LIE_TYPE, /* neither command nor reply */
	LIE_HUGE, /* a header that claims 4 GiB */
	LIE_TINY, /* a header that claims 15 bytes */
	LIE_DESCRIPTORS, /* descriptors that nobody asked for, one message full */
	LIE_MANY_DESCRIPTORS, /* more than may be */
	LIE_SILENT, /* no reply */
	LIE_HALF, /* the connection ends in the middle of the reply */
	LIE_CLOSE, /* the connection ends */
	NR_LIES,
};

struct scripted_region {
	struct vfio_user_region_info info;
	uint8_t caps[4000]; /* follow the info in the reply */
	size_t caps_bytes;
	int fd; /* sent along, or -1 */
};

/* A reply before it is sent. */
struct scripted_reply {
	struct vfio_user_header header;
	uint8_t payload[16384];
	size_t bytes; /* of payload */
	int fds[64]; /* lent */
	unsigned int nr_fds;
};

struct scripted {
	struct wire *wire; /* NULL: closed */
	struct wire *client; /* the other end, when that is in memory */
	pthread_t thread;
	_Atomic bool stop;

	/* The lie, told when lie_command comes for the lie_turn-th time; from 1. */
	enum lie lie;
	uint16_t lie_command;
	unsigned int lie_turn;
	unsigned int seen;
	/* Or, for fuzzing: changes each reply; true: it is not to be sent. */
	bool (*tamper)(struct scripted *server, struct scripted_reply *reply, void *ctx);
	void *tamper_ctx;

	/* What it says of itself; tests change it before the device is opened. */
	uint16_t major, minor;
	const char *json; /* NULL: none */
	size_t json_bytes; /* 0: with its NUL */
	struct vfio_user_device_info device;
	struct scripted_region regions[SCRIPTED_MAX_REGIONS];
	struct vfio_user_irq_info irqs[16];

	/* Its registers. */
	uint8_t config[4096];
	uint8_t trapped[SCRIPTED_BAR_BYTES];
	uint8_t table[SCRIPTED_BAR_BYTES];
	int bar_fd;
	uint8_t *bar; /* the memory behind bar_fd */

	/* What the client did. */
	struct vfio_user_dma_map maps[SCRIPTED_MAX_MAPS];
	unsigned int nr_maps;
	int irq_fds[16][SCRIPTED_VECTORS]; /* by kind; -1: none */
	_Atomic unsigned int set_irqs, accesses;
	unsigned int most_fds, resets;
	unsigned int delay_ms; /* before each answer */
	uint64_t unmap_less; /* DMA_UNMAP: claims so many bytes less */

	/* Sent to the client before the reply to a REGION_READ, and the answers that came. */
	struct {
		struct vfio_user_header header;
		uint8_t payload[64];
		size_t bytes;
	} ask;
	struct vfio_user_header answer;
	uint8_t answer_payload[64];
	size_t answer_bytes;
	unsigned int nr_answers;
};

void scripted_init(struct scripted *server);
/* Ends the connection and frees what the client sent. */
void scripted_destroy(struct scripted *server);

/* Ends the connection. */
void scripted_hang_up(struct scripted *server);

/* Handles what has arrived; the pump of an in-memory wire, with the server as ctx. */
void scripted_pump(void *server);

/* The same in a thread, over a socket, until scripted_destroy(). */
void scripted_run(struct scripted *server);

/*
 * Opens a device whose server is the script: in memory, or over a pair of sockets with a thread.
 */
int scripted_open(struct scripted *server, struct weir_ioas *ioas,
		  const struct weir_device_options *options, struct weir_device **dev,
		  struct weir_error *err);
int scripted_open_socket(struct scripted *server, struct weir_ioas *ioas,
			 const struct weir_device_options *options, struct weir_device **dev,
			 struct weir_error *err);

/* Gives a region a list of mappable areas. */
void scripted_set_areas(struct scripted_region *region, const struct vfio_user_sparse_area *areas,
			unsigned int nr);

#endif
