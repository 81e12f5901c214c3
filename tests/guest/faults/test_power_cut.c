/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes with flushes and has the power cut under load; in the next boot, checks that what a flush
 * or FUA covered is there. Runs in a guest of the lab, as root. power_cut.py runs it.
 *
 *   test_power_cut cut TRANSPORT RECORD       does not end: QEMU quits
 *   test_power_cut check TRANSPORT RECORD
 *
 * RECORD is a file outside of the guest that holds what is on the drive.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weir/nvme.h>

#include "../../sim/load.h"
#include "machine.h"

#define REGIONS 256
#define IOS 5000

struct record {
	unsigned int inflight; /* I/Os that were out */
	struct load_region regions[REGIONS];
};

static struct load load;

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	return 1;
}

static int begin(const char *transport, struct weir_nvme **nvme)
{
	struct weir_nvme_options options = WEIR_NVME_OPTIONS_INIT;
	const struct load_options shape = {
		.depth = 64,
		.regions = REGIONS,
		.flush_every = 100,
		.seed = 99,
	};
	struct weir_error err;

	options.transport = transport;
	if (system("modprobe vfio-pci") || machine_bind(machine_victim.address, 0))
		return fail(machine_victim.address, "cannot be bound");
	if (weir_nvme_open(machine_victim.address, &options, nvme, &err) ||
	    load_begin(&load, *nvme, weir_nvme_next_ns(*nvme, 0), &shape, &err))
		return fail(machine_victim.address, err.text);
	return 0;
}

static int save(const char *path, const struct record *record)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int ret = 0;

	if (fd < 0)
		return fail(path, strerror(errno));
	if (write(fd, record, sizeof(*record)) != sizeof(*record) || fsync(fd))
		ret = fail(path, strerror(errno));
	close(fd);
	return ret;
}

/* This thread alone has the load: from the record on nothing is taken or returned. */
static int cut(const char *path)
{
	static struct record record;
	char answer[128];

	if (!load_run(&load, IOS))
		return fail("load", load.error);
	while (!load.inflight) {
		if (!load_turn(&load, true))
			return fail("load", load.error);
	}
	record.inflight = load.inflight;
	memcpy(record.regions, load.regions, sizeof(record.regions));
	if (save(path, &record))
		return 1;
	machine_request("{\"execute\": \"quit\"}", answer, sizeof(answer));
	pause();
	return 1;
}

static int check(const char *path, struct weir_nvme *nvme)
{
	static struct record record;
	unsigned int durable = 0, later = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, &record, sizeof(record)) != sizeof(record))
		return fail(path, strerror(errno));
	close(fd);
	memcpy(load.regions, record.regions, sizeof(record.regions));
	load_forget(&load, true);
	for (unsigned int i = 0; i < REGIONS; i++) {
		durable += load.regions[i].durable > 0;
		later += load.regions[i].newest > load.regions[i].durable;
	}
	if (!load_verify(&load))
		return fail("after the power cut", load.error);
	load_end(&load, true);
	weir_nvme_close(nvme);
	if (!record.inflight || durable < REGIONS / 2 || !later)
		return fail(path, "nothing was out, durable, or still to be flushed");
	printf("%u I/Os were out; %u of %d regions durable, %u with later writes\n",
	       record.inflight, durable, REGIONS, later);
	return 0;
}

int main(int argc, char **argv)
{
	struct weir_nvme *nvme;

	if (argc != 4 || (strcmp(argv[1], "cut") && strcmp(argv[1], "check"))) {
		fprintf(stderr, "usage: test_power_cut cut|check TRANSPORT RECORD\n");
		return 2;
	}
	if (begin(argv[2], &nvme))
		return 1;
	return strcmp(argv[1], "cut") ? check(argv[3], nvme) : cut(argv[3]);
}
