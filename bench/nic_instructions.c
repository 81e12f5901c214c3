/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Instructions per packet of the network drivers' data path, counted in the shared library as it
 * was built, on two emulated controllers in another process that are wired to each other: posted,
 * received, sent and done. The checks of what caller and device say are in them; that they work is
 * what test_igb_receive, test_igb_send and test_net_faults are for.
 */
#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weir/nic.h>

#include "ceilings.h"
#include "igb/sim_igb.h"
#include "stepper.h"

#define BURST 32u
#define ROUNDS 20u /* more than once around the rings */
#define ENTRIES 256u
#define PACKET 64u
#define BUFFER 2048u
#define SECONDS 30

enum function { POST, RECEIVE, SEND, DONE };

static const char *const functions[STEPPER_FUNCTIONS] = {
	[POST] = "weir_nic_rx_post",
	[RECEIVE] = "weir_nic_rx",
	[SEND] = "weir_nic_tx",
	[DONE] = "weir_nic_tx_done",
};

struct shape {
	const char *name; /* of its ceiling */
	const char *what;
	unsigned int burst; /* 0: calls that find nothing */
	unsigned int pieces; /* frames of a packet that is sent */
	uint32_t flags; /* of a packet that is sent */
	unsigned int header_bytes; /* header split */
};

static const struct shape shapes[] = {
	{ .name = "burst32",
	  .what = "packets of 64 bytes, bursts of 32",
	  .burst = 32,
	  .pieces = 1 },
	{ .name = "burst4", .what = "the same, bursts of 4", .burst = 4, .pieces = 1 },
	{ .name = "single", .what = "the same, one at a time", .burst = 1, .pieces = 1 },
	{ .name = "empty", .what = "looking for packets and reports, in vain" },
	{ .name = "checksum",
	  .what = "with a checksum to fill in, bursts of 32",
	  .burst = 32,
	  .pieces = 1,
	  .flags = WEIR_FRAME_IP4 | WEIR_FRAME_UDP | WEIR_FRAME_L4_CSUM },
	{ .name = "split",
	  .what = "from two frames, and split into two, bursts of 16",
	  .burst = 16,
	  .pieces = 2,
	  .header_bytes = 128 },
};

#define NR_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct row {
	struct stepper_count count;
	uint64_t packets; /* or calls, for "empty" */
};

struct probe {
	char folder[32];
	char socket[2][48];
	struct row *rows; /* in memory that the tracer and the traced process share */
};

static pid_t serve(const struct probe *probe)
{
	struct sim_igb_options options = { 0 };
	struct sim_server *servers[2];
	struct sim_cable *ends[2];
	struct sim_igb *igb;
	pid_t pid, parent = getpid();

	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || sim_cable_pair(true, ends, NULL))
		_exit(1);
	for (unsigned int i = 0; i < 2; i++) {
		options.port = i;
		if (sim_igb_create(&options, ends[i], &igb, NULL))
			_exit(1);
		servers[i] = sim_igb_server(igb);
		if (sim_server_listen(servers[i], probe->socket[i], NULL))
			_exit(1);
	}
	_exit(sim_servers_run(servers, 2, NULL) != 0);
}

struct rig {
	struct weir_nic *nic[2]; /* the first sends, the second receives */
	struct weir_nic_rxq *rxq;
	struct weir_nic_txq *txq;
	uint64_t tx, rx; /* IOVAs */
	struct weir_frame to_send[2 * BURST], to_post[2 * BURST], frames[2 * BURST];
	uint64_t cookies[2 * BURST];
	unsigned int posted_frames; /* of a packet */
};

static bool rig_open(struct rig *rig, const struct probe *probe, const struct shape *shape)
{
	struct weir_nic_options options = WEIR_NIC_OPTIONS_INIT;
	struct weir_nic_config config = WEIR_NIC_CONFIG_INIT;
	time_t end = time(NULL) + SECONDS;
	struct weir_nic_link link = { 0 };
	struct weir_error err;
	char address[64];
	void *memory;

	memset(rig, 0, sizeof(*rig));
	options.arena_bytes = 2 << 20;
	config.rx_entries = config.tx_entries = ENTRIES;
	config.header_bytes = shape->header_bytes;
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(address, sizeof(address), "vfio-user:%s", probe->socket[i]);
		if (weir_nic_open(address, &options, &rig->nic[i], &err) ||
		    weir_nic_configure(rig->nic[i], &config, &err) ||
		    weir_nic_start(rig->nic[i], &err)) {
			fprintf(stderr, "%s: %s\n", shape->name, err.text);
			return false;
		}
	}
	rig->rxq = weir_nic_rxq(rig->nic[1], 0);
	rig->txq = weir_nic_txq(rig->nic[0], 0);
	memory = weir_arena_alloc(weir_nic_arena(rig->nic[1]), 2 * BURST * BUFFER, 0);
	rig->rx = weir_arena_ptr_iova(weir_nic_arena(rig->nic[1]), memory);
	memory = weir_arena_alloc(weir_nic_arena(rig->nic[0]), BUFFER, 0);
	rig->tx = weir_arena_ptr_iova(weir_nic_arena(rig->nic[0]), memory);
	memset(memory, 0xff, 6); /* to all */
	while (!link.up && time(NULL) < end) {
		if (weir_nic_link(rig->nic[1], &link, &err))
			return false;
		sched_yield();
	}
	return link.up;
}

static void rig_close(struct rig *rig)
{
	weir_nic_close(rig->nic[0]);
	weir_nic_close(rig->nic[1]);
}

static void fill(struct rig *rig, const struct shape *shape)
{
	rig->posted_frames = shape->header_bytes ? 2 : 1;
	for (unsigned int i = 0; i < shape->burst * rig->posted_frames; i++) {
		bool header = shape->header_bytes && !(i & 1);

		rig->to_post[i] = (struct weir_frame){
			.iova = rig->rx + i * BUFFER,
			.cookie = i,
			.len = header ? shape->header_bytes : BUFFER,
			.flags = header ? WEIR_FRAME_HEADER | WEIR_FRAME_MORE : 0,
		};
	}
	for (unsigned int i = 0; i < shape->burst * shape->pieces; i++) {
		bool more = i % shape->pieces != shape->pieces - 1;

		rig->to_send[i] = (struct weir_frame){
			.iova = rig->tx + i % shape->pieces * (PACKET / shape->pieces),
			.cookie = i,
			.len = PACKET / shape->pieces,
			.flags = shape->flags | (more ? WEIR_FRAME_MORE : 0),
			.headers = { .l2_len = 14, .l3_len = 20 },
		};
	}
}

/* Waits until the second controller has received so many packets, and the first has sent them. */
static bool wait_for(const struct rig *rig, uint64_t packets)
{
	struct weir_nic_stats sent = { 0 }, received = { 0 };
	time_t end = time(NULL) + SECONDS;

	while (time(NULL) < end) {
		if (weir_nic_stats(rig->nic[0], &sent, sizeof(sent)) ||
		    weir_nic_stats(rig->nic[1], &received, sizeof(received)))
			return false;
		if (sent.tx_packets >= packets && received.rx_packets >= packets)
			return true;
		sched_yield();
	}
	return false;
}

static bool is(const struct shape *shape, const char *what, int n, unsigned int expected)
{
	if (n == (int)expected)
		return true;
	fprintf(stderr, "%s: %s: %d instead of %u\n", shape->name, what, n, expected);
	return false;
}

static bool run_round(struct rig *rig, const struct shape *shape, struct stepper_count *count,
		      uint64_t *packets)
{
	const unsigned int posted = shape->burst * rig->posted_frames;
	const unsigned int sent = shape->burst * shape->pieces;
	unsigned int unsent;
	int n;

	stepper_begin(count);
	n = weir_nic_rx_post(rig->rxq, rig->to_post, posted);
	stepper_end();
	if (!is(shape, functions[POST], n, posted))
		return false;
	stepper_begin(count);
	n = weir_nic_tx(rig->txq, rig->to_send, sent);
	stepper_end();
	*packets += shape->burst;
	if (!is(shape, functions[SEND], n, sent) || !wait_for(rig, *packets))
		return false;
	stepper_begin(count);
	n = weir_nic_rx(rig->rxq, rig->frames, posted);
	stepper_end();
	if (!is(shape, functions[RECEIVE], n, posted))
		return false;
	/* two calls where the ring ends */
	stepper_begin(count);
	n = weir_nic_tx_done(rig->txq, rig->cookies, sent, &unsent);
	if (n >= 0 && n < (int)sent)
		n += weir_nic_tx_done(rig->txq, rig->cookies + n, sent - (unsigned int)n, &unsent);
	stepper_end();
	return is(shape, functions[DONE], n, sent);
}

static bool run_empty(struct rig *rig, const struct shape *shape, struct row *row)
{
	struct weir_frame frame = { .iova = rig->rx, .len = BUFFER };
	unsigned int unsent;
	int n = weir_nic_rx_post(rig->rxq, &frame, 1);

	for (unsigned int i = 0; n == 1 && i <= ROUNDS; i++) {
		/* the first resolves symbols */
		stepper_begin(i ? &row->count : NULL);
		n += weir_nic_rx(rig->rxq, rig->frames, BURST);
		n += weir_nic_tx_done(rig->txq, rig->cookies, BURST, &unsent);
		stepper_end();
	}
	row->packets = ROUNDS;
	return is(shape, "frames", n, 1);
}

static bool run_shape(struct rig *rig, const struct shape *shape, struct row *row)
{
	uint64_t packets = 0;

	if (!shape->burst)
		return run_empty(rig, shape, row);
	fill(rig, shape);
	/* The first round resolves symbols and is not counted. */
	for (unsigned int round = 0; round <= ROUNDS; round++) {
		if (!run_round(rig, shape, round ? &row->count : NULL, &packets))
			return false;
	}
	row->packets = (uint64_t)ROUNDS * shape->burst;
	return true;
}

/* In the traced process. Its exit status: 0, or 1 with the reason printed. */
static int measure(void *ctx)
{
	struct probe *probe = ctx;
	struct rig *rig = malloc(sizeof(*rig));
	bool ok = rig != NULL;

	for (size_t i = 0; ok && i < NR_SHAPES; i++) {
		ok = rig_open(rig, probe, &shapes[i]) &&
		     run_shape(rig, &shapes[i], &probe->rows[i]);
		rig_close(rig);
	}
	free(rig);
	return ok ? 0 : 1;
}

static bool report(const struct row *rows, const char *ceilings, const char *json_path)
{
	json_t *json = json_array();
	bool ok = json != NULL;

	printf("%-10s %8s %8s %8s %8s %8s %8s  instructions per packet\n", "", "post", "receive",
	       "send", "done", "total", "ceiling");
	for (size_t i = 0; i < NR_SHAPES; i++) {
		double each[STEPPER_FUNCTIONS], total = 0;
		double ceiling = ceilings_find(ceilings, shapes[i].name);
		bool within;

		for (unsigned int f = 0; f < STEPPER_FUNCTIONS; f++) {
			each[f] = (double)rows[i].count.instructions[f] / (double)rows[i].packets;
			total += each[f];
		}
		within = total <= ceiling;
		printf("%-10s %8.1f %8.1f %8.1f %8.1f %8.1f %8.1f  %s%s\n", shapes[i].name,
		       each[POST], each[RECEIVE], each[SEND], each[DONE], total, ceiling,
		       shapes[i].what,
		       within	     ? ""
		       : ceiling < 0 ? ": NO CEILING"
				     : ": OVER THE CEILING");
		json_array_append_new(
			json, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "name",
					shapes[i].name, "what", shapes[i].what, "post", each[POST],
					"receive", each[RECEIVE], "send", each[SEND], "done",
					each[DONE], "total", total, "ceiling", ceiling));
		ok = within && ok;
	}
	ok = ceilings_write(json, json_path) && ok;
	return ok;
}

int main(int argc, char **argv)
{
	struct probe probe = { .folder = "/tmp/weir-bench-XXXXXX" };
	pid_t server;
	int rc;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "Usage: nic_instructions CEILINGS [JSON]\n");
		return 2;
	}
	probe.rows = mmap(NULL, sizeof(struct row) * NR_SHAPES, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (probe.rows == MAP_FAILED || !mkdtemp(probe.folder)) {
		perror("nic_instructions");
		return 1;
	}
	for (unsigned int i = 0; i < 2; i++)
		snprintf(probe.socket[i], sizeof(probe.socket[i]), "%s/%u", probe.folder, i);
	server = serve(&probe);
	for (unsigned int ms = 0; ms < 10000 && access(probe.socket[1], F_OK); ms++)
		usleep(1000);
	rc = server < 0 ? -errno : stepper_run(functions, measure, &probe);
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	for (unsigned int i = 0; i < 2; i++)
		unlink(probe.socket[i]);
	rmdir(probe.folder);
	if (rc) {
		fprintf(stderr, "nic_instructions: the measured process failed (%d)\n", rc);
		return 1;
	}
	return report(probe.rows, argv[1], argc > 2 ? argv[2] : NULL) ? 0 : 1;
}
