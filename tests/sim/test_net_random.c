/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of random content, both ways between two emulated ports that are wired to each other,
 * over configurations drawn at random, and with devices that corrupt what they write back.
 *
 *   test_net_random [--frames N] [--seed N]
 *
 * Nothing crashes; what is given to a queue comes back once; and at the end of each round all that
 * was sent is accounted for, to the frame: by the sender's and the receiver's driver and device,
 * as received, or as lost for a reason that is counted. What came intact is what was sent.
 *
 * The seed, which is printed, draws the packets and configurations; how the two sides take turns is
 * not in it.
 */
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weir/fault_guard.h>

#include "random_traffic.h"
#include "sim_process.h"

#define DEFAULT_FRAMES 200000u
#define SECONDS 120
#define IDLE_TURNS 3000u
#define SERVE_TURNS 64u
#define ROUND_PACKETS 4000u
/* Frames of a visit to a leg, at most: then the server is started anew. */
#define VISIT_PACKETS 100000u

/* Counters of the device that the driver does not report (datasheet §8.18.38, §8.18.55). */
#define REG_TPR 0x40d0
#define REG_PQGPRC(queue) (0x10010 + 0x100 * (queue))

/* What the server is told, and what follows from that. */
struct leg {
	const char *name;
	unsigned int permille; /* of all packets */
	const char *options[3];
	const char *faults; /* each name is given a random number as its value */
	struct traffic_rules rules;
	bool everything; /* the receiver lets everything in */
	bool queues; /* several receive queues: one that has ended holds no other up */
	bool split; /* headers */
	bool interrupts;
};

static const struct leg legs[] = {
	{ .name = "clean", .permille = 568, .options = { "--lossless" } },
	{ .name = "lossy", .permille = 120, .rules = { .lossy = true }, .everything = true },
	{ .name = "trapped", .permille = 10, .options = { "--lossless", "--trap-queues" } },
	{ .name = "crc",
	  .permille = 40,
	  .options = { "--lossless" },
	  .faults = "crc-every",
	  .everything = true },
	{ .name = "garble",
	  .permille = 40,
	  .options = { "--lossless" },
	  .faults = "garble-every",
	  .rules = { .alters = true },
	  .everything = true },
	{ .name = "types",
	  .permille = 30,
	  .options = { "--lossless" },
	  .faults = "types-every",
	  .rules = { .alters = true } },
	{
		.name = "flap",
		.permille = 20,
		.options = { "--lossless" },
		.faults = "flap-us=1,flap-every",
		.rules = { .flaps = true },
		.everything = true,
	},
	{ .name = "interrupt",
	  .permille = 20,
	  .options = { "--lossless" },
	  .faults = "interrupt-every",
	  .interrupts = true },
	{ .name = "length",
	  .permille = 30,
	  .faults = "length-every",
	  .rules = { .breaks = true },
	  .everything = true,
	  .queues = true },
	{ .name = "header",
	  .permille = 20,
	  .faults = "header-every",
	  .rules = { .breaks = true },
	  .everything = true,
	  .queues = true,
	  .split = true },
	{ .name = "status",
	  .permille = 30,
	  .faults = "status-every",
	  .rules = { .breaks = true },
	  .everything = true,
	  .queues = true },
	{ .name = "endless",
	  .permille = 20,
	  .faults = "endless-every",
	  .rules = { .breaks = true },
	  .everything = true,
	  .queues = true },
	{ .name = "skip",
	  .permille = 20,
	  .faults = "skip-every",
	  .rules = { .breaks = true },
	  .everything = true,
	  .queues = true },
	{ .name = "all",
	  .permille = 20,
	  .faults = "length-every,header-every,status-every,types-every,endless-every,skip-every,"
		    "garble-every",
	  .rules = { .breaks = true, .alters = true },
	  .everything = true,
	  .queues = true },
	{ .name = "unreported",
	  .permille = 10,
	  .options = { "--lossless" },
	  .faults = "unreported-every",
	  .rules = { .certain = true, .forgets = true },
	  .everything = true },
	{ .name = "unplug",
	  .permille = 2,
	  .faults = "unplug-after",
	  .rules = { .certain = true, .leaves = true },
	  .everything = true },
};
#define NR_LEGS (sizeof(legs) / sizeof(legs[0]))

/* What came of all rounds. */
struct totals {
	struct traffic_sums sums;
	uint64_t missed, dropped, crc, oversize, filtered, cut, gone;
	uint64_t rounds, broken;
};

static struct traffic traffic;
static struct sim_process sim;
static uint64_t the_seed;
static const char *the_leg = "";

void traffic_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "test_net_random: --seed %" PRIu64 ", %s: ", the_seed, the_leg);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	sim_process_kill(&sim);
	exit(1);
}

static uint64_t deadline(void)
{
	return (uint64_t)time(NULL) + SECONDS;
}

static void check_deadline(uint64_t end, const char *what)
{
	traffic_require((uint64_t)time(NULL) < end, "%s did not end within %d s", what, SECONDS);
}

static uint32_t one_of(const uint32_t *values, unsigned int n)
{
	return values[rng_below(&traffic.rng, n)];
}

static uint32_t choose_mtu(void)
{
	static const uint32_t usual[] = { 68, 576, 1500, 1500, 1500, 4082, 9000, 9706 };

	return rng_chance(&traffic.rng, 700) ? one_of(usual, 8)
					     : 68 + rng_below(&traffic.rng, 9639);
}

static void choose_config(const struct leg *leg, uint32_t mtu, struct traffic_port *port)
{
	static const uint32_t queues[] = { 1, 1, 2, 3, 4, 8, 16 };
	static const uint32_t buffers[] = { 1, 2, 2, 2, 4, 10, 16 };
	struct weir_nic_config *config = &port->config;
	struct rng *rng = &traffic.rng;

	*config = (struct weir_nic_config)WEIR_NIC_CONFIG_INIT;
	config->rx_queues = one_of(queues + (leg->queues ? 2 : 0), leg->queues ? 5 : 7);
	config->tx_queues = one_of(queues, 7);
	config->rx_entries = 32 + 8 * rng_below(rng, 28);
	config->tx_entries = 32 + 8 * rng_below(rng, 28);
	config->mtu = mtu;
	config->rx_buffer_bytes = 1024 * one_of(buffers, 7);
	if (leg->split || rng_chance(rng, 300))
		config->header_bytes = 64 * (1 + rng_below(rng, 15));
	config->rss_types = (uint32_t)rng_next(rng) & 0x3fe;
	config->vlan_strip = (uint8_t)rng_below(rng, 2);
	config->rx_device_memory = (uint8_t)rng_below(rng, 2);
	config->receive = leg->everything ? WEIR_NIC_PROMISCUOUS : rng_below(rng, 8);
}

static void choose_filters(const struct leg *leg, struct traffic_port *port)
{
	struct rng *rng = &traffic.rng;

	for (unsigned int i = 0; i < TRAFFIC_FILTERS; i++) {
		uint64_t random = rng_next(rng);

		memcpy(port->filters[i], &random, WEIR_NIC_MAC_BYTES);
		port->filters[i][1] |= 1; /* neither broadcast nor nothing */
		port->filters[i][2] &= 0xfe;
	}
	port->vlan_filter = !leg->everything && rng_chance(rng, 300);
	for (unsigned int i = 0; i < 64; i++)
		port->vlan_ids[i] = rng_next(rng);
}

static void start_ports(const struct leg *leg)
{
	uint32_t mtu = choose_mtu();
	struct weir_error err;

	for (unsigned int i = 0; i < 2; i++) {
		struct traffic_port *port = &traffic.port[i];
		const uint8_t(*filters)[WEIR_NIC_MAC_BYTES] =
			(const uint8_t(*)[WEIR_NIC_MAC_BYTES])port->filters;

		choose_config(leg, leg->everything ? mtu : choose_mtu(), port);
		choose_filters(leg, port);
		if (weir_nic_configure(port->nic, &port->config, &err) ||
		    weir_nic_set_filters(port->nic, filters, TRAFFIC_FILTERS, &err) ||
		    weir_nic_vlan_filter(port->nic, port->vlan_filter ? port->vlan_ids : NULL,
					 &err))
			traffic_fail("%s", err.text);
	}
	traffic_begin(&traffic);
	/* Nobody sends before both are there. */
	for (unsigned int i = 0; i < 2; i++) {
		if (weir_nic_start(traffic.port[i].nic, &err))
			traffic_fail("%s", err.text);
	}
}

/* What the devices have counted in a round. */
struct counted {
	struct weir_nic_stats before, now;
	uint64_t tpr;
	uint64_t delivered[TRAFFIC_QUEUES];
};

static uint64_t read_count(const struct traffic_port *port, uint32_t reg)
{
	uint32_t value = 0;

	if (weir_device_read32(port->dev, 0, reg, &value))
		traffic_fail("port %u: register %#x cannot be read", port->index, reg);
	return value;
}

static void count(const struct traffic_port *port, struct counted *counted)
{
	if (weir_nic_stats(port->nic, &counted->now, sizeof(counted->now)))
		traffic_fail("port %u is gone", port->index);
	counted->tpr += read_count(port, REG_TPR);
	for (unsigned int q = 0; q < port->info.rx_queues; q++)
		counted->delivered[q] += read_count(port, REG_PQGPRC(q));
}

#define SINCE(counted, member) ((counted)->now.member - (counted)->before.member)

/* Frames that came to a port and were lost there, for all the reasons that are counted. */
static uint64_t lost(const struct counted *c)
{
	return SINCE(c, rx_missed) + SINCE(c, rx_dropped) + SINCE(c, rx_crc_errors) +
	       SINCE(c, rx_oversize);
}

/* Whether all that one port was given has been sent, and all of that has come to the other. */
static bool adds_up(const struct traffic_port *from, const struct counted *sender,
		    const struct counted *receiver)
{
	uint64_t came = receiver->tpr;

	if (SINCE(sender, tx_packets) != from->sums.frames)
		return false;
	if (traffic.rules.flaps)
		return came <= from->sums.frames &&
		       came == lost(receiver) + SINCE(receiver, rx_packets);
	return came == from->sums.frames &&
	       came == from->sums.filtered + lost(receiver) + SINCE(receiver, rx_packets);
}

static void report_sums(const struct traffic_port *from, const struct counted *s,
			const struct counted *r)
{
	const struct traffic_sums *sums = &from->sums;

	traffic_fail("from port %u: %" PRIu64 " frames were given, %" PRIu64 " sent, %" PRIu64
		     " came to the other; there %" PRIu64 " are filtered, %" PRIu64
		     " missed, %" PRIu64 " dropped, %" PRIu64 " damaged, %" PRIu64
		     " too long, %" PRIu64 " received",
		     from->index, sums->frames, SINCE(s, tx_packets), r->tpr, sums->filtered,
		     SINCE(r, rx_missed), SINCE(r, rx_dropped), SINCE(r, rx_crc_errors),
		     SINCE(r, rx_oversize), SINCE(r, rx_packets));
}

/* Lets all that was made go out and come in. */
static void settle(struct counted counted[2])
{
	uint64_t end = deadline();
	unsigned int steady = 0;

	traffic.port[0].quota = traffic.port[1].quota = 0;
	/* Several looks: there may be more behind what has come. */
	while (steady < 3) {
		bool done;

		while (traffic_turn(&traffic))
			;
		count(&traffic.port[0], &counted[0]);
		count(&traffic.port[1], &counted[1]);
		done = adds_up(&traffic.port[0], &counted[0], &counted[1]) &&
		       adds_up(&traffic.port[1], &counted[1], &counted[0]);
		for (unsigned int i = 0; i < 2; i++)
			done &= traffic.rules.forgets || (!traffic.port[i].tx_outstanding &&
							  !traffic_waiting(&traffic.port[i]));
		for (unsigned int i = 0; !done && i < 2; i++) {
			if ((uint64_t)time(NULL) > end)
				report_sums(&traffic.port[i], &counted[i], &counted[!i]);
			weir_nic_events(traffic.port[i].nic, NULL, 0);
		}
		steady = done ? steady + 1 : 0;
		sched_yield();
	}
}

/* Traffic until each side has sent so many packets, or nothing goes on any more. */
static void exchange(uint64_t packets, struct counted counted[2])
{
	unsigned int idle = 0, turns = 0;
	uint64_t end = deadline();

	traffic.port[0].quota = traffic.port[1].quota = packets;
	while (idle < IDLE_TURNS &&
	       (traffic.port[0].sums.packets < packets || traffic.port[1].sums.packets < packets)) {
		idle = traffic_turn(&traffic) ? 0 : idle + 1;
		if (idle)
			sched_yield();
		if (++turns % SERVE_TURNS)
			continue;
		check_deadline(end, "a round");
		for (unsigned int i = 0; i < 2; i++) {
			if (!traffic.rules.leaves)
				count(&traffic.port[i], &counted[i]);
			weir_nic_events(traffic.port[i].nic, NULL, 0);
		}
	}
}

/* What one port sent, when it is all over. */
static void check_sums(const struct traffic_port *from, const struct counted *s,
		       const struct counted *r)
{
	const struct traffic_port *to = traffic_peer(&traffic.port[from->index]);
	const struct traffic_sums *sums = &from->sums;
	uint64_t packets = 0, malformed = 0, unsent = 0, unused = 0, damaged = 0;

	if (!adds_up(from, s, r))
		report_sums(from, s, r);
	traffic_require(SINCE(s, tx_bytes) == sums->bytes,
			"%" PRIu64 " bytes were sent, not %" PRIu64, SINCE(s, tx_bytes),
			sums->bytes);
	traffic_require(SINCE(s, tx_multicast) == sums->multicast &&
				SINCE(s, tx_broadcast) == sums->broadcast &&
				SINCE(s, tx_tso) == sums->segmented,
			"%" PRIu64 " multicast, %" PRIu64 " broadcast, %" PRIu64
			" cut; not %" PRIu64 ", %" PRIu64 ", %" PRIu64,
			SINCE(s, tx_multicast), SINCE(s, tx_broadcast), SINCE(s, tx_tso),
			sums->multicast, sums->broadcast, sums->segmented);
	traffic_require(sums->packets == sums->given + sums->refused + traffic_waiting(from),
			"%" PRIu64 " packets were made, %" PRIu64 " sent and %" PRIu64 " refused",
			sums->packets, sums->given, sums->refused);
	for (unsigned int q = 0; q < from->info.tx_queues; q++) {
		struct weir_nic_txq_stats stats;

		weir_nic_txq_stats(weir_nic_txq(from->nic, q), &stats);
		malformed += stats.refused;
		unsent += stats.unsent;
	}
	traffic_require(malformed == sums->refused_frames && unsent == sums->unsent_frames,
			"the queues refused %" PRIu64 " frames and gave %" PRIu64
			" back; it were %" PRIu64 " and %" PRIu64,
			malformed, unsent, sums->refused_frames, sums->unsent_frames);
	/* At the receiver: what the device delivered, the queues returned. */
	for (unsigned int q = 0; q < to->info.rx_queues; q++) {
		struct weir_nic_rxq_stats stats;

		weir_nic_rxq_stats(weir_nic_rxq(to->nic, q), &stats);
		traffic_require(stats.packets == r->delivered[q] || traffic.rules.breaks,
				"receive queue %u returned %" PRIu64
				" packets, its device delivered "
				"%" PRIu64,
				q, stats.packets, r->delivered[q]);
		traffic_require(stats.packets <= r->delivered[q],
				"receive queue %u made packets up", q);
		packets += stats.packets;
		unused += stats.unused;
		damaged += r->delivered[q];
	}
	traffic_require(damaged == SINCE(r, rx_packets),
			"the queues' counters of packets do not add up");
	traffic_require(packets == sums->arrived, "%" PRIu64 " packets arrived, not %" PRIu64,
			sums->arrived, packets);
	traffic_require(unused == to->rx_unused,
			"%" PRIu64 " frames came back unused, not %" PRIu64, to->rx_unused, unused);
	traffic_require(sums->intact + sums->altered == sums->arrived &&
				(!sums->altered || traffic.rules.alters || traffic.rules.breaks),
			"%" PRIu64 " packets are intact and %" PRIu64 " are not, of %" PRIu64,
			sums->intact, sums->altered, sums->arrived);
}

static void stop_ports(void)
{
	uint64_t end = deadline();
	struct weir_error err;

	traffic.stopping = true;
	for (unsigned int i = 0; i < 2; i++) {
		if (weir_nic_stop(traffic.port[i].nic, &err) && !traffic.rules.leaves)
			traffic_fail("%s", err.text);
	}
	while (traffic_turn(&traffic) || traffic.port[0].tx_outstanding ||
	       traffic.port[0].rx_outstanding || traffic.port[1].tx_outstanding ||
	       traffic.port[1].rx_outstanding)
		check_deadline(end, "taking back what the queues have");
}

static void add(struct totals *totals, const struct traffic_port *from, const struct counted *r)
{
	const struct traffic_sums *sums = &from->sums;

	totals->sums.packets += sums->packets;
	totals->sums.refused += sums->refused;
	totals->sums.unsent += sums->unsent;
	totals->sums.given += sums->given;
	totals->sums.frames += sums->frames;
	totals->sums.bytes += sums->bytes;
	totals->sums.arrived += sums->arrived;
	totals->sums.intact += sums->intact;
	totals->sums.altered += sums->altered;
	totals->filtered += sums->filtered;
	totals->missed += SINCE(r, rx_missed);
	totals->dropped += SINCE(r, rx_dropped);
	totals->crc += SINCE(r, rx_crc_errors);
	totals->oversize += SINCE(r, rx_oversize);
	totals->gone += traffic.rules.flaps ? sums->frames - r->tpr : 0;
	totals->cut += traffic.rules.leaves ? 0 : SINCE(r, rx_packets) - sums->arrived;
}

/* One configuration. */
static void run_round(const struct leg *leg, uint64_t packets, struct totals *totals)
{
	struct counted counted[2] = { 0 };

	for (unsigned int i = 0; i < 2; i++)
		weir_nic_stats(traffic.port[i].nic, &counted[i].before, sizeof(counted[i].before));
	start_ports(leg);
	exchange(packets, counted);
	if (!traffic.rules.leaves)
		settle(counted);
	stop_ports();
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int q = 0; q < TRAFFIC_QUEUES; q++)
			totals->broken += traffic.port[i].rxq[q].failed;
		if (traffic.rules.leaves)
			counted[i].now = counted[i].before;
		else
			check_sums(&traffic.port[i], &counted[i], &counted[!i]);
		add(totals, &traffic.port[i], &counted[!i]);
	}
	totals->rounds++;
}

/* The names of faults, each with a number. */
static void choose_faults(const char *names, char *text, size_t bytes)
{
	size_t at = 0;

	for (const char *name = names; *name;) {
		size_t length = strcspn(name, ",");

		at += (size_t)snprintf(text + at, bytes - at, "%s%.*s", at ? "," : "", (int)length,
				       name);
		if (!memchr(name, '=', length))
			at += (size_t)snprintf(text + at, bytes - at, "=%u",
					       20 + rng_below(&traffic.rng, 600));
		name += length + (name[length] == ',');
	}
}

/* One server, and rounds on it until so many packets were made. */
static void visit(const struct leg *leg, uint64_t packets, struct totals *totals)
{
	const char *options[8] = { NULL }, *addresses[2];
	uint64_t until = totals->sums.packets + packets;
	unsigned int n = 0;
	char faults[256];

	the_leg = leg->name;
	traffic.rules = leg->rules;
	for (; n < 3 && leg->options[n]; n++)
		options[n] = leg->options[n];
	if (leg->faults) {
		choose_faults(leg->faults, faults, sizeof(faults));
		options[n++] = "--fault";
		options[n] = faults;
	}
	traffic_require(!sim_process_start_pair(&sim, "igb", options), "no server");
	addresses[0] = sim.address;
	addresses[1] = sim.peer;
	traffic_open(&traffic, addresses, leg->interrupts);
	do {
		run_round(leg, 50 + rng_below(&traffic.rng, ROUND_PACKETS), totals);
	} while (totals->sums.packets < until && !leg->rules.leaves);
	traffic_close(&traffic);
	if (leg->rules.leaves)
		sim_process_kill(&sim);
	else
		traffic_require(!sim_process_stop(&sim), "the server failed");
}

static void print_totals(const char *name, const struct totals *t)
{
	printf("%-10s %9" PRIu64 " packets %6" PRIu64 " rounds %8" PRIu64 " refused %6" PRIu64
	       " unsent; %9" PRIu64 " on the wire: %9" PRIu64 " arrived (%" PRIu64
	       " altered), %" PRIu64 " filtered, %" PRIu64 " missed, %" PRIu64 " dropped, %" PRIu64
	       " damaged, %" PRIu64 " too long, %" PRIu64 " gone with the link, %" PRIu64
	       " in %" PRIu64 " queues that ended\n",
	       name, t->sums.packets, t->rounds, t->sums.refused, t->sums.unsent, t->sums.frames,
	       t->sums.arrived, t->sums.altered, t->filtered, t->missed, t->dropped, t->crc,
	       t->oversize, t->gone, t->cut, t->broken);
	fflush(stdout);
}

static bool parse(int argc, char **argv, uint64_t *frames)
{
	static const struct option options[] = {
		{ "frames", required_argument, NULL, 'f' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		char *end = NULL;
		uint64_t value = optarg ? strtoull(optarg, &end, 0) : 0;

		if (option == '?' || !end || *end || end == optarg)
			return false;
		*(option == 'f' ? frames : &the_seed) = value;
	}
	return optind == argc && *frames;
}

int main(int argc, char **argv)
{
	static struct totals totals[NR_LEGS];
	uint64_t frames = DEFAULT_FRAMES;
	bool more;

	the_seed = (uint64_t)time(NULL);
	if (!parse(argc, argv, &frames)) {
		fprintf(stderr, "usage: test_net_random [--frames N] [--seed N]\n");
		return 2;
	}
	printf("seed %" PRIu64 ", %" PRIu64 " packets\n", the_seed, frames);
	fflush(stdout);
	if (weir_fault_guard_enable(NULL))
		return 1;
	traffic_create(&traffic, the_seed);
	do {
		more = false;
		for (unsigned int i = 0; i < NR_LEGS; i++) {
			uint64_t share = frames * legs[i].permille / 1000;
			uint64_t made = totals[i].sums.packets;

			if (made >= share)
				continue;
			visit(&legs[i], share - made < VISIT_PACKETS ? share - made : VISIT_PACKETS,
			      &totals[i]);
			more = true;
		}
	} while (more);
	traffic_destroy(&traffic);
	for (unsigned int i = 0; i < NR_LEGS; i++)
		print_totals(legs[i].name, &totals[i]);
	return 0;
}
